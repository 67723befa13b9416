"""The naive evaluator: sets of people by the plainest Python there is. It shares no code with audsql.

An expression is a nested list or tuple: ("atom", name), ("not", x), ("and", x, y), ("or", x, y), ("except", x, y).
A state of the world says for each atom who is in it and of whom LINE knows nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache

Expression = Sequence
People = frozenset[int]


@dataclass(frozen=True, slots=True)
class State:
    """Everybody, who is in each atom, and for attributes the people of whom nothing is known."""

    everybody: People
    members: Mapping[str, People]
    unknown: Mapping[str, People]


def text(expression: Expression) -> str:
    """The expression in the language, with every parenthesis written."""
    match expression:
        case ("atom", name):
            return name
        case ("not", inner):
            return f"NOT {bracketed(inner)}"
        case (operator, left, right):
            return f"{bracketed(left)} {operator.upper()} {bracketed(right)}"
    raise AssertionError(expression)


def bracketed(expression: Expression) -> str:
    return text(expression) if expression[0] == "atom" else f"({text(expression)})"


def atoms(expression: Expression) -> set[str]:
    if expression[0] == "atom":
        return {expression[1]}
    return set().union(*(atoms(part) for part in expression[1:]))


def inside(expression: Expression, state: State) -> People:
    """Two values: whoever LINE does not know satisfies no attribute, and so is in every NOT of one."""
    match expression:
        case ("atom", name):
            return state.members[name]
        case ("not", inner):
            return state.everybody - inside(inner, state)
        case ("and", left, right):
            return inside(left, state) & inside(right, state)
        case ("or", left, right):
            return inside(left, state) | inside(right, state)
        case ("except", left, right):
            return inside(left, state) - inside(right, state)
    raise AssertionError(expression)


def surely(expression: Expression, state: State) -> tuple[People, People]:
    """Three values: who is in it and who is not, whatever the attributes of unknown people are."""
    match expression:
        case ("atom", name):
            known = state.members[name]
            return known, state.everybody - known - state.unknown.get(name, frozenset())
        case ("not", inner):
            yes, no = surely(inner, state)
            return no, yes
        case ("and", left, right):
            (one, not_one), (two, not_two) = surely(left, state), surely(right, state)
            return one & two, not_one | not_two
        case ("or", left, right):
            (one, not_one), (two, not_two) = surely(left, state), surely(right, state)
            return one | two, not_one & not_two
        case ("except", left, right):
            return surely(("and", left, ("not", right)), state)
    raise AssertionError(expression)


def unmoved(names: Iterable[str], states: Sequence[State]) -> People:
    """The people whose every atom of these is the same in all the states."""
    still = states[0].everybody
    for name in names:
        first, nobody = states[0], frozenset()
        for state in states[1:]:
            still -= first.members[name] ^ state.members[name]
            still -= first.unknown.get(name, nobody) ^ state.unknown.get(name, nobody)
    return still


# --- shares and linkage -----------------------------------------------------------------------------


def in_share(salt: str, member: str, low: int, high: int) -> bool:
    """Whether an id falls into these hundredths of a percent, by long division on the hexadecimal digits."""
    return low <= hundredths(salt, member) < high


@cache
def hundredths(salt: str, member: str) -> int:
    digits = hashlib.sha256(f"{salt}:{member}".encode()).hexdigest()
    remainder = 0
    for digit in digits[:8]:
        remainder = (remainder * 16 + int(digit, 16)) % 10_000
    return remainder


def linked_to(rows: list[tuple[int, str]], numbers: Set[str]) -> People:
    """The people of a row whose telephone number is one of these."""
    return frozenset(person for person, number in rows if person and number in numbers)
