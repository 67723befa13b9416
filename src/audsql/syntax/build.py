"""The tree's nodes, one small function for each action that the grammar names.

A function gets the parts of a production, numbers of pieces and nodes already made, and the place that
they cover. What the grammar cannot say is checked here: chains that read two ways, whole numbers,
values after conditions. Such a problem is reported and a node is made all the same.
"""

from __future__ import annotations

from typing import Any, Literal

from audsql.diag import error
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.build_flows import FLOW_ACTIONS
from audsql.syntax.build_statements import STATEMENT_ACTIONS
from audsql.syntax.lex import name_text, string_text
from audsql.syntax.making import (
    Action,
    Making,
    Operators,
    decimal,
    finish_expression,
    joined,
    key,
    whole_piece,
    written,
)
from audsql.syntax.moment import date_time_parts, time_parts

__all__ = ["ACTIONS", "PLACELESS"]


# --- lists --------------------------------------------------------------------------------------


def _one(_making: Making, parts: list[Any], _span: Span) -> list[Any]:
    return [parts[0]]


def _more(_making: Making, parts: list[Any], _span: Span) -> list[Any]:
    parts[0].append(parts[-1])
    return parts[0]  # type: ignore[no-any-return]


def _first(_making: Making, parts: list[Any], _span: Span) -> Any:
    return parts[0]


def _skip(_making: Making, _parts: list[Any], _span: Span) -> None:
    return None


# --- names and values ---------------------------------------------------------------------------


def _name(making: Making, parts: list[Any], span: Span) -> ast.Name:
    tokens = making.tokens
    index = parts[1] if len(parts) > 1 else ()
    if tokens.kinds[parts[0]] == "NAME":
        text = tokens.flat[span.start : span.end] if len(parts) == 1 else tokens.word(parts[0])
        return ast.Name(text if text.isascii() else name_text(text), False, span, index)
    quoted = tokens.kinds[parts[0]] == "QUOTED"
    shown = written(making, parts[0])
    return ast.Name(name_text(shown[1:-1] if quoted else shown), quoted, span, index)


def _index(making: Making, parts: list[Any], _span: Span) -> tuple[ast.Value, ...]:
    making.indexed = True
    return tuple(parts[1])


def _target(making: Making, parts: list[Any], span: Span) -> ast.Name:
    return joined(making, parts[::2], span)


def _word(making: Making, parts: list[Any], span: Span) -> ast.Word:
    return _as_word(_name(making, parts, span))


def _dotted_word(making: Making, parts: list[Any], span: Span) -> ast.Word:
    return _as_word(joined(making, parts[::2], span))


def _as_word(name: ast.Name) -> ast.Word:
    return ast.Word(name.text, name.span, name.quoted, name.index)


def _text(making: Making, parts: list[Any], span: Span) -> ast.Text:
    shown = written(making, parts[0])
    return ast.Text(shown if making.tokens.kinds[parts[0]] == "CODE" else string_text(shown), span)


def _number(making: Making, parts: list[Any], span: Span) -> ast.Number:
    return ast.Number(decimal(making, parts[0]), span)


def _percent(making: Making, parts: list[Any], span: Span) -> ast.Percent:
    return ast.Percent(decimal(making, parts[0]), span)


def _duration(making: Making, parts: list[Any], span: Span) -> ast.Duration:
    number, unit = parts
    return ast.Duration(whole_piece(making, number), unit, span)


def _count(making: Making, parts: list[Any], _span: Span) -> int:
    return whole_piece(making, parts[0])


def _unit(making: Making, parts: list[Any], _span: Span) -> str:
    return making.tokens.word(parts[0]).removesuffix("s")


def _datetime(making: Making, parts: list[Any], span: Span) -> ast.DateTime:
    return ast.DateTime(*date_time_parts(making.tokens.word(parts[0])), span)


def _time(making: Making, parts: list[Any], span: Span) -> ast.TimeOfDay:
    return ast.TimeOfDay(*time_parts(making.tokens.word(parts[0])), span)


