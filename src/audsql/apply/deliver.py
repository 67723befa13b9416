"""One occurrence: its parts as requests, in order, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from audsql.apply.audiences import Ready
from audsql.apply.bind import request_ids
from audsql.apply.context import Context
from audsql.apply.sends import Part, PartState, known_operation, send_part
from audsql.apply.state import Occurrence, OccurrenceState
from audsql.apply.world import World
from audsql.compile.program import (
    AllOf,
    AnyOf,
    AudienceLeaf,
    Broadcast,
    CompiledDelivery,
    Multicast,
    Narrowcast,
    NoneOf,
    Recipient,
    RedeliveryLeaf,
    Send,
)
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
    ready: Mapping[str, list[Ready]],
) -> int:
    """Send every part of an occurrence that is due. Returns 0, 5 (refused before any request) or 7."""
    delivery = context.project.delivery(occurrence.delivery)
    assert delivery is not None
    if occurrence.state == "scheduled":
        if _shortfall(context, delivery, form, ready) or _too_many(context, form, ready):
            return 5
        occurrence = context.put("occurrence.sending", replace(occurrence, state="sending"))
    states: list[PartState] = []
    for send in _in_order(context, form, world):
        for part in _parts(context, occurrence, delivery, send, world, ready):
            states.append(send_part(context, occurrence, part))
    return _conclude(context, occurrence, states)


_WORST_FIRST: tuple[tuple[PartState, OccurrenceState], ...] = (
    ("in_doubt", "in_doubt"),
    ("failed", "failed"),
    ("rejected", "failed"),
    ("missed", "missed"),
)


def _conclude(context: Context, occurrence: Occurrence, states: Sequence[PartState]) -> int:
    found = [outcome for state, outcome in _WORST_FIRST if state in states]
    final: OccurrenceState = found[0] if found else "done"
    context.put(f"occurrence.{final}", replace(occurrence, state=final))
    context.say(final, delivery=occurrence.delivery)
    return 0 if final == "done" else 7


def _shortfall(context: Context, delivery: Delivery, form: CompiledDelivery, ready: Mapping[str, list[Ready]]) -> bool:
    """LINE left people out of an upload that is subtracted: they would get the message after all."""
    found = False
    for key in form.uploads:
        upload = context.program.upload(key)
        for one in ready.get(key, ()):
            if upload.negated and one.size is not None and one.count < one.size and not delivery.allow_shortfall:
                context.diagnostics.append(
                    error(
                        "AUD0850",
                        delivery.span,
                        delivery=delivery.name,
                        label=upload.label,
                        missing=one.size - one.count,
                        uploaded=one.size,
                    )
                )
                found = True
    return found


def _too_many(context: Context, form: CompiledDelivery, ready: Mapping[str, list[Ready]]) -> bool:
    """LINE counts more people than were ever uploaded: somebody else changed the audience."""
    found = False
    for key in form.uploads:
        for one in ready.get(key, ()):
            if one.size is not None and one.count > one.size:
                label = context.program.upload(key).label
                context.diagnostics.append(error("AUD0860", None, label=label, count=one.count, uploaded=one.size))
                found = True
    return found


def _in_order(context: Context, form: CompiledDelivery, world: World) -> list[Send]:
    """The smallest bounded part first: if LINE finds it too small, little has been sent (design.md §3.4)."""

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
    ready: Mapping[str, list[Ready]],
) -> list[Part]:
    messages = [message for name in delivery.messages for message in context.messages.get(name, ())]
    silent = not delivery.notification
    if isinstance(send, Broadcast):
        return [Part(send.part, "broadcast", broadcast_body(messages, silent))]
    if isinstance(send, Multicast):
        return _multicast(context, occurrence, delivery, send, world, messages)
    body = _frozen_or_built(context, occurrence, delivery, send, world, ready, messages)
    return [] if body is None else [Part(send.part, "narrowcast", body)]


def _frozen_or_built(
    context: Context,
    occurrence: Occurrence,
    delivery: Delivery,
    send: Narrowcast,
    world: World,
    ready: Mapping[str, list[Ready]],
    messages: Sequence[Any],
) -> bytes | None:
    """The body of a narrowcast: as frozen earlier, else built now. None: own data says nobody is in it."""
    known = known_operation(context, occurrence, send.part, 0)
    if known is not None and known.body_sha256 is not None:
        return context.store.body(known.id)
    limit = _limit(context, occurrence, delivery, send, world)
    if limit is None:
        context.say("part_empty", delivery=occurrence.delivery, part=send.part + 1)
        return None
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
    if delivery.limit is not None:
        return Limit(delivery.limit, up_to_remaining_quota=True, forbid_partial_delivery=False)
    if not bounds:
        raise AssertionError("a send without any bound is refused at plan (AUD0717)")
    if min(bounds) == 0:
        return None
    return Limit(min(bounds), up_to_remaining_quota=True, forbid_partial_delivery=delivery.quota == "forbid")


def _recipient(context: Context, tree: Recipient, ready: Mapping[str, list[Ready]]) -> dict[str, object]:
    """LINE's recipient. A delivery of several sends has a click audience for each of them."""
    ids = {f"{key}~{at}": one.remote_id for key, found in ready.items() for at, one in enumerate(found)}
    sent = {(name, at): one for name, found in _sent(context).items() for at, one in enumerate(found)}
    return recipient_json(_expanded(tree, ready), ids, sent)


def _sent(context: Context) -> dict[str, tuple[str, ...]]:
    declared = {
        one.name: (one.sent_request_id,) for one in context.project.deliveries if one.sent_request_id is not None
    }
    return {**request_ids(context.state()), **declared}


def _expanded(tree: Recipient, ready: Mapping[str, list[Ready]]) -> Recipient:
    match tree:
        case AudienceLeaf(key):
            leaves = tuple(AudienceLeaf(f"{key}~{at}") for at in range(len(ready[key])))
            return leaves[0] if len(leaves) == 1 else AnyOf(leaves)
        case RedeliveryLeaf():
            return tree
        case NoneOf(operand):
            return NoneOf(_expanded(operand, ready))
        case AllOf(operands):
            return AllOf(tuple(_expanded(operand, ready) for operand in operands))
        case AnyOf(operands):
            return AnyOf(tuple(_expanded(operand, ready) for operand in operands))


def _multicast(
    context: Context,
    occurrence: Occurrence,
    delivery: Delivery,
    send: Multicast,
    world: World,
    messages: Sequence[Any],
) -> list[Part]:
    """Requests of 500 over the list that was frozen at the first one; whoever is excluded by now is left out.

    A request that may have left with somebody who is excluded by now cannot be made again with the same
    bytes: it ends in doubt instead of being sent.
    """
    engine = context.engine
    name = f"multicast.{occurrence.id}.{send.part}"
    now = engine.evaluate(send.members, world.people)
    frozen = engine.load(name)
    if frozen is None:
        frozen = now
        engine.save(name, frozen)
    gone = set(engine.members(engine.delta(frozen, now)[1]))
    members = iter(list(engine.members(frozen)))
    chunks: list[list[str]] = []
    while chunk := list(islice(members, MULTICAST_RECIPIENTS_MAX)):
        chunks.append(chunk)
    return [
        Part(
            send.part,
            "multicast",
            multicast_body(kept, messages, not delivery.notification, delivery.unit),
            index,
            len(chunks),
            keep_body=False,
        )
        for index, chunk in enumerate(chunks)
        if (kept := [one for one in chunk if one not in gone])
    ]
