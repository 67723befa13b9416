"""Dates and times of day as they are written: `2026-12-01`, `2026-12-01 10:00 +09:00`, `21:00`.

Rules: lexical.dates and lexical.times of specs/language/01-lexical.md.
"""

from __future__ import annotations

import re

from audsql.records import dataclass

__all__ = ["Moment", "date_time_parts", "read", "time_parts"]

_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:(?:T|[ \t]+)(\d{1,2}):(\d{2})(?:[ \t]*([+-])(\d{2}):(\d{2}))?)?(?![\w:/-])", re.ASCII
)
_NEARLY = re.compile(
    r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})"
    r"(?:(?:T|[ \t]+)(\d{1,2}:\d{2}(?::\d{2})?)(?:[ \t]*(?:[+-]\d{1,2}(?::?\d{2})?|Z))?)?[\w:/-]*"
    r"|(\d{1,2}:\d{2}(?::\d{2})?)",
    re.ASCII,
)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Moment:
    """What was read up to `end`. `possible`: such a day and time exist; `instead`: what may be meant.

    `last`: the last day of the month, where the day written comes after it; `late`: the hour is 24 or above.
    """

    kind: str
    end: int
    possible: bool
    instead: str | None = None
    last: str | None = None
    late: bool = False


def read(text: str, start: int, end: int) -> Moment | None:
    """The date or time of day that begins at `start`, where the run of digits and marks ends at `end`."""
    exact = _DATE_TIME.match(text, start)
    if exact and exact.end() >= end:
        possible = _date_exists(exact) and _time_exists(*exact.group(4, 5, 7, 8))
        late = int(exact.group(4) or 0) > 23
        return Moment("DATETIME", exact.end(), possible, None, _last_day(exact), late)
    if exact and end == exact.end(3) == start + 10:
        return Moment("DATETIME", end, _date_exists(exact), None, _last_day(exact))
    time = _TIME.fullmatch(text, start, end)
    if time:
        possible = _time_exists(time.group(1), time.group(2), None, None)
        return Moment("CLOCK", end, possible, late=int(time.group(1)) > 23)
    return _nearly(text, start, end)


def _nearly(text: str, start: int, end: int) -> Moment | None:
    """Something that is meant as a date or a time but is not written as one."""
    near = _NEARLY.match(text, start)
    if near is None or near.end() < end:
        return None
    if near.group(6):
        clock = near.group(6)[:5].rstrip(":")
        possible = _time_exists(clock[:-3], clock[-2:], None, None)
        return Moment("CLOCK", near.end(), False, clock if possible else None)
    date = f"{near.group(1)}-{near.group(3):0>2}-{near.group(4):0>2}"
    clock = f" {near.group(5)[:5].rstrip(':')}" if near.group(5) else ""
    found = _DATE_TIME.fullmatch(date + clock)
    possible = found is not None and _date_exists(found) and _time_exists(found.group(4), found.group(5), None, None)
    return Moment("DATETIME", near.end(), False, date + clock if possible else None)


def _date_exists(found: re.Match[str]) -> bool:
    year, month, day = (int(part) for part in found.group(1, 2, 3))
    return year >= 1 and 1 <= month <= 12 and 1 <= day <= _days_of(year, month)


def _days_of(year: int, month: int) -> int:
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _MONTH_DAYS[month - 1] + leap


def _last_day(found: re.Match[str]) -> str | None:
    """The last day of the month, where the month exists and the day comes after it."""
    year, month, day = (int(part) for part in found.group(1, 2, 3))
    if year < 1 or not 1 <= month <= 12 or day <= _days_of(year, month):
        return None
    return f"{found.group(1)}-{found.group(2)}-{_days_of(year, month)}"


def _time_exists(hour: str | None, minute: str | None, offset_hours: str | None, offset_minutes: str | None) -> bool:
    """A time of day from 00:00 to 23:59, with an offset of at most 14 hours."""
    fine = int(hour or 0) <= 23 and int(minute or 0) <= 59
    return fine and int(offset_minutes or 0) <= 59 and int(offset_hours or 0) * 60 + int(offset_minutes or 0) <= 14 * 60


def date_time_parts(written: str) -> tuple[int, int, int, int | None, int | None, int | None]:
    """Year, month, day, hour, minute and offset in minutes of what `read` called possible."""
    found = _DATE_TIME.match(written)
    if found is None:
        return (1, 1, 1, None, None, None)
    year, month, day = (int(part) for part in found.group(1, 2, 3))
    if found.group(4) is None:
        return (year, month, day, None, None, None)
    offset = None
    if found.group(6):
        offset = (int(found.group(7)) * 60 + int(found.group(8))) * (-1 if found.group(6) == "-" else 1)
    return (year, month, day, int(found.group(4)), int(found.group(5)), offset)


def time_parts(written: str) -> tuple[int, int]:
    """Hour and minute of a time of day."""
    hour, _, minute = written.partition(":")
    return (int(hour), int(minute[:2]))
