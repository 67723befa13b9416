"""Templates filled in: compiled once, then made into text for each person.

A template is a flat list of steps: text that stands as it is, columns with their filters, and jumps past what a
condition leaves out. Nothing in it can loop, call or name anything but its columns, and what gets too long is refused
before it is built. Filters do what Jinja2 says of them; numbers are exact decimals, a date is the day in the project's
zone, and a missing value is not an empty text: it stays missing until something stands for it, and shown it is an
error that names its column. Normative: specs/language/05-statements.md, `messages.filled`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from zoneinfo import ZoneInfo

from audsql.meaning.ir import TemplateField
from audsql.meaning.rendered_conditions import Test, condition_of
from audsql.meaning.templates import COMPARISONS, OPENING, TRUNCATE_LEEWAY, Token, literal_text, tokens
from audsql.records import dataclass

__all__ = [
    "RENDERED_CHARACTERS_MAX", "Missing", "Template", "TooLong", "Value", "Values", "compile_template", "is_template",
    "shown",
]  # fmt: skip

RENDERED_CHARACTERS_MAX = 20_000
"""Of one string, in code points: more than LINE takes anywhere, and what a rendering may take of memory."""

Value = str | Decimal | date | None
"""Of a column: a text, a number, or an aware time or a day; None where it is missing."""
Values = Sequence[Value]

_Get = Callable[[Values], Value]
_Show = Callable[[Values], str]

_DECIMALS_MAX = 40  # no number of a column has more places, before or behind the point
_EXACT = Context(prec=200, rounding=ROUND_HALF_EVEN)
_WORD_STARTS = re.compile(r"([-\s({\[<]+)")  # as Jinja2 has it
_TRUNCATED = "..."


class Missing(Exception):
    """A value is shown, or compared by size, that the person does not have and nothing stands for."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class TooLong(Exception):
    """A string would get longer than `RENDERED_CHARACTERS_MAX`; it was not built. `column`: the one that it shows
    last, '' where none is."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template: `render` gives its text for the values of one person, in the order of the fields that it
    was compiled with, or raises Missing or TooLong. `columns`: the fields that it names. `literals`: what each of
    these is compared with (for invented people)."""

    render: _Show
    columns: frozenset[str]
    literals: tuple[tuple[str, str | Decimal], ...] = ()


def is_template(text: str) -> bool:
    """Whether anything in a text is more than text."""
    return OPENING.search(text) is not None


def shown(value: str | Decimal | date) -> str:
    """A value as a message shows it: numbers without exponent and needless zeros, a day as `2026-12-01`."""
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def compile_template(text: str, fields: Sequence[TemplateField], zone: ZoneInfo) -> Template:
    """A template that was found legal (`templates.check_template`, `check_texts`). Raises ValueError for any other."""
    columns = {unicodedata.normalize("NFC", one.name): _Column(number, one, zone) for number, one in enumerate(fields)}
    building = _Building(columns)
    literal = ""
    for kind, part in _parts(text):
        if kind == "text":
            literal += part if isinstance(part, str) else ""
            continue
        assert not isinstance(part, str)
        if literal:
            building.steps.append(literal)
            literal = ""
        (_add_output if kind == "{{" else _add_statement)(building, _Cursor(part))
    if building.open:
        raise ValueError("a condition is not closed")
    if literal:
        building.steps.append(literal)
    return Template(_program(building.steps), frozenset(building.used), tuple(dict.fromkeys(building.literals)))


# --- running ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Jump:
    """A step: go on at `to`, where there is no condition or it does not hold."""

    test: Test | None
    to: int = 0


@dataclass(frozen=True, slots=True)
class _Output:
    """A step: show a column."""

    show: _Show
    column: str


_Step = str | _Output | _Jump


def _program(steps: Sequence[_Step]) -> _Show:
    if len(steps) == 1 and isinstance(steps[0], _Output):
        return steps[0].show
    if any(isinstance(step, _Jump) for step in steps):
        return _with_jumps(steps)
    return _straight(steps)


