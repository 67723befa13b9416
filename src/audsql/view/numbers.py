"""Numbers of people and spans of time as people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from audsql.catalog import word
from audsql.view.terminal import neutralise

__all__ = ["duration", "linkage_lines", "losses_lines", "moment", "signed", "size"]


def size(document: Mapping[str, Any] | None) -> str:
    """`215`, `0..72`, or `215..` where nothing bounds it above; `?` where nothing is known.

    `shown`: what a reader sees instead where the number is hidden (view.shared).
    """
    if document is None:
        return "?"
    if "shown" in document:
        return str(document["shown"])
    if document["exact"]:
        return f"{document['count']:,}"
    high = document["high"]
    return f"{document['low']:,}..{'' if high is None else f'{high:,}'}"


def signed(number: int | None, sign: str) -> str:
    """`+1,204` or `-3`; nothing for none, `?` where it is not known."""
    if number is None:
        return "?"
    return f"{sign}{number:,}" if number else ""


def duration(seconds: int, language: str) -> str:
    """A span in its largest whole unit, rounded up: never less than it takes."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return word(f"duration.{unit}", language, count=-(-seconds // length))
    return word("duration.seconds", language, count=seconds)


def moment(text: str) -> str:
    """An ISO time stamp for reading, `2026-12-01 10:00 +09:00`; anything else as it is."""
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(:\d{2})?(?:\.\d+)?(Z|[+-]\d{2}:\d{2})?", text)
    if match is None:
        return text
    seconds = match[3] if match[3] and match[3] != ":00" else ""
    return f"{match[1]} {match[2]}{seconds} {match[4] or ''}".rstrip()


def linkage_lines(document: dict[str, Any], language: str) -> list[str]:
    """One line for each mapping of ids: how many went in, how many were lost, how many came out."""
    return [
        word(
            "linkage.line",
            language,
            table=neutralise(one["table"]),
            given=one["given"],
            kind=one["from"],
            lost=one["lost"],
            found=one["found"],
            to=one["to"],
        )
        for one in document.get("linkage", ())
    ]


def losses_lines(document: Mapping[str, Any], language: str, people: Mapping[str, Any] | None = None) -> list[str]:
    """One line from the ids that were given to whoever gets the message (`people`); none where nothing was mapped."""
    losses = document.get("losses")
    if losses is None:
        return []
    steps = [word("losses.user_ids", language, people=size(losses["user_ids"]))]
    if losses["given"] is not None:
        steps.insert(0, word("losses.given", language, given=losses["given"], lost=losses["without_user_id"]))
    friends = losses["friends"]
    steps.append(word("losses.friends_unknown" if friends is None else "losses.friends", language, friends=friends))
    if people is not None:
        steps.append(word("losses.people", language, people=size(people)))
    return [" -> ".join(steps)]
