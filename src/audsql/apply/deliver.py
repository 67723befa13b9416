"""One occurrence: its parts as requests, in order, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from audsql.apply.audiences import Ready
from audsql.apply.bind import sent_parts
from audsql.apply.checks import counted_again, keys_of, may_be_named
from audsql.apply.context import Context
from audsql.apply.coupons import filled
from audsql.apply.fuse import Passed, limit_of, own_bound
from audsql.apply.guards import Guarded, Held, guarded, in_order
from audsql.apply.listed import deliver_listed, is_listed, remember_receivers
from audsql.apply.moved import Moved, begin, moved, stays_clear
from audsql.apply.sends import (
    CUT_ELSEWHERE,
    Part,
    PartState,
    conclude,
    give_up,
    is_open,
    known_operation,
    may_have_left,
    miss,
    newest,
    over,
    refuse_empty,
    send_part,
)
from audsql.apply.state import Occurrence
from audsql.apply.world import World
from audsql.compile.program import Broadcast, CompiledDelivery, Multicast, Narrowcast, Recipient, Send
from audsql.diag import Diagnostic, error
from audsql.line.client import SendKind
from audsql.line.limits import MULTICAST_RECIPIENTS_MAX
from audsql.line.recipient import (
    Limit,
    broadcast_body,
    everybody_body,
    filter_json,
    filter_only_body,
    multicast_body,
    narrowcast_body,
    recipient_json,
)
from audsql.meaning.ir import Delivery, land
from audsql.records import dataclass

__all__ = ["deliver"]


def deliver(
    context: Context,
    occurrence: Occurrence,
    form: CompiledDelivery,
    world: World,
    ready: Mapping[str, Ready],
) -> int:
    """Send every part of an occurrence that is due. Returns 0, 5 (refused before a request) or 7."""
    delivery = context.project.delivery(occurrence.name)
    assert delivery is not None
    named = keys_of(one for one in form.sends if _is_open(context, occurrence, one))
    if not may_be_named(context, delivery, {key: ready[key] for key in named}):
        return 5
    occurrence, change = _begun(context, occurrence, form, world)
    making = _Making(context, occurrence, delivery, form, world, ready)
    states: list[PartState] = []
    for send in _in_order(making):
        if isinstance(send, Narrowcast) and _torn(context, occurrence, send, world, change):
            why = error("AUD0867", None, delivery=occurrence.name, part=send.part + 1)
            states.append(_closed(context, occurrence, Part(send.part, "narrowcast", b""), "moved", why))
            continue
        if states and not _still_named(making, send):
            return 5
        made = _made(making, send)
        if made is None:
            return 0
        states += made
    states += _to_nobody(context, occurrence, form)
    return 0 if conclude(context, occurrence, states).state == "done" else 7


@dataclass(frozen=True, slots=True)
class _Making:
    """What the parts of one occurrence are made from."""

    context: Context
    occurrence: Occurrence
    delivery: Delivery
    form: CompiledDelivery
    world: World
    ready: Mapping[str, Ready]

    @property
    def messages(self) -> list[Any]:
        found = [message for name in self.delivery.messages for message in self.context.messages.get(name, ())]
        return filled(self.context, found)


def _still_named(making: _Making, send: Send) -> bool:
    """Whether what LINE counts in the audiences of a later part allows it still."""
    if not _is_open(making.context, making.occurrence, send):
        return True
    counted = counted_again(making.context, making.ready, keys_of([send]), making.occurrence.account)
    return may_be_named(making.context, making.delivery, counted)


def _made(making: _Making, send: Send) -> list[PartState] | None:
    """Make the requests of a part, or close it where it must not be made; what became of each. None: it is paused."""
    context, occurrence = making.context, making.occurrence
    if isinstance(send, Multicast) and is_listed(send):
        return deliver_listed(context, occurrence, making.delivery, send, making.world)
    if isinstance(send, Multicast):
        parts = _multicast(making, send)
        if parts is None:
            why = error("AUD0867", None, delivery=occurrence.name, part=send.part + 1)
            known = _known_parts(context, occurrence, send)
            return [*(_closed(context, occurrence, one, "moved", why) for one in known), "missed"]
        return list(_one_after_the_other(context, occurrence, parts))
    if isinstance(send, Broadcast):
        body = broadcast_body(making.messages, not making.delivery.notification)
        return [send_part(context, occurrence, Part(send.part, "broadcast", body))]
    part = _narrowcast(making, send)
    if isinstance(part, Diagnostic):
        evidence = "guard" if part.code == "AUD0868" else "bound"
        return [_closed(context, occurrence, Part(send.part, "narrowcast", b""), evidence, part)]
    return [] if part is None else [send_part(context, occurrence, part)]


def _one_after_the_other(context: Context, occurrence: Occurrence, parts: Sequence[Part]) -> Iterator[PartState]:
    """The requests of one list, until it is seen that a state that is lost cut it before."""
    cut = False
    for part in parts:
        if cut:
            why = error("AUD0867", None, delivery=occurrence.name, part=part.part + 1)
            yield _closed(context, occurrence, part, "moved", why)
            continue
        yield send_part(context, occurrence, part)
        known = known_operation(context, occurrence, part.part, part.chunk)
        cut = known is not None and known.evidence == CUT_ELSEWHERE


def _is_open(context: Context, occurrence: Occurrence, send: Send) -> bool:
    return is_open(known_operation(context, occurrence, send.part, 0))


def _begun(
    context: Context, occurrence: Occurrence, form: CompiledDelivery, world: World
) -> tuple[Occurrence, Moved | None]:
    """The occurrence under way, and who moved since the first request that may have left."""
    if any(may_have_left(one) for one in newest(context.state().operations_of(occurrence.id))):
        return occurrence, moved(context, occurrence, world)
    known = remember_receivers(context, occurrence, form, world)
    occurrence = replace(occurrence, document={**occurrence.document, **known})
    return begin(context, occurrence, world), None


def _torn(context: Context, occurrence: Occurrence, send: Narrowcast, world: World, change: Moved | None) -> bool:
    """Whether a part may not leave any more, because people moved since the delivery began.

    One that may have left already names audiences of that time: who was excluded since would get it.
    """
    if change is None:
        return False
    known = known_operation(context, occurrence, send.part, 0)
    if is_open(known):
        return not stays_clear(context.engine, send, change, world)
    return known is not None and known.state == "intent"


def _closed(context: Context, occurrence: Occurrence, part: Part, evidence: str, why: Diagnostic) -> PartState:
    """Make a part no more, and say why; one that is over is what it is."""
    known = known_operation(context, occurrence, part.part, part.chunk)
    ended = over(known) if known is not None else None
    if ended is not None:
        return ended
    context.diagnostics.append(why)
    return miss(context, occurrence, part, evidence)


def _known_parts(context: Context, occurrence: Occurrence, send: Send) -> list[Part]:
    rows = [row for row in newest(context.state().operations_of(occurrence.id)) if row.part == send.part]
    kind: SendKind = "multicast" if isinstance(send, Multicast) else send.kind
    return [Part(row.part, kind, b"", row.chunk, row.chunks) for row in rows]


def _to_nobody(context: Context, occurrence: Occurrence, form: CompiledDelivery) -> list[PartState]:
    """What was approved, or begun, and holds nobody by now. Who may have got it is in doubt."""
    states: list[PartState] = []
    present = {send.part for send in form.sends}
    operations = newest(context.state().operations_of(occurrence.id))
    approved = {int(part) for part in dict(occurrence.document.get("limits", {}))}
    for part in sorted((approved | present) - {row.part for row in operations}):
        refuse_empty(context, occurrence, Part(part, "narrowcast", b""))
    for row in operations:
        if over(row) is None and is_open(row):
            refuse_empty(context, occurrence, Part(row.part, "narrowcast", b"", row.chunk, row.chunks))
        elif over(row) is None or row.part not in present:
            states.append(over(row) or give_up(context, row, "moved"))
    return states


def _in_order(making: _Making) -> list[Send]:
    """The smallest bounded part first, where the order is free: if LINE finds it too small, little has been sent."""
    context, people = making.context, making.world.people

    def rank(send: Send) -> tuple[int, int]:
        bound = own_bound(context, send, making.world)
        return (bound if bound is not None else 1 << 62, send.part)

    def apart(one: Send, other: Send) -> bool:
        if not isinstance(one, Narrowcast) or not isinstance(other, Narrowcast):
            return False
        if one.bound is None or other.bound is None:
            return False
        return context.engine.count(context.engine.evaluate(land(one.bound, other.bound), people)) == 0

    return in_order(making.form, rank, apart)


def _narrowcast(making: _Making, send: Narrowcast) -> Part | Diagnostic | None:
    """The request of a part; None where it holds nobody; the reason where it must not be made."""
    context, occurrence = making.context, making.occurrence
    known = known_operation(context, occurrence, send.part, 0)
    if known is not None and not is_open(known):
        return Part(send.part, "narrowcast", context.store.body(known.id) or b"")
    limit = limit_of(context, occurrence, making.delivery, send, making.world)
    name, part = occurrence.name, send.part + 1
    if isinstance(limit, Passed):
        return error("AUD0869", None, delivery=name, part=part, bound=limit.bound, reached=limit.reached)
    if limit is None:
        context.say("part_empty", delivery=name, part=part)
        return None
    apart = guarded(context, occurrence, making.form, send)
    if isinstance(apart, Held):
        return error("AUD0868", None, delivery=name, part=part, earlier=apart.earlier + 1, state=apart.state)
    return Part(send.part, "narrowcast", _body(making, apart, limit))


def _body(making: _Making, apart: Guarded, limit: Limit) -> bytes:
    send, silent = apart.send, not making.delivery.notification
    filter_ = filter_json(send.filter) if send.filter is not None else None
    if send.recipient is not None:
        recipient = _recipient(making, send.recipient, apart.sent)
        return narrowcast_body(recipient, filter_, making.messages, limit, silent)
    if filter_ is not None:
        return filter_only_body(filter_, making.messages, limit, silent)
    assert send.everybody, "only a delivery to `friends` names neither recipient nor filter"
    return everybody_body(making.messages, limit, silent)


def _recipient(making: _Making, tree: Recipient, own: Mapping[int, str]) -> dict[str, object]:
    """LINE's recipient object. `own`: request ids of earlier parts of this very occurrence."""
    state, deliveries = making.context.state(), making.context.project.deliveries
    ids = {key: one.remote_id for key, one in making.ready.items()}
    sent = {(name, part): one for name, parts in sent_parts(state).items() for part, one in parts.items()}
    declared = {(one.name, 0): one.sent_request_id for one in deliveries if one.sent_request_id}
    guards = {(making.form.name, part): one for part, one in own.items()}
    return recipient_json(tree, ids, {**sent, **declared, **guards})


