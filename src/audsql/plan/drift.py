"""What LINE holds otherwise than it was left: drift, as values. Pure.

Every plan reads the inventory of LINE, compares it with the records and says what it found and what it does
about it (specs/operations.md, drift.*). Counts and names of audiences only; nothing of a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Literal

from audsql.compile.program import LineAudience
from audsql.line.limits import AUDIENCE_RECIPIENTS_MIN
from audsql.plan.audiences import find_named
from audsql.plan.document import Document
from audsql.plan.facts import RemoteAudienceFacts, RemoteFacts
from audsql.plan.tags import Tag, audience_name, parse_tag
from audsql.records import dataclass

__all__ = ["EXPIRING_DAYS", "Drift", "Expected", "Record", "drift_of", "names_allowed", "other_states"]

EXPIRING_DAYS = 14
"""An audience that LINE drops within so many days is named, though nothing needs it later."""

Kind = Literal[
    "deleted", "expired", "failed", "more_people", "fewer_people", "renamed", "expiring", "changed_size",
    "untracked", "other_state",
]  # fmt: skip
Action = Literal["make_anew", "rename", "adopt", "remember", "forget", "leave", "person"]

_LIVE = ("creating", "ready")
_GATHERED = ("CLICK", "IMP")
_MAKES = ("create", "replace")


@dataclass(frozen=True, slots=True)
class Record:
    """What our records say of one generation of one audience. `key` names its set, `label` is what the specs
    call it now, '' where they do not. `size` is None for an audience whose people LINE finds."""

    address: str
    generation: int
    account: str
    kind: str
    status: str
    name: str
    key: str
    remote_id: int | None = None
    size: int | None = None
    expires_at: datetime | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that is otherwise. `name` is what our records say, `found_name` what LINE says. `before` and `now`
    are numbers of people; for `other_state`, `now` is the number of its audiences."""

    account: str
    kind: Kind
    action: Action
    name: str
    address: str | None = None
    remote_id: int | None = None
    found_name: str | None = None
    before: int | None = None
    now: int | None = None
    expires_at: datetime | None = None

    @property
    def order(self) -> tuple[str, str, str, int, str]:
        return (self.account, self.address or "~", self.kind, self.remote_id or 0, self.name)

    def to_document(self) -> Document:
        expires = self.expires_at.isoformat(timespec="seconds") if self.expires_at else None
        return {
            "account": self.account, "kind": self.kind, "action": self.action, "name": self.name,
            "address": self.address, "remote_id": self.remote_id, "found_name": self.found_name,
            "before": self.before, "now": self.now, "expires_at": expires,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """What LINE's inventory is held against. `changes`: the resource changes of the plan by address, which are what
    is still needed; `needed_until`: by key; `named`: audiences that are found by name; `counts`: of those, by key,
    what LINE counted at the last apply."""

    lineage: str | None
    records: Sequence[Record] = ()
    named: Sequence[LineAudience] = ()
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needed_until: Mapping[str, datetime] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


def drift_of(expected: Expected, remotes: Mapping[str, RemoteFacts], now: datetime) -> tuple[Drift, ...]:
    """Everything that LINE holds otherwise, in a total order. Accounts that were not read say nothing."""
    found: list[Drift] = []
    for record in expected.records:
        remote = remotes.get(record.account)
        if remote is not None and record.remote_id is not None and _is_watched(record, expected):
            found += _of_record(record, remote.by_id(record.remote_id), expected, now)
    for audience in expected.named:
        remote = remotes.get(audience.account)
        if remote is not None:
            found += _of_named(audience, remote, expected, now)
    for remote in remotes.values():
        found += _unknown(expected, remote)
    return tuple(sorted(found, key=lambda one: one.order))


def names_allowed(record: Record, lineage: str) -> tuple[str, ...]:
    """The names that an audience may have at LINE: the recorded one, and the one that the specs give it now."""
    tag = Tag.of(lineage, record.key, record.generation)
    made_here = parse_tag(record.name) == tag
    return (record.name, audience_name(record.label, tag)) if made_here and record.label else (record.name,)


def other_states(
    remotes: Mapping[str, RemoteFacts], lineage: str | None, records: Sequence[Record] = ()
) -> list[tuple[str, str, int]]:
    """(account, the first digits of another state's lineage, how many audiences carry its tag), sorted.

    Audiences that our records hold are ours whatever their tag: a repaired state goes on under a lineage of its own.
    """
    recorded = {(record.account, record.remote_id) for record in records}
    ours = Tag.of(lineage, "", 0).lineage if lineage else None
    counts: dict[tuple[str, str], int] = {}
    for account, remote in remotes.items():
        for one, tag in _tagged(remote):
            if tag.lineage != ours and (account, one.id) not in recorded:
                counts[account, tag.lineage] = counts.get((account, tag.lineage), 0) + 1
    return [(account, other, count) for (account, other), count in sorted(counts.items())]


def _is_watched(record: Record, expected: Expected) -> bool:
    """What waits to be deleted matters only while something needs it again."""
    return record.status in _LIVE or (record.status == "releasing" and record.address in expected.changes)


# --- what was made here -----------------------------------------------------------------------------


def _of_record(
    record: Record, remote: RemoteAudienceFacts | None, expected: Expected, now: datetime
) -> Iterator[Drift]:
    def drift(kind: Kind, action: Action, **more: Any) -> Drift:
        return Drift(record.account, kind, action, record.name, record.address, record.remote_id, **more)

    change = expected.changes.get(record.address)
    if remote is None:
        yield drift("deleted", _remade(record, change), before=record.size)
        return
    if remote.status in ("EXPIRED", "FAILED", "INACTIVE"):
        gathered = record.kind in _GATHERED and change is not None
        kind: Kind = "expired" if remote.status == "EXPIRED" else "failed"
        yield drift(kind, "person" if gathered else _remade(record, change), expires_at=remote.expires_at)
        return
    yield from _counted(record, remote, change, drift)
    if remote.name not in names_allowed(record, expected.lineage or ""):
        made_here = parse_tag(record.name) is not None
        yield drift("renamed", "rename" if made_here else "remember", found_name=remote.name)
    elif remote.name != record.name:
        yield drift("renamed", "remember", found_name=remote.name)
    expires = remote.expires_at or record.expires_at
    if change is not None and expires is not None:
        yield from _expiring(record, change, expires, expected.needed_until.get(record.key), now, drift)


def _remade(record: Record, change: Mapping[str, Any] | None) -> Action:
    """A needed audience is made anew, also for a delivery under way; of another one only the record is left."""
    if change is None:
        return "forget"
    return "person" if record.kind in _GATHERED and change["action"] not in _MAKES else "make_anew"


def _counted(
    record: Record, remote: RemoteAudienceFacts, change: Mapping[str, Any] | None, drift: Any
) -> Iterator[Drift]:
    """LINE's count of an upload against what was uploaded, once it has all of it."""
    if record.size is None or record.status == "creating" or remote.status != "READY":
        return
    if remote.count > record.size:
        remade = change is not None and change["action"] in _MAKES
        action: Action = "make_anew" if remade else "leave" if change is None else "person"
        yield drift("more_people", action, before=record.size, now=remote.count)
    elif remote.count < record.size:
        yield drift("fewer_people", "leave", before=record.size, now=remote.count)


def _expiring(
    record: Record,
    change: Mapping[str, Any],
    expires: datetime,
    needed_until: datetime | None,
    now: datetime,
    drift: Any,
) -> Iterator[Drift]:
    if change["reason"] == "expires_too_soon":
        yield drift("expiring", "make_anew", expires_at=expires)
    elif record.kind in _GATHERED and needed_until is not None and expires < needed_until:
        yield drift("expiring", "person", expires_at=expires)
    elif expires <= now + timedelta(days=EXPIRING_DAYS):
        action: Action = "make_anew" if change["action"] in _MAKES else "leave"
        yield drift("expiring", action, expires_at=expires)


# --- what is found by name --------------------------------------------------------------------------


def _of_named(audience: LineAudience, remote: RemoteFacts, expected: Expected, now: datetime) -> Iterator[Drift]:
    """An audience that LINE's own tools made. One that is not there once is a guard's matter (guard.named)."""
    found = find_named(remote, audience)
    if len(found) != 1:
        return
    one, address = found[0], f"line_audience.{audience.key}"

    def drift(kind: Kind, action: Action, **more: Any) -> Drift:
        return Drift(audience.account, kind, action, audience.name or "", address, one.id, **more)

    if one.status in ("EXPIRED", "FAILED", "INACTIVE"):
        yield drift("expired" if one.status == "EXPIRED" else "failed", "person", expires_at=one.expires_at)
        return
    if one.expires_at is not None:
        needed = expected.needed_until.get(audience.key)
        late = needed is not None and one.expires_at < needed
        if late or one.expires_at <= now + timedelta(days=EXPIRING_DAYS):
            yield drift("expiring", "person" if late else "leave", expires_at=one.expires_at)
    before = expected.counts.get(audience.key)
    if before is not None and _is_sudden(before, one.count):
        yield drift("changed_size", "leave", before=before, now=one.count)


def _is_sudden(before: int, now: int) -> bool:
    """Half of it or twice of it, where it is more than LINE's minimum: smaller moves are an audience's life."""
    return abs(now - before) >= AUDIENCE_RECIPIENTS_MIN and (now * 2 <= before or now >= before * 2)


# --- what nobody here knows -------------------------------------------------------------------------


def _unknown(expected: Expected, remote: RemoteFacts) -> Iterator[Drift]:
    ours = Tag.of(expected.lineage, "", 0).lineage if expected.lineage else None
    known = {record.remote_id for record in expected.records if record.account == remote.account}
    awaited = {
        str(Tag.of(expected.lineage or "", record.key, record.generation)): record.address
        for record in expected.records
        if record.account == remote.account and record.remote_id is None and record.status == "creating"
    }
    for one, tag in _tagged(remote):
        if tag.lineage == ours and one.id not in known:
            address = awaited.get(str(tag))
            action: Action = "adopt" if address else "leave"
            yield Drift(remote.account, "untracked", action, one.name, address, one.id, now=one.count)
    for account, other, count in other_states({remote.account: remote}, expected.lineage, expected.records):
        yield Drift(account, "other_state", "person", other, now=count)


def _tagged(remote: RemoteFacts) -> Iterable[tuple[RemoteAudienceFacts, Tag]]:
    """The audiences of the account itself that carry a tag."""
    tags = ((one, parse_tag(one.name)) for one in remote.audiences if one.kind != "SHARED")
    return [(one, tag) for one, tag in tags if tag is not None]
