"""Sets that overlap, as the parts that they cut each other into, and what may be shown of their sizes. Pure.

Everything that is shown of sets (a set, what two share, one region of a Venn diagram) is a union of parts, and a
small part must follow from none of it. So sizes are computed from the parts as a reader may know them: a part from 1
to below the floor counts as that range, whatever it holds. What is shown does not depend on small parts, so nobody
can compute one from it. Rules: specs/privacy.md, privacy.counts.overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from audsql.records import dataclass

__all__ = ["ALL", "Part", "Region", "Span", "measured", "ordered", "ratio", "region_documents", "size_document"]

ALL: dict[str, float | None] = {"value": 1.0, "low": 1.0, "high": 1.0}
"""The share of a set that lies within another, whatever the data."""


@dataclass(frozen=True, slots=True)
class Part:
    """People who are in the same ones of some sets: how many, and in which sets, by number."""

    count: int
    inside: frozenset[int]


@dataclass(frozen=True, slots=True)
class Span:
    """A number of people as a reader may know it: from `low` to `high`, None: nothing bounds it. `hidden`: it is no
    wider than that for those who know the people; small counts are hidden in it."""

    low: int
    high: int | None
    hidden: bool = False

    @property
    def exact(self) -> bool:
        return self.low == self.high

    def __add__(self, other: Span) -> Span:
        high = None if self.high is None or other.high is None else self.high + other.high
        return Span(self.low + other.low, high, self.hidden or other.hidden)


@dataclass(frozen=True, slots=True)
class Region:
    """Who is in these sets (by number, ascending) and in none of the others."""

    inside: tuple[int, ...]
    people: Span


def measured(parts: Iterable[Part], floor: int, *, every: Iterable[int] = (), some: Iterable[int] = ()) -> Span:
    """How many people are in every one of these sets and, where any are given, in some of those.

    Small parts count as from 1 to below the floor; with 0 nothing is hidden.
    """
    within, either = frozenset(every), frozenset(some)
    low = high = 0
    hidden = False
    for part in parts:
        if not within <= part.inside or (either and not either & part.inside):
            continue
        small = 0 < part.count < floor
        hidden |= small
        low += 1 if small else part.count
        high += floor - 1 if small else part.count
    return Span(low, high, hidden and low != high)


def size_document(people: Span, floor: int) -> dict[str, Any]:
    """A size as documents have it; `shown` and `hidden` where small counts are hidden in it."""
    document: dict[str, Any] = {
        "count": people.low if people.exact else None,
        "exact": people.exact,
        "low": people.low,
        "high": people.high,
    }
    if people.hidden:
        few = people.low <= 1 and people.high is not None and people.high < floor
        most = "" if people.high is None else f"{people.high:,}"
        document |= {"hidden": True, "shown": f"<{floor}" if few else f"{people.low:,}..{most}"}
    return document


def ratio(part: Span, whole: Span) -> dict[str, float | None] | None:
    """Which share of the whole a part of it is, from 0 to 1; None of nobody. Made of what is shown alone."""
    if whole.high == 0:
        return None
    low = 0.0 if whole.high is None else part.low / whole.high
    if part.high == 0:
        high = 0.0
    else:
        # Nobody of the whole may be known to exist: any share is possible then.
        high = 1.0 if part.high is None or part.high >= whole.low else part.high / whole.low
    value = round(low, 4) if part.exact and whole.exact else None
    return {"value": value, "low": round(low, 4), "high": round(high, 4)}


def ordered(regions: Iterable[Region]) -> tuple[Region, ...]:
    """The largest first, as far as they are shown; then those of fewer sets, then by number."""

    def rank(region: Region) -> tuple[int, int, int, tuple[int, ...]]:
        people = region.people
        return -people.low, -1 if people.high is None else -people.high, len(region.inside), region.inside

    return tuple(sorted(regions, key=rank))


def region_documents(regions: Sequence[Region], names: Sequence[str], top: int, floor: int) -> dict[str, Any]:
    """The first regions one by one, all others as one sum."""
    listed = [
        {
            "sets": [names[number] for number in region.inside],
            "degree": len(region.inside),
            "people": size_document(region.people, floor),
        }
        for region in regions[:top]
    ]
    rest = regions[top:]
    more = {"regions": len(rest), "people": size_document(_sum(region.people for region in rest), floor)}
    return {"listed": listed, "more": more if rest else None}


def _sum(spans: Iterable[Span]) -> Span:
    total = Span(0, 0)
    for one in spans:
        total = total + one
    return total
