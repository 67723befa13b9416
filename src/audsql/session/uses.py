"""Files that are named by `use`: found, read and parsed, each once.

Rules: use.* of specs/language/08-parameters.md.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from audsql.config import read_text
from audsql.diag import Bag, Diagnostic, error
from audsql.records import dataclass
from audsql.source import Source
from audsql.syntax import ast
from audsql.syntax.parse import STATEMENTS_MAX, parse_file

__all__ = ["Uses", "load_uses", "parse_uses"]

_SUFFIX = ".aud"
Read = Callable[[str], tuple[str | None, tuple[Diagnostic, ...]]]


@dataclass(slots=True)
class Uses:
    """`used` and `files` as expansion takes them. `looked_at`: every path that was tried, relative to the
    project, whether there was a file or not."""

    used: dict[tuple[str, str], str] = field(default_factory=dict)
    files: dict[str, ast.File] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    bag: Bag = field(default_factory=Bag)


def load_uses(root: Path, files: Sequence[ast.File]) -> Uses:
    """Every file that the project's files use, and those that these use, however deep."""
    if not any(isinstance(statement, ast.Use) for file in files for statement in file.statements):
        return Uses()
    names: dict[Path, str] = {}

    def one_name(path: str) -> str:
        """The same name for the same file, whatever links lead to it."""
        try:
            return names.setdefault((root / path).resolve(), path)
        except (OSError, RuntimeError):
            return path

    for file in files:
        one_name(file.path)
    return parse_uses(files, lambda path: _read(root / path, path), one_name)


def _read(path: Path, shown: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The text of a spec; a link to anything else is not followed, for what does not parse is shown to people."""
    if path.is_symlink() and path.resolve().suffix != _SUFFIX:
        return None, (error("AUD0242", None, path=shown),)
    return read_text(path, shown)


def parse_uses(files: Sequence[ast.File], read: Read, one_name: Callable[[str], str]) -> Uses:
    """The same over any way to read a path."""
    found = Uses()
    own = {file.path for file in files}
    waiting = list(files)
    count = sum(len(file.statements) for file in files)
    while waiting and count <= STATEMENTS_MAX:
        file = waiting.pop()
        for use in _uses(file.statements):
            path = _path(use, file, own, one_name, found)
            if path is None:
                continue
            found.used[file.path, use.path.text] = path
            if path not in found.files:
                parsed = _parsed(path, use, read, found)
                if parsed is None:
                    del found.used[file.path, use.path.text]
                else:
                    found.files[path] = parsed
                    waiting.append(parsed)
                    count += len(parsed.statements)
    return found


def _uses(statements: Iterable[ast.Statement]) -> list[ast.Use]:
    return [statement for statement in statements if isinstance(statement, ast.Use)]


def _path(use: ast.Use, file: ast.File, own: set[str], one_name: Callable[[str], str], found: Uses) -> str | None:
    """Where the file lies, relative to the project; None where it cannot be one, which is told."""
    written = use.path.text
    pure = PurePosixPath(written)
    odd = not written or "\0" in written or "\\" in written or "://" in written
    if odd or pure.suffix != _SUFFIX or pure.is_absolute() or PureWindowsPath(written).drive:
        found.bag.add(error("AUD0242", use.path.span, path=written))
        return None
    path = one_name(posixpath.normpath(posixpath.join(posixpath.dirname(file.path), written)))
    if path in own:
        found.bag.add(error("AUD0243", use.path.span, path=written))
        return None
    return path


def _parsed(path: str, use: ast.Use, read: Read, found: Uses) -> ast.File | None:
    found.looked_at.append(path)
    text, problems = read(path)
    found.bag.extend(replace(problem, span=use.path.span) for problem in problems)
    if text is None:
        return None
    source = Source(path, text)
    file, told = parse_file(source)
    found.sources.append(source)
    found.bag.extend(told)
    return file
