"""Rules of specs/line.md that the other files of the simulator's tests do not show by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from sim_cases import (
    FEMALE,
    GROUPS,
    KEY,
    SEND,
    SENT,
    TEXT,
    all_of,
    any_of,
    audience,
    form,
    friend,
    ids_body,
    line,
    none_of,
    uid,
    uids,
    world,
)

DAY = 86_400


def path_audience(people: range, number: int = 7) -> dict[str, Any]:
    """An audience that is not exempt from the minimum."""
    return {
        "audienceGroupId": number, "type": "FRIEND_PATH", "description": "it", "members": uids(people),
        "status": "READY",
    }  # fmt: skip


@pytest.mark.rule("line.narrowcast.messages")
@pytest.mark.parametrize(("count", "status"), [(0, 400), (1, 202), (5, 202), (6, 400)])
def test_a_narrowcast_has_one_to_five_messages(count: int, status: int) -> None:
    assert line().post(f"{SEND}/narrowcast", {"messages": TEXT * count}).status == status


@pytest.mark.rule("line.narrowcast.unfiltered")
def test_without_a_filter_people_of_unknown_attributes_get_it() -> None:
    document = world(notIncludesUnknown=False)
    nothing_known: dict[str, Any] = {"gender": None, "age": None, "area": None, "os": None}
    document["accounts"]["shop"]["friends"] = [friend(n, **nothing_known) for n in range(1, 61)]
    shop = line(document)
    assert shop.received(shop.sent()) == list(range(1, 61))
    assert shop.received(shop.sent(recipient=audience(shop.ready([1, 2])))) == [1, 2]


@pytest.mark.rule("line.narrowcast.properties")
@pytest.mark.parametrize("extra", [{"sendAt": "2026-12-01T09:00:00Z"}, {"customAggregationUnits": ["sale"]}])
def test_a_narrowcast_has_no_time_and_no_unit(extra: dict[str, Any]) -> None:
    assert line().narrowcast(**extra).status == 400


@pytest.mark.rule("line.narrowcast.moment")
def test_who_gets_it_is_decided_when_sending_starts() -> None:
    """Whoever joins the set between the request and the start of sending gets it, whoever leaves does not."""
    document = world(waitSeconds=60)
    friends = [friend(n, gender="female") for n in range(1, 101)]
    friends[0]["changes"] = [{"at": "2026-11-21T00:00:30+09:00", "gender": "male"}]
    friends.append(friend(101, gender="male", changes=[{"at": "2026-11-21T00:00:30+09:00", "gender": "female"}]))
    document["accounts"]["shop"]["friends"] = friends
    shop = line(document)
    request_id = shop.narrowcast(filter={"demographic": FEMALE}).headers["X-Line-Request-Id"]
    shop.wait(90)
    assert shop.received(request_id) == list(range(2, 102))


@pytest.mark.rule("line.recipient.one_entry")
def test_a_list_of_one_entry_is_its_entry() -> None:
    shop = line()
    made = shop.ready([1, 2])
    for tree in (all_of(audience(made)), any_of(audience(made)), none_of(none_of(audience(made)))):
        assert shop.received(shop.sent(recipient=tree)) == [1, 2]


@pytest.mark.rule("line.demographic.operators_count")
def test_operators_do_not_count_to_the_ten_of_a_filter() -> None:
    deep: Any = all_of(*[any_of(FEMALE) for _ in range(10)])
    for _ in range(5):
        deep = none_of(none_of(deep))
    assert line().narrowcast(filter={"demographic": deep}).status == 202


@pytest.mark.rule("line.minimum.redelivery")
@pytest.mark.parametrize(("size", "error"), [(49, 2), (50, None)])
def test_a_redelivery_makes_the_minimum_apply(size: int, error: int | None) -> None:
    shop = line()
    first = shop.sent(recipient=audience(shop.ready(range(1, size + 1))))
    again = shop.sent(recipient={"type": "redelivery", "requestId": first})
    assert shop.progress(again).get("errorCode") == error


@pytest.mark.rule("line.minimum.which_code")
def test_a_small_audience_is_told_before_too_few_recipients() -> None:
    shop = line(world(audiences=[path_audience(range(1, 11))]))
    assert shop.progress(shop.sent(recipient=audience(7)))["errorCode"] == 4


@pytest.mark.rule("line.minimum.members")
def test_the_size_of_an_audience_counts_members_who_block() -> None:
    """Fifty members of whom one blocks: the audience is large enough, its recipients are not."""
    document = world(audiences=[path_audience(range(1, 51))])
    document["accounts"]["shop"]["friends"][0]["status"] = "blocked"
    shop = line(document)
    assert shop.progress(shop.sent(recipient=audience(7)))["errorCode"] == 2
    with_others = any_of(audience(7), audience(shop.ready([60])))
    assert shop.progress(shop.sent(recipient=with_others))["phase"] == "succeeded"


@pytest.mark.rule("line.retry.scope")
def test_a_key_is_known_across_the_endpoints() -> None:
    shop = line()
    first = shop.post(f"{SEND}/push", {"to": uid(1), "messages": TEXT}, X_Line_Retry_Key=KEY)
    for kind, more in (("multicast", {"to": uids([2])}), ("broadcast", {}), ("narrowcast", {})):
        answer = shop.post(f"{SEND}/{kind}", {"messages": TEXT, **more}, X_Line_Retry_Key=KEY)
        assert answer.status == 409
        assert answer.headers["X-Line-Accepted-Request-Id"] == first.headers["X-Line-Request-Id"]
    assert [each["userId"] for each in shop.get("/_sim/inbox").body] == [uid(1)]


@pytest.mark.rule("line.audience.created")
@pytest.mark.parametrize("kind", ["chatTag", "friendPath", "reservation", "richMenuImp", "webTraffic"])
def test_other_audiences_cannot_be_made(kind: str) -> None:
    assert line().post(f"{GROUPS}/{kind}", {"description": "a"}).status == 404


@pytest.mark.rule("line.audience.add_only")
def test_nobody_can_be_taken_out_or_listed() -> None:
    shop = line()
    made = shop.ready([1, 2])
    body = {"audienceGroupId": made, "audiences": ids_body([1])}
    assert shop.ask("DELETE", f"{GROUPS}/upload", body).status in (400, 404)
    for path in (f"{GROUPS}/{made}/members", f"{GROUPS}/{made}/upload"):
        assert shop.get(path).status == 404
        assert shop.ask("DELETE", path).status == 404
    assert not {"audiences", "members"} & shop.group(made).keys()
    assert shop.received(shop.sent(recipient=audience(made))) == [1, 2]


@pytest.mark.rule("line.audience.expired_count")
def test_expired_audiences_count_until_they_are_deleted() -> None:
    shop = line({**world(), "rateLimits": False})
    for number in range(1_000):
        shop.upload([1], f"n{number}")
    shop.wait(180 * DAY)
    body = {"description": "one more"}
    refused = shop.post(f"{GROUPS}/upload", body)
    assert refused.body["details"] == [{"message": "AUDIENCE_GROUP_COUNT_MAX_OVER"}]
    shop.wait(30 * DAY)
    assert shop.post(f"{GROUPS}/upload", body).status == 202


@pytest.mark.rule("line.audience.file_size", "line.body.size")
def test_files_are_not_bounded_by_bytes() -> None:
    """Three megabytes of ids by file; as much JSON is refused."""
    content = "".join(f"{each}\n" for each in uids(range(90_000))).encode()
    assert len(content) > 2 * 1_024 * 1_024
    body, kind = form({"description": (None, b"many"), "file": ("text/plain", content)})
    assert line().post(f"{GROUPS}/upload/byFile", body, Content_Type=kind).status == 202
    assert line().post(f"{GROUPS}/upload", b" " * len(content)).status == 413


@pytest.mark.rule("line.audience.still_growing")
def test_a_ready_click_audience_grows_with_its_clicks() -> None:
    shop = line()
    made = shop.clicks()
    assert shop.group(made)["audienceCount"] == 80
    more = {"https://shop.example/spring": uids(range(81, 101))}
    assert shop.post("/_sim/behave", {"requestId": SENT, "clicked": more}).status == 200
    assert shop.received(shop.sent(recipient=audience(made))) == list(range(1, 101))


@pytest.mark.rule("line.audience.request_delay")
def test_a_request_id_may_become_usable_later() -> None:
    shop = line(world(usableSeconds=120))
    request_id = shop.post(f"{SEND}/broadcast", {"messages": TEXT}).headers["X-Line-Request-Id"]
    for kind in ("click", "imp"):
        body = {"description": kind, "requestId": request_id}
        answer = shop.post(f"{GROUPS}/{kind}", body)
        assert answer.body["details"] == [{"message": "REQUEST_NOT_FOUND"}]
    shop.wait(119)
    assert shop.post(f"{GROUPS}/imp", body).status == 400
    shop.wait(1)
    assert shop.post(f"{GROUPS}/imp", body).status == 202
