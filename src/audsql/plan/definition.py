"""What a delivery says, as a document: the part of it that a reviewer approves and that data never changes.

Its digest decides whether a delivery that was approved earlier is still the same one when its time
comes, and whether one that was sent has been edited since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from audsql.compile.program import (
    AgeBetween,
    AllFilters,
    AllOf,
    AnyFilter,
    AnyOf,
    AreaIn,
    AudienceLeaf,
    CompiledDelivery,
    Filter,
    FriendForBetween,
    GenderIn,
    Multicast,
    Narrowcast,
    NoneOf,
    NotFilter,
    OsIn,
    Recipient,
    RedeliveryLeaf,
    Send,
)
from audsql.meaning.ir import Delivery
from audsql.plan.document import digest_of

__all__ = [
    "EVERY",
    "accepted_definitions",
    "content_digest",
    "definition",
    "definition_digest",
    "filter_document",
    "occurrence_at",
    "occurrence_time",
    "recipient_document",
]


EVERY = "every"
"""In place of the time: the repetition itself, whose times are occurrences of their own."""


def recipient_document(tree: Recipient | None) -> Any:
    """A recipient tree with the keys of audiences in place of LINE's ids."""
    match tree:
        case None:
            return None
        case AudienceLeaf(key):
            return {"audience": key}
        case RedeliveryLeaf(delivery, part):
            return {"redelivery": delivery, "part": part}
        case AllOf(operands):
            return {"and": [recipient_document(operand) for operand in operands]}
        case AnyOf(operands):
            return {"or": [recipient_document(operand) for operand in operands]}
        case NoneOf(operand):
            return {"not": recipient_document(operand)}


def filter_document(tree: Filter | None) -> Any:
    """A demographic filter as a document of the same shape as LINE's."""
    match tree:
        case None:
            return None
        case GenderIn(values):
            return {"gender": list(values)}
        case OsIn(values):
            return {"os": list(values)}
        case AreaIn(values):
            return {"area": list(values)}
        case AgeBetween(gte, lt):
            return {"age": [gte, lt]}
        case FriendForBetween(gte, lt):
            return {"friend_for": [gte, lt]}
        case AllFilters(operands):
            return {"and": [filter_document(operand) for operand in operands]}
        case AnyFilter(operands):
            return {"or": [filter_document(operand) for operand in operands]}
        case NotFilter(operand):
            return {"not": filter_document(operand)}


def _send_document(send: Send) -> dict[str, Any]:
    if isinstance(send, Narrowcast):
        return {
            "part": send.part,
            "kind": send.kind,
            "recipient": recipient_document(send.recipient),
            "filter": filter_document(send.filter),
            "everybody": send.everybody,
        }
    if isinstance(send, Multicast):
        return {"part": send.part, "kind": send.kind, "members": send.members.key}
    return {"part": send.part, "kind": send.kind}


def occurrence_time(delivery: Delivery) -> str:
    """The scheduled time that identifies the occurrence, in UTC; `once` where none is written, `every` of what is
    repeated."""
    if delivery.every is not None:
        return EVERY
    return "once" if delivery.at is None else occurrence_at(delivery.at)


def occurrence_at(instant: datetime) -> str:
    """The identity of an occurrence of this scheduled time."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def definition(delivery: Delivery, compiled: CompiledDelivery, messages: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """`messages`: LINE message objects by message name."""
    return {
        "delivery": delivery.name,
        "account": delivery.account,
        "occurrence": occurrence_time(delivery),
        "reach": compiled.reach.key,
        "sends": [_send_document(send) for send in compiled.sends],
        "messages": [message for name in delivery.messages for message in messages.get(name, ())],
        "limit": delivery.limit,
        "expect": list(delivery.expect) if delivery.expect else None,
        "quota": delivery.quota,
        "notification": delivery.notification,
        "unit": delivery.unit,
        "allow_shortfall": delivery.allow_shortfall,
        **({"every": repr(delivery.every)} if delivery.every is not None else {}),
        **({"filled_in": delivery.filled_in} if delivery.filled_in else {}),
    }


def definition_digest(delivery: Delivery, compiled: CompiledDelivery, messages: Mapping[str, Sequence[Any]]) -> str:
    return digest_of(definition(delivery, compiled, messages))


def accepted_definitions(
    delivery: Delivery, compiled: CompiledDelivery, messages: Mapping[str, Sequence[Any]]
) -> tuple[str, ...]:
    """The digests that stand for this delivery: its own, and the one of version 0.1, which held the text of `to`."""
    now = definition(delivery, compiled, messages)
    return digest_of(now), digest_of({**now, "to": delivery.to_text})


def content_digest(delivery: Delivery, messages: Mapping[str, Sequence[Any]]) -> str:
    """Of the messages that people see, whatever they are called."""
    return digest_of([message for name in delivery.messages for message in messages.get(name, ())])
