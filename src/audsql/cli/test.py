"""`audsql test`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.console import emit
from audsql.cli.exits import Code, code_of
from audsql.cli.options import format_option, open_project, project_options, report_opened

__all__ = ["command"]


@click.command("test")
@project_options
@format_option("human", "json")
@click.pass_context
def command(ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Run the tests written in the specs.

    No data file and no network is touched.
    """
    from audsql import session
    from audsql.view.results import tests
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    document, diagnostics = session.run_tests(opened)
    report_opened(console, opened, diagnostics)
    emit(document_bytes(document) if output_format == "json" else tests(document, console.out))
    ctx.exit(_code(diagnostics))


def _code(diagnostics: tuple[object, ...]) -> int:
    """A failed test is a finding (3); a spec that cannot be read is an error (1)."""
    from audsql.diag import Diagnostic

    errors = [one for one in diagnostics if isinstance(one, Diagnostic) and one.severity == "error"]
    if errors and all(one.code.startswith("AUD09") for one in errors):
        return Code.FINDINGS
    return code_of(errors)
