"""What people will get to see: the messages of a plan, as text that is quoted and as an outline of their parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audsql.catalog import word
from audsql.line.anatomy import Part, parts_of
from audsql.line.messages import outline
from audsql.view.terminal import neutralise
from audsql.view.untrusted import cut, quoted, quoted_lines

__all__ = ["contents_of", "message_blocks", "message_lines", "reviewed_messages"]

_TEXT_LINES_MAX = 40
_TEXT_CHARACTERS_MAX = 1_500
_OUTLINE_PARTS_MAX = 40
_PART_CELLS_MAX = 120
_DEPTH_MAX = 8
_HOSTS_MAX = 20
_TERMINAL_MESSAGES_MAX = 10


def reviewed_messages(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages that nobody approved yet as they are now."""
    return [one for one in document.get("messages", ()) if one["state"] != "same"]


def contents_of(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The LINE message objects of each message, by name, out of the content of a delivery that sends it."""
    deliveries = {one["address"]: one for one in document["deliveries"]}
    messages = {one["name"]: one for one in document.get("messages", ())}
    found: dict[str, list[dict[str, Any]]] = {}
    for name, message in messages.items():
        delivery: dict[str, Any] = next((deliveries[one] for one in message["deliveries"] if one in deliveries), {})
        start = 0
        for other in delivery.get("messages", ()):
            end = start + len(messages[other]["kinds"]) if other in messages else start
            if other == name:
                found[name] = list(delivery.get("content", ())[start:end])
                break
            start = end
    return found


def message_lines(document: Mapping[str, Any], language: str) -> list[str]:
    """For the terminal: one line a bubble of each new or changed message, and how many messages are not shown."""
    messages, contents = reviewed_messages(document), contents_of(document)
    lines = []
    for message in messages[:_TERMINAL_MESSAGES_MAX]:
        state = word(f"message.{message['state']}", language)
        lines.append(f"{cut(neutralise(message['name']), 48)}: {state}   {message['digest'][:19]}")
        lines += [f"  {neutralise(outline(one))}" for one in contents.get(message["name"], ())]
        for one in message.get("personal", {}).get("previews", ()):
            said = _nothing_said(one, language) or cut(str(one["text"]), _PART_CELLS_MAX)
            lines.append(f"    {word('preview.' + one['person'], language)}: {neutralise(said)}")
    if len(messages) > _TERMINAL_MESSAGES_MAX:
        lines.append(word("markdown.more", language, count=len(messages) - _TERMINAL_MESSAGES_MAX))
    return lines


def message_blocks(document: Mapping[str, Any], language: str) -> Iterator[str]:
    """For Markdown: one block a new or changed message, whole in itself."""
    contents = contents_of(document)
    for message in reviewed_messages(document):
        lines = [f"**{quoted(cut(message['name'], _PART_CELLS_MAX))}** {word('message.' + message['state'], language)}"]
        lines.append(f"· {quoted(message['digest'][:19])}")
        hosts = list(message["link_hosts"])
        if hosts:
            named = ", ".join(quoted(cut(host, _PART_CELLS_MAX)) for host in hosts[:_HOSTS_MAX])
            rest = f" +{len(hosts) - _HOSTS_MAX}" if len(hosts) > _HOSTS_MAX else ""
            lines.append(f"· {word('message.hosts', language)} {named}{rest}")
        yield "\n".join([" ".join(lines), "", *_bubbles(contents.get(message["name"], ()), language)])
        for one in message.get("personal", {}).get("previews", ()):
            nothing = _nothing_said(one, language)
            said = [quoted(nothing)] if nothing else list(_bubbles(one["messages"], language))
            yield "\n".join([f"{word('preview.' + one['person'], language)}:", "", *said])


def _nothing_said(preview: Mapping[str, Any], language: str) -> str:
    """Why an invented person would get nothing; '' where they would get something."""
    if "missing" in preview:
        return word("preview.missing", language, column=cut(preview["missing"], 48))
    if "problem" in preview:
        return word("preview.problem", language, code=preview["problem"])
    return ""


def _bubbles(content: Sequence[Mapping[str, Any]], language: str) -> Iterator[str]:
    for one in content:
        if one.get("type") == "text" and isinstance(one.get("text"), str):
            yield from quoted_lines(str(one["text"]), _TEXT_LINES_MAX, _TEXT_CHARACTERS_MAX)
        else:
            yield from _outlined(parts_of(one), language)
        yield ""


def _outlined(parts: Sequence[Part], language: str) -> Iterator[str]:
    """A list, two blanks deeper for each part inside another."""
    for part in parts[:_OUTLINE_PARTS_MAX]:
        words = [quoted(cut(part.kind, 40))]
        if part.text:
            words.append(f"“{quoted(cut(part.text, _PART_CELLS_MAX))}”")
        if part.link:
            words.append(f"→ {quoted(cut(part.link, _PART_CELLS_MAX))}")
        yield f"{'  ' * min(part.depth, _DEPTH_MAX)}- {' '.join(words)}"
    if len(parts) > _OUTLINE_PARTS_MAX:
        yield f"- {word('markdown.more', language, count=len(parts) - _OUTLINE_PARTS_MAX)}"
