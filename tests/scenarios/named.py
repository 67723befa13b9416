"""The scenarios and threats that audsql must survive, and the tests that show each of them.

A test shows one by `@pytest.mark.scenario(10)` or `@pytest.mark.threat("T01")`, or by saying `scenario 10` or `T01`
in its name or docstring. `python tests/scenarios/named.py` prints specs/scenarios.md, which is made from this.
"""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1]))

from marks import ROOT, Marked, marked

PAGE = ROOT / "specs" / "scenarios.md"
TABLE = Path(__file__).parent / "scenarios.toml"
_SCENARIO = re.compile(r"[Ss]cenarios?[ _]((?:\d{1,2}(?:, | and |_and_|_)?)+)")
_THREAT = re.compile(r"(?<![A-Za-z0-9])T(\d\d)(?![0-9])")


@dataclass(frozen=True)
class Subject:
    """A scenario (1 to 52) or a threat (T01 to T66). `absent`: why no test is there; empty where one must be."""

    key: str
    what: str
    absent: str = ""


@cache
def subjects() -> tuple[Subject, ...]:
    """All of them, in their order."""
    document = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    absent = {**document["does_not_apply"], **document["later"]}
    return tuple(Subject(key, what, absent.get(key, "")) for key, what in document["subjects"].items())


@cache
def shown() -> dict[str, tuple[Marked, ...]]:
    """The tests of each subject that has one, by its key, in the order of files and lines."""
    found: dict[str, dict[Marked, None]] = {}
    for one in (*marked("scenario"), *marked("threat"), *_said()):
        place = Marked("", one.path, one.test)
        found.setdefault(str(one.argument), {})[place] = None
    return {key: tuple(sorted(places, key=lambda one: (one.path, one.test))) for key, places in found.items()}


def _said() -> list[Marked]:
    """What tests say in their names and docstrings."""
    found: list[Marked] = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place = path.relative_to(ROOT).as_posix()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = f"{node.name}\n{ast.get_docstring(node) or ''}"
                found.extend(Marked(key, place, node.name) for key in _keys(text))
    return found


def _keys(text: str) -> list[str]:
    numbers = [number for found in _SCENARIO.findall(text) for number in re.findall(r"\d+", found)]
    return [*numbers, *(f"T{number}" for number in _THREAT.findall(text.replace("_", " ")))]


def page_text() -> str:
    """specs/scenarios.md as it must be."""
    lines = [
        "# What must be survived, and the tests that show it",
        "",
        "Made from `tests/scenarios/scenarios.toml` and the marks of the tests; `AUDSQL_REWRITE=1` writes it anew.",
        "A test stands here because it fails when the sentence beside it does not hold.",
        "",
        "## Scenarios of plan, apply and state",
        "",
        *_rows([one for one in subjects() if not one.key.startswith("T")]),
        "",
        "## Threats",
        "",
        *_rows([one for one in subjects() if one.key.startswith("T")]),
    ]
    return "\n".join(lines) + "\n"


def _rows(rows: list[Subject]) -> list[str]:
    header = ["| number | what must hold | shown by |", "| --- | --- | --- |"]
    return header + [f"| {one.key} | {one.what} | {_cell(one)} |" for one in rows]


def _cell(subject: Subject) -> str:
    if subject.absent:
        return f"*{subject.absent}*"
    by_path: dict[str, list[str]] = {}
    for one in shown().get(subject.key, ()):
        by_path.setdefault(one.path.removeprefix("tests/"), []).append(one.test.removeprefix("test_"))
    return "; ".join(f"`{path}`: {', '.join(tests)}" for path, tests in by_path.items())


if __name__ == "__main__":
    print(page_text(), end="")
