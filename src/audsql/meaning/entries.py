"""Entries of blocks: which keys a statement has, what they hold, and reading them with every mistake told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from math import ceil
from typing import TypeVar

from audsql.diag import Bag, Label, error
from audsql.meaning import values
from audsql.meaning.conditions import date_words
from audsql.meaning.names import fix_near, nearest, unknown_parameter
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["ENTRIES", "Reader", "reader"]

T = TypeVar("T")

# The keys of each block, each with an example that its errors show.
ENTRIES: Mapping[str, Mapping[str, str]] = {
    "account": {
        "token": 'token: env("LINE_CHANNEL_ACCESS_TOKEN")',
        "provider": "provider: shop",
        "region": "region: jp",
        "followers": "followers: readable",
    },
    "upload": {
        "file": 'file: "data/buyers.txt"',
        "id": "id: user_id",
        "column": "column: uid",
        "provider": "provider: shop",
        "account": "account: shop",
    },
    "table": {
        "file": 'file: "data/orders.csv"',
        "query": 'query: "SELECT user_id, ordered_at FROM orders"',
        "connection": "connection: warehouse",
        "id": "id: user_id",
        "time": "time: ordered_at",
        "fresh": "fresh: within 24 hours",
        "consent": 'consent: "terms of 2026"',
        "provider": "provider: shop",
    },
    "message": {
        "text": 'text: "..."',
        "file": 'file: "messages/sale.json"',
        "template": 'template: "{{ name }}, welcome"',
        "table": "table: members",
        "coupon": 'coupon: "01JYNW8JMQVFBNWF1APF8Z3FS7"',
    },
    "codes": {
        "file": 'file: "data/codes.csv"',
        "column": "column: code",
    },
    "coupon": {
        "title": 'title: "10% off"',
        "text": 'text: "show this at the counter"',
        "from": "from: 2026-12-01",
        "until": "until: 2027-01-01",
        "discount": "discount: 10%",
        "cash_back": "cash_back: 500",
        "price": "price: 800",
        "original": "original: 1000",
        "reward": "reward: free",
        "condition": 'condition: "one a person"',
        "image": 'image: "https://shop.example/coupon.png"',
        "barcode": 'barcode: "https://shop.example/barcode.png"',
        "code": 'code: "SPRING10"',
        "visibility": "visibility: unlisted",
        "uses": "uses: once",
        "lottery": "lottery: 30%",
        "winners": "winners: 1000",
        "account": "account: shop",
    },
    "delivery": {
        "to": "to: friends EXCEPT uploaded(buyers)",
        "send": "send: sale_card",
        "at": "at: 2026-12-01 10:00",
        "every": "every: monday 10:00",
        "from": "from: 2026-12-01",
        "until": "until: 2027-03-31",
        "catch_up": "catch_up: once",
        "by": "by: narrowcast",
        "limit": "limit: 1000",
        "expect": "expect: 60..90 people",
        "quota": "quota: fill",
        "notification": "notification: off",
        "unit": "unit: spring_sale",
        "account": "account: shop",
        "sent": 'sent: "bb9744f9-47fa-4a29-941e-1234567890ab"',
    },
}

_FLAGS: Mapping[str, frozenset[str]] = {
    "upload": frozenset({"allow empty"}),
    "delivery": frozenset({"allow shortfall", "allow empty"}),
}


@dataclass(slots=True)
class Reader:
    """The entries of one block by key. `broken` once an error of this block has been told, `incomplete` where an
    entry is missing."""

    block: ast.Block
    entries: Mapping[str, ast.Entry]
    zone: tzinfo
    bag: Bag
    broken: bool = False
    unknown: bool = False
    incomplete: bool = False

    def example(self, key: str) -> str:
        return ENTRIES[self.block.kind][key]

    def get(self, key: str) -> ast.Entry | None:
        return self.entries.get(key)

    def require(self, key: str) -> None:
        """Tell that the entry is missing, if it is; an entry of an unknown name has been told and may be it."""
        if key not in self.entries:
            name = self.block.name
            self.fail()
            self.incomplete = True
            if self.unknown:
                return
            self.bag.add(
                error(
                    "AUD0301",
                    name.span,
                    statement=self.block.kind,
                    name=name.text,
                    entry=key,
                    example=self.example(key),
                )
            )

    def fail(self) -> None:
        self.broken = True

    def wrong(self, entry: ast.Entry) -> None:
        """Tell that an entry holds a value of a type that it cannot have."""
        self.fail()
        self.bag.add(error("AUD0303", _place(entry), entry=entry.key.text, example=self.example(entry.key.text)))

    def string(self, key: str) -> str | None:
        """A string in quotes that is not empty."""
        entry = self.get(key)
        if entry is None:
            return None
        if isinstance(entry.value, ast.Text) and entry.value.text:
            return entry.value.text
        self.wrong(entry)
        return None

    def word(self, key: str) -> str | None:
        """A bare word or a string."""
        entry = self.get(key)
        if entry is None:
            return None
        text = values.plain_text(entry.value)
        if not text:
            self.wrong(entry)
            return None
        return text

    def choice(self, key: str, choices: Sequence[T]) -> T | None:
        """One of these words."""
        text = self.word(key)
        entry = self.get(key)
        if text is None or entry is None or text in choices:
            return text  # type: ignore[return-value]
        words = tuple(str(choice) for choice in choices)
        near = nearest(text, words)
        self.fail()
        self.bag.add(
            error(
                "AUD0307",
                _place(entry),
                fixes=fix_near(_place(entry), near),
                entry=key,
                value=text,
                near=near,
                choices=words,
            )
        )
        return None

    def count(self, key: str) -> int | None:
        """A whole number of at least 1."""
        entry = self.get(key)
        if entry is None:
            return None
        if self._unknown(entry):
            return None
        if not isinstance(entry.value, ast.Number) or entry.value.value != int(entry.value.value):
            self.wrong(entry)
            return None
        if entry.value.value < Decimal(1):
            self.fail()
            self.bag.add(error("AUD0308", _place(entry), what=key, minimum=1))
            return None
        return int(entry.value.value)

    def _unknown(self, entry: ast.Entry) -> bool:
        """Tell of a word where only a parameter could give the value."""
        if not isinstance(entry.value, ast.Word):
            return False
        self.fail()
        self.bag.add(unknown_parameter(entry.value))
        return True

    def hours(self, key: str) -> int | None:
        """A duration in hours, at least one, rounded up."""
        entry = self.get(key)
        if entry is None or self._unknown(entry):
            return None
        if not isinstance(entry.value, ast.Duration):
            self.wrong(entry)
            return None
        if entry.value.amount < 1:
            self.fail()
            self.bag.add(error("AUD0308", _place(entry), what=key, minimum=1))
            return None
        hours = {"minute": 1 / 60, "hour": 1, "day": 24, "week": 7 * 24}[entry.value.unit]
        return ceil(entry.value.amount * hours)

    def moment(self, key: str, *, needs_time: bool = True) -> datetime | None:
        """A date as an instant, with a time of day where `needs_time`, else at 00:00 without one."""
        entry = self.get(key)
        if entry is None or self._unknown(entry):
            return None
        if not isinstance(entry.value, ast.DateTime):
            self.wrong(entry)
            return None
        written = date_words(entry.value)
        if entry.value.hour is None and needs_time:
            self.fail()
            self.bag.add(error("AUD0306", _place(entry), date=written))
            return None
        at = values.moment(entry.value, self.zone)
        if at is None:
            self.fail()
            self.bag.add(error("AUD0312", _place(entry), date=written))
        return at


def _place(entry: ast.Entry) -> Span:
    span = getattr(entry.value, "span", None)
    return span if span is not None and span.end > span.start else entry.span


def reader(block: ast.Block, zone: tzinfo, bag: Bag) -> Reader:
    """The block's entries; unknown and repeated keys, and flags of other statements, are told."""
    found: dict[str, ast.Entry] = {}
    result = Reader(block, found, zone, bag)
    known = ENTRIES[block.kind]
    for entry in block.entries:
        key = entry.key.text
        if key in found:
            result.fail()
            bag.add(error("AUD0302", entry.key.span, labels=[Label(found[key].key.span, "first")], entry=key))
        elif key in known:
            found[key] = entry
        else:
            result.fail()
            result.unknown = True
            _unknown_key(entry, block, bag)
    for flag in block.flags:
        if flag.text not in _FLAGS.get(block.kind, ()):
            result.fail()
            bag.add(error("AUD0316", flag.span, flag=flag.text, statement=block.kind))
    return result


def _unknown_key(entry: ast.Entry, block: ast.Block, bag: Bag) -> None:
    key, known = entry.key.text, ENTRIES[block.kind]
    near = nearest(key, known)
    fixes = fix_near(entry.key.span, near)
    bag.add(
        error(
            "AUD0206",
            entry.key.span,
            fixes=fixes,
            entry=key,
            statement=block.kind,
            near=near,
            entries=() if near else tuple(sorted(known)),
        )
    )
