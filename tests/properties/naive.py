"""The naive evaluator: sets of people by the plainest Python there is. It shares no code with audsql.

An expression is a nested tuple: ("atom", name), ("not", x), ("and", x, y), ("or", x, y), ("except", x, y). A
world says for each person and atom True, False, or None where LINE does not know an attribute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set

Expression = tuple
ATTRIBUTES = ("gender(female)", "gender(male)", "os(ios)", "area(tokyo)", "age(30..39)")


def text(expression: Expression) -> str:
    """The expression in the language, with every parenthesis written."""
    match expression:
        case ("atom", name):
            return name
        case ("not", inner):
            return f"NOT {bracketed(inner)}"
        case (operator, left, right):
            return f"{bracketed(left)} {operator.upper()} {bracketed(right)}"


def bracketed(expression: Expression) -> str:
    return text(expression) if expression[0] == "atom" else f"({text(expression)})"


def atoms(expression: Expression) -> set[str]:
    if expression[0] == "atom":
        return {expression[1]}
    return set().union(*(atoms(part) for part in expression[1:]))


def inside(expression: Expression, person: Mapping[str, bool | None]) -> bool:
    """Two values: whoever LINE does not know satisfies no attribute, and so is in every NOT of one."""
    match expression:
        case ("atom", name):
            return bool(person[name])
        case ("not", inner):
            return not inside(inner, person)
        case ("and", left, right):
            return inside(left, person) and inside(right, person)
        case ("or", left, right):
            return inside(left, person) or inside(right, person)
        case ("except", left, right):
            return inside(left, person) and not inside(right, person)


def surely(expression: Expression, person: Mapping[str, bool | None]) -> bool | None:
    """Three values: None where it hangs on an attribute that LINE does not know."""
    match expression:
        case ("atom", name):
            return person[name]
        case ("not", inner):
            value = surely(inner, person)
            return None if value is None else not value
        case ("and", left, right):
            values = {surely(left, person), surely(right, person)}
            return False if False in values else None if None in values else True
        case ("or", left, right):
            values = {surely(left, person), surely(right, person)}
            return True if True in values else None if None in values else False
        case ("except", left, right):
            return surely(("and", left, ("not", right)), person)


# --- shares and linkage -----------------------------------------------------------------------------


def in_share(salt: str, member: str, low: int, high: int) -> bool:
    """Whether an id falls into these hundredths of a percent, by long division on the hexadecimal digits."""
    digits = hashlib.sha256(f"{salt}:{member}".encode()).hexdigest()
    remainder = 0
    for digit in digits[:8]:
        remainder = (remainder * 16 + int(digit, 16)) % 10_000
    return low <= remainder < high


def linked_to(rows: list[tuple[str, str]], numbers: Set[str]) -> set[str]:
    """The users of a row whose telephone number, as digits, is one of these."""
    return {user for user, number in rows if user and digits_of(number) in numbers}


def digits_of(number: str) -> str:
    return "".join(sign for sign in number if sign.isdigit())
