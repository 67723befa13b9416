"""Sums of products: least ones by prime implicants over truth tables, irredundant ones from decision diagrams."""

from __future__ import annotations

from collections.abc import Sequence

from audsql.meaning.spaces import Diagrams, Tables
from audsql.records import dataclass

__all__ = ["Product", "drawn", "irredundant", "least"]

Product = tuple[tuple[int, bool], ...]
"""Variables with their values, in order."""

_PRIMES_MAX = 1_000
_BRANCHES_MAX = 2_000
_LITERAL_COST = 100
_NEGATION_COST = 1


@dataclass(frozen=True, slots=True)
class _Prime:
    """`rows`: the assignments of the function that the product holds in."""

    product: Product
    rows: int

    @property
    def cost(self) -> int:
        """Fewer literals first, then fewer negated ones, then fewer products."""
        return 1 + sum(_LITERAL_COST + (0 if true else _NEGATION_COST) for _, true in self.product)


def least(tables: Tables, lower: int, upper: int) -> tuple[Product, ...] | None:
    """The products with the fewest literals whose sum lies between both; irredundant, and the least that there
    is unless more than 2,000 choices would have to be tried. None where there are too many prime implicants."""
    if lower == tables.false:
        return ()
    primes = _primes(tables, lower, upper)
    return None if primes is None else _chosen(primes, lower)


def _primes(tables: Tables, lower: int, upper: int) -> list[_Prime] | None:
    """The largest products within `upper` that hold somewhere in `lower`."""
    count = tables.count
    within = [upper] * (1 << count)
    for removed in range(1, 1 << count):
        lowest = (removed & -removed).bit_length() - 1
        within[removed] = _whatever(tables, within[removed & (removed - 1)], lowest)
    found: list[_Prime] = []
    for removed in range(1 << count):
        rows = within[removed]
        for index in range(count):
            if not removed >> index & 1:
                rows &= ~within[removed | 1 << index]
            else:
                rows &= ~tables.variable(index)
        while rows:
            row = (rows & -rows).bit_length() - 1
            rows &= rows - 1
            product = tuple((index, bool(row >> index & 1)) for index in range(count) if not removed >> index & 1)
            held = _rows_of(tables, product) & lower
            if held:
                found.append(_Prime(product, held))
            if len(found) > _PRIMES_MAX:
                return None
    return found


def _whatever(tables: Tables, function: int, index: int) -> int:
    """Where the function holds whatever the variable is."""
    column, width = tables.variable(index), 1 << index
    both = function & ~column & ((function & column) >> width)
    return both | both << width


def _rows_of(tables: Tables, product: Product) -> int:
    rows = tables.true
    for index, true in product:
        column = tables.variable(index)
        rows &= column if true else ~column
    return rows


# --- choosing -----------------------------------------------------------------------------------------


def _chosen(primes: Sequence[_Prime], rows: int) -> tuple[Product, ...]:
    """A least selection that holds in all rows: branch and bound behind a greedy first answer."""
    best = _greedy(primes, rows)
    best_cost = sum(prime.cost for prime in best)
    stack: list[tuple[int, tuple[_Prime, ...], int, Sequence[_Prime]]] = [(rows, (), 0, primes)]
    branches = 0
    while stack and branches < _BRANCHES_MAX:
        left, taken, cost, usable = stack.pop()
        branches += 1
        left, taken, cost, usable = _settled(left, taken, cost, usable)
        if cost >= best_cost:
            continue
        if not left:
            best, best_cost = taken, cost
            continue
        row = _hardest(usable, left)
        options = sorted((prime for prime in usable if prime.rows & row), key=lambda prime: -prime.cost)
        stack.extend((left & ~prime.rows, (*taken, prime), cost + prime.cost, usable) for prime in options)
    return tuple(sorted(prime.product for prime in _irredundant(best, rows)))


