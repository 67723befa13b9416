"""The syntax tree: what was written, with its places, before any of it means anything.

Every node is frozen and ends in `span`. A statement that could not be read is a `Bad` node: it is
declared, its contents are unknown, and nothing that refers to it is an error. Spans do not take part
in equality, so that two texts of the same tree compare equal whatever their layout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from audsql.source import Span

__all__ = [
    "AggregateCondition",
    "Arguments",
    "Audience",
    "Bad",
    "Block",
    "BooleanOperator",
    "Call",
    "Chain",
    "CompareCondition",
    "Comment",
    "Condition",
    "DateTime",
    "Duration",
    "Entry",
    "EntryValue",
    "Environment",
    "ExcludeRule",
    "Expect",
    "ExpectCount",
    "Expression",
    "File",
    "Given",
    "InCondition",
    "ListValue",
    "LastCondition",
    "LatestCondition",
    "MissingCondition",
    "Name",
    "Number",
    "Paren",
    "PeopleRange",
    "Percent",
    "Policy",
    "Prove",
    "Range",
    "Reference",
    "Not",
    "SinceCondition",
    "BeforeCondition",
    "Star",
    "Statement",
    "Test",
    "TestItem",
    "Text",
    "TestAt",
    "ThresholdCondition",
    "TimeOfDay",
    "TimesCondition",
    "Value",
    "Verb",
    "Word",
    "IdColumn",
    "Flag",
]


def _at() -> Span:
    """The span field of a node; a place takes no part in equality."""
    return field(default=Span("", 0, 0), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A name as written, without backquotes, NFC-normalised. `quoted`: it stood in backquotes."""

    text: str
    quoted: bool = field(default=False, compare=False)
    span: Span = _at()


