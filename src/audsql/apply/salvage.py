"""What can still be trusted of a damaged state: rows that match the journal, an account of what is lost. Pure.

An event is sound if its hash follows from the hash that is stored before it; a row is sound if it matches the last
sound event that speaks of it. What may have been sent and is no longer certain becomes in doubt, never new
(specs/state.md, `state.repair`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Any, Literal

from audsql.apply.backup import KIND, Contents
from audsql.apply.journal import Change, Event, chained, event_text, genesis, parse_event, row_hash
from audsql.apply.ledger_rows import Head
from audsql.apply.ledger_salvage import is_whole, salvaged_ledger
from audsql.apply.ledger_stored import said_head
from audsql.apply.state import (
    FORMAT_VERSION,
    Occurrence,
    OccurrenceState,
    Operation,
    Row,
    Stamp,
    iso_time,
    parse_row,
    parse_time,
    row_content,
    row_id,
    row_kind,
    row_state,
)
from audsql.apply.store import Held
from audsql.plan.document import canonical
from audsql.records import dataclass

__all__ = ["REPAIRED", "Lost", "Salvaged", "is_of", "is_sound", "last_lease", "lease_of", "salvaged"]

REPAIRED = "state.repaired"
_LOST_NAMED_MAX = 1_000
_UNSENT = ("planned", "scheduled")
_CERTAIN: tuple[OccurrenceState, ...] = ("done", "failed", "missed", "in_doubt", "cancelled")
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Lost:
    """A row that is gone or cannot be trusted, and the state that it was in last, as far as that is known."""

    kind: str
    id: str
    state: str | None


@dataclass(frozen=True, slots=True)
class Salvaged:
    """`document`: a new state in the form of a backup. `kept` counts rows, `doubtful` are ids of occurrences that
    are in doubt by now, `journal_whole` tells whether every event was sound."""

    document: dict[str, Any]
    kept: int
    lost: tuple[Lost, ...]
    doubtful: tuple[str, ...]
    journal_whole: bool


OpenBody = Callable[[str, str, bytes], bytes]


def _as_it_is(_kind: str, _identity: str, body: bytes) -> bytes:
    return body


def _opened(record: Sequence[Any], open_body: OpenBody) -> tuple[Any, ...]:
    *row, body = record
    return (*row, None if body is None else open_body(row[0], row[1], body))


@dataclass(slots=True)
class _Journal:
    """What the sound events say: digest and state of each row, whether all events are sound, the highest epoch, and
    what the ledger must hold."""

    events: list[Event] = field(default_factory=list)
    live: dict[Key, Change] = field(default_factory=dict)
    whole: bool = False
    ledger: Head | None = None


def is_of(contents: Contents, environment: str) -> bool:
    """Whether the first event proves that this is the state of that environment."""
    first = next((row for row in contents.events if row[0] == 1), None)
    if contents.meta is None or first is None or not _is_event(first):
        return False
    lineage, version = contents.meta[0], contents.meta[2]
    return bool(chained(genesis(str(lineage), environment, _number(version)), first[1]) == first[2])


def is_sound(contents: Contents, environment: str) -> bool:
    """Whether every event and every row fits, whatever the format."""
    journal = _journal(contents, environment)
    living = {key: change.digest for key, change in journal.live.items() if change.digest is not None}
    fit = all(_fits(record, living.pop((str(record[0]), str(record[1])), "")) for record in contents.records)
    kept = is_whole(contents.ledger, journal.ledger)
    return journal.whole and fit and kept and not living


def last_lease(contents: Contents, environment: str) -> Event | None:
    """The last sound event about the lease, if by it somebody still holds it."""
    events = [one for one in _journal(contents, environment).events if one.what.startswith("lease.")]
    last = events[-1] if events else None
    return last if last is not None and last.what in ("lease.acquired", "lease.taken_over") else None


def lease_of(contents: Contents, environment: str) -> Held | Literal["unknown"] | None:
    """Who holds the lease, None where nobody does; `unknown` where the lease does not fit the journal."""
    journal = _journal(contents, environment)
    if contents.lease is None or len(contents.lease) != 8:
        return "unknown"
    epoch, lock_id, by, host, pid, operation, since, expires = contents.lease
    texts = all(isinstance(one, str) for one in (lock_id, by, host, operation, since, expires))
    if not texts or type(pid) is not int or epoch != max((one.epoch for one in journal.events), default=0):
        return "unknown"
    if not lock_id:
        return None
    try:
        return Held(by, host, pid, operation, parse_time(since), parse_time(expires), lock_id)
    except ValueError:
        return "unknown"


def salvaged(
    contents: Contents, environment: str, lineage: str, now: datetime, by: str, open_body: OpenBody = _as_it_is
) -> Salvaged:
    """A new state, of a lineage of its own, with every row that can be trusted.

    `open_body`: a stored body (of this kind and id) as it was given; one that is closed is bound to the former lineage.
    """
    journal = _journal(contents, environment)
    kept, lost = _rows(contents, journal)
    ledger = salvaged_ledger(contents.ledger, journal.ledger, now)
    if ledger.lost:
        kept, lost = _without_flows(kept, (*lost, Lost("ledger", "people", None)))
    occurrences = _occurrences(kept, lost, journal)
    changed = {(row_kind(row), row_id(row)) for row in occurrences}
    records = [(key, _opened(record, open_body)) for key, record in sorted(kept.items()) if key not in changed]
    rows = [_stored(row, kept.get((row_kind(row), row_id(row))), lineage, now) for row in occurrences]
    records = sorted([*records, *(((one[0], one[1]), one) for one in rows)])
    attributes = {
        "by": by,
        "from": None if contents.meta is None else str(contents.meta[0]),
        "journal_whole": journal.whole,
        "kept": len(kept),
        "lost": [[one.kind, one.id, one.state] for one in lost[:_LOST_NAMED_MAX]],
        "lost_count": len(lost),
        **({} if ledger.document is None else {"ledger": ledger.document["head"]}),
    }
    document = _document(
        [record for _, record in records], environment, lineage, _serial(contents, journal) + 1,
        _epoch(contents, journal) + 1, now, attributes,
    )  # fmt: skip
    if ledger.document is not None:
        document["ledger"] = ledger.document
    return Salvaged(
        document, len(kept), lost, tuple(row.id for row in occurrences if row.state == "in_doubt"), journal.whole
    )


# --- the journal ------------------------------------------------------------------------------------


def _journal(contents: Contents, environment: str) -> _Journal:
    found = _Journal()
    hashes = {row[0]: row[2] for row in contents.events if _is_event(row)}
    if contents.meta is not None:
        hashes[0] = genesis(str(contents.meta[0]), environment, _number(contents.meta[2]))
    for row in sorted((row for row in contents.events if _is_event(row)), key=lambda row: int(row[0])):
        event = _sound(row, hashes.get(row[0] - 1))
        if event is None:
            continue
        found.events.append(event)
        found.ledger = said_head(event.attributes) or found.ledger
        for change in event.changes:
            found.live[change.kind, change.id] = change
    found.whole = (
        contents.meta is not None
        and len(found.events) == len(contents.events) == contents.meta[4]
        and hashes.get(len(contents.events)) == contents.meta[5]
    )
    return found


def _is_event(row: Sequence[Any]) -> bool:
    return len(row) == 3 and type(row[0]) is int and isinstance(row[1], str) and isinstance(row[2], str)


def _sound(row: Sequence[Any], before: str | None) -> Event | None:
    if before is None or chained(before, row[1]) != row[2]:
        return None
    try:
        event = parse_event(row[1])
    except (ValueError, KeyError, TypeError):
        return None
    return event if event.number == row[0] else None


def _number(value: object) -> int:
    return value if type(value) is int else 0


def _serial(contents: Contents, journal: _Journal) -> int:
    """The serial that was reached. One that is too high does no harm: no plan fits the new lineage anyway."""
    stored = _number(contents.meta[3]) if contents.meta is not None else 0
    reached = max((one.serial for one in journal.events), default=0)
    return reached if journal.whole else max(stored, reached)


def _epoch(contents: Contents, journal: _Journal) -> int:
    stored = _number(contents.lease[0]) if contents.lease is not None else 0
    return max(stored, *(one.epoch for one in journal.events), 0)


# --- rows -------------------------------------------------------------------------------------------


def _rows(contents: Contents, journal: _Journal) -> tuple[dict[Key, tuple[Any, ...]], tuple[Lost, ...]]:
    """The records that match, by kind and id, and what is known to have been there besides."""
    kept: dict[Key, tuple[Any, ...]] = {}
    missing = {key: change.after for key, change in journal.live.items() if change.digest is not None}
    for record in contents.records:
        key = (str(record[0]), str(record[1]))
        change = journal.live.get(key)
        if change is not None and change.digest is not None and _matches(record, change.digest):
            kept[key] = record
            missing.pop(key, None)
        else:
            missing.setdefault(key, None)
    lost = tuple(
        Lost(kind, identity, state) for (kind, identity), state in sorted(missing.items()) if kind and identity
    )
    return kept, lost


def _without_flows(kept: dict[Key, tuple[Any, ...]], lost: tuple[Lost, ...]) -> tuple[dict[Key, Any], tuple[Lost, ...]]:
    """Without the versions of flows that were approved: nobody knows for certain any more who was in them."""
    flows = [key for key in sorted(kept) if key[0] == "flow_version"]
    gone = tuple(Lost(*key, None) for key in flows)
    return {key: record for key, record in kept.items() if key not in flows}, (*lost, *gone)


def _matches(record: Sequence[Any], digest: str) -> bool:
    row = _parsed(record) if _fits(record, digest) else None
    return row is not None and row_id(row) == record[1]


def _fits(record: Sequence[Any], digest: str) -> bool:
    kind, identity, incarnation, revision, created_at, updated_at, text, body = record
    texts = all(isinstance(one, str) for one in (kind, identity, incarnation, created_at, updated_at, text))
    if not texts or type(revision) is not int or not (body is None or isinstance(body, bytes)):
        return False
    return row_hash(text, (incarnation, revision, created_at, updated_at), body) == digest


def _parsed(record: Sequence[Any]) -> Row | None:
    kind, _, incarnation, revision, created_at, updated_at, text, _ = record
    try:
        return parse_row(
            kind, json.loads(text), Stamp(incarnation, revision, parse_time(created_at), parse_time(updated_at))
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


# --- what may have been sent ------------------------------------------------------------------------


def _occurrences(kept: Mapping[Key, Sequence[Any]], lost: Sequence[Lost], journal: _Journal) -> list[Occurrence]:
    """Occurrences that are no longer what was stored: begun and no longer certain, or lost themselves."""
    requests = {one.id.rpartition("#")[0] for one in lost if one.kind == "operation"}
    found: dict[str, Occurrence] = {}
    for (kind, identity), record in kept.items():
        row = _parsed(record) if kind == "occurrence" else None
        if not isinstance(row, Occurrence):
            continue
        begun = row.state == "sending" and not journal.whole
        if begun or (row.state in ("sending", "planned", "scheduled", "cancelled") and identity in requests):
            found[identity] = replace(row, state="in_doubt")
    gone = {one.id: one.state for one in lost if one.kind == "occurrence"}
    orphans = requests | {_occurrence_of(record) for (kind, _), record in kept.items() if kind == "operation"}
    known = {identity for kind, identity in kept if kind == "occurrence"}
    for identity in sorted({*gone, *orphans} - known):
        state = gone.get(identity)
        # A journal without a gap would know of a request: of these nothing ever left.
        if journal.whole and state in _UNSENT and identity not in orphans:
            continue
        ended = next((one for one in _CERTAIN if one == state), None) if journal.whole else None
        row = _placeholder(identity, ended or "in_doubt")
        if row is not None:
            found[identity] = row
    return [found[identity] for identity in sorted(found)]


def _occurrence_of(record: Sequence[Any]) -> str:
    row = _parsed(record)
    return row.occurrence if isinstance(row, Operation) else ""


def _placeholder(identity: str, state: OccurrenceState) -> Occurrence | None:
    """An occurrence of which only the id is left: it stands for whatever definition it had."""
    parts = identity.split("/")
    if len(parts) != 3 or not all(parts):
        return None
    return Occurrence(parts[0], parts[1], parts[2], state, "")


def _stored(row: Occurrence, before: Sequence[Any] | None, lineage: str, now: datetime) -> tuple[Any, ...]:
    """The record of a row that the repair changed or made."""
    incarnation, revision, created = (before[2], before[3] + 1, before[4]) if before else (lineage, 1, iso_time(now))
    text = canonical(row_content(row)).decode()
    return ("occurrence", row.id, incarnation, revision, created, iso_time(now), text, None)


# --- the new state ----------------------------------------------------------------------------------


def _document(
    records: Sequence[Sequence[Any]],
    environment: str,
    lineage: str,
    serial: int,
    epoch: int,
    now: datetime,
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    event = Event(1, now, REPAIRED, epoch, serial, tuple(_changes(records)), attributes)
    text = event_text(event)
    head = chained(genesis(lineage, environment, FORMAT_VERSION), text)
    return {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "environment": environment,
        "lineage": lineage,
        "serial": serial,
        "head": head,
        "records": [[*one[:-1], None if one[-1] is None else base64.b64encode(one[-1]).decode()] for one in records],
        "events": [[1, text, head]],
    }


def _changes(records: Sequence[Sequence[Any]]) -> Iterator[Change]:
    for record in records:
        kind, identity, incarnation, revision, created_at, updated_at, text, body = record
        row = _parsed(record)
        digest = row_hash(text, (incarnation, revision, created_at, updated_at), body)
        yield Change(kind, identity, revision, None, None if row is None else row_state(row), digest)
