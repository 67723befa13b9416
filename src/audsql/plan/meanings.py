"""Expressions as documents that can be read back: what the state remembers of audiences and deliveries. Pure.

A document is a list of nodes, each after those it is made of, the whole expression last; a shared part stands
once (specs/state.md, `state.meaning`). It holds what an author wrote and nothing that data say.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from audsql.meaning import atoms
from audsql.meaning.ir import (
    And,
    Bucket,
    Constant,
    Expression,
    Leaf,
    Not,
    Or,
    land,
    leaf,
    lnot,
    lor,
)
from audsql.meaning.lineage import deep_atoms, nodes_inside
from audsql.plan.document import canonical

__all__ = ["buckets_of", "expression_document", "expression_of", "holds_person", "storable"]

_PERSON = re.compile(
    r"(?<![0-9A-Za-z])U[0-9a-f]{32}(?![0-9A-Za-z])"  # an id of a LINE user
    r"|(?<![^@\s\"])[^@\s\"]+@[^@\s\"]+\.[^@\s\"]+"  # an e-mail address, looked for where a run of letters begins
    r'|"(?:\+?81|0)[5-9]0-?[0-9]{4}-?[0-9]{4}"'  # a mobile telephone number, as a whole text
)
_SHAPES: dict[str, type[Any]] = {
    shape.__name__: shape
    for shape in (
        atoms.ColumnCompare, atoms.ColumnIn, atoms.ColumnMissing, atoms.ColumnGiven, atoms.Last, atoms.Since,
        atoms.SinceStart, atoms.Before, atoms.Times, atoms.Aggregate, atoms.Latest, atoms.Uploaded, atoms.Rows,
        atoms.Linked, atoms.Mapped, atoms.Bucket, atoms.Lookalike, atoms.Friends, atoms.Followers,
        atoms.Clicked, atoms.Opened,
        atoms.Received, atoms.RemoteAudience, atoms.Attribute,
    )
}  # fmt: skip


def expression_document(expression: Expression) -> list[Any]:
    """The expression as JSON. `expression_of` gives an equal one back."""
    number: dict[str, int] = {}
    nodes: list[Any] = []
    for node in nodes_inside(expression):
        nodes.append(_node(node, number))
        number[node.key] = len(nodes) - 1
    return nodes


def expression_of(document: Iterable[Any], likely: Expression | None = None) -> Expression:
    """The expression of a document, fastest where it is the `likely` one.

    Raises ValueError for what is none, or is of a later version.
    """
    if likely is not None and document == expression_document(likely):
        return likely
    made: list[Expression] = []
    for one in document:
        try:
            made.append(_made(one, made))
        except (TypeError, KeyError, IndexError, ArithmeticError) as problem:
            raise ValueError("no document of an expression") from problem
    if not made:
        raise ValueError("no document of an expression")
    return made[-1]


def storable(expression: Expression) -> list[Any] | None:
    """The document, None where the author wrote an id or address of a person into it: a state never holds one."""
    document = expression_document(expression)
    return None if holds_person(document) else document


def holds_person(document: Any) -> bool:
    """Whether an id of a LINE user, an e-mail address or a mobile telephone number stands in a JSON value."""
    return _PERSON.search(canonical(document).decode("utf-8", "surrogatepass")) is not None


def buckets_of(expression: Expression) -> tuple[tuple[str, int, int], ...]:
    """Salt, low and high of every bucket that an expression uses, sorted."""
    return tuple(
        sorted({(one.salt, one.low, one.high) for one in deep_atoms(expression) if isinstance(one, Bucket)})
    )  # fmt: skip


def _node(node: Expression, number: Mapping[str, int]) -> Any:
    match node:
        case Constant(value):
            return value
        case Leaf(atom):
            return _written(atom, number)
        case Not(operand):
            return {"not": number[operand.key]}
        case And(operands):
            return {"and": [number[one.key] for one in operands]}
        case Or(operands):
            return {"or": [number[one.key] for one in operands]}


def _written(value: Any, number: Mapping[str, int]) -> Any:
    """A field of an atom. Atoms and conditions nest no deeper than their types do."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    names = _names_of(value.__class__)
    if names is not None:
        return {"is": value.__class__.__name__, **{name: _written(getattr(value, name), number) for name in names}}
    match value:
        case Decimal():
            return {"number": str(value)}
        case datetime():
            return _written_moment(value)
        case tuple():
            return [_written(one, number) for one in value]
        case Constant() | Leaf() | Not() | And() | Or():
            return {"node": number[value.key]}
    raise TypeError(type(value).__name__)


@cache
def _names_of(kind: Any) -> tuple[str, ...] | None:
    """What is written of an atom or a condition; None for what is neither."""
    if kind not in _SHAPES.values():
        return None
    return tuple(one.name for one in dataclasses.fields(kind) if one.init)


def _written_moment(moment: datetime) -> dict[str, Any]:
    zone: Any = None
    if isinstance(moment.tzinfo, ZoneInfo):
        zone = moment.tzinfo.key
    elif moment.tzinfo is not None:
        zone = (moment.utcoffset() or timedelta()).total_seconds()
    return {"moment": moment.replace(tzinfo=None, fold=0).isoformat(), "fold": moment.fold, "zone": zone}


def _made(one: Any, made: list[Expression]) -> Expression:
    if isinstance(one, dict) and isinstance(one.get("is"), str):
        return leaf(_read(one, made))
    match one:
        case bool():
            return Constant(one)
        case {"not": int(operand)}:
            return lnot(_at(made, operand))
        case {"and": list(operands)}:
            return land(*(_at(made, operand) for operand in operands))
        case {"or": list(operands)}:
            return lor(*(_at(made, operand) for operand in operands))
    raise ValueError("no document of an expression")


def _at(made: list[Expression], index: int) -> Expression:
    if not 0 <= index < len(made):
        raise IndexError(index)
    return made[index]


def _read(value: Any, made: list[Expression]) -> Any:
    # A plan reads every set of a project back: plain values and shapes are told apart without patterns.
    if isinstance(value, list):
        return tuple([_read(one, made) for one in value])
    if not isinstance(value, dict):
        return value
    shape = value.get("is")
    if isinstance(shape, str):
        fields = {key: _read(item, made) if isinstance(item, (list, dict)) else item for key, item in value.items()}
        del fields["is"]
        return _SHAPES[shape](**fields)
    match value:
        case {"number": str(text)}:
            return Decimal(text)
        case {"moment": str(text), "fold": int(fold), "zone": zone}:
            return datetime.fromisoformat(text).replace(tzinfo=_zone(zone), fold=fold)
        case {"node": int(index)}:
            return _at(made, index)
    return value


def _zone(written: Any) -> tzinfo | None:
    if isinstance(written, str):
        return ZoneInfo(written)
    return None if written is None else timezone(timedelta(seconds=written))
