"""`audsql eval`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.console import emit
from audsql.cli.exits import Code, code_of
from audsql.cli.options import as_of_option, format_option, open_project, parse_as_of, project_options, report_opened

__all__ = ["command"]


@click.command("eval")
@click.argument("expression")
@project_options
@as_of_option
@format_option("human", "json")
@click.option(
    "--members", metavar="FILE", type=click.Path(path_type=Path), help="Write the ids to a file (own data only)."
)
@click.pass_context
def command(
    ctx: click.Context,
    expression: str,
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
    members: Path | None,
) -> None:
    """Count the people of a set EXPRESSION.

    Policies are not applied. Where LINE holds a part of the answer, bounds are given.
    """
    from audsql import session
    from audsql.view.results import evaluation
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    moment = parse_as_of(as_of, opened.config.timezone)
    document, diagnostics = session.evaluate(opened, expression, moment, members)
    report_opened(console, opened, diagnostics)
    if document is None:
        ctx.exit(code_of(diagnostics) or Code.ERROR)
    emit(document_bytes(document) if output_format == "json" else evaluation(document, console.out))
    ctx.exit(code_of(diagnostics))
