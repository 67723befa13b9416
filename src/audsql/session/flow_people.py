"""What a plan asks the ledger about flows: who stands where, and who may not enter again. Reads only, counts leave."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from audsql.diag import Diagnostic
from audsql.records import dataclass
from audsql.session.accounts import Remote
from audsql.session.keys import keys_of
from audsql.session.project import Opened

if TYPE_CHECKING:
    from audsql.apply.state import State
    from audsql.apply.world import World
    from audsql.data.engine import Engine
    from audsql.meaning import ir
    from audsql.plan.flows import FlowInputs, Stood

__all__ = ["flow_inputs", "standing"]


@dataclass(frozen=True, slots=True)
class _People:
    """`standing`: who stands where, by flow. `out`: who may not enter, by flow of the project."""

    standing: Mapping[str, tuple[Stood, ...]]
    out: Mapping[str, frozenset[str]]


def flow_inputs(
    opened: Opened,
    remote: Remote,
    project: ir.Project,
    state: State,
    engine: Engine,
    world: World,
    now: datetime,
) -> tuple[FlowInputs | None, tuple[Diagnostic, ...]]:
    """All that planning needs to know of flows; nothing where the ledger could not be read.

    `world`: with the atoms of `apply.flow_facts.flow_atoms`. Raises EngineFailure.
    """
    from audsql.apply.flow_facts import flow_facts
    from audsql.plan.flow_form import forms_of
    from audsql.plan.flows import FlowInputs
    from audsql.session.accounts import friends_of

    people, problems = _people(opened, project, state, now)
    if people is None:
        return None, problems
    friends = friends_of(opened, remote, frozenset(flow.account for flow in project.flows))
    facts = flow_facts(engine, project, world.people, friends, people.out, _units(remote, project, state))
    known = frozenset(row.flow for row in state.flow_versions)
    return FlowInputs(forms_of(state), known, people.standing, facts), ()


def _units(remote: Remote, project: ir.Project, state: State) -> dict[str, bool]:
    """Whether LINE knows this month's unit of a flow that the state has never heard of."""
    from audsql.apply.flows.sending import unit_of
    from audsql.line.outcome import Found

    known = {row.flow for row in state.flow_versions}
    strange = [flow for flow in project.flows if flow.name not in known and flow.account in remote.clients]
    units: dict[str, frozenset[str]] = {}
    for account in sorted({flow.account for flow in strange}):
        outcome = remote.clients[account].aggregation_units()
        units[account] = outcome.value if isinstance(outcome, Found) else frozenset()
    return {flow.name: unit_of(flow.name) in units[flow.account] for flow in strange}


def standing(opened: Opened, state: State) -> tuple[Mapping[str, tuple[Stood, ...]] | None, tuple[Diagnostic, ...]]:
    """Who stands where, by flow."""
    from audsql.apply.flow_facts import standing_of
    from audsql.session.planning import open_store

    if not state.flow_versions:
        return {}, ()
    store, problems = open_store(opened, create=False)
    if store is None:
        return None, problems
    with store:
        return standing_of(store.ledger()), ()


def _people(
    opened: Opened, project: ir.Project, state: State, now: datetime
) -> tuple[_People | None, tuple[Diagnostic, ...]]:
    from audsql.apply.flow_facts import kept_out, standing_of
    from audsql.apply.flow_versions import former_names
    from audsql.apply.persons import open_persons
    from audsql.apply.store import StoreFailed
    from audsql.plan.flows import flow_targets
    from audsql.session.planning import open_store

    if not state.flow_versions:
        return _People({}, {}), ()
    store, problems = open_store(opened, create=False)
    if store is None:
        return None, problems
    with store:
        ledger, before = store.ledger(), {new: old for old, new in flow_targets(project).items()}
        try:
            persons = open_persons(store, keys_of(opened))
        except StoreFailed as failed:
            return None, (failed.diagnostic,)
        out = {}
        for flow in project.flows:
            names = {flow.name, before.get(flow.name, flow.name), *former_names(state, flow.name)}
            out[flow.name] = frozenset() if persons is None else kept_out(ledger, persons, flow, sorted(names), now)
        return _People(standing_of(ledger), out), ()
