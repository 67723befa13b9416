"""A folder that appears whole or not at all.

Everything is written into a folder beside the place, made durable and moved there in one step. What a killed run left
is recognised by nobody holding it and removed by the next.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

__all__ = ["is_free", "write_folder"]

_ENDING = ".unfinished"
Content = tuple[str, bytes]


def is_free(folder: Path) -> bool:
    """Whether nothing is there but, at most, an empty folder. Raises OSError."""
    if folder.is_symlink():
        return False
    if not folder.exists():
        return True
    return folder.is_dir() and not any(folder.iterdir())


def write_folder(folder: Path, files: Iterable[Content]) -> None:
    """Make the folder with these files, names and bytes, readable by their owner alone. What is there is replaced as
    a whole: the caller has looked. Raises OSError; then the place is as it was."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=_ENDING))
    held = os.open(fresh, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name, content in files:
            _write(fresh / name, content)
        os.fsync(held)
        _move(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    finally:
        os.close(held)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _move(fresh: Path, folder: Path) -> None:
    """Into its place. A folder with files gives way first; until the new one stands there, there is none."""
    former: Path | None = None
    if folder.exists() and any(folder.iterdir()):
        former = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=_ENDING))
        os.rename(folder, former)
    try:
        os.rename(fresh, folder)
    except BaseException:
        if former is not None:
            os.rename(former, folder)
        raise
    _make_durable(folder.parent)
    if former is not None:
        shutil.rmtree(former, ignore_errors=True)


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what killed runs left for this place: whoever is at work holds a lock on theirs."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.*{_ENDING}"):
        try:
            held = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(held)
