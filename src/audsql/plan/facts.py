"""What was found out before planning: sizes of own data, and what LINE has. Counts only, never members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from audsql.data.engine import LinkageKept, LinkageLoss
from audsql.records import dataclass

__all__ = [
    "AudienceFacts",
    "DeliveryFacts",
    "ExcludedLinkage",
    "Facts",
    "Losses",
    "Movement",
    "PartFacts",
    "RemoteAudienceFacts",
    "RemoteFacts",
    "Size",
    "SourceSummary",
    "UploadFacts",
]


@dataclass(frozen=True, slots=True)
class Size:
    """A number of people: exact where `low == high`; `high` None where nothing bounds it."""

    low: int
    high: int | None

    @property
    def exact(self) -> bool:
        return self.low == self.high

    def to_document(self) -> dict[str, int | bool | None]:
        count = self.low if self.exact else None
        return {"count": count, "exact": self.exact, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Movement:
    """People who enter and leave against the last applied set."""

    entering: int
    leaving: int


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """`previous_people`: at the last apply, None where there was none. `left`: people gone since then,
    None where not known. `exclusion`: it is subtracted somewhere. `late_hours`: older than `fresh:` allows.
    `dated`: its age is known and `fresh:` bounds it."""

    name: str
    kind: str
    digest: str
    rows: int
    people: int
    encoding: str
    exclusion: bool
    previous_people: int | None = None
    left: int | None = None
    late_hours: int | None = None
    dated: bool = False


@dataclass(frozen=True, slots=True)
class ExcludedLinkage:
    """A set that is mapped through a linkage to be subtracted. `left`: people who were in it at the last apply and
    are not now, though only lists are mapped; None where that is not known, or tables are mapped too."""

    loss: LinkageLoss
    left: int | None = None


@dataclass(frozen=True, slots=True)
class UploadFacts:
    """`known`: the members that LINE has are known here, so that `movement` is exact."""

    key: str
    size: int
    fingerprint: str
    known: bool
    movement: Movement


@dataclass(frozen=True, slots=True)
class AudienceFacts:
    """`movement` is None where there is no earlier set, or it is not at hand. `linkage`: what mapping ids lost."""

    name: str
    size: Size
    previous: Size | None = None
    movement: Movement | None = None
    linkage: tuple[LinkageLoss, ...] = ()


@dataclass(frozen=True, slots=True)
class PartFacts:
    """`bound`: people of own data that contain the part; None where own data does not bound it.
    `members`: the fingerprint of a part's people where they are listed one by one (multicast)."""

    part: int
    bound: int | None
    members: str | None = None


@dataclass(frozen=True, slots=True)
class CapFacts:
    """What caps do to a delivery, each as its policy, count and days. `left_out`: how many of its people one leaves
    out. `unsure`: the deliveries before it of which LINE alone knows who got them and whose receivers it cannot leave
    out; none where those are listed people."""

    left_out: tuple[tuple[str, int, int, int], ...] = ()
    unsure: tuple[tuple[str, int, int, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Losses:
    """From the ids that were given to LINE user IDs: `given` ids of another kind, `without_user_id` of them linked to
    none; both None where nothing was mapped. `user_ids` of the set before policies, `friends` of these, None where
    LINE does not say. `kept`: who is in it by one id though another one is excluded."""

    given: int | None
    without_user_id: int | None
    user_ids: Size
    kept: tuple[LinkageKept, ...] = ()
    friends: int | None = None

    def to_document(self) -> dict[str, object]:
        return {
            "given": self.given,
            "without_user_id": self.without_user_id,
            "user_ids": self.user_ids.to_document(),
            "friends": self.friends,
            "kept_by_another_id": sum(one.count for one in self.kept),
        }


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """`losses`: who is lost on the way from other ids; None where nothing is mapped and friends are unknown."""

    name: str
    size: Size
    parts: tuple[PartFacts, ...]
    previous: Size | None = None
    linkage: tuple[LinkageLoss, ...] = ()
    losses: Losses | None = None


@dataclass(frozen=True, slots=True)
class RemoteAudienceFacts:
    """An audience of the account as LINE lists it."""

    id: int
    kind: str
    name: str
    status: str
    count: int
    expires_at: datetime | None = None
    request_id: str | None = None
    click_url: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """One account as LINE has it. `quota_remaining` None: unlimited. `followers` None: LINE did not say."""

    account: str
    bot_id: str
    audiences: tuple[RemoteAudienceFacts, ...]
    quota_remaining: int | None
    followers: int | None
    target_reach: int | None

    def by_id(self, audience_id: int) -> RemoteAudienceFacts | None:
        return next((audience for audience in self.audiences if audience.id == audience_id), None)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a plan needs to know beside the Program and the State."""

    as_of: datetime
    as_of_given: bool
    now: datetime
    sources: tuple[SourceSummary, ...] = ()
    uploads: Mapping[str, UploadFacts] = field(default_factory=dict)
    audiences: tuple[AudienceFacts, ...] = ()
    deliveries: Mapping[str, DeliveryFacts] = field(default_factory=dict)
    remotes: Mapping[str, RemoteFacts] = field(default_factory=dict)
    excluded_linkages: tuple[ExcludedLinkage, ...] = ()
