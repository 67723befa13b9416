"""A send whose tree has too many leaves as several disjoint sends (specs/compile.md, `compile.split`).

First its groups of own data are divided: uploads are frozen between the sends of a delivery, so that such sends stay
disjoint. Where that is not enough it is divided by a line atom; LINE may change that in between, and each later send
keeps room for a leaf that excludes each earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace

from audsql.compile import decision, formula
from audsql.compile.cofactor import Split, Way
from audsql.compile.trees import (
    TABLE_VARIABLES_MAX,
    States,
    TooWide,
    Tree,
    apart_by_uploads,
    lines_of,
    states_of,
    task_of,
    tree_of,
)
from audsql.compile.uploads import Encoding
from audsql.line.limits import RECIPIENT_LEAVES_MAX
from audsql.records import dataclass

__all__ = ["Bench", "Work", "guards", "split_line", "split_own", "whole"]

_OWN_DEPTH_MAX = 3
"""How often one send is divided by own data: into eight at most."""
_LINE_DEPTH_MAX = 2
_PROMISING_MAX = 3
"""Divisions that are followed, those with the shortest halves at a quick look."""
_THOROUGH = 8
"""How many times the work of a quick look a search for the fewest leaves is."""
_STATES_A_STEP = 256
"""States of line atoms whose looking at counts as a step."""
_GROUPS_MAX = 8
"""Groups of own data that may have a send each."""


@dataclass(slots=True)
class Work:
    """How many steps of search a delivery may still take (`Tree.work`), and what is known of sends by their lines."""

    left: int
    states: dict[tuple[int, ...], States] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.left <= 0


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trees of a delivery share. `weights`: the leaves that each line atom takes."""

    split: Split
    encoding: Encoding
    weights: tuple[int, ...]
    work: Work


def whole(bench: Bench, way: Way, widths: Sequence[int] = ()) -> tuple[Tree | None, int]:
    """The way as one tree, and its leaves; no tree where none fits, and how many leaves each takes at least."""
    try:
        states = bench.work.states.get(way.lines)
        if states is None:
            states = bench.work.states[way.lines] = states_of(bench.split, way)
            bench.work.left -= len(states.inside) // _STATES_A_STEP
        tree = tree_of(task_of(states, bench.encoding, bench.weights), widths)
    except TooWide as problem:
        bench.work.left -= 1
        return None, problem.needed
    bench.work.left -= tree.work if widths else _THOROUGH * tree.work
    return tree, tree.leaves


def guards(trees: Sequence[Tree]) -> tuple[int, ...]:
    """For each tree of one way how many earlier ones only LINE's own sets keep it apart from."""
    return tuple(
        sum(not apart_by_uploads(earlier, tree) for earlier in trees[:index]) for index, tree in enumerate(trees)
    )


def _fits(tree: Tree | None, room: int) -> bool:
    return tree is not None and tree.leaves + room <= RECIPIENT_LEAVES_MAX


def split_own(bench: Bench, way: Way, room: int, depth: int = _OWN_DEPTH_MAX) -> tuple[Tree, ...] | None:
    """The way divided by own data so that all its trees fit with `room` left; None where none is found."""
    if bench.work.done:
        return None
    tree, _ = whole(bench, way)
    if tree is not None and _fits(tree, room):
        return (tree,)
    groups = _groups(bench, way)
    if depth == 0 or len(groups) < 2 or bench.work.done:
        return None
    found: list[tuple[Tree, ...]] = []
    for halves in _promising(bench, _own_halves(bench, way, groups)):
        parts = [split_own(bench, half, room, depth - 1) for half in halves]
        if all(part is not None for part in parts):
            found.append(tuple(tree for part in parts for tree in part or ()))
    if not found and len(groups) <= _GROUPS_MAX:
        single = [whole(bench, _only(way, group))[0] for group in groups]
        if all(_fits(tree, room) for tree in single):
            found.append(tuple(tree for tree in single if tree is not None))
    return min(found, key=_rank, default=None)


