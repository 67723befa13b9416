"""What LINE tells about friends and sends: followers, demographics, events, profiles. Small numbers are hidden."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime

from audsql.sim import rules
from audsql.sim.bodies import paged, query_integer, query_value
from audsql.sim.clock import day_of, days_between, month_of
from audsql.sim.model import (
    Account,
    Call,
    Friend,
    Json,
    Response,
    Send,
    bot_user_id,
    following,
    is_following,
    target_reach,
)
from audsql.sim.sends import count_on_day, day_query

_FIRST_INSIGHT_DAY = "20161101"
_FIRST_MESSAGE_DAY = "20170301"
_DELIVERY_FIELDS = {
    "apiBroadcast": "broadcast",
    "apiPush": "push",
    "apiMulticast": "multicast",
    "apiNarrowcast": "narrowcast",
}


def followers(call: Call) -> Response:
    """GET /v2/bot/insight/followers: everybody who ever followed, the target reach and the blocks."""
    day, status = day_query(call, _FIRST_INSIGHT_DAY)
    if status != "ready":
        return Response(200, {"status": status})
    friends = call.account.friends.values()
    body = {
        "status": status,
        "followers": sum(1 for each in friends if each.followed_at is None or day_of(each.followed_at) <= day),
        "targetedReaches": target_reach(call.account, call.world.now),
        "blocks": sum(1 for each in friends if each.status == "blocked"),
    }
    return Response(200, body)


def message_delivery(call: Call) -> Response:
    """GET /v2/bot/insight/message/delivery: messages of a day by the way they were sent."""
    day, status = day_query(call, _FIRST_MESSAGE_DAY)
    body: dict[str, Json] = {"status": status}
    if status == "ready":
        body |= {name: count_on_day(call.account, kind, day) for name, kind in _DELIVERY_FIELDS.items()}
    return Response(200, body)


def demographic(call: Call) -> Response:
    """GET /v2/bot/insight/demographic: shares by attribute in percent, from a target reach of 20."""
    if target_reach(call.account, call.world.now) < rules.STATISTICS_HIDDEN_BELOW:
        return Response(200, {"available": False})
    friends = [call.account.friends[user_id] for user_id in following(call.account, call.world.now)]
    now = call.world.now
    body = {
        "available": True,
        "genders": _shares(friends, "gender", lambda friend: friend.gender or "unknown"),
        "ages": _shares(friends, "age", _age),
        "areas": _shares(friends, "area", _area),
        "appTypes": _shares(friends, "appType", lambda friend: friend.os or "others"),
        "subscriptionPeriods": _shares(friends, "subscriptionPeriod", lambda friend: _period(friend, now)),
    }
    return Response(200, body)


def _shares(friends: list[Friend], name: str, value: Callable[[Friend], str]) -> list[Json]:
    counts: dict[str, int] = {}
    for friend in friends:
        counts[value(friend)] = counts.get(value(friend), 0) + 1
    total = max(1, len(friends))
    return [{name: each, "percentage": round(1000 * counts[each] / total) / 10} for each in sorted(counts)]


def _age(friend: Friend) -> str:
    if friend.age is None:
        return "unknown"
    years = int(friend.age.removeprefix("age_"))
    if years < 15:
        return "from0to14"
    return "from70" if years >= 70 else f"from{years}to{years + 4}"


def _area(friend: Friend) -> str:
    if friend.area is None:
        return "unknown"
    country, _, number = friend.area.partition("_")
    return rules.PREFECTURES[int(number) - 1] if country == "jp" else friend.area


def _period(friend: Friend, now: float) -> str:
    if friend.followed_at is None:
        return "unknown"
    days = days_between(friend.followed_at, now)
    return next((f"within{limit}days" for limit in rules.PERIODS.values() if days < limit), "over365days")


def _shown(count: int) -> int | None:
    return None if count < rules.STATISTICS_HIDDEN_BELOW else count


def message_event(call: Call) -> Response:
    """GET /v2/bot/insight/message/event: opens and clicks of one broadcast or narrowcast."""
    request_id = query_value(call, "requestId")
    if not request_id:
        raise rules.refuse(400, "requestId is required")
    send = call.account.sends.get(request_id)
    if send is None or send.kind not in ("broadcast", "narrowcast"):
        raise rules.refuse(404, rules.NOT_FOUND)
    complete = send.narrowcast is None or send.narrowcast.phase in ("succeeded", "failed")
    overview = {
        "requestId": request_id,
        "timestamp": int(send.at),
        "delivered": len(send.to) if complete else None,
        **_totals((send,)),
    }
    return Response(200, {"overview": overview, "messages": _bubbles((send,)), "clicks": _clicks((send,))})


def aggregation(call: Call) -> Response:
    """GET /v2/bot/insight/message/event/aggregation: the same for the sends of one unit, without a denominator."""
    unit = query_value(call, "customAggregationUnit") or ""
    first, last = query_value(call, "from") or "", query_value(call, "to") or ""
    if rules.UNIT_NAME.fullmatch(unit) is None:
        raise rules.refuse(400, "customAggregationUnit is required")
    if not 0 <= _days(first, last) <= rules.AGGREGATION_DAYS:
        raise rules.refuse(400, f"from and to must be within {rules.AGGREGATION_DAYS} days")
    sends = tuple(
        send for send in call.account.sends.values() if unit in send.units and first <= day_of(send.at) <= last
    )
    messages = [{**bubble, "uniqueImpression": bubble["impression"]} for bubble in _bubbles(sends)]
    return Response(200, {"overview": _totals(sends), "messages": messages, "clicks": _clicks(sends)})


def _days(first: str, last: str) -> int:
    try:
        begin, end = (datetime.strptime(text, "%Y%m%d") for text in (first, last))  # noqa: DTZ007
    except ValueError:
        raise rules.refuse(400, "from and to must be in the format yyyyMMdd") from None
    return (end - begin).days


def _totals(sends: Iterable[Send]) -> dict[str, Json]:
    opened: set[str] = set()
    clicked: set[str] = set()
    for send in sends:
        opened |= send.opened
        clicked = clicked.union(*send.clicked.values())
    return {
        "uniqueImpression": _shown(len(opened)),
        "uniqueClick": _shown(len(clicked)),
        "uniqueMediaPlayed": None,
        "uniqueMediaPlayed100Percent": None,
    }


_MEDIA = ("mediaPlayed", "mediaPlayed25Percent", "mediaPlayed50Percent", "mediaPlayed75Percent",
          "mediaPlayed100Percent", "uniqueMediaPlayed", "uniqueMediaPlayed25Percent", "uniqueMediaPlayed50Percent",
          "uniqueMediaPlayed75Percent", "uniqueMediaPlayed100Percent")  # fmt: skip


def _bubbles(sends: tuple[Send, ...]) -> list[dict[str, Json]]:
    """One entry a bubble; who opened a send has seen all its bubbles."""
    if not sends:
        return []
    count = max(max(1, len(send.messages)) for send in sends)
    seen = _shown(sum(len(send.opened) for send in sends))
    return [{"seq": seq, "impression": seen, **dict.fromkeys(_MEDIA)} for seq in range(1, count + 1)]


def _clicks(sends: tuple[Send, ...]) -> list[Json]:
    people: dict[str, set[str]] = {}
    for send in sends:
        for url in (*send.urls, *send.clicked):
            people.setdefault(url, set()).update(send.clicked.get(url, ()))
    return [
        {"seq": 1, "url": url, "click": shown, "uniqueClick": shown, "uniqueClickOfRequest": shown}
        for url, shown in ((url, _shown(len(clicked))) for url, clicked in people.items())
    ]


def _units_of_month(call: Call) -> list[str]:
    month = month_of(call.world.now)
    names = (unit for send in call.account.sends.values() if month_of(send.at) == month for unit in send.units)
    return list(dict.fromkeys(names))[: rules.UNITS_PER_MONTH]


def unit_count(call: Call) -> Response:
    """GET /v2/bot/message/aggregation/info: how many unit names this month has used."""
    return Response(200, {"numOfCustomAggregationUnits": len(_units_of_month(call))})


def unit_names(call: Call) -> Response:
    """GET /v2/bot/message/aggregation/list: the unit names of this month, by pages."""
    size = query_integer(call, "limit", rules.UNIT_PAGE_MAX, 1, rules.UNIT_PAGE_MAX)
    names, following_page = paged(call, _units_of_month(call), size)
    return Response(200, {"customAggregationUnits": names, **following_page})


def follower_ids(call: Call) -> Response:
    """GET /v2/bot/followers/ids: only where the account may read them."""
    if not call.account.settings.get("followersReadable", False):
        raise rules.refuse(403, rules.NOT_AVAILABLE)
    size = query_integer(call, "limit", rules.FOLLOWERS_PAGE, 1, rules.FOLLOWERS_PAGE_MAX)
    friends = call.account.friends
    people = [each for each in following(call.account, call.world.now) if friends[each].policy_accepted]
    ids, following_page = paged(call, people, size)
    return Response(200, {"userIds": ids, **following_page})


def bot_info(call: Call) -> Response:
    """GET /v2/bot/info: who the account is."""
    digits = hashlib.sha256(f"bot:{call.account.name}".encode()).hexdigest()
    body = {
        "userId": bot_user_id(call.account),
        "basicId": f"@{int(digits[32:40], 16) % 1000:03d}{call.account.name[:5].lower()}",
        "displayName": _display_name(call.account),
        "chatMode": "bot",
        "markAsReadMode": "auto",
    }
    return Response(200, body)


def _display_name(account: Account) -> str:
    return str(account.settings.get("displayName", account.name))


def profile(call: Call) -> Response:
    """GET /v2/bot/profile/{userId}: only of people whom the account can reach."""
    friend = call.account.friends.get(call.parameters["userId"])
    if friend is None or not is_following(friend, call.world.now):
        raise rules.refuse(404, rules.NOT_FOUND)
    return Response(200, {"userId": friend.user_id, "displayName": f"user {friend.user_id[-4:]}", "language": "ja"})
