"""What LINE holds, taken into the records: what drift is held against, and what a refresh remembers anew.

Reads LINE and writes rows of the state; nothing at LINE is changed (specs/operations.md, drift.refresh).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from audsql.apply.state import Resource, State
from audsql.compile.program import Program
from audsql.plan.drift import Record, names_allowed
from audsql.plan.facts import RemoteAudienceFacts, RemoteFacts
from audsql.plan.tags import Tag
from audsql.records import dataclass

__all__ = ["Remembered", "line_counts", "records_of", "refreshed"]

_LIVE = ("creating", "ready", "releasing")
_GIVEN_UP = {"EXPIRED": "expired", "FAILED": "failed", "INACTIVE": "failed"}


@dataclass(frozen=True, slots=True)
class Remembered:
    """One record that is not what LINE holds: the row as it is to be, and what of it is new: `gone`, `expired`,
    `failed`, `adopted`, `name` or `expires_at`."""

    row: Resource
    what: str
    before: str | None = None
    now: str | None = None


def records_of(state: State, program: Program) -> tuple[Record, ...]:
    """Every generation of every audience that the state knows, in the order of the state."""
    labels = {f"upload.{one.key}": one.label for one in program.uploads}
    labels |= {f"line_audience.{one.key}": one.label for one in program.audiences}
    return tuple(_record(row, labels.get(row.address, "")) for row in state.resources)


def _record(row: Resource, label: str = "") -> Record:
    return Record(
        row.address, row.generation, row.account, row.kind, row.status, row.name, row.function_key, row.remote_id,
        row.size, row.expires_at, label,
    )  # fmt: skip


def line_counts(state: State) -> dict[str, int]:
    """What LINE counted at the last apply in audiences that are found by name, by key."""
    mark = "line_audience."
    return {row.name.removeprefix(mark): row.size for row in state.sizes if row.name.startswith(mark)}


def refreshed(
    state: State, program: Program, remotes: Mapping[str, RemoteFacts], now: datetime
) -> tuple[Remembered, ...]:
    """What a refresh would remember anew, by address and generation; each row has the stamp of the one before."""
    labels = {record.address: record.label for record in records_of(state, program)}
    found: list[Remembered] = []
    for row in state.resources:
        remote = remotes.get(row.account)
        if remote is None or row.status not in _LIVE:
            continue
        if row.remote_id is None:
            adopted = _adopted(state, row, remote)
            found += [adopted] if adopted else []
        else:
            found += _compared(state, row, labels[row.address], remote.by_id(row.remote_id), now)
    return tuple(sorted(found, key=lambda one: (one.row.address, one.row.generation, one.what)))


def _adopted(state: State, row: Resource, remote: RemoteFacts) -> Remembered | None:
    """An audience whose creation was asked for and whose answer was lost, found by its tag."""
    asked = any(
        one.kind == "create" and one.generation == row.generation for one in state.audience_operations_of(row.address)
    )
    tag = str(Tag.of(state.lineage, row.function_key, row.generation))
    same = sorted((one.id, one.expires_at) for one in remote.audiences if one.name.endswith(tag))
    if not asked or not same:
        return None
    remote_id, expires_at = same[0]
    return Remembered(replace(row, remote_id=remote_id, expires_at=expires_at), "adopted", None, str(remote_id))


def _compared(
    state: State, row: Resource, label: str, remote: RemoteAudienceFacts | None, now: datetime
) -> list[Remembered]:
    if remote is None:
        return [Remembered(_given_up(row, "gone", now), "gone", str(row.remote_id))]
    if remote.status in _GIVEN_UP:
        what = _GIVEN_UP[remote.status]
        return [Remembered(_given_up(row, what, now), what, row.status, remote.status)]
    changed, found = row, list[tuple[str, str | None, str]]()
    record = _record(row, label)
    if remote.name != row.name and remote.name in names_allowed(record, state.lineage):
        changed = replace(changed, name=remote.name)
        found.append(("name", row.name, remote.name))
    if remote.expires_at is not None and remote.expires_at != row.expires_at:
        before = row.expires_at.isoformat(timespec="seconds") if row.expires_at else None
        changed = replace(changed, expires_at=remote.expires_at)
        found.append(("expires_at", before, remote.expires_at.isoformat(timespec="seconds")))
    return [Remembered(changed, what, before, after) for what, before, after in found]


def _given_up(row: Resource, found: str, now: datetime) -> Resource:
    """A record that no send relies on any more; a later apply makes anew what is needed."""
    attributes = {**row.attributes, "released_at": now.isoformat(), "found": found}
    return replace(row, status="failed", attributes=attributes)
