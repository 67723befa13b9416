"""A project written as plain data and read back is the same project, to its places and labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from whole_projects import Subject, subjects

from audsql.diag import Diagnostic
from audsql.meaning import flow, ir, project
from audsql.meaning.lower import analyse
from audsql.meaning.plain import from_plain, to_plain
from audsql.source import Source
from audsql.syntax.parse import parse_file

SUBJECTS = tuple(subjects())


def meaning(subject: Subject) -> tuple[ir.Project, tuple[Diagnostic, ...]]:
    texts = {path: text for path, text in subject.files.items() if path.endswith(".aud") and not path.startswith("../")}
    trees = tuple(parse_file(Source(path, texts[path]))[0] for path in sorted(texts))
    analysis, found = analyse(trees, name="spec", timezone="Asia/Tokyo")
    return analysis.project, found


def again(*values: Any) -> tuple[Any, ...]:
    return from_plain(json.loads(json.dumps(to_plain(*values))))


def leaves(value: Any) -> Iterator[object]:
    """Every plain value of a tree with its place in it; what does not take part in equality as well."""
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, one = stack.pop()
        if is_dataclass(one) and not isinstance(one, type):
            yield path, type(one).__name__
            stack.extend((f"{path}.{part.name}", getattr(one, part.name)) for part in fields(one))
        elif isinstance(one, tuple):
            yield path, len(one)
            stack.extend((f"{path}.{number}", part) for number, part in enumerate(one))
        else:
            yield path, repr(one)


@pytest.mark.parametrize("group", sorted({one.group for one in SUBJECTS}))
def test_projects_come_back_as_they_were(group: str) -> None:
    for subject in SUBJECTS:
        if subject.group == group:
            before, told = meaning(subject)
            after, told_again = again(before, told)
            assert (after, told_again) == (before, told), subject.id
            small = sum(1 for _ in zip(range(100_000), leaves(before), strict=False)) < 100_000
            assert not small or list(leaves(after)) == list(leaves(before)), subject.id


def test_every_kind_of_thing_is_known() -> None:
    """A new kind of statement, condition or step would not be kept."""
    from audsql.meaning import atoms, plain

    known = {*plain._SHAPES, *plain._NODES}
    for module in (atoms, flow, ir, project):
        for name in vars(module):
            kind = getattr(module, name)
            if isinstance(kind, type) and is_dataclass(kind):
                assert kind in known, name


def test_parts_that_are_shared_stay_shared() -> None:
    one: ir.Expression = ir.leaf(ir.Uploaded("a"))
    for number in range(3_000):
        one = ir.lnot(ir.land(one, ir.leaf(ir.Uploaded(f"b{number}"))))
    audience = project.Audience("deep", one, "deep")
    found = project.Project("spec", "UTC", audiences=(audience, replace(audience, name="same")))
    (after,) = again(found)
    assert after == found
    assert after.audiences[0].expression is after.audiences[1].expression


def test_labels_that_are_no_part_of_the_meaning_stay_apart() -> None:
    parts = [ir.leaf(ir.Bucket("s", 0, 10, label)) for label in ("one", "two")]
    first, second = again(*parts)
    assert [one.atom.label for one in (first, second)] == ["one", "two"]


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 1, 1, 30),
        datetime(2026, 11, 1, 1, 30, tzinfo=UTC),
        datetime(2026, 11, 1, 1, 30, fold=1, tzinfo=ZoneInfo("America/New_York")),
        datetime(2026, 11, 1, 1, 30, 5, 7, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    ],
)
def test_moments_keep_zone_and_fold(moment: datetime) -> None:
    (after,) = again(moment)
    assert (after, after.fold, after.utcoffset()) == (moment, moment.fold, moment.utcoffset())


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        to_plain({1})


@pytest.mark.parametrize(
    "document",
    [{}, {"conditions": [], "nodes": []}, {"conditions": [], "nodes": [[4, 3]], "values": []}, None, [],
     {"conditions": [], "nodes": [], "values": [[8, 1]]}, {"conditions": [], "nodes": [], "values": [[999, 1]]}],
)  # fmt: skip
def test_what_was_not_written_so_is_refused(document: Any) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        from_plain(document)
