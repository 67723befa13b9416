"""Cells of delimited text without quotes, taken from its bytes: user ids as words, other columns as codes.

A code stands for one spelling of a cell, so that what a cell means is found once a spelling and not once a row.
Whatever does not fit here, faults included, gives None, and is read the long way, which tells of it. Rules:
specs/data.md, tables.*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

import numpy as np
from numpy.typing import NDArray

from audsql.data.shape import Shape, plain_blocks, plain_cells
from audsql.data.userids import DIGITS, decoded
from audsql.records import dataclass

__all__ = ["Cells", "Codes", "Piece", "TooMany", "read_cells"]

Words = NDArray[np.uint64]
Places = NDArray[np.int64]
Codes = NDArray[np.uint32]

_PREFIX = ord("U")
_WORD_BYTES = 8
_CELL_BYTES_MAX = 64
# More spellings than that are no saving, nor are these if most cells have one of their own.
_SPELLINGS_MAX = 100_000
_SLOT_BITS = np.uint64(18)
_NO_CODE = np.uint32(0xFFFFFFFF)
_MIXERS = tuple(np.uint64(pow(0x9E3779B97F4A7C15, at, 1 << 64)) for at in range(1, _CELL_BYTES_MAX // _WORD_BYTES + 1))
_HALF = np.uint64(32)
# The first so many bytes of a word, in the order in which they stand in memory.
_FIRST_BYTES = np.array([(1 << (8 * count)) - 1 for count in range(_WORD_BYTES + 1)], np.uint64)


Piece = tuple[int, int, int | None]
"""A part of the cells of a column: the column, from which byte on, and up to which."""


@dataclass(frozen=True, slots=True)
class TooMany:
    """A piece that has too many spellings to be given codes."""

    piece: Piece


@dataclass(slots=True)
class Spellings:
    """The spellings of a column by code. `words`: them in words of eight bytes, filled with NUL, which no text holds;
    `slots`: the code that was put last where the words of a spelling lead."""

    codes: dict[bytes, int] = field(default_factory=dict)
    words: list[Words] = field(default_factory=list)
    slots: Codes = field(default_factory=lambda: np.full(1 << int(_SLOT_BITS), _NO_CODE, np.uint32))


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows in their order: `given` whether there is an id, `high` and `low` the ids of those where there is, and for
    each piece that was asked for a code a row and what the codes stand for."""

    given: NDArray[np.bool_]
    high: Words
    low: Words
    codes: dict[Piece, Codes]
    spellings: dict[Piece, tuple[bytes, ...]]


def read_cells(
    parts: Sequence[Shape], delimiter: str, id_number: int, pieces: Sequence[Piece]
) -> Cells | TooMany | None:
    """The cells of files of one header; None where an id is not a user id, or the files are not what they were."""
    count = sum(part.records for part in parts)
    given, found = np.ones(count, np.bool_), {piece: Spellings() for piece in pieces}
    high, low = np.empty(count, np.uint64), np.empty(count, np.uint64)
    codes = {piece: np.empty(count, np.uint32) for piece in pieces}
    row = ids = 0
    for part in parts:
        array = np.frombuffer(part.data, np.uint8)
        for begin, end in plain_blocks(part.data, part.start):
            ends = plain_cells(array[begin:end], ord(delimiter), len(part.header))
            if ends is None or row + len(ends) > count:
                return None
            block = _Block(_padded(array, begin, end), ends)
            rows = slice(row, row + len(ends))
            words = _user_ids(block, id_number, given[rows])
            if words is None:
                return None
            high[ids : ids + len(words[0])], low[ids : ids + len(words[0])] = words
            ids += len(words[0])
            for piece in pieces:
                if not _encode(block, piece, found[piece], codes[piece][rows]):
                    return TooMany(piece)
            row += len(ends)
    if row != count:
        return None
    return Cells(given, high[:ids], low[:ids], codes, {piece: tuple(one.codes) for piece, one in found.items()})


@dataclass(frozen=True, slots=True)
class _Block:
    """Bytes of whole lines and, so that words may be read past the last cell, some more; where cells end."""

    data: NDArray[np.uint8]
    ends: Places

    def bounds(self, number: int) -> tuple[Places, Places]:
        """(starts, ends) of a column."""
        ends = self.ends[:, number]
        if number:
            return self.ends[:, number - 1] + 1, ends
        starts = np.empty_like(ends)
        starts[0] = 0
        np.add(self.ends[:-1, -1], 1, out=starts[1:])
        return starts, ends

    def words(self, places: Places) -> Words:
        """The eight bytes from each place on."""
        return _every_word(self.data)[places]


