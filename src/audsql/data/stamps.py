"""Which files still are what they were when they were read last, told by what the file system says of them.

As Git does: a file whose place, size and times are those of the last reading need not be read again to know its digest,
if at that reading its times lay so far back that a later change must have moved them. Rules: specs/data.md,
cache.unchanged.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path

from audsql.data.cache import read_entry, write_entry
from audsql.data.content import Content, inside
from audsql.data.keys import Keys
from audsql.records import dataclass

__all__ = [
    "SETTLED_NANOSECONDS",
    "Stamp",
    "Stamps",
    "digest_of",
    "keep_stamps",
    "read_stamps",
    "stamp_of",
    "take_stamp",
]

_FORMAT = 1
_NAME = "stamps"
_FILES_MAX = 20_000
# Coarser than the clock of any file system in use.
SETTLED_NANOSECONDS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file's device, inode, size in bytes, and times of modification and of change in nanoseconds."""

    values: tuple[int, ...]

    @property
    def modified(self) -> datetime:
        # As the reader takes it.
        return datetime.fromtimestamp(self.values[3] / 1_000_000_000, UTC)


@dataclass(slots=True)
class Stamps:
    """Stamp and digest of the bytes by file; `changed` where they are to be kept."""

    known: dict[str, tuple[Stamp, str]] = field(default_factory=dict)
    changed: bool = False


def stamp_of(root: Path, file: str) -> Stamp | None:
    """The stamp of one file below a folder; None where there is none, or several."""
    path = None if "://" in file else inside(root, file)
    try:
        facts = None if path is None else os.lstat(path)
    except (OSError, ValueError):
        return None
    if facts is None or not stat.S_ISREG(facts.st_mode):
        return None
    return Stamp((facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns))


def digest_of(stamps: Stamps, file: str, stamp: Stamp | None) -> str | None:
    """The digest of a file's bytes, where the file is as it was."""
    known = stamps.known.get(file)
    return known[1] if known is not None and known[0] == stamp else None


def take_stamp(stamps: Stamps, file: str, before: Stamp | None, after: Stamp | None, content: Content) -> None:
    """Remember a file that was read between these two stamps, where they can be trusted."""
    if before is None or before != after or content.parts:
        return
    if time.time_ns() - max(before.values[3:]) < SETTLED_NANOSECONDS:
        return
    if stamps.known.get(file) != (before, content.digest):
        stamps.known[file] = before, content.digest
        stamps.changed = True


def read_stamps(folder: Path, keys: Keys | None) -> Stamps:
    """What is kept in the cache; nothing where there is none or it is damaged. Raises KeyMissing."""
    entry = read_entry(folder / _NAME, keys)
    if entry is None or entry.header.get("format") != _FORMAT:
        return Stamps()
    files: Mapping[str, tuple[list[int], str]] = entry.header["files"]
    return Stamps({file: (Stamp(tuple(values)), digest) for file, (values, digest) in files.items()})


def keep_stamps(folder: Path, stamps: Stamps, keys: Keys | None) -> None:
    """Raises OSError, KeyMissing."""
    if stamps.changed:
        newest = dict(list(stamps.known.items())[-_FILES_MAX:])
        files = {file: [stamp.values, digest] for file, (stamp, digest) in newest.items()}
        write_entry(folder / _NAME, {"format": _FORMAT, "files": files}, [], keys=keys)
        stamps.changed = False
