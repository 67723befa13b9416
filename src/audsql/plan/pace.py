"""Time under LINE's rate limits: how long a plan's requests take at the least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from audsql.line.limits import MULTICAST_RECIPIENTS_MAX, RATES, UPLOAD_FILE_IDS_MAX, UPLOAD_JSON_IDS_MAX

__all__ = ["pace_document", "upload_chunks"]


def upload_chunks(people: int) -> int:
    """How many requests carry this many ids: one JSON request, or files of the largest size."""
    if people <= UPLOAD_JSON_IDS_MAX:
        return 1
    return math.ceil(people / UPLOAD_FILE_IDS_MAX)


def _seconds(requests: int, rate: str) -> int:
    """Waiting for the rate limit: the first window's worth goes at once."""
    allowed, window_seconds = RATES[rate]
    return max(0, math.ceil(requests / allowed) - 1) * window_seconds


def pace_document(changes: Sequence[dict[str, Any]], deliveries: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Requests by kind, and the seconds that the slowest limit makes them wait."""
    uploads = sum(
        upload_chunks(one["people"]["after"])
        for one in changes
        if one["type"] == "UPLOAD" and one["action"] in ("create", "add", "replace")
    )
    created = sum(one["action"] == "create" for one in changes if one["type"] != "UPLOAD")
    coming = [one for one in deliveries if one["action"] in ("send", "schedule", "update", "keep", "resume")]
    sends = [send for one in coming for send in one["sends"]]
    narrowcasts = sum(send["kind"] == "narrowcast" for send in sends)
    multicasts = sum(
        math.ceil(((one["people"] or {}).get("high") or 0) / MULTICAST_RECIPIENTS_MAX)
        for one in coming
        for send in one["sends"]
        if send["kind"] == "multicast"
    )
    wait = max(_seconds(uploads + created, "audience"), _seconds(narrowcasts, "narrowcast"))
    return {
        "audience_requests": uploads + created,
        "narrowcasts": narrowcasts,
        "multicasts": multicasts,
        "waiting_seconds": max(wait, _seconds(multicasts, "multicast")),
    }
