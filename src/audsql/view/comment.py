"""Markdown within a number of bytes: sections in order, whole blocks only, what is left out counted (review.budget)."""

from __future__ import annotations

from collections.abc import Sequence

from audsql.catalog import word
from audsql.records import dataclass

__all__ = ["Section", "fitted"]

# What one section leaves to those after it, in parts of what is left.
_SHARE_OF_LATER = 3
_MORE_BYTES = 200


@dataclass(frozen=True, slots=True)
class Section:
    """`blocks` are never split and stand between `head` and `foot`, which open and close what they stand in.
    `whole`: all of them or none."""

    head: tuple[str, ...]
    blocks: tuple[str, ...]
    foot: tuple[str, ...] = ()
    whole: bool = False


def fitted(sections: Sequence[Section], bytes_max: int, language: str) -> str:
    """The sections as text of at most so many bytes. What does not fit is left out whole and counted in its place."""
    given: list[str] = []
    left_out = 0
    room = bytes_max - _MORE_BYTES
    for position, section in enumerate(sections):
        later = len(sections) - position - 1
        share = room - room // _SHARE_OF_LATER if later else room
        text, missing = _section(section, share, language)
        if not text:
            left_out += missing
            continue
        given.append(text)
        room -= _size(text) + 1
    if left_out:
        given.append(word("markdown.more", language, count=left_out) + "\n")
    return "\n".join(given)


def _section(section: Section, bytes_max: int, language: str) -> tuple[str, int]:
    """The section's text, '' where not even its first block fits; and how many blocks are not in it."""
    frame = "\n".join([*section.head, *section.foot, ""])
    room = bytes_max - _size(frame) - _MORE_BYTES
    kept: list[str] = []
    for block in section.blocks:
        room -= _size(block) + 1
        if room < 0:
            break
        kept.append(block)
    missing = len(section.blocks) - len(kept)
    if not kept or (missing and section.whole):
        return "", len(section.blocks)
    more = ["", word("markdown.more", language, count=missing)] if missing else []
    return "\n".join([*section.head, *kept, *more, *section.foot, ""]), missing


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
