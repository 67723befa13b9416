"""The two grammars of a narrowcast, recipient and demographic filter: checked strictly, then evaluated over people."""

from __future__ import annotations

from collections.abc import Callable

from audsql.sim import rules
from audsql.sim.bodies import check_object, is_kind
from audsql.sim.clock import days_between
from audsql.sim.model import (
    Account,
    Audience,
    Call,
    Friend,
    Json,
    World,
    exists,
    following,
    is_exempt,
    members_of,
    status_of,
)

_OPERATORS = ("and", "or", "not")


def leaves(tree: Json) -> list[Json]:
    """The objects of a checked tree that are no operators, from left to right."""
    if tree.get("type") != "operator":
        return [tree]
    children = [tree["not"]] if "not" in tree else tree.get("and") or tree["or"]
    return [leaf for child in children for leaf in leaves(child)]


def check_recipient(call: Call, recipient: Json) -> None:
    """Refuse, as LINE does, whatever is no recipient that may be sent to now."""
    _check_tree(recipient, "recipient", _check_recipient_leaf)
    found = leaves(recipient)
    if len(found) > rules.RECIPIENT_LEAVES:
        raise rules.refuse_field("recipient", f"Size must be between 1 and {rules.RECIPIENT_LEAVES}")
    for leaf in found:
        if leaf["type"] == "audience":
            _check_audience(call, leaf["audienceGroupId"])
        else:
            _check_redelivery(call, leaf["requestId"])


def check_demographic(demographic: Json) -> None:
    """Refuse, as LINE does, whatever is no demographic filter."""
    _check_tree(demographic, "filter.demographic", _check_demographic_leaf)
    if len(leaves(demographic)) > rules.DEMOGRAPHIC_LEAVES:
        raise rules.refuse_field("filter.demographic", f"Size must be between 1 and {rules.DEMOGRAPHIC_LEAVES}")


def _check_tree(tree: Json, where: str, check_leaf: Callable[[Json, str], None]) -> None:
    if not isinstance(tree, dict):
        raise rules.refuse_property(where)
    if tree.get("type") != "operator":
        check_leaf(tree, where)
        return
    check_object(tree, where, {"type": "string", "and": "array", "or": "array", "not": "object"})
    given = [name for name in _OPERATORS if name in tree]
    if len(given) != 1 or tree[given[0]] is None:
        raise rules.refuse_field(where, "Exactly one of and, or, not must be specified")
    if given[0] == "not":
        _check_tree(tree["not"], f"{where}.not", check_leaf)
        return
    children = tree[given[0]]
    if not children:
        raise rules.refuse_field(f"{where}.{given[0]}", "May not be empty")
    for index, child in enumerate(children):
        _check_tree(child, f"{where}.{given[0]}[{index}]", check_leaf)


def _check_recipient_leaf(leaf: Json, where: str) -> None:
    kind = leaf.get("type")
    if kind == "audience":
        check_object(leaf, where, {"type": "string", "audienceGroupId": "integer"}, ("audienceGroupId",))
    elif kind == "redelivery":
        check_object(leaf, where, {"type": "string", "requestId": "string"}, ("requestId",))
    else:
        values = "[operator, audience, redelivery]"
        raise rules.refuse_field(f"{where}.type", f"Must be one of the following values: {values}")


def _check_audience(call: Call, audience_group_id: int) -> None:
    audience = call.account.audiences.get(audience_group_id)
    usable = audience is not None and exists(call.world, audience)
    if audience is None or not usable or status_of(call.world, call.account, audience) != "READY":
        raise rules.refuse(400, f"Invalid audience group id: {audience_group_id}")


def _check_redelivery(call: Call, request_id: str) -> None:
    send = call.account.sends.get(request_id)
    if (
        send is None
        or send.narrowcast is None
        or send.narrowcast.phase != "succeeded"
        or call.world.now - send.at >= rules.NARROWCAST_LIFE_SECONDS
    ):
        raise rules.refuse(400, f"Invalid request id: {request_id}")


def _check_demographic_leaf(leaf: Json, where: str) -> None:
    kind = leaf.get("type")
    if kind in ("gender", "appType", "area"):
        check_object(leaf, where, {"type": "string", "oneOf": "array"}, ("oneOf",))
        _check_one_of(leaf["oneOf"], f"{where}.oneOf", _values(kind))
    elif kind in ("age", "subscriptionPeriod"):
        given = check_object(leaf, where, {"type": "string", "gte": "string", "lt": "string"})
        _check_range(given, where, list(rules.AGES if kind == "age" else rules.PERIODS))
    else:
        values = "[operator, gender, age, appType, area, subscriptionPeriod]"
        raise rules.refuse_field(f"{where}.type", f"Must be one of the following values: {values}")


