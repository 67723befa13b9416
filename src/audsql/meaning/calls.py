"""Calls: what stands in a call's parentheses, checked, and the atom or atoms that it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import tzinfo

from audsql.diag import Bag, Label, error, fix, warning
from audsql.line.limits import AGE_TIERS, FRIEND_FOR_TIERS_DAYS, GENDERS, OSES
from audsql.meaning import ir, values
from audsql.meaning.conditions import people_conditions, row_conditions, unique_sorted
from audsql.meaning.names import BUILT_IN, REMOTE_KINDS, Symbols, fix_near, nearest, written
from audsql.records import dataclass
from audsql.source import Span, made_often
from audsql.syntax import ast

__all__ = ["Meaning", "Scope", "lower_call"]


@made_often
@dataclass(frozen=True, slots=True)
class Meaning:
    """What an expression means. `expression` None: unknown, because of an error that has been told.

    `kind` is the id kind of its members, None where that is unknown too.
    """

    expression: ir.Expression | None
    kind: ir.IdKind | None


UNKNOWN = Meaning(None, None)


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean where an expression stands. `account` is the project's only one, else ''.

    A declared name that is missing from its map has errors of its own: what refers to it is unknown.
    """

    symbols: Symbols
    zone: tzinfo
    account: str
    accounts: Mapping[str, ir.Account]
    uploads: Mapping[str, ir.UploadSource]
    tables: Mapping[str, ir.TableSource]
    verbs: Mapping[str, ir.Verb]
    deliveries: Mapping[str, ir.Delivery]
    audiences: Mapping[str, Meaning]
    splits: Mapping[str, ir.Split] = field(default_factory=dict)
    in_flow: bool = False
    """Whether `since start` means something: in the branches and the exit of a flow."""

    @property
    def region(self) -> str | None:
        """The region of the project's only account."""
        account = self.accounts.get(self.account)
        return account.region if account else None


_EXAMPLES = {
    "age": "age(30..39)",
    "area": "area(tokyo, kanagawa)",
    "clicked": "clicked(spring)",
    "friend_for": "friend_for(>= 90 days)",
    "gender": "gender(female)",
    "linked": "linked(members)",
    "opened": "opened(spring)",
    "os": "os(ios)",
    "received": "received(spring)",
    "uploaded": "uploaded(buyers)",
}


