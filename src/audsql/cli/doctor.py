"""`audsql doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.console import emit, make_console
from audsql.cli.exits import Code
from audsql.cli.options import format_option, given_variables, project_options

__all__ = ["command"]


@click.command("doctor")
@project_options
@format_option("human", "json")
@click.pass_context
def command(ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Say what works here and what does not.

    Versions, grammar, project, tokens (never shown), state, endpoints.
    """
    from audsql import session
    from audsql.view.results import doctor
    from audsql.view.terminal import document_bytes

    opened = session.open_project(project, env, variables=given_variables())
    usable = opened if opened.config is not None else None
    console = make_console(lang, opened.config.language if opened.config else None)
    document = session.doctor(usable)
    emit(document_bytes(document) if output_format == "json" else doctor(document, console.out))
    healthy = all(item.get("status") != "error" for item in document.get("checks", []))
    ctx.exit(Code.DONE if healthy else Code.ERROR)
