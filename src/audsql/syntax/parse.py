"""Text into a syntax tree. Nothing here raises on any text.

A statement is read by one run of the parse table (`drive`). One that cannot be read is reported once,
becomes a `Bad` node, and reading goes on at the next place where a statement begins.

Rules: syntax.* of specs/language/02-syntax.md.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
from typing import Any

from audsql.diag import Bag, Diagnostic, error
from audsql.source import Source, Span
from audsql.syntax import ast
from audsql.syntax.build import Making, finish_expression
from audsql.syntax.drive import Failure, drive
from audsql.syntax.lex import STATEMENT_WORDS, Tokens, lex, name_text
from audsql.syntax.recover import after_later, begins_line, begins_statement, next_statement, probable_head
from audsql.syntax.table import Table, parse_table
from audsql.syntax.trouble import explain, explain_start

__all__ = ["FILE_BYTES_MAX", "LATER_STATEMENTS", "STATEMENTS_MAX", "parse_expression", "parse_file"]

# lexical.size and syntax.limits
FILE_BYTES_MAX = 4 * 1024 * 1024
STATEMENTS_MAX = 100_000
# Statements of the language that this version reads no further than their first word.
LATER_STATEMENTS = frozenset({"split", "priority", "flow", "param", "for", "use", "moved", "removed"})


@dataclass(slots=True)
class _Reading:
    table: Table
    making: Making

    @property
    def tokens(self) -> Tokens:
        return self.making.tokens


def parse_file(source: Source) -> tuple[ast.File, tuple[Diagnostic, ...]]:
    """The statements of a text in their order, and its problems in theirs."""
    too_big = _too_big(source.path, source.text)
    if too_big:
        return ast.File(source.path, ()), (too_big,)
    tokens = lex(source.path, source.text)
    reading = _Reading(parse_table(), Making(tokens))
    statements: list[ast.Statement] = []
    at = 0
    while at < len(tokens.kinds):
        if len(statements) == STATEMENTS_MAX:
            reading.making.problems.append(error("AUD0120", tokens.span(at, at), limit=STATEMENTS_MAX))
            break
        statement, at = _statement(reading, at)
        statements.append(statement)
    described = _described(tokens, statements)
    return ast.File(source.path, described, tuple(tokens.comments)), _all_problems(reading.making)


def parse_expression(text: str, path: str = "<expression>") -> tuple[ast.Expression | None, tuple[Diagnostic, ...]]:
    """The set expression that a text consists of; None where it is not one."""
    too_big = _too_big(path, text)
    if too_big:
        return None, (too_big,)
    tokens = lex(path, text)
    making = Making(tokens)
    table, stop = parse_table(), len(tokens.kinds)
    found = drive(table, making, "expression", 0, stop)
    expression = None
    if isinstance(found, Failure):
        _add_problem(making, 0, 0, found.index, lambda: explain(table, tokens, found, 0, stop))
    elif found[1] < stop:
        leftover = drive(table, making, "expression", 0, stop, whole=True)
        if isinstance(leftover, Failure):
            _add_problem(making, 0, 0, leftover.index, lambda: explain(table, tokens, leftover, 0, stop))
    else:
        expression = finish_expression(making, found[0])
    if tokens.fatal_places:
        expression = None
    return expression, _all_problems(making)


def _too_big(path: str, text: str) -> Diagnostic | None:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return error("AUD0119", Span(path, 0, 0), limit=FILE_BYTES_MAX, size=size) if size > FILE_BYTES_MAX else None


def _all_problems(making: Making) -> tuple[Diagnostic, ...]:
    bag = Bag()
    tokens = making.tokens
    bag.extend(tokens.problems)
    bag.extend(making.problems)
    if tokens.unreported:
        last = max((problem.span.end for problem in tokens.problems if problem.span), default=0)
        bag.add(error("AUD0121", Span(tokens.path, last, last), count=tokens.unreported))
    return bag.sorted()


# --- one statement ------------------------------------------------------------------------------


def _statement(reading: _Reading, at: int) -> tuple[ast.Statement, int]:
    """The statement that begins at a piece, and the piece at which the next one begins."""
    tokens = reading.tokens
    word = tokens.word(at) if tokens.kinds[at] == "NAME" else ""
    if word in LATER_STATEMENTS:
        end = after_later(tokens, at)
        problem = error("AUD0112", tokens.span(at, at), feature=word)
        _add_problem(reading.making, len(reading.making.problems), at, at, lambda: problem)
        return ast.Bad(word, _declared(tokens, at), tokens.span(at, end - 1)), end
    if word not in STATEMENT_WORDS:
        return _no_statement(reading, at)
    mark = len(reading.making.problems)
    found = _run(reading, at, mark)
    if not isinstance(found, Failure):
        node, end = found
        if not _is_fatal(reading, at, end - 1):
            return node, end
        return ast.Bad(word, _declared(tokens, at), tokens.span(at, end - 1)), end
    stop = found.index
    limit = _next_head(tokens, at, stop)
    _add_problem(reading.making, mark, at, stop, lambda: explain(reading.table, tokens, found, at, limit))
    depth = sum(tokens.kinds[bracket] == "{" for bracket in found.brackets)
    end = next_statement(tokens, max(stop, at + 1), depth - (found.too_deep and tokens.kinds[stop] == "{"))
    return ast.Bad(word, _declared(tokens, at), tokens.span(at, end - 1)), end


def _run(reading: _Reading, at: int, mark: int) -> tuple[Any, int] | Failure:
    """A run over a statement; where it fails behind the beginning of another, only up to there."""
    tokens, stop = reading.tokens, len(reading.tokens.kinds)
    reading.making.fatal = False
    found = drive(reading.table, reading.making, "statement", at, stop)
    if isinstance(found, tuple):
        end = found[1]
        if end == stop or tokens.kinds[end - 1] == "}" or _is_complete(tokens, at, end):
            return found
        del reading.making.problems[mark:]
        found = drive(reading.table, reading.making, "statement", at, end + 1, whole=True)
    failed = found.index if isinstance(found, Failure) else stop
    head = _next_head(tokens, at, failed)
    if head < stop and head <= failed:
        del reading.making.problems[mark:]
        return drive(reading.table, reading.making, "statement", at, head)
    return found


def _is_complete(tokens: Tokens, at: int, end: int) -> bool:
    """Whether a statement that could end here does: the next begins, and did not begin before on its own line
    (`audience x =`, new line, `audience message = y` is not the reference `audience` and a statement)."""
    if not begins_statement(tokens, end):
        return False
    return begins_line(tokens, end) or _next_head(tokens, at, end) == len(tokens.kinds)


def _next_head(tokens: Tokens, at: int, last: int) -> int:
    """The first piece behind `at`, up to `last`, at which a statement probably begins; else the end."""
    for index in range(at + 1, min(last + 1, len(tokens.kinds))):
        if tokens.kinds[index] == "NAME" and probable_head(tokens, index):
            return index
    return len(tokens.kinds)


def _no_statement(reading: _Reading, at: int) -> tuple[ast.Statement, int]:
    """Text that does not begin as a statement does: reported once, up to the next statement."""
    tokens = reading.tokens
    end = next_statement(tokens, at + 1, int(tokens.kinds[at] == "{"))
    problem, kind = explain_start(tokens, at)
    _add_problem(reading.making, len(reading.making.problems), at, end - 1, lambda: problem)
    return ast.Bad(kind, _declared(tokens, at) if kind else None, tokens.span(at, end - 1)), end


def _declared(tokens: Tokens, at: int) -> ast.Name | None:
    """The name that a statement declares, as far as its first words say."""
    word = tokens.word(at)
    index = at + 3 if word == "use" else at + 1
    if word in ("priority", "for", "moved", "test") or index >= len(tokens.kinds):
        return None
    kind, span = tokens.kinds[index], tokens.span(index, index)
    if kind == "NAME":
        return ast.Name(name_text(tokens.word(index)), False, span)
    if kind == "QUOTED":
        return ast.Name(name_text(tokens.text[span.start + 1 : span.end - 1]), True, span)
    return None


def _add_problem(making: Making, mark: int, first: int, last: int, problem: Any) -> None:
    """Reports a statement's problem, unless one of its pieces or parts has been reported already."""
    tokens = making.tokens
    if len(making.problems) > mark or _touches(tokens, tokens.problem_places, first, last):
        return
    making.problems.append(problem())


