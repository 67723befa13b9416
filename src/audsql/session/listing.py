"""Ids of people written to a file of their owner's: whole or not at all, nobody else's to read, not into Git."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from audsql.diag import Diagnostic, error, warning

if TYPE_CHECKING:
    from audsql.data.engine import Engine, People

__all__ = ["refused", "write_members"]

_IDS_A_PIECE = 65_536


def refused(path: Path) -> Diagnostic | None:
    """Why ids are not written there: it is no file, but stdout, a device or a folder (AUD1091)."""
    try:
        mode = path.stat().st_mode
    except OSError:
        # What is not there yet can become a file; what cannot be looked at fails when it is written.
        mode = stat.S_IFREG
    return error("AUD1091", None, path=str(path)) if str(path) == "-" or not stat.S_ISREG(mode) else None


def write_members(path: Path, engine: Engine, people: People) -> tuple[Diagnostic, ...]:
    """One id a line, ascending, readable by the owner only; in place of what was there, or not at all (AUD0044).

    Warns where Git would take the file (AUD0087).
    """
    target = path.resolve() if path.is_symlink() else path
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as out:
                out.writelines(_lines(engine, people))
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(target)
        except BaseException:
            # Ctrl-C as well: no half of a list stays behind.
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError:
        return (error("AUD0044", None, path=str(path)),)
    return _beside_specs(path, target)


def _lines(engine: Engine, people: People) -> Iterator[bytes]:
    from audsql.data.duckdb import DuckEngine

    if isinstance(engine, DuckEngine):
        yield from engine.id_lines(people)
        return
    ids = engine.members(people)
    while piece := [*islice(ids, _IDS_A_PIECE)]:
        yield "".join(f"{one}\n" for one in piece).encode("utf-8")


def _beside_specs(path: Path, target: Path) -> tuple[Diagnostic, ...]:
    from audsql.session.revision import is_kept_out

    return () if is_kept_out(target) else (warning("AUD0087", None, path=str(path)),)
