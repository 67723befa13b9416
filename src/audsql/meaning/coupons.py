"""Coupons that LINE holds, and codes of your own that each person gets one of.

Normative: specs/language/05-statements.md, `coupons.*` and `codes.*`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from decimal import Decimal

from audsql.diag import Bag, Label, error
from audsql.line import limits
from audsql.meaning import ir
from audsql.meaning.entries import Reader, reader
from audsql.meaning.names import Symbols
from audsql.meaning.values import plain_text
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["check_coupons", "lower_codes", "lower_coupon"]

_REWARDS = ("discount", "cash_back", "price", "reward")
_PERCENT_MIN, _PERCENT_MAX = 1, limits.COUPON_PERCENT_MAX


def lower_codes(block: ast.Block, zone: tzinfo, bag: Bag) -> ir.CodePool | None:
    """A file of codes; None where it has errors."""
    entries = reader(block, zone, bag)
    entries.require("file")
    file, column = entries.string("file"), entries.word("column")
    if entries.broken or file is None:
        return None
    return ir.CodePool(block.name.text, file, column, block.description, block.name.span)


def lower_coupon(
    block: ast.Block, account_of: Callable[[Reader], str | None], zone: tzinfo, bag: Bag
) -> ir.Coupon | None:
    """A coupon; None where it has errors. `account_of` finds whose it is, and tells where that is open."""
    entries = reader(block, zone, bag)
    for key in ("title", "from", "until"):
        entries.require(key)
    title = _text(entries, "title", limits.COUPON_TITLE_CHARACTERS_MAX)
    text = _text(entries, "text", limits.COUPON_DESCRIPTION_CHARACTERS_MAX)
    condition = _text(entries, "condition", limits.COUPON_CONDITION_CHARACTERS_MAX)
    image, barcode, code = _link(entries, "image"), _link(entries, "barcode"), entries.string("code")
    start, end = entries.moment("from", needs_time=False), entries.moment("until", needs_time=False)
    until = entries.get("until")
    if start is not None and end is not None and until is not None and end <= start:
        entries.fail()
        bag.add(error("AUD0309", until.span, low=_clock(start), high=_clock(end)))
    reward = _reward(entries)
    visibility = entries.choice("visibility", ("unlisted", "public"))
    uses = entries.choice("uses", ("once", "unlimited"))
    lottery = _percent(entries, "lottery")
    winners = _whole(entries, "winners", limits.COUPON_WINNERS_MAX)
    if "winners" in entries.entries:
        entries.require("lottery")
    account = account_of(entries)
    if entries.broken or account is None or title is None or start is None or end is None or reward is None:
        return None
    return ir.Coupon(
        block.name.text, account, title, start, end, reward, text or "", condition or "", image or "", barcode or "",
        code or "", visibility == "public", uses != "unlimited", lottery, winners, block.description, block.name.span,
    )  # fmt: skip


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _place(entry: ast.Entry) -> Span:
    return getattr(entry.value, "span", entry.span)


def _text(entries: Reader, key: str, limit: int) -> str | None:
    """A text that LINE takes: its limits count UTF-16 code units."""
    text, entry = entries.string(key), entries.get(key)
    if text is None or entry is None:
        return text
    count = len(text.encode("utf-16-le")) // 2
    if count > limit:
        entries.fail()
        entries.bag.add(error("AUD0393", _place(entry), entry=key, count=count, limit=limit))
    return text


def _link(entries: Reader, key: str) -> str | None:
    text, entry = entries.string(key), entries.get(key)
    if text is not None and entry is not None and not text.startswith("https://"):
        entries.wrong(entry)
    return text


# --- what a coupon is good for --------------------------------------------------------------------------


def _reward(entries: Reader) -> ir.Reward | None:
    """The one thing that a coupon is good for."""
    written = [entry for key in _REWARDS if (entry := entries.get(key)) is not None]
    if len(written) != 1:
        if not entries.unknown:
            block = entries.block
            place = written[1].key.span if written else block.name.span
            labels = [Label(written[0].key.span, "first")] if written else []
            entries.bag.add(error("AUD0392", place, labels=labels, coupon=block.name.text, none=not written))
        entries.fail()
        return None
    key = written[0].key.text
    if "original" in entries.entries and key != "price":
        entries.require("price")
    if key == "reward":
        kind = entries.choice("reward", ("free", "gift", "others"))
        return None if kind is None else ir.Reward(kind)  # type: ignore[arg-type]
    if key == "price":
        entries.require("original")
        price, original = _whole(entries, "price"), _whole(entries, "original")
        return None if price is None or original is None else ir.Reward("discount", price=price, original=original)
    if isinstance(written[0].value, ast.Percent):
        percent = _percent(entries, key)
        return None if percent is None else ir.Reward(key, percent=percent)  # type: ignore[arg-type]
    amount = _whole(entries, key)
    return None if amount is None else ir.Reward(key, amount=amount)  # type: ignore[arg-type]


def _percent(entries: Reader, key: str) -> int | None:
    """A whole percentage of which LINE takes 1 to 99."""
    entry = entries.get(key)
    if entry is None:
        return None
    value = entry.value.value if isinstance(entry.value, ast.Percent) else None
    if value is None:
        entries.wrong(entry)
        return None
    return _within(entries, entry, value, _PERCENT_MIN, _PERCENT_MAX)


def _whole(entries: Reader, key: str, maximum: int | None = None) -> int | None:
    count, entry = entries.count(key), entries.get(key)
    if count is None or entry is None or maximum is None:
        return count
    return _within(entries, entry, Decimal(count), 1, maximum)


def _within(entries: Reader, entry: ast.Entry, value: Decimal, minimum: int, maximum: int) -> int | None:
    if minimum <= value <= maximum and value == int(value):
        return int(value)
    entries.fail()
    key = entry.key.text
    entries.bag.add(error("AUD0394", _place(entry), entry=key, minimum=minimum, maximum=maximum))
    return None


# --- where coupons are sent -----------------------------------------------------------------------------


def check_coupons(project: ir.Project, symbols: Symbols, bag: Bag) -> None:
    """Coupons are sent by the account that has them, while they are good for something."""
    coupons = {coupon.name: coupon for coupon in project.coupons}
    named = {one.name: one.coupon_name for one in project.messages if one.coupon_name}
    if not named:
        return
    owners: tuple[ir.Delivery | ir.Flow, ...] = (*project.deliveries, *project.flows)
    for owner in owners:
        symbol = symbols.get(owner.name)
        for name, place in _sent_in(symbol.node) if symbol else ():
            coupon = coupons.get(named.get(name, ""))
            at = owner.at if isinstance(owner, ir.Delivery) else None
            if coupon is None:
                continue
            if coupon.account != owner.account:
                bag.add(
                    error("AUD0395", place, sender=owner.name, coupon=coupon.name, account=coupon.account,
                          other=owner.account)
                )  # fmt: skip
            elif at is not None and at >= coupon.end:
                end, time = _clock(coupon.end), _clock(at)
                bag.add(error("AUD0396", place, sender=owner.name, coupon=coupon.name, end=end, at=time))


def _sent_in(node: object) -> Iterator[tuple[str, Span]]:
    """The messages that a delivery or a flow sends, each where it is written; no recursion."""
    if isinstance(node, ast.Block):
        for entry in node.entries:
            if entry.key.text == "send" and isinstance(entry.value, tuple):
                yield from ((one.text, one.span) for one in entry.value if isinstance(one, (ast.Word, ast.Text)))
    waiting: list[object] = list(node.items) if isinstance(node, ast.Flow) else []
    while waiting:
        step = waiting.pop(0)
        if isinstance(step, ast.SendStep):
            yield from ((one.text, one.span) for one in step.messages)
        elif isinstance(step, ast.Branch):
            waiting[:0] = [inner for arm in step.arms for inner in arm.steps]


def coupon_word(value: object) -> bool:
    """Whether the coupon of a message is named rather than given by its id."""
    return isinstance(value, ast.Word) and plain_text(value) is not None
