"""`audsql run`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from audsql.cli.apply import finish, progress
from audsql.cli.console import Console, emit, say
from audsql.cli.options import (
    as_of_option,
    format_option,
    lock_timeout_option,
    open_project,
    override_options,
    overrides,
    parse_as_of,
    project_options,
    report_opened,
)

__all__ = ["command"]

_INTERVAL_SECONDS = (5, 3600)


@click.command("run")
@project_options
@as_of_option
@format_option("human", "json")
@override_options
@lock_timeout_option
@click.option("--watch", is_flag=True, help="Go on: one run after the other, until it is stopped.")
@click.option(
    "--interval", metavar="SECONDS", type=click.IntRange(*_INTERVAL_SECONDS), default=60, show_default=True,
    help="How often --watch looks.",
)  # fmt: skip
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
    watch: bool,
    interval: int,
) -> None:
    """Send what was approved and is due now, once, and say what is due next."""
    from audsql import session

    opened, console = open_project(project, env, lang)
    moment = parse_as_of(as_of, opened.config.timezone)
    options = session.ApplyOptions(
        moment, None, overrides(accept_shrunk, reason), reason, progress(console), lock_seconds=lock_seconds
    )
    if not watch:
        finish(ctx, session.run_due(opened, options), opened, console, output_format)
    from audsql.catalog import word
    from audsql.session import serving

    say(word("watch.start", console.language, seconds=interval) + "\n")
    again = lambda: open_project(project, env, lang)[0]  # noqa: E731  read anew in each cycle
    code = serving.serve(serving.Watch(again, _teller(console, output_format), interval), options)
    if code != _USAGE:
        say(word("watch.stopped", console.language) + "\n")
    ctx.exit(code)


_USAGE = 64


def _teller(console: Console, output_format: str) -> Callable[[Any], None]:
    """Show a cycle: as JSON one line each; to a person only what is new since the one before."""
    from audsql.catalog import word
    from audsql.view.applied import result

    last: list[Any] = [None, None]

    def tell(cycle: Any) -> None:
        outcome = cycle.outcome
        said = [(one.code, one.facts) for one in outcome.diagnostics]
        if said != last[0]:
            report_opened(console, cycle.opened, outcome.diagnostics)
        if output_format == "json":
            document = outcome.document or {"kind": "audsql.run", "exit_code": outcome.exit_code}
            emit(json.dumps({**document, "rest_seconds": cycle.rest_seconds}, ensure_ascii=False) + "\n")
        elif outcome.document is not None:
            shown = result(outcome.document, console.out)
            if shown != last[1] or outcome.document["events"]:
                emit(shown)
            last[1] = shown
        elif cycle.rest_seconds:
            say(word("watch.rest", console.language, seconds=cycle.rest_seconds) + "\n")
        last[0] = said

    return tell
