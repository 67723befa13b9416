"""Looking at LINE alone: what it holds otherwise than the records say, and the records brought in line with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic, has_errors
from audsql.session.accounts import Remote, connect
from audsql.session.applying import ApplyOutcome
from audsql.session.holding import take_lease
from audsql.session.planning import PlanOutcome, open_store, state_of
from audsql.session.project import Opened, check, compiled, messages_of, spec_digest

if TYPE_CHECKING:
    from audsql.apply.found import Remembered
    from audsql.apply.state import Resource, State
    from audsql.apply.store import Store
    from audsql.plan.drift import Drift

__all__ = ["look", "remember"]

Document = dict[str, Any]


def look(opened: Opened) -> PlanOutcome:
    """Drift, and what would be remembered anew. Reads the state and LINE, no data files; changes nothing."""
    problems = check(opened)
    if opened.analysis is None or has_errors(problems):
        return PlanOutcome(None, problems)
    state, found = state_of(opened)
    if state is None:
        return PlanOutcome(None, (*problems, *found))
    with connect(opened, _accounts_of(state)) as (remote, found):
        if remote is None:
            return PlanOutcome(None, (*problems, *found))
        return PlanOutcome(_document(opened, remote, state), (*problems, *found))


def remember(opened: Opened) -> ApplyOutcome:
    """Take into the state what LINE holds. Sends nothing and changes nothing at LINE."""
    problems = check(opened)
    if opened.analysis is None or has_errors(problems):
        return ApplyOutcome(None, problems, 1)
    state, found = state_of(opened)
    if state is None:
        return ApplyOutcome(None, (*problems, *found), 1)
    with connect(opened, _accounts_of(state)) as (remote, found):
        if remote is None:
            return ApplyOutcome(None, (*problems, *found), 1)
        if not state.lineage:
            return ApplyOutcome(_done(_document(opened, remote, state), state), (*problems, *found), 0)
        return _remembered(opened, remote)


def _remembered(opened: Opened, remote: Remote) -> ApplyOutcome:
    from audsql.apply.store import Held, LeaseLost, StoreFailed, held_diagnostic, lease_lost_diagnostic

    store, problems = open_store(opened, create=False)
    if store is None:
        return ApplyOutcome(None, problems, 1)
    with store:
        try:
            lease = take_lease(store, "refresh")
            if isinstance(lease, Held):
                return ApplyOutcome(None, (held_diagnostic(lease),), 6)
            try:
                return _written(opened, remote, store, lease)
            finally:
                store.release(lease, datetime.now(UTC))
        except LeaseLost as lost:
            return ApplyOutcome(None, (lease_lost_diagnostic(lost, store.path),), 6)
        except StoreFailed as failed:
            return ApplyOutcome(None, (failed.diagnostic,), 4)


def _written(opened: Opened, remote: Remote, store: Store, lease: Any) -> ApplyOutcome:
    """The state as it is now that nobody else writes it, held against LINE."""
    from audsql.apply.found import refreshed

    state = store.snapshot()
    document = _document(opened, remote, state)
    found = refreshed(state, compiled(opened)[0], remote.facts, remote.now())
    rows = _rows(found)
    doubtful = _doubtful(remote, found)
    if doubtful:
        return ApplyOutcome(None, doubtful, 1)
    if rows:
        store.write(lease, datetime.now(UTC), "state.refreshed", *rows)
    return ApplyOutcome(_done(document, store.snapshot()), (), 0)


def _rows(found: Iterable[Remembered]) -> list[Resource]:
    """Each row once, though more than one thing of it is new."""
    return list({(one.row.address, one.row.generation): one.row for one in found}.values())


def _doubtful(remote: Remote, found: Iterable[Remembered]) -> tuple[Diagnostic, ...]:
    """What LINE's list left out is asked for by its id before it is given up: an answer that it stands, or none, is a
    doubt."""
    from audsql.diag import error
    from audsql.line.outcome import Refused

    problems = []
    for one in found:
        if one.what == "gone":
            outcome = remote.clients[one.row.account].audience(one.row.remote_id or 0)
            if not (isinstance(outcome, Refused) and (outcome.gone or outcome.status == 404)):
                problems.append(error("AUD0812", None, account=one.row.account, name=one.row.name))
    return tuple(problems)


def _accounts_of(state: State) -> frozenset[str]:
    return frozenset(row.account for row in state.resources)


# --- the document -------------------------------------------------------------------------------------------


def _document(opened: Opened, remote: Remote, state: State) -> Document:
    from audsql.apply.found import refreshed
    from audsql.apply.state import iso_time

    assert opened.analysis is not None
    drift = _drift(opened, remote, state)
    found = refreshed(state, compiled(opened)[0], remote.facts, remote.now())
    return {
        "kind": "audsql.refresh",
        "format_version": "1.0",
        "project": opened.analysis.project.name,
        "environment": opened.environment,
        "state": {"lineage": state.lineage or None, "serial": state.serial},
        "at": iso_time(remote.now().replace(microsecond=0)),
        "drift": [one.to_document() for one in drift],
        "remembered": [
            {
                "address": one.row.address, "generation": one.row.generation, "account": one.row.account,
                "name": one.row.name, "what": one.what, "before": one.before, "now": one.now,
            }
            for one in found
        ],
        "summary": {"drift": len(drift), "remember": len(found), "changes": bool(found)},
    }  # fmt: skip


def _done(document: Document, state: State) -> Document:
    """The document after it was carried out."""
    return {**document, "kind": "audsql.refreshed", "serial": state.serial}


def _drift(opened: Opened, remote: Remote, state: State) -> tuple[Drift, ...]:
    """What a plan would say if no data had changed: whom the uploads hold is not looked at here."""
    from audsql import __version__
    from audsql.apply import bind, found, names
    from audsql.plan.facts import Facts, Movement, UploadFacts
    from audsql.plan.plan import PlanInputs, desired_of, found_drift, resource_changes

    assert opened.analysis is not None
    project, program = opened.analysis.project, compiled(opened)[0]
    messages, now = messages_of(opened)[0], remote.now()
    state = names.followed(state, project, program, messages).state
    held = bind.held_uploads(state)
    known = {upload.key for upload in program.uploads}
    uploads = {
        key: UploadFacts(key, one.size, one.fingerprint, True, Movement(0, 0))
        for key, one in held.items()
        if key in known
    }
    inputs = PlanInputs(
        project, program, Facts(now, False, now, uploads=uploads, remotes=remote.facts), messages,
        opened.environment, spec_digest(opened, messages), __version__, lineage=state.lineage or None,
        serial=state.serial, held=held, line_held=bind.held_line_audiences(state),
        released=bind.released_uploads(state), occurrences=bind.known_occurrences(state),
        request_ids=bind.sent_parts(state), records=found.records_of(state, program),
        line_counts=found.line_counts(state),
    )  # fmt: skip
    aim = desired_of(inputs)
    return found_drift(inputs, aim, resource_changes(inputs, aim))