def _values(kind: str) -> tuple[str, ...]:
    if kind == "gender":
        return rules.GENDERS
    return rules.APP_TYPES if kind == "appType" else tuple(sorted(rules.AREAS))


def _check_one_of(values: Json, where: str, known: tuple[str, ...]) -> None:
    if not values:
        raise rules.refuse_field(where, "May not be empty")
    for index, value in enumerate(values):
        if not is_kind(value, "string") or value not in known:
            expected = ", ".join(known)
            raise rules.refuse_field(f"{where}[{index}]", f"Must be one of the following values: [{expected}]")


def _check_range(given: dict[str, Json], where: str, steps: list[str]) -> None:
    bounds = [name for name in ("gte", "lt") if name in given]
    if not bounds:
        raise rules.refuse_field(where, "At least one of gte, lt must be specified")
    for name in bounds:
        if given[name] not in steps:
            raise rules.refuse_field(f"{where}.{name}", f"Must be one of the following values: [{', '.join(steps)}]")
    if len(bounds) == 2 and steps.index(given["gte"]) >= steps.index(given["lt"]):
        raise rules.refuse_field(where, "gte must be less than lt")


def used_audiences(account: Account, recipient: Json) -> list[Audience]:
    """The audiences that a recipient names."""
    return [account.audiences[leaf["audienceGroupId"]] for leaf in leaves(recipient) if leaf["type"] == "audience"]


def needs_minimum(account: Account, recipient: Json, demographic: Json) -> bool:
    """Whether the recipients must be at least the minimum: an attribute, a redelivery or a non-exempt audience."""
    if demographic is not None:
        return True
    if recipient is None:
        return False
    if any(leaf["type"] == "redelivery" for leaf in leaves(recipient)):
        return True
    return any(not is_exempt(audience) for audience in used_audiences(account, recipient))


def evaluate(world: World, account: Account, recipient: Json, demographic: Json) -> tuple[str, ...]:
    """The people whom a narrowcast means now, in the order of the world file."""
    people = following(account, world.now)
    if recipient is not None:
        chosen = _evaluate(account, recipient, frozenset(people))
        people = [user_id for user_id in people if user_id in chosen]
    if demographic is not None:
        unknown_passes_not = bool(account.settings.get("notIncludesUnknown", True))
        people = [
            user_id
            for user_id in people
            if _holds(demographic, account.friends[user_id], world.now, unknown_passes_not) is True
        ]
    return tuple(people)


def _evaluate(account: Account, tree: Json, everybody: frozenset[str]) -> frozenset[str]:
    if tree["type"] == "audience":
        return members_of(account, account.audiences[tree["audienceGroupId"]]) & everybody
    if tree["type"] == "redelivery":
        return frozenset(account.sends[tree["requestId"]].to) & everybody
    if "not" in tree:
        return everybody - _evaluate(account, tree["not"], everybody)
    children = [_evaluate(account, child, everybody) for child in tree.get("and") or tree["or"]]
    return children[0].intersection(*children[1:]) if "and" in tree else children[0].union(*children[1:])


def _holds(tree: Json, friend: Friend, now: float, unknown_passes_not: bool) -> bool | None:
    """Three-valued: None is unknown. Where the account's `not` includes unknown people, unknown is plain False."""
    if tree["type"] != "operator":
        known = _leaf_holds(tree, friend, now)
        return False if known is None and unknown_passes_not else known
    if "not" in tree:
        inner = _holds(tree["not"], friend, now, unknown_passes_not)
        return None if inner is None else not inner
    decisive = "or" in tree
    values = {_holds(child, friend, now, unknown_passes_not) for child in tree.get("and") or tree["or"]}
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def _leaf_holds(leaf: Json, friend: Friend, now: float) -> bool | None:
    kind = leaf["type"]
    if kind in ("gender", "appType", "area"):
        value = {"gender": friend.gender, "appType": friend.os, "area": friend.area}[kind]
        return None if value is None else value in leaf["oneOf"]
    if kind == "age":
        years = None if friend.age is None else int(friend.age.removeprefix("age_"))
        return _in_range(years, leaf, {step: int(step.removeprefix("age_")) for step in rules.AGES})
    # The day after the add is day 1 of the friendship.
    days = None if friend.followed_at is None else days_between(friend.followed_at, now)
    return _in_range(days, leaf, rules.PERIODS)


def _in_range(value: int | None, leaf: Json, steps: dict[str, int]) -> bool | None:
    if value is None:
        return None
    low, high = leaf.get("gte"), leaf.get("lt")
    return (low is None or value >= steps[low]) and (high is None or value < steps[high])
