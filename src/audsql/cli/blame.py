"""`audsql blame`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.options import finish_stated, format_option, open_project, project_options

__all__ = ["command"]


@click.command("blame")
@click.argument("name", metavar="NAME")
@project_options
@format_option("human", "json")
@click.pass_context
def command(
    ctx: click.Context, name: str, project: Path, env: str | None, lang: str | None, output_format: str
) -> None:
    """Show which applies changed what is remembered of an audience or a delivery, the newest first.

    NAME is its name, or `audience.NAME` or `delivery.NAME` where both exist.
    """
    from audsql.session import past

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, past.blame(opened, name), opened, console, output_format)
