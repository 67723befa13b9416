"""Operators without parentheses: which chains read one way, and what is said of the others.

Rule: syntax.chains of specs/language/02-syntax.md.
"""

from __future__ import annotations

from audsql.diag import Diagnostic, Edit, Fix, error
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["check_chain", "check_exclusion"]

_TEXT_MAX = 60


def check_chain(chain: ast.Chain) -> Diagnostic | None:
    """A problem if the chain is neither of one operator nor ANDs that end in EXCEPTs."""
    at = _first_mix(chain)
    if at is None:
        return None
    end = _readable_until(chain, at + 1)
    left = _text(chain, 0, at + 1)
    right = _text(chain, at + 1, end)
    first = f"({left}) {chain.operators[at + 1]} {_text(chain, at + 2, end)}"
    second = f"{_text(chain, 0, at)} {chain.operators[at]} ({right})"
    labels_at = chain.operator_spans[at].to(chain.operator_spans[at + 1])
    return error(
        "AUD0113",
        labels_at,
        fixes=(
            _around(chain, 0, at + 1, key="first"),
            _around(chain, at + 1, end, key="second"),
        ),
        left=chain.operators[at],
        right=chain.operators[at + 1],
        first=first,
        second=second,
    )


def _first_mix(chain: ast.Chain) -> int | None:
    """The first operator that reads two ways with the next one."""
    for at, (left, right) in enumerate(zip(chain.operators, chain.operators[1:], strict=False)):
        if left != right and (left, right) != ("AND", "EXCEPT"):
            return at
    return None


def _readable_until(chain: ast.Chain, start: int) -> int:
    """The last operand up to which the operators from number `start` on read one way."""
    end = start
    while end + 1 < len(chain.operators):
        left, right = chain.operators[end], chain.operators[end + 1]
        if left != right and (left, right) != ("AND", "EXCEPT"):
            break
        end += 1
    return end + 1


def _text(chain: ast.Chain, first: int, last: int) -> str:
    """Operands `first` to `last` with their operators, shortened in the middle where long."""
    parts = [_short(expression_text(chain.operands[first]))]
    for at in range(first, last):
        parts += [chain.operators[at], _short(expression_text(chain.operands[at + 1]))]
    if len(parts) > 9:
        parts = [*parts[:4], "…", *parts[-4:]]
    return " ".join(parts)


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"


def _around(chain: ast.Chain, first: int, last: int, key: str) -> Fix:
    """Parentheses around operands `first` to `last`; which of two readings is meant, a person says."""
    start, end = chain.operands[first].span, chain.operands[last].span
    before = Edit(Span(start.path, start.start, start.start), "(")
    return Fix((before, Edit(Span(end.path, end.end, end.end), ")")), safe=False, key=key)


def check_exclusion(chain: ast.Chain) -> Diagnostic | None:
    """A problem if an EXCEPT stands outside parentheses behind `always except`."""
    if "EXCEPT" not in chain.operators:
        return None
    at = chain.operators.index("EXCEPT")
    end = at
    while end < len(chain.operators) and chain.operators[end] == "EXCEPT":
        end += 1
    left, right = _text(chain, 0, at), _text(chain, at + 1, at + 1)
    joined = left if set(chain.operators[:at]) <= {"OR"} else f"({left})"
    both = [Edit(chain.operator_spans[number], "OR") for number in range(at, end)]
    if joined != left:
        both = [*_around(chain, 0, at, "").edits, *both]
    return error(
        "AUD0115",
        chain.operator_spans[at],
        fixes=(Fix(tuple(both), safe=False, key="both"), _around(chain, 0, len(chain.operators), key="less")),
        both=f"{joined} OR {right}",
        less=f"({left} EXCEPT {right})",
    )
