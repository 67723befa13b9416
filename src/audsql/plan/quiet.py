"""Quiet hours: when a send may start, and when the window of a send ends for them. Pure.

Quiet hours are times of the wall clock in the project's zone (specs/operations.md, `guard.quiet`). Each is a
whole stretch of time: where clocks are put back, it lasts from the first time that its start is shown until the
last time that its end is; where they are put forward over one of them, the jump stands for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from audsql.meaning.ir import Project, Quiet
from audsql.plan.occurrence import WINDOW_HOURS_DEFAULT, not_after

__all__ = ["is_quiet", "next_allowed", "quiets_of", "starts_at", "window_end", "window_start"]

_HOPS_MAX = 64
"""Stretches that follow each other without a gap; more than these is quiet for good."""


def quiets_of(project: Project, delivery: str) -> tuple[Quiet, ...]:
    """The quiet hours that cover a delivery."""
    rules = (one for one in project.requirements if isinstance(one, Quiet))
    return tuple(one for one in rules if delivery not in one.exceptions)


def is_quiet(instant: datetime, quiets: Sequence[Quiet], zone: str) -> bool:
    """Whether nothing may start at this instant."""
    return any(begin <= instant < end for begin, end in _stretches(instant, quiets, zone))


def next_allowed(instant: datetime, quiets: Sequence[Quiet], zone: str) -> datetime | None:
    """The first instant from this one on that is not quiet, in the zone; None where there is none."""
    found = instant
    for _ in range(_HOPS_MAX):
        ends = [end for begin, end in _stretches(found, quiets, zone) if begin <= found < end]
        if not ends:
            return found.astimezone(ZoneInfo(zone))
        found = max(ends)
    return None


def starts_at(instant: datetime, quiets: Sequence[Quiet], zone: str) -> datetime | None:
    """When a delivery that is due at an instant starts: then, or when the quiet hours that move it are over. None where
    a rule without `move` refuses it."""
    holding = [one for one in quiets if is_quiet(instant, (one,), zone)]
    if any(one.over != "move" for one in holding):
        return None
    return next_allowed(instant, quiets, zone) if holding else instant


def window_end(start: datetime, quiets: Sequence[Quiet], zone: str) -> datetime:
    """The end of the window of a send that may leave from `start` on: where quiet hours begin, if that is earlier.

    `start` itself where it is quiet: the window is empty.
    """
    end = not_after(start)
    if is_quiet(start, quiets, zone):
        return start
    return min([end, *(begin for begin, _ in _stretches(start, quiets, zone) if start < begin)])


def window_start(at: datetime | None, approved_at: datetime | None, end: datetime) -> datetime:
    """When the window of an approved send began; where only its end is known, as early as it can have been."""
    return at or approved_at or end - timedelta(hours=WINDOW_HOURS_DEFAULT)


def _stretches(instant: datetime, quiets: Sequence[Quiet], zone: str) -> Iterator[tuple[datetime, datetime]]:
    """Every quiet stretch that may hold an instant of the day before until the day after, in UTC."""
    place = ZoneInfo(zone)
    today = instant.astimezone(place).date()
    for quiet in quiets:
        nights = int(quiet.end_minutes <= quiet.start_minutes)
        for days in range(-2, 3):
            day = today + timedelta(days=days)
            begin = _instant(day, quiet.start_minutes, place, latest=False)
            yield begin, _instant(day + timedelta(days=nights), quiet.end_minutes, place, latest=True)


def _instant(day: date, minutes: int, place: ZoneInfo, latest: bool) -> datetime:
    """When clocks show this time; in a gap the jump over it. `latest`: the last time that they show it."""
    days, rest = divmod(minutes, 24 * 60)
    wall = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60))
    first = wall.replace(tzinfo=place, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=place, fold=1).astimezone(UTC)
    if first <= second:
        return second if latest else first
    before, after = int(second.timestamp()), int(first.timestamp())
    while after - before > 1:
        middle = (before + after) // 2
        shown = datetime.fromtimestamp(middle, place).replace(tzinfo=None)
        before, after = (before, middle) if shown >= wall else (middle, after)
    return datetime.fromtimestamp(after, UTC)
