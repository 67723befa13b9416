"""What the ending of a file's name says: its format, and how it is packed. Rules: specs/data.md, files.*."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from audsql.records import dataclass

__all__ = [
    "COLUMN_FORMATS",
    "DELIMITERS",
    "JSON_LINES",
    "LIST_FORMATS",
    "PACKINGS",
    "PARQUET",
    "TABLE_FORMATS",
    "Kind",
    "is_glob",
    "kind_of",
    "unread_ending",
]

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": ","}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"
PACKINGS = (".gz", ".bz2", ".xz", ".zip")
LIST_FORMATS = (".csv", ".txt", *JSON_LINES, PARQUET)
TABLE_FORMATS = (".csv", ".tsv", *JSON_LINES, PARQUET)
COLUMN_FORMATS = (*TABLE_FORMATS, ".txt")


@dataclass(frozen=True, slots=True)
class Kind:
    """`ending` in lower case with its dot, '' where the member of a zip decides; `packing` likewise, '' for none."""

    ending: str
    packing: str

    @property
    def named(self) -> bool:
        """Whether the values stand under names of columns, without delimiters."""
        return self.ending in (*JSON_LINES, PARQUET)


def kind_of(file: str) -> Kind:
    """The format and the packing that a path names."""
    pure = PurePosixPath(file)
    last = pure.suffix.lower()
    if last not in PACKINGS:
        return Kind(last, "")
    return Kind(PurePosixPath(pure.stem).suffix.lower(), last)


def unread_ending(file: str, formats: Sequence[str]) -> str:
    """The ending that keeps a file from being read, '-' where it has none; '' where all is well."""
    kind = kind_of(file)
    if kind.packing == ".zip" and not kind.ending:
        return ""
    if kind.ending not in formats or (kind.packing and kind.ending == PARQUET):
        return kind.ending + kind.packing or "-"
    return ""


def is_glob(file: str) -> bool:
    return any(sign in file for sign in "*?[")
