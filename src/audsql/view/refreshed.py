"""A refresh as terminal text: what LINE holds otherwise, and what is remembered anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.view.drift import drift_lines
from audsql.view.numbers import moment
from audsql.view.terminal import Style, neutralise

__all__ = ["human"]


def human(document: dict[str, Any], style: Style) -> str:
    """Drift, what is new to the records, and one line that says it all. `No changes.` is fixed in every language."""
    return "".join(f"{line}\n" for line in _lines(document, style))


def _lines(document: dict[str, Any], style: Style) -> Iterator[str]:
    language = style.language
    drift = drift_lines(document, language)
    if drift:
        yield style.paint("bold", word("plan.drift", language))
        yield from (f"  ! {line}" for line in drift)
        yield ""
    done, count = document["kind"] == "audsql.refreshed", len(document["remembered"])
    if count:
        yield style.paint("bold", word("refresh.header", language))
        yield from (f"  ~ {_remembered(one, language)}" for one in document["remembered"])
        yield ""
    if done:
        yield word("refresh.done", language, count=count)
    elif count:
        yield word("refresh.summary", language, count=count)
    else:
        yield f"No changes. {word('refresh.nothing', language)}"


def _remembered(one: dict[str, Any], language: str) -> str:
    now = one["now"] or ""
    if one["what"] == "expires_at":
        now = moment(now)
    return f"{neutralise(one['name'])}: {word('refresh.' + one['what'], language, now=neutralise(now))}"
