"""Upload files: what a destination takes, and how ids are divided into files that it takes.

The order of lines is that of the bytes, so that the same people give the same files whatever made the list.
Rules: specs/operations.md, export.*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from audsql.line.limits import (
    BUSINESS_FILE_BYTES_MAX,
    BUSINESS_FILE_HASHED_BYTES_MAX,
    BUSINESS_FILE_LINES_MAX,
    BUSINESS_HASHED_ID_KINDS,
    BUSINESS_ID_KINDS,
    MANAGER_ID_KINDS,
)
from audsql.records import dataclass

__all__ = ["DESTINATIONS", "Destination", "Limits", "destination_of", "file_name", "pieces"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one file: at most so many lines, and so many bytes with their line ends."""

    lines_max: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class Destination:
    """Where files are uploaded by hand: the kinds of ids that it takes, plain and hashed."""

    name: str
    id_kinds: tuple[str, ...]
    hashed_id_kinds: tuple[str, ...]

    def limits(self, hashed: bool) -> Limits:
        return Limits(BUSINESS_FILE_LINES_MAX, BUSINESS_FILE_HASHED_BYTES_MAX if hashed else BUSINESS_FILE_BYTES_MAX)


DESTINATIONS = (
    Destination("business-manager", BUSINESS_ID_KINDS, BUSINESS_HASHED_ID_KINDS),
    Destination("oa-manager", MANAGER_ID_KINDS, ()),
)


def destination_of(id_kind: str) -> Destination:
    """Where ids of a kind are uploaded where nobody says it; Business Manager where nobody takes them."""
    return next((one for one in DESTINATIONS if id_kind in one.id_kinds), DESTINATIONS[0])


def pieces(lengths: Sequence[int], limits: Limits) -> Iterator[tuple[int, int]]:
    """(first, behind the last) of the lines of each file: each takes as many as it may, in order.

    `lengths`: bytes of each line with its line end; none is above the limit of a file.
    """
    total = np.concatenate(([0], np.cumsum(np.asarray(lengths, np.int64))))
    first, count = 0, len(lengths)
    while first < count:
        behind = int(np.searchsorted(total, total[first] + limits.bytes_max, "right")) - 1
        behind = min(behind, first + limits.lines_max, count)
        yield first, behind
        first = behind


def file_name(stem: str, number: int, count: int, ending: str) -> str:
    """`upload.csv`, or `upload-02-of-12.csv` where there are several: sorted by name, they are in order."""
    if count == 1:
        return f"{stem}{ending}"
    width = len(str(count))
    return f"{stem}-{number:0{width}}-of-{count}{ending}"
