"""What a project means: sets of people as Boolean functions over atoms, and what is done with them.

Atoms are of three worlds. *Own*: your data holds them, members can be listed. *Line*: LINE holds
them, members can never be listed. *Attribute*: LINE estimates them; each person satisfies, does not
satisfy, or is unknown. Two atoms are the same set exactly if their `key`s are equal.

Expressions are built by `land`, `lor`, `lnot` and `leaf` only, which keep them small: constants are
folded, And and Or are flat, sorted by key and without repetition, and a double negation is gone.
Spans stand beside meaning (`Audience.span`), never inside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Literal, TypeVar

from audsql.source import Span

__all__ = [
    "EVERYBODY", "NOBODY", "Account", "Aggregate", "And", "Atom", "Attribute", "Audience", "Before", "Clicked",
    "ColumnCompare", "ColumnGiven", "ColumnIn", "ColumnMissing", "Constant", "Delivery", "ExcludePolicy",
    "Expression", "Friends", "IdKind", "Last", "Latest", "Leaf", "Linked", "Message", "Not", "Opened", "Or",
    "PeopleCondition", "Project", "Received", "RemoteAudience", "RowCondition", "Rows", "Since", "TableSource",
    "Times", "UploadSource", "Uploaded", "Verb", "World", "atoms_of", "children", "evaluate", "fold", "land", "leaf",
    "lnot", "lor", "nodes_of", "substitute",
]  # fmt: skip

T = TypeVar("T")
World = Literal["own", "line", "attribute"]
IdKind = Literal["user_id", "member_id", "phone", "email", "ifa"]
Scalar = str | Decimal | datetime | bool

# --- atoms ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ColumnCompare:
    """Rows whose `column` compares so with `value`; a missing value satisfies none, `!=` included.

    Texts compare after NFC; a Decimal compares numerically, a datetime as an instant.
    """

    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    value: Scalar


@dataclass(frozen=True, slots=True)
class ColumnIn:
    """Rows whose `column` is one of `values` (sorted, no repetition)."""

    column: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class ColumnMissing:
    """Rows without a value in `column`."""

    column: str


@dataclass(frozen=True, slots=True)
class ColumnGiven:
    """Rows with a value in `column`."""

    column: str


@dataclass(frozen=True, slots=True)
class Last:
    """`last N days` (from 00:00 of the day N days before as_of, in the project's zone) or, for
    minutes and hours, exactly that long; the end, as_of, is excluded. Weeks are given as days."""

    amount: int
    unit: Literal["minute", "hour", "day"]


@dataclass(frozen=True, slots=True)
class Since:
    """Rows from this instant on."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class Before:
    """Rows earlier than this instant."""

    moment: datetime


RowCondition = ColumnCompare | ColumnIn | ColumnMissing | ColumnGiven | Last | Since | Before


@dataclass(frozen=True, slots=True)
class Times:
    """People with so many rows left."""

    bound: Literal["at least", "at most", "exactly"]
    count: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    """People whose rows come to so much in `column`; missing values do not count."""

    function: Literal["sum", "avg", "min", "max"]
    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    value: Decimal | datetime


@dataclass(frozen=True, slots=True)
class Latest:
    """A person whose latest row (by the table's time; ties hold if any does) compares so."""

    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    value: Scalar


PeopleCondition = Times | Aggregate | Latest


def _conditions_key(conditions: tuple[RowCondition, ...] | tuple[PeopleCondition, ...]) -> str:
    return ", ".join(sorted(repr(condition) for condition in conditions))


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The list `upload source`."""

    source: str
    world: World = field(default="own", init=False)

    @property
    def key(self) -> str:
        return f"uploaded({self.source})"


@dataclass(frozen=True, slots=True)
class Rows:
    """People of `table` with a row that satisfies all of `rows`, whose remaining rows satisfy `people`."""

    table: str
    rows: tuple[RowCondition, ...] = ()
    people: tuple[PeopleCondition, ...] = ()
    world: World = field(default="own", init=False)
    key: str = field(default="", init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        key = f"rows({self.table}; {_conditions_key(self.rows)}; {_conditions_key(self.people)})"
        object.__setattr__(self, "key", key)


@dataclass(frozen=True, slots=True)
class Linked:
    """People of linkage `table` who have a LINE user ID in it."""

    table: str
    world: World = field(default="own", init=False)

    @property
    def key(self) -> str:
        return f"linked({self.table})"


@dataclass(frozen=True, slots=True)
class Friends:
    account: str
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"friends({self.account})"


@dataclass(frozen=True, slots=True)
class Clicked:
    """Clicked `url` in `delivery`; any URL where None."""

    delivery: str
    url: str | None = None
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"clicked({self.delivery}; {self.url or ''})"


@dataclass(frozen=True, slots=True)
class Opened:
    delivery: str
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"opened({self.delivery})"


@dataclass(frozen=True, slots=True)
class Received:
    delivery: str
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"received({self.delivery})"


@dataclass(frozen=True, slots=True)
class RemoteAudience:
    """An audience that exists in LINE, found by its name.

    `kind` is LINE's type: CHAT_TAG, FRIEND_PATH, WEBTRAFFIC, RICHMENU_CLICK, RICHMENU_IMP, RESERVATION,
    APP_EVENT, VIDEO_VIEW, IMAGE_CLICK; SHARED for one that Business Manager shares.
    """

    account: str
    kind: str
    name: str
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"remote({self.account}; {self.kind}; {self.name})"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One value of an estimated attribute.

    gender: female, male · os: ios, android · area: jp_01… · age: the lower bound of LINE's tier, age_0
    (below 15), age_15, age_20 … age_70 · friend_for: the lower bound of the tier in days, day_0, day_7,
    day_30, day_90, day_180, day_365. A range of tiers is an Or of these. Values of gender, age, os and
    friend_for exclude each other; nothing is assumed of areas.
    """

    family: Literal["gender", "age", "area", "os", "friend_for"]
    value: str
    world: World = field(default="attribute", init=False)

    @property
    def key(self) -> str:
        return f"{self.family}({self.value})"


Atom = Uploaded | Rows | Linked | Friends | Clicked | Opened | Received | RemoteAudience | Attribute

# --- expressions ----------------------------------------------------------------------------------


class _Node:
    """Equality and hash by `key`, so that deep expressions compare without recursion."""

    __slots__ = ()
    key: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Node) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True, eq=False)
