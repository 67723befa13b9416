"""What changes at LINE between two sends of one delivery, and what keeps anybody from getting both
(specs/compile.md, `compile.changing`).

Uploads are frozen over a delivery. Audiences of clicks and opens only grow, receipts of an earlier delivery stay,
every other audience gains and loses people, and so do attributes. A later send that somebody may come into who got
an earlier one excludes who got that one, by LINE's own receipt.
"""

from __future__ import annotations

from collections.abc import Sequence

from audsql.compile import decision
from audsql.compile.cofactor import Split, Way
from audsql.compile.program import AllOf, NoneOf, Recipient, RedeliveryLeaf
from audsql.compile.trees import Tree
from audsql.compile.uploads import Encoding
from audsql.line.limits import RECIPIENT_LEAVES_MAX
from audsql.meaning import ir
from audsql.records import dataclass

__all__ = ["Guards", "Target", "guarded", "guards_of", "ordered", "targets_of"]

_ORDERED_MAX = 9
"""Parts whose every order is weighed."""


@dataclass(frozen=True, slots=True)
class Target:
    """The recipients of one send: for each cell of own data the function of the line atoms, and the leaves that its
    tree leaves free."""

    lines: tuple[int, ...]
    leaves_left: int


@dataclass(frozen=True, slots=True)
class Guards:
    """For each send the earlier ones that it excludes the receivers of, and how many it should. `exposed`: line atoms
    whose changes could let somebody get two sends, where no leaf is left. `unsafe`: so could attributes alone; such
    sends must not be made."""

    earlier: tuple[tuple[int, ...], ...]
    needed: tuple[int, ...]
    exposed: tuple[ir.Atom, ...] = ()
    unsafe: bool = False


def targets_of(split: Split, way: Way, encoding: Encoding, trees: Sequence[Tree]) -> tuple[Target, ...]:
    """The recipients of each of a way's trees."""
    if len(trees) == 1:
        return (Target(way.lines, RECIPIENT_LEAVES_MAX - trees[0].leaves),)
    return tuple(
        Target(
            tuple(_line(split, tree, encoding, cell, line) for cell, line in enumerate(way.lines)),
            RECIPIENT_LEAVES_MAX - tree.leaves,
        )
        for tree in trees
    )


def _line(split: Split, tree: Tree, encoding: Encoding, cell: int, line: int) -> int:
    """The line assignments with which people of a cell are in a tree that holds a share of a way."""
    task = tree.task
    code = sum((encoding[bit] >> cell & 1) << at for at, bit in enumerate(task.bits))
    rows = [task.on >> (code | chosen << task.uploads) & 1 for chosen in range(1 << len(task.levels))]
    for level in reversed(task.levels):
        condition, half = decision.variable(split.space, level), len(rows) // 2
        rows = [
            decision.choose(split.space, condition, high, low)
            for low, high in zip(rows[:half], rows[half:], strict=True)
        ]
    return decision.both(split.space, rows[0], line)


# --- what may change ------------------------------------------------------------------------------


def _later(split: Split, line: int) -> int:
    """The line assignments that people of these can have by a later send."""
    space = split.space
    for level in decision.support(space, line):
        without, having = decision.fixed(space, line, level, 0), decision.fixed(space, line, level, 1)
        match split.atoms[split.rails[level][0]]:
            case ir.Received():
                continue
            case ir.Clicked() | ir.Opened():
                both = decision.either(space, without, having)
                line = decision.choose(space, decision.variable(space, level), both, without)
            case _:
                line = decision.either(space, without, having)
    return line


def _twice(split: Split, earlier: Target, later: Target) -> tuple[ir.Atom, ...] | None:
    """The line atoms by whose changes somebody may get both; none of them where attributes suffice; None where
    nobody can."""
    space = split.space
    found: set[int] = set()
    unsafe = False
    for one, other in zip(earlier.lines, later.lines, strict=True):
        if decision.both(space, _later(split, one), other) != decision.FALSE:
            unsafe = True
            if decision.both(space, one, other) == decision.FALSE:
                found.update({*decision.support(space, one)} & {*decision.support(space, other)})
            else:
                return ()
    atoms = (split.atoms[split.rails[level][0]] for level in sorted(found))
    return tuple(atom for atom in atoms if not isinstance(atom, ir.Received)) if unsafe else None


# --- order ----------------------------------------------------------------------------------------


def ordered(split: Split, parts: Sequence[Sequence[Target]]) -> tuple[int, ...]:
    """The parts, each with its sends, in the order with the fewest guards that do not fit, then the fewest guards;
    of equal ones the first, so that parts stay as they are where nothing is won."""
    numbers = range(len(parts))
    costs = {
        (first, second): sum(_twice(split, one, other) is not None for one in parts[first] for other in parts[second])
        for first in numbers
        for second in numbers
        if first != second
    }
    left = [sum(target.leaves_left for target in targets) for targets in parts]
    if not any(costs[first, second] for first in numbers for second in numbers[first + 1 :]):
        return tuple(numbers)
    if len(parts) > _ORDERED_MAX:
        return _greedy(costs, len(parts))
    best: dict[frozenset[int], tuple[int, int, tuple[int, ...]]] = {frozenset(): (0, 0, ())}
    for _ in numbers:
        following: dict[frozenset[int], tuple[int, int, tuple[int, ...]]] = {}
        for done, (unfit, guards, order) in best.items():
            for part in numbers:
                if part in done:
                    continue
                needed = sum(costs[first, part] for first in done)
                entry = (unfit + max(needed - left[part], 0), guards + needed, (*order, part))
                key = done | {part}
                following[key] = min(entry, following.get(key, entry))
        best = following
    return best[frozenset(numbers)][2]


def _greedy(costs: dict[tuple[int, int], int], count: int) -> tuple[int, ...]:
    """First the part that needs to be excluded from the fewest others."""
    order: list[int] = []
    left = list(range(count))
    while left:
        part = min(left, key=lambda one: (sum(costs[one, other] for other in left if other != one), one))
        order.append(part)
        left.remove(part)
    return tuple(order)


# --- guards ---------------------------------------------------------------------------------------


def guards_of(split: Split, targets: Sequence[Target]) -> Guards:
    """The guards of sends in their order. Where leaves do not suffice, people apart by attributes alone come first."""
    earlier: list[tuple[int, ...]] = []
    counts: list[int] = []
    exposed: dict[str, ir.Atom] = {}
    unsafe = False
    for number, target in enumerate(targets):
        needed = [(first, _twice(split, targets[first], target)) for first in range(number)]
        pairs = sorted(
            ((bool(atoms), first, atoms) for first, atoms in needed if atoms is not None), key=lambda pair: pair[:2]
        )
        counts.append(len(pairs))
        earlier.append(tuple(sorted(first for _, first, _ in pairs[: max(target.leaves_left, 0)])))
        for by_line, _, atoms in pairs[max(target.leaves_left, 0) :]:
            unsafe = unsafe or not by_line
            exposed.update({atom.key: atom for atom in atoms})
    return Guards(tuple(earlier), tuple(counts), tuple(exposed[key] for key in sorted(exposed)), unsafe)


def guarded(recipient: Recipient | None, delivery: str, earlier: Sequence[int]) -> Recipient | None:
    """The recipients without who got these parts of the delivery."""
    exclusions = tuple(NoneOf(RedeliveryLeaf(delivery, part)) for part in earlier)
    if not exclusions:
        return recipient
    inner = recipient.operands if isinstance(recipient, AllOf) else () if recipient is None else (recipient,)
    parts = (*inner, *exclusions)
    return parts[0] if len(parts) == 1 else AllOf(parts)
