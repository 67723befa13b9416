"""Of which deliveries LINE can leave out the receivers, by the records of their sends."""

from __future__ import annotations

from datetime import datetime, timedelta

from audsql.apply.bind import approved_at
from audsql.apply.state import Occurrence, Operation, State
from audsql.line.limits import REDELIVERY_AGE_DAYS_MAX, REDELIVERY_RECIPIENTS_MIN
from audsql.plan.behind import Receivers

__all__ = ["receivers_of"]

_MARGIN_DAYS = 1
"""LINE looks at the age when it carries a send out, which may be later than it takes the request."""

_TO_NOBODY = ("refused_empty", "rejected", "missed")


def receivers_of(state: State) -> dict[str, Receivers]:
    """By name of each delivery that was begun. What was sent by other means than a narrowcast, has no certain end or
    too few receivers for LINE to name is not in it: then others may have got the delivery too."""
    found: dict[str, Receivers] = {}
    several: set[str] = set()
    for row in state.occurrences:
        operations = state.operations_of(row.id)
        if not operations:
            continue
        several |= {row.name} & found.keys()
        until = {one.part: _until(row, one) for one in operations if one.state not in _TO_NOBODY and not _empty(one)}
        named = {part: moment for part, moment in until.items() if moment is not None}
        people = sum(one.counts.get("success", 0) for one in operations if one.part in named)
        found[row.name] = Receivers(named, row.state == "done" and len(named) == len(until), people)
    # Parts of two occurrences of one name cannot be told apart by the name.
    return {name: Receivers() if name in several else one for name, one in found.items()}


def _empty(operation: Operation) -> bool:
    counts = operation.counts
    return operation.state == "succeeded" and counts.get("target") == 0 and counts.get("success") == 0


def _until(row: Occurrence, operation: Operation) -> datetime | None:
    """The latest that LINE surely leaves the receivers of a send out; None where it may not."""
    sent = row.at or approved_at(row)
    enough = operation.counts.get("success", 0) >= REDELIVERY_RECIPIENTS_MIN
    certain = operation.kind == "narrowcast" and operation.state == "succeeded" and operation.request_id is not None
    if sent is None or not enough or not certain or operation.chunks > 1:
        return None
    return sent + timedelta(days=REDELIVERY_AGE_DAYS_MAX - _MARGIN_DAYS)
