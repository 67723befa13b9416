"""Lines of canonical layout, made one by one and put together with the comments between them.

Rule: syntax.canonical of specs/language/02-syntax.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from audsql.records import dataclass
from audsql.source import Span, cell_width
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["WIDTH_MAX", "Piece", "fits", "opening_brace", "operand_lines", "outlined"]

# Terminal cells of a line before a statement is broken into several.
WIDTH_MAX = 100
# What separates; other characters that Python calls blank are problems and are kept.
_SEPARATORS = " \t\r\n,"
_NEW_LINE = re.compile(r"""("(?:[^"\\]|\\.)*+"|`[^`\n]*+`|\#[^\n]*+)|\n(?!\n)""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """One line or statement of an outline: where it stands in the text, and what is shown for it.

    `depth`: how many braces are open around it. `role`: it opens one, closes one, is a comment, a
    statement `kept` as it was written, or none of these.
    """

    span: Span
    shown: str
    depth: int
    role: Literal["", "open", "close", "comment", "kept"] = ""


def outlined(text: str, pieces: Iterable[Piece], at: int) -> list[str] | None:
    """The lines of an outline, with at most one blank line between two; None where text stands between pieces.

    `at` is the place in the text from which on everything belongs to a piece.
    """
    lines: list[str] = []
    role = "open"
    for piece in pieces:
        gap = text[at : piece.span.start]
        if gap.strip(_SEPARATORS):
            return None
        at = piece.span.end
        if piece.role == "comment" and lines and "\n" not in gap:
            lines[-1] += f"  {piece.shown}"
            continue
        if gap.count("\n") > 1 and role != "open" and piece.role != "close":
            lines.append("")
        indent = "  " * piece.depth
        shown = piece.shown if piece.role == "kept" or not indent else _indented(piece.shown, indent)
        lines.append(indent + shown)
        role = piece.role
    return lines


def _indented(shown: str, indent: str) -> str:
    """The text with its later lines further in, those inside strings aside."""
    return _NEW_LINE.sub(lambda found: found.group(1) or f"\n{indent}", shown)


def operand_lines(text: str, chain: ast.Chain, indent: str) -> list[str]:
    """One line for each operand, the operator first."""
    lines = [indent + expression_text(chain.operands[0], text)]
    for operator, operand in zip(chain.operators, chain.operands[1:], strict=True):
        lines.append(f"{indent}{operator} {expression_text(operand, text)}")
    return lines


def fits(line: str, width: int) -> bool:
    """Whether a text is one line of at most so many terminal cells."""
    return "\n" not in line and cell_width(line) <= width


def opening_brace(text: str, span: Span) -> int:
    """The place of the block's opening brace, stepping over names and titles that hold one."""
    at, closing = span.start, ""
    while at < span.end and (closing or text[at] != "{"):
        character = text[at]
        if closing == '"' and character == "\\":
            at += 1
        elif character == closing:
            closing = ""
        elif not closing and character in '"`#':
            closing = "\n" if character == "#" else character
        at += 1
    return at
