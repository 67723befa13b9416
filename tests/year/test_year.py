"""A shop's month on the virtual clock against an oracle (`make sweep`: years, and every mutant)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from year_mutants import MUTANTS, mutated
from year_run import played

SWEEP = bool(os.environ.get("AUDSQL_SWEEP"))
# In make test one mutant, each day another; all of them with AUDSQL_SWEEP=1.
TODAY = datetime.now(UTC).timetuple().tm_yday


@pytest.mark.threat("T21")
def test_a_month_of_runs_that_are_late_lost_doubled_and_killed(tmp_path: Path) -> None:
    """Everybody gets exactly what the oracle walks out, when it does, and what came too late is told of."""
    found = played(63, 30, 8, 60, tmp_path, gaps=(8, 11, 14, 20))
    assert found.problems == []
    happened = found.counts
    assert happened["received"] > 40
    for what in ("kills", "faults", "runs doubled", "oracle sent", "oracle done"):
        assert happened[what] > 0, what


@pytest.mark.parametrize("name", MUTANTS if SWEEP else [sorted(MUTANTS)[TODAY % len(MUTANTS)]])
def test_a_protection_that_is_taken_away_is_missed(name: str, tmp_path: Path) -> None:
    one = MUTANTS[name]
    with mutated(name):
        assert played(one.seed, one.days, one.size, one.people, tmp_path / "without").problems
    if SWEEP:
        assert played(one.seed, one.days, one.size, one.people, tmp_path / "with").problems == []
