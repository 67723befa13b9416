"""Text of people in Markdown and Mermaid: it shows itself and does nothing else (review.escaped).

GitHub and GitLab act twice on a comment: as Markdown, and on the text that comes out of it (mentions, issue
numbers, emoji codes, bare addresses). An escape stops the first, an invisible word joiner the second.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate

from audsql.source import cell_width, character_cells
from audsql.view.terminal import neutralise

__all__ = ["cut", "mermaid_text", "quoted", "quoted_lines"]

_JOINER = "\u2060"
_ENTITIES = {"&": "&amp;", "$": "&#36;"}
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+!|<>~^])")
# `@team`, `#12`, `user@host`, `:smile:`, `https://host`, `www.host`, `GH-12`, `a1b2c3d` in the text that comes out.
_AFTER = re.compile(r"@|#(?=[\w])|:(?=\S)(?!\d\d(?!\d))")
_HOST = re.compile(r"\b(www)\.", re.IGNORECASE)
_TICKET = re.compile(r"\b([A-Za-z][A-Za-z0-9]{0,9})-(?=\d)")
_COMMIT = re.compile(r"\b[0-9a-f]{7,64}\b", re.IGNORECASE)
# What a block begins with, where the text stands first on its line.
_FIRST = re.compile(r"^([-=]|\d{1,9}(?=[.)]))")
_HIDDEN = re.compile("(?:^|(?<=[\x00-\x7f]))[\u200c\u200d]|[\u00ad\u115f\u1160\u3164\uffa0\u2800\u034f\u180b-\u180f]")


@lru_cache(maxsize=4_096)
def quoted(text: str) -> str:
    """One line of Markdown that renders as the text: no blocks, markup, links, mentions, entities or hidden signs."""
    shown = " ".join(_HIDDEN.sub(_point, neutralise(text)).split())
    parts = re.split(r"([&$])", shown)
    shown = "".join(_ENTITIES.get(part) or _plain(part) for part in parts)
    return _FIRST.sub(lambda match: f"\\{match[0]}" if match[0] in "-=" else f"{match[0]}{_JOINER}", shown)


def _plain(text: str) -> str:
    shown = _AFTER.sub(lambda match: match[0] + _JOINER, text)
    shown = _HOST.sub(rf"\1{_JOINER}.", shown)
    shown = _TICKET.sub(rf"\1-{_JOINER}", shown)
    shown = _COMMIT.sub(lambda match: re.sub(r"(.{6})(?=.)", rf"\1{_JOINER}", match[0]), shown)
    return _PUNCTUATION.sub(r"\\\1", shown)


def _point(match: re.Match[str]) -> str:
    return f"\\u{{{ord(match[0]):x}}}"


def quoted_lines(text: str, lines_max: int, characters_max: int) -> list[str]:
    """A text of several lines as a Markdown quotation, `> …` each; `> …` last where something is left out."""
    kept = text[:characters_max].replace("\r\n", "\n").split("\n")
    lines = [f"> {quoted(line)}  ".rstrip(" ") + ("  " if line.strip() else "") for line in kept[:lines_max]]
    return [*lines, "> …"] if len(text) > characters_max or len(kept) > lines_max else lines


def cut(text: str, cells_max: int) -> str:
    """The beginning of a text, at most so many terminal cells wide; three dots where something is left out."""
    if 2 * len(text) <= cells_max or (len(text) <= cells_max and cell_width(text) <= cells_max):
        return text
    widths = list(accumulate(map(character_cells, text[:cells_max])))
    return text[: bisect_right(widths, cells_max - 3)] + "..."


def mermaid_text(text: str) -> str:
    """Text for a quoted label of Mermaid: everything but letters, digits and blanks is a character code."""
    shown = " ".join(_HIDDEN.sub(_point, neutralise(text)).split())
    return "".join(one if one.isalnum() or one in " -." else f"#{ord(one)};" for one in shown)
