"""Injected faults: which requests they meet, and what they make of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from audsql.sim.model import Json, World

_DO = re.compile(r"drop-response|refuse|(status|status-after|delay):([0-9]+(?:\.[0-9]+)?)")
_MESSAGES = {
    400: "The request body has 1 error(s)",
    401: "Authentication failed due to the following reason: invalid token.",
    404: "Not found",
    429: "The API rate limit has been exceeded. Try again later.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request: a delay before it, a refusal, an answer made up before or after its effect."""

    delay_seconds: float = 0.0
    refuse: bool = False
    status_before: int | None = None
    status_after: int | None = None
    drop_response: bool = False
    names: tuple[str, ...] = ()


_NO_FAULT = Fault()


def read_faults(document: Json) -> list[dict[str, Json]]:
    """Check a list of fault rules. Raises ValueError with what is wrong."""
    if not isinstance(document, list):
        raise ValueError("faults must be a list")
    for rule in document:
        if not isinstance(rule, dict) or not set(rule) <= {"match", "nth", "do", "seen"}:
            raise ValueError("a fault has match, nth and do")
        match = rule.get("match", {})
        if not isinstance(match, dict) or not set(match) <= {"method", "path"}:
            raise ValueError("match has method and path")
        if not isinstance(rule.get("do"), str) or _DO.fullmatch(rule["do"]) is None:
            raise ValueError("do is drop-response, refuse, status:N, status-after:N or delay:SECONDS")
        nth = rule.get("nth")
        if nth is not None and (not isinstance(nth, int) or nth < 1):
            raise ValueError("nth is a whole number from 1")
    return [{**rule, "seen": int(rule.get("seen", 0))} for rule in document]


def strike(world: World, method: str, path: str) -> Fault:
    """Count this request against every rule and join what the rules that fire say."""
    if not world.faults:
        return _NO_FAULT
    delay, refused, before, after, dropped = 0.0, False, None, None, False
    names: list[str] = []
    for rule in world.faults:
        if not _matches(rule.get("match", {}), method, path):
            continue
        rule["seen"] += 1
        if rule.get("nth") not in (None, rule["seen"]):
            continue
        names.append(rule["do"])
        kind, _, value = rule["do"].partition(":")
        delay += float(value) if kind == "delay" else 0.0
        refused = refused or kind == "refuse"
        dropped = dropped or kind == "drop-response"
        before = int(value) if kind == "status" else before
        after = int(value) if kind == "status-after" else after
    return Fault(delay, refused, before, after, dropped, tuple(names))


def _matches(match: Json, method: str, path: str) -> bool:
    pattern = match.get("path", "")
    wanted = match.get("method")
    return (wanted is None or wanted.upper() == method) and (path.startswith(pattern) or fnmatchcase(path, pattern))


def message_of(status: int) -> str:
    """The message of an answer that a fault makes up."""
    return _MESSAGES.get(status, "Internal server error" if status >= 500 else "Error")
