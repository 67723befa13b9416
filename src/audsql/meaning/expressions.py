"""Set expressions: from what was written to a Boolean function over atoms, with id kinds checked on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audsql.diag import Bag, Diagnostic, Label, error, fix
from audsql.meaning import ir
from audsql.meaning.calls import UNKNOWN, Meaning, Scope, lower_call
from audsql.meaning.names import BUILT_IN, fix_near, nearest, written
from audsql.meaning.types import Use, kind_problem
from audsql.syntax import ast

__all__ = ["Lowered", "children_of", "is_literally_friends", "lower", "walk"]


@dataclass(frozen=True, slots=True)
class Lowered:
    """An expression with what was found on the way. `parts` are the meanings of its written parts, each
    after its own parts, the whole last; unknown ones are left out."""

    meaning: Meaning
    uses: tuple[Use, ...] = ()
    parts: tuple[tuple[ast.Expression, ir.Expression], ...] = ()

    @property
    def expression(self) -> ir.Expression | None:
        return self.meaning.expression


def children_of(node: ast.Expression) -> tuple[ast.Expression, ...]:
    match node:
        case ast.Not(operand=operand):
            return (operand,)
        case ast.Paren(inner=inner):
            return (inner,)
        case ast.Chain(operands=operands):
            return operands
        case _:
            return ()


def walk(expression: ast.Expression) -> tuple[ast.Expression, ...]:
    """The written parts, each after its own parts, in reading order; no recursion."""
    order: list[ast.Expression] = []
    stack: list[tuple[ast.Expression, bool]] = [(expression, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded or not children_of(node):
            order.append(node)
            continue
        stack.append((node, True))
        stack.extend((child, False) for child in reversed(children_of(node)))
    return tuple(order)


def lower(expression: ast.Expression, scope: Scope, bag: Bag) -> Lowered:
    """What the expression means in this scope. Problems go to the bag; the rest is still checked."""
    meanings: dict[int, Meaning] = {}
    uses: list[Use] = []
    parts: list[tuple[ast.Expression, ir.Expression]] = []
    for node in walk(expression):
        meaning = _meaning_of(node, meanings, scope, bag)
        meanings[id(node)] = meaning
        if meaning.expression is not None:
            parts.append((node, meaning.expression))
            if isinstance(node, (ast.Reference, ast.Call)):
                uses.append(Use(node.span, meaning.expression, isinstance(node, ast.Reference)))
    return Lowered(meanings[id(expression)], tuple(uses), tuple(parts))


def _meaning_of(node: ast.Expression, meanings: Mapping[int, Meaning], scope: Scope, bag: Bag) -> Meaning:
    match node:
        case ast.Reference():
            return _reference(node, scope, bag)
        case ast.Call():
            return lower_call(node, scope, bag)
        case ast.Paren(inner=inner):
            return meanings[id(inner)]
        case ast.Not(operand=operand):
            return _not(node, meanings[id(operand)], scope, bag)
        case ast.Chain():
            return _chain(node, meanings, scope, bag)


def _reference(node: ast.Reference, scope: Scope, bag: Bag) -> Meaning:
    name = node.name.text
    if node.member is not None:
        bag.add(error("AUD0315", node.span, feature="split"))
        return UNKNOWN
    if name == "friends":
        return Meaning(ir.leaf(ir.Friends(scope.account)), "user_id")
    symbol = scope.symbols.get(name)
    if symbol is None:
        if not scope.symbols.may_be_unread("audience"):
            bag.add(_unknown_name(node, scope))
        return UNKNOWN
    if symbol.kind == "audience" or symbol.broken:
        return scope.audiences.get(name, UNKNOWN)
    bag.add(_wrong_name(node, symbol.kind, scope))
    return UNKNOWN


def _unknown_name(node: ast.Reference, scope: Scope) -> Diagnostic:
    name = node.name.text
    if name in BUILT_IN:
        return error("AUD0208", node.span, name=name, kind="call", call=f"{name}(...)")
    near = nearest(name, (*scope.symbols.of_kind("audience"), "friends"))
    symbol = scope.symbols.get(near) if near else None
    labels = [Label(symbol.span, "near")] if symbol else []
    return error("AUD0201", node.span, labels=labels, fixes=fix_near(node.span, near), name=name, near=near)


def _wrong_name(node: ast.Reference, kind: str, scope: Scope) -> Diagnostic:
    """A declared name of another kind where an audience is needed; a list or a table needs its call."""
    name = written(node.name.text)
    symbol = scope.symbols.get(node.name.text)
    labels = [Label(symbol.span, "declared")] if symbol else []
    calls = {"upload": f"uploaded({name})", "table": f"{name}()", "verb": f"{name}(*)", "delivery": f"clicked({name})"}
    call = calls.get(kind)
    if call is None:
        return error("AUD0204", node.span, labels=labels, name=node.name.text, kind=kind, wanted="audience")
    fixes = [fix(node.span, call, safe=False, key="call")] if kind in ("upload", "table") else []
    return error("AUD0208", node.span, labels=labels, fixes=fixes, name=node.name.text, kind=kind, call=call)


def _not(node: ast.Not, operand: Meaning, scope: Scope, bag: Bag) -> Meaning:
    if operand.kind not in (None, "user_id"):
        bag.add(kind_problem("user_id", operand.kind, scope.tables.values(), node.operand.span, node.span))
        return UNKNOWN
    return Meaning(None if operand.expression is None else ir.lnot(operand.expression), "user_id")


def _chain(node: ast.Chain, meanings: Mapping[int, Meaning], scope: Scope, bag: Bag) -> Meaning:
    parts = [meanings[id(operand)] for operand in node.operands]
    kind, kind_span = parts[0].kind, node.operands[0].span
    known = True
    for operand, part in zip(node.operands[1:], parts[1:], strict=True):
        if kind is None:
            kind, kind_span = part.kind, operand.span
        elif part.kind is not None and part.kind != kind:
            bag.add(kind_problem(kind, part.kind, scope.tables.values(), operand.span, kind_span))
            known = False
    expressions = [part.expression for part in parts if part.expression is not None]
    if not known or len(expressions) < len(parts):
        return Meaning(None, kind)
    return Meaning(_join(expressions, node.operators), kind)


def _join(operands: Sequence[ir.Expression], operators: Sequence[ast.BooleanOperator]) -> ir.Expression:
    """Grouped to the left; one OR or one AND chain with EXCEPTs is joined at once."""
    first, rest = operands[0], list(zip(operators, operands[1:], strict=False))
    if all(operator == "OR" for operator, _ in rest):
        return ir.lor(*operands)
    if all(operator != "OR" for operator, _ in rest):
        return ir.land(first, *(part if operator == "AND" else ir.lnot(part) for operator, part in rest))
    total = first
    for operator, part in rest:
        if operator == "OR":
            total = ir.lor(total, part)
        else:
            total = ir.land(total, part if operator == "AND" else ir.lnot(part))
    return total


def is_literally_friends(expression: ast.Expression) -> bool:
    """Whether `friends` is written, in parentheses or not, and nothing else."""
    while isinstance(expression, ast.Paren):
        expression = expression.inner
    return isinstance(expression, ast.Reference) and expression.name.text == "friends" and expression.member is None
