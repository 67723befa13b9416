"""Broadcast, multicast, push, message objects, quota, insight and the rest (specs/simulator.md)."""

from __future__ import annotations

from typing import Any

import pytest
from sim_cases import SEND, SENT, TEXT, URL, friend, line, send, uid, uids, world

INSIGHT = "/v2/bot/insight"


@pytest.mark.rule("line.broadcast.everybody")
def test_a_broadcast_reaches_every_friend_at_once() -> None:
    document = world()
    document["accounts"]["shop"]["friends"][0]["status"] = "blocked"
    document["accounts"]["shop"]["friends"][1]["followedAt"] = "2026-12-01T00:00:00+09:00"
    shop = line(document)
    answer = shop.post(f"{SEND}/broadcast", {"messages": TEXT})
    assert (answer.status, answer.body) == (200, {})
    assert shop.received(answer.headers["X-Line-Request-Id"]) == list(range(3, 201))


def test_a_broadcast_makes_click_audiences_at_once() -> None:
    shop = line()
    request_id = shop.post(f"{SEND}/broadcast", {"messages": TEXT}).headers["X-Line-Request-Id"]
    body = {"description": "c", "requestId": request_id}
    assert shop.post("/v2/bot/audienceGroup/imp", body).status == 202


@pytest.mark.rule("line.multicast.unknown_ids", "line.multicast.repeated")
def test_multicast_to_listed_people() -> None:
    shop = line()
    answer = shop.post(f"{SEND}/multicast", {"to": uids([5, 2, 999, 5]), "messages": TEXT})
    assert (answer.status, answer.body) == (200, {})
    # Strangers are passed over; whoever is listed twice gets it twice.
    assert shop.received(answer.headers["X-Line-Request-Id"]) == [2, 5, 5]


@pytest.mark.parametrize(
    ("people", "status"), [(uids(range(1, 501)), 200), (uids(range(1, 502)), 400), ([], 400), ([uid(1), "x"], 400)]
)
@pytest.mark.rule("line.multicast.people", "line.audience.id_form")
def test_multicast_takes_1_to_500_user_ids(people: list[str], status: int) -> None:
    assert line().post(f"{SEND}/multicast", {"to": people, "messages": TEXT}).status == status


def test_a_malformed_id_is_named_by_its_place() -> None:
    answer = line().post(f"{SEND}/multicast", {"to": [uid(1), "x"], "messages": TEXT})
    expected = "The property, to[1], in the request body is invalid (line: -, column: -)"
    assert answer.body == {"message": expected}


def test_push_names_its_messages() -> None:
    shop = line()
    answer = shop.post(f"{SEND}/push", {"to": uid(1), "messages": TEXT * 2})
    assert answer.status == 200
    sent = answer.body["sentMessages"]
    assert len({each["id"] for each in sent}) == 2
    assert all(each["id"].isdigit() and each["quoteToken"] for each in sent)
    assert shop.post(f"{SEND}/push", {"to": uid(999), "messages": TEXT}).status == 200
    assert shop.post(f"{SEND}/push", {"to": "shop", "messages": TEXT}).status == 400
    assert [each["userId"] for each in shop.get("/_sim/inbox").body] == [uid(1)]


@pytest.mark.parametrize("kind", ["push", "multicast"])
@pytest.mark.parametrize(
    ("units", "status"), [([], 200), (["sale_1"], 200), (["a", "b"], 400), (["a-b"], 400), (["x" * 31], 400)]
)
@pytest.mark.rule("line.unit.name")
def test_unit_names(kind: str, units: list[str], status: int) -> None:
    to: Any = uid(1) if kind == "push" else uids([1])
    body = {"to": to, "messages": TEXT, "customAggregationUnits": units}
    assert line().post(f"{SEND}/{kind}", body).status == status


def test_units_are_listed_and_counted() -> None:
    shop = line()
    for unit in ("b", "a", "b"):
        shop.post(f"{SEND}/push", {"to": uid(1), "messages": TEXT, "customAggregationUnits": [unit]})
    assert shop.get(f"{SEND}/aggregation/info").body == {"numOfCustomAggregationUnits": 2}
    page = shop.get(f"{SEND}/aggregation/list?limit=1").body
    assert page["customAggregationUnits"] == ["b"]
    rest = shop.get(f"{SEND}/aggregation/list?limit=1&start={page['next']}").body
    assert rest == {"customAggregationUnits": ["a"]}
    path = f"{INSIGHT}/message/event/aggregation?customAggregationUnit=b"
    answer = shop.get(f"{path}&from=20261101&to=20261130")
    assert answer.status == 200
    assert answer.body["overview"]["uniqueClick"] is None
    assert shop.get(f"{path}&from=20261001&to=20261130").status == 400


