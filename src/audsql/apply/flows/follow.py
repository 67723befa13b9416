"""Who became a friend, and who is one no more: read from a log of LINE's webhook events that the shop's server writes.

A line is one event or a whole webhook body. Nothing of it is kept but who entered when. Normative: specs/flows.md,
`flow.follow`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from audsql.apply.flow_versions import last_places
from audsql.apply.flows.conditions import Reading, Unreadable
from audsql.apply.flows.enter import Entrance, Numbering, place_at_start
from audsql.apply.flows.standing import is_over
from audsql.apply.flows.ways import Way
from audsql.apply.ledger import Place
from audsql.data.globs import matches
from audsql.diag import Diagnostic, error, warning
from audsql.plan.flow_form import FlowForm
from audsql.records import dataclass

__all__ = ["FollowEvent", "FollowLog", "follow_entrance", "read_follow_log", "user_ids_in"]

_LINE_BYTES_MAX = 1 << 20
_USER_ID = re.compile(r"U[0-9a-f]{32}")
_KINDS = ("follow", "unfollow")
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class FollowEvent:
    """`via`: the path that the shop's server added, '' where it added none."""

    at: datetime
    user_id: str
    kind: Literal["follow", "unfollow"]
    via: str = ""


@dataclass(frozen=True, slots=True)
class FollowLog:
    """The events of an account by time, each once. `unread`: how many lines are none; the first is in `unread_in`."""

    events: tuple[FollowEvent, ...]
    unread: int = 0
    unread_in: str = ""

    def unfollowed(self, now: datetime) -> dict[str, datetime]:
        """When each person unfollowed last, by user ID."""
        return {one.user_id: one.at for one in self.events if one.kind == "unfollow" and one.at <= now}


# --- reading ------------------------------------------------------------------------------------------


def read_follow_log(reading: Reading, account: str) -> FollowLog:
    """The log of an account. Raises Unreadable where there is none; a line that is no event is told and passed over."""
    context = reading.context
    where = context.follow_logs.get(account)
    if where is None:
        raise Unreadable(error("AUD0820", None, flow=reading.flow, account=account, path=None))
    root, pattern = where
    try:
        paths = matches(root, pattern) if _is_inside(pattern) else ()
        if not paths:
            raise Unreadable(error("AUD0820", None, flow=reading.flow, account=account, path=pattern))
        log = _gathered(root, paths, context.bots.get(account, ""))
    except OSError:
        raise Unreadable(error("AUD0820", None, flow=reading.flow, account=account, path=pattern)) from None
    if log.unread:
        told = warning("AUD0819", None, account=account, path=log.unread_in, count=log.unread)
        _tell_once(context.diagnostics, told)
    return log


def user_ids_in(root: Path, pattern: str) -> set[str]:
    """Everybody of whom a log tells; nobody where it cannot be read."""
    try:
        return (
            {one.user_id for one in _gathered(root, matches(root, pattern), "").events}
            if _is_inside(pattern)
            else set()
        )
    except OSError:
        return set()


def _tell_once(diagnostics: list[Diagnostic], one: Diagnostic) -> None:
    if one not in diagnostics:
        diagnostics.append(one)


def _is_inside(pattern: str) -> bool:
    parts = Path(pattern).parts
    return bool(parts) and not Path(pattern).is_absolute() and ".." not in parts


def _gathered(root: Path, paths: Sequence[str], bot: str) -> FollowLog:
    """Raises OSError."""
    events: set[FollowEvent] = set()
    seen: set[str] = set()
    unread, unread_in = 0, ""
    for path in paths:
        with (root / path).open("rb") as stream:
            for line in _lines(stream):
                found = _events_of(line, bot)
                if found is None:
                    unread, unread_in = unread + 1, unread_in or path
                    continue
                for identity, event in found:
                    if identity not in seen:
                        seen.add(identity)
                        events.add(event)
    return FollowLog(tuple(sorted(events)), unread, unread_in)


def _lines(stream: Any) -> Iterator[bytes]:
    """Whole lines; the last one of a file that is being written may be cut off and waits for the next run."""
    while line := stream.readline(_LINE_BYTES_MAX):
        if line.endswith(b"\n"):
            if line.strip():
                yield line
        elif len(line) == _LINE_BYTES_MAX:
            while len(line) == _LINE_BYTES_MAX and not line.endswith(b"\n"):
                line = stream.readline(_LINE_BYTES_MAX)
            yield b"too long"
        elif _is_json(line):
            yield line


def _is_json(line: bytes) -> bool:
    return _parsed(line) is not None


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _events_of(line: bytes, bot: str) -> list[tuple[str, FollowEvent]] | None:
    """The follows and unfollows of a line with what each is known by; None where the line is no event and no body."""
    document = _parsed(line)
    if not isinstance(document, dict):
        return None
    if "events" in document:
        if document.get("destination", bot) != bot and bot:
            return []
        listed = document["events"]
    else:
        listed = [document]
    if not isinstance(listed, list) or not all(isinstance(one, dict) and "type" in one for one in listed):
        return None
    found = [_event(one) for one in listed if one["type"] in _KINDS]
    return None if None in found else [one for one in found if one is not None]


def _event(event: Mapping[str, Any]) -> tuple[str, FollowEvent] | None:
    source, stamp, via = event.get("source"), event.get("timestamp"), event.get("via", "")
    user_id = source.get("userId") if isinstance(source, dict) else None
    if not isinstance(user_id, str) or not _USER_ID.fullmatch(user_id) or not isinstance(via, str):
        return None
    if type(stamp) is not int or not 0 <= stamp < 10**14:
        return None
    one = FollowEvent(_EPOCH + stamp * _MILLISECOND, user_id, event["type"], via)
    identity = event.get("webhookEventId")
    return (str(identity) if identity else f"{one.at.isoformat()} {user_id} {one.kind}"), one


# --- entering -----------------------------------------------------------------------------------------


def follow_entrance(reading: Reading, form: FlowForm, way: Way, log: FollowLog) -> Entrance:
    """Who enters by the events since the flow takes people: at the instant of the event, and not who unfollowed
    since then."""
    context, start = reading.context, form.flow.start
    gone = log.unfollowed(reading.now)
    wanted = [
        one
        for one in log.events
        if one.kind == "follow" and form.since <= one.at <= reading.now
        and (start.via is None or one.via == start.via) and gone.get(one.user_id, one.at) <= one.at
    ]  # fmt: skip
    users = context.persons.admitted(sorted({one.user_id for one in wanted}))
    persons = dict(zip(users, context.persons.hide(users), strict=True))
    last = last_places(context, form.name)
    pause = None if form.flow.reentry_minutes is None else timedelta(minutes=form.flow.reentry_minutes)
    fresh: list[Place] = []
    numbering = Numbering(context.ledger, form.name)
    for one in wanted:
        person = persons.get(one.user_id)
        if person is None:
            continue
        before = last.get(person)
        if before is None or _may_again(before, pause, one.at):
            entry = "1" if before is None else numbering.after(before)
            place = place_at_start(form, way, person, entry, one.at, reading)
            last[person] = place
            fresh.append(place)
    return Entrance(tuple(sorted(fresh, key=lambda place: (place.person, int(place.entry)))))


def _may_again(before: Place, pause: timedelta | None, at: datetime) -> bool:
    """Whether somebody who was in the flow may enter by an event of this instant."""
    if pause is None or not is_over(before) or before.ended_at is None:
        return False
    return at > before.entered_at and before.ended_at + pause <= at
