"""Row and people conditions as SQL over typed columns.

No text of the user stands in the SQL: columns are numbered (`x3` the text of column 3, `n3` its number,
`h3` the number times 10**9, `t3` its time, `b3` its truth value) and values are bound. Numbers are decimals
of 9 places, times are microseconds since 1970 UTC, so every comparison is exact. What is written here is understood
by every engine (`data.remote.emitter` lists its parts). Rules: specs/data.md, conditions.*.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from audsql.meaning.ir import (
    Aggregate,
    Before,
    ColumnCompare,
    ColumnGiven,
    ColumnIn,
    ColumnMissing,
    Last,
    Latest,
    PeopleCondition,
    RowCondition,
    Rows,
    Since,
    SinceStart,
    Times,
)
from audsql.records import dataclass

__all__ = [
    "ANYBODY",
    "DECIMALS",
    "INTEGER_DIGITS_MAX",
    "WHOLE_DIGITS",
    "Leaf",
    "Naming",
    "TypedColumn",
    "Window",
    "columns_needed",
    "compared",
    "leaf_of",
    "leaf_sql",
    "microseconds",
    "open_ended",
    "out_of_range",
    "values_of",
]

DECIMALS = 9
INTEGER_DIGITS_MAX = 18
WHOLE_DIGITS = INTEGER_DIGITS_MAX + DECIMALS
# A product of decimals has the digits of both and one more, and engines have 38: exact for ten thousand million rows.
_COUNT_DIGITS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS_MIN = -(2**61)  # doubled, it still fits 64 bits
_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TIMES = {"at least": ">=", "at most": "<=", "exactly": "="}

TypedColumn = tuple[str, str]  # (x, n, h, t or b, column name)
Sql = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Window:
    """Rows whose time is in [start, end), in microseconds; `end` None: no bound."""

    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """An atom over one table with its windows resolved: `rows` filter rows, `people` then decide."""

    rows: tuple[ColumnCompare | ColumnIn | ColumnMissing | ColumnGiven | Window, ...]
    people: tuple[PeopleCondition, ...]

    @property
    def key(self) -> str:
        parts = (sorted(map(repr, self.rows)), sorted(map(repr, self.people)))
        return repr(parts)


ANYBODY = Leaf((), ())


# --- windows --------------------------------------------------------------------------------------


def leaf_of(atom: Rows, as_of: datetime, zone: ZoneInfo) -> Leaf:
    """The atom with `last`, `since` and `before` as instants. Raises ValueError for `since start` of a flow."""
    return Leaf(tuple(_resolved(condition, as_of, zone) for condition in atom.rows), atom.people)


def _resolved(
    condition: RowCondition, as_of: datetime, zone: ZoneInfo
) -> ColumnCompare | ColumnIn | ColumnMissing | ColumnGiven | Window:
    match condition:
        case Last():
            return Window(_last_start(condition, as_of, zone), microseconds(as_of, zone))
        case Since(moment):
            return Window(microseconds(moment, zone), None)
        case SinceStart():
            raise ValueError("`since start` means something only of a person in a flow")
        case Before(moment):
            return Window(None, microseconds(moment, zone))
        case _:
            return condition


def _last_start(last: Last, as_of: datetime, zone: ZoneInfo) -> int:
    try:
        if last.unit == "day":
            day = as_of.astimezone(zone).date() - timedelta(days=last.amount)
            return microseconds(datetime(day.year, day.month, day.day, tzinfo=zone), zone)
        length = timedelta(hours=last.amount) if last.unit == "hour" else timedelta(minutes=last.amount)
        return microseconds(as_of.astimezone(UTC) - length, zone)
    except OverflowError:
        return _MICROSECONDS_MIN


def microseconds(moment: datetime, zone: ZoneInfo) -> int:
    """Microseconds since 1970 UTC; a moment without offset is in `zone`."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def open_ended(leaf: Leaf, latest: int | None) -> Leaf:
    """The same people, where no row is as late as a window's end: then the end says nothing."""

    def opened(window: Window) -> Window:
        beyond = latest is None or (window.end is not None and window.end > latest)
        return replace(window, end=None) if beyond else window

    return replace(leaf, rows=tuple(opened(row) if isinstance(row, Window) else row for row in leaf.rows))


# --- what a leaf needs ----------------------------------------------------------------------------


def columns_needed(leaf: Leaf, time_column: str | None) -> frozenset[TypedColumn]:
    """The typed columns of a leaf; the table's time is named by its column ('' where there is none)."""
    needed: set[TypedColumn] = set()
    for row in leaf.rows:
        match row:
            case ColumnCompare(column, _, value):
                needed.add((_letter(value), column))
            case ColumnIn(column, values):
                needed.update((_letter(value), column) for value in values)
            case ColumnMissing(column) | ColumnGiven(column):
                needed.add(("x", column))
            case Window():
                needed.add(("t", time_column or ""))
    for condition in leaf.people:
        match condition:
            case Aggregate(function, column, _, value):
                needed.add((_aggregated(function, value), column))
            case Latest(column, _, value):
                needed.update(((_letter(value), column), ("t", time_column or "")))
            case Times():
                pass
    return frozenset(needed)


def _letter(value: object) -> str:
    match value:
        case bool():
            return "b"
        case Decimal() | int():
            return "n"
        case datetime():
            return "t"
        case _:
            return "x"


def _aggregated(function: str, value: object) -> str:
    letter = _letter(value)
    return "h" if (function, letter) == ("avg", "n") else letter


def values_of(leaf: Leaf) -> Iterable[object]:
    for row in leaf.rows:
        match row:
            case ColumnCompare(value=value):
                yield value
            case ColumnIn(values=values):
                yield from values
    for condition in leaf.people:
        if isinstance(condition, Aggregate | Latest):
            yield condition.value


