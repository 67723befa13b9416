"""Whether a file names somebody, whatever its format: for who asks what is known of a person.

Rules: specs/privacy.md, and specs/data.md, files.*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from audsql.data.content import Content, decode, unpacked
from audsql.data.endings import JSON_LINES, PARQUET
from audsql.data.parquet import ParquetShape, parquet_shape
from audsql.data.sheet import Part, Sheet, load
from audsql.diag import Diagnostic

__all__ = ["names_one"]

_PIECE_ROWS = 20_000
_ESCAPE = re.compile(rb"\\u00([0-7][0-9A-Fa-f])")


def names_one(content: Content, texts: Sequence[str], formats: Sequence[str], scratch: Path) -> bool | None:
    """Whether one of these ids stands in a file, or in one of a glob; None where that cannot be known.

    `scratch`: a folder of its own for the working copy. Raises OSError where that cannot be written.
    """
    unknown = False
    for part in content.parts or (content,):
        pieces = _pieces(part, formats, scratch)
        if pieces is None:
            unknown = True
        elif any(_names(piece, texts) for piece in pieces):
            return True
    return None if unknown else False


def _names(data: bytes, texts: Sequence[str]) -> bool:
    folded = data.lower()
    # A telephone number may be written with blanks and hyphens.
    digits = re.sub(rb"[-\s()]", b"", data)
    return any(text.lower().encode() in folded or text.encode() in digits for text in texts)


def _pieces(content: Content, formats: Sequence[str], scratch: Path) -> Iterator[bytes] | None:
    """What stands in one file, as UTF-8 in pieces; None where it cannot be read."""
    bare = unpacked(content, formats, None)
    if isinstance(bare, Diagnostic):
        return None
    if bare.ending == PARQUET:
        shape, _ = parquet_shape(bare.data, bare.file, None)
        return None if shape is None else _parquet_pieces(shape, bare.file, scratch)
    text = decode(bare, None)
    # A file that is no text may still hold an id.
    data = bare.data if isinstance(text, Diagnostic) else text.data
    if bare.ending in JSON_LINES:
        data = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), data)
    return iter((data,))


def _parquet_pieces(shape: ParquetShape, file: str, scratch: Path) -> Iterator[bytes] | None:
    """The columns that may hold ids; None where one is of a type that is not read, and might."""
    import duckdb

    from audsql.data.tables import connect

    if not all(shape.is_read(number) for number in range(len(shape.header))):
        return None
    wanted = [number for number in range(len(shape.header)) if shape.is_identifying(number)]
    if not wanted:
        return iter(())
    sheet = Sheet(shape.header, shape.records, (Part(file, shape),), "")
    try:
        with connect(scratch) as connection:
            problems = load(connection, sheet, wanted, scratch / "rows", None)
            rows = [] if problems else _cells(connection)
    except duckdb.Error:
        return None
    return None if problems else iter(rows)


def _cells(connection: Any) -> list[bytes]:
    rows = connection.execute("SELECT * FROM raw")
    found = []
    while piece := rows.fetchmany(_PIECE_ROWS):
        found.append("\n".join(cell for row in piece for cell in row if cell is not None).encode())
    return found
