"""What a world ties to its next narrowcasts (specs/simulator.md, Worlds: turns)."""

from __future__ import annotations

from typing import Any

import pytest
from sim_cases import FEMALE, SENT, URL, Line, audience, line, uids, world

TAG = {"audienceGroupId": 7, "type": "CHAT_TAG", "description": "VIP", "members": uids(range(1, 61)), "status": "READY"}


def shop(*turns: dict[str, Any], **account: Any) -> Line:
    document = world(turns=list(turns), **account)
    document["accounts"]["shop"]["audiences"] = [TAG]
    return line(document)


def tagged(here: Line) -> list[str]:
    found = here.get("/_sim/audiences").body
    return next(one["members"] for one in found if one["description"] == "VIP")


def left(here: Line) -> list[dict[str, Any]]:
    return here.simulation.dump()["accounts"]["shop"]["turns"]


def test_people_come_into_a_tag_when_the_first_narrowcast_has_ended() -> None:
    here = shop(
        {"nth": 1, "when": "ended", "audiences": [{"description": "VIP", "add": uids([70]), "remove": uids([1])}]}
    )
    first = here.sent(recipient=audience(7))
    assert here.received(first) == list(range(1, 61))[: len(here.received(first))] and 1 in here.received(first)
    assert uids([70])[0] in tagged(here) and uids([1])[0] not in tagged(here)
    second = here.received(here.sent(recipient=audience(7)))
    assert 70 in second and 1 not in second
    assert left(here) == []


def test_what_happens_at_acceptance_is_seen_by_that_narrowcast() -> None:
    here = shop({"nth": 1, "when": "accepted", "audiences": [{"description": "VIP", "remove": uids([1])}]})
    assert 1 not in here.received(here.sent(recipient=audience(7)))


def test_the_nth_is_counted_from_the_next_one_and_survives_a_dump() -> None:
    here = shop({"nth": 3, "when": "ended", "audiences": [{"description": "VIP", "remove": uids([1])}]})
    here.sent(recipient=audience(7))
    assert left(here)[0]["nth"] == 2
    again = line(here.simulation.dump())
    again.sent(recipient=audience(7))
    assert uids([1])[0] in tagged(again)
    again.sent(recipient=audience(7))
    assert uids([1])[0] not in tagged(again)


def test_one_that_fails_has_ended_too() -> None:
    here = shop({"nth": 1, "when": "ended", "audiences": [{"description": "VIP", "remove": uids([1])}]})
    request = here.narrowcast(recipient=audience(7), filter={"demographic": FEMALE}).headers["X-Line-Request-Id"]
    here.wait(60)
    assert here.progress(request)["phase"] == "failed"
    assert uids([1])[0] not in tagged(here)


def test_friends_are_estimated_anew_and_block() -> None:
    people = [{"userId": uids([3])[0], "gender": None, "os": "android"}, {"userId": uids([4])[0], "status": "blocked"}]
    here = shop({"nth": 1, "when": "accepted", "friends": people})
    assert 4 not in here.received(here.sent(recipient=audience(7)))
    friends = {one["userId"]: one for one in here.simulation.dump()["accounts"]["shop"]["friends"]}
    assert "gender" not in friends[uids([3])[0]] and friends[uids([3])[0]]["os"] == "android"


def test_people_click_an_earlier_send_or_the_one_that_ended() -> None:
    reactions = [{"requestId": SENT, "clicked": {URL: uids([150])}}, {"opened": uids([1]), "clicked": {URL: uids([2])}}]
    here = shop({"nth": 1, "when": "ended", "reactions": reactions})
    request = here.sent(recipient=audience(7))
    sends = {one["requestId"]: one for one in here.simulation.dump()["accounts"]["shop"]["sends"]}
    assert uids([150])[0] in sends[SENT]["clicked"][URL] and uids([1])[0] in sends[SENT]["clicked"][URL]
    assert sends[request]["clicked"] == {URL: uids([2])} and sends[request]["opened"] == uids([1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"nth": 0, "when": "ended"},
        {"nth": True, "when": "ended"},
        {"nth": 1, "when": "later"},
        {"nth": 1},
        {"nth": 1, "when": "ended", "audience": []},
        {"nth": 1, "when": "ended", "audiences": [{"add": []}]},
    ],
)
def test_a_wrong_turn_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        line(world(turns=[wrong]))
