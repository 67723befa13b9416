"""`audsql pause`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audsql.cli.app import Refusal
from audsql.cli.console import Console, emit
from audsql.cli.options import format_option, open_project, project_options, report_opened
from audsql.diag import error

__all__ = ["command", "finish_paused"]


@click.command("pause")
@click.argument("delivery", metavar="[DELIVERY]", required=False)
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the history and shown until it is resumed.")
@project_options
@format_option("human", "json")
@click.pass_context
def command(
    ctx: click.Context,
    delivery: str | None,
    reason: str,
    project: Path,
    env: str | None,
    lang: str | None,
    output_format: str,
) -> None:
    """Let nothing leave for LINE, or nothing of DELIVERY, until `audsql resume`.

    It also stops an apply that is at work, before its next request. What LINE accepted cannot be called back.
    """
    from audsql.session import operating

    if not reason.strip():
        raise Refusal([error("AUD0052", None, option="pause")])
    opened, console = open_project(project, env, lang)
    finish_paused(ctx, operating.pause(opened, delivery, reason), opened, console, output_format)


def finish_paused(ctx: click.Context, outcome: Any, opened: Any, console: Console, output_format: str) -> None:
    """Diagnostics, the document in the wanted form, the exit code."""
    from audsql.view.operated import paused
    from audsql.view.terminal import document_bytes

    report_opened(console, opened, outcome.diagnostics)
    if outcome.document is not None:
        as_json = output_format == "json"
        emit(document_bytes(outcome.document) if as_json else paused(outcome.document, console.out))
    ctx.exit(outcome.exit_code)
