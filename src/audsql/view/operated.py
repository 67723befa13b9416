"""What the person on duty did and has to do, as terminal text: pauses, and the head of `status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.source import cell_width
from audsql.view.numbers import moment
from audsql.view.terminal import Style, left, neutralise

__all__ = ["agenda", "pause_lines", "paused", "report"]

Document = dict[str, Any]


def paused(document: Document, style: Style) -> str:
    """The answer to `pause` and `resume`: what is stopped from now on, and what waits."""
    language = style.language
    stopping = document["kind"] == "audsql.pause"
    key = ("pause" if stopping else "resume") + (".done" if document["changed"] else ".already")
    lines = [style.paint("yellow" if stopping else "green", word(key, language))]
    lines += pause_lines(document["paused"], style)
    lines += _waiting(document["waiting"], style)
    if not stopping and document["waiting"]:
        lines.append(word("resume.next", language))
    return "".join(f"{line}\n" for line in lines)


def pause_lines(pauses: list[Document], style: Style) -> Iterator[str]:
    """One line for each pause in force, with the reason and the command that ends it."""
    for one in pauses:
        name = one["delivery"]
        subject = word("paused.all", style.language) if name is None else neutralise(name)
        facts = {"since": moment(one["since"]), "reason": neutralise(one["reason"]), "subject": subject}
        yield style.paint("yellow", f"  {word('paused.line', style.language, **facts)}")


def _waiting(rows: list[Document], style: Style) -> Iterator[str]:
    if not rows:
        return
    yield style.paint("bold", word("status.next", style.language))
    names = [neutralise(one["delivery"]) for one in rows]
    width = max(map(cell_width, names))
    for one, name in zip(rows, names, strict=True):
        at = moment(one["at"]) if one["at"] else word("plan.now", style.language)
        parts = [f"  {left(name, width)}  {at}"]
        if one["not_after"]:
            parts.append(word("status.until", style.language, end=moment(one["not_after"])))
        if one["paused"]:
            parts.append(word("status.paused", style.language))
        if one.get("waits_for"):
            parts.append(word("times.after", style.language, names=", ".join(map(neutralise, one["waits_for"]))))
        if one.get("overdue"):
            parts.append(word("status.overdue", style.language))
        yield "  ".join(parts)


def agenda(document: Document, style: Style) -> Iterator[str]:
    """The head of `status`: what needs a person with the command to type, what is paused, what comes next."""
    language = style.language
    for one in document.get("needs_person", ()):
        state = word(f"state.{one['state']}", language)
        key = "status.flow" if one["delivery"].startswith("flow.") else "status.delivery"
        text = word(key, language, name=neutralise(one["delivery"]), state=state)
        yield style.paint("red", f"! {text}")
        why = word(f"status.why.{one['why']}", language)
        yield f"    {why}"
        yield from (f"      {neutralise(command)}" for command in one["commands"])
    if document.get("paused"):
        yield style.paint("bold", word("status.stopped", language))
        yield from pause_lines(document["paused"], style)
    yield from _waiting(document.get("next", []), style)
    for one in document.get("expiring", ()):
        facts = {"name": neutralise(one["name"]), "at": moment(one["expires_at"])}
        yield style.paint("yellow", word("status.expiring", language, **facts))


def report(document: Document, style: Style) -> str:
    """What LINE says of each send of a delivery, a line each."""
    language, lines = style.language, []
    for one in document["occurrences"]:
        state = word(f"state.{one['state']}", language)
        head = word("status.delivery", language, name=neutralise(document["delivery"]), state=state)
        at = moment(one["at"]) if one["at"] else ""
        lines.append(style.paint("bold", f"{head}  {at}".rstrip()))
        for part in one["parts"]:
            counts = {name: _count(part[name]) for name in ("delivered", "opened", "clicked")}
            said = word(f"operation.{part['state']}", language)
            lines.append(f"  {word('report.part', language, part=part['part'], state=said, **counts)}")
    lines.append(word("report.hidden", language, count=document["hidden_below"]))
    return "".join(f"{line}\n" for line in lines)


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"
