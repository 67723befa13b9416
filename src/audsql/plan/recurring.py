"""Times that come again, by the clock of a zone: `every` of a delivery, `wait until` of a flow. Pure.

A label is a time of the wall clock (`2026-12-01 10:00`); a zone makes an instant of it. Where clocks jump over the
label, it is the next valid minute, which is the jump; where they show it twice, it is the first time. A day that a
zone leaves out altogether has no times. Rules: specs/operations.md, `schedule.*`; reference: T20.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from audsql.meaning.ir import Every
from audsql.records import dataclass

__all__ = ["Turn", "first_turn", "instant_of", "next_local", "next_turns", "turns_between", "turns_from"]

_ONE_DAY = timedelta(days=1)
_DAYS_WITHOUT_TURN_MAX = 366
"""Longer than any unit and than the months that have no day 31: then the calendar has come to its end."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One occurrence of what is repeated. `label`: the time of the wall clock that it stands for, without a zone;
    `at`: the instant, in UTC. An instant belongs to one label of a repetition only."""

    label: datetime
    at: datetime


def instant_of(wall: datetime, zone: str) -> datetime:
    """When clocks of the zone show this time first, in UTC; in a gap the next valid minute. `wall` has no zone."""
    place = ZoneInfo(zone)
    first = wall.replace(tzinfo=place, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=place, fold=1).astimezone(UTC)
    if first <= second:
        return first
    before, after = int(second.timestamp()), int(first.timestamp())
    while after - before > 1:
        middle = (before + after) // 2
        shown = datetime.fromtimestamp(middle, place).replace(tzinfo=None)
        before, after = (before, middle) if shown >= wall else (middle, after)
    return datetime.fromtimestamp(after, UTC)


def next_local(instant: datetime, hour: int, minute: int, zone: str) -> datetime:
    """The first instant from this one on, itself included, that is `hour:minute` by the clock of the zone; in UTC."""
    return first_turn(Every("day", hour, minute), zone, instant).at


def first_turn(every: Every, zone: str, since: datetime) -> Turn:
    """The first turn at or after an instant of a repetition without an end. Raises OverflowError behind the last
    year that there is."""
    found = next(turns_from(every, zone, since), None)
    if found is None:
        raise OverflowError("no calendar goes on that long")
    return found


def turns_from(every: Every, zone: str, since: datetime) -> Iterator[Turn]:
    """Every turn at or after an instant, ascending: `from` included, `until` not. A month without the day has none."""
    begin = max(one.astimezone(UTC) for one in (since, every.start or since))
    end = every.end.astimezone(UTC) if every.end else None
    # What yesterday's clock jumped over can be of today.
    day, empty = begin.astimezone(ZoneInfo(zone)).date() - _ONE_DAY, 0
    while empty <= _DAYS_WITHOUT_TURN_MAX and day < date.max - _ONE_DAY:
        turn = _turn(every, zone, day)
        if turn is not None and end is not None and turn.at >= end:
            return
        empty = empty + 1 if turn is None else 0
        if turn is not None and turn.at >= begin:
            yield turn
        day += _ONE_DAY


def turns_between(every: Every, zone: str, since: datetime, until: datetime, count_max: int) -> tuple[Turn, ...]:
    """The turns from `since` until `until`, both included; of more than `count_max` the last ones."""
    found: list[Turn] = []
    for turn in turns_from(every, zone, since):
        if turn.at > until:
            break
        found.append(turn)
        if len(found) > count_max:
            found.pop(0)
    return tuple(found)


def _turn(every: Every, zone: str, day: date) -> Turn | None:
    """The turn of this day, None where there is none."""
    if every.unit == "week" and day.weekday() != every.weekday:
        return None
    if every.unit == "month" and day.day != every.day:
        return None
    label = datetime.combine(day, time(every.hour, every.minute))
    if _is_left_out(day, zone):
        return None
    return Turn(label, instant_of(label, zone))


def _is_left_out(day: date, zone: str) -> bool:
    """Whether clocks of the zone never show this day."""
    noon = datetime.combine(day, time(12))
    first = noon.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    if first.astimezone(ZoneInfo(zone)).date() == day:
        return False
    return instant_of(datetime.combine(day, time.min), zone) == instant_of(datetime.combine(day, time.max), zone)


def next_turns(every: Every, zone: str, since: datetime, count: int) -> tuple[Turn, ...]:
    """The next turns at or after an instant, at most so many."""
    return tuple(islice(turns_from(every, zone, since), count))
