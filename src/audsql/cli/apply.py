"""`audsql apply`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from audsql.cli.app import Refusal
from audsql.cli.console import Console, emit, say
from audsql.cli.exits import Code, code_of
from audsql.cli.options import (
    as_of_option,
    format_option,
    lock_timeout_option,
    open_project,
    override_options,
    overrides,
    parse_as_of,
    policy_option,
    project_options,
    prune_option,
    report_opened,
    stated_reason,
)
from audsql.cli.plan import refuse_beside_refresh
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
@click.option(
    "--accept-restart",
    metavar="FLOW",
    multiple=True,
    help="Begin a flow anew though LINE knows its sends; with --reason.",
)
@click.option("--expect", metavar="DIGEST", help="Refuse unless the plan has this digest.")
@click.option("--rehearse", is_flag=True, help="Play it against a simulated copy of the account; send nothing.")
@click.option("--retry", metavar="DELIVERY", help="Send a delivery again that LINE says reached nobody.")
@click.option("--refresh-only", is_flag=True, help="Take what LINE holds into the state; change nothing at LINE.")
@lock_timeout_option
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
    retry: str | None,
    refresh_only: bool,
    accept_shrunk: tuple[str, ...],
    accept_policy: tuple[str, ...],
    accept_restart: tuple[str, ...],
    prune: bool,
    reason: str,
    rehearse: bool,
    lock_seconds: float,
) -> None:
    """Carry out a plan on LINE, once.

    A saved PLAN was reviewed when it was made and is applied as it is; without one, a new plan is shown
    and asked about.
    """
    accepted, policies = overrides(accept_shrunk, reason), overrides(accept_policy, reason, "--accept-policy")
    restarts = overrides(accept_restart, reason, "--accept-restart")
    if retry is not None:
        given = {"PLAN": plan_file, "--expect": expect, "--prune": prune, "--accept-policy": accept_policy}
        given |= {"--accept-restart": accept_restart}
        _check_retry({**given, "--rehearse": rehearse, "--refresh-only": refresh_only}, reason)
        _retry(ctx, open_project(project, env, lang), retry, reason, accepted, output_format)
    if plan_file is not None and (as_of is not None or prune):
        raise Refusal([error("AUD0051", None, option="--prune" if prune else "--as-of")])
    if plan_file is None and not auto_approve and not rehearse and not sys.stdin.isatty():
        raise Refusal([error("AUD0050", None)])
    if refresh_only:
        given = {"PLAN": plan_file, "--as-of": as_of, "--prune": prune, "--expect": expect}
        refuse_beside_refresh({**given, "--accept-shrunk": accept_shrunk, "--accept-policy": accept_policy})
        _refresh(ctx, *open_project(project, env, lang), output_format, auto_approve)
    saved = _read(plan_file) if plan_file is not None else None
    from audsql import session

    opened, console = open_project(project, env, lang)
    moment = parse_as_of(as_of, opened.config.timezone)
    document = saved
    if rehearse:
        options = session.ApplyOptions(moment, expect, accepted, reason, progress(console), policies, prune)
        options = replace(options, accept_restart=restarts)
        finish(ctx, session.rehearse(opened, document, options), opened, console, output_format)
    if document is None:
        choice = session.PlanOptions(accepted, policies, prune, restarts)
        document = _plan(ctx, opened, moment, choice, console, output_format, auto_approve)
    options = session.ApplyOptions(
        moment,
        expect,
        accepted,
        reason,
        progress(console),
        policies,
        prune,
        lock_seconds=lock_seconds,
        accept_restart=restarts,
    )
    finish(ctx, session.apply(opened, document, options), opened, console, output_format)


def _check_retry(others: dict[str, Any], reason: str) -> None:
    """A retry is approved by naming the delivery and saying why; it takes nothing else."""
    for option, given in others.items():
        if given:
            raise Refusal([error("AUD0885", None, option=option)])
    stated_reason(reason, "--retry")


def _retry(
    ctx: click.Context,
    place: tuple[Any, Console],
    delivery: str,
    reason: str,
    accepted: frozenset[str],
    output_format: str,
) -> NoReturn:
    """Try a delivery again. Ends the command."""
    from audsql import session
    from audsql.session import operating

    opened, console = place
    options = session.ApplyOptions(None, None, accepted, reason, progress(console))
    finish(ctx, operating.retry(opened, delivery, reason, options), opened, console, output_format)


def _read(path: Path) -> dict[str, Any]:
    from audsql.cli.show import read_plan

    return read_plan(path)


def _refresh(ctx: click.Context, opened: Any, console: Console, output_format: str, auto_approve: bool) -> NoReturn:
    """Show what LINE holds otherwise, ask, and remember it. Ends the command."""
    from audsql.catalog import word
    from audsql.session import refreshing
    from audsql.view.refreshed import human
    from audsql.view.terminal import document_bytes

    seen = refreshing.look(opened)
    report_opened(console, opened, seen.diagnostics)
    if seen.document is None:
        ctx.exit(code_of(seen.diagnostics) or Code.ERROR)
    if not auto_approve:
        say(human(seen.document, console.err))
        answer = click.prompt(word("refresh.ask", console.language), default="", show_default=False, err=True)
        if answer.strip() != "yes":
            say(word("apply.declined", console.language) + "\n")
            ctx.exit(Code.REFUSED)
    outcome = refreshing.remember(opened)
    report_opened(console, opened, outcome.diagnostics)
    if outcome.document is not None:
        emit(document_bytes(outcome.document) if output_format == "json" else human(outcome.document, console.out))
    ctx.exit(outcome.exit_code)


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
        code = code_of(outcome.diagnostics) or Code.ERROR
        report_opened(console, opened, _told(opened, code, outcome.diagnostics))
        ctx.exit(code)
    if output_format == "json":
        say(human(document, console.err, reported=True))
    else:
        emit(human(document, console.out, reported=True))
    if not document["applyable"]:
        report_opened(console, opened, _told(opened, Code.REFUSED, outcome.diagnostics))
        ctx.exit(Code.REFUSED)
    if document["summary"]["changes"] and not auto_approve:
        answer = click.prompt(word("apply.ask", console.language), default="", show_default=False, err=True)
        if answer.strip() != "yes":
            say(word("apply.declined", console.language) + "\n")
            ctx.exit(Code.REFUSED)
    return document


def _told(opened: Any, code: int, diagnostics: Any) -> Any:
    """Tell whom `[notify]` names that this apply ends before it began; a warning where that failed."""
    from audsql.session.notifying import notify

    return notify(opened, "apply", int(code), None, diagnostics)


def progress(console: Console) -> Any:
    """Called with each event of an apply; one line each on stderr."""
    from audsql.view.applied import event_line

    def show(event: dict[str, Any]) -> None:
        line = event_line(event, console.err)
        if line:
            say(line + "\n")

    return show


def finish(ctx: click.Context, outcome: Any, opened: Any, console: Console, output_format: str) -> NoReturn:
    """Diagnostics, then the result document, then the exit code that the hall chose."""
    from audsql.view.applied import result
    from audsql.view.terminal import document_bytes

    report_opened(console, opened, outcome.diagnostics)
    if outcome.document is not None:
        as_json = output_format == "json"
        emit(document_bytes(outcome.document) if as_json else result(outcome.document, console.out))
    ctx.exit(outcome.exit_code)
