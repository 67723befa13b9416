"""`audsql import`: a spec for an account that exists already."""

from __future__ import annotations

import os
from pathlib import Path

import click

from audsql.cli.app import Refusal
from audsql.cli.console import emit, say, write_file
from audsql.cli.exits import Code, code_of
from audsql.cli.options import open_project, project_options, report_opened
from audsql.diag import error

__all__ = ["command"]


@click.command("import")
@project_options
@click.option("--account", metavar="NAME", help="Which account, where the project has several.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Default: imported_NAME.aud.")
@click.option("--dry-run", is_flag=True, help="Print the spec and write nothing.")
@click.pass_context
def command(
    ctx: click.Context,
    project: Path,
    env: str | None,
    lang: str | None,
    account: str | None,
    out: Path | None,
    dry_run: bool,
) -> None:
    """Write a spec for the audiences that an account at LINE has already.

    Reads LINE and changes nothing there. What the language cannot say is listed in a comment, with the reason.
    """
    from audsql.catalog import word
    from audsql.session import importing

    opened, console = open_project(project, env, lang)
    outcome = importing.import_account(opened, account, console.language)
    report_opened(console, opened, outcome.diagnostics)
    if outcome.text is None:
        ctx.exit(code_of(outcome.diagnostics) or Code.ERROR)
    if dry_run:
        emit(outcome.text)
        ctx.exit(Code.DONE)
    target = out if out is not None else project / importing.default_path(outcome.account)
    if os.path.lexists(target):
        raise Refusal([error("AUD0816", None, path=str(target))])
    problems = write_file(target, outcome.text.encode())
    if problems:
        raise Refusal(problems)
    facts = {"audiences": outcome.audiences, "sends": outcome.sends, "left_out": outcome.left_out}
    say(word("import.done", console.language, path=str(target), **facts) + "\n")
