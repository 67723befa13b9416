"""What a person stopped for a while: nothing of it leaves for LINE until it is resumed.

A pause is a row of the history, written without the lease: it must reach an apply that is at work. So it is looked
up anew before each request that sends (specs/operations.md, `operate.pause`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from audsql.apply.context import Context
from audsql.apply.state import Occurrence, Resolution, State
from audsql.diag import Diagnostic, error, warning
from audsql.meaning.ir import Project
from audsql.records import dataclass

__all__ = [
    "Pause",
    "Paused",
    "documents",
    "held_back",
    "names_of",
    "pause_of",
    "pause_row",
    "pause_warning",
    "paused",
    "pauses_of",
    "stop_if_paused",
    "with_pauses",
]

_EVERYTHING = "deliveries"
_ONE = "delivery."
_FLOW = "flow."


@dataclass(frozen=True, slots=True)
class Pause:
    """`delivery` is None where everything is paused, and `flow.NAME` for a flow."""

    delivery: str | None
    since: datetime
    by: str
    reason: str


@dataclass(slots=True)
class Paused(Exception):
    """Raised before a request that must not leave now. Nothing was written for it; it stays as it is."""

    pause: Pause


def pauses_of(state: State) -> tuple[Pause, ...]:
    """The pauses that are in force: of everything first, then by name."""
    last: dict[str, Resolution] = {}
    for row in sorted(state.resolutions, key=lambda row: (row.subject, row.at)):
        if row.verdict in ("paused", "resumed"):
            last[row.subject] = row
    rows = [row for _, row in sorted(last.items()) if row.verdict == "paused"]
    found = [Pause(_name(row.subject), row.at, row.by, row.reason) for row in rows]
    return tuple(sorted(found, key=lambda one: (one.delivery is not None, one.delivery or "")))


def _name(subject: str) -> str | None:
    return None if subject == _EVERYTHING else subject.removeprefix(_ONE)


def documents(state: State, zone: str) -> list[dict[str, str | None]]:
    """The pauses in force as JSON, times in `zone`; `delivery` is None for that of everything."""
    return [
        {"delivery": one.delivery, "since": _shown(one.since, zone), "reason": one.reason} for one in pauses_of(state)
    ]


def pause_row(state: State, delivery: str | None, verdict: str, reason: str, by: str, now: datetime) -> Resolution:
    """The row that begins (`paused`) or ends (`resumed`) a pause.

    It counts by its time, so it is later than all before it, whatever the clocks of two machines say.
    """
    subject = _EVERYTHING if delivery is None else delivery if delivery.startswith(_FLOW) else f"{_ONE}{delivery}"
    before = [row.at for row in state.resolutions if row.subject == subject]
    at = max([now, *(one + timedelta(microseconds=1) for one in before)])
    return Resolution(subject, verdict, reason, by, at)


def pause_of(state: State, project: Project | None, delivery: str) -> Pause | None:
    """The pause that holds a delivery back, under its name or one that it had."""
    names = names_of(state, project, delivery)
    return next((one for one in pauses_of(state) if one.delivery is None or one.delivery in names), None)


def names_of(state: State, project: Project | None, delivery: str) -> frozenset[str]:
    """The names under which a delivery or a flow (`flow.NAME`) may have been paused: its own, and those it had."""
    names = {delivery} | {row.delivery for row in state.occurrences if row.name == delivery}
    kind, start = ("flow", _FLOW) if delivery.startswith(_FLOW) else ("delivery", "")
    moves = [one for one in project.moved if one.kind == kind] if project is not None else []
    for _ in moves:
        names |= {f"{start}{one.old}" for one in moves if f"{start}{one.new}" in names}
    return frozenset(names)


def paused(context: Context, occurrence: Occurrence) -> Pause | None:
    """The pause that holds an occurrence back now, as the store has it at this instant."""
    return pause_of(context.state(), context.project, occurrence.name)


def stop_if_paused(context: Context, occurrence: Occurrence) -> None:
    """Raises Paused where nothing of this occurrence may leave."""
    pause = paused(context, occurrence)
    if pause is not None:
        raise Paused(pause)


def held_back(delivery: str, pause: Pause, zone: str) -> Diagnostic:
    """A send that was due and did not leave, because a person paused it (exit 5)."""
    return error(
        "AUD0876", None, delivery=delivery, command=_resume(pause), by=pause.by,
        since=_shown(pause.since, zone), reason=pause.reason,
    )  # fmt: skip


def with_pauses(context: Context, code: int) -> int:
    """The exit code of a run: refused (5) where only a pause kept something back that was due."""
    if not context.held:
        context.diagnostics.extend(pause_warning(pauses_of(context.state()), context.project.timezone))
        return code
    return code or 5


def pause_warning(pauses: Iterable[Pause], zone: str) -> tuple[Diagnostic, ...]:
    """One warning for each pause in force; its time is told in `zone`, that of the project."""
    return tuple(
        warning(
            "AUD0877", None, delivery=one.delivery, command=_resume(one), by=one.by,
            since=_shown(one.since, zone), reason=one.reason,
        )
        for one in pauses
    )  # fmt: skip


def _shown(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")


def _resume(pause: Pause) -> str:
    return "audsql resume" if pause.delivery is None else f"audsql resume {pause.delivery}"
