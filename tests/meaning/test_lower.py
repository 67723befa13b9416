"""What texts mean: lowered values, and the codes of what is wrong."""

from __future__ import annotations

import tomllib
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from meaning_project import ACCOUNT, BUYERS, CARD, OPTOUT, ORDERS, SHOP, SPRING, codes, read, sound

import audsql
from audsql import testing
from audsql.diag import has_errors
from audsql.meaning import algebra, ir
from audsql.meaning.lower import analyse, lower_expression
from audsql.session.linting import lint_texts
from audsql.source import Source
from audsql.syntax import ast
from audsql.syntax.parse import parse_file

CATALOG = Path(audsql.__file__).parent / "catalog"
ENTRIES = [
    (path.stem, tomllib.loads(path.read_text(encoding="utf-8")).get("sample", {}))
    for path in sorted(CATALOG.glob("AUD*.toml"))
    if path.stem[3:5] in ("02", "03", "05", "09")
]
# Samples of several files are read by tests/test_catalog.py.
SAMPLES = [(code, sample) for code, sample in ENTRIES if sample and "files" not in sample]


@pytest.mark.parametrize(("code", "sample"), SAMPLES, ids=[code for code, _ in SAMPLES])
def test_samples(code: str, sample: dict[str, str]) -> None:
    told = _lints if "AUD0510" <= code < "AUD0600" else _all_codes
    assert {*told(sample["bad"])} == {code}
    assert told(sample["good"]) == []


def _lints(text: str) -> list[str]:
    return [one.code for one in lint_texts({"spec.aud": text})]


def _all_codes(text: str) -> list[str]:
    analysis, problems = read(text)
    results = testing.run_tests(analysis)
    return [one.code for one in problems] + [one.code for result in results for one in result.diagnostics]


def meaning(text: str) -> ir.Expression:
    audience = sound(SHOP + f"audience it = {text}\n").project.audience("it")
    assert audience is not None
    return audience.expression


def rows(*conditions: ir.RowCondition, people: tuple[ir.PeopleCondition, ...] = ()) -> ir.Expression:
    return ir.leaf(ir.Rows("orders", tuple(sorted(conditions, key=repr)), people))


def any_of(family: str, *values: str) -> ir.Expression:
    return ir.lor(*(ir.leaf(ir.Attribute(family, value)) for value in values))  # type: ignore[arg-type]


PRODUCT_A = ir.ColumnCompare("product", "=", "A")
ATOMS: list[tuple[str, ir.Expression]] = [
    ("uploaded(buyers)", ir.leaf(ir.Uploaded("buyers"))),
    ("friends", ir.leaf(ir.Friends("shop"))),
    ("clicked(spring)", ir.leaf(ir.Clicked("spring"))),
    ('clicked(spring, "https://e.example/a")', ir.leaf(ir.Clicked("spring", "https://e.example/a"))),
    ("opened(spring)", ir.leaf(ir.Opened("spring"))),
    ('reserved("table")', ir.leaf(ir.RemoteAudience("shop", "RESERVATION", "table"))),
    ('rich_menu_seen("main")', ir.leaf(ir.RemoteAudience("shop", "RICHMENU_IMP", "main"))),
    ('shared("partner")', ir.leaf(ir.RemoteAudience("shop", "SHARED", "partner"))),
    ("purchased(A)", rows(PRODUCT_A)),
    ('purchased("A")', rows(PRODUCT_A)),
    ("purchased(B, A)", rows(ir.ColumnIn("product", ("A", "B")))),
    ("purchased(A, A)", rows(PRODUCT_A)),
    ("purchased(*)", rows(ir.ColumnGiven("product"))),
    ("purchased(12)", rows(ir.ColumnCompare("product", "=", Decimal(12)))),
    ("purchased(A, last 90 days)", rows(PRODUCT_A, ir.Last(90, "day"))),
    ("purchased(A, last 2 weeks)", rows(PRODUCT_A, ir.Last(14, "day"))),
    ("purchased(A, last 3 hours)", rows(PRODUCT_A, ir.Last(3, "hour"))),
    ("purchased(A, at least 2 times)", rows(PRODUCT_A, people=(ir.Times("at least", 2),))),
    ("visited(exactly 1 time)", rows(people=(ir.Times("exactly", 1),))),
    ("orders()", rows()),
    ("orders(rank in (gold, silver))", rows(ir.ColumnIn("rank", ("gold", "silver")))),
    ("orders(amount >= 1_000, coupon is missing)",
     rows(ir.ColumnCompare("amount", ">=", Decimal(1000)), ir.ColumnMissing("coupon"))),
    ("orders(sum(amount) >= 10000)", rows(people=(ir.Aggregate("sum", "amount", ">=", Decimal(10000)),))),
    ("orders(latest status = done)", rows(people=(ir.Latest("status", "=", "done"),))),
    ("gender(female)", any_of("gender", "female")),
    ("os(ios)", any_of("os", "ios")),
    ("age(30..39)", any_of("age", "age_30", "age_35")),
    ("age(65..)", any_of("age", "age_65", "age_70")),
    ("age(..19)", any_of("age", "age_0", "age_15")),
    ("area(tokyo, 神奈川, 大阪府, jp_01)", any_of("area", "jp_01", "jp_13", "jp_14", "jp_27")),
    ("friend_for(>= 90 days)", any_of("friend_for", "day_90", "day_180", "day_365")),
    ("friend_for(< 30 days)", any_of("friend_for", "day_0", "day_7")),
    ("friend_for(30 days..89 days)", any_of("friend_for", "day_30")),
    ("NOT uploaded(buyers)", ir.lnot(ir.leaf(ir.Uploaded("buyers")))),
    ("friends EXCEPT uploaded(buyers)", ir.land(ir.leaf(ir.Friends("shop")), ir.lnot(ir.leaf(ir.Uploaded("buyers"))))),
    ("purchased(A, since 2026-01-01)",
     rows(PRODUCT_A, ir.Since(datetime.fromisoformat("2026-01-01T00:00+09:00")))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), ATOMS, ids=[text for text, _ in ATOMS])
