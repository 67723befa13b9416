"""`audsql report`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.console import emit
from audsql.cli.options import format_option, open_project, project_options, report_opened

__all__ = ["command"]


@click.command("report")
@click.argument("delivery", metavar="DELIVERY")
@project_options
@format_option("human", "json")
@click.pass_context
def command(
    ctx: click.Context, delivery: str, project: Path, env: str | None, lang: str | None, output_format: str
) -> None:
    """Show how many got, opened and clicked DELIVERY, as LINE tells it now. Few people are no number."""
    from audsql.session import reporting
    from audsql.view.operated import report
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    document, problems, code = reporting.report(opened, delivery)
    report_opened(console, opened, problems)
    if document is not None:
        emit(document_bytes(document) if output_format == "json" else report(document, console.out))
    ctx.exit(code)
