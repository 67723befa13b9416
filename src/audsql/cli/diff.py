"""`audsql diff`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.console import emit, report
from audsql.cli.exits import Code, code_of
from audsql.cli.options import (
    as_of_option,
    format_option,
    given_variables,
    open_project,
    parse_as_of,
    project_options,
)

__all__ = ["command"]


@click.command("diff")
@click.option("--base", metavar="REV|DIR", help="Git revision or folder to compare with; default: HEAD.")
@project_options
@as_of_option
@format_option("human", "json", "markdown")
@click.option("--counts", is_flag=True, help="Count the people who come and go, over own data.")
@click.option("--exit-code", "exit_code", is_flag=True, help="Exit 2 if there are changes.")
@click.pass_context
def command(
    ctx: click.Context,
    base: str | None,
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
    counts: bool,
    exit_code: bool,
) -> None:
    """Show what changed in meaning since a Git revision, or against another folder.

    Each audience, delivery and policy that became narrower, wider or another set, who comes and who goes.
    An edit that means the same is no change.
    """
    from audsql import session
    from audsql.view import diff
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    moment = parse_as_of(as_of, opened.config.timezone)
    outcome = session.diff(opened, base, variables=given_variables(), counts=counts, as_of=moment)
    report(console, outcome.diagnostics, outcome.texts)
    if outcome.document is None:
        ctx.exit(code_of(outcome.diagnostics) or Code.ERROR)
    match output_format:
        case "json":
            emit(document_bytes(outcome.document))
        case "markdown":
            emit(diff.markdown(outcome.document, console.language, opened.config.floor))
        case _:
            emit(diff.human(outcome.document, console.out))
    ctx.exit(Code.CHANGES if exit_code and outcome.document["changes"] else Code.DONE)