def _settled(
    left: int, taken: tuple[_Prime, ...], cost: int, usable: Sequence[_Prime]
) -> tuple[int, tuple[_Prime, ...], int, Sequence[_Prime]]:
    """Take what alone holds in some row and drop what another does better, until neither is there."""
    while left:
        usable = _undominated([_Prime(prime.product, prime.rows & left) for prime in usable if prime.rows & left])
        once = twice = 0
        for prime in usable:
            twice |= once & prime.rows
            once |= prime.rows
        essential = next((prime for prime in usable if prime.rows & once & ~twice), None)
        if essential is None:
            break
        left, taken, cost = left & ~essential.rows, (*taken, essential), cost + essential.cost
    return left, taken, cost, usable


def _undominated(primes: Sequence[_Prime]) -> list[_Prime]:
    kept: list[_Prime] = []
    for prime in sorted(primes, key=lambda one: (one.cost, -one.rows.bit_count(), one.product)):
        if not any(prime.rows | other.rows == other.rows for other in kept):
            kept.append(prime)
    return kept


def _hardest(primes: Sequence[_Prime], left: int) -> int:
    """A row that few of them hold in, as a bit: of the rows outside the most common prime the lowest."""
    rare = left
    for prime in sorted(primes, key=lambda one: -one.rows.bit_count()):
        if rare & ~prime.rows:
            rare &= ~prime.rows
    return rare & -rare


def _greedy(primes: Sequence[_Prime], rows: int) -> tuple[_Prime, ...]:
    left, taken = rows, []
    while left:
        best = max(primes, key=lambda prime: ((prime.rows & left).bit_count() / prime.cost, prime.product))
        taken.append(best)
        left &= ~best.rows
    return _irredundant(tuple(taken), rows)


def _irredundant(taken: tuple[_Prime, ...], rows: int) -> tuple[_Prime, ...]:
    """Without those whose rows the others hold, the dearest first."""
    kept = list(taken)
    for prime in sorted(taken, key=lambda one: -one.cost):
        others = 0
        for other in kept:
            others |= 0 if other is prime else other.rows
        if rows & ~others == 0:
            kept.remove(prime)
    return tuple(kept)


# --- diagrams -----------------------------------------------------------------------------------------


def drawn(diagrams: Diagrams, tables: Tables, function: int) -> int:
    """The function of a truth table as a diagram. Each level halves the table."""
    known: dict[tuple[int, int], int] = {}

    def draw(rows: int, count: int) -> int:
        if rows == 0 or rows == (1 << (1 << count)) - 1:
            return int(rows != 0)
        if (rows, count) not in known:
            half = 1 << (count - 1)
            low, high = draw(rows & ((1 << half) - 1), count - 1), draw(rows >> half, count - 1)
            known[rows, count] = diagrams.choice(diagrams.variable(count - 1), high, low)
        return known[rows, count]

    return draw(function, tables.count)


def irredundant(diagrams: Diagrams, lower: int, upper: int, terms_max: int) -> tuple[Product, ...] | None:
    """An irredundant sum of products between both (Minato 1992); None where it has more than `terms_max`.
    As deep as there are variables."""
    known: dict[tuple[int, int], tuple[tuple[Product, ...], int] | None] = {}

    def walk(low: int, high: int) -> tuple[tuple[Product, ...], int] | None:
        if low == diagrams.false:
            return (), diagrams.false
        if high == diagrams.true:
            return ((),), diagrams.true
        if (low, high) not in known:
            known[low, high] = step(low, high)
        return known[low, high]

    def without(function: int, other: int) -> int:
        return diagrams.conjunction((function, diagrams.negation(other)))

    def step(low: int, high: int) -> tuple[tuple[Product, ...], int] | None:
        top, (low0, low1), (high0, high1) = diagrams.split(low, high)
        zeros, ones = walk(without(low0, high1), high0), walk(without(low1, high0), high1)
        if zeros is None or ones is None:
            return None
        rest = diagrams.disjunction((without(low0, zeros[1]), without(low1, ones[1])))
        free = walk(rest, diagrams.conjunction((high0, high1)))
        if free is None:
            return None
        terms = (
            *(((top, False), *product) for product in zeros[0]),
            *(((top, True), *product) for product in ones[0]),
            *free[0],
        )
        if len(terms) > terms_max:
            return None
        variable = diagrams.variable(top)
        return terms, diagrams.disjunction((diagrams.choice(variable, ones[1], zeros[1]), free[1]))

    found = walk(lower, upper)
    return None if found is None else found[0]
