"""A send that was recorded after the instant that a run goes by still counts for a cap (guard.cap)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from audsql.apply.capping import over_caps_in
from audsql.apply.state import empty_state
from audsql.meaning.ir import Cap

NOW = datetime(2026, 11, 24, 1, 26, tzinfo=UTC)
ANN, BOB = b"a" * 16, b"b" * 16


def test_what_was_sent_seconds_after_the_run_began_counts() -> None:
    """The run began, waited for an answer, and sent two steps; the third one would be the fourth send in seven days."""
    times = {ANN: [NOW - timedelta(hours=10), NOW + timedelta(seconds=6), NOW + timedelta(seconds=7)],
             BOB: [NOW - timedelta(days=7), NOW - timedelta(days=1), NOW]}  # fmt: skip
    ledger: Any = SimpleNamespace(sent_times=lambda *given: times)
    project: Any = SimpleNamespace(requirements=(), moved=())
    cap = Cap("house", 3, 7)
    over = over_caps_in(ledger, empty_state("default"), project, (cap,), "shop", [ANN, BOB], NOW)
    assert list(over) == [ANN], "a send that lies exactly seven days back is over"
    assert over[ANN].free == NOW - timedelta(hours=10) + timedelta(days=7)
