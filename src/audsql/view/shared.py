"""Numbers of people in what is shared with many readers: small ones are hidden, and do not follow from others.

Which further ones are hidden is `plan.masking`'s; here stands which numbers a plan shows and how they hang together.
Rules: specs/privacy.md, privacy.counts and privacy.counts.plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import permutations
from typing import Any

from audsql.plan.masking import FLOOR, Sum, shown
from audsql.plan.masking import masked as hidden_counts

__all__ = ["count_text", "masked", "masked_size"]

_COUNT, _SIZE, _FACTS = "count", "size", "facts"
_LINKAGE = [{"given": _COUNT, "lost": _COUNT, "found": _COUNT}]
_LOSSES = {
    "given": _COUNT,
    "without_user_id": _COUNT,
    "user_ids": _SIZE,
    "friends": _COUNT,
    "kept_by_another_id": _COUNT,
}
# Every number of people that a comment shows, by its place in the plan.
_SHAPE: Mapping[str, Any] = {
    "resource_changes": [{"people": {"before": _COUNT, "after": _COUNT, "entering": _COUNT, "leaving": _COUNT}}],
    "audiences": [{"people": _SIZE, "previous": _SIZE, "entering": _COUNT, "leaving": _COUNT, "linkage": _LINKAGE}],
    "deliveries": [
        {
            "people": _SIZE,
            "linkage": _LINKAGE,
            "losses": _LOSSES,
            "sends": [{"limit": _COUNT}],
            "bound": {"people": _COUNT},
        }
    ],
    "flows": [
        {
            "entering": _COUNT,
            "arms": [{"people": _COUNT}],
            "inside": [{"people": _COUNT, "steps": [{"people": _COUNT, "held": _COUNT}]}],
        }
    ],
    "overlaps": {"listed": [{"people": _SIZE}]},
    "drift": [{"before": _COUNT, "now": _COUNT}],
    "quota": [_SIZE],
    "later_quota": [_SIZE],
    "guards": [{"facts": _FACTS}],
    "summary": {"people_entering": _COUNT, "people_leaving": _COUNT},
}
# A verdict's whole number is one of people unless it is named for a unit, or is what LINE or the specs demand.
_NO_PEOPLE = frozenset(
    {"days", "earlier", "expected_high", "expected_low", "hours", "limit", "minimum", "new", "part", "remaining"}
    | {"requests", "sends", "value"}
)
_UNITS = ("_bytes", "_days", "_hours", "_minutes", "_seconds")
# Totals, and the numbers that go into them.
_TOTALS: Mapping[str, tuple[str, ...]] = {
    "summary.people_entering": ("resource_changes.*.people.entering", "audiences.*.entering"),
    "summary.people_leaving": ("resource_changes.*.people.leaving", "audiences.*.leaving"),
    "quota.*": ("deliveries.*.people*", "deliveries.*.limit", "deliveries.*.bound.people"),
    "later_quota.*": ("deliveries.*.people*", "deliveries.*.limit", "deliveries.*.bound.people"),
}
_SUMMED_FACTS_MAX = 8

_Change = Callable[[str, int], int | str]


def count_text(number: int | str | None) -> str:
    """A number out of a masked plan: `1,204`, its mark as it stands, `?` where it is not known."""
    if number is None:
        return "?"
    return number if isinstance(number, str) else f"{number:,}"


def masked(document: Mapping[str, Any], floor: int = FLOOR) -> dict[str, Any]:
    """A plan whose counts below `floor` are `<20`, with `…` for those that would tell them; 0 hides nothing.

    A hidden count becomes a text, a size with hidden bounds gets the text `shown`.
    """
    counts: dict[str, int] = {}

    def note(place: str, number: int) -> int:
        counts[place] = number
        return number

    _over(document, _SHAPE, "", note)
    marks = _marks(counts, floor, _sums_of_flows(document, floor)) if floor else {}
    found = _over(document, _SHAPE, "", marks.get)
    return dict(found)


def masked_size(size: Mapping[str, Any] | None, floor: int = FLOOR) -> dict[str, Any] | None:
    """A size that stands alone, as the regions of a difference do: nothing around it tells more."""
    if size is None:
        return None
    return _sized(size, "", lambda place, number: shown(number, True, floor) if 0 < number < floor else number)


# --- the numbers of a plan ------------------------------------------------------------------------------


def _over(value: Any, shape: Any, place: str, change: _Change) -> Any:
    """The value with each count of the shape changed. As deep as the shape is, whatever the plan holds."""
    if isinstance(shape, list):
        return [_over(one, shape[0], f"{place}.{number}", change) for number, one in enumerate(value or ())]
    if isinstance(shape, dict) and isinstance(value, Mapping):
        under = f"{place}." if place else ""
        return {
            name: _over(one, shape[name], under + name, change) if name in shape else one for name, one in value.items()
        }
    if isinstance(value, Mapping):
        return _sized(value, place, change) if shape == _SIZE else _facts(value, place, change)
    return change(place, value) if type(value) is int else value


def _facts(facts: Mapping[str, Any], place: str, change: _Change) -> dict[str, Any]:
    return {
        name: change(f"{place}.{name}", one) if type(one) is int and _counts_people(name) else one
        for name, one in facts.items()
    }


def _counts_people(name: str) -> bool:
    return name not in _NO_PEOPLE and not name.endswith(_UNITS)


def _sized(size: Mapping[str, Any], place: str, change: _Change) -> dict[str, Any]:
    low, high = size["low"], size["high"]
    if low == high and low is not None:
        count = change(place, low)
        return {**size, "shown": count} if isinstance(count, str) else dict(size)
    least = change(f"{place}.low", low)
    most = None if high is None else change(f"{place}.high", high)
    if isinstance(least, int) and not isinstance(most, str):
        return dict(size)
    if "…" in (least, most):
        return {**size, "shown": "…"}
    # A small lower bound is shown as none at all.
    return {**size, "shown": f"{0 if isinstance(least, str) else least}..{'' if high is None else count_text(most)}"}


# --- what is hidden -------------------------------------------------------------------------------------


def _sums_of_flows(document: Mapping[str, Any], floor: int) -> frozenset[int]:
    """Totals of flows of which a part is small: who enters with the arms that they take, nested ones included, and who
    is inside with the steps where they stand."""
    found: set[int] = set()
    for flow in document.get("flows", ()):
        arms = [one["people"] for one in flow["arms"]]
        if any(0 < one < floor for one in arms):
            branches = {one["step"] for one in flow["arms"]}
            around = {f"{one['step']}.{one['arm']}": one["people"] for one in flow["arms"]}
            found |= {people for arm, people in around.items() if any(step.startswith(f"{arm}.") for step in branches)}
            found |= {flow["entering"]} - {None}
        for inside in flow["inside"]:
            if any(0 < one["people"] < floor for one in inside["steps"]):
                found.add(inside["people"])
    return frozenset(found)


def _marks(counts: Mapping[str, int], floor: int, sums_hidden: frozenset[int] = frozenset()) -> dict[str, str]:
    """The text in place of each number that is hidden. `sums_hidden`: numbers that are hidden for what they sum up.

    Numbers that are equal count as one: a reader may know that they are, and hiding more gives away less.
    """
    totals = {place for place in counts if any(fnmatchcase(place, pattern) for pattern in _TOTALS)}
    values = {str(number): number for place, number in counts.items() if place not in totals}
    sums, unseen = _sums({place: number for place, number in counts.items() if place not in totals}, values)
    found = hidden_counts(values, sums, floor, unseen) | {str(one) for one in sums_hidden}
    marks = {
        place: shown(number, True, floor)
        for place, number in counts.items()
        if place not in totals and str(number) in found
    }
    marks |= dict(_marked_totals(counts, totals, marks, floor))
    withheld = {counts[place] for place in totals & marks.keys() if marks[place] == "…"}
    for place, number in counts.items():
        if place.startswith("guards.") and number in withheld:
            marks.setdefault(place, "…")
    return marks


def _marked_totals(
    counts: Mapping[str, int], totals: set[str], marks: Mapping[str, str], floor: int
) -> Iterator[tuple[str, str]]:
    """A total of which a part is hidden says nothing, `…` whatever it is; one of one part is that part."""
    for pattern, kinds in _TOTALS.items():
        parts = [one for one in counts if counts[one] and any(fnmatchcase(one, kind) for kind in kinds)]
        hidden = [one for one in parts if one in marks]
        for place in sorted(one for one in totals if fnmatchcase(one, pattern) and counts[one]):
            same = {counts[one] for one in parts} == {counts[place]}
            if hidden:
                yield place, marks[hidden[0]] if same else "…"
            elif counts[place] < floor:
                yield place, shown(counts[place], True, floor)


def _sums(counts: Mapping[str, int], values: dict[str, int]) -> tuple[list[Sum], set[str]]:
    """How the numbers of one record add up. The values get those that stand nowhere too: who stays."""
    records: dict[str, dict[str, int]] = {}
    for place, number in counts.items():
        record, _, name = place.rpartition(".")
        records.setdefault(record, {})[name] = number
    sums: dict[tuple[str, ...], Sum] = {}
    unseen: set[str] = set()
    for where, numbers in records.items():
        movement = _movement(where, numbers)
        for total, parts in _movement_sums(movement, values, unseen) if movement else _additions(numbers):
            kept = tuple(sorted(one for one in parts if values[one]))
            if len(kept) > 1:
                sums[(total, *kept)] = Sum(total, kept)
    for one in _on_the_way(records, values, unseen):
        sums[(one.total, *one.parts)] = one
    return list(sums.values()), unseen


def _on_the_way(records: Mapping[str, Mapping[str, int]], values: dict[str, int], unseen: set[str]) -> Iterator[Sum]:
    """From ids that were given to people: at each step some are lost, and how many stands nowhere."""
    for where, numbers in records.items():
        if not re.fullmatch(r"deliveries\.\d+\.losses", where):
            continue
        reached = records.get(where.rpartition(".")[0], {}).get("people")
        given, user_ids, friends = (numbers.get(name) for name in ("given", "user_ids", "friends"))
        for total, part in ((given, numbers.get("without_user_id")), (user_ids, reached), (user_ids, friends)):
            if total is None or part is None or not 0 < part < total:
                continue
            rest = f"lost {total} {part}"
            values[rest] = total - part
            unseen.add(rest)
            yield Sum(str(total), (str(part), rest))


def _movement(place: str, record: Mapping[str, int]) -> tuple[int, int, int | None, int | None] | None:
    """Before, after, who entered and who left, where the numbers say it."""
    if re.fullmatch(r"audiences\.\d+", place) and "people" in record and "previous" in record:
        return record["previous"], record["people"], record.get("entering"), record.get("leaving")
    if "before" in record and "after" in record:
        return record["before"], record["after"], record.get("entering"), record.get("leaving", record.get("left"))
    return None


def _movement_sums(
    movement: tuple[int, int, int | None, int | None], values: dict[str, int], unseen: set[str]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Who was there left or stayed; who is there entered or stayed."""
    before, after, entering, leaving = movement
    if entering is leaving is None:
        return
    came = after - before + (leaving or 0) if entering is None else entering
    left = before - after + came if leaving is None else leaving
    stay = before - left
    if min(came, left, stay) < 0 or after != stay + came:
        return

    def name(number: int, seen: bool, what: str) -> str:
        found = str(number) if seen else f"{what} {before} {after} {came} {left}"
        values[found] = number
        if not seen:
            unseen.add(found)
        return found

    stayed = str(before) if not left else str(after) if not came else name(stay, False, "stay")
    yield str(before), (stayed, name(left, leaving is not None or not left, "left"))
    yield str(after), (stayed, name(came, entering is not None or not came, "came"))


def _additions(record: Mapping[str, int]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each number of a record that is the sum of two others of it, as a mapping's is of who was found and who not."""
    numbers = [one for name, one in sorted(record.items()) if one and name not in ("low", "high")]
    if len(numbers) > _SUMMED_FACTS_MAX:
        return
    for total, first, second in permutations(numbers, 3):
        if total == first + second and first <= second:
            yield str(total), (str(first), str(second))
