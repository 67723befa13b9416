"""Every text that ever failed, and a part of the fuzzing that goes on with each commit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fuzz_inputs import input_of
from fuzz_targets import TARGETS
from run_fuzz import FOUND, failures, kept, minimised, problem_of

# About 30 s in all; each commit goes on where the one before ended.
INPUTS = {"check": 5_000, "fmt": 7_000, "diff": 4_000, "explain": 4_000}
SEED = 1


def offset() -> int:
    """AUDSQL_FUZZ_OFFSET, else the number of commits: the same for the same commit."""
    if "AUDSQL_FUZZ_OFFSET" in os.environ:
        return int(os.environ["AUDSQL_FUZZ_OFFSET"])
    command = ["git", "rev-list", "--count", "HEAD"]
    counted = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return int(counted.stdout) if counted.returncode == 0 else 0


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.json")), ids=lambda path: path.stem)
def test_found_before(path: Path) -> None:
    target, given = kept(path)
    assert problem_of(target, given) is None


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("target", TARGETS)
def test_any_text(target: str, part: int) -> None:
    share = INPUTS[target] // 4
    first = 1_000_000 + (offset() * 4 + part) * share
    told = [f"index {one.index}: {one.problem} in {one.place}: {one.given!r}" for one in
            failures(target, SEED, range(first, first + share))]  # fmt: skip
    assert not told, "\n".join(told)


def test_inputs_are_the_same_again() -> None:
    assert [input_of(3, index) for index in range(200)] == [input_of(3, index) for index in range(200)]
    assert input_of(3, 1) != input_of(4, 1)


def test_failing_inputs_are_made_small() -> None:
    assert minimised("audience x = friends AND NOT y", lambda given: "NOT" in given) == "NOT"
    assert minimised(b"ab\x00cd", lambda given: 0 in given) == b"\x00"


def test_a_failure_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(given: str | bytes) -> None:
        assert "=" not in str(given), "a sign"

    monkeypatch.setitem(TARGETS, "check", broken)
    found = next(failures("check", 1, range(1000)))
    assert found.place == "test_fuzz_found.py:broken"
    assert len(found.given) == 1
