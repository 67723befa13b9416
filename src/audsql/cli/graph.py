"""`audsql graph`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audsql.cli.app import Refusal
from audsql.cli.console import emit
from audsql.cli.exits import code_of
from audsql.cli.options import format_option, open_project, project_options, report_opened, texts_of
from audsql.diag import error

__all__ = ["command"]


@click.command("graph")
@project_options
@format_option("human", "json", "dot", "mermaid")
@click.option("--focus", metavar="NAME", help="Only this, what it needs and what needs it.")
@click.pass_context
def command(
    ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str, focus: str | None
) -> None:
    """Show what depends on what."""
    from audsql import session
    from audsql.view import graph
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    report_opened(console, opened, opened.diagnostics)
    document = session.graph(opened, None if focus is None else _address(focus, opened))
    match output_format:
        case "json":
            emit(document_bytes(document))
        case "dot":
            emit(graph.dot(document))
        case "mermaid":
            emit(graph.mermaid(document))
        case _:
            emit(graph.human(document, console.out))
    ctx.exit(code_of(opened.diagnostics))


def _address(name: str, opened: Any) -> str:
    """The address of a declared name, of a verb that of its table. Raises Refusal (AUD0042) for an unknown one."""
    from audsql.near import nearest_name
    from audsql.session.graphs import resolved

    symbols = opened.analysis.scope.symbols
    found = resolved(symbols, name)
    if found is None and name in opened.analysis.scope.verbs:
        found = f"table.{opened.analysis.scope.verbs[name].table}"
    if found is None:
        known = tuple(sorted({*symbols.names, *symbols.policies, *symbols.accounts}))
        near = nearest_name(name, known)
        raise Refusal([error("AUD0042", None, name=name, near=near, known=known[:30])], texts_of(opened))
    return found
