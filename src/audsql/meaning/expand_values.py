"""Values of parameters: read from text that comes from outside, checked against the declared type.

Rules: params.types and params.values of specs/language/08-parameters.md.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from audsql.diag import Bag, Label, error
from audsql.meaning.names import nearest
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.lex import Tokens, is_plain_name, lex, name_text, string_text
from audsql.syntax.moment import date_time_parts
from audsql.syntax.text import value_text

__all__ = ["Given", "TYPES", "argument_text", "as_text", "indexed", "read_value", "type_of", "value_of"]


@dataclass(frozen=True, slots=True)
class Given:
    """A value for a parameter from outside. `source` names where it came from: `--var`, a file, a variable.

    `value` is a text that is read by the parameter's type, a value that is typed already (a file of TOML
    has types of its own), or None for one that the language has no type for. `strict`: a name that no
    parameter has is an error.
    """

    name: str
    value: str | ast.Value | None
    source: str
    strict: bool = True


TYPES: Mapping[ast.ParameterType, type] = {
    "string": ast.Text,
    "number": ast.Number,
    "date": ast.DateTime,
    "duration": ast.Duration,
    "percent": ast.Percent,
    "list": ast.ListValue,
}
# Values of these types may be repeated in an error; any other may be a secret.
_SHOWN = ("number", "date", "duration", "percent")
_SHOWN_CHARACTERS_MAX = 40
_ORIGIN_CHARACTERS_MAX = 80
_UNITS: Mapping[str, str] = {
    form: unit for unit in ("minute", "hour", "day", "week") for form in (unit, f"{unit}s")
}  # fmt: skip


def type_of(value: ast.Value) -> str:
    """The name of a value's type, as a declaration writes it; `value` for what no parameter can be."""
    return next((name for name, kind in TYPES.items() if isinstance(value, kind)), "value")


# --- as text --------------------------------------------------------------------------------------


def as_text(value: ast.Value) -> ast.Value:
    """A bare word is the text that it says."""
    return ast.Text(value.text, value.span) if isinstance(value, ast.Word) else value


def argument_text(value: ast.Value) -> str:
    """A value as it stands in an index or an argument, the same text for the same value."""
    match value:
        case ast.Text(text=text) | ast.Word(text=text):
            return text if is_plain_name(text) else value_text(ast.Text(text))
        case ast.Number(value=amount):
            return f"{amount.normalize():f}" if amount else "0"
        case ast.Percent(value=amount):
            return f"{amount.normalize():f}%" if amount else "0%"
        case ast.ListValue(items=items):
            return f"[{', '.join(argument_text(item) for item in items)}]"
        case _:
            return value_text(value)


def indexed(name: str, values: Sequence[ast.Value]) -> str:
    """The name of one of several: `sale[A]`, `sale["A-12"]`, `sale[A, 2026]`."""
    return f"{name}[{', '.join(argument_text(value) for value in values)}]"


def shortened(text: str) -> str:
    """What a note shows of a long text."""
    return text if len(text) <= _ORIGIN_CHARACTERS_MAX else f"{text[: _ORIGIN_CHARACTERS_MAX - 1]}…"


# --- from outside ---------------------------------------------------------------------------------


def read_value(text: str, wanted: ast.ParameterType) -> ast.Value | None:
    """The value of that type that a text from outside says; None where it says none.

    A string is the whole text as it is; everything else is written as in the language.
    """
    if wanted == "string":
        return ast.Text(unicodedata.normalize("NFC", text))
    tokens = lex("", text)
    if tokens.problems or tokens.unreported or tokens.comments:
        return None
    if wanted == "list":
        return _list(tokens)
    if wanted == "duration":
        return _duration(tokens)
    value = _piece(tokens, 0) if len(tokens.kinds) == 1 else None
    return value if isinstance(value, TYPES[wanted]) else None


def _list(tokens: Tokens) -> ast.ListValue | None:
    """`A, B` or `[A, B]`; a comma may follow the last."""
    first, last = 0, len(tokens.kinds)
    if tokens.kinds[:1] == ["["]:
        if tokens.kinds[-1] != "]":
            return None
        first, last = 1, last - 1
    items: list[ast.Value] = []
    for index in range(first, last):
        if (index - first) % 2:
            if tokens.kinds[index] != ",":
                return None
            continue
        item = _piece(tokens, index)
        if item is None:
            return None
        items.append(item)
    return ast.ListValue(tuple(items))


