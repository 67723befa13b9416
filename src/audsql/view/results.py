"""Result documents of the commands that only look: eval, test, doctor, explain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.source import cell_width
from audsql.view.numbers import size
from audsql.view.terminal import Colour, Style, left, neutralise

__all__ = ["doctor", "evaluation", "explanation", "tests"]

_STATUS_COLOURS: dict[str, Colour] = {"ok": "green", "warning": "yellow", "error": "red"}


def evaluation(document: dict[str, Any], style: Style) -> str:
    """`215 people`, or the bounds where LINE holds a part of the answer."""
    if document["exact"]:
        return word("eval.exact", style.language, size=size(document)) + "\n"
    key = "eval.bounds" if document["high"] is not None else "eval.unbounded"
    return word(key, style.language, low=document["low"], high=document["high"]) + "\n"


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


def explanation(document: dict[str, Any], style: Style) -> str:
    """A code's long text with its samples, or how a name of the project is built and used."""
    lines = _code(document, style) if "code" in document else _name(document, style)
    return "\n".join(lines) + "\n"


def _code(document: dict[str, Any], style: Style) -> Iterator[str]:
    yield style.paint("bold", f"{document['code']}: {document['title']}")
    yield ""
    yield document["explain"]
    for key in ("bad", "good"):
        if document["sample"]:
            yield ""
            yield word(f"explain.{key}", style.language)
            yield ""
            yield from (f"    {neutralise(line)}".rstrip() for line in document["sample"][key].strip().splitlines())
    yield ""
    yield word("explain.rule", style.language, rule=document["rule"], since=document["since"])


def _name(document: dict[str, Any], style: Style) -> Iterator[str]:
    kind = word(f"kind.{document['kind']}", style.language)
    yield style.paint("bold", f"{kind} {neutralise(document['name'])}")
    if document.get("description"):
        yield from (f"  {neutralise(line)}" for line in document["description"].splitlines())
    for key in ("text", "reach"):
        if document.get(key):
            yield ""
            yield f"{word(f'explain.{key}', style.language)} {neutralise(document[key])}"
    for key in ("uses", "used_by"):
        if document[key]:
            names = word("list_separator", style.language).join(map(neutralise, document[key]))
            yield ""
            yield f"{word(f'explain.{key}', style.language)} {names}"
