"""SIGKILL after every journal write and around every request: nobody twice, nobody lost, then No changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_cases import postgres_location
from sweep import KILLED, apply_once, apply_until_done, rotating, says_no_changes, scenario, should_receive

# A tenth of the points in `make test`, each day others; all of them with AUDSQL_SWEEP=1.
STORES = {"sqlite": 9, "postgres": 13}


def state_of(store: str, root: Path) -> str:
    return "" if store == "sqlite" else postgres_location(root)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.threat("T01", "T25")
@pytest.mark.scenario(1, 2, 3)
def test_killed_at_any_point_and_run_again_everybody_gets_it_once(store, tmp_path):
    count_file = tmp_path / "count"
    with scenario(tmp_path / "whole", state=state_of(store, tmp_path / "whole")) as here:
        assert apply_once(here, count_file=count_file) == 0
        assert set(here.received()) == should_receive()
        uploads = sum(one["type"] == "UPLOAD" for one in here.audiences())
        sends = sum(one["path"].endswith("/narrowcast") for one in here.requests("POST"))
        assert (uploads, sends) == (2, 3)
    checkpoints = int(count_file.read_text())
    assert checkpoints > 40
    for point in rotating(checkpoints, STORES[store]):
        with scenario(tmp_path / str(point), state=state_of(store, tmp_path / str(point))) as here:
            assert apply_once(here, kill_at=point) == KILLED, point
            codes = apply_until_done(here)
            assert codes[-1] == 0, (point, codes)
            received = here.received()
            assert set(received) == should_receive(), point
            assert set(received.values()) == {1}, point
            assert sum(one["type"] == "UPLOAD" for one in here.audiences()) == uploads, point
            assert says_no_changes(here), point


@pytest.mark.threat("T01")
@pytest.mark.scenario(3)
def test_killed_twice_in_a_row(tmp_path):
    for point in rotating(45, 15):
        with scenario(tmp_path / str(point)) as here:
            apply_once(here, kill_at=point)
            apply_once(here, kill_at=max(1, point // 2))
            assert apply_until_done(here)[-1] == 0, point
            received = here.received()
            assert set(received) == should_receive(), point
            assert set(received.values()) == {1}, point


@pytest.mark.threat("T01")
@pytest.mark.scenario(3)
def test_the_command_line_can_be_killed_at_a_point_too(tmp_path):
    with scenario(tmp_path) as here:
        arguments = ("apply", "--auto-approve", "--as-of", "2026-11-21T00:00:00+09:00")
        assert here.command(*arguments, AUDSQL_TEST_KILL_AT="25").returncode == KILLED
        done = here.command(*arguments)
        assert done.returncode == 0, done.stderr
        assert set(here.received()) == should_receive()
        assert set(here.received().values()) == {1}
