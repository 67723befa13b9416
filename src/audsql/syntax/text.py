"""Trees into canonical text.

`expression_text` gives one line for any expression; `value_text` and the like give its parts. With a
`raw` text, numbers and strings are copied from it as they were written (`1_000` stays), so that the
formatter changes layout and nothing else. The layout of whole files is the business of `print`.

Rules: syntax.canonical of specs/language/02-syntax.md.
"""

from __future__ import annotations

import re
from decimal import Decimal

from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.lex import escaped, is_plain_name

__all__ = ["condition_text", "count_text", "expression_text", "name_text", "value_text"]

# Words that the grammar expects in a call where a value or a column may stand: there they need backquotes.
_TAKEN_IN_CALLS = frozenset({"last", "since", "before", "at", "exactly", "latest"})
_OPERATORS = frozenset({"AND", "OR", "EXCEPT", "NOT"})
# What stands before the index of a name, and blanks outside backquotes.
_BEFORE_INDEX = re.compile(r"(?:`[^`]*+`|[^`\[])*+")
_BLANK = re.compile(r"(`[^`]*+`)|\s++")

# What a call of an audience with parameters is named after: `lapsed(A, 90 days)`.
_MADE = re.compile(r"\w[\w.]*(?:\[[^\[\]()]*\])?\(.*\)", re.DOTALL)

_Piece = str | ast.Expression


def expression_text(expression: ast.Expression, raw: str | None = None) -> str:
    """One line of canonical text that reads back as the same expression."""
    done: list[str] = []
    waiting: list[_Piece] = [expression]
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            done.append(piece)
        else:
            waiting.extend(reversed(_pieces(piece, raw)))
    return "".join(done)


def _pieces(expression: ast.Expression, raw: str | None) -> list[_Piece]:
    """The texts and the smaller expressions that an expression consists of."""
    match expression:
        case ast.Reference():
            member = f".{name_text(expression.member, raw)}" if expression.member else ""
            return [name_text(expression.name, raw) + member]
        case ast.Call():
            opened = f"{name_text(expression.name, raw)}("
            rest = _arguments_text(expression.arguments, raw)
            subject = expression.arguments.subject
            if subject is None:
                return [opened, rest, ")"]
            return [opened, subject, f", {rest})" if rest else ")"]
        case ast.Not():
            return ["NOT ", expression.operand]
        case ast.Paren():
            return ["(", expression.inner, ")"]
    pieces: list[_Piece] = [expression.operands[0]]
    for operator, operand in zip(expression.operators, expression.operands[1:], strict=True):
        pieces += [f" {operator} ", operand]
    return pieces


def _arguments_text(arguments: ast.Arguments, raw: str | None) -> str:
    shown = [value_text(value, raw) for value in arguments.values]
    shown += [condition_text(condition, raw) for condition in arguments.conditions]
    return ", ".join(shown + [f"{name.text}: {value_text(value, raw)}" for name, value in arguments.named])


def name_text(name: ast.Name, raw: str | None = None) -> str:
    """A name, in backquotes where it was written so or cannot do without."""
    return _named(name, name.quoted or name.text.upper() in _OPERATORS, raw)


def _column_text(name: ast.Name) -> str:
    return _named(name, name.quoted or name.text in _TAKEN_IN_CALLS, None)


def _named(name: ast.Name | ast.Word, needed: bool, raw: str | None) -> str:
    """A name with its index. One of several parts has backquotes around those that need them."""
    index = f"[{', '.join(value_text(value, raw) for value in name.index)}]" if name.index else ""
    if needed or is_plain_name(name.text):
        return _in_backquotes(name.text, needed) + index
    if _MADE.fullmatch(name.text):
        return name.text + index
    written = _raw(raw, name.span) or ""
    if "`" in written:
        parts = _BEFORE_INDEX.match(written)
        return _BLANK.sub(lambda found: found.group(1) or "", parts.group() if parts else written) + index
    bare, bracket, rest = name.text.partition("[")
    shown = ".".join(_in_backquotes(part, part in _TAKEN_IN_CALLS) for part in bare.split("."))
    return f"{shown}{bracket}{rest}{index}"


