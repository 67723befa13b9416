"""The signs of JSON Lines found by position, many lines at once: where names and values stand, which lines are bad.

No line is parsed by itself. Quotes pair up within a line, what lies outside of them is a handful of signs, and
those must come in the one order that a flat object has. Rules: specs/data.md, jsonl.*.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audsql.records import dataclass

__all__ = ["LITERAL_BYTES_MAX", "Flags", "Places", "Scanned", "is_identifying", "scan"]

LITERAL_BYTES_MAX = 1_000
Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Ordered: what makes up literals, then what separates, then what is a token of its own.
_LITERAL, _ESCAPE, _BLANK, _LINE_END, _QUOTE, _OPEN, _CLOSE, _COLON, _COMMA, _LIST = range(10)
_TEXT, _WHOLE, _FRACTION, _TRUTH, _NULL, _WRONG = range(6)


def _signs() -> bytes:
    """The sign of each byte, for `bytes.translate`."""
    signs = bytearray(256)
    for byte, sign in zip(
        b' \t"\\{}:,[]\n',
        (_BLANK, _BLANK, _QUOTE, _ESCAPE, _OPEN, _CLOSE, _COLON, _COMMA, _LIST, _LIST, _LINE_END),
        strict=True,
    ):
        signs[byte] = sign
    return bytes(signs)


def _automaton() -> tuple[Bytes, Bytes]:
    """(next state by state and byte, kind of literal by last state); state 0 begins, 1 is a dead end."""
    start, dead, minus, zero, whole, point, fraction, mark, sign, exponent = range(10)
    digits, steps = b"0123456789", np.full((32, 256), dead, np.uint8)
    kinds = np.full(32, _WRONG, np.uint8)
    edges = [(start, b"-", minus), (start, b"0", zero), (minus, b"0", zero), (start, digits[1:], whole),
             (minus, digits[1:], whole), (whole, digits, whole), (zero, b".", point), (whole, b".", point),
             (point, digits, fraction), (fraction, digits, fraction), (zero, b"eE", mark), (whole, b"eE", mark),
             (fraction, b"eE", mark), (mark, b"+-", sign), (mark, digits, exponent), (sign, digits, exponent),
             (exponent, digits, exponent)]  # fmt: skip
    kinds[[zero, whole]], kinds[[fraction, exponent]] = _WHOLE, _FRACTION
    after = exponent
    for word, kind in ((b"true", _TRUTH), (b"false", _TRUTH), (b"null", _NULL)):
        before = start
        for byte in word:
            after += 1
            edges.append((before, bytes((byte,)), after))
            before = after
        kinds[before] = kind
    for before, signs, following in edges:
        steps[before, list(signs)] = following
    return steps, kinds


_SIGNS = _signs()
_STEPS, _KINDS = _automaton()
_ESCAPABLE = np.isin(np.arange(256), list(b'"\\/bfnrtu'))
_DIGIT_VALUES = np.full(256, -1, np.int64)
_DIGIT_VALUES[list(b"0123456789abcdefABCDEF")] = [*range(16), *range(10, 16)]


@dataclass(frozen=True, slots=True)
class Scanned:
    """What the sound lines of a block hold, in order: `line` (from 0) of each value, where its name and its text
    stand, without quotes; `null` has the length 0. Flags are by line, and a line has one at most."""

    line: Places
    name_start: Places
    name_length: Places
    start: Places
    length: Places
    kind: Bytes
    escaped: bool
    blank: Flags
    too_long: Flags
    nul: Flags
    nested: Flags
    broken: Flags


def is_identifying(kind: Bytes) -> Flags:
    """Whether values of these kinds may be ids: texts, whole numbers, null."""
    flags: Flags = (kind == _TEXT) | (kind == _WHOLE) | (kind == _NULL)
    return flags


def scan(block: Bytes, line_bytes_max: int) -> Scanned:
    """Whole lines, each with its line end; no carriage returns."""
    signs = np.frombuffer(bytearray(block.data).translate(_SIGNS), np.uint8)
    ends = np.flatnonzero(signs == _LINE_END)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    too_long = ends - starts > line_bytes_max
    _set_aside(signs, starts, ends, too_long)
    escaped, broken, nul = _escapes(block, signs, ends)
    inside, opening, closing = _texts(block, signs, starts, ends, broken)
    run_starts, run_ends = _edges((signs <= _ESCAPE) & ~inside)
    marks = (signs >= _QUOTE) & ~inside
    marks[run_starts] = True
    tokens = np.flatnonzero(marks)
    counts = np.diff(np.searchsorted(tokens, starts), append=len(tokens))
    blank = (counts == 0) & ~too_long & ~broken
    nested = np.zeros(len(ends), bool)
    if not (broken.any() or nul.any()) and _all_alike(signs, tokens, counts):
        table = tokens.reshape(len(ends), -1)
        names, values = table[:, 1::4].ravel(), table[:, 3::4].ravel()
        value_lines = np.repeat(np.arange(len(ends)), table.shape[1] // 4)
    else:
        line, index, nested = _check_order(block, signs, tokens, counts, broken)
        sound = ~(broken | nested | nul)[line]
        chosen = sound & (index % 4 == 3)
        values, value_lines = tokens[chosen], line[chosen]
        names = tokens[sound & (index % 4 == 1) & (signs[tokens] == _QUOTE)]
    start, length, kind = _values(block, signs, values, (opening, closing), (run_starts, run_ends))
    broken[value_lines[kind == _WRONG]] = True
    name_start = _at(opening, np.searchsorted(closing, names)) + 1
    kept = ~broken[value_lines]
    return Scanned(
        value_lines[kept], name_start[kept], (names - name_start)[kept], start[kept], length[kept], kind[kept], escaped,
        blank, too_long, nul & ~broken, nested, broken & ~blank & ~too_long,
    )  # fmt: skip


def _all_alike(signs: Bytes, tokens: Places, counts: Places) -> bool:
    """Whether every line is a flat object of the same number of keys, as in most files."""
    count = int(counts[0])
    if count < 5 or count % 4 != 1 or not (counts == count).all():
        return False
    kinds = signs[tokens].reshape(-1, count)
    values = kinds[:, 3::4]
    return bool(
        (kinds[:, 0] == _OPEN).all()
        and (kinds[:, -1] == _CLOSE).all()
        and (kinds[:, 1::4] == _QUOTE).all()
        and (kinds[:, 2::4] == _COLON).all()
        and ((values == _QUOTE) | (values <= _ESCAPE)).all()
        and (kinds[:, 4:-1:4] == _COMMA).all()
    )


def _set_aside(signs: Bytes, starts: Places, ends: Places, lines: Flags) -> None:
    """Empty these lines of signs, so that they cannot confuse the others."""
    if lines.any():
        signs[np.repeat(lines, ends - starts + 1)] = _BLANK
        signs[ends] = _LINE_END


def _edges(run: Flags) -> tuple[Places, Places]:
    """Where runs begin, and where they have ended."""
    steps = np.flatnonzero(run[1:] != run[:-1]) + 1
    places = np.concatenate((np.zeros(1, np.int64), steps)) if len(run) and run[0] else steps
    return places[0::2], places[1::2]


def _at(places: Places, index: Places) -> Places:
    """`places[index]`, for any index where there is none to be had: what it gives then is not looked at."""
    if not len(places):
        return np.zeros(len(index), np.int64)
    return places[np.minimum(index, len(places) - 1)]


def _escapes(block: Bytes, signs: Bytes, ends: Places) -> tuple[bool, Flags, Flags]:
    """(whether there are any, lines with one that means nothing, lines with an escaped NUL); escaped quotes lose
    their sign."""
    broken, nul = np.zeros(len(ends), bool), np.zeros(len(ends), bool)
    places = np.flatnonzero(signs == _ESCAPE)
    if not len(places):
        return False, broken, nul
    order = np.arange(len(places))
    fresh = np.concatenate((np.ones(1, bool), places[1:] != places[:-1] + 1))
    offset = order - np.maximum.accumulate(np.where(fresh, order, 0))
    active = places[offset % 2 == 0]
    following = block[active + 1]
    broken[np.searchsorted(ends, active[~_ESCAPABLE[following]])] = True
    signs[active[following == 34] + 1] = _LITERAL
    numbered = active[following == 117]
    digits = _DIGIT_VALUES[np.append(block, np.zeros(8, np.uint8))[numbered[:, None] + np.arange(2, 6)]]
    values = digits @ np.array([4096, 256, 16, 1])
    wrong = (digits < 0).any(axis=1) | _alone(numbered, values)
    broken[np.searchsorted(ends, numbered[wrong])] = True
    nul[np.searchsorted(ends, numbered[~wrong & (values == 0)])] = True
    return True, broken, nul & ~broken


def _alone(places: Places, values: Places) -> Flags:
    """Surrogates that are no half of a pair."""
    high, low = (values >= 0xD800) & (values < 0xDC00), (values >= 0xDC00) & (values < 0xE000)
    joined = np.zeros(len(places), bool)
    joined[1:] = (places[1:] == places[:-1] + 6) & high[:-1] & low[1:]
    flags: Flags = (high & ~np.append(joined[1:], False)) | (low & ~joined)
    return flags


def _texts(block: Bytes, signs: Bytes, starts: Places, ends: Places, broken: Flags) -> tuple[Flags, Places, Places]:
    """(bytes from a quote that opens to the one that closes, opening quotes, closing quotes); a line whose quotes
    do not pair is broken."""
    quotes = np.flatnonzero(signs == _QUOTE)
    broken |= np.bincount(np.searchsorted(ends, quotes), minlength=len(ends)) % 2 == 1
    if broken.any():
        _set_aside(signs, starts, ends, broken)
        quotes = np.flatnonzero(signs == _QUOTE)
    inside: Flags = np.bitwise_xor.accumulate((signs == _QUOTE).view(np.uint8)).view(bool)
    broken[np.searchsorted(ends, np.flatnonzero((block < 32) & inside))] = True
    return inside, quotes[0::2], quotes[1::2]


def _check_order(
    block: Bytes, signs: Bytes, tokens: Places, counts: Places, broken: Flags
) -> tuple[Places, Places, Flags]:
    """(line of each token, its place in the line, lines that hold an object or a list as a value); marks lines whose
    tokens are in another order than a flat object's. The first token that is wrong decides which it is."""
    line = np.repeat(np.arange(len(counts)), counts)
    index, count = np.arange(len(tokens)) - np.repeat(np.cumsum(counts) - counts, counts), counts[line]
    kind, turn = signs[tokens], index % 4
    whole = (kind == _CLOSE) & (((count % 4 == 1) & (count > 1)) | (count == 2))
    value = (kind == _QUOTE) | (kind <= _ESCAPE)
    middle = np.select(
        [index == 0, turn == 1, turn == 2, turn == 3], [kind == _OPEN, kind == _QUOTE, kind == _COLON, value],
        kind == _COMMA,
    )  # fmt: skip
    last = index == count - 1
    wrong = np.flatnonzero(~np.where(last, whole, middle))
    lines, at = np.unique(line[wrong], return_index=True)
    wrong = wrong[at]
    deeper = (turn[wrong] == 3) & ~last[wrong] & ((kind[wrong] == _OPEN) | (block[tokens[wrong]] == 91))
    nested = np.zeros(len(counts), bool)
    nested[lines[deeper]] = True
    broken[lines[~deeper]] = True
    nested &= ~broken
    return line, index, nested


def _values(
    block: Bytes, signs: Bytes, values: Places, texts: tuple[Places, Places], runs: tuple[Places, Places]
) -> tuple[Places, Places, Bytes]:
    """Where the texts of these values begin, how long they are, and what kind each is."""
    is_text = signs[values] == _QUOTE
    start = np.where(is_text, _at(texts[0], np.searchsorted(texts[1], values)) + 1, values)
    end = np.where(is_text, values, _at(runs[1], np.searchsorted(runs[0], values)))
    length = end - start
    kind = np.full(len(values), _TEXT, np.uint8)
    kind[~is_text] = _literals(block, start[~is_text], length[~is_text])
    length[kind == _NULL] = 0
    return start, length, kind


def _literals(block: Bytes, start: Places, length: Places) -> Bytes:
    """The kind of each literal, all of them read sign by sign together."""
    state = np.zeros(len(start), np.uint8)
    state[length > LITERAL_BYTES_MAX] = 1
    left = np.flatnonzero(length <= LITERAL_BYTES_MAX)
    at = 0
    while len(left):
        state[left] = _STEPS[state[left], block[start[left] + at]]
        at += 1
        left = left[length[left] > at]
    return _KINDS[state]