def test_expressions(text: str, wanted: ir.Expression) -> None:
    found = meaning(text)
    if "since" in text:
        assert algebra.to_words(found) == algebra.to_words(wanted)
    else:
        assert found == wanted


@pytest.mark.parametrize("text", [text for text, _ in ATOMS])
def test_words_read_back_as_the_same_set(text: str) -> None:
    expression = meaning(text)
    verbs = algebra.verbs_of(sound(SHOP).project)
    assert meaning(algebra.to_words(expression, verbs)) == expression


WRONG: list[tuple[str, str, list[str]]] = [
    ("a circle of three", BUYERS + "audience a = b\naudience b = c\naudience c = a OR uploaded(buyers)\n", ["AUD0210"]),
    ("a circle is not told to what needs it", "audience a = a\naudience b = a\n", ["AUD0210"]),
    ("errors do not spread", "audience a = nothing\naudience b = a\naudience c = NOT b\n", ["AUD0201"]),
    ("a bad list is known", 'upload buyers { file: 3  id: user_id }\naudience a = uploaded(buyers)\n', ["AUD0303"]),
    ("own click", ACCOUNT + CARD + "delivery d { to: clicked(d)  send: card }\n", ["AUD0210"]),
    ("a receipt in a policy", SHOP + "policy p { always except received(d) }\ndelivery d { to: friends  send: card }\n",
     ["AUD0210"]),
    ("two names of one kind", BUYERS + BUYERS, ["AUD0202"]),
    ("unknown account", ACCOUNT + CARD + "delivery d { to: friends  send: card  account: shpo }\n", ["AUD0207"]),
    ("unknown message", ACCOUNT + "delivery d { to: friends  send: card }\n", ["AUD0207"]),
    ("not a message", SHOP + "delivery d { to: friends  send: buyers }\n", ["AUD0204"]),
    ("unknown exception", SHOP + "policy p { always except uploaded(optout)  except for [x] }\n", ["AUD0207"]),
    ("no such area", SHOP + "audience a = area(tokio)\n", ["AUD0321"]),
    ("half a tier", SHOP + "audience a = friend_for(> 90 days)\n", ["AUD0322"]),
    ("one year", SHOP + "audience a = age(32)\n", ["AUD0322"]),
    ("hours of friendship", SHOP + "audience a = friend_for(>= 3 hours)\n", ["AUD0320"]),
    ("hidden everybody", SHOP + "audience a = friends OR (purchased(A) OR NOT orders())\n", []),
    ("everybody by facts", SHOP + "audience a = orders() OR NOT purchased(A)\n", ["AUD0351"]),
    ("empty by facts", SHOP + "audience a = purchased(A) EXCEPT orders()\n", ["AUD0350"]),
    ("empty policy", SHOP + "policy p { always except gender(male) AND gender(female) }\n", ["AUD0350"]),
    ("push of an attribute", SHOP + "delivery d { to: age(30..34)  send: card  by: push }\n", ["AUD0355"]),
    ("past and to", SHOP + 'delivery d { sent: "r"  at: 2026-11-01 10:00  to: friends }\n', ["AUD0313"]),
    ("past without at", ACCOUNT + 'delivery d { sent: "r" }\n', ["AUD0301"]),
    ("NOT of an attribute under AND", SHOP + "audience a = friends AND NOT (gender(male) OR os(ios))\n", ["AUD0503"]),
    ("unknown entry near", "message m { txt: \"hello\" }\n", ["AUD0206"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"), [(text, wanted) for _, text, wanted in WRONG], ids=[n for n, _, _ in WRONG]
)
def test_codes(text: str, wanted: list[str]) -> None:
    assert sorted(codes(text)) == sorted(wanted)


def test_a_diamond_is_no_circle() -> None:
    text = BUYERS + "audience a = uploaded(buyers)\naudience b = a\naudience c = a\naudience d = b OR c\n"
    assert codes(text) == []


@pytest.mark.scenario(39)
def test_circle_prints_its_path() -> None:
    _, problems = read("audience a = b\naudience b = c\naudience c = a\n")
    assert [problem.fact("path") for problem in problems] == ["a -> b -> c -> a"]


def test_files_have_no_order() -> None:
    assert codes("audience a = b\n", BUYERS + "audience b = uploaded(buyers)\n") == []


def test_broken_statements_are_declared() -> None:
    file = ast.File("x.aud", (ast.Bad("audience", ast.Name("a")),))
    other, _ = parse_file(Source("y.aud", "audience b = a\n"))
    analysis, problems = analyse((file, other), name="test", timezone="UTC")
    assert problems == () and analysis.project.audiences == ()


FOUNDING = (
    SHOP
    + """
# People who clicked and bought
audience warm = clicked(spring) AND purchased(A) EXCEPT uploaded(buyers)
delivery sale { to: warm AND gender(female)  send: card  at: 2026-12-01 10:00  expect: 60..90 people  limit: 1_000 }
delivery all { to: (friends)  send: card }
policy house { always except uploaded(optout)  except for [all] }
"""
)


def test_a_delivery_is_less_every_policy() -> None:
    project = sound(FOUNDING).project
    sale, everyone = project.delivery("sale"), project.delivery("all")
    assert sale is not None and everyone is not None
    assert algebra.equal(sale.reach, ir.land(sale.to, ir.lnot(ir.leaf(ir.Uploaded("optout")))))
    assert sale.policies == ("house",) and sale.to_text == "warm AND gender(female)"
    assert sale.at is not None and sale.at.isoformat() == "2026-12-01T10:00:00+09:00"
    assert (sale.expect, sale.limit, sale.is_friends) == ((60, 90), 1000, False)
    assert everyone.is_friends and everyone.policies == () and everyone.reach == ir.leaf(ir.Friends("shop"))
    assert project.policies[0].exceptions == ("all",)


def test_descriptions_and_texts() -> None:
    audience = sound(FOUNDING).project.audience("warm")
    assert audience is not None
    assert audience.text == "clicked(spring) AND purchased(A) EXCEPT uploaded(buyers)"
    assert audience.description == "People who clicked and bought"


TWO = """
account shop { token: env("SHOP") }
account cafe { token: env("CAFE") }
audience vip = chat_tag("VIP") AND friends
delivery a { to: vip  send: card  account: shop }
delivery b { to: vip  send: card  account: cafe }
"""


def test_what_is_found_by_name_belongs_to_the_delivering_account() -> None:
    project = sound(TWO + CARD).project
    for name, account in (("a", "shop"), ("b", "cafe")):
        delivery = project.delivery(name)
        assert delivery is not None
        assert {atom.account for atom in ir.atoms_of(delivery.reach)} == {account}  # type: ignore[union-attr]


def test_other_accounts_clicks_through_an_audience() -> None:
    past = 'delivery past { sent: "r"  at: 2026-11-01 10:00  by: broadcast  account: cafe }\n'
    text = TWO + CARD + past + "audience c = clicked(past)\ndelivery d { to: c  send: card  account: shop }\n"
    assert codes(text) == ["AUD0345"]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("2026-03-29 02:30", "2026-03-29T03:00:00+02:00"),  # skipped
        ("2026-10-25 02:30", "2026-10-25T02:30:00+02:00"),  # twice: the first
        ("2026-10-25 02:30 +01:00", "2026-10-25T02:30:00+01:00"),
        ("2026-12-01T10:00+09:00", "2026-12-01T02:00:00+01:00"),
    ],
)
def test_times_where_clocks_change(written: str, wanted: str) -> None:
    text = ACCOUNT + CARD + f"delivery d {{ to: friends  send: card  at: {written} }}\n"
    analysis, problems = read(text, timezone="Europe/Berlin")
    delivery = analysis.project.delivery("d")
    assert not problems and delivery is not None and delivery.at is not None
    assert delivery.at.isoformat() == wanted


