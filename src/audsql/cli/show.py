"""`audsql show`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from audsql.cli.app import Refusal
from audsql.cli.console import make_console
from audsql.cli.options import format_option, language_option
from audsql.cli.plan import show_plan
from audsql.diag import Diagnostic, error

__all__ = ["command", "read_plan"]


@click.command("show")
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@language_option
@format_option("human", "json", "markdown")
def command(plan_file: Path, lang: str | None, output_format: str) -> None:
    """Show a saved PLAN; nothing else is read."""
    show_plan(read_plan(plan_file), output_format, make_console(lang))


def read_plan(path: Path) -> dict[str, object]:
    """The document of a plan file.

    Raises Refusal where the file cannot be read or is no whole plan.
    """
    from audsql.plan.document import parse_plan

    problems: tuple[Diagnostic, ...]
    try:
        document, problems = parse_plan(path.read_bytes(), str(path))
    except OSError as problem:
        reason = os.strerror(problem.errno or 0)
        raise Refusal([error("AUD0005", None, path=str(path), reason=reason)]) from None
    if document is None:
        raise Refusal(problems)
    return document