class Constant(_Node):
    value: bool
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", "everybody" if self.value else "nobody")


@dataclass(frozen=True, slots=True, eq=False)
class Leaf(_Node):
    atom: Atom
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.atom.key)


@dataclass(frozen=True, slots=True, eq=False)
class Not(_Node):
    operand: Expression
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _bounded(f"NOT {self.operand.key}"))


@dataclass(frozen=True, slots=True, eq=False)
class And(_Node):
    """Intersection of two or more."""

    operands: tuple[Expression, ...]
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _bounded("(" + " AND ".join(o.key for o in self.operands) + ")"))


@dataclass(frozen=True, slots=True, eq=False)
class Or(_Node):
    """Union of two or more."""

    operands: tuple[Expression, ...]
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _bounded("(" + " OR ".join(o.key for o in self.operands) + ")"))


Expression = Constant | Leaf | Not | And | Or

_KEY_CHARACTERS_MAX = 400


def _bounded(key: str) -> str:
    """Long keys become digests: shared parts would otherwise double them with every level."""
    if len(key) <= _KEY_CHARACTERS_MAX:
        return key
    return "#" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


NOBODY = Constant(False)
EVERYBODY = Constant(True)


def leaf(atom: Atom) -> Leaf:
    return Leaf(atom)


def lnot(operand: Expression) -> Expression:
    """Complement; a double negation and a negated constant fold."""
    if isinstance(operand, Constant):
        return Constant(not operand.value)
    return operand.operand if isinstance(operand, Not) else Not(operand)


def land(*operands: Expression) -> Expression:
    """Intersection; the empty one is everybody."""
    return _join(And, operands, NOBODY, EVERYBODY)


def lor(*operands: Expression) -> Expression:
    """Union; the empty one is nobody."""
    return _join(Or, operands, EVERYBODY, NOBODY)


def _join(
    kind: type[And] | type[Or], operands: Iterable[Expression], absorbing: Constant, neutral: Constant
) -> Expression:
    flat: dict[str, Expression] = {}
    for operand in operands:
        for part in operand.operands if isinstance(operand, kind) else (operand,):
            if not isinstance(part, Constant):
                flat[part.key] = part
            elif part.value == absorbing.value:
                return absorbing
    if not flat:
        return neutral
    parts = tuple(flat[key] for key in sorted(flat))
    return parts[0] if len(parts) == 1 else kind(parts)


def children(node: Expression) -> tuple[Expression, ...]:
    if isinstance(node, And | Or):
        return node.operands
    return (node.operand,) if isinstance(node, Not) else ()


@lru_cache(maxsize=4_096)
def nodes_of(expression: Expression) -> tuple[Expression, ...]:
    """The distinct nodes, each after its children; no recursion, each shared node once."""
    order: dict[str, Expression] = {}
    opened: set[str] = set()
    stack: list[Expression] = [expression]
    while stack:
        node = stack.pop()
        key = node.key
        if key in order:
            continue
        parts = () if key in opened else children(node)
        if parts:
            opened.add(key)
            stack.append(node)
            stack.extend(parts[::-1])
        else:
            order[key] = node
    return tuple(order.values())


