"""The atoms of set expressions, and the conditions that rows and people of a table must satisfy.

Atoms are of three worlds. *Own*: your data holds them, members can be listed. *Line*: LINE holds
them, members can never be listed. *Attribute*: LINE estimates them; each person satisfies, does not
satisfy, or is unknown. Two atoms are the same set exactly if their `key`s are equal.
"""

from __future__ import annotations

import hashlib
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from audsql.records import dataclass
from audsql.source import made_often

if TYPE_CHECKING:
    from audsql.meaning.ir import Expression

__all__ = [
    "Aggregate", "Atom", "Attribute", "Before", "Bucket", "Clicked", "ColumnCompare", "ColumnGiven", "ColumnIn",
    "ColumnMissing", "Followers", "Friends", "IdKind", "Last", "Latest", "Linked", "Lookalike", "Mapped", "Opened",
    "PeopleCondition", "Received", "RemoteAudience", "RowCondition", "Rows", "Scalar", "Since", "SinceStart", "Times",
    "Uploaded", "World",
]  # fmt: skip

World = Literal["own", "line", "attribute"]
IdKind = Literal["user_id", "member_id", "phone", "email", "ifa"]
Scalar = str | Decimal | datetime | bool


@made_often
@dataclass(frozen=True, slots=True)
class ColumnCompare:
    """Rows whose `column` compares so with `value`; a missing value satisfies none, `!=` included.

    Texts compare after NFC; a Decimal compares numerically, a datetime as an instant.
    """

    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    value: Scalar


@dataclass(frozen=True, slots=True)
class ColumnIn:
    """Rows whose `column` is one of `values` (sorted, no repetition)."""

    column: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class ColumnMissing:
    """Rows without a value in `column`."""

    column: str


@dataclass(frozen=True, slots=True)
class ColumnGiven:
    """Rows with a value in `column`."""

    column: str


@made_often
@dataclass(frozen=True, slots=True)
class Last:
    """`last N days` (from 00:00 of the day N days before as_of, in the project's zone) or, for
    minutes and hours, exactly that long; the end, as_of, is excluded. Weeks are given as days."""

    amount: int
    unit: Literal["minute", "hour", "day"]


