"""Sends less the receivers of the deliveries before them, within LINE's limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from plan_make import AT, narrowcast

from audsql.compile.program import (
    AllOf,
    AudienceLeaf,
    Broadcast,
    Multicast,
    NoneOf,
    OsIn,
    Recipient,
    RedeliveryLeaf,
    recipient_leaves,
)
from audsql.line.limits import RECIPIENT_LEAVES_MAX
from audsql.meaning import ir
from audsql.plan.behind import Leaving, Receivers, has_minimum, is_left_out, less_received

LATER = AT + timedelta(days=3)
ONE = Receivers({0: LATER}, True, 80)
TWO = Receivers({0: LATER, 1: LATER}, True, 80)
NOW = Leaving(AT)
GUARD = NoneOf(RedeliveryLeaf("first"))


def tree(count: int) -> Recipient:
    leaves = tuple(AudienceLeaf(f"k{index}") for index in range(count))
    return leaves[0] if count == 1 else AllOf(leaves)


def left(receivers: dict[str, Receivers], leaving: Leaving = NOW, leaves: int = 1, **changes: Any) -> Any:
    send = narrowcast(recipient=tree(leaves), **changes)
    return less_received(send, tuple(receivers), receivers, leaving).recipient


def test_the_receivers_are_left_out() -> None:
    assert left({"first": ONE}) == AllOf((AudienceLeaf("k0"), GUARD))
    assert left({"first": TWO}) == AllOf((AudienceLeaf("k0"), GUARD, NoneOf(RedeliveryLeaf("first", 1))))


def test_everybody_else_by_a_filter_alone() -> None:
    send = narrowcast(recipient=None, filter=OsIn(("ios",)))
    assert less_received(send, ("first",), {"first": ONE}, NOW).recipient == GUARD
    everybody = less_received(replace(send, filter=None, everybody=True), ("first",), {"first": ONE}, NOW)
    assert (everybody.recipient, everybody.everybody) == (GUARD, False)  # type: ignore[union-attr]


@pytest.mark.parametrize("leaves", range(1, RECIPIENT_LEAVES_MAX + 1))
def test_a_tree_never_has_more_leaves_than_line_takes(leaves: int) -> None:
    receivers = {"first": TWO, "second": ONE, "third": TWO}
    send = narrowcast(recipient=tree(leaves))
    done = less_received(send, tuple(receivers), receivers, NOW)
    found = recipient_leaves(done.recipient)  # type: ignore[union-attr]
    assert len(found) <= RECIPIENT_LEAVES_MAX
    for name, one in receivers.items():
        # All parts of a delivery or none: with a part of them somebody would still get both.
        parts = sum(isinstance(leaf, RedeliveryLeaf) and leaf.delivery == name for leaf in found)
        assert parts in (0, len(one.until))
        assert is_left_out(name, send, tuple(receivers), receivers, NOW) == (parts > 0)


def test_too_old_for_line_by_the_time_of_the_send() -> None:
    assert left({"first": ONE}, Leaving(LATER)) == AudienceLeaf("k0")
    assert left({"first": replace(TWO, until={0: LATER, 1: AT})}) == AudienceLeaf("k0")


def test_a_send_that_would_fall_below_the_minimum_stays_as_it_is() -> None:
    assert left({"first": ONE}, Leaving(AT, 79)) == AudienceLeaf("k0")
    assert left({"first": ONE}, Leaving(AT, 80)) != AudienceLeaf("k0")
    assert len(recipient_leaves(left({"first": ONE, "second": ONE}, Leaving(AT, 100)))) == 2


def test_what_is_there_already_is_not_repeated() -> None:
    send = narrowcast(recipient=AllOf((AudienceLeaf("k0"), GUARD)))
    assert less_received(send, ("first",), {"first": ONE}, NOW) == send
    assert is_left_out("first", send, ("first",), {"first": ONE}, Leaving(AT, 0))


@pytest.mark.parametrize("send", [Multicast(0, ir.leaf(ir.Uploaded("buyers"))), Broadcast(0)])
def test_only_a_narrowcast_can(send: Any) -> None:
    assert less_received(send, ("first",), {"first": ONE}, NOW) == send
    assert not is_left_out("first", send, ("first",), {"first": ONE}, NOW)


def test_others_may_have_got_it_too() -> None:
    assert not is_left_out("first", narrowcast(), ("first",), {"first": replace(ONE, whole=False)}, NOW)
    assert not is_left_out("first", narrowcast(), ("first",), {}, NOW)


@pytest.mark.parametrize(
    ("changes", "kinds", "wanted"),
    [
        ({}, {}, False),
        ({"filter": OsIn(("ios",))}, {}, True),
        ({"recipient": RedeliveryLeaf("x")}, {}, True),
        ({"recipient": AudienceLeaf("c")}, {"c": "CLICK"}, True),
        ({"recipient": AudienceLeaf("c")}, {"c": "CHAT_TAG"}, False),
    ],
)
def test_where_the_minimum_applies(changes: dict[str, Any], kinds: dict[str, str], wanted: bool) -> None:
    assert has_minimum(narrowcast(**changes), kinds) is wanted
