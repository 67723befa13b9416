"""128-bit ids in ascending order: sorting them, finding them in one another, joining them. All of it is exact.

The high halves decide nearly always, and everything is laid out for that; ids that share one are told apart by
their low halves, however many somebody forges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audsql.records import dataclass

__all__ = [
    "ABSENT", "Index", "Union", "ascending_order", "distinct", "find", "in_ascending_order", "index_of", "is_sparse",
    "union",
]  # fmt: skip

Words = NDArray[np.uint64]
Places = NDArray[np.uint32]

ABSENT = np.uint32(0xFFFFFFFF)
"""In place of the place of an id that is not there."""

_STEP = 32_768
_STEPS_MAX = 24
_WORD_BITS = 64
# With fewer needles than one in so many entries, searching beats making an index.
_SPARSE = 16


def ascending_order(high: Words, low: Words) -> NDArray[np.int64]:
    """The rows in ascending order of their ids; those of one id in their own order.

    Words that hold the leading bits of an id and its row are sorted, which is several times faster than sorting rows
    by ids. Different ids that agree in those bits are then put right.
    """
    rows, leading = _leading_order(high)
    alike = np.flatnonzero(leading[1:] == leading[:-1])
    before, after = rows[alike], rows[alike + 1]
    wrong = alike[(high[before] != high[after]) | (low[before] != low[after])]
    if len(wrong):
        _put_right(rows, leading, wrong, high, low)
    return rows


def in_ascending_order(high: Words, low: Words) -> tuple[NDArray[np.int64], Words, Words]:
    """The same with the ids in that order, for where many rows share an id."""
    rows, leading = _leading_order(high)
    ordered_high, ordered_low = high[rows], low[rows]
    wrong = (ordered_high[1:] != ordered_high[:-1]) | (ordered_low[1:] != ordered_low[:-1])
    wrong &= leading[1:] == leading[:-1]
    if wrong.any():
        places = _put_right(rows, leading, np.flatnonzero(wrong), high, low)
        ordered_high[places], ordered_low[places] = high[rows[places]], low[rows[places]]
    return rows, ordered_high, ordered_low


def _leading_order(high: Words) -> tuple[NDArray[np.int64], Words]:
    """The rows in ascending order of the leading bits of their ids, and those bits."""
    count = len(high)
    bits = np.uint64(max(count - 1, 1).bit_length())
    mask = (np.uint64(1) << bits) - np.uint64(1)
    packed = high & ~mask
    packed |= np.arange(count, dtype=np.uint64)
    packed.sort()
    leading = packed >> bits
    packed &= mask
    return packed.view(np.int64), leading


def _put_right(
    rows: NDArray[np.int64], leading: Words, wrong: NDArray[np.intp], high: Words, low: Words
) -> NDArray[np.intp]:
    """Sort the rows that share their leading bits where ids side by side differ; which places these are."""
    found: NDArray[np.intp] = np.flatnonzero(np.isin(leading, leading[wrong]))
    some = rows[found]
    rows[found] = some[np.lexsort((low[some], high[some]))]
    return found


def distinct(high: Words, low: Words) -> tuple[Words, Words]:
    """Ids in ascending order without their repetitions."""
    same = np.flatnonzero((high[1:] == high[:-1]) & (low[1:] == low[:-1]))
    if not len(same):
        return high, low
    kept = np.ones(len(high), bool)
    kept[same + 1] = False
    return high[kept], low[kept]


# --- finding --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Index:
    """Where to look in ascending high halves: `starts` the first place of each run of `1 << shift` values."""

    starts: Places
    shift: np.uint64


def index_of(high: Words) -> Index:
    """An index over ascending high halves: about one entry a run where they are spread evenly."""
    bits = min(max(len(high) - 1, 1).bit_length(), 31)
    shift = np.uint64(_WORD_BITS - bits)
    starts = np.zeros((1 << bits) + 1, np.uint32)
    for begin in range(0, len(high), 1 << 20):
        runs = (high[begin : begin + (1 << 20)] >> shift).view(np.int64)
        first = int(runs[0])
        counts = np.bincount(runs - first)
        starts[first + 1 : first + 1 + len(counts)] += counts.astype(np.uint32)
    np.cumsum(starts, dtype=np.uint32, out=starts)
    return Index(starts[:-1], shift)


def find(within: tuple[Words, Words], index: Index | None, high: Words, low: Words) -> Places:
    """The place of each id, given in ascending order, in others in ascending order; `ABSENT` where it is not.

    Without an index, places are searched for.
    """
    found = np.empty(len(high), np.uint32)
    if not len(within[0]):
        found.fill(ABSENT)
        return found
    for begin in range(0, len(high), _STEP):
        part = slice(begin, begin + _STEP)
        some = high[part]
        places = (
            np.searchsorted(within[0], some).astype(np.uint32)
            if index is None
            else index.starts[(some >> index.shift).view(np.int64)]
        )
        found[part] = _walked(within, places, some, low[part])
    return found


def is_sparse(needles: int, entries: int) -> bool:
    """Whether so few ids are looked for that an index does not pay."""
    return needles * _SPARSE < entries


def _walked(within: tuple[Words, Words], places: Places, high: Words, low: Words) -> Places:
    """From places at or before those of the ids, in ascending order, to the right ones."""
    there_high, there_low = within
    last = np.uint32(len(there_high) - 1)
    found = np.full(len(high), ABSENT, np.uint32)
    rows: NDArray[np.int64] | None = None
    for _ in range(_STEPS_MAX):
        at = np.minimum(places, last)
        there = there_high.take(at)
        same = (there == high) & (there_low.take(at) == low) & (places <= last)
        if rows is None:
            found = np.where(same, at, ABSENT)
        else:
            hits = np.flatnonzero(same)
            found[rows[hits]] = at[hits]
        ahead = np.flatnonzero((there <= high) & ~same & (places < last))
        if not len(ahead):
            return found
        rows = ahead if rows is None else rows[ahead]
        places, high, low = places[ahead] + np.uint32(1), high[ahead], low[ahead]
    assert rows is not None
    found[rows] = _merged(within, high, low)
    return found


def _merged(within: tuple[Words, Words], high: Words, low: Words) -> Places:
    """The same by sorting both together: for ids that crowd, by chance or because somebody made them so."""
    start, end = (int(np.searchsorted(within[0], high[at], side)) for at, side in ((0, "left"), (-1, "right")))  # type: ignore[call-overload]
    there_high, there_low = within[0][start:end], within[1][start:end]
    all_high, all_low = np.concatenate((there_high, high)), np.concatenate((there_low, low))
    # The sort is stable: an entry stands before the ids that are equal to it.
    order = np.lexsort((all_low, all_high))
    is_entry = order < len(there_high)
    entry = np.maximum.accumulate(np.where(is_entry, np.arange(len(order)), -1))
    entry = np.where(entry < 0, 0, order[np.maximum(entry, 0)])
    needles = ~is_entry
    rows, entries = order[needles] - len(there_high), entry[needles]
    places = np.full(len(high), ABSENT, np.uint32)
    if not len(there_high):
        return places
    entries = np.minimum(entries, len(there_high) - 1)
    equal = (there_high[entries] == high[rows]) & (there_low[entries] == low[rows])
    places[rows[equal]] = (entries[equal] + start).astype(np.uint32)
    return places


# --- joining --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Union:
    """Ids in ascending order, each once; `places`: for each set that was joined, where its ids stand."""

    high: Words
    low: Words
    places: tuple[Places, ...]


def union(sets: Sequence[tuple[Words, Words]]) -> Union:
    """All ids of sets, each of them in ascending order without repetitions."""
    if len(sets) == 1:
        return Union(*sets[0], (np.arange(len(sets[0][0]), dtype=np.uint32),))
    high = _highs(sets)
    index = index_of(high)
    low = _lows(high, index, sets)
    places = [find((high, low), index, *one) for one in sets]
    if any((found == ABSENT).any() for found in places):
        # Ids share a high half, which happens when somebody wants it to.
        high, low = (np.concatenate([one[half] for one in sets]) for half in (0, 1))
        order = ascending_order(high, low)
        high, low = distinct(high[order], low[order])
        index = index_of(high)
        places = [find((high, low), index, *one) for one in sets]
    return Union(high, low, tuple(places))


def _highs(sets: Sequence[tuple[Words, Words]]) -> Words:
    """The high halves of all ids, each once, in ascending order."""
    high = np.concatenate([one for one, _ in sets])
    high.sort()
    fresh = np.empty(len(high), bool)
    fresh[:1] = True
    np.not_equal(high[1:], high[:-1], out=fresh[1:])
    return high[fresh]


def _lows(high: Words, index: Index, sets: Sequence[tuple[Words, Words]]) -> Words:
    """The low half that stands beside each high half in one of the sets."""
    low = np.zeros(len(high), np.uint64)
    for highs, lows in sets:
        for begin in range(0, len(highs), _STEP):
            part = slice(begin, begin + _STEP)
            low[_place_of_high(high, index, highs[part])] = lows[part]
    return low


def _place_of_high(there: Words, index: Index, high: Words) -> Places:
    """The place of each high half among others that hold it and each once."""
    places: Places = index.starts[(high >> index.shift).view(np.int64)]
    ahead = np.flatnonzero(there.take(places) != high)
    for _ in range(_STEPS_MAX):
        if not len(ahead):
            return places
        moved = places[ahead] + np.uint32(1)
        places[ahead] = moved
        ahead = ahead[there.take(moved) != high[ahead]]
    places[ahead] = np.searchsorted(there, high[ahead]).astype(np.uint32)
    return places
