"""A state replaced as a whole: the damaged or older one is read as far as it goes, kept beside, and replaced by a
document that is verified before it takes the place (specs/state.md, `state.repair`, `state.upgrade`)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audsql.apply.backup import RECORD, Contents, write_whole
from audsql.apply.door import Door, Failure
from audsql.apply.journal import checkpoint
from audsql.apply.ledger_rows import KEYS, NAMES
from audsql.apply.ledger_stored import HEAD, found_ledger
from audsql.apply.sqlite import SqliteDoor
from audsql.apply.sqlite_file import connect, diagnose, folder_locked, remove_file, sync, write_fresh
from audsql.apply.store import StoreFailed

__all__ = ["Decide", "Replacement", "mend_file", "mend_server"]

Document = dict[str, Any]
Decide = Callable[[Contents, datetime | None], Document | None]
"""What to put in place of these contents, which somebody last wrote at that time (None: not known); None: nothing.
Raises StoreFailed to refuse."""
Replacement = str | None

_META = "SELECT lineage, environment, format, serial, events, head FROM meta"
_LEASE = "SELECT epoch, lock_id, by, host, pid, operation, since, expires FROM lease"
_RECORDS = f"SELECT {', '.join(RECORD)} FROM record ORDER BY kind {{0}}, id {{0}}"
_EVENTS = "SELECT number, document, hash FROM event ORDER BY number {0}"
_LEDGER = {
    name: f"SELECT {', '.join(names)} FROM ledger_{name} ORDER BY {', '.join(KEYS[name])}"
    for name, names in NAMES.items()
}
_BINARY = frozenset({"body", "closed", "code", "person"})
_COPY_BYTES = 1 << 20


# --- a file -----------------------------------------------------------------------------------------


def mend_file(path: Path, environment: str, label: str, decide: Decide) -> Replacement:
    """Replace the state in a file; returns where the earlier one is kept, None where nothing was replaced.

    Raises StoreFailed, OSError.
    """
    with folder_locked(path.parent):
        source = _source(path, label)
        document = decide(_read_file(source), _changed_at(source))
        if document is None:
            return None
        fresh = path.with_name(path.name + ".new")
        remove_file(fresh)
        try:
            _write_file(fresh, path, document, environment)
            kept = source if source != path else _keep(path, label)
            checkpoint("store.mend.kept")
            _empty(path)
            checkpoint("store.mend.emptied")
            os.rename(fresh, path)
            sync(path.parent)
        except BaseException:
            remove_file(fresh)
            raise
    checkpoint("store.mended")
    return str(kept)


def _source(path: Path, label: str) -> Path:
    """The file itself; the copy of it where an earlier mending was killed after the file was emptied."""
    copies = [one for one in _copies(path, label) if one.exists()]
    return copies[-1] if copies and not path.stat().st_size else path


def _copies(path: Path, label: str) -> Iterator[Path]:
    """Where copies stand, in order; the last one is free."""
    number = 1
    while True:
        copy = path.with_name(f"{path.name}.{label}-{number}")
        yield copy
        if not os.path.lexists(copy):
            return
        number += 1


def _changed_at(path: Path) -> datetime:
    log = _beside(path, "-wal")
    moments = [one.stat().st_mtime for one in (path, log) if one.exists()]
    return datetime.fromtimestamp(max(moments), UTC)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _keep(path: Path, label: str) -> Path:
    """A durable copy beside the file, its log included."""
    *_, copy = _copies(path, label)
    for suffix in ("-wal", ""):
        if _beside(path, suffix).exists():
            _copy(_beside(path, suffix), _beside(copy, suffix))
    sync(path.parent)
    return copy


def _copy(source: Path, target: Path) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source.open("rb") as given, os.fdopen(handle, "wb") as out:
        shutil.copyfileobj(given, out, _COPY_BYTES)
        out.flush()
        os.fsync(out.fileno())


def _empty(path: Path) -> None:
    """From here until the new file takes the place there is no state that anything could begin from: a log of the
    old file beside the new one would be written over it, and an old file without its log looks sound."""
    with path.open("r+b") as file:
        file.truncate(0)
        os.fsync(file.fileno())
    for suffix in ("-wal", "-shm"):
        _beside(path, suffix).unlink(missing_ok=True)
    sync(path.parent)


def _write_file(fresh: Path, path: Path, document: Document, environment: str) -> None:
    write_fresh(fresh, environment, document["lineage"])
    try:
        connection = connect(fresh)
        door = SqliteDoor(connection, path)
        try:
            door.begin(write=True)
            write_whole(door, document, environment)
            door.commit()
        finally:
            door.close()
    except sqlite3.Error as problem:
        raise StoreFailed(diagnose(problem, path)) from problem
    except Failure as failure:
        raise StoreFailed(failure.diagnostic) from failure
    sync(fresh)


def _read_file(path: Path) -> Contents:
    """What a copy of the file holds: opening a database may write to it."""
    with tempfile.TemporaryDirectory(prefix=".audsql-mend-", dir=path.parent) as folder:
        copy = Path(folder) / "state"
        for suffix in ("-wal", ""):
            if _beside(path, suffix).exists():
                _copy(_beside(path, suffix), _beside(copy, suffix))
        connection = sqlite3.connect(copy, isolation_level=None)
        connection.text_factory = bytes
        try:
            return Contents(
                next(iter(_single(connection, _META)), None),
                next(iter(_single(connection, _LEASE)), None),
                tuple(_both_ways(connection, _RECORDS, 2)),
                tuple(_both_ways(connection, _EVENTS, 1)),
                _ledger(connection),
            )
        finally:
            connection.close()


def _ledger(connection: sqlite3.Connection) -> Document | None:
    """What can be read of the ledger, None where there is none."""
    if not list(_readable(connection, "SELECT 1 FROM sqlite_master WHERE name = 'ledger_meta'")):
        return None
    tables = {name: list(_readable(connection, query)) for name, query in _LEDGER.items()}
    return found_ledger(list(_readable(connection, HEAD)), tables)


def _single(connection: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
    """The only row; nothing where there are none or several."""
    rows = list(_readable(connection, query))
    return rows if len(rows) == 1 else []


def _both_ways(connection: sqlite3.Connection, query: str, keys: int) -> list[tuple[Any, ...]]:
    """The rows before a damaged page and those after it."""
    rows = list(_readable(connection, query.format("ASC")))
    seen = {row[:keys] for row in rows}
    after = [row for row in _readable(connection, query.format("DESC")) if row[:keys] not in seen]
    return [*rows, *reversed(after)]


def _readable(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """The rows until the first that cannot be read."""
    try:
        cursor = connection.execute(query)
        bodies = [column[0] in _BINARY for column in cursor.description]
        for row in cursor:
            yield tuple(value if body else _text(value) for value, body in zip(row, bodies, strict=True))
    except sqlite3.Error:
        # That rows are missing shows by the journal.
        return


def _text(value: Any) -> Any:
    """Text where it is text; what is no UTF-8 stays bytes, which no sound column of these holds."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


