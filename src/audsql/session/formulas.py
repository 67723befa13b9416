"""A set expression as a bounded document that a view can put into words (specs/explain.md, `explain.formula`).

Each part is a dict whose `is` says what it is: `all` (with `parts` and `except`), `any` (`parts`), `not`
(`part`), `everybody`, `nobody`, `more` (`count` parts that are left out), or the kind of an atom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from audsql.line.limits import AGE_TIERS, AREAS, FRIEND_FOR_TIERS_DAYS
from audsql.meaning import ir
from audsql.meaning.lineage import inner_of
from audsql.meaning.words import (
    SAMPLE_SALT,
    Arms,
    Verbs,
    arms_of,
    atom_words,
    attribute_runs,
    to_words,
    verb_of,
    verbs_of,
)
from audsql.records import dataclass

__all__ = ["FORMULA_CHARACTERS_MAX", "Known", "formula", "formula_text", "known"]

Document = dict[str, Any]

DEPTH_MAX = 6
PARTS_MAX = 200
BESIDE_MAX = 30
VALUES_MAX = 10
FORMULA_CHARACTERS_MAX = 4_000
_VALUE_CHARACTERS_MAX = 200

_RANKS: Mapping[type[Any], int] = {
    ir.Friends: 0, ir.Followers: 0,
    ir.Clicked: 1, ir.Opened: 1, ir.Received: 1, ir.RemoteAudience: 2, ir.Rows: 3, ir.Linked: 4,
    ir.Uploaded: 4, ir.Mapped: 4, ir.Lookalike: 5, ir.Attribute: 6, ir.Bucket: 8,
}  # fmt: skip
_RANK_JOINED = 7
_BOUNDS = {"age": AGE_TIERS, "friend_for": FRIEND_FOR_TIERS_DAYS}


@dataclass(frozen=True, slots=True)
class Known:
    """What of a project the words of its sets need. `splits`: split, arm and weight by the key of an arm's bucket."""

    zone: ZoneInfo
    verbs: Verbs = field(default_factory=dict)
    arms: Arms = field(default_factory=dict)
    splits: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)


def known(project: ir.Project) -> Known:
    arms = arms_of(project)
    splits: dict[str, tuple[str, str, int]] = {}
    for split in project.splits:
        for arm in split.arms:
            for atom in ir.atoms_of(arm.expression):
                if isinstance(atom, ir.Bucket) and atom.salt == split.salt and atom.key in arms:
                    splits[atom.key] = split.name, arm.name, arm.hundredths
    return Known(ZoneInfo(project.timezone), verbs_of(project), arms, splits)


def formula_text(expression: ir.Expression, context: Known) -> str:
    """The expression as the language writes it, cut after `FORMULA_CHARACTERS_MAX` characters."""
    text = to_words(expression, context.verbs, context.arms)
    return text if len(text) <= FORMULA_CHARACTERS_MAX else f"{text[:FORMULA_CHARACTERS_MAX]} ..."


@dataclass(slots=True)
class _Budget:
    """How many parts may still be said."""

    left: int = PARTS_MAX


def formula(expression: ir.Expression, context: Known) -> Document:
    """The parts of an expression. Beyond `DEPTH_MAX` levels, `BESIDE_MAX` parts side by side or `PARTS_MAX` in all,
    a part of kind `more` stands for the rest."""
    return _part(expression, context, 0, _Budget())


