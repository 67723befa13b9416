"""What a send looks at last about the audiences that it names: counts that LINE tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from audsql.apply.audiences import Ready
from audsql.apply.context import Context
from audsql.compile.program import AudienceLeaf, Narrowcast, Send, recipient_leaves
from audsql.diag import Diagnostic, error
from audsql.line.limits import AUDIENCE_RECIPIENTS_MIN, MINIMUM_EXEMPT_AUDIENCE_TYPES
from audsql.line.outcome import Found
from audsql.meaning.ir import Delivery

__all__ = ["counted_again", "keys_of", "may_be_named"]


def keys_of(sends: Iterable[Send]) -> tuple[str, ...]:
    """The audiences that these sends name, by key."""
    leaves = [leaf for send in sends if isinstance(send, Narrowcast) for leaf in recipient_leaves(send.recipient)]
    return tuple(sorted({leaf.key for leaf in leaves if isinstance(leaf, AudienceLeaf)}))


def counted_again(context: Context, ready: Mapping[str, Ready], keys: Iterable[str], account: str) -> dict[str, Ready]:
    """What LINE counts in these audiences now: a send before this one may have taken hours.

    One that cannot be looked at keeps the count of before; LINE itself refuses one that is gone.
    """
    found = {key: ready[key] for key in keys}
    for key, before in found.items():
        outcome = context.client(account).audience(before.remote_id)
        if isinstance(outcome, Found):
            found[key] = replace(before, count=outcome.value.audience.count or 0)
    return found


def may_be_named(context: Context, delivery: Delivery, ready: Mapping[str, Ready]) -> bool:
    """Whether a send may name these audiences; where not, the reasons are reported.

    Rules apply.shortfall, apply.surplus and apply.small of specs/operations.md.
    """
    uploads = {upload.key for upload in context.program.uploads}
    found: list[Diagnostic] = []
    for key, one in sorted(ready.items()):
        found += _of_upload(context, delivery, one) if key in uploads else _of_audience(context, one)
    context.diagnostics.extend(found)
    return not found


def _of_upload(context: Context, delivery: Delivery, one: Ready) -> list[Diagnostic]:
    """Fewer people than were uploaded: who is missing is not excluded. More: somebody else changed it."""
    upload = context.program.upload(one.key)
    if one.size is None:
        return []
    if one.count > one.size:
        return [error("AUD0860", None, label=upload.label, count=one.count, uploaded=one.size)]
    if not upload.negated or one.count == one.size or delivery.allow_shortfall:
        return []
    missing = one.size - one.count
    place = delivery.span
    return [
        error("AUD0850", place, delivery=delivery.name, label=upload.label, missing=missing, uploaded=one.size)
    ]  # fmt: skip


def _of_audience(context: Context, one: Ready) -> list[Diagnostic]:
    """LINE sends nothing around an audience of its own with fewer people, included or excluded."""
    audience = context.program.audience(one.key)
    if audience.kind in MINIMUM_EXEMPT_AUDIENCE_TYPES or one.count >= AUDIENCE_RECIPIENTS_MIN:
        return []
    name = audience.name or audience.label
    return [error("AUD0714", None, name=name, kind=audience.kind, minimum=AUDIENCE_RECIPIENTS_MIN)]
