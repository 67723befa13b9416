"""Reading a world file and writing it back: `dump` is loadable and continues where it stopped.

A file that a person writes needs little (design: account, token, friends, sends, audiences); everything else has a
default. specs/schemas/world.schema.json describes both the short and the dumped form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from audsql.sim import rules
from audsql.sim.agenda import advance
from audsql.sim.clock import format_time, month_of, parse_time
from audsql.sim.model import (
    Accepted,
    Account,
    Audience,
    Coupon,
    Friend,
    Job,
    Json,
    Narrowcast,
    Send,
    World,
    make_audience_id,
    schedule,
)
from audsql.sim.turns import KEYS as TURN_KEYS
from audsql.sim.turns import dump_turn, load_turn

# Keys of an account that are not settings.
_PARTS = frozenset(
    {"token", "quota", "friends", "sends", "audiences", "retryKeys", "buckets", "used", "progress", "turns", "coupons"}
)
# Every key of a world file; a misspelt one would otherwise change nothing and say nothing.
KEYS: dict[str, frozenset[str]] = {
    "world": frozenset(
        {"now", "seed", "auto", "rateLimits", "made", "accounts", "inbox", "requests", "faults", "webhooks", "$schema"}
    ),
    "account": _PARTS
    | {"followersReadable", "notIncludesUnknown", "targetReach", "displayName", "insufficientStatus"}
    | {"readySeconds", "jobSeconds", "waitSeconds", "sendSeconds", "usableSeconds"},
    "friend": frozenset({"userId", "status", "followedAt", "policyAccepted", "gender", "age", "area", "os", "changes"})
    | {"via"},
    "send": frozenset(
        {"requestId", "kind", "at", "messages", "to", "opened", "clicked", "urls", "units", "phase", "narrowcast"}
    ),
    "audience": frozenset(
        {"audienceGroupId", "type", "description", "members", "created", "createRoute", "permission", "jobs"}
        | {"requestId", "clickUrl", "isIfaAudience", "status", "failedType", "ready", "expires", "deleted"}
        | {"owner", "changes"}
    ),
    "turn": TURN_KEYS,
    "coupon": frozenset({"couponId", "created", "closed", "draft", "document"}),
}
_ATTRIBUTES = {"status": "status", "gender": "gender", "age": "age", "area": "area", "os": "os",
               "policyAccepted": "policy_accepted"}  # fmt: skip
# What the control plane may say of a person.
PERSON = frozenset({"userId", "at", "via"}) | frozenset(_ATTRIBUTES)


def load(document: Mapping[str, Json]) -> World:
    """A world from its JSON document. Raises ValueError, KeyError or TypeError when it is not one."""
    _check_keys(document, "world")
    world = World(
        now=parse_time(document["now"]),
        seed=int(document.get("seed", 0)),
        accounts={},
        auto=bool(document.get("auto", False)),
        rate_limits=bool(document.get("rateLimits", True)),
    )
    made = document.get("made", {})
    world.ids_made = int(made.get("ids", 0))
    world.audiences_made = int(made.get("audiences", 0))
    world.inbox = list(document.get("inbox", ()))
    world.requests = list(document.get("requests", ()))
    world.faults = [dict(fault) for fault in document.get("faults", ())]
    world.webhooks = list(document.get("webhooks", ()))
    for name, given in document["accounts"].items():
        world.accounts[name] = _load_account(world, name, given)
    tokens = [account.token for account in world.accounts.values()]
    if len(set(tokens)) != len(tokens):
        raise ValueError("two accounts have the same token")
    advance(world, 0)
    return world


def _check_keys(given: Mapping[str, Json], what: str) -> None:
    unknown = sorted(set(given) - KEYS[what])
    if unknown:
        raise ValueError(f"unknown key in {what}: {unknown[0]}")


def _load_account(world: World, name: str, given: Mapping[str, Json]) -> Account:
    _check_keys(given, "account")
    quota = given.get("quota") or {"type": "none"}
    account = Account(
        name=name,
        token=given["token"],
        settings={key: value for key, value in given.items() if key not in _PARTS},
        quota=int(quota["value"]) if quota["type"] == "limited" else None,
        friends={friend.user_id: friend for friend in map(_load_friend, given.get("friends", ()))},
        outcomes=list(given.get("progress", ())),
        turns=[load_turn(turn, attributes) for turn in given.get("turns", ())],
    )
    for send in map(_load_send, given.get("sends", ())):
        account.sends[send.request_id] = send
    for entry in given.get("audiences", ()):
        audience = _load_audience(world, account, entry)
        account.audiences[audience.audience_group_id] = audience
    for key, kept in given.get("retryKeys", {}).items():
        account.retry_keys[key] = Accepted(parse_time(kept["at"]), kept["requestId"], kept.get("echo", {}))
    for bucket, kept in given.get("buckets", {}).items():
        account.buckets[bucket] = (kept["level"], parse_time(kept["at"]))
    for entry in given.get("coupons", ()):
        coupon = _load_coupon(entry)
        account.coupons[coupon.coupon_id] = coupon
    account.used = dict(given["used"]) if "used" in given else _used_by(account, quota, month_of(world.now))
    _schedule_all(world, account)
    return account


def _used_by(account: Account, quota: Mapping[str, Json], this_month: str) -> dict[str, int]:
    """Messages used per month: its past sends; for this month what the world says under `quota.used`."""
    used: dict[str, int] = {}
    for send in account.sends.values():
        month = month_of(send.at)
        used[month] = used.get(month, 0) + len(send.to)
    if "used" in quota:
        used[this_month] = int(quota["used"])
    return used


def _load_friend(given: Mapping[str, Json]) -> Friend:
    _check_keys(given, "friend")
    if rules.USER_ID.fullmatch(given["userId"]) is None:
        raise ValueError("a friend's userId is not a LINE user ID")
    return Friend(
        user_id=given["userId"],
        followed_at=_time(given.get("followedAt")),
        via=given.get("via"),
        changes=tuple((parse_time(change["at"]), attributes(change)) for change in given.get("changes", ())),
        **attributes(given),
    )


def attributes(given: Mapping[str, Json]) -> dict[str, Any]:
    """What a document says of a friend's values, under our names."""
    return {ours: given[theirs] for theirs, ours in _ATTRIBUTES.items() if theirs in given}


