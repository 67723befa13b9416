"""A delivery that is renamed while it waits or is under way, killed at every point: one message each, one key."""

from __future__ import annotations

import pytest
from f1000 import SOURCES, delivery
from sweep import KILLED, SPEC, apply_once, apply_until_done, rotating, says_no_changes, scenario, should_receive

from audsql.session.planning import state_of

EVERY = 12
AHEAD = delivery("(clicked(msg42) AND gender(female)) OR (purchased(A) AND area(tokyo))", "at: 2026-11-21 10:00")
MOVED = "\nmoved sale_a -> sale_b\n"


def rename(here, spec: str) -> None:
    here.write("shop.aud", SOURCES + "\n" + spec.replace("sale_a", "sale_b") + MOVED)


def keys(here) -> dict[str, str]:
    state, _ = state_of(here.opened())
    assert state is not None
    return {one.id: one.retry_key for one in state.operations}


def finished(here, point: int) -> None:
    assert apply_until_done(here)[-1] == 0, point
    received = here.received()
    assert set(received) == should_receive(), point
    assert set(received.values()) == {1}, point
    assert says_no_changes(here), point


@pytest.mark.scenario(37)
def test_renamed_while_under_way_the_keys_stay(tmp_path):
    """Killed somewhere in the middle, renamed, gone on with: what was begun keeps its key."""
    for point in rotating(44, EVERY):
        with scenario(tmp_path / str(point)) as here:
            assert apply_once(here, kill_at=point) == KILLED, point
            begun = keys(here)
            rename(here, SPEC)
            finished(here, point)
            after = keys(here)
            assert {name: after[name] for name in begun} == begun, point


@pytest.mark.scenario(37)
def test_killed_while_the_name_is_followed(tmp_path):
    """Approved under one name, renamed while it waits; the apply that follows is killed at its first writes."""
    for point in rotating(6, 2):
        with scenario(tmp_path / str(point), AHEAD) as here:
            assert apply_once(here) == 0
            assert here.inbox() == []
            rename(here, AHEAD)
            apply_once(here, kill_at=point)
            assert apply_once(here) == 0, point
            here.advance(10 * 3600)
            finished(here, point)
