"""The store port: where the state is kept, who may write it, and what can go wrong.

A store holds rows of `state` and an append-only journal of events. It reads no clock: each call is
told the time. Every write is one transaction that holds only if the writer's lease stands and every
row is still the one that was read (incarnation and revision); otherwise it changes nothing at all.
Rules: specs/state.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar, cast

from audsql.apply.journal import Event
from audsql.apply.state import Resolution, Row, State, iso_time
from audsql.data.keys import Keys
from audsql.diag import Diagnostic, error, warning
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.apply.ledger import Ledger

__all__ = [
    "Held",
    "Holder",
    "Lease",
    "LeaseLost",
    "Removal",
    "RowChanged",
    "RuleBroken",
    "Store",
    "StoreFailed",
    "held_diagnostic",
    "is_postgres",
    "lease_lost_diagnostic",
    "local_path",
    "open_store",
    "put",
    "state_exists",
    "takeover_diagnostic",
    "unlock_refused_diagnostic",
]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who asks for the lease: a name for people, the host and process, and what it is doing (`apply`)."""

    name: str
    host: str
    pid: int
    operation: str = "apply"


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody's standing lease. `lock_id` is what `unlock` must be given."""

    by: str
    host: str
    pid: int
    operation: str
    since: datetime
    expires: datetime
    lock_id: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write. `epoch` rises with every change of hands and is checked in every write.

    `took_over` is the expired lease that this one replaced, to be announced; None where it was free.
    """

    epoch: int
    id: str
    holder: Holder
    since: datetime
    expires: datetime
    took_over: Held | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """Take this row out of the state, if it is still the same."""

    row: Row


class LeaseLost(Exception):
    """The lease was taken over or released: nothing was written. Stop before the next side effect."""

    def __init__(self, lock_id: str) -> None:
        super().__init__(f"lease {lock_id} no longer stands")
        self.lock_id = lock_id


class RowChanged(Exception):
    """A row is not the one that was read, or already exists: nothing was written. Read again and decide."""

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(f"{kind} {identity} was changed by another writer")
        self.kind = kind
        self.identity = identity


class RuleBroken(ValueError):
    """A write that no writer may ask for: an outcome undone, a frozen body changed, ids of people in a row."""


class StoreFailed(Exception):
    """The store could not be read or written; the old content stands. `diagnostic` says why.

    After an I/O error the store refuses all further writes: a handle that once failed to reach the
    disk is not believed again. Open it anew.
    """

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.code)
        self.diagnostic = diagnostic


class Store(Protocol):
    """What a state store offers. All times are aware. Methods raise StoreFailed where storage fails."""

    @property
    def path(self) -> str:
        """Where it is, for messages; no password in it."""

    def snapshot(self) -> State:
        """Everything at one instant, without request bodies."""

    def body(self, operation_id: str) -> bytes | None:
        """The frozen bytes of a send request; None where none are stored."""

    def events(self, after: int = 0) -> tuple[Event, ...]:
        """The journal in order, events with a number above `after`."""

    def acquire(self, holder: Holder, now: datetime, ttl: timedelta) -> Lease | Held:
        """Take the lease if it is free or expired, else say who holds it. A take-over is journalled."""

    def renew(self, lease: Lease, now: datetime, ttl: timedelta) -> Lease:
        """Move the lease's end to `now + ttl`. An expired lease that nobody took is renewed too.

        Raises LeaseLost.
        """

    def release(self, lease: Lease, now: datetime) -> None:
        """Give the lease back; of no effect where it is no longer held."""

    def written(self) -> int:
        """How many events the journal holds: every change of rows and of the ledger is one."""

    def holder(self) -> Held | None:
        """Who holds the lease, expired or not; None where it is free."""

    def force_release(self, lock_id: str, now: datetime, by: str) -> Literal["released", "wrong_id", "not_held"]:
        """End the lease of that id, whoever holds it; its holder's next write raises LeaseLost. Journalled."""

    def write(self, lease: Lease, now: datetime, what: str, *rows: Row | Removal) -> tuple[Row, ...]:
        """Store all rows in one durable transaction and return them as stored, removals left out.

        A row stamped `UNSTORED` is inserted and must not exist yet. A row whose content is the stored
        one is not written again. `what` is a stable name (`upload.create.intent`), which stands in the
        journal and names the checkpoint.

        Raises LeaseLost, RowChanged, RuleBroken; each of them leaves everything as it was.
        """

    def note(self, now: datetime, what: str, *rows: Resolution) -> tuple[Row, ...]:
        """Add rows to the history, whoever holds the lease: a person's word that somebody at work must hear.

        Changes no row that is there, so that nothing a lease protects is touched. Raises RowChanged for a row that
        exists already, and RuleBroken; each of them leaves everything as it was.
        """

    def ledger(self) -> Ledger:
        """What is remembered of single persons; its tables are made with the first write."""

    def keyed(self) -> bool:
        """Whether the last event is signed with a key."""

    def compact(self) -> None:
        """Leave nothing of what was overwritten in files of ours."""

    def backup(self) -> dict[str, Any]:
        """Everything at one instant as one document (apply.backup): rows with bodies, journal."""

    def put_back(self, document: dict[str, Any], environment: str, now: datetime) -> Literal["written", "same"] | Held:
        """Put a later document of the same history in place of the state, or fill an empty one; who holds a
        lease that stands where it cannot. See apply.backup.put_back."""

    def close(self) -> None:
        """Close it; closing twice is harmless. A lease that is still held stands until it expires."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


R = TypeVar("R", bound=Row)


def put(store: Store, lease: Lease, now: datetime, what: str, row: R) -> R:
    """`Store.write` of one row, with its type."""
    return cast("R", store.write(lease, now, what, row)[0])


def _random_id() -> str:
    import uuid

    return str(uuid.uuid4())


def open_store(
    location: str,
    *,
    create: bool,
    environment: str,
    new_id: Callable[[], str] = _random_id,
    keys: Keys | None = None,
) -> Store | tuple[Diagnostic, ...]:
    """Open the state at `sqlite:PATH`, a path or `postgresql://…`, verified whole, or say why not; then nothing was
    written.

    `create` makes a state where none is (in a folder of mode 0700, the file of mode 0600); without it
    a missing state is an error. `new_id` gives the lineage, incarnations and lock ids: random
    UUIDs, unless a simulation needs them repeatable. `keys` sign the journal and close request bodies.
    """
    path = local_path(location)
    try:
        if path is not None:
            from audsql.apply.sqlite import open_sqlite

            return open_sqlite(path, create=create, environment=environment, new_id=new_id, keys=keys)
        if is_postgres(location):
            from audsql.apply.postgres import open_postgres

            return open_postgres(location, create=create, environment=environment, new_id=new_id, keys=keys)
        return (error("AUD0610", None, scheme=location.split(":", 1)[0]),)
    except StoreFailed as failure:
        return (failure.diagnostic,)


def state_exists(location: str) -> bool | tuple[Diagnostic, ...]:
    """Whether there is something at that place, which may still be no state; or why that cannot be told."""
    if is_postgres(location):
        from audsql.apply.postgres import postgres_exists

        try:
            return postgres_exists(location)
        except StoreFailed as failure:
            return (failure.diagnostic,)
    path = local_path(location)
    return path is not None and os.path.lexists(path)


def is_postgres(location: str) -> bool:
    """Whether a location is that of a database server."""
    return location.startswith(("postgresql://", "postgres://"))


def local_path(location: str) -> Path | None:
    """The file that a location names; None for a server and for what is no location."""
    scheme, colon, rest = location.partition(":")
    if colon and scheme == "sqlite" and rest:
        return Path(rest.removeprefix("//") if rest.startswith("//") else rest)
    return None if "://" in location or not location or location == "sqlite:" else Path(location)


def held_diagnostic(held: Held) -> Diagnostic:
    """Somebody else holds the state (exit 6)."""
    return error(
        "AUD0613", None, by=held.by, host=held.host, pid=str(held.pid), operation=held.operation,
        since=iso_time(held.since.replace(microsecond=0)), expires=iso_time(held.expires.replace(microsecond=0)),
        lock_id=held.lock_id,
    )  # fmt: skip


def takeover_diagnostic(held: Held) -> Diagnostic:
    """An expired lease was taken over."""
    return warning("AUD0615", None, by=held.by, host=held.host, pid=str(held.pid), expires=iso_time(held.expires))


def lease_lost_diagnostic(lost: LeaseLost, path: str) -> Diagnostic:
    """This run's lease was taken over; it stopped."""
    return error("AUD0614", None, path=path, lock_id=lost.lock_id)


def unlock_refused_diagnostic(given: str, held: Held | None) -> Diagnostic:
    """`unlock` was given another lock's id, or nothing is locked."""
    by, host, lock_id = (held.by, held.host, held.lock_id) if held else (None, None, None)
    return error("AUD0616", None, given=given, by=by, host=host, lock_id=lock_id)
