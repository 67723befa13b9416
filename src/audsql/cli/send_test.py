"""`audsql send-test`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.options import finish_stated, format_option, open_project, project_options

__all__ = ["command"]


@click.command("send-test")
@click.argument("target", metavar="DELIVERY|FLOW[.STEP]")
@click.option("--to", "to", metavar="LIST", required=True, help="The declared upload with the testers' LINE user IDs.")
@click.option(
    "--as", "row_of", metavar="USER", help="Fill personal messages in from this LINE user ID's row, for every tester."
)
@project_options
@format_option("human", "json")
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    to: str,
    row_of: str | None,
    project: Path,
    env: str | None,
    lang: str | None,
    output_format: str,
) -> None:
    """Send the messages of a delivery or a flow to testers, marked as a test.

    Only the people of LIST are sent anything, by push; nothing of it counts as sent for a delivery, a flow or a cap.
    A policy with `require tested` asks for it before each new wording.
    """
    from audsql.session.applying import ApplyOptions
    from audsql.session.testing_sends import TestOptions, send_test
    from audsql.view.tested import tested

    opened, console = open_project(project, env, lang)
    options = TestOptions(to, row_of, console.language)
    outcome = send_test(opened, target, options, ApplyOptions())
    finish_stated(ctx, outcome, opened, console, output_format, tested)
