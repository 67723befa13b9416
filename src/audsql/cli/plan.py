"""`audsql plan`."""

from __future__ import annotations

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

__all__ = ["command", "show_plan"]


@click.command("plan")
@project_options
@as_of_option
@format_option("human", "json", "markdown")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Save the plan for `apply FILE`.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if there are changes.")
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
    prune: bool,
) -> None:
    """Show what an apply would do; changes nothing.

    Who would enter and leave each audience, what would be sent to how many people, and what it costs.
    """
    from audsql import session

    opened, console = open_project(project, env, lang)
    moment = parse_as_of(as_of, opened.config.timezone)
    outcome = session.plan(opened, moment, session.PlanOptions(prune=prune))
    report_opened(console, opened, outcome.diagnostics)
    if outcome.document is None:
        ctx.exit(code_of(outcome.diagnostics) or Code.ERROR)
    if out is not None:
        save(outcome.document, out)
    show_plan(outcome.document, output_format, console, reported=True)
    if out is not None and output_format == "human":
        from audsql.catalog import word

        say(word("plan.saved", console.language, path=str(out), digest=outcome.document["digest"]) + "\n")
    code = code_of(outcome.diagnostics) or (Code.DONE if outcome.document["applyable"] else Code.REFUSED)
    if code == Code.DONE and detailed_exitcode and outcome.document["summary"]["changes"]:
        code = Code.CHANGES
    ctx.exit(code)


def save(document: dict[str, Any], out: Path) -> None:
    """The plan file: canonical bytes, so that equal plans are equal files."""
    from audsql.plan.document import canonical

    problems = write_file(out, canonical(document) + b"\n")
    if problems:
        raise Refusal(problems)


def show_plan(document: dict[str, Any], output_format: str, console: Console, *, reported: bool = False) -> None:
    """The plan document in a format, to stdout. `reported`: its verdicts were shown already."""
    from audsql.view import markdown, plan
    from audsql.view.terminal import document_bytes

    match output_format:
        case "json":
            emit(document_bytes(document))
        case "markdown":
            emit(markdown.plan_comment(document, console.language))
        case _:
            emit(plan.human(document, console.out, reported=reported))
