"""The codes of a delivery's cells and the trees of its sends, chosen together (specs/compile.md, `compile.code`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from audsql.compile import formula
from audsql.compile.cofactor import Split, Way
from audsql.compile.least import Fallback, Least
from audsql.compile.trees import Tree, task_of, tree_of, trees_of
from audsql.compile.uploads import Encoding, encodings, fewest
from audsql.line.limits import RECIPIENT_LEAVES_MAX

__all__ = ["Cover", "best_cover"]

_SEARCHED_MAX = 4
"""Encodings of one number of uploads whose trees are searched well; the most promising at a quick look."""
_SPLIT_MAX = 2
"""Of those, how many are tried with split sends where none fits."""


@dataclass(frozen=True, slots=True)
class Cover:
    """The trees of each way under one encoding. `uploads_least` bounds the uploads of any encoding; `fallbacks` are
    the steps tried before the trees fitted, none where they did at once."""

    encoding: Encoding
    trees: tuple[tuple[Tree, ...], ...]
    uploads_least: Least
    fallbacks: tuple[Fallback, ...] = ()

    @property
    def sends(self) -> int:
        return sum(len(trees) for trees in self.trees)

    @property
    def worst(self) -> int:
        return max((tree.leaves for trees in self.trees for tree in trees), default=0)

    @property
    def rank(self) -> tuple[int, int, int, int, int, int]:
        """Fewer sends, uploads, exclusions by upload, uploaded cells, leaves, in this order; over the limit last."""
        flat = [tree for trees in self.trees for tree in trees]
        return (
            max(self.worst - RECIPIENT_LEAVES_MAX, 0),
            self.sends,
            len(self.encoding),
            sum(len(tree.negated) for tree in flat),
            sum(mask.bit_count() for mask in self.encoding),
            sum(tree.leaves for tree in flat),
        )


def best_cover(split: Split, ways: Sequence[Way], weights: Sequence[int]) -> Cover:
    """The first number of uploads whose trees all fit; where none does, sends are split."""
    least = fewest(len(split.cells))
    tried: list[Cover] = []
    for uploads in range(least, max(least, min(len(split.cells) - 1, least + 2)) + 1):
        covers = [_quick(split, ways, weights, encoding) for encoding in encodings(split, uploads)]
        covers.sort(key=lambda cover: cover.rank)
        full = [_searched(cover) for cover in covers[:_SEARCHED_MAX]]
        full.sort(key=lambda cover: cover.rank)
        if full and full[0].worst <= RECIPIENT_LEAVES_MAX:
            return full[0]
        tried.extend(full[:_SPLIT_MAX])
    if not tried:
        raise ValueError("no encoding tells the cells apart")
    return min((_divided(cover) for cover in tried), key=lambda cover: cover.rank)


def _quick(split: Split, ways: Sequence[Way], weights: Sequence[int], encoding: Encoding) -> Cover:
    tasks = (task_of(split, way, encoding, weights) for way in ways)
    return Cover(encoding, tuple((tree_of(task, formula.QUICK),) for task in tasks), _uploads_least(split, encoding))


def _uploads_least(split: Split, encoding: Encoding) -> Least:
    value = fewest(len(split.cells))
    return Least(value, "cells" if value else "nothing", len(encoding) == value)


def _searched(cover: Cover) -> Cover:
    return replace(cover, trees=tuple((tree_of(trees[0].task),) for trees in cover.trees))


def _divided(cover: Cover) -> Cover:
    return replace(cover, trees=tuple(trees_of(trees[0].task) for trees in cover.trees))
