"""Rows of the ledger as the tables hold them, what no writer may ask for, and the digest that the journal keeps. Pure.

The digest is a sum of the digests of all rows, so that a write changes it by the rows that it changes, in any order.
Rules: specs/state.md, `ledger.*`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from audsql.apply.ledger import Assigned, Batch, BatchState, Place, Sent
from audsql.apply.store import RuleBroken
from audsql.data.keys import sealed_under
from audsql.records import dataclass

__all__ = [
    "BATCH_CLOSED",
    "EMPTY",
    "KEYS",
    "NAMES",
    "PERSON_BYTES",
    "TABLES",
    "Head",
    "assigned_of",
    "assigned_row",
    "batch_of",
    "batch_row",
    "check_batch",
    "check_place",
    "check_sent",
    "head_of",
    "instant_of",
    "micros",
    "place_of",
    "place_row",
    "sent_of",
    "sent_row",
    "weight",
]

PERSON_BYTES = 16
TABLES = ("place", "batch", "sent", "code")
NAMES: Mapping[str, tuple[str, ...]] = {
    "place": (
        "flow", "person", "entry", "version", "step", "state", "entered_at", "due_at", "batch", "note", "ended_at",
        "revision",
    ),
    "batch": (
        "id", "owner", "occurrence", "account", "kind", "state", "retry_key", "count", "not_after", "created_at",
        "content", "body", "body_sha256", "attempts", "asked", "request_id", "evidence", "unit", "silent", "revision",
    ),
    "sent": ("owner", "occurrence", "person", "account", "at", "batch"),
    "code": ("pool", "code", "person", "owner", "occurrence"),
}  # fmt: skip
"""The columns of each table, in order."""
KEYS: Mapping[str, tuple[str, ...]] = {
    "place": ("flow", "person", "entry"),
    "batch": ("id",),
    "sent": ("owner", "occurrence", "person"),
    "code": ("pool", "code"),
}
BATCH_CLOSED: frozenset[BatchState] = frozenset({"succeeded", "missed", "resolved_sent", "resolved_not_sent"})
"""States after which the bytes of a request are of no use any more."""

_MODULUS = 1 << 128
_BODY = NAMES["batch"].index("body")
_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_USER_ID = re.compile(r"(?<![0-9A-Za-z])U[0-9a-f]{32}(?![0-9A-Za-z])")
_FINAL: frozenset[BatchState] = frozenset({"succeeded", "resolved_sent", "resolved_not_sent"})
_SENDABLE: frozenset[BatchState] = frozenset({"pending", "intent"})
_FREE: frozenset[BatchState] = frozenset({"pending", "rejected"})
Raw = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """How many rows each table has, in the order of TABLES, and the digest of them all. `secret_id` names the secret
    under which people stand here, '' before the first."""

    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    digest: int = 0
    secret_id: str = ""

    def moved(self, table: str, rows: int, weight: int) -> Head:
        """With so many more rows of a table, whose digests add so much."""
        counts = list(self.counts)
        counts[TABLES.index(table)] += rows
        return Head(tuple(counts), (self.digest + weight) % _MODULUS, self.secret_id)  # type: ignore[arg-type]

    @property
    def document(self) -> dict[str, Any]:
        """As it stands in an event."""
        return {
            **dict(zip(TABLES, self.counts, strict=True)),
            "digest": f"{self.digest:032x}",
            "secret_id": self.secret_id,
        }


EMPTY = Head()


def head_of(document: Mapping[str, Any]) -> Head:
    """The head that an event names. Raises KeyError, ValueError, TypeError where it is none."""
    places, batches, sends, codes = (int(document[name]) for name in TABLES)
    return Head((places, batches, sends, codes), int(document["digest"], 16), str(document["secret_id"]))


def weight(table: str, rows: Iterable[Raw]) -> int:
    """What these rows add to the digest of the ledger."""
    total, number, blake, head = 0, int.from_bytes, hashlib.blake2b, f"{table} ".encode()
    for row in rows if table != "batch" else map(_without_body, rows):
        # As ASCII: how a character that is not is written does not depend on the version of Unicode.
        total += number(blake(head + ascii(row).encode(), digest_size=16).digest(), "big")
    return total % _MODULUS


def _without_body(row: Raw) -> Raw:
    body = row[_BODY]
    return row if body is None else (*row[:_BODY], hashlib.sha256(body).hexdigest(), *row[_BODY + 1 :])


# --- times ------------------------------------------------------------------------------------------


def micros(instant: datetime) -> int:
    """Microseconds since 1970. Raises TypeError for a time without a zone."""
    return (instant - _ORIGIN) // _MICROSECOND


def instant_of(value: int) -> datetime:
    return _ORIGIN + timedelta(microseconds=value)


# --- rows -------------------------------------------------------------------------------------------


def place_row(place: Place, revision: int) -> Raw:
    ended = place.ended_at
    return (
        place.flow, place.person, place.entry, place.version, place.step, place.state,
        (place.entered_at - _ORIGIN) // _MICROSECOND, (place.due_at - _ORIGIN) // _MICROSECOND, place.batch, place.note,
        None if ended is None else micros(ended), revision,
    )  # fmt: skip


def place_of(row: Sequence[Any]) -> Place:
    flow, person, entry, version, step, state, entered_at, due_at, batch, note, ended_at, revision = row
    return Place(
        flow, person, entry, version, step, state, _ORIGIN + timedelta(microseconds=entered_at),
        _ORIGIN + timedelta(microseconds=due_at), batch, note, None if ended_at is None else instant_of(ended_at),
        revision,
    )  # fmt: skip


def batch_row(batch: Batch, revision: int) -> Raw:
    return (
        batch.id, batch.owner, batch.occurrence, batch.account, batch.kind, batch.state, batch.retry_key, batch.count,
        micros(batch.not_after), micros(batch.created_at), batch.content, batch.body, batch.body_sha256, batch.attempts,
        int(batch.asked), batch.request_id, batch.evidence, batch.unit, int(batch.silent), revision,
    )  # fmt: skip


def batch_of(row: Sequence[Any]) -> Batch:
    (
        identity, owner, occurrence, account, kind, state, retry_key, count, not_after, created_at, content, body,
        body_sha256, attempts, asked, request_id, evidence, unit, silent, revision,
    ) = row  # fmt: skip
    return Batch(
        identity, owner, occurrence, account, kind, state, retry_key, count, instant_of(not_after),
        instant_of(created_at), content, body, body_sha256, attempts, bool(asked), request_id, evidence, unit,
        bool(silent), revision,
    )  # fmt: skip


def sent_row(sent: Sent) -> Raw:
    return (sent.owner, sent.occurrence, sent.person, sent.account, micros(sent.at), sent.batch)


def sent_of(row: Sequence[Any]) -> Sent:
    owner, occurrence, person, account, at, batch = row
    return Sent(account, owner, occurrence, person, instant_of(at), batch)


def assigned_row(one: Assigned) -> Raw:
    return (one.pool, one.code, one.person, one.owner, one.occurrence)


def assigned_of(row: Sequence[Any]) -> Assigned:
    return Assigned(*row)


# --- what no writer may ask for ---------------------------------------------------------------------


def check_place(place: Place) -> None:
    """Raise RuleBroken where a place names a person otherwise than as the ledger does."""
    if len(place.person) != PERSON_BYTES:
        raise RuleBroken("a person in the ledger is 16 bytes")
    if place.note and _USER_ID.search(place.note):
        raise RuleBroken("a place holds the id of a person")


def check_sent(sent: Sequence[Sent]) -> None:
    if any(len(one.person) != PERSON_BYTES for one in sent):
        raise RuleBroken("a person in the ledger is 16 bytes")
    if any(_USER_ID.search(text) for text in {one.occurrence for one in sent}):
        raise RuleBroken("a send holds the id of a person")


def check_batch(before: Batch | None, after: Batch) -> None:
    """Raise RuleBroken where `after` may not replace `before` (None: it is new): rules `ledger.batch.*`."""
    texts = (after.id, after.owner, after.occurrence, after.request_id, after.evidence, after.unit)
    if any(_USER_ID.search(text) for text in texts):
        raise RuleBroken("a batch holds the id of a person")
    if after.body is not None and sealed_under(after.body) is None:
        raise RuleBroken("the body of a batch lists people and is kept closed")
    if before is None:
        if after.state not in _SENDABLE:
            raise RuleBroken("a batch begins before anything was sent")
        return
    if before.state in _FINAL and after.state != before.state:
        raise RuleBroken(f"{before.state} is final")
    if after.state in _SENDABLE and before.state not in _FREE and after.state != before.state:
        raise RuleBroken(f"{before.state} never becomes {after.state}: people may have got the message")
    if before.retry_key != after.retry_key:
        raise RuleBroken("the retry key of a batch never changes")
    untried = before.state in _FREE or (before.state == "intent" and not before.asked)
    if not untried and before.body_sha256 and before.body_sha256 != after.body_sha256:
        raise RuleBroken("the body was frozen with the intent")
    if (before.owner, before.occurrence, before.account, before.kind) != (
        after.owner, after.occurrence, after.account, after.kind,
    ):  # fmt: skip
        raise RuleBroken("what a batch is for never changes")
    if after.count != before.count and not (untried and after.count < before.count):
        raise RuleBroken("people are taken out of a batch only before anything left")
