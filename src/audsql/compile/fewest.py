"""The parts of a delivery in as few sends as can be (specs/compile.md, `compile.fewest`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from audsql.compile import decision, formula
from audsql.compile.cofactor import Split, Way
from audsql.compile.filters import filter_of, rest_words
from audsql.compile.program import filter_leaves
from audsql.compile.rectangles import fewest, lowered, raised
from audsql.line.limits import FILTER_LEAVES_MAX
from audsql.meaning import ir

__all__ = ["covered"]


def covered(split: Split) -> Split:
    """The split with a smallest cover in place of its distinct rests; the same where rests are as few."""
    levels = range(split.attribute_start, split.own_start)
    rests = [way.rest for way in split.ways]
    found = fewest(split.space, rests, split.attribute_facts, levels, lambda rest: _price(split, rest))
    if list(found.filters) == rests:
        return replace(split, sends_least=found.least)
    return replace(split, ways=tuple(_ways(split, found.filters, found.parts)), sends_least=found.least)


def _price(split: Split, rest: int) -> tuple[int, str] | None:
    words = rest_words(split, _way(split, rest, ()))
    leaves = 0 if rest == split.attribute_facts else filter_leaves(filter_of(words))
    return (leaves, words.key) if leaves <= FILTER_LEAVES_MAX else None


def _ways(split: Split, filters: Sequence[int], parts: Sequence[Sequence[int]]) -> Iterator[Way]:
    for number, rest in enumerate(filters):
        sources = [way for way, used in zip(split.ways, parts, strict=True) if number in used]
        joined = zip(*(way.lines for way in sources), strict=True)
        yield _way(split, rest, tuple(decision.disjunction(split.space, lines) for lines in joined))


def _way(split: Split, rest: int, lines: tuple[int, ...]) -> Way:
    written = next((way.shapes for way in split.ways if way.rest == rest), None)
    shapes = written if written is not None else tuple(_shapes(split, rest))
    return Way(rest, rest == split.attribute_facts, lines, shapes)


def _shapes(split: Split, rest: int) -> Iterator[ir.Expression]:
    """A filter that no assignment leaves by itself, in the author's literals: the parts that stand in the author's
    words, and a sum of products. Between the least and the largest function that satisfies more literals wherever
    a state of the filter is, and none of another, every product is positive."""
    space = split.space
    within = [way for way in split.ways if decision.within(space, way.rest, rest)]
    if decision.disjunction(space, (way.rest for way in within)) == rest:
        yield ir.lor(*(way.shapes[0] for way in within))
    others = decision.both(space, split.attribute_facts, decision.negation(space, rest))
    cubes = decision.cover(space, raised(space, rest), decision.negation(space, lowered(space, others)))

    def literal(item: formula.Literal) -> ir.Expression:
        key, positive = split.rails[item.variable]
        leaf = ir.leaf(split.atoms[key])
        return leaf if positive else ir.lnot(leaf)

    yield formula.render(
        formula.factored(cubes), literal, ir.Constant, lambda terms: ir.land(*terms), lambda terms: ir.lor(*terms)
    )
