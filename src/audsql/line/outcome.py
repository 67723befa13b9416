"""What a request to LINE came to, as values, and the reading of a raw reply.

Reading never raises, whatever a server, a proxy or a broken line returns. The rules of
specs/line.md: a 4xx of LINE means that nothing happened; a 409 with the accepted id means that the
first attempt was accepted; everything that is not certain is `Unknown`, which is safe to settle by looking
or, for a send, by the same bytes and key again within its window.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

from audsql.records import dataclass

__all__ = [
    "Accepted",
    "AlreadyAccepted",
    "Found",
    "Limited",
    "ReadOutcome",
    "Refused",
    "Reply",
    "SendOutcome",
    "Unknown",
    "WriteOutcome",
    "read_json",
    "settle_read",
    "settle_send",
    "settle_write",
]

T = TypeVar("T")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_USER_ID = re.compile(r"U[0-9a-f]{32}")
_UNCERTAIN_REFUSALS = (408, 425, 499)  # intermediaries answer these for a request that may have gone through
_MESSAGE_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Reply:
    """A raw reply: `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """LINE took the request. `body` is its JSON object, unknown fields included."""

    request_id: str
    body: Mapping[str, object]
    status: int

    @property
    def audience_id(self) -> int | None:
        """The id of a created audience."""
        value = self.body.get("audienceGroupId")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class AlreadyAccepted:
    """An earlier request with this retry key was accepted, under this request id."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """LINE said no and nothing happened. `codes` are its `details[].message`, `property_name` the first field named."""

    status: int
    codes: tuple[str, ...] = ()
    message: str = ""
    property_name: str | None = None

    @property
    def gone(self) -> bool:
        """The audience does not exist: LINE says it by a 400, not a 404 (specs/line.md)."""
        return "AUDIENCE_GROUP_NOT_FOUND" in self.codes


@dataclass(frozen=True, slots=True)
class Limited:
    """429, nothing happened. `rate`: wait and ask again; `monthly`: the message quota is used up or reserved."""

    kind: Literal["rate", "monthly"]


@dataclass(frozen=True, slots=True)
class Unknown:
    """What happened is not known. `reason` is one of a few words, never a foreign text.

    `written` False: certainly no byte of the request left, so nothing happened.
    """

    reason: str
    written: bool = True


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a read returned."""

    value: T
    request_id: str = ""


SendOutcome = Accepted | AlreadyAccepted | Refused | Limited | Unknown
WriteOutcome = Accepted | Refused | Limited | Unknown
ReadOutcome = Found[T] | Refused | Limited | Unknown


def read_json(body: bytes) -> dict[str, object] | None:
    """The JSON object of a body; None for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def settle_send(reply: Reply) -> SendOutcome:
    """The outcome of a push, multicast, narrowcast or broadcast.

    Only 200 and 202 with a request id and a JSON object count as accepted: a success of a kind that LINE
    does not document is Unknown, and asking again with the same key settles it.
    """
    if reply.status in (200, 202):
        body, request_id = read_json(reply.body), _identifier(reply, "x-line-request-id")
        if request_id is None:
            return Unknown("success-without-request-id")
        return Unknown("success-without-json") if body is None else Accepted(request_id, body, reply.status)
    if reply.status == 409:
        accepted = _identifier(reply, "x-line-accepted-request-id")
        return Unknown("conflict-without-request-id") if accepted is None else AlreadyAccepted(accepted)
    return _settle_failure(reply)


def settle_write(reply: Reply, needs_id: bool = False) -> WriteOutcome:
    """The outcome of a change to an audience; `needs_id`: a success must carry an audience id.

    Any 2xx will do: LINE's reference and its OpenAPI description differ on which (specs/line.md).
    """
    if not 200 <= reply.status < 300:
        return _settle_failure(reply)
    body = read_json(reply.body) if reply.body.strip() else {}
    if body is None:
        return Unknown("success-without-json")
    accepted = Accepted(_identifier(reply, "x-line-request-id") or "", body, reply.status)
    if needs_id and accepted.audience_id is None:
        return Unknown("success-without-audience-id")
    return accepted


def settle_read(reply: Reply) -> Accepted | Refused | Limited | Unknown:
    """The outcome of a read: its success must be a JSON object."""
    if reply.status != 200:
        return Unknown(f"status-{reply.status}") if 200 <= reply.status < 300 else _settle_failure(reply)
    body = read_json(reply.body)
    if body is None:
        return Unknown("success-without-json")
    return Accepted(_identifier(reply, "x-line-request-id") or "", body, reply.status)


def _settle_failure(reply: Reply) -> Refused | Limited | Unknown:
    body = read_json(reply.body)
    if reply.status == 429:
        return Limited("monthly" if "monthly" in _text(body, "message").lower() else "rate")
    certain = 400 <= reply.status < 500 and reply.status not in (409, *_UNCERTAIN_REFUSALS)
    # A refusal without LINE's JSON is a gateway's; whether LINE saw the request is then open.
    if not certain or body is None or not isinstance(body.get("message"), str):
        return Unknown(f"status-{reply.status}")
    details = body.get("details")
    entries = [entry for entry in details if isinstance(entry, dict)] if isinstance(details, list) else []
    codes = tuple(_text(entry, "message") for entry in entries if _text(entry, "message"))
    properties = [_text(entry, "property") for entry in entries if _text(entry, "property")]
    return Refused(reply.status, codes, _text(body, "message"), properties[0] if properties else None)


def _text(body: Mapping[str, object] | None, key: str) -> str:
    """A short text of a reply, without control characters and without user ids."""
    value = body.get(key) if body else None
    if not isinstance(value, str):
        return ""
    plain = "".join(character if character.isprintable() else " " for character in value[:_MESSAGE_CHARACTERS_MAX])
    return _USER_ID.sub("U…", plain)


def _identifier(reply: Reply, header: str) -> str | None:
    value = reply.headers.get(header, "").strip()
    return value if _REQUEST_ID.fullmatch(value) else None
