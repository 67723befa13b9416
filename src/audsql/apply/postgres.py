"""The state in a PostgreSQL schema: one direct connection, the lease row held while something is written.

Writers of one state wait for each other at the lease row, so that "the lease stands" and "this is written"
are one decision, whatever becomes of sessions and advisory locks (specs/state.md, `state.postgres.fence`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from audsql.apply.door import Cursor, Failure, Taken, beat_table, ledger_tables, tables
from audsql.apply.journal import checkpoint, genesis
from audsql.apply.sql_store import SqlStore
from audsql.apply.state import FORMAT_VERSION
from audsql.apply.store import StoreFailed
from audsql.apply.verified import verify_content
from audsql.data.keys import Keys
from audsql.diag import Diagnostic, error
from audsql.records import dataclass

if TYPE_CHECKING:
    import psycopg

__all__ = ["Address", "PostgresDoor", "PostgresStore", "address_of", "open_postgres", "postgres_exists", "server_door"]

_SCHEMA_DEFAULT = "audsql"
_CONNECT_SECONDS = 10
_WAIT_SECONDS = 10
_TABLES = tables(number="bigint", binary="bytea")
_LEDGER = ledger_tables(number="bigint", binary="bytea", text='text COLLATE "C"')
_BEATS = beat_table(number="bigint", text='text COLLATE "C"')
_FEW_ROWS = 50
# What durability rests on: a commit that is answered is on disk.
_SETTINGS = {
    "synchronous_commit": ("on", "remote_write", "remote_apply"),
    "fsync": ("on",),
    "full_page_writes": ("on",),
}
_LOST = frozenset({"08", "57", "58", "XX"})
"""Classes of SQLSTATE after which it is not known what this connection did last."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a state is: `url` connects, `schema` holds its tables, `name` is for messages and has no password."""

    url: str
    schema: str
    name: str


def address_of(location: str) -> Address:
    """The address in `postgresql://user@host:port/database?schema=NAME`; the schema is `audsql` where none is given."""
    parts = urlsplit(location)
    options = parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(options).get("schema") or _SCHEMA_DEFAULT
    passed = urlencode([(key, value) for key, value in options if key != "schema"], quote_via=quote)
    host = parts.netloc.rpartition("@")[2]
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    shown = f"postgresql://{user + '@' if user else ''}{host}{parts.path}?schema={schema}"
    return Address(urlunsplit(("postgresql", parts.netloc, parts.path, passed, "")), schema, shown)


class PostgresStore(SqlStore):
    """The store in a PostgreSQL schema."""


def open_postgres(
    location: str, *, create: bool, environment: str, new_id: Callable[[], str], keys: Keys | None = None
) -> PostgresStore:
    """Connect, verify the state whole, or make it. Raises StoreFailed; then nothing was written."""
    address = address_of(location)
    door = PostgresDoor(_connect(address), address, keys)
    try:
        _check_settings(door)
        if not door.has_table("meta"):
            if not create:
                raise StoreFailed(error("AUD0600", None, path=address.name))
            if _create(door, environment, new_id):
                checkpoint("store.create")
        _verify(door, environment)
    except Failure as failure:
        door.close()
        raise StoreFailed(failure.diagnostic) from failure
    except BaseException:
        door.close()
        raise
    return PostgresStore(door, new_id)


def postgres_exists(location: str) -> bool:
    """Whether the schema holds a state. Raises StoreFailed where the server cannot be asked."""
    address = address_of(location)
    door = PostgresDoor(_connect(address), address)
    try:
        return door.has_table("meta")
    except Failure as failure:
        raise StoreFailed(failure.diagnostic) from failure
    finally:
        door.close()


def server_door(location: str) -> tuple[PostgresDoor, str]:
    """A connection to the tables of a state that is not verified, and its schema. Raises StoreFailed."""
    address = address_of(location)
    door = PostgresDoor(_connect(address), address)
    try:
        _check_settings(door)
    except Failure as failure:
        door.close()
        raise StoreFailed(failure.diagnostic) from failure
    except BaseException:
        door.close()
        raise
    return door, address.schema


def _connect(address: Address) -> psycopg.Connection[Any]:
    try:
        import psycopg
    except ImportError:
        raise StoreFailed(error("AUD0691", None, package="psycopg")) from None
    try:
        connection = psycopg.connect(
            address.url, autocommit=True, connect_timeout=_CONNECT_SECONDS, prepare_threshold=None,
            application_name="audsql",
        )  # fmt: skip
        connection.execute(
            f"SELECT set_config('search_path', %s, false), set_config('lock_timeout', '{_WAIT_SECONDS}s', false),"
            " set_config('idle_in_transaction_session_timeout', '60s', false)",
            (_quoted(address.schema),),
        )
    except psycopg.Error as problem:
        # The server's own message may quote the password or parts of the url.
        raise StoreFailed(error("AUD0627", None, path=address.name, reason=_reason(problem))) from None
    return connection


def _quoted(schema: str) -> str:
    return '"' + schema.replace('"', '""') + '"'


def _reason(problem: psycopg.Error) -> str:
    return problem.sqlstate or type(problem).__name__


