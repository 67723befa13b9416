"""Small counts in what is shown to others: hidden, with enough others beside them that none can be computed. Pure.

Counts that are shown form sums: a total and its parts. A small count is safe where the shown ones and the sums leave
every value below the floor possible; where they do not, a further count is hidden. Rules: specs/privacy.md,
privacy.counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from audsql.records import dataclass

__all__ = ["FLOOR", "Sum", "masked", "ranges", "shown"]

FLOOR = 20
"""Counts from 1 below this are hidden. LINE itself gives no statistics of fewer people."""


@dataclass(frozen=True, slots=True)
class Sum:
    """What people know of counts besides the counts: `total` is the sum of `parts`, all of them names of counts."""

    total: str
    parts: tuple[str, ...]


def shown(count: int | None, hidden: bool, floor: int = FLOOR) -> str:
    """A count as it is shown: with separators, `<20`, or `…` where it is hidden for the sake of another."""
    if count is None:
        return ""
    if not hidden:
        return f"{count:,}"
    return f"<{floor}" if 0 < count < floor else "…"


def masked(
    counts: Mapping[str, int], sums: Sequence[Sum] = (), floor: int = FLOOR, unseen: Iterable[str] = ()
) -> frozenset[str]:
    """The names of the counts that must be hidden, so that what is shown says no more of a small one than `<20` does.

    Besides the small ones: as long as a sum narrows one of them, the least of the counts around it, of equal ones the
    first by name. Where sums overlap in a ring, everything that they join to a small count is hidden. `unseen`: counts
    that sums are about and that stand nowhere; they are hidden as it is, and a small one must not follow either.
    """
    hidden = {name for name, count in counts.items() if 0 < count < floor} | set(unseen)
    for names, ring, near in _groups(sums):
        if not any(0 < counts.get(name, 0) < floor for name in names):
            continue
        if ring:
            hidden |= {name for name in names if counts.get(name)}
        own = {name: counts[name] for name in names if name in counts}
        while choice := _further(own, hidden & names, near, floor, unseen):
            hidden.add(choice)
    return frozenset(hidden)


def _further(
    counts: Mapping[str, int], hidden: set[str], sums: Sequence[Sum], floor: int, unseen: Iterable[str]
) -> str | None:
    """A count that must be hidden too; None where nothing is given away that hiding could keep."""
    found = ranges(counts, hidden, sums, floor, unseen)
    for name in sorted(found):
        low, high = found[name]
        if 0 < counts[name] < floor and (low > 1 or (high is not None and high < floor - 1)):
            choice = _next(name, counts, hidden, sums)
            if choice is not None:
                return choice
    return None


def _groups(sums: Sequence[Sum]) -> list[tuple[set[str], bool, list[Sum]]]:
    """The names that sums join, whether some sums meet twice there, and these sums; a row for each such group."""
    above: dict[str, str] = {}
    for one in sums:
        first = _top(above, one.total)
        for name in one.parts:
            above[_top(above, name)] = first
    groups: dict[str, tuple[set[str], list[Sum]]] = {}
    for one in sums:
        names, near = groups.setdefault(_top(above, one.total), (set(), []))
        names.update((one.total, *one.parts))
        near.append(one)
    # Names and sums are the points of a graph; more lines than a tree has make a ring.
    lines = {top: sum(len({one.total, *one.parts}) for one in near) for top, (_, near) in groups.items()}
    return [(names, lines[top] >= len(names) + len(near), near) for top, (names, near) in groups.items()]


def _top(above: dict[str, str], name: str) -> str:
    while (higher := above.setdefault(name, name)) != name:
        above[name] = name = above.setdefault(higher, higher)
    return name


def _next(exposed: str, counts: Mapping[str, int], hidden: set[str], sums: Sequence[Sum]) -> str | None:
    """Another count of the sums that this one stands in, or of those that these reach."""
    reached, seen = [exposed], {exposed}
    for name in reached:
        near = sorted(
            {other for one in sums if name in (one.total, *one.parts) for other in (one.total, *one.parts)} - seen
        )
        left = [other for other in near if counts.get(other) and other not in hidden]
        if left:
            return min(left, key=lambda other: (counts[other], other))
        seen.update(near)
        reached += near
    return None


def ranges(
    counts: Mapping[str, int],
    hidden: frozenset[str] | set[str],
    sums: Sequence[Sum],
    floor: int = FLOOR,
    unseen: Iterable[str] = (),
) -> dict[str, tuple[int, int | None]]:
    """What a reader can find out about each hidden count: the least and the greatest value, None: no bound.

    A reader knows what is shown, the sums, that a count shown as `<20` is from 1 to 19 and one shown as `…` at least
    20, and of one of `unseen` nothing. The bounds are narrowed until nothing changes, which finds all there is to know
    where no sums form a ring.
    """
    bounds: dict[str, tuple[int, int | None]] = {name: (count, count) for name, count in counts.items()}
    for name in hidden:
        bounds[name] = (1, floor - 1) if counts[name] < floor else (floor, None)
    for name in unseen:
        if name in bounds:
            bounds[name] = (0, None)
    whole = [one for one in sums if one.total in bounds and all(part in bounds for part in one.parts)]
    # Without a ring what is known travels along each sum once in each direction.
    for _ in range(2 * len(whole) + 2):
        if not sum(_narrowed(one, bounds) for one in whole):
            break
    return {name: bounds[name] for name in sorted(hidden)}


def _narrowed(one: Sum, bounds: dict[str, tuple[int, int | None]]) -> bool:
    """Narrow the total by its parts and each part by the total and the other parts; whether anything changed."""
    before = [bounds[name] for name in (one.total, *one.parts)]
    lows = sum(bounds[part][0] for part in one.parts)
    highs = [bounds[part][1] for part in one.parts]
    known = sum(high for high in highs if high is not None)
    unbounded = highs.count(None)
    _meet(bounds, one.total, lows, None if unbounded else known)
    low, high = bounds[one.total]
    for part in one.parts:
        part_low, part_high = before[1 + one.parts.index(part)]
        others_unbounded = unbounded - (part_high is None)
        least = 0 if others_unbounded else low - (known - (part_high or 0))
        _meet(bounds, part, least, None if high is None else high - (lows - part_low))
    return before != [bounds[name] for name in (one.total, *one.parts)]


def _meet(bounds: dict[str, tuple[int, int | None]], name: str, low: int, high: int | None) -> None:
    old_low, old_high = bounds[name]
    highs = [one for one in (old_high, high) if one is not None]
    bounds[name] = (max(old_low, low), min(highs) if highs else None)
