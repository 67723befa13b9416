"""Trees as flat sequences, for comparing them however deep they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from audsql.syntax import ast

__all__ = ["every_statement", "flatten"]


def flatten(node: object) -> tuple[object, ...]:
    """What counts of a tree, in one flat order: equal trees give equal sequences. Places do not count."""
    done: list[object] = []
    waiting: list[object] = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple):
            done.append(len(item))
            waiting.extend(reversed(item))
        elif is_dataclass(item):
            kind: Any = type(item)
            done.append(kind.__name__)
            waiting.extend(getattr(item, name) for name in reversed(_counted(kind)))
        else:
            done.append(item)
    return tuple(done)


@cache
def _counted(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.compare)


def every_statement(statements: Iterable[ast.Statement]) -> Iterator[ast.Statement]:
    """All statements in the order of the text, each `for` before those inside it."""
    waiting = list(statements)[::-1]
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, ast.For):
            waiting.extend(reversed(statement.statements))
