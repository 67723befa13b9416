"""What must happen to one audience at LINE so that it holds the people it should: pure decisions.

LINE's uploads are append-only: people can be added, nobody can be taken out. Anyone who must leave
means a new audience, and the old one goes once nothing names it any more (specs/operations.md).
"""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta
from typing import Literal

from audsql.compile.program import LineAudience
from audsql.line.limits import AUDIENCE_LIFETIME_DAYS
from audsql.near import nearest
from audsql.plan.facts import RemoteAudienceFacts, RemoteFacts, UploadFacts
from audsql.records import dataclass

__all__ = [
    "ACTIONS_THAT_CHANGE",
    "AudienceAction",
    "Held",
    "find_named",
    "find_retargeting",
    "live_until",
    "names_like",
    "upload_action",
]

Action = Literal["create", "add", "replace", "keep"]
ACTIONS_THAT_CHANGE = ("create", "add", "replace")

# An audience that LINE lists in one of these states can hold or come to hold people.
_USABLE = ("READY", "IN_PROGRESS", "ACTIVATING")


_SPARE = timedelta(days=1)
"""How long an upload must live beyond the last window that needs it."""


@dataclass(frozen=True, slots=True)
class Held:
    """What our records say of an upload that stands at LINE. `erased`: it holds, or may hold, somebody who was
    erased."""

    remote_id: int
    fingerprint: str
    size: int
    expires_at: datetime | None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class AudienceAction:
    """`reason` is a word of the catalogue: new, same, people_entered, people_left, members_unknown,
    deleted_at_line, expired, failed, expires_too_soon, changed_at_line."""

    action: Action
    reason: str


def upload_action(
    facts: UploadFacts,
    held: Held | None,
    remote: RemoteAudienceFacts | None,
    needed_until: datetime,
) -> AudienceAction:
    """The action that makes an upload hold exactly the people of `facts` until `needed_until`.

    `remote` is what LINE lists under the held id now, None where it lists nothing.
    """
    if held is None:
        return AudienceAction("create", "new")
    if remote is None:
        return AudienceAction("create", "deleted_at_line")
    if remote.status not in _USABLE:
        return AudienceAction("replace", "expired" if remote.status == "EXPIRED" else "failed")
    expires_at = remote.expires_at or held.expires_at
    if expires_at is not None and expires_at < needed_until + _SPARE:
        return AudienceAction("replace", "expires_too_soon")
    if held.fingerprint and remote.status == "READY" and remote.count > held.size:
        # Only audsql adds people to its uploads, and LINE never takes anybody out.
        return AudienceAction("replace", "changed_at_line")
    if held.erased:
        return AudienceAction("replace", "person_erased")
    if held.fingerprint == facts.fingerprint:
        return AudienceAction("keep", "same")
    if not facts.known:
        return AudienceAction("replace", "members_unknown")
    if facts.movement.leaving:
        return AudienceAction("replace", "people_left")
    return AudienceAction("add", "people_entered")


def live_until(end: datetime, now: datetime) -> datetime:
    """Until when an upload must live now that is needed until `end`.

    None lives longer than LINE keeps it. For a window that even a new one would not reach, one that stands is as good
    as another: it is renewed once a new one would do (specs/operations.md, `time.expiry`).
    """
    return end if end + _SPARE <= now + timedelta(days=AUDIENCE_LIFETIME_DAYS) else now


def find_retargeting(remote: RemoteFacts, kind: str, request_id: str, url: str | None) -> RemoteAudienceFacts | None:
    """The click or impression audience of a request: LINE allows one for each request id and URL."""
    for audience in remote.audiences:
        same = audience.kind == kind and audience.request_id == request_id
        if same and (audience.click_url or None) == url and audience.status in _USABLE:
            return audience
    return None


def find_named(remote: RemoteFacts, wanted: LineAudience) -> tuple[RemoteAudienceFacts, ...]:
    """All audiences of the wanted kind and name. Names at LINE need not be unique, and case does not count.

    Expired ones are given only where no other has the name.
    """
    name = _folded(wanted.name or "")
    same = [one for one in remote.audiences if one.kind in _kinds(wanted) and _folded(one.name) == name]
    live = [one for one in same if one.status != "EXPIRED"]
    return tuple(live or same)


def names_like(remote: RemoteFacts, wanted: LineAudience) -> str | None:
    """The name at LINE, of an audience of the wanted kind, that was probably meant."""
    return nearest(wanted.name or "", sorted({one.name for one in remote.audiences if one.kind in _kinds(wanted)}))


def _kinds(wanted: LineAudience) -> tuple[str, ...]:
    return ("WEBTRAFFIC", "TRACKINGTAG_WEBTRAFFIC") if wanted.kind == "WEBTRAFFIC" else (wanted.kind,)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
