"""docs/export.md and its Japanese twin: every output is what the tool prints, in order, and both show the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import blocks_of, commands_of, matches, perform

PAGES = ("export.md", "export.ja.md")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AUDSQL_LANG", "AUDSQL_KEY", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LANG", "LC_ALL"):
        monkeypatch.setenv(name, "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_outputs_are_what_the_tool_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = 0
    for block in blocks_of(page):
        if block.is_file:
            Path(block.about).write_text(block.text, encoding="utf-8")
        for command, said in commands_of(block) if block.language == "console" else ():
            printed = perform(command, capsys, monkeypatch)
            assert matches(said, printed), f"{block}: $ {command}\n--- the page\n{said}\n--- the command\n{printed}"
            ran += 1
    assert ran == 6


def test_both_pages_show_the_same_files() -> None:
    english, japanese = (
        [(block.language, block.text if block.is_file else "") for block in blocks_of(page)] for page in PAGES
    )
    assert english == japanese
