"""JSON Lines as a table: its columns, its cells by position, and its rows as the engine is given them.

Nothing is parsed into objects, and a number is never converted, so none is rounded. Rules: specs/data.md, jsonl.*.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

import numpy as np
from numpy.typing import NDArray

from audsql.data.content import LINES_SHOWN_MAX, line_list
from audsql.data.jsonscan import Places, Scanned, is_identifying, scan
from audsql.data.shape import RECORD_BYTES_MAX, names_a_person
from audsql.diag import Diagnostic, error
from audsql.records import dataclass
from audsql.source import Span

__all__ = ["CELL_END", "JsonShape", "json_rows", "json_shape"]

CELL_END = "\x01"  # no JSON text holds this byte unescaped
_BLOCK_BYTES = 1 << 22
_SPELLINGS_COMPARED_MAX = 64
_FAULTS = {"blank": "AUD1032", "broken": "AUD1064", "nested": "AUD1065", "twice": "AUD1066"}
Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Block:
    """The cells of some lines: `record` (from 0, within the block), `column`, and where its bytes stand, from
    `begin`."""

    begin: int
    records: int
    record: Numbers
    column: Numbers
    start: Numbers
    length: Numbers


@dataclass(frozen=True, slots=True)
class JsonShape:
    """`data`: the text; `escaped`: whether any of it has escapes. Its lines are its records."""

    header: tuple[str, ...]
    records: int
    data: bytes
    escaped: bool
    blocks: tuple[_Block, ...]


@dataclass(slots=True)
class _Reading:
    """What has been found so far: columns by name, and by each spelling of a key; lines (from 0) by fault."""

    records: int = 0
    escaped: bool = False
    names: dict[str, int] = field(default_factory=dict)
    spellings: dict[bytes, int] = field(default_factory=dict)
    faults: dict[str, list[int]] = field(default_factory=dict)
    no_id: dict[str, list[int]] = field(default_factory=dict)


def json_shape(
    data: bytes, ids: Sequence[str], file: str, span: Span | None
) -> tuple[JsonShape | None, tuple[Diagnostic, ...]]:
    """The cells of a text without bare carriage returns; every fault of form with its lines.

    `ids`: the columns that every line must have, as a text, a whole number or null; '' for the only one.
    Codes: AUD1010 NUL, AUD1030 a key names a person, AUD1032 blank lines, AUD1034 a line that is too long,
    AUD1064 no object, AUD1065 nested, AUD1066 a key twice, AUD1067 no id.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    wanted = [unicodedata.normalize("NFC", name) for name in ids]
    array, reading = np.frombuffer(data, np.uint8), _Reading()
    blocks = []
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _BLOCK_BYTES) + 1 or len(data)
        blocks.append(_read_block(array[start:end], start, wanted, reading))
        start = end
    header = tuple(reading.names)
    if any(names_a_person(name) for name in header):
        return None, (error("AUD1030", span, file=file),)
    problems = _problems(reading, header, file, span)
    shape = JsonShape(header, reading.records, data, reading.escaped, tuple(blocks))
    return (None if problems else shape), problems


def _read_block(block: NDArray[np.uint8], begin: int, ids: Sequence[str], reading: _Reading) -> _Block:
    found = scan(block, RECORD_BYTES_MAX)
    for fault in ("nul", "blank", "broken", "nested", "too_long"):
        lines = np.flatnonzero(getattr(found, fault))
        reading.faults.setdefault(fault, []).extend((lines + reading.records).tolist())
    columns, regular = _columns(block, found, reading)
    records = len(found.blank)
    if not regular:
        _check_twice(found.line, columns, reading)
    for name in ids:
        _check_id(name, found, columns, records, reading)
    reading.records += records
    reading.escaped = reading.escaped or found.escaped
    small = (part.astype(np.int32) for part in (found.line, columns, found.start, found.length))
    return _Block(begin, records, *small)


# --- keys -----------------------------------------------------------------------------------------


def _columns(block: NDArray[np.uint8], found: Scanned, reading: _Reading) -> tuple[Places, bool]:
    """The column of each value; whether every line has the same keys in the same order, each once."""
    columns = np.full(len(found.line), -1, np.int64)
    if not len(columns):
        return columns, True
    per_line = int(np.searchsorted(found.line, found.line[0], "right"))
    even = len(columns) % per_line == 0 and bool((found.line[::per_line] == found.line[per_line - 1 :: per_line]).all())
    if even and per_line <= _SPELLINGS_COMPARED_MAX:
        for at in range(per_line):
            rows = np.arange(at, len(columns), per_line)
            _compare(block, found, rows, _spelling(block, found, at), columns, reading)
    pending = np.flatnonzero(columns < 0)
    regular = even and not len(pending) and len(set(columns[:per_line].tolist())) == per_line
    known = list(reading.spellings)
    for turn in range(_SPELLINGS_COMPARED_MAX):
        if not len(pending):
            break
        spelling = known[turn] if turn < len(known) else _spelling(block, found, int(pending[0]))
        _compare(block, found, pending, spelling, columns, reading)
        pending = pending[columns[pending] < 0]
    for at in pending.tolist():
        columns[at] = _column(_spelling(block, found, at), reading)
    return columns, regular


