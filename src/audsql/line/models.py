"""What LINE returns, read tolerantly.

Fields that LINE adds are kept, enum values that it adds pass through as text, and a field of an unexpected
type reads as absent (specs/line.md: clients must tolerate unknown values). The official SDK does
none of the three, which is why it is not used here (specs/line.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta

from audsql.line import limits
from audsql.records import dataclass

__all__ = [
    "AudienceDetail",
    "AudienceInfo",
    "AudiencePage",
    "BotInfo",
    "CouponInfo",
    "CouponPage",
    "CouponTitle",
    "FollowerCounts",
    "JobInfo",
    "Progress",
    "Quota",
    "read_audience",
    "read_bot",
    "read_consumption",
    "read_coupon",
    "read_coupons",
    "read_detail",
    "read_follower_ids",
    "read_followers",
    "read_page",
    "read_progress",
    "read_quota",
    "read_unit_names",
]

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AudienceInfo:
    """An audience as LINE describes it. `name` is LINE's `description`, `kind` its `type`.

    `count` is 0 wherever LINE hides a count below 20 (all kinds but UPLOAD and CHAT_TAG), and includes
    people who blocked the account. `extra`: fields that this reading does not know.
    """

    id: int
    kind: str
    name: str
    status: str
    count: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    request_id: str | None = None
    click_url: str | None = None
    permission: str | None = None
    route: str | None = None
    failed_type: str | None = None
    is_ifa: bool = False
    extra: Mapping[str, object] = field(default_factory=dict, compare=False, hash=False)

    @property
    def writable(self) -> bool:
        """This channel may change or delete it."""
        return self.permission == "READ_WRITE"

    def expired_at(self, moment: datetime) -> bool:
        """Whether it is of no use at that moment, by its status or by its date."""
        return self.status == "EXPIRED" or (self.expires_at is not None and self.expires_at <= moment)


@dataclass(frozen=True, slots=True)
class JobInfo:
    """One upload into an audience. `status`: QUEUED, WORKING, FINISHED, FAILED. `count`: people it added."""

    id: int
    description: str
    status: str
    failed_type: str | None = None
    count: int | None = None
    created_at: datetime | None = None

    @property
    def running(self) -> bool:
        """Not over yet; a status that LINE added lately counts as running."""
        return self.status not in ("FINISHED", "FAILED")


@dataclass(frozen=True, slots=True)
class AudienceDetail:
    """An audience and its last 50 upload jobs."""

    audience: AudienceInfo
    jobs: tuple[JobInfo, ...] = ()

    @property
    def settled(self) -> bool:
        """READY with every upload in it: what a send may rely on."""
        return self.audience.status == "READY" and all(job.status == "FINISHED" for job in self.jobs)


@dataclass(frozen=True, slots=True)
class AudiencePage:
    audiences: tuple[AudienceInfo, ...]
    has_next: bool
    total: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a narrowcast is. `phase`: waiting, sending, succeeded, failed, or one that LINE added."""

    phase: str
    success_count: int | None = None
    failure_count: int | None = None
    target_count: int | None = None
    error_code: int | None = None
    accepted_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def over(self) -> bool:
        return self.phase in ("succeeded", "failed")

    @property
    def nobody_reached(self) -> bool:
        """LINE says it was not sent at all: codes 2, 4 and 5. Code 1 may have reached some."""
        stopped = (limits.ERROR_TOO_FEW_RECIPIENTS, limits.ERROR_AUDIENCE_TOO_SMALL, limits.ERROR_OVER_LIMIT)
        return self.phase == "failed" and self.error_code in stopped


@dataclass(frozen=True, slots=True)
class Quota:
    """Messages a month; `limit` None: no limit is set."""

    limit: int | None


@dataclass(frozen=True, slots=True)
class FollowerCounts:
    """Of a day. `followers` counts everybody who ever added the account. All None until `ready`."""

    status: str
    followers: int | None = None
    target_reach: int | None = None
    blocks: int | None = None

    @property
    def ready(self) -> bool:
        return self.status == "ready"


@dataclass(frozen=True, slots=True)
class FollowerIds:
    """A page of friends. `following`: what to begin the next page with, empty after the last."""

    ids: tuple[str, ...] = field(repr=False)
    following: str


@dataclass(frozen=True, slots=True)
class UnitNames:
    """A page of the names under which LINE counts this month's sends. `following` as of friends."""

    names: tuple[str, ...]
    following: str


@dataclass(frozen=True, slots=True)
class CouponTitle:
    id: str
    title: str


@dataclass(frozen=True, slots=True)
class CouponPage:
    """A page of coupons. `following` as of friends."""

    coupons: tuple[CouponTitle, ...]
    following: str


@dataclass(frozen=True, slots=True)
class CouponInfo:
    """A coupon as LINE has it. `status`: DRAFT, RUNNING or CLOSED. `created_at`: seconds of the epoch. `fields`: the
    whole answer, with what it was created with."""

    id: str
    status: str
    created_at: int | None
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class BotInfo:
    bot_id: str
    name: str


_KNOWN = frozenset(
    {
        "audienceGroupId", "type", "description", "status", "audienceCount", "created", "expireTimestamp",
        "requestId", "clickUrl", "permission", "createRoute", "failedType", "isIfaAudience",
    }
)  # fmt: skip


