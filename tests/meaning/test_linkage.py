"""Sets of different kinds of id are mapped through the only table that connects them, or refused."""

from __future__ import annotations

import pytest

from audsql.compile.audiences import named
from audsql.compile.bounds import bounds
from audsql.compile.project import compile_project
from audsql.diag import Diagnostic
from audsql.meaning import algebra, ir
from audsql.meaning.facts import certain_facts
from audsql.meaning.lineage import sources_of, with_parts
from audsql.meaning.lower import Analysis, analyse
from audsql.source import Source
from audsql.syntax.parse import parse_file

SOURCES = """
account shop { token: env("LINE_TOKEN") }
message card { text: "hello" }
upload buyers { file: "buyers.txt"  id: user_id }
upload phones { file: "phones.txt"  id: phone }
upload refused { file: "refused.txt"  id: phone }
upload codes { file: "codes.txt"  id: member_id }
"""
MEMBERS = 'table members { file: "members.csv"  id: user_id, phone, member_id }\n'
BUYERS, PHONES, REFUSED, CODES = (ir.leaf(ir.Uploaded(name)) for name in ("buyers", "phones", "refused", "codes"))


def analysed(text: str) -> tuple[Analysis, tuple[Diagnostic, ...]]:
    tree, problems = parse_file(Source("x.aud", text))
    assert problems == ()
    return analyse((tree,), name="shop", timezone="Asia/Tokyo")


def audience(expression: str, tables: str = MEMBERS) -> ir.Audience:
    analysis, problems = analysed(f"{SOURCES}{tables}audience a = {expression}\n")
    assert [one.code for one in problems if one.severity == "error"] == []
    return analysis.project.audiences[0]


def mapped(inner: ir.Expression, kind: ir.IdKind = "phone", to: ir.IdKind = "user_id") -> ir.Expression:
    return ir.leaf(ir.Mapped("members", kind, inner, to))


@pytest.mark.parametrize(
    ("written", "expected", "kind"),
    [
        ("uploaded(buyers) AND uploaded(phones)", ir.land(BUYERS, mapped(PHONES)), "user_id"),
        ("uploaded(phones) AND uploaded(buyers)", ir.land(BUYERS, mapped(PHONES)), "user_id"),
        ("uploaded(buyers) EXCEPT uploaded(phones)", ir.land(BUYERS, ir.lnot(mapped(PHONES))), "user_id"),
        ("uploaded(phones) EXCEPT uploaded(buyers)", ir.land(mapped(PHONES), ir.lnot(BUYERS)), "user_id"),
        ("NOT uploaded(phones)", ir.lnot(mapped(PHONES)), "user_id"),
        ("friends AND uploaded(phones)", ir.land(ir.leaf(ir.Friends("shop")), mapped(PHONES)), "user_id"),
        (
            "(uploaded(phones) EXCEPT uploaded(refused)) AND uploaded(buyers)",
            ir.land(mapped(ir.land(PHONES, ir.lnot(REFUSED))), BUYERS),
            "user_id",
        ),
        (
            "uploaded(phones) AND uploaded(buyers) EXCEPT uploaded(refused)",
            ir.land(mapped(PHONES), BUYERS, ir.lnot(mapped(REFUSED))),
            "user_id",
        ),
        ("uploaded(phones) OR uploaded(codes)", ir.lor(PHONES, mapped(CODES, "member_id", "phone")), "phone"),
        ("uploaded(codes) OR uploaded(phones)", ir.lor(CODES, mapped(PHONES, "phone", "member_id")), "member_id"),
        (
            "(uploaded(phones) AND uploaded(codes)) OR uploaded(buyers)",
            ir.lor(mapped(ir.land(PHONES, mapped(CODES, "member_id", "phone"))), BUYERS),
            "user_id",
        ),
        (
            "uploaded(phones) OR uploaded(codes) OR uploaded(buyers)",
            ir.lor(mapped(PHONES), mapped(CODES, "member_id"), BUYERS),
            "user_id",
        ),
        ("uploaded(phones) EXCEPT uploaded(refused)", ir.land(PHONES, ir.lnot(REFUSED)), "phone"),
    ],
)
def test_what_is_mapped(written: str, expected: ir.Expression, kind: str) -> None:
    found = audience(written)
    assert (found.expression, found.id_kind) == (expected, kind)


