"""`audsql lint`."""

from __future__ import annotations

from pathlib import Path

import click

from audsql.cli.check import repaired, show
from audsql.cli.exits import Code, code_of_document
from audsql.cli.options import fix_option, format_option, open_project, project_options, texts_of

__all__ = ["command"]


@click.command("lint")
@project_options
@format_option("human", "concise", "json", "github", "sarif")
@fix_option
@click.pass_context
def command(
    ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str, with_fixes: bool
) -> None:
    """Find what is allowed and probably not meant: idle parts, twins, leftovers, times that do not fit.

    Silence a lint with `ignore = ["AUD0525"]` under [lint] in audsql.toml, or make it an error with `error = [...]`.
    Exits 3 where a lint is an error, 1 where the specs have errors.
    """
    from audsql.session.linting import lint
    from audsql.view.diagnostics import to_document

    if with_fixes:
        repaired(ctx, project, env, lang, lambda opened: lint(opened).diagnostics)
    opened, console = open_project(project, env, lang)
    found = lint(opened)
    document = to_document(found.diagnostics, texts_of(opened), console.language)
    show(document, output_format, console)
    code = code_of_document(document)
    ctx.exit(Code.FINDINGS if found.sound and code != Code.DONE else code)
