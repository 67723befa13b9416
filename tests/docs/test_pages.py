"""The pages of the repository: links lead somewhere, every page is found, both languages match, the README is true."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from documents import DOCS, matches

from audsql import __version__
from audsql.cli.app import group
from audsql.cli.exits import Code

ROOT = DOCS.parent
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@cache
def prose(page: Path) -> str:
    """A page without its blocks."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def pages() -> list[Path]:
    """The pages that people read, in the order of their paths."""
    folders = ("docs", "specs", "examples", "tests")
    found = [*ROOT.glob("*.md"), *(page for folder in folders for page in ROOT.joinpath(folder).rglob("*.md"))]
    return sorted(page for page in found if ".audsql" not in page.parts)


def links(page: Path) -> list[str]:
    """What a page links to within the repository."""
    return [target for target in _LINK.findall(prose(page)) if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for _, heading in _HEADING.findall(prose(page)))
    return {one.strip().replace(" ", "-") for one in words}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize(("readme", "end"), [("README.md", ".md"), ("README.ja.md", ".ja.md")])
def test_the_readme_leads_to_every_page(readme: str, end: str) -> None:
    """The Japanese one to the Japanese page where there is one."""
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(ROOT / readme)}
    stems = {page.name.removesuffix(".md").removesuffix(".ja") for page in DOCS.glob("*.md")}
    wanted = {DOCS / f"{stem}{end}" if (DOCS / f"{stem}{end}").exists() else DOCS / f"{stem}.md" for stem in stems}
    assert {page.name for page in wanted - linked} == set()


@pytest.mark.parametrize("japanese", sorted(DOCS.glob("*.ja.md")), ids=lambda page: page.name)
def test_both_languages_have_the_same_parts(japanese: Path) -> None:
    """As many headings of each depth in the same order, the same rows of tables, the same blocks but data."""
    english = japanese.with_name(japanese.name.replace(".ja.md", ".md"))
    assert _parts(english) == _parts(japanese)


def _parts(page: Path) -> tuple[list[str], int, list[str]]:
    text = page.read_text(encoding="utf-8")
    rows = len(re.findall(r"^\|", prose(page), re.MULTILINE))
    kinds = [block.split("\n", 1)[0].split(" ")[0] for block in _FENCED.findall(text)]
    depths = [depth for depth, _ in _HEADING.findall(prose(page))]
    return depths, rows, [kind for kind in kinds if kind != "```csv"]


def test_the_readmes_have_the_same_parts() -> None:
    """All but the demo's output, which the Japanese one leaves to the English one."""
    heads = [[depth for depth, _ in _HEADING.findall(prose(ROOT / name))] for name in ("README.md", "README.ja.md")]
    assert heads[0] == heads[1]
    english, japanese = (
        re.findall(r"^    audsql ([\w-]+)", prose(ROOT / name), re.MULTILINE) for name in ("README.md", "README.ja.md")
    )
    assert english == japanese
    assert set(english) <= set(group.list_commands(None))  # type: ignore[arg-type]


def test_the_demo_prints_what_the_readme_shows() -> None:
    command = [sys.executable, str(ROOT / "examples" / "shop" / "demo.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = next(block for block in _FENCED.findall(text) if "$ audsql apply" in block)
    said = shown.split("\n", 1)[1].removesuffix("```")
    assert matches(said, done.stdout), done.stdout
    assert "76 people in all, 0 of them twice" in said
    assert "\nNo changes." in said


def test_the_modules_that_the_architecture_names_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = 0
    for package, part in re.findall(r"^Inside `(\w+)`(.*?)(?=^Inside `|^###|\Z)", text, re.MULTILINE | re.DOTALL):
        for row in re.findall(r"^\| (`.*?) \|", part, re.MULTILINE):
            for module in re.findall(r"`(\w+)/?`", row):
                path = ROOT / "src" / "audsql" / package / module
                assert path.is_dir() or path.with_suffix(".py").is_file(), f"{package}/{module}"
                named += 1
    assert named > 100


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", log, re.MULTILINE)[0] == __version__
    for path in (ROOT / "action.yml", *sorted((ROOT / "examples" / "ci").rglob("*.yml"))):
        assert set(re.findall(r"==(\d[\d.]*\d)", path.read_text(encoding="utf-8"))) <= {__version__}, path.name


def test_the_page_of_exit_codes_has_each_of_them() -> None:
    text = (DOCS / "errors-and-exit-codes.md").read_text(encoding="utf-8")
    table = text.partition("## Exit codes")[2].partition("\n## ")[0]
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(Code)


def test_the_ranges_of_codes_cover_every_code() -> None:
    text = (DOCS / "errors-and-exit-codes.md").read_text(encoding="utf-8").partition("## Codes by range")[2]
    ranges = [
        (int(low.replace("x", "0")), int((high or low).replace("x", "9")))
        for low, high in re.findall(r"AUD([\dx]{4})(?:(?:–| to )AUD([\dx]{4}))?", text)
    ]
    codes = sorted(int(path.stem[3:]) for path in (ROOT / "src" / "audsql" / "catalog").glob("AUD*.toml"))
    assert codes
    assert [code for code in codes if not any(low <= code <= high for low, high in ranges)] == []
