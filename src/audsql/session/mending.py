"""The state as a whole made good: repaired after damage, upgraded to the format of this version."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic, error
from audsql.session.backups import newest_good
from audsql.session.holding import is_alive, user_name
from audsql.session.planning import open_store, state_location
from audsql.session.project import Opened
from audsql.session.stating import Stated

if TYPE_CHECKING:
    from audsql.apply.backup import Contents
    from audsql.apply.salvage import Salvaged
    from audsql.apply.store import Held

__all__ = ["repair", "upgrade"]

Document = dict[str, Any]
_DAMAGED = ("AUD0602", "AUD0603", "AUD0604")
_UNREADABLE = "AUD0601"
_OLDER = "AUD0637"


def _said(kind: str, **facts: Any) -> Document:
    return {"kind": f"audsql.{kind}", "format_version": "1.0", **facts}


def _refused(*problems: Diagnostic, exit_code: int = 1) -> Stated:
    unset = all(one.code == "AUD0690" for one in problems)
    return Stated(None, problems, 64 if unset else exit_code)


# --- repair -----------------------------------------------------------------------------------------


def repair(opened: Opened, *, dry_run: bool = False) -> Stated:
    """Keep what can be trusted of a damaged state, say what is lost, and put a new state in its place."""
    from audsql.apply.store import StoreFailed

    store, problems = open_store(opened, create=False)
    if store is not None:
        with store:
            try:
                # Its rows are verified when it is first looked at.
                store.ledger().secret()
                return Stated(_said("state_repaired", verdict="sound", serial=store.snapshot().serial))
            except StoreFailed as failed:
                problems = (failed.diagnostic,)
    codes = {one.code for one in problems}
    if not codes <= {*_DAMAGED, _UNREADABLE}:
        return _refused(*problems)
    found: list[Salvaged] = []

    def decide(contents: Contents, changed_at: datetime | None) -> Document | None:
        found.append(_salvaged(opened, contents, changed_at))
        return None if dry_run else _signed(opened, found[0].document)

    try:
        kept = _mended(opened, "damaged", decide)
        if kept is not None:
            _noted(opened)
    except _InUse as used:
        return _refused(used.diagnostic, exit_code=6)
    except StoreFailed as failed:
        return _refused(failed.diagnostic)
    except OSError as problem:
        return _refused(error("AUD0612", None, path=_name(opened), reason=os.strerror(problem.errno or 0)))
    return Stated(_repaired(found[0], kept, dry_run))


def _repaired(salvaged: Salvaged, kept_at: str | None, dry_run: bool) -> Document:
    return _said(
        "state_repaired",
        verdict="would" if dry_run else "repaired",
        serial=salvaged.document["serial"],
        lineage=salvaged.document["lineage"],
        journal_whole=salvaged.journal_whole,
        kept=salvaged.kept,
        lost=[{"kind": one.kind, "id": one.id, "state": one.state} for one in salvaged.lost],
        in_doubt=list(salvaged.doubtful),
        damaged=kept_at,
    )


def _signed(opened: Opened, document: Document) -> Document:
    """What was made good here is signed here, where the project has a key."""
    from audsql.apply.keyed import signed_document
    from audsql.session.keys import keys_of

    return signed_document(document, keys_of(opened), datetime.now(UTC))


class _InUse(Exception):
    """Somebody may be at work on this state."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.code)
        self.diagnostic = diagnostic


def _salvaged(opened: Opened, contents: Contents, changed_at: datetime | None) -> Salvaged:
    """Raises StoreFailed where nothing can be trusted or the state is another environment's, _InUse."""
    import uuid

    from audsql.apply.salvage import is_of, salvaged
    from audsql.apply.store import StoreFailed, held_diagnostic

    now = datetime.now(UTC)
    found = str(contents.meta[1]) if contents.meta is not None else opened.environment
    if found != opened.environment and is_of(contents, found):
        raise StoreFailed(
            error("AUD0606", None, path=_name(opened), found=found, expected=opened.environment)
        )  # fmt: skip
    salvage = salvaged(
        contents, opened.environment, str(uuid.uuid4()), now, user_name(), _body_opener(opened, contents)
    )
    if not salvage.kept and (salvage.lost or not salvage.journal_whole):
        raise StoreFailed(error("AUD0641", None, path=_name(opened), backup=newest_good(opened)))
    held = _holder(contents, opened.environment, changed_at)
    if held is not None and held.expires > now and not _is_gone(held):
        raise _InUse(held_diagnostic(held))
    return salvage


def _body_opener(opened: Opened, contents: Contents) -> Callable[[str, str, bytes], bytes]:
    """Opens bodies that the project's key closed for the former lineage. Raises StoreFailed."""
    from audsql.apply.store import StoreFailed
    from audsql.data.keys import KeyMissing, Keys, NotAuthentic, open_sealed, sealed_under
    from audsql.session.keys import keys_of

    lineage = str(contents.meta[0]) if contents.meta is not None else ""

    def open_body(kind: str, identity: str, body: bytes) -> bytes:
        if sealed_under(body) is None:
            return body
        try:
            return open_sealed(keys_of(opened) or Keys(()), "state", f"{lineage}\0{kind}\0{identity}", body)
        except KeyMissing as missing:
            raise StoreFailed(error("AUD0658", None, path=_name(opened), key_id=missing.key_id)) from None
        except NotAuthentic:
            raise StoreFailed(error("AUD0641", None, path=_name(opened), backup=newest_good(opened))) from None

    return open_body


