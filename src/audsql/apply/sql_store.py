"""The state in the tables of a database: rows as canonical JSON with their stamp, the lease, the journal.

Each event repeats the digest of every row that it changed, so that a byte flipped behind the database's back is
found at the next opening. What differs between databases (how a transaction begins, what an error means) stands
behind a `Door`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from audsql.apply.backup import backup_of, put_back
from audsql.apply.door import Door, Failure
from audsql.apply.journal import Change, Event, chained, checkpoint, parse_event, row_hash
from audsql.apply.keyed import close_bodies, closed_body, is_keyed, opened_body, signed_text
from audsql.apply.ledger_stored import close_secret
from audsql.apply.rules import check_removal, check_row
from audsql.apply.state import (
    UNSTORED,
    FlowVersion,
    HeldCoupon,
    Occurrence,
    Operation,
    Resolution,
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

if TYPE_CHECKING:
    from audsql.apply.ledger_sql import SqlLedger

__all__ = ["SqlStore", "append_event", "fence"]

# Rows that a plan is made for: a change of one makes every plan of before stale (state.serial).
_OF_PLANS = Resource | Occurrence | FlowVersion | HeldCoupon


class SqlStore:
    """`Store` over one connection. Threads of one process may share it; processes may not."""

    def __init__(self, door: Door, new_id: Callable[[], str]) -> None:
        self._door = door
        self._new_id = new_id
        self._mutex = threading.RLock()
        self._failure: Diagnostic | None = None
        self._all_closed = False
        self._ledger: SqlLedger | None = None
        # Every write moves the head of the journal, so that an equal head means an equal state.
        self._seen = State("")
        self._parsed: dict[tuple[str, str, str, int], Row] = {}

    @property
    def path(self) -> str:
        return self._door.name

    def close(self) -> None:
        with self._mutex:
            self._door.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[Door]:
        """One transaction of this store. Raises StoreFailed; then nothing of it happened."""
        with self._mutex:
            if self._failure is not None:
                raise StoreFailed(self._failure)
            try:
                self._door.begin(write=write)
                yield self._door
                self._door.commit()
            except Failure as failure:
                self._roll_back()
                if failure.broken:
                    # A connection that failed once is not believed again.
                    self._failure = failure.diagnostic
                raise StoreFailed(failure.diagnostic) from failure
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        try:
            self._door.roll_back()
        except Failure as failure:
            self._failure = failure.diagnostic

    # --- reading ----------------------------------------------------------------------------------

    def snapshot(self) -> State:
        with self.transaction(write=False) as db:
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
        with self.transaction(write=False) as db:
            found = db.execute(
                "SELECT body FROM record WHERE kind = 'operation' AND id = ?", (operation_id,)
            ).fetchone()
            return opened_body(db, "operation", operation_id, found[0]) if found else None

    def events(self, after: int = 0) -> tuple[Event, ...]:
        with self.transaction(write=False) as db:
            rows = db.execute("SELECT document FROM event WHERE number > ? ORDER BY number", (after,)).fetchall()
        return tuple(parse_event(text) for (text,) in rows)

    def written(self) -> int:
        with self.transaction(write=False) as db:
            return int(db.execute("SELECT events FROM meta").fetchone()[0])

    def ledger(self) -> SqlLedger:
        """What is remembered of single persons; its tables are made with the first write."""
        from audsql.apply.ledger_sql import SqlLedger

        with self._mutex:
            self._ledger = self._ledger or SqlLedger(self)
            return self._ledger

    def keyed(self) -> bool:
        """Whether the last event is signed with a key."""
        with self.transaction(write=False) as db:
            return is_keyed(db.execute)

    def compact(self) -> None:
        """Leave nothing of what was overwritten, where the database keeps such things in files of ours."""

    def backup(self) -> dict[str, Any]:
        with self.transaction(write=False) as db:
            return backup_of(db)

    def put_back(self, document: dict[str, Any], environment: str, now: datetime) -> Literal["written", "same"] | Held:
        with self.transaction() as db:
            held = _held(db, db.locking)
            if held is not None and now < held.expires:
                return held
            verdict = put_back(db, document, environment)
        checkpoint("store.put_back")
        return verdict

    # --- the lease --------------------------------------------------------------------------------

    def acquire(self, holder: Holder, now: datetime, ttl: timedelta) -> Lease | Held:
        with self.transaction() as db:
            held = _held(db, db.locking)
            if held is not None and now < held.expires:
                return held
            (epoch,) = db.execute(f"SELECT epoch FROM lease{db.locking}").fetchone()
            lease = Lease(epoch + 1, self._new_id(), holder, now, now + ttl, held)
            _set_lease(db, lease)
            what = "lease.acquired" if held is None else "lease.taken_over"
            append_event(db, now, what, lease.epoch, 0, (), {**_named(_as_held(lease)), "from": held and _named(held)})
        checkpoint("store." + what)
        return lease

    def renew(self, lease: Lease, now: datetime, ttl: timedelta) -> Lease:
        with self.transaction() as db:
            fence(db, lease)
            renewed = replace(lease, expires=now + ttl)
            _set_lease(db, renewed)
        checkpoint("store.lease.renewed")
        return renewed

    def release(self, lease: Lease, now: datetime) -> None:
        with self.transaction() as db:
            freed = db.execute(
                "UPDATE lease SET lock_id = '' WHERE epoch = ? AND lock_id = ?", (lease.epoch, lease.id)
            ).rowcount
            if freed:
                append_event(db, now, "lease.released", lease.epoch, 0, (), {"lock_id": lease.id})
        if freed:
            checkpoint("store.lease.released")

    def holder(self) -> Held | None:
        with self.transaction(write=False) as db:
            return _held(db)

    def force_release(self, lock_id: str, now: datetime, by: str) -> Literal["released", "wrong_id", "not_held"]:
        with self.transaction() as db:
            held = _held(db, db.locking)
            if held is None:
                return "not_held"
            if held.lock_id != lock_id:
                return "wrong_id"
            db.execute("UPDATE lease SET epoch = epoch + 1, lock_id = ''")
            (epoch,) = db.execute("SELECT epoch FROM lease").fetchone()
            append_event(db, now, "lease.forced", epoch, 0, (), {"by": by, "from": _named(held)})
        checkpoint("store.lease.forced")
        return "released"

    # --- writing ----------------------------------------------------------------------------------

    def write(self, lease: Lease, now: datetime, what: str, *rows: Row | Removal) -> tuple[Row, ...]:
        with self.transaction() as db:
            fence(db, lease)
            changes: list[Change] = []
            stored: list[Row] = []
            serials = 0
            for item in rows:
                row, change = self._apply(db, now, item)
                if row is not None:
                    stored.append(row)
                if change is not None:
                    changes.append(change)
                    serials |= isinstance(item.row if isinstance(item, Removal) else item, _OF_PLANS)
            if changes:
                changes += self._closed(db)
                append_event(db, now, what, lease.epoch, int(serials), tuple(changes), {})
        if changes:
            checkpoint("store.write." + what)
        return tuple(stored)

    def note(self, now: datetime, what: str, *rows: Resolution) -> tuple[Row, ...]:
        with self.transaction() as db:
            # The lease is not asked for, only held still: writers go one after the other.
            (epoch,) = db.execute(f"SELECT epoch FROM lease{db.locking}").fetchone()
            done = [self._apply(db, now, replace(row, stamp=UNSTORED)) for row in rows]
            changes = tuple(change for _, change in done if change is not None)
            if changes:
                append_event(db, now, what, epoch, 0, changes, {})
        if changes:
            checkpoint("store.note." + what)
        return tuple(row for row, _ in done if row is not None)

    def _closed(self, db: Door) -> tuple[Change, ...]:
        """Once, what stands open from before the key is closed with the first write."""
        if self._all_closed:
            return ()
        changes = close_bodies(db)
        close_secret(db)
        self._all_closed = True
        return changes

    def _apply(self, db: Door, now: datetime, item: Row | Removal) -> tuple[Row | None, Change | None]:
        row = item.row if isinstance(item, Removal) else item
        before = _current(db, row)
        if isinstance(item, Removal):
            return None, _remove(db, row)
        content = row_content(row)
        check_row(before, row, content)
        if before is not None and _same(db, before, row, content):
            return before, None
        stamp = _next_stamp(before, now, self._new_id)
        return _store(db, before, replace(row, stamp=stamp))


# --- rows -----------------------------------------------------------------------------------------

_ROW = "document, incarnation, revision, created_at, updated_at"


def _parse(kind: str, document: str, incarnation: str, revision: int, created_at: str, updated_at: str) -> Row:
    stamp = Stamp(incarnation, revision, parse_time(created_at), parse_time(updated_at))
    return parse_row(kind, json.loads(document), stamp)


def _current(db: Door, row: Row) -> Row | None:
    """The stored row of that id, if the given one was read from it; None if both say that it is new."""
    kind, identity = row_kind(row), row_id(row)
    found = db.execute(f"SELECT {_ROW} FROM record WHERE kind = ? AND id = ?", (kind, identity)).fetchone()
    stored = _parse(kind, *found) if found else None
    seen = (row.stamp.incarnation, row.stamp.revision)
    if seen != ((stored.stamp.incarnation, stored.stamp.revision) if stored else ("", 0)):
        raise RowChanged(kind, identity)
    return stored


def _stored_body(db: Door, row: Row) -> bytes | None:
    found = db.execute("SELECT body FROM record WHERE kind = ? AND id = ?", (row_kind(row), row_id(row))).fetchone()
    return opened_body(db, row_kind(row), row_id(row), found[0]) if found else None


def _new_body(db: Door, row: Row) -> bytes | None:
    """The body to store: the given one, else the stored one, which must still be the one that the row names."""
    if not isinstance(row, Operation) or row.body is not None:
        return row.body if isinstance(row, Operation) else None
    stored = _stored_body(db, row)
    if stored is None:
        return None
    check_row(None, replace(row, body=stored))
    return stored


def _same(db: Door, before: Row, after: Row, content: Mapping[str, Any]) -> bool:
    if row_state(before) != row_state(after):
        return False
    same_body = not isinstance(after, Operation) or after.body in (None, _stored_body(db, before))
    return same_body and row_content(before) == content


def _next_stamp(before: Row | None, now: datetime, new_id: Callable[[], str]) -> Stamp:
    if before is None:
        return Stamp(new_id(), 1, now, now)
    return replace(before.stamp, revision=before.stamp.revision + 1, updated_at=now)


def _store(db: Door, before: Row | None, row: Row) -> tuple[Row, Change]:
    kind, identity, stamp = row_kind(row), row_id(row), row.stamp
    text = canonical(row_content(row)).decode()
    body = closed_body(db, kind, identity, _new_body(db, row))
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


def _remove(db: Door, row: Row) -> Change:
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


def append_event(
    db: Door, now: datetime, what: str, epoch: int, serials: int, changes: tuple[Change, ...],
    attributes: dict[str, object],
) -> None:  # fmt: skip
    """Add an event to the journal; `serials`: by how much the serial rises. Within a write transaction."""
    serial, count, head = db.execute("SELECT serial, events, head FROM meta").fetchone()
    text = signed_text(db, Event(count + 1, now, what, epoch, serial + serials, changes, attributes), head)
    head = chained(head, text)
    db.execute("INSERT INTO event (number, document, hash) VALUES (?, ?, ?)", (count + 1, text, head))
    db.execute("UPDATE meta SET serial = ?, events = ?, head = ?", (serial + serials, count + 1, head))


def fence(db: Door, lease: Lease) -> None:
    """Raise LeaseLost where this lease does not stand. Within a write transaction, before its other statements."""
    # The rows that are read stay held: that the lease stands and what it writes are one decision.
    found = db.execute(
        f"SELECT 1 FROM lease WHERE epoch = ? AND lock_id = ?{db.locking}", (lease.epoch, lease.id)
    ).fetchone()
    if found is None:
        raise LeaseLost(lease.id)


def _held(db: Door, locking: str = "") -> Held | None:
    by, host, pid, operation, since, expires, lock_id = db.execute(
        f"SELECT by, host, pid, operation, since, expires, lock_id FROM lease{locking}"
    ).fetchone()
    if not lock_id:
        return None
    return Held(by, host, pid, operation, parse_time(since), parse_time(expires), lock_id)


def _as_held(lease: Lease) -> Held:
    holder = lease.holder
    return Held(
        holder.name, holder.host, holder.pid, holder.operation, lease.since, lease.expires, lease.id
    )  # fmt: skip


def _set_lease(db: Door, lease: Lease) -> None:
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
