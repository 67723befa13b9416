"""SIGKILL after every journal write and around every request: nobody twice, nobody lost, then No changes."""

from __future__ import annotations

from sweep import KILLED, apply_once, apply_until_done, rotating, says_no_changes, scenario, should_receive

EVERY = 9


def test_killed_at_any_point_and_run_again_everybody_gets_it_once(tmp_path):
    count_file = tmp_path / "count"
    with scenario(tmp_path / "whole") as here:
        assert apply_once(here, count_file=count_file) == 0
        assert set(here.received()) == should_receive()
        uploads = sum(one["type"] == "UPLOAD" for one in here.audiences())
        sends = sum(one["path"].endswith("/narrowcast") for one in here.requests("POST"))
        assert (uploads, sends) == (2, 3)
    checkpoints = int(count_file.read_text())
    assert checkpoints > 40
    for point in rotating(checkpoints, EVERY):
        with scenario(tmp_path / str(point)) as here:
            assert apply_once(here, kill_at=point) == KILLED, point
            codes = apply_until_done(here)
            assert codes[-1] == 0, (point, codes)
            received = here.received()
            assert set(received) == should_receive(), point
            assert set(received.values()) == {1}, point
            assert says_no_changes(here), point


def test_killed_twice_in_a_row(tmp_path):
    for point in rotating(45, 15):
        with scenario(tmp_path / str(point)) as here:
            apply_once(here, kill_at=point)
            apply_once(here, kill_at=max(1, point // 2))
            assert apply_until_done(here)[-1] == 0, point
            received = here.received()
            assert set(received) == should_receive(), point
            assert set(received.values()) == {1}, point
