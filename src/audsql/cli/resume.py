"""`audsql resume`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.options import finish_stated, format_option, open_project, project_options, reason_option

__all__ = ["command"]


@click.command("resume")
@click.argument("delivery", metavar="[DELIVERY]", required=False)
@reason_option(required=False)
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
    """End the pause of everything, or that of DELIVERY (a name, or flow.NAME).

    Nothing is sent by this; `audsql run` sends what is due and still within its window.
    """
    from audsql.session import operating
    from audsql.view.operated import paused

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, operating.resume(opened, delivery, reason), opened, console, output_format, paused)
