"""The shape of a delimited text, found on its bytes alone: header, records, physical lines.

This is the independent count that the reading engine must agree with. Nothing is sniffed: the delimiter
follows from the file's ending, a quote is `"`, the first record is the header. Rules: specs/data.md, tables.*.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import field

import numpy as np
from numpy.typing import NDArray

from audsql.data.content import LINES_SHOWN_MAX, line_list
from audsql.diag import Diagnostic, error
from audsql.records import dataclass
from audsql.source import Span

__all__ = [
    "RECORD_BYTES_MAX", "Shape", "names_a_person", "physical_lines", "plain_blocks", "plain_cells", "shape_of",
]  # fmt: skip

RECORD_BYTES_MAX = 1 << 20  # a longer line is a damaged file, or an attack
_BLOCK_BYTES = 1 << 24
_PLAIN_BYTES = 1 << 18
_LF, _QUOTE = 10, 34
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """`data`: the whole text; from `start` on it is the data records, each with its line end. `quoted`: whether any of
    them holds a quote. `folded`: for every line break inside quotes the number of its record (from 0), ascending."""

    header: tuple[str, ...]
    data: bytes
    start: int
    records: int
    header_lines: int
    folded: Places
    quoted: bool = True

    @property
    def body(self) -> memoryview:
        """The data records, where they stand in memory."""
        return memoryview(self.data)[self.start :]


@dataclass(slots=True)
class _Scan:
    """What one pass over the body gathers, block by block."""

    records: int = 0
    inside: int = 0
    fields: int = 0
    record_start: int = 0
    opened_at: int = -1
    misquoted_at: int = -1
    folded: list[Places] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    uneven: list[int] = field(default_factory=list)
    too_long: list[int] = field(default_factory=list)
    blank_count: int = 0
    uneven_count: int = 0
    too_long_count: int = 0


# A LINE user ID, an e-mail address, a telephone number: no name of a column. Where one stands in the first
# line, that line is a row of data, and no message may show it.
_ID = re.compile(r"[Uu][0-9A-Fa-f]{32}|[^@\s]+@[^@\s]+\.[^@\s]+|\+?(?:[-() ]*\d){10,}[-() ]*")


def names_a_person(name: str) -> bool:
    """Whether the name of a column is an id, so that it is none."""
    return _ID.fullmatch(name.strip()) is not None


def shape_of(data: bytes, delimiter: str, file: str, span: Span | None) -> tuple[Shape | None, tuple[Diagnostic, ...]]:
    """Header and records of a text without bare carriage returns; every fault of form with its lines.

    Codes: AUD1030 no header, AUD1033 a name stands twice in the header, AUD1035 a quote is never closed,
    AUD1036 a quote in the wrong place, AUD1037 too few or too many columns, AUD1013 blank lines,
    AUD1034 a line that is too long.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    end = _header_end(data)
    header = _header(data[:end], delimiter)
    if header is None:
        return None, (error("AUD1036", span, file=file, line=1),)
    if not any(header) or any(names_a_person(name) for name in header):
        return None, (error("AUD1030", span, file=file),)
    twice = tuple(sorted({name for name in header if name and header.count(name) > 1}))
    if twice:
        return None, (error("AUD1033", span, file=file, names=twice),)
    start, header_lines = min(end + 1, len(data)), data.count(b"\n", 0, end) + 1
    if start < len(data) and not data.endswith(b"\n"):
        data += b"\n"
    quoted = data.find(b'"', start) >= 0
    records = None if quoted else _plain_records(data, start, delimiter, len(header))
    if records is not None:
        return Shape(header, data, start, records, header_lines, np.empty(0, np.int64), quoted), ()
    scan = _scan(np.frombuffer(data, np.uint8)[start:], ord(delimiter), len(header))
    folded = np.concatenate(scan.folded) if scan.folded else np.empty(0, np.int64)
    shape = Shape(header, data, start, scan.records, header_lines, folded, quoted)
    problems = _problems(shape, scan, file, span)
    return (None if problems else shape), problems


def physical_lines(shape: Shape, records: Places) -> Places:
    """The lines (from 1) on which these records (from 0) begin."""
    lines: Places = records + 1 + shape.header_lines + np.searchsorted(shape.folded, records)
    return lines


def _header_end(data: bytes) -> int:
    """The offset of the line end after the header record."""
    end = data.find(b"\n")
    while end >= 0 and data.count(b'"', 0, end) % 2 and end < RECORD_BYTES_MAX:
        end = data.find(b"\n", end + 1)
    return end if end >= 0 else len(data)


