"""The smaller parts of the syntax tree: names, values, conditions and set expressions.

`audsql.syntax.ast` gives them together with the statements that they stand in, and says what holds of
every node.
"""

from __future__ import annotations

from dataclasses import field
from decimal import Decimal
from typing import Literal

from audsql.records import dataclass
from audsql.source import Span, made_often

__all__ = [
    "AggregateCondition", "Arguments", "BeforeCondition", "BooleanOperator", "Call", "Chain", "CompareCondition",
    "Comparison", "Condition", "DateTime", "Duration", "Environment", "Expression", "InCondition", "LastCondition",
    "LatestCondition", "ListValue", "MissingCondition", "Name", "Not", "Number", "Paren", "PeopleRange", "Percent",
    "Range", "Reference", "SinceCondition", "Star", "Text", "ThresholdCondition", "TimeOfDay", "TimesCondition",
    "Value", "Word", "at",
]  # fmt: skip


_NOWHERE = Span("", 0, 0)


def at() -> Span:
    """The span field of a node; a place takes no part in equality."""
    return field(default=_NOWHERE, compare=False, repr=False)


@made_often
@dataclass(frozen=True, slots=True)
class Name:
    """A name as written, without backquotes, NFC-normalised. `quoted`: it stood in backquotes.

    `card[p]` has `p` as its `index` until `for` is expanded; then the text is `card[A]` (names.indexed). A name
    of a file that is used has its alias before a dot in its text: `common.buyers` (names.aliases).
    """

    text: str
    quoted: bool = field(default=False, compare=False)
    span: Span = at()
    index: tuple[Value, ...] = ()


# --- values -------------------------------------------------------------------------------------


