"""What `status` says first: what needs a person and what to type, what is paused, what is due next."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from audsql.diag import has_errors
from audsql.session.operating import local_time, paused_documents, waiting_documents
from audsql.session.project import Opened, check, compiled

if TYPE_CHECKING:
    from audsql.apply.state import Occurrence, State

__all__ = ["agenda_of"]

Document = dict[str, Any]
Why = Literal["in_doubt", "missed", "failed_nobody", "failed_some"]


def agenda_of(opened: Opened, state: State) -> Document:
    """`needs_person` (the gravest first), `paused`, `next` (by time), `expiring` (by time)."""
    rows = [row for row in state.occurrences if row.state in _GRAVEST]
    return {
        "needs_person": [_attention(state, row) for row in sorted(rows, key=_by_gravity)],
        "paused": paused_documents(opened, state),
        "next": _next(opened, state),
        "expiring": list(_expiring(opened, state)),
    }


_GRAVEST = ("in_doubt", "failed", "missed")


def _by_gravity(row: Occurrence) -> tuple[int, str, str]:
    return _GRAVEST.index(row.state), row.time, row.id


def _attention(state: State, row: Occurrence) -> Document:
    why = _why(state, row)
    name = shlex.quote(row.name)
    settle = [f'audsql resolve {name} {verdict} --reason "…"' for verdict in _VERDICTS[why]]
    again = [f'audsql apply --retry {name} --reason "…"'] if why == "failed_nobody" else []
    return {
        "delivery": row.name, "occurrence": row.id, "state": row.state, "why": why, "commands": [*again, *settle],
    }  # fmt: skip


_VERDICTS: dict[Why, tuple[str, ...]] = {
    "in_doubt": ("sent", "not-sent"),
    "failed_some": ("sent", "not-sent"),
    "failed_nobody": ("not-sent",),
    "missed": ("not-sent",),
}


def _why(state: State, row: Occurrence) -> Why:
    from audsql.apply.retrying import nobody_got
    from audsql.apply.sends import newest

    if row.state == "failed":
        return "failed_nobody" if all(map(nobody_got, newest(state.operations_of(row.id)))) else "failed_some"
    return "in_doubt" if row.state == "in_doubt" else "missed"


def _next(opened: Opened, state: State) -> list[Document]:
    """What waits for its time, and for what else; `overdue` where its window is over and the next run closes it."""
    rows = waiting_documents(opened, state)
    if not rows:
        return []
    waits = _waits(opened)
    now = datetime.now(UTC)
    return [
        {
            **row,
            "waits_for": [name for name in waits.get(row["delivery"], ()) if not _is_done(state, name)],
            "overdue": row["not_after"] is not None and datetime.fromisoformat(row["not_after"]) < now,
        }
        for row in rows
    ]


def _waits(opened: Opened) -> dict[str, tuple[str, ...]]:
    """By delivery those that go before it; nothing where the specs cannot be read, which `check` reports."""
    if opened.analysis is None or has_errors(check(opened)):
        return {}
    return {one.name: one.waits_for for one in compiled(opened)[0].deliveries}


def _is_done(state: State, delivery: str) -> bool:
    rows = [row for row in state.occurrences if row.name == delivery and row.state != "cancelled"]
    return bool(rows) and all(row.state == "done" for row in rows)


def _expiring(opened: Opened, state: State) -> list[Document]:
    """Audiences in use that LINE deletes within the days in which a plan warns of it."""
    from audsql.plan.drift import EXPIRING_DAYS

    limit = datetime.now(UTC) + timedelta(days=EXPIRING_DAYS)
    rows = [
        (row.expires_at, row)
        for row in state.resources
        if row.status in ("creating", "ready") and row.needed_by and row.expires_at is not None
    ]
    return [
        {
            "address": row.address,
            "name": row.name,
            "expires_at": local_time(opened, at),
            "needed_by": list(row.needed_by),
        }
        for at, row in sorted(rows, key=lambda pair: (pair[0], pair[1].address))
        if at <= limit
    ]
