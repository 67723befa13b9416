"""Databases that `query:` reads from: how each is declared in `audsql.toml`, and one read-only pass over one statement.

A database gives its rows as CSV text that it forms itself, in one read-only transaction, under a time limit. What it
says when it refuses may quote rows or the address, so that only the name of the condition is kept.
Rules: specs/data.md, queries.*.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from audsql.records import dataclass

__all__ = ["Column", "Connection", "Reading", "Refused", "connected", "read_connection"]

_ROWS_MAX = 50_000_000
_MEBIBYTES_MAX = 3_800
_TIMEOUT_SECONDS = 600
_CONNECT_SECONDS = 10
_ROWS_A_PIECE = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Kind = Literal["text", "exact", "decimal", "truth", "day", "local", "instant"]
Reason = Literal["connect", "query", "seconds"]


@dataclass(frozen=True, slots=True)
class Connection:
    """`[connection.NAME]`: where a database is, and how much of it one query may read.

    `url` or `variable`, the environment variable that holds it, for `postgres`; `path`, relative to the project, for
    `duckdb`, where "" is no database but DuckDB's own readers over files of the project.
    """

    name: str
    kind: Literal["postgres", "duckdb"]
    url: str = ""
    variable: str | None = None
    path: str = ""
    rows_max: int = _ROWS_MAX
    mebibytes_max: int = _MEBIBYTES_MAX
    timeout_seconds: int = _TIMEOUT_SECONDS

    @property
    def is_local(self) -> bool:
        """Whether reading it touches no network."""
        return self.kind == "duckdb"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result. `kind` None: its type, as the database calls it, has no exact text."""

    name: str
    type: str
    kind: Kind | None


class Refused(Exception):
    """The database did not do it. `condition`: its name for what is wrong; `line`: of the query, from 1."""

    def __init__(self, reason: Reason, condition: str, line: int | None = None) -> None:
        super().__init__(condition)
        self.reason, self.condition, self.line = reason, condition, line


@dataclass(frozen=True, slots=True)
class Reading:
    """One transaction over one statement. Every call may raise Refused.

    `columns` of the statement's result; `newest` gives the latest time of a column, by its number, that is
    not after a moment, None where there is none; `rows` the rows in pieces, each row as one line of CSV with its line
    end.
    """

    columns: tuple[Column, ...]
    newest: Callable[[int, datetime], datetime | None]
    rows: Callable[[], Iterator[Sequence[bytes]]]


# --- what audsql.toml says ------------------------------------------------------------------------

_VARIABLE = re.compile(r"env\(\"([A-Za-z_][A-Za-z0-9_]*)\"\)")
_POSTGRES_URL = re.compile(r"postgres(ql)?://[^\0\s]+")
_PASSWORD = re.compile(r"//[^/@]*:[^/@]*@|[?&]password=", re.IGNORECASE)
Problem = Literal["kind", "missing", "not_taken", "url", "password", "path"]


def read_connection(name: str, settings: Mapping[str, str]) -> Connection | tuple[str, Problem]:
    """`[connection.NAME]` from its settings as text, or the setting that does not fit and why."""
    kind, url, path = settings.get("kind", ""), settings.get("url", ""), settings.get("path", "")
    if kind not in ("postgres", "duckdb"):
        return "kind", "missing" if not kind else "kind"
    for key, of in (("url", "postgres"), ("path", "duckdb")):
        if key in settings and of != kind:
            return key, "not_taken"
    if kind == "postgres" and not url:
        return "url", "missing"
    variable = _VARIABLE.fullmatch(url)
    if url and variable is None:
        if not _POSTGRES_URL.fullmatch(url):
            return "url", "url"
        if _PASSWORD.search(url):
            return "url", "password"
    if path and (Path(path).is_absolute() or ".." in Path(path).parts or "\\" in path or "\0" in path):
        return "path", "path"
    limits = {key: int(settings[key]) for key in ("rows_max", "mebibytes_max", "timeout_seconds") if key in settings}
    given = "" if variable else url
    return Connection(
        name, "postgres" if kind == "postgres" else "duckdb", given, variable[1] if variable else None, path, **limits
    )


# --- reading --------------------------------------------------------------------------------------


@contextmanager
def connected(connection: Connection, query: str, timezone: str, root: Path, scratch: Path) -> Iterator[Reading]:
    """One statement of a database, ready to be read once.

    `timezone`: of the session. `root`: the project; a database in a file lies below it, and so do the files that
    DuckDB's readers may read. `scratch`: a private folder for what does not fit into memory. Raises Refused; KeyError
    where the environment lacks the variable.
    """
    statement = re.sub(r"[\s;]+\Z", "", query)
    if connection.kind == "postgres":
        url = connection.url or os.environ.get(connection.variable or "", "")
        if not url:
            raise KeyError(connection.variable)
        with _postgres(connection, url, statement, timezone) as reading:
            yield reading
    else:
        with _duckdb(connection, statement, timezone, root, scratch) as reading:
            yield reading


