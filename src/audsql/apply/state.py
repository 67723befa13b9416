"""What audsql remembers between runs, as values: audiences at LINE, occurrences of sends, each request.

A row is a frozen value with a `stamp` that the store gives. A new row has the stamp `UNSTORED`; to
change a stored row, `dataclasses.replace` the row that the store returned, so that its stamp goes
along: the store writes only where incarnation and revision are still the same (specs/state.md).

No row ever holds an id of a person, a telephone number, an e-mail address or an access token. Sets of
people stand as a size and a keyed fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any, Literal

from audsql.plan.document import digest_of
from audsql.records import dataclass

__all__ = [
    "FIRST_FORMAT",
    "FORMAT_VERSION",
    "OPERATION_FINAL",
    "OPERATION_UNSENT",
    "UNSTORED",
    "AppliedPlan",
    "AudienceOperation",
    "AudienceOperationKind",
    "AudienceOperationState",
    "CouponState",
    "FlowVersion",
    "FlowVersionState",
    "HeldCoupon",
    "KnownSize",
    "Occurrence",
    "OccurrenceState",
    "Operation",
    "OperationState",
    "Resolution",
    "Resource",
    "ResourceStatus",
    "Row",
    "SpentPlan",
    "Stamp",
    "State",
    "empty_state",
    "iso_time",
    "occurrence_id",
    "parse_row",
    "parse_time",
    "row_content",
    "row_id",
    "row_kind",
    "row_state",
    "state_of",
    "to_document",
]

FIRST_FORMAT = 1
"""The first format of a state."""
FORMAT_VERSION = 1
"""The format that is read and written; apply.upgrade turns earlier ones into it."""

ResourceStatus = Literal["creating", "ready", "releasing", "superseded", "failed", "kept"]
OccurrenceState = Literal["planned", "scheduled", "sending", "done", "missed", "in_doubt", "failed", "cancelled"]
OperationState = Literal[
    "pending",  # nothing has left this machine
    "intent",  # the request is frozen and may have left
    "accepted",  # LINE answered with a request id
    "sending",  # LINE reports progress
    "succeeded",
    "failed",  # LINE itself reported it; `error_code` says why
    "rejected",  # LINE answered 4xx: nobody was sent to
    "in_doubt",  # the window closed and the outcome is unknown
    "missed",  # the window closed and nothing was tried
    "refused_empty",
    "refused_guard",
    "stale",
    "resolved_sent",  # a person looked
    "resolved_not_sent",
]
OPERATION_UNSENT: frozenset[OperationState] = frozenset(
    {"pending", "rejected", "refused_empty", "refused_guard", "stale"}
)
"""States in which it is certain that nobody was sent to and the same retry key may be used."""
OPERATION_FINAL: frozenset[OperationState] = frozenset({"succeeded", "resolved_sent", "resolved_not_sent"})
"""States that nothing leaves."""
AudienceOperationKind = Literal["create", "add", "rename", "delete"]
AudienceOperationState = Literal["intent", "done", "failed", "unknown"]
FlowVersionState = Literal[
    "active",  # new people enter it
    "closing",  # nobody enters; who is inside goes on
    "closed",  # nobody is inside any more
]
CouponState = Literal[
    "creating",  # approved; nobody knows yet whether LINE has it
    "running",
    "closing",  # given up; closed once nothing that waits sends it
    "closed",  # by this project, by somebody else, or by its end
    "kept",  # left at LINE for good
]


@dataclass(frozen=True, slots=True)
class Stamp:
    """The store's mark on a row: which life of the row (`incarnation`), which version of it, and when.

    A revision alone is no version: a row that was lost and made again counts from 1 once more.
    """

    incarnation: str = ""
    revision: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


UNSTORED = Stamp()


@dataclass(frozen=True, slots=True)
class Resource:
    """An audience at LINE that audsql made or adopted: one generation of one address.

    `address` is `upload.<key>` or `line_audience.<key>`. A replacement is a second row of the same
    address with the next `generation` (from 1); both exist until the old one is deleted. `kind` is
    LINE's type (`upload`, `click`, `imp`, …). `remote_id` is LINE's audienceGroupId, None until it is
    known. `name` is the description at LINE, which carries the tag. `function_key` identifies the set
    in the compiled program. `fingerprint` is the keyed fingerprint of the uploaded set, `size` its
    number of people; both None for an audience of LINE's own. `needed_by` names the deliveries that
    still wait for it, sorted. What is `kept` is left at LINE for good. `attributes` is JSON: nothing of a
    person, no token.
    """

    address: str
    generation: int
    account: str
    kind: str
    status: ResourceStatus
    name: str
    function_key: str = ""
    remote_id: int | None = None
    fingerprint: str | None = None
    size: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    needed_by: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stamp: Stamp = UNSTORED


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A send's identity: an account, a delivery and its scheduled time, fixed by the spec (specs/operations.md).

    `time` is the scheduled time in UTC (`2026-11-21T01:00:00Z`) or `once`. `at` is the first and
    `not_after` the last instant at which a request may leave. `plan_digest` is the approved plan,
    `document` the approved delivery out of it (JSON, no ids of people). `delivery` is the name that it was
    first approved under, for good: retry keys derive from it. `name` is what the delivery is called now.
    """

    account: str
    delivery: str
    time: str
    state: OccurrenceState
    plan_digest: str
    at: datetime | None = None
    not_after: datetime | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    stamp: Stamp = UNSTORED

    @property
    def id(self) -> str:
        return occurrence_id(self.account, self.delivery, self.time)

    @property
    def name(self) -> str:
        return str(self.document.get("name") or self.delivery)