def _time(text: str | None) -> float | None:
    return None if text is None else parse_time(text)


def _load_send(given: Mapping[str, Json]) -> Send:
    _check_keys(given, "send")
    at = parse_time(given["at"])
    narrowcast = given.get("narrowcast")
    if given["kind"] == "narrowcast" and narrowcast is None:
        narrowcast = {"startAt": given["at"], "completeAt": given["at"], "phase": given.get("phase", "succeeded"),
                      "targets": given.get("to", ())}  # fmt: skip
    return Send(
        request_id=given["requestId"],
        kind=given["kind"],
        at=at,
        messages=tuple(given.get("messages", ())),
        to=tuple(given.get("to", ())),
        opened=frozenset(given.get("opened", ())),
        clicked={url: frozenset(people) for url, people in given.get("clicked", {}).items()},
        urls=tuple(given.get("urls", ())),
        units=tuple(given.get("units", ())),
        narrowcast=None if narrowcast is None else _load_narrowcast(narrowcast),
    )


def _load_narrowcast(given: Mapping[str, Json]) -> Narrowcast:
    return Narrowcast(
        start_at=parse_time(given["startAt"]),
        complete_at=parse_time(given["completeAt"]),
        phase=given.get("phase", "waiting"),
        recipient=given.get("recipient"),
        demographic=given.get("demographic"),
        maximum=given.get("maximum"),
        forbid_partial=given.get("forbidPartial", False),
        reserved=given.get("reserved", 0),
        targets=tuple(given.get("targets", ())),
        failures=given.get("failures", 0),
        error_code=given.get("errorCode"),
        outcome=given.get("outcome"),
    )