def _spelling(block: NDArray[np.uint8], found: Scanned, at: int) -> bytes:
    start = int(found.name_start[at])
    return block[start : start + int(found.name_length[at])].tobytes()


def _compare(
    block: NDArray[np.uint8], found: Scanned, rows: Places, spelling: bytes, columns: Places, reading: _Reading
) -> None:
    """Give the column of `spelling` to those of `rows` whose key is spelt so."""
    rows = rows[found.name_length[rows] == len(spelling)]
    same = np.ones(len(rows), bool)
    for at, byte in enumerate(spelling):
        same &= block[found.name_start[rows] + at] == byte
    columns[rows[same]] = _column(spelling, reading)


def _column(spelling: bytes, reading: _Reading) -> int:
    """The number of the column of a key, a new one where it is the first of its name."""
    if spelling not in reading.spellings:
        name = unicodedata.normalize("NFC", json.loads(b'"' + spelling + b'"'))
        reading.spellings[spelling] = reading.names.setdefault(name, len(reading.names))
    return reading.spellings[spelling]


def _check_twice(line: Places, columns: Places, reading: _Reading) -> None:
    cells = np.sort(line * (len(reading.names) + 1) + columns)
    twice = np.unique(cells[1:][cells[1:] == cells[:-1]] // (len(reading.names) + 1))
    reading.faults.setdefault("twice", []).extend((twice + reading.records).tolist())


def _check_id(name: str, found: Scanned, columns: Places, records: int, reading: _Reading) -> None:
    """Lines without the column, or with a value there that is no id."""
    number = reading.names.get(name, -1) if name else 0
    good = np.zeros(records, bool)
    good[found.line[(columns == number) & is_identifying(found.kind)]] = True
    lines = np.flatnonzero(~good) + reading.records
    reading.no_id.setdefault(name, []).extend(lines.tolist())


def _problems(reading: _Reading, header: Sequence[str], file: str, span: Span | None) -> tuple[Diagnostic, ...]:
    found = []
    faults: Mapping[str, list[int]] = reading.faults
    nul = faults.get("nul")
    if nul:
        found.append(error("AUD1010", span, file=file, count=len(nul), lines=_shown(nul), rows=()))
    for fault, code in _FAULTS.items():
        lines = faults.get(fault)
        if lines:
            found.append(error(code, span, file=file, count=len(lines), lines=_shown(lines)))
    too_long = faults.get("too_long")
    if too_long:
        count, shown = len(too_long), _shown(too_long)
        found.append(error("AUD1034", span, file=file, bytes_max=RECORD_BYTES_MAX, count=count, lines=shown))
    if found:
        return tuple(found)
    for name, lines in reading.no_id.items():
        # A column that no line has is told as one, and an upload that names none must have only one.
        if lines and (name in header or (not name and len(header) == 1)):
            column = name or header[0]
            found.append(error("AUD1067", span, file=file, column=column, count=len(lines), lines=_shown(lines)))
    return tuple(found)


def _shown(lines: Sequence[int]) -> tuple[str, ...]:
    return line_list([line + 1 for line in sorted(lines)[:LINES_SHOWN_MAX]])


# --- rows -----------------------------------------------------------------------------------------


def json_rows(shape: JsonShape, columns: Sequence[str]) -> Iterator[bytes]:
    """The cells of these columns, each followed by `CELL_END`, and `-` at the end of a row; escapes stay.

    A column that the shape lacks is empty.
    """
    array = np.frombuffer(shape.data, np.uint8)
    places = np.full(len(shape.header) + 1, -1, np.int64)
    numbers = {name: number for number, name in enumerate(shape.header)}
    for place, name in enumerate(columns):
        if name in numbers:
            places[numbers[name]] = place
    for block in shape.blocks:
        yield _rows(array[block.begin :], block, places, len(columns))


def _rows(array: NDArray[np.uint8], block: _Block, places: Places, columns: int) -> bytes:
    place = places[block.column]
    chosen = place >= 0
    cell = block.record[chosen].astype(np.int64) * (columns + 1) + place[chosen]
    length = np.ones(block.records * (columns + 1), np.int64)
    length[cell] += block.length[chosen]
    length[columns :: columns + 1] = 2
    ends = np.cumsum(length)
    rows = np.full(int(ends[-1]) if len(ends) else 0, ord(CELL_END), np.uint8)
    rows[ends[columns :: columns + 1] - 2] = ord("-")
    rows[ends[columns :: columns + 1] - 1] = ord("\n")
    count = block.length[chosen].astype(np.int64)
    before = np.cumsum(count) - count
    every = np.arange(int(count.sum()))
    source = every + np.repeat(block.start[chosen] - before, count)
    target = every + np.repeat(ends[cell] - length[cell] - before, count)
    rows[target] = array[source]
    return rows.tobytes()