def _from_query(statement: str, count: int) -> str:
    """The statement as a table of columns `c0`, `c1`, ...: a comment at its end must not swallow what follows."""
    return f"FROM (\n{statement}\n) AS q ({', '.join(f'c{number}' for number in range(count))})"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")


# --- PostgreSQL -----------------------------------------------------------------------------------

# By the number that PostgreSQL's catalogue gives the type. A domain comes as what it is made of.
_POSTGRES_KINDS: Mapping[int, Kind] = {
    16: "truth", 20: "exact", 21: "exact", 23: "exact", 25: "text", 1043: "text", 1082: "day", 1114: "local",
    1184: "instant", 1700: "decimal", 2950: "text",
}  # fmt: skip
_POSTGRES_TEXT: Mapping[Kind, str] = {
    "text": "{c}",
    "exact": "{c}",
    "decimal": "trim_scale({c})",
    "truth": "CASE WHEN {c} THEN 'true' WHEN NOT {c} THEN 'false' END",
    "day": "{c}",
    "local": "{c}",
    "instant": "({c} AT TIME ZONE 'UTC')::text || 'Z'",
}
# SQLSTATE classes of a server that cannot be reached, or lets nobody in.
_UNREACHABLE = frozenset({"08", "28", "3D", "53", "57", "58", "XX"})
_TIMED_OUT = "57014"


@contextmanager
def _postgres(connection: Connection, url: str, statement: str, timezone: str) -> Iterator[Reading]:
    try:
        import psycopg
    except ImportError:
        raise Refused("connect", "psycopg") from None
    try:
        session = psycopg.connect(
            url, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="audsql",
            client_encoding="UTF8",
        )  # fmt: skip
    except psycopg.Error as failure:
        raise Refused("connect", _condition(failure)) from None
    try:
        with session:
            _begin(session, connection, timezone)
            columns = _described(session, statement)
            source = _from_query(statement, len(columns))
            yield Reading(
                columns,
                lambda at, end: _postgres_newest(session, source, at, end),
                lambda: _copied(session, columns, source),
            )
    except psycopg.Error as failure:
        raise _refusal(failure) from None


def _begin(session: Any, connection: Connection, timezone: str) -> None:
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    settings = {
        "statement_timeout": f"{connection.timeout_seconds}s",
        "lock_timeout": f"{connection.timeout_seconds}s",
        "timezone": timezone,
        "datestyle": "ISO, YMD",
        "standard_conforming_strings": "on",
    }
    for name, value in settings.items():
        session.execute("SELECT set_config(%s, %s, true)", (name, value))


def _described(session: Any, statement: str) -> tuple[Column, ...]:
    """The columns of one statement, which the server reads alone and whole before it is put into another."""
    import psycopg
    from psycopg.pq import DiagnosticField, ExecStatus

    prepared = session.pgconn.prepare(b"", statement.encode())
    if prepared.status != ExecStatus.COMMAND_OK:
        state = (prepared.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        position = prepared.error_field(DiagnosticField.STATEMENT_POSITION)
        line = statement.count("\n", 0, int(position) - 1) + 1 if position else None
        raise Refused(_reason(state), _named(state), line)
    described = session.pgconn.describe_prepared(b"")
    if described.nparams or not described.nfields:
        raise Refused("query", "NotASelect")
    found = []
    for number in range(described.nfields):
        oid = described.ftype(number)
        known = psycopg.adapters.types.get(oid)
        name = (described.fname(number) or b"").decode()
        found.append(Column(name, known.name if known else f"oid {oid}", _POSTGRES_KINDS.get(oid)))
    return tuple(found)


def _postgres_newest(session: Any, source: str, number: int, end: datetime) -> datetime | None:
    time = f"c{number}::timestamptz"
    chosen = f"max({time}) FILTER (WHERE isfinite(c{number}) AND {time} <= '{_utc(end)}'::timestamptz)"
    row = session.execute(f"SELECT (extract(epoch FROM {chosen}) * 1000000)::bigint {source}").fetchone()
    return None if row[0] is None else _EPOCH + timedelta(microseconds=row[0])


def _copied(session: Any, columns: Sequence[Column], source: str) -> Iterator[Sequence[bytes]]:
    texts = [_POSTGRES_TEXT[column.kind or "text"].format(c=f"c{at}") for at, column in enumerate(columns)]
    if len(texts) == 1:
        # A row of one cell without a value would be an empty line.
        texts = [f"coalesce(({texts[0]})::text, '')"]
    piece: list[bytes] = []
    sql = f"COPY (SELECT {', '.join(texts)} {source}) TO STDOUT (FORMAT csv)"
    with session.cursor() as cursor, cursor.copy(sql) as rows:
        for row in rows:
            piece.append(bytes(row))
            if len(piece) >= _ROWS_A_PIECE:
                yield piece
                piece = []
    yield piece


def _refusal(failure: Any) -> Refused:
    state = failure.sqlstate or ""
    if state == _TIMED_OUT:
        return Refused("seconds", _condition(failure))
    return Refused(_reason(state), _condition(failure))


def _reason(state: str) -> Reason:
    return "connect" if not state or state[:2] in _UNREACHABLE else "query"


def _condition(failure: BaseException) -> str:
    return type(failure).__name__


def _named(state: str) -> str:
    from psycopg import errors

    try:
        return errors.lookup(state).__name__
    except KeyError:
        return state


# --- DuckDB ---------------------------------------------------------------------------------------

_DUCKDB_KINDS: Mapping[str, Kind] = {
    "BOOLEAN": "truth", "VARCHAR": "text", "UUID": "text", "DATE": "day", "TIMESTAMP": "local", "TIMESTAMP_S": "local",
    "TIMESTAMP_MS": "local", "TIMESTAMP WITH TIME ZONE": "instant",
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"), "exact"
    ),
}  # fmt: skip
_DUCKDB_TEXT: Mapping[Kind, str] = {
    "text": "CAST({c} AS VARCHAR)",
    "exact": "CAST({c} AS VARCHAR)",
    "decimal": "rtrim(rtrim(CAST({c} AS VARCHAR), '0'), '.')",
    "truth": "CAST({c} AS VARCHAR)",
    "day": "CAST({c} AS VARCHAR)",
    "local": "CAST({c} AS VARCHAR)",
    "instant": "CAST({c} AT TIME ZONE 'UTC' AS VARCHAR) || 'Z'",
}
_WHOLE_DECIMAL = re.compile(r"DECIMAL\(\d+,0\)")


