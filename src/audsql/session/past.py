"""What was done: applies, decisions of people, changes of hands, from the journal and the rows that outlive it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic, error
from audsql.near import nearest
from audsql.records import dataclass
from audsql.session.planning import open_store, state_of
from audsql.session.project import Opened
from audsql.session.stating import Stated

if TYPE_CHECKING:
    from audsql.apply.journal import Change, Event
    from audsql.apply.state import AppliedPlan, Occurrence, State

__all__ = ["Applied", "Past", "applies", "begun_since", "blame", "history", "past_of"]

Document = dict[str, Any]
LIMIT = 20
_BEGINS = ("lease.acquired", "lease.taken_over")
_PERSONS = ("in_doubt", "missed", "failed")
_TOLD = ("rejected", "refused_empty", "refused_guard", "stale", "failed", "in_doubt", "missed")


@dataclass(slots=True)
class _Run:
    """What one holder of the lease did. `before`: the serial that it found."""

    first: Event
    before: int
    events: list[Event] = field(default_factory=list)

    @property
    def after(self) -> int:
        return self.events[-1].serial if self.events else self.before

    @property
    def operation(self) -> str:
        return str(self.first.attributes.get("operation", ""))

    @property
    def by(self) -> str:
        return str(self.first.attributes.get("by", ""))

    def changes(self) -> Iterator[tuple[Event, Change]]:
        for event in self.events:
            for change in event.changes:
                yield event, change

    def approved(self) -> tuple[str, ...]:
        """The plans that this run took up."""
        return tuple(one.id for _, one in self.changes() if one.kind == "applied_plan" and one.revision == 1)

    def ended(self) -> tuple[str, ...]:
        """The plans of which this run wrote how they ended."""
        return tuple(one.id for _, one in self.changes() if one.kind == "applied_plan" and one.revision > 1)


@dataclass(frozen=True, slots=True)
class Past:
    """The state and its journal, in runs. `others`: events that no run did (a lock ended, a repair)."""

    state: State
    runs: tuple[_Run, ...]
    others: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """An apply: its row, the serial that it led to (None while it is not known), and where the journal tells of it
    (0: only the row does)."""

    row: AppliedPlan
    serial_after: int | None
    number: int

    @property
    def commit(self) -> str | None:
        found = self.row.summary.get("commit")
        return found if isinstance(found, str) else None

    @property
    def dirty(self) -> bool | None:
        found = self.row.summary.get("dirty")
        return found if isinstance(found, bool) else None


def past_of(opened: Opened) -> tuple[Past | None, tuple[Diagnostic, ...]]:
    """The state with its journal; an empty one before the first apply."""
    from audsql.apply.store import StoreFailed

    state, problems = state_of(opened)
    if state is None:
        return None, problems
    if not state.lineage:
        return Past(state, (), ()), ()
    store, problems = open_store(opened, create=False)
    if store is None:
        return None, problems
    with store:
        try:
            return _past(store.snapshot(), store.events()), ()
        except StoreFailed as failed:
            return None, (failed.diagnostic,)


def _past(state: State, events: Sequence[Event]) -> Past:
    runs: list[_Run] = []
    others: list[Event] = []
    serial = 0
    for event in events:
        if event.what in _BEGINS:
            runs.append(_Run(event, serial))
        elif event.what in ("lease.forced", "state.repaired", "state.upgraded"):
            others.append(event)
        elif runs and event.epoch == runs[-1].first.epoch:
            runs[-1].events.append(event)
        serial = event.serial
    return Past(state, tuple(runs), tuple(others))


def applies(past: Past) -> tuple[Applied, ...]:
    """Every apply, the oldest first."""
    found = []
    after = {digest: run.after for run in past.runs for digest in (*run.approved(), *run.ended())}
    numbers = {digest: run.first.number for run in past.runs for digest in run.approved()}
    rows = sorted(past.state.applied_plans, key=lambda row: (numbers.get(row.digest, 0), row.at, row.digest))
    for place, row in enumerate(rows):
        # After a repair the journal begins anew: the next apply, or the repair, says what serial was reached.
        later = rows[place + 1].serial if place + 1 < len(rows) else None
        repaired = next((one.serial - 1 for one in past.others if one.what == "state.repaired"), None)
        known = after.get(row.digest, later if later is not None else repaired)
        found.append(Applied(row, known, numbers.get(row.digest, 0)))
    return tuple(found)


# --- history ----------------------------------------------------------------------------------------


def history(opened: Opened, limit: int = LIMIT) -> Stated:
    """What was applied, decided and unlocked, the newest first."""
    past, problems = past_of(opened)
    if past is None:
        return Stated(None, problems, 64 if all(one.code == "AUD0690" for one in problems) else 1)
    entries = sorted(_entries(past), key=lambda entry: (entry["event"], entry["at"]), reverse=True)
    document = {
        "kind": "audsql.history",
        "format_version": "1.0",
        "serial": past.state.serial,
        "entries": entries[:limit],
        "left_out": max(0, len(entries) - limit),
    }
    return Stated(document)


def _entries(past: Past) -> Iterator[Document]:
    known = {one.row.digest: one for one in applies(past)}
    told = _decisions(past.state)
    for run in past.runs:
        if run.first.what == "lease.taken_over":
            yield _hands("takeover", run.first)
        yield from _run_entries(run, known)
        for event, change in run.changes():
            if change.kind == "resolution" and change.id in told:
                yield _decision(told.pop(change.id), event.number)
    yield from (_applied(one, _counts(())) for one in known.values() if not one.number)
    yield from (_decision(row, 0) for row in told.values())
    for event in past.others:
        yield _hands("unlock", event) if event.what == "lease.forced" else _mended(event)


def _decisions(state: State) -> dict[str, Any]:
    from audsql.apply.state import row_id

    return {row_id(row): row for row in state.resolutions}


def _run_entries(run: _Run, known: Mapping[str, Applied]) -> Iterator[Document]:
    """An apply for each plan that was taken up, else a run that did something."""
    counts = _counts(run.changes())
    approved = [digest for digest in run.approved() if digest in known]
    for digest in approved:
        yield _applied(known[digest], counts)
    if not approved and any(counts.values()):
        resumed = next(iter(run.ended()), None)
        yield {
            "kind": "run",
            "event": run.first.number,
            "at": _iso(run.first.at),
            "by": run.by,
            "operation": run.operation,
            "plan": resumed,
            "serial_before": run.before,
            "serial_after": run.after,
            "counts": counts,
        }


def _applied(one: Applied, counts: Mapping[str, int]) -> Document:
    row = one.row
    return {
        "kind": "apply",
        "event": one.number,
        "at": _iso(row.at),
        "ended_at": row.ended_at and _iso(row.ended_at),
        "by": row.by,
        "plan": row.digest,
        "serial_before": row.serial,
        "serial_after": one.serial_after,
        "outcome": row.outcome or "interrupted",
        "commit": one.commit,
        "dirty": one.dirty,
        "rollback_to": row.summary.get("rollback_to"),
        "counts": dict(counts),
    }


def _counts(changes: Iterable[tuple[Event, Change]]) -> dict[str, int]:
    found = dict.fromkeys(("made", "deleted", "scheduled", "sent", "cancelled", "needs_a_person"), 0)
    for _, change in changes:
        moved = change.before != change.after
        if change.kind == "resource":
            found["made"] += change.before is None and change.digest is not None
            found["deleted"] += change.digest is None
        elif change.kind == "occurrence" and moved:
            found["scheduled"] += change.after == "scheduled"
            found["sent"] += change.after == "done"
            found["cancelled"] += change.after == "cancelled"
            found["needs_a_person"] += change.after in _PERSONS
    return found


def _decision(row: Any, number: int) -> Document:
    return {
        "kind": "decision",
        "event": number,
        "at": _iso(row.at),
        "by": row.by,
        "subject": row.subject,
        "verdict": row.verdict,
        "reason": row.reason,
        "to": row.attributes.get("to"),
    }


def _hands(kind: str, event: Event) -> Document:
    """A lock that was taken over or ended: by whom, and whose it was."""
    former = event.attributes.get("from") or {}
    return {
        "kind": kind,
        "event": event.number,
        "at": _iso(event.at),
        "by": str(event.attributes.get("by", "")),
        "from": {name: former.get(name) for name in ("by", "host", "operation", "since")},
    }


def _mended(event: Event) -> Document:
    facts = event.attributes
    kind = event.what.removeprefix("state.").removesuffix("ed").removesuffix("d")
    named = {name: facts.get(name) for name in ("from", "to", "kept", "lost_count") if name in facts}
    return {
        "kind": kind, "event": event.number, "at": _iso(event.at), "by": str(facts.get("by", "")),
        "serial": event.serial, **named,
    }  # fmt: skip


def _iso(moment: datetime) -> str:
    from audsql.apply.state import iso_time

    return iso_time(moment)


# --- blame ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Subject:
    """An audience or a delivery: its address now, all addresses and ids that its rows go by."""

    address: str
    addresses: frozenset[str]
    occurrences: frozenset[str]

    def has(self, change: Change) -> bool:
        match change.kind:
            case "occurrence":
                return change.id in self.occurrences
            case "operation":
                return change.id.rpartition("#")[0] in self.occurrences
            case "size":
                return change.id in self.addresses
            case _:
                return False

    def decided(self, row: Any) -> bool:
        subject = row.subject.rpartition("#")[0] or row.subject
        return subject in self.occurrences or bool({row.subject, row.attributes.get("to")} & self.addresses)


def blame(opened: Opened, name: str) -> Stated:
    """Which applies and decisions changed what is remembered of an audience or a delivery, the newest first."""
    past, problems = past_of(opened)
    if past is None:
        return Stated(None, problems, 64 if all(one.code == "AUD0690" for one in problems) else 1)
    subject = _subject(opened, past.state, name)
    if isinstance(subject, Diagnostic):
        return Stated(None, (subject,), 1)
    entries = [entry for run in past.runs if (entry := _blamed(past, run, subject)) is not None]
    recorded = [row for row in past.state.occurrences if row.id in subject.occurrences]
    document = {
        "kind": "audsql.blame",
        "format_version": "1.0",
        "address": subject.address,
        "declared": _declared(opened, subject.address),
        "recorded": [{"occurrence": row.id, "state": row.state} for row in recorded],
        "entries": entries[::-1],
    }
    return Stated(document)


def _subject(opened: Opened, state: State, name: str) -> _Subject | Diagnostic:
    known = _known(opened, state)
    address = next((one for one in (name, f"delivery.{name}", f"audience.{name}") if one in known), None)
    if address is None:
        former = next((row for row in state.occurrences if row.delivery == name.removeprefix("delivery.")), None)
        if former is None:
            plain = tuple(sorted(known if "." in name else {one.partition(".")[2] for one in known}))
            return error("AUD0647", None, name=name, near=nearest(name, plain))
        address = f"delivery.{former.name}"
    rows = [row for row in state.occurrences if f"delivery.{row.name}" == address]
    names = {address, *(f"delivery.{row.delivery}" for row in rows)}
    names |= {row.subject for row in state.resolutions if row.attributes.get("to") in names}
    return _Subject(address, frozenset(names), frozenset(row.id for row in rows))


def _known(opened: Opened, state: State) -> set[str]:
    found = {one.name for one in state.sizes if one.name.startswith(("audience.", "delivery."))}
    found |= {f"delivery.{row.name}" for row in state.occurrences}
    if opened.analysis is not None:
        project = opened.analysis.project
        found |= {f"audience.{one.name}" for one in project.audiences}
        found |= {f"delivery.{one.name}" for one in project.deliveries}
    return found


def _declared(opened: Opened, address: str) -> Document | None:
    """Where it stands in the specs now."""
    if opened.analysis is None:
        return None
    kind, _, name = address.partition(".")
    project = opened.analysis.project
    rows: Sequence[Any] = project.deliveries if kind == "delivery" else project.audiences
    found = next((one for one in rows if one.name == name), None)
    if found is None:
        return None
    source = opened.sources.sources.get(found.span.path)
    line = source.position(found.span.start).line if source is not None else 1
    return {"path": found.span.path, "line": line}


def _blamed(past: Past, run: _Run, subject: _Subject) -> Document | None:
    """What one run did to the subject; None where it did nothing to it."""
    decisions = _decisions(past.state)
    happened: list[Document] = []
    for event, change in run.changes():
        if subject.has(change):
            happened.extend(_happening(event, change))
        elif change.kind == "resolution" and change.id in decisions and subject.decided(decisions[change.id]):
            row = decisions[change.id]
            happened.append({"what": "decided", "id": row.subject, "state": row.verdict, "reason": row.reason})
    applied = [past.state.applied(digest) for digest in (*run.approved(), *run.ended())]
    row = next((one for one in applied if one is not None), None)
    sets = dict(row.summary.get("sets", {})) if row is not None and run.approved() else {}
    changed = next((sets[one] for one in sorted(subject.addresses) if one in sets), None)
    if changed is not None:
        happened.insert(0, {"what": "set", "id": subject.address, "state": changed})
    if not happened:
        return None
    # A run of what was approved earlier belongs to the plan that approved it.
    row = row or _approval(past, run, subject)
    return {
        "event": run.first.number,
        "at": _iso(run.first.at),
        "by": run.by,
        "operation": run.operation,
        "plan": row.digest if row else None,
        "commit": row.summary.get("commit") if row else None,
        "dirty": row.summary.get("dirty") if row else None,
        "serial_after": run.after,
        "happened": happened,
    }


def _approval(past: Past, run: _Run, subject: _Subject) -> AppliedPlan | None:
    if run.operation != "run":
        return None
    for earlier in reversed([one for one in past.runs if one.first.number < run.first.number]):
        if earlier.approved() and any(one.kind == "occurrence" and subject.has(one) for _, one in earlier.changes()):
            return past.state.applied(earlier.approved()[-1])
    return None


def _happening(event: Event, change: Change) -> Iterator[Document]:
    match change.kind:
        case "occurrence" if change.before is None:
            yield {"what": "approved", "id": change.id, "state": change.after}
        case "occurrence" if change.before != change.after:
            yield {"what": "state", "id": change.id, "state": change.after}
        case "occurrence" if change.after == "scheduled":
            what = "data" if event.what == "occurrences.pinned" else "changed"
            yield {"what": what, "id": change.id, "state": change.after}
        case "occurrence":
            yield {"what": "rewritten", "id": change.id, "state": change.after}
        case "operation" if change.before != change.after and change.after in _TOLD:
            yield {"what": "request", "id": change.id, "state": change.after}
        case "size":
            what = "size_gone" if change.digest is None else "size_new" if change.revision == 1 else "size"
            yield {"what": what, "id": change.id, "state": None}


# --- what cannot be taken back ----------------------------------------------------------------------


def _begins(change: Change) -> bool:
    return change.after in ("sending", "done") and change.before != change.after


def begun_since(past: Past, serial: int) -> list[Occurrence]:
    """Occurrences of which something left after that serial, by id."""
    found = {
        change.id
        for run in past.runs
        for event, change in run.changes()
        if change.kind == "occurrence" and event.serial > serial and _begins(change)
    }
    rows = [row for row in past.state.occurrences if row.id in found]
    return [row for row in rows if row.state not in ("planned", "scheduled", "cancelled")]
