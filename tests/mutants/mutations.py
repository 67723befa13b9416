"""Which small changes of a Python module there are, and the module with one of them made.

A mutant changes one place inside a function. Left out are what no test can see or nobody should judge:
docstrings, annotations, `__all__`, assertions, the texts of exceptions; and what stands outside functions
(tables, class bodies), since a change there cannot be exchanged in a running process.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mutant", "compiled", "mutants_of"]

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Mutant:
    """One change: `node` is the number of the changed node in a walk of the module, `variant` which of the
    node's changes of that kind, `outermost` the line at which the outermost function around it begins."""

    path: str
    line: int
    column: int
    kind: str
    node: int
    variant: int
    function: str
    outermost: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.function}: {self.kind}: {self.before}  ->  {self.after}"


def mutants_of(path: str, text: str) -> tuple[list[Mutant], int]:
    """Every mutant inside a function of the module, in order of place, and how many lie outside functions."""
    module = ast.parse(text)
    parents = _parents(module)
    skipped = _skipped(module)
    found: list[Mutant] = []
    outside = 0
    for number, node in enumerate(ast.walk(module)):
        if node in skipped:
            continue
        for kind, variant, changed in _changes(node, parents):
            functions = _functions_around(node, parents, kind)
            if not functions:
                outside += 1
                continue
            shown = changed if isinstance(changed, str) else _short(changed)
            name = ".".join(one.name for one in reversed(functions))
            line = functions[-1].lineno
            place = (path, node.lineno, node.col_offset)
            found.append(Mutant(*place, kind, number, variant, name, line, _short(node), shown))
    return sorted(found), outside


def compiled(mutant: Mutant, text: str, filename: str):  # type: ignore[no-untyped-def]
    """The module's code with the mutant in it."""
    module = ast.parse(text)
    node = next(node for number, node in enumerate(ast.walk(module)) if number == mutant.node)
    parents = _parents(module)
    for kind, variant, changed in _changes(node, parents):
        if (kind, variant) == (mutant.kind, mutant.variant):
            if kind == "return early":
                _insert_return(node, parents)
            else:
                assert isinstance(changed, ast.AST)
                _replace(node, changed, parents)
            return compile(ast.fix_missing_locations(module), filename, "exec", dont_inherit=True)
    raise AssertionError(mutant)


# --- what can be changed ----------------------------------------------------------------------------


