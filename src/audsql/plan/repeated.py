"""Deliveries that are repeated: what was approved of one, which of its times are due, missed or to come. Pure.

An approved repetition is one row of the state (its time is `every`, its state `planned`), which covers its times until
the specs change or `until`. Each time that comes becomes an occurrence of its own. Rules: specs/operations.md,
`schedule.*`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from audsql.meaning.ir import Delivery, Every, Project, Quiet
from audsql.plan.definition import EVERY, occurrence_at
from audsql.plan.occurrence import WINDOW_HOURS_DEFAULT, Known, Verdict
from audsql.plan.quiet import is_quiet, next_allowed, quiets_of, window_end
from audsql.plan.recurring import Turn, next_turns, turns_between, turns_from
from audsql.records import dataclass

__all__ = [
    "SHOWN_TURNS_MAX",
    "Coming",
    "Rule",
    "coming",
    "judge_repeated",
    "leaves_at",
    "is_turn",
    "repeats_document",
    "rule_document",
    "rule_of",
    "starts_of",
    "times_that_need_a_person",
    "times_that_stay",
    "turns_this_month",
]

SHOWN_TURNS_MAX = 5
"""How many of the next times a plan lists."""
_TURNS_MAX = 4_000
"""Times of one repetition that one run looks back over: ten years of days."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A repetition as it was approved, in the zone that it was approved for."""

    every: Every
    zone: str


def rule_document(every: Every, zone: str) -> dict[str, Any]:
    """A repetition as JSON; `rule_of` reads it."""
    return {
        "unit": every.unit,
        "hour": every.hour,
        "minute": every.minute,
        "weekday": every.weekday,
        "day": every.day,
        "from": _time(every.start),
        "until": _time(every.end),
        "catch_up": every.catch_up,
        "zone": zone,
    }


def rule_of(document: Mapping[str, Any]) -> Rule | None:
    """The repetition of a record; None where none is recorded."""
    if not document:
        return None
    start, end = (datetime.fromisoformat(one) if one else None for one in (document["from"], document["until"]))
    every = Every(
        document["unit"], int(document["hour"]), int(document["minute"]), document["weekday"], document["day"],
        start, end, document["catch_up"],
    )  # fmt: skip
    return Rule(every, str(document["zone"]))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


# --- what a plan does about it ------------------------------------------------------------------------


def judge_repeated(delivery: Delivery, zone: str, definition: str, known: Sequence[Known], now: datetime) -> Verdict:
    """`schedule`: to be approved · `update`: approved otherwise · `keep`: approved, and times are to come · `sent`:
    approved and at its end · `past`: never approved, and no time is left · `edited`: one of its times is under way and
    it was changed, or the name was sent as a delivery that is not repeated."""
    assert delivery.every is not None
    row = next((one for one in known if one.scheduled == EVERY and one.state != "cancelled"), None)
    single = next((one for one in known if one.scheduled != EVERY and not one.label and one.begun), None)
    if single is not None:
        return Verdict("edited", single)
    left = bool(next_turns(delivery.every, zone, now, 1))
    if row is None:
        return Verdict("schedule" if left else "past", None)
    same = row.definition == definition and dict(row.rule) == rule_document(delivery.every, zone)
    if same:
        busy = any(one.label and one.state in ("planned", "scheduled", "sending") for one in known)
        return Verdict("keep" if left or busy else "sent", row)
    under_way = next((one for one in known if one.label and one.state == "sending"), None)
    if under_way is not None:
        return Verdict("edited", under_way)
    before = rule_of(row.rule)
    was_left = before is not None and bool(next_turns(before.every, before.zone, now, 1))
    return Verdict("update" if left or was_left else "sent", row)


def is_turn(every: Every, zone: str, instant: datetime) -> bool:
    """Whether an instant is one of the times of a repetition."""
    return any(turn.at == instant for turn in next_turns(every, zone, instant, 1))


def times_that_stay(project: Project, occurrences: Mapping[str, Sequence[Known]]) -> set[tuple[str, str]]:
    """Name and time of every occurrence that is one of the times of a repetition of the specs as they are now."""
    return {
        (one.name, known.scheduled)
        for one in project.deliveries
        for known in occurrences.get(one.name, ())
        if one.every is not None and known.label
        if is_turn(one.every, project.timezone, datetime.fromisoformat(known.scheduled))
    }


