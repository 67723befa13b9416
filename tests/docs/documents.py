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
import shutil
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


def alone(patch: pytest.MonkeyPatch, folder: Path, example: str | None = None) -> None:
    """The commands of a page see an empty folder, or a copy of this example, and nothing around it."""
    for name in ("AUDSQL_KEY", "AUDSQL_LANG", "AUDSQL_VAR_LAUNCH", "CI", "FORCE_COLOR", "GIT_DIR", "GIT_WORK_TREE"):
        patch.delenv(name, raising=False)
    for name in ("LANG", "LC_ALL"):
        patch.setenv(name, "C.UTF-8")
    patch.setenv("COLUMNS", "120")
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    project = folder / "project"
    if example is None:
        project.mkdir()
    else:
        shutil.copytree(DOCS.parent / "examples" / example, project, ignore=shutil.ignore_patterns(".audsql"))
    patch.chdir(project)


def play(page: str, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> list[tuple[Block, str, str, str]]:
    """Write each file and run each command of the page in order: its block, what was asked, what the page says, what
    was printed."""
    found = []
    for block in blocks_of(page):
        if block.is_file:
            path = Path(block.about)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        for command, said in commands_of(block) if block.language == "console" else ():
            found.append((block, command, said, perform(command, capsys, patch)))
    return found


def check_outputs(page: str, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> int:
    """Every output on the page is what the tool prints; how many commands ran. `AUDSQL_REWRITE=1` writes them anew."""
    ran = play(page, capsys, patch)
    if os.environ.get("AUDSQL_REWRITE"):
        _rewrite(page, ran)
        return len(ran)
    for block, command, said, printed in ran:
        assert matches(said, printed), f"{block}: $ {command}\n--- the page\n{said}\n--- the command\n{printed}"
    return len(ran)


def _rewrite(page: str, ran: list[tuple[Block, str, str, str]]) -> None:
    """Outputs that the page already matches stay as they are written, with their `…`."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    shown: dict[int, list[str]] = {}
    for block, command, said, printed in ran:
        text = said if matches(said, printed) else printed
        shown.setdefault(block.line, []).extend(
            [f"$ {command}", *(one.rstrip() for one in text.strip("\n").splitlines())]
        )
    for at in sorted(shown, reverse=True):
        end = next(index for index in range(at, len(lines)) if lines[index] == "```")
        lines[at:end] = shown[at]
    (DOCS / page).write_text("\n".join(lines) + "\n", encoding="utf-8")