def test_an_expression_in_a_project() -> None:
    analysis = sound(FOUNDING)
    file, _ = parse_file(Source("e.aud", "audience it = warm EXCEPT orders()\n"))
    statement = file.statements[0]
    assert isinstance(statement, ast.Audience)
    expression, problems = lower_expression(statement.expression, analysis)
    assert not problems
    assert ir.atoms_of(expression)
    file, _ = parse_file(Source("e.aud", "audience it = worm\n"))
    statement = file.statements[0]
    assert isinstance(statement, ast.Audience)
    expression, problems = lower_expression(statement.expression, analysis)
    assert expression == ir.NOBODY and has_errors(problems)


def test_near_names_come_with_a_fix() -> None:
    _, problems = read(BUYERS + "audience a = uploaded(Buyer)\n")
    assert problems[0].fact("near") == "buyers"
    assert [edit.text for fix in problems[0].fixes for edit in fix.edits] == ["buyers"]
    assert not any(fix.safe for fix in problems[0].fixes)


def test_a_token_is_never_repeated() -> None:
    _, problems = read('account shop { token: "very-secret" }\n')
    assert "very-secret" not in repr(problems)


def test_tiers_that_are_near() -> None:
    _, problems = read(ACCOUNT + "audience a = age(32..39)\n")
    assert problems[0].fact("nearest") == ("age(30..39)", "age(35..39)")


