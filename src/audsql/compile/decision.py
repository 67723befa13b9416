"""Boolean functions over numbered variables as reduced ordered decision diagrams.

Within one `Space` two functions are equal exactly if their numbers are equal, so that emptiness and
equality cost nothing. Variables are tested in the order of their numbers; the compiler numbers line
atoms first, then attributes, then own atoms, and reads the cofactors off the levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field

from audsql.records import dataclass

__all__ = [
    "FALSE",
    "TRUE",
    "Cube",
    "Space",
    "SpaceFull",
    "below",
    "both",
    "choose",
    "conjunction",
    "cover",
    "disjunction",
    "either",
    "evaluate",
    "forget",
    "negation",
    "nodes_below",
    "paths",
    "relabel",
    "support",
    "truth_table",
    "variable",
    "within",
]

FALSE = 0
TRUE = 1
_LAST = 1 << 30

Cube = tuple[tuple[int, bool], ...]


class SpaceFull(Exception):
    """A function needs more nodes, or a cover more terms, than the space allows."""


@dataclass(slots=True)
class Space:
    """The node table. Node numbers mean nothing outside their space."""

    nodes_max: int = 100_000
    nodes: list[tuple[int, int, int]] = field(default_factory=lambda: [(_LAST, 0, 0), (_LAST, 1, 1)])
    numbers: dict[tuple[int, int, int], int] = field(default_factory=dict)
    choices: dict[tuple[int, int, int], int] = field(default_factory=dict)


def _node(space: Space, level: int, low: int, high: int) -> int:
    if low == high:
        return low
    key = (level, low, high)
    number = space.numbers.get(key)
    if number is None:
        if len(space.nodes) >= space.nodes_max:
            raise SpaceFull
        number = len(space.nodes)
        space.nodes.append(key)
        space.numbers[key] = number
    return number


def variable(space: Space, level: int) -> int:
    """The function that is true where this variable is."""
    return _node(space, level, FALSE, TRUE)


def _branches(space: Space, function: int, level: int) -> tuple[int, int]:
    own, low, high = space.nodes[function]
    return (low, high) if own == level else (function, function)


def choose(space: Space, condition: int, then: int, otherwise: int) -> int:
    """`condition ? then : otherwise`; recursion is as deep as there are variables."""
    if condition == TRUE or then == otherwise:
        return then
    if condition == FALSE:
        return otherwise
    if then == TRUE and otherwise == FALSE:
        return condition
    key = (condition, then, otherwise)
    known = space.choices.get(key)
    if known is not None:
        return known
    level = min(space.nodes[condition][0], space.nodes[then][0], space.nodes[otherwise][0])
    condition_low, condition_high = _branches(space, condition, level)
    then_low, then_high = _branches(space, then, level)
    otherwise_low, otherwise_high = _branches(space, otherwise, level)
    low = choose(space, condition_low, then_low, otherwise_low)
    high = choose(space, condition_high, then_high, otherwise_high)
    result = _node(space, level, low, high)
    space.choices[key] = result
    return result


def negation(space: Space, function: int) -> int:
    return choose(space, function, FALSE, TRUE)


def both(space: Space, left: int, right: int) -> int:
    return choose(space, left, right, FALSE)


def either(space: Space, left: int, right: int) -> int:
    return choose(space, left, TRUE, right)


def conjunction(space: Space, functions: Iterable[int]) -> int:
    result = TRUE
    for function in functions:
        result = both(space, result, function)
    return result


def disjunction(space: Space, functions: Iterable[int]) -> int:
    result = FALSE
    for function in functions:
        result = either(space, result, function)
    return result


def within(space: Space, inner: int, outer: int) -> bool:
    """Whether `inner` implies `outer`."""
    return choose(space, inner, outer, TRUE) == TRUE


def evaluate(space: Space, function: int, true_levels: Iterable[int]) -> bool:
    """The value where exactly these variables are true."""
    chosen = frozenset(true_levels)
    while function > TRUE:
        level, low, high = space.nodes[function]
        function = high if level in chosen else low
    return function == TRUE


def support(space: Space, function: int) -> tuple[int, ...]:
    """The variables that the function depends on, in order."""
    return tuple(sorted({space.nodes[number][0] for number in nodes_below(space, function) if number > TRUE}))


def nodes_below(space: Space, function: int) -> tuple[int, ...]:
    """All nodes reachable from a function, itself first, in a fixed order."""
    found: dict[int, None] = {}
    stack = [function]
    while stack:
        number = stack.pop()
        if number in found:
            continue
        found[number] = None
        if number > TRUE:
            _, low, high = space.nodes[number]
            stack.extend((high, low))
    return tuple(found)


def below(space: Space, function: int, level: int) -> tuple[int, ...]:
    """The distinct cofactors by all variables above `level`, constants included, in a fixed order."""
    found: dict[int, None] = {}
    for number in _upper_first(space, function, level):
        if space.nodes[number][0] >= level:
            found[number] = None
    return tuple(found)


def _upper_first(space: Space, function: int, level: int) -> Iterator[int]:
    seen: set[int] = set()
    stack = [function]
    while stack:
        number = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        yield number
        if space.nodes[number][0] < level:
            _, low, high = space.nodes[number]
            stack.extend((high, low))


def relabel(space: Space, function: int, level: int, value: Callable[[int], int]) -> int:
    """The function with each cofactor at `level` replaced by a constant or a function of lower variables."""
    done: dict[int, int] = {}

    def walk(number: int) -> int:
        known = done.get(number)
        if known is not None:
            return known
        own, low, high = space.nodes[number]
        result = value(number) if own >= level else _node(space, own, walk(low), walk(high))
        done[number] = result
        return result

    return walk(function)


def paths(space: Space, function: int, level: int) -> Mapping[int, tuple[int, ...]]:
    """For each cofactor at `level` the variables that are true on one way to it, all others false."""
    found: dict[int, tuple[int, ...]] = {}
    seen: set[int] = set()
    stack: list[tuple[int, tuple[int, ...]]] = [(function, ())]
    while stack:
        number, chosen = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        own, low, high = space.nodes[number]
        if own >= level:
            found[number] = chosen
        else:
            stack.append((high, (*chosen, own)))
            stack.append((low, chosen))
    return found


def forget(space: Space, function: int, levels: Iterable[int]) -> int:
    """True where some values of these variables make the function true."""
    for level in levels:
        function = either(space, fixed(space, function, level, 0), fixed(space, function, level, 1))
    return function


def fixed(space: Space, function: int, level: int, value: int) -> int:
    """The function where a variable has this value."""
    return relabel(space, function, level, lambda node: _branches(space, node, level)[value])


def truth_table(space: Space, function: int, columns: Mapping[int, int], full: int) -> int:
    """The truth table of a function, given that of each variable it depends on."""
    done: dict[int, int] = {FALSE: 0, TRUE: full}

    def walk(number: int) -> int:
        if number not in done:
            level, low, high = space.nodes[number]
            column = columns[level]
            done[number] = (column & walk(high)) | (full & ~column & walk(low))
        return done[number]

    return walk(function)


def cover(space: Space, lower: int, upper: int, terms_max: int = 64) -> tuple[Cube, ...]:
    """An irredundant sum of products between `lower` and `upper` (Minato 1992).

    Raises SpaceFull where it would have more than `terms_max` terms.
    """
    known: dict[tuple[int, int], tuple[tuple[Cube, ...], int]] = {}

    def walk(low: int, high: int) -> tuple[tuple[Cube, ...], int]:
        if low == FALSE:
            return (), FALSE
        if high == TRUE:
            return ((),), TRUE
        if (low, high) not in known:
            known[(low, high)] = _cover_step(space, low, high, walk)
        if len(known[(low, high)][0]) > terms_max:
            raise SpaceFull
        return known[(low, high)]

    return walk(lower, upper)[0]


_Walk = Callable[[int, int], tuple[tuple[Cube, ...], int]]


def _cover_step(space: Space, lower: int, upper: int, walk: _Walk) -> tuple[tuple[Cube, ...], int]:
    level = min(space.nodes[lower][0], space.nodes[upper][0])
    lower0, lower1 = _branches(space, lower, level)
    upper0, upper1 = _branches(space, upper, level)
    cubes0, made0 = walk(both(space, lower0, negation(space, upper1)), upper0)
    cubes1, made1 = walk(both(space, lower1, negation(space, upper0)), upper1)
    rest0 = both(space, lower0, negation(space, made0))
    rest1 = both(space, lower1, negation(space, made1))
    cubes, made = walk(either(space, rest0, rest1), both(space, upper0, upper1))
    terms = (
        *(((level, False), *cube) for cube in cubes0),
        *(((level, True), *cube) for cube in cubes1),
        *cubes,
    )
    return terms, _node(space, level, either(space, made0, made), either(space, made1, made))
