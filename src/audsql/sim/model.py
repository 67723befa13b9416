"""The values of a simulated world: friends, audiences, sends, accounts.

Values are frozen and replaced when they change; `World` and `Account` are the two tables that hold them, and only
they are mutable, because a stand-in for a remote service is state. Times are UNIX seconds in virtual time.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from audsql.sim import rules

Json = Any
_spelled = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Friend:
    """One person who added the account, with the attributes LINE estimates; None is unknown. `via`: the friend path."""

    user_id: str
    status: str = "following"
    followed_at: float | None = None
    policy_accepted: bool = True
    gender: str | None = None
    age: str | None = None
    area: str | None = None
    os: str | None = None
    changes: tuple[tuple[float, Mapping[str, Json]], ...] = ()
    via: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One adding of IDs to an upload; `members` is emptied when the job is finished and they are in the audience."""

    job_id: int
    created: float
    finished_at: float
    description: str | None
    count: int
    members: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Audience:
    """One audience. `members` is None where a past send decides it (CLICK, IMP); `status` forces a status."""

    audience_group_id: int
    type: str
    description: str
    created: float
    create_route: str = "MESSAGING_API"
    permission: str = "READ_WRITE"
    members: frozenset[str] | None = frozenset()
    jobs: tuple[Job, ...] = ()
    request_id: str | None = None
    click_url: str | None = None
    is_ifa: bool = False
    status: str | None = None
    failed_type: str | None = None
    ready_at: float | None = None
    expires_at: float | None = None
    deleted_at: float | None = None
    owner: Mapping[str, Json] | None = None
    changes: tuple[tuple[float, frozenset[str], frozenset[str]], ...] = ()


@dataclass(frozen=True, slots=True)
class Narrowcast:
    """What an accepted narrowcast asks for and how far it has come.

    `maximum` is the most people it may reach (None: no bound), `reserved` what it holds back of the quota until it
    ends. `outcome` is a result that the world file forces on it.
    """

    start_at: float
    complete_at: float
    phase: str = "waiting"
    recipient: Json = None
    demographic: Json = None
    maximum: int | None = None
    forbid_partial: bool = False
    reserved: int = 0
    targets: tuple[str, ...] = ()
    failures: int = 0
    error_code: int | None = None
    outcome: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """One accepted send; `to` are the people it was delivered to so far."""

    request_id: str
    kind: str
    at: float
    messages: tuple[Json, ...] = ()
    to: tuple[str, ...] = ()
    opened: frozenset[str] = frozenset()
    clicked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    urls: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    narrowcast: Narrowcast | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A retry key that was accepted: when, under which request id, and what the answer echoes."""

    at: float
    request_id: str
    echo: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Coupon:
    """A coupon as it was created; LINE never changes one. `draft`: begun in the manager and not published."""

    coupon_id: str
    created: float
    document: Mapping[str, Json]
    closed_at: float | None = None
    draft: bool = False

    def closed(self, at: float) -> Coupon:
        """The coupon, closed at that time."""
        return replace(self, closed_at=at)


@dataclass(frozen=True, slots=True)
class Turn:
    """What changes once `nth` more sends of its kind are accepted or have ended.

    `friends`: new values by user; `audiences`: people added and removed by description; `reactions`: who opened and
    clicked which send, where no request id means the narrowcast itself.
    """

    nth: int
    when: str
    friends: tuple[tuple[str, Mapping[str, Json]], ...] = ()
    audiences: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = ()
    reactions: tuple[tuple[str | None, frozenset[str], Mapping[str, frozenset[str]]], ...] = ()
    kind: str = "narrowcast"


@dataclass(slots=True)
class Account:
    """One official account with one channel."""

    name: str
    token: str
    settings: dict[str, Json]
    quota: int | None
    friends: dict[str, Friend]
    audiences: dict[int, Audience] = field(default_factory=dict)
    sends: dict[str, Send] = field(default_factory=dict)
    retry_keys: dict[str, Accepted] = field(default_factory=dict)
    # Per endpoint: level (requests x window seconds) and when it was computed.
    buckets: dict[str, tuple[float, float]] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    # Narrowcasts that have not ended.
    running: set[str] = field(default_factory=set)
    outcomes: list[Mapping[str, Json] | None] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    coupons: dict[str, Coupon] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """Everything: the clock, the accounts, what was received and what was asked."""

    now: float
    seed: int
    accounts: dict[str, Account]
    auto: bool = False
    rate_limits: bool = True
    ids_made: int = 0
    audiences_made: int = 0
    inbox: list[Json] = field(default_factory=list)
    requests: list[Json] = field(default_factory=list)
    faults: list[dict[str, Json]] = field(default_factory=list)
    # Webhook bodies in the order of time, each with the name of its account.
    webhooks: list[Json] = field(default_factory=list)
    # (time, order of entry, account, what, key): see clock.advance.
    agenda: list[tuple[float, int, str, str, Json]] = field(default_factory=list)
    agenda_entries: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `body` is a JSON value or None; `dropped` closes the connection without answering."""

    status: int
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: bool = False

    def content(self) -> bytes:
        """The body as bytes; nothing for None."""
        if self.body is None:
            return b""
        return _spelled(self.body).encode()


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request on its way to an endpoint."""

    world: World
    account: Account
    request_id: str
    method: str
    path: str
    parameters: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


def make_uuid(world: World) -> str:
    """The next UUID of this world; the same world gives the same sequence."""
    world.ids_made += 1
    digits = hashlib.sha256(f"{world.seed}:uuid:{world.ids_made}".encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def make_ulid(world: World, what: str) -> str:
    """An id as LINE gives to webhook events and coupons: 10 digits of the time, 16 that follow from `what`."""
    number = int(world.now * 1000) << 80 | int(hashlib.sha256(f"{world.seed}:{what}".encode()).hexdigest()[:20], 16)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def bot_user_id(account: Account) -> str:
    """The user ID of the account's own bot."""
    return f"U{hashlib.sha256(f'bot:{account.name}'.encode()).hexdigest()[:32]}"


