"""From meaning to intent: what an apply would do now."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.data.engine import EngineFailure
from audsql.diag import Diagnostic, error, has_errors
from audsql.records import dataclass
from audsql.session.accounts import Remote, connect, followers_of, friends_of
from audsql.session.flow_people import flow_inputs
from audsql.session.project import Opened, check, compiled, messages_of, spec_digest
from audsql.session.sets import engine_of

if TYPE_CHECKING:
    from audsql.apply.bind import Bound
    from audsql.apply.state import State
    from audsql.apply.store import Store
    from audsql.data.engine import Engine
    from audsql.meaning.ir import Project
    from audsql.plan.facts import CapFacts
    from audsql.plan.occurrence import Known
    from audsql.plan.personal import PersonalInputs
    from audsql.plan.plan import Desired, PlanInputs

__all__ = ["PlanOptions", "PlanOutcome", "Planned", "make", "open_store", "plan", "state_location", "state_of"]


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """`document` is None where the project, its data or LINE could not be read."""

    document: dict[str, Any] | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and what it was made from."""

    inputs: PlanInputs
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """`accept_shrunk`: lists whose shrinking a person accepts (guard.shrunk); `accept_policies`: policies whose
    demands of sizes and fresh data a person sets aside; `accept_restart`: flows that may begin anew though LINE knows
    their sends (guard.flow.lost); `prune`: what deliveries that are gone left at LINE goes
    too (names.removed)."""

    accept_shrunk: frozenset[str] = frozenset()
    accept_policies: frozenset[str] = frozenset()
    prune: bool = False
    accept_restart: frozenset[str] = frozenset()


_PLAIN = PlanOptions()


def plan(opened: Opened, as_of: datetime | None, options: PlanOptions = _PLAIN) -> PlanOutcome:
    """What an apply would do now. Reads files, the state and LINE; changes nothing."""
    problems = check(opened, compiles=True)
    if opened.analysis is None or has_errors(problems):
        return PlanOutcome(None, problems)
    with connect(opened) as (remote, found):
        if remote is None:
            return PlanOutcome(None, (*problems, *found))
        state, found = state_of(opened)
        if state is None:
            return PlanOutcome(None, (*problems, *found))
        try:
            planned, found = make(opened, remote, state, as_of, options)
        except EngineFailure as failure:
            return PlanOutcome(None, (*problems, failure.diagnostic))
        document = planned.document if planned else None
        return PlanOutcome(document, (*problems, *found))


