"""The cases cover the language: every production, every code, every rule, and each rule so that it shows
when it is broken."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
from spec_cases import Case, questions, rules, wrong
from spec_coverage import (
    LANGUAGE_RANGES,
    codes_of_rules,
    codes_of_the_language,
    codes_sampled,
    codes_shown,
    productions_missing,
)  # fmt: skip
from switches import SWITCHES, WITHOUT_SWITCH, Switch, SwitchedOff, codes, of_grammar

from audsql import catalog
from audsql.cli.conformance import answer

# Limits whose smallest text would fill megabytes: tests/syntax/test_limits.py makes them.
LIMIT_CODES = {"AUD0119", "AUD0120", "AUD0121", "AUD0260"}


def test_every_production_is_used() -> None:
    """A missing one: add a case with it below the rule that grammar/audsql.lark names above it: a `valid` or a
    `format` one, or an `invalid` one whose code is not of syntax (an empty block can be read, and is an error)."""
    missing = productions_missing()
    assert not missing, "no case in specs/language/ uses these productions:\n" + "\n".join(missing)


def test_every_code_is_shown() -> None:
    """A missing one: add an `invalid` case below its rule, or a sample to its catalogue file."""
    shown = codes_shown() | codes_sampled() | LIMIT_CODES
    assert [code for code in codes_of_the_language() if code not in shown] == []


def test_cases_name_codes_of_the_catalogue() -> None:
    unknown = codes_shown() - set(catalog.codes())
    assert unknown == set()


def test_rules_of_codes_are_pages_of_the_language() -> None:
    wrong_place = {
        code: catalog.entry(code).rule
        for code in codes_of_the_language()
        if code.startswith(LANGUAGE_RANGES[:3]) and catalog.entry(code).rule not in rules()
    }
    assert wrong_place == {}, "these codes of the language name rules that specs/language/ does not have"


@pytest.mark.parametrize("rule", rules())
def test_a_broken_rule_shows(rule: str) -> None:
    """Each way of switching the rule off makes one of its cases fail.

    A rule without a switch: add an `invalid` case with a code whose catalogue file names the rule, or a line to
    SWITCHES in tests/spec/switches.py and a case that fails with it, or, if neither can be, a reason to WITHOUT_SWITCH.
    """
    cases = rules()[rule]
    own = codes_of_rules().get(rule, ())
    shown = {
        question.expect["includes"]["code"]
        for case in cases
        if case.kind in ("invalid", "lint")
        for question in questions(case)
    }
    switches: list[Switch] = [*(SWITCHES.get(rule) or of_grammar(rule))]
    if shown:
        switches.append(codes(*(own if shown & set(own) else shown)))
    if rule in WITHOUT_SWITCH:
        assert not switches, f"{rule} has a switch: take it out of WITHOUT_SWITCH"
        return
    assert switches, f"{rule} has no switch; its codes are {own or 'none'}, its cases show {sorted(shown) or 'none'}"
    assert holds(cases)
    unnoticed = [number for number, switch in enumerate(switches) if not noticed(switch, cases)]
    assert not unnoticed, f"{rule}: its cases pass as well with its switch {unnoticed}"


def noticed(switch: Switch, cases: Sequence[Case]) -> bool:
    forget()
    try:
        with switch():
            return not holds(cases)
    finally:
        forget()


def forget() -> None:
    """Empties what the meaning remembers between questions."""
    for name, module in list(sys.modules.items()):
        if name.startswith("audsql.meaning."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def holds(cases: Sequence[Case]) -> bool:
    try:
        return not any(
            wrong(question.expect, answer({"id": question.id, **question.request}))
            for case in cases
            for question in questions(case)
        )
    except (SwitchedOff, AssertionError, LookupError):
        return False


def test_switches_are_of_rules() -> None:
    assert (SWITCHES.keys() | WITHOUT_SWITCH.keys()) - rules().keys() == set()
