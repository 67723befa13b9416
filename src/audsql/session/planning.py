"""From meaning to intent: what an apply would do now."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.data.engine import EngineFailure
from audsql.diag import Diagnostic, error, has_errors
from audsql.records import dataclass
from audsql.session.accounts import Remote, connect, friends_of
from audsql.session.project import Opened, check, compiled, messages_of, spec_digest
from audsql.session.sets import engine_of

if TYPE_CHECKING:
    from audsql.apply.state import State
    from audsql.apply.store import Store
    from audsql.plan.plan import PlanInputs

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
    demands of sizes and fresh data a person sets aside; `prune`: what deliveries that are gone left at LINE goes
    too (names.removed)."""

    accept_shrunk: frozenset[str] = frozenset()
    accept_policies: frozenset[str] = frozenset()
    prune: bool = False


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
    opened: Opened, remote: Remote, state: State, as_of: datetime | None, options: PlanOptions
) -> tuple[Planned | None, tuple[Diagnostic, ...]]:
    from audsql import __version__
    from audsql.apply import bind, found, names, pausing
    from audsql.apply.overlapping import counted_overlaps
    from audsql.apply.received import receivers_of
    from audsql.plan.changes import meanings_of
    from audsql.plan.guard import check as guards
    from audsql.plan.overlaps import overlaps_document
    from audsql.plan.plan import PlanInputs, desired, desired_of, make_plan

    assert opened.analysis is not None
    project = opened.analysis.project
    program, _ = compiled(opened)
    messages, _ = messages_of(opened)
    now = remote.now()
    followed = names.followed(state, project, program, messages)
    state = followed.state
    left = names.left_behind(state, project)
    occurrences = bind.known_occurrences(state)
    aim = desired(project, program, {}, messages, occurrences, now)
    active = [one.compiled for one in aim.wanted if one.active]
    engine = engine_of(opened, state, may_connect=True)
    bound, diagnostics = bind.bind(
        engine, project, program, state, remote.facts, active, as_of or now, as_of is not None, now,
        friends_of(opened, remote, frozenset(one.account for one in active)),
    )  # fmt: skip
    if bound is None:
        return None, diagnostics
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
        records=found.records_of(state, program), line_counts=found.line_counts(state),
    )  # fmt: skip
    verdicts = guards(inputs, desired_of(inputs), options.accept_shrunk, options.accept_policies)
    document = make_plan(inputs, verdicts)
    stopped = pausing.pause_warning(pausing.pauses_of(state), project.timezone)
    return Planned(inputs, document), (*diagnostics, *verdicts, *stopped)


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


def open_store(opened: Opened, create: bool) -> tuple[Store | None, tuple[Diagnostic, ...]]:
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
        older = water.check(opened, store, keys)
        if older is None:
            return store, ()
        store.close()
        return None, (older,)
    from audsql.session.backups import with_backup

    return None, tuple(with_backup(opened, one) for one in store)
