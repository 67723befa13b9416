"""Declarations that nothing refers to.

Rules: lints.unused, lints.variables of specs/language/11-lints.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any

from audsql.diag import Diagnostic, warning
from audsql.meaning import ir
from audsql.meaning.expand_tree import NAMING_CALLS
from audsql.meaning.lints.subject import Subject, nodes_of
from audsql.meaning.names import Symbol
from audsql.records import dataclass
from audsql.syntax import ast

__all__ = ["unused", "unused_variables"]

_KINDS = frozenset({"upload", "table", "verb", "codes", "coupon", "message", "audience", "split", "param"})
_NAMING_ENTRIES = frozenset({"send", "table", "coupon"})


@dataclass(frozen=True, slots=True)
class _Used:
    """`names` of declarations that something refers to, and every bare word, which may be a parameter."""

    names: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)


def unused(subject: Subject) -> Iterator[Diagnostic]:
    """Declarations that no statement refers to, tests included. A project without deliveries and flows is there
    for others to use, and a declaration that only an unused one refers to has its cause there."""
    project = subject.project
    if not project.flows and all(delivery.sent_request_id is not None for delivery in project.deliveries):
        return
    own = {id(file) for file in subject.files}
    expanded = (file for file in subject.analysis.expanded.files if id(file) not in own)
    used = _used((*subject.nodes, *(node for file in expanded for node in nodes_of(file.statements))))
    used.names.update(_linkages(project))
    if any(isinstance(one, ir.RequireTested) for one in project.requirements):
        # Who tries the messages is named on the command line (`send-test --to`).
        used.names.update(one.name for one in project.uploads if one.id_kind == "user_id")
    names = subject.analysis.scope.symbols.names
    for symbol in names.values():
        if isinstance(symbol.node, ast.Verb) and symbol.name in used.names:
            used.names.update(table.name for table in project.tables if symbol.name in _verbs(table))
    idle: dict[tuple[str, int], list[Symbol]] = {}
    busy: set[tuple[str, int]] = set()
    for symbol in names.values():
        place = (symbol.span.path, symbol.span.start)
        if symbol.kind not in _KINDS or _is_used(symbol, used):
            busy.add(place)
        else:
            idle.setdefault(place, []).append(symbol)
    silent = {verb for table in project.tables if table.name not in used.names for verb in _verbs(table)}
    for place, symbols in sorted(idle.items()):
        first = symbols[0]
        # Of the copies of a loop one that is used is enough; a table that is not used says it for its verbs.
        if place not in busy and not (first.kind == "verb" and first.name in silent):
            yield warning("AUD0515", first.span, kind=first.kind, name=first.name.split("[", 1)[0])


def _is_used(symbol: Symbol, used: _Used) -> bool:
    return symbol.name in (used.words if symbol.kind == "param" else used.names)


def _verbs(table: ir.TableSource) -> list[str]:
    return [verb.name for verb in table.verbs]


def _linkages(project: ir.Project) -> Iterator[str]:
    """Tables that connect the ids of another source with user ids; nobody need name them."""
    kinds = {upload.id_kind for upload in project.uploads}
    kinds.update(table.ids[0][0] for table in project.tables if len(table.ids) == 1)
    kinds.discard("user_id")
    for table in project.tables:
        if len(table.ids) > 1 and any(kind in kinds for kind, _ in table.ids):
            yield table.name


def _used(nodes: Iterable[Any]) -> _Used:
    found = _Used()
    for node in nodes:
        match node:
            case ast.Reference(name=name):
                found.names.add(name.text)
                found.words.add(name.text)
            case ast.Call(name=name, arguments=arguments):
                found.names.add(name.text)
                if name.text in NAMING_CALLS:
                    found.names.update(_texts(arguments.values[:1]))
            case ast.Entry(key=key, value=value) if key.text in _NAMING_ENTRIES:
                found.names.update(_texts(value))
            case ast.SendStep(messages=messages):
                found.names.update(_texts(messages))
            case ast.Field(pool=ast.Name(text=text)):
                found.names.add(text)
            case ast.TriggerOn(table=table):
                found.names.add(table.text)
            case ast.Word(text=text):
                found.words.add(text)
            case _:
                continue
    return found


def _texts(value: object) -> Iterator[str]:
    return (node.text for node in nodes_of(value) if isinstance(node, (ast.Word, ast.Text)))


def unused_variables(subject: Subject) -> Iterator[Diagnostic]:
    """Variables of loops and parameters of audiences that their statements do without."""
    for node in subject.nodes:
        variables: tuple[ast.Name, ...]
        if isinstance(node, ast.For):
            variables, inside = (node.variable,), _words(node.statements)
        elif isinstance(node, ast.Audience) and node.parameters:
            variables, inside = node.parameters, _words(node.expression)
        else:
            continue
        for variable in variables:
            if variable.text not in inside:
                yield warning("AUD0516", variable.span, name=variable.text, loop=isinstance(node, ast.For))


def _words(root: object) -> set[str]:
    found = {node.text for node in nodes_of(root) if isinstance(node, ast.Word) and not node.quoted}
    return found | {node.name.text for node in nodes_of(root) if isinstance(node, ast.Reference)}
