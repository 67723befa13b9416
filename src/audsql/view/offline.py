"""The plan without data, for a terminal and as a comment: what the specs alone say, and that it says no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audsql.catalog import word
from audsql.view import diff
from audsql.view.comment import Section, fitted
from audsql.view.markdown import COMMENT_BYTES_MAX, details, mark
from audsql.view.numbers import moment
from audsql.view.plan import send_lines
from audsql.view.previews import message_blocks, message_lines
from audsql.view.terminal import Style, neutralise
from audsql.view.untrusted import cut, quoted

__all__ = ["comment", "human"]

_CELLS_MAX = 600


def human(document: Mapping[str, Any], style: Style) -> str:
    """What changed in meaning, the messages, how each delivery is compiled; what is not known first."""
    language = style.language
    lines = [style.paint("bold", f"audsql plan  {neutralise(document['project'])}"), word("offline.note", language), ""]
    if document["comparison"] is not None:
        lines += [diff.human(document["comparison"], style).rstrip("\n"), ""]
    lines += [*message_lines(document, language), ""]
    for one in document["deliveries"]:
        first, *rest = _delivery(one, document["labels"], language)
        lines += [f"  {first}", *(f"    {line}" for line in rest)]
    return "\n".join(lines).rstrip("\n") + "\n"


def comment(document: Mapping[str, Any], language: str) -> str:
    """The comment, within COMMENT_BYTES_MAX, with a mark of its own."""
    head = [
        mark("offline", document["environment"], digest=document["digest"]),
        f"### audsql plan · {quoted(cut(document['project'], 80))} · {quoted(cut(document['environment'], 80))}",
        "",
        f"> [!NOTE]\n> {quoted(word('offline.note', language))}",
        "",
    ]
    sections = [Section(tuple(head), ("",), whole=True)]
    comparison = document["comparison"]
    if comparison is not None:
        changes = tuple(_changes(comparison, language))
        sections.append(Section((f"**{diff.summary_text(comparison)}**", ""), changes or ("",)))
    sections.append(details(word("markdown.messages", language), message_blocks(document, language)))
    sections.append(details(word("markdown.sends", language), _sends(document, language)))
    return fitted([one for one in sections if one.blocks], COMMENT_BYTES_MAX, language)


def _changes(comparison: Mapping[str, Any], language: str) -> Iterator[str]:
    for title, lines in diff.change_lines(dict(comparison), language):
        shown = (f"  - {quoted(cut(one, _CELLS_MAX))}" for one in lines)
        yield "\n".join([f"- **{quoted(cut(title, _CELLS_MAX))}**", *shown])


def _sends(document: Mapping[str, Any], language: str) -> Iterator[str]:
    for one in document["deliveries"]:
        first, *rest = (quoted(cut(line, _CELLS_MAX)) for line in _delivery(one, document["labels"], language))
        yield "\n".join([f"- {first}", *(f"  - {line}" for line in rest)])


def _delivery(one: Mapping[str, Any], labels: Mapping[str, str], language: str) -> list[str]:
    at = moment(one["at"]) if one["at"] else word("plan.now", language)
    first, *rest = send_lines({**one, "action": "send"}, labels, language)
    return [f"{first}   {at}", *rest]
