"""Narrowcasts, clause by clause (specs/simulator.md, Narrowcasts)."""

from __future__ import annotations

from typing import Any

import pytest
from sim_cases import (
    FEMALE,
    PUSHED,
    SEND,
    SENT,
    TEXT,
    Line,
    all_of,
    any_of,
    audience,
    friend,
    line,
    none_of,
    send,
    uids,
    world,
)

DAY = 86_400
CAST = "00000000-0000-4000-a000-00000000cafe"
FUSE = {"upToRemainingQuota": True, "forbidPartialDelivery": True}


def manager(people: range, kind: str = "CHAT_TAG", **values: Any) -> dict[str, Any]:
    """An audience made in the manager, with the id 7."""
    given = {"audienceGroupId": 7, "type": kind, "description": "it", "members": uids(people), "status": "READY"}
    return {**given, **values}


@pytest.mark.rule("line.narrowcast.accepted", "line.progress.phases")
def test_accepted_then_waiting_sending_succeeded() -> None:
    shop = line()
    made = shop.ready([3, 1, 2])
    answer = shop.narrowcast(recipient=audience(made))
    assert (answer.status, answer.body) == (202, {})
    request_id = answer.headers["X-Line-Request-Id"]
    accepted = {"acceptedTime": "2026-11-20T15:00:30.000Z"}
    assert shop.progress(request_id) == {"phase": "waiting", **accepted}
    shop.wait(10)
    counts = {"successCount": 0, "failureCount": 0, "targetCount": 3}
    assert shop.progress(request_id) == {"phase": "sending", **counts, **accepted}
    assert shop.received(request_id) == []
    shop.wait(20)
    ended = {"successCount": 3, "failureCount": 0, "targetCount": 3, "completedTime": "2026-11-20T15:01:00.000Z"}
    assert shop.progress(request_id) == {"phase": "succeeded", **ended, **accepted}
    inbox = shop.get("/_sim/inbox").body
    assert inbox[0] == {
        "account": "shop",
        "userId": uids([1])[0],
        "requestId": request_id,
        "kind": "narrowcast",
        "messages": TEXT,
        "at": "2026-11-21T00:01:00+09:00",
    }
    assert shop.received(request_id) == [1, 2, 3]


@pytest.mark.rule("line.narrowcast.everybody")
def test_without_a_recipient_everybody_gets_it() -> None:
    shop = line()
    assert shop.received(shop.sent()) == list(range(1, 201))
    assert shop.received(shop.sent(recipient=None)) == list(range(1, 201))


@pytest.mark.rule("line.audience.hidden_count")
def test_strangers_and_blockers_are_in_audiences_but_get_nothing() -> None:
    document = world()
    document["accounts"]["shop"]["friends"][0]["status"] = "blocked"
    shop = line(document)
    made = shop.ready([1, 2, 999])
    assert shop.group(made)["audienceCount"] == 3
    assert shop.received(shop.sent(recipient=audience(made))) == [2]


@pytest.mark.rule("line.progress.failures")
def test_who_blocks_while_it_is_sent_counts_as_a_failure() -> None:
    document = world()
    change = {"at": "2026-11-21T00:00:55+09:00", "status": "blocked"}
    document["accounts"]["shop"]["friends"][0]["changes"] = [change]
    shop = line(document)
    request_id = shop.sent(recipient=audience(shop.ready([1, 2])))
    assert shop.received(request_id) == [2]
    told = shop.progress(request_id)
    assert (told["phase"], told["successCount"], told["failureCount"], told["targetCount"]) == ("succeeded", 1, 1, 2)


A, B = range(1, 101), range(51, 151)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (all_of, range(51, 101)),
        (any_of, range(1, 151)),
        (lambda a, b: none_of(a), range(101, 201)),
        (lambda a, b: all_of(a, none_of(b)), range(1, 51)),
        (lambda a, b: all_of(none_of(any_of(a, b))), range(151, 201)),
        (lambda a, b: any_of(all_of(a, none_of(b)), all_of(b, none_of(a))), [*range(1, 51), *range(101, 151)]),
    ],
)
@pytest.mark.rule("line.recipient.algebra", "line.recipient.top_not")
def test_operators_are_set_algebra_over_the_friends(tree: Any, expected: Any) -> None:
    shop = line()
    first, second = shop.upload(A), shop.upload(B)
    shop.wait(30)
    recipient = tree(audience(first), audience(second))
    assert shop.received(shop.sent(recipient=recipient)) == list(expected)


