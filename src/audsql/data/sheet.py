"""A table as it was read, whatever its format and however many files it has: columns, rows, where each row stands.

A sheet gives its rows to the reading engine as text, so that a value means the same in every format. Rules:
specs/data.md, tables.*, jsonl.*, parquet.*.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audsql.data.content import LINES_SHOWN_MAX, line_list
from audsql.data.jsonl import CELL_END, JsonShape, json_rows
from audsql.data.parquet import ParquetShape, cell_sql
from audsql.data.shape import Shape, physical_lines
from audsql.diag import Diagnostic, error
from audsql.records import dataclass
from audsql.source import Span

__all__ = ["Part", "Sheet", "load", "places", "unread_columns"]

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a sheet."""

    file: str
    shape: Shape | JsonShape | ParquetShape


@dataclass(frozen=True, slots=True)
class Sheet:
    """`delimiter`: between cells of delimited files. All parts are of one format."""

    header: tuple[str, ...]
    records: int
    parts: tuple[Part, ...]
    delimiter: str


def places(sheet: Sheet, records: Places) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where the first few of these records (from 0) stand, as the facts `lines` and `rows` of a diagnostic: lines of
    text, rows of Parquet, with their file where there are several. One of the two is empty."""
    bounds = np.cumsum([0, *(part.shape.records for part in sheet.parts)])
    shown: list[str] = []
    for record in np.sort(records)[:LINES_SHOWN_MAX].tolist():
        number = int(np.searchsorted(bounds, record, "right")) - 1
        part = sheet.parts[number]
        inner = np.array([record - bounds[number]], np.int64)
        line = physical_lines(part.shape, inner) if isinstance(part.shape, Shape) else inner + 1
        text = line_list(line.tolist())[0]
        shown.append(text if len(sheet.parts) == 1 else f"{part.file}:{text}")
    by_row = isinstance(sheet.parts[0].shape, ParquetShape)
    return ((), tuple(shown)) if by_row else (tuple(shown), ())


def unread_columns(sheet: Sheet, wanted: Iterable[str], file: str, span: Span | None) -> tuple[Diagnostic, ...]:
    """AUD1068 for each wanted column whose type cannot be named in a condition."""
    found = []
    for column in wanted:
        for part in sheet.parts:
            shape = part.shape
            if isinstance(shape, ParquetShape) and column in shape.header:
                number = shape.header.index(column)
                if not shape.is_read(number):
                    found.append(error("AUD1068", span, file=part.file, column=column, type=shape.types[number]))
                    break
    return tuple(found)


# --- loading --------------------------------------------------------------------------------------


def load(connection: Any, sheet: Sheet, wanted: Sequence[int], copy: Path, span: Span | None) -> tuple[Diagnostic, ...]:
    """The table `raw` of the wanted columns (by number) as text, in the order of the rows; `copy` is where the
    private copy goes. Nothing is guessed: every column is declared.

    Raises duckdb.Error, and OSError where the copy cannot be written. Codes: AUD1010, AUD1069 for what only shows
    when a Parquet file is read.
    """
    shape = sheet.parts[0].shape
    if isinstance(shape, ParquetShape):
        return _load_parquet(connection, sheet, wanted, copy, span)
    if isinstance(shape, JsonShape):
        _load_json(connection, sheet, wanted, copy)
    else:
        _write(copy, (part.shape.body for part in sheet.parts if isinstance(part.shape, Shape)))
        columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(sheet.header)))
        chosen = ", ".join(f"c{number}" for number in wanted)
        _read_csv(connection, chosen, columns, copy, sheet.delimiter, '"')
    return ()


def _read_csv(connection: Any, chosen: str, columns: str, copy: Path, delimiter: str, quote: str) -> None:
    connection.execute(
        f"CREATE TABLE raw AS SELECT {chosen} FROM read_csv(?, auto_detect = false, header = false, delim = ?,"
        " quote = ?, escape = ?, new_line = '\\n', strict_mode = true, null_padding = false,"
        f" ignore_errors = false, columns = {{{columns}}})",
        [str(copy), delimiter, quote, quote],
    )


def _load_json(connection: Any, sheet: Sheet, wanted: Sequence[int], copy: Path) -> None:
    names = [sheet.header[number] for number in wanted]
    escaped = False
    bodies: list[Iterator[bytes]] = []
    for part in sheet.parts:
        if isinstance(part.shape, JsonShape):
            escaped = escaped or part.shape.escaped
            bodies.append(json_rows(part.shape, names))
    _write(copy, (body for parts in bodies for body in parts))
    columns = ", ".join([*(f"'c{number}': 'VARCHAR'" for number in wanted), "'row_end': 'VARCHAR'"])
    chosen = [_unescaped(f"c{number}") if escaped else f"c{number}" for number in wanted]
    _read_csv(connection, ", ".join(chosen), columns, copy, CELL_END, "")


def _unescaped(column: str) -> str:
    resolved = f"json_extract_string('\"' || {column} || '\"', '$')"
    return f"CASE WHEN contains({column}, '\\') THEN {resolved} ELSE {column} END AS {column}"


def _load_parquet(
    connection: Any, sheet: Sheet, wanted: Sequence[int], copy: Path, span: Span | None
) -> tuple[Diagnostic, ...]:
    import duckdb

    names = ", ".join(f"c{number}" for number in range(len(sheet.header)))
    for at, part in enumerate(sheet.parts):
        shape = part.shape
        assert isinstance(shape, ParquetShape)
        _write(copy, (shape.data,))
        cells = [f"{cell_sql(shape.types[number], f'c{number}')} AS c{number}" for number in wanted]
        start = "INSERT INTO raw" if at else "CREATE TABLE raw AS"
        try:
            connection.execute(
                f"{start} SELECT {', '.join(cells)} FROM read_parquet(?, binary_as_string = false,"
                f" hive_partitioning = false, union_by_name = false) AS whole({names})",
                [str(copy)],
            )
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            return (error("AUD1069", span, file=part.file, encrypted=False),)
        copy.unlink()
    found = []
    for number in wanted:
        bad = connection.execute(f"SELECT rowid FROM raw WHERE contains(c{number}, chr(0)) ORDER BY rowid").fetchall()
        if bad:
            lines, rows = places(sheet, np.array([row for (row,) in bad], np.int64))
            found.append(error("AUD1010", span, file=sheet.parts[0].file, count=len(bad), lines=lines, rows=rows))
    return tuple(found)


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        for piece in pieces:
            stream.write(piece)