def _straight(steps: Sequence[_Step]) -> _Show:
    """Without conditions. Every output is bounded, and few are built before their sum is."""
    chunks = [_chunk(steps[at : at + _OUTPUTS_AT_ONCE]) for at in range(0, len(steps), _OUTPUTS_AT_ONCE)]
    if len(chunks) == 1:
        return chunks[0]

    def render(values: Values) -> str:
        found, left = [], RENDERED_CHARACTERS_MAX
        for chunk in chunks:
            found.append(chunk(values))
            left -= len(found[-1])
            if left < 0:
                raise TooLong("")
        return "".join(found)

    return render


_OUTPUTS_AT_ONCE = 32


def _chunk(steps: Sequence[_Step]) -> _Show:
    pieces = [step if isinstance(step, str) else "" for step in steps]
    shows = [(at, step.show) for at, step in enumerate(steps) if isinstance(step, _Output)]
    last = next((step.column for step in reversed(steps) if isinstance(step, _Output)), "")

    def render(values: Values) -> str:
        found = pieces.copy()
        for at, show in shows:
            found[at] = show(values)
        text = "".join(found)
        if len(text) > RENDERED_CHARACTERS_MAX:
            raise TooLong(last)
        return text

    return render


def _with_jumps(steps: Sequence[_Step]) -> _Show:
    parts = _runs(steps)
    end = len(parts)

    def render(values: Values) -> str:
        found: list[str] = []
        at, left = 0, RENDERED_CHARACTERS_MAX
        while at < end:
            part = parts[at]
            at += 1
            if isinstance(part, _Jump):
                if part.test is None or not part.test(values):
                    at = part.to
                continue
            text = part if isinstance(part, str) else part(values)
            found.append(text)
            left -= len(text)
            if left < 0:
                raise TooLong("")
        return "".join(found)

    return render


def _runs(steps: Sequence[_Step]) -> list[str | _Show | _Jump]:
    """The same with what always comes together as one step."""
    targets = {step.to for step in steps if isinstance(step, _Jump)}
    parts: list[str | _Show | _Jump] = []
    places: dict[int, int] = {}
    run: list[_Step] = []
    for at, step in enumerate([*steps, _Jump(None)]):
        if run and (at in targets or isinstance(step, _Jump)):
            parts.append(run[0] if len(run) == 1 and isinstance(run[0], str) else _straight(run))
            run = []
        places[at] = len(parts)
        if isinstance(step, _Jump):
            parts.append(step)
        else:
            run.append(step)
    parts.pop()
    for part in parts:
        if isinstance(part, _Jump):
            part.to = places[part.to]
    return parts


# --- reading ----------------------------------------------------------------------------------------


_Part = tuple[str, "str | list[Token]"]


def _parts(text: str) -> Iterator[_Part]:
    """("text", it) and ("{{" or "{%", its tokens), in order; blanks beside `-` are gone."""
    at, strip = 0, False
    while opening := OPENING.search(text, at):
        literal = text[at : opening.start()]
        literal = literal.lstrip() if strip else literal
        begin = opening.end()
        if text.startswith("-", begin):
            literal, begin = literal.rstrip(), begin + 1
        yield "text", literal
        if opening.group() == "{#":
            end = text.index("#}", begin)
            at, strip = end + 2, text.endswith("-", begin, end)
            continue
        found = list(tokens(text, begin))
        last = found.pop()
        if last.kind != "close":
            raise ValueError("a brace is not closed")
        at, strip = last.start + len(last.text), last.text.startswith("-")
        yield opening.group(), found
    yield "text", text[at:].lstrip() if strip else text[at:]


@dataclass(slots=True)
class _Cursor:
    tokens: Sequence[Token]
    index: int = 0

    def peek(self) -> str:
        return self.tokens[self.index].text if self.index < len(self.tokens) else ""

    def next(self) -> Token:
        if self.index == len(self.tokens):
            raise ValueError("a tag ends too early")
        self.index += 1
        return self.tokens[self.index - 1]

    def done(self) -> None:
        if self.index < len(self.tokens):
            raise ValueError("a tag goes on behind its end")


