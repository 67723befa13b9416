"""Small pieces one by one: quiet hours, values as text, limits, times beyond the calendar, renamed things."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from meaning_project import SHOP, read

from audsql.diag import Bag
from audsql.meaning import expand, ir, values
from audsql.meaning.declared import Thing, mentions, named, things_of
from audsql.meaning.entries import reader
from audsql.meaning.expand import Given, Inputs
from audsql.meaning.expand_values import argument_text, read_value, shortened
from audsql.meaning.lower import analyse
from audsql.meaning.renames import pairs_of, retold, same_meaning
from audsql.meaning.schedule import clock, quiet_hit
from audsql.source import Source, Span
from audsql.syntax import ast
from audsql.syntax.parse import parse_file

# --- quiet hours ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hours",
    [
        [(21, 8)], [(12, 13)], [(0, 24 * 60 // 60 % 24)], [(21, 8), (8, 9)], [(8, 9), (21, 8), (9, 11)],
        [(6, 12), (12, 18), (18, 23)], [(0, 12), (12, 0)], [(22, 2), (1, 3), (2, 4), (4, 5)], [(5, 4)], [],
    ],
)  # fmt: skip
def test_quiet_hours_minute_by_minute(hours: list[tuple[int, int]]) -> None:
    rules = [ir.Quiet(f"q{at}", low * 60, high * 60 % 1440) for at, (low, high) in enumerate(hours) if low != high]

    def forbids(rule: ir.Quiet, moment: datetime) -> bool:
        length = (rule.end_minutes - rule.start_minutes) % 1440
        return (moment.hour * 60 + moment.minute - rule.start_minutes) % 1440 < length

    for minute in range(0, 1440, 30):
        wall = datetime(2026, 12, 31) + timedelta(minutes=minute)
        against = [rule for rule in rules if forbids(rule, wall)]
        found = quiet_hit(wall, rules)
        if not against:
            assert found is None
            continue
        assert found is not None and found.rule == against[0]
        later = (wall + timedelta(minutes=after) for after in range(1440))
        assert found.allowed == next((one for one in later if not any(forbids(rule, one) for rule in rules)), None)


def test_clock() -> None:
    assert [clock(minutes) for minutes in (0, 59, 60, 605, 1439)] == ["00:00", "00:59", "01:00", "10:05", "23:59"]


# --- values as text ---------------------------------------------------------------------------------

HERE = Span("a.aud", 0, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ast.Number(Decimal(0)), "0"),
        (ast.Number(Decimal("0.00")), "0"),
        (ast.Number(Decimal("1E+3")), "1000"),
        (ast.Number(Decimal("1.50")), "1.5"),
        (ast.Percent(Decimal(0)), "0%"),
        (ast.Percent(Decimal("12.50")), "12.5%"),
        (ast.Text("A"), "A"),
        (ast.Text("a b"), '"a b"'),
        (ast.Word("A"), "A"),
        (ast.ListValue((ast.Word("A"), ast.Number(Decimal(2)))), "[A, 2]"),
        (ast.ListValue(()), "[]"),
    ],
)
def test_arguments_as_text(value: ast.Value, text: str) -> None:
    assert argument_text(value) == text


def test_long_texts_are_shortened() -> None:
    limit = expand_characters()
    assert shortened("x" * limit) == "x" * limit
    assert shortened("x" * (limit + 1)) == "x" * (limit - 1) + "…"


def expand_characters() -> int:
    from audsql.meaning import expand_values

    return expand_values._ORIGIN_CHARACTERS_MAX


@pytest.mark.parametrize(
    ("kind", "given", "shown"),
    [("number", "12A", "12A"), ("number", "-x", "-x"), ("number", "secret", None), ("number", "", None),
     ("date", "2026-13-01", "2026-13-01"), ("string", "x", "fine"), ("list", "[1", None), ("percent", "20", "20"),
     ("number", "1" * 41 + "x", None), ("duration", "3 moons", "3 moons")],
)  # fmt: skip
def test_what_is_said_of_a_wrong_value(kind: ast.ParameterType, given: str, shown: str | None) -> None:
    file, _ = parse_file(Source("a.aud", f"param p: {kind}\n"))
    inputs = Inputs((Given("p", given, "--var"),))
    _, told = analyse((file,), name="t", timezone="Asia/Tokyo", inputs=inputs)
    if shown == "fine":
        assert told == ()
    else:
        assert [(one.code, one.fact("value")) for one in told] == [("AUD0221", shown)]


def test_read_values() -> None:
    assert read_value("か\u3099", "string") == ast.Text("が")
    assert read_value("3 days", "duration") == ast.Duration(3, "day")
    assert read_value("3 days x", "duration") is None
    assert read_value("3", "number") == ast.Number(Decimal(3))
    assert read_value("3 # three", "number") is None


# --- limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("for p in [A, B, C] { audience a[p] = purchased(p)  audience b[p] = purchased(p) }\n", 13),
        ("for p in some { audience a[p] = purchased(p) }\n", 9),
        ("for p in [A, B] { for q in [C, D] { audience a[p, q] = purchased(p, q) } }\n", 13),
        ("for p in [] { audience a[p] = purchased(p) }\n", 7),
        ("for p in [some, D] { audience a[p] = purchased(p) }\n", 10),
    ],
)
def test_statements_are_counted_before_they_are_made(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    written = "param some: list = [A, B]\n" + SHOP.replace(SHOP.splitlines(keepends=True)[-1], "")
    total = size + written.count("\n") - 6
    monkeypatch.setattr(expand, "STATEMENTS_MAX", total)
    assert "AUD0240" not in [one.code for one in read(written + text)[1]]
    monkeypatch.setattr(expand, "STATEMENTS_MAX", total - 1)
    told = [one for one in read(written + text)[1] if one.code == "AUD0240"]
    assert [one.fact("limit") for one in told] == [total - 1]
    span = told[0].span
    assert span is not None and (written + text)[span.start : span.start + 3] == "for"


@pytest.mark.parametrize(
    ("written", "hours"),
    [("1 minute", 1), ("60 minutes", 1), ("61 minutes", 2), ("1 hour", 1), ("1 day", 24), ("2 weeks", 336)],
)
def test_hours(written: str, hours: int) -> None:
    file, _ = parse_file(Source("a.aud", f'table t {{ file: "t"  id: user_id  fresh: within {written} }}\n'))
    block = file.statements[0]
    assert isinstance(block, ast.Block)
    assert reader(block, values.zone_of("UTC"), Bag()).hours("fresh") == hours


# --- times beyond the calendar -------------------------------------------------------------------

BEYOND = "9999-12-31 23:59 -12:00"


@pytest.mark.parametrize(
    "text",
    [
        f"audience x = purchased(A, since {BEYOND})",
        f"audience x = purchased(A, before {BEYOND})",
        f"audience x = orders(day >= {BEYOND})",
        f"audience x = orders(day in ({BEYOND}, 2026-01-01))",
        f"audience x = orders(latest day = {BEYOND})",
        f"delivery x {{ to: purchased(A)  send: card  at: {BEYOND} }}",
        f"delivery x {{ to: purchased(A)  send: card  every: day 10:00  from: {BEYOND} }}",
        f'test "x" {{ at: {BEYOND}  given purchased(A) = [u1]  expect purchased(A) = [u1] }}',
    ],
)
def test_a_time_beyond_the_calendar(text: str) -> None:
    told = read(SHOP + text + "\n")[1]
    assert [(one.code, one.fact("date")) for one in told] == [("AUD0312", BEYOND.rpartition(" ")[0])]
    span = told[0].span
    assert span is not None and BEYOND in (SHOP + text)[span.start : span.end]
    assert read(SHOP + text.replace("9999-12-31", "9999-11-30") + "\n")[1] == ()


# --- renamed things ------------------------------------------------------------------------------------


def sets(text: str) -> dict[str, ir.Expression]:
    return {one.name: one.expression for one in read(SHOP + text)[0].project.audiences}


def test_retold_inside_of_sets_that_are_mapped_or_resembled() -> None:
    found = sets(
        'upload phones { file: "p.txt"  id: phone }\n'
        'table members { file: "m.csv"  id: user_id, phone }\n'
        "audience a = uploaded(phones) AND uploaded(buyers)\n"
        "audience b = lookalike(uploaded(phones) AND uploaded(buyers), 3%)\n"
        "audience c = chat_tag(x) AND friends AND clicked(spring) AND opened(spring) AND linked(members)\n"
    )
    renames = {
        ("upload", "phones"): "mobiles", ("table", "members"): "people", ("account", "shop"): "store",
        ("delivery", "spring"): "easter", ("upload", "spring"): "no",
    }  # fmt: skip
    for name, gone in (
        ("a", ("phones", "members")),
        ("b", ("phones", "members")),
        ("c", ("shop", "spring", "members")),
    ):
        told = retold(found[name], renames)
        assert retold(found[name], {}) is found[name]
        assert told != found[name] and not any(one in told.key.split("(")[0] for one in gone)
        for old, new in {"phones": "mobiles", "members": "people", "shop": "store", "spring": "easter"}.items():
            assert (old in found[name].key) == (new in told.key)
        back = {(kind, new): old for (kind, old), new in renames.items() if new != "no"}
        assert retold(told, back) == found[name]


def test_pairs() -> None:
    a, b = ir.leaf(ir.Uploaded("a")), ir.leaf(ir.Uploaded("b"))
    old = [Thing("audience", "one", a), Thing("audience", "two", b), Thing("message", "m", fields={"text": "x"})]
    new = [Thing("audience", "2", ir.land(b, ir.lor(a, b))), Thing("audience", "1", a),
           Thing("message", "n", fields={"text": "x", "description": "told"})]  # fmt: skip
    assert [(one.name, other.name) for one, other in pairs_of(old, new)] == [("one", "1"), ("two", "2"), ("m", "n")]
    twins = [Thing("audience", name, a) for name in ("1", "2")]
    assert [(one.name, other.name) for one, other in pairs_of(old[:1], twins)] == [("one", "1")]
    assert [(one.name, other.name) for one, other in pairs_of(twins, old[:1])] == [("1", "one")]
    assert pairs_of(old[2:], [Thing("message", "n", fields={"text": "y"})]) == []
    assert pairs_of([Thing("message", "n")], [Thing("message", "n", a)]) == []
    sent = [Thing("delivery", "d", a, fields={"at": at}) for at in (1, 2)]
    assert pairs_of(sent[:1], sent[1:]) == [] and len(pairs_of(sent[:1], [sent[0]])) == 1
    verbs = [
        Thing("table", name, fields={"verbs": tuple(ir.Verb(word, table, column) for word, table, column in listed)})
        for name, listed in (
            ("t", [("v", "t", "c"), ("w", "t", None)]), ("u", [("v", "u", "c"), ("w", "u", None)]),
            ("x", [("z", "x", "c"), ("w", "x", None)]), ("y", [("v", "y", "d"), ("w", "y", None)]),
        )
    ]  # fmt: skip
    assert [len(pairs_of(verbs[:1], [one])) for one in verbs] == [1, 1, 0, 0]


def test_many_are_paired_by_group(monkeypatch: pytest.MonkeyPatch) -> None:
    from audsql.meaning import renames

    a, b = ir.leaf(ir.Uploaded("a")), ir.leaf(ir.Uploaded("b"))
    old, new = Thing("audience", "x", a), Thing("audience", "y", ir.land(a, ir.lor(a, b)))
    assert len(pairs_of([old], [new])) == 1
    monkeypatch.setattr(renames, "_PAIRS_MAX", 0)
    assert pairs_of([old], [new]) == [], "over other atoms"
    monkeypatch.setattr(renames, "_PAIRS_MAX", 1)
    same = Thing("audience", "z", ir.lor(a, ir.land(a, a)))
    assert [(one.name, other.name) for one, other in pairs_of([old, old], [same])] == [("x", "z")]


def test_sets_of_nobody_are_not_the_same() -> None:
    a, b = ir.leaf(ir.Uploaded("a")), ir.leaf(ir.Uploaded("b"))
    assert same_meaning(a, a) and same_meaning(ir.lor(a, ir.land(a, b)), a)
    assert not same_meaning(a, b) and not same_meaning(ir.land(a, ir.lnot(a)), ir.land(a, b, ir.lnot(b)))
    assert not same_meaning(ir.NOBODY, ir.NOBODY)
    assert same_meaning(ir.EVERYBODY, ir.EVERYBODY)


def test_what_a_text_mentions() -> None:
    project = read(
        SHOP
        + "audience warm = purchased(A)\nsplit s of warm { a 50%, b 50% } salt x\n"
        + 'table members { file: "m.csv"  id: user_id, phone }\n'
    )[0].project
    project = read(SHOP + 'audience warm = purchased(A)\nsplit s of warm { a 50%, b 50% } salt "x"\n')[0].project
    addresses = named(things_of(project))
    for text, wanted in {
        "warm": ("audience.warm",),
        "s.a OR warm": ("arm.s.a", "audience.warm"),
        "purchased(A) AND (visited() OR NOT orders())": ("table.orders",),
        'uploaded(buyers) EXCEPT uploaded("optout")': ("upload.buyers", "upload.optout"),
        'clicked(spring, "x") OR opened(spring) OR received(spring)': ("delivery.spring",),
        "linked(orders)": ("table.orders",),
        'sample(warm, 10%, seed: "s") AND friends': ("audience.warm",),
        "gender(buyers)": (),
        "": (),
    }.items():
        assert mentions(text, addresses) == wanted, text
