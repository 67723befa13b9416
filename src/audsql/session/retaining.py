"""What is not needed any more goes at the end of each apply and run (specs/privacy.md, privacy.retention)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from audsql.config import Retention
from audsql.session.project import Opened

if TYPE_CHECKING:
    from audsql.apply.state import State

__all__ = ["forget_old", "forget_spool", "trim_requests"]

_OVER = ("done", "cancelled")


def forget_old(opened: Opened, state: State, now: datetime) -> int:
    """Everything that `[retention]` is about, but the backups (`session.backups`); how many files went. Raises OSError.

    `now` is the time of this machine, as that of its files is.
    """
    kept = opened.config.retention if opened.config else Retention()
    gone = forget_spool(opened, state) + _forget_copies(opened.cache / "tmp", now - timedelta(hours=kept.spool_hours))
    oldest = now - timedelta(days=kept.requests_days)
    return gone + trim_requests(opened.folder / "requests.log", oldest, kept.requests_mebibytes << 20)


def _forget_copies(folder: Path, oldest: datetime) -> int:
    """Working copies are removed by the process that made them; what is older belongs to one that was killed."""
    gone = 0
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest.timestamp():
                shutil.rmtree(path, ignore_errors=True)
                gone += not path.exists()
    return gone


def trim_requests(path: Path, oldest: datetime, bytes_max: int) -> int:
    """Take the lines before `oldest` out of the log of requests, and the first beyond the size; 1 where it changed.

    Whole or not at all. A request that another process writes down at this moment can be lost from the log.
    Raises OSError.
    """
    if not path.is_file():
        return 0
    size = path.stat().st_size
    with path.open("rb") as log:
        first = log.readline()
        if not first or (size <= bytes_max and not _is_older(first, oldest)):
            return 0
        log.seek(0)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".requests-")
        try:
            with os.fdopen(handle, "wb") as out:
                left = size
                for line in log:
                    if left <= bytes_max and not _is_older(line, oldest):
                        out.write(line)
                    left -= len(line)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    return 1


def _is_older(line: bytes, oldest: datetime) -> bool:
    """Whether a line begins with an earlier time. One that was cut off begins with none."""
    try:
        at = datetime.fromisoformat(line.split(b" ", 1)[0].decode())
    except ValueError:
        return True
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) < oldest


def forget_spool(opened: Opened, state: State) -> int:
    """Remove the lists that were frozen for sends that are over, for uploads that are whole, and of audiences that
    are gone from LINE; how many. Raises OSError."""
    from audsql.data.cache import entry_name

    gone = 0
    for name in _needless(state):
        path = opened.cache / "sets" / entry_name(name)
        if path.is_file():
            path.unlink()
            gone += 1
    return gone


def _needless(state: State) -> Iterator[str]:
    from audsql.apply.bind import members_name

    for row in state.occurrences:
        if row.state in _OVER:
            yield from (
                f"multicast.{row.id}.{part}" for part in sorted({op.part for op in state.operations_of(row.id)})
            )
            yield from (f"sent.{row.id}.{key}" for key in sorted(dict(row.document.get("uploads", {}))))
    last: dict[str, int] = {}
    for one in state.resources:
        last[one.address] = max(last.get(one.address, 0), one.generation)
        if one.status != "creating" and one.fingerprint:
            yield f"{members_name(one)}.batch.{one.fingerprint}"
    there = {(one.address, one.generation) for one in state.resources}
    for address, newest in sorted(last.items()):
        yield from (f"{address}.{number}" for number in range(1, newest) if (address, number) not in there)
