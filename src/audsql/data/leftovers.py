"""Working files of a process that was killed: told from those of one at work, and removed by the next.

A process holds a lock on each file and folder that it works in, which the system lets go of however the process ends.
What nobody holds is nobody's. Where there are no such locks, what is a day old is taken for abandoned.
Rules: specs/data.md, cache.write and cache.private.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CLAIMS", "PREFIX", "claimed_folder", "new_file", "remove_leftovers"]

PREFIX = ".new-"
"""How files begin that are not whole yet."""
CLAIMS = sys.platform != "win32"
STALE_SECONDS = 86_400
_TRIES = 100


def new_file(folder: Path) -> tuple[int, str]:
    """A file of its own to write to, which the open descriptor claims; only its owner may read it. Raises OSError."""
    for _ in range(_TRIES):
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=PREFIX)
        if _claim(descriptor, name):
            return descriptor, name
        os.close(descriptor)
    raise FileExistsError(f"{folder} is swept faster than it is written")


@contextlib.contextmanager
def claimed_folder(parent: Path) -> Iterator[Path]:
    """A folder of its own, claimed while it is open and removed at the end. Raises OSError."""
    for _ in range(_TRIES):
        name = tempfile.mkdtemp(dir=parent)
        # A sweep may have been quicker.
        with contextlib.suppress(FileNotFoundError):
            descriptor = _opened(name)
            if descriptor is None or _claim(descriptor, name):
                break
            os.close(descriptor)
    else:
        raise FileExistsError(f"{parent} is swept faster than it is written")
    try:
        yield Path(name).resolve()
    finally:
        try:
            shutil.rmtree(name, ignore_errors=True)
        except KeyboardInterrupt:
            # Whoever cannot wait does not get to leave personal data behind.
            shutil.rmtree(name, ignore_errors=True)
            raise
        finally:
            if descriptor is not None:
                os.close(descriptor)


def remove_leftovers(cache: Path) -> None:
    """Remove what killed processes left in a cache: folders of working copies, and files that are not whole."""
    for folder, prefix in ((cache / "tmp", ""), (cache, PREFIX), (cache / "leaves", PREFIX), (cache / "sets", PREFIX)):
        # There may be none yet; another process may sweep as well.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
            for name in sorted(one.path for one in found if one.name.startswith(prefix)):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(Path(name))


def _remove_if_abandoned(path: Path) -> None:
    descriptor = _opened(str(path))
    try:
        free = None if descriptor is None else _locked(descriptor)
        if free or (free is None and path.lstat().st_mtime < time.time() - STALE_SECONDS):
            _remove(path)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _opened(name: str) -> int | None:
    """A descriptor to claim by; None where there are no claims."""
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) if CLAIMS else None


def _claim(descriptor: int, name: str) -> bool:
    """Hold a new file or folder; False where a sweep of another process was quicker."""
    held = _locked(descriptor)
    if held is None or not held:
        return held is None
    mine = os.fstat(descriptor)
    try:
        there = os.stat(name, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


if sys.platform == "win32":

    def _locked(descriptor: int) -> bool | None:
        return None

else:
    import fcntl

    def _locked(descriptor: int) -> bool | None:
        """Whether this descriptor holds the only lock now; None where the file system has no locks."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True
