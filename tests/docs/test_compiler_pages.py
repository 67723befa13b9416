"""docs/compiler.md and its Japanese twin: every output is what the tool prints, every delivery stands in the example.

`AUDSQL_REWRITE=1` writes the outputs anew: read every difference as a change of what is sent.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from documents import DOCS, Block, blocks_of, commands_of, matches, perform

PAGES = ("compiler.md", "compiler.ja.md")
EXAMPLE = DOCS.parent / "examples" / "compiler"


@pytest.fixture(autouse=True)
def _in_the_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The commands of a page see a copy of the example, and nothing around it."""
    for name in ("AUDSQL_LANG", "AUDSQL_VAR_LAUNCH", "FORCE_COLOR", "GIT_DIR", "GIT_WORK_TREE"):
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
            Path(block.about).write_text(block.text, encoding="utf-8")
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


def _rewrite(page: str, ran: list[tuple[Block, str, str]]) -> None:
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    for block, command, printed in reversed(ran):
        end = next(index for index in range(block.line, len(lines)) if lines[index] == "```")
        shown = [line.rstrip() for line in printed.strip("\n").splitlines()]
        lines[block.line : end] = [f"$ {command}", *shown]
    (DOCS / page).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_each_delivery_stands_in_the_example(page: str) -> None:
    cases = (EXAMPLE / "cases.aud").read_text(encoding="utf-8")
    shown = [block for block in blocks_of(page) if block.language == "aud"]
    assert len(shown) == 6
    for block in shown:
        if not block.is_file:
            assert block.text in cases, block


def test_both_pages_show_the_same() -> None:
    english, japanese = (
        [block.text if block.language == "aud" else block.language for block in blocks_of(page)] for page in PAGES
    )
    assert english == japanese
    heads = [re.findall(r"^#+ ", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE) for page in PAGES]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("page", PAGES)
def test_nothing_inside_an_output_ends_its_block(page: str) -> None:
    for block in blocks_of(page):
        if block.language == "console":
            assert "```" not in block.text, block
