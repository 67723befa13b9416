"""In which order the parts of a delivery go: guards and numbers first, then the smallest (`apply.send.first`)."""

from __future__ import annotations

from itertools import permutations

import pytest

from audsql.apply.guards import guards_of, in_order
from audsql.compile.program import AllOf, AudienceLeaf, CompiledDelivery, Narrowcast, NoneOf, RedeliveryLeaf
from audsql.meaning import ir


def send(part: int, *guards: int) -> Narrowcast:
    leaves = tuple(NoneOf(RedeliveryLeaf("sale", guard)) for guard in guards)
    return Narrowcast(part, AllOf((AudienceLeaf("a"), *leaves)), None, ir.NOBODY, None)


def order(sends: list[Narrowcast], sizes: dict[int, int], apart: set[tuple[int, int]]) -> list[int]:
    form = CompiledDelivery("sale", "shop", ir.NOBODY, tuple(sends), (), ())
    ordered = in_order(
        form, lambda one: (sizes[one.part], one.part), lambda one, other: (one.part, other.part) in apart
    )
    return [one.part for one in ordered]


ALL_APART = {(one, other) for one in range(4) for other in range(4)}


def test_the_smallest_goes_first_where_own_data_keep_parts_apart() -> None:
    assert order([send(0), send(1), send(2)], {0: 30, 1: 20, 2: 10}, ALL_APART) == [2, 1, 0]


def test_numbers_decide_where_line_keeps_parts_apart() -> None:
    """Who clicks between two sends would come from *has not clicked* into *has clicked*, if that went second."""
    assert order([send(0), send(1), send(2)], {0: 30, 1: 20, 2: 10}, set()) == [0, 1, 2]
    assert order([send(0), send(1), send(2)], {0: 30, 1: 20, 2: 10}, {(0, 2), (1, 2)}) == [2, 0, 1]


def test_a_part_goes_after_its_guards_however_small_it_is() -> None:
    assert order([send(0), send(1, 0), send(2)], {0: 30, 1: 1, 2: 10}, ALL_APART) == [2, 0, 1]
    assert order([send(0), send(1, 0), send(2, 0, 1)], {0: 30, 1: 20, 2: 10}, ALL_APART) == [0, 1, 2]


def test_every_order_of_the_same_sends_is_one_order() -> None:
    sends = [send(0), send(1, 0), send(2), send(3, 2)]
    sizes = {0: 5, 1: 1, 2: 5, 3: 1}
    assert {tuple(order(list(mixed), sizes, ALL_APART)) for mixed in permutations(sends)} == {(0, 1, 2, 3)}


def test_guards_in_a_circle_are_a_defect() -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        order([send(0, 1), send(1, 0)], {0: 1, 1: 1}, ALL_APART)


def test_receipts_of_other_deliveries_are_no_guards() -> None:
    other = NoneOf(RedeliveryLeaf("other", 1))
    one = Narrowcast(2, AllOf((AudienceLeaf("a"), other, NoneOf(RedeliveryLeaf("sale", 0)))), None, ir.NOBODY, None)
    assert guards_of(one, "sale") == (0,)