def _range_both(_making: Making, parts: list[Any], span: Span) -> ast.Range:
    return ast.Range(parts[0], parts[2], span)


def _range_from(_making: Making, parts: list[Any], span: Span) -> ast.Range:
    return ast.Range(parts[0], None, span)


def _range_to(_making: Making, parts: list[Any], span: Span) -> ast.Range:
    return ast.Range(None, parts[1], span)


def _star(_making: Making, _parts: list[Any], span: Span) -> ast.Star:
    return ast.Star(span)


def _environment(making: Making, parts: list[Any], span: Span) -> ast.Environment:
    return ast.Environment(string_text(written(making, parts[2])), span)


def _list(_making: Making, parts: list[Any], span: Span) -> ast.ListValue:
    return ast.ListValue(tuple(parts[1]) if isinstance(parts[1], list) else (), span)


# --- conditions ---------------------------------------------------------------------------------


def _spelled(making: Making, parts: list[Any], _span: Span) -> str:
    return making.tokens.word(parts[0])


def _compare(_making: Making, parts: list[Any], span: Span) -> ast.CompareCondition:
    return ast.CompareCondition(parts[0], parts[1], parts[2], span)


def _is_in(_making: Making, parts: list[Any], span: Span) -> ast.InCondition:
    return ast.InCondition(parts[0], tuple(parts[3]), span)


def _is_missing(_making: Making, parts: list[Any], span: Span) -> ast.MissingCondition:
    return ast.MissingCondition(parts[0], False, span)


def _is_given(_making: Making, parts: list[Any], span: Span) -> ast.MissingCondition:
    return ast.MissingCondition(parts[0], True, span)


def _last(_making: Making, parts: list[Any], span: Span) -> ast.LastCondition:
    return ast.LastCondition(parts[1], span)


def _since(_making: Making, parts: list[Any], span: Span) -> ast.SinceCondition:
    return ast.SinceCondition(parts[1], span)


def _before(_making: Making, parts: list[Any], span: Span) -> ast.BeforeCondition:
    return ast.BeforeCondition(parts[1], span)


def _times_at(making: Making, parts: list[Any], span: Span) -> ast.TimesCondition:
    bound: Literal["at least", "at most"] = "at least" if making.tokens.word(parts[1]) == "least" else "at most"
    return ast.TimesCondition(bound, parts[2], span)


def _times_exactly(_making: Making, parts: list[Any], span: Span) -> ast.TimesCondition:
    return ast.TimesCondition("exactly", parts[1], span)


def _aggregate_condition(_making: Making, parts: list[Any], span: Span) -> ast.AggregateCondition:
    return ast.AggregateCondition(parts[0], parts[2], parts[4], parts[5], span)


def _latest(_making: Making, parts: list[Any], span: Span) -> ast.LatestCondition:
    return ast.LatestCondition(parts[1], parts[2], parts[3], span)


def _threshold(_making: Making, parts: list[Any], span: Span) -> ast.ThresholdCondition:
    return ast.ThresholdCondition(parts[0], parts[1], span)


# --- set expressions ----------------------------------------------------------------------------


def _chain_start(_making: Making, parts: list[Any], _span: Span) -> Operators:
    return Operators([parts[0]])


def _chain(making: Making, parts: list[Any], _span: Span) -> Operators:
    grown: Operators = parts[0]
    operator: Any = making.tokens.word(parts[1]).upper()
    grown.operators.append(operator)
    grown.spans.append(making.tokens.span(parts[1], parts[1]))
    grown.operands.append(parts[2])
    return grown


def _negation(_making: Making, parts: list[Any], span: Span) -> ast.Not:
    return ast.Not(parts[1], span)


def _paren(making: Making, parts: list[Any], span: Span) -> ast.Paren:
    return ast.Paren(finish_expression(making, parts[1]), span)


def _reference(making: Making, parts: list[Any], span: Span) -> ast.Reference:
    if len(parts) == 1:
        return ast.Reference(parts[0], None, span)
    names = parts[:-1:2]
    return ast.Reference(joined(making, names, names[0].span.to(names[-1].span)), parts[-1], span)


