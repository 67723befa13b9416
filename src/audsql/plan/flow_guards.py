"""What keeps the flows of a plan from being approved. Pure; guards as `audsql.plan.guard` describes them."""

from __future__ import annotations

from collections.abc import Iterator

from audsql.diag import Diagnostic, error
from audsql.plan.flow_form import form_document, is_storable
from audsql.plan.flow_words import step_number
from audsql.plan.flows import NEW_VERSION, FlowChange, FlowFacts, counterpart, flow_changes, sent_again
from audsql.plan.plan import Desired, PlanInputs
from audsql.source import Span

__all__ = ["FLOW_GUARDS"]


def _changes(inputs: PlanInputs) -> Iterator[tuple[FlowChange, Span | None]]:
    spans = {flow.name: flow.span for flow in inputs.project.flows}
    for one in flow_changes(inputs.project, inputs.messages, inputs.flows, inputs.facts.now):
        yield one, spans.get(one.name)


def names_a_person(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """A condition with somebody's id, address or number in it cannot be kept in the state."""
    declared = {message.name: message for message in inputs.project.messages}
    for one, span in _changes(inputs):
        if one.form is None or one.action not in NEW_VERSION:
            continue
        if not is_storable(form_document(one.form.flow, inputs.messages, declared)):
            yield error("AUD0774", span, flow=one.name)


def lost_flow(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """LINE knows this month's sends of a flow that the state has never heard of: who got what is lost."""
    for one, span in _changes(inputs):
        facts = inputs.flows.facts.get(one.name, FlowFacts())
        if one.action == "new" and one.name not in inputs.flows.known and facts.unit_known:
            yield error("AUD0775", span, flow=one.name, account=one.form.flow.account if one.form else "")


def renamed_flow(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """A new flow that is step by step one that left the specs: most likely it was renamed, and would begin anew."""
    changes = list(_changes(inputs))
    left = [one for one, _ in changes if one.action in ("close", "closing")]
    gone = {row.form.version: one.name for one in left for row in one.inside}
    gone |= {one.live.version: one.name for one in left if one.live is not None}
    for one, span in changes:
        if one.action == "new" and one.form is not None and one.form.version in gone:
            yield error("AUD0779", span, flow=one.name, old=gone[one.form.version])


def cannot_follow(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """`moved` between flows: everybody inside must have a step to go on at, and get nothing again."""
    for one, span in _changes(inputs):
        if one.action != "move" or one.form is None:
            continue
        inside = [row for row in one.inside if row.what == "moved"]
        mine = one.form.flow.account
        account = next((row.form.flow.account for row in inside if row.form.flow.account != mine), None)
        if account is not None:
            yield error("AUD0778", span, flow=one.name, old=one.old, account=mine, other=account)
            continue
        for row in inside:
            for step in sorted({stood.step for stood in row.stood}):
                count = sum(stood.count for stood in row.stood if stood.step == step)
                if counterpart(step, row.form.flow, one.form.flow) is None:
                    yield error("AUD0776", span, flow=one.name, old=one.old, step=step_number(step), count=count)
                elif again := sent_again(step, row.form, one.form):
                    yield error(
                        "AUD0777", span, flow=one.name, old=one.old, step=step_number(step), count=count, messages=again
                    )


FLOW_GUARDS = (names_a_person, lost_flow, renamed_flow, cannot_follow)
