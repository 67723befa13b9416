"""People who follow and block while time passes, the webhook, and sends to listed people under faults."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from sim_cases import KEY, SEND, TEXT, Line, friend, line, uid, uids, world

from audsql.sim.server import start_embedded

LATER = "2026-11-21T01:00:00+09:00"


def events(here: Line) -> list[tuple[str, int, int, bool | None]]:
    """Type, person, seconds since the start, and whether it is an unblocking."""
    told = here.get("/_sim/webhooks").body
    return [
        (
            one["type"],
            int(one["source"]["userId"][1:], 16),
            one["timestamp"] // 1000 - 1_795_186_800,
            one.get("follow", {}).get("isUnblocked"),
        )
        for body in told
        for one in body["events"]
    ]


def people(here: Line, *given: dict[str, Any]) -> None:
    answer = here.post("/_sim/people", {"account": "shop", "people": list(given)})
    assert answer.status == 200, answer.body


def got(here: Line, **body: Any) -> list[int]:
    answer = here.post(f"{SEND}/multicast", {"messages": TEXT, **body})
    assert answer.status == 200, answer.body
    return here.received(answer.headers["X-Line-Request-Id"])


def test_a_world_file_lets_people_come_and_go() -> None:
    document = world(3)
    shop = document["accounts"]["shop"]
    shop["friends"][0]["changes"] = [{"at": LATER, "status": "blocked"}, {"at": "2026-11-22", "status": "following"}]
    shop["friends"].append(friend(900, followedAt=LATER, via="search"))
    here = line(document)
    assert events(here) == [] and got(here, to=uids((1, 900))) == [1]
    here.wait(3600)
    assert got(here, to=uids((1, 900))) == [900]
    again = line(here.simulation.dump())
    for one in (here, again):
        one.wait(86_400)
        assert events(one) == [("unfollow", 1, 3600, None), ("follow", 900, 3600, False), ("follow", 1, 86_400, True)]
        assert one.get("/_sim/webhooks").body == here.get("/_sim/webhooks").body
    told = here.get("/_sim/webhooks").body
    assert told[1]["events"][0]["via"] == "search" and len(told[1]["events"][0]["replyToken"]) == 32
    assert told[0]["destination"] == here.get("/v2/bot/info").body["userId"]
    ids = [body["events"][0]["webhookEventId"] for body in told]
    assert len(set(ids)) == 3 and {len(one) for one in ids} == {26}


def test_the_control_plane_lets_people_come_and_go() -> None:
    here = line(world(3))
    people(here, {"userId": uid(2), "status": "blocked"}, {"userId": uid(901), "at": LATER, "via": "poster"})
    assert got(here, to=uids((2, 901))) == []
    people(here, {"userId": uid(2), "at": "2026-11-21T00:30:00+09:00", "status": "following"})
    people(here, {"userId": uid(2), "at": "2026-11-21T00:10:00+09:00", "gender": "female"})
    here.wait(7200)
    assert got(here, to=uids((2, 901))) == [2, 901]
    assert events(here) == [("unfollow", 2, 0, None), ("follow", 2, 1800, True), ("follow", 901, 3600, False)]
    people(here, {"userId": uid(2), "status": "following"})
    assert len(events(here)) == 3, "nothing changed"


@pytest.mark.parametrize(
    "given",
    [
        {"userId": "someone"},
        {"userId": uid(1), "mood": "good"},
        {"userId": uid(1), "at": "2026-11-20", "status": "blocked"},
    ],
)
def test_people_who_cannot_be_are_refused(given: dict[str, Any]) -> None:
    assert line().post("/_sim/people", {"people": [given]}).status == 400
    assert line().post("/_sim/people", {"account": "nowhere", "people": []}).status == 400


def test_somebody_blocks_between_two_requests() -> None:
    turn = {"nth": 1, "when": "accepted", "kind": "multicast", "friends": [{"userId": uid(2), "status": "blocked"}]}
    here = line(world(3, turns=[turn]))
    assert got(here, to=uids((1, 2))) == [1, 2]
    assert got(here, to=uids((1, 2))) == [1]
    assert events(here) == [("unfollow", 2, 0, None)]
    document = world(3, turns=[{**turn, "kind": "letter"}])
    with pytest.raises(ValueError, match="kind"):
        line(document)


def test_follower_ids_follow_who_follows() -> None:
    here = line(world(5, followersReadable=True))
    first = here.get("/v2/bot/followers/ids?limit=3").body
    assert first["userIds"] == uids((1, 2, 3))
    assert here.get(f"/v2/bot/followers/ids?limit=3&start={first['next']}").body == {"userIds": uids((4, 5))}
    people(here, {"userId": uid(1), "status": "blocked"}, {"userId": uid(950)})
    assert here.get("/v2/bot/followers/ids").body == {"userIds": uids((2, 3, 4, 5, 950))}


@pytest.mark.parametrize("path", ["multicast", "push"])
@pytest.mark.parametrize(
    ("do", "happens"),
    [("drop-response", True), ("refuse", False), ("status:500", False), ("status-after:500", True), ("delay:30", True)],
)
def test_faults_of_sends_to_listed_people(path: str, do: str, happens: bool) -> None:
    """What was accepted answers 409 under its key afterwards, what was not is sent then: each person gets it once."""
    here = line(world(3))
    here.post("/_sim/faults", [{"match": {"method": "POST", "path": f"{SEND}/{path}"}, "nth": 1, "do": do}])
    body = {"messages": TEXT, "to": uid(1) if path == "push" else uids((1, 2)), "customAggregationUnits": ["flow_1"]}
    here.post(f"{SEND}/{path}", body, X_Line_Retry_Key=KEY)
    inbox = here.get("/_sim/inbox").body
    assert bool(inbox) is happens
    assert all(entry["at"] == "2026-11-21T00:00:30+09:00" for entry in inbox if do == "delay:30")
    again = here.post(f"{SEND}/{path}", body, X_Line_Retry_Key=KEY)
    assert again.status == (409 if happens else 200)
    assert len(here.get("/_sim/inbox").body) == (1 if path == "push" else 2)
    assert here.get(f"{SEND}/aggregation/list").body["customAggregationUnits"] == ["flow_1"]


@pytest.mark.rule("line.units.names")
def test_a_unit_is_known_in_its_month_alone() -> None:
    here = line(world(3))
    got(here, to=uids((1, 2)), customAggregationUnits=["flow_1"])
    assert here.get(f"{SEND}/aggregation/info").body == {"numOfCustomAggregationUnits": 1}
    here.wait(10 * 86_400)
    assert here.get(f"{SEND}/aggregation/list").body["customAggregationUnits"] == []


def test_the_webhook_log_is_a_file_of_lines(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    with start_embedded(world(3), log) as running:
        for given in ({"userId": uid(1), "status": "blocked"}, {"userId": uid(1), "status": "following"}):
            body = json.dumps({"people": [given]}).encode()
            with urllib.request.urlopen(urllib.request.Request(f"{running.base_url}/_sim/people", body)) as answer:
                assert answer.status == 200
        told = running.dump()["webhooks"]
    lines = [json.loads(each) for each in log.read_text().splitlines()]
    assert [one["events"][0]["type"] for one in lines] == ["unfollow", "follow"]
    assert lines == [{"destination": one["destination"], "events": one["events"]} for one in told]
