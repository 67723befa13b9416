"""The pages of specs/language run: every fenced case does what its first line says.

    ```aud valid            the text has no errors
    ```aud invalid AUD0107  the code is among its errors and warnings
    ```aud format           what stands above `-- output --` is formatted to what stands below

Syntax codes (AUD01xx) need the parser alone; everything else is checked as a project of one file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audsql import catalog
from audsql.diag import Diagnostic
from audsql.source import Source
from audsql.syntax.parse import parse_file
from audsql.syntax.print import format_source

PAGES = sorted((Path(__file__).parents[2] / "specs" / "language").glob("*.md"))
DIVIDER = "-- output --\n"
_FENCE = re.compile(r"```+(.*)")


@dataclass(frozen=True)
class Case:
    """One fenced block: the rule by the heading above it, the words of its first line, its text."""

    page: str
    line: int
    rule: str
    words: tuple[str, ...]
    text: str


def cases(page: Path) -> Iterator[Case]:
    """The cases of a page, in order; blocks of other languages are left out."""
    rule, start = "", 0
    fence: tuple[str, ...] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if fence is not None:
            if line.strip() == "```":
                if fence[:1] == ("aud",):
                    yield Case(page.name, start, rule, fence[1:], "".join(f"{one}\n" for one in lines))
                fence = None
            else:
                lines.append(line)
        elif found := _FENCE.match(line):
            fence, start, lines = tuple(found.group(1).split()), number, []
        elif line.startswith("### "):
            rule = line.removeprefix("### ").strip()
    assert fence is None, f"{page.name}:{start}: the block has no end"


CASES = [case for page in PAGES for case in cases(page)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.page}:{case.line} {case.rule} {' '.join(case.words)}")
def test_case(case: Case) -> None:
    assert case.rule, "a case stands below the rule that it shows"
    match case.words:
        case ("valid",):
            assert [one.code for one in found_in(case.text, syntax_alone=False) if one.severity == "error"] == []
        case ("invalid", code):
            assert code in {one.code for one in found_in(case.text, syntax_alone=code.startswith("AUD01"))}
        case ("format",):
            given, _, wanted = case.text.partition(DIVIDER)
            assert format_source(Source("spec.aud", given))[0] == wanted
            assert format_source(Source("spec.aud", wanted))[0] == wanted
        case _:
            pytest.fail(f"not a kind of case: {' '.join(case.words)}")


def found_in(text: str, *, syntax_alone: bool) -> tuple[Diagnostic, ...]:
    """What is said of a text."""
    if syntax_alone:
        return parse_file(Source("spec.aud", text))[1]
    try:
        from audsql.session import check_text
    except ImportError:
        pytest.fail("audsql.session.check_text is missing: cases of whole projects cannot run")
    return check_text(text)


def rules() -> dict[str, list[Case]]:
    """Every rule of the pages with its cases."""
    found: dict[str, list[Case]] = {}
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("### "):
                assert line[4:].strip() not in found, f"{page.name}: {line[4:].strip()} stands twice"
                found[line[4:].strip()] = []
    for case in CASES:
        found[case.rule].append(case)
    return found


@pytest.mark.parametrize("code", [code for code in catalog.codes() if code.startswith("AUD01")])
def test_syntax_codes_name_a_rule(code: str) -> None:
    assert catalog.entry(code).rule in rules()


@pytest.mark.parametrize("prefix", ["lexical.", "syntax."])
def test_rules_of_syntax_have_cases(prefix: str) -> None:
    assert [rule for rule, shown in rules().items() if rule.startswith(prefix) and not shown] == []
