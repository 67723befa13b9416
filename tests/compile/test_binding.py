"""What binding may do to a compiled delivery: nobody comes in who is not in the expression (`compile.empty`)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from compile_make import FRIENDS, attribute, clicked, compiled, delivery, less, project, purchased, tag, uploaded
from hypothesis import given, settings
from hypothesis import strategies as st

from audsql.compile.bind import without_empty
from audsql.compile.program import CompiledDelivery, Narrowcast, NoneOf, RedeliveryLeaf, recipient_leaves
from audsql.compile.project import compile_project
from audsql.meaning import ir

FEMALE = attribute("gender", "female")
TOKYO = attribute("area", "tokyo")


def only(done: CompiledDelivery) -> Narrowcast:
    (send,) = done.sends
    assert isinstance(send, Narrowcast)
    return send


@pytest.mark.parametrize(
    "expression",
    [
        less(FEMALE, uploaded("a")),
        less(FRIENDS, uploaded("a")),
        ir.land(FEMALE, ir.lnot(uploaded("a")), ir.lnot(uploaded("b"))),
    ],
)
def test_what_is_anchored_without_the_list_may_go_to_all(expression: ir.Expression) -> None:
    done, program = compiled(expression)
    send = only(without_empty(done, program, frozenset(done.uploads)))
    assert send.recipient is None and send.filter == only(done).filter
    assert send.everybody == (send.filter is None)


@pytest.mark.parametrize("region", [ir.land(uploaded("a"), FEMALE), ir.land(clicked("m"), FEMALE), uploaded("a")])
def test_a_part_without_strangers_never_grows_to_all(region: ir.Expression) -> None:
    """A part whose set holds only people that are named somewhere, behind an upload that came out empty."""
    done, program = compiled(less(FEMALE, uploaded("a")))
    wrong = replace(done, sends=(replace(only(done), region=region),))
    with pytest.raises(ValueError, match="not in the expression"):
        without_empty(wrong, program, frozenset(done.uploads))


def test_all_friends_are_never_reached_by_a_set_that_does_not_name_them() -> None:
    done, program = compiled(less(FRIENDS, uploaded("a")))
    wrong = replace(done, reach=ir.lnot(uploaded("a")))
    with pytest.raises(ValueError, match="not in the expression"):
        without_empty(wrong, program, frozenset(done.uploads))


def test_a_part_that_is_dropped_leaves_the_numbers_of_the_others() -> None:
    done, program = compiled(ir.lor(ir.land(uploaded("a"), FEMALE), ir.land(purchased("A"), TOKYO)))
    for key in done.uploads:
        bound = without_empty(done, program, frozenset({key}))
        assert {send.part for send in bound.sends} < {send.part for send in done.sends}
        assert key not in bound.uploads


def test_a_guard_goes_where_nobody_got_the_earlier_part() -> None:
    program, problems = compile_project(project(delivery("sale", ir.lor(tag("VIP"), FEMALE))))
    assert not problems
    (done,) = program.deliveries
    (later,) = [send for send in done.sends if isinstance(send, Narrowcast) and _guards(send)]
    bound = without_empty(replace(done, sends=(later,)), program, frozenset({"redelivery(sale; 0)"}))
    assert only(bound).recipient == NoneOf(recipient_leaves(later.recipient)[0])


def _guards(send: Narrowcast) -> list[int]:
    return [leaf.part for leaf in recipient_leaves(send.recipient) if isinstance(leaf, RedeliveryLeaf)]


LEAVES = [uploaded("a"), uploaded("b"), purchased("A"), clicked("m"), tag("t"), FEMALE, TOKYO]
EXPRESSIONS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: ir.land(*pair)),
        st.tuples(inner, inner).map(lambda pair: ir.lor(*pair)),
        st.tuples(inner, inner).map(lambda pair: less(*pair)),
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, st.data())
def test_no_compiled_delivery_is_refused_for_what_came_out_empty(
    expression: ir.Expression, data: st.DataObject
) -> None:
    """The check of *anchored* fails only where people would come in: never for what the compiler made."""
    program, problems = compile_project(project(delivery("sale", expression)))
    if problems:
        return
    (done,) = program.deliveries
    empty = data.draw(st.sets(st.sampled_from(done.uploads))) if done.uploads else set()
    bound = without_empty(done, program, frozenset(empty))
    assert not set(bound.uploads) & empty
    for send in bound.sends:
        assert isinstance(send, Narrowcast)
        assert send.recipient is not None or send.filter is not None or send.everybody
