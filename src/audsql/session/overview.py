"""Documents that only look: status, graph, doctor."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from audsql.diag import Diagnostic, has_errors
from audsql.meaning.expressions import walk
from audsql.meaning.ir import Project
from audsql.session.planning import state_of
from audsql.session.project import Opened, check
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["doctor", "graph", "status"]

Document = dict[str, Any]


def status(opened: Opened) -> tuple[Document, tuple[Diagnostic, ...], int]:
    """Everything that was approved and what became of it. Exit 7 while something needs a person."""
    state, problems = state_of(opened)
    if state is None:
        codes = [one.code for one in problems]
        return {"kind": "audsql.status", "serial": 0, "occurrences": [], "resources": [], "errors": codes}, problems, 1
    zone = ZoneInfo(opened.config.timezone if opened.config else "UTC")
    occurrences = [
        {
            "id": row.id,
            "delivery": row.delivery,
            "account": row.account,
            "time": row.time,
            "at": row.at.astimezone(zone).isoformat() if row.at else None,
            "state": row.state,
            "operations": [
                {
                    "id": one.id,
                    "state": one.state,
                    "kind": one.kind,
                    "request_id": one.request_id,
                    "error_code": one.error_code,
                    "success_count": one.counts.get("success"),
                }
                for one in state.operations_of(row.id)
            ],
        }
        for row in state.occurrences
    ]
    resources = [
        {
            "address": row.address,
            "generation": row.generation,
            "name": row.name,
            "kind": row.kind,
            "status": row.status,
            "size": row.size,
            "remote_id": row.remote_id,
            "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        }
        for row in state.resources
    ]
    attention = any(row.state in ("in_doubt", "missed", "failed") for row in state.occurrences)
    document = {
        "kind": "audsql.status", "format_version": "1.0", "lineage": state.lineage, "serial": state.serial,
        "occurrences": occurrences, "resources": resources,
    }  # fmt: skip
    return document, (), 7 if attention else 0


def graph(opened: Opened) -> Document:
    """Nodes and edges of the project: an edge goes from what uses to what is used."""
    if opened.analysis is None:
        return {"kind": "audsql.graph", "nodes": [], "edges": []}
    project = opened.analysis.project
    nodes: list[Document] = []
    places = _places(opened)
    edges: set[tuple[str, str]] = set()
    for kind, rows in (
        ("account", project.accounts), ("upload", project.uploads), ("table", project.tables),
        ("message", project.messages), ("audience", project.audiences), ("delivery", project.deliveries),
        ("policy", project.policies),
    ):  # fmt: skip
        for row in rows:
            nodes.append(_node(kind, row, places.get((kind, row.name))))
    for delivery in project.deliveries:
        edges |= {(f"delivery.{delivery.name}", f"message.{name}") for name in delivery.messages}
        edges |= {(f"delivery.{delivery.name}", f"policy.{name}") for name in delivery.policies}
    edges |= set(_uses(opened))
    return {
        "kind": "audsql.graph",
        "format_version": "1.0",
        "nodes": nodes,
        "edges": [{"from": source, "to": target} for source, target in sorted(edges)],
    }


def _uses(opened: Opened) -> Iterator[tuple[str, str]]:
    """Which names each set expression of the specs mentions, as written."""
    assert opened.analysis is not None
    addresses = _addresses(opened.analysis.project)
    for file in opened.files:
        for statement in file.statements:
            if isinstance(statement, ast.Audience):
                yield from _mentions(f"audience.{statement.name.text}", statement.expression, addresses)
            elif isinstance(statement, ast.Policy):
                for rule in statement.rules:
                    if isinstance(rule, ast.ExcludeRule | ast.RequireRule):
                        yield from _mentions(f"policy.{statement.name.text}", rule.expression, addresses)
            elif isinstance(statement, ast.Block) and statement.kind == "delivery":
                for entry in statement.entries:
                    if isinstance(entry.value, ast.Reference | ast.Call | ast.Not | ast.Paren | ast.Chain):
                        yield from _mentions(f"delivery.{statement.name.text}", entry.value, addresses)


def _addresses(project: Project) -> dict[str, str]:
    found = {row.name: f"upload.{row.name}" for row in project.uploads}
    found |= {row.name: f"table.{row.name}" for row in project.tables}
    found |= {verb.name: f"table.{row.name}" for row in project.tables for verb in row.verbs}
    found |= {row.name: f"audience.{row.name}" for row in project.audiences}
    return found | {row.name: f"delivery.{row.name}" for row in project.deliveries}


def _mentions(source: str, expression: ast.Expression, addresses: dict[str, str]) -> Iterator[tuple[str, str]]:
    for node in walk(expression):
        names = [node.name.text] if isinstance(node, ast.Reference | ast.Call) else []
        if isinstance(node, ast.Call) and node.name.text in ("uploaded", "linked", "clicked", "opened", "received"):
            names = [value.text for value in node.arguments.values[:1] if isinstance(value, ast.Word | ast.Text)]
        yield from ((source, addresses[name]) for name in names if name in addresses)


def _places(opened: Opened) -> dict[tuple[str, str], Span]:
    """Where each statement stands, whole, by kind and name."""
    found: dict[tuple[str, str], Span] = {}
    for file in opened.files:
        for statement in file.statements:
            if isinstance(statement, ast.Block):
                found[statement.kind, statement.name.text] = statement.span
            elif isinstance(statement, ast.Audience | ast.Policy):
                found[type(statement).__name__.lower(), statement.name.text] = statement.span
    return found


def _node(kind: str, row: Any, whole: Span | None) -> Document:
    span = whole or row.span
    return {
        "address": f"{kind}.{row.name}",
        "kind": kind,
        "name": row.name,
        "text": getattr(row, "text", None) or getattr(row, "to_text", None) or "",
        "reach": "",
        "description": getattr(row, "description", ""),
        "path": span.path if span else None,
        "start": span.start if span else 0,
        "end": span.end if span else 0,
    }


def doctor(opened: Opened | None) -> Document:
    """What works here. Tokens are looked for, never shown."""
    checks = [
        _check("python", "ok", "doctor.version", text=platform.python_version()),
        _check("platform", "ok", "doctor.version", text=sys.platform),
        _grammar(),
    ]
    if opened is not None and opened.config is not None:
        problems = check(opened)
        bad = sum(one.severity == "error" for one in problems)
        checks.append(_check("project", "error" if bad else "ok", "doctor.problems", count=bad))
        checks += _accounts(opened)
        state, found = state_of(opened)
        if state is None:
            checks.append(_check("state", "error", "doctor.code", code=found[0].code))
        else:
            checks.append(_check("state", "ok", "doctor.serial", serial=state.serial))
    return {"kind": "audsql.doctor", "format_version": "1.0", "checks": checks}


def _check(name: str, status: str, detail: str, **facts: Any) -> Document:
    """`detail` is a word of the catalogue, `facts` what stands in it."""
    return {"name": name, "status": status, "detail": detail, "facts": facts}


def _grammar() -> Document:
    from audsql.syntax.parse import parse_expression

    _, problems = parse_expression("friends")
    bad = has_errors(problems)
    return _check("grammar", "error" if bad else "ok", "doctor.problems", count=len(problems))


def _accounts(opened: Opened) -> list[Document]:
    assert opened.analysis is not None and opened.config is not None
    rows = []
    for account in opened.analysis.project.accounts:
        endpoint = opened.config.endpoints.get(account.name)
        name, variable = f"account {account.name}", account.token_variable
        if endpoint is None:
            rows.append(_check(name, "warning", "doctor.no_endpoint", account=account.name))
        elif not os.environ.get(variable):
            rows.append(_check(name, "warning", "doctor.no_token", endpoint=endpoint, variable=variable))
        else:
            rows.append(_check(name, "ok", "doctor.account", endpoint=endpoint, variable=variable))
    return rows
