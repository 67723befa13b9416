"""`audsql apply`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from audsql.cli.app import Refusal
from audsql.cli.console import Console, emit, say
from audsql.cli.exits import Code, code_of
from audsql.cli.options import (
    as_of_option,
    format_option,
    open_project,
    override_options,
    overrides,
    parse_as_of,
    policy_option,
    project_options,
    prune_option,
    report_opened,
)
from audsql.diag import error

__all__ = ["command", "finish", "progress"]


@click.command("apply")
@click.argument("plan_file", metavar="[PLAN]", required=False, type=click.Path(path_type=Path))
@project_options
@as_of_option
@format_option("human", "json")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@override_options
@policy_option
@prune_option
@click.option("--expect", metavar="DIGEST", help="Refuse unless the plan has this digest.")
@click.pass_context
def command(
    ctx: click.Context,
    plan_file: Path | None,
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
    auto_approve: bool,
    expect: str | None,
    accept_shrunk: tuple[str, ...],
    accept_policy: tuple[str, ...],
    prune: bool,
    reason: str,
) -> None:
    """Carry out a plan on LINE, once.

    A saved PLAN was reviewed when it was made and is applied as it is; without one, a new plan is shown
    and asked about.
    """
    accepted, policies = overrides(accept_shrunk, reason), overrides(accept_policy, reason, "--accept-policy")
    if plan_file is not None and (as_of is not None or prune):
        raise Refusal([error("AUD0051", None, option="--prune" if prune else "--as-of")])
    if plan_file is None and not auto_approve and not sys.stdin.isatty():
        raise Refusal([error("AUD0050", None)])
    saved = _read(plan_file) if plan_file is not None else None
    from audsql import session

    opened, console = open_project(project, env, lang)
    moment = parse_as_of(as_of, opened.config.timezone)
    document = saved
    if document is None:
        choice = session.PlanOptions(accepted, policies, prune)
        document = _plan(ctx, opened, moment, choice, console, output_format, auto_approve)
    options = session.ApplyOptions(moment, expect, accepted, reason, progress(console), policies, prune)
    finish(ctx, session.apply(opened, document, options), opened, console, output_format)


def _read(path: Path) -> dict[str, Any]:
    from audsql.cli.show import read_plan

    return read_plan(path)


def _plan(
    ctx: click.Context,
    opened: Any,
    moment: Any,
    choice: Any,
    console: Console,
    output_format: str,
    auto_approve: bool,
) -> dict[str, Any]:
    """A new plan, shown and approved; the command ends here where there is none to apply."""
    from audsql import session
    from audsql.catalog import word
    from audsql.view.plan import human

    outcome = session.plan(opened, moment, choice)
    report_opened(console, opened, outcome.diagnostics)
    document: dict[str, Any] | None = outcome.document
    if document is None:
        ctx.exit(code_of(outcome.diagnostics) or Code.ERROR)
    if output_format == "json":
        say(human(document, console.err, reported=True))
    else:
        emit(human(document, console.out, reported=True))
    if not document["applyable"]:
        ctx.exit(Code.REFUSED)
    if document["summary"]["changes"] and not auto_approve:
        answer = click.prompt(word("apply.ask", console.language), default="", show_default=False, err=True)
        if answer.strip() != "yes":
            say(word("apply.declined", console.language) + "\n")
            ctx.exit(Code.REFUSED)
    return document


def progress(console: Console) -> Any:
    """Called with each event of an apply; one line each on stderr."""
    from audsql.view.applied import event_line

    def show(event: dict[str, Any]) -> None:
        line = event_line(event, console.err)
        if line:
            say(line + "\n")

    return show


def finish(ctx: click.Context, outcome: Any, opened: Any, console: Console, output_format: str) -> None:
    """Diagnostics, then the result document, then the exit code that the hall chose."""
    from audsql.view.applied import result
    from audsql.view.terminal import document_bytes

    report_opened(console, opened, outcome.diagnostics)
    if outcome.document is not None:
        as_json = output_format == "json"
        emit(document_bytes(outcome.document) if as_json else result(outcome.document, console.out))
    ctx.exit(outcome.exit_code)