def times_that_need_a_person(project: Project, occurrences: Mapping[str, Sequence[Known]]) -> list[tuple[str, Known]]:
    """Name and record of every time of a repetition of which nothing happens by itself any more, in order."""
    names = sorted(one.name for one in project.deliveries if one.every is not None)
    known = ((name, one) for name in names for one in occurrences.get(name, ()))
    return [(name, one) for name, one in known if one.label and one.state in ("missed", "in_doubt", "failed")]


def turns_this_month(every: Every, zone: str, now: datetime, month_end: datetime) -> int:
    """How many times are left from now until the end of a month, not included."""
    count = 0
    for turn in turns_from(every, zone, now):
        if turn.at >= month_end:
            break
        count += 1
    return count


def repeats_document(delivery: Delivery, project: Project, people: Any, now: datetime) -> dict[str, Any]:
    """The next times of a repetition, each with its window, and what each would reach with the data of today."""
    assert delivery.every is not None
    zone, quiets = project.timezone, quiets_of(project, delivery.name)
    rows = []
    for turn in next_turns(delivery.every, zone, now, SHOWN_TURNS_MAX):
        begin = leaves_at(turn.at, quiets, zone)
        rows.append(
            {
                "occurrence": occurrence_at(turn.at),
                "label": turn.label.isoformat(sep=" ", timespec="minutes"),
                "at": begin.isoformat(timespec="seconds"),
                "not_after": window_end(begin, quiets, zone).astimezone(begin.tzinfo).isoformat(timespec="seconds"),
                "people": people,
            }
        )
    return {"rule": rule_document(delivery.every, zone), "next": rows}


def starts_of(delivery: Delivery, project: Project, now: datetime) -> list[datetime]:
    """When it would begin to leave: at its time, now where none is written, at the next times of a repetition."""
    if delivery.every is None:
        return [delivery.at or now]
    quiets, zone = quiets_of(project, delivery.name), project.timezone
    return [leaves_at(turn.at, quiets, zone) for turn in next_turns(delivery.every, zone, now, SHOWN_TURNS_MAX)]


def leaves_at(at: datetime, quiets: Sequence[Quiet], zone: str) -> datetime:
    """When what is due at an instant may leave, in the zone: quiet hours that move a send put it off."""
    from zoneinfo import ZoneInfo

    moves = [one for one in quiets if getattr(one, "over", None) == "move"]
    allowed = next_allowed(at, quiets, zone) if is_quiet(at, moves, zone) else None
    return (allowed or at).astimezone(ZoneInfo(zone))


# --- what a run does about it -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Coming:
    """What has come due of a repetition and has no occurrence yet. `missed`: their windows are over; `due`: the one to
    be sent, `late` where it is caught up; `not_before` and `not_after`: when its requests may leave."""

    missed: tuple[Turn, ...] = ()
    due: Turn | None = None
    late: bool = False
    not_before: datetime | None = None
    not_after: datetime | None = None


def coming(rule: Rule, quiets: Sequence[Quiet], since: datetime, now: datetime) -> Coming:
    """`since`: the approval, or just after the last time that has an occurrence; `quiets` as they are today."""
    pending = turns_between(rule.every, rule.zone, since, now, _TURNS_MAX)
    if not pending:
        return Coming()
    *before, last = pending
    begin = leaves_at(last.at, quiets, rule.zone)
    end = window_end(begin, quiets, rule.zone)
    if now <= end:
        return Coming(tuple(before), last, False, begin, end)
    if rule.every.catch_up == "once":
        deadline = _caught_up_until(rule, last)
        if now <= deadline and is_quiet(now, quiets, rule.zone):
            # It may still make sense when they are over.
            return Coming(tuple(before))
        if now <= deadline:
            return Coming(tuple(before), last, True, now, window_end(now, quiets, rule.zone))
    return Coming(pending)


def _caught_up_until(rule: Rule, turn: Turn) -> datetime:
    """A time that was slept through still makes sense until half-way to the next one, and not after `until`."""
    following = next(iter(_after(rule, turn)), None)
    end = rule.every.end.astimezone(UTC) if rule.every.end else None
    if following is not None:
        half = turn.at + (following.at - turn.at) / 2
        return half if end is None else min(half, end)
    return end or turn.at + timedelta(hours=2 * WINDOW_HOURS_DEFAULT)


def _after(rule: Rule, turn: Turn) -> Iterator[Turn]:
    return turns_from(rule.every, rule.zone, turn.at + timedelta(seconds=1))
