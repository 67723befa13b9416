"""The tree's nodes, one small function for each action that the grammar names.

A function gets the parts of a production, numbers of pieces and nodes already made, and the place that
they cover. What the grammar cannot say is checked here: chains that read two ways, whole numbers,
values after conditions. Such a problem is reported and a node is made all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

from audsql.diag import Diagnostic, error
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.chain import check_chain, check_exclusion
from audsql.syntax.lex import Tokens, name_text, string_text
from audsql.syntax.moment import date_time_parts, time_parts

__all__ = ["ACTIONS", "PLACELESS", "Action", "Making", "finish_expression"]

_WHOLE_MAX = 999_999_999
# Calls and entries of the language that this version does not have.
_LATER_CALLS = frozenset({"sample", "lookalike"})
_LATER_ENTRIES = frozenset({"every", "fresh"})


@dataclass(slots=True)
class Making:
    """What the builders of one text share: its pieces, and the problems that they find."""

    tokens: Tokens
    problems: list[Diagnostic] = field(default_factory=list)
    fatal: bool = False

    def take_fatal(self) -> bool:
        """Whether a part since the last question makes its statement unreadable."""
        fatal, self.fatal = self.fatal, False
        return fatal


@dataclass(slots=True)
class _Operators:
    """A chain of operands while it grows; it becomes a node where it is used."""

    operands: list[ast.Expression]
    operators: list[ast.BooleanOperator] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)


Action = Callable[[Making, list[Any], Span], Any]


def finish_expression(making: Making, parts: _Operators, *, excluded: bool = False) -> ast.Expression:
    """The expression of a grown chain. `excluded`: it stands behind `always except`."""
    if not parts.operators:
        return parts.operands[0]
    span = parts.operands[0].span.to(parts.operands[-1].span)
    chain = ast.Chain(tuple(parts.operands), tuple(parts.operators), tuple(parts.spans), span)
    problem = check_exclusion(chain) if excluded else None
    problem = problem or check_chain(chain)
    if problem:
        making.problems.append(problem)
    return chain


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


def _written(making: Making, index: int) -> str:
    """A piece as written: strings and backquoted names keep their full-width forms."""
    tokens = making.tokens
    text = tokens.text if tokens.kinds[index] in ("STRING", "QUOTED") else tokens.flat
    return text[tokens.starts[index] : tokens.ends[index]]


def _name(making: Making, parts: list[Any], span: Span) -> ast.Name:
    tokens = making.tokens
    if tokens.kinds[parts[0]] == "NAME":
        return ast.Name(name_text(tokens.flat[span.start : span.end]), False, span)
    quoted = making.tokens.kinds[parts[0]] == "QUOTED"
    written = _written(making, parts[0])
    return ast.Name(name_text(written[1:-1] if quoted else written), quoted, span)


def _word(making: Making, parts: list[Any], span: Span) -> ast.Word:
    name = _name(making, parts, span)
    return ast.Word(name.text, span, name.quoted)


def _text(making: Making, parts: list[Any], span: Span) -> ast.Text:
    written = _written(making, parts[0])
    return ast.Text(written if making.tokens.kinds[parts[0]] == "CODE" else string_text(written), span)


def _decimal(making: Making, index: int) -> Decimal:
    return Decimal(making.tokens.word(index).rstrip("%").replace("_", ""))


def _number(making: Making, parts: list[Any], span: Span) -> ast.Number:
    return ast.Number(_decimal(making, parts[0]), span)


def _percent(making: Making, parts: list[Any], span: Span) -> ast.Percent:
    return ast.Percent(_decimal(making, parts[0]), span)


def _whole(making: Making, value: Decimal, span: Span) -> int:
    """A whole number from 0; another is a problem and counts as the nearest."""
    if value == value.to_integral_value() and 0 <= value <= _WHOLE_MAX:
        return int(value)
    making.problems.append(error("AUD0127", span, found=str(value)))
    return int(min(max(value, Decimal(0)), Decimal(_WHOLE_MAX)))


def _whole_piece(making: Making, index: int) -> int:
    return _whole(making, _decimal(making, index), making.tokens.span(index, index))


def _duration(making: Making, parts: list[Any], span: Span) -> ast.Duration:
    number, unit = parts
    return ast.Duration(_whole_piece(making, number), unit, span)


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
    return ast.Environment(string_text(_written(making, parts[2])), span)


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


def _start_word(_making: Making, _parts: list[Any], span: Span) -> ast.Word:
    return ast.Word("start", span)


def _before(_making: Making, parts: list[Any], span: Span) -> ast.BeforeCondition:
    return ast.BeforeCondition(parts[1], span)


def _times_at(making: Making, parts: list[Any], span: Span) -> ast.TimesCondition:
    bound: Literal["at least", "at most"] = "at least" if making.tokens.word(parts[1]) == "least" else "at most"
    return ast.TimesCondition(bound, _whole_piece(making, parts[2]), span)


def _times_exactly(making: Making, parts: list[Any], span: Span) -> ast.TimesCondition:
    return ast.TimesCondition("exactly", _whole_piece(making, parts[1]), span)


def _aggregate_condition(_making: Making, parts: list[Any], span: Span) -> ast.AggregateCondition:
    return ast.AggregateCondition(parts[0], parts[2], parts[4], parts[5], span)


def _latest(_making: Making, parts: list[Any], span: Span) -> ast.LatestCondition:
    return ast.LatestCondition(parts[1], parts[2], parts[3], span)


def _threshold(_making: Making, parts: list[Any], span: Span) -> ast.ThresholdCondition:
    return ast.ThresholdCondition(parts[0], parts[1], span)


# --- set expressions ----------------------------------------------------------------------------


def _chain_start(_making: Making, parts: list[Any], _span: Span) -> _Operators:
    return _Operators([parts[0]])


def _chain(making: Making, parts: list[Any], _span: Span) -> _Operators:
    grown: _Operators = parts[0]
    operator: Any = making.tokens.word(parts[1]).upper()
    grown.operators.append(operator)
    grown.spans.append(making.tokens.span(parts[1], parts[1]))
    grown.operands.append(parts[2])
    return grown


def _negation(_making: Making, parts: list[Any], span: Span) -> ast.Not:
    return ast.Not(parts[1], span)


def _paren(making: Making, parts: list[Any], span: Span) -> ast.Paren:
    return ast.Paren(finish_expression(making, parts[1]), span)


def _reference(_making: Making, parts: list[Any], span: Span) -> ast.Reference:
    return ast.Reference(parts[0], parts[2] if len(parts) == 3 else None, span)


def _call(making: Making, parts: list[Any], span: Span) -> ast.Call:
    arguments = parts[2] if len(parts) == 4 else []
    if parts[0].text in _LATER_CALLS:
        making.fatal = True
        making.problems.append(error("AUD0112", parts[0].span, feature=parts[0].text))
    values = tuple(part for part in arguments if isinstance(part, ast.Value))
    conditions = tuple(part for part in arguments if not isinstance(part, ast.Value))
    seen_condition = False
    for part in arguments:
        if seen_condition and isinstance(part, ast.Value):
            making.problems.append(error("AUD0123", part.span, call=parts[0].text))
            break
        seen_condition = seen_condition or not isinstance(part, ast.Value)
    return ast.Call(parts[0], ast.Arguments(values, conditions), span)


# --- blocks -------------------------------------------------------------------------------------


def _key(making: Making, index: int) -> ast.Name:
    return ast.Name(name_text(making.tokens.word(index)), False, making.tokens.span(index, index))


def _entry(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    key = _key(making, parts[0])
    values = parts[2]
    if key.text in _LATER_ENTRIES:
        making.fatal = True
        making.problems.append(error("AUD0112", key.span, feature=key.text))
    value = values[0] if len(values) == 1 and key.text != "send" else tuple(values)
    return ast.Entry(key, value, False, span)


def _entry_to(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    return ast.Entry(_key(making, parts[0]), finish_expression(making, parts[2]), False, span)


def _entry_id(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    return ast.Entry(_key(making, parts[0]), tuple(parts[2]), False, span)


def _entry_expect(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    return ast.Entry(_key(making, parts[0]), parts[2], False, span)


def _id_column(_making: Making, parts: list[Any], span: Span) -> ast.IdColumn:
    return ast.IdColumn(parts[0], parts[2] if len(parts) == 3 else None, span)


def _people(making: Making, parts: list[Any], span: Span) -> ast.PeopleRange:
    bounds: list[int | None] = [
        _whole_piece(making, part) if making.tokens.kinds[part] == "NUMBER" else None for part in parts[:-1]
    ]
    low, high = bounds[0], bounds[-1]
    return ast.PeopleRange(low, high, span)


def _flag(making: Making, parts: list[Any], span: Span) -> ast.Flag:
    return ast.Flag(f"allow {making.tokens.word(parts[1])}", span)


def _verb(_making: Making, parts: list[Any], span: Span) -> ast.Verb:
    return ast.Verb(parts[1], parts[3] if len(parts) == 4 else None, span)


# --- statements ---------------------------------------------------------------------------------


def _block(making: Making, parts: list[Any], span: Span) -> ast.Block:
    items = list(parts[3]) if isinstance(parts[3], list) else []
    for at, (item, following) in enumerate(pairwise(items)):
        if isinstance(item, ast.Entry) and item.key.text == "to" and _allows_empty(following):
            items[at] = ast.Entry(item.key, item.value, True, item.span.to(following.span))
            del items[at + 1]
            break
    kind: Any = making.tokens.word(parts[0])
    return ast.Block(
        kind,
        parts[1],
        tuple(item for item in items if isinstance(item, ast.Entry)),
        tuple(item for item in items if isinstance(item, ast.Verb)),
        tuple(item for item in items if isinstance(item, ast.Flag)),
        "",
        span,
    )


def _allows_empty(item: object) -> bool:
    return isinstance(item, ast.Flag) and item.text == "allow empty"


def _audience(making: Making, parts: list[Any], span: Span) -> ast.Audience:
    return ast.Audience(parts[1], finish_expression(making, parts[3]), len(parts) == 5, "", span)


def _exclude(making: Making, parts: list[Any], span: Span) -> ast.ExcludeRule:
    names = tuple(parts[6]) if len(parts) > 3 else ()
    return ast.ExcludeRule(finish_expression(making, parts[2], excluded=True), names, span)


def _policy(_making: Making, parts: list[Any], span: Span) -> ast.Policy:
    return ast.Policy(parts[1], tuple(parts[3]) if isinstance(parts[3], list) else (), "", span)


def _test(making: Making, parts: list[Any], span: Span) -> ast.Test:
    items = tuple(parts[3]) if isinstance(parts[3], list) else ()
    return ast.Test(string_text(_written(making, parts[1])), items, "", span)


def _given(_making: Making, parts: list[Any], span: Span) -> ast.Given:
    return ast.Given(parts[1], parts[3], span)


def _test_at(_making: Making, parts: list[Any], span: Span) -> ast.TestAt:
    return ast.TestAt(parts[2], span)


def _expect(making: Making, parts: list[Any], span: Span) -> ast.Expect:
    return ast.Expect(finish_expression(making, parts[1]), parts[3], span)


def _expect_count(making: Making, parts: list[Any], span: Span) -> ast.ExpectCount:
    return ast.ExpectCount(finish_expression(making, parts[3]), _whole_piece(making, parts[6]), span)


def _prove(making: Making, parts: list[Any], span: Span) -> ast.Prove:
    relation: Any = making.tokens.word(parts[2])
    return ast.Prove(finish_expression(making, parts[1]), relation, finish_expression(making, parts[3]), span)


ACTIONS: dict[str, Action] = {
    "one": _one, "more": _more, "next": _more, "first": _first, "skip": _skip,
    "name": _name, "word": _word, "text": _text, "number": _number, "percent": _percent, "duration": _duration,
    "unit": _unit, "datetime": _datetime, "time": _time, "range_both": _range_both, "range_from": _range_from,
    "range_to": _range_to, "star": _star, "environment": _environment, "list": _list,
    "comparison": _spelled, "aggregate": _spelled, "times": _skip, "compare": _compare, "is_in": _is_in,
    "is_missing": _is_missing, "is_given": _is_given, "last": _last, "since": _since, "start_word": _start_word,
    "before": _before, "times_at": _times_at, "times_exactly": _times_exactly, "latest": _latest,
    "aggregate_condition": _aggregate_condition, "threshold": _threshold,
    "chain_start": _chain_start, "chain": _chain, "negation": _negation, "paren": _paren,
    "reference": _reference, "call": _call,
    "entry": _entry, "entry_to": _entry_to, "entry_id": _entry_id, "entry_expect": _entry_expect,
    "id_column": _id_column, "people": _people, "flag": _flag, "verb": _verb,
    "block": _block, "audience": _audience, "exclude": _exclude, "policy": _policy, "test": _test,
    "given": _given, "test_at": _test_at, "expect": _expect, "expect_count": _expect_count, "prove": _prove,
    # Productions of one part that stand for it.
    "value": _first, "point": _first, "operand": _first, "primary": _first, "argument": _first, "item": _first,
    "table_item": _first, "rule": _first, "test_item": _first, "atom": _first,
}  # fmt: skip
# Actions that do not ask for the place that their parts cover.
PLACELESS = frozenset(
    {"one", "more", "next", "first", "skip", "unit", "comparison", "aggregate", "times", "chain_start", "chain"}
)
