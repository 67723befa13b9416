"""Expressions as documents: every atom comes back exactly, and what is no document is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audsql.meaning import atoms, ir
from audsql.meaning.lineage import deep_atoms
from audsql.plan.meanings import (
    buckets_of,
    expression_document,
    expression_of,
    holds_person,
    storable,
)

ZONES = (UTC, timezone(timedelta(hours=9)), timezone(timedelta(minutes=-210)), ZoneInfo("Asia/Tokyo"),
         ZoneInfo("America/New_York"))  # fmt: skip
TEXTS = st.text(max_size=6)
NAMES = st.sampled_from(["a", "b", "購入", "x y"])
MOMENTS = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(ZONES),
    st.integers(0, 1),
)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False)
SCALARS = st.one_of(TEXTS, NUMBERS, MOMENTS, st.booleans())
OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
ROWS = st.one_of(
    st.builds(atoms.ColumnCompare, NAMES, OPERATORS, SCALARS),
    st.builds(atoms.ColumnIn, NAMES, st.lists(SCALARS, max_size=3).map(tuple)),
    st.builds(atoms.ColumnMissing, NAMES),
    st.builds(atoms.ColumnGiven, NAMES),
    st.builds(atoms.Last, st.integers(1, 99), st.sampled_from(["minute", "hour", "day"])),
    st.builds(atoms.Since, MOMENTS),
    st.builds(atoms.Before, MOMENTS),
)
PEOPLE = st.one_of(
    st.builds(atoms.Times, st.sampled_from(["at least", "at most", "exactly"]), st.integers(0, 9)),
    st.builds(
        atoms.Aggregate, st.sampled_from(["sum", "avg", "min", "max"]), NAMES, OPERATORS, st.one_of(NUMBERS, MOMENTS)
    ),
    st.builds(atoms.Latest, NAMES, OPERATORS, SCALARS),
)
FLAT = st.one_of(
    st.builds(atoms.Uploaded, NAMES),
    st.builds(atoms.Rows, NAMES, st.lists(ROWS, max_size=3).map(tuple), st.lists(PEOPLE, max_size=2).map(tuple)),
    st.builds(atoms.Linked, NAMES),
    st.builds(atoms.Bucket, TEXTS, st.integers(0, 4_999), st.integers(5_000, 10_000), NAMES),
    st.builds(atoms.Friends, NAMES),
    st.builds(atoms.Followers, NAMES),
    st.builds(atoms.Clicked, NAMES, st.none() | TEXTS),
    st.builds(atoms.Opened, NAMES),
    st.builds(atoms.Received, NAMES),
    st.builds(atoms.RemoteAudience, NAMES, NAMES, TEXTS),
    st.builds(atoms.Attribute, st.sampled_from(["gender", "age"]), NAMES),
)


def joined(inner: st.SearchStrategy[ir.Expression]) -> st.SearchStrategy[ir.Expression]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        inner.map(ir.lnot),
        some.map(lambda parts: ir.land(*parts)),
        some.map(lambda parts: ir.lor(*parts)),
        st.builds(atoms.Mapped, NAMES, st.sampled_from(["phone", "email"]), inner).map(ir.leaf),
        st.builds(atoms.Lookalike, inner, st.integers(1, 9_999)).map(ir.leaf),
    )


EXPRESSIONS = st.recursive(FLAT.map(ir.leaf) | st.sampled_from([ir.NOBODY, ir.EVERYBODY]), joined, max_leaves=12)


@given(EXPRESSIONS)
def test_every_expression_comes_back(expression: ir.Expression) -> None:
    document = json.loads(json.dumps(expression_document(expression)))
    back = expression_of(document)
    assert back == expression
    assert repr(back) == repr(expression)
    assert expression_document(back) == document


@given(EXPRESSIONS)
def test_the_document_names_every_atom(expression: ir.Expression) -> None:
    document = expression_document(expression)
    assert len(deep_atoms(expression)) == sum(isinstance(one, dict) and "is" in one for one in document)


def test_every_type_of_atom_is_drawn() -> None:
    drawn = {atoms.Uploaded, atoms.Rows, atoms.Linked, atoms.Bucket, atoms.Friends, atoms.Followers, atoms.Clicked,
             atoms.Opened, atoms.Received, atoms.RemoteAudience, atoms.Attribute, atoms.Mapped,
             atoms.Lookalike}  # fmt: skip
    assert drawn == set(get_args(atoms.Atom))


def test_a_shared_part_stands_once_and_depth_costs_nothing() -> None:
    deep: ir.Expression = ir.leaf(atoms.Uploaded("a"))
    for index in range(3_000):
        other = ir.leaf(atoms.Uploaded(f"u{index % 7}"))
        deep = ir.lnot(ir.land(deep, other)) if index % 2 else ir.lor(deep, other)
    document = expression_document(deep)
    assert len(document) <= 2 * 3_000 + 8
    assert expression_of(document) == deep


def test_the_value_of_a_number_and_its_writing_are_kept() -> None:
    one, other = (ir.leaf(atoms.Rows("t", (atoms.ColumnCompare("c", "=", Decimal(text)),))) for text in ("10", "1E+1"))
    assert expression_of(expression_document(one)) == one
    assert expression_of(expression_document(one)) != other


@pytest.mark.parametrize(
    "document",
    [[], [{}], [None], [{"not": 0}], [{"not": -1}], [{"and": [3]}], [{"is": "Future", "x": 1}],
     [{"is": "Uploaded", "nope": 1}], [{"is": "Rows"}], ["text"]],
)  # fmt: skip
def test_what_is_no_document_is_refused(document: list[object]) -> None:
    with pytest.raises(ValueError, match="no document"):
        expression_of(document)


@pytest.mark.parametrize("person", ["U" + "0" * 31 + "a", "a.b@example.jp", "09012345678", "+819012345678"])
@pytest.mark.threat("T61")
def test_an_id_that_the_author_wrote_is_not_kept(person: str) -> None:
    row = ir.leaf(atoms.Rows("t", (atoms.ColumnCompare("id", "=", person),)))
    assert holds_person(expression_document(row))
    assert storable(row) is None


@pytest.mark.parametrize("text", ["a", "4901234567894", "https://example.jp/a", "2026-12-01", "0312345678"])
def test_other_values_are_kept(text: str) -> None:
    assert storable(ir.leaf(atoms.Rows("t", (atoms.ColumnCompare("c", "=", text),)))) is not None


def test_buckets_are_found_within_linked_sets() -> None:
    inner = ir.land(ir.leaf(atoms.Uploaded("a")), ir.leaf(atoms.Bucket("sample:s", 0, 1_000)))
    assert buckets_of(ir.leaf(atoms.Mapped("members", "phone", inner))) == (("sample:s", 0, 1_000),)
