"""Virtual time: reading and writing instants, calendar days and months, rate buckets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import formatdate
from functools import lru_cache

from audsql.sim import rules
from audsql.sim.model import Account, World

_ZONE = timezone(timedelta(seconds=rules.ZONE_SECONDS))


@lru_cache(maxsize=1024)
def parse_time(text: str) -> float:
    """UNIX seconds of an ISO 8601 instant; without an offset it is UTC+09:00."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=_ZONE)).timestamp()


def format_time(seconds: float) -> str:
    """The instant as ISO 8601 with UTC+09:00, as world files write it."""
    return datetime.fromtimestamp(seconds, _ZONE).isoformat()


def format_utc(seconds: float) -> str:
    """The instant as LINE's progress writes it: UTC with milliseconds and a Z."""
    moment = datetime.fromtimestamp(round(seconds * 1000) / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def http_date(seconds: float) -> str:
    """The `Date` header (RFC 7231, whole seconds)."""
    return _http_date(int(seconds))


@lru_cache(maxsize=1024)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def day_of(seconds: float) -> str:
    """The calendar day as yyyyMMdd in LINE's zone."""
    return datetime.fromtimestamp(seconds, _ZONE).strftime("%Y%m%d")


def month_of(seconds: float) -> str:
    """The calendar month as yyyy-MM in LINE's zone; quotas are per month."""
    return datetime.fromtimestamp(seconds, _ZONE).strftime("%Y-%m")


def days_between(earlier: float, later: float) -> int:
    """Calendar days from one instant to the other in LINE's zone; the day itself counts 0."""
    return int((later + rules.ZONE_SECONDS) // rules.DAY_SECONDS - (earlier + rules.ZONE_SECONDS) // rules.DAY_SECONDS)


def take_token(world: World, account: Account, bucket: str, rate: tuple[int, int]) -> bool:
    """Take one request from a token bucket; False when it is empty.

    The level is kept as requests times window seconds, so that whole seconds refill it exactly.
    """
    count, window = rate
    level, since = account.buckets.get(bucket, (float(count * window), world.now))
    level = min(float(count * window), level + (world.now - since) * count)
    taken = level >= window
    account.buckets[bucket] = (level - window if taken else level, world.now)
    return taken
