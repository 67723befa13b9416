"""The diagnostics document for people: rust-style, ASCII gutters, marks aligned by terminal cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from audsql.catalog import word
from audsql.records import dataclass
from audsql.source import cell_width
from audsql.view.terminal import Colour, Style, neutralise

__all__ = ["SHOWN_MAX", "concise", "human", "summary_line", "wrapped"]

SHOWN_MAX = 20

_PROSE_CELLS_MIN = 30
# What stays together: text to paste, words, and a wide character with the closing marks behind it.
_PIECE = re.compile(
    r"[「（]*(?:`[^`]*`|[^\s`\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]+|\S)[、。」）？！ー…,.;:)?っゃゅょッャュョ]*|\s+"
)

_COLOURS: dict[str, Colour] = {"error": "red", "warning": "yellow", "info": "blue"}


@dataclass(frozen=True, slots=True)
class _Mark:
    """One underlined place: `-` below a second place, `^` below the first."""

    path: str
    line: int
    column: int
    cells_before: int
    cells: int
    source: str
    text: str
    primary: bool


def human(document: dict[str, Any], style: Style) -> str:
    """All diagnostics up to SHOWN_MAX, the rest counted; where texts were checked, the summary line."""
    items = document["diagnostics"]
    blocks = ["\n".join(_block(item, style)) + "\n" for item in items[:SHOWN_MAX]]
    if len(items) > SHOWN_MAX:
        blocks.append(word("hidden", style.language, count=len(items) - SHOWN_MAX) + "\n")
    if document["summary"]["files_checked"]:
        blocks.append(summary_line(document, style) + "\n")
    return "\n".join(blocks)


def concise(document: dict[str, Any], style: Style) -> str:
    """`path:line:column: error[AUDnnnn]: title`, one line each."""
    return "".join(f"{_where(item)}{_head(item, style)}\n" for item in document["diagnostics"])


def summary_line(document: dict[str, Any], style: Style) -> str:
    """`2 errors, 1 warning in 3 files`, or that nothing is wrong."""
    summary, language = document["summary"], style.language
    counts = [("error", summary["errors"]), ("warning", summary["warnings"])]
    parts = [word(f"summary.{_plural(name, count)}", language, count=count) for name, count in counts if count]
    if not parts:
        key = f"summary.clean_{_plural('file', summary['files_checked'])}"
        return style.paint("green", word(key, language, count=summary["files_checked"]))
    line = word("list_separator", language).join(parts)
    if summary["files"]:
        line += word(f"summary.{_plural('file', summary['files'])}", language, count=summary["files"])
    return style.paint("bold", line)


def _plural(name: str, count: int) -> str:
    return name if count == 1 else f"{name}s"


def _where(item: dict[str, Any]) -> str:
    path = neutralise(item["path"]) if item["path"] else ""
    if not path:
        return ""
    start = item["start"]
    return f"{path}:{start['line']}:{start['column']}: " if start else f"{path}: "


def _head(item: dict[str, Any], style: Style) -> str:
    severity = word(f"severity.{item['severity']}", style.language)
    head = style.paint(_COLOURS[item["severity"]], f"{severity}[{item['code']}]")
    return f"{head}: {item['title']}"


def _block(item: dict[str, Any], style: Style) -> Iterator[str]:
    yield _head(item, style)
    marks = _marks(item)
    gutter = max((len(str(mark.line)) for mark in marks), default=1)
    if marks:
        yield from _excerpts(marks, gutter, item, style)
    elif item["path"] and item["start"]:
        yield f"{' ' * gutter}{style.paint('blue', '-->')} {_where(item).removesuffix(': ')}"
    for kind in ("note", "help"):
        for text in item[f"{kind}s"]:
            yield from _remark(word(kind, style.language), text, gutter, style)
    command = word("see_command", style.language, code=item["code"])
    yield from _remark(word("see", style.language), command, gutter, style)


def _remark(kind: str, text: str, gutter: int, style: Style) -> Iterator[str]:
    """`  = help: text`; further lines of the text are aligned below its first."""
    lead = f"{' ' * (gutter + 1)}= "
    indent = " " * (cell_width(lead) + cell_width(kind) + 2)
    room = max(_PROSE_CELLS_MIN, style.width - len(indent))
    first, *rest = [line for part in text.rstrip("\n").split("\n") for line in wrapped(part, room)]
    yield f"{' ' * (gutter + 1)}{style.paint('blue', '=')} {style.paint('bold', kind)}: {first}"
    yield from (f"{indent}{line}".rstrip() for line in rest)


def wrapped(text: str, cells: int) -> Iterator[str]:
    """Prose in lines of at most that many terminal cells; a piece that is wider has a line of its own.

    Lines break at blanks and between wide characters, never within backquotes nor before a closing mark.
    """
    line = ""
    for piece in _PIECE.findall(text):
        if line.strip() and cell_width(line) + cell_width(piece) > cells and not piece.isspace():
            yield line.rstrip()
            line = ""
        line += "" if piece.isspace() and not line and text[:1] != piece[:1] else piece
    yield line.rstrip()


def _marks(item: dict[str, Any]) -> list[_Mark]:
    first = {**item, "text": item["label"]}
    places = [(first, True), *((label, False) for label in item["labels"])]
    return [_mark(place, primary) for place, primary in places if place["start"] and place["excerpt"]]


def _mark(place: dict[str, Any], primary: bool) -> _Mark:
    start, end, excerpt = place["start"], place["end"], place["excerpt"]
    raw, first = excerpt["text"], excerpt["column"]
    begin = start["column"] - first
    finish = end["column"] - first if end["line"] == start["line"] else len(raw)
    dots_left = "..." if first > 1 else ""
    dots_right = "..." if excerpt["cut"] else ""
    return _Mark(
        path=place["path"],
        line=start["line"],
        column=start["column"],
        cells_before=len(dots_left) + cell_width(neutralise(raw[:begin])),
        cells=max(1, cell_width(neutralise(raw[begin:finish]))),
        source=f"{dots_left}{neutralise(raw)}{dots_right}".rstrip(),
        text=place["text"],
        primary=primary,
    )


def _excerpts(marks: Sequence[_Mark], gutter: int, item: dict[str, Any], style: Style) -> Iterator[str]:
    """The lines of every file that has a mark, the first place's file first."""
    blank = f"{' ' * (gutter + 1)}{style.paint('blue', '|')}"
    ordered = sorted(marks, key=lambda mark: (mark.path != item["path"], mark.path, mark.line, -mark.column))
    for index, (path, group) in enumerate(groupby(ordered, key=lambda mark: mark.path)):
        in_file = list(group)
        lead = next((mark for mark in in_file if mark.primary), in_file[0])
        arrow = style.paint("blue", ":::" if index else "-->")
        yield f"{' ' * gutter}{arrow} {neutralise(path)}:{lead.line}:{lead.column}"
        yield blank
        yield from _file_lines(in_file, gutter, _COLOURS[item["severity"]], style)
        yield blank


def _file_lines(marks: Sequence[_Mark], gutter: int, colour: Colour, style: Style) -> Iterator[str]:
    bar = style.paint("blue", "|")
    previous = 0
    for line, group in groupby(marks, key=lambda mark: mark.line):
        on_line = list(group)
        if previous and line > previous + 1:
            yield "..."
        previous = line
        yield f"{style.paint('blue', str(line).rjust(gutter))} {bar} {on_line[0].source}".rstrip()
        for mark in on_line:
            signs = ("^" if mark.primary else "-") * mark.cells
            painted = style.paint(colour if mark.primary else "blue", f"{signs} {mark.text}".rstrip())
            yield f"{' ' * (gutter + 1)}{bar} {' ' * mark.cells_before}{painted}"
