"""Sets of people as bitmaps over the dictionary's numbers, and the algebra on them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audsql.meaning.ir import Expression, IdKind, Leaf, atoms_of, fold
from audsql.records import dataclass

__all__ = ["NOBODY", "Hashed", "Memo", "People", "PeopleSet", "bits_of", "evaluate", "numbers_of", "with_bits"]


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
    numbers = np.ascontiguousarray(numbers, np.uint32)
    if (numbers[1:] < numbers[:-1]).any():
        numbers = np.sort(numbers)
    return BitMap(array("I", numbers.tobytes()))


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


@dataclass(slots=True)
class Memo:
    """What parts of expressions came to, so that those that audiences share are evaluated once.

    A part is known by its operator and the numbers of its operands, a leaf by the very set that it stands for; sets
    are kept so that none takes another's place. Everything is forgotten once results take more than `bytes_max`.
    """

    bytes_max: int
    bytes: int = 0
    numbers: dict[tuple[object, ...], int] = field(default_factory=dict)
    results: dict[int, _Side] = field(default_factory=dict)
    sets: list[People] = field(default_factory=list)


# A part of an expression: its number in the memo, 0 where it has none, and what it comes to.
_Part = tuple[int, _Side]


def evaluate(
    expression: Expression, people: Mapping[str, People], kind: IdKind | None = None, memo: Memo | None = None
) -> PeopleSet:
    """The set of an expression over these atoms. `kind`: that of its ids, where it is known.

    Raises ValueError where it holds people outside all atoms, KeyError where an atom is not given.
    """
    kind = kind or _kind_of(expression, people)
    if memo is not None and memo.bytes > memo.bytes_max:
        _forget(memo)
    known = 0 if memo is None else len(memo.numbers)

    def leaf(node: Leaf) -> _Part:
        one = people[node.key]
        return _number(memo, one, kind, id(one)), (False, _of_kind(one, kind))

    def intersection(parts: Sequence[_Part]) -> _Part:
        return _known(memo, "and", parts, _intersection)

    def union(parts: Sequence[_Part]) -> _Part:
        return _known(memo, "or", parts, lambda sides: _flip(_intersection([_flip(side) for side in sides])))

    number, (outside, result) = fold(
        expression,
        leaf,
        lambda value: (0, (value, NOBODY)),
        lambda part: (-part[0], _flip(part[1])),
        intersection,
        union,
    )
    if memo is not None and number > known:
        # Seen for the first time and part of nothing yet: most are never asked for again, and fresh memory costs more
        # than an operator.
        fresh = memo.results.pop(number, None)
        memo.bytes -= 0 if fresh is None else _bytes_of(fresh[1].bits)
    if outside:
        raise ValueError("the expression holds people that no list names")
    return result


def _forget(memo: Memo) -> None:
    """Only between two expressions: the numbers of parts mean others afterwards."""
    memo.numbers.clear()
    memo.results.clear()
    memo.sets.clear()
    memo.bytes = 0


def _number(memo: Memo | None, one: People, *name: object) -> int:
    """The number of a leaf in the memo."""
    if memo is None:
        return 0
    if name not in memo.numbers:
        memo.sets.append(one)
    return memo.numbers.setdefault(name, len(memo.numbers) + 1)


def _known(memo: Memo | None, operator: str, parts: Sequence[_Part], made: Callable[[Sequence[_Side]], _Side]) -> _Part:
    """What an operator makes of parts, from the memo where it is there."""
    if memo is None or not all(number for number, _ in parts):
        return 0, made([side for _, side in parts])
    number = memo.numbers.setdefault((operator, *(number for number, _ in parts)), len(memo.numbers) + 1)
    if number not in memo.results:
        side = memo.results[number] = made([side for _, side in parts])
        memo.bytes += _bytes_of(side[1].bits)
    return number, memo.results[number]


def _bytes_of(bits: BitMap) -> int:
    """About what a bitmap takes: two bytes for each, or a bit for each that could be."""
    return min(2 * len(bits), (bits.max() - bits.min()) // 8 + 1) if bits else 1


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
    kind = _one_kind([*listed, *excluded])
    if not listed:
        return True, PeopleSet(kind, _union([people.bits for people in excluded]))
    # The smallest first keeps what follows small.
    listed.sort(key=lambda people: len(people.bits))
    result = listed[0].bits
    for people in listed[1:]:
        result = result & people.bits
    for people in excluded:
        result = result - people.bits
    return False, PeopleSet(kind, result)


def _one_kind(sets: Sequence[PeopleSet]) -> IdKind | None:
    kinds = sorted({people.kind for people in sets if people.kind is not None})
    if len(kinds) > 1:
        raise ValueError(f"sets of different ids: {kinds[0]} and {kinds[1]}")
    return kinds[0] if kinds else None


def _union(sets: Sequence[BitMap]) -> BitMap:
    return sets[0] if len(sets) == 1 else BitMap.union(*sets) if sets else BitMap()
