"""Conditions of a verb's or table's call, lowered to conditions on rows and on people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import TypeVar

from audsql.diag import Bag, Label, error
from audsql.meaning import ir, values
from audsql.meaning.names import unknown_parameter
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["people_conditions", "row_conditions", "unique_sorted"]

T = TypeVar("T")


def unique_sorted(items: Iterable[T]) -> tuple[T, ...]:
    """Each item once, in the order of its representation: the same set in the same order always."""
    unique = tuple(dict.fromkeys(items))
    return tuple(sorted(unique, key=repr)) if len(unique) > 1 else unique


def row_conditions(
    conditions: Sequence[ast.Condition],
    table: ir.TableSource,
    zone: tzinfo,
    call: ast.Call,
    bag: Bag,
    *,
    in_flow: bool = False,
) -> tuple[ir.RowCondition, ...]:
    """The conditions that filter rows; conditions on people are passed over. `in_flow`: `since start` may stand."""
    found = (_row_condition(condition, table, zone, in_flow, bag) for condition in conditions)
    for condition in conditions:
        if isinstance(condition, ast.ThresholdCondition):
            bag.add(error("AUD0325", condition.span, call=call.name.text))
    return tuple(condition for condition in found if condition is not None)


def _row_condition(
    condition: ast.Condition, table: ir.TableSource, zone: tzinfo, in_flow: bool, bag: Bag
) -> ir.RowCondition | None:
    match condition:
        case ast.CompareCondition(column=column, operator=operator, value=value):
            scalar = _scalar(value, column.text, zone, bag)
            return None if scalar is None else ir.ColumnCompare(column.text, operator, scalar)
        case ast.InCondition(column=column, values=listed):
            scalars = [_scalar(value, column.text, zone, bag) for value in listed]
            return _in(column.text, [scalar for scalar in scalars if scalar is not None])
        case ast.MissingCondition(column=column, given=given):
            return ir.ColumnGiven(column.text) if given else ir.ColumnMissing(column.text)
        case ast.SinceCondition(moment=ast.Word("start")):
            if not in_flow:
                bag.add(error("AUD0256", condition.span))
                return None
            return ir.SinceStart() if _has_time(table, condition.span, bag) else None
        case (
            ast.LastCondition(duration=ast.Word() as word)
            | ast.SinceCondition(moment=ast.Word() as word)
            | ast.BeforeCondition(moment=ast.Word() as word)
        ):
            bag.add(unknown_parameter(word))
            return None
        case ast.LastCondition(duration=ast.Duration() as duration):
            return _last(duration) if _has_time(table, condition.span, bag) else None
        case (
            ast.SinceCondition(moment=ast.DateTime() as written) | ast.BeforeCondition(moment=ast.DateTime() as written)
        ):
            if not _has_time(table, condition.span, bag):
                return None
            at = values.moment(written, zone)
            if at is None:
                bag.add(error("AUD0312", written.span, date=date_words(written)))
                return None
            return ir.Before(at) if isinstance(condition, ast.BeforeCondition) else ir.Since(at)
        case _:
            return None


def _in(column: str, scalars: Sequence[ir.Scalar]) -> ir.RowCondition:
    unique = unique_sorted(scalars)
    return ir.ColumnCompare(column, "=", unique[0]) if len(unique) == 1 else ir.ColumnIn(column, unique)


def _last(duration: ast.Duration) -> ir.Last:
    if duration.unit == "week":
        return ir.Last(duration.amount * 7, "day")
    return ir.Last(duration.amount, duration.unit)


def _has_time(table: ir.TableSource, span: Span, bag: Bag) -> bool:
    if table.time_column is not None:
        return True
    labels = [Label(table.span, "declared")] if table.span else []
    bag.add(error("AUD0326", span, labels=labels, table=table.name))
    return False


def _scalar(value: ast.Value, column: str, zone: tzinfo, bag: Bag) -> ir.Scalar | None:
    scalar = values.scalar(value, zone)
    if scalar is None:
        if isinstance(value, ast.DateTime):
            bag.add(error("AUD0312", value.span, date=date_words(value)))
        else:
            bag.add(error("AUD0327", value.span, column=column))
    return scalar


def people_conditions(
    conditions: Sequence[ast.Condition], table: ir.TableSource, zone: tzinfo, call: ast.Call, bag: Bag
) -> tuple[ir.PeopleCondition, ...]:
    """The conditions on each person's remaining rows; conditions on rows are passed over."""
    return tuple(_people_conditions(conditions, table, zone, bag))


def _people_conditions(
    conditions: Sequence[ast.Condition], table: ir.TableSource, zone: tzinfo, bag: Bag
) -> Iterator[ir.PeopleCondition]:
    for condition in conditions:
        match condition:
            case ast.TimesCondition(count=ast.Word() as word):
                bag.add(unknown_parameter(word))
            case ast.TimesCondition(bound=bound, count=int() as count):
                if bound == "at least" and count < 1:
                    bag.add(error("AUD0308", condition.span, what="at least", minimum=1))
                else:
                    yield ir.Times(bound, count)
            case ast.AggregateCondition(function=function, column=column, operator=operator, value=value):
                scalar = _scalar(value, column.text, zone, bag)
                if isinstance(scalar, str) or (function in ("sum", "avg") and not isinstance(scalar, Decimal | None)):
                    bag.add(error("AUD0319", value.span, function=function, column=column.text))
                elif scalar is not None and not isinstance(scalar, bool):
                    yield ir.Aggregate(function, column.text, operator, scalar)
            case ast.LatestCondition(column=column, operator=operator, value=value):
                scalar = _scalar(value, column.text, zone, bag)
                if _has_time(table, condition.span, bag) and scalar is not None:
                    yield ir.Latest(column.text, operator, scalar)
            case _:
                continue


def date_words(value: ast.DateTime) -> str:
    """A date as it was written: `2026-02-30 10:00`."""
    day = f"{value.year:04}-{value.month:02}-{value.day:02}"
    return day if value.hour is None else f"{day} {value.hour:02}:{value.minute or 0:02}"
