"""Small counts are hidden, and no arithmetic brings them back: against every world that a reader could imagine."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from audsql.plan.masking import FLOOR, Sum, masked, ranges, shown

SMALL = 3
MOST = 6


def test_how_counts_are_shown():
    assert [shown(one, False) for one in (0, 20, 1234, None)] == ["0", "20", "1,234", ""]
    assert (shown(1, True), shown(FLOOR - 1, True), shown(90, True)) == ("<20", "<20", "…")


def test_a_total_gives_its_small_part_away_and_is_kept_from_it():
    counts = {"all": 100, "stay": 93, "leave": 7}
    assert masked(counts) == {"leave"}
    assert masked(counts, [Sum("all", ("stay", "leave"))]) == {"leave", "stay"}
    # 20 is the least that `…` can be, so that only a hidden total keeps 3 of 23.
    assert masked({"all": 23, "stay": 20, "leave": 3}, [Sum("all", ("stay", "leave"))]) == {"leave", "stay", "all"}
    assert masked({"all": 100, "stay": 100, "leave": 0}, [Sum("all", ("stay", "leave"))]) == frozenset()


def worlds(counts, hidden, sums, floor=SMALL, most=2 * MOST):
    """Every world that agrees with what is shown: parts are tried, totals follow."""
    totals = {one.total for one in sums}
    names = sorted(set(counts) - totals)

    def agrees(name, value):
        if name not in hidden:
            return value == counts[name]
        return 0 < value < floor if counts[name] < floor else floor <= value

    domains = [[value for value in range(most + 1) if agrees(name, value)] for name in names]
    for values in itertools.product(*domains):
        world = dict(zip(names, values, strict=True))
        for one in sums:
            world[one.total] = sum(world[part] for part in one.parts)
        if all(agrees(name, world[name]) for name in totals):
            yield world


@st.composite
def lattices(draw):
    """A total of two or three parts, one of which may be a total itself, or two totals that share a part."""
    leaves = {name: draw(st.integers(0, MOST - 1)) for name in "abcd"[: draw(st.integers(2, 4))]}
    names = sorted(leaves)
    shape = draw(st.sampled_from(["flat", "nested", "sharing", "ring"]))
    if shape == "flat" or len(names) < 3:
        sums = [Sum("t", tuple(names))]
    elif shape == "nested":
        sums = [Sum("s", tuple(names[:2])), Sum("t", ("s", *names[2:]))]
    elif shape == "sharing":
        sums = [Sum("s", tuple(names[:2])), Sum("t", tuple(names[1:3]))]
    else:
        sums = [Sum("s", tuple(names[:3])), Sum("t", tuple(names[:2]))]
    counts = dict(leaves)
    for one in sums:
        counts[one.total] = sum(counts[part] for part in one.parts)
    return counts, sums


@settings(max_examples=80, deadline=None)
@given(lattices())
def test_what_is_shown_says_no_more_of_a_small_count_than_its_mark_does(lattice):
    counts, sums = lattice
    hidden = masked(counts, sums, SMALL)
    small = {name for name, count in counts.items() if 0 < count < SMALL}
    assert small <= hidden and not any(counts[name] == 0 for name in hidden)
    most = 2 * MOST
    seen = list(worlds(counts, hidden, sums, most=most))
    # Marks alone may narrow (three parts of a small total): then hiding everything would not help either.
    everything = {name for name, count in counts.items() if count}
    alone = list(worlds(counts, everything, sums, most=most))
    for name in small:
        assert {world[name] for world in seen} >= {world[name] for world in alone} & set(range(1, SMALL))


@settings(max_examples=40, deadline=None)
@given(lattices())
def test_the_ranges_hold_every_world(lattice):
    counts, sums = lattice
    hidden = masked(counts, sums, SMALL)
    found = ranges(counts, hidden, sums, SMALL)
    for world in worlds(counts, hidden, sums):
        for name, (low, high) in found.items():
            assert low <= world[name] and (high is None or world[name] <= high)


@settings(max_examples=40, deadline=None)
@given(lattices())
def test_nothing_is_hidden_without_a_small_count(lattice):
    counts, sums = lattice
    raised = {name: count * SMALL for name, count in counts.items()}
    assert masked(raised, sums, SMALL) == frozenset()
