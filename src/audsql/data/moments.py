"""Columns of times with nearly as many spellings as rows: a time is the sum of its day, its minute and the rest of it.

Each of the three has few spellings, and what those mean the reading engine says, as of whole cells. Rules:
specs/data.md, types.time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from audsql.data.cells import Codes
from audsql.data.typed import offset_pieces, typed_sql

__all__ = ["MISSING", "PIECES", "moments"]

MISSING = np.iinfo(np.int64).min
"""In place of the time of an empty cell."""
PIECES = ((0, 10), (10, 16), (16, None))
"""Where the pieces of a cell stand: `2026-11-01`, `T10:00`, `:00.25+09:00`."""

_DAY = "2000-01-01"
_MIDNIGHT = f"{_DAY}T00:00"
_MIDNIGHT_MICROSECONDS = 946_684_800_000_000
_DAY_MICROSECONDS = 86_400_000_000

Moments = NDArray[np.int64]


def moments(
    connection: Any, codes: Sequence[Codes], spellings: Sequence[Sequence[bytes]], zone: ZoneInfo
) -> Moments | None:
    """The time of each cell in microseconds; None where one is no time, or its pieces are not where they usually stand.

    `codes`, `spellings`: of the three pieces. A piece that is right behind or before usual ones is right in its cell:
    day and minute are of one width, and all that follows is read alike after any minute. Raises duckdb.Error.
    """
    parts = []
    for texts, before in zip(spellings, ("", _DAY, _MIDNIGHT), strict=True):
        cells = [before + text.decode("utf-8") for text in texts]
        parts.append(_meant(connection, cells))
    days, minutes, rests = parts
    if any(day is None and text for (day, _), text in zip(days, spellings[0], strict=True)):
        return None
    if any(minute is None for minute, _ in minutes) or (None, None) in rests:
        return None
    missing = np.array([day is None for day, _ in days])[codes[0]]
    total = np.array([day or 0 for day, _ in days], np.int64)[codes[0]]
    for part, of in ((minutes, codes[1]), (rests, codes[2])):
        starts = np.array([instant if local is None else local for local, instant in part], np.int64)
        total += (starts - _MIDNIGHT_MICROSECONDS)[of]
    is_local = np.array([local is not None for local, _ in rests])[codes[2]] & ~missing
    if is_local.any():
        local = total[is_local]
        pieces = offset_pieces(np.unique(local // _DAY_MICROSECONDS).tolist(), zone)
        bounds = np.array([start for start, _ in pieces[1:]], np.int64)
        offsets = np.array([offset for _, offset in pieces], np.int64)
        total[is_local] = local - offsets[np.searchsorted(bounds, local, "right")]
    total[missing] = MISSING
    return total


def _meant(connection: Any, cells: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Each cell as (local time, instant) in microseconds, None where it is not that."""
    connection.execute(
        "CREATE OR REPLACE TABLE raw AS SELECT unnest(?::VARCHAR[]) AS c0, unnest(?::UINTEGER[]) AS code",
        [list(cells), list(range(len(cells)))],
    )
    typed = ", ".join(typed_sql({("t", 0)}))
    found: list[tuple[int | None, int | None]] = connection.execute(
        f"SELECT l0, z0 FROM (SELECT code, {typed} FROM raw) ORDER BY code"
    ).fetchall()
    return found
