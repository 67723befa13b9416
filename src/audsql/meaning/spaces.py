"""Two representations of Boolean functions over a fixed list of variables: truth tables as integers, and
binary decision diagrams for more variables than a table can hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

__all__ = ["NODES_MAX", "TABLE_VARIABLES_MAX", "Diagrams", "Space", "Tables", "Undecided", "space_over"]

TABLE_VARIABLES_MAX = 16
NODES_MAX = 100_000
STEPS_MAX = 400_000
"""Steps that one diagram may take: small results can take many."""


class Undecided(Exception):
    """The question needs a diagram of more than `nodes_max` nodes over `atoms` atoms."""

    def __init__(self, atoms: int, nodes_max: int) -> None:
        super().__init__(f"undecided: {atoms} atoms need more than {nodes_max} nodes")
        self.atoms = atoms
        self.nodes_max = nodes_max


class Space(Protocol):
    """Functions are opaque integers; equal functions are equal integers."""

    false: int
    true: int

    def variable(self, index: int) -> int: ...

    def negation(self, function: int) -> int: ...

    def conjunction(self, functions: Iterable[int]) -> int: ...

    def disjunction(self, functions: Iterable[int]) -> int: ...

    def model(self, function: int) -> frozenset[int] | None:
        """The variables that are true in one assignment that satisfies the function."""


def space_over(count: int) -> Space:
    """The representation that fits so many variables."""
    return Tables(count) if count <= TABLE_VARIABLES_MAX else Diagrams(count)


class Tables:
    """Bit i of a function is its value where variable v has bit v of i."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.false = 0
        self.true = (1 << (1 << count)) - 1
        self._variables = [_column(index, count) for index in range(count)]

    def variable(self, index: int) -> int:
        return self._variables[index]

    def negation(self, function: int) -> int:
        return self.true ^ function

    def conjunction(self, functions: Iterable[int]) -> int:
        total = self.true
        for function in functions:
            total &= function
        return total

    def disjunction(self, functions: Iterable[int]) -> int:
        total = self.false
        for function in functions:
            total |= function
        return total

    def model(self, function: int) -> frozenset[int] | None:
        if not function:
            return None
        row = (function & -function).bit_length() - 1
        return frozenset(index for index in range(self.count) if row >> index & 1)


def _column(index: int, count: int) -> int:
    """Blocks of 2^index zeros and ones in turn, over 2^count bits."""
    half = 1 << index
    pattern = ((1 << half) - 1) << half
    width = half * 2
    while width < 1 << count:
        pattern |= pattern << width
        width *= 2
    return pattern


class Diagrams:
    """Reduced ordered decision diagrams, shared: a function is the number of its node. No recursion."""

    def __init__(self, count: int, nodes_max: int = NODES_MAX) -> None:
        self.count = count
        self.nodes_max = nodes_max
        self.false = 0
        self.true = 1
        # The two leaves stand below every variable.
        self._variable: list[int] = [count, count]
        self._low: list[int] = [0, 1]
        self._high: list[int] = [0, 1]
        self._unique: dict[tuple[int, int, int], int] = {}
        self._choices: dict[tuple[int, int, int], int] = {}

    def variable(self, index: int) -> int:
        return self._node(index, 0, 1)

    def negation(self, function: int) -> int:
        return self._choose(function, 0, 1)

    def conjunction(self, functions: Iterable[int]) -> int:
        total = 1
        for function in functions:
            total = self._choose(total, function, 0)
        return total

    def disjunction(self, functions: Iterable[int]) -> int:
        total = 0
        for function in functions:
            total = self._choose(total, 1, function)
        return total

    def model(self, function: int) -> frozenset[int] | None:
        if function == 0:
            return None
        chosen: list[int] = []
        while function != 1:
            if self._low[function]:
                function = self._low[function]
            else:
                chosen.append(self._variable[function])
                function = self._high[function]
        return frozenset(chosen)

    def choice(self, condition: int, then: int, otherwise: int) -> int:
        """`condition ? then : otherwise`."""
        return self._choose(condition, then, otherwise)

    def split(self, left: int, right: int) -> tuple[int, tuple[int, int], tuple[int, int]]:
        """The first variable of two functions, not both constant, and what each is where it is false and true."""
        top = min(self._variable[left], self._variable[right])
        lows = self._cofactors((left, right, 0), top, self._low)
        highs = self._cofactors((left, right, 0), top, self._high)
        return top, (lows[0], highs[0]), (lows[1], highs[1])

    def _node(self, variable: int, low: int, high: int) -> int:
        if low == high:
            return low
        key = (variable, low, high)
        found = self._unique.get(key)
        if found is None:
            found = len(self._variable)
            if found > self.nodes_max:
                raise Undecided(self.count, self.nodes_max)
            self._unique[key] = found
            self._variable.append(variable)
            self._low.append(low)
            self._high.append(high)
        return found

    def _choose(self, condition: int, then: int, otherwise: int) -> int:
        """`condition ? then : otherwise`. Work waits on a stack; finished values stand on another."""
        work: list[tuple[int, int, int, int]] = [(condition, then, otherwise, -1)]
        values: list[int] = []
        while work:
            f, g, h, variable = work.pop()
            if variable >= 0:
                high, low = values.pop(), values.pop()
                value = self._node(variable, low, high)
                self._choices[f, g, h] = value
                if len(self._choices) > STEPS_MAX:
                    raise Undecided(self.count, self.nodes_max)
                values.append(value)
                continue
            known = self._known(f, g, h)
            if known is not None:
                values.append(known)
                continue
            top = min(self._variable[f], self._variable[g], self._variable[h])
            work.append((f, g, h, top))
            work.append((*self._cofactors((f, g, h), top, self._high), -1))
            work.append((*self._cofactors((f, g, h), top, self._low), -1))
        return values[0]

    def _known(self, f: int, g: int, h: int) -> int | None:
        if f == 1 or g == h:
            return g
        if f == 0:
            return h
        if g == 1 and h == 0:
            return f
        return self._choices.get((f, g, h))

    def _cofactors(self, functions: tuple[int, int, int], top: int, branch: Sequence[int]) -> tuple[int, int, int]:
        f, g, h = functions
        at = self._variable
        return (
            branch[f] if at[f] == top else f,
            branch[g] if at[g] == top else g,
            branch[h] if at[h] == top else h,
        )