def _part(node: ir.Expression, context: Known, depth: int, budget: _Budget) -> Document:
    """The document of one node. It calls itself no deeper than DEPTH_MAX."""
    budget.left -= 1
    nested = not isinstance(node, ir.Constant) and (not isinstance(node, ir.Leaf) or inner_of(node.atom) is not None)
    if nested and depth >= DEPTH_MAX:
        return {"is": "more", "count": len(ir.atoms_of(node))}
    match node:
        case ir.Constant(value):
            return {"is": "everybody" if value else "nobody"}
        case ir.Leaf(ir.Mapped(table, kind, inner)):
            part = _part(inner, context, depth + 1, budget)
            return {"is": "mapped", "table": table, "id_kind": kind, "part": part}
        case ir.Leaf(ir.Lookalike(inner, share)):
            return {"is": "lookalike", "hundredths": share, "part": _part(inner, context, depth + 1, budget)}
        case ir.Leaf(atom):
            return _atom(atom, context)
        case ir.Not(operand):
            return {"is": "not", "part": _part(operand, context, depth + 1, budget)}
        case ir.And(operands):
            return _all(operands, context, depth, budget)
        case ir.Or(operands):
            parts = _joined(operands, context, depth, budget)
            return parts[0] if len(parts) == 1 else {"is": "any", "parts": parts}


def _all(operands: Sequence[ir.Expression], context: Known, depth: int, budget: _Budget) -> Document:
    """What must hold, and what must not: `NOT (a OR b)` among the operands is two exceptions."""
    wanted = [operand for operand in operands if not isinstance(operand, ir.Not)]
    excluded: list[ir.Expression] = []
    for operand in operands:
        if isinstance(operand, ir.Not):
            inner = operand.operand
            excluded.extend(inner.operands if isinstance(inner, ir.Or) else (inner,))
    parts = _several(wanted, context, depth, budget)
    return {"is": "all", "parts": parts, "except": _joined(excluded, context, depth, budget)}


def _joined(operands: Sequence[ir.Expression], context: Known, depth: int, budget: _Budget) -> list[Document]:
    """The parts of a union; values of one attribute stand together."""
    families: dict[str, list[str]] = {}
    rest: list[ir.Expression] = []
    for operand in operands:
        if isinstance(operand, ir.Leaf) and isinstance(operand.atom, ir.Attribute):
            families.setdefault(operand.atom.family, []).append(operand.atom.value)
        else:
            rest.append(operand)
    budget.left -= len(families)
    return [
        *_several(rest, context, depth, budget),
        *(_attribute(family, families[family]) for family in sorted(families)),
    ]


def _several(nodes: Sequence[ir.Expression], context: Known, depth: int, budget: _Budget) -> list[Document]:
    parts: list[Document] = []
    ordered = sorted(nodes, key=_rank)
    for index, node in enumerate(ordered):
        if len(parts) >= BESIDE_MAX or budget.left <= 0:
            return [*parts, {"is": "more", "count": len(ordered) - index}]
        parts.append(_part(node, context, depth + 1, budget))
    return parts


def _rank(node: ir.Expression) -> tuple[int, str]:
    """What people did comes first, then what they are, then what is put together, then a share of it."""
    if isinstance(node, ir.Leaf):
        return _RANKS[type(node.atom)], node.key
    attributes = all(isinstance(atom, ir.Attribute) for atom in ir.atoms_of(node))
    return (_RANKS[ir.Attribute] if attributes else _RANK_JOINED), node.key


# --- atoms ------------------------------------------------------------------------------------------


def _atom(atom: ir.Atom, context: Known) -> Document:
    match atom:
        case ir.Uploaded(source):
            return {"is": "uploaded", "name": source}
        case ir.Rows():
            return _rows(atom, context)
        case ir.Linked(table):
            return {"is": "linked", "table": table}
        case ir.Friends(account) | ir.Followers(account):
            return {"is": "friends", "account": account}
        case ir.Clicked(delivery, url):
            return {"is": "clicked", "delivery": delivery, "url": None if url is None else _cut(url)}
        case ir.Opened(delivery):
            return {"is": "opened", "delivery": delivery}
        case ir.Received(delivery):
            return {"is": "received", "delivery": delivery}
        case ir.RemoteAudience(_, kind, name):
            return {"is": "remote", "type": kind, "name": name}
        case ir.Attribute(family, value):
            return _attribute(family, [value])
        case ir.Bucket():
            return _bucket(atom, context)
    return {"is": "other", "text": atom_words(atom, context.verbs)}


