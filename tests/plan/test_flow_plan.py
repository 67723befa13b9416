"""What a plan says of flows: what is done about each, what that means for who is inside, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from test_plan_pure import make

from audsql.meaning import ir
from audsql.meaning.flow import Branch, BranchArm, Flow, FlowStart, SendStep, Step, WaitFor
from audsql.plan.flow_form import FlowForm, form_now
from audsql.plan.flow_guards import FLOW_GUARDS
from audsql.plan.flows import (
    ArmCount,
    FlowFacts,
    FlowInputs,
    Stood,
    counterpart,
    flow_changes,
    flow_messages,
    flows_document,
    sent_again,
    with_flows,
)
from audsql.view.flows import flow_blocks
from audsql.view.shared import masked

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
EARLIER = datetime(2026, 11, 1, 3, tzinfo=UTC)
BUYERS = ir.leaf(ir.Uploaded("buyers"))
NAMES = ("a", "b", "c")
MESSAGES: dict[str, Any] = {name: ({"type": "text", "text": name},) for name in NAMES}
DECLARED = tuple(ir.Message(name, text=name) for name in NAMES)
A, B, C = (SendStep((name,)) for name in NAMES)
DAY = WaitFor(24 * 60)


def flow(*steps: Step, name: str = "hello", **more: Any) -> Flow:
    return replace(Flow(name, "shop", FlowStart("when", BUYERS), steps, ir.NOBODY, ir.NOBODY), **more)


def form(of: Flow, *, live: bool = True, **more: Any) -> FlowForm:
    return replace(form_now(of, MESSAGES, {one.name: one for one in DECLARED}, EARLIER), live=live, **more)


def project(*flows: Flow, **more: Any) -> ir.Project:
    return ir.Project("p", "Asia/Tokyo", messages=DECLARED, flows=flows, **more)


def inputs(*forms: FlowForm, standing: dict[str, tuple[Stood, ...]] | None = None, **facts: FlowFacts) -> FlowInputs:
    return FlowInputs(forms, frozenset(one.name for one in forms), standing or {}, facts)


def document(of: ir.Project, known: FlowInputs) -> list[dict[str, Any]]:
    return flows_document(of, MESSAGES, known, NOW)


def told(of: ir.Project, known: FlowInputs, language: str) -> str:
    return "\n".join(line for block in flow_blocks({"flows": document(of, known)}, language) for line in block)


BEFORE = form(flow(A, DAY, B))
AFTER = flow(A, WaitFor(3 * 24 * 60), B)
STOOD = (Stood(BEFORE.version, "2", "waiting", 120, NOW), Stood(BEFORE.version, "2", "held", 30, EARLIER),
         Stood(BEFORE.version, "", "done", 7, EARLIER))  # fmt: skip


@pytest.mark.parametrize(
    ("of", "known", "action"),
    [
        (project(AFTER), inputs(), "new"),
        (project(BEFORE.flow), inputs(BEFORE), "keep"),
        (project(AFTER), inputs(BEFORE), "change"),
        (project(AFTER), inputs(replace(BEFORE, live=False)), "new"),
        (project(), inputs(BEFORE), "close"),
        (project(), inputs(replace(BEFORE, live=False)), "closing"),
        (project(removed=(ir.Removed("hello", "delete"),)), inputs(BEFORE), "remove"),
        (project(removed=(ir.Removed("hello", "delete"),)), inputs(replace(BEFORE, live=False)), "remove"),
        (project(removed=(ir.Removed("hello", "delete"),)), inputs(replace(BEFORE, live=False, taken_out=True)),
         "closing"),
        (project(removed=(ir.Removed("hello", "keep"),)), inputs(BEFORE), "close"),
        (project(replace(AFTER, name="bye"), moved=(ir.Moved("hello", "bye", "flow"),)), inputs(BEFORE), "move"),
        (project(replace(AFTER, name="bye"), moved=(ir.Moved("hello", "bye", "delivery"),)), inputs(BEFORE), "new"),
    ],
)  # fmt: skip
def test_each_flow_has_one_thing_that_is_done(of: ir.Project, known: FlowInputs, action: str) -> None:
    wanted = "bye" if any(one.name == "bye" for one in of.flows) else "hello"
    assert {one.name: one.action for one in flow_changes(of, MESSAGES, known, NOW)}[wanted] == action


def test_an_edited_flow_keeps_the_time_since_when_it_takes_people() -> None:
    (one,) = document(project(AFTER), inputs(replace(BEFORE, since=EARLIER)))
    assert (one["since"], one["before"], one["version"] != one["before"]) == (
        "2026-11-01T12:00:00+09:00", BEFORE.version, True,
    )  # fmt: skip


def test_who_is_inside_an_edited_flow_finishes_on_their_version() -> None:
    known = inputs(BEFORE, standing={"hello": STOOD}, hello=FlowFacts(5))
    (one,) = document(project(AFTER), known)
    assert one["inside"] == [
        {"version": BEFORE.version, "approved_at": "2026-11-01T12:00:00+09:00", "what": "finish", "people": 150,
         "steps": [{"step": "2", "says": "send b", "people": 150, "held": 30, "due_at": "2026-11-01T12:00:00+09:00"}]}
    ]  # fmt: skip
    assert one["edits"] == [{"step": "1", "before": "wait 1 day", "after": "wait 3 days", "content": False}]
    english, japanese = told(project(AFTER), known, "en"), told(project(AFTER), known, "ja")
    assert "would enter now: 5" in english and "今入る人: 5 人" in japanese
    assert "150 people inside finish on the version of 2026-11-01 12:00 +09:00" in english
    assert "the edit changes nothing for them, and nobody else enters it" in english
    assert "150 before `send b` (step 3); the first is due" in english and "(30 of these held" in english
    assert "step 2: `wait 1 day` becomes `wait 3 days`" in english
    assert "中にいる 150 人は、2026-11-01 12:00 +09:00 の版" in japanese
    assert "最後まで進みます。今回の編集はこの人たちに影響せず、この版に新しい人は入りません" in japanese
    assert "`send b`（ステップ 3） の前に 150 人" in japanese
    assert "ステップ 2: `wait 1 day` が `wait 3 days` に変わります" in japanese


@pytest.mark.parametrize(
    ("of", "english", "japanese"),
    [
        (project(), "150 people inside finish on", "150 人は"),
        (project(removed=(ir.Removed("hello", "delete"),)),
         "150 people inside are taken out and get nothing more of it",
         "150 人は外され、このフローからはもう何も届きません"),
        (project(BEFORE.flow), "150 people are inside and go on as before", "150 人が中にいて、これまでどおり進みます"),
        (project(replace(AFTER, name="bye"), moved=(ir.Moved("hello", "bye", "flow"),)),
         "150 people inside go on in the new version", "それぞれ同じ位置のステップから新しい版"),
    ],
)  # fmt: skip
def test_what_an_apply_does_to_the_people_inside_is_said_in_words(of: ir.Project, english: str, japanese: str) -> None:
    known = inputs(BEFORE, standing={"hello": STOOD})
    assert english in told(of, known, "en")
    assert japanese in told(of, known, "ja")


def test_an_edit_without_anybody_inside_says_so() -> None:
    known = inputs(BEFORE, standing={"hello": (Stood(BEFORE.version, "", "done", 7),)})
    assert "nobody is inside" in told(project(AFTER), known, "en")


def test_who_enters_by_events_is_not_known_before() -> None:
    one = flow(A, start=FlowStart("follow", via="poster"))
    assert 'who enters (`start on follow via "poster"`) shows as it runs' in told(project(one), inputs(), "en")


def test_other_words_of_a_message_are_an_edit() -> None:
    known = inputs(BEFORE)
    changed = {**MESSAGES, "b": ({"type": "text", "text": "other"},)}
    (one,) = flows_document(project(BEFORE.flow), changed, known, NOW)
    assert one["edits"] == [{"step": "2", "before": "send b", "after": "send b", "content": True}]
    assert one["messages"] == [{"name": "a", "state": "same"}, {"name": "b", "state": "changed"}]
    assert flow_messages([one]) == [("flow.hello", ("a",), "same"), ("flow.hello", ("b",), "changed")]


def test_a_summary_counts_flows() -> None:
    known = inputs(BEFORE, form(flow(A, name="bye")))
    rows = document(project(AFTER, flow(B, name="fresh")), known)
    summary = {"add": 0, "change": 0, "delete": 0, "changes": False}
    assert with_flows(summary, rows) == {"add": 1, "change": 1, "delete": 1, "changes": True}
    assert not with_flows(summary, document(project(BEFORE.flow), inputs(BEFORE)))["changes"]


# --- who is taken along -----------------------------------------------------------------------------


ARMS = Branch((BranchArm(BUYERS, (A, DAY, B)), BranchArm(ir.lnot(BUYERS), (C,))))


def test_a_step_has_a_counterpart_of_its_own_kind() -> None:
    old, new = flow(A, DAY, ARMS, B), flow(A, DAY, ARMS, DAY)
    places = {path: counterpart(path, old, new) for path in ("0", "2", "2.0.2", "3", "9", "")}
    assert places == {"0": "0", "2": "2", "2.0.2": "2.0.2", "3": None, "9": None, "": ""}


@pytest.mark.parametrize(
    ("old", "step", "new", "again"),
    [
        (flow(A, B), "1", flow(C, A, B), ("a",)),
        (flow(A, B), "1", flow(A, C), ()),
        (flow(A, B), "1", flow(A, B, A), ("a",)),
        (flow(A, A, B), "1", flow(A, A, B), ()),
        (flow(A, A, B), "1", flow(A, A, A, B), ("a",)),
        (flow(A, B), "0", flow(C, A, B), ()),
        (flow(A), "", flow(A, A), ()),
        (flow(ARMS, B), "0.1.0", flow(ARMS, B, A), ()),
        (flow(ARMS, B), "0.0.2", flow(ARMS, B, A), ("a",)),
    ],
)
def test_nobody_who_is_taken_along_gets_a_message_again(
    old: Flow, step: str, new: Flow, again: tuple[str, ...]
) -> None:
    assert sent_again(step, form(old), form(new)) == again


def moved(old: FlowForm, new: Flow, step: str) -> list[tuple[str, dict[str, Any]]]:
    stood = {"hello": (Stood(old.version, step, "waiting", 3, NOW),)}
    base = make()
    of = project(replace(new, name="bye"), moved=(ir.Moved("hello", "bye", "flow"),))
    given = replace(base, project=of, messages=MESSAGES, flows=inputs(old, standing=stood))
    return [(one.code, dict(one.facts)) for guard in FLOW_GUARDS for one in guard(given, None)]  # type: ignore[arg-type]


def test_a_plan_refuses_to_move_people_where_there_is_no_step_or_they_would_get_a_message_again() -> None:
    old = form(flow(A, DAY, B))
    assert moved(old, flow(A, DAY, B, C), "2") == []
    ((code, facts),) = moved(old, flow(A, B), "2")
    assert (code, facts["step"], facts["count"], facts["old"]) == ("AUD0776", "3", 3, "hello")
    ((code, facts),) = moved(old, flow(C, DAY, A, B), "2")
    assert (code, facts["messages"]) == ("AUD0777", ("a",))
    ((code, facts),) = moved(old, replace(flow(A, DAY, B), account="cafe"), "2")
    assert (code, facts["account"], facts["other"]) == ("AUD0778", "cafe", "shop")


def test_a_flow_that_line_knows_and_the_state_does_not_is_not_begun_anew() -> None:
    known = inputs(hello=FlowFacts(5, unit_known=True))
    given = replace(make(), project=project(AFTER), messages=MESSAGES, flows=known)
    found = [one.code for guard in FLOW_GUARDS for one in guard(given, None)]  # type: ignore[arg-type]
    assert found == ["AUD0775"]
    seen = replace(given, flows=replace(known, known=frozenset({"hello"})))
    assert [one for guard in FLOW_GUARDS for one in guard(seen, None)] == []  # type: ignore[arg-type]


def test_a_condition_that_names_a_person_is_refused() -> None:
    person = ir.leaf(ir.Rows("sales", (ir.ColumnCompare("id", "=", "U" + "0" * 32),)))
    given = replace(make(), project=project(replace(AFTER, exit=person)), messages=MESSAGES)
    found = [one.code for guard in FLOW_GUARDS for one in guard(given, None)]  # type: ignore[arg-type]
    assert found == ["AUD0774"]


# --- small counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "entering", "shown"),
    [
        ((40, 80), 120, [120, 40, 80]),
        ((5, 115), 120, ["…", "<20", 115]),
        ((0, 120), 120, [120, 0, 120]),
        ((7, 8), 15, ["<20", "<20", "<20"]),
    ],
)
def test_small_arms_are_hidden_with_their_sum(counts: tuple[int, int], entering: int, shown: list[object]) -> None:
    arms = (ArmCount("0", 0, counts[0]), ArmCount("0", 1, counts[1]))
    rows = document(project(flow(ARMS, B)), inputs(hello=FlowFacts(entering, arms)))
    (one,) = masked(dict.fromkeys(("guards", "drift"), ()) | {"flows": rows}, 20)["flows"]
    assert [one["entering"], *(arm["people"] for arm in one["arms"])] == shown


def test_small_counts_of_people_inside_are_hidden_with_their_sum() -> None:
    stood = (Stood(BEFORE.version, "0", "waiting", 5, NOW), Stood(BEFORE.version, "2", "waiting", 100, NOW))
    rows = document(project(AFTER), inputs(BEFORE, standing={"hello": stood}))
    (one,) = masked({"flows": rows}, 20)["flows"]
    assert [one["inside"][0]["people"], *(row["people"] for row in one["inside"][0]["steps"])] == ["…", "<20", 100]
