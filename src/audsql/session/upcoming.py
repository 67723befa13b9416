"""What is due next: open deliveries, times of repetitions, steps of flows; the first to come first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from audsql.apply.state import Occurrence, State
    from audsql.apply.store import Store
    from audsql.meaning.ir import Project

__all__ = ["coming_up", "next_instant", "repeats_next", "seconds_until"]

Document = dict[str, Any]


def coming_up(store: Store, state: State, project: Project) -> list[Document]:
    """Everything that waits for a time, ascending: `kind` is delivery, repeat or flow.

    `at` may have passed: what a guard refused, a pause holds or an audience keeps waiting is still to come.
    """
    from audsql.apply.pausing import pause_of

    rows = [*_open(state), *(row for row, _ in repeats_next(state)), *_flows(store)]
    zone = ZoneInfo(project.timezone)
    shown = [
        {
            **row,
            "at": row["at"].astimezone(zone).isoformat(timespec="seconds") if row["at"] else None,
            "paused": row["kind"] != "flow" and pause_of(state, project, row["name"]) is not None,
        }
        for row in rows
    ]
    first = datetime.min.replace(tzinfo=UTC).isoformat()
    return sorted(shown, key=lambda row: (_utc(row["at"]) or first, row["kind"], row["name"], row["occurrence"] or ""))


def _utc(text: str | None) -> str:
    return "" if text is None else datetime.fromisoformat(text).astimezone(UTC).isoformat()


def next_instant(rows: Sequence[Document]) -> str | None:
    """The first time among them that is written."""
    return next((str(row["at"]) for row in rows if row["at"] is not None), None)


def seconds_until(rows: Sequence[Document], now: datetime | None) -> int | None:
    """How long until the first of them that is still to come, whole seconds, rounded up; None where there is none."""
    times = (datetime.fromisoformat(row["at"]) for row in rows if row["at"] is not None)
    first = next((at for at in times if now is not None and at > now), None)
    return None if first is None or now is None else math.ceil((first - now).total_seconds())


def _open(state: State) -> Iterator[Document]:
    for row in state.occurrences:
        if row.state in ("scheduled", "sending"):
            label = row.document.get("label")
            yield {"kind": "delivery", "name": row.name, "occurrence": row.id, "label": label, "at": row.at}


def repeats_next(state: State) -> Iterator[tuple[Document, Occurrence]]:
    """Of each repetition that is in force the first time that nothing was done about yet."""
    from audsql.apply.repeated import approved, next_turn
    from audsql.apply.state import occurrence_id
    from audsql.plan.definition import occurrence_at

    for row in approved(state):
        turn = next_turn(state, row)
        if turn is not None:
            identity = occurrence_id(row.account, row.delivery, occurrence_at(turn.at))
            label = turn.label.isoformat(sep=" ", timespec="minutes")
            yield {"kind": "repeat", "name": row.name, "occurrence": identity, "label": label, "at": turn.at}, row


def _flows(store: Store) -> Iterator[Document]:
    """Of each flow, when the first of those who wait in it is due."""
    first: dict[str, datetime] = {}
    for one in store.ledger().standings():
        if one.state in ("waiting", "sending") and one.due_at is not None:
            first[one.flow] = min(one.due_at, first.get(one.flow, one.due_at))
    for flow, at in sorted(first.items()):
        yield {"kind": "flow", "name": flow, "occurrence": None, "label": None, "at": at}
