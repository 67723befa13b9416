"""Recipient trees (specs/line.md): which line audiences and uploads a send names, in how few leaves.

A tree's variables are the bits of the delivery's encoding and the line atoms that matter to it. Codes that
no cell has, and line assignments that certain facts exclude, are left open: nobody is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from audsql.compile import decision, formula
from audsql.compile.cofactor import Split, Way
from audsql.compile.formula import Formula, Literal
from audsql.compile.program import AllOf, AnyOf, AudienceLeaf, NoneOf, Recipient, RedeliveryLeaf
from audsql.compile.uploads import Encoding
from audsql.line.limits import RECIPIENT_LEAVES_MAX

__all__ = [
    "VARIABLES_MAX",
    "Task",
    "Tree",
    "leaf_key",
    "lines_of",
    "recipient_of",
    "task_of",
    "tree_of",
    "trees_of",
    "without",
]

VARIABLES_MAX = RECIPIENT_LEAVES_MAX + 2
"""Line atoms and uploads that one send may depend on: each takes a leaf, and two splits save two."""

_SPLIT_DEPTH_MAX = 2
_SPLITS_MAX = 3


@dataclass(frozen=True, slots=True)
class Task:
    """One send to be put as a tree: variables [0, uploads) are bits, then the line atoms at `levels`."""

    uploads: int
    levels: tuple[int, ...]
    on: int
    off: int
    weights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A formula over a task's variables and how many leaves it takes at LINE."""

    spoken: Formula
    leaves: int
    task: Task

    @property
    def negated(self) -> frozenset[int]:
        """The uploads that are used under NOT."""
        found = (leaf for leaf in formula.leaves(self.spoken) if not leaf.positive)
        return frozenset(leaf.variable for leaf in found if leaf.variable < self.task.uploads)


def lines_of(split: Split, way: Way) -> tuple[int, ...]:
    """The line atoms that decide who is in a send."""
    return tuple(sorted({level for line in way.lines for level in decision.support(split.space, line)}))


def task_of(split: Split, way: Way, encoding: Encoding, weights: Sequence[int]) -> Task:
    """The truth table of a send's recipients. `weights`: the leaves that each line atom takes."""
    levels = lines_of(split, way)
    uploads, count = len(encoding), len(encoding) + len(levels)
    columns = formula.columns(count)
    full = (1 << (1 << count)) - 1
    tables = {level: columns[uploads + index] for index, level in enumerate(levels)}
    others = [level for level in decision.support(split.space, split.line_facts) if level not in tables]
    possible = decision.truth_table(split.space, decision.forget(split.space, split.line_facts, others), tables, full)
    on = off = 0
    for cell, line in enumerate(way.lines):
        rows = full
        for column, mask in zip(columns, encoding, strict=False):
            rows &= column if mask >> cell & 1 else ~column
        truth = decision.truth_table(split.space, line, tables, full)
        on |= rows & truth
        off |= rows & possible & ~truth
    return Task(uploads, levels, on, off & full, (*([1] * uploads), *(weights[level] for level in levels)))


def tree_of(task: Task, widths: Sequence[int] = ()) -> Tree:
    """One tree for the send, with few leaves; it may have too many. `widths`: of the search (`shortest`)."""
    count = task.uploads + len(task.levels)
    penalties = [1] * task.uploads + [0] * len(task.levels)
    spoken = formula.shortest(count, task.on, task.off, task.weights, penalties, widths=widths)
    return Tree(spoken, sum(task.weights[leaf.variable] for leaf in formula.leaves(spoken)), task)


def trees_of(task: Task, depth: int = _SPLIT_DEPTH_MAX) -> tuple[Tree, ...]:
    """One tree, or several disjoint ones where one has too many leaves. Not all need fit: look at `leaves`."""
    whole = tree_of(task)
    if whole.leaves <= RECIPIENT_LEAVES_MAX or depth == 0:
        return (whole,)
    best: tuple[Tree, ...] = (whole,)
    for halves in _promising(task):
        parts = tuple(tree for half in halves for tree in trees_of(half, depth - 1))
        if _rank(parts) < _rank(best):
            best = parts
    return best