def make_audience_id(world: World) -> int:
    """The next number of this world for an audience or one of its jobs."""
    world.audiences_made += 1
    return 1_000_000_000_000 + world.audiences_made


def schedule(world: World, at: float, account: str, what: str, key: Json) -> None:
    """Enter something that happens by itself at a virtual time."""
    world.agenda_entries += 1
    heapq.heappush(world.agenda, (at, world.agenda_entries, account, what, key))


def following(account: Account, now: float) -> list[str]:
    """The people whom the account can reach, in the order of the world file."""
    return [friend.user_id for friend in account.friends.values() if is_following(friend, now)]


def is_following(friend: Friend, now: float) -> bool:
    """Whether the person is a friend at that time and has not blocked the account."""
    return friend.status == "following" and (friend.followed_at is None or friend.followed_at <= now)


def target_reach(account: Account, now: float) -> int:
    """The account's target reach: what the world says, else the people it can reach."""
    given = account.settings.get("targetReach")
    return int(given) if given is not None else len(following(account, now))


def members_of(account: Account, audience: Audience) -> frozenset[str]:
    """Who is in the audience now; for CLICK and IMP, what the send has gathered so far."""
    if audience.members is not None:
        return audience.members
    send = account.sends.get(audience.request_id or "")
    if send is None:
        return frozenset()
    if audience.type == "IMP":
        return send.opened
    if audience.click_url is not None:
        return send.clicked.get(audience.click_url, frozenset())
    return frozenset[str]().union(*send.clicked.values())


def is_exempt(audience: Audience) -> bool:
    """Whether the account's own audience of this type may be used below the minimum."""
    return audience.type in rules.EXEMPT_TYPES and audience.owner is None and not audience.is_ifa


def status_of(world: World, account: Account, audience: Audience) -> str:
    """The status LINE shows for the audience now."""
    if audience.status is not None:
        return audience.status
    if audience.expires_at is not None and world.now >= audience.expires_at:
        return "EXPIRED"
    count = len(members_of(account, audience))
    due = audience.ready_at is not None and world.now >= audience.ready_at
    if count < rules.MINIMUM_RECIPIENTS and not is_exempt(audience):
        fails = account.settings.get("insufficientStatus") == "FAILED"
        return "FAILED" if fails and due else "IN_PROGRESS"
    return "READY" if due and count > 0 else "IN_PROGRESS"


def exists(world: World, audience: Audience) -> bool:
    """Whether LINE still has the audience: not deleted, and not expired for longer than the grace."""
    if audience.deleted_at is not None:
        return False
    return audience.expires_at is None or world.now < audience.expires_at + rules.AUDIENCE_GRACE_SECONDS


def seconds_setting(account: Account, name: str, default: float) -> float:
    """A delay of the account, in virtual seconds."""
    return float(account.settings.get(name, default))
