"""Meaning as text again: the canonical words of an expression, in the language's own syntax.

Used in plans and messages. Conjunctions come first, exclusions last, tiers of an attribute join to
ranges: `clicked(msg42) AND purchased(A) AND age(30..39) EXCEPT uploaded(buyers)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from audsql.line.limits import AGE_TIERS, AREAS, FRIEND_FOR_TIERS_DAYS
from audsql.meaning import ir
from audsql.meaning.names import REMOTE_KINDS, written
from audsql.meaning.values import age_words, friend_for_words

__all__ = ["Verbs", "atom_words", "to_words", "verbs_of"]

Verbs = Mapping[str, Sequence[ir.Verb]]
"""The verbs of each table, by the table's name."""

_CHARACTERS_MAX = 4_000
_CALL_OF_KIND = {kind: call for call, kind in REMOTE_KINDS.items()}
_NO_VERBS: Verbs = {}


def verbs_of(project: ir.Project) -> Verbs:
    return {table.name: table.verbs for table in project.tables if table.verbs}


def to_words(expression: ir.Expression, verbs: Verbs = _NO_VERBS) -> str:
    """The expression as the language writes it. A part longer than a screen is given as `(...)`.

    The constants have no words of their own in the language; they read `nobody` and `everybody`.
    """
    words: dict[str, _Words] = {}
    for node in ir.nodes_of(expression):
        words[node.key] = _words_of(node, words, verbs)
    return words[expression.key].text


@dataclass(frozen=True, slots=True)
class _Words:
    """`loose`: needs parentheses as an operand. `negated`: the words of x where this is NOT x."""

    text: str
    loose: bool = False
    negated: str | None = None

    @property
    def operand(self) -> str:
        if not self.loose:
            return self.text
        return f"({self.text})" if len(self.text) <= _CHARACTERS_MAX else "(...)"


def _words_of(node: ir.Expression, words: Mapping[str, _Words], verbs: Verbs) -> _Words:
    match node:
        case ir.Constant(value):
            return _Words("everybody" if value else "nobody")
        case ir.Leaf(atom):
            return _Words(atom_words(atom, verbs))
        case ir.Not(operand):
            inner = words[operand.key].operand
            return _Words(f"NOT {inner}", negated=inner)
        case ir.And(operands):
            return _and_words([words[operand.key] for operand in operands])
        case ir.Or(operands):
            return _or_words(operands, words)


def _and_words(parts: Sequence[_Words]) -> _Words:
    positive = [part.operand for part in parts if part.negated is None]
    negative = [part.negated for part in parts if part.negated is not None]
    if not positive:
        return _Words(" AND ".join(f"NOT {text}" for text in negative), loose=True)
    return _Words(" AND ".join(positive) + "".join(f" EXCEPT {text}" for text in negative), loose=True)


def _or_words(operands: Sequence[ir.Expression], words: Mapping[str, _Words]) -> _Words:
    tiers: dict[str, list[str]] = {}
    rest: list[str] = []
    for operand in operands:
        if isinstance(operand, ir.Leaf) and isinstance(operand.atom, ir.Attribute):
            tiers.setdefault(operand.atom.family, []).append(operand.atom.value)
        else:
            rest.append(words[operand.key].operand)
    joined = [call for family, values in sorted(tiers.items()) for call in _attribute_words(family, values)]
    parts = [*rest, *joined]
    return _Words(" OR ".join(parts), loose=len(parts) > 1)


# --- atoms ----------------------------------------------------------------------------------------


def atom_words(atom: ir.Atom, verbs: Verbs = _NO_VERBS) -> str:
    """An atom as the language writes it: `purchased(A, last 90 days)`."""
    match atom:
        case ir.Uploaded(source):
            return f"uploaded({written(source)})"
        case ir.Rows():
            return _rows_words(atom, verbs)
        case ir.Linked(table):
            return f"linked({written(table)})"
        case ir.Friends():
            return "friends"
        case ir.Clicked(delivery, url):
            return f"clicked({written(delivery)}{'' if url is None else ', ' + _quoted(url)})"
        case ir.Opened(delivery):
            return f"opened({written(delivery)})"
        case ir.Received(delivery):
            return f"received({written(delivery)})"
        case ir.RemoteAudience(_, kind, name):
            return f"{_CALL_OF_KIND.get(kind, kind.lower())}({_quoted(name)})"
        case ir.Attribute(family, value):
            return _attribute_words(family, [value])[0]
        case ir.Mapped(_, _, inner):
            return to_words(inner, verbs)
        case ir.Bucket(salt, low, high, label):
            return label or f"sample({_hundredths(high - low)}, seed: {_quoted(salt)})"
        case ir.Lookalike(inner, hundredths):
            return f"lookalike({to_words(inner, verbs)}, {_hundredths(hundredths)})"


