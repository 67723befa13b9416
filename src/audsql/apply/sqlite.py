"""The state in a SQLite file: WAL, synchronous=FULL, BEGIN IMMEDIATE for every write, one connection.

All rows stand in one table as canonical JSON with their stamp; each event repeats the digest of every
row that it changed, so that a flipped byte is found at the next opening although SQLite finds the page
well-formed.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from audsql.apply.journal import Change, Event, chained, checkpoint, event_text, parse_event, row_hash
from audsql.apply.rules import check_removal, check_row
from audsql.apply.sqlite_file import (
    connect,
    diagnose,
    prepare,
    verify,
)
from audsql.apply.state import (
    Occurrence,
    Operation,
    Resource,
    Row,
    Stamp,
    State,
    iso_time,
    parse_row,
    parse_time,
    row_content,
    row_id,
    row_kind,
    row_state,
    state_of,
)
from audsql.apply.store import Held, Holder, Lease, LeaseLost, Removal, RowChanged, StoreFailed
from audsql.diag import Diagnostic
from audsql.plan.document import canonical

__all__ = ["SqliteStore", "open_sqlite"]

_BROKEN = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def open_sqlite(path: Path, *, create: bool, environment: str, new_id: Callable[[], str]) -> SqliteStore:
    """Open and verify the state file, or make it. Raises StoreFailed; then nothing was written."""
    if prepare(path, create=create, environment=environment, new_id=new_id):
        checkpoint("store.create")
    connection = None
    try:
        connection = connect(path)
        verify(connection, path, environment)
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        # SQLite's own message may quote damaged bytes, which Python then cannot decode.
        _close(connection)
        raise StoreFailed(diagnose(problem, path)) from problem
    except BaseException:
        _close(connection)
        raise
    return SqliteStore(connection, path, new_id)


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()


class SqliteStore:
    """`Store` over one SQLite connection. Threads of one process may share it; processes may not."""

    def __init__(self, connection: sqlite3.Connection, path: Path, new_id: Callable[[], str]) -> None:
        self._connection = connection
        self._path = path
        self._new_id = new_id
        self._mutex = threading.RLock()
        self._failure: Diagnostic | None = None
        # Every write moves the head of the journal, so that an equal head means an equal state.
        self._seen = State("")
        self._parsed: dict[tuple[str, str, str, int], Row] = {}

    @property
    def path(self) -> str:
        return str(self._path)

    def close(self) -> None:
        with self._mutex:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        with self._mutex:
            if self._failure is not None:
                raise StoreFailed(self._failure)
            try:
                self._connection.execute(begin)
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.ProgrammingError:
                # A closed store, or a value that SQLite does not take: a mistake of the caller.
                self._roll_back()
                raise
            except sqlite3.Error as problem:
                self._roll_back()
                raise StoreFailed(self._failed(problem)) from problem
            except BaseException:
                self._roll_back()
                raise

    def _failed(self, problem: sqlite3.Error) -> Diagnostic:
        diagnostic = diagnose(problem, self._path)
        if getattr(problem, "sqlite_errorcode", 0) & 0xFF in _BROKEN:
            # A handle that failed to reach the disk once is not believed again.
            self._failure = diagnostic
        return diagnostic

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as problem:
                self._failure = diagnose(problem, self._path)

    # --- reading ----------------------------------------------------------------------------------

    def snapshot(self) -> State:
        with self._transaction("BEGIN") as db:
            environment, lineage, serial, head = db.execute(
                "SELECT environment, lineage, serial, head FROM meta"
            ).fetchone()
            if self._seen.head != head:
                stored = db.execute(f"SELECT kind, id, {_ROW} FROM record").fetchall()
                self._seen = state_of(environment, lineage, serial, head, self._parse_changed(stored))
            return self._seen

    def _parse_changed(self, stored: list[Any]) -> list[Row]:
        """Rows that are still the ones of the last snapshot are not parsed again."""
        known, self._parsed = self._parsed, {}
        for kind, identity, *columns in stored:
            key = (kind, identity, columns[1], columns[2])
            self._parsed[key] = known.get(key) or _parse(kind, *columns)
        return list(self._parsed.values())

    def body(self, operation_id: str) -> bytes | None:
        with self._transaction("BEGIN") as db:
            found = db.execute(
                "SELECT body FROM record WHERE kind = 'operation' AND id = ?", (operation_id,)
            ).fetchone()
        return found[0] if found else None

    def events(self, after: int = 0) -> tuple[Event, ...]:
        with self._transaction("BEGIN") as db:
            rows = db.execute("SELECT document FROM event WHERE number > ? ORDER BY number", (after,)).fetchall()
        return tuple(parse_event(text) for (text,) in rows)

    # --- the lease --------------------------------------------------------------------------------

    def acquire(self, holder: Holder, now: datetime, ttl: timedelta) -> Lease | Held:
        with self._transaction() as db:
            held = _held(db)
            if held is not None and now < held.expires:
                return held
            (epoch,) = db.execute("SELECT epoch FROM lease").fetchone()
            lease = Lease(epoch + 1, self._new_id(), holder, now, now + ttl, held)
            _set_lease(db, lease)
            what = "lease.acquired" if held is None else "lease.taken_over"
            _append(db, now, what, lease.epoch, 0, (), {**_named(_as_held(lease)), "from": held and _named(held)})
        checkpoint("store." + what)
        return lease

    def renew(self, lease: Lease, now: datetime, ttl: timedelta) -> Lease:
        with self._transaction() as db:
            _fence(db, lease)
            renewed = replace(lease, expires=now + ttl)
            _set_lease(db, renewed)
        checkpoint("store.lease.renewed")
        return renewed

    def release(self, lease: Lease, now: datetime) -> None:
        with self._transaction() as db:
            freed = db.execute(
                "UPDATE lease SET lock_id = '' WHERE epoch = ? AND lock_id = ?", (lease.epoch, lease.id)
            ).rowcount
            if freed:
                _append(db, now, "lease.released", lease.epoch, 0, (), {"lock_id": lease.id})
        if freed:
            checkpoint("store.lease.released")

    def holder(self) -> Held | None:
        with self._transaction("BEGIN") as db:
            return _held(db)

    def force_release(self, lock_id: str, now: datetime, by: str) -> Literal["released", "wrong_id", "not_held"]:
        with self._transaction() as db:
            held = _held(db)
            if held is None:
                return "not_held"
            if held.lock_id != lock_id:
                return "wrong_id"
            db.execute("UPDATE lease SET epoch = epoch + 1, lock_id = ''")
            (epoch,) = db.execute("SELECT epoch FROM lease").fetchone()
            _append(db, now, "lease.forced", epoch, 0, (), {"by": by, "from": _named(held)})
        checkpoint("store.lease.forced")
        return "released"

    # --- writing ----------------------------------------------------------------------------------

    def write(self, lease: Lease, now: datetime, what: str, *rows: Row | Removal) -> tuple[Row, ...]:
        with self._transaction() as db:
            _fence(db, lease)
            changes: list[Change] = []
            stored: list[Row] = []
            serials = 0
            for item in rows:
                row, change = self._apply(db, now, item)
                if row is not None:
                    stored.append(row)
                if change is not None:
                    changes.append(change)
                    serials |= isinstance(item.row if isinstance(item, Removal) else item, Resource | Occurrence)
            if changes:
                _append(db, now, what, lease.epoch, int(serials), tuple(changes), {})
        if changes:
            checkpoint("store.write." + what)
        return tuple(stored)

    def _apply(self, db: sqlite3.Connection, now: datetime, item: Row | Removal) -> tuple[Row | None, Change | None]:
        row = item.row if isinstance(item, Removal) else item
        before = _current(db, row)
        if isinstance(item, Removal):
            return None, _remove(db, row)
        check_row(before, row)
        if before is not None and _same(db, before, row):
            return before, None
        stamp = _next_stamp(before, now, self._new_id)
        return _store(db, before, replace(row, stamp=stamp))


# --- rows -----------------------------------------------------------------------------------------

_ROW = "document, incarnation, revision, created_at, updated_at"


def _parse(kind: str, document: str, incarnation: str, revision: int, created_at: str, updated_at: str) -> Row:
    stamp = Stamp(incarnation, revision, parse_time(created_at), parse_time(updated_at))
    return parse_row(kind, json.loads(document), stamp)


def _current(db: sqlite3.Connection, row: Row) -> Row | None:
    """The stored row of that id, if the given one was read from it; None if both say that it is new."""
    kind, identity = row_kind(row), row_id(row)
    found = db.execute(f"SELECT {_ROW} FROM record WHERE kind = ? AND id = ?", (kind, identity)).fetchone()
    stored = _parse(kind, *found) if found else None
    seen = (row.stamp.incarnation, row.stamp.revision)
    if seen != ((stored.stamp.incarnation, stored.stamp.revision) if stored else ("", 0)):
        raise RowChanged(kind, identity)
    return stored


def _stored_body(db: sqlite3.Connection, row: Row) -> bytes | None:
    found = db.execute("SELECT body FROM record WHERE kind = ? AND id = ?", (row_kind(row), row_id(row))).fetchone()
    return found[0] if found else None


def _new_body(db: sqlite3.Connection, row: Row) -> bytes | None:
    """The body to store: the given one, else the stored one, which must still be the one that the row names."""
    if not isinstance(row, Operation) or row.body is not None:
        return row.body if isinstance(row, Operation) else None
    stored = _stored_body(db, row)
    if stored is None:
        return None
    check_row(None, replace(row, body=stored))
    return stored


def _same(db: sqlite3.Connection, before: Row, after: Row) -> bool:
    same_body = not isinstance(after, Operation) or after.body in (None, _stored_body(db, before))
    return same_body and row_content(before) == row_content(after)


def _next_stamp(before: Row | None, now: datetime, new_id: Callable[[], str]) -> Stamp:
    if before is None:
        return Stamp(new_id(), 1, now, now)
    return replace(before.stamp, revision=before.stamp.revision + 1, updated_at=now)


def _store(db: sqlite3.Connection, before: Row | None, row: Row) -> tuple[Row, Change]:
    kind, identity, stamp = row_kind(row), row_id(row), row.stamp
    text = canonical(row_content(row)).decode()
    body = _new_body(db, row)
    assert stamp.created_at is not None and stamp.updated_at is not None
    marks = (stamp.incarnation, stamp.revision, iso_time(stamp.created_at), iso_time(stamp.updated_at))
    if before is None:
        db.execute(
            "INSERT INTO record (kind, id, document, incarnation, revision, created_at, updated_at, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (kind, identity, text, *marks, body),
        )
    else:
        changed = db.execute(
            "UPDATE record SET document = ?, incarnation = ?, revision = ?, created_at = ?, updated_at = ?, body = ?"
            " WHERE kind = ? AND id = ? AND incarnation = ? AND revision = ?",
            (text, *marks, body, kind, identity, before.stamp.incarnation, before.stamp.revision),
        ).rowcount
        if changed != 1:
            raise RowChanged(kind, identity)
    evidence = row.evidence if isinstance(row, Operation) else ""
    old = None if before is None else row_state(before)
    change = Change(kind, identity, stamp.revision, old, row_state(row), row_hash(text, marks, body), evidence)
    # Read back through the same door as later, so that what is returned is what is stored.
    return _parse(kind, text, *marks), change


def _remove(db: sqlite3.Connection, row: Row) -> Change:
    kind, identity = row_kind(row), row_id(row)
    check_removal(row)
    gone = db.execute(
        "DELETE FROM record WHERE kind = ? AND id = ? AND incarnation = ? AND revision = ?",
        (kind, identity, row.stamp.incarnation, row.stamp.revision),
    ).rowcount
    if gone != 1:
        raise RowChanged(kind, identity)
    return Change(kind, identity, row.stamp.revision, row_state(row), None, None)


# --- journal and lease ----------------------------------------------------------------------------


def _append(
    db: sqlite3.Connection, now: datetime, what: str, epoch: int, serials: int, changes: tuple[Change, ...],
    attributes: dict[str, object],
) -> None:  # fmt: skip
    serial, count, head = db.execute("SELECT serial, events, head FROM meta").fetchone()
    text = event_text(Event(count + 1, now, what, epoch, serial + serials, changes, attributes))
    head = chained(head, text)
    db.execute("INSERT INTO event (number, document, hash) VALUES (?, ?, ?)", (count + 1, text, head))
    db.execute("UPDATE meta SET serial = ?, events = ?, head = ?", (serial + serials, count + 1, head))


def _fence(db: sqlite3.Connection, lease: Lease) -> None:
    found = db.execute("SELECT 1 FROM lease WHERE epoch = ? AND lock_id = ?", (lease.epoch, lease.id)).fetchone()
    if found is None:
        raise LeaseLost(lease.id)


def _held(db: sqlite3.Connection) -> Held | None:
    by, host, pid, operation, since, expires, lock_id = db.execute(
        "SELECT by, host, pid, operation, since, expires, lock_id FROM lease"
    ).fetchone()
    if not lock_id:
        return None
    return Held(by, host, pid, operation, parse_time(since), parse_time(expires), lock_id)


def _as_held(lease: Lease) -> Held:
    holder = lease.holder
    return Held(
        holder.name, holder.host, holder.pid, holder.operation, lease.since, lease.expires, lease.id
    )  # fmt: skip


def _set_lease(db: sqlite3.Connection, lease: Lease) -> None:
    held = _as_held(lease)
    db.execute(
        "UPDATE lease SET epoch = ?, by = ?, host = ?, pid = ?, operation = ?, since = ?, expires = ?, lock_id = ?",
        (
            lease.epoch, held.by, held.host, held.pid, held.operation,
            iso_time(held.since), iso_time(held.expires), held.lock_id,
        ),
    )  # fmt: skip


def _named(held: Held) -> dict[str, object]:
    return {
        "by": held.by, "host": held.host, "pid": held.pid, "operation": held.operation,
        "since": iso_time(held.since), "lock_id": held.lock_id,
    }  # fmt: skip
