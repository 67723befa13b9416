"""Certain facts about atoms: which sets lie within which, and which have nobody in common.

Only what holds in every possible world (specs/language/04-sets.md, `sets.facts`). LINE does not promise
that everyone who clicked also opened, so nothing of the kind is here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import combinations
from typing import Any

from audsql.meaning import ir
from audsql.records import dataclass

__all__ = ["Facts", "certain_facts"]

_EXCLUSIVE_FAMILIES = ("age", "friend_for", "gender", "os")
_MAPPED_DEPTH_MAX = 3
_MAPPED_ATOMS_MAX = 12
_GROUP_SMALL = 8
_VALUES_MAX = 6
_HOURS_A_DAY = 24
_MINUTES_AN_HOUR = 60


@dataclass(frozen=True, slots=True)
class Facts:
    """`implications`: (a, b) where a lies within b. `exclusions`: (a, b) that nobody is in both of.
    Pairs of atom keys, sorted; an exclusion stands once, the smaller key first."""

    implications: tuple[tuple[str, str], ...] = ()
    exclusions: tuple[tuple[str, str], ...] = ()


_NONE = Facts()


def certain_facts(atoms: Sequence[ir.Atom]) -> Facts:
    """The facts that hold between these atoms."""
    if len(atoms) < 2:
        return _NONE
    unique = {atom.key: atom for atom in atoms}
    groups: dict[tuple[str, ...], list[tuple[str, ir.Atom]]] = {}
    for key in sorted(unique):
        group = _group(unique[key])
        if group is not None:
            groups.setdefault(group, []).append((key, unique[key]))
    implications: list[tuple[str, str]] = []
    exclusions: list[tuple[str, str]] = []
    for group, members in groups.items():
        for (left_key, left), (right_key, right) in _pairs(group, members):
            left_in_right, right_in_left, apart = _relation(left, right)
            if left_in_right:
                implications.append((left_key, right_key))
            if right_in_left:
                implications.append((right_key, left_key))
            if apart:
                exclusions.append((left_key, right_key))
    return Facts(tuple(sorted(implications)), tuple(sorted(exclusions))) if implications or exclusions else _NONE


_Member = tuple[str, ir.Atom]


def _pairs(group: tuple[str, ...], members: Sequence[_Member]) -> Iterable[tuple[_Member, _Member]]:
    """The pairs of a group that may have to do with each other. A filter lies within another one only if it asks for
    all the values that the other asks for, so that of a thousand products each is compared with few others."""
    if group[0] != "rows" or len(members) <= _GROUP_SMALL:
        return combinations(members, 2)
    asked: dict[frozenset[tuple[str, ir.Scalar]], list[int]] = {}
    for index, (_, atom) in enumerate(members):
        asked.setdefault(frozenset(_values_asked(atom, listed=False)), []).append(index)
    found: set[tuple[int, int]] = set()
    for index, (_, atom) in enumerate(members):
        given = frozenset(_values_asked(atom, listed=True))
        if len(given) > _VALUES_MAX:
            return combinations(members, 2)
        parts = (part for size in range(len(given) + 1) for part in combinations(given, size))
        others = (other for part in parts for other in asked.get(frozenset(part), ()) if other != index)
        found.update((min(index, other), max(index, other)) for other in others)
    return ((members[left], members[right]) for left, right in found)


def _values_asked(atom: ir.Atom, *, listed: bool) -> Iterator[tuple[str, ir.Scalar]]:
    """Column and value of each `=` among the row conditions; `listed`: of lists of one value too."""
    for condition in atom.rows if isinstance(atom, ir.Rows) else ():
        match condition:
            case ir.ColumnCompare(column, "=", value):
                yield column, value
            case ir.ColumnIn(column, (value,)) if listed:
                yield column, value


def _group(atom: ir.Atom) -> tuple[str, ...] | None:
    """Atoms of different groups have nothing to do with each other."""
    match atom:
        case ir.Rows(table):
            return ("rows", table)
        case ir.Clicked(delivery):
            return ("clicked", delivery)
        case ir.Attribute(family) if family in _EXCLUSIVE_FAMILIES:
            return ("attribute", family)
        case ir.Mapped(table) | ir.Linked(table):
            return ("linkage", table)
        case ir.Bucket(salt):
            return ("bucket", salt)
        case _:
            return None


@lru_cache(maxsize=32_768)
def _relation(left: ir.Atom, right: ir.Atom) -> tuple[bool, bool, bool]:
    """Whether left is within right, right within left, and nobody in both."""
    match left, right:
        case ir.Rows(), ir.Rows():
            return _rows_relation(left, right)
        case ir.Clicked(), ir.Clicked():
            return right.url is None, left.url is None, False
        case ir.Attribute(), ir.Attribute():
            return False, False, left.value != right.value
        case ir.Mapped(), ir.Linked():
            return left.to == "user_id", False, False
        case ir.Linked(), ir.Mapped():
            return False, right.to == "user_id", False
        case ir.Mapped(), ir.Mapped():
            return _mapped_relation(left, right)
        case ir.Bucket(), ir.Bucket():
            forth = right.low <= left.low and left.high <= right.high
            back = left.low <= right.low and right.high <= left.high
            return forth, back, left.high <= right.low or right.high <= left.low
        case _:
            return False, False, False


# --- mapped sets ------------------------------------------------------------------------------------


def _mapped_relation(left: ir.Mapped, right: ir.Mapped) -> tuple[bool, bool, bool]:
    """A mapped set grows with what it is made of. Sets that are apart need not stay so: one person, two telephones.

    Nothing is claimed of sets that are too large or too deep to look into.
    """
    if (left.kind, left.to) != (right.kind, right.to) or max(_depth(left), _depth(right)) > _MAPPED_DEPTH_MAX:
        return False, False, False
    if len({atom.key for one in (left, right) for atom in ir.atoms_of(one.inner)}) > _MAPPED_ATOMS_MAX:
        return False, False, False
    # Not above: the algebra itself asks for facts.
    from audsql.meaning import algebra

    try:
        return algebra.within(left.inner, right.inner), algebra.within(right.inner, left.inner), False
    except algebra.Undecided:
        return False, False, False


def _depth(atom: ir.Mapped) -> int:
    """How many mappings stand inside each other, as far as it matters."""
    depth, level = 0, {atom.key: atom}
    while level and depth <= _MAPPED_DEPTH_MAX:
        depth += 1
        parts = [part for one in level.values() for part in ir.atoms_of(one.inner)]
        level = {part.key: part for part in parts if isinstance(part, ir.Mapped)}
    return depth


# --- rows of one table ------------------------------------------------------------------------------


def _rows_relation(left: ir.Rows, right: ir.Rows) -> tuple[bool, bool, bool]:
    """As `_relation`. Where neither filter lies within the other, nothing is known."""
    forth = _filter_within(left.rows, right.rows)
    back = _filter_within(right.rows, left.rows)
    if not forth and not back:
        return False, False, False
    return (
        forth and _rows_within(left, right, same=back),
        back and _rows_within(right, left, same=forth),
        _rows_disjoint(left, right, forth, back),
    )


def _rows_within(left: ir.Rows, right: ir.Rows, *, same: bool) -> bool:
    """Whether whoever satisfies `left` satisfies `right`, whose filter `left`'s lies within; `same`: and back.

    With more rows left over by `right`'s filter, only conditions that more rows cannot break carry over.
    """
    if not right.people and not _asks_for_a_row(left):
        return False
    return all(
        (same or _grows(wanted))
        and (_asked_by_count(left, wanted) or any(_people_imply(c, wanted) for c in left.people))
        for wanted in right.people
    )


def _rows_disjoint(left: ir.Rows, right: ir.Rows, left_in_right: bool, right_in_left: bool) -> bool:
    """Whether nobody satisfies both, given which filter lies within which."""
    left_low, left_high = _count_bounds(left)
    right_low, right_high = _count_bounds(right)
    if left_in_right and right_high is not None and left_low > right_high:
        return True
    if right_in_left and left_high is not None and right_low > left_high:
        return True
    if not (left_in_right and right_in_left):
        return False
    return any(_people_exclude(a, b) for a in left.people for b in right.people)


def _filter_within(left: Sequence[ir.RowCondition], right: Sequence[ir.RowCondition]) -> bool:
    """Whether every row that passes all of `left` passes all of `right`."""
    return all(any(_row_implies(given, wanted) for given in left) for wanted in right)


def _asks_for_a_row(atom: ir.Rows) -> bool:
    """Whether the people of the atom have at least one row left: not so with only `at most` or `exactly 0`."""
    return not atom.people or _count_bounds(atom)[0] > 0


def _count_bounds(atom: ir.Rows) -> tuple[int, int | None]:
    """How many rows are left for a person of the atom, at least and at most."""
    low, high = (0, None) if atom.people else (1, None)
    for condition in atom.people:
        match condition:
            case ir.Times(bound, count):
                low = max(low, count) if bound != "at most" else low
                high = high if bound == "at least" else count if high is None else min(high, count)
            case _:
                low = max(low, 1)  # an aggregate of no rows is missing, and there is no latest of none
    return low, high


def _grows(condition: ir.PeopleCondition) -> bool:
    """Whether more rows cannot break it: `at least`, `max >`, `min <`."""
    match condition:
        case ir.Times(bound):
            return bound == "at least"
        case ir.Aggregate("max", _, comparison):
            return comparison in (">", ">=")
        case ir.Aggregate("min", _, comparison):
            return comparison in ("<", "<=")
        case _:
            return False


def _asked_by_count(atom: ir.Rows, wanted: ir.PeopleCondition) -> bool:
    match wanted:
        case ir.Times("at least", count):
            return _count_bounds(atom)[0] >= count
        case _:
            return False


def _people_imply(given: ir.PeopleCondition, wanted: ir.PeopleCondition) -> bool:
    """Over the same rows."""
    if given == wanted:
        return True
    match given, wanted:
        case ir.Times(bound, count), ir.Times(wanted_bound, wanted_count):
            if wanted_bound == "at least":
                return bound != "at most" and count >= wanted_count
            if wanted_bound == "at most":
                return bound != "at least" and count <= wanted_count
            return False
        case ir.Aggregate(function, column), ir.Aggregate(other, other_column):
            same = function == other and column == other_column
            return same and _compare_implies(given.operator, given.value, wanted.operator, wanted.value)
        case ir.Latest(column), ir.Latest(other_column):
            same = column == other_column
            return same and _compare_implies(given.operator, given.value, wanted.operator, wanted.value)
        case _:
            return False


def _people_exclude(left: ir.PeopleCondition, right: ir.PeopleCondition) -> bool:
    """Over the same rows. Not for `latest`: of rows with the same time any may satisfy it."""
    match left, right:
        case ir.Aggregate(function, column), ir.Aggregate(other, other_column):
            same = function == other and column == other_column
            return same and _compare_excludes(left.operator, left.value, right.operator, right.value)
        case _:
            return False


def _row_implies(given: ir.RowCondition, wanted: ir.RowCondition) -> bool:
    """Whether a row that passes `given` passes `wanted`. A missing value passes no comparison."""
    if given == wanted:
        return True
    match given, wanted:
        case ir.ColumnCompare(column) | ir.ColumnIn(column), ir.ColumnGiven(wanted_column):
            return column == wanted_column
        case ir.ColumnCompare(column, comparison, value), ir.ColumnCompare(other, other_comparison, other_value):
            return column == other and _compare_implies(comparison, value, other_comparison, other_value)
        case ir.ColumnCompare(column, "=", value), ir.ColumnIn(other, listed):
            return column == other and value in listed
        case ir.ColumnIn(column, listed), ir.ColumnIn(other, other_listed):
            return column == other and set(listed) <= set(other_listed)
        case ir.ColumnIn(column, listed), ir.ColumnCompare(other, comparison, value):
            return column == other and all(_compare_implies("=", one, comparison, value) for one in listed)
        case ir.Last(amount, unit), ir.Last(wanted_amount, wanted_unit):
            return _last_within(amount, unit, wanted_amount, wanted_unit)
        case ir.Since(moment), ir.Since(wanted_moment):
            return moment >= wanted_moment
        case ir.Before(moment), ir.Before(wanted_moment):
            return moment <= wanted_moment
        case _:
            return False


def _last_within(amount: int, unit: str, wanted: int, wanted_unit: str) -> bool:
    """Days start at midnight, hours and minutes are exact. A day window of n days holds any exact window
    of n - 1 days, whatever the clocks do; nothing is claimed the other way round."""
    if unit == "day" or wanted_unit == "day":
        if unit == wanted_unit:
            return amount <= wanted
        return unit != "day" and _minutes(amount, unit) <= (wanted - 1) * _HOURS_A_DAY * _MINUTES_AN_HOUR
    return _minutes(amount, unit) <= _minutes(wanted, wanted_unit)


def _minutes(amount: int, unit: str) -> int:
    return amount * (_MINUTES_AN_HOUR if unit == "hour" else 1)


# --- comparisons ------------------------------------------------------------------------------------

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _comparable(left: ir.Scalar, right: ir.Scalar) -> bool:
    return type(left) is type(right)


def _ordered(value: ir.Scalar) -> bool:
    return isinstance(value, (Decimal, datetime))


def _compare_implies(given: str, value: ir.Scalar, wanted: str, bound: ir.Scalar) -> bool:
    """Whether `x given value` implies `x wanted bound` for every x. Texts are only equal or not."""
    if not _comparable(value, bound):
        return False
    if given == wanted and value == bound:
        return True
    if given == "=":
        return (wanted == "!=" or _ordered(value)) and _COMPARE[wanted](value, bound)
    if not _ordered(value):
        return False
    return any(_range_implies(given, value, part, bound) for part in _parts_of(wanted))


def _parts_of(wanted: str) -> Iterator[str]:
    """`!=` holds if `<` or `>` does; every other comparison stands for itself."""
    yield from ("<", ">") if wanted == "!=" else (wanted,)


def _range_implies(given: str, value: Any, wanted: str, bound: Any) -> bool:
    if given[0] != wanted[0] or given[0] not in "<>":
        return False
    if value == bound:
        return given == wanted or wanted.endswith("=")
    return bool(value < bound) if given[0] == "<" else bool(value > bound)


def _compare_excludes(left: str, value: ir.Scalar, right: str, bound: ir.Scalar) -> bool:
    """Whether no x satisfies both."""
    opposite = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
    return _compare_implies(left, value, opposite[right], bound)
