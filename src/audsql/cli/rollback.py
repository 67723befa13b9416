"""`audsql rollback`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audsql.cli.app import Refusal
from audsql.cli.apply import progress
from audsql.cli.console import Console, emit, report, say
from audsql.cli.exits import Code, code_of
from audsql.cli.options import (
    as_of_option,
    format_option,
    given_variables,
    open_project,
    parse_as_of,
    project_options,
)
from audsql.diag import error

if TYPE_CHECKING:
    from datetime import datetime

    from audsql.session.returning import Former

__all__ = ["command"]


@click.command("rollback")
@click.option("--to", "serial", required=True, metavar="SERIAL", type=click.IntRange(min=0), help="See `history`.")
@project_options
@as_of_option
@format_option("human", "json")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show the plan; change nothing.")
@click.pass_context
def command(
    ctx: click.Context,
    serial: int,
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
    auto_approve: bool,
    dry_run: bool,
) -> None:
    """Go back to the specs that had been applied when the state was at SERIAL.

    An ordinary plan from these specs, as Git has them, over today's data. What was sent since stays sent, and is not
    sent again.
    """
    if not dry_run and not auto_approve and not sys.stdin.isatty():
        raise Refusal([error("AUD0050", None)])
    from audsql.session.returning import former_specs

    opened, console = open_project(project, env, lang)
    with former_specs(opened, serial, given_variables()) as former:
        if former.opened is None:
            report(console, former.diagnostics, former.texts)
            ctx.exit(code_of(former.diagnostics) or Code.ERROR)
        moment = parse_as_of(as_of, former.opened.config.timezone if former.opened.config else "UTC")
        _go_back(ctx, former, console, moment, output_format == "json", auto_approve, dry_run)


def _go_back(
    ctx: click.Context,
    former: Former,
    console: Console,
    moment: datetime | None,
    as_json: bool,
    auto_approve: bool,
    dry_run: bool,
) -> None:
    from audsql import session
    from audsql.view.past import rollback_header
    from audsql.view.plan import human

    assert former.opened is not None
    planned = session.plan(former.opened, moment)
    report(console, planned.diagnostics, former.texts)
    plan: dict[str, Any] | None = planned.document
    if plan is None:
        ctx.exit(code_of(planned.diagnostics) or Code.ERROR)
    style = console.err if as_json else console.out
    text = rollback_header(former.facts, style) + human(plan, style, reported=True)
    (say if as_json else emit)(text)
    if dry_run or not plan["applyable"]:
        _end(ctx, former, console, as_json, plan, None, Code.DONE if plan["applyable"] else Code.REFUSED)
    if plan["summary"]["changes"] and not auto_approve:
        _ask(ctx, console)
    options = session.ApplyOptions(moment, on_event=progress(console), revision=former.revision)
    outcome = session.apply(former.opened, plan, options)
    report(console, outcome.diagnostics, former.texts)
    _end(ctx, former, console, as_json, plan, outcome.document, outcome.exit_code)


def _ask(ctx: click.Context, console: Console) -> None:
    from audsql.catalog import word

    answer = click.prompt(word("apply.ask", console.language), default="", show_default=False, err=True)
    if answer.strip() != "yes":
        say(word("apply.declined", console.language) + "\n")
        ctx.exit(Code.REFUSED)


def _end(
    ctx: click.Context, former: Former, console: Console, as_json: bool, plan: Any, result: Any, code: int
) -> None:
    """The document, or the closing lines; then the exit code."""
    from audsql.view.applied import result as closing
    from audsql.view.past import rollback_end
    from audsql.view.terminal import document_bytes

    if as_json:
        head = {"kind": "audsql.rollback", "format_version": "1.0"}
        emit(document_bytes({**head, **former.facts, "plan": plan, "result": result}))
    elif result is not None:
        emit(closing(result, console.out) + rollback_end(former.facts, console.out))
    ctx.exit(code)
