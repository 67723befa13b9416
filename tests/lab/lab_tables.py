"""The tables of a state: the statements that the store says, over dictionaries, or over SQLite in memory.

The store's own code stays in charge of every rule (lease, fence, incarnation and revision, what may replace what,
journal and serial); only where SQLite would keep rows, dictionaries do, which takes a tenth of the time. A statement
that is not known here fails. `test_lab_tables.py` plays runs over both and wants the same calls and the same rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from audsql.apply import sqlite_file
from audsql.apply.journal import genesis
from audsql.apply.state import FORMAT_VERSION

Cells = tuple[Any, ...]
_NOTHING: list[Cells] = []


class Answer:
    """What a statement gives: its rows, and how many it changed."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Cells], changed: int = 0) -> None:
        self._rows = rows
        self.rowcount = changed

    def fetchone(self) -> Cells | None:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Cells]:
        return self._rows

    def __iter__(self) -> Any:
        return iter(self._rows)


@dataclass
class Tables:
    """`meta`: lineage, environment, format, serial, events, head. `lease`: epoch, lock_id, by, host, pid, operation,
    since, expires. `record` by kind and id: document, incarnation, revision, created_at, updated_at, body.
    `event`: number, document, hash."""

    meta: Cells
    lease: Cells = (0, "", "", "", 0, "", "", "")
    record: dict[tuple[str, str], Cells] = field(default_factory=dict)
    event: list[Cells] = field(default_factory=list)
    # What a transaction would put back; None outside of one that writes.
    before: tuple[Cells, Cells, dict[tuple[str, str], Cells], int] | None = None

    def begin(self, write: bool) -> None:
        assert self.before is None, "a transaction within a transaction"
        if write:
            self.before = (self.meta, self.lease, dict(self.record), len(self.event))

    def commit(self) -> None:
        self.before = None

    def roll_back(self) -> None:
        if self.before is not None:
            self.meta, self.lease, self.record, events = self.before
            del self.event[events:]
            self.before = None

    def copied(self) -> Tables:
        return Tables(self.meta, self.lease, dict(self.record), list(self.event))

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> Answer:
        return _STATEMENTS[text](self, parameters)

    def close(self) -> None:
        """Nothing is held open."""

    @staticmethod
    def fresh(lineage: str, environment: str) -> Tables:
        """The tables of a state that was just made."""
        return Tables((lineage, environment, FORMAT_VERSION, 0, 0, genesis(lineage, environment, FORMAT_VERSION)))


class SqliteTables:
    """The same over SQLite, with the schema of a state file."""

    def __init__(self, image: bytes) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        if image:
            self._connection.deserialize(image)
        self.execute = self._connection.execute
        self.close = self._connection.close

    def begin(self, write: bool) -> None:
        self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def copied(self) -> SqliteTables:
        return SqliteTables(self._connection.serialize())

    @staticmethod
    def fresh(lineage: str, environment: str) -> SqliteTables:
        made = SqliteTables(b"")
        made._connection.executescript(sqlite_file._SCHEMA)
        made.execute("INSERT INTO lease VALUES (1, 0, '', '', '', 0, '', '', '')")
        head = genesis(lineage, environment, FORMAT_VERSION)
        made.execute("INSERT INTO meta VALUES (1, ?, ?, ?, 0, 0, ?)", (lineage, environment, FORMAT_VERSION, head))
        return made


def _meta(*places: int) -> Callable[[Tables, Sequence[Any]], Answer]:
    return lambda tables, _: Answer([tuple(tables.meta[place] for place in places)])


def _lease(*places: int) -> Callable[[Tables, Sequence[Any]], Answer]:
    return lambda tables, _: Answer([tuple(tables.lease[place] for place in places)])


def _snapshot_rows(tables: Tables, _: Sequence[Any]) -> Answer:
    return Answer([(*key, *cells[:5]) for key, cells in sorted(tables.record.items())])


def _row(tables: Tables, parameters: Sequence[Any]) -> Answer:
    cells = tables.record.get((parameters[0], parameters[1]))
    return Answer([cells[:5]] if cells is not None else _NOTHING)


def _body(tables: Tables, parameters: Sequence[Any]) -> Answer:
    cells = tables.record.get((parameters[0], parameters[1]))
    return Answer([cells[5:]] if cells is not None else _NOTHING)


def _operation_body(tables: Tables, parameters: Sequence[Any]) -> Answer:
    return _body(tables, ("operation", parameters[0]))


def _verified_rows(tables: Tables, _: Sequence[Any]) -> Answer:
    return Answer([(*key, *cells) for key, cells in sorted(tables.record.items())])


def _events(tables: Tables, _: Sequence[Any]) -> Answer:
    return Answer(list(tables.event))


def _events_after(tables: Tables, parameters: Sequence[Any]) -> Answer:
    return Answer([(text,) for number, text, _ in tables.event if number > parameters[0]])


def _last_events(tables: Tables, _: Sequence[Any]) -> Answer:
    return Answer([(text, digest) for _, text, digest in tables.event[:-3:-1]])


def _insert_row(tables: Tables, parameters: Sequence[Any]) -> Answer:
    kind, identity, document, incarnation, revision, created_at, updated_at, body = parameters
    assert (kind, identity) not in tables.record, "UNIQUE constraint failed"
    tables.record[kind, identity] = (document, incarnation, revision, created_at, updated_at, body)
    return Answer(_NOTHING, 1)


