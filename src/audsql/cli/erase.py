"""`audsql erase`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from audsql.cli.app import Refusal
from audsql.cli.console import emit
from audsql.cli.options import format_option, open_project, project_options, report_opened
from audsql.diag import error, warning

__all__ = ["command"]

_INPUT_CHARACTERS_MAX = 1 << 20


@click.command("erase")
@click.argument("person_id", metavar="[ID]", required=False)
@click.option("--id-from-stdin", is_flag=True, help="Read the person's ids from standard input, one a line.")
@project_options
@format_option("human", "json")
@click.pass_context
def command(
    ctx: click.Context,
    person_id: str | None,
    id_from_stdin: bool,
    project: Path,
    env: str | None,
    lang: str | None,
    output_format: str,
) -> None:
    """Remove a person from everything that audsql keeps, for good, and print a certificate without the id.

    What is typed on a command line is seen by other users of the machine and kept in the shell's history: give ids
    by standard input.
    """
    from audsql.session import erasing
    from audsql.view.erased import human
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    if id_from_stdin == (person_id is not None):
        raise Refusal([error("AUD0662", None)], code=64)
    lines = [person_id] if person_id is not None else sys.stdin.read(_INPUT_CHARACTERS_MAX).splitlines()
    outcome = erasing.erase(opened, [line for line in lines if line.strip()])
    seen = [warning("AUD0668", None)] if person_id is not None else []
    report_opened(console, opened, (*outcome.diagnostics, *seen))
    if outcome.document is not None:
        as_json = output_format == "json"
        emit(document_bytes(outcome.document) if as_json else human(outcome.document, console.out))
    ctx.exit(outcome.exit_code)
