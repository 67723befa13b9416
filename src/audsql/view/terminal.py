"""Text that is safe and aligned on a terminal: neutralised user text, cells, colours, JSON bytes."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from audsql.records import dataclass
from audsql.source import cell_width

__all__ = ["Style", "document_bytes", "left", "neutralise", "quote_markdown", "right", "style_for"]

# Joiners shape emoji and some scripts; every other format character can hide or reorder text.
_HARMLESS = "\u200c\u200d"
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_UNSAFE_JSON = re.compile("[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")

Colour = Literal["bold", "red", "yellow", "green", "blue", "cyan", "dim"]
_CODES: Mapping[Colour, str] = {
    "bold": "1",
    "dim": "2",
    "red": "1;31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
}


def neutralise(text: str) -> str:
    """The text with control, bidirectional and escape characters written out, so that it cannot act.

    A tab is four blanks; `\\x1b` is shown as `\\x1b`, U+202E as `\\u{202e}`.
    """
    # No printable character is of a category that can act.
    if text.isprintable():
        return text
    return "".join(map(_neutral, text))


@lru_cache(maxsize=65_536)
def _neutral(character: str) -> str:
    if character == "\t":
        return "    "
    if character in _HARMLESS or unicodedata.category(character) not in _UNSAFE_CATEGORIES:
        return character
    if character == "\n":
        return "\\n"
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{{{point:x}}}"


def document_bytes(document: Mapping[str, Any]) -> str:
    """A document as JSON text for a pipe or a terminal: readable Japanese, nothing that can act."""
    text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=False)
    return _UNSAFE_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def left(text: str, cells: int) -> str:
    """Padded on the right to that many terminal cells."""
    return text + " " * max(0, cells - cell_width(text))


def right(text: str, cells: int) -> str:
    """Padded on the left to that many terminal cells."""
    return " " * max(0, cells - cell_width(text)) + text


def quote_markdown(text: str) -> str:
    """User text that cannot leave its place in Markdown: no fences, tags, mentions or table cells."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|<>~])", r"\\\1", neutralise(text))
    return escaped.replace("@", "@\u2060")


@dataclass(frozen=True, slots=True)
class Style:
    """How a stream takes text. `unicode` False: signs outside ASCII are replaced by ASCII ones."""

    colour: bool = False
    unicode: bool = True
    width: int = 100
    language: str = "en"

    def paint(self, colour: Colour, text: str) -> str:
        """The text in a colour where the stream shows colours."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.colour and text else text


def style_for(
    environment: Mapping[str, str], *, is_terminal: bool, encoding: str, language: str, columns: int = 100
) -> Style:
    """The style of one stream (https://no-color.org, https://force-color.org).

    NO_COLOR wins over FORCE_COLOR; CI logs and dumb terminals get no colour unless forced.
    """
    plain = bool(environment.get("NO_COLOR"))
    forced = environment.get("FORCE_COLOR", "") not in ("", "0")
    dumb = environment.get("TERM") == "dumb" or bool(environment.get("CI"))
    colour = not plain and (forced or (is_terminal and not dumb))
    return Style(colour, encoding.lower().replace("-", "").startswith("utf"), columns, language)
