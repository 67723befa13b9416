"""Sends of one delivery that are kept apart by `NOT redelivery(an earlier one)`.

What tells two sends apart can be held by LINE (a chat tag, an attribute), and change between them. The later
send then names the earlier one as a guard, so that whoever got that is left out, whatever changed. A guard
is put in with the request id of the earlier send, once that is over; it falls away only where it is certain
that the earlier send reached nobody; and where neither holds, the later send is not made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from audsql.apply.context import Context
from audsql.apply.sends import is_open, known_operation
from audsql.apply.state import Occurrence, Operation
from audsql.compile.bind import without_empty
from audsql.compile.program import CompiledDelivery, Narrowcast, RedeliveryLeaf, Send, recipient_leaves
from audsql.compile.trees import leaf_key
from audsql.records import dataclass

__all__ = ["Guarded", "Held", "guarded", "guards_of", "in_order"]

REACHED_NOBODY_CODES = (2, 4, 5)
"""Failures of a narrowcast after which LINE says that nobody got it: too few people, a small audience, the fuse."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A send that may be made. `sent`: LINE's request ids of the earlier parts that it leaves out, by part."""

    send: Narrowcast
    sent: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Held:
    """A send that must not be made: who got part `earlier` is not known. `state` is what that part came to."""

    earlier: int
    state: str


def guards_of(send: Send, delivery: str) -> tuple[int, ...]:
    """The parts of its own delivery whose people a send leaves out, ascending."""
    if not isinstance(send, Narrowcast):
        return ()
    return tuple(sorted({leaf.part for leaf in _own_leaves(send, delivery)}))


def _own_leaves(send: Narrowcast, delivery: str) -> list[RedeliveryLeaf]:
    leaves = recipient_leaves(send.recipient)
    return [leaf for leaf in leaves if isinstance(leaf, RedeliveryLeaf) and leaf.delivery == delivery]


def in_order(
    form: CompiledDelivery, rank: Callable[[Send], tuple[int, int]], apart: Callable[[Send, Send], bool]
) -> list[Send]:
    """The sends by rank, each after all that have to go before it (specs/operations.md, `apply.send.first`).

    Those are its guards, and every part of a lower number unless own data alone keep the two `apart`: the compiler
    numbers parts so that what can change at LINE between two sends brings nobody from one into a later one.
    Raises ValueError where guards run in a circle, which no compiled delivery has.
    """
    waiting = sorted(form.sends, key=rank)
    ordered: list[Send] = []
    while waiting:
        free = next((send for send in waiting if not _waits(send, waiting, form.name, apart)), None)
        if free is None:
            raise ValueError("sends that wait for each other")
        ordered.append(free)
        waiting.remove(free)
    return ordered


def _waits(send: Send, others: Sequence[Send], delivery: str, apart: Callable[[Send, Send], bool]) -> bool:
    guards = guards_of(send, delivery)
    return any(other.part in guards or (other.part < send.part and not apart(other, send)) for other in others)


def guarded(context: Context, occurrence: Occurrence, form: CompiledDelivery, send: Narrowcast) -> Guarded | Held:
    """The send with each of its guards settled. All parts that it names have had their turn."""
    sent: dict[int, str] = {}
    nobody: set[str] = set()
    for leaf in _own_leaves(send, form.name):
        found = _fate(known_operation(context, occurrence, leaf.part, 0))
        if isinstance(found, Held):
            return Held(leaf.part, found.state)
        if found is None:
            nobody.add(leaf_key(leaf))
        else:
            sent[leaf.part] = found
    if not nobody:
        return Guarded(send, sent)
    rewritten = _without(context, form, send, frozenset(nobody))
    return Guarded(rewritten, sent)


def _fate(operation: Operation | None) -> str | Held | None:
    """LINE's id of what was sent; None: it is certain that nobody got it."""
    if operation is None or is_open(operation):
        # It had its turn and came out as nobody.
        return None
    if operation.state == "succeeded" and operation.request_id and operation.phase == "succeeded":
        # LINE tells of no receivers of a send that had none.
        return None if operation.counts.get("target") == 0 == operation.counts.get("success") else operation.request_id
    if operation.state in ("rejected", "refused_empty"):
        return None
    if operation.state == "failed" and operation.error_code in REACHED_NOBODY_CODES:
        return None
    return Held(operation.part, operation.state)


def _without(context: Context, form: CompiledDelivery, send: Narrowcast, nobody: frozenset[str]) -> Narrowcast:
    alone = CompiledDelivery(form.name, form.account, form.reach, (send,), form.uploads, form.audiences)
    (rewritten,) = _narrowcasts(without_empty(alone, context.program, nobody).sends)
    return rewritten


def _narrowcasts(sends: Sequence[Send]) -> list[Narrowcast]:
    return [send for send in sends if isinstance(send, Narrowcast)]
