"""Conditions over coded cells: what a spelling means is found once, by the engine that reads every cell elsewhere.

Every row condition is about one column, so it is true or false of a code; rows and people are then arithmetic on
arrays. Sums, averages and `latest` are the engine's, over people and codes in place of ids and cells. Rules:
specs/data.md, conditions.*.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from audsql.data.cells import Cells, Piece
from audsql.data.leaves import Leaf, Naming, TypedColumn, Window, compared, leaf_sql
from audsql.data.matching import in_ascending_order
from audsql.data.moments import MISSING, PIECES, Moments, moments
from audsql.data.typed import absent_sql, time_sql, typed_sql
from audsql.meaning.ir import ColumnCompare, ColumnGiven, ColumnIn, ColumnMissing, Times
from audsql.records import dataclass

__all__ = [
    "Meanings", "Numbered", "aggregated", "in_pieces", "is_countable", "meanings_of", "number_people", "truth_of",
    "whole",
]  # fmt: skip

Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]

_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_COUNT_MAX = 1 << 62
_COUNTED: Mapping[str, Callable[[Any, int], Any]] = {
    "at least": operator.ge, "at most": operator.le, "exactly": operator.eq,
}  # fmt: skip


def is_countable(leaf: Leaf) -> bool:
    """Whether rows need only be counted."""
    return all(isinstance(condition, Times) for condition in leaf.people)


# --- people ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Numbered:
    """The distinct people in ascending order, and the number of the one that each row is about; rows without one have
    the number behind the last."""

    high: Words
    low: Words
    rows: NDArray[np.uint32]


def number_people(cells: Cells) -> Numbered:
    """All of the 128 bits decide, whoever forges ids that share most of them."""
    order, high, low = in_ascending_order(cells.high, cells.low)
    first = np.ones(len(high), bool)
    np.not_equal(high[1:], high[:-1], out=first[1:])
    first[1:] |= low[1:] != low[:-1]
    numbers = np.empty(len(high), np.uint32)
    numbers[order] = np.cumsum(first, dtype=np.uint32) - np.uint32(1)
    high, low = high[first], low[first]
    if len(numbers) < len(cells.given):
        rows = np.full(len(cells.given), len(high), np.uint32)
        rows[cells.given] = numbers
        numbers = rows
    return Numbered(high, low, numbers)


# --- what codes mean ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meanings:
    """For typed columns the value of each code, None where it is missing: texts in NFC, decimals, times in
    microseconds, truth values. `times`: by column, for those that were read in pieces, the time of each row."""

    values: Mapping[TypedColumn, Sequence[Any]]
    times: Mapping[int, Moments]
    naming: Naming

    @property
    def latest(self) -> int | None:
        """The latest time in the column of the table's time."""
        number = self.naming.numbers.get(self.naming.time, -1)
        if number in self.times:
            last = int(self.times[number].max())
            return None if last == MISSING else last
        return max((at for at in self.values.get(("t", self.naming.time), ()) if at is not None), default=None)


def _meaning(number: int) -> str:
    """The table of what the spellings of a column mean."""
    return f"meaning{number}"


def whole(number: int) -> tuple[Piece, ...]:
    """A column with a code for each cell."""
    return ((number, 0, None),)


def in_pieces(number: int) -> tuple[Piece, ...]:
    """A column of times with a code for each piece of a cell."""
    return tuple((number, start, stop) for start, stop in PIECES)