def _promising(task: Task) -> list[tuple[Task, ...]]:
    """The splits on one variable whose halves look shortest."""
    found: list[tuple[tuple[int, int, int], int, tuple[Task, ...]]] = []
    for index, column in enumerate(formula.columns(task.uploads + len(task.levels))):
        halves = tuple(
            half
            for side in (column, ~column)
            if (half := replace(task, on=task.on & side, off=task.off | (task.on & ~side))).on
        )
        if len(halves) > 1:
            found.append((_rank([tree_of(half, formula.QUICK) for half in halves]), index, halves))
    found.sort(key=lambda entry: entry[:2])
    return [halves for _, _, halves in found[:_SPLITS_MAX]]


def _rank(trees: Sequence[Tree]) -> tuple[int, int, int]:
    worst = max(tree.leaves for tree in trees)
    return max(worst - RECIPIENT_LEAVES_MAX, 0), len(trees), sum(tree.leaves for tree in trees)


# --- LINE's objects -------------------------------------------------------------------------------


def recipient_of(spoken: Formula, leaves: Mapping[int, Recipient]) -> Recipient | None:
    """The tree with a recipient in place of each variable; None where it is everybody."""
    match spoken:
        case formula.Truth(True):
            return None
        case formula.Truth():
            raise ValueError("a send to nobody has no tree")
        case _:
            return _part(spoken, leaves)


def _part(spoken: Formula, leaves: Mapping[int, Recipient]) -> Recipient:
    match spoken:
        case Literal(variable, positive):
            return leaves[variable] if positive else NoneOf(leaves[variable])
        case formula.Joined(conjunction, operands):
            parts = sorted((_part(operand, leaves) for operand in operands), key=_order)
            flat = [inner for part in parts for inner in _inner(part, conjunction)]
            return AllOf(tuple(flat)) if conjunction else AnyOf(tuple(flat))
        case _:
            raise ValueError("a constant inside a tree")


def _inner(part: Recipient, conjunction: bool) -> tuple[Recipient, ...]:
    if isinstance(part, AllOf if conjunction else AnyOf):
        return part.operands
    return (part,)


def _order(part: Recipient) -> tuple[int, str]:
    """Single leaves first, exclusions last."""
    if isinstance(part, NoneOf):
        return 2, repr(part)
    return int(isinstance(part, AllOf | AnyOf)), repr(part)


def leaf_key(leaf: AudienceLeaf | RedeliveryLeaf) -> str:
    """The name of a leaf: an audience's key, or `redelivery(d; part)`."""
    if isinstance(leaf, AudienceLeaf):
        return leaf.key
    return f"redelivery({leaf.delivery}; {leaf.part})"


def without(tree: Recipient, empty: frozenset[str]) -> Recipient | bool:
    """The tree with leaves of these names replaced by nobody; True is everybody, False nobody."""
    match tree:
        case AudienceLeaf() | RedeliveryLeaf():
            return False if leaf_key(tree) in empty else tree
        case NoneOf(operand):
            inner = without(operand, empty)
            return not inner if isinstance(inner, bool) else NoneOf(inner)
        case AllOf(operands):
            return _joined([without(operand, empty) for operand in operands], conjunction=True)
        case AnyOf(operands):
            return _joined([without(operand, empty) for operand in operands], conjunction=False)


def _joined(parts: Sequence[Recipient | bool], *, conjunction: bool) -> Recipient | bool:
    if any(isinstance(part, bool) and part != conjunction for part in parts):
        return not conjunction
    rest = tuple(inner for part in parts if not isinstance(part, bool) for inner in _inner(part, conjunction))
    if not rest:
        return conjunction
    if len(rest) == 1:
        return rest[0]
    return AllOf(rest) if conjunction else AnyOf(rest)
