"""Templates of messages: the part of Jinja2's notation that is legal in them, read and never run.

Columns with filters (`{{ name | upper }}`), conditions over columns (`{% if points >= 100 %}`) and comments. What
a template can do is known before it is filled in: there is no loop, no call and no way to anything but the
declared columns. Normative: specs/language/05-statements.md, `messages.*`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from audsql.diag import Bag, Diagnostic, Edit, Fix, error, fix, warning
from audsql.line.limits import TEXT_CHARACTERS_MAX
from audsql.meaning import ir
from audsql.meaning.names import nearest, written
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast

__all__ = [
    "COMPARISONS", "FILTERS", "OPENING", "TEMPLATE_DEPTH_MAX", "TRUNCATE_LENGTH_MIN", "FieldType", "Filter", "Token",
    "check_template", "check_texts", "literal_text", "tokens",
]  # fmt: skip

FieldType = Literal["string", "number", "date"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of Jinja2, the types of columns that it takes, and those of its arguments, of which `least` must be
    given; `same` is the type of the column."""

    name: str
    columns: tuple[FieldType, ...]
    arguments: tuple[Literal["string", "number", "same"], ...] = ()
    least: int = 0
    example: str = ""


FILTERS: tuple[Filter, ...] = (
    Filter("default", ("string", "number"), ("same",), 1, "{{ name | default('you') }}"),
    Filter("lower", ("string",), (), 0, "{{ name | lower }}"),
    Filter("replace", ("string",), ("string", "string"), 2, "{{ name | replace('-', ' ') }}"),
    Filter("round", ("number",), ("number",), 0, "{{ points | round(1) }}"),
    Filter("title", ("string",), (), 0, "{{ name | title }}"),
    Filter("trim", ("string",), (), 0, "{{ name | trim }}"),
    Filter("truncate", ("string",), ("number",), 1, "{{ name | truncate(20) }}"),
    Filter("upper", ("string",), (), 0, "{{ name | upper }}"),
)
TEMPLATE_DEPTH_MAX = 50
_FILTERS = {one.name: one for one in FILTERS}
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"})
TRUNCATE_LENGTH_MIN = 3  # that of the three points which it puts at the end
TRUNCATE_LEEWAY = 5  # Jinja2 cuts only what is longer than the length by more than this
_FOUND_CHARACTERS_MAX = 40

