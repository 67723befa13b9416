"""The syntax tree: what was written, with its places, before any of it means anything.

Every node is frozen and ends in `span`. A statement that could not be read is a `Bad` node: it is
declared, its contents are unknown, and nothing that refers to it is an error. Spans do not take part
in equality, so that two texts of the same tree compare equal whatever their layout.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from audsql.records import dataclass
from audsql.source import Span, made_often
from audsql.syntax.terms import (
    AggregateCondition,
    Arguments,
    BeforeCondition,
    BooleanOperator,
    Call,
    Chain,
    CompareCondition,
    Comparison,
    Condition,
    DateTime,
    Duration,
    Environment,
    Expression,
    InCondition,
    LastCondition,
    LatestCondition,
    ListValue,
    MissingCondition,
    Name,
    Not,
    Number,
    Paren,
    PeopleRange,
    Percent,
    Range,
    Reference,
    SinceCondition,
    Star,
    Text,
    ThresholdCondition,
    TimeOfDay,
    TimesCondition,
    Value,
    Word,
    at,
)

__all__ = [
    "AggregateCondition", "Arguments", "Arm", "Audience", "Bad", "BeforeCondition", "Block", "BooleanOperator",
    "Branch", "BranchArm", "Call", "CapRule", "Chain", "Comment", "CompareCondition", "Comparison", "Condition",
    "DateTime", "Duration", "Entry", "EntryValue", "Environment", "ExcludeRule", "ExitWhen", "Expect", "ExpectCount",
    "Expression", "Field", "File", "Flag", "Flow", "FlowItem", "For", "Given", "IdColumn", "InCondition",
    "LastCondition", "LatestCondition", "ListValue", "MeasureRule", "MissingCondition", "Moved", "Name", "Not",
    "Number", "Parameter", "ParameterType", "Paren", "PeopleRange", "Percent", "Policy", "PolicyRule", "Priority",
    "Prove", "QuietRule", "Range", "Reentry", "Reference", "Removed", "RequireRule", "SendStep", "SinceCondition",
    "Split", "Star", "StartOnFollow", "StartWhen", "Statement", "Step", "Test", "TestAt", "TestItem", "Text",
    "TestedRule", "ThresholdCondition", "TimeOfDay", "TimesCondition", "TriggerOn", "Use", "Value", "Verb", "WaitFor",
    "WaitUntil", "Word",
]  # fmt: skip

# --- statements ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment without its `#` and one following blank, stripped at the end."""

    text: str
    span: Span = at()


@dataclass(frozen=True, slots=True)
class IdColumn:
    """One of `id: user_id, phone = tel`: a kind and the column that holds it."""

    kind: Name
    column: Name | None
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Flag:
    """A word or phrase with no colon inside a block: `allow empty`, `allow shortfall`."""

    text: str
    span: Span = at()


EntryValue = Value | Expression | PeopleRange | tuple[Value, ...] | tuple[IdColumn, ...]


@made_often
@dataclass(frozen=True, slots=True)
class Entry:
    """`key: value` of a block. `to` holds an Expression (with `allow_empty`), `id` a tuple of
    IdColumn, `send` a tuple of Word or Text, `expect` a PeopleRange, every other key a Value."""

    key: Name
    value: EntryValue
    allow_empty: bool = False
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Verb:
    """`verb purchased by product` of a table; `column` is None for a verb without values."""

    name: Name
    column: Name | None
    span: Span = at()


ParameterType = Literal["string", "number", "date", "duration", "percent", "list"]


@dataclass(frozen=True, slots=True)
class Field:
    """`column points: number = 0` of a message with a template: a column, its type, and what stands for a
    missing value; without a fallback a missing value is an error. `column code: codes winter` has the codes that
    it names as its `pool`, a string as its type and no fallback."""

    name: Name
    type: ParameterType
    fallback: Value | None
    span: Span = at()
    pool: Name | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """`account`, `upload`, `table`, `coupon`, `codes`, `message` or `delivery`: a name and its entries."""

    kind: Literal["account", "upload", "table", "coupon", "codes", "message", "delivery"]
    name: Name
    entries: tuple[Entry, ...]
    verbs: tuple[Verb, ...] = ()
    flags: tuple[Flag, ...] = ()
    description: str = ""
    span: Span = at()
    fields: tuple[Field, ...] = ()


@made_often
@dataclass(frozen=True, slots=True)
class Audience:
    """`audience name = expression`, or with `parameters`: `audience lapsed(p, d) = expression`."""

    name: Name
    expression: Expression
    allow_empty: bool = False
    description: str = ""
    span: Span = at()
    parameters: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class ExcludeRule:
    """`always except EXPR`, with `except for [a, b]`."""

    expression: Expression
    exceptions: tuple[Name, ...] = ()
    span: Span = at()


@dataclass(frozen=True, slots=True)
class RequireRule:
    """`require EXPR`: every delivery is within the expression."""

    expression: Expression
    exceptions: tuple[Name, ...] = ()
    span: Span = at()


@dataclass(frozen=True, slots=True)
class MeasureRule:
    """`require reach >= 50`, `require change <= 20%`, `require freshness` (no operator and value)."""

    measure: Literal["reach", "change", "freshness"]
    operator: Comparison | None = None
    value: Number | Percent | Word | None = None
    exceptions: tuple[Name, ...] = ()
    span: Span = at()


@dataclass(frozen=True, slots=True)
class TestedRule:
    """`require tested`."""

    exceptions: tuple[Name, ...] = ()
    span: Span = at()


@dataclass(frozen=True, slots=True)
class QuietRule:
    """`quiet 21:00..09:00`, the start included, the end not; `over` is the word behind it."""

    hours: Range | Word
    exceptions: tuple[Name, ...] = ()
    span: Span = at()
    over: Literal["move", "refuse"] | None = None


