"""docs/compiler.md and its Japanese twin: every output is what the tool prints, every delivery stands in the example.

`AUDSQL_REWRITE=1` writes the outputs anew: read every difference as a change of what is sent.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import DOCS, alone, blocks_of, check_outputs

PAGES = ("compiler.md", "compiler.ja.md")
EXAMPLE = DOCS.parent / "examples" / "compiler"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone(monkeypatch, tmp_path, "compiler")


@pytest.mark.parametrize("page", PAGES)
def test_outputs_are_what_the_tool_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_outputs(page, capsys, monkeypatch) == 7


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
