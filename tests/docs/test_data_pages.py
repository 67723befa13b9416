"""docs/data.md and its Japanese twin: every output is what the tool prints, and both show the same files."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import alone, blocks_of, check_outputs

from audsql.config import parse_config

PAGES = ("data.md", "data.ja.md")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone(monkeypatch, tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_outputs_are_what_the_tool_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_outputs(page, capsys, monkeypatch) == 4


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
