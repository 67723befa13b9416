"""What holds of one person, part by part of what is written (specs/explain.md, `explain.person`).

The id is compared and forgotten: it stands in no document, no message and no cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from audsql.diag import Bag, Diagnostic, error, has_errors, warning
from audsql.meaning import ir
from audsql.meaning.calls import Scope
from audsql.meaning.expressions import lower
from audsql.meaning.lineage import deep_atoms
from audsql.meaning.names import Symbol
from audsql.meaning.splits import bucket_of
from audsql.meaning.types import linkages, mapped_through
from audsql.records import dataclass
from audsql.session.graphs import expressions_of, resolved
from audsql.session.project import Opened
from audsql.session.sets import engine_of
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["person"]

Document = dict[str, Any]
Truth = bool | None

PARTS_MAX = 300
_PART_CHARACTERS_MAX = 200
_ASKED = ("arm", "audience", "delivery", "policy", "split", "table", "upload")


@dataclass(frozen=True, slots=True)
class _Part:
    """One line of the tree: `says` is what it is, `expression` the set whose truth it shows, `inverted` its NOT."""

    depth: int
    says: str
    text: str
    expression: ir.Expression
    inverted: bool = False


def person(
    opened: Opened, name: str, person_id: str, as_of: datetime | None
) -> tuple[Document | None, tuple[Diagnostic, ...]]:
    """Whether one person is in a declared set, and in each part of it: True, False, or None where LINE holds it.

    No document where nothing is declared under the name, where it is no set (AUD0082) or where the project
    has errors. An id of a wrong form (AUD0080) has no document either; one that the data do not have is told (AUD0081).
    """
    problems = (*opened.diagnostics, *opened.findings)
    if opened.analysis is None or has_errors(problems):
        return None, problems
    found = _find(opened, name)
    if found is None:
        return None, ()
    symbol, kind, shown = found
    if kind not in _ASKED:
        return None, (error("AUD0082", None, name=name, kind=kind),)
    head: Document = {"kind": kind, "name": shown, "format_version": "1.0"}
    parts, id_kind = _parts(opened, symbol, kind, shown)
    if not parts:
        return None, (error("AUD0082", None, name=name, kind=kind),)
    truth, told = _truth(opened, parts, id_kind, person_id, as_of)
    if truth is None:
        return None, told
    rows = [_row(part, truth) for part in parts[:PARTS_MAX]]
    return {**head, "parts": rows, "more": max(0, len(parts) - PARTS_MAX)}, told


def _row(part: _Part, truth: Callable[[ir.Expression], Truth]) -> Document:
    value = truth(part.expression)
    inverted = None if value is None else not value
    return {
        "depth": part.depth,
        "is": part.says,
        "name": "" if part.says == "atom" else part.text,
        "text": part.text if part.says == "atom" else "",
        "value": inverted if part.inverted else value,
    }


def _find(opened: Opened, name: str) -> tuple[Symbol, str, str] | None:
    """What is declared under the name, the word of its kind, and its own name."""
    assert opened.analysis is not None
    symbols = opened.analysis.scope.symbols
    address = resolved(symbols, name)
    if address is None:
        split, _, arm = name.rpartition(".")
        symbol = symbols.names.get(split)
        if symbol is not None and symbol.kind == "split" and arm:
            return symbol, "arm", name
        return None
    kind, _, own = address.partition(".")
    space = {"policy": symbols.policies, "account": symbols.accounts}.get(kind, symbols.names)
    found = space.get(own)
    return None if found is None else (found, kind, own)


# --- the tree ---------------------------------------------------------------------------------------


def _parts(opened: Opened, symbol: Symbol, kind: str, name: str) -> tuple[list[_Part], ir.IdKind]:
    """The lines of the tree, at most one more than are shown for each that is left; none for what has no set."""
    assert opened.analysis is not None
    project, scope = opened.analysis.project, opened.analysis.scope
    match kind:
        case "delivery":
            delivery = project.delivery(name)
            if delivery is None or delivery.sent_request_id is not None:
                return [], "user_id"
            return list(_delivery(opened, delivery, symbol)), "user_id"
        case "upload":
            upload = scope.uploads.get(name)
            atom = ir.leaf(ir.Uploaded(name))
            return ([_Part(0, kind, name, atom)], upload.id_kind) if upload else ([], "user_id")
        case "table":
            table = scope.tables.get(name)
            return ([_Part(0, kind, name, ir.leaf(ir.Rows(name)))], table.ids[0][0]) if table else ([], "user_id")
        case "policy":
            rules = [one for one in project.policies if one.name == name]
            root = _Part(0, kind, name, ir.lor(*(one.expression for one in rules)))
            return ([root, *_written(expressions_of(symbol.node), scope, 1, "user_id")] if rules else []), "user_id"
        case "arm":
            return _arm(project, scope, symbol, name)
        case _:
            return _audience(project, scope, symbol, name)


def _audience(project: ir.Project, scope: Scope, symbol: Symbol, name: str) -> tuple[list[_Part], ir.IdKind]:
    rows: Sequence[ir.Audience | ir.Split] = project.audiences if symbol.kind == "audience" else project.splits
    row = next((one for one in rows if one.name == name), None)
    if row is None:
        return [], "user_id"
    root = _Part(0, symbol.kind, name, row.expression)
    return [root, *_written(expressions_of(symbol.node), scope, 1, row.id_kind)], row.id_kind


def _arm(project: ir.Project, scope: Scope, symbol: Symbol, name: str) -> tuple[list[_Part], ir.IdKind]:
    split = next((one for one in project.splits if one.name == symbol.name), None)
    arm = next((one for one in split.arms if name == f"{split.name}.{one.name}"), None) if split else None
    if split is None or arm is None:
        return [], "user_id"
    root, whole = _Part(0, "arm", name, arm.expression), _Part(1, "split", split.name, split.expression)
    below = _written(expressions_of(symbol.node), scope, 2, split.id_kind)
    return [root, whole, *below], split.id_kind


def _delivery(opened: Opened, delivery: ir.Delivery, symbol: Symbol) -> Iterator[_Part]:
    """Whom it is written for, what each policy takes away, and the deliveries that go first."""
    assert opened.analysis is not None
    project, scope = opened.analysis.project, opened.analysis.scope
    yield _Part(0, "delivery", delivery.name, delivery.reach)
    yield _Part(1, "to", "", delivery.to)
    yield from _written(expressions_of(symbol.node), scope, 2, "user_id", delivery.account)
    for name in delivery.policies:
        rules = [one for one in project.policies if one.name == name and delivery.name not in one.exceptions]
        yield _Part(1, "less", name, ir.lor(*(one.expression for one in rules)), inverted=True)
        node = scope.symbols.policies[name].node
        yield from _written(_excluded(node, delivery.name), scope, 2, "user_id", delivery.account)
    reaches = {one.name: one.reach for one in project.deliveries}
    for name in delivery.behind:
        if name in reaches:
            yield _Part(1, "behind", name, reaches[name], inverted=True)


def _excluded(node: ast.Statement | ast.Verb, delivery: str) -> Iterator[ast.Expression]:
    for rule in node.rules if isinstance(node, ast.Policy) else ():
        if isinstance(rule, ast.ExcludeRule) and delivery not in {name.text for name in rule.exceptions}:
            yield rule.expression


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A written part still to be shown; `sets` are the meanings of the parts of its statement."""

    node: ast.Expression
    depth: int
    sets: Mapping[int, ir.Expression]
    denied: bool = False


