"""Who got a delivery that goes first in a priority is left out of those behind it by LINE's own record. Pure.

What is subtracted for a priority is the earlier delivery's set as data are now. Whoever got it and has left the set
since is known to LINE alone: for some days it can leave out the receivers of a narrowcast
(specs/operations.md, guard.priority; specs/decisions/0016-priority-after-sending.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

from audsql.compile.program import (
    AllOf,
    AudienceLeaf,
    Narrowcast,
    NoneOf,
    Recipient,
    RedeliveryLeaf,
    Send,
    recipient_leaves,
)
from audsql.line.limits import MINIMUM_EXEMPT_AUDIENCE_TYPES, RECIPIENT_LEAVES_MAX
from audsql.records import dataclass

__all__ = ["Leaving", "Receivers", "has_minimum", "is_left_out", "less_received"]


@dataclass(frozen=True, slots=True)
class Receivers:
    """`until`: by part of a delivery, how long LINE can surely leave its receivers out. `whole`: nobody else can have
    got the delivery. `people`: how many of them there are."""

    until: Mapping[int, datetime] = field(default_factory=dict)
    whole: bool = False
    people: int = 0


@dataclass(frozen=True, slots=True)
class Leaving:
    """When a send leaves, and how many people it has beyond LINE's minimum. `spare` is None where the minimum applies
    to it in any case; a send to uploads alone is exempt until it names receivers."""

    moment: datetime
    spare: int | None = None


def less_received(send: Send, behind: Sequence[str], receivers: Mapping[str, Receivers], leaving: Leaving) -> Send:
    """The send at this moment without the receivers of the deliveries before it, as far as LINE's limit of leaves
    allows: of each delivery all parts or none, in the order of `behind`."""
    if not isinstance(send, Narrowcast):
        return send
    added = [leaf for name, leaves in _added(send, behind, receivers, leaving) for leaf in leaves]
    if not added:
        return send
    return replace(send, recipient=_without(send.recipient, added), everybody=False)


def is_left_out(
    earlier: str, send: Send, behind: Sequence[str], receivers: Mapping[str, Receivers], leaving: Leaving
) -> bool:
    """Whether nobody who got `earlier` can get this send."""
    known = receivers.get(earlier)
    if not isinstance(send, Narrowcast) or known is None or not known.whole:
        return False
    return any(name == earlier for name, _ in _added(send, behind, receivers, leaving))


def has_minimum(send: Narrowcast, kinds: Mapping[str, str]) -> bool:
    """Whether LINE's minimum of recipients applies to a send. `kinds`: LINE's types of the audiences that it made."""
    leaves = recipient_leaves(send.recipient)
    own = (kinds.get(leaf.key, "UPLOAD") if isinstance(leaf, AudienceLeaf) else "" for leaf in leaves)
    return send.filter is not None or any(kind not in MINIMUM_EXEMPT_AUDIENCE_TYPES for kind in own)


def _added(
    send: Narrowcast, behind: Sequence[str], receivers: Mapping[str, Receivers], leaving: Leaving
) -> Iterator[tuple[str, Sequence[RedeliveryLeaf]]]:
    """The earlier deliveries that there is room for, with the leaves that are not there yet."""
    room = RECIPIENT_LEAVES_MAX - len(recipient_leaves(send.recipient))
    present, spare = _left_out(send.recipient), leaving.spare
    for name in behind:
        known = receivers.get(name, Receivers())
        parts = sorted(part for part, until in known.until.items() if leaving.moment < until)
        leaves = [leaf for leaf in (RedeliveryLeaf(name, part) for part in parts) if leaf not in present]
        enough = spare is None or known.people <= spare or not leaves
        if len(parts) == len(known.until) and len(leaves) <= room and enough:
            room -= len(leaves)
            spare = None if spare is None else spare - known.people
            yield name, leaves


def _left_out(tree: Recipient | None) -> frozenset[RedeliveryLeaf]:
    """The deliveries whose receivers a tree leaves out as a whole."""
    operands = tree.operands if isinstance(tree, AllOf) else (tree,)
    inner = [one.operand for one in operands if isinstance(one, NoneOf)]
    return frozenset(one for one in inner if isinstance(one, RedeliveryLeaf))


def _without(tree: Recipient | None, leaves: Sequence[RedeliveryLeaf]) -> Recipient:
    operands = tree.operands if isinstance(tree, AllOf) else () if tree is None else (tree,)
    together = (*operands, *(NoneOf(leaf) for leaf in leaves))
    return together[0] if len(together) == 1 else AllOf(together)
