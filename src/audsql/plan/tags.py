"""Tags in the names of audiences at LINE, so that what an interrupted apply left there can be found again.

Audience requests have no retry key; looking for the tag is what makes them safe to repeat. A tag names
the state that made the audience, the set it holds and the generation, and nothing about any person.
"""

from __future__ import annotations

import hashlib
import re

from audsql.line.limits import AUDIENCE_NAME_CHARACTERS_MAX
from audsql.records import dataclass

__all__ = ["Tag", "audience_name", "chunk_description", "parse_chunk", "parse_tag"]

_TAG = re.compile(r"\[audsql:([0-9a-f]{6}):([0-9a-f]{10}):([0-9]{1,6})\]\s*$")
_CHUNK = re.compile(r"^audsql:([0-9a-f]{12})/([0-9]{1,6})of([0-9]{1,6})$")


@dataclass(frozen=True, slots=True)
class Tag:
    """`lineage` and `key`: the first 6 and 10 digits of SHA-256 of the state's lineage and the set's key."""

    lineage: str
    key: str
    generation: int

    @staticmethod
    def of(lineage: str, key: str, generation: int) -> Tag:
        return Tag(_digest(lineage)[:6], _digest(key)[:10], generation)

    def __str__(self) -> str:
        return f"[audsql:{self.lineage}:{self.key}:{self.generation}]"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def audience_name(label: str, tag: Tag) -> str:
    """The name an audience gets at LINE: the label, cut to fit, and the tag."""
    clean = "".join(character if character.isprintable() else " " for character in label).strip()
    room = AUDIENCE_NAME_CHARACTERS_MAX - len(str(tag)) - 1
    return f"{clean[:room]} {tag}" if clean else str(tag)


def parse_tag(name: str) -> Tag | None:
    """The tag in an audience's name, None where it has none."""
    found = _TAG.search(name)
    return Tag(found[1], found[2], int(found[3])) if found else None


def chunk_description(fingerprint: str, index: int, count: int) -> str:
    """The description of an upload job: which part (from 1) of which set it adds."""
    return f"audsql:{_digest(fingerprint)[:12]}/{index}of{count}"


def parse_chunk(description: str) -> tuple[str, int, int] | None:
    """(set, index, count) of a job's description, None where it is not one of ours."""
    found = _CHUNK.match(description)
    return (found[1], int(found[2]), int(found[3])) if found else None
