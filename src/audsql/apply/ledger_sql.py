"""The ledger in the tables of a state: `audsql.apply.ledger.Ledger` over a `Door`.

Its tables are made with the first write, so that a state of an earlier version opens as it is and a project without
flows never has them. Every write is serialised by the lease, so that what a transaction reads stays so until it ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from audsql.apply import ledger_rows as rows_of
from audsql.apply.door import Door, Taken
from audsql.apply.journal import checkpoint
from audsql.apply.ledger import (
    BATCH_UNSENT,
    Assigned,
    Batch,
    BatchState,
    Beat,
    Occupied,
    Opening,
    Place,
    PlaceState,
    Secret,
    Sent,
    Standing,
)
from audsql.apply.ledger_rows import EMPTY, KEYS, NAMES, Head, Raw, instant_of, micros, weight
from audsql.apply.ledger_stored import read_head, verify_ledger, write_head
from audsql.apply.store import Lease, RowChanged, RuleBroken
from audsql.plan.document import canonical
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.apply.sql_store import SqlStore

__all__ = ["SqlLedger"]

T = TypeVar("T")

# As many parameters as every database takes in one statement, and as many rows as are held at once.
_ASKED_MAX = 500
_ROWS_MAX = 50_000
_PLACES = f"SELECT {', '.join(NAMES['place'])} FROM ledger_place"
_BATCHES = f"SELECT {', '.join(NAMES['batch'])} FROM ledger_batch"
_SENT = f"SELECT {', '.join(NAMES['sent'])} FROM ledger_sent"
_CODES = f"SELECT {', '.join(NAMES['code'])} FROM ledger_code"


@dataclass(slots=True)
class _Work:
    """One write on its way: what the ledger will hold, and how many rows of each table it touched."""

    db: Door
    head: Head
    touched: dict[str, int] = field(default_factory=dict)

    def insert(self, table: str, rows: Sequence[Raw]) -> None:
        if rows:
            self.db.insert_many(f"ledger_{table}", NAMES[table], rows)
            self._count(table, len(rows), len(rows), weight(table, rows))

    def update(self, table: str, before: Sequence[Raw], after: Sequence[Raw]) -> None:
        """Rows that stood as `before` stand as `after` from now on."""
        if not after:
            return
        names, keys = NAMES[table], KEYS[table]
        columns = [name for name in names if name not in keys]
        places = [names.index(name) for name in (*columns, *keys)]
        changed = [tuple(row[place] for place in places) for row in after]
        self.db.update_many(f"ledger_{table}", columns, keys, changed)
        self._count(table, len(after), 0, weight(table, after) - weight(table, before))

    def delete(self, table: str, rows: Sequence[Raw]) -> None:
        places = [NAMES[table].index(name) for name in KEYS[table]]
        where = " AND ".join(f"{name} = ?" for name in KEYS[table])
        for row in rows:
            self.db.execute(f"DELETE FROM ledger_{table} WHERE {where}", tuple(row[place] for place in places))
        if rows:
            self._count(table, len(rows), -len(rows), -weight(table, rows))

    def _count(self, table: str, touched: int, more: int, added: int) -> None:
        self.touched[table] = self.touched.get(table, 0) + touched
        self.head = self.head.moved(table, more, added)


class SqlLedger:
    """`Ledger` of one opened state."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._there = False
        self._written = False

    @property
    def written(self) -> bool:
        return self._written

    # --- places -----------------------------------------------------------------------------------

    def enter(self, lease: Lease, now: datetime, what: str, places: Sequence[Place]) -> None:
        with self._writing(lease, now, what) as work:
            # In the order of their keys, so that a million of them is written side by side.
            for some in _parts(sorted(places, key=_place_key), _ROWS_MAX):
                for place in some:
                    rows_of.check_place(place)
                work.insert("place", [rows_of.place_row(place, 1) for place in some])

    def move(self, lease: Lease, now: datetime, what: str, places: Sequence[Place]) -> None:
        with self._writing(lease, now, what) as work:
            _move(work, places)

    def carry(self, lease: Lease, now: datetime, what: str, pairs: Sequence[tuple[Place, Place]]) -> None:
        with self._writing(lease, now, what) as work:
            for some in _parts(pairs, _ROWS_MAX):
                stored = _stored_places(work.db, [gone for gone, _ in some])
                gone = [stored.get((one.flow, one.person, one.entry)) for one, _ in some]
                for (place, _), row in zip(some, gone, strict=True):
                    if row is None or row[-1] != place.revision:
                        raise RowChanged("place", place.flow)
                for _, place in some:
                    rows_of.check_place(place)
                work.delete("place", [row for row in gone if row is not None])
                work.insert("place", [rows_of.place_row(place, 1) for _, place in some])

    def places(
        self,
        flow: str | None = None,
        *,
        states: Sequence[PlaceState] = (),
        due_by: datetime | None = None,
        batch: str | None = None,
    ) -> list[Place]:
        where, values = _where({"flow": flow, "batch": batch}, states)
        if due_by is not None:
            where, values = [*where, "due_at <= ?"], [*values, micros(due_by)]
        with self._reading() as db:
            found = _rows(db, f"{_PLACES}{_said(where)} ORDER BY flow, person, entry", values)
        return [rows_of.place_of(row) for row in found]

    def standings(self, flow: str | None = None) -> tuple[Standing, ...]:
        where, values = _where({"flow": flow}, ())
        text = f"SELECT flow, version, step, state, count(*), min(due_at) FROM ledger_place{_said(where)}"
        group = " GROUP BY flow, version, step, state ORDER BY flow, version, step, state"
        with self._reading() as db:
            found = _rows(db, text + group, values)
        return tuple(Standing(*row[:-1], instant_of(row[-1])) for row in found)  # type: ignore[call-arg]

    def persons_of(self, flow: str) -> dict[bytes, Place]:
        # Entries are numbers or digests: of two that were made at once the later number counts.
        order = " ORDER BY entered_at, length(entry), entry"
        with self._reading() as db:
            found = _rows(db, f"{_PLACES} WHERE flow = ?{order}", [flow])
        return {row[1]: rows_of.place_of(row) for row in found}

    def entries_of(self, flow: str) -> frozenset[tuple[bytes, str]]:
        with self._reading() as db:
            return frozenset(map(tuple, _rows(db, "SELECT person, entry FROM ledger_place WHERE flow = ?", [flow])))

    # --- batches ----------------------------------------------------------------------------------

    def open_batches(self, lease: Lease, now: datetime, what: str, openings: Sequence[Opening]) -> None:
        for opening in openings:
            _check_opening(opening)
        with self._writing(lease, now, what) as work:
            work.insert("batch", [rows_of.batch_row(one.batch, 1) for one in openings])
            _move(work, [place for one in openings for place in one.places])
            for some in _parts(sorted((sent for one in openings for sent in one.sent), key=_sent_key), _ROWS_MAX):
                work.insert("sent", [rows_of.sent_row(sent) for sent in some])

    def put_batch(
        self,
        lease: Lease,
        now: datetime,
        what: str,
        batch: Batch,
        places: Sequence[Place] = (),
        *,
        withdrawn: Sequence[bytes] = (),
        sent_at: datetime | None = None,
    ) -> Batch:
        with self._writing(lease, now, what) as work:
            found = _rows(work.db, f"{_BATCHES} WHERE id = ?", [batch.id])
            if not found or found[0][-1] != batch.revision:
                raise RowChanged("batch", batch.id)
            before = rows_of.batch_of(found[0])
            rows_of.check_batch(before, batch)
            body = None if batch.state in rows_of.BATCH_CLOSED else batch.body or before.body
            batch = replace(batch, body=body)
            if batch != before:
                batch = replace(batch, revision=before.revision + 1)
                work.update("batch", found, [rows_of.batch_row(batch, batch.revision)])
            for some in _parts(withdrawn, _ASKED_MAX):
                work.delete(
                    "sent", _rows(work.db, f"{_SENT} WHERE batch = ? AND person IN ({_marks(some)})", [batch.id, *some])
                )
            if sent_at is not None:
                place = NAMES["sent"].index("at")
                stored = _rows(work.db, f"{_SENT} WHERE batch = ? ORDER BY person", [batch.id])
                later = [row for row in stored if row[place] < micros(sent_at)]
                work.update("sent", later, [(*row[:place], micros(sent_at), *row[place + 1 :]) for row in later])
            _move(work, places)
        return batch

    def batches(self, owner: str | None = None, *, states: Sequence[BatchState] = ()) -> list[Batch]:
        where, values = _where({"owner": owner}, states)
        with self._reading() as db:
            found = _rows(db, f"{_BATCHES}{_said(where)} ORDER BY created_at, id", values)
        return [rows_of.batch_of(row) for row in found]

    def people_of(self, batch: str) -> list[bytes]:
        with self._reading() as db:
            found = _rows(db, "SELECT person FROM ledger_sent WHERE batch = ? ORDER BY person", [batch])
        return [person for (person,) in found]

    # --- what was sent ----------------------------------------------------------------------------

    def remember_sent(self, lease: Lease, now: datetime, what: str, rows: Sequence[Sent]) -> None:
        rows_of.check_sent(rows)
        with self._writing(lease, now, what) as work:
            different = {_sent_key(one): one for one in rows}
            for some in _parts(map(different.__getitem__, sorted(different)), _ROWS_MAX):
                known = _known_sent(work.db, some)
                fresh = [one for one in some if _sent_key(one) not in known]
                work.insert("sent", [rows_of.sent_row(one) for one in fresh])

    def sent_times(
        self, account: str, since: datetime, persons: Sequence[bytes] | None = None, owners: Sequence[str] = ()
    ) -> dict[bytes, list[datetime]]:
        unsent = sorted(BATCH_UNSENT)
        text = (
            "SELECT person, at FROM ledger_sent LEFT JOIN ledger_batch ON ledger_batch.id = ledger_sent.batch"
            " WHERE ledger_sent.account = ? AND at >= ? AND (ledger_batch.state IS NULL"
            f" OR ledger_batch.state NOT IN ({_marks(unsent)}))"
        )
        values: list[object] = [account, micros(since), *unsent]
        if owners:
            text, values = f"{text} AND ledger_sent.owner NOT IN ({_marks(owners)})", [*values, *owners]
        if persons is not None and len(persons) <= _ASKED_MAX:
            if not persons:
                return {}
            text, values = f"{text} AND person IN ({_marks(persons)})", [*values, *persons]
        wanted = None if persons is None else set(persons)
        found: dict[bytes, list[datetime]] = {}
        with self._reading() as db:
            for person, at in _rows(db, f"{text} ORDER BY at, person", values):
                if wanted is None or person in wanted:
                    found.setdefault(person, []).append(instant_of(at))
        return found

    def was_sent(self, owner: str, occurrence: str) -> frozenset[bytes]:
        with self._reading() as db:
            text = "SELECT person FROM ledger_sent WHERE owner = ? AND occurrence = ?"
            return frozenset(person for (person,) in _rows(db, text, [owner, occurrence]))

    # --- codes ------------------------------------------------------------------------------------

    def assign(self, lease: Lease, now: datetime, what: str, rows: Sequence[Assigned]) -> None:
        if any(len(one.person) != rows_of.PERSON_BYTES for one in rows):
            raise RuleBroken("a person in the ledger is 16 bytes")
        with self._writing(lease, now, what) as work:
            for some in _parts(rows, _ROWS_MAX):
                work.insert("code", [rows_of.assigned_row(one) for one in some])

    def assigned(self, pool: str) -> tuple[Assigned, ...]:
        with self._reading() as db:
            found = _rows(db, f"{_CODES} WHERE pool = ? ORDER BY code", [pool])
        return tuple(rows_of.assigned_of(row) for row in found)

    # --- runners ----------------------------------------------------------------------------------

    def beat(self, beat: Beat) -> None:
        row = (micros(beat.at), beat.host, beat.pid, canonical(beat.document).decode(), beat.name)
        with self._store.transaction() as db:
            if not db.has_table("ledger_beat"):
                # Two that make the table wait for each other where writers wait: at the lease.
                db.execute(f"SELECT epoch FROM lease{db.locking}").fetchone()
                if not db.has_table("ledger_beat"):
                    db.make_beats()
            text = "UPDATE ledger_beat SET at = ?, host = ?, pid = ?, document = ? WHERE name = ?"
            if not db.execute(text, row).rowcount:
                db.execute("INSERT INTO ledger_beat (at, host, pid, document, name) VALUES (?, ?, ?, ?, ?)", row)

    def beats(self) -> tuple[Beat, ...]:
        with self._store.transaction(write=False) as db:
            if not db.has_table("ledger_beat"):
                return ()
            found = db.execute("SELECT name, at, host, pid, document FROM ledger_beat ORDER BY name").fetchall()
        return tuple(Beat(name, instant_of(at), host, pid, json.loads(text)) for name, at, host, pid, text in found)

    # --- a person who is to be forgotten ----------------------------------------------------------

    def forget(self, lease: Lease, now: datetime, persons: Sequence[bytes]) -> int:
        with self._writing(lease, now, "ledger.forgotten") as work:
            for some in _parts(persons, _ASKED_MAX):
                asked = f" WHERE person IN ({_marks(some)})"
                sent = _rows(work.db, _SENT + asked, some)
                _empty_bodies(work, {row[-1] for row in sent if row[-1]})
                work.delete("sent", sent)
                work.delete("place", _rows(work.db, _PLACES + asked, some))
                # The code stays taken: nobody else may get it.
                codes = _rows(work.db, _CODES + asked, some)
                work.update("code", codes, [(*row[:2], b"", *row[3:]) for row in codes])
            return sum(work.touched.get(table, 0) for table in ("sent", "place", "code"))

    # --- the secret -------------------------------------------------------------------------------

    def secret(self) -> Secret:
        with self._reading() as db:
            if db is None:
                return Secret()
            head, closed = read_head(db)
        return Secret(head.secret_id, closed, any(head.counts))

    def keep_secret(self, lease: Lease, now: datetime, secret_id: str, closed: bytes | None) -> None:
        with self._writing(lease, now, "ledger.secret") as work:
            if work.head.secret_id not in ("", secret_id) and any(work.head.counts):
                raise RuleBroken("people stand in the ledger under another secret")
            work.db.execute("UPDATE ledger_meta SET closed = ?", (closed,))
            work.head = replace(work.head, secret_id=secret_id)

    # --- transactions -----------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Door | None]:
        """One instant of the ledger; None where there is none yet."""
        with self._store.transaction(write=False) as db:
            yield db if self._is_there(db) else None

    @contextmanager
    def _writing(self, lease: Lease, now: datetime, what: str) -> Iterator[_Work]:
        from audsql.apply.sql_store import append_event, fence

        try:
            with self._store.transaction() as db:
                fence(db, lease)
                if not self._is_there(db):
                    db.make_ledger()
                    write_head(db, EMPTY, new=True)
                head, _ = read_head(db)
                work = _Work(db, head)
                yield work
                changed = work.head != head or bool(work.touched)
                if changed:
                    write_head(db, work.head)
                    touched = dict(sorted(work.touched.items()))
                    attributes: dict[str, object] = {"ledger": work.head.document, "rows": touched}
                    append_event(db, now, what, lease.epoch, 0, (), attributes)
        except Taken:
            raise Occupied(what) from None
        self._there = True
        if changed:
            self._written = True
            checkpoint("store.ledger." + what)

    def _is_there(self, db: Door) -> bool:
        """Whether the tables are made; what stands in them is verified before anything is read from them."""
        if not self._there and db.has_table("ledger_meta"):
            verify_ledger(db)
            self._there = True
        return self._there


