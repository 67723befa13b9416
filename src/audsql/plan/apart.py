"""Which of many sets one person can be in together, decided for all pairs at once. Pure.

Each set becomes *ways* to be in it: atoms that a person must be in and atoms that they must not. Two ways go
together unless an atom is asked for by one and refused by the other, or certain facts exclude it. Three
comparisons of bits decide a pair of ways, so that hundreds of thousands of pairs take no time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from audsql.meaning import ir
from audsql.meaning.facts import certain_facts
from audsql.records import dataclass

__all__ = ["Meetings", "bits", "meetings"]

_WAYS_MAX = 64


@dataclass(frozen=True, slots=True)
class Meetings:
    """Of each set the bits of those sets, itself among them, that one person may be in together with it.

    `now`: at one instant; `later`: where each set is looked at when it is sent. What is not set is proved apart.
    """

    now: tuple[int, ...]
    later: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Ways:
    """`ways`: atoms asked for, with all that they lie within, and refused, as bits. `whole`: there are no others."""

    ways: tuple[tuple[int, int], ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class _Atoms:
    """By number: `within`, the atom itself and all that it lies within; `apart`, those that exclude it."""

    number: Mapping[str, int]
    within: Sequence[int]
    apart: Sequence[int]


def meetings(sets: Sequence[ir.Expression], begun: Sequence[bool]) -> Meetings:
    """How these sets meet. `begun`: over data that may be of another time than those of the other sets.

    What LINE holds or estimates may be another by the time of the second send, own data are those of one approval;
    only shares, which depend on no data, hold between sets of two approvals.
    """
    atoms = {atom.key: atom for one in sets for atom in ir.atoms_of(one)}
    ordered = [atoms[key] for key in sorted(atoms)]
    known = _known(ordered)
    found = [_ways_of(one, known) for one in sets]
    open_sets = sum(1 << index for index, one in enumerate(found) if not one.whole)
    own = _mask(known, (atom for atom in ordered if atom.world == "own"))
    shares = _mask(known, (atom for atom in ordered if isinstance(atom, ir.Bucket)))
    everything = (1 << len(ordered)) - 1
    compared = {mask: _compared(found, known, mask) for mask in {everything, own, shares}}
    old = sum(1 << index for index, one in enumerate(begun) if one)
    now, later = [], []
    for index in range(len(sets)):
        # Of a set that is known in part nothing is proved.
        unknown = -1 if open_sets >> index & 1 else open_sets
        together = compared[everything][index] | unknown
        kept = compared[shares][index] if begun[index] else compared[own][index] | compared[shares][index] & old
        full = (1 << len(sets)) - 1
        now.append(together & full)
        later.append((together | kept) & full)
    return Meetings(tuple(now), tuple(later))


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, the lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _mask(known: _Atoms, atoms: Iterable[ir.Atom]) -> int:
    return sum(1 << known.number[atom.key] for atom in atoms)


def _known(atoms: Sequence[ir.Atom]) -> _Atoms:
    number = {atom.key: index for index, atom in enumerate(atoms)}
    facts = certain_facts(atoms)
    above = [1 << index for index in range(len(atoms))]
    for inner, outer in facts.implications:
        above[number[inner]] |= 1 << number[outer]
    apart = [0] * len(atoms)
    for left, right in facts.exclusions:
        apart[number[left]] |= 1 << number[right]
        apart[number[right]] |= 1 << number[left]
    return _Atoms(number, [_all_above(index, above) for index in range(len(atoms))], apart)


def _all_above(index: int, above: Sequence[int]) -> int:
    """All that an atom lies within; facts that are stated are mostly transitive already."""
    found, fresh = 0, 1 << index
    while fresh:
        found |= fresh
        reached = 0
        for number in bits(fresh):
            reached |= above[number]
        fresh = reached & ~found
    return found


# --- the ways into one set ----------------------------------------------------------------------------


def _ways_of(expression: ir.Expression, known: _Atoms) -> _Ways:
    asked = _asked(expression)
    found: dict[tuple[str, bool], _Ways] = {}
    for node in ir.nodes_of(expression):
        for positive in (True, False):
            if (node.key, positive) in asked:
                found[node.key, positive] = _ways_of_node(node, positive, found, known)
    return found[expression.key, True]


def _asked(expression: ir.Expression) -> set[tuple[str, bool]]:
    """Which parts stand there, and which stand under an odd number of NOTs."""
    seen: set[tuple[str, bool]] = set()
    stack = [(expression, True)]
    while stack:
        node, positive = stack.pop()
        if (node.key, positive) not in seen:
            seen.add((node.key, positive))
            stack += [(child, positive != isinstance(node, ir.Not)) for child in ir.children(node)]
    return seen


def _ways_of_node(node: ir.Expression, positive: bool, found: Mapping[tuple[str, bool], _Ways], known: _Atoms) -> _Ways:
    match node:
        case ir.Constant(value):
            return _Ways(((0, 0),) if value == positive else (), True)
        case ir.Leaf():
            number = known.number[node.key]
            return _Ways(((known.within[number], 0),) if positive else ((0, 1 << number),), True)
        case ir.Not(operand):
            return found[operand.key, not positive]
        case _:
            parts = [found[part.key, positive] for part in ir.children(node)]
            return _joined(parts, known) if isinstance(node, ir.And) == positive else _either(parts)


def _either(parts: Sequence[_Ways]) -> _Ways:
    return _bounded((way for part in parts for way in part.ways), all(part.whole for part in parts))


def _joined(parts: Sequence[_Ways], known: _Atoms) -> _Ways:
    """Every way through all of the parts that some person can go; the shortest lists first."""
    total = _Ways(((0, 0),), True)
    for part in sorted(parts, key=lambda one: len(one.ways)):
        pairs = ((a | c, b | d) for a, b in total.ways for c, d in part.ways)
        total = _bounded((way for way in pairs if _is_possible(*way, known)), total.whole and part.whole)
    return total


def _is_possible(asked: int, refused: int, known: _Atoms) -> bool:
    return not asked & refused and not any(known.apart[number] & asked for number in bits(asked))


def _bounded(ways: Iterable[tuple[int, int]], whole: bool) -> _Ways:
    """Without ways that a shorter one contains, and no more than so many."""
    kept: list[tuple[int, int]] = []
    for asked, refused in ways:
        if any(a | asked == asked and b | refused == refused for a, b in kept):
            continue
        kept = [(a, b) for a, b in kept if not (a | asked == a and b | refused == b)]
        kept.append((asked, refused))
        if len(kept) > _WAYS_MAX:
            return _Ways(tuple(kept[:_WAYS_MAX]), False)
    return _Ways(tuple(kept), whole)


# --- all pairs ----------------------------------------------------------------------------------------


def _compared(sets: Sequence[_Ways], known: _Atoms, mask: int) -> list[int]:
    """Of each set the sets that it meets, looking only at the atoms of `mask`."""
    ways = [(index, asked & mask, refused & mask) for index, one in enumerate(sets) for asked, refused in one.ways]
    asking, refusing = _by_atom(ways, 1), _by_atom(ways, 2)
    excluding = {
        number: _united(asking.get(other, 0) for other in bits(known.apart[number] & mask)) for number in asking
    }
    owners = [0] * len(sets)
    for position, (index, _, _) in enumerate(ways):
        owners[index] |= 1 << position
    everything = (1 << len(ways)) - 1
    free = [0] * len(sets)
    for index, asked, refused in ways:
        hit = _united(refusing.get(number, 0) | excluding[number] for number in bits(asked))
        hit |= _united(asking.get(number, 0) for number in bits(refused))
        free[index] |= everything & ~hit
    return [sum(1 << other for other, own in enumerate(owners) if own & one) for one in free]


def _by_atom(ways: Sequence[tuple[int, int, int]], side: int) -> dict[int, int]:
    """By atom the positions of the ways that name it on this side."""
    found: dict[int, int] = {}
    for position, way in enumerate(ways):
        for number in bits(way[side]):
            found[number] = found.get(number, 0) | 1 << position
    return found


def _united(masks: Iterable[int]) -> int:
    total = 0
    for one in masks:
        total |= one
    return total