class PostgresDoor:
    """`Door` over one PostgreSQL connection."""

    locking = " FOR UPDATE"

    def __init__(self, connection: psycopg.Connection[Any], address: Address, keys: Keys | None = None) -> None:
        self.keys = keys
        self._connection = connection
        self._address = address

    @property
    def name(self) -> str:
        return self._address.name

    @property
    def schema(self) -> str:
        return self._address.schema

    def begin(self, *, write: bool) -> None:
        self.execute("BEGIN" if write else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def execute(self, text: str, parameters: Sequence[object] = ()) -> Cursor:
        import psycopg

        try:
            # Statements are our own constants; values only ever travel as parameters.
            return self._connection.execute(text.replace("?", "%s").encode(), parameters or None)
        except psycopg.Error as problem:
            raise self._failure(problem) from None

    def has_table(self, name: str) -> bool:
        # Not `to_regclass`: within one session it may still answer from before somebody else made the table.
        (found,) = self.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE nspname = ? AND relname = ?)",
            (self.schema, name),
        ).fetchone()
        return bool(found)

    def make_ledger(self) -> None:
        for statement in _LEDGER:
            self.execute(statement)

    def make_beats(self) -> None:
        self.execute(_BEATS)

    def insert_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        given = iter(rows)
        few = list(islice(given, _FEW_ROWS + 1))
        if len(few) > _FEW_ROWS:
            self._copy(table, columns, _both(few, given))
            return
        for row in few:
            self.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", row
            )  # fmt: skip

    def update_many(
        self, table: str, columns: Sequence[str], keys: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        given = iter(rows)
        few = list(islice(given, _FEW_ROWS + 1))
        if len(few) <= _FEW_ROWS:
            values = ", ".join(f"{name} = ?" for name in columns)
            for row in few:
                self.execute(f"UPDATE {table} SET {values} WHERE {' AND '.join(f'{name} = ?' for name in keys)}", row)
            return
        names = (*columns, *keys)
        alike = f"SELECT {', '.join(names)} FROM {table} LIMIT 0"
        self.execute(f"CREATE TEMPORARY TABLE ledger_changed ON COMMIT DROP AS {alike}")
        self._copy("ledger_changed", names, _both(few, given))
        self.execute("ANALYZE ledger_changed")
        values = ", ".join(f"{name} = ledger_changed.{name}" for name in columns)
        where = " AND ".join(f"{table}.{name} = ledger_changed.{name}" for name in keys)
        self.execute(f"UPDATE {table} SET {values} FROM ledger_changed WHERE {where}")
        self.execute("DROP TABLE ledger_changed")

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        import psycopg

        text = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        try:
            with self._connection.cursor() as cursor, cursor.copy(text.encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as problem:
            raise self._failure(problem) from None

    def commit(self) -> None:
        self.execute("COMMIT")

    def roll_back(self) -> None:
        if not self._connection.closed and self._connection.info.transaction_status:
            self.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()

    def _failure(self, problem: psycopg.Error) -> Failure | Taken:
        state = problem.sqlstate or ""
        if state == "23505":
            return Taken()
        if state == "55P03":
            return Failure(error("AUD0611", None, path=self.name, seconds=_WAIT_SECONDS), False)
        if state == "53100":
            return Failure(error("AUD0608", None, path=self.name), False)
        if state in ("25006", "42501"):
            return Failure(error("AUD0607", None, path=self.name), False)
        if not state or state[:2] in _LOST or self._connection.closed:
            return Failure(error("AUD0628", None, path=self.name, reason=_reason(problem)), True)
        return Failure(_damaged(self.name), False)


def _both(few: Iterable[Sequence[object]], given: Iterable[Sequence[object]]) -> Iterable[Sequence[object]]:
    yield from few
    yield from given


def _damaged(name: str) -> Diagnostic:
    return error("AUD0603", None, path=name, part="pages", place=None, backup=None)


def _check_settings(door: PostgresDoor) -> None:
    for setting, allowed in _SETTINGS.items():
        (value,) = door.execute(f"SHOW {setting}").fetchone()
        if value not in allowed:
            raise StoreFailed(error("AUD0629", None, path=door.name, setting=setting, value=value))


def _create(door: PostgresDoor, environment: str, new_id: Callable[[], str]) -> bool:
    """Make the schema and its tables in one transaction; False where somebody else did it meanwhile."""
    door.begin(write=True)
    try:
        # Two that make the same state wait for each other; the lock ends with the transaction.
        door.execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (f"audsql {door.schema}",))
        if door.has_table("meta"):
            return False
        door.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(door.schema)}")
        door.execute(_TABLES)
        lineage = new_id()
        head = genesis(lineage, environment, FORMAT_VERSION)
        door.execute("INSERT INTO meta VALUES (1, ?, ?, ?, 0, 0, ?)", (lineage, environment, FORMAT_VERSION, head))
        door.execute("INSERT INTO lease VALUES (1, 0, '', '', '', 0, '', '', '')")
        door.commit()
        return True
    finally:
        door.roll_back()


def _verify(door: PostgresDoor, environment: str) -> None:
    """The version first: what a newer audsql wrote is neither read nor written."""
    door.begin(write=False)
    try:
        found = door.execute("SELECT format FROM meta").fetchone()
        if found is not None and found[0] > FORMAT_VERSION:
            raise StoreFailed(error("AUD0605", None, path=door.name, found=found[0], supported=FORMAT_VERSION))
        verify_content(door.execute, door.name, environment, door.keys)
    finally:
        door.roll_back()
