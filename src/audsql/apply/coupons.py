"""Coupons at LINE: created, found again, closed, and their ids put into messages.

The intent is durable before a request leaves. An answer that was lost is found by looking: a running coupon with all
that this one was to be created with is taken up, so that none is made twice. Rules: `coupon.*` of specs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from audsql.apply.context import Context, Stop
from audsql.apply.state import UNSTORED, HeldCoupon, State
from audsql.diag import error
from audsql.line.client import LineClient
from audsql.line.outcome import Accepted, Found, Limited, Refused, Unknown
from audsql.plan.coupon_form import coupons_named, placeholder
from audsql.plan.document import canonical

__all__ = ["approved_coupons", "checkable", "close_coupons", "create_coupons", "filled", "running_coupons"]

_GONE = (404, 410)


def approved_coupons(state: State, plan: Mapping[str, Any]) -> Iterator[HeldCoupon]:
    """The rows of what a plan says about coupons, written with its approval."""
    for entry in plan.get("coupons", ()):
        name, action = entry["address"].removeprefix("coupon."), entry["action"]
        before = _row(state, entry.get("moved_from", name), entry["coupon_id"])
        if action in ("create", "replace"):
            known = next((row for row in state.coupons if row.id == f"{name}#{entry['generation']}"), None)
            if known is None:
                yield HeldCoupon(
                    name, entry["generation"], entry["account"], "creating", entry["digest"], entry["request"],
                    expires_at=datetime.fromisoformat(entry["until"]).astimezone(UTC),
                )  # fmt: skip
        if before is None:
            continue
        if action == "move":
            yield replace(before, name=name, generation=entry["generation"], stamp=UNSTORED)
            yield replace(before, state="kept")
        elif action == "replace":
            # One that was never made has nothing to close.
            yield replace(before, state="closing" if before.coupon_id else "closed")
        elif action == "close":
            yield replace(before, state="closing")
        elif action in ("let_go", "ended"):
            yield replace(before, state="kept" if action == "let_go" else "closed")


def _row(state: State, name: str, coupon_id: str | None) -> HeldCoupon | None:
    """The generation of that name that stands."""
    rows = [row for row in state.coupons if row.name == name and row.state in ("creating", "running")]
    return next((row for row in rows if row.coupon_id == coupon_id), None)


def running_coupons(state: State, clients: Mapping[str, LineClient]) -> dict[str, bool]:
    """By LINE's id whether each coupon of the state still runs; what LINE does not say is left out."""
    found: dict[str, bool] = {}
    for row in state.coupons:
        client = clients.get(row.account)
        if row.state != "running" or row.coupon_id is None or client is None:
            continue
        outcome = client.coupon(row.coupon_id)
        if isinstance(outcome, Found):
            found[row.coupon_id] = outcome.value.status == "RUNNING"
        elif isinstance(outcome, Refused) and outcome.status == 404:
            found[row.coupon_id] = False
    return found


# --- at LINE --------------------------------------------------------------------------------------------


def create_coupons(context: Context) -> None:
    """Create what was approved. Raises Stop where one cannot be created: what would be sent with it must not go."""
    for row in context.state().coupons:
        if row.state == "creating" and row.account in context.clients:
            _create(context, row)


def close_coupons(context: Context) -> None:
    """Close what was given up and nothing that waits may still be sent with."""
    for row in context.state().coupons:
        if row.state == "closing" and row.account in context.clients and not _is_needed(context, row):
            _close(context, row)


def _create(context: Context, row: HeldCoupon) -> None:
    client = context.client(row.account)
    found = _found(context, row)
    if found is not None:
        context.put("coupon.adopted", replace(row, state="running", coupon_id=found))
        context.say("coupon_adopted", coupon=row.name)
        return
    row = context.put("coupon.intent", replace(row, created_at=row.created_at or context.now(row.account)))
    outcome = context.request("coupon", lambda: client.create_coupon(row.document))
    made = _made_id(outcome)
    if made is None and isinstance(outcome, Accepted | Unknown):
        # The answer was lost: LINE's list knows.
        made = _found(context, row)
    if made is None:
        raise Stop(4, (_not_made(row, outcome),))
    context.put("coupon.created", replace(row, state="running", coupon_id=made))
    context.say("coupon_created", coupon=row.name)


