"""A connection to the tables of a state: what differs between databases stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from audsql.diag import Diagnostic

__all__ = ["Cursor", "Door", "Failure", "tables"]


def tables(*, number: str, binary: str, keyed: str = "") -> str:
    """The tables of a state. `number`, `binary`: the database's types for 64-bit integers and for bytes; `keyed`: what
    the table of records ends with."""
    return f"""
CREATE TABLE meta (
    id integer PRIMARY KEY CHECK (id = 1), lineage text NOT NULL, environment text NOT NULL, format integer NOT NULL,
    serial {number} NOT NULL, events {number} NOT NULL, head text NOT NULL
);
CREATE TABLE lease (
    id integer PRIMARY KEY CHECK (id = 1), epoch {number} NOT NULL, lock_id text NOT NULL, by text NOT NULL,
    host text NOT NULL, pid {number} NOT NULL, operation text NOT NULL, since text NOT NULL, expires text NOT NULL
);
CREATE TABLE record (
    kind text NOT NULL, id text NOT NULL, incarnation text NOT NULL, revision {number} NOT NULL,
    created_at text NOT NULL, updated_at text NOT NULL, document text NOT NULL, body {binary},
    PRIMARY KEY (kind, id)
){keyed};
CREATE TABLE event (number {number} PRIMARY KEY, document text NOT NULL, hash text NOT NULL);
"""


class Cursor(Protocol):
    """The answer to a statement."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Failure(Exception):
    """The database failed. `broken`: this connection is not believed again."""

    def __init__(self, diagnostic: Diagnostic, broken: bool) -> None:
        super().__init__(diagnostic.code)
        self.diagnostic = diagnostic
        self.broken = broken


class Door(Protocol):
    """One connection to the tables of a state. All methods but `close` raise Failure where the database fails."""

    @property
    def name(self) -> str:
        """Where it is, for messages; no password in it."""

    @property
    def locking(self) -> str:
        """What a query ends with that holds the rows it reads until the transaction ends; empty where writers wait
        for each other from the beginning."""

    def begin(self, *, write: bool) -> None:
        """Begin a transaction. One that only reads sees one instant."""

    def execute(self, text: str, parameters: Sequence[object] = ()) -> Cursor:
        """Run one statement with `?` for each parameter."""

    def commit(self) -> None:
        """Make it durable."""

    def roll_back(self) -> None:
        """Undo it; of no effect where no transaction is open."""

    def close(self) -> None:
        """Close it; closing twice is harmless."""
