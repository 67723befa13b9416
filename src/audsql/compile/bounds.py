"""What own data alone says about a set: who is surely in it, and who can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from audsql.compile import cofactor, decision
from audsql.compile.cofactor import Split, express
from audsql.compile.uploads import cell_function, own_expression
from audsql.meaning import ir

__all__ = ["TooMany", "bounds"]

TooMany = cofactor.TooMany


@lru_cache(maxsize=8_192)
def bounds(expression: ir.Expression) -> tuple[ir.Expression, ir.Expression | None]:
    """(low, high): own-only expressions between which the set lies, whatever LINE holds.

    low: listable people who are in it under every assignment of line and attribute atoms that certain facts
    allow; high: under some. high is None where people unknown to own data can be in it. Both are false where
    all own atoms are, so an engine can count them. An expression of own atoms alone is its own bound.
    Raises TooMany.
    """
    own = [atom for atom in ir.atoms_of(expression) if atom.world == "own"]
    if len(own) == len(ir.atoms_of(expression)) and not ir.evaluate(expression, frozenset()):
        return expression, expression
    split = cofactor.split(expression)
    always = [cell for cell in range(len(split.cells)) if _always(split, cell)]
    sometimes = [cell for cell in range(len(split.cells)) if any(way.lines[cell] for way in split.ways)]
    low = _listed(split, always, own)
    return low, None if 0 in sometimes else _of_cells(split, sometimes)


def _always(split: Split, cell: int) -> bool:
    """Whether everybody of a cell is in the set: each line assignment leads to a rest that nobody fails.

    People of whom LINE knows nothing count as *no*: NOT x is everybody who is not in x.
    """
    space = split.space
    certain = (way.lines[cell] for way in split.ways if decision.within(space, split.attribute_known, way.rest))
    return decision.disjunction(space, certain) == split.line_facts


def _of_cells(split: Split, cells: Iterable[int]) -> ir.Expression:
    mask = sum(1 << cell for cell in cells)
    return own_expression(split, cell_function(split, mask)) if mask else ir.NOBODY


def _listed(split: Split, cells: Iterable[int], own: Sequence[ir.Atom]) -> ir.Expression:
    """The cells as a set that can be listed: of the first, the people whom some atom names."""
    chosen = tuple(cells)
    if 0 not in chosen:
        return _of_cells(split, chosen)
    # A bucket names nobody: it says of everybody there is whether a hash falls into it.
    listed = ir.lor(*(ir.leaf(atom) for atom in own if not isinstance(atom, ir.Bucket)))
    named = express(split.space, listed, {rail: level for level, rail in enumerate(split.rails)})
    inside = cell_function(split, sum(1 << cell for cell in chosen))
    return own_expression(split, decision.both(split.space, inside, named)) if own else ir.NOBODY
