"""The coupons of an account, for a simulated one that sends what the real one would."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from audsql.line.outcome import Found

if TYPE_CHECKING:
    from audsql.apply.state import State
    from audsql.line.client import LineClient
    from audsql.meaning.ir import Project

__all__ = ["coupons_copied"]

Document = dict[str, Any]
_OF_THE_ANSWER = ("couponId", "createdTimestamp", "maxTicketPerUser", "status")


def coupons_copied(client: LineClient, state: State, project: Project) -> list[Document]:
    """Those that the state made and those that messages name by their ids, as far as LINE has them (`coupons` of an
    account in specs/schemas/world.schema.json)."""
    ids = {row.coupon_id for row in state.coupons if row.account == client.account and row.coupon_id}
    ids |= {message.coupon for message in project.messages if message.coupon}
    found: list[Document] = []
    for coupon_id in sorted(ids):
        outcome = client.coupon(coupon_id)
        if isinstance(outcome, Found):
            found.append(_copied(outcome.value.id, outcome.value.fields, outcome.value.status))
    return found


def _copied(coupon_id: str, fields: Any, status: str) -> Document:
    created = datetime.fromtimestamp(int(fields.get("createdTimestamp") or 0), UTC).isoformat()
    body = {name: value for name, value in fields.items() if name not in _OF_THE_ANSWER}
    reward = body.get("reward")
    if isinstance(reward, dict) and isinstance(reward.get("priceInfo"), dict):
        price = {name: value for name, value in reward["priceInfo"].items() if name != "currency"}
        body["reward"] = {**reward, "priceInfo": price}
    closed = {"closed": created} if status == "CLOSED" else {}
    return {"couponId": coupon_id, "created": created, "document": body, **closed}