@dataclass(frozen=True, slots=True)
class _Column:
    """A field, where its value stands in a person's values, and the zone of its days."""

    number: int
    field: TemplateField
    zone: ZoneInfo


@dataclass(slots=True)
class _Open:
    """An `{% if %}`: the jump past the arm that is being read, and those from the end of each arm to behind all."""

    past: _Jump | None
    ends: list[_Jump] = field(default_factory=list)


@dataclass(slots=True)
class _Building:
    columns: dict[str, _Column]
    steps: list[_Step] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    literals: list[tuple[str, str | Decimal]] = field(default_factory=list)

    def column(self, token: Token) -> _Column:
        name = unicodedata.normalize("NFC", token.text)
        if token.kind != "name" or name not in self.columns:
            raise ValueError("not a column")
        self.used.add(self.columns[name].field.name)
        return self.columns[name]


def _add_statement(building: _Building, cursor: _Cursor) -> None:
    word = cursor.next().text
    if word == "if":
        building.open.append(_Open(_conditional(building, cursor)))
    elif word in ("elif", "else", "endif") and building.open:
        inner = building.open[-1]
        if word != "endif":
            if inner.past is None:
                raise ValueError("an arm behind the last one")
            end = _Jump(None)
            inner.ends.append(end)
            building.steps.append(end)
        if inner.past is not None:
            inner.past.to = len(building.steps)
        inner.past = _conditional(building, cursor) if word == "elif" else None
        if word == "endif":
            for jump in building.open.pop().ends:
                jump.to = len(building.steps)
    else:
        raise ValueError("not a statement of the subset")
    cursor.done()


def _conditional(building: _Building, cursor: _Cursor) -> _Jump:
    test = condition_of(cursor.peek, lambda: cursor.next().text, lambda: _test(building, cursor))
    jump = _Jump(test)
    building.steps.append(jump)
    return jump


# --- columns and filters ----------------------------------------------------------------------------


def _value_of(column: _Column) -> _Get:
    """What stands for a person's value: its fallback where it is missing, the day in the zone for a time."""
    number, fallback = column.number, column.field.fallback
    if column.field.type == "date":
        return _day_of(column)
    if fallback is None:
        return lambda values: values[number]
    stands = fallback if isinstance(fallback, str) else Decimal(str(fallback))

    def get(values: Values) -> Value:
        value = values[number]
        return stands if value is None else value

    return get


def _day_of(column: _Column) -> _Get:
    number, zone = column.number, column.zone

    def day(value: object) -> Value:
        if isinstance(value, datetime):
            return (value if value.tzinfo is None else value.astimezone(zone)).date()
        return value if isinstance(value, date) else None

    stands = day(column.field.fallback)

    def get(values: Values) -> Value:
        value = values[number]
        return stands if value is None else day(value)

    return get


def _add_output(building: _Building, cursor: _Cursor) -> None:
    column = building.column(cursor.next())
    get, name = _value_of(column), column.field.name
    while cursor.peek():
        if cursor.next().text != "|":
            raise ValueError("not a filter")
        word = cursor.next().text
        arguments = list(_arguments(cursor))
        get = _filtered(get, word, arguments, name)
    building.steps.append(_Output(_shown_column(get, column), name))


def _shown_column(get: _Get, column: _Column) -> _Show:
    name, kind = column.field.name, column.field.type

    def text(values: Values) -> str:
        value = get(values)
        if value.__class__ is not str:
            if value is None:
                raise Missing(name)
            raise TypeError(f"a text was declared: {name}")
        if len(value) > RENDERED_CHARACTERS_MAX:
            raise TooLong(name)
        return value

    def other(values: Values) -> str:
        value = get(values)
        if value is None:
            raise Missing(name)
        return shown(value)

    return text if kind == "string" else other


def _arguments(cursor: _Cursor) -> Iterator[str | Decimal]:
    if cursor.peek() != "(":
        return
    cursor.next()
    while (token := cursor.next()).text != ")":
        yield _literal(token)
        if cursor.peek() == ",":
            cursor.next()


