"""Streams of the command line: data to stdout, everything else to stderr; files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from audsql.diag import Diagnostic
    from audsql.source import SourceMap
    from audsql.view.terminal import Style

__all__ = ["Console", "emit", "language_of", "make_console", "prepare_streams", "report", "say", "write_file"]


@dataclass(frozen=True, slots=True)
class Console:
    """How the two streams take text, and in which language."""

    language: str
    out: Style
    err: Style


def language_of(option: str | None, configured: str | None, environment: Mapping[str, str]) -> str:
    """The language of messages: flag, AUDSQL_LANG, audsql.toml, the locale, English."""
    from audsql.catalog import LANGUAGES

    locale = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    for wish in (option, environment.get("AUDSQL_LANG"), configured, locale[:2]):
        if wish in LANGUAGES:
            return wish
    return "en"


def make_console(option: str | None = None, configured: str | None = None) -> Console:
    """The console of this process. Colour is decided for each stream by itself."""
    import shutil

    from audsql.view.terminal import style_for

    language = language_of(option, configured, os.environ)
    columns = shutil.get_terminal_size((100, 24)).columns
    styles = [
        style_for(
            os.environ,
            is_terminal=stream.isatty(),
            encoding=stream.encoding or "ascii",
            language=language,
            columns=columns,
        )
        for stream in (sys.stdout, sys.stderr)
    ]
    return Console(language, styles[0], styles[1])


def prepare_streams() -> None:
    """No character of a name may stop a message: what a stream cannot encode is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def emit(text: str) -> None:
    """Data, to stdout. A reader that went away (`| head`) ends the output quietly."""
    _write(sys.stdout, text)


def say(text: str) -> None:
    """Progress, prompts and diagnostics, to stderr. That nobody can read them stops no command: the exit code tells."""
    try:
        _write(sys.stderr, text)
    except OSError:
        _discard(sys.stderr)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _discard(stream)


def _discard(stream: TextIO) -> None:
    """Send the rest nowhere. The interpreter flushes once more at exit; that must not fail either."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def report(console: Console, diagnostics: Iterable[Diagnostic], sources: SourceMap | None = None) -> None:
    """Diagnostics for a person, to stderr; nothing where there are none."""
    found = tuple(diagnostics)
    if not found:
        return
    from audsql.source import SourceMap
    from audsql.view.diagnostics import to_document
    from audsql.view.human import human

    say(human(to_document(found, sources or SourceMap({}), console.language), console.err))


def write_file(path: Path, content: bytes, *, shown: str | None = None) -> tuple[Diagnostic, ...]:
    """Write a file beside its place, make it durable, and move it there: never half a file.

    An existing file keeps its permissions; a link is written through, not replaced.
    """
    import tempfile

    from audsql.diag import error

    target = path.resolve()
    temporary = ""
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as problem:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return (error("AUD0031", None, path=shown or str(path), reason=os.strerror(problem.errno or 0)),)
    return ()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