@pytest.mark.parametrize(
    "recipient",
    [
        {},
        [],
        "all",
        {"type": "everyone"},
        {"audienceGroupId": 7},
        {"type": "audience"},
        {"type": "audience", "audienceGroupId": "7"},
        {"type": "audience", "audienceGroupId": 7.0},
        {"type": "audience", "audienceGroupId": True},
        {"type": "audience", "audienceGroupId": 7, "name": "x"},
        {"type": "redelivery"},
        {"type": "operator"},
        {"type": "operator", "and": []},
        {"type": "operator", "or": []},
        {"type": "operator", "and": [audience(7)], "or": [audience(7)]},
        {"type": "operator", "and": [audience(7)], "not": audience(7)},
        {"type": "operator", "and": audience(7)},
        {"type": "operator", "not": [audience(7)]},
        {"type": "operator", "not": None},
        {"type": "operator", "xor": [audience(7)]},
        {"and": [audience(7)]},
        all_of(audience(7), all_of()),
        all_of(*[audience(7)] * 11),
        all_of(any_of(*[audience(7)] * 5), none_of(any_of(*[audience(7)] * 6))),
    ],
)
@pytest.mark.rule(
    "line.recipient.one_operator", "line.recipient.lists", "line.recipient.not_single", "line.recipient.leaves"
)
def test_recipients_outside_the_grammar_are_refused(recipient: Any) -> None:
    shop = line(world(audiences=[manager(range(1, 61))]))
    assert shop.narrowcast(recipient=recipient).status == 400
    shop.wait(60)
    assert shop.get("/_sim/inbox").body == []


@pytest.mark.rule("line.recipient.leaves", "line.recipient.depth", "line.recipient.repeated")
def test_ten_leaves_and_any_number_of_operators() -> None:
    shop = line(world(audiences=[manager(range(1, 61))]))
    deep: Any = all_of(*[audience(7)] * 10)
    for _ in range(50):
        deep = none_of(none_of(deep))
    assert shop.received(shop.sent(recipient=deep)) == list(range(1, 61))


@pytest.mark.rule("line.audience.ready")
def test_only_ready_audiences_may_be_named() -> None:
    shop = line()
    made = shop.upload([1])
    for number in (made, 12345):
        answer = shop.narrowcast(recipient=audience(number))
        assert (answer.status, answer.body) == (400, {"message": f"Invalid audience group id: {number}"})
    shop.wait(30)
    assert shop.narrowcast(recipient=audience(made)).status == 202


@pytest.mark.rule("line.narrowcast.deleted")
def test_an_audience_deleted_after_acceptance_still_serves() -> None:
    shop = line()
    made = shop.ready([1, 2])
    request_id = shop.narrowcast(recipient=audience(made)).headers["X-Line-Request-Id"]
    assert shop.ask("DELETE", f"/v2/bot/audienceGroup/{made}").status == 202
    shop.wait(30)
    assert shop.received(request_id) == [1, 2]


@pytest.mark.rule("line.redelivery.age")
def test_redelivery_of_a_narrowcast_that_succeeded_within_14_days() -> None:
    shop = line()
    made = shop.ready(range(1, 101))
    first = shop.sent(recipient=audience(made))
    leaf = {"type": "redelivery", "requestId": first}
    assert shop.received(shop.sent(recipient=leaf)) == list(range(1, 101))
    assert shop.received(shop.sent(recipient=none_of(leaf))) == list(range(101, 201))
    # Accepted at :30; two sends of 30 seconds have passed since.
    shop.wait(14 * DAY - 91)
    assert shop.narrowcast(recipient=leaf).status == 202
    shop.wait(1)
    answer = shop.narrowcast(recipient=leaf)
    assert (answer.status, answer.body) == (400, {"message": f"Invalid request id: {first}"})


@pytest.mark.parametrize("request_id", [SENT, PUSHED, CAST, "x"])
@pytest.mark.rule("line.redelivery.kind", "line.redelivery.succeeded")
def test_redelivery_of_anything_else_is_refused(request_id: str) -> None:
    failed = send(CAST, "narrowcast", "2026-11-20T00:00:00+09:00", [], phase="failed")
    document = world()
    document["accounts"]["shop"]["sends"].append(failed)
    answer = line(document).narrowcast(recipient={"type": "redelivery", "requestId": request_id})
    assert (answer.status, answer.body) == (400, {"message": f"Invalid request id: {request_id}"})


