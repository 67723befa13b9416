"""The algebra against brute force over every possible assignment, on tables and on diagrams."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audsql.meaning import algebra, ir, search, spaces

A = ir.ColumnCompare("product", "=", "A")
AB = ir.ColumnIn("product", ("A", "B"))
ANY = ir.ColumnGiven("product")


def rows(*conditions: ir.RowCondition, people: tuple[ir.PeopleCondition, ...] = ()) -> ir.Rows:
    return ir.Rows("orders", conditions, people)


ATOMS: tuple[ir.Atom, ...] = (
    ir.Uploaded("buyers"),
    ir.Friends("shop"),
    ir.Clicked("m"),
    ir.Clicked("m", "https://e.example/a"),
    ir.Opened("m"),
    ir.Attribute("gender", "female"),
    ir.Attribute("gender", "male"),
    ir.Attribute("age", "age_30"),
    ir.Attribute("age", "age_35"),
    ir.Attribute("area", "jp_13"),
    rows(),
    rows(A),
    rows(AB),
    rows(ANY),
    rows(A, ir.Last(30, "day")),
    rows(A, ir.Last(90, "day")),
    rows(A, people=(ir.Times("exactly", 0),)),
    rows(A, people=(ir.Times("at least", 3),)),
)

leaves = st.sampled_from(ATOMS).map(ir.leaf)


def expressions(leaf: st.SearchStrategy[ir.Expression] = leaves) -> st.SearchStrategy[ir.Expression]:
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            inner.map(ir.lnot),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: ir.land(*parts)),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: ir.lor(*parts)),
        ),
        max_leaves=8,
    )


def worlds(*parts: ir.Expression) -> list[frozenset[str]]:
    """Every assignment of the atoms that no certain fact forbids, the slow way."""
    atoms = {atom.key: atom for part in parts for atom in ir.atoms_of(part)}
    facts = algebra.certain_facts(tuple(atoms.values()))
    subsets = chain.from_iterable(combinations(sorted(atoms), size) for size in range(len(atoms) + 1))
    return [
        frozenset(subset)
        for subset in subsets
        if all(b in subset for a, b in facts.implications if a in subset)
        and not any(a in subset and b in subset for a, b in facts.exclusions)
    ]


@settings(max_examples=150, deadline=None)
@given(expressions(), expressions(), st.booleans())
def test_decisions_are_those_of_brute_force(left: ir.Expression, right: ir.Expression, diagrams: bool) -> None:
    before = spaces.TABLE_VARIABLES_MAX
    spaces.TABLE_VARIABLES_MAX = 0 if diagrams else before
    try:
        possible = worlds(left, right)
        a = [ir.evaluate(left, world) for world in possible]
        b = [ir.evaluate(right, world) for world in possible]
        assert algebra.is_empty(left) == (not any(a))
        assert algebra.is_everybody(left) == all(a)
        assert algebra.equal(left, right) == (a == b)
        assert algebra.within(left, right) == all(y for x, y in zip(a, b, strict=True) if x)
        assert algebra.disjoint(left, right) == (not any(x and y for x, y in zip(a, b, strict=True)))
        found = algebra.witness(left)
        assert found is None or (ir.evaluate(left, found) and found in set(worlds(left)))
    finally:
        spaces.TABLE_VARIABLES_MAX = before


@settings(max_examples=80, deadline=None)
@given(expressions())
def test_constant_parts_are_those_of_brute_force(expression: ir.Expression) -> None:
    possible = worlds(expression)
    wanted = {}
    for node in ir.nodes_of(expression):
        values = {ir.evaluate(node, world) for world in possible}
        if len(values) == 1:
            wanted[node.key] = values.pop()
    assert dict(algebra.constant_parts(expression)) == wanted


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ATOMS), max_size=7))
def test_feasible_lists_each_possible_assignment_once(atoms: list[ir.Atom]) -> None:
    found = list(algebra.feasible(atoms))
    assert len(found) == len(set(found))
    assert set(found) == set(worlds(ir.lor(*(ir.leaf(atom) for atom in atoms))))


@settings(max_examples=60, deadline=None)
@given(expressions(), expressions(), expressions())
def test_the_laws_of_sets(a: ir.Expression, b: ir.Expression, c: ir.Expression) -> None:
    assert algebra.equal(ir.land(a, ir.lor(b, c)), ir.lor(ir.land(a, b), ir.land(a, c)))
    assert algebra.equal(ir.lnot(ir.land(a, b)), ir.lor(ir.lnot(a), ir.lnot(b)))
    assert algebra.within(ir.land(a, ir.lnot(b)), a)
    assert algebra.disjoint(ir.land(a, ir.lnot(b)), b)


def within(left: ir.Atom, right: ir.Atom) -> bool:
    return (left.key, right.key) in algebra.certain_facts((left, right)).implications


def exclusive(left: ir.Atom, right: ir.Atom) -> bool:
    return bool(algebra.certain_facts((left, right)).exclusions)


def at_least(count: int) -> tuple[ir.PeopleCondition, ...]:
    return (ir.Times("at least", count),)


def total(comparison: str, value: int, function: str = "sum") -> tuple[ir.PeopleCondition, ...]:
    return (ir.Aggregate(function, "amount", comparison, Decimal(value)),)  # type: ignore[arg-type]


WITHIN = [
    (rows(A), rows(AB)),
    (rows(AB), rows(ANY)),
    (rows(ANY), rows()),
    (rows(A, ir.Last(30, "day")), rows(A, ir.Last(90, "day"))),
    (rows(A, ir.Last(30, "day")), rows(ANY)),
    (rows(ir.Last(48, "hour")), rows(ir.Last(3, "day"))),
    (rows(A, people=at_least(3)), rows(A, people=at_least(2))),
    (rows(A, ir.Last(30, "day"), people=at_least(3)), rows(AB, people=at_least(2))),
    (rows(A, people=at_least(1)), rows(A)),
    (rows(A), rows(A, people=at_least(1))),
    (rows(A, people=total(">=", 100)), rows(A)),
    (rows(A, people=total(">=", 100)), rows(A, people=total(">", 50))),
    (rows(A, people=total(">", 100, "max")), rows(people=total(">", 50, "max"))),
    (rows(A, people=total("<", 5, "min")), rows(people=total("<", 6, "min"))),
    (rows(ir.Since(datetime(2026, 2, 1, tzinfo=UTC))), rows(ir.Since(datetime(2026, 1, 1, tzinfo=UTC)))),
    (rows(ir.ColumnCompare("n", ">", Decimal(5))), rows(ir.ColumnCompare("n", ">=", Decimal(5)))),
    (rows(ir.ColumnCompare("n", "=", Decimal(5))), rows(ir.ColumnCompare("n", "!=", Decimal(6)))),
    (rows(ir.ColumnCompare("n", "<", Decimal(5))), rows(ir.ColumnCompare("n", "!=", Decimal(6)))),
    (ir.Clicked("m", "https://e.example/a"), ir.Clicked("m")),
]

NOT_WITHIN = [
    (rows(AB), rows(A)),
    (rows(A, ir.Last(90, "day")), rows(A, ir.Last(30, "day"))),
    (rows(ir.Last(24, "hour")), rows(ir.Last(1, "day"))),
    (rows(ir.Last(1, "day")), rows(ir.Last(48, "hour"))),
    (rows(A, people=(ir.Times("at most", 3),)), rows(A)),
    (rows(A, people=(ir.Times("exactly", 0),)), rows(A)),
    (rows(A, ir.Last(30, "day"), people=(ir.Times("exactly", 2),)), rows(A, people=(ir.Times("exactly", 2),))),
    (rows(A, people=total(">=", 100)), rows(people=total(">=", 100))),
    (rows(A, people=total("<", 100, "max")), rows(people=total("<", 100, "max"))),
    (rows(A), ir.Rows("visits", (A,))),
    (ir.Clicked("m"), ir.Opened("m")),
    (ir.Opened("m"), ir.Friends("shop")),
    (ir.Clicked("m", "https://e.example/a"), ir.Clicked("n")),
    (rows(ir.ColumnCompare("n", "=", "5")), rows(ir.ColumnCompare("n", "!=", Decimal(6)))),
]


@pytest.mark.parametrize(("left", "right"), WITHIN)
def test_certainly_within(left: ir.Atom, right: ir.Atom) -> None:
    assert within(left, right)


@pytest.mark.parametrize(("left", "right"), NOT_WITHIN)
def test_not_certainly_within(left: ir.Atom, right: ir.Atom) -> None:
    assert not within(left, right)


EXCLUSIVE = [
    (ir.Attribute("gender", "female"), ir.Attribute("gender", "male")),
    (ir.Attribute("age", "age_30"), ir.Attribute("age", "age_35")),
    (ir.Attribute("friend_for", "day_30"), ir.Attribute("friend_for", "day_90")),
    (rows(A, people=total(">=", 100)), rows(A, people=total("<", 50))),
    (rows(A, people=at_least(3)), rows(A, people=(ir.Times("at most", 2),))),
    (rows(A, ir.Last(30, "day")), rows(A, people=(ir.Times("exactly", 0),))),
]

NOT_EXCLUSIVE = [
    (ir.Attribute("area", "jp_13"), ir.Attribute("area", "jp_14")),
    (rows(ir.ColumnCompare("n", ">", Decimal(5))), rows(ir.ColumnCompare("n", "<", Decimal(5)))),
    (rows(A), rows(ir.ColumnCompare("product", "=", "B"))),
    (
        rows(people=(ir.Latest("rank", "=", "gold"),)),
        rows(people=(ir.Latest("rank", "=", "silver"),)),
    ),
    (rows(A, people=at_least(3)), rows(A, ir.Last(30, "day"), people=(ir.Times("at most", 2),))),
]


@pytest.mark.parametrize(("left", "right"), EXCLUSIVE)
def test_nobody_in_both(left: ir.Atom, right: ir.Atom) -> None:
    assert exclusive(left, right)


@pytest.mark.parametrize(("left", "right"), NOT_EXCLUSIVE)
def test_perhaps_somebody_in_both(left: ir.Atom, right: ir.Atom) -> None:
    assert not exclusive(left, right)


def test_a_hundred_atoms_are_decided_by_a_diagram() -> None:
    lists = [ir.leaf(ir.Uploaded(f"u{index:03}")) for index in range(100)]
    pairs = [ir.land(a, ir.lnot(b)) for a, b in pairwise(lists)]
    either = ir.lor(*pairs)
    assert algebra.equal(either, ir.lnot(ir.lnot(ir.lor(*reversed(pairs)))))
    assert algebra.within(either, ir.lor(*lists))
    assert not algebra.within(ir.lor(*lists), either)


def test_many_windows_nest() -> None:
    windows = [ir.leaf(rows(A, ir.Last(days, "day"))) for days in range(1, 41)]
    assert algebra.equal(ir.lor(*windows), windows[-1])
    assert algebra.equal(ir.land(*windows), windows[0])


def test_a_question_too_large_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spaces.Diagrams.__init__, "__defaults__", (100,))
    monkeypatch.setattr(search, "ATOMS_MAX", 23)
    # Far apart in every order: each half must be remembered until its other half is read.
    left = [ir.leaf(ir.Uploaded(f"a{index:02}")) for index in range(12)]
    right = [ir.leaf(ir.Uploaded(f"b{index:02}")) for index in range(12)]
    same = ir.land(*(ir.lor(ir.land(a, b), ir.lnot(ir.lor(a, b))) for a, b in zip(left, right, strict=True)))
    odd = ir.land(ir.lor(*left), ir.lor(*(ir.lnot(a) for a in right)), ir.lnot(same), ir.lor(*map(ir.lnot, left)))
    with pytest.raises(algebra.Undecided) as told:
        algebra.is_empty(ir.land(odd, ir.lnot(odd.operands[0]) if isinstance(odd, ir.And) else odd))
    assert told.value.atoms == 24


@pytest.mark.threat("T31")
def test_anchored() -> None:
    friends, buyers = ir.leaf(ir.Friends("shop")), ir.leaf(ir.Uploaded("buyers"))
    assert algebra.anchored(ir.land(friends, ir.lnot(buyers)))
    assert not algebra.anchored(ir.lnot(buyers))
    assert not algebra.anchored(ir.lor(friends, ir.lnot(buyers)))


def test_words() -> None:
    purchased = {"orders": (ir.Verb("purchased", "orders", "product"),)}
    expression = ir.land(ir.leaf(ir.Clicked("msg42")), ir.leaf(rows(A)), ir.lnot(ir.leaf(ir.Uploaded("buyers"))))
    assert algebra.to_words(expression, purchased) == "clicked(msg42) AND purchased(A) EXCEPT uploaded(buyers)"
    tiers = ir.lor(*(ir.leaf(ir.Attribute("age", tier)) for tier in ("age_30", "age_35")))
    assert algebra.to_words(tiers) == "age(30..39)"
    assert algebra.to_words(ir.leaf(rows(AB, ir.Last(90, "day"))), purchased) == "purchased(A, B, last 90 days)"
    assert algebra.to_words(ir.leaf(rows(ANY, people=at_least(2))), purchased) == "purchased(*, at least 2 times)"
    assert algebra.to_words(ir.leaf(rows())) == "orders()"
