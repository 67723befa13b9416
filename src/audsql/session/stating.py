"""The state looked at and mended by a person: list, show, mv, rm, pull, push, repair, the lock (specs/state.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic, error
from audsql.meaning.project import Moved
from audsql.near import nearest
from audsql.records import dataclass
from audsql.session.holding import take_lease, user_name
from audsql.session.planning import open_store, state_of
from audsql.session.project import Opened, compiled, messages_of

if TYPE_CHECKING:
    from audsql.apply.state import Row, State
    from audsql.apply.store import Held, Store

__all__ = ["Stated", "forget", "listed", "lock", "move", "pull", "push", "shown", "unlock"]

Document = dict[str, Any]
_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class Stated:
    """`document` is None where there is a problem; `exit_code` as specs/operations.md has it."""

    document: Document | None
    diagnostics: tuple[Diagnostic, ...] = ()
    exit_code: int = 0


def _refused(*problems: Diagnostic, exit_code: int = 1) -> Stated:
    unset = all(one.code == "AUD0690" for one in problems)
    return Stated(None, problems, 64 if unset else exit_code)


def _said(kind: str, **facts: Any) -> Document:
    return {"kind": f"audsql.{kind}", "format_version": "1.0", **facts}


# --- looking ----------------------------------------------------------------------------------------


def listed(opened: Opened, prefix: str = "") -> Stated:
    """What is remembered, a line each: address, state, size, id at LINE. `prefix` of the addresses."""
    state, problems = state_of(opened)
    if state is None:
        return _refused(*problems)
    rows = [one for one in _lines(state) if one["address"].startswith(prefix)]
    return Stated(_said("state_list", serial=state.serial, rows=rows))


def shown(opened: Opened, address: str) -> Stated:
    """Everything that is remembered under an address."""
    from audsql.apply.state import to_document

    state, problems = state_of(opened)
    if state is None:
        return _refused(*problems)
    whole = to_document(state)
    found: Document = {
        "resources": [row for row in whole["resources"] if _names(address, f"{row['address']}#{row['generation']}")],
        "occurrences": [row for row in whole["occurrences"] if _names(address, _occurrence_address(row))],
        "sizes": [row for row in whole["sizes"] if row["name"] == address],
    }
    occurrences = {row["id"] for row in found["occurrences"]}
    addresses = {row["address"] for row in found["resources"]}
    found["operations"] = [row for row in whole["operations"] if row["occurrence"] in occurrences]
    found["audience_operations"] = [row for row in whole["audience_operations"] if row["address"] in addresses]
    if not any(found.values()):
        return _refused(_unknown(state, address))
    return Stated(_said("state_rows", address=address, **found))


def _occurrence_address(row: Document) -> str:
    return f"delivery.{row['document'].get('name') or row['delivery']}@{row['time']}"


def _names(given: str, address: str) -> bool:
    """`upload.k` names all generations, `upload.k#2` one; `delivery.d` all times, `delivery.d@once` one."""
    return given == address or address.startswith((f"{given}#", f"{given}@"))


def _lines(state: State) -> Iterator[Document]:
    for resource in state.resources:
        yield {
            "address": f"{resource.address}#{resource.generation}",
            "state": resource.status,
            "people": resource.size,
            "remote_id": resource.remote_id,
            "name": resource.name,
        }
    for row in state.occurrences:
        size = state.size(f"delivery.{row.name}")
        yield {
            "address": f"delivery.{row.name}@{row.time}",
            "state": row.state,
            "people": size.size if size else None,
            "remote_id": None,
            "name": row.id,
        }
    for known in state.sizes:
        if known.name.startswith(("audience.", "source.")):
            yield {"address": known.name, "state": None, "people": known.size, "remote_id": None, "name": ""}


def _unknown(state: State, address: str) -> Diagnostic:
    known = tuple(sorted({one["address"].partition("#")[0].partition("@")[0] for one in _lines(state)}))
    return error("AUD0635", None, address=address, near=nearest(address, known))


# --- changing ---------------------------------------------------------------------------------------


def move(opened: Opened, old: str, new: str, reason: str) -> Stated:
    """What is remembered of a delivery or an audience goes on under another name, as by `moved`."""

    def rows(state: State, now: datetime) -> list[Any] | Diagnostic:
        kind, _, name = old.partition(".")
        kind_new, _, name_new = new.partition(".")
        if kind != kind_new or kind not in ("delivery", "audience") or not name_new:
            return error("AUD0636", None, address=old, action="mv")
        if any(row.name == name_new for row in state.occurrences):
            return error("AUD0638", None, address=new)
        found = _followed(opened, state, name, name_new) if kind == "delivery" else []
        found += _sizes_moved(state, old, new) if found or kind == "audience" else []
        return [*found, _resolution(old, "moved", reason, now, to=new)] if found else _unknown(state, old)

    return _changed(opened, "state.moved", rows)


def _followed(opened: Opened, state: State, old: str, new: str) -> list[Any]:
    """The occurrences of a delivery under its new name, with the definition that this name gives what was approved."""
    from audsql.apply.names import followed

    if opened.analysis is None:
        return []
    project = opened.analysis.project
    project = replace(project, moved=(*project.moved, Moved(old, new, "delivery")))
    return list(followed(state, project, compiled(opened)[0], messages_of(opened)[0]).rows)


def _sizes_moved(state: State, old: str, new: str) -> list[Any]:
    from audsql.apply.state import KnownSize
    from audsql.apply.store import Removal

    row = state.size(old)
    if row is None or state.size(new) is not None:
        return []
    return [Removal(row), KnownSize(new, row.size, row.at, row.fingerprint, row.attributes)]


def forget(opened: Opened, address: str, reason: str) -> Stated:
    """What LINE holds under an address is left alone for good; the last size of an audience is forgotten.

    The history of deliveries is never removed: it is what keeps a message from going out twice.
    """

    def rows(state: State, now: datetime) -> list[Any] | Diagnostic:
        from audsql.apply.store import Removal

        if address.startswith("delivery."):
            return error("AUD0636", None, address=address, action="rm")
        found: list[Any] = [
            replace(row, status="kept")
            for row in state.resources
            if _names(address, f"{row.address}#{row.generation}") and row.status != "kept"
        ]
        size = state.size(address)
        if size is not None:
            found.append(Removal(size))
        return [*found, _resolution(address, "forgotten", reason, now)] if found else _unknown(state, address)

    return _changed(opened, "state.forgotten", rows)


def _resolution(subject: str, verdict: str, reason: str, now: datetime, **attributes: str) -> Row:
    from audsql.apply.state import Resolution

    return Resolution(subject, verdict, reason, user_name(), now, attributes)


def _changed(opened: Opened, what: str, rows: Callable[[State, datetime], list[Any] | Diagnostic]) -> Stated:
    """Write rows under a lease of their own; nothing where they are a diagnostic."""

    def work(store: Store) -> Stated:
        from audsql.apply.store import Held, held_diagnostic

        now = datetime.now(UTC)
        lease = take_lease(store, "state")
        if isinstance(lease, Held):
            return _refused(held_diagnostic(lease), exit_code=6)
        try:
            found = rows(store.snapshot(), now)
            if isinstance(found, Diagnostic):
                return _refused(found)
            store.write(lease, now, what, *found)
        finally:
            store.release(lease, now)
        state = store.snapshot()
        return Stated(_said("state_changed", serial=state.serial, rows=len(found) - 1))

    return _with_store(opened, work)


def _with_store(
    opened: Opened, work: Callable[[Store], Stated], *, create: bool = False, to_put_back: bool = False
) -> Stated:
    from audsql.apply.store import LeaseLost, StoreFailed, lease_lost_diagnostic

    store, problems = open_store(opened, create=create, to_put_back=to_put_back)
    if store is None:
        return _refused(*problems)
    with store:
        try:
            return work(store)
        except StoreFailed as failed:
            return _refused(failed.diagnostic)
        except LeaseLost as lost:
            return _refused(lease_lost_diagnostic(lost, store.path), exit_code=6)


# --- the whole state --------------------------------------------------------------------------------


def pull(opened: Opened) -> Stated:
    """The whole state as one document, frozen requests and journal included."""
    return _with_store(opened, lambda store: Stated(store.backup()))


def push(opened: Opened, content: bytes, path: str) -> Stated:
    """Put a document of `pull` in place of the state: a later one of the same history, or where there is none."""
    from audsql.apply.backup import read_backup

    try:
        given = json.loads(content) if len(content) <= _BYTES_MAX else None
    except (ValueError, RecursionError):
        given = None
    document = read_backup(given, path)
    if isinstance(document, Diagnostic):
        return _refused(document)
    if document["environment"] != opened.environment:
        problem = error("AUD0606", None, path=path, found=document["environment"], expected=opened.environment)
        return _refused(problem)

    def work(store: Store) -> Stated:
        from audsql.apply.store import Held, held_diagnostic

        verdict = store.put_back(document, opened.environment, datetime.now(UTC))
        if isinstance(verdict, Held):
            return _refused(held_diagnostic(verdict), exit_code=6)
        state = store.snapshot()
        return Stated(_said("state_pushed", serial=state.serial, verdict=verdict))

    return _with_store(opened, work, create=True, to_put_back=True)


# --- the lock ---------------------------------------------------------------------------------------


def lock(opened: Opened) -> Stated:
    """Who holds the state now; `held` is None where nobody does."""

    def work(store: Store) -> Stated:
        held = store.holder()
        return Stated(_said("lock", held=held and _held_document(held)))

    return _with_store(opened, work)


def _held_document(held: Held) -> Document:
    from audsql.apply.state import iso_time

    return {
        "id": held.lock_id, "by": held.by, "host": held.host, "pid": held.pid, "operation": held.operation,
        "since": iso_time(held.since), "expires": iso_time(held.expires), "expired": held.expires <= datetime.now(UTC),
    }  # fmt: skip


def unlock(opened: Opened, lock_id: str, *, force: bool) -> Stated:
    """End a lock by its id. One whose holder may still be at work is ended only with `force`."""

    def work(store: Store) -> Stated:
        from audsql.apply.store import held_diagnostic, unlock_refused_diagnostic

        now = datetime.now(UTC)
        held = store.holder()
        if held is not None and held.lock_id == lock_id and held.expires > now and not force:
            return _refused(held_diagnostic(held), error("AUD0639", None, lock_id=lock_id), exit_code=6)
        answer = store.force_release(lock_id, now, user_name())
        if answer != "released":
            return _refused(unlock_refused_diagnostic(lock_id, held))
        return Stated(_said("unlocked", id=lock_id))

    return _with_store(opened, work)
