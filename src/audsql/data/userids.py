"""User ids in bulk: lines of text to 128-bit words and back, eight letters at a time.

A user id is `U` and 32 hexadecimal digits in lower case (specs/data.md, ids.user_id). A file of them has lines of
one width, so that the letters of a column stand at a fixed stride, and arithmetic on 64-bit words reads and
writes eight letters at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIGITS", "decoded", "read_lines", "written_lines"]

Words = NDArray[np.uint64]

_PREFIX = ord("U")
_FIELDS = ("first", "second", "third", "fourth")
# Temporaries of so many lines stay in the cache of a core.
_LINES_A_STEP = 8_192
_LINES_A_PIECE = 65_536


def _record(line_end: bytes) -> np.dtype[np.void]:
    """One line: the prefix, four words of eight letters, the line end."""
    names = ["prefix", *_FIELDS, *(f"end{at}" for at in range(len(line_end)))]
    formats = ["u1", *["<u8"] * 4, *["u1"] * len(line_end)]
    offsets = [0, 1, 9, 17, 25, *(33 + at for at in range(len(line_end)))]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": 33 + len(line_end)})


_LINE_BYTES = 33


def _all(byte: int) -> np.uint64:
    """This byte eight times."""
    return np.uint64(int.from_bytes(bytes([byte]) * 8, "little"))


_LETTER, _DIGIT, _SIX, _ONES = _all(0x40), _all(0x30), _all(0x06), _all(0x01)
_LOW_NIBBLE, _HIGH_NIBBLE = _all(0x0F), _all(0xF0)
_NINE, _LETTER_OFFSET = np.uint64(9), np.uint64(0x27)
_4, _6, _8, _16, _32 = (np.uint64(bits) for bits in (4, 6, 8, 16, 32))
_PAIRS, _FOURS, _EIGHTS = np.uint64(0x1001), np.uint64((256 << 16) | 1), np.uint64((65_536 << 32) | 1)
_KEEP_PAIRS, _KEEP_FOURS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_KEEP_HALVES, _KEEP_BYTES = np.uint64(0x000000000000FFFF), np.uint64(0x000000FF000000FF)
_KEEP_NIBBLES = np.uint64(0x000F000F000F000F)


def read_lines(data: bytes) -> tuple[Words, Words] | None:
    """(high, low) of each line where every line is a good id and all lines end alike; None where any is not.

    The last line may lack its line end. Whoever gets None looks at the lines one by one.
    """
    line_end = b"\r\n" if data[_LINE_BYTES : _LINE_BYTES + 1] == b"\r" else b"\n"
    width = _LINE_BYTES + len(line_end)
    whole, rest = divmod(len(data), width)
    if rest not in (0, _LINE_BYTES):
        return None
    count = whole + (rest > 0)
    high, low = np.empty(count, np.uint64), np.empty(count, np.uint64)
    lines = np.frombuffer(data, _record(line_end), whole)
    if not _read(lines, line_end, high, low):
        return None
    last = np.frombuffer(data[whole * width :], _record(b""))
    return (high, low) if _read(last, b"", high[whole:], low[whole:]) else None


def _read(lines: NDArray[np.void], line_end: bytes, high: Words, low: Words) -> bool:
    """Fill `high` and `low`; False as soon as a line is not a good id."""
    size = min(_LINES_A_STEP, len(lines))
    letters, left, right = (np.empty((4, size), np.uint64) for _ in range(3))
    for begin in range(0, len(lines), _LINES_A_STEP):
        part = lines[begin : begin + _LINES_A_STEP]
        count = len(part)
        if not _framed(part, line_end):
            return False
        for at, name in enumerate(_FIELDS):
            letters[at, :count] = part[name]
        if not _decoded(letters[:, :count], left[:, :count], right[:, :count]):
            return False
        words = left[:, :count]
        for at, out in ((0, high), (2, low)):
            np.left_shift(words[at], _32, out=words[at])
            np.bitwise_or(words[at], words[at + 1], out=out[begin : begin + count])
    return True


DIGITS = 32
"""How many hexadecimal digits follow the prefix."""


def decoded(letters: Words) -> tuple[Words, Words] | None:
    """(high, low) of ids whose digits are given as four rows of eight letters each; None where one is no id."""
    left, right = np.empty_like(letters), np.empty_like(letters)
    if not _decoded(letters, left, right):
        return None
    return (left[0] << _32) | left[1], (left[2] << _32) | left[3]


def _framed(lines: NDArray[np.void], line_end: bytes) -> bool:
    framed = bool((lines["prefix"] == _PREFIX).all())
    return framed and all(bool((lines[f"end{at}"] == byte).all()) for at, byte in enumerate(line_end))


def _decoded(letters: Words, left: Words, right: Words) -> bool:
    """Eight letters a word to 32 bits a word in `left`; False where one is no hexadecimal digit in lower case."""
    np.bitwise_and(letters, _LETTER, out=left)
    np.right_shift(left, _6, out=right)
    np.multiply(right, _NINE, out=right)
    np.bitwise_and(letters, _LOW_NIBBLE, out=left)
    np.add(left, right, out=left)
    # A letter is right where its value is below 16 and, written anew, is the letter.
    if np.bitwise_or.reduce(left, axis=None) & _HIGH_NIBBLE:
        return False
    _lettered(left, right)
    if not np.array_equal(right, letters):
        return False
    for factor, bits, kept in ((_PAIRS, _8, _KEEP_PAIRS), (_FOURS, _16, _KEEP_FOURS)):
        np.multiply(left, factor, out=left)
        np.right_shift(left, bits, out=left)
        np.bitwise_and(left, kept, out=left)
    np.multiply(left, _EIGHTS, out=left)
    np.right_shift(left, _32, out=left)
    return True


def _lettered(values: Words, out: Words) -> None:
    """Eight values below 16 as their letters."""
    np.add(values, _SIX, out=out)
    np.right_shift(out, _4, out=out)
    np.bitwise_and(out, _ONES, out=out)
    np.multiply(out, _LETTER_OFFSET, out=out)
    np.add(out, values, out=out)
    np.add(out, _DIGIT, out=out)


def written_lines(high: Words, low: Words) -> Iterator[bytes]:
    """The ids as lines of text, each with a line feed, some tens of thousands at a time."""
    record = _record(b"\n")
    lines = np.empty(min(_LINES_A_PIECE, len(high)), record)
    lines["prefix"], lines["end0"] = _PREFIX, ord("\n")
    for begin in range(0, len(high), _LINES_A_PIECE):
        count = min(_LINES_A_PIECE, len(high) - begin)
        for at in range(0, count, _LINES_A_STEP):
            part = lines[at : min(at + _LINES_A_STEP, count)]
            rows = slice(begin + at, begin + at + len(part))
            for words, names in ((high[rows], _FIELDS[:2]), (low[rows], _FIELDS[2:])):
                part[names[0]] = _letters_of(words >> _32)
                part[names[1]] = _letters_of(words & np.uint64(0xFFFFFFFF))
        yield lines[:count].tobytes()


def _letters_of(values: Words) -> Words:
    """32 bits a word as eight letters, the highest four bits first."""
    spread = (values >> _16) | ((values & _KEEP_HALVES) << _32)
    spread = ((spread >> _8) & _KEEP_BYTES) | ((spread & _KEEP_BYTES) << _16)
    spread = ((spread >> _4) & _KEEP_NIBBLES) | ((spread & _KEEP_NIBBLES) << _8)
    out = np.empty_like(spread)
    _lettered(spread, out)
    return out