def test_past_deliveries_without_by() -> None:
    past = SPRING.replace("by: broadcast", "")
    assert codes(ACCOUNT + past + "audience a = opened(spring)\n") == ["AUD0331"]
    assert codes(ACCOUNT + past + "audience a = received(spring)\n") == ["AUD0332"]


def test_unlisted_table_time() -> None:
    assert codes(ORDERS.replace("time: ordered_at", "") + "audience a = purchased(A, latest x = y)\n") == ["AUD0326"]


def test_many_statements_are_quick() -> None:
    lists = [f'upload u{index} {{ file: "u{index}.txt"  id: user_id }}\n' for index in range(300)]
    chained = [f"audience a{i} = {'u' if i == 0 else 'a'}{max(i - 1, 0)} OR uploaded(u{i})\n" for i in range(1, 300)]
    text = "".join(lists) + "audience a0 = uploaded(u0)\n" + "".join(chained) + OPTOUT
    assert codes(text) == []


def test_what_an_unread_statement_may_declare_is_not_missing() -> None:
    file = ast.File("x.aud", (ast.Bad("table", None), ast.Bad("audience", None)))
    other, _ = parse_file(Source("y.aud", "audience b = a AND purchased(A)\n"))
    assert analyse((file, other), name="test", timezone="UTC")[1] == ()


def test_a_name_of_a_loop_is_offered_with_its_index() -> None:
    """Not the audience whose own declaration the name stands in, though it is as near."""
    orders = 'table orders { file: "o.csv"  id: user_id  verb purchased by product }\n'
    _, problems = read(orders + "for p in [A, B] { audience x[p] = purchased(p) }\naudience y = x\n")
    assert [problem.fact("near") for problem in problems] == ["x[A]"]
    assert [edit.text for fix in problems[0].fixes for edit in fix.edits] == ["x[A]"]
    _, problems = read(BUYERS + "audience y = x\n")
    assert [problem.fact("near") for problem in problems] == [None]
