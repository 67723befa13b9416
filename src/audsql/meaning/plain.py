"""A project's meaning as plain data, and back. Pure.

Nodes of expressions stand in one list, each after its parts, so that what is shared stays shared and nothing nests by
the depth of a set; conditions and atoms that read the same stand once. A list begins with the number of its shape; all
else is as JSON has it. What comes back prints, compares and points into texts exactly like what went in
(specs/decisions/0020).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, fields
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import cache
from typing import Any, get_args
from zoneinfo import ZoneInfo

from audsql import diag, source
from audsql.meaning import atoms, flow, ir, project
from audsql.meaning.lineage import inner_of
from audsql.records import dataclass

__all__ = ["from_plain", "to_plain"]

Plain = dict[str, Any]

_TUPLE, _NODE, _DECIMAL, _MOMENT, _NOT, _AND, _OR, _SHARED = range(8)
_SHAPES: tuple[type[Any], ...] = (
    atoms.Aggregate, atoms.Attribute, atoms.Before, atoms.Bucket, atoms.Clicked, atoms.ColumnCompare,
    atoms.ColumnGiven, atoms.ColumnIn, atoms.ColumnMissing, atoms.Followers, atoms.Friends,
    atoms.Last, atoms.Latest, atoms.Linked,
    atoms.Lookalike, atoms.Mapped, atoms.Opened, atoms.Received, atoms.RemoteAudience, atoms.Rows, atoms.Since,
    atoms.SinceStart, atoms.Times, atoms.Uploaded,
    diag.Diagnostic, diag.Edit, diag.Fix, diag.Label,
    flow.Branch, flow.BranchArm, flow.Flow, flow.FlowStart, flow.SendStep, flow.WaitFor, flow.WaitUntil,
    project.Account, project.Audience, project.Cap, project.CodePool, project.Coupon, project.Delivery, project.Every,
    project.ExcludePolicy, project.Message, project.Moved, project.Priority, project.Project, project.Quiet,
    project.Removed, project.RequireMeasure, project.RequireTested, project.RequireWithin, project.Reward,
    project.Split, project.SplitArm, project.TableSource, project.TemplateField, project.UploadSource, project.Verb,
    source.CopySpan, source.Origin, source.Span,
)  # fmt: skip
_FIRST = 8
_NUMBERS = {shape: number for number, shape in enumerate(_SHAPES, _FIRST)}
_NODES = (ir.Constant, ir.Leaf, ir.Not, ir.And, ir.Or)
_CONDITIONS = (*get_args(atoms.RowCondition), *get_args(atoms.PeopleCondition))


@dataclass(slots=True)
class _Written:
    """`numbers`: of nodes by identity: equal sets may read differently (the label of a bucket). `leaves` and
    `shared`: numbers of atoms and conditions by what is written of them."""

    nodes: list[Any] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    leaves: dict[str, int] = field(default_factory=dict)
    conditions: list[Any] = field(default_factory=list)
    shared: dict[str, int] = field(default_factory=dict)


def to_plain(*values: Any) -> Plain:
    """The values as JSON can hold them. They must outlive the call.

    Raises TypeError for a value of a shape that is not known here, RecursionError for one that nests too deep.
    """
    written = _Written()
    found = [_plain(one, written) for one in values]
    return {"conditions": written.conditions, "nodes": written.nodes, "values": found}


def from_plain(document: Plain) -> tuple[Any, ...]:
    """What `to_plain` was given. Raises LookupError, TypeError or ValueError for what it did not write."""
    read = _Read()
    read.conditions.extend(_value(one, read) for one in document["conditions"])
    for one in document["nodes"]:
        read.nodes.append(_node_of(one, read))
    return tuple(_value(one, read) for one in document["values"])


# --- writing --------------------------------------------------------------------------------------------


def _plain(value: Any, written: _Written) -> Any:
    kind = value.__class__
    if value is None or kind is str or kind is int or kind is bool or kind is float:
        return value
    if kind is tuple:
        return [_TUPLE, *[_plain(one, written) for one in value]]
    if kind in _NODES:
        return [_NODE, _number(value, written)]
    if kind is Decimal:
        return [_DECIMAL, str(value)]
    if kind is datetime:
        return [_MOMENT, value.replace(tzinfo=None, fold=0).isoformat(), value.fold, _zone_written(value)]
    number = _NUMBERS.get(kind)
    if number is None:
        raise TypeError(kind.__name__)
    found = [number, *[_plain(getattr(value, name), written) for name in _names_of(kind)]]
    if kind not in _CONDITIONS:
        return found
    text = repr(found)
    if text not in written.shared:
        written.shared[text] = len(written.conditions)
        written.conditions.append(found)
    return [_SHARED, written.shared[text]]


@cache
def _names_of(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind) if one.init)


def _number(expression: ir.Expression, written: _Written) -> int:
    stack = [expression]
    while stack:
        node = stack[-1]
        missing = [part for part in _parts(node) if id(part) not in written.numbers]
        if missing:
            stack.extend(missing[::-1])
            continue
        if id(node) not in written.numbers:
            written.numbers[id(node)] = _new_number(node, written)
        stack.pop()
    return written.numbers[id(expression)]


def _new_number(node: ir.Expression, written: _Written) -> int:
    found = _node_written(node, written)
    number = len(written.nodes)
    if isinstance(node, ir.Leaf):
        number = written.leaves.setdefault(repr(found), number)
    if number == len(written.nodes):
        written.nodes.append(found)
    return number


def _parts(node: ir.Expression) -> tuple[ir.Expression, ...]:
    inner = inner_of(node.atom) if isinstance(node, ir.Leaf) else None
    return ir.children(node) if inner is None else (inner,)


def _node_written(node: ir.Expression, written: _Written) -> Any:
    match node:
        case ir.Constant(value):
            return value
        case ir.Leaf(atom):
            return _plain(atom, written)
        case ir.Not(operand):
            return [_NOT, written.numbers[id(operand)]]
        case ir.And(operands) | ir.Or(operands):
            number = _AND if isinstance(node, ir.And) else _OR
            return [number, *[written.numbers[id(operand)] for operand in operands]]


def _zone_written(moment: datetime) -> str | float | None:
    if isinstance(moment.tzinfo, ZoneInfo):
        return moment.tzinfo.key
    return None if moment.tzinfo is None else (moment.utcoffset() or timedelta()).total_seconds()


# --- reading --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Read:
    conditions: list[Any] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)


def _node_of(written: Any, read: _Read) -> ir.Expression:
    if isinstance(written, bool):
        return ir.Constant(written)
    nodes = read.nodes
    match written[0]:
        case 4:  # _NOT
            return ir.Not(nodes[written[1]])
        case 5:  # _AND
            return ir.And(tuple([nodes[one] for one in written[1:]]))
        case 6:  # _OR
            return ir.Or(tuple([nodes[one] for one in written[1:]]))
    return ir.Leaf(_value(written, read))


def _value(written: Any, read: _Read) -> Any:
    if written.__class__ is not list:
        return written
    number = written[0]
    if number == _SHARED:
        return read.conditions[written[1]]
    if number == _NODE:
        return read.nodes[written[1]]
    if number == _DECIMAL:
        return Decimal(written[1])
    if number == _MOMENT:
        return datetime.fromisoformat(written[1]).replace(tzinfo=_zone(written[3]), fold=written[2])
    parts = [_value(one, read) if one.__class__ is list else one for one in written[1:]]
    if number == _TUPLE:
        return tuple(parts)
    shape: Callable[..., Any] = _SHAPES[number - _FIRST]
    return shape(*parts)


def _zone(written: str | float | None) -> tzinfo | None:
    if isinstance(written, str):
        return ZoneInfo(written)
    return None if written is None else timezone(timedelta(seconds=written))
