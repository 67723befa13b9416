"""`audsql check`."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audsql import __version__
from audsql.cli.console import Console, emit, make_console, report, say, write_file
from audsql.cli.exits import code_of, code_of_document
from audsql.cli.options import fix_option, format_option, given_variables, project_options, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audsql.config import Loaded
    from audsql.diag import Diagnostic
    from audsql.session import Opened
    from audsql.session.variables import Variables

__all__ = ["command", "repaired", "show"]


@click.command("check")
@project_options
@format_option("human", "concise", "json", "github", "sarif")
@fix_option
@click.pass_context
def command(
    ctx: click.Context, project: Path, env: str | None, lang: str | None, output_format: str, with_fixes: bool
) -> None:
    """Check the specs: names, types and sets.

    Reads the specs and message files only: no data, no state, no network.
    """
    from audsql.config import load_project
    from audsql.session import remembered

    if with_fixes:
        from audsql.session import check

        repaired(ctx, project, env, lang, check)
    loaded = load_project(project, env)
    console = make_console(lang, loaded.config.language if loaded.config else None)
    variables = given_variables()
    document = remembered.recall(project, loaded, console.language, variables)
    if document is None:
        from audsql.session import incremental

        again = incremental.recheck(project, loaded, console.language, variables)
        document, files = (again.document, again.read) if again else _checked(project, env, loaded, variables, console)
        remembered.keep(project, loaded, console.language, files, document, variables)
    show(document, output_format, console)
    ctx.exit(code_of_document(document))


def _checked(
    project: Path, env: str | None, loaded: Loaded, variables: Variables, console: Console
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The diagnostics document, and the files that were read for it besides the specs."""
    from audsql import session
    from audsql.diag import Bag
    from audsql.session import incremental
    from audsql.view.diagnostics import to_document

    opened = session.open_project(project, env, loaded, variables)
    bag = Bag()
    bag.extend(opened.diagnostics)
    if opened.config is not None:
        bag.extend(session.check(opened))
    messages = opened.analysis.project.messages if opened.analysis else ()
    files = {posixpath.join(message.folder, message.file) for message in messages if message.file is not None}
    read = tuple(sorted(files.union(opened.looked_at)))
    document = to_document(bag.items, texts_of(opened), console.language)
    incremental.keep(project, loaded, console.language, opened, bag.items, document, variables)
    return document, read


def repaired(
    ctx: click.Context,
    project: Path,
    env: str | None,
    lang: str | None,
    find: Callable[[Opened], Iterable[Diagnostic]],
) -> None:
    """Make the safe fixes of what is found, write the files that change, and say which; leaves where a file cannot
    be written."""
    from audsql.catalog import word
    from audsql.session.linting import repair
    from audsql.view.terminal import neutralise

    done = repair(project, env, given_variables(), find)
    console = make_console(lang)
    for path, text in sorted(done.texts.items()):
        problems = write_file(project / path, text.encode(), shown=path)
        if problems:
            report(console, problems)
            ctx.exit(code_of(problems))
        say(word("fix.changed", console.language, path=neutralise(path), count=done.fixes[path]) + "\n")


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
