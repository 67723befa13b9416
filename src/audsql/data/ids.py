"""Ids: their shapes, one versioned normaliser for every place that they are read from.

Everything works on whole columns of bytes; no loop over rows. A line of the input is one id; its code
is 0 where it is good, else the number of the diagnostic that it deserves. Rules: specs/data.md, ids.*.
"""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

from audsql.data import phones
from audsql.line.limits import BUSINESS_EMAIL_CHARACTERS_MAX, USER_ID_CHARACTERS
from audsql.meaning.ir import IdKind
from audsql.records import dataclass

__all__ = [
    "NORMALISER_VERSION",
    "Column",
    "Ids",
    "Words",
    "bad_codes",
    "column_of",
    "judged",
    "normalise",
    "read_ids",
    "user_id_texts",
]

NORMALISER_VERSION = 1
Words = NDArray[np.uint64]
Flags = NDArray[np.uint8]
Codes = NDArray[np.uint16]

EMPTY, SEVERAL, QUOTED, FULL_WIDTH, BLANKS, UPPER_CASE, USER_ID_SHAPE = 1013, 1014, 1015, 1016, 1017, 1018, 1019
EMAIL_LENGTH, EMAIL_CHARACTERS, EMAIL_SHAPE, OTHER_SHAPE, EMAIL_PLUS = 1023, 1024, 1025, 1029, 1084

# Per byte: what it says about its line.
_SEPARATOR, _QUOTE, _BLANK, _WIDE, _HIDDEN, _UPPER, _FOREIGN = 1, 2, 4, 8, 16, 32, 64
_CHUNK_LINES = 1 << 16


@dataclass(frozen=True, slots=True)
class Ids:
    """Good ids of one kind in the order of the input, repetitions included.

    User ids are two words each (the 32 digits as 128 bits); other kinds are normalised texts.
    """

    kind: IdKind
    high: Words
    low: Words
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts) if self.kind != "user_id" else len(self.high)


