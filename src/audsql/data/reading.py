"""From the bytes of a table to its sheet: unpacked, decoded, its form checked, whatever its format.

Rules: specs/data.md, files.*, tables.*, jsonl.*, parquet.*.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from audsql.data.content import Content, decode, unpacked
from audsql.data.endings import COLUMN_FORMATS, DELIMITERS, JSON_LINES, PARQUET, kind_of
from audsql.data.jsonl import JsonShape, json_shape
from audsql.data.lists import bare_returns
from audsql.data.packed import ROWS_MAX, too_much
from audsql.data.parquet import ParquetShape, parquet_shape
from audsql.data.shape import Shape, shape_of
from audsql.data.sheet import Part, Sheet
from audsql.diag import Diagnostic, error
from audsql.source import Span

__all__ = ["read_sheet"]

_Read = tuple[str, Shape | JsonShape | ParquetShape | None, tuple[Diagnostic, ...]]


def read_sheet(
    content: Content, ids: Sequence[str], span: Span | None
) -> tuple[str, Sheet | None, tuple[Diagnostic, ...]]:
    """(encodings, sheet or None, the reasons). `ids`: the declared id columns, '' for the only one.

    Codes: AUD1006 to AUD1013, AUD1030 to AUD1037, AUD1057 to AUD1069.
    """
    files = content.parts or (content,)
    parts, encodings, ending = [], [], ""
    for file in files:
        bare = unpacked(file, COLUMN_FORMATS, span)
        if isinstance(bare, Diagnostic):
            return "", None, (bare,)
        ending = ending or bare.ending or kind_of(bare.file).ending
        encoding, shape, problems = _read_one(bare, ending, ids, span)
        if shape is None:
            return encoding, None, problems
        parts.append(Part(file.file, shape))
        encodings.append(encoding)
    encoding = ", ".join(dict.fromkeys(encodings))
    problems = () if ending in JSON_LINES else _unequal(parts, span)
    if problems:
        return encoding, None, problems
    records = sum(part.shape.records for part in parts)
    if records > ROWS_MAX:
        return encoding, None, (too_much(content.file, span),)
    header = tuple(dict.fromkeys(name for part in parts for name in part.shape.header))
    # A delimited file may have several columns without a name.
    header = header if ending in JSON_LINES else parts[0].shape.header
    return encoding, Sheet(header, records, tuple(parts), DELIMITERS.get(ending, "")), ()


def _read_one(content: Content, ending: str, ids: Sequence[str], span: Span | None) -> _Read:
    if ending == PARQUET:
        return ("parquet", *_with_ids(content, ids, span))
    text = decode(content, span)
    if isinstance(text, Diagnostic):
        return "", None, (text,)
    problems = bare_returns(text.data, content.file, span)
    if problems:
        return text.encoding, None, problems
    if ending in JSON_LINES:
        return (text.encoding, *json_shape(text.data, ids, content.file, span))
    return (text.encoding, *shape_of(text.data, DELIMITERS[ending], content.file, span))


def _with_ids(
    content: Content, ids: Sequence[str], span: Span | None
) -> tuple[ParquetShape | None, tuple[Diagnostic, ...]]:
    """A Parquet file whose id columns may hold ids."""
    shape, problems = parquet_shape(content.data, content.file, span)
    if shape is None:
        return None, problems
    found = []
    for name in ids:
        column = unicodedata.normalize("NFC", name) or shape.header[0]
        if column in shape.header and not shape.is_identifying(shape.header.index(column)):
            kind = shape.types[shape.header.index(column)]
            found.append(error("AUD1068", span, file=content.file, column=column, type=kind))
    return (None if found else shape), tuple(found)


def _unequal(parts: Sequence[Part], span: Span | None) -> tuple[Diagnostic, ...]:
    """AUD1063 for the first file whose header is not that of the first."""
    first = parts[0]
    for part in parts[1:]:
        if part.shape.header != first.shape.header:
            missing = tuple(name for name in first.shape.header if name not in part.shape.header)
            extra = tuple(name for name in part.shape.header if name not in first.shape.header)
            return (error("AUD1063", span, file=part.file, first=first.file, missing=missing, extra=extra),)
    return ()
