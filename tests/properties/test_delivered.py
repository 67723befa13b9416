"""Whatever is written, the people who get the message are the people of the expression, each once.

Random worlds and specs go through the whole product, from text to the simulator's inbox, and are compared
with the naive evaluator. `make sweep` runs 2,000 of them.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import atoms, inside, surely
from worlds import CALLED, LEFT, LINKED, expressions, make_world, spec

from harness import codes, place

EXAMPLES = int(os.environ.get("AUDSQL_EXAMPLES") or (2_000 if os.environ.get("AUDSQL_SWEEP") else 200))
tally: Counter[str] = Counter()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(
    expression=expressions(),
    seed=st.integers(0, 10_000),
    excluded=st.sampled_from((None, None, "uploaded(c)", "uploaded(a)", "uploaded(p)", "test.y")),
    shortfall=st.booleans(),
    includes_unknown=st.booleans(),
)
def test_the_inbox_is_the_expression(expression, seed, excluded, shortfall, includes_unknown):
    world = make_world(seed, shortfall, includes_unknown)
    text = spec(expression, excluded)
    whole = ("except", expression, ("atom", excluded)) if excluded else expression
    with (
        tempfile.TemporaryDirectory() as folder,
        place(Path(folder), world.document, {**world.files, "x.aud": text}) as here,
    ):
        outcome = here.apply(as_of=None)
        received = here.received()
        sends = [one for one in here.requests("POST") if one["path"].endswith("/narrowcast")]
    tally[verdict(outcome)] += 1
    within = {user for user, one in world.people.items() if inside(whole, one)} & world.reachable
    certain = {user for user, one in world.people.items() if surely(whole, one)} & within & world.accepting
    assert set(received) <= within, "somebody outside the expression got the message"
    assert set(received.values()) <= {1}, "somebody got it twice"
    assert "AUD0855" not in codes(outcome.diagnostics), "LINE refused a request that we built"
    for send in sends:
        assert means_friends(whole) or "recipient" in send["body"] or "filter" in send["body"]
        assert "limit" in send["body"]
    if outcome.exit_code == 0:
        assert certain <= set(received), "somebody of the expression did not get it"
        if includes_unknown and not shortfall:
            assert set(received) == within
    else:
        assert outcome.exit_code in (1, 5, 7)


@pytest.mark.parametrize(
    ("expression", "excluded"),
    [
        (("atom", LINKED), None),
        (("atom", LEFT), None),
        (("except", ("atom", "friends"), ("atom", CALLED)), None),
        (("atom", "test.x"), "uploaded(p)"),
    ],
)
def test_shares_and_linkages_whatever_is_drawn(expression, excluded, tmp_path):
    """Random examples hold few of them, so these are always there."""
    world = make_world(5, False, True)
    with place(tmp_path, world.document, {**world.files, "x.aud": spec(expression, excluded)}) as here:
        assert here.apply(as_of=None).exit_code == 0
        received = here.received()
    whole = ("except", expression, ("atom", excluded)) if excluded else expression
    assert set(received) == {user for user, one in world.people.items() if inside(whole, one)} & world.reachable
    assert set(received.values()) == {1}


def means_friends(expression) -> bool:
    """`friends AND friends` is `friends`; nothing else may be sent to everybody."""
    return atoms(expression) == {"friends"} and inside(expression, {"friends": True})


def verdict(outcome) -> str:
    found = codes(outcome.diagnostics)
    return f"exit {outcome.exit_code} {found[0] if found else ''}".strip()


def test_enough_of_them_were_really_sent():
    """Runs after the property in the same process: refusals must not be the rule."""
    total = sum(tally.values())
    assert total == 0 or tally["exit 0"] >= total * 0.4, tally