@dataclass(frozen=True, slots=True)
class Column:
    """Lines of bytes: line i is data[starts[i]:ends[i]]; its line ending is outside."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def line(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.ends[index]].tobytes()


def column_of(data: bytes) -> Column:
    """The lines of a text; LF or CRLF ends a line, and the last one may lack it."""
    array = np.frombuffer(data, np.uint8)
    breaks = np.flatnonzero(array == 10)
    starts = np.concatenate(([0], breaks + 1)).astype(np.int64)
    ends = np.concatenate((breaks, [len(array)])).astype(np.int64)
    if starts[-1] == len(array):
        starts, ends = starts[:-1], ends[:-1]
    if b"\r" in data:
        ends = ends - ((ends > starts) & (array[ends - 1] == 13))
    return Column(array, starts, ends)


def bad_codes(column: Column, kind: IdKind, region: str) -> Codes:
    """For each line 0, or the number of the error that it deserves (AUD1013 to AUD1029, AUD1081 to AUD1084)."""
    codes = judged(column, kind, region)
    codes[codes == phones.UNALLOCATED] = 0
    return codes


def judged(column: Column, kind: IdKind, region: str) -> Codes:
    """The same, and AUD1080 for a good line that is worth a warning."""
    if kind == "phone":
        unproven = phones.unproven_lines(column.data.tobytes(), phones.numbering_plan(region))
        return _codes_of_few(column, unproven, kind, region)
    if kind == "user_id":
        good, _, _ = _parse_user_ids(column)
        bad = np.flatnonzero(~good)
        if len(bad) * 10 < len(column):
            return _codes_of_few(column, bad, kind, region)
    return _codes_of_all(column, kind, region)


def _codes_of_all(column: Column, kind: IdKind, region: str) -> Codes:
    flags = _line_flags(column)
    lengths = column.ends - column.starts
    match kind:
        case "user_id":
            codes = np.where(_parse_user_ids(column)[0], 0, _user_id_problem(column, lengths))
        case "email":
            codes = _email_problem(column, lengths, flags)
        case "phone":
            plan = phones.numbering_plan(region)
            lines = column.data.tobytes().replace(b"\r\n", b"\n").split(b"\n")[: len(column)]
            codes = np.array([phones.judge(line, plan) for line in lines], np.int64)
        case "ifa":
            codes = np.where(_ifa_shape(column, lengths), 0, OTHER_SHAPE)
        case "member_id":
            codes = np.zeros(len(column), np.int64)
    return _general_problem(column, kind, lengths, flags, codes.astype(np.uint16))


def read_ids(column: Column, kind: IdKind, region: str) -> tuple[Codes, Ids | None]:
    """The codes of the lines and, where all are good, the ids."""
    if kind == "user_id":
        good, high, low = _parse_user_ids(column)
        if good.all():
            return np.zeros(len(column), np.uint16), Ids(kind, high, low)
    codes = bad_codes(column, kind, region)
    return codes, None if codes.any() else normalise(column, kind)


def _codes_of_few(column: Column, bad: NDArray[np.int64], kind: IdKind, region: str) -> Codes:
    """The same where most lines are known to be good: only the others are looked at."""
    if len(bad) == len(column):
        return _codes_of_all(column, kind, region)
    codes = np.zeros(len(column), np.uint16)
    if len(bad):
        few = column_of(b"\n".join([*map(column.line, bad.tolist()), b""]))
        codes[bad] = _codes_of_all(few, kind, region)
    return codes


def normalise(column: Column, kind: IdKind) -> Ids:
    """The ids of a column whose lines are all good."""
    none = np.empty(0, np.uint64)
    if kind == "user_id":
        _, high, low = _parse_user_ids(column)
        return Ids(kind, high, low)
    if len(column) == 0:
        return Ids(kind, none, none)
    data = column.data.tobytes()
    if kind == "phone":
        data = phones.digits_of(data)
    text = unicodedata.normalize("NFC", data.decode("utf-8").replace("\r\n", "\n"))
    if kind in ("email", "ifa"):
        text = text.lower()
    return Ids(kind, none, none, tuple(text.removesuffix("\n").split("\n")))


def user_id_texts(high: Words, low: Words) -> list[str]:
    """User ids as LINE writes them."""
    words = np.empty((len(high), 2), ">u8")
    words[:, 0], words[:, 1] = high, low
    digits = words.tobytes().hex()
    return [f"U{digits[at : at + 32]}" for at in range(0, len(digits), 32)]


# --- user ids -------------------------------------------------------------------------------------


def _nibbles(letters: str) -> NDArray[np.uint8]:
    table = np.full(256, 255, np.uint8)
    for value, letter in enumerate(letters):
        table[ord(letter)] = value
    return table


_LOWER_HEX = _nibbles("0123456789abcdef")


def _parse_user_ids(column: Column) -> tuple[NDArray[np.bool_], Words, Words]:
    """(good, high, low) a line; the words of a line that is not good mean nothing."""
    good = (column.ends - column.starts) == USER_ID_CHARACTERS
    high, low = np.zeros(len(column), np.uint64), np.zeros(len(column), np.uint64)
    for begin in range(0, len(column), _CHUNK_LINES):
        part = slice(begin, begin + _CHUNK_LINES)
        rows = np.flatnonzero(good[part]) + begin
        letters = _rectangle(column, rows, USER_ID_CHARACTERS)
        digits = _LOWER_HEX[letters[:, 1:]]
        good[rows] = letters[:, 0] == ord("U")
        if digits.max(initial=0) >= 16:
            good[rows] &= digits.max(axis=1) < 16
        words = np.ascontiguousarray((digits[:, 0::2] << 4) | digits[:, 1::2]).view(">u8")
        high[rows], low[rows] = words[:, 0], words[:, 1]
    return good, high, low


def _rectangle(column: Column, rows: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """The first `width` bytes of these lines, none of which is shorter, one line a row."""
    if not len(rows):
        return np.empty((0, width), np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(column.data, width)
    starts = column.starts[rows]
    stride = int(starts[1] - starts[0]) if len(starts) > 1 else 1
    if (np.diff(starts) == stride).all():
        return windows[starts[0] : starts[-1] + 1 : stride]
    return windows[starts]


def _user_id_problem(column: Column, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Capitals where the rest is right, else the wrong shape."""
    codes = np.full(len(column), USER_ID_SHAPE, np.int64)
    for begin in range(0, len(column), _CHUNK_LINES):
        rows = np.flatnonzero(lengths[begin : begin + _CHUNK_LINES] == USER_ID_CHARACTERS) + begin
        letters = _rectangle(column, rows, USER_ID_CHARACTERS) | 32
        shaped = (letters[:, 0] == ord("u")) & (_LOWER_HEX[letters[:, 1:]].max(axis=1, initial=0) < 16)
        codes[rows[shaped]] = UPPER_CASE
    return codes


# --- what all kinds share -------------------------------------------------------------------------


def _byte_flags() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for letters, flag in ((b",;\t", _SEPARATOR), (b'"', _QUOTE), (b" ", _BLANK)):
        table[list(letters)] = flag
    table[0:9] = table[11:13] = table[14:32] = table[127] = _HIDDEN
    table[ord("A") : ord("Z") + 1] = _UPPER
    table[128:] = _FOREIGN
    return table


_BYTE_FLAGS = _byte_flags()


