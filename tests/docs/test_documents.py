"""The pages of docs/language: every example holds, every command prints what is shown, and nothing is left out."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from documents import DOCS, Block, blocks_of, commands_of, matches, perform

from audsql.cli.app import run
from audsql.meaning.names import BUILT_IN
from audsql.syntax.table import parse_table

PAGES = ("language.md", "language.ja.md")
RECIPES = [block for page in PAGES for block in blocks_of(page) if block.is_recipe]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The commands of a page see what it exports, and no project or repository around them."""
    for name in ("AUDSQL_LANG", "GIT_DIR", "GIT_WORK_TREE", "LINE_CHANNEL_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LANG", "LC_ALL"):
        monkeypatch.setenv(name, "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_prints_what_the_page_shows(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = 0
    for block in blocks_of(page):
        if block.is_file:
            path = Path(block.about)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        for command, said in commands_of(block) if block.language == "console" else ():
            printed = perform(command, capsys, monkeypatch)
            assert matches(said, printed), f"{block}: $ {command}\n--- the page\n{said}\n--- the command\n{printed}"
            ran += 1
    assert ran >= 15


@pytest.mark.parametrize("block", RECIPES, ids=str)
def test_recipe(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "base.aud").write_text(_base(block.page), encoding="utf-8")
    (tmp_path / "recipe.aud").write_text(block.text, encoding="utf-8")
    run(["check", "--project", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    told = [f"{one['code']}: {one['title']}" for one in found if one["severity"] == "error"]
    if block.about:
        assert block.about in {one["code"] for one in found}, told
    else:
        assert told == []


@cache
def _base(page: str) -> str:
    return "".join(block.text for block in blocks_of(page) if block.about == "base")


@pytest.mark.parametrize("page", PAGES)
def test_recipes_are_laid_out_as_fmt_does(page: str, tmp_path: Path) -> None:
    for at, block in enumerate(block for block in blocks_of(page) if block.language == "aud"):
        if not block.about.startswith("AUD"):
            (tmp_path / f"{block.page}-{at}-line-{block.line}.aud").write_text(block.text, encoding="utf-8")
    assert run(["fmt", "--check", "--project", str(tmp_path)]) == 0


@pytest.mark.parametrize("page", PAGES)
def test_every_word_of_the_language_is_shown(page: str) -> None:
    """Statements, conditions, rules, steps and built-in atoms: each stands in an example."""
    shown = "".join(block.text for block in blocks_of(page) if block.language == "aud")
    words = set(re.findall(r"\w+", shown))
    table = parse_table()
    assert {*table.words, *table.folded_words, *BUILT_IN, "friends"} - words == set()


def test_both_pages_show_the_same() -> None:
    """As many blocks of each kind, in the same order, under as many headings."""
    english, japanese = (
        [(one.language, one.is_recipe) for one in blocks_of(page) if one.language in ("aud", "console")]
        for page in PAGES
    )
    assert english == japanese
    heads = [re.findall(r"^#+ ", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE) for page in PAGES]
    assert heads[0] == heads[1]


@pytest.mark.parametrize(
    ("said", "printed", "right"),
    [
        ("a\nb", "a\nb\n", True),
        ("a …\n", "a 12 b\n", True),
        ("a\n…\nd", "a\nb\nc\nd\n", True),
        ("a\nd", "a\nb\nd\n", False),
        ("a", "a\nb\n", False),
        ("", "", True),
        ("", "a\n", False),
    ],
)
def test_what_a_page_may_leave_out(said: str, printed: str, right: bool) -> None:
    assert matches(said, printed) is right
