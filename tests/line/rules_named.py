"""The rules of specs/line.md, and the tests that name them by `@pytest.mark.rule(…)`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from marks import marked

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "specs" / "line.md"
JUDGE = "simulator"
_ROW = re.compile(r"\| `r\[(line(?:\.[a-z_]+)+)\]` \|(.*)\|")


@dataclass(frozen=True)
class Rule:
    """A row of the page. `by`: the parts that rely on it. `cells`: the words beside its name, by column."""

    name: str
    by: frozenset[str]
    cells: dict[str, str]

    @property
    def is_assumed(self) -> bool:
        """Whether LINE does not say it."""
        return "the question" in self.cells


@cache
def rules() -> tuple[Rule, ...]:
    """Every row that has a name, in the order of the page."""
    found: list[Rule] = []
    columns: list[str] = []
    for text in PAGE.read_text(encoding="utf-8").splitlines():
        if text.startswith("| rule |"):
            columns = [cell.strip() for cell in text.strip("|").split("|")]
        row = _ROW.fullmatch(text)
        if row is not None:
            cells = dict(zip(columns[1:], (cell.strip() for cell in row[2].split("|")), strict=True))
            found.append(Rule(row[1], frozenset(cells["by"].split(", ")), cells))
    return tuple(found)


@dataclass(frozen=True)
class Naming:
    """A test that names a rule; `path` from the root."""

    rule: str
    path: str
    test: str

    @property
    def asks_the_simulator(self) -> bool:
        """Whether it judges the simulator by its answers."""
        return self.path.startswith("tests/sim/")


@cache
def namings() -> tuple[Naming, ...]:
    """Read off the texts of the tests: nothing is imported."""
    return tuple(Naming(str(one.argument), one.path, one.test) for one in marked("rule"))
