"""One key for equal sets, for finding them without comparing each with each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from audsql.meaning import algebra, ir
from audsql.meaning.facts import certain_facts
from audsql.meaning.spaces import Tables

__all__ = ["ATOMS_MAX", "atoms_that_count", "canonical", "related"]

# Above it a key takes too long to make.
ATOMS_MAX = 10

Key = tuple[tuple[str, ...], tuple[int, ...]]


@lru_cache(maxsize=65_536)
def canonical(expression: ir.Expression) -> Key | None:
    """A key that sets share only where they are equal as far as the facts about their own atoms go; equal sets
    hardly ever have different ones. None above ATOMS_MAX atoms. A proof has the last word."""
    if isinstance(expression, ir.Leaf):
        spelled = _spelled(expression.atom)
        if spelled is None:
            return ((expression.key,), (1,))
        return canonical(spelled)
    whole = ir.substitute(expression, _lists(expression))
    atoms = ir.atoms_of(whole)
    if len(atoms) > ATOMS_MAX:
        return None
    keys = [atom.key for atom in atoms]
    space = Tables(len(keys))
    places = {key: index for index, key in enumerate(keys)}
    possible = algebra.feasibility_of(space, places, certain_facts(atoms))
    function = algebra.function_of(whole, space, places, {})
    kept, inside = _without_idle(possible & function, possible & ~function & space.true, len(keys), space)
    return tuple(keys[index] for index in kept), _rows(inside, kept)


def atoms_that_count(expression: ir.Expression) -> int | None:
    """How many atoms the set really depends on; None above ATOMS_MAX atoms."""
    key = canonical(expression)
    return None if key is None else len(key[0])


def related(terms: Sequence[ir.Expression]) -> bool:
    """Whether terms have anything to do with each other: an atom in common, or a fact between their atoms.
    Where they have not, none of them can make another idle."""
    atoms = {atom.key: atom for term in terms for atom in ir.atoms_of(term)}
    if sum(len(ir.atoms_of(term)) for term in terms) > len(atoms):
        return True
    facts = certain_facts(tuple(atoms.values()))
    return bool(facts.implications or facts.exclusions) or any(_spelled(atom) is not None for atom in atoms.values())


def _spelled(atom: ir.Atom) -> ir.Expression | None:
    """`purchased(A, B)` as `purchased(A) OR purchased(B)`; None for any other atom."""
    if not isinstance(atom, ir.Rows) or atom.people:
        return None
    for index, condition in enumerate(atom.rows):
        if isinstance(condition, ir.ColumnIn) and len(condition.values) <= ATOMS_MAX:
            rest = (*atom.rows[:index], *atom.rows[index + 1 :])
            equations = [ir.ColumnCompare(condition.column, "=", value) for value in condition.values]
            return ir.lor(*(ir.leaf(replace(atom, rows=(*rest, one))) for one in equations))
    return None


def _lists(expression: ir.Expression) -> dict[str, ir.Expression]:
    spelled = {atom.key: _spelled(atom) for atom in ir.atoms_of(expression)}
    return {key: one for key, one in spelled.items() if one is not None}


def _without_idle(inside: int, outside: int, count: int, space: Tables) -> tuple[list[int], int]:
    """The variables that count, and the people inside in terms of them: a variable is idle where forgetting it
    leaves nobody both inside and outside."""
    kept: list[int] = []
    for index in range(count):
        wider, narrower = _forgotten(inside, index, space), _forgotten(outside, index, space)
        if wider & narrower:
            kept.append(index)
        else:
            inside, outside = wider, narrower
    return kept, inside


def _forgotten(function: int, index: int, space: Tables) -> int:
    """Whoever is in the function with one or the other value of a variable."""
    column, shift = space.variable(index), 1 << index
    low, high = function & ~column & space.true, function & column
    return low | (high >> shift) | high | (low << shift)


def _rows(function: int, kept: Sequence[int]) -> tuple[int, ...]:
    """The assignments of the kept variables that are inside, as numbers with one bit for each of them."""
    found = []
    for number in range(1 << len(kept)):
        row = sum(1 << index for place, index in enumerate(kept) if number >> place & 1)
        if function >> row & 1:
            found.append(number)
    return tuple(found)
