"""Sets of people as bitmaps over the dictionary's numbers, and the algebra on them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audsql.meaning.ir import Expression, IdKind, Leaf, atoms_of, fold

__all__ = ["NOBODY", "Hashed", "People", "PeopleSet", "bits_of", "evaluate", "numbers_of", "with_bits"]


@dataclass(frozen=True, slots=True)
class PeopleSet:
    """People by their numbers in the dictionary of `kind`. `bits` is never changed.

    `kind` is None only for the empty set that no atom says anything about.
    """

    kind: IdKind | None
    bits: BitMap


NOBODY = PeopleSet(None, BitMap())


@dataclass(frozen=True, slots=True)
class Hashed:
    """Whoever's hash is in a range, by kind of id: it says something of every kind, and means the kind of the
    sets beside it."""

    by_kind: Mapping[IdKind, BitMap]


People = PeopleSet | Hashed


def bits_of(numbers: NDArray[np.uint32]) -> BitMap:
    return BitMap(array("I", np.ascontiguousarray(numbers, np.uint32).tobytes()))


def numbers_of(people: PeopleSet) -> NDArray[np.uint32]:
    """The numbers, ascending."""
    return np.frombuffer(people.bits.to_array(), np.uint32)


def with_bits(left: PeopleSet, right: PeopleSet, bits: BitMap) -> PeopleSet:
    """A set made of two others, which must be of one kind of id: their numbers mean different people else."""
    if left.kind and right.kind and left.kind != right.kind:
        raise ValueError(f"sets of different ids: {left.kind} and {right.kind}")
    return PeopleSet(left.kind or right.kind, bits)


# A side is a set or the complement of one: there is no list of everybody.
_Side = tuple[bool, PeopleSet]


def evaluate(expression: Expression, people: Mapping[str, People], kind: IdKind | None = None) -> PeopleSet:
    """The set of an expression over these atoms. `kind`: that of its ids, where it is known.

    Raises ValueError where it holds people outside all atoms, KeyError where an atom is not given.
    """
    kind = kind or _kind_of(expression, people)

    def leaf(node: Leaf) -> _Side:
        return False, _of_kind(people[node.key], kind)

    def union(sides: Sequence[_Side]) -> _Side:
        return _flip(_intersection([_flip(side) for side in sides]))

    outside, result = fold(expression, leaf, lambda value: (value, NOBODY), _flip, _intersection, union)
    if outside:
        raise ValueError("the expression holds people that no list names")
    return result


def _kind_of(expression: Expression, people: Mapping[str, People]) -> IdKind | None:
    sets = (people[atom.key] for atom in atoms_of(expression))
    return next((one.kind for one in sets if isinstance(one, PeopleSet) and one.kind is not None), None)


def _of_kind(people: People, kind: IdKind | None) -> PeopleSet:
    if isinstance(people, PeopleSet):
        return people
    return NOBODY if kind is None else PeopleSet(kind, people.by_kind.get(kind, BitMap()))


def _flip(side: _Side) -> _Side:
    return not side[0], side[1]


def _intersection(sides: Sequence[_Side]) -> _Side:
    listed = [people for outside, people in sides if not outside]
    excluded = [people for outside, people in sides if outside]
    without = NOBODY
    for people in excluded:
        without = with_bits(without, people, without.bits | people.bits)
    if not listed:
        return True, without
    # The smallest first keeps what follows small.
    listed.sort(key=lambda people: len(people.bits))
    result = listed[0]
    for people in listed[1:]:
        result = with_bits(result, people, result.bits & people.bits)
    return False, with_bits(result, without, result.bits - without.bits) if excluded else result
