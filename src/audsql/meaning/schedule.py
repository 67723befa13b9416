"""When deliveries are due: `every` with `from`, `until` and `catch_up`, and the quiet hours that they keep.

Normative: specs/language/05-statements.md, `statements.every` and `policies.quiet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from audsql.diag import Label, error, warning
from audsql.meaning import ir
from audsql.meaning.entries import Reader
from audsql.meaning.names import fix_near, nearest
from audsql.meaning.values import plain_text
from audsql.records import dataclass
from audsql.syntax import ast

__all__ = ["QuietHit", "clock", "lower_every", "quiet_hit"]

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = ("day", *_WEEKDAYS, "month")
_DAY_MAX = 31
_DAY_OF_EVERY_MONTH_MAX = 28
_MINUTES_A_DAY = 24 * 60


# --- every ------------------------------------------------------------------------------------------


def lower_every(entries: Reader) -> ir.Every | None:
    """The repetition of a delivery; None where there is none or it has errors."""
    entry, at = entries.get("every"), entries.get("at")
    start = entries.moment("from", needs_time=False)
    end = entries.moment("until", needs_time=False)
    catch_up = entries.choice("catch_up", ("skip", "once"))
    if entry is None:
        _refuse_alone(entries)
        return None
    if at is not None:
        entries.fail()
        labels = [Label(at.key.span, "at")]
        entries.bag.add(error("AUD0384", entry.key.span, labels=labels, delivery=entries.block.name.text))
        return None
    until = entries.get("until")
    if start is not None and end is not None and until is not None and start >= end:
        entries.fail()
        low, high = start.strftime("%Y-%m-%d %H:%M"), end.strftime("%Y-%m-%d %H:%M")
        entries.bag.add(error("AUD0309", until.span, low=low, high=high))
    return _repetition(entries, entry, (start, end), "once" if catch_up == "once" else "skip")


def _refuse_alone(entries: Reader) -> None:
    for key in ("from", "until", "catch_up"):
        entry = entries.get(key)
        if entry is not None and "sent" not in entries.entries:
            entries.fail()
            entries.bag.add(error("AUD0387", entry.key.span, entry=key, delivery=entries.block.name.text))


def _repetition(
    entries: Reader,
    entry: ast.Entry,
    between: tuple[datetime | None, datetime | None],
    catch_up: Literal["skip", "once"],
) -> ir.Every | None:
    """`day 10:00`, `monday 10:00`, `month 1 10:00`."""
    items = _items(entry.value)
    time = items[-1] if items else None
    unit = plain_text(items[0]) if items else None
    if unit is None or not isinstance(time, ast.TimeOfDay) or len(items) != (3 if unit == "month" else 2):
        entries.wrong(entry)
        return None
    if unit not in _UNITS:
        span, near = getattr(items[0], "span", entry.span), nearest(unit, _UNITS)
        entries.fail()
        fixes = fix_near(span, near)
        entries.bag.add(error("AUD0307", span, fixes=fixes, entry="every", value=unit, near=near, choices=_UNITS))
        return None
    start, end = between
    if unit == "day":
        return ir.Every("day", time.hour, time.minute, start=start, end=end, catch_up=catch_up)
    if unit in _WEEKDAYS:
        weekday = _WEEKDAYS.index(unit)
        return ir.Every("week", time.hour, time.minute, weekday, start=start, end=end, catch_up=catch_up)
    day = _day_of_month(items[1], entries, entry)
    if day is None:
        return None
    return ir.Every("month", time.hour, time.minute, day=day, start=start, end=end, catch_up=catch_up)


def _items(value: ast.EntryValue) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else value.items if isinstance(value, ast.ListValue) else ()


def _day_of_month(value: object, entries: Reader, entry: ast.Entry) -> int | None:
    if not isinstance(value, ast.Number) or value.value != int(value.value):
        entries.wrong(entry)
        return None
    day = int(value.value)
    if not 1 <= day <= _DAY_MAX:
        entries.fail()
        entries.bag.add(error("AUD0386", value.span, day=day))
        return None
    if day > _DAY_OF_EVERY_MONTH_MAX:
        entries.bag.add(warning("AUD0385", value.span, day=day))
    return day


# --- quiet hours ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QuietHit:
    """`rule` forbids the time. `allowed`: the next minute that no rule forbids, None where all do."""

    rule: ir.Quiet
    allowed: datetime | None


def quiet_hit(wall: datetime, rules: Sequence[ir.Quiet]) -> QuietHit | None:
    """The first of these rules that forbids a time of the project's zone (`wall`); None where all allow it."""
    first = next((rule for rule in rules if _is_quiet(wall, rule)), None)
    if first is None:
        return None
    moment = wall
    # Every step leaves one rule; with so many steps as rules and days each has been left twice.
    for _ in range(2 * len(rules) + 1):
        rule = next((rule for rule in rules if _is_quiet(moment, rule)), None)
        if rule is None:
            return QuietHit(first, moment)
        wait = (rule.end_minutes - _minutes(moment)) % _MINUTES_A_DAY
        moment += timedelta(minutes=wait)
    return QuietHit(first, None)


def _minutes(moment: datetime) -> int:
    return moment.hour * 60 + moment.minute


def _is_quiet(moment: datetime, rule: ir.Quiet) -> bool:
    now, start, end = _minutes(moment), rule.start_minutes, rule.end_minutes
    return start <= now < end if start < end else now >= start or now < end


def clock(minutes: int) -> str:
    """Minutes of the day as the language writes a time: `21:00`."""
    return f"{minutes // 60:02}:{minutes % 60:02}"