@pytest.mark.rule("line.redelivery.succeeded")
def test_redelivery_while_the_narrowcast_runs_is_refused() -> None:
    shop = line()
    request_id = shop.narrowcast().headers["X-Line-Request-Id"]
    assert shop.narrowcast(recipient={"type": "redelivery", "requestId": request_id}).status == 400


AGE = {"type": "age", "gte": "age_20", "lt": "age_30"}


@pytest.mark.parametrize(
    "demographic",
    [
        {"type": "gender"},
        {"type": "gender", "oneOf": []},
        {"type": "gender", "oneOf": ["unknown"]},
        {"type": "gender", "oneOf": "female"},
        {"type": "appType", "oneOf": ["web"]},
        {"type": "area", "oneOf": ["jp_48"]},
        {"type": "area", "oneOf": ["jp_00"]},
        {"type": "area", "oneOf": ["id_01"]},
        {"type": "area", "oneOf": ["tokyo"]},
        {"type": "age"},
        {"type": "age", "gte": "age_31"},
        {"type": "age", "gte": "age_30", "lt": "age_30"},
        {"type": "age", "gte": "age_40", "lt": "age_30"},
        {"type": "age", "gte": 20},
        {"type": "subscriptionPeriod", "gte": "day_60"},
        {"type": "subscriptionPeriod", "gte": "day_90", "lt": "day_30"},
        {"type": "friendship"},
        {"type": "operator", "and": []},
        {"type": "operator", "and": [FEMALE], "not": FEMALE},
        all_of(*[FEMALE] * 11),
        {**FEMALE, "lt": "age_20"},
    ],
)
@pytest.mark.rule(
    "line.demographic.grammar", "line.demographic.leaves", "line.demographic.values", "line.demographic.tiers"
)
def test_filters_outside_the_grammar_are_refused(demographic: Any) -> None:
    assert line().narrowcast(filter={"demographic": demographic}).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {"demographics": FEMALE}},
        {"filter": FEMALE},
        {"customAggregationUnits": []},
        {"limit": {"maximum": 5}},
        {"limit": {"max": 0}},
        {"limit": {"max": "5"}},
        {"limit": {"max": True}},
        {"notificationDisabled": "true"},
        {"to": "all"},
    ],
)
@pytest.mark.rule("line.narrowcast.properties", "line.limit.max")
def test_other_wrong_properties_are_refused(body: Any) -> None:
    assert line().narrowcast(**body).status == 400


def people(test: Any) -> list[int]:
    return [number for number in range(1, 201) if test(number)]


@pytest.mark.parametrize(
    ("demographic", "expected"),
    [
        (FEMALE, lambda n: n % 2),
        ({"type": "gender", "oneOf": ["female", "male"]}, lambda n: True),
        ({"type": "appType", "oneOf": ["ios"]}, lambda n: n % 3),
        ({"type": "area", "oneOf": ["jp_27", "tw_01"]}, lambda n: n % 4 == 0),
        (AGE, lambda n: n % 5 < 2),
        ({"type": "age", "lt": "age_25"}, lambda n: n % 5 == 0),
        ({"type": "age", "gte": "age_35"}, lambda n: n % 5 > 2),
        ({"type": "subscriptionPeriod", "gte": "day_365"}, lambda n: True),
        (all_of(FEMALE, AGE), lambda n: n % 2 and n % 5 < 2),
        (any_of(FEMALE, none_of(AGE)), lambda n: n % 2 or n % 5 > 1),
        (all_of(*[FEMALE] * 10), lambda n: n % 2),
    ],
)
@pytest.mark.rule("line.demographic.grammar", "line.demographic.leaves")
def test_filters_select_by_attribute(demographic: Any, expected: Any) -> None:
    shop = line()
    found = people(expected)
    request_id = shop.sent(filter={"demographic": demographic})
    if len(found) < 50:
        assert shop.progress(request_id)["errorCode"] == 2
    else:
        assert shop.received(request_id) == found


