"""Formulas as documents mean what they were made from, and can always be said."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_world import KNOWN

from audsql.meaning import ir
from audsql.session.formulas import formula
from audsql.view.sentences import sentence

NAMES = ("a", "b", "c", "d")
LEAVES = st.sampled_from(NAMES).map(lambda name: ir.leaf(ir.Uploaded(name)))
TIERS = st.sampled_from(["age_30", "age_35", "age_60"]).map(lambda value: ir.leaf(ir.Attribute("age", value)))
OTHERS = st.sampled_from(
    [
        ir.Friends("shop"), ir.Clicked("spring"), ir.Rows("orders", (), (ir.Times("exactly", 0),)),
        ir.Rows("orders", (ir.ColumnGiven("product"),)), ir.Bucket("salt", 0, 5), ir.Attribute("gender", "male"),
        ir.Mapped("members", "phone", ir.lor(ir.leaf(ir.Uploaded("x")), ir.leaf(ir.Uploaded("y")))),
        ir.Lookalike(ir.leaf(ir.Uploaded("x")), 300), ir.RemoteAudience("shop", "SHARED", "x"),
    ]
).map(ir.leaf)  # fmt: skip


def trees(leaves: Any) -> Any:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: ir.land(*parts))
            | st.lists(inner, min_size=2, max_size=3).map(lambda parts: ir.lor(*parts))
            | inner.map(ir.lnot)
        ),
        max_leaves=8,
    )


def holds(part: dict[str, Any], inside: set[str]) -> bool:
    """A reader of the document that knows nothing of expressions."""
    match part["is"]:
        case "all":
            return all(holds(one, inside) for one in part["parts"]) and not any(
                holds(one, inside) for one in part["except"]
            )
        case "any":
            return any(holds(one, inside) for one in part["parts"])
        case "not":
            return not holds(part["part"], inside)
        case "everybody" | "nobody":
            return bool(part["is"] == "everybody")
        case "age":
            return any(low <= age <= high for age in ages(inside) for low, high in part["ranges"])
        case _:
            return part["name"] in inside


def ages(inside: set[str]) -> list[int]:
    return [int(name.removeprefix("age_")) for name in inside if name.startswith("age_")]


@settings(max_examples=150, deadline=None)
@given(trees(LEAVES | TIERS))
def test_documents_mean_what_they_were_made_from(expression: ir.Expression) -> None:
    document = formula(expression, KNOWN)
    if "more" in str(document):
        return
    for bits in product([False, True], repeat=len(NAMES)):
        for age in (None, "age_30", "age_35", "age_60"):
            inside = {name for name, bit in zip(NAMES, bits, strict=True) if bit} | ({age} if age else set())
            keys = {f"uploaded({name})" if name in NAMES else f"age({name})" for name in inside}
            assert holds(document, inside) == ir.evaluate(expression, keys)


@settings(max_examples=300, deadline=None)
@given(trees(LEAVES | TIERS | OTHERS))
def test_everything_can_be_said(expression: ir.Expression) -> None:
    for language in ("en", "ja"):
        lines = sentence(formula(expression, KNOWN), language)
        assert lines
        assert all(line.strip(" -") for line in lines)
        assert not any(re.search(r"\{[a-z_]+\}|\||  +\S.*  ", line) for line in lines)


def test_exclusions_alone() -> None:
    names = [ir.leaf(ir.Uploaded(name)) for name in NAMES]
    expression = ir.land(ir.lnot(names[0]), ir.lnot(ir.land(names[1], names[2])))
    assert sentence(formula(expression, KNOWN), "en") == (
        "People of whom all of this is true:",
        "  - none of this:",
        "    - they are on the list a",
        "    - all of this:",
        "      - they are on the list b",
        "      - they are on the list c",
    )