def _load_audience(world: World, account: Account, given: Mapping[str, Json]) -> Audience:
    _check_keys(given, "audience")
    created = parse_time(given["created"]) if "created" in given else world.now - rules.DAY_SECONDS
    kind = given["type"]
    expires = _time(given.get("expires"))
    if expires is None and kind in rules.EXPIRING_TYPES and given.get("owner") is None:
        expires = created + rules.AUDIENCE_LIFE_SECONDS
    from_send = kind in ("CLICK", "IMP") and given.get("members") is None
    return Audience(
        audience_group_id=given.get("audienceGroupId") or _free_id(world, account),
        type=kind,
        description=given["description"],
        created=created,
        create_route=given.get("createRoute", "OA_MANAGER"),
        permission=given.get("permission", "READ"),
        members=None if from_send else frozenset(given.get("members") or ()),
        jobs=tuple(_load_job(job) for job in given.get("jobs", ())),
        request_id=given.get("requestId"),
        click_url=given.get("clickUrl"),
        is_ifa=given.get("isIfaAudience", False),
        status=given.get("status"),
        failed_type=given.get("failedType"),
        # A dump says when an audience is due, or null for never; a world that a person writes is due already.
        ready_at=_time(given["ready"]) if "ready" in given else created,
        expires_at=expires,
        deleted_at=_time(given.get("deleted")),
        owner=given.get("owner"),
        changes=tuple(
            (parse_time(change["at"]), frozenset(change.get("add", ())), frozenset(change.get("remove", ())))
            for change in given.get("changes", ())
        ),
    )


def _free_id(world: World, account: Account) -> int:
    """An id that no audience of the account already has."""
    made = make_audience_id(world)
    while made in account.audiences:
        made = make_audience_id(world)
    return made


def _load_coupon(given: Mapping[str, Json]) -> Coupon:
    _check_keys(given, "coupon")
    return Coupon(
        coupon_id=given["couponId"],
        created=parse_time(given["created"]),
        document=dict(given["document"]),
        closed_at=_time(given.get("closed")),
        draft=bool(given.get("draft", False)),
    )


def _dump_coupon(coupon: Coupon) -> dict[str, Json]:
    return _given(
        (
            ("couponId", coupon.coupon_id),
            ("created", format_time(coupon.created)),
            ("closed", _when(coupon.closed_at)),
            ("draft", coupon.draft or None),
            ("document", dict(coupon.document)),
        )
    )


def _load_job(given: Mapping[str, Json]) -> Job:
    return Job(
        job_id=given["audienceGroupJobId"],
        created=parse_time(given["created"]),
        finished_at=parse_time(given["finished"]),
        description=given.get("description"),
        count=given["audienceCount"],
        members=frozenset(given.get("members", ())),
    )


def _schedule_all(world: World, account: Account) -> None:
    """Enter everything that is still to happen in the account."""
    for audience in account.audiences.values():
        for job in audience.jobs:
            if job.finished_at > world.now:
                schedule(world, job.finished_at, account.name, "job", (audience.audience_group_id, job.job_id))
        for at, _, _ in audience.changes:
            schedule(world, at, account.name, "audience", audience.audience_group_id)
    for friend in account.friends.values():
        if friend.followed_at is not None and friend.followed_at > world.now:
            schedule(world, friend.followed_at, account.name, "arrive", friend.user_id)
        for at, _ in friend.changes:
            schedule(world, at, account.name, "friend", friend.user_id)
    for send in account.sends.values():
        if send.narrowcast is None or send.narrowcast.phase in ("succeeded", "failed"):
            continue
        account.running.add(send.request_id)
        if send.narrowcast.phase == "waiting":
            schedule(world, send.narrowcast.start_at, account.name, "start", send.request_id)
        schedule(world, send.narrowcast.complete_at, account.name, "finish", send.request_id)


def dump(world: World) -> dict[str, Json]:
    """The whole world as a document that `load` reads again."""
    return {
        "now": format_time(world.now),
        "seed": world.seed,
        "auto": world.auto,
        "rateLimits": world.rate_limits,
        "made": {"ids": world.ids_made, "audiences": world.audiences_made},
        "accounts": {name: _dump_account(account) for name, account in world.accounts.items()},
        "inbox": list(world.inbox),
        "requests": list(world.requests),
        "faults": [dict(fault) for fault in world.faults],
        "webhooks": list(world.webhooks),
    }


