"""One occurrence: its parts as requests, in order, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from audsql.apply.audiences import Ready
from audsql.apply.bind import sent_parts
from audsql.apply.context import Context
from audsql.apply.moved import Moved, begin, moved, stays_clear
from audsql.apply.sends import (
    Part,
    PartState,
    conclude,
    give_up,
    is_open,
    known_operation,
    may_have_left,
    miss,
    over,
    refuse_empty,
    send_part,
)
from audsql.apply.state import Occurrence
from audsql.apply.world import World
from audsql.compile.program import Broadcast, CompiledDelivery, Multicast, Narrowcast, Recipient, Send
from audsql.diag import error
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
from audsql.meaning.ir import Delivery

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
    named = any(isinstance(one, Narrowcast) and _is_open(context, occurrence, one) for one in form.sends)
    if named and (_shortfall(context, delivery, form, ready) or _too_many(context, form, ready)):
        return 5
    occurrence, change = _begun(context, occurrence, world)
    states: list[PartState] = []
    for send in _in_order(context, form, world):
        if isinstance(send, Narrowcast) and _torn(context, occurrence, send, world, change):
            states.append(_torn_off(context, occurrence, Part(send.part, "narrowcast", b"")))
            continue
        parts = _parts(context, occurrence, delivery, send, world, ready)
        if parts is None:
            states += [_torn_off(context, occurrence, one) for one in _known_parts(context, occurrence, send)]
            states.append("missed")
            continue
        states += [send_part(context, occurrence, part) for part in parts]
    states += _to_nobody(context, occurrence, form)
    return 0 if conclude(context, occurrence, states).state == "done" else 7


def _is_open(context: Context, occurrence: Occurrence, send: Send) -> bool:
    return is_open(known_operation(context, occurrence, send.part, 0))


def _begun(context: Context, occurrence: Occurrence, world: World) -> tuple[Occurrence, Moved | None]:
    """The occurrence under way, and who moved since the first request that may have left."""
    left = any(may_have_left(one) for one in context.state().operations_of(occurrence.id))
    change = moved(context, occurrence, world) if left else None
    return (occurrence if left else begin(context, occurrence, world)), change


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


def _torn_off(context: Context, occurrence: Occurrence, part: Part) -> PartState:
    known = known_operation(context, occurrence, part.part, part.chunk)
    ended = over(known) if known is not None else None
    if ended is not None:
        return ended
    context.diagnostics.append(error("AUD0867", None, delivery=occurrence.name, part=part.part + 1))
    return miss(context, occurrence, part)


def _known_parts(context: Context, occurrence: Occurrence, send: Send) -> list[Part]:
    rows = [row for row in context.state().operations_of(occurrence.id) if row.part == send.part]
    return [Part(row.part, send.kind, b"", row.chunk, row.chunks) for row in rows]


def _to_nobody(context: Context, occurrence: Occurrence, form: CompiledDelivery) -> list[PartState]:
    """What was approved, or begun, and holds nobody by now. Who may have got it is in doubt."""
    states: list[PartState] = []
    present = {send.part for send in form.sends}
    operations = context.state().operations_of(occurrence.id)
    approved = {int(part) for part in dict(occurrence.document.get("limits", {}))}
    for part in sorted((approved | present) - {row.part for row in operations}):
        refuse_empty(context, occurrence, Part(part, "narrowcast", b""))
    for row in operations:
        if over(row) is None and is_open(row):
            refuse_empty(context, occurrence, Part(row.part, "narrowcast", b"", row.chunk, row.chunks))
        elif over(row) is None or row.part not in present:
            states.append(over(row) or give_up(context, row, "moved"))
    return states


def _shortfall(context: Context, delivery: Delivery, form: CompiledDelivery, ready: Mapping[str, Ready]) -> bool:
    """LINE left people out of an upload that is subtracted: they would get the message after all."""
    found = False
    for key in form.uploads:
        upload, one = context.program.upload(key), ready[key]
        if upload.negated and one.size is not None and one.count < one.size and not delivery.allow_shortfall:
            missing = one.size - one.count
            context.diagnostics.append(
                error(
                    "AUD0850", delivery.span, delivery=delivery.name, label=upload.label, missing=missing,
                    uploaded=one.size,
                )
            )  # fmt: skip
            found = True
    return found


def _too_many(context: Context, form: CompiledDelivery, ready: Mapping[str, Ready]) -> bool:
    """LINE counts more people than were ever uploaded: somebody else changed the audience."""
    found = False
    for key in form.uploads:
        one = ready[key]
        if one.size is not None and one.count > one.size:
            label = context.program.upload(key).label
            context.diagnostics.append(error("AUD0860", None, label=label, count=one.count, uploaded=one.size))
            found = True
    return found


def _in_order(context: Context, form: CompiledDelivery, world: World) -> list[Send]:
    """The smallest bounded part first: if LINE finds it too small, little has been sent (specs/compile.md)."""

    def rank(send: Send) -> tuple[int, int]:
        bound = _bound(context, send, world)
        return (bound if bound is not None else 1 << 62, send.part)

    return sorted(form.sends, key=rank)


def _bound(context: Context, send: Send, world: World) -> int | None:
    if isinstance(send, Narrowcast) and send.bound is not None:
        return context.engine.count(context.engine.evaluate(send.bound, world.people))
    if isinstance(send, Multicast):
        return context.engine.count(context.engine.evaluate(send.members, world.people))
    return None


def _parts(
    context: Context,
    occurrence: Occurrence,
    delivery: Delivery,
    send: Send,
    world: World,
    ready: Mapping[str, Ready],
) -> list[Part] | None:
    """The requests of a part; none where it holds nobody. None: how it was cut into requests is lost."""
    messages = [message for name in delivery.messages for message in context.messages.get(name, ())]
    if isinstance(send, Broadcast):
        return [Part(send.part, "broadcast", broadcast_body(messages, not delivery.notification))]
    if isinstance(send, Multicast):
        return _multicast(context, occurrence, delivery, send, world, messages)
    known = known_operation(context, occurrence, send.part, 0)
    if known is not None and not is_open(known):
        return [Part(send.part, "narrowcast", context.store.body(known.id) or b"")]
    limit = _limit(context, occurrence, delivery, send, world)
    if limit is None:
        context.say("part_empty", delivery=occurrence.name, part=send.part + 1)
        return []
    return [Part(send.part, "narrowcast", _body(context, delivery, send, ready, messages, limit))]


def _body(
    context: Context,
    delivery: Delivery,
    send: Narrowcast,
    ready: Mapping[str, Ready],
    messages: Sequence[Any],
    limit: Limit,
) -> bytes:
    silent = not delivery.notification
    filter_ = filter_json(send.filter) if send.filter is not None else None
    if send.recipient is not None:
        recipient = _recipient(context, send.recipient, ready)
        return narrowcast_body(recipient, filter_, messages, limit, silent)
    if filter_ is not None:
        return filter_only_body(filter_, messages, limit, silent)
    assert send.everybody, "only a delivery to `friends` names neither recipient nor filter"
    return everybody_body(messages, limit, silent)


def _limit(
    context: Context, occurrence: Occurrence, delivery: Delivery, send: Narrowcast, world: World
) -> Limit | None:
    """The fuse: what the plan allowed, or less where own data says less now. None: nobody."""
    approved = dict(occurrence.document.get("limits", {})).get(str(send.part))
    bounds = [int(one) for one in (approved, _bound(context, send, world)) if one is not None]
    if delivery.expect and delivery.expect[1] is not None and bounds and min(bounds):
        # What is expected of all parts is left for this one; LINE takes no limit below 1.
        bounds.append(max(1, delivery.expect[1] - _reached(context, occurrence)))
    if delivery.limit is not None:
        return Limit(delivery.limit, up_to_remaining_quota=True, forbid_partial_delivery=False)
    if not bounds:
        raise AssertionError("a send without any bound is refused at plan (AUD0717)")
    if min(bounds) == 0:
        return None
    return Limit(min(bounds), up_to_remaining_quota=True, forbid_partial_delivery=delivery.quota == "forbid")


def _reached(context: Context, occurrence: Occurrence) -> int:
    """People that the earlier parts went to."""
    return sum(one.counts.get("target", 0) for one in context.state().operations_of(occurrence.id))


def _recipient(context: Context, tree: Recipient, ready: Mapping[str, Ready]) -> dict[str, object]:
    ids = {key: one.remote_id for key, one in ready.items()}
    sent = {(name, part): one for name, parts in sent_parts(context.state()).items() for part, one in parts.items()}
    declared = {(one.name, 0): one.sent_request_id for one in context.project.deliveries if one.sent_request_id}
    return recipient_json(tree, ids, {**sent, **declared})


def _multicast(
    context: Context,
    occurrence: Occurrence,
    delivery: Delivery,
    send: Multicast,
    world: World,
    messages: Sequence[Any],
) -> list[Part] | None:
    """Requests of 500 over the list that was frozen at the first one; whoever is excluded by now is left out.

    A request that may have left with somebody who is excluded by now cannot be made again with the same
    bytes: it ends in doubt instead of being sent. None: requests were made and the list is lost; another
    list would be cut in other places, and people around the cuts would get the message twice or not at all.
    """
    engine = context.engine
    name = f"multicast.{occurrence.id}.{send.part}"
    now = engine.evaluate(send.members, world.people)
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
    silent = not delivery.notification
    return [
        Part(
            send.part, "multicast", multicast_body(people, messages, silent, delivery.unit), index, len(chunks),
            keep_body=False,
        )
        for index, people in enumerate(chunks)
        if people
    ]  # fmt: skip