@dataclass(frozen=True, slots=True)
class Since:
    """Rows from this instant on."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class SinceStart:
    """Rows from the moment on at which a person entered the flow: it stands only in the sets of a flow."""


@dataclass(frozen=True, slots=True)
class Before:
    """Rows earlier than this instant."""

    moment: datetime


RowCondition = ColumnCompare | ColumnIn | ColumnMissing | ColumnGiven | Last | Since | SinceStart | Before


@made_often
@dataclass(frozen=True, slots=True)
class Times:
    """People with so many rows left."""

    bound: Literal["at least", "at most", "exactly"]
    count: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    """People whose rows come to so much in `column`; missing values do not count."""

    function: Literal["sum", "avg", "min", "max"]
    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    value: Decimal | datetime


@dataclass(frozen=True, slots=True)
class Latest:
    """A person whose latest row (by the table's time; ties hold if any does) compares so."""

    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    value: Scalar


PeopleCondition = Times | Aggregate | Latest


def _conditions_key(conditions: tuple[RowCondition, ...] | tuple[PeopleCondition, ...]) -> str:
    return ", ".join(sorted(repr(condition) for condition in conditions))


_KEY_CHARACTERS_MAX = 400


def _bounded(key: str) -> str:
    """Long keys become digests: atoms inside atoms would otherwise grow with every level."""
    if len(key) <= _KEY_CHARACTERS_MAX:
        return key
    return "#" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The list `upload source`."""

    source: str
    world: World = field(default="own", init=False)

    @property
    def key(self) -> str:
        return f"uploaded({self.source})"


@made_often
@dataclass(frozen=True, slots=True)
class Rows:
    """People of `table` with a row that satisfies all of `rows`, whose remaining rows satisfy `people`."""

    table: str
    rows: tuple[RowCondition, ...] = ()
    people: tuple[PeopleCondition, ...] = ()
    world: World = field(default="own", init=False)
    key: str = field(default="", init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        key = f"rows({self.table}; {_conditions_key(self.rows)}; {_conditions_key(self.people)})"
        object.__setattr__(self, "key", key)

    def __hash__(self) -> int:
        # That of a text is kept; that of the conditions would be made anew each time.
        return hash(self.key)


@dataclass(frozen=True, slots=True)
class Linked:
    """People of linkage `table` who have a LINE user ID in it."""

    table: str
    world: World = field(default="own", init=False)

    @property
    def key(self) -> str:
        return f"linked({self.table})"


@dataclass(frozen=True, slots=True)
class Mapped:
    """User ids of linkage `table` whose id of another kind is in `inner` (specs/language/04-sets.md, `sets.linkage`).

    `inner` is a set of ids of kind `kind`, over own atoms only and false where all of them are. The members
    are ids of kind `to`.
    """

    table: str
    kind: IdKind
    inner: Expression
    to: IdKind = "user_id"
    world: World = field(default="own", init=False)

    @property
    def key(self) -> str:
        return f"mapped({self.table}; {self.kind}; {self.to}; {_bounded(self.inner.key)})"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Whoever's hash falls into a range of hundredths of a percent: `low` <= bucket < `high`, of 10,000.

    The bucket of an id is the first 32 bits, big-endian, of SHA-256 of UTF-8 `salt:id`, modulo 10,000
    (specs/language/04-sets.md, `sets.bucket`). It stands only beside a listable set: `sample(x, 10%, seed: s)` is
    `x AND Bucket("sample:s", 0, 1000)`. `label` is how it was written, for people; it is no part of the meaning.
    """

    salt: str
    low: int
    high: int
    label: str = field(default="", compare=False)
    world: World = field(default="own", init=False)

    @property
    def key(self) -> str:
        return f"bucket({self.salt}; {self.low}; {self.high})"


@dataclass(frozen=True, slots=True)
class Lookalike:
    """People like those of `inner`, made in LINE Ads: an external resource that no delivery can use.

    `hundredths`: the size in hundredths of a percent of all LINE users.
    """

    inner: Expression
    hundredths: int
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"lookalike({_bounded(self.inner.key)}; {self.hundredths})"


@dataclass(frozen=True, slots=True)
class Friends:
    account: str
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"friends({self.account})"


@dataclass(frozen=True, slots=True)
class Followers:
    """The friends of `account` as a list of their user IDs, which LINE gives to accounts that may read it
    (`followers: readable`): what a share of `friends` is drawn from."""

    account: str
    world: World = field(default="own", init=False)

    @property
    def key(self) -> str:
        return f"followers({self.account})"


@dataclass(frozen=True, slots=True)
class Clicked:
    """Clicked `url` in `delivery`; any URL where None."""

    delivery: str
    url: str | None = None
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"clicked({self.delivery}; {self.url or ''})"


@dataclass(frozen=True, slots=True)
class Opened:
    delivery: str
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"opened({self.delivery})"


@dataclass(frozen=True, slots=True)
class Received:
    delivery: str
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"received({self.delivery})"


@dataclass(frozen=True, slots=True)
class RemoteAudience:
    """An audience that exists in LINE, found by its name.

    `kind` is LINE's type: CHAT_TAG, FRIEND_PATH, WEBTRAFFIC, RICHMENU_CLICK, RICHMENU_IMP, RESERVATION,
    APP_EVENT, VIDEO_VIEW, IMAGE_CLICK; SHARED for one that Business Manager shares.
    """

    account: str
    kind: str
    name: str
    world: World = field(default="line", init=False)

    @property
    def key(self) -> str:
        return f"remote({self.account}; {self.kind}; {self.name})"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One value of an estimated attribute.

    gender: female, male · os: ios, android · area: jp_01… · age: the lower bound of LINE's tier, age_0
    (below 15), age_15, age_20 … age_70 · friend_for: the lower bound of the tier in days, day_0, day_7,
    day_30, day_90, day_180, day_365. A range of tiers is an Or of these. Values of gender, age, os and
    friend_for exclude each other; nothing is assumed of areas.
    """

    family: Literal["gender", "age", "area", "os", "friend_for"]
    value: str
    world: World = field(default="attribute", init=False)

    @property
    def key(self) -> str:
        return f"{self.family}({self.value})"


Atom = (
    Uploaded | Rows | Linked | Mapped | Bucket | Lookalike | Friends | Followers | Clicked | Opened | Received
    | RemoteAudience | Attribute
)  # fmt: skip
