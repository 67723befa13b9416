"""Where keys and sections of a TOML text stand."""

from __future__ import annotations

import re

from audsql.source import Source, Span

__all__ = ["Places"]

_NAME_PATTERN = r"(?:[\w-]+|\"[^\"]*\"|'[^']*')"
_KEY_LINE = re.compile(rf"\s*({_NAME_PATTERN}(?:\s*\.\s*{_NAME_PATTERN})*)\s*=")


class Places:
    """Where keys and sections stand. tomllib keeps no positions, and a bare scan of lines is enough for
    them: a value that spans lines can only make a place imprecise, never a value wrong."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._source = Source(path, text)
        self._spans: dict[tuple[str, ...], Span] = {}
        self.line_count = self._source.line_count
        section: tuple[str, ...] = ()
        offset = 0
        for line in text.splitlines(keepends=True):
            if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line):
                section = _dotted(header[1])
                self._add(section, offset + header.start(1), offset + header.end(1))
            elif key := _KEY_LINE.match(line):
                self._add((*section, *_dotted(key[1])), offset + key.start(1), offset + key.end(1))
            offset += len(line)

    def _add(self, path: tuple[str, ...], start: int, end: int) -> None:
        for length in range(1, len(path) + 1):
            self._spans.setdefault(path[:length], Span(self._path, start, end))

    def of(self, path: tuple[str, ...]) -> Span | None:
        """The place of a dotted name, or of the nearest name around it."""
        while path:
            if path in self._spans:
                return self._spans[path]
            path = path[:-1]
        return None

    def at(self, line: int, column: int) -> Span:
        """The place of a line and column, both from 1."""
        offset = column - 1
        for index in range(1, min(line, self.line_count)):
            offset += len(self._source.line_text(index)) + 1
        return Span(self._path, offset, offset + 1)


def _dotted(text: str) -> tuple[str, ...]:
    parts = re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s]+", text)
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in parts)
