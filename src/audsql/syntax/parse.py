"""Text into a syntax tree. Nothing here raises on any text.

A statement is read by one run of the parse table (`drive`). One that cannot be read is reported once,
becomes a `Bad` node, and reading goes on at the next place where a statement begins.

Rules: syntax.* of specs/language/02-syntax.md.
"""

from __future__ import annotations

import bisect
from dataclasses import field, replace
from typing import Any

from audsql.diag import Bag, Diagnostic, Label, error, fix
from audsql.records import dataclass
from audsql.source import Source, Span
from audsql.syntax import ast
from audsql.syntax.drive import Failure, drive
from audsql.syntax.lex import STATEMENT_WORDS, Tokens, lex, name_text
from audsql.syntax.making import Making, finish_expression
from audsql.syntax.recover import begins_line, begins_statement, next_statement, probable_head, statement_head
from audsql.syntax.table import Table, parse_table
from audsql.syntax.tree import every_statement
from audsql.syntax.trouble import explain, explain_start

__all__ = ["FILE_BYTES_MAX", "STATEMENTS_MAX", "parse_expression", "parse_file"]

# lexical.size and syntax.limits
FILE_BYTES_MAX = 4 * 1024 * 1024
STATEMENTS_MAX = 100_000


@dataclass(slots=True)
class _Loop:
    """A `for` whose statements are being read: its head, None where that could not be read, its first piece
    and its opening brace, and the statements so far."""

    head: ast.For | None
    first: int
    brace: int
    statements: list[ast.Statement] = field(default_factory=list)


@dataclass(slots=True)
class _Reading:
    table: Table
    making: Making
    loops: list[_Loop] = field(default_factory=list)

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
    statements = _described(tokens, _statements(reading))
    file = ast.File(source.path, statements, tuple(tokens.comments), reading.making.indexed)
    return file, _all_problems(reading.making)


def _statements(reading: _Reading) -> list[ast.Statement]:
    """All statements of a text, those of a `for` inside it. A project's limit counts them all."""
    tokens, loops = reading.tokens, reading.loops
    outermost: list[ast.Statement] = []
    at = count = 0
    while True:
        ended = at >= len(tokens.kinds)
        if loops and (ended or tokens.kinds[at] == "}" or _leaves(tokens, loops[-1], at)):
            closed = not ended and tokens.kinds[at] == "}"
            statement, at = _close(reading, at, closed=closed), at + closed
        elif ended:
            return outermost
        elif count == STATEMENTS_MAX:
            reading.making.problems.append(error("AUD0120", tokens.span(at, at), limit=STATEMENTS_MAX))
            at = len(tokens.kinds)
            for loop in loops:
                loop.head = None
            continue
        else:
            count += 1
            read, at = _statement(reading, at) if tokens.word(at) != "for" else _loop(reading, at)
            if isinstance(read, _Loop):
                loops.append(read)
                reading.making.depth = len(loops)
                continue
            statement = read
        (loops[-1].statements if loops else outermost).append(statement)


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
    if word not in STATEMENT_WORDS:
        return _no_statement(reading, at)
    mark = len(reading.making.problems)
    found = _run(reading, at, mark)
    if isinstance(found, tuple):
        node, end = found
        if not _is_fatal(reading, at, end - 1):
            return node, end
    else:
        end = _after_failure(reading, at, found, mark)
    return ast.Bad(word, _declared(tokens, at), tokens.span(at, end - 1)), end


def _after_failure(reading: _Reading, at: int, found: Failure, mark: int) -> int:
    """Reports a statement that cannot be read; where reading goes on."""
    tokens, stop, inside = reading.tokens, found.index, bool(reading.loops)
    depth = sum(tokens.kinds[bracket] == "{" for bracket in found.brackets)
    limit = _next_head(tokens, at, stop)
    if inside and not depth and stop < limit and tokens.kinds[stop] == "}":
        limit = stop
    _add_problem(reading.making, mark, at, stop, lambda: explain(reading.table, tokens, found, at, limit))
    too_deep = found.too_deep and tokens.kinds[stop] == "{"
    return next_statement(tokens, max(stop, at + 1), depth - too_deep, inside=inside)


def _run(reading: _Reading, at: int, mark: int) -> tuple[Any, int] | Failure:
    """A run over a statement; where it fails behind the beginning of another, only up to there."""
    tokens, stop = reading.tokens, len(reading.tokens.kinds)
    reading.making.fatal = False
    found = drive(reading.table, reading.making, "statement", at, stop)
    if isinstance(found, tuple):
        end = found[1]
        if end == stop or tokens.kinds[end - 1] == "}" or _is_complete(tokens, at, end, inside=bool(reading.loops)):
            return found
        del reading.making.problems[mark:]
        found = drive(reading.table, reading.making, "statement", at, end + 1, whole=True)
    failed = found.index if isinstance(found, Failure) else stop
    head = _next_head(tokens, at, failed)
    if head < stop and head <= failed:
        del reading.making.problems[mark:]
        return drive(reading.table, reading.making, "statement", at, head)
    return found


