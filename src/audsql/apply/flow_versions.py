"""Versions of flows in the state as a plan's approval leaves them, and who is inside a renamed flow taken along.

Approval is part of the one transaction of a plan. People follow in the runs after it, in one transaction a flow, and a
second time nothing happens. Rules: specs/flows.md, `flow.approved`, `flow.moved`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from audsql.apply.context import Context
from audsql.apply.ledger import Place, PlaceState
from audsql.apply.state import FlowVersion, State
from audsql.meaning import ir
from audsql.plan.flow_form import (
    FlowForm,
    exclude_document,
    excluded_of,
    form_digest,
    form_document,
    form_of,
    version_of,
)
from audsql.plan.flows import counterpart, sent_again

__all__ = [
    "approved_versions",
    "entering_bounds",
    "entries_known",
    "follow_moved",
    "former_names",
    "last_places",
]

_CARRIED: tuple[PlaceState, ...] = ("waiting", "done", "left")
"""States in which a place goes along with its flow."""
_OVER = ("done", "left")


# --- approval -------------------------------------------------------------------------------------------


def approved_versions(
    state: State,
    project: ir.Project,
    messages: Mapping[str, Sequence[Any]],
    plan: Mapping[str, Any],
    time_of: Callable[[str], datetime],
) -> list[FlowVersion]:
    """The rows that an approval of this plan changes or makes, by id. `time_of`: now, for an account."""
    flows = {flow.name: flow for flow in project.flows}
    changed: dict[str, FlowVersion] = {}
    for entry in plan.get("flows", ()):
        name, action = entry["address"].removeprefix("flow."), entry["action"]
        open_rows = [row for row in state.versions_of(name) if row.state != "closed"]
        if action == "change" and entry["version"] == entry["before"]:
            # Its policies alone are other ones.
            continue
        if action in ("new", "change", "move"):
            now = time_of(flows[name].account)
            declared = {message.name: message for message in project.messages}
            former = state.versions_of(entry["from"]) if entry["from"] else ()
            since = datetime.fromisoformat(entry["since"]) if entry["since"] else now
            document = form_document(flows[name], messages, declared, since)
            document["bot"] = plan["bots"].get(flows[name].account)
            digest = form_digest(flows[name], document)
            fresh = FlowVersion(name, version_of(digest), flows[name].account, "active", now, digest, document)
            rows = [replace(row, state="closing") for row in open_rows if row.state == "active"]
            rows += [_led_on(row, name) for row in former if row.state != "closed"]
            known = next((row for row in state.versions_of(name) if row.id == fresh.id), None)
            rows.append(fresh if known is None else replace(fresh, stamp=known.stamp))
        elif action == "close":
            rows = [replace(row, state="closing") for row in open_rows]
        elif action == "remove":
            rows = [replace(row, state="closing", document={**row.document, "taken_out": True}) for row in open_rows]
        else:
            continue
        changed |= {row.id: row for row in rows}
    changed |= dict(_under_policies(state, project, changed))
    return [changed[identity] for identity in sorted(changed)]


def _under_policies(
    state: State, project: ir.Project, changed: Mapping[str, FlowVersion]
) -> Iterator[tuple[str, FlowVersion]]:
    """Versions that somebody may be inside of, with whom policies take away from now on."""
    for row in ({one.id: one for one in state.flow_versions} | dict(changed)).values():
        if row.state != "closed" and "exclude" in row.document:
            rest = {name: value for name, value in row.document.items() if name != "exclude"}
            document = {**rest, **exclude_document(excluded_of(project, row.flow, row.account))}
            if document != row.document:
                yield row.id, replace(row, document=document)


def _led_on(row: FlowVersion, name: str) -> FlowVersion:
    """A version of a flow that goes by another name from now on; its people follow."""
    return replace(row, state="closing", document={**row.document, "moved_to": name})


def entering_bounds(plan: Mapping[str, Any]) -> dict[str, int]:
    """How many may enter each flow in the apply that approves it: as many as its plan counted (`flow.first`)."""
    return {
        one["address"].removeprefix("flow."): one["entering"]
        for one in plan.get("flows", ())
        if one["action"] in ("new", "change", "move") and one["entering"] is not None
    }


# --- who is inside --------------------------------------------------------------------------------------


def follow_moved(context: Context) -> None:
    """Take along who is inside a flow that was renamed: in each run, between batches that were open and the first step
    that is walked. Who is being sent something, or is held, follows in the run after that is settled."""
    leads = {row.flow: str(row.document["moved_to"]) for row in context.state().flow_versions if _leads_on(row)}
    for old, new in sorted(leads.items()):
        _carry(context, old, new)


def _leads_on(row: FlowVersion) -> bool:
    return row.state == "closing" and "moved_to" in row.document


def former_names(state: State, flow: str) -> tuple[str, ...]:
    """What a flow was called before, by the renamings that were approved; its own name is not among them."""
    back: dict[str, set[str]] = {}
    for row in state.flow_versions:
        if "moved_to" in row.document:
            back.setdefault(str(row.document["moved_to"]), set()).add(row.flow)
    found: set[str] = set()
    waiting = [flow]
    while waiting:
        more = back.get(waiting.pop(), set()) - found - {flow}
        found |= more
        waiting.extend(sorted(more))
    return tuple(sorted(found))


def entries_known(context: Context, flow: str) -> frozenset[tuple[bytes, str]]:
    """Every (person, entry) of a flow, those included who have not come along from the name that it had before: they
    enter no second time."""
    names = (flow, *former_names(context.state(), flow))
    return frozenset().union(*(context.ledger.entries_of(name) for name in names))


def last_places(context: Context, flow: str) -> dict[bytes, Place]:
    """The last place of everybody who ever entered a flow, under a former name too."""
    found: dict[bytes, Place] = {}
    for name in (*former_names(context.state(), flow), flow):
        for person, place in context.ledger.persons_of(name).items():
            before = found.get(person)
            if before is None or before.entered_at <= place.entered_at or before.state in _OVER:
                found[person] = place
    return found


def _carry(context: Context, old: str, new: str) -> None:
    state = context.state()
    forms = {row.version: form_of(row) for row in state.versions_of(old)}
    target = next((form_of(row) for row in state.versions_of(new) if row.state == "active"), None)
    if target is None:
        return
    there = {person for person, _ in context.ledger.entries_of(new)}
    places = context.ledger.places(old, states=_CARRIED)
    pairs = [pair for place in places if (pair := _carried(place, forms, target, there)) is not None]
    if pairs:
        context.keep_lease()
        context.ledger.carry(context.lease, context.steady_now(), "flow.renamed", pairs)
        context.say("flow_moved", old=old, new=new, people=len({place.person for place, _ in pairs}))


def _carried(
    place: Place, forms: Mapping[str, FlowForm], target: FlowForm, there: set[bytes]
) -> tuple[Place, Place] | None:
    """The place under its new name; None for who finishes where they are: since they stand in the new flow as well,
    have no step there to go on at, or would be sent something again."""
    form = forms.get(place.version)
    if place.person in there or form is None or form.flow.account != target.flow.account:
        return None
    if place.state != "waiting":
        return place, replace(place, flow=target.name, revision=0)
    changed = form.version != target.version
    lost = counterpart(place.step, form.flow, target.flow) is None
    if changed and (lost or sent_again(place.step, form, target)):
        return None
    return place, replace(place, flow=target.name, version=target.version, revision=0)
