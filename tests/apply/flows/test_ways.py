"""The way through a flow: what comes behind what, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from audsql.apply.flows.ways import Landing, behind, first_in_arm, landing, next_time, way_of
from audsql.meaning import ir
from audsql.meaning.flow import Branch, BranchArm, Flow, FlowStart, SendStep, Step, WaitFor, WaitUntil

TOKYO = ZoneInfo("Asia/Tokyo")
SEND = SendStep(("card",))


def flow(*steps: Step) -> Flow:
    return Flow("f", "shop", FlowStart("follow"), steps, ir.NOBODY, ir.NOBODY)


def branch(*arms: tuple[Step, ...]) -> Branch:
    return Branch(tuple(BranchArm(ir.EVERYBODY, arm) for arm in arms))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_what_comes_behind_each_step():
    way = way_of(flow(SEND, branch((SEND, branch((SEND,), ())), (), (SEND, SEND)), SEND, branch((SEND,))))
    assert list(way.steps) == ["0", "1", "1.0.0", "1.0.1", "1.0.1.0.0", "1.2.0", "1.2.1", "2", "3", "3.0.0"]
    assert dict(way.after) == {
        "0": "1", "1": "2", "1.0.0": "1.0.1", "1.0.1": "2", "1.0.1.0.0": "2", "1.2.0": "1.2.1", "1.2.1": "2",
        "2": "3", "3": "", "3.0.0": "",
    }  # fmt: skip
    assert [first_in_arm(way, "1", number) for number in range(3)] == ["1.0.0", "2", "1.2.0"]
    assert first_in_arm(way, "1.0.1", 1) == "2"


def test_steps_past_nine_follow_each_other():
    way = way_of(flow(*[SEND] * 12))
    assert [way.after[str(number)] for number in range(12)] == [*map(str, range(1, 12)), ""]


def test_branches_in_branches_need_no_recursion():
    inner: tuple[Step, ...] = (SEND,)
    for _ in range(900):
        inner = (branch(inner),)
    way = way_of(flow(*inner, SEND))
    assert way.after["0" + ".0.0" * 900] == "1"


def test_nobody_stands_at_a_wait():
    way = way_of(flow(WaitFor(60), WaitUntil(12, 0), SEND, WaitFor(24 * 60), branch((WaitFor(5), SEND)), WaitFor(7)))
    start = at("2026-11-21T10:00:00+09:00")
    assert landing(way, "0", start, TOKYO) == Landing("2", at("2026-11-21T12:00:00+09:00"))
    assert behind(way, "2", start, TOKYO) == Landing("4", start + timedelta(days=1))
    assert behind(way, "4.0.1", start, TOKYO) == Landing("", start + timedelta(minutes=7))
    assert landing(way, "4.0.0", start, TOKYO) == Landing("4.0.1", start + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("zone", "begin", "hour", "minute", "found"),
    [
        ("Asia/Tokyo", "2026-11-21T12:00:00+09:00", 12, 0, "2026-11-21T12:00:00+09:00"),
        ("Asia/Tokyo", "2026-11-21T12:00:00.000001+09:00", 12, 0, "2026-11-22T12:00:00+09:00"),
        ("Asia/Tokyo", "2026-11-21T23:59:00+09:00", 0, 0, "2026-11-22T00:00:00+09:00"),
        # Berlin 2026-03-29: 02:00 becomes 03:00; 2026-10-25: 03:00 becomes 02:00.
        ("Europe/Berlin", "2026-03-29T00:00:00+01:00", 2, 30, "2026-03-29T03:00:00+02:00"),
        ("Europe/Berlin", "2026-03-29T03:00:00+02:00", 2, 30, "2026-03-29T03:00:00+02:00"),
        ("Europe/Berlin", "2026-03-29T03:01:00+02:00", 2, 30, "2026-03-30T02:30:00+02:00"),
        ("Europe/Berlin", "2026-10-25T00:00:00+02:00", 2, 30, "2026-10-25T02:30:00+02:00"),
        ("Europe/Berlin", "2026-10-25T02:31:00+02:00", 2, 30, "2026-10-26T02:30:00+01:00"),
        # Apia 2011-12-30 does not exist: all of it is one jump.
        ("Pacific/Apia", "2011-12-29T23:30:00-10:00", 12, 0, "2011-12-31T00:00:00+14:00"),
    ],
)
def test_the_next_time_that_clocks_show(zone, begin, hour, minute, found):
    assert next_time(at(begin), hour, minute, ZoneInfo(zone)) == at(found)


def test_the_next_time_is_never_before_and_within_two_days():
    for zone in (TOKYO, ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia"), ZoneInfo("Australia/Lord_Howe")):
        for days in range(0, 366 * 2, 5):
            begin = datetime(2011, 1, 1, 13, 17, tzinfo=UTC) + timedelta(days=days)
            for hour in (0, 2, 12, 23):
                found = next_time(begin, hour, 30, zone)
                assert begin <= found < begin + timedelta(hours=50)
