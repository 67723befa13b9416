"""What may be shown of sets that overlap: nobody can compute a small group of people from it.

The numbers of an output are read as a reader would: each says from where to where its sum of groups lies. All systems
of these are solved by trying every filling, so that nothing rests on how the numbers were made.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any

import pytest

from audsql.plan.lattice import Part, Region, Span, measured, ordered, ratio, region_documents, size_document

Inside = frozenset[int]


def lattice(rng: random.Random, sets: int, floor: int, groups: int) -> dict[Inside, int]:
    """A Venn diagram with up to so many groups: small ones, ones right at the floor, and large ones."""
    regions = [frozenset(one) for size in range(1, sets + 1) for one in combinations(range(sets), size)]
    chosen = rng.sample(regions, min(groups, len(regions)))
    sizes = (rng.randrange(1, floor), floor - 1, floor, floor + 1, rng.randrange(floor, 10 * floor))
    return {one: rng.choice(sizes) for one in chosen}


def output(diagram: Mapping[Inside, int], sets: int, floor: int, top: int = 99) -> dict[str, Any]:
    """All that is shown of a diagram: sets, pairs with their shares, regions and the sum of the others."""
    parts = [Part(count, inside) for inside, count in diagram.items()]
    wholes = [measured(parts, floor, every=[number]) for number in range(sets)]
    regions = ordered(Region(tuple(sorted(one.inside)), measured([one], floor)) for one in parts)
    shown: dict[str, Any] = {"sets": [size_document(whole, floor) for whole in wholes], "pairs": []}
    for first, second in combinations(range(sets), 2):
        both, either = (measured(parts, floor, **{how: (first, second)}) for how in ("every", "some"))
        shares = [ratio(both, wholes[first]), ratio(both, wholes[second]), ratio(both, either)]
        shown["pairs"].append([size_document(both, floor), *shares])
    return shown | region_documents(regions, [str(number) for number in range(sets)], top, floor)


def constraints(shown: Mapping[str, Any], sets: int) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each number of an output with the groups that it counts, as a question to a group."""
    for number, one in enumerate(shown["sets"]):
        yield one, lambda inside, number=number: number in inside
    for pair, one in zip(combinations(range(sets), 2), shown["pairs"], strict=True):
        yield one[0], lambda inside, pair=pair: set(pair) <= inside
    for region in shown["listed"]:
        yield region["people"], lambda inside, names=region["sets"]: {str(one) for one in inside} == set(names)


def fits(shown: Mapping[str, Any], sets: int, diagram: Mapping[Inside, int]) -> bool:
    return all(
        one["low"] <= sum(count for inside, count in diagram.items() if counts(inside)) <= one["high"]
        for one, counts in constraints(shown, sets)
    )


@pytest.mark.threat("T61")
@pytest.mark.parametrize("seed", range(80))
def test_every_small_group_may_be_of_any_small_size(seed: int) -> None:
    """Every filling of the small groups fits the numbers that are shown, so no equation of them tells more."""
    rng, floor = random.Random(seed), 4
    sets = rng.randrange(2, 5)
    diagram = lattice(rng, sets, floor, rng.randrange(1, 8))
    shown = output(diagram, sets, floor)
    small = [inside for inside, count in diagram.items() if count < floor]
    fillings = [dict(zip(small, one, strict=True)) for one in product(range(1, floor), repeat=min(len(small), 6))] \
        if len(small) <= 6 else []  # fmt: skip
    for filling in fillings:
        assert fits(shown, sets, diagram | filling)
        # Not only possible: the output is the same to the byte, shares and order included.
        assert json.dumps(output(diagram | filling, sets, floor)) == json.dumps(shown)
    for inside in small:
        known = {filling[inside] for filling in fillings}
        assert not fillings or known == {*range(1, floor)}


