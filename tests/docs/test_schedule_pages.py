"""docs/schedules.md and its Japanese twin: outputs are what the tool prints, recipes hold; the examples are whole.

`AUDSQL_REWRITE=1` writes the outputs anew.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from documents import DOCS, alone, blocks_of, check_outputs

from audsql import session

PAGES = ("schedules.md", "schedules.ja.md")
EXAMPLE = DOCS.parent / "examples" / "schedule"


@pytest.mark.parametrize("page", PAGES)
def test_outputs_are_what_the_tool_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone(monkeypatch, tmp_path, "schedule")
    assert check_outputs(page, capsys, monkeypatch) == 3


@pytest.mark.parametrize("page", PAGES)
def test_recipes_have_no_errors(page: str) -> None:
    blocks = blocks_of(page)
    base = "".join(one.text for one in blocks if one.about == "base")
    recipes = [one for one in blocks if one.is_recipe]
    assert recipes
    for one in recipes:
        found = session.check_text(base + one.text)
        problems = found[0] if isinstance(found, tuple) and found and isinstance(found[0], tuple) else found
        assert [problem.code for problem in problems if problem.severity == "error"] == []


def test_files_around_the_example_name_commands_and_options_that_exist() -> None:
    from audsql.cli.run import command

    options = {name for parameter in command.params for name in parameter.opts}
    files = [one for folder in ("cron", "systemd", "github") for one in sorted((EXAMPLE / folder).iterdir())]
    assert len(files) == 5
    for file in files:
        for call in re.findall(r"audsql run((?: --[a-z-]+(?: \d+)?)*)", file.read_text(encoding="utf-8")):
            assert set(re.findall(r"--[a-z-]+", call)) <= options, (file, call)


def test_the_example_is_a_project() -> None:
    assert tomllib.loads((EXAMPLE / "audsql.toml").read_text(encoding="utf-8"))["project"]["name"] == "schedule"
    opened = session.open_project(EXAMPLE)
    assert session.check(opened) == ()
