"""Policies, quiet hours, repetition, and names that moved: what is stored, what is proved, what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meaning_project import ACCOUNT, BUYERS, CARD, SHOP, codes, read, sound

from audsql.diag import Diagnostic
from audsql.meaning import ir
from audsql.meaning.schedule import quiet_hit

OPTIN = 'upload optin { file: "optin.txt"  id: user_id }\n'
WORLD = SHOP + OPTIN


def delivery(rest: str, name: str = "d") -> str:
    return f"delivery {name} {{ send: card  {rest} }}\n"


def problem_of(text: str) -> Diagnostic:
    _, problems = read(text)
    (problem,) = problems
    return problem


# --- require ----------------------------------------------------------------------------------------


def test_a_failing_proof_shows_a_person_and_a_fix_that_works() -> None:
    text = WORLD + "policy p { require uploaded(optin) }\n" + delivery("to: friends EXCEPT uploaded(buyers)")
    problem = problem_of(text)
    assert problem.code == "AUD0369"
    assert problem.fact("inside") == ("friends",)
    assert problem.fact("outside") == ("uploaded(optin)",)
    ((edit,),) = [one.edits for one in problem.fixes]
    repaired = text[: edit.span.start] + edit.text + text[edit.span.end :]
    assert "uploaded(optin) AND friends EXCEPT uploaded(buyers)" in repaired
    assert codes(repaired) == []


NARROWED = [
    ("friends", "uploaded(optin)", "friends AND uploaded(optin)"),
    ("friends AND orders()", "uploaded(optin)", "uploaded(optin) AND friends AND orders()"),
    ("orders() OR uploaded(buyers)", "uploaded(optin)", "(orders() OR uploaded(buyers)) AND uploaded(optin)"),
    ("friends", "uploaded(optin) OR orders()", "friends AND (uploaded(optin) OR orders())"),
    ("friends EXCEPT orders()", "uploaded(optin) EXCEPT uploaded(buyers)",
     "(uploaded(optin) EXCEPT uploaded(buyers)) AND friends EXCEPT orders()"),
]  # fmt: skip


@pytest.mark.parametrize(("to", "required", "wanted"), NARROWED)
def test_the_fix_reads_one_way_and_holds(to: str, required: str, wanted: str) -> None:
    text = WORLD + f"policy p {{ require {required} }}\n" + delivery(f"to: {to}")
    problem = problem_of(text)
    edit = problem.fixes[0].edits[0]
    assert edit.text == wanted
    assert codes(text[: edit.span.start] + edit.text + text[edit.span.end :]) == []


PROVED = [
    ("window", "require purchased(A, last 90 days)", "to: purchased(A, last 30 days)", []),
    ("wider window", "require purchased(A, last 30 days)", "to: purchased(A, last 90 days)", ["AUD0369"]),
    ("policies help", "always except uploaded(buyers)\n  require NOT uploaded(buyers)", "to: friends", []),
    ("friends are implied", "require friends", "to: uploaded(buyers)", []),
    ("friends of a chat tag", 'require friends EXCEPT chat_tag("VIP")', "to: friends", ["AUD0369"]),
    ("an exception", "require uploaded(optin)  except for [d]", "to: friends", []),
    ("a broken rule is silent", "require nothing", "to: friends", ["AUD0201"]),
    ("everybody is no rule", "require uploaded(optin) OR NOT uploaded(optin)", "to: friends", ["AUD0351"]),
    ("a look-alike", "require lookalike(uploaded(optin), 3%)", "to: uploaded(optin)", ["AUD0367"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "to", "wanted"), [case[1:] for case in PROVED], ids=[case[0] for case in PROVED])
def test_require(rule: str, to: str, wanted: list[str]) -> None:
    assert codes(WORLD + f"policy p {{\n  {rule}\n}}\n" + delivery(to)) == wanted


def test_each_delivery_is_proved_behind_its_priority() -> None:
    text = WORLD + "policy p { require NOT uploaded(buyers)  except for [a] }\n"
    pair = delivery("to: uploaded(buyers)", "a") + delivery("to: friends", "b")
    assert codes(text + pair) == ["AUD0369"]
    assert codes(text + pair + "priority [a, b]\n") == []


# --- stored rules -----------------------------------------------------------------------------------


def test_rules_are_stored() -> None:
    rules = """policy house {
      require reach >= 50  except for [b, a]
      require change <= 12.50%
      require freshness
      quiet 21:00..09:00
      cap 2 per person per 1 week
      require uploaded(optin)
    }
    """
    both = delivery("to: uploaded(optin)", "a") + delivery("to: uploaded(optin)", "b")
    project = sound(WORLD + both + rules).project
    assert project.requirements == (
        ir.RequireMeasure("house", "reach", ">=", Decimal(50), ("a", "b")),
        ir.RequireMeasure("house", "change", "<=", Decimal("12.50")),
        ir.RequireMeasure("house", "freshness"),
        ir.Quiet("house", 21 * 60, 9 * 60),
        ir.Cap("house", 2, 7),
        ir.RequireWithin("house", ir.leaf(ir.Uploaded("optin")), "uploaded(optin)"),
    )


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("require reach = 50", ["AUD0371"]),
        ("require reach >= 0.5", ["AUD0371"]),
        ("require change >= 5%", ["AUD0371"]),
        ("require change <= season", ["AUD0225"]),
        ("quiet night", ["AUD0225"]),
        ("cap n per person per 7 days", ["AUD0225"]),
        ("cap 1 per person per 0 days", ["AUD0374"]),
        ("cap 1 per person per 36 hours", ["AUD0374"]),
        ("require reach >= 50\n  require reach >= 60", ["AUD0375"]),
        ("require reach >= 50\n  require reach >= 60  except for [d]", []),
        ("quiet 21:00..09:00\n  quiet 12:00..13:00\n  cap 1 per person per 1 day\n  cap 3 per person per 7 days", []),
        ("quiet 21:00..21:00", ["AUD0372"]),
    ],
)
def test_rules_that_are_refused(rule: str, wanted: list[str]) -> None:
    assert codes(WORLD + delivery("to: friends") + f"policy p {{\n  {rule}\n}}\n") == wanted


# --- quiet hours ------------------------------------------------------------------------------------

QUIET = [
    ("quiet 21:00..09:00", "at: 2026-12-01 20:59", None),
    ("quiet 21:00..09:00", "at: 2026-12-01 21:00", "2026-12-02 09:00"),
    ("quiet 21:00..09:00", "at: 2026-12-02 08:59", "2026-12-02 09:00"),
    ("quiet 21:00..09:00", "at: 2026-12-02 09:00", None),
    ("quiet 12:00..13:00", "at: 2026-12-01 12:30", "2026-12-01 13:00"),
    ("quiet 21:00..09:00\n  quiet 09:00..10:00", "at: 2026-12-01 23:00", "2026-12-02 10:00"),
    ("quiet 21:00..09:00\n  quiet 09:00..21:00", "at: 2026-12-01 23:00", "never"),
    ("quiet 21:00..09:00", "every: monday 22:00", "09:00"),
    ("quiet 21:00..09:00", "at: 2026-12-01 13:00 +00:00", "2026-12-02 09:00"),
]


@pytest.mark.parametrize(("rules", "when", "allowed"), QUIET)
def test_quiet_hours(rules: str, when: str, allowed: str | None) -> None:
    text = WORLD + delivery(f"to: friends  {when}") + f"policy p {{\n  {rules}\n}}\n"
    if allowed is None:
        assert codes(text) == []
        return
    problem = problem_of(text)
    assert problem.code == "AUD0373"
    assert problem.fact("allowed") == (None if allowed == "never" else allowed)


MINUTES = st.integers(0, 24 * 60 - 1)


@given(MINUTES, st.lists(st.tuples(MINUTES, MINUTES).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_the_next_allowed_minute_is_the_first(now: int, hours: list[tuple[int, int]]) -> None:
    rules = [ir.Quiet(f"p{index}", start, end) for index, (start, end) in enumerate(hours)]
    quiet = {minute % 1440 for start, end in hours for minute in range(start, end if start < end else end + 1440)}
    midnight = datetime(2026, 12, 1)
    hit = quiet_hit(midnight + timedelta(minutes=now), rules)
    if now not in quiet:
        assert hit is None
        return
    free = [minute for minute in range(now, now + 1440) if minute % 1440 not in quiet]
    assert hit is not None
    assert hit.allowed == (midnight + timedelta(minutes=free[0]) if free else None)


# --- every ------------------------------------------------------------------------------------------


def every(text: str) -> ir.Every | None:
    found = sound(ACCOUNT + CARD + delivery(f"to: friends  {text}")).project.delivery("d")
    assert found is not None
    return found.every


def test_repetitions() -> None:
    assert every("") is None
    assert every("every: day 10:00") == ir.Every("day", 10, 0)
    assert every("every: sunday 9:30  catch_up: once") == ir.Every("week", 9, 30, weekday=6, catch_up="once")
    start, end = datetime.fromisoformat("2026-12-01T00:00+09:00"), datetime.fromisoformat("2027-01-31T12:00+09:00")
    bounded = every("every: month 1 10:00  from: 2026-12-01  until: 2027-01-31 12:00")
    assert bounded == ir.Every("month", 10, 0, day=1, start=start, end=end)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("every: month 29 10:00", ["AUD0385"]),
        ("every: month 0 10:00", ["AUD0386"]),
        ("every: month 10:00", ["AUD0303"]),
        ("every: monday 1 10:00", ["AUD0303"]),
        ("every: mon 10:00", ["AUD0307"]),
        ("every: day 10:00  at: 2026-12-01 10:00", ["AUD0384"]),
        ("every: day 10:00  from: 2026-12-01  until: 2026-12-01", ["AUD0309"]),
        ("from: 2026-12-01  catch_up: once", ["AUD0387", "AUD0387"]),
    ],
)
def test_repetitions_that_are_refused(text: str, wanted: list[str]) -> None:
    assert sorted(codes(ACCOUNT + CARD + delivery(f"to: friends  {text}"))) == wanted


# --- moved and removed ------------------------------------------------------------------------------

AUDIENCES = BUYERS + "audience a = uploaded(buyers)\naudience b = friends AND a\n"


def test_chains_lead_to_what_is_declared() -> None:
    project = sound(
        AUDIENCES + "moved oldest -> old\nmoved old -> a\nremoved gone { keep }\nremoved away { delete }\n"
    ).project
    assert project.moved == (ir.Moved("old", "a", "audience"), ir.Moved("oldest", "a", "audience"))
    assert project.removed == (ir.Removed("away", "delete"), ir.Removed("gone", "keep"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("moved a -> b", ["AUD0388"]),
        ("moved old -> c", ["AUD0207"]),
        ("moved old -> older\nmoved older -> old", ["AUD0207", "AUD0207"]),
        ("moved old -> old", ["AUD0207"]),
        ("moved old -> a\nmoved old -> b", ["AUD0377"]),
        ("moved old -> a\nmoved older -> a", ["AUD0377"]),
        ("moved old -> a\nremoved old { keep }", ["AUD0377"]),
        ("removed old { keep }\nremoved old { delete }", ["AUD0377"]),
        ("removed a { keep }", ["AUD0388"]),
        ("moved oldest -> old\nmoved old -> c", ["AUD0207"]),
    ],
)
def test_moves_that_are_refused(text: str, wanted: list[str]) -> None:
    assert codes(AUDIENCES + text + "\n") == wanted
