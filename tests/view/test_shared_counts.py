"""What a comment shows never tells a small count: every world that a reader could imagine is tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audsql.view.shared import masked, masked_size

FLOOR = 3
MOST = 5
FAR = 16

Movement = tuple[int, int, int]
"""Who stays, who leaves, who enters."""


def plan(movements: list[Movement], other: int, account_of_both: bool) -> dict[str, Any]:
    """An upload for each movement, a delivery to the first of them and one to others, with the totals of both."""
    rows = [
        {"before": stay + leave, "after": stay + enter, "entering": enter, "leaving": leave}
        for stay, leave, enter in movements
    ]
    sizes = [rows[0]["after"], other]
    quota = sum(sizes) if account_of_both else sizes[0]
    entering, leaving = (sum(row[name] for row in rows) for name in ("entering", "leaving"))
    return {
        "resource_changes": [{"people": row} for row in rows],
        "deliveries": [{"people": size(one), "sends": [{"limit": one}]} for one in sizes],
        "quota": [size(quota)],
        "summary": {"people_entering": entering, "people_leaving": leaving},
    }


def size(count: int) -> dict[str, Any]:
    return {"exact": True, "count": count, "low": count, "high": count}


def seen(document: dict[str, Any], floor: int = FLOOR) -> list[list[int | str]]:
    """What a reader sees: a row for each movement, then the deliveries and limits, then the totals."""
    found = masked(document, floor)
    rows = [list(one["people"].values()) for one in found["resource_changes"]]
    sizes = [one["people"].get("shown", one["people"]["count"]) for one in found["deliveries"]]
    limits = [send["limit"] for one in found["deliveries"] for send in one["sends"]]
    quota = [found["quota"][0].get("shown", found["quota"][0]["count"])]
    return [*rows, sizes, limits, [*quota, *found["summary"].values()]]


def agrees(number: int, mark: int | str, total: bool = False) -> bool:
    if mark == "…":
        return total or number >= FLOOR
    return 0 < number < FLOOR if isinstance(mark, str) else number == mark


def movements(marks: list[int | str]) -> Iterator[Movement]:
    for stay in range(FAR):
        for leave in range(FAR):
            for enter in range(FAR):
                numbers = (stay + leave, stay + enter, enter, leave)
                if all(map(agrees, numbers, marks)):
                    yield stay, leave, enter


def possible(marks: list[list[int | str]], count: int, both: bool) -> dict[tuple[int, int], set[int]]:
    """The values that each count of each movement can have, in all worlds that look the same."""
    *rows, sizes, limits, (quota, entering, leaving) = marks
    firsts = list(movements(rows[0]))
    seconds = list(movements(rows[1])) if count == 2 else [(0, 0, 0)]
    others = [one for one in range(FAR) if agrees(one, sizes[1]) and agrees(one, limits[1])]
    values: dict[tuple[int, int], set[int]] = {}
    ends: dict[tuple[int, int], list[Movement]] = {}
    for one in seconds:
        ends.setdefault(one[1:], []).append(one)
    for first in firsts:
        after = first[0] + first[2]
        quotas = [after + other if both else after for other in others]
        if not agrees(after, sizes[0]) or not agrees(after, limits[0]):
            continue
        if not any(agrees(one, quota, total=True) for one in quotas):
            continue
        for (leave, enter), same in ends.items():
            if agrees(first[2] + enter, entering, total=True) and agrees(first[1] + leave, leaving, total=True):
                for row, (stay, left, came) in _worlds(first, same if count == 2 else ()):
                    for column, number in enumerate((stay + left, stay + came, came, left)):
                        values.setdefault((row, column), set()).add(number)
    return values


def _worlds(first: Movement, same: Sequence[Movement]) -> Iterator[tuple[int, Movement]]:
    yield 0, first
    yield from ((1, one) for one in same)


people = st.integers(0, MOST)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(people, people, people), min_size=1, max_size=2), people, st.booleans())
@pytest.mark.threat("T61")
def test_a_hidden_count_can_be_any_small_one(rows: list[Movement], other: int, both: bool) -> None:
    document = plan(rows, other, both)
    marks = seen(document)
    values = possible(marks, len(rows), both)
    for row, change in enumerate(document["resource_changes"]):
        for column, number in enumerate(change["people"].values()):
            assert number in values[row, column]
            if 0 < number < FLOOR:
                narrowest = set(range(1, FLOOR)) & _alone(marks[row], column)
                assert values[row, column] >= narrowest, (marks, row, column)


def _alone(marks: list[int | str], column: int) -> set[int]:
    """What the marks by themselves leave, with nothing of the row shown but who is nobody."""
    hidden = [one if one == 0 or isinstance(one, str) else ("<" if one < FLOOR else "…") for one in marks]
    return {(stay + leave, stay + enter, enter, leave)[column] for stay, leave, enter in movements(hidden)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(people, people, people), min_size=1, max_size=3), people)
def test_nothing_is_hidden_where_nobody_is_few(rows: list[Movement], other: int) -> None:
    many = [(stay * FLOOR, leave * FLOOR, enter * FLOOR) for stay, leave, enter in rows]
    assert not any(isinstance(one, str) for row in seen(plan(many, other * FLOOR, True)) for one in row)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(people, people, people), min_size=1, max_size=3), people)
def test_a_floor_of_nought_hides_nothing(rows: list[Movement], other: int) -> None:
    document = plan(rows, other, True)
    assert masked(document, 0) == document


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(7, 7, "<20"), (7, 300, "0..300"), (0, 7, "0..<20"), (7, None, "0.."), (20, 20, None), (0, 90, None)],
)
def test_a_size_that_stands_alone(low: int, high: int | None, text: str | None) -> None:
    alone = {"exact": low == high, "count": low if low == high else None, "low": low, "high": high}
    found = masked_size(alone)
    assert found is not None
    assert found.get("shown") == text
    assert masked_size(alone, 0) == alone
