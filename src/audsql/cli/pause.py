"""`audsql pause`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.options import (
    finish_stated,
    format_option,
    open_project,
    project_options,
    reason_option,
    stated_reason,
)

__all__ = ["command"]


@click.command("pause")
@click.argument("delivery", metavar="[DELIVERY]", required=False)
@reason_option()
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
    """Let nothing leave for LINE, or nothing of DELIVERY (a name, or flow.NAME), until `audsql resume`.

    It also stops an apply that is at work, before its next request. What LINE accepted cannot be called back.
    """
    from audsql.session import operating
    from audsql.view.operated import paused

    stated_reason(reason, "pause")
    opened, console = open_project(project, env, lang)
    finish_stated(ctx, operating.pause(opened, delivery, reason), opened, console, output_format, paused)
