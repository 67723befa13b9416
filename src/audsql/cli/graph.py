"""`audsql graph`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.console import emit
from audsql.cli.exits import code_of
from audsql.cli.options import format_option, open_project, project_options, report_opened

__all__ = ["command"]


@click.command("graph")
@project_options
@format_option("human", "json", "dot")
@click.pass_context
def command(ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Show what depends on what."""
    from audsql import session
    from audsql.view import graph
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    report_opened(console, opened, opened.diagnostics)
    document = session.graph(opened)
    match output_format:
        case "json":
            emit(document_bytes(document))
        case "dot":
            emit(graph.dot(document))
        case _:
            emit(graph.human(document, console.out))
    ctx.exit(code_of(opened.diagnostics))