# --- values -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """A bare word where a value is expected: `A` in `purchased(A)`. `quoted`: it stood in backquotes."""

    text: str
    span: Span = _at()
    quoted: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A double-quoted string, unescaped."""

    text: str
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Number:
    """`100`, `-1.5`."""

    value: Decimal
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Percent:
    """`20%` is value 20."""

    value: Decimal
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Duration:
    """`90 days`; the unit is always singular: minute, hour, day, week."""

    amount: int
    unit: Literal["minute", "hour", "day", "week"]
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class DateTime:
    """A date, with a time of day where one was written, and an offset in minutes where one was."""

    year: int
    month: int
    day: int
    hour: int | None = None
    minute: int | None = None
    offset_minutes: int | None = None
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """`10:00`."""

    hour: int
    minute: int
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Range:
    """`30..39`, `50..`, `..19`, `30 days..90 days`, `21:00..09:00`; a missing end is None."""

    low: Number | Duration | DateTime | TimeOfDay | None
    high: Number | Duration | DateTime | TimeOfDay | None
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class PeopleRange:
    """`60..90 people` of `expect:`."""

    low: int | None
    high: int | None
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Star:
    """`*` in `purchased(*)`."""

    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Environment:
    """`env("NAME")`."""

    name: str
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class ListValue:
    """`[u1, u2]`."""

    items: tuple[Value, ...]
    span: Span = _at()


Value = Word | Text | Number | Percent | Duration | DateTime | TimeOfDay | Range | Star | Environment | ListValue

# --- conditions of a call -----------------------------------------------------------------------

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class CompareCondition:
    """`amount >= 10000`."""

    column: Name
    operator: Comparison
    value: Value
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class InCondition:
    """`rank in (gold, silver)`."""

    column: Name
    values: tuple[Value, ...]
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class MissingCondition:
    """`ordered_at is missing`, or `is given` when `given`."""

    column: Name
    given: bool
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class LastCondition:
    """`last 90 days`."""

    duration: Duration
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class SinceCondition:
    """`since 2026-01-01`; `start` of a flow is the word `start`."""

    moment: DateTime | Word
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class BeforeCondition:
    """`before 2026-01-01`."""

    moment: DateTime
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class TimesCondition:
    """`at least 2 times`, `at most 3 times`, `exactly 1 time`."""

    bound: Literal["at least", "at most", "exactly"]
    count: int
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class AggregateCondition:
    """`sum(amount) >= 10000`."""

    function: Literal["sum", "avg", "min", "max"]
    column: Name
    operator: Comparison
    value: Value
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class LatestCondition:
    """`latest status = done`."""

    column: Name
    operator: Comparison
    value: Value
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class ThresholdCondition:
    """`>= 90 days` of `friend_for(>= 90 days)`: a comparison with no column."""

    operator: Comparison
    value: Value
    span: Span = _at()


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


@dataclass(frozen=True, slots=True)
class Reference:
    """A name with no parentheses: an audience, `friends`, or dotted `sale_test.a`."""

    name: Name
    member: Name | None = None
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Arguments:
    """What stands in a call's parentheses, in order: values first, then conditions."""

    values: tuple[Value, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """`purchased(A, last 90 days)`, `clicked(msg42, "https://…")`, `orders()`."""

    name: Name
    arguments: Arguments
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Not:
    """`NOT operand`."""

    operand: Expression
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Paren:
    """`(inner)`."""

    inner: Expression
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined by operators without parentheses: n operands, n - 1 operators.

    A chain that reads two ways has been reported by the parser; it groups to the left.
    """

    operands: tuple[Expression, ...]
    operators: tuple[BooleanOperator, ...]
    operator_spans: tuple[Span, ...] = field(default=(), compare=False, repr=False)
    span: Span = _at()


Expression = Reference | Call | Not | Paren | Chain

# --- statements ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment without its `#` and one following blank, stripped at the end."""

    text: str
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class IdColumn:
    """One of `id: user_id, phone = tel`: a kind and the column that holds it."""

    kind: Name
    column: Name | None
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Flag:
    """A word or phrase with no colon inside a block: `allow empty`, `allow shortfall`."""

    text: str
    span: Span = _at()


EntryValue = Value | Expression | PeopleRange | tuple[Value, ...] | tuple[IdColumn, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """`key: value` of a block. `to` holds an Expression (with `allow_empty`), `id` a tuple of
    IdColumn, `send` a tuple of Word or Text, `expect` a PeopleRange, every other key a Value."""

    key: Name
    value: EntryValue
    allow_empty: bool = False
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Verb:
    """`verb purchased by product` of a table; `column` is None for a verb without values."""

    name: Name
    column: Name | None
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Block:
    """`account`, `upload`, `table`, `message` or `delivery`: a name and its entries."""

    kind: Literal["account", "upload", "table", "message", "delivery"]
    name: Name
    entries: tuple[Entry, ...]
    verbs: tuple[Verb, ...] = ()
    flags: tuple[Flag, ...] = ()
    description: str = ""
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Audience:
    """`audience name = expression`."""

    name: Name
    expression: Expression
    allow_empty: bool = False
    description: str = ""
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class ExcludeRule:
    """`always except EXPR`, with `except for [a, b]`."""

    expression: Expression
    exceptions: tuple[Name, ...] = ()
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Policy:
    """`policy name { … }`."""

    name: Name
    rules: tuple[ExcludeRule, ...]
    description: str = ""
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Given:
    """`given EXPR = [u1, u2]`; the expression is an atom."""

    atom: Expression
    people: ListValue
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class TestAt:
    """`at: 2026-12-01 10:00` of a test."""

    moment: DateTime
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Expect:
    """`expect EXPR = [u1]`."""

    expression: Expression
    people: ListValue
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class ExpectCount:
    """`expect count(EXPR) = 3`."""

    expression: Expression
    count: int
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Prove:
    """`prove a = b`, `prove a within b`, `prove a disjoint b`."""

    left: Expression
    relation: Literal["=", "within", "disjoint"]
    right: Expression
    span: Span = _at()


TestItem = Given | TestAt | Expect | ExpectCount | Prove


@dataclass(frozen=True, slots=True)
class Test:
    """`test "title" { … }`."""

    title: str
    items: tuple[TestItem, ...]
    description: str = ""
    span: Span = _at()


@dataclass(frozen=True, slots=True)
class Bad:
    """A statement that could not be read. `name` is what it declares, where that much was clear."""

    kind: str
    name: Name | None
    span: Span = _at()


Statement = Block | Audience | Policy | Test | Bad


@dataclass(frozen=True, slots=True)
class File:
    """One parsed text: its statements in order, and its comments for the formatter."""

    path: str
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False)
