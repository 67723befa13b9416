"""Who got the first delivery of a priority and has left its set since does not get the second, where LINE can tell."""

from __future__ import annotations

from typing import Any

import pytest
from f1000 import delivery, f1000

from harness import Place

DAY = 86_400
FIRST = delivery("purchased(*, last 120 days)")
ORDER = "priority [sale_a, sale_b]\n"


def later(to: str, day: int, more: str = "") -> str:
    return delivery(to, f"at: 2026-12-{day:02} 10:00 {more}", "sale_b")


def verdicts(here: Place) -> list[str]:
    return [one["code"] for one in here.plan(as_of=None).document["guards"]]


def trees(here: Place) -> list[dict[str, Any]]:
    return [one["body"].get("recipient") for one in here.requests("POST") if one["path"].endswith("/narrowcast")]


def leaves(tree: Any, kind: str) -> int:
    if isinstance(tree, dict):
        return int(tree.get("type") == kind) + sum(leaves(one, kind) for one in tree.values())
    return sum(leaves(one, kind) for one in tree) if isinstance(tree, list) else 0


def first_left(here: Place) -> set[str]:
    """Who got the first delivery; days later some have fallen out of its window."""
    assert here.apply(as_of=None).exit_code == 0
    got = set(here.received())
    assert got
    return got


def test_who_got_the_first_is_left_out_of_the_second(tmp_path: Any) -> None:
    with f1000(tmp_path, FIRST + later("purchased(*)", 3) + ORDER) as here:
        got = first_left(here)
        here.advance(11 * DAY)
        plan = here.plan(as_of=None).document
        assert plan["guards"] == []
        assert here.apply(as_of=None).exit_code == 0
        here.advance(DAY + 10 * 3_600)
        assert here.run().exit_code == 0
        second = set(here.received()) - got
        assert second
        assert set(here.received().values()) == {1}
        assert leaves(trees(here)[-1], "redelivery") == 1


def test_what_was_approved_before_the_first_was_sent_is_left_out_of_too(tmp_path: Any) -> None:
    """Nothing has to be approved anew: the second is narrowed when it leaves."""
    early = delivery("purchased(*, last 120 days)", "at: 2026-12-01 10:00")
    with f1000(tmp_path, early + later("gender(female) OR gender(male)", 3) + ORDER) as here:
        assert here.apply(as_of=None).exit_code == 0
        here.advance(10 * DAY + 10 * 3_600)
        assert here.run().exit_code == 0
        here.advance(2 * DAY)
        assert here.run().exit_code == 0
        first, *second = trees(here)
        assert leaves(first, "redelivery") == 0
        assert second
        assert all(leaves(tree, "redelivery") for tree in second)
        assert set(here.received().values()) == {1}
        assert not here.plan(as_of=None).document["summary"]["changes"]


@pytest.mark.parametrize(
    ("to", "day", "more"),
    [("purchased(*)", 20, ""), ("purchased(*)", 3, "by: multicast"), ("purchased(*, last 200 days)", 3, "")],
    ids=["after LINE forgot", "one by one", "fewer than LINE's minimum"],
)
def test_where_line_cannot_tell_the_plan_warns(to: str, day: int, more: str, tmp_path: Any) -> None:
    with f1000(tmp_path, FIRST + later(to, day, more) + ORDER) as here:
        first_left(here)
        here.advance(DAY)
        assert verdicts(here) == ["AUD0743"]
