"""Deliveries of one plan that can reach the same person: whom, and how many. Pure.

Two deliveries are apart only if that is proved and lasts until both are sent. What LINE holds or estimates can
be another thing by the time of the second send (specs/operations.md, documents.plan.overlaps).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal

from audsql.meaning import algebra, ir
from audsql.meaning.minimal import minimal
from audsql.meaning.words import arms_of, to_words, verbs_of
from audsql.plan.apart import bits, meetings
from audsql.plan.document import Document
from audsql.plan.facts import DeliveryFacts, Size
from audsql.plan.plan import Wanted
from audsql.records import dataclass

__all__ = ["Overlap", "Overlaps", "overlaps_document", "overlaps_of"]

OVERLAPS_LISTED_MAX = 20
OVERLAPS_COUNTED_MAX = 300

Own = Literal["exact", "bound", "open"]


@dataclass(frozen=True, slots=True)
class Overlap:
    """`deliveries`: two names, the one that is sent first in front. `both`: who is in both, in the shortest words.
    `own`: whether own data decide it (`exact`), bound it from above (`bound`) or do not (`open`)."""

    deliveries: tuple[str, str]
    both: ir.Expression
    people: Size
    own: Own


@dataclass(frozen=True, slots=True)
class Overlaps:
    """`more`: pairs that are not proved apart and are not listed. `apart_for_now`: pairs that nobody is in together
    at any one instant, held apart by what can change until both are sent."""

    listed: tuple[Overlap, ...] = ()
    more: int = 0
    apart_for_now: int = 0


@dataclass(frozen=True, slots=True)
class _Side:
    """A delivery with its set for those who get it: all of them are friends of its account."""

    wanted: Wanted
    reach: ir.Expression
    begun: bool
    high: int | None

    @property
    def name(self) -> str:
        return self.wanted.delivery.name

    @property
    def moment(self) -> tuple[str, str]:
        at = self.wanted.delivery.at
        return at.isoformat() if at else "", self.name


def overlaps_of(
    project: ir.Project,
    wanted: Sequence[Wanted],
    facts: Mapping[str, DeliveryFacts],
    count: Callable[[ir.Expression], Size],
) -> Overlaps:
    """Every two deliveries that are still to be sent and may reach one person, the most people first.

    `count`: how many people of own data a set has, at least and at most. Pairs are of one account, or of accounts
    of one provider, to whom a person has one id. A pair that own data leave nobody for is none: what is sent is
    what is approved with these data, or less.
    """
    listed: list[Overlap] = []
    more = for_now = 0
    for group in _groups(project, wanted, facts):
        met = meetings([side.reach for side in group], [side.begun for side in group])
        before = [(1 << right) - 1 for right in range(len(group))]
        now = [mask & earlier for mask, earlier in zip(met.now, before, strict=True)]
        for_now += sum((mask & ~met.now[i] & before[i]).bit_count() for i, mask in enumerate(met.later))
        pairs = ((left, right) for right, mask in enumerate(now) for left in bits(mask))
        more += max(0, sum(mask.bit_count() for mask in now) - OVERLAPS_COUNTED_MAX)
        for left, right in islice(pairs, OVERLAPS_COUNTED_MAX):
            found = _overlap(group[left], group[right], count)
            listed += [found] if isinstance(found, Overlap) else []
            for_now += found == "for_now"
    listed.sort(key=_largest_first)
    kept = tuple(replace(one, both=minimal(one.both)) for one in listed[:OVERLAPS_LISTED_MAX])
    return Overlaps(kept, more + len(listed) - len(kept), for_now)


def _groups(
    project: ir.Project, wanted: Sequence[Wanted], facts: Mapping[str, DeliveryFacts]
) -> Iterator[Sequence[_Side]]:
    """The deliveries still to be sent by the provider, or account, whose ids they share; those first that may have
    the most people, so that the first pairs are those that may be the largest."""
    providers = {account.name: account.provider for account in project.accounts}
    found: dict[tuple[str, str], list[_Side]] = {}
    for one in wanted:
        if one.active:
            account = one.delivery.account
            provider = providers.get(account, "")
            known = facts.get(one.delivery.name)
            side = _Side(one, _among_friends(one), one.verdict.action == "resume", known.size.high if known else None)
            found.setdefault(("provider", provider) if provider else ("account", account), []).append(side)
    for key in sorted(found):
        yield sorted(found[key], key=lambda side: (side.high is not None, -(side.high or 0), side.moment))


def _among_friends(one: Wanted) -> ir.Expression:
    return ir.substitute(one.delivery.reach, {ir.Friends(one.delivery.account).key: ir.EVERYBODY})


def _overlap(one: _Side, other: _Side, count: Callable[[ir.Expression], Size]) -> Overlap | Literal["apart", "for_now"]:
    first, second = sorted((one, other), key=lambda side: side.moment)
    both = ir.land(one.reach, other.reach)
    own = all(atom.world == "own" for atom in ir.atoms_of(both))
    begun = one.begun or other.begun
    if _is_proved_empty(both):
        return "apart" if own and not begun else "for_now"
    people = Size(0, None) if begun else _limited(count(both), one, other)
    if people.high == 0:
        return "apart"
    if both == ir.EVERYBODY:
        both = ir.leaf(ir.Friends(first.wanted.delivery.account))
    kind: Own = "open" if people.high is None else "exact" if own and people.exact else "bound"
    return Overlap((first.name, second.name), both, people, kind)


def _is_proved_empty(expression: ir.Expression) -> bool:
    try:
        return algebra.is_empty(expression)
    except algebra.Undecided:
        # What cannot be decided may be together.
        return False


def _limited(people: Size, one: _Side, other: _Side) -> Size:
    """With a `limit:` LINE draws who gets it: anybody, or nobody, of those in both."""
    limits = [side.wanted.delivery.limit for side in (one, other) if side.wanted.delivery.limit is not None]
    if not limits:
        return people
    return Size(0, min(limits) if people.high is None else min(people.high, *limits))


def _largest_first(one: Overlap) -> tuple[bool, int, int, tuple[str, str]]:
    high = one.people.high
    return high is not None, -(high or 0), -one.people.low, one.deliveries


def overlaps_document(found: Overlaps, project: ir.Project) -> Document:
    """The overlaps as the plan has them; expressions in the words of the language."""
    verbs, arms = verbs_of(project), arms_of(project)
    rows = [
        {
            "deliveries": [f"delivery.{name}" for name in one.deliveries],
            "both": to_words(one.both, verbs, arms),
            "people": one.people.to_document(),
            "own_data": one.own,
        }
        for one in found.listed
    ]
    return {"listed": rows, "more": found.more, "apart_for_now": found.apart_for_now}
