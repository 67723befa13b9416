"""A whole state as one document, and a document put in place of a state: `state pull`, `state push`, backups.

A document holds everything that the tables hold: rows with their stamps and frozen request bodies, and the
journal with its hashes. What is put in place is checked whole inside the transaction that writes it
(specs/state.md, `state.backup`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from audsql.apply.door import Door
from audsql.apply.journal import parse_event
from audsql.apply.keyed import keys_of
from audsql.apply.ledger_stored import is_ledger, ledger_document, put_ledger, verify_ledger
from audsql.apply.state import FORMAT_VERSION
from audsql.apply.store import StoreFailed
from audsql.apply.verified import verify_content
from audsql.diag import Diagnostic, error
from audsql.records import dataclass

__all__ = [
    "KIND",
    "RECORD",
    "Contents",
    "Verdict",
    "backup_of",
    "contents_of",
    "document_of",
    "put_back",
    "read_backup",
    "write_whole",
]

KIND = "audsql.state_backup"
Document = dict[str, Any]
Verdict = Literal["written", "same"]

RECORD = ("kind", "id", "incarnation", "revision", "created_at", "updated_at", "document", "body")
"""The columns of a row in a document, in order."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The tables of a state as far as they can be read; nothing in them is believed yet.

    `meta`: lineage, environment, format, serial, number of events, head. `lease`: epoch, id, by, host, pid,
    operation, since, expires. `records` and `events` as in a backup, bodies as bytes. None, or fewer rows, where
    something could not be read.
    """

    meta: tuple[Any, ...] | None
    lease: tuple[Any, ...] | None
    records: tuple[tuple[Any, ...], ...] = ()
    events: tuple[tuple[Any, ...], ...] = ()
    ledger: Document | None = None


def backup_of(door: Door) -> Document:
    """The state as a document. Called within a transaction that sees one instant."""
    environment, lineage, version, serial, head = door.execute(
        "SELECT environment, lineage, format, serial, head FROM meta"
    ).fetchone()
    records = door.execute(f"SELECT {', '.join(RECORD)} FROM record ORDER BY kind, id").fetchall()
    events = door.execute("SELECT number, document, hash FROM event ORDER BY number").fetchall()
    return {
        "kind": KIND,
        "format_version": version,
        "environment": environment,
        "lineage": lineage,
        "serial": serial,
        "head": head,
        "records": [[*row[:-1], _encoded(row[-1])] for row in records],
        "events": [list(row) for row in events],
        **_with_ledger(ledger_document(door)),
    }


def _with_ledger(ledger: Document | None) -> Document:
    """A state in which nobody ever stood has the document that it always had."""
    return {} if ledger is None else {"ledger": ledger}


def _encoded(body: bytes | None) -> str | None:
    return None if body is None else base64.b64encode(body).decode("ascii")


def read_backup(document: object, path: str) -> Document | Diagnostic:
    """The document, if it has the form of a backup. That its content is sound is checked when it is put back."""
    if not isinstance(document, dict) or document.get("kind") != KIND:
        return error("AUD0631", None, path=path)
    version = document.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        return error("AUD0605", None, path=path, found=version, supported=FORMAT_VERSION)
    return document if _is_formed(document) else error("AUD0603", None, path=path, part="meta", place=None, backup=None)


def contents_of(document: Mapping[str, Any]) -> Contents | None:
    """What the tables would hold; None where a body is no base64."""
    try:
        bodies = [None if row[-1] is None else base64.b64decode(row[-1]) for row in document["records"]]
    except binascii.Error:
        return None
    records = tuple((*row[:-1], body) for row, body in zip(document["records"], bodies, strict=True))
    meta = (document["lineage"], document["environment"], document["format_version"], document["serial"])
    events = tuple(tuple(row) for row in document["events"])
    return Contents((*meta, len(events), document["head"]), None, records, events, document.get("ledger"))


def document_of(contents: Contents) -> Document:
    """The contents of tables in the form of a backup; they must have been read whole and found sound."""
    assert contents.meta is not None
    lineage, environment, version, serial, _, head = contents.meta
    return {
        "kind": KIND,
        "format_version": version,
        "environment": environment,
        "lineage": lineage,
        "serial": serial,
        "head": head,
        "records": [[*row[:-1], _encoded(row[-1])] for row in contents.records],
        "events": [list(row) for row in contents.events],
        **_with_ledger(contents.ledger),
    }


def _is_formed(document: Mapping[str, Any]) -> bool:
    texts = all(isinstance(document.get(name), str) for name in ("environment", "lineage", "head"))
    numbers = all(type(document.get(name)) is int for name in ("format_version", "serial"))
    return (
        texts
        and numbers
        and _are_rows(document.get("records"), (str, str, str, int, str, str, str, str | None))
        and _are_rows(document.get("events"), (int, str, str))
        and is_ledger(document.get("ledger"))
    )


def _are_rows(rows: object, kinds: Sequence[Any]) -> bool:
    return isinstance(rows, list) and all(
        isinstance(row, list)
        and len(row) == len(kinds)
        and all(isinstance(value, kind) and not isinstance(value, bool) for value, kind in zip(row, kinds, strict=True))
        for row in rows
    )


def put_back(door: Door, document: Document, environment: str) -> Verdict:
    """Replace the state by a later one of the same history, or fill an empty one. Within a write transaction.

    Raises StoreFailed where the document is not sound, of another environment, of another lineage (AUD0632), older
    (AUD0633) or of a history that parted from the state's (AUD0634): nothing that was done is ever forgotten.
    """
    lineage, serial, count, head = door.execute(
        f"SELECT lineage, serial, events, head FROM meta{door.locking}"
    ).fetchone()
    if count and head == document["head"]:
        return "same"
    if count:
        _check_later(door, document, lineage, serial, head)
    _replace(door, document)
    verify_content(door.execute, door.name, environment, keys_of(door))
    _verify_ledger(door)
    return "written"


def _verify_ledger(door: Door) -> None:
    if door.has_table("ledger_meta"):
        verify_ledger(door)


def _check_later(door: Door, document: Document, lineage: str, serial: int, head: str) -> None:
    if lineage != document["lineage"]:
        problem = error("AUD0632", None, path=door.name, found=document["lineage"], expected=lineage)
    elif head in {row[2] for row in document["events"]}:
        return
    elif document["head"] in {row[0] for row in door.execute("SELECT hash FROM event").fetchall()}:
        problem = error("AUD0633", None, path=door.name, given=document["serial"], serial=serial)
    else:
        problem = error("AUD0634", None, path=door.name, given=document["serial"], serial=serial)
    raise StoreFailed(problem)


def write_whole(door: Door, document: Document, environment: str) -> None:
    """Replace all that the tables hold, whatever it is, by a document; verified. Within a write transaction.

    Raises StoreFailed where the document is not sound.
    """
    for table in ("meta", "lease"):
        door.execute(f"DELETE FROM {table}")
    door.execute("INSERT INTO meta VALUES (1, ?, ?, ?, 0, 0, '')", (document["lineage"], environment, FORMAT_VERSION))
    door.execute("INSERT INTO lease VALUES (1, 0, '', '', '', 0, '', '', '')")
    _replace(door, document)
    verify_content(door.execute, door.name, environment)
    _verify_ledger(door)


def _replace(door: Door, document: Document) -> None:
    events = document["events"]
    for table in ("record", "event"):
        door.execute(f"DELETE FROM {table}")
    for row in document["records"]:
        door.execute(
            f"INSERT INTO record ({', '.join(RECORD)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*row[:-1], _decoded(door, row[-1])),
        )
    for row in events:
        door.execute("INSERT INTO event (number, document, hash) VALUES (?, ?, ?)", tuple(row))
    put_ledger(door, document.get("ledger"))
    meta = (document["lineage"], document["environment"], document["format_version"], document["serial"], len(events))
    door.execute(
        "UPDATE meta SET lineage = ?, environment = ?, format = ?, serial = ?, events = ?, head = ?",
        (*meta, document["head"]),
    )
    door.execute("UPDATE lease SET epoch = ?, lock_id = ''", (_epoch(door, events),))


def _decoded(door: Door, text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except binascii.Error:
        problem = error("AUD0603", None, path=door.name, part="rows", place=None, backup=None)
        raise StoreFailed(problem) from None


def _epoch(door: Door, events: Sequence[Sequence[Any]]) -> int:
    try:
        return parse_event(events[-1][1]).epoch if events else 0
    except (ValueError, KeyError, TypeError):
        problem = error("AUD0604", None, path=door.name, event=len(events), events=len(events), backup=None)
        raise StoreFailed(problem) from None
