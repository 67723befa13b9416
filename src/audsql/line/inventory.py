"""What an account has in LINE: audiences, quota, friends; and finding an audience in it by name.

Names are not unique in LINE (line-platform.md §1.6), so that finding gives all that match; only an id
identifies an audience.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TypeVar

from audsql.diag import Diagnostic, error
from audsql.line import limits
from audsql.line.client import LineClient, operation
from audsql.line.models import AudienceInfo, FollowerCounts
from audsql.line.outcome import AlreadyAccepted, Found, Limited, ReadOutcome, Refused, Unknown
from audsql.meaning.ir import RemoteAudience
from audsql.source import Span

__all__ = [
    "Inventory",
    "InventoryFailure",
    "failure_diagnostic",
    "find_audiences",
    "find_remote",
    "read_inventory",
]

T = TypeVar("T")
_JAPAN = timezone(timedelta(hours=9))
_FOLLOWER_DAYS_BACK = (1, 2)  # today's counts are never ready, yesterday's only by noon or so
_KINDS_FOUND_AS = {"WEBTRAFFIC": ("WEBTRAFFIC", "TRACKINGTAG_WEBTRAFFIC")}


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


def find_audiences(inventory: Inventory, kind: str, name: str) -> tuple[AudienceInfo, ...]:
    """The audiences of that kind and name, expired ones only where there is no other, by id.

    `kind` is LINE's type, or SHARED for a shared one of any type. LINE compares names without regard to
    case; a tracking tag's audience counts as web traffic.
    """
    kinds = _KINDS_FOUND_AS.get(kind, (kind,))
    pool = inventory.shared if kind == "SHARED" else inventory.audiences
    wanted = _folded(name)
    matches = [
        audience
        for audience in pool
        if _folded(audience.name) == wanted and (kind == "SHARED" or audience.kind in kinds)
    ]
    live = [audience for audience in matches if not audience.expired_at(inventory.read_at)]
    return tuple(sorted(live or matches, key=lambda audience: audience.id))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def find_remote(
    inventory: Inventory, atom: RemoteAudience, span: Span | None = None
) -> tuple[AudienceInfo | None, tuple[Diagnostic, ...]]:
    """The one audience that an atom names, if it exists once, is READY and has the people LINE asks for."""
    matches = find_audiences(inventory, atom.kind, atom.name)
    kind, name, account = atom.kind, atom.name, atom.account
    if not matches:
        near = _near(inventory, atom)
        return None, (error("AUD0810", span, kind=kind, name=name, account=account, near=near),)
    if len(matches) > 1:
        ids = tuple(str(audience.id) for audience in matches)
        return None, (error("AUD0811", span, kind=kind, name=name, account=account, ids=ids),)
    found = matches[0]
    expired = found.expired_at(inventory.read_at)
    if found.status != "READY" or expired:
        status = "EXPIRED" if expired else found.status
        return None, (error("AUD0812", span, kind=kind, name=name, account=account, status=status),)
    if _too_small(found, kind == "SHARED"):
        count, minimum = _shown_count(found), limits.AUDIENCE_RECIPIENTS_MIN
        return None, (error("AUD0813", span, kind=kind, name=name, account=account, count=count, minimum=minimum),)
    return found, ()


def _too_small(audience: AudienceInfo, is_shared: bool) -> bool:
    """Fewer than LINE asks for; the count includes people who block the account, so more may still fail."""
    exempt = audience.kind in limits.MINIMUM_EXEMPT_AUDIENCE_TYPES and not is_shared
    return not exempt and audience.count is not None and audience.count < limits.AUDIENCE_RECIPIENTS_MIN


def _shown_count(audience: AudienceInfo) -> int | None:
    """The count, or None where LINE's 0 may stand for any number below 20."""
    return None if audience.count == 0 and audience.kind not in limits.COUNT_SHOWN_AUDIENCE_TYPES else audience.count


def _near(inventory: Inventory, atom: RemoteAudience) -> str | None:
    import difflib

    kinds = _KINDS_FOUND_AS.get(atom.kind, (atom.kind,))
    pool = inventory.shared if atom.kind == "SHARED" else inventory.audiences
    names = sorted({audience.name for audience in pool if atom.kind == "SHARED" or audience.kind in kinds})
    close = difflib.get_close_matches(atom.name, names, n=1)
    return close[0] if close else None


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