def _made_id(outcome: object) -> str | None:
    made = outcome.body.get("couponId") if isinstance(outcome, Accepted) else None
    return made if isinstance(made, str) and made else None


def _not_made(row: HeldCoupon, outcome: object) -> Any:
    match outcome:
        case Refused():
            detail = ", ".join(outcome.codes) or outcome.message
            return error("AUD0839", None, coupon=row.name, place=outcome.property_name, detail=detail or None)
        case Limited() | _:
            return error("AUD0839", None, coupon=row.name, place=None, detail=None)


def _found(context: Context, row: HeldCoupon) -> str | None:
    """LINE's id of a running coupon with all that this one is created with, which no other row has. Raises Stop where
    LINE does not say: a second one could be made."""
    client = context.client(row.account)
    listed = client.running_coupons()
    if not isinstance(listed, Found):
        raise Stop(4, (error("AUD0839", None, coupon=row.name, place=None, detail=None),))
    taken = {one.coupon_id for one in context.state().coupons}
    for one in listed.value:
        if one.title != row.document["title"] or one.id in taken:
            continue
        detail = client.coupon(one.id)
        if isinstance(detail, Found) and _says(detail.value.fields, row.document):
            return one.id
    return None


def _says(found: Any, wanted: Any) -> bool:
    """Whether all that was written stands in what LINE has; LINE adds fields of its own."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_says(found.get(key), value) for key, value in wanted.items())
    return bool(found == wanted)


def _close(context: Context, row: HeldCoupon) -> None:
    coupon_id = row.coupon_id
    if coupon_id is not None:
        outcome = context.request("coupon", lambda: context.client(row.account).close_coupon(coupon_id))
        gone = isinstance(outcome, Refused) and outcome.status in _GONE
        if not isinstance(outcome, Accepted) and not gone:
            # Nothing waits for it: the next run asks again.
            context.say("coupon_close_later", coupon=row.name)
            return
    context.put("coupon.closed", replace(row, state="closed"))
    context.say("coupon_closed", coupon=row.name)


def _is_needed(context: Context, row: HeldCoupon) -> bool:
    """Whether something that waits or is on its way may still be sent with it."""
    state, text = context.state(), placeholder(row.name, row.digest)
    if any(one.account == row.account and one.state == "sending" for one in state.occurrences):
        return True
    versions = (one for one in state.flow_versions if one.state != "closed")
    if any(text in canonical(dict(one.document)).decode() for one in versions):
        return True
    open_batches = context.ledger.batches(states=("pending", "intent", "in_doubt"))
    return any(one.account == row.account for one in open_batches)


# --- in messages ----------------------------------------------------------------------------------------


def filled(context: Context, messages: Sequence[Any]) -> list[Any]:
    """The message objects with the ids of declared coupons in place of what stood for them. Raises Stop where LINE has
    no such coupon running."""
    return [_filled(context, one) if any(True for _ in coupons_named([one])) else one for one in messages]


def _filled(context: Context, message: Mapping[str, Any]) -> dict[str, Any]:
    name, digits = next(coupons_named([message]))
    rows = [
        row for row in context.state().coupons
        if row.coupon_id and row.state in ("running", "closing", "kept") and row.digest.startswith(f"sha256:{digits}")
    ]  # fmt: skip
    row = next((row for row in rows if row.name == name), rows[0] if rows else None)
    if row is None:
        raise Stop(5, (error("AUD0835", None, coupon=name, sender=None, ended=False),))
    return {**message, "couponId": row.coupon_id}


def checkable(messages: Sequence[Any]) -> list[Any]:
    """The message objects that LINE can check before the coupons in them exist."""
    return [one for one in messages if not any(True for _ in coupons_named([one]))]
