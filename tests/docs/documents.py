"""What a page of docs/ holds that can be checked, and how its commands run.

A block is fenced; the first word behind the fence is its language, the rest says what holds of it.

    ```aud spring.aud      a file of the page's project, from here on as it stands
    ```csv data/a.csv      the same, for any language but console
    ```aud base            statements that the page's recipes need
    ```aud                 a recipe: together with the base it has no errors
    ```aud AUD0113         a recipe with an error: this code is among the findings
    ```console             commands behind `$ `, each with what it prints below

In what a command prints, `…` stands for anything on its line, and a line that is only `…` for any lines. What goes
to stdout stands before what goes to stderr. Trailing blanks do not count.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audsql.cli.app import run

DOCS = Path(__file__).resolve().parents[2] / "docs"
_FENCE = re.compile(r"```(\w+) ?(.*)")
_GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]


@dataclass(frozen=True)
class Block:
    """One fenced block: its page and line, the words behind the fence, its text."""

    page: str
    line: int
    language: str
    about: str
    text: str

    @property
    def is_file(self) -> bool:
        return self.language != "console" and "." in self.about

    @property
    def is_recipe(self) -> bool:
        return self.language == "aud" and not self.is_file and self.about != "base"

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for at, line in enumerate((DOCS / page).read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if opened is None and fence:
            opened, lines = (at, fence.group(1), fence.group(2).strip()), []
        elif opened is not None and line == "```":
            found.append(Block(page, *opened, "".join(f"{one}\n" for one in lines)))
            opened = None
        elif opened is not None:
            lines.append(line)
    assert opened is None, f"{page}:{opened and opened[0]}: the block has no end"
    return found


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """Each command of a console block with what it is said to print."""
    command, printed = "", [""]
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(printed)
            command, printed = line.removeprefix("$ "), []
        else:
            assert command, f"{block}: a console block begins with `$ `"
            printed.append(line)
    yield command, "\n".join(printed)


def matches(said: str, printed: str) -> bool:
    """Whether a command printed what the page says."""
    lines = [line.rstrip() for line in said.strip("\n").splitlines()]
    pattern = ""
    for line in lines:
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(re.escape(part) for part in line.split("…")) + r"\n"
    given = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, given) is not None


def perform(command: str, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> str:
    """Runs one command in this process, or one of git, and gives what it printed."""
    words = shlex.split(command)
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        patch.setenv(name, value)
        return ""
    if words[0] == "cd":
        os.chdir(words[1])
        return ""
    if words[0] == "git":
        done = subprocess.run([*_GIT, *words[1:]], capture_output=True, text=True, check=True)
        return done.stdout
    assert words[0] == "audsql", f"no command of these pages: {command}"
    capsys.readouterr()
    run(words[1:])
    printed = capsys.readouterr()
    return printed.out + printed.err
