"""What policies ask of a plan, and what is recorded under names that the specs no longer have."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from plan_make import AT, BUYERS, KEY, MESSAGES, make, source

from audsql.data.engine import LinkageKept, LinkageLoss
from audsql.meaning import ir
from audsql.plan.audiences import Held
from audsql.plan.definition import content_digest
from audsql.plan.facts import ExcludedLinkage, Losses, Size
from audsql.plan.guard import check
from audsql.plan.history import HISTORY
from audsql.plan.meanings import buckets_of, expression_document
from audsql.plan.occurrence import Known
from audsql.plan.personal import PersonalFacts, PersonalInputs
from audsql.plan.plan import desired_of, make_plan
from audsql.plan.policies import POLICIES, change_bound, holds

AFTER = AT + timedelta(minutes=5)


def require(measure: str, operator: str | None = None, value: str | None = None, **more: Any) -> dict[str, Any]:
    number = None if value is None else Decimal(value)
    return {"requirements": (ir.RequireMeasure("house", measure, operator, number, **more),)}  # type: ignore[arg-type]


def quiet(start_hour: int, end_hour: int, **more: Any) -> dict[str, Any]:
    return {"requirements": (ir.Quiet("house", start_hour * 60, end_hour * 60, **more),)}


def cap(count: int, **more: Any) -> dict[str, Any]:
    return {"requirements": (ir.Cap("house", count, 7, **more),)}


def known(name: str, state: str = "done", **more: Any) -> Known:
    return replace(Known("once", state, "sha256:other", None, None, name=name, account="shop"), **more)


REACH, CHANGE, FRESH = require("reach", ">=", "50"), require("change", "<=", "20"), require("freshness")
HALF = ir.leaf(ir.Bucket("s:", 0, 5_000, "test.a"))
SAMPLE, LARGER = (ir.leaf(ir.Bucket("sample:s", 0, size)) for size in (1_000, 2_000))
SAID = {"content": content_digest(ir.Delivery("x", "shop", BUYERS, BUYERS, "", ("card",)), MESSAGES),
        "reach": expression_document(BUYERS)}  # fmt: skip
KEPT = {"removed": (ir.Removed("old", "keep"),)}
STAFF = ir.leaf(ir.Uploaded("staff"))
KEPT_ONE = LinkageKept("members", "phone", "user_id", 2)
LOSS = LinkageLoss("members", "phone", "user_id", 9, 4, 5)
ONCE = {"at": None}
EVERY = ir.Every("day", 10, 0)
BUYERS_FRESH = source(name="buyers", exclusion=False, dated=True)


def split(*hundredths: int, salt: str = "s") -> ir.Split:
    arms = tuple(ir.SplitArm(name, size, HALF) for name, size in zip("abc", hundredths, strict=False))
    return ir.Split("test", BUYERS, "uploaded(buyers)", salt, arms)


USED = {"splits": {"test": {"salt": "s", "arms": [["a", 5_000], ["b", 5_000]]}}}
PILOT = ir.Audience("pilot", ir.land(BUYERS, LARGER), "sample(…)")
PILOT_BEFORE = {"audience.pilot": ir.land(BUYERS, SAMPLE)}
WITH_PILOT = {"others": (), "declared": {"audiences": (PILOT,)}, "applied": PILOT_BEFORE}
SAMPLED = {"old": (known("old", buckets=buckets_of(SAMPLE)),)}

CASES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("enough", {"declared": REACH}, ()),
    ("just enough", {"declared": REACH, "size": Size(50, 50)}, ()),
    ("too few", {"declared": REACH, "size": Size(49, 49)}, ("AUD0720",)),
    ("at most too few", {"declared": REACH, "size": Size(0, 49)}, ("AUD0720",)),
    ("perhaps too few", {"declared": REACH, "size": Size(49, 60)}, ("AUD0721",)),
    ("perhaps too few, no bound", {"declared": REACH, "size": Size(0, None)}, ("AUD0721",)),
    ("at least enough", {"declared": REACH, "size": Size(50, None)}, ()),
    ("too few, not covered", {"declared": require("reach", ">=", "50", exceptions=("sale",)), "size": Size(1, 1)}, ()),
    ("too few, begun", {"declared": REACH, "size": Size(1, 1), "state": "sending", "now": AFTER}, ()),
    ("too few, sent", {"declared": REACH, "size": Size(1, 1), "state": "done", "now": AFTER}, ()),
    ("too many", {"declared": require("reach", "<", "60")}, ("AUD0720",)),
    ("not exactly", {"declared": require("reach", "=", "61")}, ("AUD0720",)),
    ("first size", {"declared": CHANGE}, ()),
    ("small change", {"declared": CHANGE, "previous": Size(50, 50)}, ()),
    ("large change", {"declared": CHANGE, "previous": Size(49, 49)}, ("AUD0722",)),
    ("large loss", {"declared": CHANGE, "previous": Size(76, 76)}, ("AUD0722",)),
    ("from nobody", {"declared": CHANGE, "previous": Size(0, 0)}, ("AUD0722",)),
    ("small change of bounds", {"declared": CHANGE, "previous": Size(0, 60), "size": Size(0, 60)}, ("AUD0723",)),
    ("large change of bounds", {"declared": CHANGE, "previous": Size(0, 600), "size": Size(0, 60)}, ("AUD0722",)),
    ("a bound is lost", {"declared": CHANGE, "previous": Size(0, 60), "size": Size(0, None)}, ("AUD0722",)),
    ("a large change of an upload", {"declared": CHANGE, "held": {KEY: Held(7, "f0", 20, None)}}, ("AUD0722",)),
    ("a small change of an upload", {"declared": CHANGE, "held": {KEY: Held(7, "f0", 61, None)}}, ()),
    ("large change, begun", {"declared": CHANGE, "previous": Size(9, 9), "state": "sending", "now": AFTER}, ()),
    ("fresh", {"declared": FRESH, "sources": (BUYERS_FRESH,)}, ()),
    ("no age", {"declared": FRESH, "sources": (replace(BUYERS_FRESH, dated=False),)}, ("AUD0724",)),
    ("late", {"declared": FRESH, "sources": (replace(BUYERS_FRESH, late_hours=2),)}, ("AUD0710",)),
    ("no age, not covered", {"declared": require("freshness", exceptions=("sale",))}, ()),
    ("loud", {"declared": quiet(21, 9)}, ()),
    # 9:00 UTC is 18:00 in Tokyo.
    ("quiet", {"declared": quiet(18, 19)}, ("AUD0725",)),
    ("quiet ends", {"declared": quiet(17, 18)}, ()),
    ("quiet, not covered", {"declared": quiet(18, 19, exceptions=("sale",))}, ()),
    ("quiet now", {"declared": quiet(18, 19), "delivery": ONCE}, ("AUD0725",)),
    ("loud now", {"declared": quiet(19, 18), "delivery": ONCE}, ()),
    ("quiet, begun", {"declared": quiet(18, 19), "state": "sending", "now": AFTER}, ()),
    ("quiet, approved before the policy", {"declared": quiet(18, 19), "state": "scheduled"}, ("AUD0725",)),
    (
        "missed: quiet hours cut its window",
        {"declared": quiet(19, 9), "state": "scheduled", "now": AT + timedelta(hours=2)},
        ("AUD0700",),
    ),
    ("a cap that cannot bind", {"declared": cap(1)}, ()),
    ("a cap", {"declared": cap(1), "occurrences": {"old": (known("old"),)}}, ("AUD0726",)),
    ("a cap, and room", {"declared": cap(2), "occurrences": {"old": (known("old"),)}}, ()),
    ("a cap, nothing was sent", {"declared": cap(1), "occurrences": {"old": (known("old", "missed"),)}}, ()),
    ("a cap, not covered", {"declared": cap(0, exceptions=("sale",))}, ()),
    ("a cap, sent", {"declared": cap(0), "state": "done", "now": AFTER}, ()),
    ("a cap, sent elsewhere", {"declared": cap(1), "others": (
        ir.Delivery("old", "shop", BUYERS, BUYERS, "friends", sent_request_id="r"),)}, ("AUD0726",)),
    ("repeated", {"delivery": {"at": None, "every": EVERY}}, ()),
    ("a personal message", {"personal": PersonalInputs({"sale": PersonalFacts(
        3, missing=(("card", "name", "members", 2), ("card", "points", "members", 1)), several=(("members", 1, False),),
        illegal=(("card", "[0].text", ("name",), "AUD1105", 1),), codes=(("winter", 5),))}, {"winter": 4})},
        ("AUD1134", "AUD1134", "AUD1135", "AUD1136", "AUD1137")),
    ("a personal message, and all is well", {"personal": PersonalInputs({
        "sale": PersonalFacts(3, codes=(("winter", 5),))}, {"winter": 5})}, ()),
    ("codes for two deliveries", {"personal": PersonalInputs({
        "sale": PersonalFacts(3, codes=(("winter", 3),)), "other": PersonalFacts(3, codes=(("winter", 3),))},
        {"winter": 5})}, ("AUD1137",)),
    ("a message without content", {"delivery": {"messages": ("card", "gift")}}, ("AUD0728",)),
    ("renamed", {"delivery": ONCE, "occurrences": {"old": (known("old", **SAID),)}}, ("AUD0730",)),
    ("renamed, other messages", {"delivery": ONCE, "occurrences": {
        "old": (known("old", **{**SAID, "content": "sha256:x"}),)}}, ("AUD0742",)),
    ("renamed, sent at a time", {"delivery": ONCE, "occurrences": {
        "old": (replace(known("old", **SAID), scheduled="2026-11-20T01:00:00Z"),)}}, ("AUD0742",)),
    ("renamed, some of the people", {"delivery": ONCE, "occurrences": {
        "old": (known("old", **{**SAID, "reach": expression_document(ir.land(BUYERS, SAMPLE))}),)}}, ("AUD0730",)),
    ("renamed, people who may be the same", {"delivery": ONCE, "occurrences": {
        "old": (known("old", **{**SAID, "reach": expression_document(STAFF)}),)}}, ("AUD0742",)),
    ("renamed, other people and messages", {"delivery": ONCE, "occurrences": {
        "old": (known("old", **{**SAID, "content": "c", "reach": expression_document(STAFF)}),)}}, ()),
    ("renamed, other people for certain", {"delivery": ONCE, "occurrences": {
        "old": (known("old", **{**SAID, "reach": expression_document(ir.NOBODY)}),)}}, ()),
    ("behind one that was sent", {"delivery": {**ONCE, "behind": ("old",)}, "occurrences": {"old": (known("old"),)},
                                  "declared": KEPT}, ("AUD0743",)),
    ("behind one that waits", {"delivery": {**ONCE, "behind": ("old",)}, "declared": KEPT,
                               "occurrences": {"old": (known("old", "cancelled"),)}}, ()),
    ("behind one that was sent, begun", {"delivery": {"behind": ("old",)}, "state": "sending", "now": AFTER,
                                         "occurrences": {"old": (known("old"),)}, "declared": KEPT}, ()),
    ("ids lost in a linkage", {"linkages": (ExcludedLinkage(LOSS, 0),)}, ("AUD0740",)),
    ("people gone from a linkage", {"linkages": (ExcludedLinkage(replace(LOSS, lost=0), 2),)}, ("AUD0741",)),
    ("a linkage that holds all", {"linkages": (ExcludedLinkage(replace(LOSS, lost=0)),)}, ()),
    ("excluded by one id, kept by another", {"losses": Losses(9, 4, Size(5, 5), (KEPT_ONE,))}, ("AUD1092",)),
    ("ids lost that are not excluded", {"losses": Losses(9, 4, Size(5, 5))}, ()),
    ("renamed, never sent", {"delivery": ONCE, "occurrences": {"old": (known("old", "cancelled", **SAID),)}}, ()),
    ("sent again, said so", {"delivery": ONCE, "occurrences": {"old": (known("old", **SAID),)},
                             "declared": {"removed": (ir.Removed("old", "keep"),)}}, ()),
    ("two histories", {"state": "done", "now": AFTER, "delivery": ONCE, "twice": True}, ("AUD0734",)),
    ("a name of another", {"delivery": ONCE, "occurrences": {"new": (known("sale", content="c"),)}}, ("AUD0735",)),
    ("a split as it was", {"declared": {"splits": (split(5_000, 5_000),)},
                           "occurrences": {"old": (known("old", **USED),)}}, ()),
    ("other weights", {"declared": {"splits": (split(4_000, 6_000),)},
                       "occurrences": {"old": (known("old", **USED),)}}, ("AUD0731",)),
    ("another salt", {"declared": {"splits": (split(5_000, 5_000, salt="t"),)},
                      "occurrences": {"old": (known("old", **USED),)}}, ("AUD0731",)),
    ("another arm", {"declared": {"splits": (split(5_000, 4_000, 1_000),)},
                     "occurrences": {"old": (known("old", **USED),)}}, ("AUD0731",)),
    ("other weights, never used", {"declared": {"splits": (split(4_000, 6_000),)},
                                   "occurrences": {"old": (known("old", "scheduled", **USED),)}}, ()),
    ("another sample", {**WITH_PILOT, "occurrences": SAMPLED}, ("AUD0732",)),
    ("another sample, never used", {**WITH_PILOT, "occurrences": {"old": (known("old"),)}}, ()),
    ("left behind", {"left_behind": {"old": ("0123",)}}, ("AUD0733",)),
    ("left behind, and given up", {"left_behind": {"old": ("0123",)}, "removed": (
        {"name": "old", "action": "delete", "addresses": ["upload.0123"]},)}, ()),
]  # fmt: skip
WARNINGS = {"AUD0700", "AUD0721", "AUD0723", "AUD0733", "AUD0740", "AUD0742", "AUD0743", "AUD1092"}


def made(given: dict[str, Any]) -> Any:
    twice = given.get("twice")
    inputs = make(**{name: value for name, value in given.items() if name != "twice"})
    if twice:
        (row,) = inputs.occurrences["sale"]
        return replace(inputs, occurrences={"sale": (row, replace(row, name="older"))})
    return inputs


@pytest.mark.parametrize(("given", "codes"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_verdicts(given: dict[str, Any], codes: tuple[str, ...]) -> None:
    inputs = made(given)
    verdicts = check(inputs, desired_of(inputs))
    assert tuple(one.code for one in verdicts) == codes
    assert all((one.severity == "warning") == (one.code in WARNINGS) for one in verdicts)


def test_every_guard_speaks_and_every_code_has_a_case() -> None:
    spoken = set()
    for _, given, _ in CASES:
        inputs = made(given)
        spoken |= {guard.__name__ for guard in (*POLICIES, *HISTORY) if list(guard(inputs, desired_of(inputs)))}
    assert spoken == {guard.__name__ for guard in (*POLICIES, *HISTORY)}
    numbers = (*range(20, 27), 28, *range(30, 36), *range(40, 44))
    assert {code for _, _, codes in CASES for code in codes} >= {f"AUD07{number}" for number in numbers}


@pytest.mark.parametrize("declared", [REACH, CHANGE, FRESH])
def test_a_person_can_set_a_policy_aside(declared: dict[str, Any]) -> None:
    inputs = make(declared=declared, size=Size(1, 1), previous=Size(60, 60))
    assert [one.severity for one in check(inputs, desired_of(inputs))] == ["error"]
    assert check(inputs, desired_of(inputs), accepted_policies=frozenset({"house"})) == ()
    assert check(inputs, desired_of(inputs), accepted_policies=frozenset({"other"})) != ()
    assert check(inputs, desired_of(inputs), accepted_shrunk=frozenset({"house"})) != ()


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">="])
def test_a_comparison_of_bounds_says_what_every_number_within_says(operator: str) -> None:
    compare = {"=": Decimal.__eq__, "!=": Decimal.__ne__, "<": Decimal.__lt__, "<=": Decimal.__le__,
               ">": Decimal.__gt__, ">=": Decimal.__ge__}[operator]  # fmt: skip
    for value in range(5):
        for low in range(5):
            for high in (*range(low, 5), None):
                numbers = range(low, 9 if high is None else high + 1)
                said = {bool(compare(Decimal(one), Decimal(value))) for one in numbers}
                expected = said.pop() if len(said) == 1 else None
                bound = None if high is None else Decimal(high)
                assert holds(operator, Decimal(low), bound, Decimal(value)) is expected, (low, high, value)


def test_change_in_percent() -> None:
    assert change_bound(Size(50, 50), Size(60, 60)) == 20
    assert change_bound(Size(60, 60), Size(0, 0)) == 100
    assert change_bound(Size(0, 0), Size(0, 0)) == 0
    assert change_bound(Size(10, None), Size(11, None)) == 10


def test_the_refusal_names_the_next_allowed_time() -> None:
    inputs = make(declared=quiet(17, 9), delivery=ONCE)
    (verdict,) = check(inputs, desired_of(inputs))
    assert (verdict.fact("at"), verdict.fact("allowed")) == ("2026-11-21T18:00+09:00", "2026-11-22T09:00+09:00")


def test_the_plan_shows_the_window_that_quiet_hours_leave() -> None:
    inputs = make(declared=quiet(21, 9))
    (entry,) = make_plan(inputs, ())["deliveries"]
    assert entry["not_after"] == (AT + timedelta(hours=3)).isoformat(timespec="seconds")


def test_renamings_and_removals_are_changes_until_they_are_applied() -> None:
    inputs = make(state="done", now=AFTER, moved=({"from": "old", "to": "sale"},))
    document = make_plan(inputs, ())
    assert (document["summary"]["change"], document["summary"]["changes"]) == (1, True)
    rows = tuple({"name": name, "action": name, "addresses": []} for name in ("keep", "delete", "prune"))
    summary = make_plan(make(state="done", now=AFTER, removed=rows), ())["summary"]
    assert (summary["change"], summary["delete"], summary["changes"]) == (1, 2, True)


def test_absence_alone_releases_nothing() -> None:
    held = {"0123": Held(8, "f0", 50, None)}
    gone = {"held": held, "left_behind": {"old": ("0123",)}}
    assert make_plan(make(**gone), ())["releases"] == []
    for action, released in (("delete", 1), ("prune", 1), ("keep", 0)):
        row = {"name": "old", "action": action, "addresses": ["upload.0123"]}
        assert len(make_plan(make(**gone, removed=(row,)), ())["releases"]) == released


def test_a_delivery_that_is_only_written_otherwise_is_the_same() -> None:
    document = make_plan(
        make(state="done", now=AFTER, delivery={"to_text": "uploaded(buyers) OR uploaded(buyers)"}), ()
    )
    assert document["deliveries"][0]["action"] == "sent"
