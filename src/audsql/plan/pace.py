"""Time under LINE's rate limits: how long a plan's requests take at the least. Pure.

LINE counts each operation of each account by itself (specs/line.md, section 3); the first window's worth of
requests goes at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from audsql.line.limits import (
    CONCURRENT_OPERATIONS_PER_AUDIENCE_MAX,
    MULTICAST_RECIPIENTS_MAX,
    RATES,
    UPLOAD_FILE_IDS_MAX,
    UPLOAD_JSON_IDS_MAX,
)

__all__ = ["audience_requests", "pace_document", "seconds_until", "upload_chunks", "upload_rounds", "upload_seconds"]

_COMING = ("send", "schedule", "update", "keep", "resume")


def upload_chunks(people: int) -> int:
    """How many requests carry this many ids: one JSON request, or files of the largest size."""
    if people <= UPLOAD_JSON_IDS_MAX:
        return 1
    return math.ceil(people / UPLOAD_FILE_IDS_MAX)


def upload_rounds(requests: int) -> int:
    """How many times LINE must have worked through all that it takes for one audience at once (time.upload)."""
    return math.ceil(requests / CONCURRENT_OPERATIONS_PER_AUDIENCE_MAX)


def seconds_until(request: int, rate: str) -> int:
    """When the n-th request (from 1) may leave at the earliest, in seconds after the first."""
    allowed, window_seconds = RATES[rate]
    return max(0, math.ceil(request / allowed) - 1) * window_seconds


def audience_requests(change: Mapping[str, Any]) -> Counter[str]:
    """The requests that make one audience, by LINE's operation: of an entry of `resource_changes`."""
    action = change["action"]
    if change["type"] != "UPLOAD":
        return Counter({f"create_{change['type']}": 1}) if action == "create" else Counter()
    people = change["people"]
    if action == "add":
        entering = people["after"] if people["entering"] is None else people["entering"]
        return Counter({"add_file" if entering > UPLOAD_JSON_IDS_MAX else "add": upload_chunks(entering)})
    if action not in ("create", "replace"):
        return Counter()
    if people["after"] <= UPLOAD_JSON_IDS_MAX:
        return Counter({"create": 1})
    return +Counter({"create_file": 1, "add_file": upload_chunks(people["after"]) - 1})


def upload_seconds(changes: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """For the audiences of one account, in the order in which apply makes them: when the last request of each has left
    at the earliest, in seconds after the first of all, by address."""
    used: Counter[str] = Counter()
    found: dict[str, int] = {}
    passed = 0
    for change in changes:
        requests = audience_requests(change)
        used += requests
        passed = max([passed, *(seconds_until(used[operation], "audience") for operation in requests)])
        found[change["address"]] = passed
    return found


def pace_document(changes: Sequence[dict[str, Any]], deliveries: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Requests by kind, and the seconds that the slowest account's slowest limit makes them wait."""
    coming = [one for one in deliveries if one["action"] in _COMING]
    uploads = sum(sum(audience_requests(one).values()) for one in changes)
    narrowcasts: Counter[str] = Counter()
    multicasts: Counter[str] = Counter()
    for one in coming:
        for send in one["sends"]:
            narrowcasts[one["account"]] += send["kind"] == "narrowcast"
            multicasts[one["account"]] += _multicasts(one) if send["kind"] in ("multicast", "listed") else 0
    waits = [seconds for account in sorted({one["account"] for one in changes}) for seconds in _waits(changes, account)]
    waits += [seconds_until(count, "narrowcast") for count in narrowcasts.values()]
    waits += [seconds_until(count, "multicast") for count in multicasts.values()]
    return {
        "audience_requests": uploads,
        "narrowcasts": sum(narrowcasts.values()),
        "multicasts": sum(multicasts.values()),
        "waiting_seconds": max(waits, default=0),
    }


def _waits(changes: Iterable[dict[str, Any]], account: str) -> Iterable[int]:
    return upload_seconds(one for one in changes if one["account"] == account).values()


def _multicasts(delivery: Mapping[str, Any]) -> int:
    return math.ceil(((delivery["people"] or {}).get("high") or 0) / MULTICAST_RECIPIENTS_MAX)
