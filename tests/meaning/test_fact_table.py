"""What is certain between any two of many atoms: the table of all pairs that are related, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from meaning_project import SHOP, sound
from test_formulas import agrees

from audsql.meaning import ir
from audsql.meaning.facts import certain_facts
from audsql.meaning.lower import lower_expression
from audsql.meaning.words import to_words, verbs_of
from audsql.syntax.parse import parse_expression

MORE = """
upload phones { file: "phones.txt"  id: phone }
upload mails { file: "mails.txt"  id: email }
table members { file: "members.csv"  id: user_id, phone, email  time: at  verb joined by rank }
audience warm = purchased(A)
delivery narrow { sent: "request-6"  at: 2026-11-12 10:00  by: narrowcast }
split halves of warm { a 30%, b 30%, c 40% } salt "x"
"""
PROJECT = sound(SHOP + MORE)

ROWS = """
purchased(A)
purchased(B)
purchased(*)
purchased(A, B)
purchased(A, C)
purchased(A, B, C)
orders()
orders(product != A)
orders(product != B)
orders(product is missing)
orders(product is given)
orders(amount = 3)
orders(amount = 4)
orders(amount > 3)
orders(amount >= 3)
orders(amount > 4)
orders(amount < 3)
orders(amount <= 3)
orders(amount <= 2)
orders(amount != 3)
orders(amount in (3, 4))
orders(amount in (5, 6))
orders(day = 2026-12-01)
orders(day > 2026-12-01)
orders(day < 2026-12-01)
orders(product = a)
orders(product > a)
orders(product = "3")
purchased(A, amount > 3)
purchased(A, amount > 4)
"""
TIMES = """
orders()
purchased(A)
purchased(A, last 3 days)
purchased(A, last 72 hours)
purchased(A, last 2 days)
purchased(A, last 1 week)
purchased(A, last 90 minutes)
purchased(A, last 1 hour)
purchased(A, last 2 hours)
purchased(A, last 23 hours)
purchased(A, last 25 hours)
purchased(A, last 1 day)
purchased(A, since 2026-01-01)
purchased(A, since 2026-02-01)
purchased(A, before 2026-01-01)
purchased(A, before 2026-02-01)
purchased(A, since 2026-01-01, before 2026-02-01)
purchased(A, last 3 days, since 2026-01-01)
purchased(B, last 3 days)
purchased(*, last 3 days)
"""
COUNTS = """
orders()
purchased(A)
purchased(A, at least 1 time)
purchased(A, at least 2 times)
purchased(A, at least 3 times)
purchased(A, at most 1 time)
purchased(A, at most 2 times)
purchased(A, at most 3 times)
purchased(A, exactly 1 time)
purchased(A, exactly 2 times)
purchased(A, exactly 3 times)
purchased(*, at least 2 times)
purchased(*, at most 2 times)
purchased(*, exactly 2 times)
purchased(A, last 3 days, at least 2 times)
purchased(A, last 3 days, at most 2 times)
purchased(A, last 3 days, exactly 2 times)
purchased(A, at least 2 times, at most 3 times)
orders(sum(amount) >= 100)
orders(sum(amount) >= 50)
orders(sum(amount) > 100)
orders(sum(amount) < 100)
orders(sum(amount) <= 100)
orders(sum(amount) = 100)
orders(sum(amount) != 100)
orders(avg(amount) > 100)
orders(max(amount) > 100)
orders(max(amount) > 50)
orders(max(amount) < 100)
orders(min(amount) > 100)
orders(min(amount) < 50)
orders(max(amount) > 100, last 3 days)
orders(max(amount) < 100, last 3 days)
orders(min(amount) < 50, last 3 days)
orders(sum(amount) >= 100, last 3 days)
purchased(A, sum(amount) >= 100)
orders(latest product = A)
orders(latest product = B)
orders(latest product != A)
orders(latest amount > 3)
orders(latest amount > 4)
orders(latest amount < 2)
purchased(A, latest amount > 3)
"""
OTHERS = """
friends
uploaded(buyers)
uploaded(phones)
uploaded(mails)
linked(members)
members()
joined(gold)
joined(gold, silver)
clicked(spring)
clicked(spring, "https://a.example/")
clicked(spring, "https://b.example/")
opened(spring)
received(narrow)
halves.a
halves.b
halves.c
sample(warm, 10%, seed: "of facts")
sample(warm, 20%, seed: "of facts")
sample(warm, 20%, seed: "t")
age(30..34)
age(35..39)
age(50..)
gender(female)
gender(male)
os(ios)
os(android)
area(tokyo)
area(osaka)
friend_for(>= 365 days)
friend_for(30 days..89 days)
chat_tag("a")
chat_tag("b")
lookalike(warm, 1%)
lookalike(warm, 2%)
uploaded(phones) AND uploaded(buyers)
(uploaded(phones) AND uploaded(mails)) AND uploaded(buyers)
(uploaded(phones) OR uploaded(mails)) AND uploaded(buyers)
(uploaded(phones) EXCEPT uploaded(mails)) AND uploaded(buyers)
"""


def atoms_of(texts: str) -> dict[str, ir.Atom]:
    """The atoms of all these expressions, by their words."""
    found: dict[str, ir.Atom] = {}
    for text in texts.strip().splitlines():
        tree, _ = parse_expression(text)
        assert tree is not None, text
        expression, told = lower_expression(tree, PROJECT)
        assert [one.code for one in told if one.severity == "error"] == [], text
        for atom in ir.atoms_of(expression):
            words = to_words(ir.leaf(atom), verbs_of(PROJECT.project))
            found[words if found.get(words, atom) == atom else f"{words} [{atom.key}]"] = atom
    return found


def related(texts: str) -> Iterator[str]:
    """One line for each two atoms between which something is certain."""
    for (left, one), (right, other) in combinations(atoms_of(texts).items(), 2):
        facts = certain_facts((one, other))
        assert facts == certain_facts((other, one))
        if (one.key, other.key) in facts.implications:
            yield f"{left}  within  {right}"
        if (other.key, one.key) in facts.implications:
            yield f"{right}  within  {left}"
        if facts.exclusions:
            yield f"{left}  apart from  {right}"


def test_rows() -> None:
    agrees("facts-of-rows", related(ROWS))


def test_times() -> None:
    agrees("facts-of-times", related(TIMES))


def test_counts() -> None:
    agrees("facts-of-counts", related(COUNTS))


def test_other_atoms() -> None:
    agrees("facts-of-others", related(OTHERS))


def test_facts_of_many_are_those_of_pairs() -> None:
    """Only what is said of sets that are mapped needs more than two."""
    for texts in (ROWS, TIMES, COUNTS):
        atoms = list(atoms_of(texts).values())
        whole = certain_facts(atoms)
        pairs = [certain_facts(two) for two in combinations(atoms, 2)]
        assert sorted(whole.implications) == sorted(pair for one in pairs for pair in one.implications)
        assert sorted(whole.exclusions) == sorted(pair for one in pairs for pair in one.exclusions)
        assert list(whole.implications) == sorted(whole.implications)
        assert all(left < right for left, right in whole.exclusions)