def _held_row(tables: Tables, key: tuple[str, str], stamp: tuple[str, int]) -> bool:
    cells = tables.record.get(key)
    return cells is not None and (cells[1], cells[2]) == stamp


def _update_row(tables: Tables, parameters: Sequence[Any]) -> Answer:
    *cells, kind, identity, incarnation, revision = parameters
    if not _held_row(tables, (kind, identity), (incarnation, revision)):
        return Answer(_NOTHING, 0)
    tables.record[kind, identity] = tuple(cells)
    return Answer(_NOTHING, 1)


def _delete_row(tables: Tables, parameters: Sequence[Any]) -> Answer:
    kind, identity, incarnation, revision = parameters
    if not _held_row(tables, (kind, identity), (incarnation, revision)):
        return Answer(_NOTHING, 0)
    del tables.record[kind, identity]
    return Answer(_NOTHING, 1)


def _delete_any(tables: Tables, parameters: Sequence[Any]) -> Answer:
    return Answer(_NOTHING, int(tables.record.pop((parameters[0], parameters[1]), None) is not None))


def _append(tables: Tables, parameters: Sequence[Any]) -> Answer:
    assert parameters[0] == len(tables.event) + 1, "events are numbered without a gap"
    tables.event.append(tuple(parameters))
    return Answer(_NOTHING, 1)


def _move_on(tables: Tables, parameters: Sequence[Any]) -> Answer:
    tables.meta = (*tables.meta[:3], *parameters)
    return Answer(_NOTHING, 1)


def _is_held(tables: Tables, parameters: Sequence[Any]) -> Answer:
    return Answer([(1,)] if tables.lease[:2] == tuple(parameters) else _NOTHING)


def _set_lease(tables: Tables, parameters: Sequence[Any]) -> Answer:
    epoch, by, host, pid, operation, since, expires, lock_id = parameters
    tables.lease = (epoch, lock_id, by, host, pid, operation, since, expires)
    return Answer(_NOTHING, 1)


def _free(tables: Tables, parameters: Sequence[Any]) -> Answer:
    if tables.lease[:2] != tuple(parameters):
        return Answer(_NOTHING, 0)
    tables.lease = (tables.lease[0], "", *tables.lease[2:])
    return Answer(_NOTHING, 1)


def _force(tables: Tables, _: Sequence[Any]) -> Answer:
    tables.lease = (tables.lease[0] + 1, "", *tables.lease[2:])
    return Answer(_NOTHING, 1)


_STATEMENTS: dict[str, Callable[[Tables, Sequence[Any]], Answer]] = {
    "SELECT environment, lineage, serial, head FROM meta": _meta(1, 0, 3, 5),
    "SELECT serial, events, head FROM meta": _meta(3, 4, 5),
    "SELECT lineage, environment, format, serial, events, head FROM meta": _meta(0, 1, 2, 3, 4, 5),
    "SELECT environment FROM meta": _meta(1),
    "SELECT lineage FROM meta": _meta(0),
    "UPDATE meta SET serial = ?, events = ?, head = ?": _move_on,
    "SELECT kind, id, document, incarnation, revision, created_at, updated_at FROM record": _snapshot_rows,
    "SELECT kind, id, document, incarnation, revision, created_at, updated_at, body FROM record": _verified_rows,
    "SELECT document, incarnation, revision, created_at, updated_at FROM record WHERE kind = ? AND id = ?": _row,
    "SELECT body FROM record WHERE kind = ? AND id = ?": _body,
    "SELECT body FROM record WHERE kind = 'operation' AND id = ?": _operation_body,
    "INSERT INTO record (kind, id, document, incarnation, revision, created_at, updated_at, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)": _insert_row,
    "UPDATE record SET document = ?, incarnation = ?, revision = ?, created_at = ?, updated_at = ?, body = ?"
    " WHERE kind = ? AND id = ? AND incarnation = ? AND revision = ?": _update_row,
    "DELETE FROM record WHERE kind = ? AND id = ? AND incarnation = ? AND revision = ?": _delete_row,
    "DELETE FROM record WHERE kind = ? AND id = ?": _delete_any,
    "INSERT INTO event (number, document, hash) VALUES (?, ?, ?)": _append,
    "SELECT number, document, hash FROM event ORDER BY number": _events,
    "SELECT document FROM event WHERE number > ? ORDER BY number": _events_after,
    "SELECT document, hash FROM event ORDER BY number DESC LIMIT 2": _last_events,
    "SELECT 1 FROM lease WHERE epoch = ? AND lock_id = ?": _is_held,
    "SELECT epoch FROM lease": _lease(0),
    "SELECT by, host, pid, operation, since, expires, lock_id FROM lease": _lease(2, 3, 4, 5, 6, 7, 1),
    "SELECT epoch, lock_id, pid, since, expires FROM lease": _lease(0, 1, 4, 6, 7),
    "UPDATE lease SET epoch = ?, by = ?, host = ?, pid = ?, operation = ?, since = ?, expires = ?, lock_id = ?":
        _set_lease,
    "UPDATE lease SET lock_id = '' WHERE epoch = ? AND lock_id = ?": _free,
    "UPDATE lease SET epoch = epoch + 1, lock_id = ''": _force,
}  # fmt: skip