def _written(
    expressions: Iterator[ast.Expression], scope: Scope, depth: int, kind: ir.IdKind, account: str = ""
) -> Iterator[_Part]:
    """The parts of what is written, audience by audience, each audience opened where it is first named."""
    seen: set[str] = set()
    here = replace(scope, account=account or scope.account)
    waiting = [_Waiting(one, depth, _sets(one, here)) for one in reversed(list(expressions))]
    while waiting:
        one = waiting.pop()
        node = one.node
        while isinstance(node, ast.Paren):
            node = node.inner
        expression = one.sets.get(id(node))
        if expression is None:
            continue
        expression = _as_kind(expression, kind, scope)
        if one.denied:
            yield _Part(one.depth, "not", "", expression, inverted=True)
            waiting.append(_Waiting(node, one.depth + 1, one.sets))
            continue
        if isinstance(node, ast.Not):
            yield _Part(one.depth, "not", "", expression)
            waiting.append(_Waiting(node.operand, one.depth + 1, one.sets))
        elif isinstance(node, ast.Chain):
            yield _Part(one.depth, "any" if "OR" in node.operators else "all", "", expression)
            denied = [False, *(operator == "EXCEPT" for operator in node.operators)]
            below = [
                _Waiting(operand, one.depth + 1, one.sets, not_in)
                for operand, not_in in zip(node.operands, denied, strict=True)
            ]
            waiting.extend(reversed(below))
        else:
            yield _Part(one.depth, "atom", _cut(expression_text(node)), expression)
            waiting.extend(_below(node, one, seen, here))