@dataclass(frozen=True, slots=True)
class Operation:
    """One send request: an occurrence × part × generation, for a multicast also × chunk of 500.

    `retry_key` is the X-Line-Retry-Key of this generation. `body` is the exact bytes that are sent,
    frozen with the `intent`, and None in every row that a snapshot returns: read it by `Store.body`.
    Writing None keeps what is stored. A body that lists user ids (`kind` multicast or push) is never
    stored: for those only `body_sha256` and the chunk index stand here, and the executor makes the
    same bytes again from its own encrypted spool and compares.

    `request_id` is LINE's x-line-request-id. `phase` and `error_code` are LINE's of the progress,
    `counts` LINE's numbers (success, failure, target). `attempts` counts requests that were written.
    `evidence` says how the state was found (`202`, `409`, `progress`, `window`, a person), for the journal.
    """

    occurrence: str
    part: int
    generation: int
    kind: str
    state: OperationState
    retry_key: str
    chunk: int = 0
    chunks: int = 1
    body_sha256: str | None = None
    body: bytes | None = field(default=None, repr=False, compare=False)
    not_before: datetime | None = None
    not_after: datetime | None = None
    request_id: str | None = None
    phase: str | None = None
    error_code: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    attempts: int = 0
    evidence: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stamp: Stamp = UNSTORED

    @property
    def id(self) -> str:
        return f"{self.occurrence}#{self.part}.{self.generation}.{self.chunk}"


@dataclass(frozen=True, slots=True)
class AudienceOperation:
    """One request about an audience. It has no retry key at LINE, so a crash is settled by looking for `tag`.

    `tag` is the description (create, rename) or the upload job's description (add). `chunk` of
    `chunks` counts from 1 for adds and is 0 for the others. `unknown`: could not be settled; it blocks
    only what depends on this address.
    """

    address: str
    generation: int
    kind: AudienceOperationKind
    state: AudienceOperationState
    account: str
    tag: str
    chunk: int = 0
    chunks: int = 0
    remote_id: int | None = None
    attempts: int = 0
    error_code: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stamp: Stamp = UNSTORED

    @property
    def id(self) -> str:
        return f"{self.address}#{self.generation}.{self.kind}.{self.chunk}"


