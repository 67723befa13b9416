"""docs/export.md and its Japanese twin: every output is what the tool prints, in order, and both show the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import alone, blocks_of, check_outputs

PAGES = ("export.md", "export.ja.md")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone(monkeypatch, tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_outputs_are_what_the_tool_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_outputs(page, capsys, monkeypatch) == 6


def test_both_pages_show_the_same_files() -> None:
    english, japanese = (
        [(block.language, block.text if block.is_file else "") for block in blocks_of(page)] for page in PAGES
    )
    assert english == japanese