def _below(node: ast.Expression, one: _Waiting, seen: set[str], scope: Scope) -> Iterator[_Waiting]:
    """What a name or a call stands for, where that was written as an expression of its own."""
    if isinstance(node, ast.Call) and node.arguments.subject is not None:
        yield _Waiting(node.arguments.subject, one.depth + 1, one.sets)
    elif isinstance(node, ast.Reference):
        symbol = scope.symbols.names.get(node.name.text)
        if symbol is not None and symbol.kind in ("audience", "split") and symbol.name not in seen:
            seen.add(symbol.name)
            for expression in expressions_of(symbol.node):
                yield _Waiting(expression, one.depth + 1, _sets(expression, scope))


def _sets(expression: ast.Expression, scope: Scope) -> Mapping[int, ir.Expression]:
    """The meaning of each written part, by identity: equal parts may stand twice."""
    return {id(node): found for node, found in lower(expression, scope, Bag()).parts}


def _as_kind(expression: ir.Expression, kind: ir.IdKind, scope: Scope) -> ir.Expression:
    """The set as ids of that kind, through the one linkage that connects them."""
    have = next((found for atom in ir.atoms_of(expression) if (found := _kind_of(atom, scope)) is not None), kind)
    tables = linkages(have, kind, scope.tables.values(), scope.accounts.get(scope.account)) if have != kind else ()
    return mapped_through(expression, have, kind, tables[0]) if len(tables) == 1 else expression


def _kind_of(atom: ir.Atom, scope: Scope) -> ir.IdKind | None:
    match atom:
        case ir.Uploaded(name) if name in scope.uploads:
            return scope.uploads[name].id_kind
        case ir.Rows(name) if name in scope.tables:
            return scope.tables[name].ids[0][0]
        case ir.Mapped(to=to):
            return to
        case ir.Bucket():
            return None
        case _:
            return "user_id"


def _cut(text: str) -> str:
    return text if len(text) <= _PART_CHARACTERS_MAX else f"{text[:_PART_CHARACTERS_MAX]}..."


# --- truth ------------------------------------------------------------------------------------------


def _truth(
    opened: Opened, parts: Sequence[_Part], kind: ir.IdKind, person_id: str, as_of: datetime | None
) -> tuple[Callable[[ir.Expression], Truth] | None, tuple[Diagnostic, ...]]:
    """A function that says the truth of a set for the person; None where the id or the data cannot be read."""
    from audsql.data.declared import region_of
    from audsql.data.membership import standing_of

    assert opened.analysis is not None
    project = opened.analysis.project
    atoms = {atom.key: atom for part in parts[:PARTS_MAX] for atom in ir.atoms_of(part.expression)}
    own = [atom for atom in atoms.values() if atom.world == "own" and not isinstance(atom, ir.Bucket)]
    sources = _whole_sources(own)
    engine = engine_of(opened)
    materialised, told = engine.materialise([*own, *sources], as_of or datetime.now(UTC))
    if has_errors(told):
        return None, told
    region = region_of(project, "")
    standing = standing_of(engine, kind, person_id, region, materialised.people)
    if standing is None:
        return None, (*told, error("AUD0080", None, id_kind=kind))
    inside = standing.inside
    values: dict[str, Truth] = {}
    for key, atom in atoms.items():
        if isinstance(atom, ir.Bucket):
            values[key] = atom.low <= bucket_of(atom.salt, standing.id) < atom.high
        else:
            values[key] = inside.get(key) if atom.world == "own" else None
    if own and not any(inside.get(atom.key) for atom in (*own, *sources)):
        told = (*told, warning("AUD0081", None, id_kind=kind))
    return lambda expression: _kleene(expression, values), told


def _whole_sources(atoms: Sequence[ir.Atom]) -> list[ir.Atom]:
    """Everybody of each list and table that the atoms are read from."""
    deep = {one.key: one for atom in atoms for one in deep_atoms(ir.leaf(atom))}
    tables = {one.table for one in deep.values() if isinstance(one, ir.Rows)}
    return [ir.Rows(table) for table in sorted(tables)]


def _kleene(expression: ir.Expression, values: Mapping[str, Truth]) -> Truth:
    """The truth of a set in three values: a part that is not known counts only where it decides."""

    def both(parts: Sequence[Truth]) -> Truth:
        return False if False in parts else None if None in parts else True

    def either(parts: Sequence[Truth]) -> Truth:
        return True if True in parts else None if None in parts else False

    def leaf(node: ir.Leaf) -> Truth:
        return values.get(node.key)

    def same(value: bool) -> Truth:
        return value

    def denied(value: Truth) -> Truth:
        return None if value is None else not value

    return ir.fold(expression, leaf, same, denied, both, either)