def lower_call(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    """The meaning of `name(…)`: a built-in atom, a verb, or a table; not `sample` and `lookalike`."""
    name = call.name.text
    if name in _BUILT_IN_CALLS:
        return _BUILT_IN_CALLS[name](call, scope, bag)
    if name in REMOTE_KINDS:
        return _remote(call, scope, bag)
    symbol = scope.symbols.get(name)
    if symbol is not None and symbol.broken:
        return UNKNOWN
    if symbol is None:
        if name == "friends":
            bag.add(error("AUD0209", call.span, fixes=[fix(call.span, name)], name=name, kind="friends"))
        elif not scope.symbols.may_be_unread("verb", "table"):
            near = nearest(name, (*BUILT_IN, *scope.symbols.of_kind("verb", "table")))
            bag.add(error("AUD0205", call.name.span, fixes=fix_near(call.name.span, near), name=name, near=near))
        return UNKNOWN
    if symbol.kind in ("verb", "table"):
        return _rows(call, scope, bag)
    if symbol.kind == "audience":
        bag.add(error("AUD0209", call.span, fixes=[fix(call.span, written(name))], name=name, kind=symbol.kind))
    else:
        labels = [Label(symbol.span, "declared")]
        bag.add(error("AUD0204", call.name.span, labels=labels, name=name, kind=symbol.kind, wanted="verb"))
    return UNKNOWN


# --- what calls share -------------------------------------------------------------------------------


def _refuse_arguments(call: ast.Call, bag: Bag) -> Meaning:
    name = call.name.text
    bag.add(error("AUD0320", call.span, call=name, example=_EXAMPLES.get(name) or f'{name}("VIP")'))
    return UNKNOWN


def _only_values(call: ast.Call, low: int, high: int | None, bag: Bag) -> bool:
    """Whether the call has that many values and no conditions; if not, this has been told."""
    if call.arguments.conditions:
        bag.add(error("AUD0325", _span_of(call.arguments.conditions[0], call), call=call.name.text))
        return False
    count = len(call.arguments.values)
    if count < low or (high is not None and count > high):
        _refuse_arguments(call, bag)
        return False
    return True


def _span_of(node: ast.Condition | ast.Value, call: ast.Call) -> Span:
    return node.span if node.span.end > node.span.start else call.span


def _named(call: ast.Call, wanted: str, scope: Scope, bag: Bag) -> str | None:
    """The declared name of that kind in the first place of a call, else None, and why has been told."""
    value = call.arguments.values[0]
    name = values.plain_text(value)
    if name is None:
        _refuse_arguments(call, bag)
        return None
    symbol = scope.symbols.get(name)
    if symbol is None:
        if not scope.symbols.may_be_unread(wanted):
            near = nearest(name, scope.symbols.of_kind(wanted))
            fixes = fix_near(value.span, near)
            bag.add(error("AUD0207", value.span, fixes=fixes, name=name, wanted=wanted, near=near))
        return None
    if symbol.kind != wanted and not symbol.broken:
        labels = [Label(symbol.span, "declared")]
        bag.add(error("AUD0204", value.span, labels=labels, name=name, kind=symbol.kind, wanted=wanted))
        return None
    return name


def _user(atom: ir.Atom) -> Meaning:
    return Meaning(ir.leaf(atom), "user_id")


# --- own data ---------------------------------------------------------------------------------------


def _uploaded(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    if not _only_values(call, 1, 1, bag):
        return UNKNOWN
    name = _named(call, "upload", scope, bag)
    upload = scope.uploads.get(name) if name is not None else None
    return Meaning(ir.leaf(ir.Uploaded(upload.name)), upload.id_kind) if upload else UNKNOWN


def _linked(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    if not _only_values(call, 1, 1, bag):
        return UNKNOWN
    name = _named(call, "table", scope, bag)
    table = scope.tables.get(name) if name is not None else None
    if table is None:
        return UNKNOWN
    kinds = {kind for kind, _ in table.ids}
    if "user_id" not in kinds or len(kinds) == 1:
        labels = [Label(table.span, "declared")] if table.span else []
        bag.add(error("AUD0328", call.span, labels=labels, table=table.name))
        return UNKNOWN
    return _user(ir.Linked(table.name))


def _rows(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    verb = scope.verbs.get(call.name.text)
    table = scope.tables.get(verb.table if verb else call.name.text)
    if table is None:
        return UNKNOWN
    told = len(bag.items)
    column = verb.column if verb else None
    first = _verb_condition(call, column, scope, bag)
    conditions = call.arguments.conditions
    rows = row_conditions(conditions, table, scope.zone, call, bag, in_flow=scope.in_flow)
    people = people_conditions(conditions, table, scope.zone, call, bag)
    if any(item.severity == "error" for item in bag.items[told:]):
        return Meaning(None, table.ids[0][0])
    atom = ir.Rows(table.name, unique_sorted((*first, *rows)), unique_sorted(people))
    return Meaning(ir.leaf(atom), table.ids[0][0])


def _verb_condition(call: ast.Call, column: str | None, scope: Scope, bag: Bag) -> tuple[ir.RowCondition, ...]:
    """What the values of a verb's call ask of a row: `A`, `A, B` (either), `*` (given)."""
    written_values = call.arguments.values
    if not written_values:
        return ()
    if column is None:
        symbol = scope.symbols.get(call.name.text)
        labels = [Label(symbol.span, "declared")] if symbol else []
        bag.add(error("AUD0324", written_values[0].span, labels=labels, call=call.name.text))
        return ()
    if any(isinstance(value, ast.Star) for value in written_values):
        if len(written_values) > 1:
            bag.add(error("AUD0320", call.span, call=call.name.text, example=f"{call.name.text}(*)"))
        return (ir.ColumnGiven(column),)
    scalars: set[ir.Scalar] = set()
    for value in written_values:
        one = values.scalar(value, scope.zone)
        if one is None:
            bag.add(error("AUD0327", value.span, column=column))
        else:
            scalars.add(one)
    if len(scalars) == 1:
        return (ir.ColumnCompare(column, "=", next(iter(scalars))),)
    return (ir.ColumnIn(column, unique_sorted(scalars)),)


# --- deliveries -------------------------------------------------------------------------------------


def _clicked(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    if not _only_values(call, 1, 2, bag):
        return UNKNOWN
    name = _statistics_of(call, scope, bag)
    url: str | None = None
    if len(call.arguments.values) > 1:
        second = call.arguments.values[1]
        if not isinstance(second, ast.Text) or not second.text:
            bag.add(error("AUD0320", second.span, call="clicked", example='clicked(spring, "https://example.com/")'))
            return UNKNOWN
        url = second.text
    return _user(ir.Clicked(name, url)) if name is not None else UNKNOWN


def _opened(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    if not _only_values(call, 1, 1, bag):
        return UNKNOWN
    name = _statistics_of(call, scope, bag)
    return _user(ir.Opened(name)) if name is not None else UNKNOWN


def _statistics_of(call: ast.Call, scope: Scope, bag: Bag) -> str | None:
    """The delivery whose clicks or opens LINE keeps: a broadcast or a narrowcast (specs/line.md)."""
    name = _named(call, "delivery", scope, bag)
    delivery = scope.deliveries.get(name) if name is not None else None
    if name is None or delivery is None:
        return name
    labels = [Label(delivery.span, "declared")] if delivery.span else []
    how = delivery.sent_by if delivery.sent_request_id is not None else delivery.by
    if how is None:
        bag.add(warning("AUD0331", call.span, labels=labels, call=call.name.text, delivery=name))
    elif how in ("multicast", "push"):
        bag.add(error("AUD0329", call.span, labels=labels, call=call.name.text, delivery=name, by=how))
    return name


def _received(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    if not _only_values(call, 1, 1, bag):
        return UNKNOWN
    name = _named(call, "delivery", scope, bag)
    if name is None:
        return UNKNOWN
    delivery = scope.deliveries.get(name)
    if delivery is not None:
        labels = [Label(delivery.span, "declared")] if delivery.span else []
        how = delivery.sent_by if delivery.sent_request_id is not None else delivery.by
        if how is None:
            bag.add(error("AUD0332", call.span, labels=labels, delivery=name))
        elif how not in ("narrowcast", "auto"):
            bag.add(error("AUD0330", call.span, labels=labels, delivery=name, by=how))
    return _user(ir.Received(name))


# --- audiences in LINE ------------------------------------------------------------------------------


def _remote(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    if not _only_values(call, 1, 1, bag):
        return UNKNOWN
    name = values.plain_text(call.arguments.values[0])
    if not name:
        return _refuse_arguments(call, bag)
    return _user(ir.RemoteAudience(scope.account, REMOTE_KINDS[call.name.text], name))


# --- estimated attributes ---------------------------------------------------------------------------


def _any_of(family: str, found: Sequence[str]) -> Meaning:
    return Meaning(ir.lor(*(ir.leaf(ir.Attribute(family, value)) for value in found)), "user_id")  # type: ignore[arg-type]


def _choice(choices: Sequence[str]) -> Callable[[ast.Call, Scope, Bag], Meaning]:
    def lower(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
        family = call.name.text
        if not _only_values(call, 1, None, bag):
            return UNKNOWN
        found = [values.plain_text(value) for value in call.arguments.values]
        for value, text in zip(call.arguments.values, found, strict=True):
            if text not in choices:
                near = nearest(text or "", choices)
                bag.add(
                    error(
                        "AUD0321",
                        value.span,
                        fixes=fix_near(value.span, near),
                        family=family,
                        value=text,
                        near=near,
                        choices=tuple(choices),
                    )
                )
        known = [text for text in found if text in choices and text is not None]
        return _any_of(family, known) if len(known) == len(found) else UNKNOWN

    return lower


def _area(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    if not _only_values(call, 1, None, bag):
        return UNKNOWN
    codes: list[str] = []
    for value in call.arguments.values:
        name = values.plain_text(value) or ""
        code = values.area_code(name)
        if code is None:
            near = values.area_near(name, scope.region)
            fixes = fix_near(value.span, near)
            bag.add(error("AUD0321", value.span, fixes=fixes, family="area", value=name, near=near, choices=()))
        else:
            codes.append(code)
    return _any_of("area", codes) if len(codes) == len(call.arguments.values) else UNKNOWN


_Span = tuple[int | None, int | None]


def _tiered(
    call: ast.Call,
    spans: Sequence[tuple[Span, _Span | None]],
    bounds: Sequence[int],
    words: Callable[[int | None, int | None], str],
    bag: Bag,
) -> Meaning:
    """An attribute that LINE knows in tiers only: each written range must be made of whole tiers."""
    family = call.name.text
    prefix = "age" if family == "age" else "day"
    found: list[str] = []
    for span, between in spans:
        if between is None:
            return _refuse_arguments(call, bag)
        low, high = between
        if low is not None and high is not None and low > high:
            bag.add(error("AUD0309", span, low=str(low), high=str(high)))
            return UNKNOWN
        tiers = values.tiers_between(low, high, bounds)
        if not tiers.lower_bounds:
            near = tuple(words(a, b) for a, b in tiers.nearest)
            fixes = [fix(call.span, text, safe=False, key="near") for text in near] if len(spans) == 1 else []
            bag.add(error("AUD0322", span, fixes=fixes, written=words(low, high), nearest=near))
            return UNKNOWN
        found.extend(f"{prefix}_{bound}" for bound in tiers.lower_bounds)
    return _any_of(family, found)


def _age(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    if not _only_values(call, 1, None, bag):
        return UNKNOWN
    spans = [(value.span, _years(value)) for value in call.arguments.values]
    return _tiered(call, spans, AGE_TIERS, values.age_words, bag)


def _years(value: ast.Value) -> _Span | None:
    match value:
        case ast.Number(value=amount) if amount == int(amount):
            return int(amount), int(amount)
        case ast.Range(low=low, high=high) if all(end is None or isinstance(end, ast.Number) for end in (low, high)):
            ends = [end.value if isinstance(end, ast.Number) else None for end in (low, high)]
            if any(end is not None and end != int(end) for end in ends):
                return None
            first, last = ends
            return None if first is None else int(first), None if last is None else int(last)
        case _:
            return None


def _friend_for(call: ast.Call, scope: Scope, bag: Bag) -> Meaning:
    written_values, conditions = call.arguments.values, call.arguments.conditions
    if not written_values and not conditions:
        return _refuse_arguments(call, bag)
    if len(conditions) > 1 or (conditions and written_values):
        return _refuse_arguments(call, bag)
    spans = [(value.span, _days_between(value)) for value in written_values]
    for condition in conditions:
        if not isinstance(condition, ast.ThresholdCondition):
            bag.add(error("AUD0325", _span_of(condition, call), call=call.name.text))
            return UNKNOWN
        spans.append((condition.span, _threshold(condition)))
    return _tiered(call, spans, FRIEND_FOR_TIERS_DAYS, values.friend_for_words, bag)


def _days_between(value: ast.Value) -> _Span | None:
    if not isinstance(value, ast.Range):
        return None
    ends = [None if end is None else _days(end) for end in (value.low, value.high)]
    if any(end is not None and given is None for end, given in zip((value.low, value.high), ends, strict=True)):
        return None
    return ends[0], ends[1]


def _days(value: object) -> int | None:
    if not isinstance(value, ast.Duration) or value.unit not in ("day", "week"):
        return None
    return value.amount * (7 if value.unit == "week" else 1)


def _threshold(condition: ast.ThresholdCondition) -> _Span | None:
    days = _days(condition.value)
    if days is None:
        return None
    spans: dict[str, _Span] = {
        ">=": (days, None),
        ">": (days + 1, None),
        "<": (None, days - 1),
        "<=": (None, days),
        "=": (days, days),
    }
    return spans.get(condition.operator)


_BUILT_IN_CALLS: Mapping[str, Callable[[ast.Call, Scope, Bag], Meaning]] = {
    "age": _age,
    "area": _area,
    "clicked": _clicked,
    "friend_for": _friend_for,
    "gender": _choice(GENDERS),
    "linked": _linked,
    "opened": _opened,
    "os": _choice(OSES),
    "received": _received,
    "uploaded": _uploaded,
}