@pytest.mark.parametrize("seed", range(15))
def test_what_is_derived_is_small_only_where_nothing_follows(seed: int) -> None:
    """Of each sum of groups that anybody can form (a set without another, the whole, …) those who solve the system
    by trying every diagram learn an exact number only if no small group is in it."""
    rng, floor, sets = random.Random(1_000 + seed), 3, 2
    diagram = lattice(rng, sets, floor, rng.randrange(1, 4))
    shown = output(diagram, sets, floor)
    most = max(one["high"] for one in shown["sets"]) + 1
    regions = [frozenset(one) for one in ([0], [1], [0, 1])]
    listed = {frozenset(map(int, one["sets"])) for one in shown["listed"]}
    ranges = [range(1, most) if one in listed else range(1) for one in regions]
    found = [one for one in (dict(zip(regions, counts, strict=True)) for counts in product(*ranges))
             if fits(shown, sets, one)]  # fmt: skip
    assert diagram in [{inside: count for inside, count in one.items() if count} for one in found]
    for size in range(1, len(regions) + 1):
        for chosen in combinations(regions, size):
            totals = {sum(one[inside] for inside in chosen) for one in found}
            hides = any(0 < diagram.get(inside, 0) < floor for inside in chosen)
            assert len(totals) >= floor - 1 if hides else len(totals) == 1, (chosen, totals)


@pytest.mark.parametrize("seed", range(60))
def test_the_rest_and_the_order_give_nothing_away(seed: int) -> None:
    rng, floor = random.Random(2_000 + seed), 20
    sets = rng.randrange(2, 7)
    diagram = lattice(rng, sets, floor, rng.randrange(2, 30))
    other = {inside: rng.randrange(1, floor) if count < floor else count for inside, count in diagram.items()}
    for top in (0, 1, 3):
        assert output(diagram, sets, floor, top) == output(other, sets, floor, top)


def test_the_bounds_hold_what_is_there() -> None:
    rng = random.Random(7)
    for _ in range(300):
        sets = rng.randrange(2, 5)
        diagram = lattice(rng, sets, 20, rng.randrange(1, 12))
        exact, shown = (output(diagram, sets, floor) for floor in (0, 20))
        assert fits(shown, sets, diagram)
        assert all(one["exact"] for one in exact["sets"])
        for (both, *true), (_, *told) in zip(exact["pairs"], shown["pairs"], strict=True):
            assert both["exact"]
            for certain, bounded in zip(true, told, strict=True):
                assert (certain is None) == (bounded is None)
                if certain is not None:
                    assert bounded["low"] <= certain["value"] <= bounded["high"]


def test_a_difference_of_shown_numbers_is_no_way_to_a_small_one() -> None:
    """A of 100 and what it shares with B of 90 would tell the 10 who are in A alone: both are bounds."""
    shown = output({frozenset([0]): 10, frozenset([1]): 500, frozenset([0, 1]): 90}, 2, 20)
    assert [(one["low"], one["high"], one.get("shown")) for one in shown["sets"]] == [
        (91, 109, "91..109"), (590, 590, None)
    ]  # fmt: skip
    assert shown["pairs"][0][0] == {"count": 90, "exact": True, "low": 90, "high": 90}
    assert [one["people"].get("shown", one["people"]["count"]) for one in shown["listed"]] == [500, 90, "<20"]


def test_nobody_is_no_secret_and_zero_hides_nothing() -> None:
    assert measured([Part(0, frozenset([0]))], 20) == Span(0, 0)
    assert measured([Part(3, frozenset([0]))], 0) == Span(3, 3)
    assert measured([Part(1, frozenset([0]))], 2) == Span(1, 1), "below two there is only one"


@pytest.mark.parametrize(
    ("part", "whole", "share"),
    [
        (Span(5, 5), Span(20, 20), (0.25, 0.25, 0.25)),
        (Span(0, 0), Span(0, 0), None),
        (Span(0, 0), Span(0, 90), (None, 0.0, 0.0)),
        (Span(0, None), Span(0, None), (None, 0.0, 1.0)),
        (Span(10, 30), Span(40, 50), (None, 0.2, 0.75)),
        (Span(10, 30), Span(20, None), (None, 0.0, 1.0)),
    ],
)
def test_a_share(part: Span, whole: Span, share: tuple[float | None, ...] | None) -> None:
    found = ratio(part, whole)
    assert (None if found is None else (found["value"], found["low"], found["high"])) == share