@lru_cache(maxsize=4_096)
def atoms_of(expression: Expression) -> tuple[Atom, ...]:
    """The distinct atoms of an expression, sorted by key."""
    found = {node.key: node.atom for node in nodes_of(expression) if isinstance(node, Leaf)}
    return tuple(found[key] for key in sorted(found))


def fold(
    expression: Expression,
    on_leaf: Callable[[Leaf], T],
    on_constant: Callable[[bool], T],
    on_not: Callable[[T], T],
    on_and: Callable[[Sequence[T]], T],
    on_or: Callable[[Sequence[T]], T],
) -> T:
    """The value of an expression, bottom up, each shared node computed once."""
    values: dict[str, T] = {}
    for node in nodes_of(expression):
        match node:
            case Constant():
                values[node.key] = on_constant(node.value)
            case Leaf():
                values[node.key] = on_leaf(node)
            case Not(operand):
                values[node.key] = on_not(values[operand.key])
            case And(operands):
                values[node.key] = on_and([values[operand.key] for operand in operands])
            case Or(operands):
                values[node.key] = on_or([values[operand.key] for operand in operands])
    return values[expression.key]


def evaluate(expression: Expression, true_keys: Set[str]) -> bool:
    """The truth of an expression where exactly the atoms with these keys are true."""
    return fold(expression, lambda node: node.key in true_keys, bool, lambda value: not value, all, any)


def substitute(expression: Expression, values: Mapping[str, Expression]) -> Expression:
    """The expression with the atoms of these keys replaced, simplified by constant folding."""
    return fold(
        expression,
        lambda node: values.get(node.key, node),
        Constant,
        lnot,
        lambda parts: land(*parts),
        lambda parts: lor(*parts),
    )


# --- the project ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """`token_variable`: the environment variable that holds the channel access token."""

    name: str
    token_variable: str
    provider: str = ""
    region: str = "jp"
    followers_readable: bool = False
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class UploadSource:
    """A list file. `column` None: the Business Manager form (no header, one id a line)."""

    name: str
    file: str
    id_kind: IdKind
    column: str | None = None
    provider: str = ""
    account: str = ""
    allow_empty: bool = False
    description: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Verb:
    """A word for the rows of `table`; its values compare with `column`."""

    name: str
    table: str
    column: str | None


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table with a header. `ids`: pairs of kind and column; the first is the table's own key.

    `fresh_hours` blocks a plan when the file is older. `consent` names the legal basis.
    """

    name: str
    file: str
    ids: tuple[tuple[IdKind, str], ...]
    time_column: str | None = None
    verbs: tuple[Verb, ...] = ()
    provider: str = ""
    fresh_hours: int | None = None
    consent: str = ""
    description: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One of `text` and `file` (a JSON file with one message object or a list of them) is given."""

    name: str
    text: str | None = None
    file: str | None = None
    description: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Audience:
    """`text` is the definition in canonical layout. `account` is '' where none is needed."""

    name: str
    expression: Expression
    text: str
    id_kind: IdKind = "user_id"
    account: str = ""
    allow_empty: bool = False
    description: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent to whom. `reach` is `to` less every policy; `to_text` the canonical text of `to`.

    With `sent_request_id` it was sent elsewhere and is only referred to. `at` None: once, at the first
    apply. `expect` is (low, high), either end may be None. `policies` names those that were subtracted.
    """

    name: str
    account: str
    to: Expression
    reach: Expression
    to_text: str
    messages: tuple[str, ...] = ()
    at: datetime | None = None
    by: Literal["auto", "narrowcast", "multicast", "broadcast", "push"] = "auto"
    limit: int | None = None
    expect: tuple[int | None, int | None] | None = None
    quota: Literal["forbid", "fill"] = "forbid"
    notification: bool = True
    unit: str | None = None
    sent_request_id: str | None = None
    sent_by: str | None = None
    allow_empty: bool = False
    allow_shortfall: bool = False
    is_friends: bool = False
    policies: tuple[str, ...] = ()
    description: str = ""
    span: Span | None = field(default=None, compare=False)
    to_span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ExcludePolicy:
    """`always except expression`, not for the deliveries in `exceptions`."""

    name: str
    expression: Expression
    text: str
    exceptions: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Project:
    """Everything that the texts of a project mean. Tuples are sorted by name.

    `timezone` is an IANA name.
    """

    name: str
    timezone: str
    accounts: tuple[Account, ...] = ()
    uploads: tuple[UploadSource, ...] = ()
    tables: tuple[TableSource, ...] = ()
    messages: tuple[Message, ...] = ()
    audiences: tuple[Audience, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    policies: tuple[ExcludePolicy, ...] = ()

    def delivery(self, name: str) -> Delivery | None:
        return next((delivery for delivery in self.deliveries if delivery.name == name), None)

    def audience(self, name: str) -> Audience | None:
        return next((audience for audience in self.audiences if audience.name == name), None)
