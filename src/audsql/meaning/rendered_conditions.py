"""Conditions of templates as lists of tests with jumps: read and run without recursion, asking no more than needed.

Which test is next is decided by the outcome of the last, so that `and` and `or` stop where Jinja2 does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audsql.records import dataclass

__all__ = ["Test", "condition_of"]

Test = Callable[[Any], bool]
"""Of the values of a person."""


@dataclass(slots=True)
class _Term:
    """One test of a condition and where each outcome leads: the number of another test, or the end."""

    test: Test
    then: int = 0
    otherwise: int = 0


_Exits = list[tuple[_Term, bool]]


@dataclass(slots=True)
class _Fragment:
    """A part of a condition: its first test, and the ways out of it where it holds and where it does not."""

    first: int
    holds: _Exits
    fails: _Exits


_TRUE, _FALSE = -1, -2
_STRENGTH = {"or": 1, "and": 2, "not": 3}


def condition_of(peek: Callable[[], str], skip: Callable[[], str], term_of: Callable[[], Test]) -> Test:
    """Terms under `and`, `or`, `not` and parentheses. `peek` gives the next word, '' at the end; `skip` goes past it;
    `term_of` reads a term. Raises ValueError where they do not stand as they must."""
    terms: list[_Term] = []
    done: list[_Fragment] = []
    waiting: list[str] = []
    while True:
        while peek() in ("not", "("):
            waiting.append(skip())
        term = _Term(term_of())
        terms.append(term)
        done.append(_Fragment(len(terms) - 1, [(term, True)], [(term, False)]))
        while peek() == ")" and "(" in waiting:
            skip()
            while (word := waiting.pop()) != "(":
                _joined(done, word)
        word = peek()
        while waiting and waiting[-1] != "(" and _STRENGTH[waiting[-1]] >= _STRENGTH.get(word, 0):
            _joined(done, waiting.pop())
        if word not in ("and", "or"):
            break
        waiting.append(skip())
    if waiting:
        raise ValueError("a parenthesis is not closed")
    _lead(done[0].holds, _TRUE)
    _lead(done[0].fails, _FALSE)
    return terms[0].test if len(terms) == 1 and terms[0].then == _TRUE else _walk(tuple(terms))


def _joined(done: list[_Fragment], word: str) -> None:
    if word == "not":
        last = done[-1]
        last.holds, last.fails = last.fails, last.holds
        return
    right, left = done.pop(), done[-1]
    if word == "and":
        _lead(left.holds, right.first)
        left.holds, left.fails = right.holds, _both(left.fails, right.fails)
    else:
        _lead(left.fails, right.first)
        left.holds, left.fails = _both(left.holds, right.holds), right.fails


def _both(one: _Exits, other: _Exits) -> _Exits:
    """The shorter list behind the longer one, so that a long condition costs its length."""
    long, short = (one, other) if len(one) >= len(other) else (other, one)
    long.extend(short)
    return long


def _lead(exits: _Exits, to: int) -> None:
    for term, outcome in exits:
        if outcome:
            term.then = to
        else:
            term.otherwise = to


def _walk(terms: tuple[_Term, ...]) -> Test:
    def holds(values: Any) -> bool:
        at = 0
        while at >= 0:
            term = terms[at]
            at = term.then if term.test(values) else term.otherwise
        return at == _TRUE

    return holds
