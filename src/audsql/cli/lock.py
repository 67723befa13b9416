"""`audsql lock`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.options import finish_stated, format_option, open_project, project_options

__all__ = ["command"]


@click.group("lock")
def command() -> None:
    """Look at the lock of the state."""


@command.command("show")
@project_options
@format_option("human", "json")
@click.pass_context
def show(ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Show who holds the state, since when, for what, and until when."""
    from audsql.session import stating

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, stating.lock(opened), opened, console, output_format)