FLEX = {"type": "flex", "altText": "a", "contents": {"type": "bubble"}}
IMAGE = {"type": "image", "originalContentUrl": "https://x/a", "previewImageUrl": "https://x/b"}
GOOD = [
    {"type": "text", "text": "x" * 5_000},
    {"type": "text", "text": "😀" * 2_500},
    {"type": "textV2", "text": "hi {name}", "substitution": {}},
    {"type": "sticker", "packageId": "1", "stickerId": "2"},
    IMAGE,
    {**IMAGE, "type": "video", "trackingId": "x"},
    {"type": "audio", "originalContentUrl": "https://x/a", "duration": 1000},
    {"type": "location", "title": "t", "address": "a", "latitude": 35.6, "longitude": 139},
    {"type": "imagemap", "baseUrl": "https://x", "altText": "a", "baseSize": {"width": 1040}, "actions": []},
    {"type": "template", "altText": "a", "template": {"type": "buttons", "text": "t", "actions": []}},
    FLEX,
    {"type": "coupon", "couponId": "c", "deliveryTag": "x" * 30},
    {"type": "text", "text": "x", "quickReply": {"items": []}, "sender": {"name": "n"}},
]
BAD = [
    {},
    "hello",
    {"text": "hello"},
    {"type": "poll"},
    {"type": "text"},
    {"type": "text", "text": ""},
    {"type": "text", "text": "x" * 5_001},
    {"type": "text", "text": "😀" * 2_501},
    {"type": "text", "text": 5},
    {"type": "text", "text": "x", "colour": "red"},
    {"type": "sticker", "packageId": "1"},
    {**IMAGE, "previewImageUrl": "http://x/b"},
    {**FLEX, "contents": {"type": "box"}},
    {**FLEX, "altText": "x" * 1_501},
    {"type": "template", "altText": "a", "template": {"type": "poll"}},
    {"type": "coupon", "couponId": "c", "deliveryTag": "x" * 31},
    {"type": "location", "title": "t", "address": "a", "latitude": "35", "longitude": 139},
]


@pytest.mark.parametrize("message", GOOD)
def test_messages_that_line_takes(message: Any) -> None:
    assert line().post(f"{SEND}/validate/narrowcast", {"messages": [message]}).status == 200


@pytest.mark.parametrize("message", BAD)
@pytest.mark.parametrize("path", ["validate/reply", "narrowcast", "broadcast"])
def test_messages_that_line_refuses(path: str, message: Any) -> None:
    shop = line()
    answer = shop.post(f"{SEND}/{path}", {"messages": [TEXT[0], message]})
    assert answer.status == 400
    assert "messages[1]" in str(answer.body)
    assert shop.get("/_sim/inbox").body == []


@pytest.mark.parametrize("kind", ["narrowcast", "broadcast", "multicast", "push", "reply"])
@pytest.mark.rule("line.narrowcast.validated")
def test_validate_looks_only_at_messages(kind: str) -> None:
    shop = line()
    assert shop.post(f"{SEND}/validate/{kind}", {"messages": TEXT * 5}).status == 200
    assert shop.post(f"{SEND}/validate/{kind}", {"messages": TEXT * 6}).status == 400
    assert shop.post(f"{SEND}/validate/{kind}", {"messages": []}).status == 400
    assert shop.post(f"{SEND}/validate/{kind}", {}).status == 400


def test_the_documented_shape_of_a_field_error() -> None:
    answer = line().post(f"{SEND}/validate/push", {"messages": [{"type": "text", "text": ""}]})
    assert answer.body == {
        "message": "The request body has 1 error(s)",
        "details": [{"message": "May not be empty", "property": "messages[0].text"}],
    }


@pytest.mark.rule("line.quota.kinds", "line.quota.people")
def test_quota_and_consumption() -> None:
    shop = line()
    assert shop.get(f"{SEND}/quota").body == {"type": "limited", "value": 30_000}
    # The broadcast and the push of this month; the one of September does not count.
    assert shop.get(f"{SEND}/quota/consumption").body == {"totalUsage": 201}
    shop.post(f"{SEND}/push", {"to": uid(1), "messages": TEXT * 5})
    assert shop.get(f"{SEND}/quota/consumption").body == {"totalUsage": 202}
    shop.wait(10 * 86_400)
    assert shop.get(f"{SEND}/quota/consumption").body == {"totalUsage": 0}
    assert line(token="other-token").get(f"{SEND}/quota").body == {"type": "none"}


@pytest.mark.parametrize("kind", ["broadcast", "multicast", "push"])
@pytest.mark.rule("line.answer.monthly")
def test_the_monthly_limit(kind: str) -> None:
    shop = line(world(quota={"type": "limited", "value": 0}))
    to: Any = {"broadcast": {}, "multicast": {"to": uids([1])}, "push": {"to": uid(1)}}[kind]
    answer = shop.post(f"{SEND}/{kind}", {"messages": TEXT, **to})
    assert (answer.status, answer.body) == (429, {"message": "You have reached your monthly limit."})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("broadcast?date=20261110", {"status": "ready", "success": 200}),
        ("push?date=20261110", {"status": "ready", "success": 1}),
        ("multicast?date=20261110", {"status": "ready", "success": 0}),
        ("push?date=20261121", {"status": "unready"}),
        ("push?date=20180330", {"status": "out_of_service"}),
    ],
)
def test_counts_of_a_day(path: str, body: Any) -> None:
    assert line().get(f"{SEND}/delivery/{path}").body == body


