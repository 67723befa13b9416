"""What the builders of one text share, and the helpers that several of them need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from decimal import Decimal
from typing import Any

from audsql.diag import Diagnostic, error
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.chain import check_chain, check_exclusion
from audsql.syntax.lex import Tokens, name_text

__all__ = [
    "Action", "Making", "Operators", "decimal", "finish_expression", "joined", "key", "whole", "whole_piece", "written",
]  # fmt: skip

_WHOLE_MAX = 999_999_999


@dataclass(slots=True)
class Making:
    """What the builders of one text share: its pieces, and the problems that they find."""

    tokens: Tokens
    problems: list[Diagnostic] = field(default_factory=list)
    # Braces of `for` that are open around the statement that is being read.
    depth: int = 0
    fatal: bool = False
    # Whether a name has an index.
    indexed: bool = False

    def take_fatal(self) -> bool:
        """Whether a part since the last question makes its statement unreadable."""
        fatal, self.fatal = self.fatal, False
        return fatal


@dataclass(slots=True)
class Operators:
    """A chain of operands while it grows; it becomes a node where it is used."""

    operands: list[ast.Expression]
    operators: list[ast.BooleanOperator] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)


Action = Callable[[Making, list[Any], Span], Any]


def finish_expression(making: Making, parts: Operators, *, excluded: bool = False) -> ast.Expression:
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


# --- pieces -------------------------------------------------------------------------------------


def written(making: Making, index: int) -> str:
    """A piece as written: strings and backquoted names keep their full-width forms."""
    tokens = making.tokens
    text = tokens.text if tokens.kinds[index] in ("STRING", "QUOTED") else tokens.flat
    return text[tokens.starts[index] : tokens.ends[index]]


def decimal(making: Making, index: int) -> Decimal:
    """The number or percentage that a piece writes."""
    return Decimal(making.tokens.word(index).rstrip("%").replace("_", ""))


def whole(making: Making, value: Decimal, span: Span) -> int:
    """A whole number from 0; another is a problem and counts as the nearest."""
    if value == value.to_integral_value() and 0 <= value <= _WHOLE_MAX:
        return int(value)
    making.problems.append(error("AUD0127", span, found=str(value)))
    return int(min(max(value, Decimal(0)), Decimal(_WHOLE_MAX)))


def whole_piece(making: Making, index: int) -> int:
    """The whole number that a piece writes."""
    return whole(making, decimal(making, index), making.tokens.span(index, index))


def key(making: Making, index: int) -> ast.Name:
    """The name that a word of the language stands for: the key of an entry, the `sample` of a call."""
    return ast.Name(name_text(making.tokens.word(index)), False, making.tokens.span(index, index))


def joined(making: Making, names: list[ast.Name], span: Span) -> ast.Name:
    """One name of several with dots between them; only the last has an index."""
    if len(names) == 1:
        return names[0]
    for name in names[:-1]:
        if name.index:
            making.fatal = True
            making.problems.append(error("AUD0142", name.span, name=name.text))
    return ast.Name(".".join(name.text for name in names), False, span, names[-1].index)
