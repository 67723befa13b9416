"""PostgreSQL as an engine: temporary tables of one connection, filled by COPY.

Temporary tables need no right but TEMPORARY, are seen by no other connection and are gone with this one, also after a
kill or a lost network.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from audsql.data.engine import EngineFailure
from audsql.data.remote.backend import Column, Piece, failed, missing_package
from audsql.data.remote.emitter import Dialect, column_types, rendered
from audsql.diag import error
from audsql.records import dataclass

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresBackend", "open_postgres"]

_CONNECT_SECONDS = 10
_PIECE = 1 << 13
_CURSORS = itertools.count(1)


@dataclass(slots=True)
class PostgresBackend:
    """Implements `Backend` over one connection."""

    connection: psycopg.Connection[Any]
    kind: Dialect = "postgres"

    def load(self, table: str, columns: Sequence[Column], pieces: Iterable[Piece]) -> None:

        self._run(f"CREATE TEMPORARY TABLE {table} ({column_types(columns, 'postgres')})", ())
        names = ", ".join(name for name, _ in columns)
        # One COPY for each piece: what makes the next one may ask this connection.
        for piece in pieces:
            self._copy(f"COPY {table} ({names}) FROM STDIN", piece)
        # The planner knows nothing of a new temporary table.
        self._run(f"ANALYZE {table}", ())

    def keep(self, table: str, sql: str, values: Sequence[object]) -> None:
        self._run(f"CREATE TEMPORARY TABLE {table} AS {rendered(sql, 'postgres')}", values)
        self._run(f"ANALYZE {table}", ())

    def rows(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._run(rendered(sql, "postgres"), values).fetchall()
        return found

    def ids(self, sql: str) -> Iterator[str]:
        import psycopg

        # The server keeps the answer, so that it need not fit this process and other questions may come between.
        name = f"ids_{next(_CURSORS)}"
        try:
            with self.connection.cursor(name, withhold=True) as cursor:
                cursor.itersize = _PIECE
                cursor.execute(_plain(rendered(sql, "postgres")), ())
                for row in cursor:
                    yield row[0]
        except psycopg.Error as problem:
            raise failed("postgres", _reason(problem)) from None

    def drop(self, table: str) -> None:
        self._run(f"DROP TABLE {table}", ())

    def close(self) -> None:
        self.connection.close()

    def _copy(self, sql: str, piece: Piece) -> None:
        import psycopg

        try:
            with self.connection.cursor() as cursor, cursor.copy(_plain(sql)) as copy:
                for row in piece:
                    copy.write_row(row)
        except psycopg.Error as problem:
            raise failed("postgres", _reason(problem)) from None

    def _run(self, sql: str, values: Sequence[object]) -> Any:
        import psycopg

        try:
            return self.connection.execute(_plain(sql), tuple(values))
        except psycopg.Error as problem:
            raise failed("postgres", _reason(problem)) from None


def open_postgres(url: str) -> PostgresBackend:
    """Connect. Raises EngineFailure: AUD1070 a package is missing, AUD1072 the server cannot be used."""
    for package in ("psycopg", "sqlglot"):
        if find_spec(package) is None:
            raise missing_package("postgres", package)
    import psycopg

    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=_CONNECT_SECONDS, prepare_threshold=None, application_name="audsql",
            client_encoding="UTF8",
        )  # fmt: skip
    except psycopg.Error as problem:
        raise _unusable(url, _reason(problem)) from None
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        with contextlib.suppress(psycopg.Error):
            connection.close()
        raise _unusable(url, f"server_encoding {encoding}")
    return PostgresBackend(connection)


def _unusable(url: str, reason: str) -> EngineFailure:
    """The host of the url is shown and nothing else of it."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return EngineFailure(error("AUD1072", None, engine="postgres", place=host or "localhost", reason=reason))


def _reason(problem: psycopg.Error) -> str:
    """The server's own message may quote a row."""
    return problem.sqlstate or type(problem).__name__


def _plain(sql: str) -> bytes:
    # Statements are made of our own words and names; values only ever travel as parameters.
    return sql.encode()
