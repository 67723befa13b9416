"""One flow looked at: who stands where, and its steps as a recipe for LINE Official Account Manager.

Rules: specs/flows.md, `flow.show` and `flow.export`. Nothing is asked of LINE, nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from audsql.diag import Diagnostic, error, has_errors
from audsql.near import nearest
from audsql.session.flow_people import standing
from audsql.session.planning import state_of
from audsql.session.project import Opened, check, messages_of
from audsql.session.stating import Stated

if TYPE_CHECKING:
    from audsql.apply.state import FlowVersion, State
    from audsql.meaning import ir
    from audsql.meaning.flow import Flow
    from audsql.plan.flows import Stood

__all__ = ["declared_flow", "exported", "shown", "unknown_flow"]

Document = dict[str, Any]
_INSIDE = ("waiting", "sending", "held")


def unknown_flow(name: str, known: Iterable[str]) -> Diagnostic:
    names = tuple(sorted(known))
    return error("AUD0780", None, name=name, near=nearest(name, names), known=names)


def declared_flow(opened: Opened, name: str) -> tuple[Flow | None, tuple[Diagnostic, ...]]:
    """A flow of the specs; None where they have errors or no such flow."""
    problems = check(opened, compiles=True)
    if opened.analysis is None or has_errors(problems):
        return None, problems
    flows = {flow.name: flow for flow in opened.analysis.project.flows}
    if name not in flows:
        return None, (*problems, unknown_flow(name, flows))
    return flows[name], problems


# --- who is where -----------------------------------------------------------------------------------


def shown(opened: Opened, name: str) -> Stated:
    """Who stands where in a flow of the specs or of the state, version by version."""
    project = opened.analysis.project if opened.analysis is not None else None
    flows = {flow.name: flow for flow in project.flows} if project is not None else {}
    state, problems = state_of(opened)
    if state is None:
        return Stated(None, problems, 1)
    remembered = {row.flow for row in state.flow_versions}
    if name not in flows and name not in remembered:
        return Stated(None, (unknown_flow(name, {*flows, *remembered}),), 1)
    stood, problems = standing(opened, state)
    if stood is None:
        return Stated(None, problems, 1)
    zone = ZoneInfo(project.timezone if project is not None else "UTC")
    return Stated(_shown(opened, state, name, flows.get(name), stood.get(name, ()), zone))


def _shown(
    opened: Opened, state: State, name: str, flow: Flow | None, stood: Iterable[Stood], zone: ZoneInfo
) -> Document:
    from audsql.apply.pausing import pause_of

    rows = tuple(stood)
    project = opened.analysis.project if opened.analysis is not None else None
    due = [one.due_at for one in rows if one.state == "waiting" and one.due_at is not None]
    return {
        "kind": "audsql.flow",
        "format_version": "1.0",
        "flow": name,
        "declared": flow is not None,
        "approved": _approved(opened, state, name, flow),
        "paused": project is not None and pause_of(state, project, f"flow.{name}") is not None,
        "next_due": min(due).astimezone(zone).isoformat(timespec="seconds") if due else None,
        "versions": [_version(row, rows, zone) for row in reversed(state.versions_of(name))],
    }


def _approved(opened: Opened, state: State, name: str, flow: Flow | None) -> str:
    """Whether what the specs say is what people enter: `no` version yet, an `older` one, `yes`, or `gone`."""
    from audsql.plan.flow_form import form_digest, form_document

    live = next((row for row in state.versions_of(name) if row.state == "active"), None)
    if flow is None or opened.analysis is None:
        return "gone"
    if live is None:
        return "no"
    declared = {message.name: message for message in opened.analysis.project.messages}
    digest = form_digest(flow, form_document(flow, messages_of(opened)[0], declared))
    return "yes" if digest == live.digest else "older"


def _version(row: FlowVersion, stood: Iterable[Stood], zone: ZoneInfo) -> Document:
    from audsql.plan.flow_form import form_of, steps_by_path
    from audsql.plan.flow_words import step_words

    mine = [one for one in stood if one.version == row.version]
    said = {path: step_words(step) for path, step in steps_by_path(form_of(row).flow.steps).items()}
    return {
        "version": row.version,
        "state": row.state,
        "approved_at": row.approved_at.astimezone(zone).isoformat(timespec="seconds"),
        "people": {state: sum(one.count for one in mine if one.state == state) for state in (*_INSIDE, "done", "left")},
        "steps": list(_steps(mine, said, zone)),
    }


def _steps(stood: list[Stood], said: Mapping[str, str], zone: ZoneInfo) -> Iterator[Document]:
    """The steps that somebody stands before, in the order of the flow; the end last."""
    order = {path: number for number, path in enumerate(said)}
    inside = [one for one in stood if one.state in _INSIDE]
    for path in sorted({one.step for one in inside}, key=lambda one: order.get(one, len(order))):
        here = [one for one in inside if one.step == path]
        due = [one.due_at for one in here if one.due_at is not None]
        yield {
            "step": path,
            "says": said.get(path, ""),
            **{state: sum(one.count for one in here if one.state == state) for state in _INSIDE},
            "due_at": min(due).astimezone(zone).isoformat(timespec="seconds") if due else None,
        }


# --- a recipe ---------------------------------------------------------------------------------------


def exported(opened: Opened, name: str) -> Stated:
    """The steps of a flow for somebody who sets them up by hand in LINE Official Account Manager."""
    from audsql.meaning.words import arms_of, verbs_of
    from audsql.plan.flow_words import exit_words, start_words

    flow, problems = declared_flow(opened, name)
    if flow is None or opened.analysis is None:
        return Stated(None, problems, 1)
    project = opened.analysis.project
    verbs, arms = verbs_of(project), arms_of(project)
    document = {
        "kind": "audsql.flow_recipe",
        "format_version": "1.0",
        "flow": name,
        "account": flow.account,
        "start": {"kind": flow.start.kind, "says": start_words(flow.start, verbs, arms), "via": flow.start.via},
        "exit": exit_words(flow, verbs, arms),
        "policies": list(flow.policies),
        "reentry_minutes": flow.reentry_minutes,
        "steps": list(_recipe(flow, project, opened)),
    }
    return Stated(document, problems)


def _recipe(flow: Flow, project: ir.Project, opened: Opened) -> Iterator[Document]:
    """Every step in order with what it sends, in words."""
    from audsql.line.messages import outline
    from audsql.meaning.flow import Branch, SendStep, WaitFor, WaitUntil
    from audsql.meaning.words import arms_of, verbs_of
    from audsql.plan.flow_form import steps_by_path
    from audsql.plan.flow_words import arm_words, step_words

    verbs, arms = verbs_of(project), arms_of(project)
    messages, _ = messages_of(opened)
    personal = {message.name for message in project.messages if message.personal}
    for path, step in steps_by_path(flow.steps).items():
        row: Document = {"step": path, "says": step_words(step)}
        match step:
            case WaitFor(minutes):
                yield {**row, "does": "wait", "minutes": minutes}
            case WaitUntil(hour, minute):
                yield {**row, "does": "until", "time": f"{hour:02}:{minute:02}"}
            case SendStep(names):
                sent = [
                    {
                        "name": one,
                        "personal": one in personal,
                        "bubbles": [outline(bubble) for bubble in messages.get(one, ())],
                    }
                    for one in names
                ]
                yield {**row, "does": "send", "messages": sent}
            case Branch():
                said = [arm_words(step, number, verbs, arms) for number in range(len(step.arms))]
                yield {**row, "does": "branch", "arms": said}
