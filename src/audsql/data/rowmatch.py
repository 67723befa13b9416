"""Conditions on the rows of one person, decided row by row: what `data.leaves` writes as SQL, where each person has
rows of their own (what happened since somebody entered a flow, the one row that triggered one). Pure.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from audsql.data.engine import RowColumn, TableRow
from audsql.data.leaves import Leaf, Window, columns_needed, compared, microseconds
from audsql.meaning.ir import (
    Aggregate,
    ColumnCompare,
    ColumnGiven,
    ColumnIn,
    ColumnMissing,
    Latest,
    PeopleCondition,
    Times,
)

__all__ = ["columns_of", "is_met"]

_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TIMES = {"at least": ">=", "at most": "<=", "exactly": "="}
_TYPES: Mapping[str, Any] = {"x": "string", "n": "number", "h": "number", "t": "date", "b": "truth"}

Test = ColumnCompare | ColumnIn | ColumnMissing | ColumnGiven | Window


def columns_of(leaves: Sequence[Leaf]) -> tuple[RowColumn, ...]:
    """The columns that these conditions read, each once for each type; a table's own time is read with every row."""
    needed = {(_TYPES[letter], name) for leaf in leaves for letter, name in columns_needed(leaf, "") if name}
    return tuple(RowColumn(name, kind) for kind, name in sorted(needed))


def is_met(leaf: Leaf, rows: Sequence[TableRow], columns: Sequence[RowColumn], zone: ZoneInfo) -> bool:
    """Whether a person with these rows, of these columns, is in the set. `zone`: of times without an offset."""
    if not rows:
        return False
    cells: dict[tuple[str, str], int] = {(one.type, one.name): at for at, one in enumerate(columns)}
    kept = [row for row in rows if all(_holds(test, row, cells, zone) for test in leaf.rows)]
    if not leaf.people:
        return bool(kept)
    return all(_decides(condition, kept, cells, zone) for condition in leaf.people)


def _holds(test: Test, row: TableRow, cells: Mapping[tuple[str, str], int], zone: ZoneInfo) -> bool:
    match test:
        case ColumnCompare(column, sign, value):
            return _compares(row, cells, column, sign, value, zone)
        case ColumnIn(column, values):
            return any(_compares(row, cells, column, "=", value, zone) for value in values)
        case ColumnMissing(column):
            return row.values[cells["string", column]] is None
        case ColumnGiven(column):
            return row.values[cells["string", column]] is not None
        case Window(start, end):
            if row.time is None:
                return False
            at = microseconds(row.time, zone)
            return (start is None or at >= start) and (end is None or at < end)


def _compares(
    row: TableRow, cells: Mapping[tuple[str, str], int], column: str, sign: str, value: object, zone: ZoneInfo
) -> bool:
    """A missing value compares with none."""
    letter, bound = compared(value, zone)
    cell = row.values[cells[_TYPES[letter], column]]
    if cell is None:
        return False
    return _COMPARED[sign](microseconds(cell, zone) if isinstance(cell, datetime) else cell, bound)


def _decides(
    condition: PeopleCondition, rows: Sequence[TableRow], cells: Mapping[tuple[str, str], int], zone: ZoneInfo
) -> bool:
    match condition:
        case Times(bound, count):
            return _COMPARED[_TIMES[bound]](len(rows), count)
        case Aggregate(function, column, sign, value):
            letter, bound_value = compared(value, zone)
            found = [row.values[cells[_TYPES[letter], column]] for row in rows]
            values = [microseconds(one, zone) if isinstance(one, datetime) else one for one in found if one is not None]
            return bool(values) and _aggregates(function, sign, values, bound_value)
        case Latest(column, sign, value):
            times = [row.time for row in rows if row.time is not None]
            last = max(times, default=None)
            return any(row.time == last and _compares(row, cells, column, sign, value, zone)
                       for row in rows if row.time is not None)  # fmt: skip


def _aggregates(function: str, sign: str, values: Sequence[Any], bound: Any) -> bool:
    compare = _COMPARED[sign]
    match function:
        case "avg":
            # No division, so no rounding.
            return compare(sum(values), bound * len(values))
        case "sum":
            return compare(sum(values), bound)
        case "min":
            return compare(min(values), bound)
        case _:
            return compare(max(values), bound)
