"""Deliveries to listed people, person by person: in batches of the ledger, capped, and each with words of their own.

A part of such a delivery is one operation of the state, and its requests are batches (specs/operations.md, `batch.*`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from audsql.apply.batches import OPEN, Content, Receiver, carry, close, is_paused, openings
from audsql.apply.capping import over_caps
from audsql.apply.context import Context, Stop
from audsql.apply.coupons import filled
from audsql.apply.ledger import Batch, Opening, Sent
from audsql.apply.pausing import stop_if_paused
from audsql.apply.personal_sends import personal_groups
from audsql.apply.sends import PartState, is_open, known_operation, newest, over, retry_key
from audsql.apply.state import Occurrence, Operation, OperationState, iso_time
from audsql.apply.window import end_of_window, quiet_now
from audsql.apply.world import World
from audsql.compile.program import CompiledDelivery, Multicast, Narrowcast
from audsql.diag import warning
from audsql.meaning.ir import Cap, Delivery

__all__ = ["close_listed", "deliver_listed", "is_listed", "owner_of", "remember_receivers"]

KINDS = ("listed", "push")
_PEOPLE_AT_A_TIME = 50_000
_BATCHES_AT_A_TIME = 200
"""As many as are recorded in one transaction."""


def is_listed(send: object) -> bool:
    """Whether a send goes out in batches."""
    return isinstance(send, Multicast) and send.kind in KINDS


def owner_of(occurrence: Occurrence) -> str:
    """Under which the ledger knows a delivery: the name of its first approval, for good."""
    return f"delivery.{occurrence.delivery}"


def deliver_listed(
    context: Context, occurrence: Occurrence, delivery: Delivery, send: Multicast, world: World
) -> list[PartState] | None:
    """Bring a part to its end, from wherever an earlier run left it; what became of its batches. None where it was
    paused on the way.

    Raises Paused, and Stop (4) where LINE gave no certain answer about some of them.
    """
    operation = known_operation(context, occurrence, send.part, 0) or _new(context, occurrence, send)
    ended = over(operation)
    if ended is not None:
        return [ended]
    people = frozenset(_persons(context, context.engine.members(context.engine.evaluate(send.members, world.people))))
    if is_open(operation):
        stop_if_paused(context, occurrence)
        _open(context, occurrence, delivery, send, people)
        tried = {"asked": True, "batches": len(_batches(context, occurrence))}
        operation = context.put("send.intent", replace(operation, state="intent", attributes=tried))
    batches = [
        carry(context, one, allowed=lambda batch, some: people.intersection(some))
        for one in _batches(context, occurrence)
    ]
    if any(one.state in OPEN for one in batches):
        if is_paused(context, owner_of(occurrence)):
            return None
        raise Stop(4)
    return _end(context, occurrence, operation, batches)


def _persons(context: Context, members: Iterator[str]) -> Iterator[bytes]:
    while chunk := list(islice(members, _PEOPLE_AT_A_TIME)):
        yield from context.persons.hide(chunk)


def _new(context: Context, occurrence: Occurrence, send: Multicast) -> Operation:
    key = retry_key(context.bots[occurrence.account], occurrence.id, send.part, 0, 0)
    row = Operation(
        occurrence.id, send.part, 0, send.kind, "pending", key, not_before=occurrence.at,
        not_after=end_of_window(context, occurrence),
    )  # fmt: skip
    return context.put("send.pending", row)


def _batches(context: Context, occurrence: Occurrence) -> list[Batch]:
    found = context.ledger.batches(owner_of(occurrence))
    return [one for one in found if (one.account, one.occurrence) == (occurrence.account, occurrence.time)]


# --- opening ------------------------------------------------------------------------------------------


def _open(
    context: Context, occurrence: Occurrence, delivery: Delivery, send: Multicast, people: frozenset[bytes]
) -> None:
    """Everybody who is not in a batch yet and may get one more; with them those whom LINE refused, after a retry."""
    now, end = context.now(occurrence.account), end_of_window(context, occurrence)
    if (end is not None and now >= end) or quiet_now(context, occurrence, now):
        return
    for batch in _batches(context, occurrence):
        if batch.state == "rejected":
            again = replace(batch, state="pending", asked=False, evidence="retry", not_after=end or batch.not_after)
            context.keep_lease()
            context.ledger.put_batch(context.lease, context.steady_now(), "batch.retry", again)
    left = sorted(people - context.ledger.was_sent(owner_of(occurrence), occurrence.time))
    capped = over_caps(context, occurrence.name, occurrence.account, left, now)
    _tell_capped(context, occurrence, [one.cap for one in capped.values()])
    wanted = [one for one in left if one not in capped]
    for some in _some(context, occurrence, delivery, send, wanted, end):
        context.keep_lease()
        context.ledger.open_batches(context.lease, context.steady_now(), "batch.open", some)


def _some(
    context: Context,
    occurrence: Occurrence,
    delivery: Delivery,
    send: Multicast,
    people: Sequence[bytes],
    end: datetime | None,
) -> Iterator[list[Opening]]:
    """The batches in the groups that are written at once; one that was made and emptied before is not made again."""
    known = {one.id for one in _batches(context, occurrence)}
    together: list[Opening] = []
    for content, persons in _contents(context, occurrence, delivery, people):
        receivers = [Receiver(one, occurrence.time) for one in persons]
        found = openings(
            context, occurrence.account, owner_of(occurrence), occurrence.time, content, receivers,
            single=send.kind == "push", latest=end,
        )  # fmt: skip
        for one in found:
            if one.batch.id not in known:
                together.append(one)
            if len(together) == _BATCHES_AT_A_TIME:
                yield together
                together = []
    if together:
        yield together


def _contents(
    context: Context, occurrence: Occurrence, delivery: Delivery, people: Sequence[bytes]
) -> Iterator[tuple[Content, Sequence[bytes]]]:
    """What is sent to whom: equal words together."""
    unit, silent = delivery.unit or "", not delivery.notification
    if delivery.personal:
        for words, some in personal_groups(context, occurrence, owner_of(occurrence), delivery, people):
            yield Content(tuple(filled(context, words)), unit, silent, personal=True), some
        return
    messages = [one for name in delivery.messages for one in context.messages.get(name, ())]
    yield Content(tuple(filled(context, messages)), unit, silent), people


def _tell_capped(context: Context, occurrence: Occurrence, caps: Sequence[Cap]) -> None:
    for cap in sorted({*caps}, key=lambda one: (one.name, one.count, one.days)):
        context.diagnostics.append(
            warning(
                "AUD0873", None, policy=cap.name, delivery=occurrence.name, count=cap.count, days=cap.days,
                people=sum(one == cap for one in caps),
            )
        )  # fmt: skip


# --- the end ------------------------------------------------------------------------------------------


def _end(context: Context, occurrence: Occurrence, operation: Operation, batches: Sequence[Batch]) -> list[PartState]:
    """Record what became of the part; LINE says of nobody whether they got it, so what counts is who was asked for."""
    reached = sum(one.count for one in batches if one.state in ("succeeded", "resolved_sent"))
    # A batch of which everybody was taken out reached whom it should.
    states = sorted({_state_of(one) for one in batches if one.evidence != "nobody"})
    final: OperationState
    if not batches:
        final = "refused_empty" if _in_window(context, occurrence) else "missed"
    elif not states:
        final = "refused_empty"
    elif "in_doubt" in states:
        final = "in_doubt"
    elif len(states) == 1:
        final = states[0]
    else:
        final = "failed" if "succeeded" in states else "rejected"
    context.put("send.listed", replace(operation, state=final, counts={"target": reached}, phase="listed"))
    context.say("listed", delivery=occurrence.name, part=operation.part + 1, people=reached)
    return list(states) if states else (["missed"] if final == "missed" else ["empty"])


def _in_window(context: Context, occurrence: Occurrence) -> bool:
    now, end = context.now(occurrence.account), end_of_window(context, occurrence)
    return (end is None or now < end) and not quiet_now(context, occurrence, now)


def _state_of(batch: Batch) -> Any:
    return {"resolved_sent": "succeeded", "resolved_not_sent": "missed"}.get(batch.state, batch.state)


def close_listed(context: Context, occurrence: Occurrence) -> None:
    """Bring the batches of an occurrence whose window has passed to their end, and its parts with them."""
    for operation in newest(context.state().operations_of(occurrence.id)):
        if operation.kind not in KINDS or over(operation) is not None:
            continue
        batches = [close(context, one) for one in _batches(context, occurrence)]
        # Cut off before its first batch, it is missed as any other part.
        if batches or not is_open(operation):
            _end(context, occurrence, operation, batches)


# --- other sends --------------------------------------------------------------------------------------


def remember_receivers(
    context: Context, occurrence: Occurrence, form: CompiledDelivery, world: World
) -> dict[str, Any]:
    """Before the first request of a delivery: everybody whom own data say its parts may reach, for caps to count. What
    the occurrence keeps of it: the parts of which that is known (`listed`), and when it began."""
    if not any(isinstance(one, Cap) for one in context.project.requirements):
        return {}
    parts, now = [], context.now(occurrence.account)
    for send in form.sends:
        bound = send.members if isinstance(send, Multicast) else send.bound if isinstance(send, Narrowcast) else None
        if bound is None or is_listed(send):
            continue
        persons = _persons(context, context.engine.members(context.engine.evaluate(bound, world.people)))
        while some := list(islice(persons, _PEOPLE_AT_A_TIME)):
            rows = [Sent(occurrence.account, owner_of(occurrence), occurrence.time, one, now) for one in some]
            context.keep_lease()
            context.ledger.remember_sent(context.lease, context.steady_now(), "send.receivers", rows)
        parts.append(send.part)
    return {"listed": parts, "began_at": iso_time(now)}