def test_there_is_no_count_of_narrowcasts() -> None:
    shop = line()
    assert shop.get(f"{SEND}/delivery/narrowcast?date=20261110").status == 404
    assert shop.get(f"{SEND}/delivery/push").status == 400
    assert shop.get(f"{SEND}/delivery/push?date=today").status == 400


@pytest.mark.rule("line.followers.day", "line.followers.blocks")
def test_insight_of_followers() -> None:
    document = world(targetReach=150)
    document["accounts"]["shop"]["friends"][0]["status"] = "blocked"
    document["accounts"]["shop"]["friends"][1]["followedAt"] = "2026-11-20T00:00:00+09:00"
    shop = line(document)
    assert shop.get(f"{INSIGHT}/followers?date=20261120").body == {
        "status": "ready",
        "followers": 200,
        "targetedReaches": 150,
        "blocks": 1,
    }
    assert shop.get(f"{INSIGHT}/followers?date=20261119").body["followers"] == 199
    assert shop.get(f"{INSIGHT}/followers?date=20261121").body == {"status": "unready"}
    assert shop.get(f"{INSIGHT}/followers").body == {"message": "date is required"}


@pytest.mark.rule("line.statistics.hidden")
def test_insight_of_a_message_hides_small_numbers() -> None:
    shop = line()
    body = shop.get(f"{INSIGHT}/message/event?requestId={SENT}").body
    assert body["overview"]["delivered"] == 200
    assert (body["overview"]["uniqueImpression"], body["overview"]["uniqueClick"]) == (120, 80)
    clicks = {each["url"]: each["uniqueClick"] for each in body["clicks"]}
    assert clicks == {URL: 80, f"{URL}/two": None}
    assert body["messages"][0]["impression"] == 120
    running = shop.narrowcast().headers["X-Line-Request-Id"]
    assert shop.get(f"{INSIGHT}/message/event?requestId={running}").body["overview"]["delivered"] is None
    assert shop.get(f"{INSIGHT}/message/event?requestId=unknown").status == 404


def test_insight_of_demographics() -> None:
    body = line().get(f"{INSIGHT}/demographic").body
    assert body["available"] is True
    assert body["genders"] == [{"gender": "female", "percentage": 50.0}, {"gender": "male", "percentage": 50.0}]
    assert {each["area"] for each in body["areas"]} == {"東京", "大阪"}
    assert {each["age"] for each in body["ages"]} >= {"from20to24", "from40to44"}
    assert line(world(friends=19)).get(f"{INSIGHT}/demographic").body == {"available": False}


def test_insight_of_a_days_messages() -> None:
    body = line().get(f"{INSIGHT}/message/delivery?date=20261110").body
    assert body == {"status": "ready", "apiBroadcast": 200, "apiPush": 1, "apiMulticast": 0, "apiNarrowcast": 0}


@pytest.mark.rule("line.followers.ids")
def test_follower_ids_only_where_they_are_readable() -> None:
    answer = line().get("/v2/bot/followers/ids")
    expected = {"message": "Access to this API is not available for your account"}
    assert (answer.status, answer.body) == (403, expected)
    document = world(followersReadable=True)
    friends = document["accounts"]["shop"]["friends"]
    friends[0]["status"] = "blocked"
    friends.append(friend(201, policyAccepted=False))
    shop = line(document)
    page = shop.get("/v2/bot/followers/ids?limit=150").body
    rest = shop.get(f"/v2/bot/followers/ids?limit=150&start={page['next']}").body
    assert page["userIds"] + rest["userIds"] == uids(range(2, 201))
    assert "next" not in rest
    assert shop.get("/v2/bot/followers/ids?limit=1001").status == 400
    shop.wait(86_401)
    assert shop.get(f"/v2/bot/followers/ids?start={page['next']}").status == 400


def test_the_bot_and_profiles() -> None:
    shop = line()
    info = shop.get("/v2/bot/info").body
    assert info["displayName"] == "shop"
    assert info["userId"] != line(token="other-token").get("/v2/bot/info").body["userId"]
    assert shop.get(f"/v2/bot/profile/{uid(1)}").body["userId"] == uid(1)
    assert shop.get(f"/v2/bot/profile/{uid(999)}").status == 404


def test_past_narrowcasts_of_a_world_have_succeeded() -> None:
    document = world()
    past = send("00000000-0000-4000-a000-00000000cafe", "narrowcast", "2026-11-20T00:00:00+09:00", range(1, 61))
    document["accounts"]["shop"]["sends"].append(past)
    shop = line(document)
    told = shop.progress(past["requestId"])
    assert (told["phase"], told["successCount"], told["targetCount"]) == ("succeeded", 60, 60)
    again = shop.sent(recipient={"type": "redelivery", "requestId": past["requestId"]})
    assert shop.received(again) == list(range(1, 61))
