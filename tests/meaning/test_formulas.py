"""Functions of few variables, all of them: every representation, cover, search and shortest form against truth tables.

What is chosen among equals stands in tests/meaning/tables; `AUDSQL_REWRITE=1` writes them anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import product as combinations_of
from pathlib import Path

import pytest

from audsql.meaning import algebra, cover, ir, minimal, search, spaces
from audsql.meaning.facts import Facts
from audsql.meaning.spaces import Diagrams, Tables, Undecided
from audsql.meaning.words import to_words

TABLES = Path(__file__).parent / "tables"
STORED = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in sorted(TABLES.glob("*.txt"))}
LEAVES = [ir.leaf(ir.Uploaded(name)) for name in "abcd"]
KEYS = [one.key for one in LEAVES]
THREE = Tables(3)
FUNCTIONS = range(256)
PARITY = 0b10010110


def agrees(name: str, lines: Iterator[str]) -> None:
    """The lines are those of the table of that name."""
    found = list(lines)
    if os.environ.get("AUDSQL_REWRITE"):
        (TABLES / f"{name}.txt").write_text("".join(f"{line}\n" for line in found), encoding="utf-8")
    else:
        assert found == STORED[name]


def sum_text(products: Sequence[cover.Product] | None) -> str:
    if products is None:
        return "none"
    return " + ".join("".join("abcd"[at] if true else "abcd"[at].upper() for at, true in one) for one in products)


def rows_of(products: Sequence[cover.Product], count: int = 3) -> int:
    """The truth table of a sum of products."""
    rows = 0
    for row in range(1 << count):
        if any(all(bool(row >> at & 1) is true for at, true in one) for one in products):
            rows |= 1 << row
    return rows


def normal_form(function: int, count: int = 3) -> ir.Expression:
    """The sum of all its rows."""
    return ir.lor(
        *(
            ir.land(*(LEAVES[at] if row >> at & 1 else ir.lnot(LEAVES[at]) for at in range(count)))
            for row in range(1 << count)
            if function >> row & 1
        )
    )


def function_of(expression: ir.Expression, count: int = 3) -> int:
    return sum(
        1 << row
        for row in range(1 << count)
        if ir.evaluate(expression, {KEYS[at] for at in range(count) if row >> at & 1})
    )


# --- products -----------------------------------------------------------------------------------------


def cost(one: cover.Product) -> int:
    return 1 + sum(100 if true else 101 for _, true in one)


PRODUCTS: list[cover.Product] = [
    tuple((at, value) for at, value in enumerate(values) if value is not None)
    for values in combinations_of((None, True, False), repeat=3)
]


def cheapest(lower: int, upper: int) -> int:
    """What the cheapest sum between both costs, by trying sums in order of cost."""
    usable = [(cost(one), rows) for one in PRODUCTS if (rows := rows_of([one])) & ~upper == 0]
    waiting, done = [(0, 0)], set()
    while True:
        total, rows = heappop(waiting)
        if lower & ~rows == 0:
            return total
        if rows not in done:
            done.add(rows)
            for more, others in usable:
                heappush(waiting, (total + more, (rows | others) & lower))


@pytest.mark.parametrize("part", range(8))
def test_least_sums_are_the_cheapest(part: int) -> None:
    for upper in FUNCTIONS[part::8]:
        for free in (0, upper & 0b01010011, upper & 0b10101100, upper & 0b00111100):
            lower = upper & ~free
            found = cover.least(THREE, lower, upper)
            assert found is not None
            rows = rows_of(found)
            assert lower & ~rows == 0 and rows & ~upper == 0
            assert sum(map(cost, found)) == cheapest(lower, upper)
            assert list(found) == sorted(found)


def test_irredundant_sums() -> None:
    diagrams = Diagrams(3)
    for upper in FUNCTIONS:
        for free in (0, upper & 0b01010011, upper & 0b00111100):
            low, high = (cover.drawn(diagrams, THREE, one) for one in (upper & ~free, upper))
            found = cover.irredundant(diagrams, low, high, 8)
            assert found is not None
            rows = rows_of(found)
            assert upper & ~free & ~rows == 0 and rows & ~upper == 0
            for one in found:
                others = rows_of([other for other in found if other is not one])
                assert upper & ~free & ~others, "each product is needed"


def test_chosen_products() -> None:
    def lines() -> Iterator[str]:
        for function in FUNCTIONS:
            diagrams = Diagrams(3)
            drawn = cover.drawn(diagrams, THREE, function)
            least = sum_text(cover.least(THREE, function, function))
            free = sum_text(cover.least(THREE, function & 0b00111101, function))
            both = sum_text(cover.irredundant(diagrams, drawn, drawn, 8))
            yield f"{function:08b}  least {least}  free {free}  irredundant {both}  nodes {len(diagrams._low)}"

    agrees("products", lines())


def test_limits_of_products(monkeypatch: pytest.MonkeyPatch) -> None:
    diagrams = Diagrams(3)
    drawn = cover.drawn(diagrams, THREE, PARITY)
    assert cover.irredundant(diagrams, drawn, drawn, 3) is None
    assert len(cover.irredundant(diagrams, drawn, drawn, 4) or ()) == 4
    monkeypatch.setattr(cover, "_PRIMES_MAX", 3)
    assert cover.least(THREE, PARITY, PARITY) is None
    monkeypatch.setattr(cover, "_PRIMES_MAX", 4)
    assert len(cover.least(THREE, PARITY, PARITY) or ()) == 4


def test_what_is_no_longer_tried_is_covered_greedily(monkeypatch: pytest.MonkeyPatch) -> None:
    def lines() -> Iterator[str]:
        four = Tables(4)
        for function in (0b0111111001111110, 0b0110111101110110, 0b1101111010110111, 0b0111101111011110, 0b01111110):
            for branches in (0, 1, 2, 3, 2_000):
                monkeypatch.setattr(cover, "_BRANCHES_MAX", branches)
                found = cover.least(four, function, function)
                assert found is not None and rows_of(found, 4) == function
                yield f"{function:016b} {branches}: {sum_text(found)}"

    agrees("branches", lines())


# --- spaces -------------------------------------------------------------------------------------------


def test_diagrams_are_truth_tables() -> None:
    diagrams = Diagrams(3)
    drawn = [cover.drawn(diagrams, THREE, function) for function in FUNCTIONS]
    assert len(set(drawn)) == 256
    assert [diagrams.variable(at) for at in range(3)] == [drawn[THREE.variable(at)] for at in range(3)]
    for function in FUNCTIONS:
        assert diagrams.negation(drawn[function]) == drawn[THREE.negation(function)]
        assert (diagrams.model(drawn[function]) is None) == (THREE.model(function) is None) == (function == 0)
        for space, one in ((diagrams, drawn[function]), (THREE, function)):
            model = space.model(one)
            assert model is None or function >> sum(1 << at for at in model) & 1
        for other in FUNCTIONS[::5]:
            third = (function * 7 + other * 3) % 256
            assert diagrams.conjunction((drawn[function], drawn[other])) == drawn[function & other]
            assert diagrams.disjunction((drawn[function], drawn[other])) == drawn[function | other]
            wanted = function & other | ~function & third
            assert diagrams.choice(drawn[function], drawn[other], drawn[third]) == drawn[wanted]
    assert THREE.model(0b01101000) == frozenset({0, 1}) and diagrams.model(drawn[0b01101000]) == frozenset({1, 2})
    assert diagrams.conjunction(()) == diagrams.true and diagrams.disjunction(()) == diagrams.false


def test_split() -> None:
    diagrams = Diagrams(3)
    drawn = [cover.drawn(diagrams, THREE, function) for function in FUNCTIONS]
    for function in FUNCTIONS[1:-1]:
        for other in FUNCTIONS[::7]:
            top, lefts, rights = diagrams.split(drawn[function], drawn[other])
            assert diagrams.choice(diagrams.variable(top), lefts[1], lefts[0]) == drawn[function]
            assert diagrams.choice(diagrams.variable(top), rights[1], rights[0]) == drawn[other]
            depends = [at for at in range(3) if depends_on(function, at) or depends_on(other, at)]
            assert top == depends[0]


def depends_on(function: int, at: int) -> bool:
    column = THREE.variable(at)
    return (function & column) >> (1 << at) != function & ~column & 0xFF


def test_limits_of_diagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two leaves and five nodes of the parity of three, and none besides.
    def parity(nodes_max: int) -> None:
        cover.drawn(Diagrams(3, nodes_max), THREE, PARITY)

    exact = next(nodes for nodes in range(2, 50) if not raises(parity, nodes))
    assert raises(parity, exact - 1)
    with pytest.raises(Undecided) as told:
        parity(exact - 1)
    assert (told.value.atoms, told.value.nodes_max) == (3, exact - 1)
    full = Diagrams(3)
    cover.drawn(full, THREE, PARITY)
    assert exact == len(full._low) - 1
    monkeypatch.setattr(spaces, "STEPS_MAX", len(full._choices))
    assert not raises(parity, 100)
    monkeypatch.setattr(spaces, "STEPS_MAX", len(full._choices) - 1)
    assert raises(parity, 100)
    assert isinstance(spaces.space_over(16), Tables) and isinstance(spaces.space_over(17), Diagrams)


def raises(call, *arguments: object) -> bool:  # type: ignore[no-untyped-def]
    try:
        call(*arguments)
    except Undecided:
        return True
    return False


# --- search -------------------------------------------------------------------------------------------

FACTS = [
    Facts(),
    Facts(((KEYS[0], KEYS[1]),), ()),
    Facts((), ((KEYS[0], KEYS[1]),)),
    Facts(((KEYS[0], KEYS[1]), (KEYS[1], KEYS[2])), ()),
    Facts(((KEYS[2], KEYS[0]),), ((KEYS[0], KEYS[1]),)),
    Facts((), ((KEYS[0], KEYS[1]), (KEYS[0], KEYS[2]), (KEYS[1], KEYS[2]))),
]


def allowed(row: int, facts: Facts) -> bool:
    inside = {KEYS[at] for at in range(3) if row >> at & 1}
    return all(left not in inside or right in inside for left, right in facts.implications) and not any(
        left in inside and right in inside for left, right in facts.exclusions
    )


@pytest.mark.parametrize("tabled", range(4))
@pytest.mark.parametrize("number", range(len(FACTS)))
def test_search_finds_a_possible_person_of_each_set(monkeypatch: pytest.MonkeyPatch, tabled: int, number: int) -> None:
    monkeypatch.setattr(search, "TABLE_VARIABLES", tabled)
    facts = FACTS[number]
    possible = sum(1 << row for row in range(8) if allowed(row, facts))
    for function in FUNCTIONS[number :: len(FACTS)]:
        targets = (normal_form(function), normal_form(255 ^ function), LEAVES[0], ir.land(LEAVES[0], LEAVES[1]))
        found = search.search(targets, facts)
        assert len(found) == len(targets)
        for target, person in zip(targets, found, strict=True):
            rows = function_of(target) & possible
            assert (person is None) == (rows == 0)
            if person is not None:
                assert isinstance(person, frozenset)
                assert rows >> sum(1 << KEYS.index(key) for key in person) & 1


def test_found_people() -> None:
    def lines() -> Iterator[str]:
        for number, facts in enumerate(FACTS):
            for function in FUNCTIONS[number :: 3 * len(FACTS)]:
                found = search.search((normal_form(function), normal_form(255 ^ function)), facts)
                yield f"{number} {function:08b} {[None if one is None else sorted(one) for one in found]}"

    agrees("people", lines())


def test_limits_of_search(monkeypatch: pytest.MonkeyPatch) -> None:
    target = (ir.land(LEAVES[0], ir.lnot(LEAVES[1])), ir.lor(LEAVES[0], LEAVES[2]))
    # Four leaves and operators with the five parts that they have, no assignment tried.
    monkeypatch.setattr(search, "WORK_MAX", 11)
    assert search.search(target, Facts()) == (frozenset({KEYS[0]}), frozenset({KEYS[0]}))
    monkeypatch.setattr(search, "WORK_MAX", 10)
    assert raises(search.search, target, Facts())
    monkeypatch.setattr(search, "TABLE_VARIABLES", 1)
    monkeypatch.setattr(search, "WORK_MAX", 44)
    assert not raises(search.search, target, Facts())
    monkeypatch.setattr(search, "WORK_MAX", 43)
    assert raises(search.search, target, Facts())
    monkeypatch.setattr(search, "WORK_MAX", 1_000)
    monkeypatch.setattr(search, "ATOMS_MAX", 3)
    assert not raises(search.search, target, Facts())
    monkeypatch.setattr(search, "ATOMS_MAX", 2)
    with pytest.raises(Undecided) as told:
        search.search(target, Facts())
    assert told.value.atoms == 3


def test_constants_are_searched() -> None:
    assert search.search((ir.EVERYBODY, ir.NOBODY, LEAVES[0]), Facts()) == (frozenset(), None, frozenset({KEYS[0]}))


def test_busiest_atoms_are_tried_first() -> None:
    a, b, c, d = LEAVES
    question = search._question((ir.land(b, ir.lor(c, ir.lnot(d))), ir.lor(ir.lnot(d), a), ir.land(c, d)))
    assert search._busiest_first(question) == [KEYS[3], KEYS[2], KEYS[0], KEYS[1]]


# --- shortest forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(FACTS)))
def test_shortest_forms_mean_the_same(number: int) -> None:
    facts = FACTS[number]
    possible = sum(1 << row for row in range(8) if allowed(row, facts))
    for function in FUNCTIONS[number :: len(FACTS)]:
        written = normal_form(function)
        least = minimal.minimal(written, facts)
        assert (function_of(least) ^ function) & possible == 0
        assert minimal.literals_in(least) <= minimal.literals_in(written)
        assert len(to_words(least)) <= len(to_words(written))


def test_shortest_forms() -> None:
    def lines() -> Iterator[str]:
        for function in FUNCTIONS:
            facts = FACTS[function % len(FACTS)]
            written = normal_form(function)
            short = to_words(minimal.minimal(written, Facts()))
            yield f"{function:08b}  {short}  |  {to_words(minimal.minimal(written, facts))}"

    agrees("shortest", lines())


def test_shortest_forms_of_four() -> None:
    def lines() -> Iterator[str]:
        for seed in range(60):
            function = (seed * 40_503 + 12_345) * (seed + 7) % 65_536
            written = normal_form(function, 4)
            least = minimal.minimal(written)
            assert function_of(least, 4) == function
            yield f"{function:016b}  {minimal.literals_in(least)}  {to_words(least)}"

    agrees("shortest-of-four", lines())


def test_limits_of_shortest_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c, d = LEAVES
    written = ir.lor(ir.land(a, b), ir.land(a, ir.lnot(b)), ir.land(a, c, ir.lor(d, ir.land(b, ir.lor(c, d)))))
    assert minimal.minimal(written) == a
    for name, value in (("ATOMS_MAX", 4), ("_LITERALS_MAX", minimal.literals_in(written)), ("_DEPTH_MAX", 6)):
        with monkeypatch.context() as patch:
            patch.setattr(minimal, name, value)
            assert minimal.minimal(written) == a
            patch.setattr(minimal, name, value - 1)
            assert minimal.minimal(written) == written
    assert minimal.literals_in(written) == 10


def test_products_come_from_diagrams_where_tables_are_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    def lines() -> Iterator[str]:
        for function in FUNCTIONS[3::17]:
            yield f"{function:08b}  {to_words(minimal.minimal(normal_form(function)))}"

    monkeypatch.setattr(minimal, "TABLE_ATOMS_MAX", 2)
    agrees("shortest-by-diagrams", lines())
    monkeypatch.setattr(minimal, "space_over", Diagrams)
    agrees("shortest-by-diagrams", lines())


def test_more_products_than_anybody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    diagrams = Diagrams(3)
    drawn = cover.drawn(diagrams, THREE, PARITY)
    for space, function in ((THREE, PARITY), (diagrams, drawn)):
        monkeypatch.setattr(minimal, "_TERMS_MAX", 4)
        assert len(minimal._products(space, function, function) or ()) == 4
        monkeypatch.setattr(minimal, "_TERMS_MAX", 3)
        assert minimal._products(space, function, function) is None


# --- algebra ------------------------------------------------------------------------------------------


def test_decisions_over_three_atoms() -> None:
    for function in FUNCTIONS:
        one = normal_form(function)
        person = algebra.witness(one)
        assert (person is None) == (function == 0) and isinstance(person, frozenset | None)
        assert person is None or function >> sum(1 << KEYS.index(key) for key in person) & 1
        for other in FUNCTIONS[function % 9 :: 9]:
            two = normal_form(other)
            assert algebra.within(one, two) == (function & ~other == 0)
            assert algebra.disjoint(one, two) == (function & other == 0)
            assert algebra.equal(one, two) == (function == other)
            assert (algebra.difference(one, two) is None) == (function == other)
