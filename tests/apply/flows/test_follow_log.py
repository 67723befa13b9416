"""The log of webhook events: what is read of it, each event once, whatever else stands in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audsql.apply.flows.conditions import Reading, Unreadable
from audsql.apply.flows.follow import FollowEvent, read_follow_log

BOT, ANN, BOB = (f"U{number:032x}" for number in (7, 1, 2))
AT = datetime(2026, 11, 21, tzinfo=UTC)
STAMP = int(AT.timestamp() * 1000)


def reading(root: Path, pattern: str | None = "log/*.jsonl") -> Reading:
    logs = {} if pattern is None else {"shop": (root, pattern)}
    context: Any = SimpleNamespace(follow_logs=logs, bots={"shop": BOT}, diagnostics=[])
    return Reading(context, "f", AT)


def event(kind: str, who: str, **more: object) -> dict[str, object]:
    return {"type": kind, "timestamp": STAMP, "source": {"type": "user", "userId": who}, **more}


def write(root: Path, name: str, *lines: object) -> None:
    (root / "log").mkdir(exist_ok=True)
    (root / "log" / name).write_text(
        "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)
    )


def test_events_and_whole_bodies_are_read_each_event_once(tmp_path):
    first, again = event("follow", ANN, webhookEventId="x"), event("follow", ANN, webhookEventId="x", via="late")
    body = {"destination": BOT, "events": [event("unfollow", BOB), event("message", BOB), event("unfollow", BOB)]}
    write(tmp_path, "a.jsonl", first, body)
    write(tmp_path, "b.jsonl", again, body, "", event("follow", BOB, via="poster"))
    found = read_follow_log(reading(tmp_path), "shop")
    assert found.unread == 0
    assert found.events == (
        FollowEvent(AT, ANN, "follow"), FollowEvent(AT, BOB, "follow", "poster"), FollowEvent(AT, BOB, "unfollow")
    )  # fmt: skip
    assert found.unfollowed(AT) == {BOB: AT}


def test_the_body_for_another_account_is_nobodys(tmp_path):
    write(tmp_path, "a.jsonl", {"destination": ANN, "events": [event("follow", BOB)]})
    found = read_follow_log(reading(tmp_path), "shop")
    assert (found.events, found.unread) == ((), 0)


BAD = [
    "no json", "[1, 2]", "7", "{}", '{"events": 7}', '{"events": [7]}', '{"events": [{}]}', "[" * 100_000,
    event("follow", "U123"), {**event("follow", ANN), "timestamp": "now"}, {**event("follow", ANN), "timestamp": True},
    {**event("follow", ANN), "timestamp": 10**20}, {**event("follow", ANN), "source": None},
    event("follow", ANN, via=7),
    {"events": [event("follow", ANN), event("follow", "x")]}, '"' + "x" * (2 << 20) + '"',
]  # fmt: skip


def test_what_is_no_event_is_counted_told_without_its_words_and_passed_over(tmp_path):
    write(tmp_path, "a.jsonl", *BAD, event("follow", BOB))
    asked = reading(tmp_path)
    found = read_follow_log(asked, "shop")
    assert [one.user_id for one in found.events] == [BOB]
    assert found.unread == len(BAD)
    (told,) = asked.context.diagnostics
    assert dict(told.facts) == {"account": "shop", "path": "log/a.jsonl", "count": len(BAD)}
    read_follow_log(asked, "shop")
    assert len(asked.context.diagnostics) == 1


def test_a_last_line_that_is_cut_off_waits_and_a_whole_one_counts(tmp_path):
    write(tmp_path, "a.jsonl", event("follow", ANN))
    path, last = tmp_path / "log/a.jsonl", json.dumps(event("follow", BOB))
    begun = path.read_text()
    for length in (1, len(last) // 2, len(last) - 1):
        path.write_text(begun + last[:length])
        found = read_follow_log(reading(tmp_path), "shop")
        assert ([one.user_id for one in found.events], found.unread) == ([ANN], 0)
    path.write_text(begun + last)
    assert len(read_follow_log(reading(tmp_path), "shop").events) == 2


@pytest.mark.parametrize("pattern", [None, "none/*.jsonl", "../*.jsonl", "/etc/passwd", "log/../../x", ""])
def test_without_a_log_inside_the_project_nothing_is_decided(pattern, tmp_path):
    with pytest.raises(Unreadable) as problem:
        read_follow_log(reading(tmp_path, pattern), "shop")
    assert [one.code for one in problem.value.diagnostics] == ["AUD0820"]