@pytest.mark.rule("line.narrowcast.joined")
def test_recipient_and_filter_are_joined() -> None:
    shop = line()
    made = shop.ready(range(1, 151))
    assert shop.received(shop.sent(recipient=audience(made), filter={"demographic": FEMALE})) == list(range(1, 151, 2))


@pytest.mark.parametrize(
    ("includes", "demographic", "expected"),
    [
        (True, FEMALE, range(1, 61)),
        (True, none_of(FEMALE), range(61, 181)),
        (True, none_of(none_of(FEMALE)), range(1, 61)),
        (False, FEMALE, range(1, 61)),
        (False, none_of(FEMALE), range(61, 121)),
        (False, none_of(none_of(FEMALE)), range(1, 61)),
        (False, any_of(none_of(FEMALE), {"type": "appType", "oneOf": ["ios"]}), range(61, 181)),
        (False, none_of(all_of(FEMALE, {"type": "appType", "oneOf": ["android"]})), range(61, 181)),
    ],
)
@pytest.mark.rule("line.demographic.unknown", "line.demographic.not_unknown")
def test_unknown_attributes_under_both_readings(includes: bool, demographic: Any, expected: Any) -> None:
    friends = [friend(n, gender="female", os="android") for n in range(1, 61)]
    friends += [friend(n, gender="male", os="android") for n in range(61, 121)]
    friends += [friend(n, gender=None, os="ios") for n in range(121, 181)]
    document = world(notIncludesUnknown=includes)
    document["accounts"]["shop"]["friends"] = friends
    shop = line(document)
    assert shop.received(shop.sent(filter={"demographic": demographic})) == list(expected)


@pytest.mark.rule("line.demographic.not_unknown")
def test_by_default_not_includes_unknown_people() -> None:
    document = world()
    document["accounts"]["shop"]["friends"] = [friend(n, gender=None) for n in range(1, 121)]
    shop = line(document)
    assert len(shop.received(shop.sent(filter={"demographic": none_of(FEMALE)}))) == 120


@pytest.mark.rule("line.demographic.friendship")
def test_friendship_counts_from_the_day_after() -> None:
    document = world(friends=0)
    at = {n: "2026-11-14T23:59:59+09:00" if n <= 60 else "2026-11-15T00:00:00+09:00" for n in range(1, 121)}
    document["accounts"]["shop"]["friends"] = [friend(n, followedAt=at[n]) for n in at]
    shop = line(document)
    week = {"type": "subscriptionPeriod", "gte": "day_7"}
    assert shop.received(shop.sent(filter={"demographic": week})) == list(range(1, 61))
    shop.wait(DAY)
    assert len(shop.received(shop.sent(filter={"demographic": week}))) == 120


@pytest.mark.rule("line.demographic.age")
def test_attributes_change_by_themselves() -> None:
    document = world()
    for each in document["accounts"]["shop"]["friends"][:10]:
        each["changes"] = [{"at": "2026-11-22T00:00:00+09:00", "gender": None}]
    shop = line(document)
    assert len(shop.received(shop.sent(filter={"demographic": FEMALE}))) == 100
    shop.wait(DAY)
    assert len(shop.received(shop.sent(filter={"demographic": FEMALE}))) == 95


@pytest.mark.rule("line.filter.reach")
def test_a_filter_needs_a_target_reach_of_a_hundred() -> None:
    for account in ({"friends": 99}, {"friends": 200, "targetReach": 99}):
        answer = line(world(**account)).narrowcast(filter={"demographic": FEMALE})
        assert (answer.status, answer.body) == (403, {"message": "Your account does not have enough friends"})
    assert line(world(friends=100)).narrowcast(filter={"demographic": FEMALE}).status == 202


def ended(shop: Line, **body: Any) -> tuple[str, int | None]:
    told = shop.progress(shop.sent(**body))
    assert ("errorCode" in told) == ("failedDescription" in told) == (told["phase"] == "failed")
    return told["phase"], told.get("errorCode")


@pytest.mark.parametrize(
    ("kind", "size", "outcome"),
    [
        ("CHAT_TAG", 1, ("succeeded", None)),
        ("UPLOAD", 1, ("succeeded", None)),
        ("FRIEND_PATH", 49, ("failed", 4)),
        ("FRIEND_PATH", 50, ("succeeded", None)),
        ("CLICK", 49, ("failed", 4)),
    ],
)
@pytest.mark.rule("line.audience.minimum", "line.minimum.exempt", "line.minimum.english")
def test_the_minimum_of_an_audience(kind: str, size: int, outcome: Any) -> None:
    shop = line(world(audiences=[manager(range(1, size + 1), kind)]))
    assert ended(shop, recipient=audience(7)) == outcome


