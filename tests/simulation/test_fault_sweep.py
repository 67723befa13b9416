"""Every request of an apply refused, answered with an error, or answered to nobody: run again until done."""

from __future__ import annotations

import pytest
from sweep import (
    apply_once,
    apply_until_done,
    in_process_of_its_own,
    rotating,
    says_no_changes,
    scenario,
    should_receive,
)

from harness import codes

FAULTS = ("drop-response", "refuse", "status:500", "status-after:500", "status:429", "delay:90")
EVERY = 11


def _requests(tmp_path) -> int:
    with scenario(tmp_path / "whole") as here:
        assert apply_once(here) == 0
        return len(here.requests())


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.rule(
    "line.audience.concurrent",
    "line.retry.when",
    "line.retry.compared",
    "line.retry.after_refusal",
    "line.narrowcast.accepted",
)
@pytest.mark.threat("T02", "T03", "T25")
@pytest.mark.scenario(28, 30)
def test_any_request_may_fail_once(fault, tmp_path):
    for number in rotating(_requests(tmp_path), EVERY):
        with scenario(tmp_path / str(number)) as here:
            here.faults({"match": {"path": "/v2/*"}, "nth": number, "do": fault})
            done = apply_until_done(here)
            assert done[-1] == 0, (number, done)
            received = here.received()
            assert set(received) == should_receive(), number
            assert set(received.values()) == {1}, number
            assert says_no_changes(here), number


@pytest.mark.parametrize(
    ("fault", "state"), [("refuse", "in_doubt"), ("status:500", "in_doubt"), ("drop-response", "in_doubt")]
)
@pytest.mark.rule("line.retry.window")
@pytest.mark.threat("T07")
def test_an_outage_longer_than_the_window_needs_a_person(fault, state, tmp_path):
    with scenario(tmp_path / fault) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/narrowcast"}, "do": fault})
        assert apply_once(here) == 4
        here.advance(7 * 3600)
        here.faults()
        assert apply_once(here) == 7
        received = here.received()
        assert set(received) <= should_receive()
        assert set(received.values()) <= {1}
        sent = len(here.requests("POST"))
        assert apply_once(here) == 7
        assert len([one for one in here.requests("POST") if one["path"].endswith("/narrowcast")]) <= sent
        assert here.received() == received


@pytest.mark.threat("T07", "T21")
def test_a_send_whose_window_passed_untried_is_missed(tmp_path):
    spec = "delivery sale_a {\n  to: clicked(msg42) AND purchased(A)\n  send: sale\n  at: 2026-11-22 10:00\n}\n"
    with scenario(tmp_path / "missed", spec) as here:
        assert apply_once(here) == 0
        assert here.inbox() == []
        here.advance(48 * 3600)

        def run() -> int:
            outcome = here.run()
            assert codes(outcome.diagnostics) == []
            return outcome.exit_code

        assert in_process_of_its_own(run) == 7
        assert here.inbox() == []
