"""How two sets lie to each other: a corpus of pairs, and brute force over small worlds of rows and clicks."""

from __future__ import annotations

import os
import random
import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from audsql.meaning import algebra, ir, search, spaces
from audsql.meaning.lower import Analysis, analyse, lower_expression
from audsql.meaning.minimal import literals_in, minimal
from audsql.meaning.relation import Undecided, relation
from audsql.meaning.words import to_words
from audsql.source import Source
from audsql.syntax.parse import parse_expression, parse_file

PAIRS = Path(__file__).parent / "pairs"
SWEEP = bool(os.environ.get("AUDSQL_SWEEP"))
PROJECT = """
account shop { token: env("LINE_TOKEN") }
upload buyers { file: "buyers.txt"  id: user_id }
upload la { file: "a.txt"  id: user_id }
upload lb { file: "b.txt"  id: user_id }
upload lc { file: "c.txt"  id: user_id }
upload ld { file: "d.txt"  id: user_id }
audience a = uploaded(la)
audience b = uploaded(lb)
audience c = uploaded(lc)
audience d = uploaded(ld)
table orders { file: "orders.csv"  id: user_id  time: at  verb purchased by product  verb visited }
table visits { file: "visits.csv"  id: user_id  time: at }
delivery m { sent: "request-1"  at: 2026-11-10 10:00  by: broadcast }
delivery n { sent: "request-2"  at: 2026-11-11 10:00  by: broadcast }
audience lapsed = purchased(A) EXCEPT purchased(A, last 90 days)
split half of uploaded(buyers) { x 50%, y 50% } salt "one"
split third of uploaded(buyers) { p 30%, q 30%, r 40% } salt "two"
"""


@cache
def project() -> Analysis:
    file, problems = parse_file(Source("pairs.aud", PROJECT))
    analysis, found = analyse((file,), name="pairs", timezone="Asia/Tokyo")
    assert not problems and not [one for one in found if one.severity == "error"], (problems, found)
    return analysis


def meaning(text: str) -> ir.Expression:
    tree, problems = parse_expression(text)
    assert tree is not None, (text, problems)
    expression, found = lower_expression(tree, project())
    assert not [one for one in found if one.severity == "error"], (text, found)
    return expression


def corpus() -> Iterator[tuple[str, str, str, str]]:
    for path in sorted(PAIRS.glob("*.toml")):
        yield from map(tuple, tomllib.loads(path.read_text(encoding="utf-8"))["pairs"])


def test_the_corpus_is_large_and_has_every_relation() -> None:
    pairs = list(corpus())
    assert len({(left, right) for left, right, _, _ in pairs}) >= 250
    counts = [sum(kind == one for _, _, kind, _ in pairs) for one in ("equal", "narrower", "wider")]
    assert min(counts) >= 25 and sum(kind == "disjoint" for _, _, kind, _ in pairs) >= 20


TURNED = {"narrower": "wider", "wider": "narrower"}


@pytest.mark.parametrize(("left", "right", "kind", "why"), list(corpus()))
def test_pair(left: str, right: str, kind: str, why: str) -> None:
    one, other = meaning(left), meaning(right)
    assert relation(one, other).kind == kind, why
    assert relation(other, one).kind == TURNED.get(kind, kind), why


@pytest.mark.parametrize(("left", "right", "kind", "why"), list(corpus()))
def test_witnesses_are_where_they_are_said_to_be(left: str, right: str, kind: str, why: str) -> None:
    one, other = meaning(left), meaning(right)
    found = relation(one, other)
    for person, inside, outside in ((found.left_only, one, other), (found.right_only, other, one)):
        assert person is None or (ir.evaluate(inside, person) and not ir.evaluate(outside, person))
    assert found.both is None or (ir.evaluate(one, found.both) and ir.evaluate(other, found.both))


@pytest.mark.parametrize(("left", "right", "kind", "why"), list(corpus()))
def test_minimal_means_the_same_and_is_no_longer(left: str, right: str, kind: str, why: str) -> None:
    one, other = meaning(left), meaning(right)
    for expression in (one, ir.land(one, ir.lnot(other)), ir.lor(one, other)):
        short = minimal(expression)
        assert algebra.equal(short, expression)
        assert literals_in(short) <= literals_in(expression)
        assert len(to_words(short)) <= len(to_words(expression))


@pytest.mark.parametrize(
    ("written", "shortest"),
    [
        ("(a AND b) OR (a AND c)", "(b OR c) AND a"),
        ("(a OR b) AND (a OR c)", "(b AND c) OR a"),
        ("(a AND c) OR (a AND d) OR (b AND c) OR (b AND d)", "(a OR b) AND (c OR d)"),
        ("(a EXCEPT b) OR b", "a OR b"),
        ("a EXCEPT (a EXCEPT b)", "a AND b"),
        ("(a AND b) OR (NOT a AND c) OR (b AND c)", "(a AND b) OR (c EXCEPT a)"),
        ("purchased(A) EXCEPT purchased(A, last 30 days) EXCEPT lapsed",
         "purchased(A, last 90 days) EXCEPT purchased(A, last 30 days)"),
        ("purchased(A, B) OR purchased(A)", "purchased(A, B)"),
        ("age(30..44) EXCEPT age(40..44)", "age(30..39)"),
        ("a AND (b OR c OR d) AND (b OR c OR NOT d)", "(b OR c) AND a"),
    ],
)  # fmt: skip
def test_minimal_formulas(written: str, shortest: str) -> None:
    expected = meaning(shortest)
    assert minimal(meaning(written)) == expected