@dataclass(frozen=True, slots=True)
class SpentPlan:
    """A plan that was taken up by an apply. Written once: a second insert of a digest is refused."""

    digest: str
    at: datetime
    stamp: Stamp = UNSTORED


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """History: a plan, the serial that it was made for, when and by whom it was applied, how it ended.

    `outcome` is None while the apply runs or was interrupted. `summary` is JSON.
    """

    digest: str
    serial: int
    at: datetime
    by: str
    outcome: str | None = None
    ended_at: datetime | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    stamp: Stamp = UNSTORED


@dataclass(frozen=True, slots=True)
class Resolution:
    """History: what a person decided, and why. `subject` is an occurrence, operation, address or list name."""

    subject: str
    verdict: str
    reason: str
    by: str
    at: datetime
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stamp: Stamp = UNSTORED


@dataclass(frozen=True, slots=True)
class KnownSize:
    """The last known size of a delivery, an audience or a source (`audience.vip`), to compare the next with."""

    name: str
    size: int
    at: datetime
    fingerprint: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stamp: Stamp = UNSTORED


@dataclass(frozen=True, slots=True)
class FlowVersion:
    """What was approved of a flow: one definition of it, which its people finish on (specs/state.md, `state.flow`).

    `version`: 12 hex digits of `digest`, which covers start, steps, conditions, exit, reentry and messages. `document`
    is of `plan.flow_form.form_document`, an author's words alone. At most one version of a flow is `active`.
    """

    flow: str
    version: str
    account: str
    state: FlowVersionState
    approved_at: datetime
    digest: str
    document: Mapping[str, Any] = field(default_factory=dict)
    stamp: Stamp = UNSTORED

    @property
    def id(self) -> str:
        return f"{self.flow}@{self.version}"


@dataclass(frozen=True, slots=True)
class HeldCoupon:
    """A coupon at LINE that this project made: one generation of one name (specs/state.md, `state.coupon`).

    LINE edits none, so that a change is a new generation (from 1) and the end of the one before. `digest` is of
    `document`, the body that creates it. `coupon_id`: LINE's, None until it is known. `created_at`: when the request
    that creates it left first, by LINE's clock. `expires_at`: the end that it was given.
    """

    name: str
    generation: int
    account: str
    state: CouponState
    digest: str
    document: Mapping[str, Any] = field(default_factory=dict)
    coupon_id: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    stamp: Stamp = UNSTORED

    @property
    def id(self) -> str:
        return f"{self.name}#{self.generation}"


