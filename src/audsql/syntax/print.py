"""The canonical layout of a file, and the repairs that need no look.

`format_source` proves itself on each run: its text reads as the same tree with the same comments, and
formatting it again changes nothing. Where that fails the text stays as it was and a bug is reported.

Rules: syntax.canonical and syntax.fixes of specs/language/02-syntax.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from audsql.diag import Diagnostic, Fix, error
from audsql.source import Source, Span
from audsql.syntax import ast
from audsql.syntax.layout import WIDTH_MAX, loop_head, statement_text
from audsql.syntax.outline import Piece, opening_brace, outlined
from audsql.syntax.parse import parse_file
from audsql.syntax.text import expression_text, name_text, value_text
from audsql.syntax.tree import every_statement, flatten

__all__ = ["apply_fixes", "expression_text", "format_source", "name_text", "value_text"]

# With these it is not known how far a problem goes, or what else there is, so nothing is moved.
_UNMOVABLE = frozenset({"AUD0103", "AUD0105", "AUD0119", "AUD0120", "AUD0121", "AUD0125"})

# What separates; other characters that Python calls blank are problems and are kept.
_BLANK = " \t\r\n"


def format_source(source: Source) -> tuple[str, tuple[Diagnostic, ...]]:
    """The text in canonical layout, and the text's own problems.

    A statement with a problem stays as it was written. Line ends are those of the first line.
    """
    file, problems = parse_file(source)
    formatted = _formatted(source, file, problems)
    if formatted is None or formatted == source.text:
        return source.text, problems
    again = Source(source.path, formatted)
    new_file, new_problems = parse_file(again)
    same = _comparable(new_file, formatted) == _comparable(file, source.text)
    if same and _formatted(again, new_file, new_problems) == formatted:
        return formatted, problems
    return source.text, (*problems, error("AUD9911", Span(source.path, 0, 0), same=same))


def apply_fixes(text: str, fixes: Iterable[Fix]) -> str:
    """The text with every safe fix made that overlaps no earlier one. Fixes belong to this very text."""
    edits: list[tuple[int, int, str]] = []
    for repair in fixes:
        wanted = [(edit.span.start, edit.span.end, edit.text) for edit in repair.edits]
        if repair.safe and not any(_overlaps(new, old) for new in wanted for old in edits):
            edits += wanted
    done, at = [], 0
    for start, end, new_text in sorted(edits):
        done += [text[at:start], new_text]
        at = end
    return "".join([*done, text[at:]])


def _overlaps(left: tuple[int, int, str], right: tuple[int, int, str]) -> bool:
    return left[:2] == right[:2] or (left[0] < right[1] and right[0] < left[1])


def _comparable(file: ast.File, text: str) -> tuple[object, ...]:
    """The tree, the text of what could not be read, and the comments."""
    every = every_statement(file.statements)
    unread = [_unix(text[one.span.start : one.span.end]) for one in every if isinstance(one, ast.Bad)]
    return (flatten(file.statements), tuple(unread), tuple(comment.text for comment in file.comments))


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _formatted(source: Source, file: ast.File, problems: tuple[Diagnostic, ...]) -> str | None:
    """The text in canonical layout; None where it has to stay as it is."""
    if any(problem.code in _UNMOVABLE for problem in problems):
        return None
    text = source.text
    if "\r\n" not in text:
        return _laid_out(text, file, problems)
    ends = "\r\n" if text.find("\r\n") == text.find("\n") - 1 else "\n"
    plain = Source(source.path, _unix(text))
    laid_out = _laid_out(plain.text, *parse_file(plain))
    return laid_out.replace("\n", ends) if laid_out is not None else None


def _laid_out(text: str, file: ast.File, problems: tuple[Diagnostic, ...]) -> str | None:
    """Statements and the comments between them, each where it was, with at most one blank line between."""
    broken = sorted(
        (one.span.start, max(one.span.end, one.span.start + 1))
        for one in problems
        if one.span and one.severity == "error"
    )
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    pieces = _pieces(text, file, broken)
    lines = outlined(text, pieces, len(mark))
    if lines is None or text[max((piece.span.end for piece in pieces), default=len(mark)) :].strip(_BLANK):
        return None
    return mark + "".join(f"{line}\n" for line in lines)


def _pieces(text: str, file: ast.File, broken: list[tuple[int, int]]) -> list[Piece]:
    """Statements, the comments outside them, and the heads and braces of each `for`, in the order of the text."""
    pieces: list[Piece] = []
    comments = list(reversed(file.comments))
    waiting: list[tuple[ast.Statement | Span, int]] = [(statement, 0) for statement in reversed(file.statements)]
    while waiting:
        one, depth = waiting.pop()
        span = one if isinstance(one, Span) else one.span
        while comments and comments[-1].span.start < span.start:
            pieces.append(_comment(text, comments.pop(), depth + isinstance(one, Span)))
        if isinstance(one, Span):
            pieces.append(Piece(span, "}", depth, "close"))
            continue
        if isinstance(one, ast.For) and _has_outline(text, one, comments):
            head = Span(span.path, span.start, opening_brace(text, span) + 1)
            touched = any(start < head.end and end > head.start for start, end in broken)
            shown = text[head.start : head.end] if touched else loop_head(text, one)
            pieces.append(Piece(head, shown, depth, "open"))
            waiting.append((Span(span.path, span.end - 1, span.end), depth))
            waiting += [(statement, depth + 1) for statement in reversed(one.statements)]
            continue
        inside = []
        while comments and comments[-1].span.start < span.end:
            inside.append(comments.pop())
        pieces.append(_statement(text, one, inside, broken, depth))
    return pieces + [_comment(text, comment, 0) for comment in reversed(comments)]


def _comment(text: str, comment: ast.Comment, depth: int) -> Piece:
    return Piece(comment.span, text[comment.span.start : comment.span.end], depth, "comment")


def _has_outline(text: str, loop: ast.For, comments: list[ast.Comment]) -> bool:
    """Whether a `for` can be laid out: its braces are plain, those of what could not be read in it are even, and no
    comment stands in its head. Behind a brace that is open by mistake, reading goes on by where lines begin."""
    brace = opening_brace(text, loop.span)
    plain = text[loop.span.end - 1] == "}" and brace < loop.span.end and not _before(comments, brace)
    return plain and all(_is_even(text[one.span.start : one.span.end]) for one in _unread(loop))


def _unread(loop: ast.For) -> Iterator[ast.Bad]:
    return (one for one in every_statement(loop.statements) if isinstance(one, ast.Bad))


def _is_even(text: str) -> bool:
    return text.count("{") == text.count("}")


def _before(comments: list[ast.Comment], place: int) -> bool:
    return bool(comments) and comments[-1].span.start < place


def _statement(
    text: str, statement: ast.Statement, inside: list[ast.Comment], broken: list[tuple[int, int]], depth: int
) -> Piece:
    """A statement in canonical layout, or as it was written where it has a problem."""
    span = statement.span
    shown = None
    if not isinstance(statement, ast.Bad) and not any(start < span.end and end > span.start for start, end in broken):
        shown = statement_text(text, statement, inside, max(WIDTH_MAX - 2 * depth, 20))
    if shown is None:
        return Piece(span, text[span.start : span.end], depth, "kept")
    return Piece(span, shown, depth)