def _line_flags(column: Column) -> Flags:
    """Which kinds of bytes a line holds. Every line but the last has its line ending, so that no
    segment of `reduceat` is empty."""
    flags: Flags = _BYTE_FLAGS[column.data]
    _mark_wide(column.data, flags)
    if not len(column):
        return np.empty(0, np.uint8)
    lines: Flags = np.bitwise_or.reduceat(flags, column.starts)
    return lines


def _mark_wide(data: NDArray[np.uint8], flags: Flags) -> None:
    """Mark full-width forms (U+FF01 to FF5E) and invisible characters, by their UTF-8 bytes."""
    places = np.flatnonzero(data >= 0xC2)
    last = len(data) - 1
    first, second = data[places], data[np.minimum(places + 1, last)]
    third = data[np.minimum(places + 2, last)]
    ef = first == 0xEF
    flags[places[ef & ((second == 0xBC) | ((second == 0xBD) & (third <= 0x9E)))]] |= _WIDE
    hidden = (first == 0xE2) & (second == 0x81)
    hidden |= (first == 0xE2) & (second == 0x80) & ((third <= 0x8F) | (third >= 0xA8) & (third <= 0xAF))
    hidden |= ef & (second == 0xBB) & (third == 0xBF)
    hidden |= (first == 0xE3) & (second == 0x80) & (third == 0x80)
    hidden |= (first == 0xC2) & ((second == 0xA0) | (second == 0xAD))
    flags[places[hidden]] |= _HIDDEN


def _general_problem(column: Column, kind: IdKind, lengths: NDArray[np.int64], flags: Flags, codes: Codes) -> Codes:
    """Sharper reasons than the kind's own, the first that applies."""
    bad = codes != 0
    edge = _edge_blank(column, lengths)
    if kind == "member_id":
        bad = (flags & (_SEPARATOR | _QUOTE | _HIDDEN)) > 0
    if kind in ("phone", "member_id"):
        blank = edge | ((flags & _HIDDEN) > 0)
    else:
        blank = (flags & (_BLANK | _HIDDEN)) > 0
    reasons = (
        (lengths == 0, EMPTY),
        (bad & ((flags & _QUOTE) > 0), QUOTED),
        (bad & ((flags & _SEPARATOR) > 0), SEVERAL),
        (bad & ((flags & _WIDE) > 0), FULL_WIDTH),
        ((bad | edge) & blank, BLANKS),
    )
    return np.select([where for where, _ in reasons], [np.uint16(code) for _, code in reasons], codes)


def _edge_blank(column: Column, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    some = lengths > 0
    first = column.data[np.where(some, column.starts, 0)]
    last = column.data[np.where(some, column.ends - 1, 0)]
    edge: NDArray[np.bool_] = some & ((first == 32) | (last == 32) | (first == 9) | (last == 9))
    return edge


# --- e-mail and advertising ids -------------------------------------------------------------------


def _allowed(letters: bytes) -> NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(letters + b"\r\n")] = True
    return table


_DIGITS = b"0123456789"
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EMAIL = _allowed(_LETTERS + _DIGITS + b"_.@-")


def _counts(column: Column, marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many marked bytes each line holds."""
    total = np.concatenate(([0], np.cumsum(marks, dtype=np.int64)))
    return total[column.ends] - total[column.starts]


def _email_problem(column: Column, lengths: NDArray[np.int64], flags: Flags) -> NDArray[np.int64]:
    at = column.data == ord("@")
    some = lengths > 0
    edge = some & (at[np.where(some, column.starts, 0)] | at[np.where(some, column.ends - 1, 0)])
    others = _counts(column, ~_EMAIL[column.data])
    plus = _counts(column, column.data == ord("+"))
    conditions = [
        (others > 0) & (others == plus),
        others > 0,
        lengths > BUSINESS_EMAIL_CHARACTERS_MAX,
        (_counts(column, at) != 1) | edge,
    ]
    return np.select(conditions, [EMAIL_PLUS, EMAIL_CHARACTERS, EMAIL_LENGTH, EMAIL_SHAPE], 0)


_IFA_LENGTH = 36
_IFA_HYPHENS = (8, 13, 18, 23)


def _ifa_shape(column: Column, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A UUID with its hyphens, of either case."""
    shaped: NDArray[np.bool_] = lengths == _IFA_LENGTH
    for begin in range(0, len(column), _CHUNK_LINES):
        rows = np.flatnonzero(shaped[begin : begin + _CHUNK_LINES]) + begin
        letters = _rectangle(column, rows, _IFA_LENGTH)
        places = np.delete(np.arange(_IFA_LENGTH), _IFA_HYPHENS)
        hexadecimal = _LOWER_HEX[letters[:, places] | np.where(letters[:, places] >= 64, 32, 0).astype(np.uint8)]
        shaped[rows] = (hexadecimal.max(axis=1, initial=0) < 16) & (letters[:, _IFA_HYPHENS] == 45).all(axis=1)
    return shaped