def _call(making: Making, parts: list[Any], span: Span) -> ast.Call:
    return _called(making, parts[0], parts[2], span)


def _dotted_call(making: Making, parts: list[Any], span: Span) -> ast.Call:
    name = joined(making, [parts[0], parts[2]], parts[0].span.to(parts[2].span))
    return _called(making, name, parts[4], span)


def _called(making: Making, name: ast.Name, arguments: list[Any] | int, span: Span) -> ast.Call:
    """A call, from its arguments or the number of the piece that closes it."""
    if isinstance(arguments, int):
        return ast.Call(name, ast.Arguments((), ()), span)
    values = tuple(part for part in arguments if isinstance(part, ast.Value))
    conditions = tuple(part for part in arguments if not isinstance(part, ast.Value))
    seen_condition = False
    for part in arguments:
        if seen_condition and isinstance(part, ast.Value):
            making.problems.append(error("AUD0123", part.span, call=name.text))
            break
        seen_condition = seen_condition or not isinstance(part, ast.Value)
    return ast.Call(name, ast.Arguments(values, conditions), span)


def _share_call(making: Making, parts: list[Any], span: Span) -> ast.Call:
    arguments = parts[4] if len(parts) == 6 else []
    values = tuple(part for part in arguments if not isinstance(part, tuple))
    named = tuple(part for part in arguments if isinstance(part, tuple))
    subject = finish_expression(making, parts[2])
    return ast.Call(parts[0], ast.Arguments(values, (), subject, named), span)


def _share(making: Making, parts: list[Any], _span: Span) -> ast.Name:
    return key(making, parts[0])


def _named(making: Making, parts: list[Any], _span: Span) -> tuple[ast.Name, ast.Value]:
    return key(making, parts[0]), parts[2]


_TERM_ACTIONS: dict[str, Action] = {
    "one": _one, "more": _more, "next": _more, "first": _first, "skip": _skip, "spelled": _spelled,
    "name": _name, "label": _name, "index": _index, "target": _target, "word": _word, "dotted_word": _dotted_word,
    "text": _text, "number": _number, "percent": _percent, "duration": _duration, "count": _count,
    "unit": _unit, "datetime": _datetime, "time": _time, "range_both": _range_both, "range_from": _range_from,
    "range_to": _range_to, "star": _star, "environment": _environment, "list": _list,
    "comparison": _spelled, "aggregate": _spelled, "times": _skip, "compare": _compare, "is_in": _is_in,
    "is_missing": _is_missing, "is_given": _is_given, "last": _last, "since": _since,
    "before": _before, "times_at": _times_at, "times_exactly": _times_exactly, "latest": _latest,
    "aggregate_condition": _aggregate_condition, "threshold": _threshold,
    "chain_start": _chain_start, "chain": _chain, "negation": _negation, "paren": _paren,
    "reference": _reference, "call": _call, "dotted_call": _dotted_call,
    "share": _share, "share_call": _share_call, "named": _named, "type": _spelled, "removal": _spelled,
    "over": _spelled,
}  # fmt: skip
# Productions of one part that stand for it.
_STANDING = (
    "value", "point", "operand", "primary", "argument", "item", "table_item", "message_item", "rule", "test_item",
    "atom", "day", "clock", "length", "moment", "whole", "share_argument", "quantity", "arm_item", "weight", "salt",
    "flow_item", "flow_entry", "step", "sent_message",
)  # fmt: skip
ACTIONS: dict[str, Action] = {
    **dict.fromkeys(_STANDING, _first), **_TERM_ACTIONS, **STATEMENT_ACTIONS, **FLOW_ACTIONS,
}  # fmt: skip
# Actions that do not ask for the place that their parts cover.
PLACELESS = frozenset(
    {
        "one", "more", "next", "first", "skip", "spelled", "unit", "count", "comparison", "aggregate", "times", "index",
        "type", "removal", "share", "named", "chain_start", "chain", "schedule", "exceptions", "over",
    }
)  # fmt: skip
