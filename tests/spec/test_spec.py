"""The pages of specs/language run: every fenced case does what its first line says (`spec_cases`)."""

from __future__ import annotations

import pytest
from spec_cases import Case, all_cases, questions, rules, wrong

from audsql import catalog
from audsql.cli.conformance import answer


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_case(case: Case) -> None:
    for one in questions(case):
        problem = wrong(one.expect, answer({"id": one.id, **one.request}))
        assert not problem, f"{one.id}: {problem}"


@pytest.mark.parametrize("code", catalog.codes())
def test_codes_name_a_rule(code: str) -> None:
    """Rules of the language stand in specs/language, others in the pages beside it."""
    from spec_coverage import rules_everywhere

    named = catalog.entry(code).rule
    assert named in rules_everywhere(), f"{code} names the rule {named!r}, which no page under specs/ has"


def test_every_rule_has_a_case() -> None:
    from switches import WITHOUT_CASES

    without = {rule for rule, shown in rules().items() if not shown}
    assert without - set(WITHOUT_CASES) == set(), "write a case, or a reason in tests/spec/switches.py"
    assert set(WITHOUT_CASES) <= without, "these have cases now: take them out of WITHOUT_CASES"
