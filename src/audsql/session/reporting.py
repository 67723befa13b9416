"""What became of a delivery: what LINE says of each send, few people left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic, error, has_errors
from audsql.near import nearest
from audsql.plan.definition import EVERY
from audsql.session.accounts import Remote, connect
from audsql.session.operating import local_time
from audsql.session.planning import state_of
from audsql.session.project import Opened, check

if TYPE_CHECKING:
    from audsql.apply.state import Occurrence, Operation, State

__all__ = ["report"]

Document = dict[str, Any]
_COUNTED = ("narrowcast", "broadcast")
_BY_PERSON = ("listed", "push")
_FLOW = "flow."
_WORST_FIRST = (
    "in_doubt",
    "rejected",
    "intent",
    "pending",
    "missed",
    "resolved_not_sent",
    "resolved_sent",
    "succeeded",
)


def report(opened: Opened, delivery: str) -> tuple[Document | None, tuple[Diagnostic, ...], int]:
    """Receivers, opens and clicks of each send of a delivery, as LINE tells them now. Changes nothing.

    Each number is a count, or None where LINE does not tell it or it is below the number under which LINE hides
    counts itself (`hidden_below`).
    """
    problems = check(opened)
    if opened.analysis is None or has_errors(problems):
        return None, problems, 1
    state, found = state_of(opened)
    if state is None:
        return None, found, 1
    if delivery.startswith(_FLOW):
        return _flow_report(opened, state, delivery)
    rows = [row for row in state.occurrences if delivery in (row.name, row.id) and row.time != EVERY]
    if not rows:
        return None, (_unknown(opened, state, delivery),), 1
    with connect(opened) as (remote, found):
        if remote is None:
            return None, (*problems, *found), 1
        return _document(opened, state, delivery, rows, remote), (), 0


def _unknown(opened: Opened, state: State, delivery: str) -> Diagnostic:
    known = tuple(sorted({row.name for row in state.occurrences}))
    return error("AUD0878", None, delivery=delivery, near=nearest(delivery, known))


def _flow_report(opened: Opened, state: State, flow: str) -> tuple[Document | None, tuple[Diagnostic, ...], int]:
    """What a flow sent, by version and step: for how many people LINE took it. Of opens and clicks it says nothing."""
    from itertools import groupby

    from audsql.line.limits import STATISTICS_HIDDEN_BELOW
    from audsql.session.planning import open_store

    known = {f"{_FLOW}{row.flow}" for row in state.flow_versions}
    if flow not in known:
        return None, (error("AUD0878", None, delivery=flow, near=nearest(flow, tuple(sorted(known)))),), 1
    store, found = open_store(opened, create=False)
    if store is None:
        return None, found, 1
    with store:
        batches = sorted(store.ledger().batches(flow), key=lambda one: (one.occurrence, one.created_at, one.id))
    occurrences = []
    for occurrence, some in groupby(batches, lambda one: one.occurrence):
        rows = list(some)
        worst = min((one.state for one in rows), key=_WORST_FIRST.index)
        taken = sum(one.count for one in rows if one.state in ("succeeded", "resolved_sent"))
        part = {
            "part": 1, "chunk": 1, "kind": "push", "state": worst, "request_id": None, "error_code": None,
            "delivered": _shown(taken), "opened": None, "clicked": None,
        }  # fmt: skip
        at = local_time(opened, rows[0].created_at)
        occurrences.append({"occurrence": occurrence, "state": _state_of(worst), "at": at, "parts": [part]})
    document = {
        "kind": "audsql.report", "format_version": "1.0", "delivery": flow, "hidden_below": STATISTICS_HIDDEN_BELOW,
        "occurrences": occurrences,
    }  # fmt: skip
    return document, (), 0


def _state_of(batch: str) -> str:
    """What became of a step, in the words of an occurrence."""
    words = {
        "in_doubt": "in_doubt",
        "rejected": "failed",
        "missed": "missed",
        "intent": "sending",
        "pending": "sending",
    }
    return words.get(batch, "done")


def _document(opened: Opened, state: State, delivery: str, rows: list[Occurrence], remote: Remote) -> Document:
    from audsql.apply.sends import newest
    from audsql.line.limits import STATISTICS_HIDDEN_BELOW

    return {
        "kind": "audsql.report",
        "format_version": "1.0",
        "delivery": delivery,
        "hidden_below": STATISTICS_HIDDEN_BELOW,
        "occurrences": [
            {
                "occurrence": row.id,
                "state": row.state,
                "at": row.at and local_time(opened, row.at),
                "parts": [_part(row, one, remote) for one in newest(state.operations_of(row.id))],
            }
            for row in sorted(rows, key=lambda row: row.time)
        ],
    }


def _part(row: Occurrence, operation: Operation, remote: Remote) -> Document:
    overview = _overview(row, operation, remote)
    return {
        "part": operation.part + 1,
        "chunk": operation.chunk + 1,
        "kind": operation.kind,
        "state": operation.state,
        "request_id": operation.request_id,
        "error_code": operation.error_code,
        "delivered": _shown(_delivered(operation, overview)),
        "opened": _shown(overview.get("uniqueImpression")),
        "clicked": _shown(overview.get("uniqueClick")),
    }


def _delivered(operation: Operation, overview: Mapping[str, Any]) -> object:
    """Of a send person by person, how many LINE took it for: more it does not say."""
    if operation.kind in _BY_PERSON:
        return operation.counts.get("target")
    return operation.counts.get("success", overview.get("delivered"))


def _overview(row: Occurrence, operation: Operation, remote: Remote) -> Mapping[str, Any]:
    """LINE's statistics of a send; nothing where it keeps none or does not tell them now."""
    from audsql.line.outcome import Found

    client = remote.clients.get(row.account)
    if client is None or operation.request_id is None or operation.kind not in _COUNTED:
        return {}
    outcome = client.insight_event(operation.request_id)
    overview = outcome.value.get("overview") if isinstance(outcome, Found) else None
    return overview if isinstance(overview, Mapping) else {}


def _shown(count: object) -> int | None:
    from audsql.line.limits import STATISTICS_HIDDEN_BELOW

    if not isinstance(count, int) or isinstance(count, bool) or 0 < count < STATISTICS_HIDDEN_BELOW:
        return None
    return count