def _touches(tokens: Tokens, places: Any, first: int, last: int) -> bool:
    """Whether one of the places lies between two pieces."""
    start = tokens.starts[first] if first < len(tokens.starts) else 0
    # What was stepped over behind the last piece belongs to it as well, up to the next piece.
    end = tokens.ends[last] if last < len(tokens.ends) else len(tokens.text)
    at = bisect.bisect_left(places, start)
    return at < len(places) and places[at] < end


def _is_fatal(reading: _Reading, first: int, last: int) -> bool:
    return _touches(reading.tokens, reading.tokens.fatal_places, first, last) or reading.making.take_fatal()


# --- descriptions -------------------------------------------------------------------------------


def _described(tokens: Tokens, statements: list[ast.Statement]) -> tuple[ast.Statement, ...]:
    """The statements, each with the comment on the lines directly above it."""
    if not tokens.comments:
        return tuple(statements)
    starts = [comment.span.start for comment in tokens.comments]
    done: list[ast.Statement] = []
    for statement in statements:
        lines: list[str] = []
        below = statement.span.start
        index = bisect.bisect_left(starts, below) - 1
        while index >= 0 and _directly_above(tokens.text, tokens.comments[index].span, below):
            lines.append(tokens.comments[index].text)
            below = starts[index]
            index -= 1
        if lines and not isinstance(statement, ast.Bad):
            statement = replace(statement, description="\n".join(reversed(lines)))
        done.append(statement)
    return tuple(done)


def _directly_above(text: str, comment: Span, below: int) -> bool:
    """Whether a comment has a line of its own, and `below` begins the next line."""
    between = text[comment.end : below]
    if between.strip(" \t\r\n") or between.count("\n") != 1:
        return False
    return not text[text.rfind("\n", 0, comment.start) + 1 : comment.start].strip()
