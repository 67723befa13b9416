"""Short AND/OR/NOT formulas for Boolean functions that may be left open in places.

Two ways: `shortest` searches over truth tables (few variables, where leaves are scarce: LINE allows ten
a request), `factored` divides a sum of products by its commonest literals (many variables, for reading).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import TypeVar

from audsql.compile.decision import Cube
from audsql.records import dataclass

__all__ = [
    "QUICK",
    "Formula",
    "Joined",
    "Literal",
    "TooLong",
    "Truth",
    "columns",
    "factored",
    "leaves",
    "render",
    "shortest",
    "table",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Truth:
    """A constant."""

    value: bool


@dataclass(frozen=True, slots=True)
class Literal:
    """A variable or its negation."""

    variable: int
    positive: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """The conjunction or the disjunction of two or more operands."""

    conjunction: bool
    operands: tuple[Formula, ...]


Formula = Truth | Literal | Joined


def leaves(formula: Formula) -> tuple[Literal, ...]:
    """The literals in order, a repeated one each time."""
    match formula:
        case Truth():
            return ()
        case Literal():
            return (formula,)
        case Joined(_, operands):
            return tuple(leaf for operand in operands for leaf in leaves(operand))


def render(
    formula: Formula,
    on_literal: Callable[[Literal], T],
    on_truth: Callable[[bool], T],
    on_and: Callable[[Sequence[T]], T],
    on_or: Callable[[Sequence[T]], T],
) -> T:
    """The value of a formula, bottom up."""
    match formula:
        case Truth(value):
            return on_truth(value)
        case Literal():
            return on_literal(formula)
        case Joined(conjunction, operands):
            parts = [render(operand, on_literal, on_truth, on_and, on_or) for operand in operands]
            return on_and(parts) if conjunction else on_or(parts)


def join(conjunction: bool, operands: Iterable[Formula]) -> Formula:
    """A flat join without constants or repetitions, in the order given."""
    flat: dict[Formula, None] = {}
    for operand in operands:
        inner = operand.operands if isinstance(operand, Joined) and operand.conjunction == conjunction else (operand,)
        for part in inner:
            if isinstance(part, Truth):
                if part.value != conjunction:
                    return part
                continue
            flat[part] = None
    if not flat:
        return Truth(conjunction)
    return next(iter(flat)) if len(flat) == 1 else Joined(conjunction, tuple(flat))


# --- truth tables ---------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def columns(count: int) -> tuple[int, ...]:
    """For each of `count` variables the truth table of the variable itself; row r has variable i true
    where bit i of r is set."""
    tables = []
    for index in range(count):
        half = 1 << index
        pattern = ((1 << half) - 1) << half
        width = half * 2
        while width < 1 << count:
            pattern |= pattern << width
            width *= 2
        tables.append(pattern)
    return tuple(tables)


def table(formula: Formula, tables: Sequence[int], full: int) -> int:
    """The truth table of a formula."""

    def conjunction(parts: Sequence[int]) -> int:
        result = full
        for part in parts:
            result &= part
        return result

    def disjunction(parts: Sequence[int]) -> int:
        result = 0
        for part in parts:
            result |= part
        return result

    return render(
        formula,
        lambda literal: tables[literal.variable] if literal.positive else full & ~tables[literal.variable],
        lambda value: full if value else 0,
        conjunction,
        disjunction,
    )


Cost = tuple[int, int, int]


@dataclass(slots=True)
class _Search:
    """`width` bounds how many literals are tried at a step; past `steps_left` it is one."""

    literals: tuple[tuple[Literal, int, Cost], ...]
    full: int
    tables: tuple[int, ...]
    width: int
    steps_left: int
    known: dict[tuple[int, int], tuple[Cost, Formula]] = field(default_factory=dict)


QUICK: tuple[int, ...] = (1,)
_STEPS_MAX = 400
_SMALL_VARIABLES_MAX = 6
"""Variables up to which a formula is found whatever its length."""
_LARGE_STEPS_MAX = 150
_TERMS_MAX = 64
"""Products of a sum, beyond the small: ten leaves can be written with 36."""


class TooLong(Exception):
    """A function of many variables has no short formula, as far as the search went."""


def shortest(
    count: int,
    on: int,
    off: int,
    weights: Sequence[int],
    penalties: Sequence[int],
    *,
    negatable: bool = True,
    widths: Sequence[int] = (),
) -> Formula:
    """A formula true on the rows `on`, false on `off` and either elsewhere, with few leaves.

    `weights`: what a leaf of each variable counts. `penalties`: what a negated one costs where leaves are
    equal. Without `negatable` no literal is negated (the rows must allow it). Small cases come out
    shortest; large ones are searched by the most promising literals only. `widths`: how many literals are
    tried at each step, one pass after the other; by the number of variables where not given. Raises TooLong, with more
    than six variables only.
    """
    return _shortest(count, on, off, tuple(weights), tuple(penalties), negatable, tuple(widths))


# The deliveries of a project are much alike: most ask for the formula of a truth table seen before.
@lru_cache(maxsize=4_096)
def _shortest(
    count: int,
    on: int,
    off: int,
    weights: tuple[int, ...],
    penalties: tuple[int, ...],
    negatable: bool,
    widths: tuple[int, ...],
) -> Formula:
    tables = columns(count)
    full = (1 << (1 << count)) - 1
    literals: list[tuple[Literal, int, Cost]] = []
    for index in range(count):
        literals.append((Literal(index, True), tables[index], (weights[index], 0, 0)))
        if negatable:
            cost = (weights[index], penalties[index], 1)
            literals.append((Literal(index, False), full & ~tables[index], cost))
    costs = {literal: cost for literal, _, cost in literals}
    best: tuple[Cost, Formula] | None = None
    for formula in _covers(tables, full, on, off):
        if all(leaf in costs for leaf in leaves(formula)):
            best = _better(best, _total(formula, costs), formula)
    least = sum(weights[index] for index in range(count) if _matters(tables[index], 1 << index, on, off))
    for width in widths or _widths(count):
        if best is not None and best[0][0] <= least:
            break
        steps = _STEPS_MAX if count <= _SMALL_VARIABLES_MAX else _LARGE_STEPS_MAX
        search = _Search(tuple(literals), full, tables, width, steps)
        try:
            best = _better(best, *_find(search, on, off))
        except TooLong:
            break
        if search.steps_left <= 0:
            break
    if best is None:
        raise TooLong
    return best[1]


def _matters(column: int, shift: int, on: int, off: int) -> bool:
    """Whether two rows that differ in this variable alone must differ in value: then it takes a leaf."""
    return bool(((on & ~column) << shift | (on & column) >> shift) & off)


def _widths(count: int) -> tuple[int, ...]:
    if count <= 6:
        return (1, 2, 4, 8)
    return (1, 2, 3) if count <= 9 else QUICK


def _total(formula: Formula, costs: Mapping[Literal, Cost]) -> Cost:
    total: Cost = (0, 0, 0)
    for leaf in leaves(formula):
        total = _add(total, costs[leaf])
    return total


def _covers(tables: Sequence[int], full: int, on: int, off: int) -> Iterator[Formula]:
    """Sums of products of the function, and products of sums, with common literals taken out."""
    terms_max = _TERMS_MAX if len(tables) > _SMALL_VARIABLES_MAX else 1 << len(tables)
    for rows, others, positive in ((on, off, True), (off, on, False)):
        try:
            made = factored(_cubes(tables, full, rows, full & ~others, len(tables), terms_max)[0])
        except TooLong:
            continue
        yield made if positive else _opposite(made)


def _opposite(formula: Formula) -> Formula:
    match formula:
        case Truth(value):
            return Truth(not value)
        case Literal(variable, positive):
            return Literal(variable, not positive)
        case Joined(conjunction, operands):
            return join(not conjunction, (_opposite(operand) for operand in operands))


def _cubes(
    tables: Sequence[int], full: int, lower: int, upper: int, count: int, terms_max: int
) -> tuple[tuple[Cube, ...], int]:
    """An irredundant sum of products between two truth tables (Minato 1992), and its own table. Raises TooLong."""
    if not lower:
        return (), 0
    if upper == full:
        return ((),), full
    index, column, shift = count - 1, tables[count - 1], 1 << (count - 1)

    def fixed(rows: int) -> tuple[int, int]:
        low, high = rows & ~column & full, rows & column
        return low | low << shift, high | high >> shift

    (lower0, lower1), (upper0, upper1) = fixed(lower), fixed(upper)
    cubes0, made0 = _cubes(tables, full, lower0 & ~upper1, upper0, index, terms_max)
    cubes1, made1 = _cubes(tables, full, lower1 & ~upper0, upper1, index, terms_max)
    rest, made = _cubes(tables, full, (lower0 & ~made0) | (lower1 & ~made1), upper0 & upper1, index, terms_max)
    terms = (*(((index, False), *cube) for cube in cubes0), *(((index, True), *cube) for cube in cubes1), *rest)
    if len(terms) > terms_max:
        raise TooLong
    return terms, (made0 & ~column) | (made1 & column) | made


def _add(left: Cost, right: Cost) -> Cost:
    return (left[0] + right[0], left[1] + right[1], left[2] + right[2])


def _find(search: _Search, on: int, off: int) -> tuple[Cost, Formula]:
    if not on:
        return (0, 0, 0), Truth(False)
    if not off:
        return (0, 0, 0), Truth(True)
    known = search.known.get((on, off))
    if known is None:
        search.steps_left -= 1
        if search.steps_left < -_LARGE_STEPS_MAX and len(search.tables) > _SMALL_VARIABLES_MAX:
            raise TooLong
        known = _single(search, on, off) or _dominated(search, on, off) or _split(search, on, off)
        search.known[(on, off)] = known
    return known


def _single(search: _Search, on: int, off: int) -> tuple[Cost, Formula] | None:
    fitting = [(cost, literal) for literal, truth, cost in search.literals if not on & ~truth and not off & truth]
    return min(fitting, key=lambda pair: pair[0]) if fitting else None


def _dominated(search: _Search, on: int, off: int) -> tuple[Cost, Formula] | None:
    """`literal AND rest` or `literal OR rest`, where a literal contains, or is contained in, the function."""
    moves: list[tuple[int, Cost, Literal, bool, int, int]] = []
    for literal, truth, cost in search.literals:
        if not on & ~truth and off & ~truth:
            moves.append(((off & ~truth).bit_count(), cost, literal, True, on, off & truth))
        if not off & truth and on & truth:
            moves.append(((on & truth).bit_count(), cost, literal, False, on & ~truth, off))
    if not moves:
        return None
    moves.sort(key=lambda move: (-move[0], move[1]))
    best: tuple[Cost, Formula] | None = None
    for _, cost, literal, conjunction, rest_on, rest_off in moves[: _width(search)]:
        if best is not None and search.steps_left <= 0:
            break
        rest_cost, rest = _find(search, rest_on, rest_off)
        best = _better(best, _add(cost, rest_cost), join(conjunction, (literal, rest)))
    return best


def _split(search: _Search, on: int, off: int) -> tuple[Cost, Formula]:
    """`(literal AND x) OR y` and `(literal OR x) AND y`, over the most promising literals."""
    ranked = sorted(
        search.literals,
        key=lambda entry: (
            -((on & entry[1]).bit_count() - (on & ~entry[1]).bit_count())
            - ((off & ~entry[1]).bit_count() - (off & entry[1]).bit_count())
        ),
    )
    useful = [entry for entry in ranked if on & entry[1] and off & ~entry[1]]
    best: tuple[Cost, Formula] | None = None
    for literal, truth, cost in useful[: _width(search)]:
        if best is not None and search.steps_left <= 0:
            break
        if on & ~truth:
            rest_cost, rest = _find(search, on & ~truth, off)
            done = table(rest, search.tables, search.full)
            part_cost, part = _find(search, on & truth & ~done, off & truth)
            total = _add(cost, _add(rest_cost, part_cost))
            best = _better(best, total, join(False, (join(True, (literal, part)), rest)))
        if off & truth:
            rest_cost, rest = _find(search, on, off & truth)
            done = table(rest, search.tables, search.full)
            part_cost, part = _find(search, on & ~truth, off & ~truth & done)
            total = _add(cost, _add(rest_cost, part_cost))
            best = _better(best, total, join(True, (join(False, (literal, part)), rest)))
    if best is None:
        raise ValueError("no literal tells the rows apart: a negated one is needed and not allowed")
    return best


def _width(search: _Search) -> int:
    return search.width if search.steps_left > 0 else 1


def _better(best: tuple[Cost, Formula] | None, cost: Cost, formula: Formula) -> tuple[Cost, Formula]:
    return (cost, formula) if best is None or cost < best[0] else best


# --- factoring ------------------------------------------------------------------------------------


def factored(cubes: Iterable[Cube]) -> Formula:
    """A sum of products with common literals taken out, and equal remainders joined again."""
    terms = {frozenset(cube) for cube in cubes}
    return _factor(frozenset(terms))


def _factor(terms: frozenset[frozenset[tuple[int, bool]]]) -> Formula:
    if not terms:
        return Truth(False)
    if frozenset() in terms:
        return Truth(True)
    counts = Counter(entry for term in terms for entry in term)
    entry, count = max(counts.items(), key=lambda pair: (pair[1], -pair[0][0], pair[0][1]))
    if count == 1:
        return _sum(join(True, (Literal(*item) for item in sorted(term))) for term in _ordered(terms))
    quotient = frozenset(term - {entry} for term in terms if entry in term)
    rest = frozenset(term for term in terms if entry not in term)
    return _sum((join(True, (Literal(*entry), _factor(quotient))), _factor(rest)))


def _ordered(terms: Iterable[frozenset[tuple[int, bool]]]) -> list[frozenset[tuple[int, bool]]]:
    return sorted(terms, key=sorted)


def _sum(parts: Iterable[Formula]) -> Formula:
    """A disjunction; `a AND x` and `b AND x` become `(a OR b) AND x`."""
    total = join(False, parts)
    if not isinstance(total, Joined) or total.conjunction:
        return total
    groups: dict[tuple[Formula, ...], list[Formula]] = {}
    for operand in total.operands:
        if isinstance(operand, Joined):
            groups.setdefault(operand.operands[1:], []).append(operand.operands[0])
        else:
            groups.setdefault((operand,), [])
    merged: Mapping[tuple[Formula, ...], list[Formula]] = groups
    joined = (join(True, (join(False, heads), *rest)) if heads else rest[0] for rest, heads in merged.items())
    return join(False, joined)