def test_a_delivery_and_a_policy_are_of_user_ids() -> None:
    text = f"{SOURCES}{MEMBERS}policy house {{ always except uploaded(refused) }}\n"
    analysis, problems = analysed(text + "delivery d { to: uploaded(phones)  send: card }\n")
    assert problems == ()
    delivery = analysis.project.deliveries[0]
    assert delivery.to == mapped(PHONES)
    assert delivery.reach == ir.land(mapped(PHONES), ir.lnot(mapped(REFUSED)))


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ("audience a = uploaded(buyers) AND uploaded(phones) EXCEPT uploaded(refused)", ["AUD0340"]),
        ("audience a = NOT uploaded(phones)", ["AUD0340"]),
        ("delivery d { to: uploaded(phones)  send: card }", ["AUD0342"]),
        ("policy p { always except uploaded(phones) }", ["AUD0342"]),
        ("table t { file: 7  id: user_id, phone }\naudience a = uploaded(buyers) AND uploaded(phones)", ["AUD0303"]),
    ],
)
def test_without_a_linkage_each_cause_is_told_once(statements: str, expected: list[str]) -> None:
    _, problems = analysed(f"{SOURCES}{statements}\n")
    assert [one.code for one in problems] == expected


def test_several_linkages_are_all_named() -> None:
    other = 'table stores { file: "stores.csv"  id: user_id, phone }\n'
    _, problems = analysed(f"{SOURCES}{MEMBERS}{other}audience a = uploaded(phones) OR uploaded(buyers)\n")
    assert [one.code for one in problems] == ["AUD0390"]
    assert dict(problems[0].facts) == {"left": "phone", "right": "user_id", "tables": ("members", "stores")}
    assert audience("uploaded(buyers) AND uploaded(codes)", MEMBERS + other).id_kind == "user_id"


def test_nobody_stays_nobody() -> None:
    _, problems = analysed(
        f"{SOURCES}{MEMBERS}audience a = (uploaded(phones) EXCEPT uploaded(phones)) AND uploaded(buyers)\n"
    )
    assert "AUD0350" in [one.code for one in problems]


def test_facts_of_mapped_sets() -> None:
    left, both = mapped(PHONES), mapped(ir.land(PHONES, REFUSED))
    linked = ir.leaf(ir.Linked("members"))
    assert algebra.within(both, left)
    assert algebra.within(both, mapped(REFUSED))
    assert algebra.within(left, linked)
    assert not algebra.within(linked, left)
    assert not algebra.within(left, both)
    assert algebra.equal(mapped(ir.lor(PHONES, ir.land(PHONES, REFUSED))), left)
    assert not algebra.disjoint(mapped(ir.land(PHONES, ir.lnot(REFUSED))), mapped(REFUSED))
    assert not algebra.within(mapped(PHONES, to="member_id"), linked)
    assert not algebra.within(both, ir.leaf(ir.Mapped("others", "phone", PHONES)))


def test_facts_of_buckets() -> None:
    def bucket(low: int, high: int, salt: str = "s") -> ir.Expression:
        return ir.land(BUYERS, ir.leaf(ir.Bucket(salt, low, high)))

    assert algebra.within(bucket(100, 200), bucket(0, 200))
    assert algebra.disjoint(bucket(0, 100), bucket(100, 200))
    assert not algebra.disjoint(bucket(0, 101), bucket(100, 200))
    assert not algebra.within(bucket(0, 100), bucket(50, 200))
    assert not algebra.disjoint(bucket(0, 100), bucket(100, 200, "other"))


def test_mappings_inside_mappings_end() -> None:
    """Neither facts nor sources follow a chain of any depth by recursion."""
    expression = PHONES
    for step in range(3_000):
        kind, to = ("phone", "member_id") if step % 2 == 0 else ("member_id", "phone")
        expression = mapped(expression, kind, to)
    atom = ir.atoms_of(expression)[0]
    assert len(with_parts([atom])) == 3_001
    assert sources_of(atom) == ("members", "phones")
    other = ir.Mapped("members", "member_id", mapped(expression, "phone", "member_id"), "phone")
    assert certain_facts([atom, other]).implications == ()


def test_shares_and_linkages_are_one_upload() -> None:
    half = ir.leaf(ir.Bucket("s", 0, 5000, "s.a"))
    reach = ir.land(ir.leaf(ir.Clicked("m")), mapped(ir.land(PHONES, ir.lnot(REFUSED))), BUYERS, half)
    delivery = ir.Delivery("d", "shop", reach, reach, "x", ("card",))
    program, problems = compile_project(ir.Project("shop", "Asia/Tokyo", deliveries=(delivery,)))
    assert problems == ()
    own = ir.land(mapped(ir.land(PHONES, ir.lnot(REFUSED))), BUYERS, half)
    assert [upload.expression for upload in program.uploads] == [own]


def test_a_bucket_alone_names_nobody() -> None:
    friends, half = ir.leaf(ir.Friends("shop")), ir.leaf(ir.Bucket("s", 0, 5000))
    everybody_else = ir.lnot(ir.land(BUYERS, half))
    low, high = bounds(ir.land(friends, everybody_else))
    assert (low, high) == (ir.NOBODY, None)
    low, _ = bounds(everybody_else)
    assert algebra.equal(low, ir.land(BUYERS, ir.lnot(half)))


def test_a_lookalike_has_no_audience() -> None:
    with pytest.raises(ValueError, match="no audience of LINE"):
        named(ir.Lookalike(BUYERS, 300), "shop", {})