def _dump_account(account: Account) -> dict[str, Json]:
    quota = {"type": "none"} if account.quota is None else {"type": "limited", "value": account.quota}
    return {
        "token": account.token,
        **account.settings,
        "quota": quota,
        "progress": list(account.outcomes),
        "turns": [dump_turn(turn, _outer) for turn in account.turns],
        "friends": [_dump_friend(friend) for friend in account.friends.values()],
        "sends": [_dump_send(send) for send in account.sends.values()],
        "audiences": [_dump_audience(account, audience) for audience in account.audiences.values()],
        "coupons": [_dump_coupon(coupon) for coupon in account.coupons.values()],
        "retryKeys": {
            key: {"at": format_time(kept.at), "requestId": kept.request_id, "echo": dict(kept.echo)}
            for key, kept in account.retry_keys.items()
        },
        "buckets": {
            name: {"level": level, "at": format_time(since)} for name, (level, since) in account.buckets.items()
        },
        "used": dict(account.used),
    }


def _given(pairs: Iterable[tuple[str, Json]]) -> dict[str, Json]:
    return {key: value for key, value in pairs if value is not None}


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else format_time(seconds)


def _dump_friend(friend: Friend) -> dict[str, Json]:
    attributes = ((theirs, getattr(friend, ours)) for theirs, ours in _ATTRIBUTES.items())
    changes = [{"at": format_time(at), **_outer(values)} for at, values in friend.changes]
    return _given(
        (
            ("userId", friend.user_id),
            ("followedAt", _when(friend.followed_at)),
            ("via", friend.via),
            *attributes,
            ("changes", changes or None),
        )
    )


def _outer(values: Mapping[str, Json]) -> dict[str, Json]:
    return {theirs: values[ours] for theirs, ours in _ATTRIBUTES.items() if ours in values}


def _dump_send(send: Send) -> dict[str, Json]:
    return _given(
        (
            ("requestId", send.request_id),
            ("kind", send.kind),
            ("at", format_time(send.at)),
            ("messages", list(send.messages)),
            ("to", list(send.to)),
            ("opened", sorted(send.opened)),
            ("clicked", {url: sorted(people) for url, people in send.clicked.items()}),
            ("urls", list(send.urls)),
            ("units", list(send.units)),
            ("narrowcast", None if send.narrowcast is None else _dump_narrowcast(send.narrowcast)),
        )
    )


def _dump_narrowcast(narrowcast: Narrowcast) -> dict[str, Json]:
    return _given(
        (
            ("startAt", format_time(narrowcast.start_at)),
            ("completeAt", format_time(narrowcast.complete_at)),
            ("phase", narrowcast.phase),
            ("recipient", narrowcast.recipient),
            ("demographic", narrowcast.demographic),
            ("maximum", narrowcast.maximum),
            ("forbidPartial", narrowcast.forbid_partial),
            ("reserved", narrowcast.reserved),
            ("targets", list(narrowcast.targets)),
            ("failures", narrowcast.failures),
            ("errorCode", narrowcast.error_code),
            ("outcome", narrowcast.outcome),
        )
    )


def _dump_audience(account: Account, audience: Audience) -> dict[str, Json]:
    document = _given(
        (
            ("audienceGroupId", audience.audience_group_id),
            ("type", audience.type),
            ("description", audience.description),
            ("created", format_time(audience.created)),
            ("createRoute", audience.create_route),
            ("permission", audience.permission),
            ("members", None if audience.members is None else sorted(audience.members)),
            ("jobs", [_dump_job(job) for job in audience.jobs]),
            ("requestId", audience.request_id),
            ("clickUrl", audience.click_url),
            ("isIfaAudience", audience.is_ifa),
            ("status", audience.status),
            ("failedType", audience.failed_type),
            ("expires", _when(audience.expires_at)),
            ("deleted", _when(audience.deleted_at)),
            ("owner", audience.owner),
        )
    )
    document["ready"] = _when(audience.ready_at)
    if audience.changes:
        document["changes"] = [
            {"at": format_time(at), "add": sorted(added), "remove": sorted(removed)}
            for at, added, removed in audience.changes
        ]
    return document


def _dump_job(job: Job) -> dict[str, Json]:
    return {
        "audienceGroupJobId": job.job_id,
        "created": format_time(job.created),
        "finished": format_time(job.finished_at),
        "description": job.description,
        "audienceCount": job.count,
        "members": sorted(job.members),
    }
