"""`audsql lint-upload`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audsql.cli.console import Console, emit, make_console, report
from audsql.cli.exits import Code, code_of
from audsql.cli.options import format_option, language_option

if TYPE_CHECKING:
    from audsql.diag import Diagnostic

__all__ = ["command"]


@click.command("lint-upload")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--kind", "id_kind", type=click.Choice(["phone", "email", "user_id", "ifa"]), help="Ids of the file; else guessed."
)
@click.option(
    "--region", type=click.Choice(["jp", "th", "tw"]), default="jp", show_default=True, help="Of telephone numbers."
)
@click.option("--fix", "copy", metavar="OUT", type=click.Path(path_type=Path), help="Write a repaired copy.")
@click.option("--restore-zeros", is_flag=True, help="Put back the leading 0 of telephone numbers in the copy.")
@click.option("--drop-bad", is_flag=True, help="Leave lines out of the copy that cannot be repaired.")
@language_option
@format_option("human", "concise", "json", "github", "sarif")
@click.pass_context
def command(ctx: click.Context, /, file: Path, lang: str | None, output_format: str, **given: Any) -> None:
    """Check a file of ids by the rules of LINE Business Manager, by physical line; no project is needed.

    Exits 3 where lines or the file as a whole are wrong, 1 where the file cannot be read. Contents are never shown.
    """
    from audsql.session.upload_linting import LintOptions, lint_upload

    if given["copy"] is None and (given["restore_zeros"] or given["drop_bad"]):
        raise click.UsageError("--restore-zeros and --drop-bad need --fix OUT")
    console = make_console(lang)
    outcome = lint_upload(LintOptions(file, **given))
    if outcome.document is None:
        report(console, outcome.diagnostics)
        ctx.exit(code_of(outcome.diagnostics) or Code.ERROR)
    _show(outcome.document, outcome.diagnostics, output_format, console)
    ctx.exit(Code.FINDINGS if code_of(outcome.diagnostics) != Code.DONE else Code.DONE)


def _show(document: dict[str, Any], diagnostics: Sequence[Diagnostic], output_format: str, console: Console) -> None:
    from audsql.cli.check import show
    from audsql.source import SourceMap
    from audsql.view.diagnostics import to_document
    from audsql.view.terminal import document_bytes
    from audsql.view.upload_linted import human

    found = to_document(diagnostics, SourceMap({}), console.language)
    if output_format == "json":
        emit(document_bytes({**document, "diagnostics": found["diagnostics"]}))
        return
    show(found, output_format, console)
    if output_format == "human":
        emit(human(document, console.out))
