"""The ledger's port: what is remembered of single persons, so that each of them is sent a message once.

A person stands in it as 16 bytes that only the ledger's own secret turns back into a user ID (`audsql.apply.persons`).
It lies in the same database as the state, under the same lease: every write is one transaction that holds only if the
lease stands and every row is still of the revision that was read, and one event of the journal, which names counts and
a digest and nobody. Rules: specs/state.md, `ledger.*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Literal, Protocol

from audsql.apply.store import Lease
from audsql.records import dataclass

__all__ = [
    "BATCH_UNSENT",
    "Assigned",
    "Batch",
    "BatchKind",
    "BatchState",
    "Beat",
    "Ledger",
    "Occupied",
    "Opening",
    "Place",
    "PlaceState",
    "Secret",
    "Sent",
    "Standing",
]

PlaceState = Literal[
    "waiting",  # until `due_at`
    "sending",  # in the batch that it names
    "held",  # that batch is in doubt: nothing happens to this person until somebody looked
    "done",  # behind the last step
    "left",  # taken out earlier; `note` says by what
]
BatchKind = Literal["multicast", "push", "narrowcast"]
BatchState = Literal[
    "pending",  # its people are fixed, nothing has left
    "intent",  # its bytes are fixed, and may have left where `asked`
    "succeeded",  # LINE took it
    "rejected",  # LINE answered 4xx: nobody was sent to
    "in_doubt",  # the window closed and the outcome is unknown
    "missed",  # the window closed and nothing was tried
    "resolved_sent",  # a person looked
    "resolved_not_sent",
]
BATCH_UNSENT: frozenset[BatchState] = frozenset({"rejected", "missed", "resolved_not_sent"})
"""States in which it is certain that nobody was sent to."""


class Occupied(Exception):
    """A row that must be new exists already (somebody was sent this, or stands there): nothing was written."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one person stands in one flow. `entry`: which time they entered (`1`, `2`, … or the digest of the row that
    triggered it); `version` of the flow's definition; `step`: the path of the next step (`0`, `2.1.0`: the first step
    in the second arm of the third step), '' behind the last. `note`: why a place is `left`, or what was passed over."""

    flow: str
    person: bytes
    entry: str
    version: str
    step: str
    state: PlaceState
    entered_at: datetime
    due_at: datetime
    batch: str = ""
    note: str = ""
    ended_at: datetime | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """One request to LINE to people who are listed. `owner`: `flow.NAME` or `delivery.NAME`; `occurrence`: the step and
    version, or the scheduled time. `content`: the message objects as JSON where all get the same words; where the words
    are personal it is empty and `body` holds the request closed under the ledger's secret. `not_after`: the last
    instant at which it may leave. `asked`: a request under its key may have left."""

    id: str
    owner: str
    occurrence: str
    account: str
    kind: BatchKind
    state: BatchState
    retry_key: str
    count: int
    not_after: datetime
    created_at: datetime
    content: str = ""
    body: bytes | None = None
    body_sha256: str = ""
    attempts: int = 0
    asked: bool = False
    request_id: str = ""
    evidence: str = ""
    unit: str = ""
    silent: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """That a person is sent, or may have been sent, one thing: unique by (owner, occurrence, person). For a flow
    `occurrence` is `ENTRY/STEP`. `batch` is '' for a send that is recorded elsewhere in the state."""

    account: str
    owner: str
    occurrence: str
    person: bytes
    at: datetime
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """A batch that begins, the places that it takes up (as they stand from now on), and what its people are sent."""

    batch: Batch
    places: tuple[Place, ...]
    sent: tuple[Sent, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How many stand at one step of one version in one state, and when the first of them is due."""

    flow: str
    version: str
    step: str
    state: PlaceState
    count: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Assigned:
    """A single-use code that belongs to a person for good. `code`: its keyed digest, never the code."""

    pool: str
    code: bytes
    person: bytes
    owner: str
    occurrence: str


@dataclass(frozen=True, slots=True)
class Beat:
    """The last sign of life of a runner. `document` says more (when something is due next)."""

    name: str
    at: datetime
    host: str
    pid: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Secret:
    """What people stand under in a ledger: the id of its secret ('' before the first), the secret itself where it is
    kept in the state, closed, and whether anybody stands under it."""

    id: str = ""
    closed: bytes | None = field(default=None, repr=False)
    used: bool = False


