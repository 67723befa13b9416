"""What changes between the sends of a delivery: turns that a world file ties to its next sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from audsql.sim.model import Account, Json, Send, Turn, World
from audsql.sim.people import change_friend

KEYS = frozenset({"nth", "when", "kind", "friends", "audiences", "reactions"})
_WHEN = ("accepted", "ended")
_KINDS = ("narrowcast", "broadcast", "multicast", "push")


def load_turn(given: Mapping[str, Json], read_attributes: Callable[[Mapping[str, Json]], dict[str, Any]]) -> Turn:
    """One turn of a world file. Raises ValueError, KeyError or TypeError when it is not one."""
    unknown = sorted(set(given) - KEYS)
    if unknown:
        raise ValueError(f"unknown key in turn: {unknown[0]}")
    if given["when"] not in _WHEN or isinstance(given["nth"], bool) or int(given["nth"]) < 1:
        raise ValueError("a turn happens when the nth narrowcast, from 1, is accepted or ended")
    if given.get("kind", "narrowcast") not in _KINDS:
        raise ValueError("kind is narrowcast, broadcast, multicast or push")
    return Turn(
        nth=int(given["nth"]),
        when=given["when"],
        friends=tuple((one["userId"], read_attributes(one)) for one in given.get("friends", ())),
        audiences=tuple(
            (one["description"], frozenset(one.get("add", ())), frozenset(one.get("remove", ())))
            for one in given.get("audiences", ())
        ),
        reactions=tuple(
            (
                one.get("requestId"),
                frozenset(one.get("opened", ())),
                {url: frozenset(people) for url, people in one.get("clicked", {}).items()},
            )
            for one in given.get("reactions", ())
        ),
        kind=given.get("kind", "narrowcast"),
    )


def dump_turn(turn: Turn, write_attributes: Callable[[Mapping[str, Json]], dict[str, Json]]) -> dict[str, Json]:
    """The turn as `load_turn` reads it."""
    return {
        "nth": turn.nth,
        "when": turn.when,
        "kind": turn.kind,
        "friends": [{"userId": user_id, **write_attributes(values)} for user_id, values in turn.friends],
        "audiences": [
            {"description": name, "add": sorted(added), "remove": sorted(removed)}
            for name, added, removed in turn.audiences
        ],
        "reactions": [
            {
                **({} if request_id is None else {"requestId": request_id}),
                "opened": sorted(opened),
                "clicked": {url: sorted(people) for url, people in clicked.items()},
            }
            for request_id, opened, clicked in turn.reactions
        ],
    }


def react(send: Send, opened: Iterable[str], clicked: Mapping[str, Iterable[str]]) -> Send:
    """People open and click what a send brought them."""
    merged = dict(send.clicked)
    for url, people in clicked.items():
        merged[url] = merged.get(url, frozenset()) | frozenset(people)
    return replace(send, opened=send.opened | frozenset(opened), clicked=merged)


def take_turns(world: World, account: Account, kind: str, when: str, request_id: str) -> None:
    """Count one send as accepted or ended; the turns that waited for it happen, in the order of the file."""
    if not account.turns:
        return
    counted = [
        replace(turn, nth=turn.nth - 1) if (turn.kind, turn.when) == (kind, when) else turn for turn in account.turns
    ]
    account.turns = [turn for turn in counted if turn.nth]
    for turn in counted:
        if not turn.nth:
            _happen(world, account, turn, request_id)


def _happen(world: World, account: Account, turn: Turn, request_id: str) -> None:
    for user_id, values in turn.friends:
        change_friend(world, account, user_id, values)
    for name, added, removed in turn.audiences:
        for audience in [each for each in account.audiences.values() if each.description == name]:
            members = ((audience.members or frozenset()) | added) - removed
            account.audiences[audience.audience_group_id] = replace(audience, members=members)
    for named, opened, clicked in turn.reactions:
        key = named or request_id
        account.sends[key] = react(account.sends[key], opened, clicked)
