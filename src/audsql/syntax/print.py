"""The canonical layout of a file, and the repairs that need no look.

`format_source` proves itself on each run: its text reads as the same tree with the same comments, and
formatting it again changes nothing. Where that fails the text stays as it was and a bug is reported.

Rules: syntax.canonical and syntax.fixes of specs/language/02-syntax.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from audsql.diag import Diagnostic, Fix, error
from audsql.source import Source, Span
from audsql.syntax import ast
from audsql.syntax.layout import statement_text
from audsql.syntax.parse import parse_file
from audsql.syntax.text import expression_text, name_text, value_text
from audsql.syntax.tree import flatten

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
    unread = [_unix(text[one.span.start : one.span.end]) for one in file.statements if isinstance(one, ast.Bad)]
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
    elements = _elements(file)
    lines: list[str] = []
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    end = len(mark)
    for span, element, inside in elements:
        gap = text[end : span.start]
        if gap.strip(_BLANK):
            return None
        if isinstance(element, ast.Comment):
            shown = text[span.start : span.end]
            if lines and "\n" not in gap:
                lines[-1] += f"  {shown}"
                end = span.end
                continue
        else:
            shown = _statement(text, element, inside, broken)
        if lines and gap.count("\n") > 1:
            lines.append("")
        lines.append(shown)
        end = span.end
    if text[end:].strip(_BLANK):
        return None
    return mark + "".join(f"{line}\n" for line in lines)


def _elements(file: ast.File) -> list[tuple[Span, ast.Statement | ast.Comment, list[ast.Comment]]]:
    """Statements with the comments inside them, and the comments outside, in the order of the text."""
    elements: list[tuple[Span, ast.Statement | ast.Comment, list[ast.Comment]]] = []
    comments = list(file.comments)
    at = 0
    for statement in file.statements:
        span = statement.span
        while at < len(comments) and comments[at].span.start < span.start:
            elements.append((comments[at].span, comments[at], []))
            at += 1
        inside = []
        while at < len(comments) and comments[at].span.start < span.end:
            inside.append(comments[at])
            at += 1
        elements.append((span, statement, inside))
    elements += [(comment.span, comment, []) for comment in comments[at:]]
    return elements


def _statement(text: str, statement: ast.Statement, inside: list[ast.Comment], broken: list[tuple[int, int]]) -> str:
    span = statement.span
    written = text[span.start : span.end]
    if isinstance(statement, ast.Bad) or any(start < span.end and end > span.start for start, end in broken):
        return written
    return statement_text(text, statement, inside) or written
