"""The plan document as one pull request comment: summary and table first, details after, within GitHub's limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.view.numbers import moment, size
from audsql.view.plan import DELIVERY_SIGNS, UPLOAD_SIGNS, guard_title, listed_changes, meaning_line, summary_text
from audsql.view.terminal import quote_markdown

__all__ = ["COMMENT_BYTES_MAX", "plan_comment"]

# GitHub refuses a comment above 65,535 characters; the rest of it is room for a bot's own words.
COMMENT_BYTES_MAX = 60_000


def plan_comment(document: dict[str, Any], language: str) -> str:
    """The comment. Its first line is a hidden mark by which a bot finds and replaces it."""
    environment = document["environment"] or "default"
    head = [
        f"<!-- audsql:plan env={_attribute(environment)} digest={document['digest']} -->",
        f"### audsql plan · {quote_markdown(document['project'])} · {quote_markdown(environment)}",
        "",
        f"**{summary_text(document)}**",
        "",
    ]
    tail = ["", f"`audsql apply --expect {document['digest']}`"]
    body = [*_guards(document, language), *_rows(document, language), *_meanings(document, language)]
    return "\n".join([*head, *_within(body, language), *tail]) + "\n"


def _attribute(text: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in text)


def _within(lines: list[str], language: str) -> Iterator[str]:
    """Lines up to the budget, whole ones only; what is left out is counted."""
    used = 0
    for position, line in enumerate(lines):
        used += len(line.encode()) + 1
        if used > COMMENT_BYTES_MAX:
            yield word("markdown.more", language, count=len(lines) - position)
            return
        yield line


def _guards(document: dict[str, Any], language: str) -> Iterator[str]:
    for guard in document["guards"]:
        yield "> [!CAUTION]" if guard["severity"] == "error" else "> [!WARNING]"
        yield f"> {guard['code']}: {quote_markdown(guard_title(guard, language))}"
        yield ""


def _rows(document: dict[str, Any], language: str) -> Iterator[str]:
    changes = listed_changes(document)
    deliveries = [one for one in document["deliveries"] if one["action"] != "sent"]
    names = [*document.get("moved", ()), *document.get("removed", ())]
    if not changes and not deliveries and not document["cancelled"] and not names:
        return
    titles = [word(f"markdown.{name}", language) for name in ("what", "people", "entering", "leaving", "why")]
    yield f"| | {' | '.join(titles)} |"
    yield "|--|--|--:|--:|--:|--|"
    for one in changes:
        yield _change_row(one, language)
    for one in deliveries:
        at = moment(one["at"]) if one["at"] else word("plan.now", language)
        name = quote_markdown(one["address"].removeprefix("delivery."))
        why = word(f"delivery.{one['action']}", language, at=at)
        kind = word("kind.delivery", language)
        yield f"| {DELIVERY_SIGNS[one['action']]} | {kind} {name} | {size(one['people'])} | | | {why} |"
    for one in document["cancelled"]:
        name = quote_markdown(one["address"].removeprefix("delivery."))
        why = word("delivery.cancelled", language, at=moment(one["occurrence"]))
        yield f"| - | {word('kind.delivery', language)} {name} | | | | {why} |"
    yield from _name_rows(document, language)


def _name_rows(document: dict[str, Any], language: str) -> Iterator[str]:
    kind = word("kind.delivery", language)
    for one in document.get("moved", ()):
        why = word("delivery.moved", language, old=quote_markdown(one["from"]))
        yield f"| ~ | {kind} {quote_markdown(one['to'])} | | | | {why} |"
    for one in document.get("removed", ()):
        kept = one["action"] == "keep"
        why = word("removed.keep" if kept else "removed.delete", language, count=len(one["addresses"]))
        yield f"| {'~' if kept else '-'} | {kind} {quote_markdown(one['name'])} | | | | {why} |"


def _meanings(document: dict[str, Any], language: str) -> Iterator[str]:
    if document.get("changes", ()):
        yield ""
        yield f"**{word('plan.meanings', language)}**"
        yield ""
        yield from (f"- {quote_markdown(meaning_line(one, language))}" for one in document.get("changes", ()))


def _change_row(one: dict[str, Any], language: str) -> str:
    what = f"{word('kind.' + one['type'], language)} {quote_markdown(one['label'])}"
    why = word(f"reason.{one['reason']}", language)
    people = one.get("people")
    if people is None:
        return f"| {UPLOAD_SIGNS[one['action']]} | {what} | | | | {why} |"
    moved = [f"{people[name]:,}" if people[name] is not None else "?" for name in ("entering", "leaving")]
    before_after = f"{people['before']:,} → {people['after']:,}"
    return f"| {UPLOAD_SIGNS[one['action']]} | {what} | {before_after} | {moved[0]} | {moved[1]} | {why} |"
