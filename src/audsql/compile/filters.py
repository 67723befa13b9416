"""Demographic filters (specs/line.md): the attributes that are left of an expression.

Values of one attribute join: `gender(female) OR gender(male)` is one object, neighbouring tiers are one
range. A negated value is a `NotFilter` only where the author negated it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from audsql.compile import decision, formula
from audsql.compile.cofactor import Split, Way, express
from audsql.compile.program import (
    AgeBetween,
    AllFilters,
    AnyFilter,
    AreaIn,
    Filter,
    FriendForBetween,
    GenderIn,
    NotFilter,
    OsIn,
    filter_leaves,
)
from audsql.line.limits import AGE_TIERS, FRIEND_FOR_TIERS_DAYS
from audsql.meaning import ir

__all__ = ["filter_of", "rest_words"]

_SHAPES_MAX = 12
_TABLE_VARIABLES_MAX = 6


def rest_words(split: Split, way: Way) -> ir.Expression:
    """The shortest way found to write what is left for the filter; everybody where nothing is."""
    if way.everybody:
        return ir.EVERYBODY
    candidates = [*islice(way.shapes, _SHAPES_MAX), *_made(split, way)]
    return min(enumerate(candidates), key=lambda pair: (*_length(pair[1]), pair[0]))[1]


def _length(expression: ir.Expression) -> tuple[int, str]:
    built = filter_of(expression)
    return filter_leaves(built), f"{repr(built).count('NotFilter'):04d}"


def _made(split: Split, way: Way) -> Iterator[ir.Expression]:
    """Shorter forms by search. Rails are used as they are, never negated: nothing is added to what the
    author negated."""
    space, levels = split.space, _levels(split, way)
    if len(levels) <= _TABLE_VARIABLES_MAX:
        tables = dict(zip(levels, formula.columns(len(levels)), strict=True))
        full = (1 << (1 << len(levels))) - 1
        others = (level for level in decision.support(space, split.attribute_facts) if level not in tables)
        on = decision.truth_table(space, decision.forget(space, way.rest, others), tables, full)
        others = (level for level in decision.support(space, split.attribute_facts) if level not in tables)
        possible = decision.forget(space, split.attribute_facts, others)
        off = decision.truth_table(space, possible, tables, full) & ~on
        ones = [1] * len(levels)
        yield _spoken(split, formula.shortest(len(levels), on, off, ones, ones, negatable=False), levels)
        return
    rails = {rail: level for level, rail in enumerate(split.rails)}
    for shape in islice(way.shapes, 2):
        function = express(space, shape, rails)
        try:
            cubes = decision.cover(space, function, function)
        except decision.SpaceFull:
            continue
        if all(positive for cube in cubes for _, positive in cube):
            yield _spoken(split, formula.factored(cubes), range(len(split.rails)))


def _levels(split: Split, way: Way) -> tuple[int, ...]:
    """The rails that some way of writing uses: those of the shape with the fewest."""
    rails = {rail: level for level, rail in enumerate(split.rails)}
    functions = [express(split.space, shape, rails) for shape in islice(way.shapes, _SHAPES_MAX)]
    return min((decision.support(split.space, function) for function in functions), key=len)


def _spoken(split: Split, spoken: formula.Formula, levels: Sequence[int]) -> ir.Expression:
    def literal(item: formula.Literal) -> ir.Expression:
        key, positive = split.rails[levels[item.variable]]
        leaf = ir.leaf(split.atoms[key])
        return leaf if positive else ir.lnot(leaf)

    return formula.render(spoken, literal, ir.Constant, lambda parts: ir.land(*parts), lambda parts: ir.lor(*parts))


# --- LINE's objects -------------------------------------------------------------------------------


def filter_of(expression: ir.Expression) -> Filter:
    """The filter of a normal form over attributes that is neither nobody nor everybody."""
    match expression:
        case ir.Leaf():
            return _any(_families((expression,), negated=False))
        case ir.Not(operand):
            return NotFilter(filter_of(operand))
        case ir.Or(operands):
            rest = [filter_of(part) for part in operands if not isinstance(part, ir.Leaf)]
            return _any([*_families(operands, negated=False), *rest])
        case ir.And(operands):
            plain = [filter_of(part) for part in operands if not isinstance(part, ir.Not)]
            return _all([*plain, *(NotFilter(part) for part in _families(operands, negated=True))])
        case _:
            raise ValueError("a constant is no filter")


def _all(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else AllFilters(tuple(parts))


def _any(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else AnyFilter(tuple(parts))


def _families(operands: Iterable[ir.Expression], *, negated: bool) -> list[Filter]:
    """The values among the operands (the negated ones on request), joined by family."""
    values: dict[str, list[str]] = {}
    for operand in operands:
        inner = operand.operand if negated and isinstance(operand, ir.Not) else operand
        if isinstance(operand, ir.Not) == negated and isinstance(inner, ir.Leaf):
            atom = inner.atom
            if not isinstance(atom, ir.Attribute):
                raise ValueError("only attributes have filters")
            values.setdefault(atom.family, []).append(atom.value)
    return [part for family in sorted(values) for part in _of_family(family, sorted(values[family]))]


def _of_family(family: str, values: Sequence[str]) -> list[Filter]:
    match family:
        case "gender":
            return [GenderIn(tuple(values))]
        case "os":
            return [OsIn(tuple(values))]
        case "area":
            return [AreaIn(tuple(values))]
        case "age":
            return [AgeBetween(*ends) for ends in _ranges("age", values, AGE_TIERS)]
        case _:
            return [FriendForBetween(*ends) for ends in _ranges("day", values, FRIEND_FOR_TIERS_DAYS)]


def _ranges(prefix: str, values: Sequence[str], tiers: Sequence[int]) -> list[tuple[str | None, str | None]]:
    """Neighbouring tiers as (first, the one after the last). The lowest tier has no code of its own, and a
    range open at both ends is no filter, so all tiers together are two ranges."""
    wanted = [tiers.index(int(value.rpartition("_")[2])) for value in values]
    codes = [None, *(f"{prefix}_{tier}" for tier in tiers[1:]), None]
    ranges: list[tuple[str | None, str | None]] = []
    start: int | None = None
    for index in range(len(tiers) + 1):
        if index in wanted and start is None:
            start = index
        elif index not in wanted and start is not None:
            ranges.append((codes[start], codes[index]))
            start = None
    if ranges == [(None, None)]:
        return [(None, codes[1]), (codes[1], None)]
    return ranges