class Ledger(Protocol):
    """What a ledger offers. All times are aware. Writes raise LeaseLost, RowChanged, Occupied, StoreFailed and then
    leave everything as it was; each is one transaction, one event of the journal (`what`) and one checkpoint."""

    @property
    def written(self) -> bool:
        """Whether this process wrote to it."""

    # --- places ---

    def enter(self, lease: Lease, now: datetime, what: str, places: Sequence[Place]) -> None:
        """Add new places. Raises Occupied where one (flow, person, entry) exists."""

    def move(self, lease: Lease, now: datetime, what: str, places: Sequence[Place]) -> None:
        """Store these places, each read before and changed since (`revision` as read)."""

    def carry(self, lease: Lease, now: datetime, what: str, pairs: Sequence[tuple[Place, Place]]) -> None:
        """Take the first place of each pair out, as it was read, and add the second: what moves to a flow of another
        name. Raises Occupied where one of the second exists."""

    def places(
        self,
        flow: str | None = None,
        *,
        states: Sequence[PlaceState] = (),
        due_by: datetime | None = None,
        batch: str | None = None,
    ) -> list[Place]:
        """The places that fit, ordered by flow, person, entry. `states` empty: all."""

    def standings(self, flow: str | None = None) -> tuple[Standing, ...]:
        """Counts by flow, version, step and state."""

    def persons_of(self, flow: str) -> dict[bytes, Place]:
        """The last place of everybody who ever entered a flow, by person (latest `entered_at`)."""

    def entries_of(self, flow: str) -> frozenset[tuple[bytes, str]]:
        """Every (person, entry) of a flow."""

    # --- batches ---

    def open_batches(self, lease: Lease, now: datetime, what: str, openings: Sequence[Opening]) -> None:
        """Add batches; move their places, which were read before; record what is sent. Raises Occupied where a person
        was sent one of these, or a batch exists."""

    def put_batch(
        self,
        lease: Lease,
        now: datetime,
        what: str,
        batch: Batch,
        places: Sequence[Place] = (),
        *,
        withdrawn: Sequence[bytes] = (),
        sent_at: datetime | None = None,
    ) -> Batch:
        """Store a batch that was read before, and with it these places of its people; the batch as stored.

        `withdrawn`: people who are taken out of it before anything left; their rows of what is sent by it go.
        `sent_at`: when it left, where that is later than its opening: its people are recorded for then.
        """

    def batches(self, owner: str | None = None, *, states: Sequence[BatchState] = ()) -> list[Batch]:
        """The batches that fit, ordered by creation and id, with their bodies."""

    def people_of(self, batch: str) -> list[bytes]:
        """Who is sent a batch, in ascending order."""

    # --- what was sent ---

    def remember_sent(self, lease: Lease, now: datetime, what: str, rows: Sequence[Sent]) -> None:
        """Record sends that the state holds elsewhere; rows that exist already are passed over."""

    def sent_times(
        self, account: str, since: datetime, persons: Sequence[bytes] | None = None, owners: Sequence[str] = ()
    ) -> dict[bytes, list[datetime]]:
        """When each person was sent something since then, ascending, batches left out in which certainly nobody was.
        `persons` None: everybody. `owners`: none of these count."""

    def was_sent(self, owner: str, occurrence: str) -> frozenset[bytes]:
        """Who is recorded for one thing, whatever became of its batch."""

    # --- codes ---

    def assign(self, lease: Lease, now: datetime, what: str, rows: Sequence[Assigned]) -> None:
        """Give codes to people, for good. Raises Occupied where a code is taken or a person has one of this pool for
        the same thing."""

    def assigned(self, pool: str) -> tuple[Assigned, ...]:
        """Every assignment of a pool."""

    # --- runners ---

    def beat(self, beat: Beat) -> None:
        """Keep a runner's sign of life; no lease, no event."""

    def beats(self) -> tuple[Beat, ...]: ...

    # --- a person who is to be forgotten ---

    def forget(self, lease: Lease, now: datetime, persons: Sequence[bytes]) -> int:
        """Take people out of everything but counts; how many rows."""

    # --- the secret ---

    def secret(self) -> Secret:
        """Which secret people stand under."""

    def keep_secret(self, lease: Lease, now: datetime, secret_id: str, closed: bytes | None) -> None:
        """Store which secret people stand under, and the secret itself where it is closed under the project's key.
        The same secret closed anew is no event. Raises RuleBroken where people stand under another one."""
