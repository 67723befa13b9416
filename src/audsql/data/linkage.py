"""Id linkage: sets of one kind of id as ids of another, through the rows of a table (specs/data.md, linkage.*)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from audsql.data.engine import Engine, LinkageKept, LinkageLoss, LinkKey, Materialised
from audsql.data.engine import People as Somebody
from audsql.data.exclusions import excluded_atoms
from audsql.data.people import PeopleSet, bits_of, numbers_of
from audsql.meaning.ir import Bucket, Expression, Mapped, atoms_of, leaf, lnot, lor
from audsql.records import dataclass

__all__ = ["Links", "added_mappings", "kept_by_another_id", "mapped"]


@dataclass(frozen=True, slots=True)
class Links:
    """The pairs of a linkage, by numbers of the two dictionaries; each pair once, rows without one of them left out."""

    given: NDArray[np.uint32]
    found: NDArray[np.uint32]


def mapped(key: LinkKey, links: Links, people: PeopleSet) -> tuple[PeopleSet, LinkageLoss]:
    """Whoever any of these people is linked to, and what was lost on the way. One to many, both ways."""
    table, kind, to = key
    numbers = numbers_of(people)
    chosen = np.isin(links.given, numbers)
    result = PeopleSet(to, bits_of(np.unique(links.found[chosen])))
    matched = len(np.unique(links.given[chosen]))
    return result, LinkageLoss(table, kind, to, len(numbers), len(numbers) - matched, len(result.bits))


def added_mappings(expression: Expression) -> Iterator[Mapped]:
    """The mapped sets that a set is made of and does not only take away, by key; not those inside others."""
    added = {atom.key for atom in excluded_atoms(lnot(expression))}
    yield from (atom for atom in atoms_of(expression) if isinstance(atom, Mapped) and atom.key in added)


def kept_by_another_id(
    engine: Engine, expression: Expression, read: Materialised, people: Mapping[str, Somebody], result: Somebody
) -> tuple[LinkageKept, ...]:
    """Who is in the result by one id though another one of theirs is excluded inside the set that was mapped.

    `x EXCEPT y` over telephones compares telephones (specs/language/04-sets.md, sets.linkage): somebody with two of
    them stays by the one that `y` does not name. `people`: own atoms by key, `result`: the people of the expression.
    """
    found = []
    for atom in added_mappings(expression):
        inside = {one.key: one for one in atoms_of(atom.inner) if not isinstance(one, Bucket)}
        without = [leaf(one) for one in excluded_atoms(atom.inner) if one.key in inside]
        excluded = Mapped(atom.table, atom.kind, lor(*without), atom.to)
        others = engine.derive((excluded,), people, read) if without else {}
        if excluded.key in others and atom.key in people:
            both = _both(engine, _both(engine, people[atom.key], others[excluded.key]), result)
            if count := engine.count(both):
                found.append(LinkageKept(atom.table, atom.kind, atom.to, count))
    return tuple(found)


def _both(engine: Engine, left: Somebody, right: Somebody) -> Somebody:
    """The people of both sets."""
    _, only_left = engine.delta(left, right)
    return engine.delta(only_left, left)[0]
