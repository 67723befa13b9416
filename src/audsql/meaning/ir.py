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
from dataclasses import field
from functools import lru_cache
from typing import Protocol, TypeVar

from audsql.meaning.atoms import (
    Aggregate,
    Atom,
    Attribute,
    Before,
    Bucket,
    Clicked,
    ColumnCompare,
    ColumnGiven,
    ColumnIn,
    ColumnMissing,
    Followers,
    Friends,
    IdKind,
    Last,
    Latest,
    Linked,
    Lookalike,
    Mapped,
    Opened,
    PeopleCondition,
    Received,
    RemoteAudience,
    RowCondition,
    Rows,
    Scalar,
    Since,
    SinceStart,
    Times,
    Uploaded,
    World,
)
from audsql.meaning.flow import Flow
from audsql.meaning.project import (
    Account,
    Audience,
    Cap,
    CodePool,
    Coupon,
    Delivery,
    Every,
    ExcludePolicy,
    Message,
    Moved,
    Over,
    Priority,
    Project,
    Quiet,
    Removed,
    RequireMeasure,
    Requirement,
    RequireTested,
    RequireWithin,
    Reward,
    Split,
    SplitArm,
    TableSource,
    TemplateField,
    UploadSource,
    Verb,
)
from audsql.records import dataclass
from audsql.source import made_often

__all__ = [
    "Account", "Aggregate", "And", "Atom", "Attribute", "Audience", "Before", "Bucket", "Cap", "Clicked", "CodePool",
    "ColumnCompare", "ColumnGiven", "ColumnIn", "ColumnMissing", "Constant", "Coupon", "Delivery", "EVERYBODY",
    "Every", "ExcludePolicy", "Expression", "Flow", "Followers", "Friends", "IdKind", "Last", "Latest", "Leaf",
    "Linked", "Lookalike", "Mapped", "Message", "Moved", "NOBODY", "Not", "Opened", "Or", "Over", "PeopleCondition",
    "Priority", "Project", "Quiet", "Received", "RemoteAudience", "Removed", "RequireMeasure", "RequireTested",
    "RequireWithin", "Requirement", "Reward", "RowCondition", "Rows", "Scalar", "Since", "SinceStart", "Split",
    "SplitArm", "TableSource", "TemplateField", "Times", "UploadSource", "Uploaded", "Verb", "World", "atoms_of",
    "children", "evaluate", "fold", "land", "leaf", "lnot", "lor", "nodes_of", "substitute",
]  # fmt: skip

T = TypeVar("T")


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


@made_often
@dataclass(frozen=True, slots=True, eq=False)
class Leaf(_Node):
    atom: Atom
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.atom.key)


@made_often
@dataclass(frozen=True, slots=True, eq=False)
class Not(_Node):
    operand: Expression
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _bounded(f"NOT {self.operand.key}"))


@made_often
@dataclass(frozen=True, slots=True, eq=False)
class And(_Node):
    """Intersection of two or more."""

    operands: tuple[Expression, ...]
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _bounded("(" + " AND ".join(o.key for o in self.operands) + ")"))


@made_often
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
    if isinstance(node, (And, Or)):
        return node.operands
    return (node.operand,) if isinstance(node, Not) else ()


# Each stage of a plan asks for the parts of every set once more: room for those of a large project.
_EXPRESSIONS_REMEMBERED = 65_536


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


Part = TypeVar("Part", bound=_Keyed)


def parts_first(given: Iterable[Part], parts_of: Callable[[Part], Sequence[Part]]) -> tuple[Part, ...]:
    """What is given and all that it is made of, each after its parts and once by its key; no recursion."""
    order: dict[str, Part] = {}
    opened: set[str] = set()
    stack = [*given][::-1]
    while stack:
        one = stack.pop()
        key = one.key
        if key in order:
            continue
        parts = () if key in opened else parts_of(one)
        if parts:
            opened.add(key)
            stack.append(one)
            stack.extend(parts[::-1])
        else:
            order[key] = one
    return tuple(order.values())


@lru_cache(maxsize=_EXPRESSIONS_REMEMBERED)
def nodes_of(expression: Expression) -> tuple[Expression, ...]:
    """The distinct nodes, each after its children; no recursion, each shared node once."""
    order: dict[str, Expression] = {}
    stack = [expression]
    while stack:
        node = stack[-1]
        missing = [part for part in children(node) if part.key not in order]
        if missing:
            stack.extend(missing[::-1])
        else:
            order.setdefault(node.key, node)
            stack.pop()
    return tuple(order.values())


def atoms_of(expression: Expression) -> tuple[Atom, ...]:
    """The distinct atoms of an expression, sorted by key."""
    return (expression.atom,) if isinstance(expression, Leaf) else _atoms_below(expression)


@lru_cache(maxsize=_EXPRESSIONS_REMEMBERED)
def _atoms_below(expression: Expression) -> tuple[Atom, ...]:
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
