"""`require EXPR` is proved of every delivery by itself: arms, samples, second places, copies of a template."""

from __future__ import annotations

import pytest
from meaning_project import SHOP, read

from audsql.diag import Diagnostic

WORLD = SHOP + 'upload optin { file: "optin.txt"  id: user_id }\n'
CONSENT = "policy consent { require uploaded(optin) }\n"
HALVES = 'split test of {of} {{ a 50%, b 50% }} salt "s"\n'


def delivery(to: str, name: str = "d") -> str:
    return f"delivery {name} {{ send: card  to: {to} }}\n"


def told(text: str) -> list[tuple[str, str]]:
    """Delivery and policy of each proof that fails; nothing else is wrong."""
    problems: tuple[Diagnostic, ...] = tuple(one for one in read(WORLD + text)[1] if one.severity == "error")
    assert {one.code for one in problems} <= {"AUD0369"}, problems
    return sorted((str(one.fact("delivery")), str(one.fact("policy"))) for one in problems)


@pytest.mark.parametrize(("of", "wanted"), [("uploaded(optin)", []), ("uploaded(buyers)", [("d", "consent")])])
def test_an_arm_is_within_what_its_split_is_within(of: str, wanted: list[tuple[str, str]]) -> None:
    assert told(CONSENT + HALVES.format(of=of) + delivery("test.a")) == wanted


def test_an_arm_that_a_policy_asks_for_is_that_arm() -> None:
    halves = HALVES.format(of="uploaded(optin)")
    asked = "policy first { require NOT test.b }\n"
    both = delivery("test.a", "x") + delivery("uploaded(optin)", "y")
    assert told(halves + asked + both) == [("y", "first")]


def test_a_sample_is_within_its_set_and_a_set_is_not_within_its_sample() -> None:
    part = 'sample(uploaded(optin), 10%, seed: "s")'
    assert told(CONSENT + delivery(part)) == []
    assert told(f"policy few {{ require {part} }}\n" + delivery("uploaded(optin)")) == [("d", "few")]
    larger = 'sample(uploaded(optin), 20%, seed: "s")'
    assert told(f"policy few {{ require {larger} }}\n" + delivery(part)) == []
    assert told(f"policy few {{ require {part} }}\n" + delivery(larger)) == [("d", "few")]


def test_the_second_of_a_priority_is_judged_by_what_is_left() -> None:
    apart = "policy apart { require NOT uploaded(buyers)  except for [a] }\n"
    pair = delivery("uploaded(buyers)", "a") + delivery("uploaded(optin)", "b")
    assert told(apart + pair) == [("b", "apart")]
    assert told(apart + pair + "priority [a, b]\n") == []
    # In the other order nothing is taken from it.
    assert told(apart + pair + "priority [b, a]\n") == [("b", "apart")]


def test_every_policy_is_proved_of_every_delivery() -> None:
    more = "policy buyers_only { require uploaded(buyers) }\n"
    text = CONSENT + more + delivery("uploaded(optin)", "x") + delivery("uploaded(buyers)", "y")
    assert told(text) == [("x", "buyers_only"), ("y", "consent")]
    assert told(text + delivery("uploaded(optin) AND uploaded(buyers)", "z")) == told(text)


def test_several_demands_are_told_one_after_the_other_and_all_must_hold() -> None:
    """One place has one problem of a kind; the next one is told once that is mended."""
    both = "policy p {\n  require uploaded(optin)\n  require uploaded(buyers)\n}\n"
    assert told(both + delivery("friends")) == [("d", "p")]
    assert told(both + delivery("uploaded(optin)")) == [("d", "p")]
    assert told(both + delivery("uploaded(buyers)")) == [("d", "p")]
    assert told(both + delivery("uploaded(optin) AND uploaded(buyers)")) == []


def test_what_another_policy_takes_away_counts() -> None:
    asked = "policy asked { require NOT uploaded(buyers) }\n"
    house = "policy house { always except uploaded(buyers)  except for [y] }\n"
    text = asked + house + delivery("friends", "x") + delivery("friends", "y")
    assert told(text) == [("y", "asked")]


def test_an_exception_is_for_the_deliveries_that_it_names_alone() -> None:
    asked = "policy asked { require uploaded(optin)  except for [x] }\n"
    text = asked + delivery("friends", "x") + delivery("friends", "y")
    assert told(text) == [("y", "asked")]


def test_each_copy_of_a_template_is_proved_by_itself() -> None:
    copies = "for p in [A, B] { delivery to_[p] { send: card  to: purchased(p) AND uploaded(optin) } }\n"
    asked = "policy asked { require purchased(A) }\n"
    assert [name for name, _ in told(CONSENT + asked + copies)] == ["to_[B]"]


def test_the_problem_names_a_person_in_words() -> None:
    text = WORLD + CONSENT + delivery("purchased(A) OR uploaded(buyers)")
    (problem,) = read(text)[1]
    assert problem.fact("inside")
    assert set(problem.fact("inside")) <= {"purchased(A)", "uploaded(buyers)", "friends"}
    assert problem.fact("outside") == ("uploaded(optin)",)
    assert problem.fact("required") == "uploaded(optin)"