@pytest.mark.rule("line.audience.minimum")
def test_the_minimum_holds_for_excluded_audiences_too() -> None:
    shop = line(world(audiences=[manager(range(1, 50), "FRIEND_PATH")]))
    assert ended(shop, recipient=none_of(audience(7))) == ("failed", 4)


@pytest.mark.rule("line.minimum.shared")
def test_shared_audiences_are_never_exempt() -> None:
    owner = {"serviceType": "account", "id": "@x", "name": "x"}
    shop = line(world(audiences=[manager(range(1, 50), "UPLOAD", owner=owner)]))
    assert ended(shop, recipient=audience(7)) == ("failed", 4)


@pytest.mark.parametrize(("size", "outcome"), [(49, ("failed", 2)), (50, ("succeeded", None))])
@pytest.mark.rule("line.minimum.filter", "line.minimum.audience", "line.minimum.upload_filter")
def test_the_minimum_of_the_final_recipients(size: int, outcome: Any) -> None:
    shop = line()
    made = shop.upload(range(1, size + 1))
    clicks = shop.clicks()
    assert ended(shop, recipient=all_of(audience(made), audience(clicks))) == outcome
    women = shop.ready(range(1, 2 * size, 2))
    assert ended(shop, recipient=audience(women), filter={"demographic": FEMALE}) == outcome


@pytest.mark.rule("line.progress.codes")
def test_a_failed_narrowcast_reaches_nobody_and_frees_its_reservation() -> None:
    shop = line(world(audiences=[manager(range(1, 50), "FRIEND_PATH")]))
    before = shop.get(f"{SEND}/quota/consumption").body["totalUsage"]
    request_id = shop.sent(recipient=audience(7))
    assert shop.received(request_id) == []
    assert shop.get(f"{SEND}/quota/consumption").body["totalUsage"] == before


# GUIDE sending-messages: target reach 100, recipients 80.
@pytest.mark.parametrize(
    ("left", "limit", "outcome"),
    [
        (90, None, "refused"),
        (90, {"upToRemainingQuota": True}, 80),
        (90, FUSE, 80),
        (90, {"max": 30, "upToRemainingQuota": True}, 30),
        (90, {"max": 30, **FUSE}, "cancelled"),
        (50, None, "refused"),
        (50, {"upToRemainingQuota": True}, 50),
        (50, FUSE, "cancelled"),
        (50, {"max": 30, "upToRemainingQuota": True}, 30),
        (50, {"max": 30, **FUSE}, "cancelled"),
        (100, None, 80),
        (100, {"max": 30}, 30),
        (50, {"max": 80}, "refused"),
        (50, {"max": 50}, 50),
        (80, {"max": 80, **FUSE}, 80),
        (80, {"max": 79, **FUSE}, "cancelled"),
        (0, {"upToRemainingQuota": True}, "refused"),
    ],
)
@pytest.mark.rule(
    "line.limit.max",
    "line.limit.partial",
    "line.quota.reservation.reach",
    "line.quota.reservation.max",
    "line.quota.reservation.remaining",
    "line.quota.reservation.fits",
    "line.quota.subtracted",
    "line.quota.moment",
    "line.answer.monthly",
)
def test_limits_and_the_quota(left: int, limit: Any, outcome: Any) -> None:
    shop = line(world(friends=100, quota={"type": "limited", "value": 1_000, "used": 1_000 - left}))
    made = shop.ready(range(1, 81))
    body = {"recipient": audience(made), **({} if limit is None else {"limit": limit})}
    if outcome == "refused":
        answer = shop.narrowcast(**body)
        assert (answer.status, answer.body) == (429, {"message": "You have reached your monthly limit."})
        return
    request_id = shop.sent(**body)
    told = shop.progress(request_id)
    if outcome == "cancelled":
        assert (told["phase"], told["errorCode"]) == ("failed", 5)
    assert len(shop.received(request_id)) == (0 if outcome == "cancelled" else outcome)


