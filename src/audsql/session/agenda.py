"""What `status` says first: what needs a person and what to type, what is paused, what is due next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from audsql.diag import has_errors
from audsql.session.operating import local_time, paused_documents, waiting_documents
from audsql.session.project import Opened, check, compiled
from audsql.session.upcoming import repeats_next

if TYPE_CHECKING:
    from audsql.apply.ledger import Batch
    from audsql.apply.state import Occurrence, State

__all__ = ["agenda_of", "batches_in_doubt", "flows_inside"]

Document = dict[str, Any]
Why = Literal["in_doubt", "missed", "failed_nobody", "failed_some"]


def agenda_of(opened: Opened, state: State) -> Document:
    """`needs_person` (the gravest first), `paused`, `next` (by time), `expiring` (by time)."""
    rows = [row for row in state.occurrences if row.state in _GRAVEST]
    doubtful = [_doubtful(one) for one in batches_in_doubt(opened, state) if one.owner.startswith("flow.")]
    return {
        "needs_person": [*doubtful, *(_attention(state, row) for row in sorted(rows, key=_by_gravity))],
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


def batches_in_doubt(opened: Opened, state: State) -> list[Batch]:
    """Requests to listed people of which nobody knows whether LINE took them, in the order in which they were made."""
    from audsql.session.planning import open_store

    if not state.flow_versions:
        return []
    store, _ = open_store(opened, create=False)
    if store is None:
        return []
    with store:
        return store.ledger().batches(states=("in_doubt",))


def flows_inside(opened: Opened, state: State) -> list[Document]:
    """Each flow that is open, by name: how many are inside, and when the first of those who wait is due."""
    from audsql.session.planning import open_store

    names = sorted({row.flow for row in state.flow_versions if row.state != "closed"})
    store, _ = open_store(opened, create=False) if names else (None, ())
    if store is None:
        return []
    with store:
        rows = [row for row in store.ledger().standings() if row.state in ("waiting", "sending", "held")]
    found = []
    for name in names:
        times = [row.due_at for row in rows if row.flow == name and row.state == "waiting" and row.due_at is not None]
        people = sum(row.count for row in rows if row.flow == name)
        found.append({"flow": name, "people": people, "next_due": local_time(opened, min(times)) if times else None})
    return found


def _doubtful(batch: Batch) -> Document:
    commands = [f'audsql resolve {batch.id} {verdict} --reason "…"' for verdict in _VERDICTS["in_doubt"]]
    return {
        "delivery": batch.owner, "occurrence": batch.id, "state": "in_doubt", "why": "batch", "commands": commands,
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
    rows = [*waiting_documents(opened, state), *_repeats(opened, state)]
    rows.sort(key=lambda row: (row["at"] is not None, row["at"] and datetime.fromisoformat(row["at"]), row["delivery"]))
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


def _repeats(opened: Opened, state: State) -> Iterator[Document]:
    """The next time of each repetition, with the end of its window as policies are today."""
    from audsql.apply.pausing import pause_of
    from audsql.plan.quiet import quiets_of, window_end
    from audsql.plan.repeated import leaves_at

    project = opened.analysis.project if opened.analysis is not None else None
    for row, repetition in repeats_next(state):
        zone = str(repetition.document["rule"]["zone"])
        quiets = quiets_of(project, row["name"]) if project is not None else ()
        begin = leaves_at(row["at"], quiets, zone)
        yield {
            "delivery": row["name"],
            "occurrence": row["occurrence"],
            "state": "planned",
            "at": local_time(opened, begin),
            "not_after": local_time(opened, window_end(begin, quiets, zone)),
            "paused": pause_of(state, project, row["name"]) is not None,
        }


def _waits(opened: Opened) -> dict[str, tuple[str, ...]]:
    """By delivery those that go before it; nothing where the specs cannot be read, which `check` reports."""
    if opened.analysis is None or has_errors(check(opened)):
        return {}
    return {one.name: one.waits_for for one in compiled(opened)[0].deliveries}


def _is_done(state: State, delivery: str) -> bool:
    rows = [row for row in state.occurrences if row.name == delivery and row.state not in ("cancelled", "planned")]
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
