"""How sets overlap: pairs, and the regions of their Venn diagram, over own data; bounds where LINE holds a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from audsql.diag import Bag, Diagnostic, error, has_errors
from audsql.meaning import ir
from audsql.meaning.calls import Meaning, Scope
from audsql.meaning.types import kind_problem, linkages, mapped_through
from audsql.plan.lattice import ALL, Part, Region, Span, measured, ordered, ratio, region_documents, size_document
from audsql.records import dataclass
from audsql.session.project import Opened
from audsql.source import Span as Place

if TYPE_CHECKING:
    from audsql.data.engine import Engine, People
    from audsql.meaning.lower import Analysis

__all__ = ["PARTS_MAX", "REGION_SETS_MAX", "SETS_MAX", "overlap"]

SETS_MAX = 100
REGION_SETS_MAX = 12
"""More sets than this make more regions than anybody reads."""
_HELD_SETS_MAX = 8
_NOWHERE = Place("<expression>", 0, 0)
PARTS_MAX = 4_096
"""So many different parts are told apart to hide small counts."""


@dataclass(frozen=True, slots=True)
class _Set:
    name: str
    expression: ir.Expression


@dataclass(frozen=True, slots=True)
class _Bounds:
    """A set as own data know it: surely `low`, at most `high`; None: people whom own data do not know."""

    low: ir.Expression
    high: ir.Expression | None


class _TooManyParts(Exception):
    """More parts than PARTS_MAX."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """Sizes as they are shown."""

    sets: tuple[Span, ...]
    pairs: Mapping[tuple[int, int], tuple[Span, Span]]
    """Of both and of either."""
    regions: tuple[Region, ...] | None


def overlap(
    opened: Opened, texts: Sequence[str], as_of: datetime | None, *, floor: int = 0, top: int = 20
) -> tuple[dict[str, Any] | None, tuple[Diagnostic, ...]]:
    """How these names and expressions overlap; without any, all audiences of the project.

    `floor`: parts of fewer people are hidden, 0: none (specs/privacy.md, privacy.counts.overlap). `top`: so many
    regions are listed one by one. Raises EngineFailure.
    """
    from audsql.compile.bounds import TooMany
    from audsql.session.sets import engine_of

    if opened.analysis is None or has_errors((*opened.diagnostics, *opened.findings)):
        return None, (*opened.diagnostics, *opened.findings)
    sets, problems = _sets(opened, texts)
    if has_errors(problems):
        return None, problems
    own = {atom.key: atom for one in sets for atom in ir.atoms_of(one.expression) if atom.world == "own"}
    engine, moment = engine_of(opened), as_of or datetime.now(UTC)
    found, diagnostics = engine.materialise(tuple(own[key] for key in sorted(own)), moment)
    if has_errors(diagnostics):
        return None, (*problems, *diagnostics)
    expressions = tuple(one.expression for one in sets)
    try:
        counted = _counted(engine, found.people, expressions, floor)
    except TooMany as problem:
        return None, (error("AUD0045", None, atoms=problem.atoms),)
    except _TooManyParts:
        return None, (error("AUD0089", None, sets=len(sets), most=PARTS_MAX),)
    document = _document(opened, sets, counted, moment, floor, top)
    return document, (*problems, *diagnostics)


# --- which sets -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    meaning: Meaning
    span: Place


def _sets(opened: Opened, texts: Sequence[str]) -> tuple[tuple[_Set, ...], tuple[Diagnostic, ...]]:
    """The sets with their names, of one kind of id. Two texts that are the same are one set."""
    assert opened.analysis is not None
    audiences = opened.analysis.scope.audiences
    declared = [one.name for one in opened.analysis.project.audiences]
    names = tuple(dict.fromkeys(" ".join(text.split()) for text in texts or declared))
    if not 2 <= len(names) <= SETS_MAX:
        return (), (error("AUD0088", None, count=len(names), most=SETS_MAX, named=bool(texts)),)
    bag = Bag()
    read = [
        _Named(name, audiences[name], _NOWHERE) if name in audiences else _read(opened.analysis, name, bag)
        for name in names
    ]
    sets = () if has_errors(bag.items) else tuple(_of_one_kind(opened.analysis.scope, read, bag))
    return sets, bag.sorted()


def _read(analysis: Analysis, text: str, bag: Bag) -> _Named:
    from audsql.meaning.lower import lower_meaning
    from audsql.syntax.parse import parse_expression

    tree, problems = parse_expression(text)
    bag.extend(problems)
    if tree is None or has_errors(problems):
        return _Named(text, Meaning(None, None), _NOWHERE)
    meaning, found = lower_meaning(tree, analysis)
    bag.extend(found)
    return _Named(text, meaning, tree.span)


def _of_one_kind(scope: Scope, sets: Sequence[_Named], bag: Bag) -> Iterator[_Set]:
    """The sets as they are where their ids are of one kind, else all of them as LINE user IDs."""
    kinds = {one.meaning.kind for one in sets} - {None}
    for one in sets:
        kind, expression = one.meaning.kind, one.meaning.expression or ir.NOBODY
        if len(kinds) < 2 or kind in (None, "user_id"):
            yield _Set(one.name, expression)
            continue
        found = linkages(kind, "user_id", scope.tables.values(), scope.accounts.get(scope.account))
        if len(found) == 1:
            yield _Set(one.name, mapped_through(expression, kind, "user_id", found[0]))
        elif found:
            bag.add(kind_problem("user_id", kind, found, one.span, None))
        else:
            bag.add(error("AUD0342", one.span, what="audience", name=one.name, kind=kind))


# --- what is counted --------------------------------------------------------------------------------


def _counted(engine: Engine, people: Mapping[str, People], sets: Sequence[ir.Expression], floor: int) -> _Counted:
    """Sizes of sets, pairs and regions. Raises TooMany, _TooManyParts."""
    bounds = [_bounds(one) for one in sets]
    if all(one.low == one.high for one in bounds) and (floor > 1 or len(sets) <= REGION_SETS_MAX):
        return _of_parts(_parts(engine, [engine.evaluate(one.low, people) for one in bounds]), len(sets), floor)
    return _of_bounds(_Evaluated(engine, people), sets, floor)


def _bounds(expression: ir.Expression) -> _Bounds:
    from audsql.compile.bounds import bounds

    return _Bounds(*bounds(expression))


def _parts(engine: Engine, sets: Sequence[People]) -> tuple[Part, ...]:
    """Who is in exactly the same ones of these sets, as far as anybody is. Raises _TooManyParts."""
    parts: list[tuple[People, frozenset[int]]] = []
    union: People | None = None
    for number, one in enumerate(sets):
        cut: list[tuple[People, frozenset[int]]] = []
        for people, inside in parts:
            _, outside = engine.delta(one, people)[::-1]
            cut += [(outside, inside), (engine.delta(outside, people)[0], inside | {number})]
        cut.append((one if union is None else engine.delta(union, one)[0], frozenset({number})))
        union = one if union is None else engine.union(union, one)
        parts = [(people, inside) for people, inside in cut if engine.count(people)]
        if len(parts) > PARTS_MAX:
            raise _TooManyParts
    return tuple(Part(engine.count(people), inside) for people, inside in parts)


def _of_parts(parts: Sequence[Part], sets: int, floor: int) -> _Counted:
    """All own data: every size is a sum of parts."""
    pairs = {
        pair: (measured(parts, floor, every=pair), measured(parts, floor, some=pair))
        for pair in combinations(range(sets), 2)
    }
    regions = (Region(tuple(sorted(part.inside)), measured([part], floor)) for part in parts)
    return _Counted(
        tuple(measured(parts, floor, every=[number]) for number in range(sets)),
        pairs,
        ordered(regions) if sets <= REGION_SETS_MAX else None,
    )


@dataclass(slots=True)
class _Evaluated:
    """Sets of own data, each evaluated once."""

    engine: Engine
    people: Mapping[str, People]
    known: dict[str, People] = field(default_factory=dict)

    def of(self, expression: ir.Expression) -> People:
        if expression.key not in self.known:
            self.known[expression.key] = self.engine.evaluate(expression, self.people)
        return self.known[expression.key]

    def is_empty(self, bounds: _Bounds) -> bool:
        return bounds.high is not None and not self.engine.count(self.of(bounds.high))


def _of_bounds(evaluated: _Evaluated, sets: Sequence[ir.Expression], floor: int) -> _Counted:
    """LINE holds a part of some set: what is shown is bounds, each the size of a set of own data."""
    wholes = [_bounds(one) for one in sets]
    pairs = {
        (first, second): (
            _bounds(ir.land(sets[first], sets[second])),
            _bounds(ir.lor(sets[first], sets[second])),
        )
        for first, second in combinations(range(len(sets)), 2)
    }
    regions = dict(_regions(evaluated, sets)) if len(sets) <= _HELD_SETS_MAX else {}
    told = [*wholes, *(one for pair in pairs.values() for one in pair), *regions.values()]
    size = _sizer(evaluated, told, floor)
    return _Counted(
        tuple(map(size, wholes)),
        {pair: (size(both), size(either)) for pair, (both, either) in pairs.items()},
        ordered(Region(inside, size(one)) for inside, one in regions.items()) if regions else None,
    )


def _regions(evaluated: _Evaluated, sets: Sequence[ir.Expression]) -> Iterator[tuple[tuple[int, ...], _Bounds]]:
    """The regions that are not certainly empty: cut by one set after the other, without what is empty already."""
    found: list[tuple[tuple[int, ...], ir.Expression]] = []
    outside: ir.Expression = ir.EVERYBODY
    for number, one in enumerate(sets):
        cut: list[tuple[tuple[int, ...], ir.Expression]] = [((number,), ir.land(outside, one))]
        for inside, region in found:
            cut += [(inside, ir.land(region, ir.lnot(one))), ((*inside, number), ir.land(region, one))]
        found = [(inside, region) for inside, region in cut if not evaluated.is_empty(_bounds(region))]
        outside = ir.land(outside, ir.lnot(one))
    yield from ((inside, _bounds(region)) for inside, region in found)


def _sizer(evaluated: _Evaluated, told: Sequence[_Bounds], floor: int) -> Callable[[_Bounds], Span]:
    """How the size of such a set is shown: whatever is shown of all of them together gives no small part away."""
    bounds = {one.key: one for pair in told for one in (pair.low, pair.high) if one is not None}
    keys = sorted(bounds)
    people = [evaluated.of(bounds[key]) for key in keys]
    if floor > 1:
        parts = _parts(evaluated.engine, people)
        spans = {key: measured(parts, floor, every=[number]) for number, key in enumerate(keys)}
    else:
        counts = [evaluated.engine.count(one) for one in people]
        spans = {key: Span(count, count) for key, count in zip(keys, counts, strict=True)}

    def size(one: _Bounds) -> Span:
        low, high = spans[one.low.key], None if one.high is None else spans[one.high.key]
        return Span(low.low, None if high is None else high.high, low.hidden or (high is not None and high.hidden))

    return size


# --- the document -----------------------------------------------------------------------------------


def _document(
    opened: Opened, sets: Sequence[_Set], counted: _Counted, moment: datetime, floor: int, top: int
) -> dict[str, Any]:
    assert opened.analysis is not None
    project, names = opened.analysis.project, [one.name for one in sets]
    most = REGION_SETS_MAX if counted.regions is not None else _most_sets(sets)
    regions = counted.regions
    return {
        "kind": "audsql.overlap",
        "format_version": "1.0",
        "project": project.name,
        "as_of": moment.astimezone(ZoneInfo(project.timezone)).isoformat(timespec="seconds"),
        "floor": floor,
        "top": top,
        "sets": [
            {"name": name, "people": size_document(people, floor)}
            for name, people in zip(names, counted.sets, strict=True)
        ],
        "pairs": [
            _pair(sets, counted, pair, both, either, floor) for pair, (both, either) in sorted(counted.pairs.items())
        ],
        "regions": None if regions is None else region_documents(regions, names, top, floor),
        "regions_most_sets": most,
    }


def _pair(
    sets: Sequence[_Set], counted: _Counted, pair: tuple[int, int], both: Span, either: Span, floor: int
) -> dict[str, Any]:
    first, second = pair
    related = _relation(sets[first], sets[second], len(sets))
    shares = [ratio(both, counted.sets[first]), ratio(both, counted.sets[second]), ratio(both, either)]
    # What holds whatever the data tells nothing of them.
    certain = (related in ("narrower", "equal"), related in ("wider", "equal"), related == "equal")
    shares = [ALL if share and sure else share for share, sure in zip(shares, certain, strict=True)]
    return {
        "sets": [sets[first].name, sets[second].name],
        "people": size_document(both, floor),
        "share_of_first": shares[0],
        "share_of_second": shares[1],
        "jaccard": shares[2],
        "relation": related,
    }


def _most_sets(sets: Sequence[_Set]) -> int:
    held = any(atom.world != "own" for one in sets for atom in ir.atoms_of(one.expression))
    return _HELD_SETS_MAX if held else REGION_SETS_MAX


def _relation(first: _Set, second: _Set, sets: int) -> str | None:
    """How the two lie to each other whatever the data; None where that is not decided, or they are too many."""
    from audsql.meaning.relation import Undecided, relation

    if sets > REGION_SETS_MAX:
        return None
    try:
        return relation(first.expression, second.expression).kind
    except Undecided:
        return None
