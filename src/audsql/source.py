"""Source texts and places in them.

A place is a `Span`: a path and two offsets in code points of the text as it was read. Lines and
columns are counted from 1, in code points; display widths are terminal cells (a full-width
character takes two). Conversions happen here and nowhere else.
"""

from __future__ import annotations

import bisect
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, field, fields
from functools import lru_cache
from typing import Any, TypeVar

from audsql.records import dataclass

__all__ = [
    "CopySpan",
    "Origin",
    "Position",
    "Source",
    "SourceMap",
    "Span",
    "cell_width",
    "character_cells",
    "made_often",
]

T = TypeVar("T")


def made_often(kind: type[T]) -> type[T]:
    """A frozen, slotted dataclass with the same values, made in less than half the time.

    What `dataclass` writes looks `object.__setattr__` up and a name for each field; this sets the slots. For
    the few kinds of which a project has hundreds of thousands. Fields with a default factory are refused.
    """
    names: dict[str, Any] = {}
    given: list[str] = []
    lines: list[str] = []
    for one in fields(kind):  # type: ignore[arg-type]
        name, has_default = one.name, one.default is not MISSING
        if one.default_factory is not MISSING:
            raise TypeError(f"a field of {kind.__name__} has a default factory")
        names |= {f"_set_{name}": getattr(kind, name).__set__, f"_default_{name}": one.default}
        if one.init:
            given.append(f"{name}=_default_{name}" if has_default else name)
            lines.append(f"_set_{name}(self, {name})")
        elif has_default:
            lines.append(f"_set_{name}(self, _default_{name})")
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    exec(f"def __init__(self, {', '.join(given)}):\n " + "\n ".join(lines), names)  # noqa: S102  as `dataclass` does
    kind.__init__ = names["__init__"]  # type: ignore[method-assign]
    return kind


@made_often
@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The half-open range [start, end) of code points in the text at `path`."""

    path: str
    start: int
    end: int

    def to(self, other: Span) -> Span:
        """The smallest span that covers this one and `other`, which is in the same text."""
        return Span(self.path, min(self.start, other.start), max(self.end, other.end))


@dataclass(frozen=True, slots=True)
class Origin:
    """What made a copy of written text: `p = A` of a loop, `lapsed(A)` of a call, and where it stands."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True, order=True)
class CopySpan(Span):
    """A place in text of which there are copies (loops, audiences with parameters), in one of them.

    The places of all copies are equal, so that a problem of the text is told once, with its first origin.
    """

    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A line and a column, both counted from 1, the column in code points."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Source:
    """One text of the project: `path` is relative to the project folder, with forward slashes."""

    path: str
    text: str
    _line_starts: tuple[int, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        starts = [0]
        find = self.text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        object.__setattr__(self, "_line_starts", tuple(starts))

    @property
    def digest(self) -> str:
        """SHA-256 of the UTF-8 text, in hexadecimal."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def position(self, offset: int) -> Position:
        """Line and column of a code point offset; an offset past the end is the end."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect.bisect_right(self._line_starts, offset)
        return Position(line, offset - self._line_starts[line - 1] + 1)

    def line_text(self, line: int) -> str:
        """The text of a line (from 1) without its line ending; empty for a line out of range."""
        if not 1 <= line <= len(self._line_starts):
            return ""
        start = self._line_starts[line - 1]
        end = self._line_starts[line] if line < len(self._line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    @property
    def line_count(self) -> int:
        return len(self._line_starts)


@dataclass(frozen=True, slots=True)
class SourceMap:
    """All texts of a project by path, in path order."""

    sources: Mapping[str, Source]

    @staticmethod
    def of(sources: Iterable[Source]) -> SourceMap:
        return SourceMap({source.path: source for source in sorted(sources, key=lambda s: s.path)})

    def __iter__(self) -> Iterator[Source]:
        return iter(self.sources.values())

    def get(self, path: str) -> Source | None:
        return self.sources.get(path)

    @property
    def digest(self) -> str:
        """SHA-256 over every path and text digest, in path order."""
        total = hashlib.sha256()
        for source in self:
            total.update(f"{source.path}\0{source.digest}\n".encode("utf-8", "surrogatepass"))
        return total.hexdigest()


def cell_width(text: str) -> int:
    """Terminal cells that `text` takes: 2 for wide characters, 0 for combining ones, else 1."""
    if text.isascii():
        return len(text)
    return sum(map(character_cells, text))


@lru_cache(maxsize=65_536)
def character_cells(character: str) -> int:
    """Terminal cells that one character takes."""
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
