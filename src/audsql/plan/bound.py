"""How many people all sends of a delivery may reach together (specs/operations.md, `apply.send.sum`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audsql.meaning.ir import Delivery

__all__ = ["whole_bound"]


def whole_bound(
    delivery: Delivery, high: int | None, limits: Sequence[int | None], part_bounds: Mapping[int, int | None]
) -> dict[str, Any] | None:
    """`people`: at most so many over all parts; `own`: own data say so, and nobody can be beyond. None: not known.

    `high`: the upper bound of the set by own data; `limits`: the fuse of each send, in people; `part_bounds`: what
    own data say of each. A part that they do not bound has the number of friends as its fuse: all parts lie within.
    """
    expected = delivery.expect[1] if delivery.expect else None
    if high is not None and delivery.limit is None and (expected is None or high <= expected):
        return {"people": high, "own": True}
    known = [one for one in (high, expected, _of_parts(limits, part_bounds)) if one is not None]
    return {"people": min(known), "own": False} if known else None


def _of_parts(limits: Sequence[int | None], part_bounds: Mapping[int, int | None]) -> int | None:
    known = [one for one in limits if one is not None]
    if not known or len(known) < len(limits):
        return None
    return max(known) if None in part_bounds.values() else sum(known)
