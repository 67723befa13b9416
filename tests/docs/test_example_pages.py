"""docs/examples: every output is what the tool prints over the example, and every page shows the example's own text."""

from __future__ import annotations

import os
import runpy
from datetime import date
from pathlib import Path

import pytest
from documents import DOCS, alone, blocks_of, check_outputs

EXAMPLES = DOCS.parent / "examples"
NAMES = sorted(path.stem for path in (DOCS / "examples").glob("*.md") if not path.stem.endswith(".ja"))
PAGES = [f"examples/{name}{suffix}.md" for name in NAMES for suffix in ("", ".ja")]
ALL = bool(os.environ.get("AUDSQL_SWEEP") or os.environ.get("AUDSQL_REWRITE"))
# Each page every second day.
PLAYED = PAGES if ALL else [page for at, page in enumerate(PAGES) if (at // 2 + at + date.today().toordinal()) % 2]


@pytest.mark.parametrize("page", PLAYED)
def test_outputs_are_what_the_tool_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone(monkeypatch, tmp_path, page.partition("/")[2].partition(".")[0])
    monkeypatch.setenv("LINE_CHANNEL_ACCESS_TOKEN", "sim-token")
    if ".ja." in page:
        monkeypatch.setenv("AUDSQL_LANG", "ja")
    assert check_outputs(page, capsys, monkeypatch) >= 1


@pytest.mark.parametrize("page", PAGES)
def test_the_page_shows_the_example(page: str) -> None:
    folder = EXAMPLES / page.partition("/")[2].partition(".")[0]
    shown = [block for block in blocks_of(page) if block.is_file]
    assert shown
    for block in shown:
        assert block.text == (folder / block.about).read_text(encoding="utf-8")


def test_data_are_what_their_program_writes(tmp_path: Path) -> None:
    program = runpy.run_path(str(EXAMPLES / "make_people.py"))
    assert sorted(program["EXAMPLES"]) == NAMES
    program["main"](tmp_path)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    for path in made:
        assert (tmp_path / path).read_bytes() == (EXAMPLES / path).read_bytes(), path
