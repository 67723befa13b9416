"""`check` compiles one of several deliveries that are alike; it must find what compiling all of them finds."""

from __future__ import annotations

from typing import Any

import pytest
from compile_make import attribute, clicked, delivery, less, project, purchased, uploaded
from hypothesis import given, settings
from hypothesis import strategies as st

from audsql.compile.project import check_project, compile_project
from audsql.meaning import ir

FEMALE, TOKYO = attribute("gender", "female"), attribute("area", "jp_13")
NAMES = ("a", "b", "c", "m", "x", "z")
HOW: list[dict[str, Any]] = [{}, {"limit": 100}, {"by": "multicast"}, {"by": "multicast", "limit": 100}]


def _joined(parts: st.SearchStrategy[ir.Expression]) -> st.SearchStrategy[ir.Expression]:
    pairs = st.tuples(parts, parts)
    return st.one_of(
        pairs.map(lambda pair: ir.land(*pair)), pairs.map(lambda pair: ir.lor(*pair)), pairs.map(lambda p: less(*p))
    )


LEAVES = [uploaded("a"), uploaded("b"), purchased("A"), purchased("A", 30), FEMALE, TOKYO]
EXPRESSIONS = st.recursive(st.sampled_from(LEAVES), _joined, max_leaves=8)


def _renamed(expression: ir.Expression, names: tuple[str, ...]) -> ir.Expression:
    """The same with other lists and products."""
    return ir.substitute(
        expression,
        {
            uploaded("a").key: uploaded(names[0]),
            uploaded("b").key: uploaded(names[1]),
            purchased("A").key: purchased(names[2]),
            purchased("A", 30).key: purchased(names[2], 7),
        },
    )


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, st.lists(st.permutations(NAMES), min_size=1, max_size=3), st.sampled_from(HOW))
def test_alike_deliveries_have_the_same_problems(
    expression: ir.Expression, renamings: list[tuple[str, ...]], how: dict[str, Any]
) -> None:
    reaches = [expression, *(_renamed(expression, tuple(names)) for names in renamings)]
    whole = project(*(delivery(f"d{at}", reach, **how) for at, reach in enumerate(reaches)))
    assert check_project(whole) == compile_project(whole)[1]


def test_every_delivery_with_a_problem_is_told() -> None:
    """Only what had no problem stands for others."""
    two_sends = [ir.lor(uploaded(name), FEMALE) for name in NAMES]
    whole = project(*(delivery(f"d{at}", reach, limit=10) for at, reach in enumerate(two_sends)))
    found = check_project(whole)
    assert [problem.code for problem in found] == ["AUD0408"] * len(NAMES)


@pytest.mark.parametrize("how", [{"limit": 10}, {"by": "multicast"}], ids=str)
def test_how_it_is_sent_tells_deliveries_apart(how: dict[str, Any]) -> None:
    reaches = [ir.lor(uploaded(name), FEMALE) for name in ("a", "b")]
    whole = project(delivery("d0", reaches[0]), delivery("d1", reaches[1], **how))
    assert check_project(whole) == compile_project(whole)[1] != ()


def test_parts_of_what_was_not_compiled_count() -> None:
    """Clicks of a delivery in two sends take two leaves, whichever delivery stood for it."""
    twice = [delivery(f"d{at}", ir.lor(uploaded(name), FEMALE)) for at, name in enumerate(("a", "b"))]
    leaves = [clicked("d1", f"https://e.example/{at}") for at in range(6)]
    whole = project(*twice, delivery("e", ir.land(*leaves)))
    assert [problem.code for problem in check_project(whole)] == ["AUD0401"]
    assert check_project(whole) == compile_project(whole)[1]
