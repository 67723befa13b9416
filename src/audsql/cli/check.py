"""`audsql check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audsql import __version__
from audsql.cli.console import Console, emit, make_console, say
from audsql.cli.exits import code_of_document
from audsql.cli.options import format_option, project_options, texts_of

if TYPE_CHECKING:
    from audsql.config import Loaded

__all__ = ["command"]


@click.command("check")
@project_options
@format_option("human", "concise", "json", "github", "sarif")
@click.pass_context
def command(ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str) -> None:
    """Check the specs: names, types and sets.

    Reads the specs and message files only: no data, no state, no network.
    """
    from audsql.config import load_project
    from audsql.session import remembered

    loaded = load_project(project, env)
    console = make_console(lang, loaded.config.language if loaded.config else None)
    document = remembered.recall(project, loaded, console.language)
    if document is None:
        document, files = _checked(project, env, loaded, console)
        remembered.keep(project, loaded, console.language, files, document)
    show(document, output_format, console)
    ctx.exit(code_of_document(document))


def _checked(
    project: Path, env: str | None, loaded: Loaded, console: Console
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The diagnostics document, and the files that were read for it besides the specs."""
    from audsql import session
    from audsql.diag import Bag
    from audsql.view.diagnostics import to_document

    opened = session.open_project(project, env, loaded)
    bag = Bag()
    bag.extend(opened.diagnostics)
    if opened.config is not None:
        bag.extend(session.check(opened))
    messages = opened.analysis.project.messages if opened.analysis else ()
    files = tuple(sorted(message.file for message in messages if message.file is not None))
    return to_document(bag.items, texts_of(opened), console.language), files


def show(document: dict[str, Any], output_format: str, console: Console) -> None:
    """The diagnostics document in a format: for people to stderr, for tools to stdout."""
    from audsql.view import human, machine
    from audsql.view.terminal import document_bytes

    match output_format:
        case "json":
            emit(document_bytes(document))
        case "sarif":
            emit(document_bytes(machine.sarif(document, __version__)))
        case "github":
            emit(machine.github(document))
        case "concise":
            emit(human.concise(document, console.out))
        case _:
            say(human.human(document, console.err))
