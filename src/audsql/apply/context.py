"""What one run of apply carries: its ports, its lease, what was approved, and what it has to report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from audsql.apply.journal import checkpoint
from audsql.apply.state import AudienceOperation, Row, State
from audsql.apply.store import Lease, LeaseLost, Removal, Store
from audsql.compile.program import Program
from audsql.data.engine import Engine
from audsql.data.erased import NOBODY_ERASED, Erased
from audsql.diag import Diagnostic
from audsql.line.client import LineClient
from audsql.meaning.ir import Project
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.apply.ledger import Ledger
    from audsql.apply.persons import Persons
    from audsql.data.keys import Keys

__all__ = ["LEASE_SECONDS", "Context", "Options", "Stop"]

# Longer than the longest single request (an upload by file), during which the lease cannot be renewed.
LEASE_SECONDS = 15 * 60
R = TypeVar("R", bound=Row)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """`audience_wait_seconds`: how long one run waits for audiences to become READY; `send_retry_seconds`:
    how long it goes on asking about one send before it leaves the rest to the next run; `revision`: which
    specs are applied, for the history (`commit` of Git and whether they differ from it: `dirty`)."""

    holder: str = "audsql"
    host: str = ""
    pid: int = 0
    accept_shrunk: frozenset[str] = frozenset()
    accept_policies: frozenset[str] = frozenset()
    accept_restart: frozenset[str] = frozenset()
    reason: str = ""
    revision: Mapping[str, Any] = field(default_factory=dict)
    audience_wait_seconds: int = 2 * 60 * 60
    send_retry_seconds: int = 10 * 60


@dataclass(slots=True)
class Stop(Exception):
    """Ends the run in good order: `exit_code` of specs/operations.md and the reason."""

    exit_code: int
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(slots=True)
class Context:
    """The one object that an apply passes along. `lease` is renewed as time passes. `held`: deliveries and flows that
    were due and are paused. `waited_seconds`: spent so far on batches without a certain answer.
    `keys`: the project's, under which the ledger's secret is kept. `erased`: who may not enter a flow again.
    `follow_logs`: by account the folder and the pattern of its log of webhook events."""

    store: Store
    lease: Lease
    clients: Mapping[str, LineClient]
    bots: Mapping[str, str]
    engine: Engine
    project: Project
    program: Program
    messages: Mapping[str, Sequence[Any]]
    options: Options
    on_event: Callable[[dict[str, Any]], None]
    steady_now: Callable[[], datetime]
    events: list[dict[str, Any]] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    waited_seconds: float = 0.0
    keys: Keys | None = None
    erased: Erased = NOBODY_ERASED
    known_persons: Persons | None = None
    follow_logs: Mapping[str, tuple[Path, str]] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        """What is remembered of single persons."""
        return self.store.ledger()

    @property
    def persons(self) -> Persons:
        """Who people are in the ledger; the first use in a state makes the ledger's secret. Raises StoreFailed."""
        if self.known_persons is None:
            from audsql.apply.persons import make_persons

            self.keep_lease()
            self.known_persons = make_persons(self.store, self.keys, self.lease, self.steady_now(), self.erased)
        return self.known_persons

    def client(self, account: str) -> LineClient:
        return self.clients[account]

    def now(self, account: str) -> datetime:
        """The time that sends of this account live in; renews the lease on the way."""
        now = self.clients[account].now()
        self.keep_lease()
        return now

    def keep_lease(self) -> None:
        """Renew the lease when a third of it has passed. Raises LeaseLost."""
        now = self.steady_now()
        if self.lease.expires - now < timedelta(seconds=LEASE_SECONDS * 2 / 3):
            self.lease = self.store.renew(self.lease, now, timedelta(seconds=LEASE_SECONDS))

    def confirm_lease(self) -> None:
        """Raise LeaseLost where somebody else holds the state: who wakes after a take-over asks LINE for nothing."""
        held = self.store.holder()
        if held is None or held.lock_id != self.lease.id:
            raise LeaseLost(self.lease.id)

    def state(self) -> State:
        return self.store.snapshot()

    def write(self, what: str, *rows: Row | Removal) -> tuple[Row, ...]:
        """One durable transaction; see Store.write."""
        self.keep_lease()
        return self.store.write(self.lease, self.steady_now(), what, *rows)

    def put(self, what: str, row: R) -> R:
        return self.write(what, row)[0]  # type: ignore[return-value]

    def request(self, name: str, call: Callable[[], T]) -> T:
        """Make one request to LINE between two checkpoints. Raises LeaseLost, before it, where another took over."""
        checkpoint(f"request.{name}")
        self.confirm_lease()
        outcome = call()
        checkpoint(f"answer.{name}")
        return outcome

    def say(self, event: str, **facts: Any) -> None:
        """Report a step: kept for the document, and shown as progress."""
        line = {"event": event, **facts}
        self.events.append(line)
        self.on_event(line)

    def audience_operation(self, wanted: AudienceOperation) -> AudienceOperation:
        """The recorded operation of that id turned to what is wanted now, or a new one."""
        known = self.state().audience_operations_of(wanted.address)
        same = next((row for row in known if row.id == wanted.id), None)
        if same is None:
            return wanted
        return replace(wanted, stamp=same.stamp, attempts=same.attempts)
