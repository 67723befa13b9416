"""Broken specs as people make them: one error for one mistake, which names the place, the reason and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from shown import cases_of, errors_shown

HERE = Path(__file__).parent
CASES = cases_of(HERE)
# Cases with several mistakes, each with its own error.
SEVERAL = {"full_width_signs": 5, "two_files": 2}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_broken(case: Path, tmp_path: Path) -> None:
    errors = errors_shown(case, tmp_path)
    assert len(errors) == SEVERAL.get(case.stem, 1)
    for error in errors:
        assert error["path"] and error["start"], "names no place"
        assert error["label"] or not error["excerpt"], "nothing stands under the place"
        assert error["helps"], "says no next step"


def test_every_snapshot_has_its_case() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == {case.stem for case in CASES}
    assert len(CASES) >= 40