def read_audience(body: object) -> AudienceInfo | None:
    """An audience object; None where it lacks an id, so that it cannot be one."""
    if not isinstance(body, Mapping):
        return None
    identifier = _whole(body, "audienceGroupId")
    if identifier is None:
        return None
    return AudienceInfo(
        id=identifier,
        kind=_text(body, "type") or "",
        name=_text(body, "description") or "",
        status=_text(body, "status") or "",
        count=_whole(body, "audienceCount"),
        created_at=_unix(body, "created"),
        expires_at=_unix(body, "expireTimestamp"),
        request_id=_text(body, "requestId"),
        click_url=_text(body, "clickUrl"),
        permission=_text(body, "permission"),
        route=_text(body, "createRoute"),
        failed_type=_text(body, "failedType"),
        is_ifa=body.get("isIfaAudience") is True,
        extra={key: value for key, value in body.items() if key not in _KNOWN},
    )


def read_detail(body: Body) -> AudienceDetail | None:
    audience = read_audience(body.get("audienceGroup"))
    if audience is None:
        return None
    jobs = (_read_job(entry) for entry in _list(body, "jobs"))
    return AudienceDetail(audience, tuple(job for job in jobs if job is not None))


def _read_job(body: object) -> JobInfo | None:
    if not isinstance(body, Mapping):
        return None
    return JobInfo(
        id=_whole(body, "audienceGroupJobId") or 0,
        description=_text(body, "description") or "",
        status=_text(body, "jobStatus") or "",
        failed_type=_text(body, "failedType"),
        count=_whole(body, "audienceCount"),
        created_at=_unix(body, "created"),
    )


def read_page(body: Body) -> AudiencePage | None:
    """A page of the audience list; None where it is not one, or an entry of it is no audience."""
    entries = body.get("audienceGroups")
    if not isinstance(entries, list):
        return None
    audiences = tuple(audience for audience in map(read_audience, entries) if audience is not None)
    if len(audiences) != len(entries):
        return None
    return AudiencePage(audiences, body.get("hasNextPage") is True, _whole(body, "totalCount"))


def read_progress(body: Body) -> Progress | None:
    phase = _text(body, "phase")
    if not phase:
        return None
    return Progress(
        phase,
        _whole(body, "successCount"),
        _whole(body, "failureCount"),
        _whole(body, "targetCount"),
        _whole(body, "errorCode"),
        _iso(body, "acceptedTime"),
        _iso(body, "completedTime"),
    )


def read_quota(body: Body) -> Quota | None:
    """None where the type is not one that LINE documents, or the number of a limited one is missing."""
    value = _whole(body, "value")
    if body.get("type") == "none":
        return Quota(None)
    return Quota(value) if body.get("type") == "limited" and value is not None else None


def read_consumption(body: Body) -> int | None:
    return _whole(body, "totalUsage")


def read_followers(body: Body) -> FollowerCounts | None:
    status = _text(body, "status")
    if not status:
        return None
    return FollowerCounts(status, *(_whole(body, key) for key in ("followers", "targetedReaches", "blocks")))


def read_follower_ids(body: Body) -> FollowerIds | None:
    """One page of ids, and where the next begins; '' after the last."""
    found, following = body.get("userIds"), body.get("next", "")
    if not isinstance(found, list) or not isinstance(following, str):
        return None
    return FollowerIds(tuple(one for one in found if isinstance(one, str)), following)


def read_unit_names(body: Body) -> UnitNames | None:
    """One page of the names of units, and where the next begins; '' after the last."""
    found, following = body.get("customAggregationUnits"), body.get("next", "")
    if not isinstance(found, list) or not isinstance(following, str):
        return None
    return UnitNames(tuple(one for one in found if isinstance(one, str)), following)


def read_coupons(body: Body) -> CouponPage | None:
    """One page of ids and titles, and where the next begins; '' after the last."""
    items, following = body.get("items"), body.get("next", "")
    if not isinstance(items, list) or not isinstance(following, str):
        return None
    rows = (one for one in items if isinstance(one, dict))
    found = (CouponTitle(str(one.get("couponId", "")), str(one.get("title", ""))) for one in rows)
    return CouponPage(tuple(one for one in found if one.id), following)


def read_coupon(body: Body) -> CouponInfo | None:
    coupon_id, status = _text(body, "couponId"), _text(body, "status")
    return CouponInfo(coupon_id, status, _whole(body, "createdTimestamp"), body) if coupon_id and status else None


def read_bot(body: Body) -> BotInfo | None:
    bot_id = _text(body, "userId")
    return BotInfo(bot_id, _text(body, "displayName") or "") if bot_id else None


def _text(body: Body, key: str) -> str | None:
    value = body.get(key)
    return value if isinstance(value, str) else None


def _whole(body: Body, key: str) -> int | None:
    value = body.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _list(body: Body, key: str) -> list[object]:
    value = body.get(key)
    return value if isinstance(value, list) else []


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _unix(body: Body, key: str) -> datetime | None:
    seconds = _whole(body, key)
    if seconds is None:
        return None
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _iso(body: Body, key: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(body, key) or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