def _is_complete(tokens: Tokens, at: int, end: int, *, inside: bool) -> bool:
    """Whether a statement that could end here does: the next begins, and did not begin before on its own line
    (`audience x =`, new line, `audience message = y` is not the reference `audience` and a statement)."""
    closes = inside and tokens.kinds[end] == "}"
    if not closes and not begins_statement(tokens, end):
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
    end = next_statement(tokens, at + 1, int(tokens.kinds[at] == "{"), inside=bool(reading.loops))
    problem, kind = explain_start(tokens, at)
    _add_problem(reading.making, len(reading.making.problems), at, end - 1, lambda: problem)
    return ast.Bad(kind, _declared(tokens, at) if kind else None, tokens.span(at, end - 1)), end


def _declared(tokens: Tokens, at: int) -> ast.Name | None:
    """The name that a statement declares, as far as its first words say."""
    word = tokens.word(at)
    index = at + 3 if word == "use" else at + 1
    if word in ("priority", "for", "moved", "removed", "test") or index >= len(tokens.kinds):
        return None
    kind, span = tokens.kinds[index], tokens.span(index, index)
    if kind == "NAME" and tokens.word(index) == word:
        return None
    if kind == "NAME":
        return ast.Name(name_text(tokens.word(index)), False, span, _declared_index(tokens, index + 1))
    if kind == "QUOTED":
        text = name_text(tokens.text[span.start + 1 : span.end - 1])
        return ast.Name(text, True, span, _declared_index(tokens, index + 1))
    return None


def _declared_index(tokens: Tokens, at: int) -> tuple[ast.Value, ...]:
    """The words of the `[p, q]` that follows a name directly."""
    kinds = tokens.kinds
    if at >= len(kinds) or kinds[at] != "[" or tokens.starts[at] != tokens.ends[at - 1]:
        return ()
    words: list[ast.Value] = []
    while at + 2 < len(kinds) and kinds[at + 1] == "NAME" and kinds[at + 2] in (",", "]"):
        words.append(ast.Word(name_text(tokens.word(at + 1)), tokens.span(at + 1, at + 1)))
        at += 2
        if kinds[at] == "]":
            return tuple(words)
    return ()


# --- `for` --------------------------------------------------------------------------------------


def _loop(reading: _Reading, at: int) -> tuple[_Loop | ast.Statement, int]:
    """A `for` with its opening brace, whose statements follow; where it has none, a statement that is bad."""
    tokens, making = reading.tokens, reading.making
    mark = len(making.problems)
    making.fatal = False
    found = drive(reading.table, making, "loop", at, len(tokens.kinds))
    if isinstance(found, tuple):
        head, end = found
        return _Loop(None if _is_fatal(reading, at, end - 1) else head, at, end - 1), end
    end = _after_failure(reading, at, found, mark)
    bad = ast.Bad("for", None, tokens.span(at, end - 1))
    brace = next((index for index in range(at + 1, end) if tokens.kinds[index] == "{"), None)
    if brace is None:
        return bad, end
    if found.too_deep:
        end = tokens.closing_braces().get(brace, len(tokens.kinds) - 1) + 1
        return ast.Bad("for", None, tokens.span(at, end - 1)), end
    return _Loop(None, at, brace), brace + 1


def _close(reading: _Reading, at: int, *, closed: bool) -> ast.Statement:
    """The innermost `for`, which ends before or, where it is `closed`, with this piece."""
    tokens = reading.tokens
    loop = reading.loops.pop()
    reading.making.depth = len(reading.loops)
    span = tokens.span(loop.first, at if closed else at - 1)
    if not closed:
        brace = tokens.span(loop.brace, loop.brace)
        labels = (Label(tokens.span(at, at), "end"),) if at < len(tokens.kinds) else ()
        close = fix(Span(tokens.path, span.end, span.end), "\n}", safe=False)
        if loop.head is not None:
            reading.making.problems.append(error("AUD0107", brace, labels=labels, fixes=(close,)))
    elif loop.head is not None:
        return replace(loop.head, statements=_described(tokens, loop.statements), span=span)
    inside = every_statement(loop.statements)
    return ast.Bad("for", None, span, tuple(name for statement in inside for name in _names_of(statement)))


def _names_of(statement: ast.Statement) -> tuple[ast.Name, ...]:
    """The names that a statement declares, or would; those inside a `for` aside."""
    match statement:
        case ast.Bad():
            return (*((statement.name,) if statement.name else ()), *statement.declares)
        case ast.Use():
            return (statement.alias,)
        case ast.For() | ast.Test() | ast.Priority() | ast.Moved() | ast.Removed():
            return ()
    return (statement.name,)


def _leaves(tokens: Tokens, loop: _Loop, at: int) -> bool:
    """Whether a statement begins here that is not of this `for`, whose closing brace is missing."""
    if loop.brace in tokens.closing_braces() or not statement_head(tokens, at):
        return False
    return _column(tokens, at) <= _column(tokens, loop.first)


def _column(tokens: Tokens, at: int) -> int:
    return tokens.starts[at] - tokens.flat.rfind("\n", 0, tokens.starts[at])


# --- problems -----------------------------------------------------------------------------------


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
    fatal = reading.making.take_fatal()
    return _touches(reading.tokens, reading.tokens.fatal_places, first, last) or fatal


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
