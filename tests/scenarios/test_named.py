"""Every scenario and every threat has a test that shows it, or stands in a table with the reason why not."""

from __future__ import annotations

import os
import tomllib

import pytest
from named import PAGE, TABLE, Subject, page_text, shown, subjects

KEYS = [str(number) for number in range(1, 53)] + [f"T{number:02}" for number in range(1, 67)]


def test_all_of_them_are_listed_once_and_say_what_must_hold() -> None:
    assert [one.key for one in subjects()] == KEYS
    assert all(one.what.strip() and not one.what.endswith(".") for one in subjects())


def test_what_is_absent_is_listed_and_says_why() -> None:
    document = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    does_not_apply, later = document["does_not_apply"], document["later"]
    assert not does_not_apply.keys() & later.keys()
    assert does_not_apply.keys() | later.keys() <= set(KEYS)
    assert all(len(reason.split()) > 3 for reason in (*does_not_apply.values(), *later.values()))


@pytest.mark.parametrize("subject", subjects(), ids=lambda one: one.key)
def test_it_is_shown_or_absent(subject: Subject) -> None:
    """A missing one: mark a test that fails when it does not hold, or write the reason into scenarios.toml."""
    if subject.absent:
        assert subject.key not in shown(), f"{subject.key} has a test: take it out of the table"
    else:
        assert subject.key in shown(), f"no test shows {subject.key}: {subject.what}"


def test_tests_name_what_exists() -> None:
    assert sorted(shown().keys() - set(KEYS)) == []


def test_the_page_is_current() -> None:
    if os.environ.get("AUDSQL_REWRITE"):
        PAGE.write_text(page_text(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page_text(), "AUDSQL_REWRITE=1 writes it anew"
