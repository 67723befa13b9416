"""docs/flows.md and its Japanese twin: every output is what the tool prints.

`AUDSQL_REWRITE=1` writes the outputs anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import DOCS, alone, blocks_of, check_outputs

PAGES = ("flows.md", "flows.ja.md")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone(monkeypatch, tmp_path, "first-purchase")


@pytest.mark.parametrize("page", PAGES)
def test_outputs_are_what_the_tool_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_outputs(page, capsys, monkeypatch) == 6


@pytest.mark.parametrize("page", PAGES)
def test_the_edit_is_one_of_the_example(page: str) -> None:
    (block,) = [one for one in blocks_of(page) if one.is_file]
    example = (DOCS.parent / "examples" / "first-purchase" / block.about).read_text(encoding="utf-8")
    assert block.text == example.replace("wait 7 days", "wait 5 days") != example
