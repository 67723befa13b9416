"""Coupons and codes, in the points of an explanation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from audsql.diag import Fact
from audsql.meaning import ir

__all__ = ["about_codes", "about_coupon"]

Document = dict[str, Any]


def about_codes(pool: ir.CodePool) -> Iterator[Document]:
    """Where the codes stand."""
    yield _point("codes_of", file=pool.file)
    if pool.column is not None:
        yield _point("codes_column", column=pool.column)


def about_coupon(coupon: ir.Coupon, zone: ZoneInfo) -> Iterator[Document]:
    """What a coupon is good for, when, and for whom; `zone` is the project's."""
    yield _point("coupon_title", value=coupon.title)
    start, end = (moment.astimezone(zone).strftime("%Y-%m-%d %H:%M") for moment in (coupon.start, coupon.end))
    yield _point("coupon_valid", start=start, end=end, zone=zone.key)
    yield from _reward(coupon.reward)
    yield _point("coupon_once" if coupon.once else "coupon_unlimited")
    yield _point("coupon_public" if coupon.public else "coupon_unlisted")
    if coupon.lottery_percent is not None:
        yield _point("coupon_lottery", percent=coupon.lottery_percent)
    if coupon.winners is not None:
        yield _point("coupon_winners", count=coupon.winners)
    yield _point("by_account", account=coupon.account)


def _reward(reward: ir.Reward) -> Iterator[Document]:
    if reward.percent is not None:
        yield _point(f"coupon_{reward.kind}_percent", percent=reward.percent)
    elif reward.amount is not None:
        yield _point(f"coupon_{reward.kind}_amount", amount=reward.amount)
    elif reward.price is not None:
        yield _point("coupon_price", price=reward.price, original=reward.original)
    else:
        yield _point(f"coupon_{reward.kind}")


def _point(say: str, **facts: Fact) -> Document:
    return {"say": say, "facts": facts}
