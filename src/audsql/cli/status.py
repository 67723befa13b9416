"""`audsql status`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.console import emit
from audsql.cli.options import format_option, open_project, project_options, report_opened
from audsql.diag import has_errors

__all__ = ["command"]


@click.command("status")
@project_options
@format_option("human", "json")
@click.pass_context
def command(ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Show what was sent, is due, or needs a person."""
    from audsql import session
    from audsql.view.applied import status
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    document, problems, code = session.status(opened)
    report_opened(console, opened, problems)
    if output_format == "json":
        emit(document_bytes(document))
    elif not has_errors(problems):
        emit(status(document, console.out))
    ctx.exit(code)
