"""`audsql plan`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from audsql.cli.app import Refusal
from audsql.cli.console import Console, emit, say, write_file
from audsql.cli.exits import Code, code_of
from audsql.cli.options import (
    as_of_option,
    format_option,
    open_project,
    parse_as_of,
    project_options,
    prune_option,
    report_opened,
)
from audsql.diag import error
from audsql.plan.masking import FLOOR

__all__ = ["command", "refuse_beside_refresh", "show_plan"]


@click.command("plan")
@project_options
@as_of_option
@format_option("human", "json", "markdown")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Save the plan for `apply FILE`.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if there are changes.")
@click.option("--refresh-only", is_flag=True, help="Show only what LINE holds otherwise than it was left.")
@click.option("--offline", is_flag=True, help="Without data, state and LINE: what the specs alone say.")
@click.option("--base", metavar="REV|DIR", help="With --offline: compare with a Git revision or a folder.")
@prune_option
@click.pass_context
def command(
    ctx: click.Context,
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
    out: Path | None,
    detailed_exitcode: bool,
    refresh_only: bool,
    offline: bool,
    base: str | None,
    prune: bool,
) -> None:
    """Show what an apply would do; changes nothing.

    Who would enter and leave each audience, what would be sent to how many people, and what it costs.
    """
    from audsql import session

    if refresh_only:
        given = {"--as-of": as_of, "--out": out, "--prune": prune, "--format markdown": output_format == "markdown"}
        refuse_beside_refresh(given)
    refuse_beside_offline(offline, base, {"--as-of": as_of, "--prune": prune, "--refresh-only": refresh_only})
    opened, console = open_project(project, env, lang, meaning_only=not (offline or refresh_only))
    if offline:
        ctx.exit(show_offline(opened, base, output_format, out, console))
    if refresh_only:
        ctx.exit(show_refresh(opened, console, output_format, detailed_exitcode))
    moment = parse_as_of(as_of, opened.config.timezone)
    outcome = session.plan(opened, moment, session.PlanOptions(prune=prune))
    report_opened(console, opened, outcome.diagnostics)
    if outcome.document is None:
        ctx.exit(code_of(outcome.diagnostics) or Code.ERROR)
    if out is not None:
        save(outcome.document, out)
    show_plan(outcome.document, output_format, console, reported=True, floor=opened.config.floor)
    if out is not None and output_format == "human":
        from audsql.catalog import word

        say(word("plan.saved", console.language, path=str(out), digest=outcome.document["digest"]) + "\n")
        if outcome.document["applyable"]:
            say(word("plan.saved_next", console.language, path=shlex.quote(str(out))) + "\n")
    code = code_of(outcome.diagnostics) or (Code.DONE if outcome.document["applyable"] else Code.REFUSED)
    if code == Code.DONE and detailed_exitcode and outcome.document["summary"]["changes"]:
        code = Code.CHANGES
    ctx.exit(code)


def refuse_beside_refresh(given: Mapping[str, object]) -> None:
    """Raises Refusal (AUD0811) for the first of these options that was given."""
    option = next((name for name, value in given.items() if value), None)
    if option is not None:
        raise Refusal([error("AUD0811", None, option=option)])


def show_refresh(opened: Any, console: Console, output_format: str, detailed_exitcode: bool) -> int:
    """What LINE holds otherwise, and what `apply --refresh-only` would remember. The exit code."""
    from audsql.session import refreshing
    from audsql.view import refreshed
    from audsql.view.terminal import document_bytes

    outcome = refreshing.look(opened)
    report_opened(console, opened, outcome.diagnostics)
    if outcome.document is None:
        return code_of(outcome.diagnostics) or Code.ERROR
    document = outcome.document
    emit(document_bytes(document) if output_format == "json" else refreshed.human(document, console.out))
    return Code.CHANGES if detailed_exitcode and document["summary"]["changes"] else Code.DONE


def refuse_beside_offline(offline: bool, base: str | None, given: Mapping[str, object]) -> None:
    """Raises Refusal (AUD0652) for options that mean nothing without data, and for `--base` with data."""
    wrong = [name for name, value in given.items() if value] if offline else ["--base"] if base is not None else []
    if wrong:
        raise Refusal([error("AUD0652", None, option=wrong[0], offline=offline)])


def show_offline(opened: Any, base: str | None, output_format: str, out: Path | None, console: Console) -> Code:
    """The plan without data, to stdout."""
    from audsql import session
    from audsql.cli.options import given_variables
    from audsql.view import offline
    from audsql.view.terminal import document_bytes

    outcome = session.plan_offline(opened, base, given_variables())
    report_opened(console, opened, outcome.diagnostics)
    document = outcome.document
    if document is None:
        return code_of(outcome.diagnostics) or Code.ERROR
    if out is not None:
        save(document, out)
    match output_format:
        case "json":
            emit(document_bytes(document))
        case "markdown":
            emit(offline.comment(document, console.language))
        case _:
            emit(offline.human(document, console.out))
    return code_of(outcome.diagnostics)


def save(document: dict[str, Any], out: Path) -> None:
    """The plan file: canonical bytes, so that equal plans are equal files."""
    from audsql.plan.document import canonical

    problems = write_file(out, canonical(document) + b"\n")
    if problems:
        raise Refusal(problems)


def show_plan(
    document: dict[str, Any], output_format: str, console: Console, *, reported: bool = False, floor: int = FLOOR
) -> None:
    """The plan document in a format, to stdout. `reported`: its verdicts were shown already. `floor`: the least number
    of people that a comment shows."""
    from audsql.view import markdown, plan
    from audsql.view.terminal import document_bytes

    match output_format:
        case "json":
            emit(document_bytes(document))
        case "markdown":
            emit(markdown.plan_comment(document, console.language, floor))
        case _:
            emit(plan.human(document, console.out, reported=reported))