def _holder(contents: Contents, environment: str, changed_at: datetime | None) -> Held | None:
    """Who holds the state: by the lease where it fits the journal; else by the journal, as if the holder had renewed
    it when the state was last written."""
    from audsql.apply.context import LEASE_SECONDS
    from audsql.apply.salvage import last_lease, lease_of
    from audsql.apply.store import Held

    lease = lease_of(contents, environment)
    if lease != "unknown":
        return lease
    event = last_lease(contents, environment)
    if event is None:
        return None
    facts = event.attributes
    expires = max(event.at, changed_at or event.at) + timedelta(seconds=LEASE_SECONDS)
    by, host, operation, lock_id = (str(facts.get(name, "")) for name in ("by", "host", "operation", "lock_id"))
    pid = facts.get("pid")
    return Held(by, host, pid if isinstance(pid, int) else 0, operation, event.at, expires, lock_id)


def _is_gone(held: Held) -> bool:
    return held.host == platform.node() and not is_alive(held.pid)


# --- upgrade ----------------------------------------------------------------------------------------


def upgrade(opened: Opened) -> Stated:
    """Bring a state of an earlier format to this one; the earlier one is kept beside."""
    from audsql.apply.state import FORMAT_VERSION
    from audsql.apply.store import StoreFailed

    store, problems = open_store(opened, create=False)
    if store is not None:
        with store:
            state = store.snapshot()
            return Stated(
                _said("state_upgraded", verdict="current", format=state.format_version, serial=state.serial)
            )  # fmt: skip
    if {one.code for one in problems} != {_OLDER}:
        return _refused(*problems)
    found = problems[0].fact("found")

    def decide(contents: Contents, changed_at: datetime | None) -> Document | None:
        return _signed(opened, _upgraded(opened, contents, changed_at))

    try:
        kept = _mended(opened, f"format-{found}", decide)
        _noted(opened)
    except _InUse as used:
        return _refused(used.diagnostic, exit_code=6)
    except StoreFailed as failed:
        return _refused(failed.diagnostic)
    except OSError as problem:
        return _refused(error("AUD0612", None, path=_name(opened), reason=os.strerror(problem.errno or 0)))
    facts = {"from": found, "format": FORMAT_VERSION, "earlier": kept}
    return Stated(_said("state_upgraded", verdict="upgraded", **facts))


def _upgraded(opened: Opened, contents: Contents, changed_at: datetime | None) -> Document:
    from audsql.apply import upgrade as formats
    from audsql.apply.backup import document_of
    from audsql.apply.salvage import is_sound
    from audsql.apply.store import StoreFailed, held_diagnostic

    now = datetime.now(UTC)
    if contents.meta is None or not is_sound(contents, opened.environment):
        backup = newest_good(opened)
        raise StoreFailed(error("AUD0603", None, path=_name(opened), part="rows", place=None, backup=backup))
    held = _holder(contents, opened.environment, changed_at)
    if held is not None and held.expires > now and not _is_gone(held):
        raise _InUse(held_diagnostic(held))
    return formats.upgraded(document_of(contents), formats.STEPS, now)


# --- where it is ------------------------------------------------------------------------------------


def _mended(
    opened: Opened, label: str, decide: Callable[[Contents, datetime | None], Document | None]
) -> str | None:  # fmt: skip
    """Replace the state by what is decided; where the earlier one is kept."""
    from audsql.apply.mend import mend_file, mend_server
    from audsql.apply.store import is_postgres, local_path

    location = str(state_location(opened))
    if is_postgres(location):
        from audsql.apply.postgres import server_door

        door, schema = server_door(location)
        try:
            return mend_server(door, schema, opened.environment, label, decide)
        finally:
            door.close()
    path = local_path(location)
    kept = mend_file(path or Path(location), opened.environment, label, decide)
    return _shown(opened, Path(kept)) if kept else None


def _noted(opened: Opened) -> None:
    """What stands there now is what this machine has seen last. Raises StoreFailed, OSError."""
    from audsql.apply.store import StoreFailed, open_store
    from audsql.session import water
    from audsql.session.keys import keys_of

    keys = keys_of(opened)
    store = open_store(str(state_location(opened)), create=False, environment=opened.environment, keys=keys)
    if isinstance(store, tuple):
        raise StoreFailed(store[0])
    with store:
        water.note(opened, store, keys, changed=False)


def _shown(opened: Opened, path: Path) -> str:
    return path.relative_to(opened.home).as_posix() if path.is_relative_to(opened.home) else str(path)


def _name(opened: Opened) -> str:
    from audsql.apply.store import is_postgres

    location = str(state_location(opened))
    if is_postgres(location):
        from audsql.apply.postgres import address_of

        return address_of(location).name
    return location