def _every_word(data: NDArray[np.uint8]) -> Words:
    """The eight bytes from every byte on."""
    return np.ndarray((len(data) - _WORD_BYTES + 1,), "<u8", data, 0, (1,))


def _padded(array: NDArray[np.uint8], begin: int, end: int) -> NDArray[np.uint8]:
    beyond = end + _CELL_BYTES_MAX + _WORD_BYTES
    if beyond <= len(array):
        return array[begin:beyond]
    return np.concatenate((array[begin:end], np.zeros(_CELL_BYTES_MAX + _WORD_BYTES, np.uint8)))


def _user_ids(block: _Block, number: int, given: NDArray[np.bool_]) -> tuple[Words, Words] | None:
    """The ids of a column, `given` where there is one; None where a cell holds something else."""
    starts, ends = block.bounds(number)
    lengths = ends - starts
    if lengths.min() != DIGITS + 1 or lengths.max() != DIGITS + 1:
        np.greater(lengths, 0, out=given)
        starts = starts[given]
        if not (lengths[given] == DIGITS + 1).all():
            return None
    if not (block.data[starts] == _PREFIX).all():
        return None
    letters = np.empty((DIGITS // _WORD_BYTES, len(starts)), np.uint64)
    for at in range(len(letters)):
        letters[at] = block.words(starts + (1 + at * _WORD_BYTES))
    return decoded(letters)


# --- codes ----------------------------------------------------------------------------------------


def _encode(block: _Block, piece: Piece, spellings: Spellings, out: Codes) -> bool:
    """The code of a piece of each cell; False where there are too many spellings, or too long ones."""
    number, first, stop = piece
    starts, ends = block.bounds(number)
    if stop is not None:
        ends = np.minimum(ends, starts + stop)
    if first:
        starts = np.minimum(starts + first, ends)
    lengths = ends - starts
    longest, shortest = int(lengths.max()), int(lengths.min())
    if longest > _CELL_BYTES_MAX:
        return False
    words = []
    for at in range(max(-(-longest // _WORD_BYTES), len(spellings.words), 1)):
        word = block.words(starts + at * _WORD_BYTES)
        if shortest < (at + 1) * _WORD_BYTES:
            kept = shortest if shortest == longest else lengths
            word &= _FIRST_BYTES[np.clip(kept - at * _WORD_BYTES, 0, _WORD_BYTES)]
        words.append(word)
    slots, codes, known = _slots(words), spellings.codes, len(spellings.codes)
    np.take(spellings.slots, slots.view(np.int64), out=out)
    unknown = _unlike(words, spellings, out)
    if len(unknown):
        bounds = zip(starts[unknown].tolist(), ends[unknown].tolist(), strict=True)
        out[unknown] = [codes.setdefault(block.data[start:end].tobytes(), len(codes)) for start, end in bounds]
    if len(codes) > known:
        _take(words, slots, unknown, out, known, spellings)
    return len(codes) <= _SPELLINGS_MAX


def _slots(words: Sequence[Words]) -> Words:
    mixed = words[0] * _MIXERS[0]
    for word, mixer in zip(words[1:], _MIXERS[1:], strict=False):
        mixed += word * mixer
    mixed ^= mixed >> _HALF
    mixed *= _MIXERS[0]
    mixed >>= np.uint64(64) - _SLOT_BITS
    return mixed


def _unlike(words: Sequence[Words], spellings: Spellings, codes: Codes) -> NDArray[np.intp]:
    """The rows whose slot holds no code, or that of another spelling."""
    if not spellings.words or not len(spellings.words[0]):
        return np.arange(len(codes))
    found = codes != _NO_CODE
    safe = codes if found.all() else np.where(found, codes, 0)
    for at, word in enumerate(words):
        if at < len(spellings.words):
            found &= spellings.words[at].take(safe) == word
        else:
            found &= word == 0
    return np.flatnonzero(~found)


def _take(
    words: Sequence[Words], slots: Words, rows: NDArray[np.intp], codes: Codes, known: int, spellings: Spellings
) -> None:
    """Keep the words and slots of the codes from `known` on, which these rows have."""
    new = rows[codes[rows] >= known]
    _, first = np.unique(codes[new], return_index=True)
    new = new[first]
    spellings.words += [np.zeros(known, np.uint64) for _ in words[len(spellings.words) :]]
    for at, word in enumerate(words):
        spellings.words[at] = np.concatenate((spellings.words[at], word[new]))
    spellings.slots[slots[new].view(np.int64)] = codes[new]