def _header(data: bytes, delimiter: str) -> tuple[str, ...] | None:
    """The names of the header, NFC; None where its quotes are wrong."""
    try:
        text = unicodedata.normalize("NFC", data.decode("utf-8"))
        rows = list(csv.reader(text.split("\n") if '"' not in text else [text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return tuple(rows[0]) if rows else ()


# --- records without quotes -----------------------------------------------------------------------


def plain_blocks(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """(start, end) of blocks of whole lines, small enough to stay in the cache of a core; every line ends."""
    while start < len(data):
        end = data.rfind(b"\n", start, start + _PLAIN_BYTES) + 1 or data.find(b"\n", start) + 1
        yield start, end
        start = end


def plain_cells(block: NDArray[np.uint8], delimiter: int, columns: int) -> Places | None:
    """Where the cells of whole lines without quotes end, a record a row; None where a line has other cells, is empty
    or too long."""
    marks = block == _LF
    records = np.count_nonzero(marks)
    marks |= block == delimiter
    places = np.flatnonzero(marks)
    if len(places) != records * columns:
        return None
    ends = places.reshape(-1, columns)
    # As many lines end here as there are.
    if not (block[ends[:, -1]] == _LF).all():
        return None
    # Where every cell ends as it should, a line is empty only where its one cell is.
    lengths = np.diff(ends[:, -1], prepend=-1)
    good = len(lengths) and lengths.min() > 1 - (columns > 1) and lengths.max() <= RECORD_BYTES_MAX + 1
    return ends if good else None


def _plain_records(data: bytes, start: int, delimiter: str, columns: int) -> int | None:
    """How many records there are; None where anything is wrong with one."""
    array, records = np.frombuffer(data, np.uint8), 0
    for begin, end in plain_blocks(data, start):
        ends = plain_cells(array[begin:end], ord(delimiter), columns)
        if ends is None:
            return None
        records += len(ends)
    return records


# --- one pass over the bytes -----------------------------------------------------------------------


def _scan(body: NDArray[np.uint8], delimiter: int, columns: int) -> _Scan:
    scan = _Scan()
    for begin in range(0, len(body), _BLOCK_BYTES):
        _scan_block(scan, body, begin, delimiter, columns)
    return scan


def _scan_block(scan: _Scan, body: NDArray[np.uint8], begin: int, delimiter: int, columns: int) -> None:
    block = body[begin : begin + _BLOCK_BYTES]
    breaks, delimiters = block == _LF, block == delimiter
    quotes = block == _QUOTE
    if scan.inside or quotes.any():
        inside = np.bitwise_xor.accumulate(quotes.view(np.uint8)) ^ np.uint8(scan.inside)
        _check_quotes(scan, body, np.flatnonzero(quotes) + begin, inside[quotes], delimiter)
        outside = inside == 0
        _fold(scan, np.flatnonzero(breaks & ~outside), np.flatnonzero(breaks & outside))
        breaks, delimiters = breaks & outside, delimiters & outside
        scan.inside = int(inside[-1])
    ends = np.flatnonzero(breaks)
    places = np.flatnonzero(delimiters)
    if not len(ends):
        scan.fields += len(places)
        return
    before = np.searchsorted(places, ends)
    fields = np.diff(before, prepend=0)
    fields[0] += scan.fields
    _check_records(scan, ends + begin, fields, columns)
    scan.fields = len(places) - int(before[-1])
    scan.record_start = int(ends[-1]) + begin + 1
    scan.records += len(ends)


def _fold(scan: _Scan, folded: Places, ends: Places) -> None:
    if len(folded):
        scan.folded.append(np.searchsorted(ends, folded) + scan.records)


def _check_quotes(
    scan: _Scan, body: NDArray[np.uint8], places: Places, opening: NDArray[np.uint8], delimiter: int
) -> None:
    """A quote opens after a delimiter or a line end, closes before one, or is doubled."""
    edges = np.zeros(256, bool)
    edges[[delimiter, _LF, _QUOTE]] = True
    opens = opening == 1
    before = np.where(places > 0, edges[body[places - 1]], True)
    after = np.where(places + 1 < len(body), edges[body[np.minimum(places + 1, len(body) - 1)]], True)
    wrong = places[np.where(opens, ~before, ~after)]
    # Past the first one, which quotes open and which close is anybody's guess.
    if len(wrong) and scan.misquoted_at < 0:
        scan.misquoted_at = int(wrong[0])
    if opens.any():
        scan.opened_at = int(places[opens][-1])


def _check_records(scan: _Scan, ends: Places, fields: Places, columns: int) -> None:
    starts = np.concatenate(([scan.record_start], ends[:-1] + 1))
    blank = ends == starts
    uneven = ~blank & (fields != columns - 1)
    too_long = ends - starts > RECORD_BYTES_MAX
    for where, kept in ((blank, scan.blank), (uneven, scan.uneven), (too_long, scan.too_long)):
        if where.any():
            kept += (np.flatnonzero(where)[:LINES_SHOWN_MAX] + scan.records).tolist()
    scan.blank_count += int(blank.sum())
    scan.uneven_count += int(uneven.sum())
    scan.too_long_count += int(too_long.sum())


def _problems(shape: Shape, scan: _Scan, file: str, span: Span | None) -> tuple[Diagnostic, ...]:
    def line(offset: int) -> int:
        return shape.data.count(b"\n", shape.start, shape.start + offset) + 1 + shape.header_lines

    if scan.misquoted_at >= 0:
        return (error("AUD1036", span, file=file, line=line(scan.misquoted_at)),)
    if scan.inside:
        return (error("AUD1035", span, file=file, line=line(scan.opened_at)),)
    found = []
    if scan.blank_count:
        lines = _record_lines(shape, scan.blank)
        found.append(error("AUD1032", span, file=file, count=scan.blank_count, lines=lines))
    if scan.uneven_count:
        lines, columns = _record_lines(shape, scan.uneven), len(shape.header)
        found.append(error("AUD1037", span, file=file, columns=columns, count=scan.uneven_count, lines=lines))
    if scan.too_long_count:
        lines, count = _record_lines(shape, scan.too_long), scan.too_long_count
        found.append(error("AUD1034", span, file=file, bytes_max=RECORD_BYTES_MAX, count=count, lines=lines))
    return tuple(found)


def _record_lines(shape: Shape, records: Sequence[int]) -> tuple[str, ...]:
    return line_list(physical_lines(shape, np.array(records[:LINES_SHOWN_MAX], np.int64)).tolist())
