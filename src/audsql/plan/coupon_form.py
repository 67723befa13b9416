"""A declared coupon as LINE takes it, its digest, and what stands for its id in messages until it has one. Pure.

Rules: `coupon.*` of specs/operations.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audsql.line import limits
from audsql.line.messages import coupon_message
from audsql.meaning.ir import Coupon, Project, Reward
from audsql.plan.document import digest_of

__all__ = ["coupon_digest", "coupon_request", "coupons_named", "has_placeholder", "named_message", "placeholder"]

_DIGEST_DIGITS = 12
_PLACEHOLDER = re.compile(r"coupon:(.+)@([0-9a-f]{12})", re.DOTALL)
_REWARDS = {"discount": "discount", "cash_back": "cashBack", "free": "free", "gift": "gift", "others": "others"}


def coupon_request(coupon: Coupon, project: Project) -> dict[str, Any]:
    """The body that creates it. Optional fields that were not written are left out."""
    texts = {
        "description": coupon.text, "usageCondition": coupon.condition, "imageUrl": coupon.image,
        "barcodeImageUrl": coupon.barcode, "couponCode": coupon.code,
    }  # fmt: skip
    return {
        "title": coupon.title,
        **{name: text for name, text in texts.items() if text},
        "startTimestamp": int(coupon.start.timestamp()),
        "endTimestamp": int(coupon.end.timestamp()),
        "timezone": _zone(coupon, project),
        "visibility": "PUBLIC" if coupon.public else "UNLISTED",
        "maxUseCountPerTicket": 1 if coupon.once else limits.COUPON_UNLIMITED,
        "acquisitionCondition": _condition(coupon),
        "reward": _reward(coupon.reward),
    }


def _zone(coupon: Coupon, project: Project) -> str:
    """In which zone LINE shows its times: the project's where LINE has a word for it, else that of the region."""
    own = project.timezone.upper().replace("/", "_")
    if own in limits.COUPON_ZONES:
        return own
    region = next((one.region for one in project.accounts if one.name == coupon.account), "jp")
    return limits.COUPON_ZONES_BY_REGION.get(region, limits.COUPON_ZONES_BY_REGION["jp"])


def _condition(coupon: Coupon) -> dict[str, Any]:
    if coupon.lottery_percent is None:
        return {"type": "normal"}
    winners = limits.COUPON_UNLIMITED if coupon.winners is None else coupon.winners
    return {"type": "lottery", "lotteryProbability": coupon.lottery_percent, "maxAcquireCount": winners}


def _reward(reward: Reward) -> dict[str, Any]:
    kind = {"type": _REWARDS[reward.kind]}
    if reward.percent is not None:
        return {**kind, "priceInfo": {"type": "percentage", "percentage": reward.percent}}
    if reward.amount is not None:
        return {**kind, "priceInfo": {"type": "fixed", "fixedAmount": reward.amount}}
    if reward.price is not None:
        price = {"type": "explicit", "priceAfterDiscount": reward.price, "originalPrice": reward.original}
        return {**kind, "priceInfo": price}
    return dict(kind)


def coupon_digest(request: Mapping[str, Any]) -> str:
    """`sha256:…` of the body that creates a coupon: another digest is another coupon, since LINE edits none."""
    return digest_of(dict(request))


# --- in messages ----------------------------------------------------------------------------------------


def placeholder(name: str, digest: str) -> str:
    """What stands for the id of a declared coupon in what is planned, approved and compared."""
    return f"coupon:{name}@{digest.removeprefix('sha256:')[:_DIGEST_DIGITS]}"


def named_message(name: str, project: Project) -> dict[str, object] | None:
    """The message object of a declared coupon; None where there is none of that name."""
    coupon = next((one for one in project.coupons if one.name == name), None)
    return None if coupon is None else coupon_message(placeholder(name, coupon_digest(coupon_request(coupon, project))))


def has_placeholder(message: object) -> bool:
    """Whether a message object waits for the id of a coupon."""
    return any(True for _ in coupons_named([message]))


def coupons_named(messages: Sequence[object]) -> Iterator[tuple[str, str]]:
    """The declared coupons in message objects: their names and the first digits of their digests."""
    for message in messages:
        if isinstance(message, Mapping) and message.get("type") == "coupon":
            match = _PLACEHOLDER.fullmatch(str(message.get("couponId")))
            if match:
                yield match[1], match[2]
