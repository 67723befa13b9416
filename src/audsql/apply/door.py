"""A connection to the tables of a state: what differs between databases stands behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from audsql.diag import Diagnostic

__all__ = ["Cursor", "Door", "Failure", "Taken", "beat_table", "ledger_tables", "tables"]


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


def beat_table(*, number: str, text: str) -> str:
    """The statement that makes the table of runners' signs of life."""
    return f"""CREATE TABLE ledger_beat (
    name {text} PRIMARY KEY, at {number} NOT NULL, host {text} NOT NULL, pid {number} NOT NULL, document {text} NOT NULL
)"""


def ledger_tables(*, number: str, binary: str, text: str, keyed: str = "") -> tuple[str, ...]:
    """The statements that make the tables of the ledger (apply.ledger). `text`: the type of text that is ordered by its
    code points. Times are microseconds since 1970 in UTC."""
    return (
        f"""CREATE TABLE ledger_meta (
    id integer PRIMARY KEY CHECK (id = 1), secret_id {text} NOT NULL, closed {binary}, places {number} NOT NULL,
    batches {number} NOT NULL, sends {number} NOT NULL, codes {number} NOT NULL, digest {text} NOT NULL
)""",
        f"""CREATE TABLE ledger_place (
    flow {text} NOT NULL, person {binary} NOT NULL, entry {text} NOT NULL, version {text} NOT NULL,
    step {text} NOT NULL, state {text} NOT NULL, entered_at {number} NOT NULL, due_at {number} NOT NULL,
    batch {text} NOT NULL, note {text} NOT NULL, ended_at {number}, revision {number} NOT NULL,
    PRIMARY KEY (flow, person, entry)
){keyed}""",
        "CREATE INDEX ledger_place_due ON ledger_place (state, due_at)",
        "CREATE INDEX ledger_place_batch ON ledger_place (batch) WHERE batch <> ''",
        f"""CREATE TABLE ledger_batch (
    id {text} PRIMARY KEY, owner {text} NOT NULL, occurrence {text} NOT NULL, account {text} NOT NULL,
    kind {text} NOT NULL, state {text} NOT NULL, retry_key {text} NOT NULL, count {number} NOT NULL,
    not_after {number} NOT NULL, created_at {number} NOT NULL, content {text} NOT NULL, body {binary},
    body_sha256 {text} NOT NULL, attempts {number} NOT NULL, asked {number} NOT NULL, request_id {text} NOT NULL,
    evidence {text} NOT NULL, unit {text} NOT NULL, silent {number} NOT NULL, revision {number} NOT NULL
)""",
        "CREATE INDEX ledger_batch_state ON ledger_batch (state)",
        f"""CREATE TABLE ledger_sent (
    owner {text} NOT NULL, occurrence {text} NOT NULL, person {binary} NOT NULL, account {text} NOT NULL,
    at {number} NOT NULL, batch {text} NOT NULL, PRIMARY KEY (owner, occurrence, person)
){keyed}""",
        "CREATE INDEX ledger_sent_at ON ledger_sent (account, at)",
        "CREATE INDEX ledger_sent_batch ON ledger_sent (batch) WHERE batch <> ''",
        f"""CREATE TABLE ledger_code (
    pool {text} NOT NULL, code {binary} NOT NULL, person {binary} NOT NULL, owner {text} NOT NULL,
    occurrence {text} NOT NULL, PRIMARY KEY (pool, code)
){keyed}""",
        # Who was forgotten leaves a code that stays taken, and nobody.
        "CREATE UNIQUE INDEX ledger_code_person ON ledger_code (pool, owner, occurrence, person)"
        " WHERE length(person) = 16",
    )


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


class Taken(Exception):
    """A row that must be new exists already; the transaction cannot go on."""


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

    def has_table(self, name: str) -> bool:
        """Whether there is a table of that name in this state."""

    def make_ledger(self) -> None:
        """Make the tables of the ledger."""

    def make_beats(self) -> None:
        """Make the table of runners' signs of life."""

    def insert_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add rows. Raises Taken where one of that key exists."""

    def update_many(
        self, table: str, columns: Sequence[str], keys: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        """Give rows new values; in each of `rows` the values of `columns` come first, then those of `keys`."""

    def commit(self) -> None:
        """Make it durable."""

    def roll_back(self) -> None:
        """Undo it; of no effect where no transaction is open."""

    def close(self) -> None:
        """Close it; closing twice is harmless."""
