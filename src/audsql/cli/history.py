"""`audsql history`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.options import finish_stated, format_option, open_project, project_options

__all__ = ["command"]


@click.command("history")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), default=20, show_default=True, help="At most N.")
@project_options
@format_option("human", "json")
@click.pass_context
def command(
    ctx: click.Context, limit: int, project: Path, env: str | None, lang: str | None, output_format: str
) -> None:
    """Show what was applied and what people decided, the newest first."""
    from audsql.session import past

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, past.history(opened, limit), opened, console, output_format)
