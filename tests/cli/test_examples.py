"""Every example runs; the demo is run by tests/docs/test_pages.py."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from pathlib import Path

import pytest

from audsql.cli.app import run
from audsql.syntax.lex import STATEMENT_WORDS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROJECTS = sorted(path.parent for path in EXAMPLES.glob("*/audsql.toml"))


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
@pytest.mark.parametrize("arguments", [["check"], ["test"], ["fmt", "--check"], ["graph"]], ids=" ".join)
def test_example(project: Path, arguments: list[str]) -> None:
    assert run([*arguments, "--project", str(project)]) == 0


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_example_has_no_lint(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--project", str(project), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["diagnostics"] == []


def test_spring_has_the_whole_language() -> None:
    """Every kind of statement stands in it, and in the file that it uses."""
    files = [path for folder in ("spring", "common") for path in sorted((EXAMPLES / folder).glob("*.aud"))]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert {word for word in STATEMENT_WORDS if not re.search(rf"^{word} ", text, re.MULTILINE)} == set()


def test_spring_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINE_CHANNEL_ACCESS_TOKEN", "sim-token")
    for folder in ("spring", "common"):
        shutil.copytree(EXAMPLES / folder, tmp_path / folder, ignore=shutil.ignore_patterns(".audsql"))
    assert run(["plan", "--project", str(tmp_path / "spring"), "--as-of", "2026-11-21", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["summary"]["add"] == 12


def test_shop_data_is_what_its_program_writes(tmp_path: Path) -> None:
    program = runpy.run_path(str(EXAMPLES / "shop" / "make_data.py"))
    program["main"](tmp_path)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert [str(path) for path in made] == ["data/buyers.txt", "data/optout.txt", "data/orders.csv", "world.json"]
    for path in made:
        assert (tmp_path / path).read_bytes() == (EXAMPLES / "shop" / path).read_bytes(), path


def test_new_project_runs_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINE_CHANNEL_ACCESS_TOKEN", "sim-token")
    where = ["--project", str(tmp_path)]
    assert run(["init", *where]) == 0
    for arguments in (["check"], ["test"], ["fmt", "--check"], ["apply", "--auto-approve"]):
        assert run([*arguments, *where]) == 0, capfd.readouterr().err
    capfd.readouterr()
    assert run(["plan", "--detailed-exitcode", *where]) == 0
    assert "\nNo changes." in capfd.readouterr().out
    assert run(["status", *where]) == 0
    assert "coupon_a" in capfd.readouterr().out