def _bucket(atom: ir.Bucket, context: Known) -> Document:
    if atom.key in context.splits:
        split, arm, share = context.splits[atom.key]
        return {"is": "arm", "split": split, "arm": arm, "hundredths": share}
    seed = atom.salt.removeprefix(SAMPLE_SALT)
    return {"is": "sample", "seed": _cut(seed), "hundredths": atom.high - atom.low, "low": atom.low}


def _attribute(family: str, values: Sequence[str]) -> Document:
    if family in _BOUNDS:
        runs = attribute_runs(values, _BOUNDS[family])
        return {"is": family, "ranges": [[low, high] for low, high in runs]}
    if family == "area":
        names = [AREAS.get(value, (value, value)) for value in sorted(values)]
        return {"is": "area", "en": [name[0] for name in names], "ja": [name[1] for name in names]}
    return {"is": family, "values": sorted(values)}


def _rows(atom: ir.Rows, context: Known) -> Document:
    found = verb_of(atom, context.verbs)
    verb, named = found if found else (None, None)
    document: Document = {"is": "rows", "table": atom.table, "verb": verb.name if verb else None}
    if named is not None:
        document["values"] = _named(named, context)
    document["rows"] = [_row(one, context) for one in atom.rows if one is not named]
    document["people"] = [_people(one, context) for one in atom.people]
    return document


def _named(condition: ir.RowCondition, context: Known) -> Document | None:
    """The values that a verb is said with; None for any."""
    match condition:
        case ir.ColumnCompare(value=value):
            return _values([value], context)
        case ir.ColumnIn(values=values):
            return _values(values, context)
        case _:
            return None


def _values(values: Sequence[ir.Scalar], context: Known) -> Document:
    shown = [_scalar(value, context) for value in values[:VALUES_MAX]]
    return {"shown": shown, "more": max(0, len(values) - VALUES_MAX)}


def _row(condition: ir.RowCondition, context: Known) -> Document:
    match condition:
        case ir.ColumnCompare(column, operator, value):
            return {"test": "compare", "column": column, "operator": operator, "value": _scalar(value, context)}
        case ir.ColumnIn(column, values):
            return {"test": "in", "column": column, "values": _values(values, context)}
        case ir.ColumnMissing(column):
            return {"test": "missing", "column": column}
        case ir.ColumnGiven(column):
            return {"test": "given", "column": column}
        case ir.Last(amount, unit):
            return {"test": "last", "amount": amount, "unit": unit}
        case ir.Since(at):
            return {"test": "since", "at": _scalar(at, context)}
        case ir.SinceStart():
            return {"test": "since_start"}
        case ir.Before(at):
            return {"test": "before", "at": _scalar(at, context)}


def _people(condition: ir.PeopleCondition, context: Known) -> Document:
    match condition:
        case ir.Times(bound, count):
            return {"test": "times", "bound": bound, "count": count}
        case ir.Aggregate(function, column, operator, value):
            scalar = _scalar(value, context)
            return {"test": function, "column": column, "operator": operator, "value": scalar}
        case ir.Latest(column, operator, value):
            return {"test": "latest", "column": column, "operator": operator, "value": _scalar(value, context)}


def _scalar(value: ir.Scalar, context: Known) -> Document:
    match value:
        case bool():
            return {"type": "text", "text": "true" if value else "false"}
        case str():
            return {"type": "text", "text": _cut(value)}
        case datetime():
            local = value.astimezone(context.zone)
            text = f"{local.year:04}-{local.month:02}-{local.day:02}"
            clock = "" if (local.hour, local.minute) == (0, 0) else f" {local.hour:02}:{local.minute:02}"
            return {"type": "date", "text": text + clock}
        case Decimal():
            return {"type": "number", "text": _cut(format(value, "f"))}


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_CHARACTERS_MAX else f"{text[:_VALUE_CHARACTERS_MAX]}..."
