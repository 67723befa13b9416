"""The state in a SQLite file: WAL, synchronous=FULL, BEGIN IMMEDIATE for every write, one connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from audsql.apply.door import Failure, Taken, beat_table, ledger_tables
from audsql.apply.journal import checkpoint
from audsql.apply.sql_store import SqlStore
from audsql.apply.sqlite_file import connect, diagnose, prepare, verify
from audsql.apply.store import StoreFailed
from audsql.data.keys import Keys

__all__ = ["SqliteDoor", "SqliteStore", "open_sqlite"]

_BROKEN = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_LEDGER = ledger_tables(number="INTEGER", binary="BLOB", text="TEXT", keyed=" WITHOUT ROWID")
_BEATS = beat_table(number="INTEGER", text="TEXT")


def open_sqlite(
    path: Path, *, create: bool, environment: str, new_id: Callable[[], str], keys: Keys | None = None
) -> SqliteStore:
    """Open and verify the state file, or make it. Raises StoreFailed; then nothing was written."""
    if prepare(path, create=create, environment=environment, new_id=new_id):
        checkpoint("store.create")
    connection = None
    try:
        connection = connect(path)
        verify(connection, path, environment, keys)
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        # SQLite's own message may quote damaged bytes, which Python then cannot decode.
        _close(connection)
        raise StoreFailed(diagnose(problem, path)) from problem
    except BaseException:
        _close(connection)
        raise
    return SqliteStore(SqliteDoor(connection, path, keys), new_id)


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()


class SqliteStore(SqlStore):
    """The store in a SQLite file."""

    def compact(self) -> None:
        """Rewrite the file and empty the log beside it."""
        with self._mutex:
            try:
                self._door.execute("VACUUM")
                self._door.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except Failure as failure:
                raise StoreFailed(failure.diagnostic) from failure


class SqliteDoor:
    """`Door` over one SQLite connection."""

    locking = ""

    def __init__(self, connection: sqlite3.Connection, path: Path, keys: Keys | None = None) -> None:
        self.keys = keys
        self._connection = connection
        self._path = path

    @property
    def name(self) -> str:
        return str(self._path)

    def begin(self, *, write: bool) -> None:
        self.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    def execute(self, text: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(text, parameters)
        except sqlite3.ProgrammingError:
            # A closed store, or a value that SQLite does not take: a mistake of the caller.
            raise
        except sqlite3.Error as problem:
            raise self._failure(problem) from problem

    def _failure(self, problem: sqlite3.Error) -> Failure:
        broken = getattr(problem, "sqlite_errorcode", 0) & 0xFF in _BROKEN
        return Failure(diagnose(problem, self._path), broken)

    def has_table(self, name: str) -> bool:
        found = self.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
        return found.fetchone() is not None

    def make_ledger(self) -> None:
        for statement in _LEDGER:
            self.execute(statement)

    def make_beats(self) -> None:
        self.execute(_BEATS)

    def insert_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        values = ", ".join("?" * len(columns))
        self._execute_many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})", rows)

    def update_many(
        self, table: str, columns: Sequence[str], keys: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        values = ", ".join(f"{name} = ?" for name in columns)
        self._execute_many(f"UPDATE {table} SET {values} WHERE {' AND '.join(f'{name} = ?' for name in keys)}", rows)

    def _execute_many(self, text: str, rows: Iterable[Sequence[object]]) -> None:
        try:
            self._connection.executemany(text, rows)
        except sqlite3.IntegrityError as problem:
            raise Taken from problem
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.Error as problem:
            raise self._failure(problem) from problem

    def commit(self) -> None:
        self.execute("COMMIT")

    def roll_back(self) -> None:
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()