def _duration(tokens: Tokens) -> ast.Duration | None:
    number = _piece(tokens, 0) if tokens.kinds == ["NUMBER", "NAME"] else None
    unit = _UNITS.get(tokens.word(1)) if number else None
    if not isinstance(number, ast.Number) or unit is None or number.value < 1 or number.value % 1:
        return None
    return ast.Duration(int(number.value), unit)  # type: ignore[arg-type]


def _piece(tokens: Tokens, index: int) -> ast.Value | None:
    read = _PIECES.get(tokens.kinds[index])
    return read(tokens.word(index)) if read else None


def _amount(written: str) -> Decimal:
    return Decimal(written.replace("_", ""))


_PIECES: Mapping[str, Callable[[str], ast.Value]] = {
    "NAME": lambda word: ast.Text(name_text(word)),
    "QUOTED": lambda word: ast.Text(name_text(word[1:-1])),
    "STRING": lambda word: ast.Text(string_text(word)),
    "NUMBER": lambda word: ast.Number(_amount(word)),
    "PERCENT": lambda word: ast.Percent(_amount(word[:-1])),
    "DATETIME": lambda word: ast.DateTime(*date_time_parts(word)),
}


# --- one parameter --------------------------------------------------------------------------------


def value_of(parameter: ast.Parameter, name: str, given: Given | None, bag: Bag) -> ast.Value | None:
    """The value that a parameter has; None where it has none, and why has been told.

    `name` is what it is called from outside: `common.season` in a file that is used as `common`.
    """
    default = _default(parameter, bag)
    if given is None:
        if parameter.default is None:
            span = parameter.name.span
            bag.add(error("AUD0220", span, name=name, type=parameter.type, variable=f"AUDSQL_VAR_{name}"))
        return default
    value = read_value(given.value, parameter.type) if isinstance(given.value, str) else given.value
    if value is None or not _is_of(value, parameter.type):
        span = parameter.name.span
        shown = _shown(given.value, parameter.type)
        bag.add(error("AUD0221", span, name=name, type=parameter.type, source=given.source, value=shown))
        return None
    return _placed(value, parameter.name.span)


def _default(parameter: ast.Parameter, bag: Bag) -> ast.Value | None:
    if parameter.default is None:
        return None
    value = as_text(parameter.default)
    if _is_of(value, parameter.type):
        return _placed(value, parameter.default.span)
    labels = [Label(parameter.name.span, "declared")]
    facts = type_of(value)
    bag.add(
        error(
            "AUD0222", parameter.default.span, labels=labels, name=parameter.name.text, type=parameter.type, found=facts
        )
    )
    return None


def _placed(value: ast.Value, span: Span) -> ast.Value:
    if isinstance(value, ast.ListValue):
        return ast.ListValue(tuple(replace(as_text(item), span=span) for item in value.items), span)
    return replace(value, span=span)


def _is_of(value: ast.Value, wanted: ast.ParameterType) -> bool:
    if not isinstance(value, TYPES[wanted]):
        return False
    scalars = (ast.Text, ast.Word, ast.Number, ast.Percent, ast.DateTime, ast.Duration)
    return not isinstance(value, ast.ListValue) or all(isinstance(item, scalars) for item in value.items)


def _shown(value: str | ast.Value | None, wanted: ast.ParameterType) -> str | None:
    """What is said of a wrong value: numbers and dates as they are, nothing of text that may be a secret."""
    if wanted not in _SHOWN or value is None:
        return None
    text = value if isinstance(value, str) else argument_text(value)
    looks = bool(text) and len(text) <= _SHOWN_CHARACTERS_MAX and (text[0].isdigit() or text[0] == "-")
    return text if looks else None


def unknown_given(given: Sequence[Given], known: Sequence[str], bag: Bag) -> None:
    """Names that were given a value and that no parameter has."""
    for one in given:
        if one.strict and one.name not in known:
            near = nearest(one.name, known)
            bag.add(error("AUD0223", None, name=one.name, source=one.source, near=near))
