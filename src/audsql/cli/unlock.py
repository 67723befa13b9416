"""`audsql unlock`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.options import finish_stated, format_option, open_project, project_options

__all__ = ["command"]


@click.command("unlock")
@click.argument("lock_id", metavar="ID")
@click.option("--force", is_flag=True, help="Also where the lock has not expired: its holder may still be at work.")
@project_options
@format_option("human", "json")
@click.pass_context
def command(
    ctx: click.Context,
    lock_id: str,
    force: bool,
    project: Path,
    env: str | None,
    lang: str | None,
    output_format: str,
) -> None:
    """End the lock with this ID, which `audsql lock show` tells. Its holder cannot write any more."""
    from audsql.session import stating

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, stating.unlock(opened, lock_id, force=force), opened, console, output_format)
