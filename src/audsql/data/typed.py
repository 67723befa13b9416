"""Typed columns: numbers, times and truth values taken from text, strictly and exactly.

Rules: specs/data.md, types.*.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from audsql.data.leaves import DECIMALS, INTEGER_DIGITS_MAX

__all__ = ["absent_sql", "offset_pieces", "time_sql", "typed_sql"]

_NUMBER = rf"[+-]?[0-9]{{1,{INTEGER_DIGITS_MAX}}}(\.[0-9]{{1,{DECIMALS}}})?"
_LOCAL = r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?"
_INSTANT = (
    r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}[T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)? ?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
)
_DAY_MICROSECONDS = 86_400_000_000
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone of their own


def typed_sql(columns: Collection[tuple[str, int]]) -> list[str]:
    """Projections of raw columns: `x` text, `n` number, `h` number times 10**9 (an integer, for averages),
    `b` truth value; `l` local time or `z` instant.

    `columns`: pairs of letter and column number. A cell that is not what the letter says gives NULL.
    """
    texts = {number for letter, number in columns if letter == "x"}
    projections = [_text(number, number in texts) for number in sorted({number for _, number in columns})]
    for letter, number in sorted(columns):
        cell = f"c{number}"
        if letter == "n":
            projections.append(f"{_number(cell)} AS n{number}")
        elif letter == "h":
            projections.append(f"CAST({_number(cell)} * {10**DECIMALS} AS HUGEINT) AS h{number}")
        elif letter == "b":
            projections.append(f"CASE lower({cell}) WHEN 'true' THEN true WHEN 'false' THEN false END AS b{number}")
        elif letter == "t":
            projections += _time(cell, number)
    return projections


def absent_sql(letter: str, number: int) -> str:
    """Whether a cell has no value of this kind."""
    return f"l{number} IS NULL AND z{number} IS NULL" if letter == "t" else f"{letter}{number} IS NULL"


def _text(number: int, compared: bool) -> str:
    given = f"nullif(c{number}, '')"
    return f"{f'nfc_normalize({given})' if compared else given} AS x{number}"


def _number(cell: str) -> str:
    return f"CASE WHEN regexp_full_match({cell}, '{_NUMBER}') THEN CAST({cell} AS DECIMAL(38, {DECIMALS})) END"


def _time(cell: str, number: int) -> list[str]:
    # TIMESTAMP would drop an offset and TIMESTAMPTZ would take its absence for UTC, so the two
    # shapes are told apart first. There is no year 0000.
    local = f"epoch_us(TRY_CAST({cell} AS TIMESTAMP))"
    closed = f"replace(replace(replace({cell}, ' +', '+'), ' -', '-'), ' Z', 'Z')"
    instant = f"epoch_us(coalesce(TRY_CAST({cell} AS TIMESTAMPTZ), TRY_CAST({closed} AS TIMESTAMPTZ)))"
    likely = f"{cell} >= '0001' AND NOT contains({cell}, '+')"
    return [
        f"CASE WHEN {likely} AND regexp_full_match({cell}, '{_LOCAL}') THEN {local} END AS l{number}",
        f"CASE WHEN {cell} >= '0001' AND regexp_full_match({cell}, '{_INSTANT}') THEN {instant} END AS z{number}",
    ]


def time_sql(connection: Any, numbers: Sequence[int], zone: ZoneInfo) -> str:
    """A source like `typed` with `t` columns: instants, local times taken in `zone`."""
    if not numbers:
        return "typed"
    columns = []
    for number in numbers:
        day = _DAY_MICROSECONDS
        floor = f"(l{number} - ((l{number} % {day}) + {day}) % {day}) // {day}"
        sql = f"SELECT DISTINCT {floor} FROM typed WHERE l{number} IS NOT NULL ORDER BY 1"
        days = [row[0] for row in connection.execute(sql).fetchall()]
        columns.append(f"coalesce(z{number}, l{number} - {_offset_sql(f'l{number}', days, zone)}) AS t{number}")
    return f"(SELECT *, {', '.join(columns)} FROM typed)"


def _offset_sql(local: str, days: Iterable[int], zone: ZoneInfo) -> str:
    pieces = offset_pieces(days, zone)
    cases = [f"WHEN {local} < {end} THEN {offset}" for (_, offset), (end, _) in pairwise(pieces)]
    last = pieces[-1][1] if pieces else 0
    return f"CASE {' '.join(cases)} ELSE {last} END" if cases else str(last)


def offset_pieces(days: Iterable[int], zone: ZoneInfo) -> list[tuple[int, int]]:
    """(start, offset) in microseconds, ascending: the zone's offset for local times of these days
    since 1970. A local time that occurs twice is the first one; one that is skipped goes by the offset before."""
    pieces: list[tuple[int, int]] = []
    for day in days:
        start, end = day * _DAY_MICROSECONDS, (day + 1) * _DAY_MICROSECONDS - 1
        before, after = _offset(start, zone), _offset(end, zone)
        changes = [(start, before)] if before == after else [(start, before), (_change(start, end, zone), after)]
        for piece in changes:
            if not pieces or piece[1] != pieces[-1][1]:
                pieces.append(piece)
    return pieces


def _offset(local: int, zone: ZoneInfo) -> int:
    moment = (_EPOCH + local * _MICROSECOND).replace(tzinfo=zone)
    return (moment.utcoffset() or timedelta()) // _MICROSECOND


def _change(start: int, end: int, zone: ZoneInfo) -> int:
    """The first local time of a day that has the offset of its end."""
    before = _offset(start, zone)
    while end - start > 1:
        middle = (start + end) // 2
        start, end = (middle, end) if _offset(middle, zone) == before else (start, middle)
    return end