OPENING = re.compile(r"\{[{%#]")
_TOKEN = re.compile(
    r"""\s*(?:(?P<close>-?(?:\}\}|%\}))|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<name>[^\W\d]\w*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign>==|!=|<=|>=|[<>|(),])|(?P<other>\S)|(?P<end>\Z))""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    start: int


_Amounts = tuple[int, int]
"""UTF-16 code units of the literal text, and of that with the fallbacks, on the longest way through."""


@dataclass(slots=True)
class _If:
    """An open `{% if %}`: what stood before it, the longest arm so far, and whether the last arm has begun."""

    token: Token
    before: _Amounts
    longest: _Amounts = (0, 0)
    last: bool = False


@dataclass(slots=True)
class _Reading:
    """A template while it is read: the columns that it may use, those that it did, and how long it gets."""

    message: str
    written: ast.Text
    entry: ast.Entry | None
    types: Mapping[str, FieldType | None]
    fallbacks: Mapping[str, ir.Scalar | None]
    bag: Bag
    used: set[str] = field(default_factory=set)
    amounts: _Amounts = (0, 0)
    open: list[_If] = field(default_factory=list)
    visible: bool = False


class _Refused(Exception):
    """The template cannot be read further; why is its diagnostic."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.code)
        self.diagnostic = diagnostic


def check_template(
    message: str,
    text: ast.Text,
    entry: ast.Entry,
    columns: Sequence[ast.Field],
    fields: Sequence[ir.TemplateField],
    bag: Bag,
) -> bool:
    """Whether the template of a message is legal; what is wrong with it is told. `columns` are those declared,
    `fields` what those mean that are free of errors."""
    types: dict[str, FieldType | None] = {column.name.text: None for column in columns}
    types.update({one.name: one.type for one in fields})
    told = len(bag.items)
    reading = _Reading(message, text, entry, types, {one.name: one.fallback for one in fields}, bag)
    try:
        _read(reading)
        _check_amounts(reading)
        for column in columns:
            # A misspelt name is told where it is written, not also as a column that nothing uses.
            if column.name.text not in reading.used and reading.used <= types.keys():
                fixes = [fix(column.span, "", safe=False, key="remove")]
                bag.add(warning("AUD1126", column.span, fixes=fixes, message=message, name=column.name.text))
    except _Refused as refused:
        bag.add(refused.diagnostic)
    return not any(item.severity == "error" for item in bag.items[told:])


def check_texts(
    message: str, texts: Sequence[tuple[str, str]], span: Span, fields: Sequence[ir.TemplateField], bag: Bag
) -> bool:
    """The same of the strings of a message's file, (path, text), of a message that is declared at `span`; a column is
    used where one of them does. Their length is that of LINE's fields (`audsql.line.messages`)."""
    types: dict[str, FieldType | None] = {one.name: one.type for one in fields}
    used: set[str] = set()
    told = len(bag.items)
    for path, text in texts:
        reading = _Reading(f"{message} {path}".rstrip(), ast.Text(text, span), None, types, {}, bag, used)
        try:
            _read(reading)
        except _Refused as refused:
            bag.add(refused.diagnostic)
    if used <= types.keys():
        for one in fields:
            if one.name not in used:
                bag.add(warning("AUD1126", span, message=message, name=one.name))
    return not any(item.severity == "error" for item in bag.items[told:])


def literal_text(token: Token) -> str | None:
    """What a text in quotes stands for, with Jinja2's escapes; None where one of them is none, or gives half a
    character."""
    try:
        text = token.text[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape")
        text.encode("utf-8")
    except UnicodeError:
        return None
    return None if "\0" in text else text


def _read(reading: _Reading) -> None:
    text, at = reading.written.text, 0
    while opening := OPENING.search(text, at):
        _literal(reading, text[at : opening.start()])
        at = _tag(reading, opening)
    _literal(reading, text[at:])
    if reading.open:
        raise _unreadable(reading, reading.open[-1].token)


def _tag(reading: _Reading, opening: re.Match[str]) -> int:
    """Read what an opening begins; where it ends."""
    text, kind = reading.written.text, opening.group()
    if kind == "{#":
        end = text.find("#}", opening.end())
        if end < 0:
            raise _unreadable(reading, Token("end", "{#", opening.start()))
        return end + 2
    begin = opening.end() + text.startswith("-", opening.end())
    found = list(tokens(text, begin))
    last, close = found.pop(), "}}" if kind == "{{" else "%}"
    if last.kind != "close" or not last.text.endswith(close):
        raise _unreadable(reading, Token("end", kind, opening.start()))
    cursor = _Cursor(reading, found, last)
    (_output if kind == "{{" else _statement)(cursor)
    return last.start + len(last.text)


def tokens(text: str, at: int) -> Iterator[Token]:
    """The tokens up to the next closing, or to the end."""
    for match in _TOKEN.finditer(text, at):
        kind = str(match.lastgroup)
        yield Token(kind, match[kind], match.start(kind))
        if kind == "close":
            return


# --- tags -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Cursor:
    """The tokens of one tag, read from left to right; `last` is what closes it."""

    reading: _Reading
    tokens: Sequence[Token]
    last: Token
    index: int = 0

    def peek(self) -> Token:
        return self.tokens[self.index] if self.index < len(self.tokens) else self.last

    def next(self) -> Token:
        token = self.peek()
        self.index += 1
        return token

    def done(self) -> None:
        if self.index < len(self.tokens):
            raise _refused(self.reading, self.peek())


def _output(cursor: _Cursor) -> None:
    """`{{ column | filter(…) }}`."""
    reading, token = cursor.reading, cursor.next()
    name, kind = _column(reading, token)
    length = _length(reading.fallbacks.get(name))
    while cursor.peek().text == "|":
        cursor.next()
        length = _filter(cursor, kind, length)
    cursor.done()
    reading.visible = True
    reading.amounts = (reading.amounts[0], reading.amounts[1] + length)


def _filter(cursor: _Cursor, kind: FieldType | None, length: int) -> int:
    """How long a text of that length is behind the next filter."""
    reading, token = cursor.reading, cursor.next()
    if token.kind != "name":
        raise _refused(reading, token)
    known = _FILTERS.get(token.text)
    if known is None:
        raise _Refused(
            error("AUD1123", _place(reading, token), message=reading.message, line=_line(reading, token),
                  column=_column_number(reading, token), filter=token.text, near=nearest(token.text, _FILTERS),
                  filters=tuple(sorted(_FILTERS)))
        )  # fmt: skip
    arguments = list(_arguments(cursor))
    wanted = [(kind or "string") if one == "same" else one for one in known.arguments]
    fits = known.least <= len(arguments) <= len(wanted) and all(
        argument.kind == ("text" if one == "string" else "number")
        for argument, one in zip(arguments, wanted, strict=False)
    )
    whole = token.text == "default" or all("." not in one.text for one in arguments if one.kind == "number")
    if token.text == "truncate" and fits and whole:
        fits = int(arguments[0].text) >= TRUNCATE_LENGTH_MIN
    if (kind is not None and kind not in known.columns) or not fits or not whole:
        raise _Refused(
            error("AUD1124", _place(reading, token), message=reading.message, line=_line(reading, token),
                  column=_column_number(reading, token), filter=token.text, type=kind, example=known.example)
        )  # fmt: skip
    if token.text == "truncate":
        return min(length, max(0, int(arguments[0].text)) + TRUNCATE_LEEWAY)
    return max(length, len(arguments[0].text.strip("\"'"))) if token.text == "default" else length


def _arguments(cursor: _Cursor) -> Iterator[Token]:
    """The literals in the parentheses behind a filter; nothing where there are none."""
    if cursor.peek().text != "(":
        return
    cursor.next()
    while (token := cursor.next()).text != ")":
        if token.kind not in ("text", "number"):
            raise _refused(cursor.reading, token)
        _escapes(cursor.reading, token)
        yield token
        if cursor.peek().text == ",":
            cursor.next()
        elif cursor.peek().text != ")":
            raise _refused(cursor.reading, cursor.peek())


def _statement(cursor: _Cursor) -> None:
    """`{% if … %}`, `{% elif … %}`, `{% else %}`, `{% endif %}`."""
    reading, token = cursor.reading, cursor.next()
    if token.text == "if":
        if len(reading.open) >= TEMPLATE_DEPTH_MAX:
            raise _beyond(reading, token)
        _condition(cursor)
        reading.open.append(_If(token, reading.amounts))
        reading.amounts = (0, 0)
    elif token.text in ("elif", "else", "endif"):
        if not reading.open or (reading.open[-1].last and token.text != "endif"):
            raise _unreadable(reading, token)
        if token.text == "elif":
            _condition(cursor)
        _next_arm(reading, token.text)
    else:
        raise _beyond(reading, token) if token.kind == "name" else _unreadable(reading, token)
    cursor.done()


def _next_arm(reading: _Reading, word: str) -> None:
    inner = reading.open[-1]
    inner.longest = (max(inner.longest[0], reading.amounts[0]), max(inner.longest[1], reading.amounts[1]))
    inner.last = word == "else"
    reading.amounts = (0, 0)
    if word == "endif":
        reading.open.pop()
        reading.amounts = (inner.before[0] + inner.longest[0], inner.before[1] + inner.longest[1])


def _condition(cursor: _Cursor) -> None:
    """Columns and comparisons joined by `and`, `or`, `not` and parentheses; read without recursion."""
    depth = 0
    while True:
        while cursor.peek().text in ("not", "("):
            depth += cursor.next().text == "("
        _term(cursor)
        while depth and cursor.peek().text == ")":
            cursor.next()
            depth -= 1
        if cursor.peek().text not in ("and", "or"):
            break
        cursor.next()
    if depth:
        raise _refused(cursor.reading, cursor.peek())


def _term(cursor: _Cursor) -> None:
    """A column, or one comparison in which a column stands."""
    first = cursor.next()
    left = _operand(cursor.reading, first)
    sign = cursor.peek()
    if sign.text not in COMPARISONS:
        if first.kind != "name":
            raise _refused(cursor.reading, first)
        return
    cursor.next()
    second = cursor.next()
    right = _operand(cursor.reading, second)
    if first.kind != "name" and second.kind != "name":
        raise _refused(cursor.reading, first)
    if left is None or right is None:
        return
    if left != right or (left == "string" and sign.text not in ("==", "!=")):
        reading = cursor.reading
        raise _Refused(
            error("AUD1127", _place(reading, sign), message=reading.message, line=_line(reading, sign),
                  column=_column_number(reading, sign), operator=sign.text, left=left, right=right)
        )  # fmt: skip


def _operand(reading: _Reading, token: Token) -> FieldType | None:
    if token.kind in ("text", "number"):
        _escapes(reading, token)
        return "string" if token.kind == "text" else "number"
    return _column(reading, token)[1]


def _escapes(reading: _Reading, token: Token) -> None:
    if token.kind == "text" and literal_text(token) is None:
        raise _unreadable(reading, token)


def _column(reading: _Reading, token: Token) -> tuple[str, FieldType | None]:
    """The column that a name stands for, with its type; one that is not declared is told."""
    name = unicodedata.normalize("NFC", token.text)
    if token.kind != "name":
        raise _refused(reading, token)
    if "__" in name or token.text in _WORDS:
        raise _beyond(reading, token)
    if name not in reading.types and name not in reading.used:
        near = nearest(name, reading.types)
        reading.bag.add(
            error("AUD1125", _place(reading, token), fixes=_added(reading, name), message=reading.message,
                  line=_line(reading, token), column=_column_number(reading, token), name=name, near=near)
        )  # fmt: skip
    reading.used.add(name)
    return name, reading.types.get(name)


def _added(reading: _Reading, name: str) -> list[Fix]:
    """The column declared behind the template; nothing for what stands in a file."""
    if reading.entry is None:
        return []
    end = reading.entry.span.end
    edit = Edit(replace(reading.entry.span, start=end, end=end), f"  column {written(name)}: string")
    return [Fix((edit,), False, "add")]


# --- what is wrong ----------------------------------------------------------------------------------


def _line(reading: _Reading, token: Token) -> int:
    """The line in the template's own text, from 1."""
    return reading.written.text.count("\n", 0, token.start) + 1


def _column_number(reading: _Reading, token: Token) -> int:
    """The column in that line, from 1, in code points."""
    return token.start - reading.written.text.rfind("\n", 0, token.start)


def _place(reading: _Reading, token: Token) -> Span:
    """Where the token stands; the whole text where escapes moved its characters."""
    span, text = reading.written.span, reading.written.text
    if reading.entry is None or span.end - span.start != len(text) + 2:
        return span
    start = span.start + 1 + token.start
    return replace(span, start=start, end=start + max(1, len(token.text)))


def _refused(reading: _Reading, token: Token) -> _Refused:
    """A token that no rule takes: of Jinja2 that is not legal here, or of nothing at all."""
    jinja = token.text in ("(", "[", "{", ".", "+", "-", "*", "/", "%", "~", "=") or (
        token.kind == "name" and token.text in _WORDS
    )
    return _beyond(reading, token) if jinja else _unreadable(reading, token)


def _beyond(reading: _Reading, token: Token) -> _Refused:
    found = token.text[:_FOUND_CHARACTERS_MAX]
    return _Refused(
        error("AUD1122", _place(reading, token), message=reading.message, line=_line(reading, token),
              column=_column_number(reading, token), found=found)
    )  # fmt: skip


def _unreadable(reading: _Reading, token: Token) -> _Refused:
    found = token.text[:_FOUND_CHARACTERS_MAX]
    return _Refused(
        error("AUD1121", _place(reading, token), message=reading.message, line=_line(reading, token),
              column=_column_number(reading, token), found=found)
    )  # fmt: skip


# --- size -------------------------------------------------------------------------------------------


def _units(text: str) -> int:
    """UTF-16 code units: what LINE counts as characters."""
    return len(text) + sum(character > "\uffff" for character in text)


def _literal(reading: _Reading, text: str) -> None:
    units = _units(text)
    reading.amounts = (reading.amounts[0] + units, reading.amounts[1] + units)
    reading.visible = reading.visible or bool(text.strip())


def _length(fallback: ir.Scalar | None) -> int:
    match fallback:
        case str():
            return _units(fallback)
        case Decimal():
            return len(format(fallback, "f"))
        case datetime():
            return len("2026-12-01")
        case _:
            return 0


def _check_amounts(reading: _Reading) -> None:
    """LINE's limit of a text holds for whoever goes the longest way through the conditions."""
    literal, filled = reading.amounts
    span, message, limit = reading.written.span, reading.message, TEXT_CHARACTERS_MAX
    if not reading.visible:
        reading.bag.add(error("AUD1113", span, message=message, path="template"))
    elif literal > limit:
        reading.bag.add(error("AUD1105", span, message=message, path="template", count=literal, limit=limit))
    elif filled > limit:
        reading.bag.add(warning("AUD1129", span, message=message, count=filled, limit=limit))