# --- a server ---------------------------------------------------------------------------------------


def mend_server(door: Door, schema: str, environment: str, label: str, decide: Decide) -> Replacement:
    """The same in one transaction of a database server: the earlier tables are copied to a schema of their own.

    Raises StoreFailed.
    """
    try:
        door.begin(write=True)
        contents = _read_server(door)
        document = decide(contents, None)
        if document is None:
            return None
        kept = _free_schema(door, schema, label)
        door.execute(f"CREATE SCHEMA {_quoted(kept)}")
        ledger = (*(f"ledger_{name}" for name in NAMES), "ledger_meta") if door.has_table("ledger_meta") else ()
        for table in ("meta", "lease", "record", "event", *ledger):
            source = f"{_quoted(schema)}.{table}"
            door.execute(f"CREATE TABLE {_quoted(kept)}.{table} AS TABLE {source}")
        write_whole(door, document, environment)
        door.commit()
    except Failure as failure:
        raise StoreFailed(failure.diagnostic) from failure
    finally:
        door.roll_back()
    checkpoint("store.mended")
    return kept


def _read_server(door: Door) -> Contents:
    # Whoever writes waits at this row until the transaction ends.
    lease = door.execute(_LEASE + door.locking).fetchall()
    meta = door.execute(_META).fetchall()
    return Contents(
        _only(meta), _only(lease),
        tuple(tuple(row) for row in door.execute(_RECORDS.format("ASC")).fetchall()),
        tuple(tuple(row) for row in door.execute(_EVENTS.format("ASC")).fetchall()),
        _ledger_of_server(door),
    )  # fmt: skip


def _ledger_of_server(door: Door) -> Document | None:
    if not door.has_table("ledger_meta"):
        return None
    return found_ledger(
        door.execute(HEAD).fetchall(), {name: door.execute(query).fetchall() for name, query in _LEDGER.items()}
    )  # fmt: skip


def _only(rows: Sequence[Sequence[Any]]) -> tuple[Any, ...] | None:
    return tuple(rows[0]) if len(rows) == 1 else None


def _quoted(schema: str) -> str:
    return '"' + schema.replace('"', '""') + '"'


def _free_schema(door: Door, schema: str, label: str) -> str:
    number = 1
    while True:
        # A name of PostgreSQL has 63 bytes.
        name = f"{schema.encode()[:40].decode(errors='ignore')}_{label}_{number}"
        taken = door.execute("SELECT count(*) FROM pg_namespace WHERE nspname = ?", (name,)).fetchone()[0]
        if not taken:
            return name
        number += 1