# --- brute force ------------------------------------------------------------------------------------------
# People are numbered; a set of them is an integer with a bit for each. Each group of atoms has its own small
# world (which rows, which clicks), and the people are all combinations. No part of the algebra is used.

Member = Callable[[int], bool]
# D is a product that no atom names: `*` is more than all names together.
_BOUGHT = [("A", days) for days in (5, 60, 61, 200, 201)] + [(one, days) for one in "BCD" for days in (5, 200)]


def bought(products: Sequence[str], days_max: int, times: int) -> Member:
    rows = [
        index for index, (product, days) in enumerate(_BOUGHT) if product in (products or "ABCD") and days <= days_max
    ]
    return lambda person: sum(person >> row & 1 for row in rows) >= times


def orders(products: Sequence[str], days: int | None, times: int = 1) -> tuple[ir.Atom, Member]:
    match list(products):
        case []:
            which: ir.RowCondition = ir.ColumnGiven("product")
        case [one]:
            which = ir.ColumnCompare("product", "=", one)
        case several:
            which = ir.ColumnIn("product", tuple(several))
    rows = (which,) if days is None else (which, ir.Last(days, "day"))
    people = () if times == 1 else (ir.Times("at least", times),)
    return ir.Rows("orders", rows, people), bought(products, days or 10_000, times)


_PAID = [("amount", 5), ("amount", 50), ("amount", 500), ("cost", 5), ("cost", 50), ("cost", 500), ("", 0)]


def visits(column: str, operator: Literal[">=", "<"], bound: int) -> tuple[ir.Atom, Member]:
    """Rows with a value in one column only: a union of two ranges of one column is no certain fact."""
    rows = [
        index
        for index, (name, value) in enumerate(_PAID)
        if name == column and (value >= bound if operator == ">=" else value < bound)
    ]
    condition = ir.ColumnCompare(column, operator, Decimal(bound))
    return ir.Rows("visits", (condition,)), lambda person: any(person >> row & 1 for row in rows)


def bit(index: int) -> Member:
    return lambda person: bool(person >> index & 1)


GROUPS: list[tuple[int, list[tuple[ir.Atom, Member]]]] = [
    (
        1 << len(_BOUGHT),
        [
            orders("A", None), orders("A", 30), orders("A", 90), orders("A", None, 2), orders("A", 90, 2),
            orders("B", None), orders("B", 30), orders("AB", None), orders("AB", 30), orders("BC", None),
            orders("", None), orders("", 30),
        ],
    ),
    (
        1 << len(_PAID),
        [
            (ir.Rows("visits"), bool), visits("amount", ">=", 10), visits("amount", ">=", 100),
            visits("cost", "<", 10), visits("cost", "<", 100),
        ],
    ),
    (
        8,
        [
            (ir.Clicked("m"), bool), (ir.Clicked("m", "https://shop.example/a"), bit(0)),
            (ir.Clicked("m", "https://shop.example/b"), bit(1)),
        ],
    ),
    (3, [(ir.Attribute("gender", "female"), lambda p: p == 1), (ir.Attribute("gender", "male"), lambda p: p == 2)]),
    (4, [(ir.Uploaded("la"), bit(0)), (ir.Uploaded("lb"), bit(1))]),
]  # fmt: skip


@cache
def column(groups: tuple[int, ...], group: int, atom: int) -> int:
    """The people of an atom among all combinations of these groups."""
    member, size = GROUPS[group][1][atom][1], GROUPS[group][0]
    stride = 1
    for other in groups[: groups.index(group)]:
        stride *= GROUPS[other][0]
    block = (1 << stride) - 1
    pattern = 0
    for person in range(size):
        if member(person):
            pattern |= block << (person * stride)
    width, total = size * stride, population(groups)
    while width < total:
        pattern |= pattern << width
        width *= 2
    return pattern & ((1 << total) - 1)


def population(groups: tuple[int, ...]) -> int:
    total = 1
    for group in groups:
        total *= GROUPS[group][0]
    return total


