"""Formulas of the fewest leaves, by a search that leaves nothing out (specs/compile.md, `compile.leaves`).

A formula of k leaves is an AND or an OR of two parts, one of at most k/2 leaves. All functions of few leaves are
listed once; each that can be one of the parts leaves a smaller question for the other. A question is given up where a
bound from below shows that no formula is short enough. The work is counted in steps: the answer is the same on a slow
machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from functools import lru_cache

from audsql.compile.formula import Formula, Literal, Truth, columns, join
from audsql.records import dataclass

__all__ = ["VARIABLES_MAX", "Answer", "at_least", "search"]

VARIABLES_MAX = 6
"""Variables of a function that is searched."""
_PARTS_MAX = 12_000
"""Functions of few leaves that are listed for one number of variables."""
_PART_LEAVES_MAX = 5
STEPS_MAX = 30_000
"""Parts looked at for one function."""


@dataclass(frozen=True, slots=True)
class Answer:
    """No formula has fewer than `least` leaves; `formula` has at most as many as were asked for, if there is one."""

    formula: Formula | None
    least: int


@dataclass(frozen=True, slots=True)
class _Parts:
    """The functions of few leaves by their number, all of at most `leaves_max`; how each is made."""

    levels: tuple[tuple[int, ...], ...]
    made: dict[int, tuple[bool, int, int] | Literal]
    leaves_max: int


@dataclass(slots=True)
class _Search:
    shifts: tuple[tuple[int, int, int], ...]
    parts: _Parts
    steps_left: int
    known: dict[tuple[int, int], tuple[int, Formula | None, int]] = field(default_factory=dict)
    above: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    under: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)


class _OutOfSteps(Exception):
    """The question stays open."""


def at_least(count: int, on: int, off: int, weights: Sequence[int]) -> tuple[int, int]:
    """A number of leaves that every formula takes which is true on the rows `on` and false on `off`, and how many of
    them because the function depends on so many sets.

    Two rows that differ in one variable and must differ in value need a leaf of it. Of the pairs of such rows, E in
    number, a formula takes at least E * E / (on * off) leaves (Khrapchenko 1971).
    """
    return _at_least(_shifts(count, tuple(weights)), on, off)


@lru_cache(maxsize=64)
def _shifts(count: int, weights: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    return tuple((column, 1 << index, weights[index]) for index, column in enumerate(columns(count)))


def _at_least(shifts: Sequence[tuple[int, int, int]], on: int, off: int) -> tuple[int, int]:
    if not on or not off:
        return 0, 0
    pairs = depends = more = 0
    for column, shift, weight in shifts:
        beside = ((on & ~column) << shift | (on & column) >> shift) & off
        if beside:
            pairs += beside.bit_count()
            depends += weight
            more += weight - 1
    squared, sides = pairs * pairs, on.bit_count() * off.bit_count()
    by_pairs = -(-squared // sides) + more
    return max(depends, by_pairs, 1), depends


def search(count: int, on: int, off: int, weights: Sequence[int], positive: Sequence[bool], leaves_max: int) -> Answer:
    """A formula with the fewest leaves, `leaves_max` at most. `positive`: variables that must not be negated.

    `least` is a bound from below whatever comes out; it is above `leaves_max` where there is certainly none.
    """
    least, _ = at_least(count, on, off, weights)
    if count > VARIABLES_MAX or least > leaves_max:
        return Answer(None, least)
    parts = _parts(count, tuple(weights), tuple(positive))
    work = _Search(_shifts(count, tuple(weights)), parts, STEPS_MAX)
    try:
        for leaves in range(max(least, 1), leaves_max + 1):
            found = _made(work, on, off, leaves)
            if found is not None:
                return Answer(found, leaves)
            least = leaves + 1
            if leaves // 2 > parts.leaves_max:
                return Answer(None, leaves)
    except _OutOfSteps:
        return Answer(None, least)
    return Answer(None, least)


# --- the functions of few leaves ------------------------------------------------------------------


@lru_cache(maxsize=32)
def _parts(count: int, weights: tuple[int, ...], positive: tuple[bool, ...]) -> _Parts:
    full = (1 << (1 << count)) - 1
    made: dict[int, tuple[bool, int, int] | Literal] = {}
    levels: list[tuple[int, ...]] = [()]
    for leaves in range(1, _PART_LEAVES_MAX + 1):
        fresh: list[int] = []
        for index, column in enumerate(columns(count)):
            if weights[index] == leaves:
                made[column] = Literal(index, True)
                fresh.append(column)
                if not positive[index]:
                    made[full & ~column] = Literal(index, False)
                    fresh.append(full & ~column)
        for function, how in _pairs(levels, leaves):
            if function not in made and 0 < function < full:
                made[function] = how
                fresh.append(function)
                if len(made) > _PARTS_MAX:
                    return _Parts(tuple(levels), made, leaves - 1)
        levels.append(tuple(fresh))
    return _Parts(tuple(levels), made, _PART_LEAVES_MAX)


def _pairs(levels: Sequence[tuple[int, ...]], leaves: int) -> Iterator[tuple[int, tuple[bool, int, int]]]:
    for less in range(1, leaves // 2 + 1):
        for left in levels[less]:
            for right in levels[leaves - less]:
                yield left & right, (True, left, right)
                yield left | right, (False, left, right)


def _spoken(parts: _Parts, function: int) -> Formula:
    """As deep as a part has leaves."""
    how = parts.made[function]
    if isinstance(how, Literal):
        return how
    conjunction, left, right = how
    return join(conjunction, (_spoken(parts, left), _spoken(parts, right)))


# --- the search -----------------------------------------------------------------------------------


def _made(work: _Search, on: int, off: int, leaves: int) -> Formula | None:
    """A formula of at most so many leaves; as deep as there are leaves. Raises _OutOfSteps."""
    if not on or not off:
        return Truth(bool(on))
    least, found, found_leaves = work.known.get((on, off), (0, None, 0))
    if not least:
        least, _ = _at_least(work.shifts, on, off)
    if found is not None and found_leaves <= leaves:
        return found
    if least > leaves:
        return None
    made = _part(work, on, off, leaves) or _joined(work, on, off, leaves)
    work.known[(on, off)] = (leaves + 1, None, 0) if made is None else (least, made, leaves)
    return made


def _part(work: _Search, on: int, off: int, leaves: int) -> Formula | None:
    """One of the listed functions."""
    for function_leaves, function in _above(work, on):
        if function_leaves > leaves:
            return None
        if not function & off:
            return _spoken(work.parts, function)
    return None


def _joined(work: _Search, on: int, off: int, leaves: int) -> Formula | None:
    done: set[tuple[bool, int]] = set()
    for conjunction, candidates in ((True, _above(work, on)), (False, _under(work, off))):
        for part_leaves, function in candidates:
            if part_leaves * 2 > leaves:
                break
            _step(work)
            rest_on, rest_off = (on, off & function) if conjunction else (on & ~function, off)
            left = rest_off if conjunction else rest_on
            if left == (off if conjunction else on) or (conjunction, left) in done:
                continue
            done.add((conjunction, left))
            rest = _made(work, rest_on, rest_off, leaves - part_leaves)
            if rest is not None:
                return join(conjunction, (_spoken(work.parts, function), rest))
    return None


def _step(work: _Search) -> None:
    work.steps_left -= 1
    if work.steps_left < 0:
        raise _OutOfSteps


def _above(work: _Search, on: int) -> tuple[tuple[int, int], ...]:
    """The listed functions that are true on all of `on`, those of few leaves first."""
    found = work.above.get(on)
    if found is None:
        found = tuple(
            (leaves, function)
            for leaves, level in enumerate(work.parts.levels)
            for function in level
            if not on & ~function
        )
        work.steps_left -= len(work.parts.made) // 20
        work.above[on] = found
    return found


def _under(work: _Search, off: int) -> tuple[tuple[int, int], ...]:
    """The listed functions that are false on all of `off`."""
    found = work.under.get(off)
    if found is None:
        found = tuple(
            (leaves, function)
            for leaves, level in enumerate(work.parts.levels)
            for function in level
            if not off & function
        )
        work.steps_left -= len(work.parts.made) // 20
        work.under[off] = found
    return found
