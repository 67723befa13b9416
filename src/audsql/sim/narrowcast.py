"""Narrowcasts: accepted, stepped, ended, and the progress that LINE tells of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from audsql.sim import rules
from audsql.sim.bodies import check_object, json_object, query_value
from audsql.sim.clock import format_utc
from audsql.sim.coupons import check_coupons
from audsql.sim.messages import check_messages, urls_of
from audsql.sim.model import (
    Account,
    Call,
    Json,
    Narrowcast,
    Response,
    Send,
    World,
    is_exempt,
    is_following,
    members_of,
    schedule,
    seconds_setting,
    target_reach,
)
from audsql.sim.recipients import (
    check_demographic,
    check_recipient,
    evaluate,
    needs_minimum,
    used_audiences,
)
from audsql.sim.sends import deliver, refuse_over_quota, remaining_quota
from audsql.sim.turns import take_turns

_BODY = {
    "messages": "array",
    "recipient": "object",
    "filter": "object",
    "limit": "object",
    "notificationDisabled": "boolean",
}
_LIMIT = {"max": "integer", "upToRemainingQuota": "boolean", "forbidPartialDelivery": "boolean"}


def narrowcast(call: Call) -> Response:
    """POST /v2/bot/message/narrowcast: accepted now, sent later; without a recipient it means all friends."""
    body = json_object(call, _BODY, ("messages",))
    messages = check_messages(body["messages"])
    check_coupons(call.world, call.account, messages)
    recipient = body.get("recipient")
    demographic = check_object(body.get("filter", {}), "filter", {"demographic": "object"}).get("demographic")
    if recipient is not None:
        check_recipient(call, recipient)
    if demographic is not None:
        check_demographic(demographic)
    limit = _limit(body.get("limit", {}))
    if demographic is not None and target_reach(call.account, call.world.now) < rules.MINIMUM_TARGET_REACH:
        raise rules.refuse(403, rules.TOO_FEW_FRIENDS)
    maximum, reserved = _bounds(call.world, call.account, limit)
    start_at = call.world.now + seconds_setting(call.account, "waitSeconds", rules.WAIT_SECONDS)
    planned = Narrowcast(
        start_at=start_at,
        complete_at=start_at + seconds_setting(call.account, "sendSeconds", rules.SEND_SECONDS),
        recipient=recipient,
        demographic=demographic,
        maximum=maximum,
        forbid_partial=bool(limit.get("forbidPartialDelivery", False)),
        reserved=reserved,
        outcome=call.account.outcomes.pop(0) if call.account.outcomes else None,
    )
    call.account.sends[call.request_id] = Send(
        request_id=call.request_id,
        kind="narrowcast",
        at=call.world.now,
        messages=messages,
        urls=urls_of(messages),
        narrowcast=planned,
    )
    call.account.running.add(call.request_id)
    schedule(call.world, planned.start_at, call.account.name, "start", call.request_id)
    schedule(call.world, planned.complete_at, call.account.name, "finish", call.request_id)
    take_turns(call.world, call.account, "narrowcast", "accepted", call.request_id)
    return Response(202, {})


def _limit(given: Json) -> dict[str, Json]:
    limit = check_object(given, "limit", _LIMIT)
    if "max" in limit and limit["max"] < 1:
        raise rules.refuse_field("limit.max", "Must be greater than or equal to 1")
    if limit.get("forbidPartialDelivery") and not limit.get("upToRemainingQuota"):
        raise rules.refuse(400, rules.FORBID_ALONE)
    return limit


def _bounds(world: World, account: Account, limit: Mapping[str, Json]) -> tuple[int | None, int]:
    """The most people it may reach and what it reserves; 429 when the reservation does not fit.

    Target reach, lowered by `max` and, with `upToRemainingQuota`, by what is left this month.
    """
    left = remaining_quota(world, account)
    reach = target_reach(account, world.now)
    reserved = min(reach, limit.get("max", reach))
    if limit.get("upToRemainingQuota") and left is not None:
        if left <= 0:
            raise rules.refuse(429, rules.MONTHLY_LIMIT)
        reserved = min(reserved, left)
    refuse_over_quota(world, account, reserved)
    unbounded = "max" not in limit and (left is None or not limit.get("upToRemainingQuota"))
    return (None if unbounded else reserved), reserved


def step(world: World, account: Account, what: str, request_id: str) -> None:
    """What happens to a narrowcast by itself: it starts, or it ends."""
    send = account.sends[request_id]
    if send.narrowcast is None or send.narrowcast.phase == "failed":
        return
    if what == "start":
        stepped = replace(send, narrowcast=_start(world, account, send, send.narrowcast))
    else:
        stepped = _finish(world, account, send, send.narrowcast)
    account.sends[request_id] = stepped
    if stepped.narrowcast is not None and stepped.narrowcast.phase in ("succeeded", "failed"):
        account.running.discard(request_id)
        take_turns(world, account, "narrowcast", "ended", request_id)


def _start(world: World, account: Account, send: Send, planned: Narrowcast) -> Narrowcast:
    """Decide who gets it, or why nobody does."""
    people = evaluate(world, account, planned.recipient, planned.demographic)
    error = _refusal_code(account, planned, len(people))
    if error is not None:
        return replace(planned, phase="failed", error_code=error, reserved=0, complete_at=world.now)
    if planned.maximum is not None and len(people) > planned.maximum:
        people = _choose(people, planned.maximum, send.request_id)
    return replace(planned, phase="sending", targets=people)


def _refusal_code(account: Account, planned: Narrowcast, count: int) -> int | None:
    if planned.recipient is not None:
        for audience in used_audiences(account, planned.recipient):
            if not is_exempt(audience) and len(members_of(account, audience)) < rules.MINIMUM_RECIPIENTS:
                return 4
    if needs_minimum(account, planned.recipient, planned.demographic) and count < rules.MINIMUM_RECIPIENTS:
        return 2
    if planned.forbid_partial and planned.maximum is not None and count > planned.maximum:
        return 5
    return None


def _choose(people: tuple[str, ...], count: int, salt: str) -> tuple[str, ...]:
    """LINE chooses at random; here a hash of the request decides, so that a run can be repeated."""
    ranked = sorted(people, key=lambda user_id: hashlib.sha256(f"{salt}:{user_id}".encode()).digest())
    chosen = frozenset(ranked[:count])
    return tuple(user_id for user_id in people if user_id in chosen)


def _finish(world: World, account: Account, send: Send, running: Narrowcast) -> Send:
    outcome = running.outcome or {}
    reachable = tuple(each for each in running.targets if is_following(account.friends[each], world.now))
    failures = len(running.targets) - len(reachable)
    ended = replace(running, phase="succeeded", failures=failures, reserved=0)
    if outcome.get("errorCode") is not None:
        reachable = reachable[: int(outcome.get("delivered", 0))]
        ended = replace(
            ended,
            phase="failed",
            error_code=outcome["errorCode"],
            failures=len(running.targets) - len(reachable),
        )
    return deliver(world, account, replace(send, narrowcast=ended), reachable)


def progress(call: Call) -> Response:
    """GET /v2/bot/message/progress/narrowcast: for 14 days after acceptance."""
    request_id = query_value(call, "requestId")
    if request_id is None or rules.UUID.fullmatch(request_id) is None:
        raise rules.refuse_details("Invalid request id", "INVALID_REQUEST_ID", "requestId")
    send = call.account.sends.get(request_id)
    if send is None or send.narrowcast is None or call.world.now - send.at >= rules.NARROWCAST_LIFE_SECONDS:
        raise rules.refuse(404, rules.NOT_FOUND)
    return Response(200, _progress(send, send.narrowcast))


def _progress(send: Send, running: Narrowcast) -> dict[str, Json]:
    body: dict[str, Json] = {"phase": running.phase}
    if running.phase != "waiting":
        ended = running.phase != "sending"
        body["successCount"] = len(send.to)
        body["failureCount"] = running.failures if ended else 0
        body["targetCount"] = len(running.targets)
        if ended:
            body["completedTime"] = format_utc(running.complete_at)
    if running.phase == "failed" and running.error_code is not None:
        body["failedDescription"] = rules.FAILURES.get(running.error_code, rules.FAILURES[1])
        body["errorCode"] = running.error_code
    body["acceptedTime"] = format_utc(send.at)
    return body