@dataclass(frozen=True, slots=True)
class CapRule:
    """`cap 2 per person per 7 days`; `over` is the word behind it."""

    count: int | Word
    duration: Duration | Word
    exceptions: tuple[Name, ...] = ()
    span: Span = at()
    over: Literal["move", "refuse"] | None = None


PolicyRule = ExcludeRule | RequireRule | MeasureRule | TestedRule | QuietRule | CapRule


@dataclass(frozen=True, slots=True)
class Policy:
    """`policy name { … }`."""

    name: Name
    rules: tuple[PolicyRule, ...]
    description: str = ""
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Given:
    """`given EXPR = [u1, u2]`; the expression is an atom."""

    atom: Expression
    people: ListValue
    span: Span = at()


@dataclass(frozen=True, slots=True)
class TestAt:
    """`at: 2026-12-01 10:00` of a test."""

    moment: DateTime | Word
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Expect:
    """`expect EXPR = [u1]`."""

    expression: Expression
    people: ListValue
    span: Span = at()


@dataclass(frozen=True, slots=True)
class ExpectCount:
    """`expect count(EXPR) = 3`."""

    expression: Expression
    count: int
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Prove:
    """`prove a = b`, `prove a within b`, `prove a disjoint b`."""

    left: Expression
    relation: Literal["=", "within", "disjoint"]
    right: Expression
    span: Span = at()


TestItem = Given | TestAt | Expect | ExpectCount | Prove


@dataclass(frozen=True, slots=True)
class Test:
    """`test "title" { … }`."""

    title: str
    items: tuple[TestItem, ...]
    description: str = ""
    span: Span = at()


# --- statements about statements ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parameter:
    """`param season: string = "spring"`; without a default it must be given."""

    name: Name
    type: ParameterType
    default: Value | None = None
    description: str = ""
    span: Span = at()


@dataclass(frozen=True, slots=True)
class For:
    """`for p in [A, B] { … }`; `values` is a list, or a word that names a list parameter."""

    variable: Name
    values: ListValue | Word
    statements: tuple[Statement, ...]
    description: str = ""
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Use:
    """`use "common/sources.aud" as common`."""

    path: Text
    alias: Name
    description: str = ""
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Arm:
    """`a 45%` of a split."""

    name: Name
    weight: Percent | Word
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Split:
    """`split sale_test of EXPR { holdout 10%, a 90% } salt "2026-12"`; `salt` None where it is missing."""

    name: Name
    expression: Expression
    arms: tuple[Arm, ...]
    salt: Text | Word | None
    description: str = ""
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Priority:
    """`priority [sale_a, sale_b]`."""

    deliveries: tuple[Name, ...]
    description: str = ""
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Moved:
    """`moved old -> new`."""

    old: Name
    new: Name
    description: str = ""
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Removed:
    """`removed name { keep }` or `{ delete }`."""

    name: Name
    action: Literal["keep", "delete"]
    description: str = ""
    span: Span = at()


# --- flows ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartWhen:
    """`start when EXPR`."""

    expression: Expression
    span: Span = at()


@dataclass(frozen=True, slots=True)
class StartOnFollow:
    """`start on follow`, with `via "path"`."""

    path: Text | Word | None = None
    span: Span = at()


@dataclass(frozen=True, slots=True)
class TriggerOn:
    """`trigger on TABLE`."""

    table: Name
    span: Span = at()


@dataclass(frozen=True, slots=True)
class ExitWhen:
    """`exit when EXPR`."""

    expression: Expression
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Reentry:
    """`reentry: never`, `reentry: always`, `reentry: after 30 days`."""

    when: Literal["never", "always"] | Duration | Word
    span: Span = at()


@dataclass(frozen=True, slots=True)
class WaitFor:
    """`wait 3 days`."""

    duration: Duration | Word
    span: Span = at()


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """`wait until 12:00`."""

    time: TimeOfDay | Word
    span: Span = at()


@dataclass(frozen=True, slots=True)
class SendStep:
    """`send card, text`."""

    messages: tuple[Word | Text, ...]
    span: Span = at()


@dataclass(frozen=True, slots=True)
class BranchArm:
    """`EXPR -> steps`; `condition` None is `otherwise`. One `send` without braces is one step."""

    condition: Expression | None
    steps: tuple[Step, ...]
    braced: bool = field(default=True, compare=False)
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Branch:
    """`branch { … }`."""

    arms: tuple[BranchArm, ...]
    span: Span = at()


Step = WaitFor | WaitUntil | SendStep | Branch
FlowItem = StartWhen | StartOnFollow | TriggerOn | ExitWhen | Reentry | Step | Entry


@dataclass(frozen=True, slots=True)
class Flow:
    """`flow name { … }`, its items in the order written. An Entry is `account: name`."""

    name: Name
    items: tuple[FlowItem, ...]
    description: str = ""
    span: Span = at()


@dataclass(frozen=True, slots=True)
class Bad:
    """A statement that could not be read. `name` is what it declares, where that much was clear; `declares`
    the names of the statements inside a `for` that could not be read."""

    kind: str
    name: Name | None
    span: Span = at()
    declares: tuple[Name, ...] = ()


Statement = Block | Audience | Policy | Test | Parameter | For | Use | Split | Priority | Moved | Removed | Flow | Bad


@dataclass(frozen=True, slots=True)
class File:
    """One parsed text: its statements in order, and its comments for the formatter.

    `indexed`: names with an index, `card[A]`, may stand in it.
    """

    path: str
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False)
    indexed: bool = field(default=False, compare=False)
