"""What is asked of an engine that is elsewhere: take rows, keep the result of a query, answer one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from audsql.data.engine import EngineFailure
from audsql.data.remote.emitter import Dialect
from audsql.diag import error

__all__ = ["Backend", "Column", "Piece", "failed", "missing_package"]

Column = tuple[str, str]
"""The name of a column and what it holds: text, number, whole, time, truth or bucket (`emitter.column_types`)."""

Piece = Sequence[tuple[Any, ...]]


class Backend(Protocol):
    """One session of an engine. Tables last as long as it does and are seen by nobody else. Statements are in the
    common subset of `emitter`, with `?` for values. Every method raises EngineFailure where the engine fails."""

    kind: Dialect

    def load(self, table: str, columns: Sequence[Column], pieces: Iterable[Piece]) -> None:
        """A new table with these rows, in the order of the columns; None is no value."""

    def keep(self, table: str, sql: str, values: Sequence[object]) -> None:
        """A new table with the rows of a query."""

    def rows(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """The rows of a query that has few."""

    def ids(self, sql: str) -> Iterator[str]:
        """The first column of a query that may have many rows, in its order."""

    def drop(self, table: str) -> None:
        """Take a table away; queries that were kept from it stand."""

    def close(self) -> None:
        """Leave, with everything that was made. Never fails."""


def failed(kind: str, reason: str) -> EngineFailure:
    """The engine gave up. Its own message is not shown: it may quote rows or the address."""
    return EngineFailure(error("AUD1074", None, engine=kind, reason=reason))


def missing_package(kind: str, package: str) -> EngineFailure:
    return EngineFailure(error("AUD1070", None, engine=kind, package=package))