def _changes(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[tuple[str, int, ast.AST | str]]:
    """Kind, number and the new node of each change of this node."""
    parent = parents.get(node)
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                changed = copy.deepcopy(node)
                changed.ops[index] = _COMPARISONS[type(operator)]()
                yield "comparison", index, changed
        case ast.BoolOp():
            changed = copy.deepcopy(node)
            changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "and/or", 0, changed
        case ast.UnaryOp(op=ast.Not()):
            yield "not removed", 0, copy.deepcopy(node.operand)
        case ast.Constant():
            yield from _constants(node)
        case ast.Call() if len(node.args) > 1 and not any(isinstance(one, ast.Starred) for one in node.args[:2]):
            if ast.dump(node.args[0]) != ast.dump(node.args[1]):
                changed = copy.deepcopy(node)
                changed.args[:2] = changed.args[1::-1]
                yield "arguments swapped", 0, changed
        case ast.Tuple(ctx=ast.Load()) if len(node.elts) > 1 and not isinstance(parent, ast.Subscript):
            for index in range(len(node.elts)):
                changed = copy.deepcopy(node)
                del changed.elts[index]
                yield "element removed", index, changed
        case ast.stmt():
            yield from _statements(node, parents)
    if isinstance(node, ast.expr) and _is_condition(node, parent):
        yield "condition negated", 0, ast.copy_location(ast.UnaryOp(ast.Not(), copy.deepcopy(node)), node)


def _constants(node: ast.Constant) -> Iterator[tuple[str, int, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", 0, ast.copy_location(ast.Constant(not value), node)
    elif isinstance(value, int):
        yield "constant", 0, ast.copy_location(ast.Constant(value + 1), node)
        yield "constant", 1, ast.copy_location(ast.Constant(value - 1), node)
    elif isinstance(value, str) and value:
        yield "constant", 0, ast.copy_location(ast.Constant(""), node)


def _statements(node: ast.stmt, parents: dict[ast.AST, ast.AST]) -> Iterator[tuple[str, int, ast.AST | str]]:
    deletable = isinstance(node, ast.Expr | ast.AugAssign | ast.Continue | ast.Break | ast.Raise | ast.Delete)
    stored = isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple)
    if (deletable or stored) and not _is_docstring(node, parents):
        yield "statement deleted", 0, ast.copy_location(ast.Pass(), node)
    parent = parents.get(node)
    if isinstance(parent, ast.FunctionDef) and node in parent.body[1:] and not isinstance(node, ast.Return):
        yield "return early", 0, "return"


def _is_condition(node: ast.expr, parent: ast.AST | None) -> bool:
    if isinstance(node, ast.Compare | ast.BoolOp | ast.Constant) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    ):
        return isinstance(node, ast.BoolOp) and _is_test(node, parent)
    return _is_test(node, parent)


def _is_test(node: ast.expr, parent: ast.AST | None) -> bool:
    match parent:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            return test is node
        case ast.comprehension(ifs=ifs):
            return node in ifs
        case ast.match_case(guard=guard):
            return guard is node
        case _:
            return False


def _skipped(module: ast.Module) -> set[ast.AST]:
    """Nodes that are not changed: docstrings, annotations, assertions, texts of exceptions, f-strings' texts."""
    roots: list[ast.AST | None] = []
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef():
                roots += [node.returns, *node.decorator_list]
            case ast.arg():
                roots.append(node.annotation)
            case ast.AnnAssign():
                roots.append(node.annotation)
            case ast.Assert():
                roots.append(node)
            case ast.Raise(exc=ast.Call() as call):
                roots += call.args
            case ast.Expr(value=ast.Constant()):
                roots.append(node)
            case ast.JoinedStr():
                roots += [value for value in node.values if isinstance(value, ast.Constant)]
            case ast.MatchValue() | ast.MatchSingleton() | ast.MatchMapping():
                roots.append(node)
            case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
                roots.append(node)
            case ast.Call(func=ast.Name(id="cast" | "TypeVar"), args=[first, *_]):
                roots += [node, first]
    return {node for root in roots if root is not None for node in ast.walk(root)}


# --- places -----------------------------------------------------------------------------------------


def _parents(module: ast.Module) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(module) for child in ast.iter_child_nodes(node)}


def _functions_around(node: ast.AST, parents: dict[ast.AST, ast.AST], kind: str) -> list[ast.FunctionDef]:
    """The functions around a node, innermost first; a default belongs to its own function."""
    found: list[ast.FunctionDef] = []
    child, parent = node, parents.get(node)
    while parent is not None:
        if isinstance(parent, ast.FunctionDef) and (child in parent.body or isinstance(child, ast.arguments)):
            found.append(parent)
        child, parent = parent, parents.get(parent)
    return found


def _is_docstring(node: ast.stmt, parents: dict[ast.AST, ast.AST]) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.Yield | ast.YieldFrom)


def _replace(node: ast.AST, changed: ast.AST, parents: dict[ast.AST, ast.AST]) -> None:
    parent = parents[node]
    for name, value in ast.iter_fields(parent):
        if value is node:
            setattr(parent, name, changed)
            return
        if isinstance(value, list) and any(one is node for one in value):
            value[[one is node for one in value].index(True)] = changed
            return
    raise AssertionError(ast.dump(node))


def _insert_return(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> None:
    parent = parents[node]
    assert isinstance(parent, ast.FunctionDef) and isinstance(node, ast.stmt)
    parent.body.insert(parent.body.index(node), ast.copy_location(ast.Return(None), node))


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 80 else f"{text[:79]}…"


def sources(roots: list[Path], below: Path) -> dict[str, str]:
    """The modules under these folders, by path relative to `below`."""
    files = sorted(path for root in roots for path in root.rglob("*.py"))
    return {path.relative_to(below).as_posix(): path.read_text(encoding="utf-8") for path in files}
