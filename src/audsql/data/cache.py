"""The local cache: entries that notice damage, written whole or not at all, readable by their owner only.

An entry is a JSON header and blocks of bytes under one SHA-256. What does not verify is as good as
absent. Nothing outside the cache depends on it but speed, except for named sets and the key.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Entry", "entry_name", "load_key", "make_folder", "read_entry", "scratch_folder", "trim", "write_entry"]

Buffer = bytes | memoryview

_MAGIC = b"audsql1\n"
_DIGEST_BYTES = 32
_PREFIX_BYTES = len(_MAGIC) + _DIGEST_BYTES
_ALIGNMENT = 16
KEY_BYTES = 32
STALE_SECONDS = 86_400
ENTRIES_KEPT_MAX = 4_000


@dataclass(frozen=True, slots=True)
class Entry:
    header: dict[str, Any]
    blocks: tuple[memoryview, ...]


def entry_name(*parts: str) -> str:
    """A file name for a key of any text."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def make_folder(folder: Path) -> None:
    """Create a folder that only its owner can enter. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_entry(path: Path, header: Mapping[str, Any], blocks: Sequence[Buffer], *, sync: bool = False) -> None:
    """Write an entry beside its place and rename it there. Raises OSError."""
    make_folder(path.parent)
    sizes = [memoryview(block).nbytes for block in blocks]
    head = json.dumps({**header, "sizes": sizes}, sort_keys=True).encode()
    head = len(head).to_bytes(4, "big") + head
    parts: list[Buffer] = [head + bytes(-(_PREFIX_BYTES + len(head)) % _ALIGNMENT)]
    for block, size in zip(blocks, sizes, strict=True):
        parts += [memoryview(block).cast("B") if size else b"", bytes(-size % _ALIGNMENT)]
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    _replace(path, [_MAGIC + total.digest(), *parts], sync)


def _replace(path: Path, parts: Sequence[Buffer], sync: bool) -> None:
    # mkstemp gives mode 0600.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def read_entry(path: Path) -> Entry | None:
    """The entry, memory-mapped; None where it is absent, unreadable or damaged."""
    try:
        with path.open("rb") as stream:
            view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        return None
    body = view[_PREFIX_BYTES:]
    if len(view) < _PREFIX_BYTES + 4 or view[: len(_MAGIC)] != _MAGIC:
        return None
    if hashlib.sha256(body).digest() != view[len(_MAGIC) : _PREFIX_BYTES]:
        return None
    length = int.from_bytes(body[:4], "big")
    header = json.loads(bytes(body[4 : 4 + length]))
    at = 4 + length
    at += -(_PREFIX_BYTES + at) % _ALIGNMENT
    blocks = []
    for size in header.pop("sizes"):
        blocks.append(body[at : at + size])
        at += size + -size % _ALIGNMENT
    return Entry(header, tuple(blocks))


@contextlib.contextmanager
def scratch_folder(cache: Path) -> Iterator[Path]:
    """A folder of its own for working files, removed at the end. Raises OSError."""
    make_folder(cache / "tmp")
    _remove_stale(cache / "tmp")
    folder = Path(tempfile.mkdtemp(dir=cache / "tmp"))
    try:
        yield folder.resolve()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_stale(folder: Path) -> None:
    """Working copies that a killed process left behind: they hold personal data."""
    oldest = time.time() - STALE_SECONDS
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)


def load_key(cache: Path) -> bytes:
    """The project's key for fingerprints, made at the first use.

    Raises OSError; ValueError where the file holds no key (a new one would change every fingerprint).
    """
    path = cache / "key"
    if not path.exists():
        make_folder(cache)
        fresh = cache / f".key-{secrets.token_hex(8)}"
        _replace(fresh, [secrets.token_bytes(KEY_BYTES)], True)
        _publish(fresh, path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ValueError("damaged key")
    return key


def _publish(fresh: Path, path: Path) -> None:
    """Give a file its name unless another process was first."""
    try:
        os.link(fresh, path)
    except FileExistsError:
        fresh.unlink()
    except OSError:
        # A file system without links.
        os.replace(fresh, path)
    else:
        fresh.unlink()


def trim(folder: Path) -> None:
    """Drop the entries that were written longest ago beyond the number that is kept."""
    with contextlib.suppress(OSError):
        entries = sorted(folder.iterdir(), key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
        for path in entries[ENTRIES_KEPT_MAX:]:
            path.unlink(missing_ok=True)