@contextmanager
def _duckdb(connection: Connection, statement: str, timezone: str, root: Path, scratch: Path) -> Iterator[Reading]:
    import duckdb

    session = _open_duckdb(connection, timezone, root, scratch)
    late = threading.Event()

    def stop() -> None:
        late.set()
        session.interrupt()

    timer = threading.Timer(connection.timeout_seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        columns = _duckdb_columns(session, statement)
        source = _from_query(statement, len(columns))
        yield Reading(
            columns,
            lambda at, end: _duckdb_newest(session, source, at, end),
            lambda: _fetched(session, columns, source),
        )
    except duckdb.Error as failure:
        raise Refused("seconds" if late.is_set() else "query", _condition(failure)) from None
    finally:
        timer.cancel()
        session.close()


def _open_duckdb(connection: Connection, timezone: str, root: Path, scratch: Path) -> Any:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "temp_directory": str(scratch),
    }
    base = root.resolve()
    file = (base / connection.path).resolve() if connection.path else None
    if file is not None and (base not in file.parents or not file.is_file()):
        raise Refused("connect", "FileNotFound")
    try:
        session = duckdb.connect(str(file) if file else ":memory:", read_only=file is not None, config=settings)
        project, spill = ("'" + str(folder).replace("'", "''") + "'" for folder in (base, scratch))
        session.execute(f"SET TimeZone = '{timezone}'")
        session.execute(f"SET VARIABLE project = {project}")
        session.execute(f"SET allowed_directories = [{project}, {spill}]")
        session.execute("SET enable_external_access = false")
        session.execute("SET lock_configuration = true")
    except duckdb.Error as failure:
        raise Refused("connect", _condition(failure)) from None
    return session


def _duckdb_columns(session: Any, statement: str) -> tuple[Column, ...]:
    from duckdb import StatementType

    found = session.extract_statements(statement)
    if len(found) != 1 or found[0].type != StatementType.SELECT:
        raise Refused("query", "NotASelect")
    described = session.execute(f"DESCRIBE {statement}").fetchall()
    return tuple(Column(row[0], row[1], _duckdb_kind(row[1])) for row in described)


def _duckdb_kind(name: str) -> Kind | None:
    if name.startswith("DECIMAL("):
        return "exact" if _WHOLE_DECIMAL.fullmatch(name) else "decimal"
    return _DUCKDB_KINDS.get(name)


def _duckdb_newest(session: Any, source: str, number: int, end: datetime) -> datetime | None:
    time = f"CAST(c{number} AS TIMESTAMPTZ)"
    chosen = f"max({time}) FILTER (WHERE isfinite(c{number}) AND {time} <= CAST('{_utc(end)}' AS TIMESTAMPTZ))"
    row = session.execute(f"SELECT epoch_us({chosen}) {source}").fetchone()
    return None if row[0] is None else _EPOCH + timedelta(microseconds=row[0])


def _fetched(session: Any, columns: Sequence[Column], source: str) -> Iterator[Sequence[bytes]]:
    texts = [_DUCKDB_TEXT[column.kind or "text"].format(c=f"c{at}") for at, column in enumerate(columns)]
    cells = [f"coalesce({_quoted_sql(text)}, {_EMPTY if len(texts) == 1 else repr('')})" for text in texts]
    rows = session.execute(f"SELECT concat_ws(',', {', '.join(cells)}) {source}")
    while piece := rows.fetchmany(_ROWS_A_PIECE):
        yield [f"{row[0]}\n".encode() for row in piece]


_EMPTY = "'\"\"'"


def _quoted_sql(text: str) -> str:
    quoted = f"'\"' || replace({text}, '\"', '\"\"') || '\"'"
    return f"CASE WHEN {text} = '' OR regexp_matches({text}, '[\",\\r\\n]') THEN {quoted} ELSE {text} END"