def random_set(
    draw: random.Random, groups: tuple[int, ...], atoms: Sequence[tuple[int, int]], depth: int
) -> tuple[ir.Expression, int]:
    """An expression and its people, built side by side."""
    if depth == 0 or draw.random() < 0.2:
        group, atom = draw.choice(atoms)
        return ir.leaf(GROUPS[group][1][atom][0]), column(groups, group, atom)
    everybody = (1 << population(groups)) - 1
    if draw.random() < 0.2:
        inner, people = random_set(draw, groups, atoms, depth - 1)
        return ir.lnot(inner), everybody & ~people
    left, left_people = random_set(draw, groups, atoms, depth - 1)
    right, right_people = random_set(draw, groups, atoms, depth - 1)
    match draw.randrange(3):
        case 0:
            return ir.land(left, right), left_people & right_people
        case 1:
            return ir.lor(left, right), left_people | right_people
        case _:
            return ir.land(left, ir.lnot(right)), left_people & ~right_people


def expected(left: int, right: int) -> str:
    if left == right:
        return "equal"
    if left & ~right == 0:
        return "narrower"
    if right & ~left == 0:
        return "wider"
    return "overlapping" if left & right else "disjoint"


@pytest.mark.parametrize("part", range(20) if SWEEP else [date.today().toordinal() % 20])
def test_brute_force_agrees(part: int) -> None:
    """10,000 random pairs in twenty parts; without AUDSQL_SWEEP one part, another each day."""
    seen = set()
    for number in range(part * 500, part * 500 + 500):
        draw = random.Random(number)
        groups = tuple(sorted(draw.sample(range(len(GROUPS)), draw.choice((1, 2, 2, 3)))))
        pool = [(group, atom) for group in groups for atom in range(len(GROUPS[group][1]))]
        atoms = draw.sample(pool, min(len(pool), draw.randint(2, 6)))
        left, left_people = random_set(draw, groups, atoms, 3)
        right, right_people = random_set(draw, groups, atoms, 3)
        kind = expected(left_people, right_people)
        assert relation(left, right).kind == kind, (number, to_words(left), to_words(right))
        seen.add(kind)
    assert len(seen) == 5


# --- limits -----------------------------------------------------------------------------------------------


LISTS = [ir.leaf(ir.Uploaded(f"u{index:02}")) for index in range(40)]


def parity(parts: Sequence[ir.Expression]) -> ir.Expression:
    total: ir.Expression = ir.NOBODY
    for part in parts:
        total = ir.lor(ir.land(total, ir.lnot(part)), ir.land(part, ir.lnot(total)))
    return total


def threshold(parts: Sequence[ir.Expression], count: int) -> ir.Expression:
    """At least `count` of them."""
    reached: list[ir.Expression] = [ir.EVERYBODY, *[ir.NOBODY] * count]
    for part in parts:
        reached = [ir.EVERYBODY] + [ir.lor(reached[k], ir.land(reached[k - 1], part)) for k in range(1, count + 1)]
    return reached[count]


def multiplexer(selectors: Sequence[ir.Expression], data: Sequence[ir.Expression]) -> ir.Expression:
    return ir.lor(
        *(
            ir.land(part, *(one if row >> at & 1 else ir.lnot(one) for at, one in enumerate(selectors)))
            for row, part in enumerate(data)
        )
    )


def test_parity_of_thirty_atoms_is_decided() -> None:
    assert relation(parity(LISTS[:30]), parity(LISTS[:30][::-1])).kind == "equal"
    assert relation(parity(LISTS[:30]), ir.lnot(parity(LISTS[:30][::-1]))).kind == "disjoint"


def test_thresholds_of_thirty_atoms_are_decided() -> None:
    assert relation(threshold(LISTS[:30], 16), threshold(LISTS[:30][::-1], 15)).kind == "narrower"


def test_a_multiplexer_is_decided() -> None:
    data, selectors = LISTS[:16], LISTS[16:20]
    turned = ir.lnot(multiplexer(selectors, [ir.lnot(one) for one in data]))
    assert relation(multiplexer(selectors, data), turned).kind == "equal"


def clauses(seed: int, atoms: int, count: int) -> ir.Expression:
    draw = random.Random(seed)
    return ir.land(
        *(
            ir.lor(*(one if draw.random() < 0.5 else ir.lnot(one) for one in draw.sample(LISTS[:atoms], 3)))
            for _ in range(count)
        )
    )


def test_what_outgrows_a_diagram_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spaces, "STEPS_MAX", 500)
    left = clauses(1, 22, 30)
    same = ir.lnot(ir.lor(*(ir.lnot(one) for one in ir.children(left))))
    assert relation(left, ir.lor(same, ir.land(left, clauses(2, 22, 30)))).kind == "equal"
    assert relation(left, ir.land(left, clauses(2, 22, 30))).kind == "wider"


def test_beyond_the_limits_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spaces, "STEPS_MAX", 500)
    with pytest.raises(Undecided) as told:
        relation(clauses(1, 40, 60), ir.lnot(ir.lor(*(ir.lnot(one) for one in clauses(1, 40, 60).operands[:59]))))  # type: ignore[union-attr]
    assert told.value.atoms == 40
    monkeypatch.setattr(search, "WORK_MAX", 1_000)
    with pytest.raises(Undecided):
        relation(clauses(1, 24, 60), ir.land(clauses(1, 24, 60), clauses(2, 24, 60)))