Row = (
    Resource
    | Occurrence
    | Operation
    | AudienceOperation
    | SpentPlan
    | AppliedPlan
    | Resolution
    | KnownSize
    | FlowVersion
    | HeldCoupon
)


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is remembered, at one instant. Tuples are sorted by id.

    `lineage` is made once with the state and empty where there is none yet. `serial` rises by one with
    every write that changes the content of a resource, an occurrence or a flow's version, and with no other.
    `head` is the last hash of the journal.
    """

    environment: str
    lineage: str = ""
    serial: int = 0
    format_version: int = FORMAT_VERSION
    head: str = ""
    resources: tuple[Resource, ...] = ()
    occurrences: tuple[Occurrence, ...] = ()
    operations: tuple[Operation, ...] = ()
    audience_operations: tuple[AudienceOperation, ...] = ()
    spent_plans: tuple[SpentPlan, ...] = ()
    applied_plans: tuple[AppliedPlan, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    sizes: tuple[KnownSize, ...] = ()
    flow_versions: tuple[FlowVersion, ...] = ()
    coupons: tuple[HeldCoupon, ...] = ()

    @property
    def digest(self) -> str:
        """`sha256:…` over lineage, serial, environment, resources, occurrences, versions of flows and coupons: what a
        plan is made for."""
        flows = [row_content(row) for row in self.flow_versions]
        coupons = [row_content(row) for row in self.coupons]
        return digest_of(
            {
                "environment": self.environment,
                "lineage": self.lineage,
                "serial": self.serial,
                "resources": [row_content(row) for row in self.resources],
                "occurrences": [row_content(row) for row in self.occurrences],
                **({"flow_versions": flows} if flows else {}),
                **({"coupons": coupons} if coupons else {}),
            }
        )

    def versions_of(self, flow: str) -> tuple[FlowVersion, ...]:
        """All versions of a flow, the one that was approved last at the end."""
        rows = [row for row in self.flow_versions if row.flow == flow]
        return tuple(sorted(rows, key=lambda row: (row.approved_at, row.version)))

    def generations(self, address: str) -> tuple[Resource, ...]:
        """All generations of an address, the oldest first."""
        return tuple(row for row in self.resources if row.address == address)

    def resource(self, address: str) -> Resource | None:
        """The newest generation of an address."""
        return max(self.generations(address), key=lambda row: row.generation, default=None)

    def occurrence(self, identity: str) -> Occurrence | None:
        return next((row for row in self.occurrences if row.id == identity), None)

    def operations_of(self, occurrence: str) -> tuple[Operation, ...]:
        """All requests of an occurrence, by part, generation and chunk."""
        rows = [row for row in self.operations if row.occurrence == occurrence]
        return tuple(sorted(rows, key=lambda row: (row.part, row.generation, row.chunk)))

    def audience_operations_of(self, address: str) -> tuple[AudienceOperation, ...]:
        """All audience requests of an address, by generation, kind and chunk."""
        rows = [row for row in self.audience_operations if row.address == address]
        return tuple(sorted(rows, key=lambda row: (row.generation, row.kind, row.chunk)))

    def size(self, name: str) -> KnownSize | None:
        return next((row for row in self.sizes if row.name == name), None)

    def spent(self, digest: str) -> SpentPlan | None:
        return next((row for row in self.spent_plans if row.digest == digest), None)

    def applied(self, digest: str) -> AppliedPlan | None:
        return next((row for row in self.applied_plans if row.digest == digest), None)


def empty_state(environment: str) -> State:
    """The state before the first apply: no lineage, serial 0."""
    return State(environment)


def occurrence_id(account: str, delivery: str, time: str) -> str:
    """`account/delivery/time`; names hold no slash, so it is unambiguous."""
    return f"{account}/{delivery}/{time}"


def iso_time(instant: datetime) -> str:
    """An aware instant in UTC, `2026-11-21T01:00:00Z`, with six decimals only where it has a fraction.

    Raises ValueError for a time without a zone.
    """
    if instant.tzinfo is None:
        raise ValueError("a time in the state has a zone")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The instant that `iso_time` wrote."""
    return datetime.fromisoformat(text).astimezone(UTC)


def row_id(row: Row) -> str:
    """The id of a row, unique among rows of its type."""
    match row:
        case Occurrence() | Operation() | AudienceOperation() | FlowVersion() | HeldCoupon():
            return row.id
        case Resource():
            return f"{row.address}#{row.generation}"
        case SpentPlan() | AppliedPlan():
            return row.digest
        case Resolution():
            return f"{row.subject}@{iso_time(row.at)}"
        case KnownSize():
            return row.name


def row_kind(row: Row) -> str:
    """The name of a row's type in storage and journal."""
    return _KIND_OF[type(row)]


def row_state(row: Row) -> str | None:
    """The state that a row is in, None for types that have none."""
    match row:
        case Resource():
            return row.status
        case Occurrence() | Operation() | AudienceOperation() | FlowVersion() | HeldCoupon():
            return row.state
        case AppliedPlan():
            return row.outcome
        case Resolution():
            return row.verdict
        case SpentPlan() | KnownSize():
            return None


