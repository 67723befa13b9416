"""How two sets lie to each other, proved, with an example person for each region that is not empty."""

from __future__ import annotations

from typing import Literal

from audsql.meaning import ir
from audsql.meaning.algebra import Undecided, witnesses
from audsql.records import dataclass

__all__ = ["Kind", "Relation", "Undecided", "relation"]

Kind = Literal["equal", "narrower", "wider", "overlapping", "disjoint"]


@dataclass(frozen=True, slots=True)
class Relation:
    """How `left` lies to `right`. The regions hold the atoms (keys) of one possible person, None where nobody
    can be there: in left only, in right only, in both."""

    kind: Kind
    left_only: frozenset[str] | None
    right_only: frozenset[str] | None
    both: frozenset[str] | None


def relation(left: ir.Expression, right: ir.Expression) -> Relation:
    """`left` against `right` in every possible world (specs/language/09-algebra.md, `algebra.relation`).

    Two empty sets are equal; an empty one is narrower than any other. Raises Undecided beyond the stated
    limits, never guesses.
    """
    both = ir.land(left, right)
    if left == right:
        return Relation("equal", None, None, witnesses((both,))[0])
    only_left, only_right = ir.land(left, ir.lnot(right)), ir.land(right, ir.lnot(left))
    found = witnesses((only_left, only_right, both))
    return Relation(_kind(*found), *found)


def _kind(left_only: frozenset[str] | None, right_only: frozenset[str] | None, both: frozenset[str] | None) -> Kind:
    if left_only is None:
        return "equal" if right_only is None else "narrower"
    if right_only is None:
        return "wider"
    return "disjoint" if both is None else "overlapping"
