"""People who follow, block and unblock, and the webhook events that LINE sends about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from audsql.sim.model import Account, Friend, Json, World, bot_user_id, make_ulid, schedule


def change_friend(world: World, account: Account, user_id: str, values: Mapping[str, Any]) -> None:
    """Give a friend new values now; following and blocking tell the webhook."""
    before = account.friends[user_id]
    after = account.friends[user_id] = replace(before, **values)
    if after.status != before.status and _has_come(world, after):
        _tell(world, account, after, unblocked=True)


def arrive(world: World, account: Account, user_id: str) -> None:
    """Somebody adds the account at this instant, as the world said before."""
    friend = account.friends[user_id]
    if friend.status == "following":
        _tell(world, account, friend, unblocked=False)


def come_or_change(
    world: World, account: Account, user_id: str, at: float, values: Mapping[str, Any], via: str | None
) -> None:
    """From `at` on a person has these values; who was no friend adds the account then. Raises ValueError: past."""
    if at < world.now:
        raise ValueError("at is past")
    friend = account.friends.get(user_id)
    if friend is None:
        account.friends[user_id] = Friend(user_id, followed_at=at, via=via, **values)
        schedule(world, at, account.name, "arrive", user_id)
        return
    changes = sorted((*friend.changes, (at, values)), key=lambda change: change[0])
    account.friends[user_id] = replace(friend, changes=tuple(changes), via=friend.via if via is None else via)
    schedule(world, at, account.name, "friend", user_id)


def due_change(world: World, account: Account, user_id: str) -> None:
    """The next change of a friend happens."""
    friend = account.friends[user_id]
    (_, values), *rest = friend.changes
    account.friends[user_id] = replace(friend, changes=tuple(rest))
    change_friend(world, account, user_id, values)


def _has_come(world: World, friend: Friend) -> bool:
    return friend.followed_at is None or friend.followed_at <= world.now


def _tell(world: World, account: Account, friend: Friend, *, unblocked: bool) -> None:
    """One webhook body with one event, as LINE sends it; `via` is what the shop's own server adds."""
    number = len(world.webhooks) + 1
    event: dict[str, Json] = {
        "type": "follow" if friend.status == "following" else "unfollow",
        "timestamp": round(world.now * 1000),
        "source": {"type": "user", "userId": friend.user_id},
        "mode": "active",
        "webhookEventId": make_ulid(world, f"event:{number}"),
        "deliveryContext": {"isRedelivery": False},
    }
    if event["type"] == "follow":
        event["replyToken"] = hashlib.sha256(f"{world.seed}:reply:{number}".encode()).hexdigest()[:32]
        event["follow"] = {"isUnblocked": unblocked}
        if friend.via is not None:
            event["via"] = friend.via
    body = {"account": account.name, "destination": bot_user_id(account), "events": [event]}
    world.webhooks.append(body)