def split_line(bench: Bench, way: Way, room: int) -> tuple[Tree, ...] | None:
    """The way divided by line atoms, and by own data where it helps; None where none is found."""
    groups = _groups(bench, way)
    found = _lined(bench, way, room)
    if found is not None or not 1 < len(groups) <= _GROUPS_MAX:
        return found
    parts: list[Tree] = []
    for group in groups:
        trees = split_own(bench, _only(way, group), room) or _lined(bench, _only(way, group), room)
        if trees is None:
            return None
        parts.extend(trees)
    return tuple(parts)


def _lined(bench: Bench, way: Way, room: int) -> tuple[Tree, ...] | None:
    found = [_guarded(trees) for trees in _by_lines(bench, way, room, _LINE_DEPTH_MAX)]
    fitting = [
        trees
        for trees in found
        if all(_fits(tree, room + guard) for tree, guard in zip(trees, guards(trees), strict=True))
    ]
    return min(fitting, key=_rank, default=None)


def _guarded(trees: Sequence[Tree]) -> tuple[Tree, ...]:
    """The widest first: those after it take a guard."""
    return tuple(sorted(trees, key=lambda tree: -tree.leaves))


def _by_lines(bench: Bench, way: Way, room: int, depth: int) -> Iterator[tuple[Tree, ...]]:
    space, levels = bench.split.space, lines_of(bench.split, way)
    if len(levels) > TABLE_VARIABLES_MAX + depth:
        return
    divided = []
    for level in levels:
        inside = decision.variable(space, level)
        sides = (inside, decision.negation(space, inside))
        divided.append(tuple(replace(way, lines=_within(bench, way, side)) for side in sides))
    for halves in _promising(bench, divided):
        parts: list[tuple[Tree, ...]] = [()]
        for half in halves:
            trees = split_own(bench, half, room, 1)
            options = [trees] if trees is not None else []
            if not options and depth > 1 and not bench.work.done:
                options = list(_by_lines(bench, half, room, depth - 1))
            parts = [(*before, *option) for before in parts for option in options]
        yield from parts[:_PROMISING_MAX]


def _within(bench: Bench, way: Way, side: int) -> tuple[int, ...]:
    return tuple(decision.both(bench.split.space, line, side) for line in way.lines)


# --- where to divide ------------------------------------------------------------------------------


def _groups(bench: Bench, way: Way) -> list[frozenset[int]]:
    """The cells whose people are reached by the same function of line atoms, for each such function."""
    found: dict[int, set[int]] = {}
    for cell, line in enumerate(way.lines):
        if line != decision.FALSE:
            found.setdefault(line, set()).add(cell)
    return [frozenset(cells) for cells in found.values()]


def _own_halves(bench: Bench, way: Way, groups: Sequence[frozenset[int]]) -> list[tuple[Way, ...]]:
    reached = frozenset().union(*groups)
    sides = [frozenset(cell for cell in reached if mask >> cell & 1) for mask in bench.encoding]
    chosen = dict.fromkeys(side for side in (*sides, *groups[:_GROUPS_MAX]) if side and side != reached)
    return [(_only(way, side), _only(way, reached - side)) for side in chosen]


def _only(way: Way, cells: frozenset[int]) -> Way:
    return replace(way, lines=tuple(line if cell in cells else decision.FALSE for cell, line in enumerate(way.lines)))


def _promising(bench: Bench, divided: Sequence[tuple[Way, ...]]) -> list[tuple[Way, ...]]:
    """The divisions whose halves look shortest, both with people in them."""
    found: list[tuple[tuple[int, int], int, tuple[Way, ...]]] = []
    for index, halves in enumerate(divided):
        if not bench.work.done and all(any(half.lines) for half in halves):
            leaves = [whole(bench, half, formula.QUICK)[1] for half in halves]
            found.append(((max(leaves), sum(leaves)), index, halves))
    found.sort(key=lambda entry: entry[:2])
    return [halves for _, _, halves in found[:_PROMISING_MAX]]


def _rank(trees: Sequence[Tree]) -> tuple[int, int]:
    return len(trees), sum(tree.leaves for tree in trees)