def _attribute_words(family: str, values: Sequence[str]) -> list[str]:
    if family == "age":
        return [age_words(low, high) for low, high in _runs(values, AGE_TIERS)]
    if family == "friend_for":
        return [friend_for_words(low, high) for low, high in _runs(values, FRIEND_FOR_TIERS_DAYS)]
    if family == "area":
        return [f"area({', '.join(AREAS[value][1] if value in AREAS else value for value in sorted(values))})"]
    return [f"{family}({', '.join(sorted(values))})"]


def _runs(values: Sequence[str], bounds: Sequence[int]) -> list[tuple[int | None, int | None]]:
    """Neighbouring tiers joined, as (low, high), both ends included and None where open."""
    wanted = {int(value.rpartition("_")[2]) for value in values}
    runs: list[tuple[int | None, int | None]] = []
    start: int | None = None
    for index, bound in enumerate(bounds):
        if bound not in wanted:
            continue
        start = bound if start is None else start
        following = bounds[index + 1] if index + 1 < len(bounds) else None
        if following not in wanted:
            runs.append((start or None, None if following is None else following - 1))
            start = None
    return runs


def _rows_words(atom: ir.Rows, verbs: Verbs) -> str:
    for verb in verbs.get(atom.table, ()):
        for condition in atom.rows if verb.column else ():
            values = _verb_values(condition, verb.column)
            if values is not None:
                rest = [other for other in atom.rows if other is not condition]
                return _call_words(verb.name, [values], rest, atom.people)
    return _call_words(atom.table, [], atom.rows, atom.people)


def _verb_values(condition: ir.RowCondition, column: str | None) -> str | None:
    match condition:
        case ir.ColumnCompare(name, "=", value) if name == column:
            return _scalar_words(value)
        case ir.ColumnIn(name, values) if name == column:
            return ", ".join(_scalar_words(value) for value in values)
        case ir.ColumnGiven(name) if name == column:
            return "*"
        case _:
            return None


def _call_words(
    name: str, first: Sequence[str], rows: Sequence[ir.RowCondition], people: Sequence[ir.PeopleCondition]
) -> str:
    parts = [*first, *(_row_words(condition) for condition in rows), *(_people_words(c) for c in people)]
    return f"{written(name)}({', '.join(parts)})"


def _row_words(condition: ir.RowCondition) -> str:
    match condition:
        case ir.ColumnCompare(column, operator, value):
            return f"{written(column)} {operator} {_scalar_words(value)}"
        case ir.ColumnIn(column, values):
            return f"{written(column)} in ({', '.join(_scalar_words(value) for value in values)})"
        case ir.ColumnMissing(column):
            return f"{written(column)} is missing"
        case ir.ColumnGiven(column):
            return f"{written(column)} is given"
        case ir.Last(amount, unit):
            return f"last {amount} {unit}{'' if amount == 1 else 's'}"
        case ir.Since(at):
            return f"since {_moment_words(at)}"
        case ir.Before(at):
            return f"before {_moment_words(at)}"


def _people_words(condition: ir.PeopleCondition) -> str:
    match condition:
        case ir.Times(bound, count):
            return f"{bound} {count} time{'' if count == 1 else 's'}"
        case ir.Aggregate(function, column, operator, value):
            return f"{function}({written(column)}) {operator} {_scalar_words(value)}"
        case ir.Latest(column, operator, value):
            return f"latest {written(column)} {operator} {_scalar_words(value)}"


def _scalar_words(value: ir.Scalar) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value if value.isidentifier() else _quoted(value)
        case datetime():
            return _moment_words(value)
        case Decimal():
            return format(value, "f")


def _moment_words(at: datetime) -> str:
    offset = at.strftime("%z")
    zone = f" {offset[:3]}:{offset[3:5]}" if offset else ""
    return at.strftime("%Y-%m-%d %H:%M") + zone


def _hundredths(value: int) -> str:
    return f"{format((Decimal(value) / 100).normalize(), 'f')}%"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
