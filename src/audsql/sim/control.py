"""The control plane under `/_sim/`: what was received and asked, the clock, faults, the world itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields

from audsql.sim import agenda, rules, worldfile
from audsql.sim.audiences import inventory
from audsql.sim.clock import format_time, parse_time
from audsql.sim.faults import read_faults
from audsql.sim.model import Json, Response, World
from audsql.sim.people import come_or_change
from audsql.sim.turns import react


def _clock(world: World, _: Json) -> Json:
    return {"now": format_time(world.now), "auto": world.auto}


def _set_clock(world: World, document: Json) -> Json:
    if not isinstance(document, dict) or not document or not set(document) <= {"advance_seconds", "auto"}:
        raise ValueError("give advance_seconds or auto")
    seconds = document.get("advance_seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise ValueError("advance_seconds is a number from 0")
    if "auto" in document:
        world.auto = bool(document["auto"])
    agenda.advance(world, seconds)
    return _clock(world, None)


def _faults(world: World, _: Json) -> Json:
    return world.faults


def _set_faults(world: World, document: Json) -> Json:
    world.faults = read_faults(document)
    return world.faults


def _clear_faults(world: World, _: Json) -> Json:
    return _set_faults(world, [])


def _set_world(world: World, document: Json) -> Json:
    loaded = worldfile.load(document)
    for field in fields(World):
        setattr(world, field.name, getattr(loaded, field.name))
    return _clock(world, None)


def _behave(world: World, document: Json) -> Json:
    """People open and click what a send brought them."""
    request_id = document["requestId"]
    for account in world.accounts.values():
        send = account.sends.get(request_id)
        if send is not None:
            account.sends[request_id] = react(send, document.get("opened", ()), document.get("clicked", {}))
            return {}
    raise ValueError("no send has this requestId")


def _people(world: World, document: Json) -> Json:
    """People follow, block, unblock or change otherwise, now or at a time to come."""
    unknown = sorted(set(document) - {"account", "people"})
    if unknown:
        raise ValueError(f"unknown key: {unknown[0]}")
    account = world.accounts[document.get("account", next(iter(world.accounts)))]
    for given in document["people"]:
        unknown = sorted(set(given) - worldfile.PERSON)
        if unknown:
            raise ValueError(f"unknown key in person: {unknown[0]}")
        if rules.USER_ID.fullmatch(given["userId"]) is None:
            raise ValueError("userId is not a LINE user ID")
        at = parse_time(given["at"]) if "at" in given else world.now
        come_or_change(world, account, given["userId"], at, worldfile.attributes(given), given.get("via"))
    agenda.advance(world, 0)
    return {}


_ROUTES: dict[tuple[str, str], Callable[[World, Json], Json]] = {
    ("GET", "/_sim/inbox"): lambda world, _: world.inbox,
    ("GET", "/_sim/requests"): lambda world, _: world.requests,
    ("GET", "/_sim/audiences"): lambda world, _: inventory(world),
    ("GET", "/_sim/clock"): _clock,
    ("POST", "/_sim/clock"): _set_clock,
    ("GET", "/_sim/faults"): _faults,
    ("POST", "/_sim/faults"): _set_faults,
    ("DELETE", "/_sim/faults"): _clear_faults,
    ("GET", "/_sim/world"): lambda world, _: worldfile.dump(world),
    ("PUT", "/_sim/world"): _set_world,
    ("POST", "/_sim/behave"): _behave,
    ("POST", "/_sim/people"): _people,
    ("GET", "/_sim/webhooks"): lambda world, _: world.webhooks,
}


def control(world: World, method: str, path: str, body: bytes) -> Response:
    """Answer a control request; 400 says what is wrong with it."""
    route = _ROUTES.get((method, path))
    if route is None:
        return Response(404, {"message": "Not found"})
    try:
        return Response(200, route(world, json.loads(body) if body else None))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as wrong:
        return Response(400, {"message": f"{type(wrong).__name__}: {wrong}"})
