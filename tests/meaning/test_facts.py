"""Certain facts hold in every world: against a naive evaluator over random tables of rows."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from audsql.meaning import algebra, ir

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS = st.sampled_from(sorted(COMPARE))


@dataclass(frozen=True)
class Row:
    product: str | None
    amount: Decimal | None
    at: datetime | None


rows = st.builds(
    Row,
    st.sampled_from([None, "A", "B", "C"]),
    st.none() | st.integers(0, 4).map(Decimal),
    st.none() | st.integers(0, 100).map(lambda hours: NOW - timedelta(hours=hours)),
)
numbers = st.integers(0, 4).map(Decimal)
moments = st.integers(0, 100).map(lambda hours: NOW - timedelta(hours=hours))
row_conditions = st.one_of(
    st.builds(ir.ColumnCompare, st.just("product"), st.sampled_from(["=", "!="]), st.sampled_from("ABC")),
    st.builds(ir.ColumnCompare, st.just("amount"), OPERATORS, numbers),
    st.builds(ir.ColumnIn, st.just("product"), st.sampled_from([("A", "B"), ("A", "B", "C"), ("B", "C")])),
    st.builds(ir.ColumnIn, st.just("amount"), st.just((Decimal(1), Decimal(2)))),
    st.sampled_from(["product", "amount"]).flatmap(lambda c: st.sampled_from([ir.ColumnGiven(c), ir.ColumnMissing(c)])),
    st.builds(ir.Last, st.integers(0, 4), st.just("day")),
    st.builds(ir.Last, st.integers(0, 100), st.just("hour")),
    st.builds(ir.Since, moments),
    st.builds(ir.Before, moments),
)
people_conditions = st.one_of(
    st.builds(ir.Times, st.just("at least"), st.integers(1, 3)),
    st.builds(ir.Times, st.sampled_from(["at most", "exactly"]), st.integers(0, 3)),
    st.builds(ir.Aggregate, st.sampled_from(["sum", "min", "max", "avg"]), st.just("amount"), OPERATORS, numbers),
    st.builds(ir.Latest, st.just("amount"), OPERATORS, numbers),
)
atoms = st.builds(
    ir.Rows,
    st.just("orders"),
    st.lists(row_conditions, max_size=2).map(tuple),
    st.lists(people_conditions, max_size=2).map(tuple),
)


def passes(row: Row, condition: ir.RowCondition) -> bool:
    value = getattr(row, condition.column) if hasattr(condition, "column") else row.at
    if isinstance(condition, ir.ColumnMissing):
        return value is None
    if value is None:
        return False
    match condition:
        case ir.ColumnCompare(_, sign, bound):
            return bool(COMPARE[sign](value, bound))
        case ir.ColumnIn(_, listed):
            return value in listed
        case ir.Last(amount, "day"):
            midnight = NOW.replace(hour=0, minute=0)
            return midnight - timedelta(days=amount) <= value < NOW
        case ir.Last(amount):
            return NOW - timedelta(hours=amount) <= value < NOW
        case ir.Since(moment):
            return value >= moment
        case ir.Before(moment):
            return value < moment
        case _:
            return True


def meets(left: list[Row], condition: ir.PeopleCondition) -> bool:
    match condition:
        case ir.Times(bound, count):
            return {"at least": len(left) >= count, "at most": len(left) <= count, "exactly": len(left) == count}[bound]
        case ir.Aggregate(function, _, sign, bound):
            values = [row.amount for row in left if row.amount is not None]
            if not values:
                return False
            total = {"sum": sum(values), "min": min(values), "max": max(values), "avg": sum(values) / len(values)}
            return bool(COMPARE[sign](total[function], bound))
        case ir.Latest(_, sign, bound):
            times = [row.at for row in left if row.at is not None]
            last = [row for row in left if times and row.at == max(times)]
            return any(row.amount is not None and COMPARE[sign](row.amount, bound) for row in last)


def holds(person: list[Row], atom: ir.Rows) -> bool:
    left = [row for row in person if all(passes(row, condition) for condition in atom.rows)]
    return all(meets(left, condition) for condition in atom.people) if atom.people else bool(left)


@settings(max_examples=300, deadline=None)
@given(st.lists(atoms, min_size=2, max_size=4), st.lists(st.lists(rows, min_size=1, max_size=5), max_size=5))
def test_facts_hold_for_everybody(listed: list[ir.Rows], people: list[list[Row]]) -> None:
    by_key = {atom.key: atom for atom in listed}
    facts = algebra.certain_facts(listed)
    for person in people:
        for left, right in facts.implications:
            assert not holds(person, by_key[left]) or holds(person, by_key[right])
        for left, right in facts.exclusions:
            assert not (holds(person, by_key[left]) and holds(person, by_key[right]))


@settings(max_examples=300, deadline=None)
@given(atoms, st.data())
def test_facts_of_refined_calls_hold(atom: ir.Rows, data: st.DataObject) -> None:
    more_rows = data.draw(st.lists(row_conditions, max_size=1))
    more_people = data.draw(st.lists(people_conditions, max_size=1))
    refined = ir.Rows(atom.table, (*atom.rows, *more_rows), (*atom.people, *more_people))
    facts = algebra.certain_facts((atom, refined))
    for person in data.draw(st.lists(st.lists(rows, min_size=1, max_size=5), max_size=5)):
        truth = {atom.key: holds(person, atom), refined.key: holds(person, refined)}
        for left, right in facts.implications:
            assert not truth[left] or truth[right]
        for left, right in facts.exclusions:
            assert not (truth[left] and truth[right])
