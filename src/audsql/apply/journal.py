"""The journal: an append-only chain of events, and the points at which a crash test may kill the run.

Each event's hash covers its canonical text and the hash before it, so that an event that was changed,
dropped or put in between is found when the state is opened. The chain is not keyed: it finds damage
and edits by hand, not somebody who computes the whole chain again.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from audsql.apply.state import iso_time, parse_time
from audsql.plan.document import canonical
from audsql.records import dataclass

__all__ = [
    "Change",
    "Event",
    "arm_kill",
    "chained",
    "checkpoint",
    "count_checkpoints",
    "event_text",
    "first_broken",
    "genesis",
    "parse_event",
    "row_hash",
]


@dataclass(frozen=True, slots=True)
class Change:
    """One row in one event. `before` and `after` are its states (None: no such row, or it has no state).

    `digest` is `row_hash` of the row as stored, None where it was removed.
    """

    kind: str
    id: str
    revision: int
    before: str | None
    after: str | None
    digest: str | None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One transaction: what was done (`what`, a stable name), under which lease epoch, and each row's change.

    `serial` is the state's serial after it. `attributes` says more (the holder of a lease).
    """

    number: int
    at: datetime
    what: str
    epoch: int
    serial: int
    changes: tuple[Change, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


def event_text(event: Event) -> str:
    """The canonical JSON of an event, which the chain covers."""
    document = {
        "number": event.number,
        "at": iso_time(event.at),
        "what": event.what,
        "epoch": event.epoch,
        "serial": event.serial,
        "changes": [
            [change.kind, change.id, change.revision, change.before, change.after, change.digest, change.evidence]
            for change in event.changes
        ],
        "attributes": dict(event.attributes),
    }
    return canonical(document).decode("utf-8", "surrogatepass")


def parse_event(text: str) -> Event:
    """The event that `event_text` wrote."""
    document = json.loads(text)
    changes = tuple(Change(*change) for change in document["changes"])
    return Event(
        document["number"], parse_time(document["at"]), document["what"], document["epoch"], document["serial"],
        changes, document["attributes"],
    )  # fmt: skip


def genesis(lineage: str, environment: str, format_version: int) -> str:
    """The hash before the first event: it binds the chain to this state."""
    return hashlib.sha256(f"{lineage}\n{environment}\n{format_version}".encode()).hexdigest()


def chained(previous: str, text: str) -> str:
    """The hash of an event: SHA-256 over the previous hash and the event's text."""
    return hashlib.sha256(f"{previous}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def first_broken(first: str, rows: Iterable[tuple[int, str, str]]) -> tuple[int | None, str]:
    """Follow the chain from the hash `first` over (number, text, hash).

    Returns the first number that does not fit, None where all do, and the last good hash.
    """
    head, expected = first, 1
    for number, text, stored in rows:
        if number != expected or chained(head, text) != stored:
            return expected, head
        head, expected = stored, expected + 1
    return None, head


def row_hash(text: str, stamp: tuple[str, int, str, str], body: bytes | None) -> str:
    """The digest of a stored row, which its last event repeats.

    `stamp` is incarnation, revision, created_at and updated_at as stored.
    """
    body_digest = "" if body is None else hashlib.sha256(body).hexdigest()
    joined = "\n".join((*map(str, stamp), body_digest, text))
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()


# --- crash tests ----------------------------------------------------------------------------------

_lock = threading.Lock()
_passed = 0
_kill_at = 0


def checkpoint(name: str) -> None:
    """Say that something is now durable, or that a request is about to leave or was answered.

    Of no effect unless `arm_kill` was called. `name` is for people who read a test's code.
    """
    global _passed
    with _lock:
        _passed += 1
        if _passed == _kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def arm_kill(number: int) -> None:
    """Kill this process with SIGKILL at the `number`-th checkpoint from now (from 1); 0 disarms."""
    global _passed, _kill_at
    with _lock:
        _passed, _kill_at = 0, number


def count_checkpoints() -> int:
    """How many checkpoints were passed since the start, or since `arm_kill`."""
    return _passed
