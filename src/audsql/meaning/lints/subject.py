"""What lints look at: the project's meaning, its files as written, and every written set with its parts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from functools import cache
from typing import Any

from audsql.diag import Bag
from audsql.meaning import ir
from audsql.meaning.expressions import lower
from audsql.meaning.lower import Analysis
from audsql.meaning.order import references
from audsql.records import dataclass
from audsql.source import CopySpan, Span
from audsql.syntax import ast

__all__ = ["Subject", "Written", "expression_of", "nodes_of", "subject_of"]


@dataclass(frozen=True, slots=True)
class Written:
    """An expression as it stands in a statement: `kind` and `name` are the statement's.

    `meanings`: of its parts by `id`, unknown ones left out. `varies`: it means something else with other values
    of parameters, in another copy of a loop, or with another call, so that nothing can be proved of the text.
    """

    kind: str
    name: str
    expression: ast.Expression
    meanings: Mapping[int, ir.Expression] = field(repr=False)
    varies: bool = False

    @property
    def meaning(self) -> ir.Expression | None:
        return self.meanings.get(id(self.expression))


@dataclass(frozen=True, slots=True)
class Subject:
    """`files` are the project's own as written; `written` every set in them after expansion, tests left out.

    `parameters`: every name of a parameter, a loop variable or an argument. `nodes`: those of `files`.
    """

    analysis: Analysis
    files: tuple[ast.File, ...]
    written: tuple[Written, ...]
    parameters: frozenset[str]
    nodes: tuple[Any, ...] = field(repr=False)

    @property
    def project(self) -> ir.Project:
        return self.analysis.project

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(file.path for file in self.files)

    def comment_within(self, span: Span) -> bool:
        """Whether a comment stands in this place: what is cut out must not take it along."""
        comments = next((file.comments for file in self.files if file.path == span.path), ())
        first = bisect_right(comments, span.start, key=lambda comment: comment.span.end)
        return first < len(comments) and comments[first].span.start < span.end


def subject_of(analysis: Analysis, files: tuple[ast.File, ...]) -> Subject:
    """The subject for a project free of errors; `files` are its own files as parsed."""
    paths = {file.path for file in files}
    expanded = [file for file in analysis.expanded.files or files if file.path in paths]
    nodes = tuple(node for file in files for node in nodes_of(file.statements))
    parameters = frozenset(_parameters(nodes))
    places = _parameter_places(nodes, parameters)
    statements = [statement for file in expanded for statement in file.statements]
    varying = _varying(statements, places, analysis)
    written = tuple(
        _read(kind, name, expression, analysis, _is_copy(expression, places) or _leads_to(expression, varying))
        for statement in statements
        for kind, name, expression in _expressions(statement)
    )
    return Subject(analysis, files, written, parameters, nodes)


def _read(kind: str, name: str, expression: ast.Expression, analysis: Analysis, varies: bool) -> Written:
    lowered = lower(expression, analysis.scope, Bag())
    return Written(kind, name, expression, {id(node): meaning for node, meaning in lowered.parts}, varies)


# --- trees ------------------------------------------------------------------------------------------


# Fields that hold no nodes.
_PLAIN = frozenset(
    {"span", "operator_spans", "comments", "description", "quoted", "operators", "allow_empty", "relation"}
)


@cache
def _parts_of(kind: Any) -> tuple[str, ...] | None:
    """The fields of a node that may hold nodes, the last first; None for what is no node."""
    if not is_dataclass(kind):
        return None
    return tuple(one.name for one in reversed(fields(kind)) if one.name not in _PLAIN)


def nodes_of(root: object) -> Iterator[Any]:
    """Every node of a tree, each before its parts, in reading order; no recursion."""
    stack: list[object] = [root]
    while stack:
        node = stack.pop()
        kind: Any = node.__class__
        if kind is str or node is None:
            continue
        if isinstance(node, tuple):
            stack.extend(node[::-1])
            continue
        names = _parts_of(kind)
        if names is not None:
            yield node
            stack.extend([getattr(node, name) for name in names])


def _expressions(statement: ast.Statement) -> Iterator[tuple[str, str, ast.Expression]]:
    """The sets that a statement holds; those of tests show what is meant and are left alone."""
    match statement:
        case ast.Audience(name=name, expression=expression) if not statement.parameters:
            yield "audience", name.text, expression
        case ast.Split(name=name, expression=expression):
            yield "split", name.text, expression
        case ast.Block(kind="delivery", name=name):
            to = expression_of(statement)
            if to is not None:
                yield "delivery", name.text, to
        case ast.Policy(name=name, rules=rules):
            for rule in rules:
                if isinstance(rule, (ast.ExcludeRule, ast.RequireRule)):
                    yield "policy", name.text, rule.expression
        case ast.Flow(name=name):
            for node in nodes_of(statement.items):
                if isinstance(node, (ast.StartWhen, ast.ExitWhen)):
                    yield "flow", name.text, node.expression
                elif isinstance(node, ast.BranchArm) and node.condition is not None:
                    yield "flow", name.text, node.condition


def expression_of(block: ast.Block) -> ast.Expression | None:
    """What stands after `to:`."""
    for entry in block.entries:
        if entry.key.text == "to" and isinstance(entry.value, (ast.Reference, ast.Call, ast.Not, ast.Paren, ast.Chain)):
            return entry.value
    return None


# --- parameters -------------------------------------------------------------------------------------


def _parameters(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Parameter):
            yield node.name.text
        elif isinstance(node, ast.For):
            yield node.variable.text
        elif isinstance(node, ast.Audience):
            yield from (name.text for name in node.parameters)


def _parameter_places(nodes: Iterable[Any], parameters: frozenset[str]) -> frozenset[tuple[str, int]]:
    """Where a word stands that is, or may be, a parameter."""
    if not parameters:
        return frozenset()
    return frozenset(
        (node.span.path, node.span.start)
        for node in nodes
        if isinstance(node, ast.Word) and not node.quoted and (node.text in parameters or node.index)
    )


def _is_copy(expression: ast.Expression, places: frozenset[tuple[str, int]]) -> bool:
    if isinstance(expression.span, CopySpan):
        return True
    return bool(places) and any(
        (node.span.path, node.span.start) in places for node in nodes_of(expression) if hasattr(node, "span")
    )


def _varying(
    statements: Iterable[ast.Statement], places: frozenset[tuple[str, int]], analysis: Analysis
) -> frozenset[str]:
    """The names of sets that depend on parameters, on their own or through others; what a used file declares
    and what is made by a call counts as such."""
    known: set[str] = set()
    wanted_by: dict[str, list[str]] = {}
    waiting: list[str] = []
    for statement in statements:
        if isinstance(statement, (ast.Audience, ast.Split)) and not getattr(statement, "parameters", ()):
            name = statement.name.text
            known.add(name)
            for needed in references(statement.expression):
                wanted_by.setdefault(needed, []).append(name)
            if _is_copy(statement.expression, places):
                waiting.append(name)
    others = analysis.scope.symbols.of_kind("audience", "split")
    waiting += [name for name in others if name not in known]
    varying: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in varying:
            varying.add(name)
            waiting.extend(wanted_by.get(name, ()))
    return frozenset(varying)


def _leads_to(expression: ast.Expression, varying: frozenset[str]) -> bool:
    return bool(varying) and not varying.isdisjoint(references(expression))
