"""`audsql flow`: who stands where in a flow, what it will do, and its steps as a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.options import (
    as_of_option,
    finish_stated,
    format_option,
    open_project,
    parse_as_of,
    project_options,
)

__all__ = ["command"]


@click.group("flow")
def command() -> None:
    """Look at a flow: who is where, what will happen, how to set it up by hand."""


@command.command("show")
@click.argument("name", metavar="NAME")
@project_options
@format_option("human", "json")
@click.pass_context
def show(ctx: click.Context, name: str, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Show who stands where in a flow, as counts, and what is due when. LINE is not asked."""
    from audsql.session import flowing
    from audsql.view import flow

    opened, console = open_project(project, env, lang, meaning_only=True)
    finish_stated(ctx, flowing.shown(opened, name), opened, console, output_format, flow.shown)


@command.command("play")
@click.argument("name", metavar="NAME")
@click.option("--days", metavar="N", type=int, default=30, show_default=True, help="How many days are played.")
@project_options
@as_of_option
@format_option("human", "json")
@click.pass_context
def play(
    ctx: click.Context,
    name: str,
    days: int,
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
) -> None:
    """Play a flow on a clock of its own over the data at hand, and print its timeline. Nothing is sent or kept.

    The clock begins now, or at `--as-of`: from an earlier instant on, rows and follows of that time are played.
    """
    from audsql.session import flow_play
    from audsql.view import flow

    opened, console = open_project(project, env, lang, meaning_only=True)
    moment = parse_as_of(as_of, opened.config.timezone)
    finish_stated(ctx, flow_play.play(opened, name, days, moment), opened, console, output_format, flow.played)


@command.command("export")
@click.argument("name", metavar="NAME")
@project_options
@format_option("human", "json")
@click.pass_context
def export(ctx: click.Context, name: str, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Print the steps as a recipe for LINE Official Account Manager, and what it cannot do."""
    from audsql.session import flowing
    from audsql.view import flow

    opened, console = open_project(project, env, lang, meaning_only=True)
    finish_stated(ctx, flowing.exported(opened, name), opened, console, output_format, flow.recipe)
