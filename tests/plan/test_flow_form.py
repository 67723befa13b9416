"""A flow's form: frozen as a document, read back as it was, and told apart by what its people go through."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from audsql.apply.state import FlowVersion, State, parse_row, row_content
from audsql.meaning import ir
from audsql.meaning.flow import Branch, BranchArm, Flow, FlowStart, SendStep, Step, WaitFor, WaitUntil
from audsql.plan.flow_form import (
    excluded_of,
    form_digest,
    form_document,
    form_now,
    form_of,
    forms_of,
    is_storable,
    messages_sent,
    steps_by_path,
    version_of,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BUYERS = ir.leaf(ir.Uploaded("buyers"))
CART = ir.leaf(ir.Rows("carts", (ir.ColumnGiven("ordered_at"),), (ir.SinceStart(),)))
MESSAGES = {name: ({"type": "text", "text": name},) for name in ("card", "survey", "points")}
DECLARED = {
    "card": ir.Message("card", text="card"),
    "survey": ir.Message("survey", text="survey"),
    "points": ir.Message("points", template="{points}", table="members", fields=(
        ir.TemplateField("points", "number", Decimal("0.5")), ir.TemplateField("code", "string", pool="codes"))),
}  # fmt: skip
INNER = Branch((BranchArm(BUYERS, (SendStep(("points",)), WaitFor(5))), BranchArm(ir.lnot(BUYERS), ())))
FLOW = Flow(
    "welcome", "shop", FlowStart("when", BUYERS),
    (WaitFor(60), WaitUntil(12, 0), Branch((BranchArm(CART, (SendStep(("card", "survey")), INNER, WaitFor(1))),
                                            BranchArm(ir.lnot(CART), (WaitFor(2),)))), SendStep(("card",))),
    CART, BUYERS, 0, ("house",), "new friends",
)  # fmt: skip


def row(flow: Flow = FLOW, state: str = "active", **extra: Any) -> FlowVersion:
    document = {**form_document(flow, MESSAGES, DECLARED), **extra}
    digest = form_digest(flow, document)
    return FlowVersion(flow.name, version_of(digest), flow.account, state, NOW, digest, document)  # type: ignore[arg-type]


def test_a_form_comes_back_as_it_was_approved() -> None:
    stored = parse_row("flow_version", json.loads(json.dumps(row_content(row()))), row().stamp)
    assert isinstance(stored, FlowVersion)
    form = form_of(stored)
    assert form.flow == replace(FLOW, exclude=ir.NOBODY, policies=())
    assert form.messages == MESSAGES
    assert form.personal == {"points": DECLARED["points"]}
    assert (form.live, form.since, form.approved_at, form.taken_out) == (True, NOW, NOW, False)


def test_a_form_knows_since_when_its_flow_runs_and_that_it_was_given_up() -> None:
    earlier = datetime(2026, 1, 1, tzinfo=UTC)
    form = form_of(row(state="closing", since=earlier.isoformat(), taken_out=True))
    assert (form.live, form.since, form.taken_out) == (False, earlier, True)


def test_steps_have_paths_in_the_order_written() -> None:
    assert [*steps_by_path(FLOW.steps)] == [
        "0", "1", "2", "2.0.0", "2.0.1", "2.0.1.0.0", "2.0.1.0.1", "2.0.2", "2.1.0", "3",
    ]  # fmt: skip
    assert messages_sent(FLOW) == ("card", "points", "survey")


def test_deep_branches_take_no_recursion() -> None:
    steps: tuple[Step, ...] = (SendStep(("card",)),)
    for _ in range(900):
        steps = (Branch((BranchArm(BUYERS, steps), BranchArm(ir.lnot(BUYERS), ()))),)
    deep = replace(FLOW, steps=steps)
    assert [*steps_by_path(form_of(row(deep)).flow.steps)] == [*steps_by_path(steps)]


DIFFERENT = [
    replace(FLOW, account="cafe"),
    replace(FLOW, start=FlowStart("follow")),
    replace(FLOW, start=FlowStart("follow", via="poster")),
    replace(FLOW, steps=FLOW.steps[1:]),
    replace(FLOW, steps=(WaitFor(61), *FLOW.steps[1:])),
    replace(FLOW, steps=(*FLOW.steps[:-1], SendStep(("survey",)))),
    replace(FLOW, exit=ir.NOBODY),
    replace(FLOW, reentry_minutes=None),
]


def test_a_version_is_named_by_what_its_people_go_through() -> None:
    digests = {row(flow).digest for flow in (FLOW, *DIFFERENT)}
    assert len(digests) == len(DIFFERENT) + 1
    same = replace(FLOW, name="hello", description="", policies=(), exclude=ir.NOBODY)
    assert row(same).digest == row().digest
    changed = {**MESSAGES, "card": ({"type": "text", "text": "other"},)}
    assert form_digest(FLOW, form_document(FLOW, changed, DECLARED)) != row().digest
    other = {**DECLARED, "points": replace(DECLARED["points"], template="{points}!")}
    assert form_digest(FLOW, form_document(FLOW, MESSAGES, other)) != row().digest
    form = form_now(FLOW, MESSAGES, DECLARED, NOW)
    assert (form.version, len(form.version)) == (row().version, 12)


def test_a_message_that_only_goes_by_another_name_is_no_other_version() -> None:
    renamed = replace(FLOW, steps=(*FLOW.steps[:-1], SendStep(("hello",))))
    messages, declared = {**MESSAGES, "hello": MESSAGES["card"]}, {**DECLARED, "hello": DECLARED["card"]}
    assert form_digest(renamed, form_document(renamed, messages, declared)) == row().digest


def test_open_forms_are_given_in_order() -> None:
    old = replace(row(DIFFERENT[4], "closing"), approved_at=datetime(2026, 1, 1, tzinfo=UTC))
    closed, other = row(DIFFERENT[5], "closed"), row(replace(FLOW, name="alone"))
    found = forms_of(State("prod", flow_versions=(row(), old, closed, other)))
    assert [(form.name, form.live) for form in found] == [("alone", True), ("welcome", False), ("welcome", True)]


def test_a_condition_with_a_person_in_it_is_not_stored() -> None:
    person = ir.leaf(ir.Rows("sales", (ir.ColumnCompare("id", "=", "U" + "0" * 32),)))
    assert is_storable(row().document)
    for flow in (
        replace(FLOW, exit=person),
        replace(FLOW, start=FlowStart("when", person)),
        replace(FLOW, steps=(Branch((BranchArm(person, (SendStep(("card",)),)),)),)),
    ):
        assert not is_storable(row(flow).document)


def test_policies_are_those_of_today() -> None:
    policy = ir.ExcludePolicy("house", ir.leaf(ir.Friends("")), "friends", ("other",))
    project = ir.Project("shop", "Asia/Tokyo", flows=(FLOW,), policies=(policy,))
    assert excluded_of(project, "welcome", "shop") == BUYERS
    assert excluded_of(project, "gone", "shop") == ir.leaf(ir.Friends("shop"))
    assert excluded_of(project, "other", "shop") == ir.NOBODY


def test_what_is_no_document_of_a_flow_is_refused() -> None:
    for document in ({}, {**row().document, "steps": [{"path": "0"}]}, {**row().document, "exit": []}):
        with pytest.raises(ValueError, match="no document"):
            form_of(replace(row(), document=document))