@pytest.mark.rule("line.limit.pair")
def test_forbidding_partial_delivery_needs_its_partner() -> None:
    for limit in ({"forbidPartialDelivery": True}, {"max": 5, "forbidPartialDelivery": True}):
        answer = line().narrowcast(limit=limit)
        expected = {"message": "The option forbidPartialDelivery must be used with upToRemainingQuota."}
        assert (answer.status, answer.body) == (400, expected)


@pytest.mark.rule("line.quota.reservation.held")
def test_a_running_narrowcast_reserves_and_releases_quota() -> None:
    shop = line(world(quota={"type": "limited", "value": 250, "used": 0}))
    made = shop.ready([1])
    assert shop.narrowcast(recipient=audience(made)).status == 202
    assert shop.post(f"{SEND}/multicast", {"to": uids(range(1, 52)), "messages": TEXT}).status == 429
    assert shop.post(f"{SEND}/multicast", {"to": uids(range(1, 51)), "messages": TEXT}).status == 200
    assert shop.narrowcast(recipient=audience(made), limit={"max": 1}).status == 429
    shop.wait(30)
    assert shop.get(f"{SEND}/quota/consumption").body == {"totalUsage": 51}
    assert shop.narrowcast(recipient=audience(made), limit={"max": 199}).status == 202


def test_a_reservation_survives_a_dump() -> None:
    first = line(world(quota={"type": "limited", "value": 250, "used": 0}))
    first.narrowcast()
    second = line(first.simulation.dump())
    push = {"to": uids(range(1, 52)), "messages": TEXT}
    assert second.post(f"{SEND}/multicast", push).status == 429
    second.wait(30)
    assert second.post(f"{SEND}/multicast", {**push, "to": uids(range(1, 51))}).status == 200


def test_a_chosen_part_is_the_same_on_every_run() -> None:
    runs = []
    for _ in range(2):
        shop = line()
        runs.append(shop.received(shop.sent(limit={"max": 20})))
    assert len(runs[0]) == 20
    assert runs[0] == runs[1] != list(range(1, 21))


@pytest.mark.rule("line.progress.life", "line.progress.forgotten")
def test_progress_is_kept_for_14_days_and_only_for_narrowcasts() -> None:
    shop = line()
    request_id = shop.sent()
    shop.wait(14 * DAY - 31)
    assert shop.progress(request_id)["phase"] == "succeeded"
    shop.wait(1)
    for gone in (request_id, SENT):
        answer = shop.get(f"{SEND}/progress/narrowcast?requestId={gone}")
        assert (answer.status, answer.body) == (404, {"message": "Not found"})
    assert shop.get(f"{SEND}/progress/narrowcast?requestId=abc").status == 400
    assert shop.get(f"{SEND}/progress/narrowcast").status == 400


@pytest.mark.rule("line.progress.internal", "line.retry.conflict")
def test_outcomes_can_be_forced() -> None:
    shop = line(world(progress=[None, {"errorCode": 1, "delivered": 2}, {"errorCode": 3}]))
    made = shop.ready([1, 2, 3])
    first, second, third = (shop.sent(recipient=audience(made)) for _ in range(3))
    assert [len(shop.received(each)) for each in (first, second, third)] == [3, 2, 0]
    assert [shop.progress(each).get("errorCode") for each in (first, second, third)] == [None, 1, 3]


@pytest.mark.rule("line.audience.still_growing")
def test_a_send_of_the_simulator_can_be_clicked_and_opened() -> None:
    shop = line()
    request_id = shop.sent()
    clicks = {"description": "c", "requestId": request_id}
    answer = shop.post("/_sim/behave", {"requestId": request_id, "opened": uids(A), "clicked": {"https://x/": uids(A)}})
    assert answer.status == 200
    assert shop.post("/v2/bot/audienceGroup/click", clicks).status == 202
    shop.wait(30)
    assert shop.get("/_sim/audiences").body[0]["members"] == uids(A)


@pytest.mark.rule("line.audience.request_delay", "line.audience.request_kind")
def test_click_audiences_wait_for_the_narrowcast_to_succeed() -> None:
    shop = line()
    request_id = shop.narrowcast().headers["X-Line-Request-Id"]
    body = {"description": "c", "requestId": request_id}
    assert shop.post("/v2/bot/audienceGroup/click", body).body["details"][0]["message"] == "REQUEST_NOT_FOUND"
    shop.wait(30)
    assert shop.post("/v2/bot/audienceGroup/click", body).status == 202
