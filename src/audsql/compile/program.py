"""The Program: what must exist in LINE and what is sent, as values. No data has been read for it.

Sends refer to audiences by `key`. A key is the identity of a set: two deliveries that need the same
function of own data need the same upload, whatever it is called.
"""

from __future__ import annotations

from typing import Literal

from audsql.meaning.ir import Expression
from audsql.records import dataclass

__all__ = [
    "AgeBetween",
    "AllFilters",
    "AllOf",
    "AnyFilter",
    "AnyOf",
    "AreaIn",
    "AudienceLeaf",
    "Broadcast",
    "CompiledDelivery",
    "Filter",
    "FriendForBetween",
    "GenderIn",
    "LineAudience",
    "ListedKind",
    "Multicast",
    "Narrowcast",
    "NoneOf",
    "NotFilter",
    "OsIn",
    "Program",
    "Recipient",
    "RedeliveryLeaf",
    "Send",
    "UploadFunction",
    "filter_leaves",
    "recipient_leaves",
]

# --- recipient trees (specs/line.md) ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudienceLeaf:
    """The audience with this key: of an UploadFunction or of a LineAudience."""

    key: str


@dataclass(frozen=True, slots=True)
class RedeliveryLeaf:
    """The people who got narrowcast `delivery`, part `part` (from 0)."""

    delivery: str
    part: int = 0


@dataclass(frozen=True, slots=True)
class AllOf:
    """Who is in all of the operands."""

    operands: tuple[Recipient, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Who is in any of the operands."""

    operands: tuple[Recipient, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """LINE's `not`: everybody outside `operand`."""

    operand: Recipient


Recipient = AudienceLeaf | RedeliveryLeaf | AllOf | AnyOf | NoneOf

# --- demographic filters (specs/line.md) --------------------------------------------------


@dataclass(frozen=True, slots=True)
class GenderIn:
    """LINE's codes of genders, any of them."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OsIn:
    """LINE's codes of systems, any of them."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AreaIn:
    """LINE's codes of areas, any of them."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgeBetween:
    """LINE's codes: `gte` included, `lt` excluded; None is open. One of them is given."""

    gte: str | None
    lt: str | None


@dataclass(frozen=True, slots=True)
class FriendForBetween:
    """As `AgeBetween`, for the days somebody has been a friend."""

    gte: str | None
    lt: str | None


@dataclass(frozen=True, slots=True)
class AllFilters:
    """Whom all of the operands hold for."""

    operands: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyFilter:
    """Whom any of the operands holds for."""

    operands: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class NotFilter:
    """Only where the author wrote NOT: LINE does not say whether it includes people it knows nothing of."""

    operand: Filter


Filter = GenderIn | OsIn | AreaIn | AgeBetween | FriendForBetween | AllFilters | AnyFilter | NotFilter

# --- what must exist ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UploadFunction:
    """A set of own data to be uploaded. `expression` has own atoms only and is false where all are
    false, so that nobody unknown to the data is ever in it. `label` is a short name for people.
    `negated`: some send uses it under NOT (then a shortfall at LINE would widen that send)."""

    key: str
    account: str
    expression: Expression
    label: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class LineAudience:
    """An audience of LINE's own: CLICK and IMP are created from one send of a delivery (`part`, from 0; 0 for
    a delivery that was sent elsewhere), the others are found by name."""

    key: str
    account: str
    kind: str
    label: str
    delivery: str | None = None
    url: str | None = None
    name: str | None = None
    part: int = 0


# --- sends ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Narrowcast:
    """One narrowcast. Not both of `recipient` and `filter` are None unless `everybody` is written.

    `region` is the part of the delivery's set that this send reaches, over all its atoms; `bound` an
    expression over own atoms that contains it, or None where own data does not bound it (then the
    bound is the number of friends).
    """

    part: int
    recipient: Recipient | None
    filter: Filter | None
    region: Expression
    bound: Expression | None
    everybody: bool = False
    kind: Literal["narrowcast"] = "narrowcast"


ListedKind = Literal["multicast", "listed", "push"]


@dataclass(frozen=True, slots=True)
class Multicast:
    """`members` (own atoms only) by user ID. `multicast`: 500 a request. In batches of the ledger, so that each person
    is counted: `listed`, who gets the same words shares a multicast; `push`, to each by itself."""

    part: int
    members: Expression
    kind: ListedKind = "multicast"


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Everybody who is a friend; only where `to: friends` is written and no policy subtracts from it."""

    part: int
    kind: Literal["broadcast"] = "broadcast"


Send = Narrowcast | Multicast | Broadcast


@dataclass(frozen=True, slots=True)
class CompiledDelivery:
    """`uploads` and `audiences` are the keys of all that its sends name, sorted. `waits_for`: deliveries
    of this project that must be sent first, because their clicks, opens or receipts are used."""

    name: str
    account: str
    reach: Expression
    sends: tuple[Send, ...]
    uploads: tuple[str, ...]
    audiences: tuple[str, ...]
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """All of a project's deliveries compiled. Tuples are sorted by key or name."""

    uploads: tuple[UploadFunction, ...] = ()
    audiences: tuple[LineAudience, ...] = ()
    deliveries: tuple[CompiledDelivery, ...] = ()

    def upload(self, key: str) -> UploadFunction:
        return next(upload for upload in self.uploads if upload.key == key)

    def audience(self, key: str) -> LineAudience:
        return next(audience for audience in self.audiences if audience.key == key)


def recipient_leaves(tree: Recipient | None) -> tuple[AudienceLeaf | RedeliveryLeaf, ...]:
    """The leaves in order, a repeated one each time: LINE counts them so (specs/line.md)."""
    match tree:
        case None:
            return ()
        case AudienceLeaf() | RedeliveryLeaf():
            return (tree,)
        case NoneOf(operand):
            return recipient_leaves(operand)
        case AllOf(operands) | AnyOf(operands):
            return tuple(leaf for operand in operands for leaf in recipient_leaves(operand))


def filter_leaves(tree: Filter | None) -> int:
    """How many demographic objects a filter has, operators not counted (specs/line.md)."""
    match tree:
        case None:
            return 0
        case NotFilter(operand):
            return filter_leaves(operand)
        case AllFilters(operands) | AnyFilter(operands):
            return sum(filter_leaves(operand) for operand in operands)
        case _:
            return 1