_place_key: Callable[[Place], tuple[str, bytes, str]] = attrgetter("flow", "person", "entry")
_sent_key: Callable[[Sent], tuple[str, str, bytes]] = attrgetter("owner", "occurrence", "person")


# --- statements -------------------------------------------------------------------------------------


def _rows(db: Door | None, text: str, values: Sequence[object]) -> list[Raw]:
    return [] if db is None else db.execute(text, values).fetchall()


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _said(where: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(where)}" if where else ""


def _where(wanted: dict[str, str | None], states: Sequence[str]) -> tuple[list[str], list[object]]:
    named = [(name, value) for name, value in wanted.items() if value is not None]
    where = [f"{name} = ?" for name, _ in named] + ([f"state IN ({_marks(states)})"] if states else [])
    return where, [*(value for _, value in named), *states]


def _parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    given = iter(items)
    while part := list(islice(given, size)):
        yield part


# --- places -----------------------------------------------------------------------------------------


def _move(work: _Work, places: Sequence[Place]) -> None:
    if len(set(map(_place_key, places))) != len(places):
        raise RuleBroken("a place is moved twice in one write")
    for some in _parts(sorted(places, key=_place_key), _ROWS_MAX):
        stored = _stored_places(work.db, some)
        before, after = [], []
        for place in some:
            rows_of.check_place(place)
            row = stored.get(_place_key(place))
            if row is None or row[-1] != place.revision:
                raise RowChanged("place", place.flow)
            moved = rows_of.place_row(place, place.revision + 1)
            if moved[:-1] != row[:-1]:
                before.append(row)
                after.append(moved)
        work.update("place", before, after)


