"""Every rule of LINE that audsql relies on has a test that names it, in each part that relies on it."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from rules_named import JUDGE, PAGE, Rule, namings, rules

PAGES = tuple(sorted(PAGE.parent.glob("*.md")))
WRITTEN = re.compile(r"\*\*((?!line\.)[a-z_]+(?:\.[a-z_]+)+)\*\*|`r\[((?!line\.)[a-z_.]+)\]`")
PARTS = {"client", "compiler", "lints", "plan", "apply", "checks", JUDGE}


def test_the_page_names_each_rule_once_and_leaves_no_cell_empty() -> None:
    assert len(rules()) > 100
    assert [name for name, count in Counter(rule.name for rule in rules()).items() if count > 1] == []
    for rule in rules():
        assert rule.by <= PARTS, rule
        assert all(rule.cells.values()), rule
    written = set(re.findall(r"r\[(line\.[a-z_.]+)\]", PAGE.read_text(encoding="utf-8")))
    assert written == {rule.name for rule in rules()}, "a rule that stands in no row of a table"


def test_what_line_does_not_say_is_told_with_its_safe_side() -> None:
    assumed = [rule for rule in rules() if rule.is_assumed]
    assert len(assumed) > 30
    columns = {"the question", "assumed", "why that is the safe side", "by", "noticed by, if wrong"}
    assert all(rule.cells.keys() == columns for rule in assumed)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_a_rule_is_named_by_a_test_of_each_side(rule: Rule) -> None:
    """A missing one: add `@pytest.mark.rule("…")` to a test that fails when the rule does not hold."""
    naming = [one for one in namings() if one.rule == rule.name]
    if JUDGE in rule.by:
        assert any(one.asks_the_simulator for one in naming), f"no test in tests/sim names {rule.name}"
    if rule.by - {JUDGE}:
        assert any(not one.asks_the_simulator for one in naming), f"no test of {sorted(rule.by)} names {rule.name}"


def test_tests_name_rules_that_exist() -> None:
    known = {rule.name for rule in rules()} | _written_elsewhere()
    assert [one for one in namings() if one.rule not in known] == []


def _written_elsewhere() -> set[str]:
    """Rules of the other pages."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    return {name for pair in WRITTEN.findall(text) for name in pair if name}
