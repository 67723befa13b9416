"""Broadcast, multicast, push and validate; the quota they share with narrowcasts; counts of what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from audsql.sim import rules
from audsql.sim.bodies import json_object, query_value
from audsql.sim.clock import day_of, format_time, month_of
from audsql.sim.coupons import check_coupons
from audsql.sim.messages import check_messages, urls_of
from audsql.sim.model import Account, Call, Json, Response, Send, World, following, is_following
from audsql.sim.turns import take_turns

_SEND = {"messages": "array", "notificationDisabled": "boolean"}
_FIRST_DELIVERY_DAY = "20180331"


def remaining_quota(world: World, account: Account) -> int | None:
    """Messages left this month less what running narrowcasts reserve; None is unlimited."""
    if account.quota is None:
        return None
    running = (account.sends[request_id].narrowcast for request_id in account.running)
    reserved = sum(each.reserved for each in running if each is not None)
    return account.quota - account.used.get(month_of(world.now), 0) - reserved


def refuse_over_quota(world: World, account: Account, count: int) -> None:
    """Refuse with 429 and the monthly limit when that many messages are not left."""
    left = remaining_quota(world, account)
    if left is not None and count > left:
        raise rules.refuse(429, rules.MONTHLY_LIMIT)


def deliver(world: World, account: Account, send: Send, people: tuple[str, ...]) -> Send:
    """Put the messages into the inbox of each of these people and count them against the quota."""
    at = format_time(world.now)
    for user_id in people:
        world.inbox.append(
            {
                "account": account.name,
                "userId": user_id,
                "requestId": send.request_id,
                "kind": send.kind,
                "messages": list(send.messages),
                "at": at,
            }
        )
    month = month_of(world.now)
    account.used[month] = account.used.get(month, 0) + len(people)
    return replace(send, to=(*send.to, *people))


def _send_now(call: Call, kind: str, body: Mapping[str, Json], people: tuple[str, ...]) -> None:
    """Check the quota, deliver at once and keep the send under the request's id."""
    messages = check_messages(body["messages"])
    check_coupons(call.world, call.account, messages)
    units = _units(body.get("customAggregationUnits", []))
    refuse_over_quota(call.world, call.account, len(people))
    send = Send(call.request_id, kind, call.world.now, messages, urls=urls_of(messages), units=units)
    call.account.sends[call.request_id] = deliver(call.world, call.account, send, people)
    for when in ("accepted", "ended"):
        take_turns(call.world, call.account, kind, when, call.request_id)


def _units(names: list[Json]) -> tuple[str, ...]:
    if len(names) > rules.UNITS_PER_REQUEST:
        raise rules.refuse_field("customAggregationUnits", f"Size must be between 0 and {rules.UNITS_PER_REQUEST}")
    for name in names:
        if not isinstance(name, str) or rules.UNIT_NAME.fullmatch(name) is None:
            raise rules.refuse_property("customAggregationUnits[0]")
    return tuple(names)


def broadcast(call: Call) -> Response:
    """POST /v2/bot/message/broadcast: to everybody whom the account can reach."""
    body = json_object(call, _SEND, ("messages",))
    _send_now(call, "broadcast", body, tuple(following(call.account, call.world.now)))
    return Response(200, {})


def multicast(call: Call) -> Response:
    """POST /v2/bot/message/multicast: to 1 to 500 user IDs; who is no friend is passed over in silence."""
    body = json_object(call, {**_SEND, "to": "array", "customAggregationUnits": "array"}, ("messages", "to"))
    wanted = body["to"]
    if not 1 <= len(wanted) <= rules.MULTICAST_IDS:
        raise rules.refuse_field("to", f"Size must be between 1 and {rules.MULTICAST_IDS}")
    for index, user_id in enumerate(wanted):
        if not isinstance(user_id, str) or rules.USER_ID.fullmatch(user_id) is None:
            raise rules.refuse_property(f"to[{index}]")
    # An id written twice is delivered twice: LINE does not promise to join them, and a sender must not rely on it.
    people = tuple(user_id for user_id in wanted if _reachable(call, user_id))
    _send_now(call, "multicast", body, people)
    return Response(200, {})


def push(call: Call) -> Response:
    """POST /v2/bot/message/push: to one person; the answer names the messages."""
    body = json_object(call, {**_SEND, "to": "string", "customAggregationUnits": "array"}, ("messages", "to"))
    if rules.CHAT_ID.fullmatch(body["to"]) is None:
        raise rules.refuse_property("to")
    people = (body["to"],) if _reachable(call, body["to"]) else ()
    _send_now(call, "push", body, people)
    first = int(call.request_id.replace("-", "")[:14], 16)
    numbers = range(first, first + len(body["messages"]))
    sent = [{"id": str(number), "quoteToken": f"quote-{number}"} for number in numbers]
    return Response(200, {"sentMessages": sent})


def _reachable(call: Call, user_id: str) -> bool:
    friend = call.account.friends.get(user_id)
    return friend is not None and is_following(friend, call.world.now)


def validate(call: Call) -> Response:
    """POST /v2/bot/message/validate/…: looks at the messages and at nothing else."""
    body = json_object(call, {"messages": "array"}, ("messages",))
    check_messages(body["messages"])
    return Response(200, {})


def quota(call: Call) -> Response:
    """GET /v2/bot/message/quota: the monthly target."""
    if call.account.quota is None:
        return Response(200, {"type": "none"})
    return Response(200, {"type": "limited", "value": call.account.quota})


def consumption(call: Call) -> Response:
    """GET /v2/bot/message/quota/consumption: messages used this month."""
    return Response(200, {"totalUsage": call.account.used.get(month_of(call.world.now), 0)})


def day_query(call: Call, first_day: str) -> tuple[str, str]:
    """The `date` of the query and whether its numbers are ready, unready or older than the service."""
    day = query_value(call, "date")
    if not day:
        raise rules.refuse(400, "date is required")
    if len(day) != 8 or not (day.isascii() and day.isdigit()):
        raise rules.refuse(400, "date must be in the format yyyyMMdd")
    if day < first_day:
        return day, "out_of_service"
    return day, "ready" if day < day_of(call.world.now) else "unready"


def count_on_day(account: Account, kind: str, day: str) -> int:
    """Messages of that kind delivered on a day in LINE's zone."""
    return sum(len(send.to) for send in account.sends.values() if send.kind == kind and day_of(send.at) == day)


def delivery_count(call: Call) -> Response:
    """GET /v2/bot/message/delivery/{kind}: how many were sent on a day. There is none for narrowcasts."""
    day, status = day_query(call, _FIRST_DELIVERY_DAY)
    body: dict[str, Json] = {"status": status}
    if status == "ready":
        body["success"] = count_on_day(call.account, call.parameters["kind"], day)
    return Response(200, body)
