"""Who can get more than one message of a plan: against every possible person of small worlds, and in what is shown.

The brute force asks of every person of a world whether they are in one set and in the other. It knows windows,
genders and shares by itself and has nothing of the algebra that is tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest
from f1000 import SOURCES, delivery, f1000
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plan_make import AT

from audsql.meaning import ir
from audsql.plan.facts import Size
from audsql.plan.occurrence import Verdict
from audsql.plan.overlaps import OVERLAPS_LISTED_MAX, Overlaps, overlaps_document, overlaps_of
from audsql.plan.plan import Wanted
from audsql.view.markdown import plan_comment
from audsql.view.plan import human
from audsql.view.terminal import Style

ONE, TWO = ir.Account("shop", "T", "firm"), ir.Account("cafe", "U", "firm")
STRANGER = ir.Account("bakery", "V", "other")
UNKNOWN = Size(0, None)
PROJECT = ir.Project("shop", "Asia/Tokyo", accounts=(ONE, TWO, STRANGER))


def bought(days: int) -> ir.Expression:
    return ir.leaf(ir.Rows("orders", (ir.ColumnCompare("product", "=", "A"), ir.Last(days, "day"))))


A, B = ir.leaf(ir.Uploaded("a")), ir.leaf(ir.Uploaded("b"))
SHORT, LONG = bought(30), bought(90)
SHARES = [ir.leaf(ir.Bucket("s", low, low + 5_000, f"t.{low}")) for low in (0, 5_000)]
CLICKED = ir.leaf(ir.Clicked("m"))
MALE, FEMALE = (ir.leaf(ir.Attribute("gender", value)) for value in ("male", "female"))
FRIENDS = ir.leaf(ir.Friends("shop"))
OWN = [A, B, SHORT, LONG]
LEAVES = [*OWN, *SHARES, CLICKED, MALE, FEMALE, FRIENDS]

# A person's own data, one instant of what LINE has of them.
Person = Mapping[str, bool]
OWN_DATA = [
    {A.key: a, B.key: b, SHORT.key: window == 2, LONG.key: window > 0, SHARES[0].key: first, SHARES[1].key: not first}
    for a, b, window, first in product((0, 1), (0, 1), (0, 1, 2), (0, 1))
]
AT_LINE = [
    {CLICKED.key: clicked, MALE.key: gender == "male", FEMALE.key: gender == "female", FRIENDS.key: True}
    for clicked, gender in product((False, True), ("male", "female", ""))
]


def holds(expression: ir.Expression, person: Person) -> bool:
    match expression:
        case ir.Constant(value):
            return value
        case ir.Leaf():
            return bool(person[expression.key])
        case ir.Not(operand):
            return not holds(operand, person)
        case ir.And(operands):
            return all(holds(one, person) for one in operands)
        case ir.Or(operands):
            return any(holds(one, person) for one in operands)
    raise AssertionError(expression)


def people_in(expression: ir.Expression) -> Iterator[tuple[int, int]]:
    for own, line in product(range(len(OWN_DATA)), range(len(AT_LINE))):
        if holds(expression, {**OWN_DATA[own], **AT_LINE[line]}):
            yield own, line


def wanted(name: str, reach: ir.Expression, action: str = "schedule", **more: Any) -> Wanted:
    one = ir.Delivery(name, more.pop("account", "shop"), reach, reach, "", ("card",), **{"at": AT, **more})
    return Wanted(one, None, "", Verdict(action, None))  # type: ignore[arg-type]


def found(*deliveries: Wanted, people: Size = UNKNOWN) -> Overlaps:
    return overlaps_of(PROJECT, deliveries, {}, lambda _: people)


def combined(parts: st.SearchStrategy[ir.Expression]) -> st.SearchStrategy[ir.Expression]:
    pairs = st.tuples(parts, parts)
    return st.one_of(
        pairs.map(lambda pair: ir.land(*pair)),
        pairs.map(lambda pair: ir.lor(*pair)),
        pairs.map(lambda pair: ir.land(pair[0], ir.lnot(pair[1]))),
    )


SETS = st.recursive(st.sampled_from(LEAVES), combined, max_leaves=7)


@settings(max_examples=400, deadline=None)
@given(left=SETS, right=SETS)
@example(left=SHORT, right=ir.land(A, ir.lnot(LONG)))
@example(left=ir.land(A, SHARES[0]), right=ir.land(A, SHARES[1]))
@example(left=ir.land(A, ir.lnot(SHARES[0])), right=ir.land(A, ir.lnot(SHARES[1])))
@example(left=ir.land(A, MALE), right=ir.land(A, FEMALE))
@example(left=FRIENDS, right=FRIENDS)
def test_a_pair_is_listed_if_somebody_can_be_in_both(left: ir.Expression, right: ir.Expression) -> None:
    both = set(people_in(left)) & set(people_in(right))
    # Own data are of one approval; what LINE has of a person can be another thing at the second send.
    meet = {own for own, _ in people_in(left)} & {own for own, _ in people_in(right)}
    result = found(wanted("x", left), wanted("y", right))
    assert bool(result.listed) == bool(both)
    assert result.more == 0
    if both:
        (one,) = result.listed
        assert set(people_in(one.both)) == both
        assert one.deliveries == ("x", "y")
    elif meet:
        assert result.apart_for_now == 1
    if result == Overlaps():
        assert not meet


@settings(max_examples=200, deadline=None)
@given(sets=st.lists(SETS, min_size=3, max_size=6))
def test_every_pair_of_a_plan_is_looked_at(sets: list[ir.Expression]) -> None:
    names = [f"d{index}" for index in range(len(sets))]
    result = found(*(wanted(name, one) for name, one in zip(names, sets, strict=True)))
    inside = [set(people_in(one)) for one in sets]
    pairs = {(names[i], names[j]) for i in range(len(sets)) for j in range(i + 1, len(sets)) if inside[i] & inside[j]}
    assert {one.deliveries for one in result.listed} == pairs


def test_own_data_of_one_approval_keep_two_deliveries_apart() -> None:
    assert found(wanted("x", ir.land(A, SHORT)), wanted("y", ir.land(A, ir.lnot(LONG)))) == Overlaps()


def test_data_of_two_approvals_do_not() -> None:
    begun = wanted("x", SHORT, "resume")
    assert found(begun, wanted("y", ir.land(A, ir.lnot(LONG)))) == Overlaps((), 0, 1)
    assert found(wanted("x", ir.land(A, SHARES[0]), "resume"), wanted("y", ir.land(B, SHARES[1]))) == Overlaps()
    # How many of them there are is not in the data of now.
    assert found(begun, wanted("y", SHORT), people=Size(3, 3)).listed[0].people == Size(0, None)


@pytest.mark.parametrize("action", ["sent", "past", "edited", "attention", "closed"])
def test_what_is_not_sent_any_more_meets_nothing(action: str) -> None:
    assert found(wanted("x", A, action), wanted("y", A)) == Overlaps()


@pytest.mark.parametrize(("account", "listed"), [("shop", 1), ("cafe", 1), ("bakery", 0)])
def test_ids_are_of_a_provider(account: str, listed: int) -> None:
    assert len(found(wanted("x", A), wanted("y", A, account=account)).listed) == listed


def test_friends_stand_in_front_of_nobody() -> None:
    (one,) = found(wanted("x", FRIENDS), wanted("y", ir.land(A, FRIENDS)), people=Size(3, 3)).listed
    assert one.both == A
    assert one.own == "exact"


def test_nobody_in_own_data_is_no_pair() -> None:
    assert found(wanted("x", A), wanted("y", B), people=Size(0, 0)) == Overlaps()
    assert len(found(wanted("x", A), wanted("y", B), people=Size(0, None)).listed) == 1


def test_a_limit_bounds_who_gets_both() -> None:
    (one,) = found(wanted("x", A, limit=10), wanted("y", A, limit=4), people=Size(7, 7)).listed
    assert (one.people, one.own) == (Size(0, 4), "bound")


def test_the_first_to_be_sent_stands_first() -> None:
    (one,) = found(wanted("a", A, at=AT + timedelta(days=1)), wanted("b", A)).listed
    assert one.deliveries == ("b", "a")


def test_the_largest_are_listed_and_the_others_counted() -> None:
    sets = [ir.lor(A, ir.leaf(ir.Uploaded(f"u{index}"))) for index in range(30)]
    deliveries = [wanted(f"d{index:02}", one) for index, one in enumerate(sets)]

    def size(expression: ir.Expression) -> Size:
        numbers = [int(key) for key in re.findall(r"u(\d+)", " ".join(a.key for a in ir.atoms_of(expression)))]
        return Size(sum(numbers), sum(numbers))

    result = overlaps_of(PROJECT, deliveries, {}, size)
    counts = [one.people.low for one in result.listed]
    assert len(counts) == OVERLAPS_LISTED_MAX
    # Of so many pairs not all are counted; those that are listed are the largest of these.
    assert counts == sorted(counts, reverse=True)
    assert result.more == 30 * 29 // 2 - OVERLAPS_LISTED_MAX


@pytest.mark.parametrize("seed", range(2))
def test_sets_with_more_ways_than_are_looked_at_are_never_taken_for_apart(seed: int) -> None:
    """Both are unions of too many joint sets; a person of all of them is in both."""
    lists = [ir.leaf(ir.Uploaded(f"l{seed}{index}")) for index in range(16)]
    left = ir.land(*(ir.lor(a, b) for a, b in zip(lists[::2], lists[1::2], strict=True)))
    (one,) = found(wanted("x", left), wanted("y", ir.land(*lists))).listed
    assert one.both == ir.land(*lists)
    assert found(wanted("x", left), wanted("y", ir.land(A, *(ir.lnot(one) for one in lists[:2])))) == Overlaps()


def test_the_order_of_the_deliveries_changes_nothing() -> None:
    deliveries = [wanted("x", ir.lor(A, CLICKED)), wanted("y", ir.lor(B, CLICKED)), wanted("z", SHORT)]
    shown = partial(overlaps_document, project=PROJECT)
    assert shown(found(*deliveries)) == shown(found(*reversed(deliveries)))


# --- from text to what is shown ----------------------------------------------------------------------

EARLY, LATE = "at: 2026-12-01 10:00", "at: 2026-12-03 10:00"
BOTH = delivery("purchased(A)", EARLY) + delivery("purchased(B)", LATE, "sale_b")


def bought_of(here: Any, what: str) -> set[str]:
    rows = [line.split(",") for line in (here.root / "data/orders.csv").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2] == what}


def optout(here: Any) -> set[str]:
    return set((here.root / "data/optout.txt").read_text().split())


@pytest.mark.threat("T42")
def test_a_plan_says_who_gets_two_messages_and_how_many(tmp_path: Any) -> None:
    with f1000(tmp_path, BOTH) as here:
        document = here.plan().document
        both = (bought_of(here, "A") & bought_of(here, "B")) - optout(here)
        assert both
        (row,) = document["overlaps"]["listed"]
        assert row["deliveries"] == ["delivery.sale_a", "delivery.sale_b"]
        assert row["both"] == "purchased(A) AND purchased(B) EXCEPT uploaded(optout)"
        assert (row["people"]["count"], row["own_data"]) == (len(both), "exact")
        text = human(document, Style(False, True, language="en"))
        line = f"  sale_a and sale_b: purchased(A) AND purchased(B) EXCEPT uploaded(optout)   {len(both)} people"
        assert "\n\nWho can get more than one message\n" + line + "\n\n" in text
        assert "2 通以上受け取る可能性がある人" in human(document, Style(False, True, language="ja"))
        comment = plan_comment(document, "en")
        assert "<summary>Who can get more than one message</summary>" in comment
        assert f"{len(both)} people" in comment


@pytest.mark.parametrize(
    "more",
    ["priority [sale_a, sale_b]", "policy apart { always except purchased(A)  except for [sale_a] }"],
)
def test_what_keeps_them_apart_takes_the_pair_away(more: str, tmp_path: Any) -> None:
    with f1000(tmp_path, BOTH + more) as here:
        document = here.plan().document
        assert document["overlaps"] == {"listed": [], "more": 0, "apart_for_now": 0}
        assert "more than one" not in human(document, Style(False, True, language="en"))
        assert "more than one" not in plan_comment(document, "en")


def test_who_is_counted_gets_both(tmp_path: Any) -> None:
    with f1000(tmp_path, BOTH) as here:
        (row,) = here.plan().document["overlaps"]["listed"]
        assert here.apply().exit_code == 0
        for seconds in (10 * 86_400 + 10 * 3_600, 2 * 86_400):
            here.advance(seconds)
            assert here.run().exit_code == 0
        twice = {person for person, count in here.received().items() if count == 2}
        assert twice
        assert twice <= (bought_of(here, "A") & bought_of(here, "B")) - optout(here)
        assert len(twice) <= row["people"]["count"]


def test_estimates_that_keep_them_apart_are_told_of(tmp_path: Any) -> None:
    both = delivery("purchased(A) AND gender(male)", EARLY) + delivery(
        "purchased(A) AND gender(female)", LATE, "sale_b"
    )
    with f1000(tmp_path, both) as here:
        document = here.plan().document
        assert document["overlaps"] == {"listed": [], "more": 0, "apart_for_now": 1}
        assert "can change until both are sent: 1." in human(document, Style(False, True, language="en"))


def test_arms_of_a_split_are_apart(tmp_path: Any) -> None:
    split = 'split test of purchased(A) { a 50%, b 50% } salt "s"\n'
    with f1000(tmp_path, split + delivery("test.a", EARLY) + delivery("test.b", LATE, "sale_b")) as here:
        assert here.plan().document["overlaps"]["listed"] == []


def test_friends_of_the_account_are_not_a_condition(tmp_path: Any) -> None:
    with f1000(tmp_path, delivery("friends", EARLY) + delivery("purchased(A)", LATE, "sale_b"), SOURCES) as here:
        (row,) = here.plan().document["overlaps"]["listed"]
        assert row["both"] == "purchased(A) EXCEPT uploaded(optout)"
        assert row["people"]["count"] == len(bought_of(here, "A") - optout(here))