def row_content(row: Row) -> dict[str, Any]:
    """A row as a JSON object, without its stamp and without a request body."""
    return {name: _plain(getattr(row, name)) for name in _CONTENT_NAMES[type(row)]}


_SCALARS = frozenset({str, int, bool, float, type(None)})


def _plain(value: Any) -> Any:
    # Most values are of these types exactly; the rest is told apart by what it can do.
    if type(value) in _SCALARS:
        return value
    match value:
        case dict() | Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case datetime():
            return iso_time(value)
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise TypeError(f"a state row holds JSON values, not {type(value).__name__}")


_KINDS: dict[str, tuple[type[Row], str]] = {
    "resource": (Resource, "resources"),
    "occurrence": (Occurrence, "occurrences"),
    "operation": (Operation, "operations"),
    "audience_operation": (AudienceOperation, "audience_operations"),
    "spent_plan": (SpentPlan, "spent_plans"),
    "applied_plan": (AppliedPlan, "applied_plans"),
    "resolution": (Resolution, "resolutions"),
    "size": (KnownSize, "sizes"),
    "flow_version": (FlowVersion, "flow_versions"),
    "coupon": (HeldCoupon, "coupons"),
}
_KIND_OF = {made: kind for kind, (made, _) in _KINDS.items()}
_CONTENT_NAMES = {
    made: tuple(name for name in made.__dataclass_fields__ if name not in ("stamp", "body")) for made in _KIND_OF
}
_TIMES = frozenset({"approved_at", "at", "created_at", "ended_at", "expires_at", "not_after", "not_before"})


def parse_row(kind: str, content: Mapping[str, Any], stamp: Stamp) -> Row:
    """The row of that kind whose `row_content` this is.

    Raises KeyError for a kind, TypeError for a field that there is not.
    """
    fields = dict(content)
    for name in _TIMES & fields.keys():
        fields[name] = fields[name] and parse_time(fields[name])
    if "needed_by" in fields:
        fields["needed_by"] = tuple(fields["needed_by"])
    return _KINDS[kind][0](**fields, stamp=stamp)


def state_of(environment: str, lineage: str, serial: int, head: str, rows: Iterable[Row]) -> State:
    """The state of these rows."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_KINDS[row_kind(row)][1], []).append(row)
    parts: dict[str, Any] = {name: tuple(sorted(group, key=row_id)) for name, group in groups.items()}
    return State(environment, lineage, serial, FORMAT_VERSION, head, **parts)


def to_document(state: State) -> dict[str, Any]:
    """The state as `specs/schemas/state.schema.json` describes it: no request bodies, nothing of a person."""
    return {
        "kind": "audsql.state",
        "format_version": state.format_version,
        "environment": state.environment,
        "lineage": state.lineage,
        "serial": state.serial,
        "digest": state.digest,
        "journal_head": state.head,
        "resources": [_shown(row) for row in state.resources],
        "occurrences": [_shown(row) for row in state.occurrences],
        "operations": [_shown(row) for row in state.operations],
        "audience_operations": [_shown(row) for row in state.audience_operations],
        "spent_plans": [_shown(row) for row in state.spent_plans],
        "applied_plans": [_shown(row) for row in state.applied_plans],
        "resolutions": [_shown(row) for row in state.resolutions],
        "sizes": [_shown(row) for row in state.sizes],
        "flow_versions": [_shown(row) for row in state.flow_versions],
        "coupons": [_shown(row) for row in state.coupons],
    }


def _shown(row: Row) -> dict[str, Any]:
    stamp = row.stamp
    recorded = stamp.created_at and iso_time(stamp.created_at)
    updated = stamp.updated_at and iso_time(stamp.updated_at)
    return {
        "id": row_id(row),
        **row_content(row),
        "revision": stamp.revision,
        "recorded_at": recorded,
        "updated_at": updated,
    }
