"""The common subset run by DuckDB in this process: what the other dialects are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from audsql.data.remote.backend import Column, Piece, failed
from audsql.data.remote.emitter import Dialect, column_types, rendered
from audsql.records import dataclass

__all__ = ["DuckBackend", "open_duck"]

_PIECE = 1 << 13


@dataclass(slots=True)
class DuckBackend:
    """Implements `Backend` over a database in memory."""

    connection: Any
    kind: Dialect = "duckdb"

    def load(self, table: str, columns: Sequence[Column], pieces: Iterable[Piece]) -> None:
        self._run(f"CREATE TABLE {table} ({column_types(columns, 'duckdb')})", ())
        types = [part.partition(" ")[2] for part in (column_types([one], "duckdb") for one in columns)]
        lists = ", ".join(f"unnest(CAST(? AS {type_name}[]))" for type_name in types)
        for piece in pieces:
            for begin in range(0, len(piece), _PIECE):
                values = [list(column) for column in zip(*piece[begin : begin + _PIECE], strict=True)]
                self._run(f"INSERT INTO {table} SELECT {lists}", values)

    def keep(self, table: str, sql: str, values: Sequence[object]) -> None:
        self._run(f"CREATE TABLE {table} AS {rendered(sql, 'duckdb')}", values)

    def rows(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._run(rendered(sql, "duckdb"), values).fetchall()
        return found

    def ids(self, sql: str) -> Iterator[str]:
        # A cursor of its own: other questions may be asked before this one is read to its end.
        answer = self.connection.cursor().execute(rendered(sql, "duckdb"))
        while piece := answer.fetchmany(_PIECE):
            yield from (row[0] for row in piece)

    def drop(self, table: str) -> None:
        self._run(f"DROP TABLE {table}", ())

    def close(self) -> None:
        self.connection.close()

    def _run(self, sql: str, values: Sequence[object]) -> Any:
        import duckdb

        try:
            return self.connection.execute(sql, list(values))
        except duckdb.Error as problem:
            raise failed("duckdb", type(problem).__name__) from None


def open_duck() -> DuckBackend:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "enable_external_access": "false",
    }
    return DuckBackend(duckdb.connect(":memory:", config=settings))
