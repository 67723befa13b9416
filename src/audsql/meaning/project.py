"""What a project declares, as values: sources, messages, audiences, deliveries, policies.

`audsql.meaning.ir` gives these together with the expressions that they hold. Spans stand beside meaning and
take no part in equality.
"""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from audsql.meaning.atoms import IdKind, Scalar
from audsql.meaning.flow import Flow
from audsql.records import dataclass
from audsql.source import Span

if TYPE_CHECKING:
    from audsql.meaning.ir import Expression

__all__ = [
    "Account", "Audience", "Cap", "CodePool", "Coupon", "Delivery", "Every", "ExcludePolicy", "Message", "Moved",
    "Over", "Priority", "Project", "Quiet", "Removed", "RequireMeasure", "RequireTested", "RequireWithin",
    "Requirement", "Reward", "Split", "SplitArm", "TableSource", "TemplateField", "UploadSource", "Verb",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """`token_variable`: the environment variable that holds the channel access token."""

    name: str
    token_variable: str
    provider: str = ""
    region: str = "jp"
    followers_readable: bool = False
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class UploadSource:
    """A list file. `column` None: the Business Manager form (no header, one id a line).

    `folder`: what `file` is relative to and must lie below, itself relative to the project: '' is the project,
    any other is that of a used file.
    """

    name: str
    file: str
    id_kind: IdKind
    column: str | None = None
    provider: str = ""
    account: str = ""
    allow_empty: bool = False
    description: str = ""
    span: Span | None = field(default=None, compare=False)
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Verb:
    """A word for the rows of `table`; its values compare with `column`."""

    name: str
    table: str
    column: str | None


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table with a header. `ids`: pairs of kind and column; the first is the table's own key.

    `fresh_hours` blocks a plan when the file is older. `consent` names the legal basis. `folder` as of a list.
    `query` is SQL for the configured `connection`; then `file` is no path but how the result is called in messages,
    `connection:table`, and its age is that of its newest time.
    """

    name: str
    file: str
    ids: tuple[tuple[IdKind, str], ...]
    time_column: str | None = None
    verbs: tuple[Verb, ...] = ()
    provider: str = ""
    fresh_hours: int | None = None
    consent: str = ""
    description: str = ""
    span: Span | None = field(default=None, compare=False)
    folder: str = ""
    query: str = ""
    connection: str = ""


@dataclass(frozen=True, slots=True)
class TemplateField:
    """A column of a template. `fallback` None: a person without a value cannot be sent the message.

    `pool`: the name of the codes of which each person gets one of their own; then it is no column of the table,
    its type is a string and it has no fallback. '' for a column of the table.
    """

    name: str
    type: Literal["string", "number", "date"]
    fallback: Scalar | None = None
    pool: str = ""


@dataclass(frozen=True, slots=True)
class CodePool:
    """A file of codes, each of which is given to one person once. `column` None: no header, one code a line.
    `folder` as of a list."""

    name: str
    file: str
    column: str | None = None
    description: str = ""
    span: Span | None = field(default=None, compare=False)
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Reward:
    """What a coupon is good for. Of a discount and of cash back one of `percent` (1 to 99) and `amount` (in the
    account's currency) is given; of a discount that is a price, `price` with the `original` one."""

    kind: Literal["discount", "cash_back", "free", "gift", "others"]
    percent: int | None = None
    amount: int | None = None
    price: int | None = None
    original: int | None = None


@dataclass(frozen=True, slots=True)
class Coupon:
    """A coupon that LINE holds for an account, valid from `start` until `end`. Texts are '' where none was given.
    `once`: a person can use it once. `lottery_percent`: the chance to win it, of at most `winners` people."""

    name: str
    account: str
    title: str
    start: datetime
    end: datetime
    reward: Reward
    text: str = ""
    condition: str = ""
    image: str = ""
    barcode: str = ""
    code: str = ""
    public: bool = False
    once: bool = True
    lottery_percent: int | None = None
    winners: int | None = None
    description: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One of `text`, `file` (a JSON file with one message object or a list of them), `template`, `coupon` (a
    coupon's id) and `coupon_name` (a declared coupon, whose id is known when it is sent) is given. `folder` as of
    a list.

    With `fields` it is personal: its template, or every string of its file, is filled in for each person, from
    columns of `table` and codes of pools. `table` is None where all of its fields are codes.
    """

    name: str
    text: str | None = None
    file: str | None = None
    template: str | None = None
    coupon: str | None = None
    table: str | None = None
    fields: tuple[TemplateField, ...] = ()
    description: str = ""
    span: Span | None = field(default=None, compare=False)
    folder: str = ""
    coupon_name: str | None = None

    @property
    def personal(self) -> bool:
        """Whether it is filled in for each person who gets it."""
        return self.template is not None or bool(self.fields)


@dataclass(frozen=True, slots=True)
class Audience:
    """`text` is the definition in canonical layout. `account` is '' where none is needed."""

    name: str
    expression: Expression
    text: str
    id_kind: IdKind = "user_id"
    account: str = ""
    allow_empty: bool = False
    description: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SplitArm:
    """One arm: `expression` is the split set and the arm's bucket. Weights are hundredths of a percent."""

    name: str
    hundredths: int
    expression: Expression


@dataclass(frozen=True, slots=True)
class Split:
    """`split name of expression { arm weight … } salt`; the arms take the buckets in the order written."""

    name: str
    expression: Expression
    text: str
    salt: str
    arms: tuple[SplitArm, ...]
    id_kind: IdKind = "user_id"
    account: str = ""
    description: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Every:
    """When a repeated delivery is due, in the project's zone: each day, each week on `weekday` (0 is Monday), or
    each month on `day`, at `hour`:`minute`, from `start` until `end` where they are given."""

    unit: Literal["day", "week", "month"]
    hour: int
    minute: int
    weekday: int | None = None
    day: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    catch_up: Literal["skip", "once"] = "skip"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent to whom. `reach` is `to` less every policy and every delivery that goes first (`behind`);
    `to_text` the canonical text of `to`.

    With `sent_request_id` it was sent elsewhere and is only referred to. `at` None and `every` None: once, at
    the first apply. `expect` is (low, high), either end may be None. `policies` names those that were subtracted.
    `personal`: one of its messages is filled in for each person, `filled_in` a digest of what from. `capped`: a cap
    covers it, and nothing needs its record at LINE (clicks, opens, receivers).
    """

    name: str
    account: str
    to: Expression
    reach: Expression
    to_text: str
    messages: tuple[str, ...] = ()
    at: datetime | None = None
    by: Literal["auto", "narrowcast", "multicast", "broadcast", "push"] = "auto"
    limit: int | None = None
    expect: tuple[int | None, int | None] | None = None
    quota: Literal["forbid", "fill"] = "forbid"
    notification: bool = True
    unit: str | None = None
    sent_request_id: str | None = None
    sent_by: str | None = None
    allow_empty: bool = False
    allow_shortfall: bool = False
    is_friends: bool = False
    policies: tuple[str, ...] = ()
    description: str = ""
    span: Span | None = field(default=None, compare=False)
    to_span: Span | None = field(default=None, compare=False)
    every: Every | None = None
    behind: tuple[str, ...] = ()
    personal: bool = False
    filled_in: str = ""
    capped: bool = False


@dataclass(frozen=True, slots=True)
class ExcludePolicy:
    """`always except expression`, not for the deliveries in `exceptions`."""

    name: str
    expression: Expression
    text: str
    exceptions: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RequireWithin:
    """`require expression`: proved of every delivery that is not in `exceptions`."""

    name: str
    expression: Expression
    text: str
    exceptions: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RequireMeasure:
    """`require reach >= 50` (people), `require change <= 20%` (percent of the last applied size), or
    `require freshness` (no operator and no value): judged at plan of every delivery not in `exceptions`."""

    name: str
    measure: Literal["reach", "change", "freshness"]
    operator: Literal["=", "!=", "<", "<=", ">", ">="] | None = None
    value: Decimal | None = None
    exceptions: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RequireTested:
    """`require tested`: what a delivery or flow not in `exceptions` sends was sent to testers before, word for word."""

    name: str
    exceptions: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)


Over = Literal["move", "refuse"]
"""What becomes of a send that a rule stands against: it moves to when it is allowed, or is refused."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing is sent from `start` on and before `end`, in minutes of the day in the project's zone; over
    midnight where `end` <= `start`. `over` None: deliveries are refused, steps of flows move."""

    name: str
    start_minutes: int
    end_minutes: int
    exceptions: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)
    over: Over | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `count` deliveries to a person in any `days` days. `over` as of quiet hours."""

    name: str
    count: int
    days: int
    exceptions: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)
    over: Over | None = None


Requirement = RequireWithin | RequireMeasure | RequireTested | Quiet | Cap


@dataclass(frozen=True, slots=True)
class Priority:
    """A person who is in several of `deliveries` gets only the first that reaches them."""

    deliveries: tuple[str, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Moved:
    """What was called `old` is called `new` now; `kind` is the statement's word."""

    old: str
    new: str
    kind: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Removed:
    """A name that is gone on purpose: what it left at LINE is kept or deleted."""

    name: str
    action: Literal["keep", "delete"]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Project:
    """Everything that the texts of a project mean. Tuples are sorted by name.

    `timezone` is an IANA name.
    """

    name: str
    timezone: str
    accounts: tuple[Account, ...] = ()
    uploads: tuple[UploadSource, ...] = ()
    tables: tuple[TableSource, ...] = ()
    messages: tuple[Message, ...] = ()
    audiences: tuple[Audience, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    policies: tuple[ExcludePolicy, ...] = ()
    splits: tuple[Split, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    priorities: tuple[Priority, ...] = ()
    flows: tuple[Flow, ...] = ()
    moved: tuple[Moved, ...] = ()
    removed: tuple[Removed, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    code_pools: tuple[CodePool, ...] = ()

    def delivery(self, name: str) -> Delivery | None:
        return next((delivery for delivery in self.deliveries if delivery.name == name), None)

    def audience(self, name: str) -> Audience | None:
        return next((audience for audience in self.audiences if audience.name == name), None)