def _stored_places(db: Door, places: Sequence[Place]) -> dict[tuple[str, bytes, str], Raw]:
    by_flow: dict[str, set[bytes]] = {}
    for place in places:
        by_flow.setdefault(place.flow, set()).add(place.person)
    found: dict[tuple[str, bytes, str], Raw] = {}
    for flow, persons in sorted(by_flow.items()):
        for some in _parts(sorted(persons), _ASKED_MAX):
            rows = _rows(db, f"{_PLACES} WHERE flow = ? AND person IN ({_marks(some)})", [flow, *some])
            found.update({(row[0], row[1], row[2]): row for row in rows})
    return found


# --- batches ----------------------------------------------------------------------------------------


def _check_opening(opening: Opening) -> None:
    batch = opening.batch
    rows_of.check_batch(None, batch)
    rows_of.check_sent(opening.sent)
    if len(opening.sent) != batch.count or any(one.batch != batch.id for one in opening.sent):
        raise RuleBroken("a batch is recorded for each of its people, and for nobody else")


def _known_sent(db: Door, rows: Sequence[Sent]) -> set[tuple[str, str, bytes]]:
    by_thing: dict[tuple[str, str], list[bytes]] = {}
    for one in rows:
        by_thing.setdefault((one.owner, one.occurrence), []).append(one.person)
    found: set[tuple[str, str, bytes]] = set()
    for (owner, occurrence), persons in by_thing.items():
        for some in _parts(persons, _ASKED_MAX):
            text = f"SELECT person FROM ledger_sent WHERE owner = ? AND occurrence = ? AND person IN ({_marks(some)})"
            found.update((owner, occurrence, person) for (person,) in _rows(db, text, [owner, occurrence, *some]))
    return found


def _empty_bodies(work: _Work, batches: set[str]) -> None:
    """Requests of these batches name people: they go. One that may still leave is refused."""
    for some in _parts(sorted(batches), _ASKED_MAX):
        found = _rows(work.db, f"{_BATCHES} WHERE id IN ({_marks(some)}) ORDER BY id", some)
        under_way = [row[0] for row in found if row[5] in ("pending", "intent")]
        if under_way:
            raise RowChanged("batch", under_way[0])
        place = NAMES["batch"].index("body")
        closed = [row for row in found if row[place] is not None]
        emptied = [(*row[:place], None, *row[place + 1 : -1], row[-1] + 1) for row in closed]
        work.update("batch", closed, emptied)
