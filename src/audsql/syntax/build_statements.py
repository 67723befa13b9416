"""The nodes of statements and of the entries of their blocks (see `build`)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.lex import string_text
from audsql.syntax.making import Action, Making, finish_expression, key, whole_piece, written

__all__ = ["STATEMENT_ACTIONS"]

# --- blocks -------------------------------------------------------------------------------------


def _entry(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    name = key(making, parts[0])
    values = parts[2]
    value = values[0] if len(values) == 1 and name.text != "send" else tuple(values)
    return ast.Entry(name, value, False, span)


def _entry_to(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    return ast.Entry(key(making, parts[0]), finish_expression(making, parts[2]), False, span)


def _entry_id(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    return ast.Entry(key(making, parts[0]), tuple(parts[2]), False, span)


def _entry_expect(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    return ast.Entry(key(making, parts[0]), parts[2], False, span)


def _entry_every(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    return ast.Entry(key(making, parts[0]), tuple(parts[2]), False, span)


def _schedule(_making: Making, parts: list[Any], _span: Span) -> list[ast.Value]:
    return parts


def _entry_fresh(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    return ast.Entry(key(making, parts[0]), parts[3], False, span)


def _field(_making: Making, parts: list[Any], span: Span) -> ast.Field:
    return ast.Field(parts[1], parts[3], parts[5] if len(parts) == 6 else None, span)


def _field_codes(_making: Making, parts: list[Any], span: Span) -> ast.Field:
    return ast.Field(parts[1], "string", None, span, parts[4])


def _id_column(_making: Making, parts: list[Any], span: Span) -> ast.IdColumn:
    return ast.IdColumn(parts[0], parts[2] if len(parts) == 3 else None, span)


def _people(making: Making, parts: list[Any], span: Span) -> ast.PeopleRange:
    bounds: list[int | None] = [
        whole_piece(making, part) if making.tokens.kinds[part] == "NUMBER" else None for part in parts[:-1]
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
        tuple(item for item in items if isinstance(item, ast.Field)),
    )


def _allows_empty(item: object) -> bool:
    return isinstance(item, ast.Flag) and item.text == "allow empty"


def _audience(making: Making, parts: list[Any], span: Span) -> ast.Audience:
    return ast.Audience(parts[1], finish_expression(making, parts[3]), len(parts) == 5, "", span)


def _audience_with(making: Making, parts: list[Any], span: Span) -> ast.Audience:
    expression = finish_expression(making, parts[6])
    return ast.Audience(parts[1], expression, len(parts) == 8, "", span, tuple(parts[3]))


def _param(_making: Making, parts: list[Any], span: Span) -> ast.Parameter:
    return ast.Parameter(parts[1], parts[3], parts[5] if len(parts) == 6 else None, "", span)


def _use(making: Making, parts: list[Any], span: Span) -> ast.Use:
    path = ast.Text(string_text(written(making, parts[1])), making.tokens.span(parts[1], parts[1]))
    return ast.Use(path, parts[3], "", span)


def _loop(_making: Making, parts: list[Any], span: Span) -> ast.For:
    """The head of a `for`; `parse` puts in the statements that follow."""
    return ast.For(parts[1], parts[3], (), "", span)


def _split(making: Making, parts: list[Any], span: Span) -> ast.Split:
    salt = parts[8] if len(parts) == 9 else None
    return ast.Split(parts[1], finish_expression(making, parts[3]), tuple(parts[5]), salt, "", span)


def _arm(_making: Making, parts: list[Any], span: Span) -> ast.Arm:
    return ast.Arm(parts[0], parts[1], span)


def _priority(_making: Making, parts: list[Any], span: Span) -> ast.Priority:
    return ast.Priority(tuple(parts[2]), "", span)


def _moved(_making: Making, parts: list[Any], span: Span) -> ast.Moved:
    return ast.Moved(parts[1], parts[3], "", span)


def _removed(_making: Making, parts: list[Any], span: Span) -> ast.Removed:
    return ast.Removed(parts[1], parts[3], "", span)


def _test(making: Making, parts: list[Any], span: Span) -> ast.Test:
    items = tuple(parts[3]) if isinstance(parts[3], list) else ()
    return ast.Test(string_text(written(making, parts[1])), items, "", span)


def _given(_making: Making, parts: list[Any], span: Span) -> ast.Given:
    return ast.Given(parts[1], parts[3], span)


def _test_at(_making: Making, parts: list[Any], span: Span) -> ast.TestAt:
    return ast.TestAt(parts[2], span)


def _expect(making: Making, parts: list[Any], span: Span) -> ast.Expect:
    return ast.Expect(finish_expression(making, parts[1]), parts[3], span)


def _expect_count(making: Making, parts: list[Any], span: Span) -> ast.ExpectCount:
    return ast.ExpectCount(finish_expression(making, parts[3]), whole_piece(making, parts[6]), span)


def _prove(making: Making, parts: list[Any], span: Span) -> ast.Prove:
    relation: Any = making.tokens.word(parts[2])
    return ast.Prove(finish_expression(making, parts[1]), relation, finish_expression(making, parts[3]), span)


STATEMENT_ACTIONS: dict[str, Action] = {
    "entry": _entry, "entry_to": _entry_to, "entry_id": _entry_id, "entry_expect": _entry_expect,
    "entry_every": _entry_every, "schedule": _schedule, "entry_fresh": _entry_fresh, "field": _field,
    "field_codes": _field_codes, "id_column": _id_column, "people": _people, "flag": _flag, "verb": _verb,
    "block": _block, "audience": _audience, "audience_with": _audience_with, "param": _param, "use": _use,
    "loop": _loop, "split": _split, "arm": _arm, "priority": _priority, "moved": _moved,
    "removed": _removed, "test": _test, "given": _given, "test_at": _test_at, "expect": _expect,
    "expect_count": _expect_count, "prove": _prove,
}  # fmt: skip