def _multicast(making: _Making, send: Multicast) -> list[Part] | None:
    """Requests of 500 over the list that was frozen at the first one; whoever is excluded by now is left out.

    A request that may have left with somebody who is excluded by now cannot be made again with the same
    bytes: it ends in doubt instead of being sent. None: requests were made and the list is lost; another
    list would be cut in other places, and people around the cuts would get the message twice or not at all.
    """
    context, occurrence = making.context, making.occurrence
    engine = context.engine
    name = f"multicast.{occurrence.id}.{send.part}"
    now = engine.evaluate(send.members, making.world.people)
    frozen = engine.load(name)
    if frozen is None and _known_parts(context, occurrence, send):
        return None
    if frozen is None:
        frozen = now
        engine.save(name, frozen)
    gone = set(engine.members(engine.delta(frozen, now)[1]))
    members = engine.members(frozen)
    chunks: list[list[str]] = []
    while chunk := list(islice(members, MULTICAST_RECIPIENTS_MAX)):
        chunks.append([one for one in chunk if one not in gone])
    for index, people in enumerate(chunks):
        if not people and is_open(known_operation(context, occurrence, send.part, index)):
            refuse_empty(context, occurrence, Part(send.part, "multicast", b"", index, len(chunks)))
    silent, unit = not making.delivery.notification, making.delivery.unit
    return [
        Part(
            send.part, "multicast", multicast_body(people, making.messages, silent, unit), index, len(chunks),
            keep_body=False,
        )
        for index, people in enumerate(chunks)
        if people
    ]  # fmt: skip
