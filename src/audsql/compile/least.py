"""Bounds from below, with the reason why nothing smaller can do: what makes a compiled delivery provably small."""

from __future__ import annotations

from typing import Literal

from audsql.records import dataclass

__all__ = ["Fallback", "FallbackStep", "Least", "LeastReason"]

LeastReason = Literal["nothing", "one", "rests", "rank", "search", "cells", "depends"]
"""Why no smaller number can do.

nothing: there is nothing to send, upload or name. one: there is something, and less than one is nothing. rests: no
filter falls apart into smaller ones that have nobody in common, so each is a send of its own. rank: the matrix has so
many independent rows. search: every smaller number was tried. cells: so many groups of people have to be told apart,
and n uploads tell 2 to the n apart. depends: the result depends on so many sets, and each takes a leaf.
"""


@dataclass(frozen=True, slots=True)
class Least:
    """No way of doing it takes less than `value`. `exact`: what was chosen takes exactly that; otherwise what was
    chosen is an upper bound, and nothing is known in between."""

    value: int
    reason: LeastReason
    exact: bool


FallbackStep = Literal[
    "encoding", "one_more_upload", "four_uploads", "split_own", "split_uploads", "split_line", "split_receipts"
]
"""What is tried, in this order, where a recipient tree has more leaves than LINE allows (specs/compile.md)."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """A step that was tried: with it the delivery takes `sends` and `uploads`, its largest tree `leaves`.
    `taken`: of those that fit this is the one with the fewest sends. `more_sends`: its price in
    small parts, how many sends it adds."""

    step: FallbackStep
    sends: int
    uploads: int
    leaves: int
    taken: bool
    more_sends: int = 0
