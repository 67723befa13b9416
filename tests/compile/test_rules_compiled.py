"""What the compiler owes to LINE's rules on attributes: they are old, and move between the sends of one delivery."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from compile_make import attribute, clicked, delivery, project
from compile_world import people, reached
from hypothesis import assume, example, given, settings
from test_properties import expressions

from audsql.compile.program import Send
from audsql.compile.project import compile_project
from audsql.meaning import ir

LINK = clicked("m", "https://e.example/")
THIRTIES = ir.land(attribute("age", "age_30", "age_35"), ir.lnot(LINK))


@settings(max_examples=60, deadline=None)
# The audience of a link may know of clicks that the audience of its message, made before, does not.
@example(expression=ir.lor(THIRTIES, ir.land(clicked("m"), attribute("gender", "female"))))
@given(expression=expressions())
@pytest.mark.rule("line.demographic.age", "line.narrowcast.moment")
def test_an_attribute_that_changes_between_two_sends_delivers_nothing_twice(expression: ir.Expression) -> None:
    program, problems = compile_project(project(delivery("sale", expression)))
    assume(not problems)
    (done,) = program.deliveries
    world = people(expression)

    def recipients(send: Send, got: frozenset[str]) -> set[tuple[frozenset[str], frozenset[str]]]:
        return {
            (person.own, person.line)
            for person in world
            for reading in (True, False)
            if reached(send, replace(person, line=person.line | got), program, not_includes_unknown=reading)
        }

    for one, other in combinations(done.sends, 2):
        twice = recipients(one, frozenset()) & recipients(other, frozenset({f"redelivery(sale; {one.part})"}))
        assert not twice, "who got one send is in the recipients of no later one, whatever the attributes"
