"""The fuse of every send, and of all sends of a delivery together.

Rules `apply.send.fuse` and `apply.send.sum` of specs/operations.md.
"""

from __future__ import annotations

from audsql.apply.context import Context
from audsql.apply.sends import newest
from audsql.apply.state import Occurrence
from audsql.apply.world import World
from audsql.compile.program import Multicast, Narrowcast, Send
from audsql.line.recipient import Limit
from audsql.meaning.ir import Delivery
from audsql.records import dataclass

__all__ = ["Passed", "limit_of", "own_bound", "reached"]


@dataclass(frozen=True, slots=True)
class Passed:
    """LINE reports as many people, or more, as the whole delivery may have, and another part is to come."""

    bound: int
    reached: int


def own_bound(context: Context, send: Send, world: World) -> int | None:
    """The number of own people that contain a send, as data are now; None where they do not bound it."""
    if isinstance(send, Narrowcast) and send.bound is not None:
        return context.engine.count(context.engine.evaluate(send.bound, world.people))
    if isinstance(send, Multicast):
        return context.engine.count(context.engine.evaluate(send.members, world.people))
    return None


def reached(context: Context, occurrence: Occurrence) -> int:
    """People that LINE says the parts so far went to."""
    rows = newest(context.state().operations_of(occurrence.id))
    return sum(max(row.counts.get("target", 0), row.counts.get("success", 0)) for row in rows)


def limit_of(
    context: Context, occurrence: Occurrence, delivery: Delivery, send: Narrowcast, world: World
) -> Limit | Passed | None:
    """What the plan allowed this part, or less: what own data say now, what the other parts left. None: nobody."""
    if delivery.limit is not None:
        return Limit(delivery.limit, up_to_remaining_quota=True, forbid_partial_delivery=False)
    approved = dict(occurrence.document.get("limits", {})).get(str(send.part))
    bounds = [int(one) for one in (approved, own_bound(context, send, world)) if one is not None]
    if not bounds:
        raise AssertionError("a send without any bound is refused at plan (AUD0717)")
    if min(bounds) == 0:
        return None
    left = _left(context, occurrence, delivery)
    if not isinstance(left, int) and left is not None:
        return left
    if left == 0:
        return None
    bounds += [] if left is None else [left]
    return Limit(min(bounds), up_to_remaining_quota=True, forbid_partial_delivery=delivery.quota == "forbid")


def _left(context: Context, occurrence: Occurrence, delivery: Delivery) -> int | Passed | None:
    """How many people the delivery may still reach. None: it has no bound of its own."""
    document = occurrence.document.get("bound")
    if document is None and delivery.expect and delivery.expect[1] is not None:
        # Approved by a version that kept only the limits of the parts.
        document = {"people": delivery.expect[1], "own": False}
    if document is None:
        return None
    bound, before = int(document["people"]), reached(context, occurrence)
    if before > bound or (before == bound and not document["own"]):
        return Passed(bound, before)
    return bound - before
