"""The fewest sends by brute force over explicit people, and random sets to ask it about. Nothing of `compile` is used.

A kind of person is what own data and LINE's audiences say of them, and a state: which of the conditions that the
author wrote their attributes satisfy, a condition and its negation apart. Where LINE knows nothing of somebody, its
`not` holds for them, or it does not: that is two states.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from compile_make import FRIENDS, attribute, clicked, opened, purchased, tag, uploaded

from audsql.meaning import ir

Literal = tuple[str, bool]


def written(expression: ir.Expression) -> frozenset[Literal]:
    """The attribute conditions of an expression with the sign that they have under its negations."""
    found: set[Literal] = set()
    stack = [(expression, True)]
    while stack:
        node, positive = stack.pop()
        match node:
            case ir.Leaf(atom) if atom.world == "attribute":
                found.add((atom.key, positive))
            case ir.Not(operand):
                stack.append((operand, not positive))
            case ir.And(operands) | ir.Or(operands):
                stack.extend((one, positive) for one in operands)
            case _:
                pass
    return frozenset(found)


def states(literals: frozenset[Literal]) -> list[frozenset[Literal]]:
    """The states that a person can be in, fewest conditions satisfied first."""
    families: dict[str, set[str]] = {}
    for key, _ in literals:
        families.setdefault(key.partition("(")[0], set()).add(key)
    choices = []
    for family, keys in sorted(families.items()):
        mine = {literal for literal in literals if literal[0] in keys}
        known = _subsets(sorted(keys)) if family == "area" else [(), *((key,) for key in sorted(keys))]
        found = {frozenset(one for one in mine if (one[0] in yes) == one[1]) for yes in known}
        choices.append([frozenset(), *sorted(found - {frozenset()}, key=sorted)])
    joined = {frozenset().union(*choice) for choice in product(*choices)}
    return sorted(joined, key=lambda state: (len(state), sorted(state)))


def _subsets(keys: Sequence[str]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for key in keys:
        found += [(*one, key) for one in found]
    return found


@dataclass(frozen=True)
class Grid:
    """Who is in a set, for each kind of own data and audiences the states as bits. `upsets`: what a filter can be."""

    rows: tuple[int, ...]
    upsets: tuple[int, ...]


def grid(expression: ir.Expression, impossible: Sequence[tuple[str, str]]) -> Grid:
    """`impossible`: pairs of own or line atoms of which the first never holds without the second."""
    conditions = states(written(expression))
    keys = sorted(atom.key for atom in ir.atoms_of(expression) if atom.world != "attribute" and atom != FRIENDS.atom)  # type: ignore[union-attr]
    held = [frozenset(one) for one in _subsets(keys)]
    held = [one for one in held if not any(a in one and b in keys and b not in one for a, b in impossible)]
    rows = {_row(expression, one, conditions) for one in held}
    return Grid(tuple(sorted(rows - {0})), tuple(_upsets(conditions)))


def _row(expression: ir.Expression, held: frozenset[str], conditions: Sequence[frozenset[Literal]]) -> int:
    full = (1 << len(conditions)) - 1

    def value(node: ir.Expression, negated: bool) -> int:
        match node:
            case ir.Constant(truth):
                return full if truth != negated else 0
            case ir.Leaf(atom):
                if atom.world == "attribute":
                    literal = (atom.key, not negated)
                    return sum(1 << at for at, state in enumerate(conditions) if literal in state)
                inside = atom == FRIENDS.atom or atom.key in held  # type: ignore[union-attr]
                return full if inside != negated else 0
            case ir.Not(operand):
                return value(operand, not negated)
            case ir.And(operands) | ir.Or(operands):
                together = isinstance(node, ir.And) != negated
                result = full if together else 0
                for one in operands:
                    part = value(one, negated)
                    result = result & part if together else result | part
                return result
        raise AssertionError(node)

    return value(expression, False)


def _upsets(conditions: Sequence[frozenset[Literal]]) -> list[int]:
    """Every set of states that holds, with a state, all that satisfy more."""
    principal = [sum(1 << at for at, one in enumerate(conditions) if state <= one) for state in conditions]
    found = {0}
    for one in principal:
        found |= {other | one for other in found}
    return sorted(found - {0})


def sends_min(found: Grid) -> int:
    """How few filters there can be so that each row is a disjoint union of some of them."""
    for size in range(len(found.rows)):
        if _possible(found, size):
            return size
    return len(found.rows)


def _possible(found: Grid, size: int) -> bool:
    def rest(number: int, left: int, chosen: frozenset[int]) -> bool:
        while not left:
            number += 1
            if number == len(found.rows):
                return True
            left = found.rows[number]
        lowest = left & -left
        for one in found.upsets:
            fits = one & lowest and not one & ~left and (one in chosen or len(chosen) < size)
            if fits and rest(number, left & ~one, chosen | {one}):
                return True
        return False

    return rest(-1, 0, frozenset())


# --- random sets ------------------------------------------------------------------------------------


URL = clicked("m", "https://e.example/")
OWN = [uploaded("a"), uploaded("b"), uploaded("c"), purchased("A"), purchased("A", 30)]
LINES = [clicked("m"), URL, opened("m"), tag("vip"), tag("new")]
TIERS = [
    attribute("age", "age_20", "age_25"),
    attribute("age", "age_30", "age_35"),
    attribute("age", "age_40"),
]
PAIRS = [
    (TIERS[0], TIERS[1]),
    (TIERS[1], TIERS[2]),
    (attribute("gender", "female"), attribute("gender", "male")),
    (attribute("os", "ios"), attribute("os", "android")),
    (attribute("gender", "female"), attribute("area", "jp_13")),
    (attribute("area", "jp_13"), attribute("area", "jp_27")),
    (attribute("gender", "female"), TIERS[0]),
]
EXCLUSIVE_PAIRS = 4


@dataclass(frozen=True)
class Asked:
    """A random set. `impossible`: the facts that hold of its atoms."""

    expression: ir.Expression
    impossible: tuple[tuple[str, str], ...]


def asked(number: int) -> Asked:
    """One random set by number: seven in ten of exclusive attributes, three in ten a truth table."""
    draw = random.Random(number)
    pair = PAIRS[
        draw.randrange(EXCLUSIVE_PAIRS) if draw.random() < 0.7 else draw.randrange(EXCLUSIVE_PAIRS, len(PAIRS))
    ]
    attributes = list(pair) if draw.random() < 0.95 else [pair[0]]
    # Facts about own data hold for sets that only add them, so the two windows come without NOT (compile.moving).
    plain = draw.random() < 0.15
    own = draw.sample(OWN if plain else OWN[:4], draw.randint(0, 4))
    lines = draw.sample(LINES, draw.randint(0 if len(own) > 1 else 2 - len(own), 3))
    way = draw.random()
    if way < 0.3:
        expression = _table(draw, [*own[:2], *lines[: 3 - min(len(own), 2)]], attributes)
    elif way < 0.7:
        expression = _products(draw, [*own, *lines], attributes, draw.randint(3, 6), negate=not plain)
    else:
        expression = _tree(draw, [*own, *lines], attributes, draw.randint(6, 14), negate=not plain)
    facts = [(OWN[4].key, OWN[3].key)] if plain else []
    anchored = ir.evaluate(expression, frozenset())
    return Asked(ir.land(FRIENDS, expression) if anchored else expression, tuple(facts))


def _tree(
    draw: random.Random,
    others: Sequence[ir.Expression],
    attributes: Sequence[ir.Expression],
    leaves: int,
    *,
    negate: bool,
) -> ir.Expression:
    """A random expression of so many leaves."""
    if leaves == 1:
        if draw.random() < 0.45:
            one = draw.choice(attributes)
            return ir.lnot(one) if draw.random() < 0.25 else one
        one = draw.choice(others)
        return ir.lnot(one) if negate and draw.random() < 0.2 else one
    share = draw.randint(1, leaves - 1)
    parts = [_tree(draw, others, attributes, count, negate=negate) for count in (share, leaves - share)]
    return ir.land(*parts) if draw.random() < 0.5 else ir.lor(*parts)


def _products(
    draw: random.Random,
    others: Sequence[ir.Expression],
    attributes: Sequence[ir.Expression],
    terms: int,
    *,
    negate: bool,
) -> ir.Expression:
    """Some kinds of people each with attributes of their own, as campaigns are written: 6 to 14 leaves or so."""
    found = []
    for _ in range(terms):
        kind = draw.choice(others)
        if negate and draw.random() < 0.2:
            kind = ir.land(kind, ir.lnot(draw.choice(others)))
        one = draw.choice(attributes)
        found.append(ir.land(kind, ir.lnot(one) if draw.random() < 0.25 else one))
    return ir.lor(*found)


def _table(draw: random.Random, others: Sequence[ir.Expression], attributes: Sequence[ir.Expression]) -> ir.Expression:
    """For each kind of own data and audiences a random choice of what attributes are taken, with NOT or without."""
    negated = draw.random() < 0.6
    filters = [*attributes, ir.lor(*attributes), ir.NOBODY, ir.NOBODY]
    if negated:
        filters += [ir.lnot(one) for one in attributes]
        filters += [ir.land(attributes[0], ir.lnot(attributes[-1])), ir.land(*(ir.lnot(one) for one in attributes))]
    if draw.random() < 0.5:
        filters.append(ir.EVERYBODY)
    terms = []
    for chosen in product((True, False), repeat=len(others)):
        kind = ir.land(*(one if inside else ir.lnot(one) for one, inside in zip(others, chosen, strict=True)))
        terms.append(ir.land(kind, draw.choice(filters)))
    return ir.lor(*terms)


def asked_of_three(number: int) -> ir.Expression:
    """A random table of lists over three attributes, three ages in six of ten: often of more rests than sends."""
    draw = random.Random(number)
    others = OWN[: draw.randint(2, 3)]
    everything = [*TIERS, *PAIRS[2], attribute("area", "jp_13")]
    attributes = TIERS if draw.random() < 0.6 else draw.sample(everything, 3)
    literals = [*attributes, *(ir.lnot(one) for one in attributes)] if draw.random() < 0.7 else attributes
    terms = []
    for chosen in product((True, False), repeat=len(others)):
        kind = ir.land(*(one if inside else ir.lnot(one) for one, inside in zip(others, chosen, strict=True)))
        joined = ir.land if draw.random() < 0.5 else ir.lor
        terms.append(ir.land(kind, joined(*draw.sample(literals, draw.randint(1, 2)))) if any(chosen) else ir.NOBODY)
    return ir.lor(*terms)


def named(counts: Mapping[int, int]) -> Iterator[str]:
    """A distribution as text."""
    for value in sorted(counts):
        yield f"{value}: {counts[value]}"
