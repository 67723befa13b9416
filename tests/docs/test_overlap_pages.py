"""docs/overlap.md and its Japanese twin: every output is what the tool prints.

`AUDSQL_REWRITE=1` writes the outputs anew.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from documents import DOCS, Block, blocks_of, commands_of, matches, perform

PAGES = ("overlap.md", "overlap.ja.md")
EXAMPLE = DOCS.parent / "examples" / "shop"


@pytest.fixture(autouse=True)
def _in_the_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The commands of a page see a copy of the example, and nothing around it."""
    for name in ("AUDSQL_KEY", "AUDSQL_LANG", "CI", "FORCE_COLOR", "GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LANG", "LC_ALL"):
        monkeypatch.setenv(name, "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns(".audsql"))
    monkeypatch.chdir(tmp_path / "project")


def _run(page: str, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> list[tuple[Block, str, str, str]]:
    """Each command of the page: its block, what was asked, what the page says, what was printed."""
    found = []
    for block in blocks_of(page):
        if block.is_file:
            path = Path(block.about)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        for command, said in commands_of(block) if block.language == "console" else ():
            found.append((block, command, said, perform(command, capsys, patch)))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_outputs_are_what_the_tool_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = _run(page, capsys, monkeypatch)
    assert len(ran) == 7
    if os.environ.get("AUDSQL_REWRITE"):
        _rewrite(page, [(block, command, printed) for block, command, _, printed in ran])
        ran = _run(page, capsys, monkeypatch)
    for block, command, said, printed in ran:
        assert said.strip(), f"{block}: no output; AUDSQL_REWRITE=1 writes it"
        assert matches(said, printed), f"{block}: $ {command}\n--- the page\n{said}\n--- the command\n{printed}"
    assert len(Path("ids.txt").read_text().splitlines()) > 0


def _rewrite(page: str, ran: list[tuple[Block, str, str]]) -> None:
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    for block, command, printed in reversed(ran):
        at = lines.index(f"$ {command}", block.line)
        end = next(number for number in range(at, len(lines)) if lines[number] == "```")
        lines[at + 1 : end] = printed.rstrip("\n").splitlines()
    (DOCS / page).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_rows_of_people_who_are_few_are_hidden_in_what_others_read(page: str) -> None:
    """The page shows what it says: small groups as `<20` only."""
    text = (DOCS / page).read_text(encoding="utf-8")
    shown = next(block for block in blocks_of(page) if "--format markdown" in block.text).text
    assert "\\<20" in shown
    assert not re.search(r"\| ([1-9]|1\d) \|", shown)
    assert "AUD1092" in text