def make(
    opened: Opened,
    remote: Remote,
    state: State,
    as_of: datetime | None,
    options: PlanOptions,
    due: frozenset[str] | None = None,
) -> tuple[Planned | None, tuple[Diagnostic, ...]]:
    """`due`: the plan of one time of these repetitions, as deliveries that go at once, and of nothing else."""
    from audsql import __version__
    from audsql.apply import bind, found, names, pausing
    from audsql.apply.coupons import running_coupons
    from audsql.apply.flow_facts import flow_atoms
    from audsql.apply.overlapping import counted_overlaps
    from audsql.apply.received import receivers_of
    from audsql.apply.tested import tested_digests
    from audsql.plan.changes import meanings_of
    from audsql.plan.coupons import CouponInputs
    from audsql.plan.flows import FlowInputs
    from audsql.plan.guard import check as guards
    from audsql.plan.overlaps import overlaps_document
    from audsql.plan.plan import PlanInputs, desired, desired_of, make_plan

    assert opened.analysis is not None
    project = opened.analysis.project
    (program, _), (messages, _) = compiled(opened), messages_of(opened)
    now = remote.now()
    followed = names.followed(state, project, program, messages)
    state = followed.state
    left = names.left_behind(state, project)
    project, occurrences = about(project, bind.known_occurrences(state), due)
    aim = desired(project, program, {}, messages, occurrences, now, due)
    active = [one.compiled for one in aim.wanted if one.active or one.comes_again]
    engine = engine_of(opened, state, may_connect=True, friends=followers_of(remote))
    bound, diagnostics = bind.bind(
        engine, project, program, state, remote.facts, active, as_of or now, as_of is not None, now,
        friends_of(opened, remote, frozenset(one.account for one in active)),
        flow_atoms(project) if due is None else (),
    )  # fmt: skip
    if bound is None:
        return None, diagnostics
    asked = (opened, remote, project, state, engine, bound.world, now)
    flows, problems = flow_inputs(*asked) if due is None else (FlowInputs(), ())
    if flows is None:
        return None, (*diagnostics, *problems)
    personal, told = _personal(opened, remote, engine, bound, project, messages, aim, state, due)
    if personal is None:
        return None, (*diagnostics, *told)
    overlaps = counted_overlaps(engine, bound.world, project, aim.wanted, bound.facts.deliveries)
    inputs = PlanInputs(
        project, program, bound.facts, messages, opened.environment, spec_digest(opened, messages), __version__,
        bound=bound.deliveries, lineage=state.lineage or None, serial=state.serial, held=bind.held_uploads(state),
        line_held=bind.held_line_audiences(state),
        released=bind.released_uploads(state), generations=bind.last_generations(state), occurrences=occurrences,
        request_ids=bind.sent_parts(state), endpoints=remote.endpoints,
        applied=names.under_new_names(bind.applied_meanings(state, meanings_of(project)), followed.moves),
        moved=followed.moves, left_behind=left, removed=names.settlements(project, left, options.prune),
        overlaps=overlaps_document(overlaps, project), receivers=receivers_of(state),
        paused=pausing.documents(state, project.timezone),
        yen_per_message=opened.config.yen_per_message if opened.config else {},
        records=found.records_of(state, program), line_counts=found.line_counts(state), only=due,
        flows=flows, tested=tested_digests(state),
        personal=personal, coupons=CouponInputs(state.coupons, running_coupons(state, remote.clients), options.prune),
        caps=_caps(opened, engine, bound, project, state, aim, now),
    )  # fmt: skip
    verdicts = guards(
        inputs, desired_of(inputs), options.accept_shrunk, options.accept_policies, options.accept_restart
    )
    stopped = pausing.pause_warning(pausing.pauses_of(state), project.timezone)
    return Planned(inputs, make_plan(inputs, verdicts)), (*dict.fromkeys((*diagnostics, *told)), *verdicts, *stopped)


def _caps(
    opened: Opened, engine: Engine, bound: Any, project: Project, state: State, aim: Desired, now: datetime
) -> dict[str, CapFacts]:
    """What caps do to each delivery that is to be sent, over all that the ledger knows."""
    from audsql.apply.capping import cap_facts
    from audsql.apply.persons import open_persons
    from audsql.meaning.ir import Cap
    from audsql.session.keys import keys_of

    if not any(isinstance(one, Cap) for one in project.requirements):
        return {}
    facts = (engine, bound.world, state, project, aim.wanted, now)
    store = open_store(opened, create=False)[0] if state.lineage else None
    if store is None:
        return cap_facts(None, _plainly, *facts)
    with store:
        persons = open_persons(store, keys_of(opened))
        return cap_facts(store.ledger(), persons.hide if persons is not None else _plainly, *facts)


def _personal(
    opened: Opened,
    remote: Remote,
    engine: Engine,
    bound: Bound,
    project: Project,
    messages: Mapping[str, Sequence[Any]],
    aim: Desired,
    state: State,
    due: frozenset[str] | None,
) -> tuple[PersonalInputs | None, tuple[Diagnostic, ...]]:
    """What is known of personal messages: everybody rendered, codes counted against the ledger."""
    from audsql.apply.personal_facts import Known, personal_inputs
    from audsql.apply.persons import open_persons
    from audsql.plan.personal import PersonalInputs
    from audsql.session.keys import keys_of

    entering = _entering_first(opened, remote, engine, bound, project, state) if due is None else {}
    if not entering and not any(one.delivery.personal and one.active for one in aim.wanted):
        return PersonalInputs(), ()
    known, facts, world = Known(), bound.facts, bound.world
    as_of = facts.as_of if facts.as_of_given else max(facts.as_of, facts.now)
    store = open_store(opened, create=False)[0] if state.lineage else None
    if store is None:
        return personal_inputs(engine, world, project, messages, aim.wanted, known, as_of, entering)
    with store:
        known = Known(store.ledger(), open_persons(store, keys_of(opened)))
        return personal_inputs(engine, world, project, messages, aim.wanted, known, as_of, entering)


