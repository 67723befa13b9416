"""`audsql fmt`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from audsql.cli.app import Refusal
from audsql.cli.console import Console, emit, make_console, report, say, write_file
from audsql.cli.exits import Code, code_of
from audsql.cli.options import language_option
from audsql.config import decode, load_project, read_text
from audsql.diag import Diagnostic, has_errors
from audsql.source import Source, SourceMap

__all__ = ["command", "formatted"]

_FIX_ROUNDS_MAX = 10


@dataclass(frozen=True, slots=True)
class _Formatted:
    """A text as it was read and in canonical layout, and what is wrong with it.

    `places` is the text that the diagnostics point into: after fixes it is no longer the one that was read.
    """

    source: Source
    text: str
    places: Source
    diagnostics: tuple[Diagnostic, ...]

    @property
    def changed(self) -> bool:
        return self.text != self.source.text


@click.command("fmt")
@click.argument("paths", nargs=-1, metavar="[FILE...|-]")
@click.option(
    "--project", default=".", show_default=True, metavar="DIR", type=click.Path(path_type=Path), help="Project folder."
)
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 3 if a file would change.")
@click.option("--fix", "with_fixes", is_flag=True, help="Apply safe fixes as well, such as full-width signs.")
@language_option
@click.pass_context
def command(
    ctx: click.Context, paths: tuple[str, ...], project: Path, only_check: bool, with_fixes: bool, lang: str | None
) -> None:
    """Write specs in the one canonical layout.

    Every .aud file of the project, or the FILEs named; - reads stdin and writes stdout.
    """
    console = make_console(lang)
    if paths == ("-",):
        ctx.exit(_standard_input(console, only_check, with_fixes))
    sources, problems = _read(project, paths)
    results = [_format(source, with_fixes) for source in sources]
    diagnostics = [*problems, *(one for result in results for one in result.diagnostics)]
    changed = [result for result in results if result.changed]
    if not only_check:
        diagnostics += _write(project, paths, changed)
    _tell(changed, only_check, console)
    report(console, diagnostics, SourceMap.of(result.places for result in results))
    ctx.exit(_code(diagnostics, bool(changed) and only_check))


def _code(diagnostics: Sequence[Diagnostic], differs: bool) -> int:
    return Code.ERROR if has_errors(diagnostics) else Code.FINDINGS if differs else code_of(())


def _read(project: Path, paths: tuple[str, ...]) -> tuple[list[Source], list[Diagnostic]]:
    """The texts to format: those named, else all of the project."""
    if not paths:
        loaded = load_project(project)
        if not loaded.sources.sources and has_errors(loaded.diagnostics):
            raise Refusal(loaded.diagnostics, loaded.texts)
        return list(loaded.sources), [one for one in loaded.diagnostics if one.span is None]
    sources: list[Source] = []
    problems: list[Diagnostic] = []
    for path in paths:
        text, found = read_text(Path(path), path)
        problems += found
        if text is not None:
            sources.append(Source(path, text))
    return sources, problems


def formatted(source: Source, *, with_fixes: bool) -> str:
    """The text as `fmt` writes it."""
    return _format(source, with_fixes).text


def _format(source: Source, with_fixes: bool) -> _Formatted:
    from audsql.syntax.print import format_source

    places = _fixed(source) if with_fixes else source
    text, diagnostics = format_source(places)
    return _Formatted(source, text, places, diagnostics)


def _fixed(source: Source) -> Source:
    """The text with safe fixes made, again as long as one uncovers the next."""
    from audsql.syntax.parse import parse_file
    from audsql.syntax.print import apply_fixes

    for _ in range(_FIX_ROUNDS_MAX):
        _, problems = parse_file(source)
        text = apply_fixes(source.text, [fix for problem in problems for fix in problem.fixes])
        if text == source.text:
            break
        source = Source(source.path, text)
    return source


def _write(project: Path, paths: tuple[str, ...], changed: Sequence[_Formatted]) -> list[Diagnostic]:
    """Write the changed texts, each whole or not at all; a byte order mark does not survive."""
    problems: list[Diagnostic] = []
    for result in changed:
        target = Path(result.source.path) if paths else project / result.source.path
        problems += write_file(target, result.text.encode(), shown=result.source.path)
    return problems


def _tell(changed: Sequence[_Formatted], only_check: bool, console: Console) -> None:
    from audsql.catalog import word
    from audsql.view.terminal import neutralise

    key = "fmt.would_change" if only_check else "fmt.changed"
    for result in changed:
        say(word(key, console.language, path=neutralise(result.source.path)) + "\n")


def _standard_input(console: Console, only_check: bool, with_fixes: bool) -> int:
    """A text from stdin to stdout; one that cannot be read comes back as it was."""
    text, problems = decode(sys.stdin.buffer.read(), "<stdin>")
    if text is None:
        raise Refusal(problems)
    result = _format(Source("<stdin>", text), with_fixes)
    if not only_check:
        emit(result.text)
    report(console, result.diagnostics, SourceMap.of([result.places]))
    return _code(result.diagnostics, result.changed and only_check)
