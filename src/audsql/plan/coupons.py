"""What is to be done about each coupon: made, left as it is, replaced, closed, given up. Pure.

LINE edits no coupon, so a change makes another one and closes the first. Rules: `coupon.*` of specs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Literal, Protocol

from audsql.diag import Diagnostic, error, warning
from audsql.meaning.ir import Coupon, Delivery, Flow, Project
from audsql.plan.coupon_form import coupon_digest, coupon_request
from audsql.plan.document import Document
from audsql.plan.said import sends_of
from audsql.records import dataclass

__all__ = [
    "CouponAction", "CouponChange", "CouponInputs", "KnownCoupon", "coupon_changes", "coupon_guards",
    "coupons_document", "with_coupons",
]  # fmt: skip

CouponAction = Literal[
    "create",  # LINE has none yet, or nobody knows
    "keep",
    "replace",  # another one is made, the one before is closed
    "move",  # goes on under another name
    "close",
    "let_go",  # runs on at LINE and is nobody's here
    "leave",  # left the specs, and nobody said what becomes of it
    "ended",  # its time is over
    "closed_elsewhere",
]
_CHANGES = {"create": "add", "replace": "change", "move": "change", "let_go": "change", "close": "delete"}
_ACTIVE = ("send", "schedule", "update", "keep", "resume")
_OVER = ("closed", "closing", "kept")


class KnownCoupon(Protocol):
    """A row of the state (`audsql.apply.state.HeldCoupon`)."""

    @property
    def name(self) -> str: ...
    @property
    def generation(self) -> int: ...
    @property
    def account(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def document(self) -> Mapping[str, Any]: ...
    @property
    def coupon_id(self) -> str | None: ...
    @property
    def expires_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class CouponInputs:
    """`rows`: what the state knows. `running`: whether LINE still has a coupon running, by LINE's id; what is missing
    was not asked. `prune`: coupons that left the specs are closed."""

    rows: Sequence[KnownCoupon] = ()
    running: Mapping[str, bool] = field(default_factory=dict)
    prune: bool = False


@dataclass(frozen=True, slots=True)
class CouponChange:
    """`name`: as it is called now. `old`: the name of the row, where it moved. `coupon` None: it left the specs.
    `row`: the generation that stands until now. `generation`: that of the row to come."""

    name: str
    action: CouponAction
    account: str
    coupon: Coupon | None
    row: KnownCoupon | None
    generation: int
    digest: str
    old: str = ""


def coupon_changes(project: Project, inputs: CouponInputs, now: datetime) -> tuple[CouponChange, ...]:
    """One for each coupon that is declared or that the state still answers for, by name."""
    live = {row.name: row for row in sorted(inputs.rows, key=lambda row: row.generation) if row.state not in _OVER}
    moves = {one.new: one.old for one in project.moved if one.kind == "coupon" and one.old in live}
    found = [_declared(one, project, inputs, live, moves, now) for one in project.coupons]
    taken = {one.name for one in project.coupons} | set(moves.values())
    found += [_gone(row, project, inputs, now) for name, row in live.items() if name not in taken]
    return tuple(sorted(found, key=lambda one: one.name))


def _declared(
    coupon: Coupon,
    project: Project,
    inputs: CouponInputs,
    live: Mapping[str, KnownCoupon],
    moves: Mapping[str, str],
    now: datetime,
) -> CouponChange:
    digest = coupon_digest(coupon_request(coupon, project))
    old = moves.get(coupon.name, "") if coupon.name not in live else ""
    row = live.get(old or coupon.name)
    last = max((one.generation for one in inputs.rows if one.name == coupon.name), default=0)
    same = row is not None and row.digest == digest and row.account == coupon.account
    action: CouponAction
    if coupon.end <= now:
        action = "ended"
    elif row is None or (same and row.state == "creating"):
        action = "create"
    elif not same:
        action = "replace"
    elif inputs.running.get(row.coupon_id or "") is False:
        action = "closed_elsewhere"
    else:
        action = "move" if old else "keep"
    stays = row is not None and same and not old
    generation = row.generation if row is not None and stays else last + 1
    return CouponChange(coupon.name, action, coupon.account, coupon, row, generation, digest, old)


def _gone(row: KnownCoupon, project: Project, inputs: CouponInputs, now: datetime) -> CouponChange:
    removed = next((one.action for one in project.removed if one.name == row.name), None)
    action: CouponAction = "leave"
    if (row.expires_at is not None and row.expires_at <= now) or inputs.running.get(row.coupon_id or "") is False:
        action = "ended"
    elif removed == "keep":
        action = "let_go"
    elif removed == "delete" or inputs.prune:
        action = "close"
    return CouponChange(row.name, action, row.account, None, row, row.generation, row.digest)


# --- in the plan ----------------------------------------------------------------------------------------


def coupons_document(project: Project, inputs: CouponInputs, now: datetime) -> list[Document]:
    """The section of a plan. `request`: the body that creates it, where one is to be created."""
    return [_document(one, project) for one in coupon_changes(project, inputs, now)]


def _document(change: CouponChange, project: Project) -> Document:
    coupon, row = change.coupon, change.row
    new = change.action in ("create", "replace") and coupon is not None
    title = coupon.title if coupon is not None else str(row.document.get("title", "")) if row is not None else ""
    end = coupon.end if coupon is not None else row.expires_at if row is not None else None
    return {
        "address": f"coupon.{change.name}",
        "account": change.account,
        "action": change.action,
        "title": title,
        "until": end.isoformat(timespec="seconds") if end else None,
        "generation": change.generation,
        "digest": change.digest,
        "coupon_id": row.coupon_id if row is not None else None,
        **({"moved_from": change.old} if change.old else {}),
        **({"request": coupon_request(coupon, project)} if new and coupon is not None else {}),
    }


def with_coupons(summary: Document, rows: Sequence[Document]) -> Document:
    """The plan's summary with its coupons counted."""
    counts = dict(summary)
    for row in rows:
        kind = _CHANGES.get(row["action"])
        if kind is not None:
            counts[kind] += 1
            counts["changes"] = True
    return counts


# --- guards ---------------------------------------------------------------------------------------------


def coupon_guards(
    project: Project, inputs: CouponInputs, active: Sequence[Delivery | Flow], now: datetime
) -> Iterator[Diagnostic]:
    """`active`: the deliveries and flows that still send something."""
    senders = _senders(project, active)
    for change in coupon_changes(project, inputs, now):
        coupon = change.coupon
        if coupon is None:
            if change.action == "leave":
                yield warning("AUD0836", None, coupon=change.name)
            continue
        sender = senders.get(coupon.name)
        if change.action in ("ended", "closed_elsewhere") and sender is not None:
            ended = change.action == "ended"
            yield error("AUD0835", coupon.span, coupon=coupon.name, sender=sender, ended=ended)
        elif change.action == "closed_elsewhere":
            yield warning("AUD0838", coupon.span, coupon=coupon.name)
        elif change.action == "replace" and change.row is not None and change.row.state != "creating":
            yield warning("AUD0837", coupon.span, coupon=coupon.name)


def _senders(project: Project, active: Sequence[Delivery | Flow]) -> dict[str, str]:
    """By coupon the first delivery or flow that sends it."""
    named = {one.name: one.coupon_name for one in project.messages if one.coupon_name}
    found: dict[str, str] = {}
    for owner in active:
        for _, names in sends_of(owner):
            for name in names:
                if name in named:
                    found.setdefault(str(named[name]), owner.name)
    return found
