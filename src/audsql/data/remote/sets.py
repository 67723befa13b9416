"""Sets of people as queries, and the algebra on them.

A statement never grows with an expression: past a weight its result is kept as a table and goes on under its name, so
no engine has to read, plan or remember more than that at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from audsql.data.remote.emitter import Statement, difference, intersection, union
from audsql.meaning.ir import Expression, IdKind, Leaf, atoms_of, fold
from audsql.records import dataclass

__all__ = ["NOBODY", "Hashed", "Keep", "People", "RemoteSet", "evaluate", "kind_of_both", "whole_union"]

WEIGHT_MAX = 12
OPERANDS_MAX = 16


@dataclass(frozen=True, slots=True)
class RemoteSet:
    """The people of a query, each once; `statement` None: nobody. `kind` is None only for the empty set that no atom
    says anything about."""

    kind: IdKind | None
    statement: Statement | None


NOBODY = RemoteSet(None, None)


@dataclass(frozen=True, slots=True)
class Hashed:
    """Whoever's hash is in a range, by kind of id: it means the kind of the sets beside it."""

    by_kind: Mapping[IdKind, RemoteSet]


People = RemoteSet | Hashed
Keep = Callable[[Statement], Statement]
"""The same people under a name of their own."""

# A side is a set or the complement of one: there is no list of everybody.
_Side = tuple[bool, RemoteSet]


def kind_of_both(left: RemoteSet, right: RemoteSet) -> IdKind | None:
    """The kind of a set made of two others. Raises ValueError where they are of two kinds."""
    if left.kind and right.kind and left.kind != right.kind:
        raise ValueError(f"sets of different ids: {left.kind} and {right.kind}")
    return left.kind or right.kind


def evaluate(expression: Expression, people: Mapping[str, People], keep: Keep, kind: IdKind | None = None) -> RemoteSet:
    """The set of an expression over these atoms. `kind`: that of its ids, where it is known.

    Raises ValueError where it holds people outside all atoms, KeyError where an atom is not given.
    """
    kind = kind or _kind_of(expression, people)

    def leaf(node: Leaf) -> _Side:
        return False, _of_kind(people[node.key], kind)

    def both(sides: Sequence[_Side]) -> _Side:
        return _intersection(sides, keep)

    def either(sides: Sequence[_Side]) -> _Side:
        return _flip(_intersection([_flip(side) for side in sides], keep))

    outside, result = fold(expression, leaf, lambda value: (value, NOBODY), _flip, both, either)
    if outside:
        raise ValueError("the expression holds people that no list names")
    if result.statement is None or result.statement.weight == 1:
        return result
    return RemoteSet(result.kind, keep(result.statement))


def whole_union(sets: Sequence[RemoteSet], keep: Keep) -> RemoteSet:
    """Everybody of these sets."""
    kind: IdKind | None = None
    for one in sets:
        kind = kind_of_both(RemoteSet(kind, None), one)
    given = list(dict.fromkeys(one.statement for one in sets if one.statement is not None))
    return RemoteSet(kind, _few(union, given, keep)) if given else RemoteSet(kind, None)


def _kind_of(expression: Expression, people: Mapping[str, People]) -> IdKind | None:
    sets = (people[atom.key] for atom in atoms_of(expression))
    return next((one.kind for one in sets if isinstance(one, RemoteSet) and one.kind is not None), None)


def _of_kind(people: People, kind: IdKind | None) -> RemoteSet:
    if isinstance(people, RemoteSet):
        return people
    return NOBODY if kind is None else people.by_kind.get(kind, RemoteSet(kind, None))


def _flip(side: _Side) -> _Side:
    return not side[0], side[1]


def _intersection(sides: Sequence[_Side], keep: Keep) -> _Side:
    listed = [people for outside, people in sides if not outside]
    without = whole_union([people for outside, people in sides if outside], keep)
    if not listed:
        return True, without
    kind = without.kind
    for one in listed:
        kind = kind_of_both(RemoteSet(kind, None), one)
    statements = [one.statement for one in listed if one.statement is not None]
    if len(statements) < len(listed):
        return False, RemoteSet(kind, None)
    result = _few(intersection, list(dict.fromkeys(statements)), keep)
    if without.statement is not None:
        result = _bounded(difference(result, without.statement), keep)
    return False, RemoteSet(kind, result)


def _few(operator: Callable[[Sequence[Statement]], Statement], sets: list[Statement], keep: Keep) -> Statement:
    """One operator over any number of sets, a few at a time."""
    while len(sets) > OPERANDS_MAX:
        parts = [sets[begin : begin + OPERANDS_MAX] for begin in range(0, len(sets), OPERANDS_MAX)]
        sets = [keep(operator(part)) if len(part) > 1 else part[0] for part in parts]
    return _bounded(operator(sets), keep)


def _bounded(statement: Statement, keep: Keep) -> Statement:
    return keep(statement) if statement.weight > WEIGHT_MAX else statement
