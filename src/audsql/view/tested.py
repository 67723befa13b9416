"""The answer to `send-test`, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.view.terminal import Style, neutralise

__all__ = ["tested"]

Document = dict[str, Any]


def tested(document: Document, style: Style) -> str:
    """What was sent to how many testers, one line for each send."""
    return "".join(f"{line}\n" for one in document["tests"] for line in _lines(one, document["to"], style))


def _lines(one: Document, to: str, style: Style) -> Iterator[str]:
    facts = {"name": neutralise(one["target"]), "to": neutralise(to), "sent": one["sent"], "count": one["testers"]}
    line = word("test.sent" if one["tested"] else "test.incomplete", style.language, **facts)
    yield style.paint("green", line) if one["tested"] else style.paint("yellow", line)
    if one["invented"]:
        yield f"  {word('test.invented', style.language, count=one['invented'])}"
