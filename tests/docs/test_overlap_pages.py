"""docs/overlap.md and its Japanese twin: every output is what the tool prints.

`AUDSQL_REWRITE=1` writes the outputs anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import DOCS, alone, blocks_of, check_outputs

PAGES = ("overlap.md", "overlap.ja.md")
EXAMPLE = DOCS.parent / "examples" / "shop"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone(monkeypatch, tmp_path, "shop")


@pytest.mark.parametrize("page", PAGES)
def test_outputs_are_what_the_tool_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_outputs(page, capsys, monkeypatch) == 7
    assert len(Path("ids.txt").read_text().splitlines()) > 0


@pytest.mark.parametrize("page", PAGES)
def test_the_rows_of_people_who_are_few_are_hidden_in_what_others_read(page: str) -> None:
    """The page shows what it says: small groups as `<20` only."""
    text = (DOCS / page).read_text(encoding="utf-8")
    shown = next(block for block in blocks_of(page) if "--format markdown" in block.text).text
    assert "\\<20" in shown
    assert not re.search(r"\| ([1-9]|1\d) \|", shown)
    assert "AUD1092" in text
