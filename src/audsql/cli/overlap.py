"""`audsql overlap`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from audsql.cli.console import emit
from audsql.cli.exits import Code, code_of
from audsql.cli.options import as_of_option, format_option, open_project, parse_as_of, project_options, report_opened

__all__ = ["command"]


@click.command("overlap")
@click.argument("sets", nargs=-1, metavar="[NAME|EXPRESSION]...")
@project_options
@as_of_option
@format_option("text", "markdown", "json")
@click.option("--exact", is_flag=True, help="Hide no small counts in Markdown, in JSON and in CI.")
@click.option(
    "--top", metavar="N", type=click.IntRange(min=0), default=20, show_default=True, help="List so many rows of each."
)
@click.pass_context
def command(
    ctx: click.Context,
    sets: tuple[str, ...],
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
    exact: bool,
    top: int,
) -> None:
    """Show how many people sets share: each pair, and who is in exactly which of them.

    Without a name, all audiences of the project. Policies are not applied. Where LINE holds a part of the answer,
    bounds are given.
    """
    from audsql import session
    from audsql.view import overlapped
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    moment = parse_as_of(as_of, opened.config.timezone)
    # What a terminal shows is its owner's; all else is read by others.
    shared = output_format != "text" or bool(os.environ.get("CI"))
    floor = opened.config.floor if shared and not exact else 0
    document, diagnostics = session.overlap(opened, sets, moment, floor=floor, top=top)
    report_opened(console, opened, diagnostics)
    if document is None:
        ctx.exit(code_of(diagnostics) or Code.ERROR)
    match output_format:
        case "json":
            emit(document_bytes(document))
        case "markdown":
            emit(overlapped.markdown(document, console.language))
        case _:
            emit(overlapped.human(document, console.out))
    ctx.exit(code_of(diagnostics))
