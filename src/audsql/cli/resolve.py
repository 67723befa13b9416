"""`audsql resolve`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.apply import finish
from audsql.cli.options import format_option, open_project, project_options, reason_option, stated_reason

__all__ = ["command"]


@click.command("resolve")
@click.argument("operation_id", metavar="OPERATION")
@click.argument("verdict", type=click.Choice(["sent", "not-sent"]))
@reason_option()
@project_options
@format_option("human", "json")
@click.pass_context
def command(
    ctx: click.Context,
    operation_id: str,
    verdict: str,
    reason: str,
    project: Path,
    env: str | None,
    lang: str | None,
    output_format: str,
) -> None:
    """Settle a send that is in doubt, by what you found out.

    OPERATION is an id that `audsql status` shows, the name of a delivery, or flow.NAME.
    """
    from audsql import session

    stated_reason(reason, "resolve")
    opened, console = open_project(project, env, lang)
    finish(ctx, session.resolve(opened, operation_id, verdict, reason), opened, console, output_format)