def meanings_of(connection: Any, cells: Cells, needed: Iterable[TypedColumn], naming: Naming) -> Meanings | None:
    """What the spellings mean, asked of the engine as cells are; None where one is not what a condition takes it for.

    Raises duckdb.Error.
    """
    values: dict[TypedColumn, Sequence[Any]] = {}
    times: dict[int, Moments] = {}
    for number in sorted({number for number, _, _ in cells.codes}):
        pieces = whole(number) if whole(number)[0] in cells.codes else in_pieces(number)
        if len(pieces) > 1:
            codes, spelt = [cells.codes[one] for one in pieces], [cells.spellings[one] for one in pieces]
            found = moments(connection, codes, spelt, naming.zone)
            if found is None:
                return None
            times[number] = found
            continue
        spellings = cells.spellings[pieces[0]]
        columns = sorted(one for one in needed if naming.numbers[one[1]] == number)
        texts = [spelling.decode("utf-8") for spelling in spellings]
        connection.execute(
            f"CREATE OR REPLACE TABLE raw AS SELECT unnest(?::VARCHAR[]) AS c{number}, unnest(?::UINTEGER[]) AS code",
            [texts, list(range(len(texts)))],
        )
        typed = typed_sql({(letter, number) for letter, _ in columns})
        connection.execute(f"CREATE OR REPLACE TABLE typed AS SELECT code, {', '.join(typed)} FROM raw")
        bad = [absent_sql(letter, number) for letter, _ in columns if letter != "x"]
        wrong = " OR ".join(f"x{number} IS NOT NULL AND {one}" for one in bad)
        if bad and connection.execute(f"SELECT count(*) FROM typed WHERE {wrong}").fetchone()[0]:
            return None
        source = time_sql(connection, [number] if any(letter == "t" for letter, _ in columns) else [], naming.zone)
        chosen = ", ".join(naming.typed(*one) for one in columns)
        connection.execute(f"CREATE TABLE {_meaning(number)} AS SELECT code, {chosen} FROM {source}")
        rows = connection.execute(f"SELECT {chosen} FROM {_meaning(number)} ORDER BY code").fetchall()
        values |= {one: [row[at] for row in rows] for at, one in enumerate(columns)}
    return Meanings(values, times, naming)


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The distinct values of a column in ascending order and the rank of each code, -1 where it is missing."""

    values: Sequence[Any]
    ranks: NDArray[np.int64]

    def compare(self, operation: str, value: Any) -> Flags:
        """Missing values satisfy no comparison."""
        start, stop = bisect_left(self.values, value), bisect_right(self.values, value)
        within = {
            "=": lambda: (self.ranks >= start) & (self.ranks < stop),
            "!=": lambda: (self.ranks >= 0) & ((self.ranks < start) | (self.ranks >= stop)),
            "<": lambda: (self.ranks >= 0) & (self.ranks < start),
            "<=": lambda: (self.ranks >= 0) & (self.ranks < stop),
            ">": lambda: self.ranks >= stop,
            ">=": lambda: self.ranks >= start if start else self.ranks >= 0,
        }
        found: Flags = within[operation]()
        return found


def _ranked(values: Sequence[Any]) -> _Ranked:
    ordered = sorted({value for value in values if value is not None})
    ranks = {value: rank for rank, value in enumerate(ordered)}
    return _Ranked(ordered, np.array([-1 if value is None else ranks[value] for value in values], np.int64))


def _is_within(times: Moments, row: Any, zone: ZoneInfo) -> Flags:
    """The same of times a row."""
    given: Flags = times != MISSING
    if isinstance(row, Window):
        if row.start is not None:
            given &= times >= row.start
        return given & (times < row.end) if row.end is not None else given
    assert isinstance(row, ColumnCompare)
    found: Flags = _COMPARED[row.operator](times, compared(row.value, zone)[1])
    return given & found


def _meant(row: Any, naming: Naming, ranked: Callable[[str, str], _Ranked]) -> tuple[str, Flags]:
    """The column that a row condition is about, and for each code of it whether it is true."""
    match row:
        case Window(start, end):
            times = ranked("t", naming.time)
            flags = times.ranks >= 0
            if start is not None:
                flags &= times.compare(">=", start)
            return naming.time, flags & times.compare("<", end) if end is not None else flags
        case ColumnMissing(column):
            return column, ranked("x", column).ranks < 0
        case ColumnGiven(column):
            return column, ranked("x", column).ranks >= 0
        case ColumnCompare(column, operation, value):
            letter, bound = compared(value, naming.zone)
            return column, ranked(letter, column).compare(operation, bound)
        case ColumnIn(column, values):
            bounds = [compared(value, naming.zone) for value in values]
            return column, np.logical_or.reduce(
                [ranked(letter, column).compare("=", bound) for letter, bound in bounds]
            )
    raise AssertionError(row)


# --- truth ----------------------------------------------------------------------------------------


def truth_of(leaves: Sequence[Leaf], cells: Cells, meanings: Meanings, people: Numbered) -> dict[str, Flags]:
    """For each leaf key, whether each person satisfies it; every leaf is countable."""
    naming, of = meanings.naming, {number: codes for (number, *_), codes in cells.codes.items()}
    counts = {number: np.bincount(codes) for number, codes in of.items() if number not in meanings.times}

    @cache
    def ranked(letter: str, column: str) -> _Ranked:
        return _ranked(meanings.values[letter, column])

    truth = {}
    for leaf in leaves:
        flags: dict[int, Flags] = {}
        timed = []
        for row in leaf.rows:
            if _is_nothing(row):
                continue
            if _number(row, naming) in meanings.times:
                timed.append(row)
                continue
            column, found = _meant(row, naming, ranked)
            number = naming.numbers[column]
            flags[number] = flags[number] & found if number in flags else found
        # A list without values needs no column, and no row is in it.
        rows: Rows | None = np.empty(0, np.intp) if any(map(_is_nothing, leaf.rows)) else None
        # The fewest rows first.
        for number in sorted(flags, key=lambda number: (int(counts[number][flags[number]].sum()), number)):
            some = of[number] if rows is None else of[number][rows]
            hits = np.flatnonzero(flags[number].take(some))
            rows = hits if rows is None else rows[hits]
        for row in timed:
            times = meanings.times[_number(row, naming)]
            hits = np.flatnonzero(_is_within(times if rows is None else times[rows], row, naming.zone))
            rows = hits if rows is None else rows[hits]
        truth[leaf.key] = _decided(leaf, people.rows if rows is None else people.rows[rows], len(people.high))
    return truth


def aggregated(
    connection: Any, leaves: Sequence[Leaf], cells: Cells, meanings: Meanings, people: Numbered, per_query: int
) -> dict[str, Flags]:
    """The same of any leaves, by the engine that was asked for the meanings; `per_query` of them in one pass.

    Raises duckdb.Error.
    """
    arrays: dict[str, Any] = {"person": people.rows}
    columns, joins = ["person"], []
    for number in sorted({number for number, _, _ in cells.codes}):
        if number in meanings.times:
            arrays[f"k{number}"] = meanings.times[number]
            columns.append(f"nullif(k{number}, {MISSING}) AS t{number}")
        else:
            arrays[f"k{number}"] = cells.codes[whole(number)[0]]
            typed = sorted(one for one in meanings.values if meanings.naming.numbers[one[1]] == number)
            columns += [meanings.naming.typed(*one) for one in typed]
            joins.append(f"JOIN {_meaning(number)} ON {_meaning(number)}.code = k{number}")
    connection.register("coded", arrays)
    source = f"(SELECT {', '.join(columns)} FROM coded {' '.join(joins)})"
    truth = {}
    for begin in range(0, len(leaves), per_query):
        part = leaves[begin : begin + per_query]
        parts = [leaf_sql(leaf, meanings.naming) for leaf in part]
        chosen = ", ".join(f"coalesce({sql}, false) AS a{at}" for at, (sql, _) in enumerate(parts))
        values = [value for _, bound in parts for value in bound]
        found = connection.execute(f"SELECT person, {chosen} FROM {source} GROUP BY person", values).fetchnumpy()
        for at, leaf in enumerate(part):
            flags = np.zeros(len(people.high) + 1, np.bool_)
            flags[found["person"]] = found[f"a{at}"]
            truth[leaf.key] = flags[:-1]
    return truth


def _is_nothing(row: Any) -> bool:
    return isinstance(row, ColumnIn) and not row.values


def _number(row: Any, naming: Naming) -> int:
    """The column that a row condition is about."""
    return naming.numbers[naming.time if isinstance(row, Window) else row.column]


def _decided(leaf: Leaf, rows: NDArray[np.uint32], count: int) -> Flags:
    """Whether the rows that remain, given by their people, are what the leaf asks of each of `count` people."""
    if not leaf.people:
        some = np.zeros(count + 1, np.bool_)
        some[rows] = True
        return some[:count]
    counted = np.bincount(rows, minlength=count + 1)[:count]
    decided = np.ones(count, np.bool_)
    for condition in leaf.people:
        assert isinstance(condition, Times)
        decided &= _COUNTED[condition.bound](counted, min(condition.count, _COUNT_MAX))
    return decided
