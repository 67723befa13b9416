"""Result documents of the commands that only look: eval, test, doctor."""

from __future__ import annotations

from typing import Any

from audsql.catalog import word
from audsql.source import cell_width
from audsql.view.numbers import linkage_lines, losses_lines, size
from audsql.view.terminal import Colour, Style, left, neutralise

__all__ = ["doctor", "evaluation", "tests"]

_STATUS_COLOURS: dict[str, Colour] = {"ok": "green", "warning": "yellow", "error": "red"}


def evaluation(document: dict[str, Any], style: Style) -> str:
    """`215 people`, or the bounds where LINE holds a part of the answer; then what mapping ids lost."""
    key = "eval.bounds" if document["high"] is not None else "eval.unbounded"
    line = word(key, style.language, low=document["low"], high=document["high"])
    if document["exact"]:
        line = word("eval.exact", style.language, size=size(document))
    return "\n".join((line, *linkage_lines(document, style.language), *losses_lines(document, style.language))) + "\n"


def tests(document: dict[str, Any], style: Style) -> str:
    """One line a test, failures with what they found, then the count.

    `tests`: `{title, status: passed | failed, failures: [text…]}`; `summary`: `{passed, failed}`.
    """
    lines = []
    for test in document["tests"]:
        passed = test["status"] == "passed"
        mark = style.paint(
            "green" if passed else "red", word(f"test.{'passed' if passed else 'failed'}", style.language)
        )
        lines.append(f"{mark}  {neutralise(test['title'])}")
        lines += [f"      {neutralise(failure)}" for failure in test.get("failures", ())]
    summary = document["summary"]
    total = word("test.summary", style.language, passed=summary["passed"], failed=summary["failed"])
    return "\n".join([*lines, style.paint("bold", total)]) + "\n"


def doctor(document: dict[str, Any], style: Style) -> str:
    """One line a check: `{name, status: ok | warning | error, detail, facts}`; `detail` names a word."""
    checks = document["checks"]
    width = max((cell_width(neutralise(check["name"])) for check in checks), default=0)
    marks = {status: word(f"doctor.{status}", style.language) for status in _STATUS_COLOURS}
    mark_width = max(map(cell_width, marks.values()))
    lines = []
    for check in checks:
        mark = style.paint(_STATUS_COLOURS[check["status"]], left(marks[check["status"]], mark_width))
        lines.append(f"{mark}  {left(neutralise(check['name']), width)}  {_detail(check, style)}".rstrip())
    return "\n".join(lines) + "\n"


def _detail(check: dict[str, Any], style: Style) -> str:
    facts = {name: neutralise(fact) if isinstance(fact, str) else fact for name, fact in check["facts"].items()}
    return word(check["detail"], style.language, **facts)