def _literal(token: Token) -> str | Decimal:
    if token.kind == "number":
        return Decimal(token.text)
    text = literal_text(token) if token.kind == "text" else None
    if text is None:
        raise ValueError("not a literal")
    return text


_TEXT_FILTERS: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "trim": str.strip,
    "upper": str.upper,
    "title": lambda text: "".join(word[0].upper() + word[1:].lower() for word in _WORD_STARTS.split(text) if word),
}


def _filtered(get: _Get, name: str, arguments: Sequence[str | Decimal], column: str) -> _Get:
    """A value behind one more filter. What is missing stays so, but for `default`."""
    match name, [*arguments]:
        case "default", [str() | Decimal() as other]:

            def given(values: Values) -> Value:
                value = get(values)
                return other if value is None else value

            return given
        case "replace", [str(old), str(new)]:
            return _on_text(get, lambda text: _replaced(text, old, new, column), column)
        case "truncate", [Decimal() as length]:
            return _on_text(get, lambda text: _truncated(text, int(length)), column)
        case "round", [] | [Decimal()]:
            places = min(max(int(arguments[0]) if arguments else 0, -_DECIMALS_MAX), _DECIMALS_MAX)
            return _rounded(get, places)
        case _, [] if name in _TEXT_FILTERS:
            return _on_text(get, _TEXT_FILTERS[name], column)
    raise ValueError("not a filter of the subset")


def _on_text(get: _Get, change: Callable[[str], str], column: str) -> _Get:
    def changed(values: Values) -> Value:
        value = get(values)
        if value is None:
            return None
        if len(value) > RENDERED_CHARACTERS_MAX:  # type: ignore[arg-type]
            raise TooLong(column)
        return change(value)  # type: ignore[arg-type]

    return changed


def _replaced(text: str, old: str, new: str, column: str) -> str:
    if len(text) + text.count(old) * (len(new) - len(old)) > RENDERED_CHARACTERS_MAX:
        raise TooLong(column)
    return text.replace(old, new)


def _truncated(text: str, length: int) -> str:
    if len(text) <= length + TRUNCATE_LEEWAY:
        return text
    return text[: length - len(_TRUNCATED)].rsplit(" ", 1)[0] + _TRUNCATED


def _rounded(get: _Get, places: int) -> _Get:
    """As Python rounds a decimal, which is how Jinja2 does: halves to the even side."""
    step = Decimal(1).scaleb(-places, _EXACT)

    def rounded(values: Values) -> Value:
        value = get(values)
        return value if value is None else value.quantize(step, context=_EXACT)  # type: ignore[union-attr]

    return rounded


# --- conditions -------------------------------------------------------------------------------------


def _test(building: _Building, cursor: _Cursor) -> Test:
    """A column, or one comparison."""
    first = cursor.next()
    if cursor.peek() not in COMPARISONS:
        get = _value_of(building.column(first))
        return lambda values: bool(get(values))
    sign, second = cursor.next().text, cursor.next()
    (left, left_name), (right, right_name) = _operand(building, first), _operand(building, second)
    for name, literal in ((left_name, second), (right_name, first)):
        if name and literal.kind != "name":
            building.literals.append((name, _literal(literal)))
    return _compared(left, sign, right, left_name, right_name)


def _operand(building: _Building, token: Token) -> tuple[_Get, str]:
    if token.kind == "name":
        column = building.column(token)
        return _value_of(column), column.field.name
    literal = _literal(token)
    return (lambda _: literal), ""


def _compared(left: _Get, sign: str, right: _Get, left_name: str, right_name: str) -> Test:
    """As Jinja2: what is missing equals only what is missing, and is neither more nor less than anything."""
    if sign == "==":
        return lambda values: left(values) == right(values)
    if sign == "!=":
        return lambda values: left(values) != right(values)

    def ordered(values: Values) -> bool:
        one, other = left(values), right(values)
        if one is None or other is None:
            raise Missing(left_name if one is None else right_name)
        if sign == "<":
            return one < other  # type: ignore[operator]
        if sign == "<=":
            return one <= other  # type: ignore[operator]
        return one > other if sign == ">" else one >= other  # type: ignore[operator]

    return ordered
