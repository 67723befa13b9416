"""`audsql run`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.apply import finish, progress
from audsql.cli.options import (
    as_of_option,
    format_option,
    lock_timeout_option,
    open_project,
    override_options,
    overrides,
    parse_as_of,
    project_options,
)

__all__ = ["command"]


@click.command("run")
@project_options
@as_of_option
@format_option("human", "json")
@override_options
@lock_timeout_option
@click.pass_context
def command(
    ctx: click.Context,
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
    accept_shrunk: tuple[str, ...],
    reason: str,
    lock_seconds: float,
) -> None:
    """Send what was approved and is due now, once."""
    from audsql import session

    opened, console = open_project(project, env, lang)
    moment = parse_as_of(as_of, opened.config.timezone)
    options = session.ApplyOptions(
        moment, None, overrides(accept_shrunk, reason), reason, progress(console), lock_seconds=lock_seconds
    )
    finish(ctx, session.run_due(opened, options), opened, console, output_format)
