"""A person's word on what the journal cannot know: was it sent or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from audsql.apply.ledger import Batch, BatchState, Ledger
from audsql.apply.state import Occurrence, Operation, Resolution, State
from audsql.apply.store import Lease, Store
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import Project
from audsql.near import nearest
from audsql.plan.definition import occurrence_time

__all__ = ["settle_batch", "settle_by_person"]

_FLOW = "flow."


def settle_batch(
    store: Store, lease: Lease, project: Project, subject: str, verdict: str, reason: str, by: str, now: datetime
) -> tuple[Diagnostic, ...] | None:
    """Write down whether the people of a batch got it: `subject` is `flow.NAME` or a batch's id; None where it is
    neither. They go on, or leave, with the next run (specs/operations.md, `batch.resolve`)."""
    found = [one for one in store.ledger().batches() if subject in (one.owner, one.id)]
    if not found:
        return _unknown_flow(store.snapshot(), project, subject) if subject.startswith(_FLOW) else None
    doubtful = [one for one in found if one.state == "in_doubt"]
    if not doubtful:
        return (error("AUD0865", None, subject=subject, state=found[-1].state),)
    if len(doubtful) > 1:
        return (error("AUD0889", None, subject=subject, ids=tuple(one.id for one in doubtful)),)
    store.write(lease, now, "resolved", Resolution(doubtful[0].id, verdict, reason, by, now))
    _put(store.ledger(), lease, now, doubtful[0], verdict)
    return ()


def _unknown_flow(state: State, project: Project, subject: str) -> tuple[Diagnostic, ...]:
    known = {f"{_FLOW}{one.name}" for one in project.flows} | {f"{_FLOW}{row.flow}" for row in state.flow_versions}
    if subject in known:
        return (error("AUD0865", None, subject=subject, state="settled"),)
    return (error("AUD0866", None, subject=subject, near=nearest(subject, tuple(sorted(known)))),)


def _put(ledger: Ledger, lease: Lease, now: datetime, batch: Batch, verdict: str) -> None:
    settled: BatchState = "resolved_sent" if verdict == "sent" else "resolved_not_sent"
    ledger.put_batch(lease, now, "batch.settled", replace(batch, state=settled, evidence="person"))


def settle_by_person(
    store: Store, lease: Lease, project: Project, subject: str, verdict: str, reason: str, by: str, now: datetime
) -> tuple[Diagnostic, ...]:
    """Write the verdict (`sent` or `not-sent`) and its reason down.

    `sent` closes the occurrence as done. `not-sent` closes it as cancelled: the same delivery then needs
    a new name or time, because a retry key of the old one may still be alive at LINE. For a delivery that
    the state has never heard of, `not-sent` only records that a person looked, and it can be planned.
    """
    state = store.snapshot()
    rows = _occurrences(state, subject)
    if not rows:
        return _unknown_to_the_state(store, lease, project, state, subject, verdict, reason, by, now)
    open_rows = [row for row in rows if row.state in ("in_doubt", "missed", "failed")]
    if not open_rows:
        return (error("AUD0865", None, subject=subject, state=rows[-1].state),)
    if len(open_rows) > 1:
        # One word about two sends would be a guess about one of them.
        return (error("AUD0889", None, subject=subject, ids=tuple(row.id for row in open_rows)),)
    written: list[Any] = []
    for row in open_rows:
        written += [_resolved(one, verdict) for one in state.operations_of(row.id) if one.state == "in_doubt"]
        written.append(replace(row, state="done" if verdict == "sent" else "cancelled"))
        written.append(Resolution(row.id, verdict, reason, by, now))
    store.write(lease, now, "resolved", *written)
    for row in open_rows:
        for batch in store.ledger().batches(f"delivery.{row.delivery}", states=("in_doubt",)):
            if (batch.account, batch.occurrence) == (row.account, row.time):
                _put(store.ledger(), lease, now, batch, verdict)
    return ()


def _resolved(operation: Operation, verdict: str) -> Operation:
    return replace(operation, state="resolved_sent" if verdict == "sent" else "resolved_not_sent", evidence="person")


def _occurrences(state: State, subject: str) -> list[Occurrence]:
    """By the delivery's name, the occurrence's id, or the id of one of its requests."""
    return [row for row in state.occurrences if subject in (row.name, row.id) or subject.startswith(f"{row.id}#")]


def _unknown_to_the_state(
    store: Store,
    lease: Lease,
    project: Project,
    state: State,
    subject: str,
    verdict: str,
    reason: str,
    by: str,
    now: datetime,
) -> tuple[Diagnostic, ...]:
    delivery = project.delivery(subject)
    if delivery is None or delivery.sent_request_id is not None:
        known = {row.name for row in state.occurrences} | {row.id for row in state.occurrences}
        known |= {one.name for one in project.deliveries if one.sent_request_id is None}
        return (error("AUD0866", None, subject=subject, near=nearest(subject, tuple(sorted(known)))),)
    time = occurrence_time(delivery)
    row = Occurrence(delivery.account, delivery.name, time, "done" if verdict == "sent" else "planned", "", delivery.at)
    store.write(lease, now, "resolved", row, Resolution(row.id, verdict, reason, by, now))
    return ()
