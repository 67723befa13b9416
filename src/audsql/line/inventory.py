"""What an account has in LINE: audiences, quota, friends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import TypeVar

from audsql.diag import Diagnostic, error
from audsql.line.client import LineClient, operation
from audsql.line.models import AudienceInfo, FollowerCounts
from audsql.line.outcome import AlreadyAccepted, Found, Limited, ReadOutcome, Refused, Unknown
from audsql.records import dataclass
from audsql.source import Span

__all__ = [
    "Inventory",
    "InventoryFailure",
    "failure_diagnostic",
    "read_inventory",
]

T = TypeVar("T")
_JAPAN = timezone(timedelta(hours=9))
_FOLLOWER_DAYS_BACK = (1, 2)  # today's counts are never ready, yesterday's only by noon or so


@dataclass(frozen=True, slots=True)
class InventoryFailure:
    """Which operation failed, by its name in the client, and how."""

    account: str
    operation: str
    outcome: Refused | Limited | Unknown

    def diagnostic(self) -> Diagnostic:
        return failure_diagnostic(self.account, self.operation, self.outcome)


@dataclass(frozen=True, slots=True)
class Inventory:
    """One account as LINE had it at `read_at`. Audiences are sorted by id.

    `shared`: audiences of others, shared through Business Manager. `quota` None: no monthly limit.
    `followers` None: LINE had no counts for `followers_day` or the day before, or would not say.
    """

    account: str
    bot_id: str
    read_at: datetime
    audiences: tuple[AudienceInfo, ...] = ()
    shared: tuple[AudienceInfo, ...] = ()
    quota: int | None = None
    consumption: int = 0
    followers: FollowerCounts | None = None
    followers_day: date | None = None

    @property
    def quota_remaining(self) -> int | None:
        """Messages left this month, approximately; None where there is no limit."""
        return None if self.quota is None else max(0, self.quota - self.consumption)

    @property
    def friends(self) -> int | None:
        """At most so many people can be reached: everybody who ever added the account, less those who block it."""
        if self.followers is None or self.followers.followers is None:
            return None
        return max(0, self.followers.followers - (self.followers.blocks or 0))

    @property
    def target_reach(self) -> int | None:
        return self.followers.target_reach if self.followers else None

    def by_id(self, audience_id: int) -> AudienceInfo | None:
        everything = (*self.audiences, *self.shared)
        return next((audience for audience in everything if audience.id == audience_id), None)


def read_inventory(client: LineClient, with_shared: bool = True) -> Inventory | InventoryFailure:
    """Everything a plan needs to know of the account; reads only.

    The bot's id and the audiences and quota must be readable. Shared audiences and friend counts are
    absent where LINE refuses them, as it does for some kinds of accounts.
    """
    try:
        bot = _need(client, "bot", client.bot)
        audiences = _need(client, "audiences", client.audiences)
        shared = _ask(client, "shared_audiences", client.shared_audiences) if with_shared else None
        quota = _need(client, "quota", client.quota)
        consumption = _need(client, "consumption", client.consumption)
        now = client.now()
        day, followers = _followers(client, now)
    except _Failed as failed:
        return failed.failure
    return Inventory(client.account, bot.bot_id, now, audiences, shared or (), quota.limit, consumption, followers, day)


class _Failed(Exception):
    def __init__(self, failure: InventoryFailure) -> None:
        super().__init__(failure.operation)
        self.failure = failure


def _need(client: LineClient, name: str, ask: Callable[[], ReadOutcome[T]]) -> T:
    outcome = ask()
    if isinstance(outcome, Found):
        return outcome.value
    raise _Failed(InventoryFailure(client.account, name, outcome))


def _ask(client: LineClient, name: str, ask: Callable[[], ReadOutcome[T]]) -> T | None:
    """The value, or None where LINE refuses; an uncertain answer is a failure, not an absence."""
    outcome = ask()
    if isinstance(outcome, Found):
        return outcome.value
    if isinstance(outcome, Refused):
        return None
    raise _Failed(InventoryFailure(client.account, name, outcome))


def _followers(client: LineClient, now: datetime) -> tuple[date | None, FollowerCounts | None]:
    for days_back in _FOLLOWER_DAYS_BACK:
        day = (now.astimezone(_JAPAN) - timedelta(days=days_back)).date()
        counts = _ask(client, "followers", lambda day=day: client.followers(day))  # type: ignore[misc]
        if counts is not None and counts.ready:
            return day, counts
    return None, None


# --- finding ------------------------------------------------------------------------------------------------


# --- saying what failed -----------------------------------------------------------------------------------------


def failure_diagnostic(
    account: str, name: str, outcome: Refused | Limited | Unknown | AlreadyAccepted, span: Span | None = None
) -> Diagnostic:
    """The diagnostic of an operation (by its name in the client) that did not come to a success."""
    entry = operation(name)
    endpoint = f"{entry.method} {entry.path}"
    match outcome:
        case Refused(status=401):
            return error("AUD0804", span, account=account)
        case Refused(status, codes, message, property_name):
            return error(
                "AUD0805",
                span,
                account=account,
                endpoint=endpoint,
                status=status,
                codes=codes,
                message=message,
                property_name=property_name,
            )
        case Limited(kind="monthly"):
            return error("AUD0807", span, account=account)
        case Limited():
            return error("AUD0806", span, account=account, endpoint=endpoint)
        case Unknown(reason):
            return error("AUD0808", span, account=account, endpoint=endpoint, reason=reason)
        case AlreadyAccepted():
            return error("AUD0808", span, account=account, endpoint=endpoint, reason="already-accepted")
