"""docs/data.md and its Japanese twin: every output is what the tool prints, and both show the same files."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import blocks_of, commands_of, matches, perform

from audsql.config import parse_config

PAGES = ("data.md", "data.ja.md")


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
    assert ran == 4


@pytest.mark.parametrize("page", PAGES)
def test_settings_on_the_page_are_read(page: str) -> None:
    (block,) = [one for one in blocks_of(page) if one.language == "toml" and not one.is_file]
    config, problems = parse_config(block.text, "shop", None)
    assert config is not None and not problems
    assert sorted(config.connections) == ["local", "warehouse"]


def test_both_pages_show_the_same() -> None:
    english, japanese = (
        [
            (block.language, block.text if block.is_file or block.language == "console" else "")
            for block in blocks_of(page)
        ]
        for page in PAGES
    )
    assert english == japanese
