"""Written values as typed ones: moments, scalars, numbers, and the values of LINE's estimated attributes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from audsql.line.limits import AREA_CODES_BY_NAME
from audsql.meaning import ir
from audsql.meaning.names import nearest
from audsql.records import dataclass
from audsql.syntax import ast

__all__ = [
    "Tiers",
    "age_words",
    "area_code",
    "area_near",
    "friend_for_words",
    "moment",
    "number",
    "plain_text",
    "scalar",
    "tiers_between",
    "zone_of",
]

_GAP_MINUTES_MAX = 26 * 60


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name; UTC for a name that does not exist (the session refuses those)."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return UTC


def moment(value: ast.DateTime, zone: tzinfo) -> datetime | None:
    """The instant of a written date; None for a day that the calendar does not have.

    A date alone is 00:00. A time without an offset is in `zone`: one that the clocks skip is the next
    minute that exists, one that they repeat is the first (specs/language/06-time.md).
    """
    try:
        wall = datetime(value.year, value.month, value.day, value.hour or 0, value.minute or 0)  # noqa: DTZ001
        if value.offset_minutes is not None:
            written = wall.replace(tzinfo=timezone(timedelta(minutes=value.offset_minutes)))
            return written.astimezone(zone)
        return _next_valid(wall, zone)
    except (ValueError, OverflowError):
        return None


def _next_valid(wall: datetime, zone: tzinfo) -> datetime:
    for minutes in range(_GAP_MINUTES_MAX):
        candidate = (wall + timedelta(minutes=minutes)).replace(tzinfo=zone)
        if candidate.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == candidate.replace(tzinfo=None):
            return candidate
    return wall.replace(tzinfo=zone)


def plain_text(value: object) -> str | None:
    """The text of a bare word or a string, NFC-normalised; None for any other value."""
    if isinstance(value, (ast.Word, ast.Text)):
        return unicodedata.normalize("NFC", value.text)
    return None


def number(value: Decimal) -> Decimal:
    """The canonical form of a number, so that equal numbers make equal keys: 1.50 is 1.5, 1E+3 is 1000."""
    if not value.is_finite():
        return value
    whole = value.to_integral_value() if abs(value.adjusted()) < 50 else value
    return Decimal(int(whole)) if whole == value and abs(value.adjusted()) < 50 else value.normalize()


def scalar(value: object, zone: tzinfo) -> ir.Scalar | None:
    """A value that data can be compared with: text, number or date; None for any other."""
    match value:
        case ast.Word() | ast.Text():
            return plain_text(value)
        case ast.Number(value=amount):
            return number(amount)
        case ast.DateTime():
            return moment(value, zone)
        case _:
            return None


# --- estimated attributes --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tiers of a range, as their lower bounds; where the range cuts a tier, the ranges nearest to it
    that do not, as (low, high), both ends included and None where open."""

    lower_bounds: tuple[int, ...] = ()
    nearest: tuple[tuple[int | None, int | None], ...] = ()


def tiers_between(low: int | None, high: int | None, bounds: Sequence[int]) -> Tiers:
    """The tiers that make up low..high, both ends included, an open end None."""
    ends = [bound - 1 for bound in bounds[1:]]
    if (
        (low is None or low in bounds)
        and (high is None or high in ends)
        and (low is None or high is None or low < high)
    ):
        return Tiers(tuple(b for b in bounds if (low is None or b >= low) and (high is None or b <= high)))
    lows: list[int | None] = [None]
    if low is not None:
        lows = [*sorted({_below(low, bounds), _above(low, bounds)})]
    highs: list[int | None] = [None] if high is None else _ends_near(high, ends)
    pairs = [(a, b) for a in lows for b in highs if a is None or b is None or a < b]
    if not pairs and low is not None:
        start = _below(low, bounds)
        pairs = [(start, next((end for end in ends if end > start), None))]
    return Tiers(nearest=tuple(pairs))


def _below(value: int, bounds: Sequence[int]) -> int:
    return max((bound for bound in bounds if bound <= value), default=bounds[0])


def _above(value: int, bounds: Sequence[int]) -> int:
    return min((bound for bound in bounds if bound >= value), default=bounds[-1])


def _ends_near(value: int, ends: Sequence[int]) -> list[int | None]:
    if value > ends[-1]:
        return [None]
    below = [end for end in ends if end <= value][-1:]
    above = [end for end in ends if end >= value][:1]
    return list(dict.fromkeys([*below, *above]))


def age_words(low: int | None, high: int | None) -> str:
    """`age(30..39)`, `age(50..)`, `age(..19)`."""
    return f"age({'' if low is None else low}..{'' if high is None else high})"


def friend_for_words(low: int | None, high: int | None) -> str:
    """`friend_for(>= 90 days)`, `friend_for(< 30 days)`, `friend_for(30 days..89 days)`."""
    if high is None:
        return f"friend_for(>= {low or 0} days)"
    if not low:
        return f"friend_for(< {high + 1} days)"
    return f"friend_for({low} days..{high} days)"


def area_code(name: str) -> str | None:
    """LINE's code of an area by its code, its English or its Japanese name; None where there is none."""
    return AREA_CODES_BY_NAME.get(unicodedata.normalize("NFKC", name).casefold())


def area_near(name: str, region: str | None) -> str | None:
    """The area name nearest to a misspelt one, in the account's region where that is known."""
    prefix = f"{region}_" if region else ""
    return nearest(name, [known for known, code in AREA_CODES_BY_NAME.items() if code.startswith(prefix)])
