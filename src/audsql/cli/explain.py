"""`audsql explain`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from audsql.cli.app import Refusal
from audsql.cli.console import Console, emit, make_console
from audsql.cli.options import format_option, open_project, project_options, report_opened, texts_of
from audsql.diag import error

__all__ = ["command"]


@click.command("explain")
@click.argument("subject", metavar="CODE|NAME")
@project_options
@format_option("human", "json")
def command(subject: str, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Explain a message CODE, or a NAME of the project.

    A code stands in brackets in a message, as in error[AUD0201]. A name is shown with its definition,
    what it uses and what uses it.
    """
    if re.fullmatch(r"[Aa][Uu][Dd]\d+", subject):
        console = make_console(lang)
        document = _of_code(subject.upper(), console.language)
    else:
        opened, console = open_project(project, env, lang)
        report_opened(console, opened, opened.diagnostics)
        document = _of_name(subject, opened)
    _show(document, output_format, console)


def _show(document: dict[str, Any], output_format: str, console: Console) -> None:
    from audsql.view.results import explanation
    from audsql.view.terminal import document_bytes

    emit(document_bytes(document) if output_format == "json" else explanation(document, console.out))


def _of_code(code: str, language: str) -> dict[str, Any]:
    from audsql import catalog
    from audsql.near import nearest

    try:
        entry = catalog.entry(code)
    except KeyError:
        raise Refusal([error("AUD0041", None, wanted=code, near=nearest(code, catalog.codes()))]) from None
    texts = entry.text(language)
    sample = {"bad": entry.sample.bad, "good": entry.sample.good} if entry.sample else None
    return {
        "format_version": "1.0",
        "code": code,
        "kind": entry.kind,
        "since": entry.since,
        "rule": entry.rule,
        "title": re.sub(r"\{[a-z_0-9]+\}", "...", texts.title),
        "explain": texts.explain.strip(),
        "sample": sample,
    }


def _of_name(name: str, opened: Any) -> dict[str, Any]:
    """How an audience or a delivery is built, and what it needs and is needed by."""
    from audsql import session
    from audsql.near import nearest

    document = session.graph(opened)
    nodes = {node["name"]: node for node in document["nodes"]}
    if name not in nodes:
        known = tuple(sorted(nodes))
        raise Refusal([error("AUD0042", None, name=name, near=nearest(name, known), known=known)], texts_of(opened))
    node = nodes[name]
    edges = document["edges"]
    return {
        "format_version": "1.0",
        **node,
        "uses": sorted({edge["to"] for edge in edges if edge["from"] == node["address"]}),
        "used_by": sorted({edge["from"] for edge in edges if edge["to"] == node["address"]}),
    }
