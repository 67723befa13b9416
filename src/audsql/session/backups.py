"""Backups that are written by themselves: the whole state beside the state, after each run that changed it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.config import Retention
from audsql.diag import Diagnostic, warning
from audsql.records import dataclass
from audsql.session.project import Opened

if TYPE_CHECKING:
    from audsql.apply.state import State
    from audsql.apply.store import Store

__all__ = ["is_changed", "keep_backup", "newest_good", "with_backup"]

_NAME = re.compile(r"state-(\d{1,18})(?:-[0-9a-f]{8})?\.json")
_LINEAGE = re.compile(rb'"lineage":"([^"]*)"')
_HEAD_BYTES = 512
_BYTES_MAX = 1 << 30
_DAMAGED = ("AUD0601", "AUD0602", "AUD0603", "AUD0604")


@dataclass(frozen=True, slots=True)
class _Backup:
    path: Path
    serial: int
    lineage: str
    changed_at: float


def keep_backup(opened: Opened, store: Store, before: State) -> tuple[Diagnostic, ...]:
    """Write the state down where this run changed it. That it could not be written is a warning, never a failure.

    A server's state is backed up with the server.
    """
    from audsql.apply.store import StoreFailed, is_postgres

    try:
        after = store.snapshot()
        if is_postgres(store.path) or not is_changed(store, before, after):
            return ()
        folder = _folder(opened)
        _write(folder, store.backup())
        _prune(folder, after.lineage, (opened.config.retention if opened.config else Retention()).backups)
    except StoreFailed as failed:
        return (warning("AUD0640", None, path=_shown(opened, _folder(opened)), reason=failed.diagnostic.code),)
    except OSError as problem:
        reason = os.strerror(problem.errno or 0)
        return (warning("AUD0640", None, path=_shown(opened, _folder(opened)), reason=reason),)
    return ()


def is_changed(store: Store, before: State, after: State) -> bool:
    """Whether a run wrote more than that it had the lease."""
    return replace(before, head="") != replace(after, head="") or bool(store.ledger().written)


def _folder(opened: Opened) -> Path:
    """Each named environment has a state, and so backups, of its own."""
    folder = opened.folder / "backups"
    environment = opened.config.environment if opened.config else None
    return folder / environment if environment else folder


def _shown(opened: Opened, path: Path) -> str:
    return path.relative_to(opened.home).as_posix() if path.is_relative_to(opened.home) else path.as_posix()


def _write(folder: Path, document: dict[str, Any]) -> None:
    """Whole or not at all, readable by the owner only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"state-{document['serial']}.json"
    if target.exists() and _lineage(target) != document["lineage"]:
        # A state that was made anew counts from 0 again; what is known of the former one is not written over.
        mark = re.sub(r"[^0-9a-f]", "0", document["lineage"])[:8].ljust(8, "0")
        target = folder / f"state-{document['serial']}-{mark}.json"
    content = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".state-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _lineage(path: Path) -> str:
    with path.open("rb") as file:
        found = _LINEAGE.search(file.read(_HEAD_BYTES))
    return found[1].decode("utf-8", "replace") if found else ""


def _prune(folder: Path, lineage: str, kept: int) -> None:
    """Only the newest of this state stay; those of a former one are left to people."""
    mine = sorted((one for one in _backups(folder) if one.lineage == lineage), key=lambda one: one.serial)
    for old in mine[:-kept]:
        old.path.unlink(missing_ok=True)


def _backups(folder: Path) -> Iterator[_Backup]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = _NAME.fullmatch(path.name)
        if name is not None and path.is_file():
            yield _Backup(path, int(name[1]), _lineage(path), path.stat().st_mtime)


def newest_good(opened: Opened) -> str | None:
    """The newest backup whose journal and rows are sound, relative to the project folder."""
    from audsql.apply.backup import contents_of, read_backup
    from audsql.apply.salvage import is_sound

    try:
        found = sorted(_backups(_folder(opened)), key=lambda one: (one.changed_at, one.serial), reverse=True)
        for one in found:
            with suppress(ValueError, RecursionError):
                given = json.loads(one.path.read_bytes()) if one.path.stat().st_size <= _BYTES_MAX else None
                document = read_backup(given, str(one.path))
                if not isinstance(document, Diagnostic) and document["environment"] == opened.environment:
                    contents = contents_of(document)
                    if contents is not None and is_sound(contents, opened.environment):
                        return _shown(opened, one.path)
    except OSError:
        # What cannot be read is no good backup; the message that asks is about the state itself.
        return None
    return None


def with_backup(opened: Opened, problem: Diagnostic) -> Diagnostic:
    """A diagnostic of a damaged state, with the newest good backup where there is one."""
    if problem.code not in _DAMAGED:
        return problem
    facts = dict(problem.facts)
    facts["backup"] = newest_good(opened)
    return replace(problem, facts=tuple(sorted(facts.items())))