@made_often
@dataclass(frozen=True, slots=True)
class Word:
    """A bare word where a value is expected: `A` in `purchased(A)`. `quoted`: it stood in backquotes.

    `index` and dots as in a Name: `clicked(sale[p])`, `uploaded(common.buyers)`.
    """

    text: str
    span: Span = at()
    quoted: bool = field(default=False, compare=False, repr=False)
    index: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A double-quoted string, unescaped."""

    text: str
    span: Span = at()


@made_often
@dataclass(frozen=True, slots=True)
class Number:
    """`100`, `-1.5`."""

    value: Decimal
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Percent:
    """`20%` is value 20."""

    value: Decimal
    span: Span = at()


@made_often
@dataclass(frozen=True, slots=True)
class Duration:
    """`90 days`; the unit is always singular: minute, hour, day, week."""

    amount: int
    unit: Literal["minute", "hour", "day", "week"]
    span: Span = at()


@dataclass(frozen=True, slots=True)
class DateTime:
    """A date, with a time of day where one was written, and an offset in minutes where one was."""

    year: int
    month: int
    day: int
    hour: int | None = None
    minute: int | None = None
    offset_minutes: int | None = None
    span: Span = at()


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """`10:00`."""

    hour: int
    minute: int
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Range:
    """`30..39`, `50..`, `..19`, `30 days..90 days`, `21:00..09:00`; a missing end is None."""

    low: Number | Duration | DateTime | TimeOfDay | None
    high: Number | Duration | DateTime | TimeOfDay | None
    span: Span = at()


@dataclass(frozen=True, slots=True)
class PeopleRange:
    """`60..90 people` of `expect:`."""

    low: int | None
    high: int | None
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Star:
    """`*` in `purchased(*)`."""

    span: Span = at()


@dataclass(frozen=True, slots=True)
class Environment:
    """`env("NAME")`."""

    name: str
    span: Span = at()


@dataclass(frozen=True, slots=True)
class ListValue:
    """`[u1, u2]`."""

    items: tuple[Value, ...]
    span: Span = at()


Value = Word | Text | Number | Percent | Duration | DateTime | TimeOfDay | Range | Star | Environment | ListValue

# --- conditions of a call -----------------------------------------------------------------------

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class CompareCondition:
    """`amount >= 10000`."""

    column: Name
    operator: Comparison
    value: Value
    span: Span = at()


@dataclass(frozen=True, slots=True)
class InCondition:
    """`rank in (gold, silver)`."""

    column: Name
    values: tuple[Value, ...]
    span: Span = at()


@dataclass(frozen=True, slots=True)
class MissingCondition:
    """`ordered_at is missing`, or `is given` when `given`."""

    column: Name
    given: bool
    span: Span = at()


@made_often
@dataclass(frozen=True, slots=True)
class LastCondition:
    """`last 90 days`; a word is a parameter."""

    duration: Duration | Word
    span: Span = at()


@dataclass(frozen=True, slots=True)
class SinceCondition:
    """`since 2026-01-01`; `start` of a flow is the word `start`, any other word is a parameter."""

    moment: DateTime | Word
    span: Span = at()


@dataclass(frozen=True, slots=True)
class BeforeCondition:
    """`before 2026-01-01`; a word is a parameter."""

    moment: DateTime | Word
    span: Span = at()


@dataclass(frozen=True, slots=True)
class TimesCondition:
    """`at least 2 times`, `at most 3 times`, `exactly 1 time`; a word is a parameter."""

    bound: Literal["at least", "at most", "exactly"]
    count: int | Word
    span: Span = at()


@dataclass(frozen=True, slots=True)
class AggregateCondition:
    """`sum(amount) >= 10000`."""

    function: Literal["sum", "avg", "min", "max"]
    column: Name
    operator: Comparison
    value: Value
    span: Span = at()


@dataclass(frozen=True, slots=True)
class LatestCondition:
    """`latest status = done`."""

    column: Name
    operator: Comparison
    value: Value
    span: Span = at()


@dataclass(frozen=True, slots=True)
class ThresholdCondition:
    """`>= 90 days` of `friend_for(>= 90 days)`: a comparison with no column."""

    operator: Comparison
    value: Value
    span: Span = at()


Condition = (
    CompareCondition
    | InCondition
    | MissingCondition
    | LastCondition
    | SinceCondition
    | BeforeCondition
    | TimesCondition
    | AggregateCondition
    | LatestCondition
    | ThresholdCondition
)

# --- set expressions ----------------------------------------------------------------------------

BooleanOperator = Literal["AND", "OR", "EXCEPT"]


@made_often
@dataclass(frozen=True, slots=True)
class Reference:
    """A name with no parentheses: an audience, `friends`, or dotted `sale_test.a`, `common.lapsed`.

    Of three names, `common.sale_test.a`, the first two stand in `name`.
    """

    name: Name
    member: Name | None = None
    span: Span = at()


@made_often
@dataclass(frozen=True, slots=True)
class Arguments:
    """What stands in a call's parentheses, in order: values first, then conditions.

    `subject` is the set expression that `sample(x, 10%)` and `lookalike(x, 3%)` begin with, None in every other
    call; `named` the `seed: "s"` of a sample.
    """

    values: tuple[Value, ...]
    conditions: tuple[Condition, ...]
    subject: Expression | None = None
    named: tuple[tuple[Name, Value], ...] = ()


@made_often
@dataclass(frozen=True, slots=True)
class Call:
    """`purchased(A, last 90 days)`, `clicked(msg42, "https://…")`, `orders()`."""

    name: Name
    arguments: Arguments
    span: Span = at()


@made_often
@dataclass(frozen=True, slots=True)
class Not:
    """`NOT operand`."""

    operand: Expression
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Paren:
    """`(inner)`."""

    inner: Expression
    span: Span = at()


@made_often
@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined by operators without parentheses: n operands, n - 1 operators.

    A chain that reads two ways has been reported by the parser; it groups to the left.
    """

    operands: tuple[Expression, ...]
    operators: tuple[BooleanOperator, ...]
    operator_spans: tuple[Span, ...] = field(default=(), compare=False, repr=False)
    span: Span = at()


Expression = Reference | Call | Not | Paren | Chain