def _entering_first(
    opened: Opened, remote: Remote, engine: Engine, bound: Bound, project: Project, state: State
) -> dict[str, list[str]]:
    """By flow that is new and has personal messages, who would enter it."""
    from audsql.apply.flow_facts import would_enter
    from audsql.plan.flow_form import messages_sent

    known = {row.flow for row in state.flow_versions}
    personal = {one.name for one in project.messages if one.personal}
    flows = [one for one in project.flows if one.name not in known and personal.intersection(messages_sent(one))]
    friends = friends_of(opened, remote, frozenset(one.account for one in flows)) if flows else {}
    found = {one.name: would_enter(engine, project, one, bound.world.people, friends) for one in flows}
    return {name: sorted(people) for name, people in found.items() if people is not None}


def _plainly(user_ids: Sequence[str]) -> list[bytes]:
    """Persons where nobody stands in a ledger: compared with each other for as long as a plan is made."""
    return [bytes.fromhex(one[1:]) for one in user_ids]


def about(
    project: Project, occurrences: dict[str, tuple[Known, ...]], due: frozenset[str] | None
) -> tuple[Project, dict[str, tuple[Known, ...]]]:
    """The project with one time of the repetitions `due` in their place, to be sent now, as if it were the first."""
    if due is None:
        return project, occurrences
    at_once = tuple(replace(one, every=None) if one.name in due else one for one in project.deliveries)
    return replace(project, deliveries=at_once), {name: rows for name, rows in occurrences.items() if name not in due}


def state_of(opened: Opened) -> tuple[State | None, tuple[Diagnostic, ...]]:
    """The state as it stands; before the first apply, the empty one."""
    from audsql.apply.state import empty_state
    from audsql.apply.store import state_exists

    location = state_location(opened)
    if isinstance(location, Diagnostic):
        return None, (location,)
    exists = state_exists(location)
    if isinstance(exists, tuple):
        return None, exists
    if not exists:
        return empty_state(opened.environment), ()
    store, problems = open_store(opened, create=False)
    if store is None:
        return None, problems
    with store:
        return store.snapshot(), ()


def state_location(opened: Opened) -> str | Diagnostic:
    """Where the state is; a diagnostic where the environment was to say it and does not."""
    assert opened.config is not None
    variable, path = opened.config.state_variable, opened.config.state_path
    if variable is not None:
        url = os.environ.get(variable, "")
        return url or error("AUD0690", None, variable=variable)
    if path is None:
        return opened.config.state_url
    return str(Path(path) if Path(path).is_absolute() else opened.home / path)


def open_store(
    opened: Opened, create: bool, *, to_put_back: bool = False
) -> tuple[Store | None, tuple[Diagnostic, ...]]:
    """`to_put_back`: a backup is about to take the place of a state that was lost, so an empty one is not older than
    what was seen."""
    from audsql.apply.store import open_store

    location = state_location(opened)
    if isinstance(location, Diagnostic):
        return None, (location,)
    from audsql.session import water
    from audsql.session.keys import keys_of

    try:
        keys = keys_of(opened)
    except EngineFailure as failure:
        return None, (failure.diagnostic,)
    store = open_store(location, create=create, environment=opened.environment, keys=keys)
    if not isinstance(store, tuple):
        older = None if to_put_back and not store.written() else water.check(opened, store, keys)
        if older is None:
            return store, ()
        store.close()
        return None, (older,)
    from audsql.session.backups import with_backup

    return None, tuple(with_backup(opened, one) for one in store)
