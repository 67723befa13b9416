"""`audsql init`: a small project that runs at once."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import click

from audsql.cli.app import Refusal
from audsql.cli.console import make_console, say, write_file
from audsql.cli.options import language_option
from audsql.diag import Diagnostic, error

__all__ = ["command"]

# Where each file of the template goes; a package cannot carry names that start with a dot safely.
_RENAMED = {"gitignore": ".gitignore"}


@click.command("init")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--project", default=".", show_default=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to fill."
)
@language_option
def command(folder: Path | None, project: Path, lang: str | None) -> None:
    """Write a small project that runs at once, here or in DIR. Never overwrites a file."""
    from audsql.catalog import word

    project = folder if folder is not None else project
    files = _template()
    ignored = os.path.lexists(project / ".gitignore")
    if ignored:
        # A repository's own list stays as it is; the last line says what to add to it.
        del files[".gitignore"]
    taken = sorted(name for name in files if os.path.lexists(project / name))
    if taken:
        raise Refusal([error("AUD0030", None, paths=tuple(taken))])
    for name, content in files.items():
        problems = _write(project / name, content)
        if problems:
            raise Refusal(problems)
    console = make_console(lang)
    say(word("init.done", console.language, count=len(files), folder=str(project)) + "\n")
    for name in files:
        say(f"  {name}\n")
    if ignored:
        say(word("init.gitignore", console.language) + "\n")
    say(word("init.next", console.language) + "\n")


def _template() -> dict[str, bytes]:
    """The files of the template by path, in order."""
    root = resources.files("audsql.cli").joinpath("template")
    found: dict[str, bytes] = {}
    pending = [("", root)]
    while pending:
        prefix, folder = pending.pop()
        for item in folder.iterdir():
            name = f"{prefix}{_RENAMED.get(item.name, item.name)}"
            if item.is_dir():
                pending.append((f"{name}/", item))
            elif not item.name.endswith((".py", ".pyc")):
                found[name] = item.read_bytes()
    return dict(sorted(found.items()))


def _write(path: Path, content: bytes) -> tuple[Diagnostic, ...]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        return (error("AUD0031", None, path=str(path.parent), reason=os.strerror(problem.errno or 0)),)
    return write_file(path, content)
