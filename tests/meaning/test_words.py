"""Words of expressions read back: what `to_words` prints means what it was printed from."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meaning_project import SHOP, sound

from audsql.line.limits import AGE_TIERS, AREAS, FRIEND_FOR_TIERS_DAYS
from audsql.meaning import ir
from audsql.meaning.algebra import equal
from audsql.meaning.lower import lower_expression
from audsql.meaning.words import arms_of, atoms_in_words, to_words, verbs_of
from audsql.syntax.parse import parse_expression

SPLIT = 'split sale_test of purchased(A) EXCEPT uploaded(optout) { holdout 10%, a 45%, b 45% } salt "2026-12"\n'
SUMMER = 'delivery summer { sent: "request-2"  at: 2026-11-11 10:00  by: narrowcast }\n'
SHOP_AND_MORE = sound(SHOP + SPLIT + SUMMER)
VERBS, ARMS = verbs_of(SHOP_AND_MORE.project), arms_of(SHOP_AND_MORE.project)


def read_back(text: str) -> ir.Expression:
    tree, told = parse_expression(text)
    assert tree is not None, text
    expression, found = lower_expression(tree, SHOP_AND_MORE)
    assert [one.code for one in (*told, *found) if one.severity == "error"] == [], text
    return expression


# --- expressions ------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["A", "B", "last", "since", "at", "AND", "not", "12A", "a b", 'say "x"', "購入", "Ａ", "", "sum", "in"]
)
NUMBERS = st.integers(-(10**9), 10**9).map(Decimal) | st.decimals("-1e6", "1e6", places=2).map(
    lambda value: Decimal(int(value)) if value == int(value) else value.normalize()
)
ZONE = timezone(timedelta(hours=9))
MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(second=0, microsecond=0, tzinfo=ZONE)
)
COLUMNS = st.sampled_from(["amount", "status", "latest", "exactly", "列", "a b", "or"])
OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
ROWS = st.lists(
    st.builds(ir.ColumnCompare, st.just("product"), st.just("="), WORDS)
    | st.builds(ir.ColumnCompare, COLUMNS, OPERATORS, WORDS | NUMBERS)
    | st.builds(ir.ColumnMissing, COLUMNS)
    | st.builds(ir.ColumnGiven, st.just("product") | COLUMNS)
    | st.builds(ir.Last, st.integers(1, 400), st.sampled_from(["minute", "hour", "day"]))
    | st.builds(ir.Since, MOMENTS)
    | st.builds(ir.Before, MOMENTS),
    max_size=3,
    unique_by=lambda condition: type(condition).__name__,
).map(tuple)
PEOPLE = st.lists(
    st.builds(ir.Times, st.sampled_from(["at most", "exactly", "at least"]), st.integers(1, 9))
    | st.builds(ir.Aggregate, st.sampled_from(["sum", "avg", "min", "max"]), COLUMNS, OPERATORS, NUMBERS)
    | st.builds(ir.Latest, COLUMNS, OPERATORS, WORDS),
    max_size=2,
    unique_by=lambda condition: type(condition).__name__,
).map(tuple)
ATTRIBUTES = (
    st.builds(ir.Attribute, st.just("gender"), st.sampled_from(["female", "male"]))
    | st.builds(ir.Attribute, st.just("os"), st.sampled_from(["ios", "android"]))
    | st.builds(ir.Attribute, st.just("area"), st.sampled_from([code for code in sorted(AREAS) if code < "k"]))
    | st.builds(ir.Attribute, st.just("age"), st.sampled_from([f"age_{low}" for low in AGE_TIERS]))
    | st.builds(ir.Attribute, st.just("friend_for"), st.sampled_from([f"day_{low}" for low in FRIEND_FOR_TIERS_DAYS]))
)
URLS = st.none() | st.sampled_from(["https://example.com/?a=1", 'https://example.com/"\\'])
ATOMS = (
    st.builds(ir.Uploaded, st.sampled_from(["buyers", "optout"]))
    | st.builds(ir.Rows, st.just("orders"), ROWS, PEOPLE)
    | st.builds(ir.Friends, st.just("shop"))
    | st.builds(ir.Clicked, st.just("spring"), URLS)
    | st.builds(ir.Opened, st.just("spring"))
    | st.builds(ir.Received, st.just("summer"))
    | st.builds(
        ir.RemoteAudience,
        st.just("shop"),
        st.sampled_from(["CHAT_TAG", "SHARED", "IMAGE_CLICK"]),
        st.sampled_from(["VIP", 'a "b"']),
    )
    | ATTRIBUTES
)
EXPRESSIONS = st.recursive(
    ATOMS.map(ir.leaf),
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: ir.land(*parts))
        | st.lists(inner, min_size=2, max_size=4).map(lambda parts: ir.lor(*parts))
        | inner.map(ir.lnot)
    ),
    max_leaves=7,
)


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS)
def test_words_read_back(expression: ir.Expression) -> None:
    text = to_words(expression, VERBS, ARMS)
    if isinstance(expression, ir.Constant):
        assert text in ("nobody", "everybody")
    else:
        assert equal(read_back(text), expression), text


@pytest.mark.parametrize(
    "text",
    [
        "age(0..)",
        "friend_for(>= 0 days)",
        "friends EXCEPT age(30..39)",
        'sample(purchased(A), 10%, seed: "s")',
        'sample(purchased(A) EXCEPT uploaded(optout), 0.01%, seed: "a \\"b\\"")',
        'clicked(spring) AND sample(purchased(A), 10%, seed: "s")',
        'sample(purchased(A) OR uploaded(buyers), 10%, seed: "s") EXCEPT clicked(spring)',
        "sale_test.a",
        "sale_test.a EXCEPT uploaded(buyers)",
        "(clicked(spring) AND sale_test.b) OR sale_test.holdout",
        "lookalike(purchased(A) OR uploaded(buyers), 3%)",
        "purchased(A, since 0999-01-01 00:00 +09:00)",
    ],
)
def test_words_of_what_was_written(text: str) -> None:
    expression = read_back(text)
    assert equal(read_back(to_words(expression, VERBS, ARMS)), expression)


def test_arms_and_samples_read_as_they_were_written() -> None:
    for text in ("sale_test.a", 'sample(purchased(A), 10%, seed: "s")', "sale_test.a EXCEPT uploaded(buyers)"):
        assert to_words(read_back(text), VERBS, ARMS) == text


def test_an_arm_without_its_split_is_still_read() -> None:
    """Where the splits of the project are not at hand, the words are those of the arm beside the set."""
    assert "sale_test.a" in to_words(read_back("sale_test.a"), VERBS)
    bare = to_words(ir.leaf(ir.Bucket("salt", 500, 1_000)))
    assert bare == 'bucket("salt", 5%..10%)'


def test_deep_sets_inside_atoms() -> None:
    node: ir.Expression = ir.leaf(ir.Uploaded("buyers"))
    for index in range(5_000):
        node = ir.land(ir.leaf(ir.Mapped(f"t{index}", "phone", node)), ir.leaf(ir.Uploaded(f"u{index}")))
    assert "(...)" in to_words(node)


def test_an_arm_as_it_was_and_as_it_is_read_apart() -> None:
    """Both have one name, so their ranges are said: `a EXCEPT a` would read as nobody."""
    now, then = ir.Bucket("salt", 1_000, 5_500, "trial.a"), ir.Bucket("salt", 2_000, 6_000, "trial.a")
    gone = ir.land(ir.leaf(then), ir.lnot(ir.leaf(now)))
    assert to_words(gone) == "trial.a (20%..60%) EXCEPT trial.a (10%..55%)"
    arms = {now.key: ("trial.a", frozenset[str]())}
    assert to_words(ir.leaf(then), arms=arms) == "trial.a (20%..60%)"
    assert to_words(ir.leaf(now), arms=arms) == "trial.a"
    other = ir.Bucket("salt two", 1_000, 5_500, "trial.a")
    assert atoms_in_words((now, other)) == ['trial.a ("salt", 10%..55%)', 'trial.a ("salt two", 10%..55%)']