def _in_backquotes(text: str, needed: bool) -> str:
    return f"`{text}`" if needed or not is_plain_name(text) else text


def condition_text(condition: ast.Condition, raw: str | None = None) -> str:
    """A condition of a call on one line."""
    match condition:
        case ast.CompareCondition():
            return f"{_column_text(condition.column)} {condition.operator} {value_text(condition.value, raw)}"
        case ast.InCondition():
            values = ", ".join(value_text(value, raw) for value in condition.values)
            return f"{_column_text(condition.column)} in ({values})"
        case ast.MissingCondition():
            return f"{_column_text(condition.column)} is {'given' if condition.given else 'missing'}"
        case ast.LastCondition():
            return f"last {value_text(condition.duration, raw)}"
        case ast.SinceCondition():
            return f"since {value_text(condition.moment, raw)}"
        case ast.BeforeCondition():
            return f"before {value_text(condition.moment, raw)}"
        case ast.TimesCondition():
            count = count_text(condition.count, raw)
            return f"{condition.bound} {count} {'time' if count == '1' else 'times'}"
        case ast.AggregateCondition():
            column, value = _column_text(condition.column), value_text(condition.value, raw)
            return f"{condition.function}({column}) {condition.operator} {value}"
        case ast.LatestCondition():
            return f"latest {_column_text(condition.column)} {condition.operator} {value_text(condition.value, raw)}"
        case ast.ThresholdCondition():
            return f"{condition.operator} {value_text(condition.value, raw)}"


def count_text(count: int | ast.Word, raw: str | None = None) -> str:
    """A whole number, or the parameter that stands for one."""
    return str(count) if isinstance(count, int) else value_text(count, raw)


def value_text(value: ast.Value, raw: str | None = None) -> str:
    """A value on one line; a string of the `raw` text keeps its own lines."""
    match value:
        case ast.Word():
            return _named(value, value.quoted or value.text in _TAKEN_IN_CALLS, raw)
        case ast.Text():
            return _raw(raw, value.span) or escaped(value.text)
        case ast.Number() | ast.Percent():
            sign = "%" if isinstance(value, ast.Percent) else ""
            return _raw(raw, value.span) or _decimal_text(value.value) + sign
        case ast.Duration():
            return f"{value.amount} {value.unit}{'' if value.amount == 1 else 's'}"
        case ast.DateTime():
            return _date_text(value)
        case ast.TimeOfDay():
            return f"{value.hour:02}:{value.minute:02}"
        case ast.Range():
            low = value_text(value.low, raw) if value.low else ""
            return f"{low}..{value_text(value.high, raw) if value.high else ''}"
        case ast.Star():
            return "*"
        case ast.Environment():
            return f"env({escaped(value.name)})"
        case ast.ListValue():
            return _list_text(value, raw)


def _list_text(value: ast.ListValue, raw: str | None) -> str:
    """A list, however deep, without recursion."""
    done: list[str] = []
    waiting: list[str | ast.Value] = [value]
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            done.append(piece)
        elif isinstance(piece, ast.ListValue):
            inner: list[str | ast.Value] = ["["]
            for index, item in enumerate(piece.items):
                inner += [", ", item] if index else [item]
            waiting.extend(reversed([*inner, "]"]))
        else:
            done.append(value_text(piece, raw))
    return "".join(done)


def _raw(raw: str | None, span: Span) -> str | None:
    return raw[span.start : span.end] if raw is not None else None


def _decimal_text(value: Decimal) -> str:
    return f"{value:f}"


def _date_text(value: ast.DateTime) -> str:
    day = f"{value.year:04}-{value.month:02}-{value.day:02}"
    if value.hour is None:
        return day
    clock = f"{day} {value.hour:02}:{value.minute:02}"
    if value.offset_minutes is None:
        return clock
    hours, minutes = divmod(abs(value.offset_minutes), 60)
    return f"{clock} {'-' if value.offset_minutes < 0 else '+'}{hours:02}:{minutes:02}"
