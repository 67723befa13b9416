"""Request bodies of sends, as canonical JSON bytes, and LINE's recipient and filter grammar.

A narrowcast that names neither a recipient nor a filter goes to every friend (specs/line.md). So
that this cannot happen by a forgotten field, each kind of send has a builder of its own, and the
recipient is a required argument of the one that has a recipient.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from audsql.compile import program
from audsql.line import limits
from audsql.records import dataclass

__all__ = [
    "GrammarError",
    "Limit",
    "broadcast_body",
    "canonical_json",
    "everybody_body",
    "filter_json",
    "filter_only_body",
    "multicast_body",
    "narrowcast_body",
    "push_body",
    "recipient_json",
]

_OPERATORS = ("and", "or", "not")
Json = Mapping[str, object]


class GrammarError(ValueError):
    """A body that LINE's rules forbid was asked for: a defect of the caller, never of the user's spec."""


@dataclass(frozen=True, slots=True)
class Limit:
    """LINE's `limit`: the fuse of a narrowcast (specs/line.md).

    `max`: people at most, at random if there are more. `up_to_remaining_quota`: never more than the quota
    allows. `forbid_partial_delivery`: rather nobody than only some; LINE takes it only with the former.
    """

    max: int | None
    up_to_remaining_quota: bool = True
    forbid_partial_delivery: bool = True

    def __post_init__(self) -> None:
        _require(self.max is None or self.max >= 1, "limit.max is at least 1")
        _require(
            self.up_to_remaining_quota or not self.forbid_partial_delivery,
            "forbidPartialDelivery needs upToRemainingQuota",
        )

    def json(self) -> dict[str, object]:
        fields: dict[str, object] = {} if self.max is None else {"max": self.max}
        if self.up_to_remaining_quota:
            fields["upToRemainingQuota"] = True
        if self.forbid_partial_delivery:
            fields["forbidPartialDelivery"] = True
        _require(bool(fields), "a limit limits something")
        return fields


_spelled = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON with sorted keys and no blanks: equal values give equal bytes."""
    return _spelled(value).encode("utf-8")


# --- bodies ---------------------------------------------------------------------------------------------


def narrowcast_body(
    recipient: Json,
    filter: Json | None,
    messages: Sequence[Json],
    limit: Limit,
    notification_disabled: bool = False,
) -> bytes:
    """A narrowcast to `recipient`, of these the ones that satisfy `filter`."""
    _check_recipient(recipient)
    fields: dict[str, object] = {"recipient": recipient, "limit": limit.json()}
    if filter is not None:
        _check_filter(filter)
        fields["filter"] = {"demographic": filter}
    return _body(fields, messages, notification_disabled)


def filter_only_body(
    filter: Json, messages: Sequence[Json], limit: Limit, notification_disabled: bool = False
) -> bytes:
    """A narrowcast to all friends who satisfy `filter`."""
    _check_filter(filter)
    fields: dict[str, object] = {"filter": {"demographic": filter}, "limit": limit.json()}
    return _body(fields, messages, notification_disabled)


def everybody_body(messages: Sequence[Json], limit: Limit, notification_disabled: bool = False) -> bytes:
    """A narrowcast to every friend: only for `to: friends`."""
    return _body({"limit": limit.json()}, messages, notification_disabled)


def broadcast_body(messages: Sequence[Json], notification_disabled: bool = False) -> bytes:
    """A broadcast to every friend: only for `to: friends`. LINE gives it no limit."""
    return _body({}, messages, notification_disabled)


def multicast_body(
    user_ids: Sequence[str], messages: Sequence[Json], notification_disabled: bool = False, unit: str | None = None
) -> bytes:
    """A multicast to these user IDs, at most 500, each once. `unit`: the name its statistics are kept under."""
    _require(0 < len(user_ids) <= limits.MULTICAST_RECIPIENTS_MAX, "a multicast has 1 to 500 people")
    _require(len(set(user_ids)) == len(user_ids), "a multicast names each person once")
    _require(all(limits.USER_ID.fullmatch(user_id) for user_id in user_ids), "a multicast names user ids")
    return _body({"to": list(user_ids), **_unit(unit)}, messages, notification_disabled)


def push_body(
    user_id: str, messages: Sequence[Json], notification_disabled: bool = False, unit: str | None = None
) -> bytes:
    """A push to one user ID."""
    _require(limits.USER_ID.fullmatch(user_id) is not None, "a push names a user id")
    return _body({"to": user_id, **_unit(unit)}, messages, notification_disabled)


def _unit(unit: str | None) -> dict[str, object]:
    if unit is None:
        return {}
    _require(limits.UNIT_NAME.fullmatch(unit) is not None, "a unit name has 1 to 30 of A-Z a-z 0-9 _")
    return {"customAggregationUnits": [unit]}


def _body(fields: dict[str, object], messages: Sequence[Json], notification_disabled: bool) -> bytes:
    _require(0 < len(messages) <= limits.MESSAGES_PER_SEND_MAX, "a send has 1 to 5 messages")
    fields["messages"] = list(messages)
    if notification_disabled:
        fields["notificationDisabled"] = True
    return canonical_json(fields)


# --- from the program's trees ------------------------------------------------------------------------------


def recipient_json(
    tree: program.Recipient, audience_ids: Mapping[str, int], request_ids: Mapping[tuple[str, int], str]
) -> dict[str, object]:
    """LINE's `recipient` for a tree. `audience_ids` by key; `request_ids` by delivery and part.

    Raises GrammarError where LINE's grammar or its limit of leaves is broken, or an id is missing.
    """
    value = _recipient(tree, audience_ids, request_ids)
    _check_recipient(value)
    return value


