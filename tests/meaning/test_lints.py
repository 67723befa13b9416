"""Lints: what each finds and leaves alone, and repairs that change no set."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meaning_project import ACCOUNT, BUYERS, CARD, OPTOUT, ORDERS, read

from audsql.meaning import algebra
from audsql.meaning.lints import LINTS, duplicates, found_by, redundant, subject_of
from audsql.meaning.lints.canon import canonical
from audsql.meaning.lints.duplicates import COMPARED_MAX
from audsql.meaning.lower import lower_expression
from audsql.session.linting import lint_texts, repair_texts
from audsql.source import Source
from audsql.syntax import ast
from audsql.syntax.parse import parse_expression, parse_file
from audsql.syntax.text import expression_text

LISTS = "".join(f'upload {name} {{ file: "{name}.txt"  id: user_id }}\n' for name in "abcde")
SOURCES = LISTS + ORDERS
SENT = ACCOUNT + BUYERS + OPTOUT + ORDERS + CARD


def told(text: str) -> list[tuple[str, str]]:
    """Codes and the texts that they point at."""
    return [
        (one.code, text[one.span.start : one.span.end] if one.span else "") for one in lint_texts({"spec.aud": text})
    ]


def idle(expression: str) -> list[str]:
    """What changes nothing in an expression."""
    return [place for code, place in told(f"{SOURCES}audience x = {expression}\n") if code in ("AUD0510", "AUD0511")]


# --- operands that change nothing -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "operands"),
    [
        ("uploaded(a) AND (uploaded(a) OR uploaded(b))", ["(uploaded(a) OR uploaded(b))"]),
        ("(uploaded(a) OR uploaded(b)) AND uploaded(a)", ["(uploaded(a) OR uploaded(b))"]),
        ("uploaded(a) AND uploaded(b) AND uploaded(a)", ["uploaded(a)"]),
        ("purchased(A) AND purchased(*)", ["purchased(*)"]),
        ("purchased(*) AND purchased(A)", ["purchased(*)"]),
        ("purchased(A) OR purchased(*)", ["purchased(A)"]),
        ("purchased(A) AND purchased(A, last 30 days) AND purchased(A, last 90 days)",
         ["purchased(A)", "purchased(A, last 90 days)"]),
        ("purchased(A) OR purchased(B) OR purchased(A, B)", ["purchased(A, B)"]),
        ("uploaded(a) EXCEPT uploaded(b) EXCEPT (uploaded(b) AND uploaded(c))", ["(uploaded(b) AND uploaded(c))"]),
        ("(uploaded(a) EXCEPT uploaded(b)) EXCEPT uploaded(b)", ["uploaded(b)"]),
        ("gender(female) EXCEPT gender(male)", ["gender(male)"]),
        ("NOT (uploaded(a) OR uploaded(a)) AND uploaded(b)", ["uploaded(a)"]),
        ("sample(uploaded(a) OR uploaded(a), 10%, seed: \"s\")", ["uploaded(a)"]),
    ],
)  # fmt: skip
def test_idle_operands(expression: str, operands: list[str]) -> None:
    assert idle(expression) == operands


@pytest.mark.parametrize(
    "expression",
    [
        "uploaded(a) AND (uploaded(b) OR uploaded(c))",
        "purchased(A) AND purchased(B)",
        "purchased(A, last 90 days) EXCEPT purchased(A, last 30 days)",
        "purchased(A) AND purchased(*, last 30 days)",
        "(uploaded(a) AND uploaded(b)) OR (uploaded(a) EXCEPT uploaded(b)) OR uploaded(c)",
        "(uploaded(a) OR uploaded(b)) AND (uploaded(a) OR uploaded(c))",
        "purchased(A, at most 3 times) AND purchased(B)",
        # What is always empty or everybody is told by `check`, and beside it everything would be idle.
        "uploaded(c) AND (uploaded(a) OR NOT uploaded(a))",
        "uploaded(c) OR (uploaded(a) EXCEPT uploaded(a))",
    ],
)
def test_operands_that_count(expression: str) -> None:
    assert idle(expression) == []


def test_what_depends_on_values_is_left_alone() -> None:
    text = SOURCES + (
        'param p: string = "A"\n'
        "audience one = purchased(A) AND purchased(p)\n"
        "audience two = one AND purchased(A)\n"
        "for q in [A] { audience three[q] = purchased(q) OR purchased(A) }\n"
        "audience bought(r) = purchased(r) OR purchased(A)\n"
        "audience four = bought(A) OR purchased(A)\n"
    )
    assert [code for code, _ in told(text) if code in ("AUD0510", "AUD0511", "AUD0512", "AUD0514")] == []


def test_no_fix_where_line_does_not_know_people() -> None:
    text = ACCOUNT + LISTS + "audience x = NOT gender(female) AND uploaded(a) AND uploaded(a)\n"
    found = [one for one in lint_texts({"spec.aud": text}) if one.code == "AUD0511"]
    assert [one.fixes for one in found] == [()]
    assert repair_texts({"spec.aud": text}) == {"spec.aud": text}


def test_no_fix_that_leaves_everybody() -> None:
    text = ACCOUNT + "audience x = friends AND friends\n"
    assert [one.fixes for one in lint_texts({"spec.aud": text}) if one.code == "AUD0511"] == [()]


def test_ids_of_other_kinds_are_left_alone() -> None:
    """An operand that is mapped on its way into the chain is not the set that is written."""
    text = (
        LISTS + 'upload phones { file: "p.txt"  id: phone }\n'
        'table members { file: "m.csv"  id: user_id, phone }\n'
        "audience x = uploaded(a) AND uploaded(phones) AND uploaded(phones)\n"
    )
    assert [code for code, _ in told(text) if code.startswith("AUD051")] == []


# --- audiences --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("uploaded(a) EXCEPT uploaded(b)", "NOT uploaded(b) AND uploaded(a)", True),
        ("purchased(A) AND purchased(*, last 30 days)", "purchased(*, last 30 days) AND purchased(A)", True),
        ("purchased(A, B)", "purchased(A) OR purchased(B)", True),
        ("uploaded(a)", "uploaded(a) AND (uploaded(a) OR uploaded(b))", True),
        ("purchased(A)", "purchased(A) AND purchased(*)", True),
        ("uploaded(a)", "uploaded(b)", False),
        ("purchased(A, last 30 days)", "purchased(A, last 31 days)", False),
        ("uploaded(a) EXCEPT uploaded(b)", "uploaded(b) EXCEPT uploaded(a)", False),
    ],
)
def test_duplicates(left: str, right: str, same: bool) -> None:
    found = told(f"{SOURCES}audience one = {left}\naudience two = {right}\n")
    assert (("AUD0512", "two") in found) is same


@pytest.mark.parametrize(
    ("expression", "alias"),
    [
        ("one", True),
        ("(one)", True),
        ("`one`", True),
        ("of[A]", True),
        ("friends", False),
        ("half.x", False),
        ("bought(A)", False),
        ("NOT one", False),
    ],
)
def test_aliases(expression: str, alias: bool) -> None:
    text = (
        ACCOUNT
        + SOURCES
        + (
            "audience one = uploaded(a)\n"
            'split half of uploaded(a) { x 50%, y 50% } salt "1"\n'
            "audience bought(p) = purchased(p)\n"
            "for p in [A, B] { audience of[p] = purchased(p, last 3 days) }\n"
            f"audience two = {expression} allow empty\n"
        )
    )
    assert [place for code, place in told(text) if code == "AUD0513"] == (["two"] if alias else [])


def test_a_comment_is_not_cut_out() -> None:
    text = LISTS + "# above\naudience x = uploaded(a) # first\n  AND uploaded(a) # last\n# below\n"
    assert [one.fixes for one in lint_texts({"spec.aud": text}) if one.code == "AUD0511"] == [()]
    apart = LISTS + "# above\naudience x = uploaded(a) AND uploaded(a) # last\n# below\n"
    repaired = LISTS + "# above\naudience x = uploaded(a) # last\n# below\n"
    assert repair_texts({"spec.aud": apart}) == {"spec.aud": repaired}


def test_large_audiences_are_compared_up_to_a_bound() -> None:
    atoms = [f'purchased("p{number}")' for number in range(12)]
    orders = [atoms[number:] + atoms[:number] for number in range(12)]
    twins = "".join(f"audience x{number} = {' OR '.join(one)}\n" for number, one in enumerate(orders))
    assert [place for code, place in told(ORDERS + twins) if code == "AUD0512"] == [f"x{n}" for n in range(1, 12)]

    chosen = list(combinations(atoms, 2))
    different = "".join(
        f"audience y{number} = ({' AND '.join(atoms)}) OR ({left} AND {right})\n"
        for number, (left, right) in enumerate(chosen[:30])
    )
    found = told(ORDERS + different)
    assert len(list(combinations(range(30), 2))) > COMPARED_MAX
    assert [code for code, _ in found if code == "AUD0526"] == ["AUD0526"]


def test_an_audience_is_not_offered_inside_what_it_needs() -> None:
    text = LISTS + (
        "audience core = uploaded(a) AND uploaded(b) AND uploaded(c)\n"
        "audience rest = (uploaded(c) AND uploaded(b) AND uploaded(a)) OR uploaded(d)\n"
        "audience inner = (uploaded(d) OR uploaded(e) OR uploaded(b)) AND uploaded(c)\n"
        "audience outer = inner OR (inner AND uploaded(a))\n"
    )
    assert [place for code, place in told(text) if code == "AUD0514"] == ["uploaded(c) AND uploaded(b) AND uploaded(a)"]


WHOLE = "uploaded(a) AND uploaded(b) AND uploaded(c)"


@pytest.mark.parametrize(
    ("more", "offered"),
    [
        (f"audience outer = {WHOLE}\n", True),
        (f"audience outer = user AND {WHOLE}\n", False),
        (f"audience way = user\naudience outer = way AND {WHOLE}\n", False),
        (f'split s of user {{ x 50%, y 50% }} salt "s"\naudience out = ({WHOLE}) OR (s.x AND {WHOLE})\n', False),
        (f'split s of uploaded(e) {{ x 50%, y 50% }} salt "s"\naudience out = ({WHOLE}) OR (s.x AND {WHOLE})\n', True),
    ],
)
def test_an_audience_is_not_offered_where_it_needs_that_itself(more: str, offered: bool) -> None:
    text = f"{LISTS}audience user = ({WHOLE}) OR uploaded(d)\n{more}"
    fixed = [place for code, place in told(text) if code == "AUD0514"]
    assert (WHOLE in fixed) == offered


# --- what nothing uses ------------------------------------------------------------------------------

SALE = "delivery sale { to: uploaded(buyers)  send: card  at: 2026-12-01 10:00 }\n"
USED = "audience bought = purchased(A)\naudience gone = visited()\n"


@pytest.mark.parametrize(
    ("more", "unused"),
    [
        ("", ["optout", "orders"]),
        ("policy house { always except uploaded(optout) }\naudience bought = purchased(A)\n", ["visited", "bought"]),
        ('test "lists" { prove uploaded(optout) = uploaded(optout)  prove purchased(A) within visited() }\n', []),
        ("audience one = uploaded(optout)\naudience two = one AND orders()\n", ["purchased", "visited", "two"]),
        ("for p in [A, B] { audience of[p] = purchased(p) }\naudience a = of[A]\n", ["optout", "visited", "a"]),
        ("audience of(p) = purchased(p) OR visited() OR uploaded(optout)\n", ["of"]),
        ('param day: string = "A"\naudience a = purchased(A)\n', ["optout", "visited", "day", "a"]),
    ],
)
def test_unused(more: str, unused: list[str]) -> None:
    found = [place for code, place in told(SENT + SALE + more) if code == "AUD0515"]
    assert found == unused


def test_a_linkage_is_used_by_the_sets_that_it_maps() -> None:
    text = (
        ACCOUNT
        + CARD
        + (
            'upload phones { file: "p.txt"  id: phone }\n'
            'table members { file: "m.csv"  id: user_id, phone }\n'
            "delivery sale { to: uploaded(phones)  send: card  at: 2026-12-01 10:00 }\n"
        )
    )
    assert told(text) == []


def test_a_linkage_is_used_by_a_flow_that_a_table_triggers() -> None:
    text = (
        ACCOUNT
        + CARD
        + (
            'table sales { file: "s.csv"  id: member_id  time: sold_at }\n'
            'table members { file: "m.csv"  id: user_id, member_id }\n'
            "flow welcome { trigger on sales  send card }\n"
        )
    )
    assert told(text) == []


def test_flows_use_what_they_name() -> None:
    text = SENT + (
        "flow welcome {\n  start when uploaded(buyers)\n  wait 1 days\n"
        "  branch { purchased(A) -> send card  otherwise -> { wait 1 days } }\n"
        "  exit when uploaded(optout) OR visited()\n}\n"
    )
    assert [place for code, place in told(text) if code == "AUD0515"] == []


# --- repairs change no set ------------------------------------------------------------------------

ATOMS = ("uploaded(a)", "uploaded(b)", "uploaded(c)", "purchased(A)", "purchased(*)", "purchased(A, B)")
# Every person that can be: B is asked of nobody else, and whoever bought something is in `purchased(*)`.
PEOPLE = [
    frozenset(chosen)
    for size in range(len(ATOMS) + 1)
    for chosen in combinations(ATOMS, size)
    if ("purchased(A)" not in chosen or {"purchased(*)", "purchased(A, B)"} <= set(chosen))
    and ("purchased(A, B)" not in chosen or "purchased(*)" in chosen)
]


def bracketed(text: str) -> str:
    return text if " AND " not in text and " OR " not in text and " EXCEPT " not in text else f"({text})"


def chains(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(parts.map(bracketed), min_size=2, max_size=4)
    return st.one_of(
        several.map(" AND ".join),
        several.map(" OR ".join),
        several.map(" EXCEPT ".join),
        parts.map(lambda part: f"NOT ({part})"),
    )


EXPRESSIONS = st.recursive(st.sampled_from((*ATOMS, "x0", "`x0`")), chains, max_leaves=10)
FIRST = st.recursive(st.sampled_from(ATOMS), chains, max_leaves=5)


def definitions(text: str) -> dict[str, ast.Expression]:
    file, problems = parse_file(Source("spec.aud", text))
    assert not problems
    return {one.name.text: one.expression for one in file.statements if isinstance(one, ast.Audience)}


def holds(expression: ast.Expression, person: frozenset[str], named: Mapping[str, ast.Expression]) -> bool:
    """The plainest reading of what is written; it shares nothing with the algebra."""
    match expression:
        case ast.Paren(inner=inner):
            return holds(inner, person, named)
        case ast.Not(operand=operand):
            return not holds(operand, person, named)
        case ast.Chain(operands=operands, operators=operators):
            value = holds(operands[0], person, named)
            for operator, operand in zip(operators, operands[1:], strict=True):
                other = holds(operand, person, named)
                value = {"AND": value and other, "OR": value or other, "EXCEPT": value and not other}[operator]
            return value
        case ast.Reference(name=name):
            return holds(named[name.text], person, named)
        case _:
            return expression_text(expression) in person


@settings(max_examples=80, deadline=None)
@given(FIRST, st.lists(EXPRESSIONS, min_size=1, max_size=4))
def test_repairs_change_no_set_and_come_to_an_end(first: str, others: list[str]) -> None:
    text = SOURCES + "".join(
        f"audience x{number} = {expression} allow empty\n" for number, expression in enumerate([first, *others])
    )
    repaired = repair_texts({"spec.aud": text})["spec.aud"]
    before, after = definitions(text), definitions(repaired)
    assert before.keys() == after.keys()
    for name in before:
        wrong = [
            person for person in PEOPLE if holds(before[name], person, before) != holds(after[name], person, after)
        ]
        assert not wrong, f"{name}: {expression_text(before[name])} became {expression_text(after[name])}"
    meanings = [{one.name: one.expression for one in read(each)[0].project.audiences} for each in (text, repaired)]
    assert meanings[0].keys() == meanings[1].keys()
    for name, meaning in meanings[0].items():
        assert algebra.equal(meaning, meanings[1][name])
    assert [fix for one in lint_texts({"spec.aud": repaired}) for fix in one.fixes if fix.safe] == []
    assert repair_texts({"spec.aud": repaired}) == {"spec.aud": repaired}


@settings(max_examples=80, deadline=None)
@given(FIRST, FIRST)
def test_equal_keys_are_equal_sets_over_free_atoms(left: str, right: str) -> None:
    analysis, _ = read(SOURCES)
    sides = []
    for text in (left, right):
        tree, problems = parse_expression(text)
        assert tree is not None and not problems
        sides.append(lower_expression(tree, analysis)[0])
    keys = [canonical(side) for side in sides]
    assert (keys[0] == keys[1]) == algebra.equal(*sides)


# --- size -------------------------------------------------------------------------------------------


def test_the_work_grows_with_the_text() -> None:
    """Proofs are counted, not timed: twice the audiences, about twice the proofs."""

    def proofs(count: int) -> int:
        text = SOURCES + "".join(
            f'audience x{number} = (uploaded(a) OR purchased("p{number}")) AND (uploaded(b) OR uploaded(a))\n'
            for number in range(count)
        )
        file, _ = parse_file(Source("0.aud", text))
        subject = subject_of(read(text)[0], (file,))
        asked = 0
        real = algebra.witness

        def counted(expression):  # type: ignore[no-untyped-def]
            nonlocal asked
            asked += 1
            return real(expression)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(algebra, "witness", counted)
            assert found_by((redundant, duplicates), subject) == ()
        return asked

    small, large = proofs(40), proofs(80)
    assert small > 0
    assert large <= 2 * small + 4


def test_every_lint_is_listed_once() -> None:
    assert len(set(LINTS)) == len(LINTS)
