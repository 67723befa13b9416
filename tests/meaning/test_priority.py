"""Priorities: each person gets exactly the first delivery of a list, and what is refused."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meaning_project import ACCOUNT, CARD, SHOP, codes, read, sound

from audsql.meaning import ir

NAMES = ("a", "b", "c", "d")
LISTS = tuple(f"l{index}" for index in range(4))
WORLD = ACCOUNT + CARD + "".join(f'upload {one} {{ file: "{one}.txt"  id: user_id }}\n' for one in LISTS)


def set_texts() -> st.SearchStrategy[str]:
    """Sets over the lists that are empty where all lists are."""
    plain = st.sampled_from([f"uploaded({one})" for one in LISTS])
    return st.one_of(
        plain,
        st.builds("{} AND {}".format, plain, plain),
        st.builds("{} OR {}".format, plain, plain),
        st.builds("{} EXCEPT {}".format, plain, plain),
    )


@st.composite
def rankings(draw: st.DrawFn) -> list[list[str]]:
    """One to three lists of deliveries that one order fits, so that there is no circle."""
    order = draw(st.permutations(NAMES))
    chosen = draw(st.lists(st.sets(st.sampled_from(NAMES), min_size=2), min_size=1, max_size=3))
    return [sorted(names, key=order.index) for names in chosen]


@given(st.tuples(*(set_texts() for _ in NAMES)), rankings())
@settings(max_examples=120, deadline=None)
def test_each_person_gets_exactly_the_first(sets: tuple[str, ...], lists: list[list[str]]) -> None:
    text = WORLD
    for name, written in zip(NAMES, sets, strict=True):
        text += f"delivery {name} {{ to: {written} allow empty  send: card }}\n"
    text += "".join(f"priority [{', '.join(names)}]\n" for names in lists)
    analysis, problems = read(text)
    assert not [problem for problem in problems if problem.severity == "error"]
    deliveries = {delivery.name: delivery for delivery in analysis.project.deliveries}
    assert set(deliveries) == set(NAMES)
    for bits in product((False, True), repeat=len(LISTS)):
        person = frozenset(f"uploaded({one})" for one, inside in zip(LISTS, bits, strict=True) if inside)
        wanted = naive_gets(person, {name: deliveries[name].to for name in NAMES}, lists)
        assert {name for name in NAMES if ir.evaluate(deliveries[name].reach, person)} == wanted


def naive_gets(person: frozenset[str], sets: dict[str, ir.Expression], lists: list[list[str]]) -> set[str]:
    """Delivery by delivery, the earlier first: somebody gets one that is for them unless they get an earlier one
    of the same list."""
    gets: dict[str, bool] = {}
    while len(gets) < len(sets):
        for name in sets:
            ahead = {other for names in lists if name in names for other in names[: names.index(name)]}
            if name not in gets and ahead <= gets.keys():
                gets[name] = ir.evaluate(sets[name], person) and not any(gets[other] for other in ahead)
    return {name for name, got in gets.items() if got}


TWO = SHOP + "delivery first { to: uploaded(buyers)  send: card }\ndelivery second { to: friends  send: card }\n"


def test_a_single_list_subtracts_what_each_is_for() -> None:
    third = "delivery third { to: orders()  send: card }\npriority [first, second, third]\n"
    project = sound(TWO.replace("friends", "purchased(A)") + third).project
    delivery = project.delivery("third")
    assert delivery is not None and delivery.behind == ("first", "second")
    first, second = project.delivery("first"), project.delivery("second")
    assert first is not None and second is not None
    wanted = ir.land(delivery.to, ir.lnot(first.to), ir.lnot(second.to))
    assert delivery.reach == wanted
    assert project.priorities[0].deliveries == ("first", "second", "third")


def test_policies_come_off_first() -> None:
    project = sound(TWO + "policy p { always except uploaded(optout) }\npriority [first, second]\n").project
    second = project.delivery("second")
    assert second is not None
    optout, buyers, friends = (
        ir.leaf(ir.Uploaded("optout")),
        ir.leaf(ir.Uploaded("buyers")),
        ir.leaf(ir.Friends("shop")),
    )
    taken = ir.land(buyers, ir.lnot(optout))
    assert second.reach == ir.land(friends, ir.lnot(optout), ir.lnot(taken))


def test_circles_show_their_path() -> None:
    text = TWO + "delivery third { to: orders()  send: card }\n"
    _, problems = read(text + "priority [first, second]\npriority [second, third]\npriority [third, first]\n")
    assert [problem.code for problem in problems] == ["AUD0380"]
    assert problems[0].fact("path") == "first -> third -> second -> first"


def test_who_empties_it() -> None:
    text = TWO + "delivery third { to: uploaded(buyers) AND uploaded(optout)  send: card }\n"
    _, problems = read(text.replace("friends", "orders()") + "priority [second, first, third]\n")
    assert [problem.code for problem in problems] == ["AUD0381"]
    assert problems[0].fact("by") == ("first",)


REFUSED = [
    (
        "a broken one before it is silent",
        TWO.replace("uploaded(buyers)", "nothing", 1) + "priority [first, second]\n",
        ["AUD0201"],
    ),
    ("an unknown one is told once", TWO + "priority [first, secnd, second]\n", ["AUD0207"]),
    ("an audience", TWO + "audience a = friends\npriority [first, a]\n", ["AUD0204"]),
    ("one delivery", TWO + "priority [first]\n", ["AUD0376"]),
    ("the same twice", TWO + "priority [first, first]\n", ["AUD0376"]),
    (
        "a click on the later one",
        SHOP + "delivery first { to: clicked(second)  send: card }\n"
        "delivery second { to: friends  send: card }\npriority [first, second]\n",
        ["AUD0210"],
    ),
    (
        "a limit on the last",
        TWO.replace("friends  send: card", "friends  send: card  limit: 9") + "priority [first, second]\n",
        [],
    ),
]


@pytest.mark.parametrize(("text", "wanted"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(text: str, wanted: list[str]) -> None:
    assert codes(text) == wanted