def out_of_range(value: object) -> bool:
    """A number with more digits than are compared exactly."""
    if not isinstance(value, Decimal):
        return False
    if not value.is_finite() or abs(value) >= 10**INTEGER_DIGITS_MAX:
        return True
    _, digits, exponent = value.as_tuple()
    beyond = -int(exponent) - DECIMALS
    return beyond > 0 and any(digits[-beyond:])


# --- SQL ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Naming:
    """From column names to their numbers; `time` is the table's time column or ''."""

    numbers: Mapping[str, int]
    time: str
    zone: ZoneInfo

    def typed(self, letter: str, column: str) -> str:
        return f"{letter}{self.numbers[column]}"


def leaf_sql(leaf: Leaf, naming: Naming) -> Sql:
    """A truth value per person, over the rows of the person."""
    filters = [_row_sql(row, naming) for row in leaf.rows]
    where: Sql = (" AND ".join(sql for sql, _ in filters) or "true", sum((values for _, values in filters), ()))
    if not leaf.people:
        return f"count(*) FILTER (WHERE {where[0]}) > 0", where[1]
    parts = [_people_sql(condition, where, naming) for condition in leaf.people]
    text = " AND ".join(f"coalesce({sql}, false)" for sql, _ in parts)
    return text, sum((values for _, values in parts), ())


def _row_sql(row: ColumnCompare | ColumnIn | ColumnMissing | ColumnGiven | Window, naming: Naming) -> Sql:
    match row:
        case ColumnCompare(column, operator, value):
            return _compare(column, operator, value, naming)
        case ColumnIn(column, values):
            return _in(column, values, naming)
        case ColumnMissing(column):
            return f"{naming.typed('x', column)} IS NULL", ()
        case ColumnGiven(column):
            return f"{naming.typed('x', column)} IS NOT NULL", ()
        case Window(start, end):
            return _window_sql(start, end, naming.typed("t", naming.time))


def _window_sql(start: int | None, end: int | None, time: str) -> Sql:
    parts = [(f"{time} >= ?", start), (f"{time} < ?", end)]
    texts = [f"{time} IS NOT NULL", *(sql for sql, bound in parts if bound is not None)]
    return " AND ".join(texts), tuple(bound for _, bound in parts if bound is not None)


def _compare(column: str, operator: str, value: object, naming: Naming) -> Sql:
    typed = naming.typed(_letter(value), column)
    return f"{typed} {_OPERATORS[operator]} {_place(value)}", (_bound(value, naming.zone),)


def _in(column: str, values: tuple[object, ...], naming: Naming) -> Sql:
    """One flat list for each type: a chain of comparisons would be as deep as it is long."""
    parts = []
    for letter in sorted({_letter(value) for value in values}):
        chosen = [value for value in values if _letter(value) == letter]
        places = ", ".join(_place(value) for value in chosen)
        bound = tuple(_bound(value, naming.zone) for value in chosen)
        parts.append((f"{naming.typed(letter, column)} IN ({places})", bound))
    text = " OR ".join(sql for sql, _ in parts) or "false"
    return f"({text})", tuple(value for _, bound in parts for value in bound)


def _place(value: object) -> str:
    return f"CAST(? AS DECIMAL(38, {DECIMALS}))" if _letter(value) == "n" else "?"


def _bound(value: object, zone: ZoneInfo) -> object:
    match value:
        case bool():
            return value
        case Decimal() | int():
            return f"{Decimal(value):.{DECIMALS}f}"
        case datetime():
            return microseconds(value, zone)
        case _:
            return unicodedata.normalize("NFC", str(value))


def compared(value: object, zone: ZoneInfo) -> tuple[str, Any]:
    """The letter of the typed column that a value is compared with, and the value in the form of that column."""
    letter, bound = _letter(value), _bound(value, zone)
    return letter, Decimal(str(bound)) if letter == "n" else bound


def _people_sql(condition: PeopleCondition, where: Sql, naming: Naming) -> Sql:
    filter_sql, filter_values = where
    chosen = f"FILTER (WHERE {filter_sql})"
    match condition:
        case Times(bound, count):
            return f"count(*) {chosen} {_TIMES[bound]} ?", (*filter_values, count)
        case Aggregate("avg", column, operator, value):
            # The sum against value times count: no division, so no rounding.
            typed = naming.typed(_aggregated("avg", value), column)
            counted = f"CAST(count({typed}) {chosen} AS DECIMAL({_COUNT_DIGITS}, 0))"
            text = f"sum({typed}) {chosen} {_OPERATORS[operator]} CAST(? AS DECIMAL({WHOLE_DIGITS}, 0)) * {counted}"
            # As text: not every engine takes whole numbers of more than 64 bits.
            whole = str(_bound(value, naming.zone)).replace(".", "")
            return text, (*filter_values, whole, *filter_values)
        case Aggregate(function, column, operator, value):
            typed = naming.typed(_letter(value), column)
            text = f"{function}({typed}) {chosen} {_OPERATORS[operator]} {_place(value)}"
            return text, (*filter_values, _bound(value, naming.zone))
        case Latest(column, operator, value):
            # The latest time and, in the lowest bit, whether a row of that time compares so.
            test, bound_values = _compare(column, operator, value, naming)
            time = naming.typed("t", naming.time)
            marked = f"max({time} * 2 + CASE WHEN {test} THEN 1 ELSE 0 END)"
            text = f"({marked} FILTER (WHERE {filter_sql} AND {time} IS NOT NULL)) % 2 <> 0"
            return text, (*bound_values, *filter_values)
