"""`audsql state`: what is remembered, looked at and mended by a person."""

from __future__ import annotations

import os
from pathlib import Path

import click

from audsql.cli.app import Refusal
from audsql.cli.console import emit, write_file
from audsql.cli.options import finish_stated, format_option, open_project, project_options, reason_option, report_opened
from audsql.diag import error

__all__ = ["command"]


@click.group("state")
def command() -> None:
    """Look at the state, and mend it."""


@command.command("list")
@click.argument("prefix", metavar="[PREFIX]", default="")
@project_options
@format_option("human", "json")
@click.pass_context
def list_(
    ctx: click.Context, prefix: str, project: Path, env: str | None, lang: str | None, output_format: str
) -> None:
    """List what is remembered, a line each: uploads, audiences at LINE, deliveries, last sizes."""
    from audsql.session import stating

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, stating.listed(opened, prefix), opened, console, output_format)


@command.command("show")
@click.argument("address", metavar="ADDRESS")
@project_options
@format_option("human", "json")
@click.pass_context
def show(
    ctx: click.Context, address: str, project: Path, env: str | None, lang: str | None, output_format: str
) -> None:
    """Show everything that is remembered under ADDRESS (see `state list`)."""
    from audsql.session import stating

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, stating.shown(opened, address), opened, console, output_format)


@command.command("mv")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@reason_option()
@project_options
@format_option("human", "json")
@click.pass_context
def move(
    ctx: click.Context,
    old: str,
    new: str,
    reason: str,
    project: Path,
    env: str | None,
    lang: str | None,
    output_format: str,
) -> None:
    """Let what is remembered of a delivery or an audience go on under another name.

    OLD and NEW are addresses such as `delivery.sale`. A `moved` statement does the same, in review.
    """
    from audsql.session import stating

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, stating.move(opened, old, new, reason), opened, console, output_format)


@command.command("rm")
@click.argument("address", metavar="ADDRESS")
@reason_option()
@project_options
@format_option("human", "json")
@click.pass_context
def remove(
    ctx: click.Context,
    address: str,
    reason: str,
    project: Path,
    env: str | None,
    lang: str | None,
    output_format: str,
) -> None:
    """Leave an upload or audience alone that LINE holds, for good; nothing is deleted at LINE."""
    from audsql.session import stating

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, stating.forget(opened, address, reason), opened, console, output_format)


@command.command("pull")
@project_options
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Write it there, whole or not at all.")
@click.pass_context
def pull(ctx: click.Context, project: Path, env: str | None, lang: str | None, out: Path | None) -> None:
    """Print the whole state as one JSON document, to keep or to `state push` elsewhere."""
    from audsql.session import stating
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    outcome = stating.pull(opened)
    report_opened(console, opened, outcome.diagnostics)
    if outcome.document is not None:
        text = document_bytes(outcome.document)
        problems = write_file(out, text.encode()) if out is not None else ()
        if out is None:
            emit(text)
        if problems:
            raise Refusal(problems)
    ctx.exit(outcome.exit_code)


@command.command("push")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@project_options
@format_option("human", "json")
@click.pass_context
def push(ctx: click.Context, file: Path, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Put a document of `state pull` in place of the state.

    It must be a later one of the same history, or there must be no state yet. So a state moves from a file to a
    server, or comes back from a backup after it was lost.
    """
    from audsql.session import stating

    try:
        content = file.read_bytes()
    except OSError as problem:
        raise Refusal([error("AUD0005", None, path=str(file), reason=os.strerror(problem.errno or 0))]) from None
    opened, console = open_project(project, env, lang)
    finish_stated(ctx, stating.push(opened, content, str(file)), opened, console, output_format)


@command.command("repair")
@click.option("--dry-run", is_flag=True, help="Say what would be kept and lost; change nothing.")
@project_options
@format_option("human", "json")
@click.pass_context
def repair(
    ctx: click.Context, dry_run: bool, project: Path, env: str | None, lang: str | None, output_format: str
) -> None:
    """Make a damaged state usable: keep what can be trusted, list what is lost.

    The damaged state is kept beside. What may have been sent and is no longer certain is in doubt from then on.
    """
    from audsql.session import mending

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, mending.repair(opened, dry_run=dry_run), opened, console, output_format)


@command.command("upgrade")
@project_options
@format_option("human", "json")
@click.pass_context
def upgrade(ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Bring a state of an earlier format to the format of this version; the earlier one is kept beside."""
    from audsql.session import mending

    opened, console = open_project(project, env, lang)
    finish_stated(ctx, mending.upgrade(opened), opened, console, output_format)
