"""The coupons of a plan in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audsql.catalog import word
from audsql.view.terminal import neutralise

__all__ = ["COUPON_SIGNS", "coupon_reason", "coupon_rows"]

COUPON_SIGNS = {
    "create": "+", "replace": "~", "move": "~", "close": "-", "let_go": "~", "leave": ".", "closed_elsewhere": "!",
}  # fmt: skip


def coupon_rows(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those that something is done about, or that a person should know of."""
    return (one for one in document.get("coupons", ()) if one["action"] in COUPON_SIGNS)


def coupon_reason(coupon: Mapping[str, Any], language: str) -> str:
    """What is done about a coupon, with its title."""
    old = neutralise(coupon.get("moved_from", ""))
    done = word(f"coupon.{coupon['action']}", language, old=old)
    return f"{neutralise(coupon['title'])}: {done}"
