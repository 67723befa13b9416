"""What whole projects mean and what is told of them stays as it is, to the letter.

`AUDSQL_REWRITE=1` writes tests/meaning/snapshots anew: read every difference as a change of the language.
"""

from __future__ import annotations

import os
from itertools import groupby

import pytest
from whole_projects import FOLDER, Subject, sections, snapshot, subjects

SUBJECTS = tuple(subjects())


def rewritten() -> None:
    FOLDER.mkdir(exist_ok=True)
    for group in {one.group for one in SUBJECTS}:
        text = "".join(f"=== {one.id}\n{snapshot(one)}" for one in SUBJECTS if one.group == group)
        (FOLDER / f"{group}.txt").write_text(text, encoding="utf-8")


if os.environ.get("AUDSQL_REWRITE"):
    rewritten()
STORED = {path.stem: dict(sections(path.read_text(encoding="utf-8"))) for path in sorted(FOLDER.glob("*.txt"))}


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: f"{one.group} {one.id}")
def test_project(subject: Subject) -> None:
    assert snapshot(subject) == STORED[subject.group][subject.id]


def test_snapshots_are_of_subjects() -> None:
    kept = {group: list(found) for group, found in STORED.items()}
    assert kept == {group: [one.id for one in found] for group, found in groupby(SUBJECTS, lambda one: one.group)}