def _recipient(
    tree: program.Recipient, audience_ids: Mapping[str, int], request_ids: Mapping[tuple[str, int], str]
) -> dict[str, object]:
    match tree:
        case program.AudienceLeaf(key):
            _require(key in audience_ids, "each audience of a recipient has an id")
            return {"type": "audience", "audienceGroupId": audience_ids[key]}
        case program.RedeliveryLeaf(delivery, part):
            _require((delivery, part) in request_ids, "each redelivery of a recipient has a request id")
            return {"type": "redelivery", "requestId": request_ids[delivery, part]}
        case program.NoneOf(operand):
            return {"type": "operator", "not": _recipient(operand, audience_ids, request_ids)}
        case program.AllOf(operands):
            return _operator("and", [_recipient(operand, audience_ids, request_ids) for operand in operands])
        case program.AnyOf(operands):
            return _operator("or", [_recipient(operand, audience_ids, request_ids) for operand in operands])


def filter_json(tree: program.Filter) -> dict[str, object]:
    """LINE's demographic filter for a tree (what stands under `filter.demographic`).

    Raises GrammarError where LINE's grammar or its limit of conditions is broken.
    """
    value = _filter(tree)
    _check_filter(value)
    return value


def _filter(tree: program.Filter) -> dict[str, object]:
    match tree:
        case program.GenderIn(values):
            return {"type": "gender", "oneOf": list(values)}
        case program.OsIn(values):
            return {"type": "appType", "oneOf": list(values)}
        case program.AreaIn(values):
            return {"type": "area", "oneOf": list(values)}
        case program.AgeBetween(gte, lt):
            return {"type": "age", **_bounds(gte, lt)}
        case program.FriendForBetween(gte, lt):
            return {"type": "subscriptionPeriod", **_bounds(gte, lt)}
        case program.NotFilter(operand):
            return {"type": "operator", "not": _filter(operand)}
        case program.AllFilters(operands):
            return _operator("and", [_filter(operand) for operand in operands])
        case program.AnyFilter(operands):
            return _operator("or", [_filter(operand) for operand in operands])


def _bounds(gte: str | None, lt: str | None) -> dict[str, object]:
    return {name: bound for name, bound in (("gte", gte), ("lt", lt)) if bound is not None}


def _operator(name: str, operands: list[dict[str, object]]) -> dict[str, object]:
    _require(bool(operands), "an operator has an operand")
    return operands[0] if len(operands) == 1 else {"type": "operator", name: operands}


# --- grammar (specs/line.md) --------------------------------------------------------------------------


def _require(condition: bool, rule: str) -> None:
    if not condition:
        raise GrammarError(rule)


def _check_recipient(value: Json) -> None:
    leaves = _check_tree(value, _check_recipient_leaf)
    _require(leaves <= limits.RECIPIENT_LEAVES_MAX, "a recipient has at most 10 audiences and redeliveries")


def _check_filter(value: Json) -> None:
    leaves = _check_tree(value, _check_filter_leaf)
    _require(leaves <= limits.FILTER_LEAVES_MAX, "a filter has at most 10 conditions")


def _check_tree(value: object, check_leaf: Callable[[Json], None]) -> int:
    """The number of leaves of a tree whose every node is well-formed."""
    _require(isinstance(value, Mapping), "a node is an object")
    assert isinstance(value, Mapping)
    if value.get("type") != "operator":
        check_leaf(value)
        return 1
    named = [name for name in _OPERATORS if name in value]
    _require(len(named) == 1 and len(value) == 2, "an operator object has exactly one of and, or, not")
    inner = value[named[0]]
    if named[0] == "not":
        return _check_tree(inner, check_leaf)
    _require(isinstance(inner, list) and len(inner) > 0, "and/or have a list with something in it")
    return sum(_check_tree(operand, check_leaf) for operand in inner)


def _check_recipient_leaf(leaf: Json) -> None:
    match dict(leaf):
        case {"type": "audience", "audienceGroupId": int(number), **rest}:
            _require(not rest and number > 0 and not isinstance(number, bool), "an audience has an id and nothing else")
        case {"type": "redelivery", "requestId": str(request_id), **rest}:
            _require(not rest and request_id != "", "a redelivery has a request id and nothing else")
        case _:
            _require(False, "a recipient is an audience, a redelivery or an operator")


_VALUES: Mapping[str, Sequence[str]] = {
    "gender": limits.GENDERS,
    "appType": limits.OSES,
    "area": tuple(limits.AREAS),
}
_TIERS: Mapping[str, Sequence[str]] = {"age": limits.AGE_CODES, "subscriptionPeriod": limits.FRIEND_FOR_CODES}


def _check_filter_leaf(leaf: Json) -> None:
    kind = str(leaf.get("type"))
    if kind in _VALUES:
        values = leaf.get("oneOf")
        _require(set(leaf) == {"type", "oneOf"} and isinstance(values, list) and len(values) > 0, "oneOf has a value")
        assert isinstance(values, list)
        _require(all(value in _VALUES[kind] for value in values), "oneOf has values that LINE knows")
        _require(len(set(values)) == len(values), "oneOf names each value once")
        return
    _require(kind in _TIERS, "a condition is gender, age, appType, area or subscriptionPeriod")
    bounds = {key: leaf[key] for key in leaf if key != "type"}
    _require(bool(bounds) and set(bounds) <= {"gte", "lt"}, "a range has gte, lt or both")
    _require(all(bound in _TIERS[kind] for bound in bounds.values()), "a bound is one of LINE's tiers")
    if len(bounds) == 2:
        order = _TIERS[kind].index
        _require(order(str(bounds["gte"])) < order(str(bounds["lt"])), "gte is below lt")
