"""Random expressions in worlds that hold one person of every possible kind: exactly the people who are in the
expression are reached, each by one send, under both readings of LINE's `not`."""

from __future__ import annotations

from itertools import combinations

import pytest
from compile_make import FRIENDS, attribute, clicked, delivery, opened, project, purchased, tag, uploaded
from compile_world import Person, gets, people, wanted
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from audsql.compile.bind import without_empty
from audsql.compile.bounds import bounds
from audsql.compile.program import CompiledDelivery, Narrowcast, Program, filter_leaves, recipient_leaves
from audsql.compile.project import compile_project
from audsql.line.limits import FILTER_LEAVES_MAX, RECIPIENT_LEAVES_MAX
from audsql.meaning import ir

OWN = [uploaded("a"), uploaded("b"), purchased("A"), purchased("A", 30)]
LINE = [clicked("m"), clicked("m", "https://e.example/"), opened("m"), tag("vip")]
ATTRIBUTES = [
    attribute("gender", "female"),
    attribute("gender", "male"),
    attribute("age", "age_30", "age_35"),
    attribute("area", "jp_13"),
]
IMPLIED = [(purchased("A", 30).key, purchased("A").key), (clicked("m", "https://e.example/").key, clicked("m").key)]


def _combined(parts: st.SearchStrategy[ir.Expression]) -> st.SearchStrategy[ir.Expression]:
    pairs = st.lists(parts, min_size=2, max_size=3)
    return st.one_of(
        pairs.map(lambda found: ir.land(*found)),
        pairs.map(lambda found: ir.lor(*found)),
        st.tuples(parts, parts).map(lambda pair: ir.land(pair[0], ir.lnot(pair[1]))),
        parts.map(ir.lnot),
    )


@st.composite
def expressions(draw: st.DrawFn) -> ir.Expression:
    """Anchored expressions over a few atoms of each world."""
    chosen = [
        *draw(st.lists(st.sampled_from(OWN), unique=True, max_size=4)),
        *draw(st.lists(st.sampled_from(LINE), unique=True, max_size=3)),
        *draw(st.lists(st.sampled_from(ATTRIBUTES), unique=True, max_size=3)),
    ]
    assume(chosen)
    expression = draw(st.recursive(st.sampled_from(chosen), _combined, max_leaves=10))
    return ir.land(FRIENDS, expression) if ir.evaluate(expression, frozenset()) else expression


def _facts_hold(expression: ir.Expression, person: Person) -> bool:
    keys = {atom.key for atom in ir.atoms_of(expression)}
    held = person.own | person.line
    return not any(inner in held and outer in keys and outer not in held for inner, outer in IMPLIED)


def _compile(expression: ir.Expression) -> tuple[CompiledDelivery, Program] | None:
    program, problems = compile_project(project(delivery("sale", expression)))
    if problems:
        assert [problem.code for problem in problems] == ["AUD0411"], problems
        return None
    return program.deliveries[0], program


@pytest.mark.parametrize("reading", [True, False])
@settings(max_examples=80, deadline=None)
@given(expression=expressions())
@pytest.mark.rule(
    "line.recipient.algebra", "line.narrowcast.joined", "line.demographic.unknown", "line.demographic.not_unknown"
)
@pytest.mark.threat("T32")
def test_exactly_the_people_of_the_expression_are_reached_once(reading: bool, expression: ir.Expression) -> None:
    result = _compile(expression)
    world = [person for person in people(expression) if _facts_hold(expression, person)]
    if result is None:
        assert all(wanted(expression, person, not_includes_unknown=True) for person in world)
        return
    done, program = result
    for person in world:
        got = gets(done, person, program, not_includes_unknown=reading)
        assert len(got) == wanted(expression, person, not_includes_unknown=reading), (person, done.sends)
        for send in got:
            assert isinstance(send, Narrowcast)
            assert wanted(send.region, person, not_includes_unknown=reading)
            assert send.bound is None or ir.evaluate(send.bound, person.own)


@settings(max_examples=80, deadline=None)
@given(expression=expressions())
@pytest.mark.rule(
    "line.recipient.leaves", "line.recipient.repeated", "line.demographic.leaves", "line.demographic.operators_count"
)
def test_requests_are_within_limits_and_nobody_unlisted_is_uploaded(expression: ir.Expression) -> None:
    result = _compile(expression)
    if result is None:
        return
    done, program = result
    assert [upload.key for upload in program.uploads] == list(done.uploads)
    for upload in program.uploads:
        assert {atom.world for atom in ir.atoms_of(upload.expression)} == {"own"}
        assert not ir.evaluate(upload.expression, frozenset())
    for send in done.sends:
        assert isinstance(send, Narrowcast)
        assert len(recipient_leaves(send.recipient)) <= RECIPIENT_LEAVES_MAX
        assert filter_leaves(send.filter) <= FILTER_LEAVES_MAX
        assert (send.recipient is None and send.filter is None) == send.everybody
        assert not send.everybody or expression == FRIENDS
        for atom in ir.atoms_of(send.region):
            assert atom in ir.atoms_of(expression)


@settings(max_examples=80, deadline=None)
@given(expression=expressions())
@pytest.mark.rule("line.audience.empty")
@pytest.mark.threat("T30")
def test_empty_uploads_are_nobody(expression: ir.Expression) -> None:
    result = _compile(expression)
    if result is None:
        return
    done, program = result
    world = [person for person in people(expression) if _facts_hold(expression, person)]
    for count in range(1, len(program.uploads) + 1):
        for empty in combinations(program.uploads, count):
            bound = without_empty(done, program, frozenset(upload.key for upload in empty))
            assert not {upload.key for upload in empty} & {*bound.uploads}
            for person in world:
                if any(ir.evaluate(upload.expression, person.own) for upload in empty):
                    continue
                got = gets(bound, person, program, not_includes_unknown=True)
                assert len(got) == wanted(expression, person, not_includes_unknown=True)


@settings(max_examples=80, deadline=None)
@given(expression=expressions())
@pytest.mark.rule("line.audience.still_growing")
def test_bounds_are_exact(expression: ir.Expression) -> None:
    assume(FRIENDS.key not in {atom.key for atom in ir.atoms_of(expression)})
    low, high = bounds(expression)
    world = [person for person in people(expression) if _facts_hold(expression, person)]
    by_own: dict[frozenset[str], list[bool]] = {}
    for person in world:
        by_own.setdefault(person.own, []).append(wanted(expression, person, not_includes_unknown=True))
    assert (high is None) == any(by_own[frozenset()])
    assert not ir.evaluate(low, frozenset())
    for own, inside in by_own.items():
        if own:
            assert ir.evaluate(low, own) == all(inside)
            assert high is None or ir.evaluate(high, own) == any(inside)
