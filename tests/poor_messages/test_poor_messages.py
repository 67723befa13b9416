"""Messages that are known to be poor, as they are; and how often one slip of the hand gives more than one error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from one_edit import edited

from audsql import session
from shown import cases_of, errors_shown

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CASES = cases_of(HERE)
COUNT, SEED = 300, 1
ONE_ERROR_MIN = 0.95


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_poor_message(case: Path, tmp_path: Path) -> None:
    first = case.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# better: "), "say what would be better"
    assert errors_shown(case, tmp_path)


def sound_specs() -> dict[str, str]:
    """The valid cases of the specification of one file, and the example, by name."""
    sys.path.insert(0, str(HERE.parent / "spec"))
    from spec_cases import all_cases

    texts = {case.id: case.text for case in all_cases() if case.kind == "valid" and "\n-- " not in f"\n{case.text}"}
    texts["example"] = (ROOT / "examples" / "shop" / "spring.aud").read_text(encoding="utf-8")
    return {name: text for name, text in texts.items() if errors_of(text) == 0}


def errors_of(text: str) -> int:
    return sum(one.severity == "error" for one in session.check_texts({"spec.aud": text}))


def test_one_slip_gives_one_error() -> None:
    counts = {one.name: errors_of(one.text) for one in edited(sound_specs(), COUNT, SEED)}
    wrong = [count for count in counts.values() if count]
    assert len(wrong) > COUNT * 0.8, "most slips must break something, or this says nothing"
    assert wrong.count(1) / len(wrong) >= ONE_ERROR_MIN, [name for name, count in counts.items() if count > 1]
