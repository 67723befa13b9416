"""Another try at a delivery of which LINE itself said that nobody got it: a new generation of its requests.

Rule `operate.retry` of specs/operations.md. The new generation has another retry key; it is made only where the
last one is certain to have reached nobody, so that at most one generation of a request ever reaches people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from audsql.apply.context import Context
from audsql.apply.guards import REACHED_NOBODY_CODES
from audsql.apply.pausing import held_back, pause_of
from audsql.apply.sends import REQUEST_SECONDS, newest, retry_key
from audsql.apply.state import Occurrence, Operation, Resolution, State
from audsql.apply.window import end_of_window
from audsql.diag import Diagnostic, error
from audsql.near import nearest
from audsql.plan.definition import EVERY, accepted_definitions, occurrence_time

__all__ = ["begin_again", "nobody_got"]

_REACHED_NOBODY = ("rejected", "refused_empty")


def begin_again(context: Context, delivery: str, reason: str) -> tuple[Diagnostic, ...]:
    """Open a delivery that failed for one more try, in one transaction; what follows is an ordinary run.

    Nothing is written where it is under way or done after an earlier retry: asking twice is asking once. Returns
    why not, where it must not be tried again.
    """
    state = context.state()
    row = _occurrence(context, state, delivery)
    if row is None:
        return (_unknown(context, state, delivery),)
    if row.state in ("sending", "done") and _was_retried(state, row):
        return ()
    problem = _refusal(context, state, row)
    if problem is not None:
        return (problem,)
    operations = [_again(context, row, one) for one in newest(state.operations_of(row.id)) if _has_failed(one)]
    evidence = {"generations": {str(one.part): one.generation for one in operations}}
    said = Resolution(row.id, "retry", reason, context.options.holder, context.steady_now(), evidence)
    context.write("send.retry", replace(row, state="sending"), *operations, said)
    context.say("retry", delivery=row.name)
    return ()


def _occurrence(context: Context, state: State, delivery: str) -> Occurrence | None:
    """The occurrence that the specs name; else the latest that is recorded under the name."""
    rows = [row for row in state.occurrences if delivery in (row.name, row.id) and row.time != EVERY]
    spec = context.project.delivery(delivery)
    now = [row for row in rows if spec is not None and row.time == occurrence_time(spec)]
    return max(now or rows, key=lambda row: row.time, default=None)


def _unknown(context: Context, state: State, delivery: str) -> Diagnostic:
    known = {row.name for row in state.occurrences} | {one.name for one in context.project.deliveries}
    return error("AUD0878", None, delivery=delivery, near=nearest(delivery, tuple(sorted(known))))


def _was_retried(state: State, row: Occurrence) -> bool:
    return any(one.subject == row.id and one.verdict == "retry" for one in state.resolutions)


def _has_failed(operation: Operation) -> bool:
    return operation.state in ("failed", "rejected")


def _refusal(context: Context, state: State, row: Occurrence) -> Diagnostic | None:
    """Why this must not be tried again, the gravest reason first."""
    operations = newest(state.operations_of(row.id))
    if row.state != "failed" or not any(map(_has_failed, operations)):
        return error("AUD0881", None, delivery=row.name, state=row.state)
    reached = next((one for one in operations if not nobody_got(one)), None)
    if reached is not None:
        return error(
            "AUD0882", None, delivery=row.name, part=reached.part + 1, state=reached.state,
            error_code=reached.error_code,
        )  # fmt: skip
    now, end = context.now(row.account), end_of_window(context, row)
    if end is None or now + timedelta(seconds=REQUEST_SECONDS) > end:
        return error("AUD0883", None, delivery=row.name, end=_shown(end))
    if not _is_as_approved(context, row):
        return error("AUD0863", None, delivery=row.name)
    pause = pause_of(state, context.project, row.name)
    return held_back(row.name, pause, context.project.timezone) if pause is not None else None


def nobody_got(operation: Operation) -> bool:
    """Whether LINE itself says that this request reached nobody."""
    if operation.state == "failed":
        return operation.error_code in REACHED_NOBODY_CODES and not operation.counts.get("success")
    return operation.state in _REACHED_NOBODY


def _is_as_approved(context: Context, row: Occurrence) -> bool:
    delivery = context.project.delivery(row.name)
    compiled = next((one for one in context.program.deliveries if one.name == row.name), None)
    if delivery is None or compiled is None:
        return False
    accepted: Sequence[Any] = accepted_definitions(delivery, compiled, context.messages)
    return row.document.get("definition") in accepted


def _shown(end: datetime | None) -> str | None:
    return end.isoformat(timespec="seconds") if end is not None else None


def _again(context: Context, row: Occurrence, operation: Operation) -> Operation:
    """The next generation of a request that failed at LINE. One that LINE refused keeps its key: it never took it."""
    if operation.state == "rejected":
        return replace(operation, state="pending", evidence="retry")
    generation = operation.generation + 1
    key = retry_key(context.bots[row.account], row.id, operation.part, generation, operation.chunk)
    return Operation(
        row.id, operation.part, generation, operation.kind, "pending", key, operation.chunk, operation.chunks,
        not_before=operation.not_before, not_after=operation.not_after, evidence="retry",
    )  # fmt: skip
