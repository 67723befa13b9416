"""The local cache: entries that notice damage, written whole or not at all, readable by their owner only.

An entry is a JSON header and blocks of bytes under one SHA-256. What does not verify is as good as
absent. Nothing outside the cache depends on it but speed, except for named sets and the key.
Where the project has a key, an entry is closed under it as a whole, bound to its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audsql.data.keys import KeyMissing, Keys, NotAuthentic, open_stream, seal_stream, sealed_under
from audsql.data.leftovers import CLAIMS, claimed_folder, new_file
from audsql.records import dataclass

__all__ = [
    "Entry", "entry_name", "entry_paths", "load_key", "make_folder", "old_files", "read_entry", "reseal",
    "scratch_folder", "trim",
    "write_entry", "write_private",
]  # fmt: skip

Buffer = bytes | memoryview

_MAGIC = b"audsql2\n"
# Entries of earlier versions, whose digest leaves their name out.
_MAGIC_UNNAMED = b"audsql1\n"
_DIGEST_BYTES = 32
_PREFIX_BYTES = len(_MAGIC) + _DIGEST_BYTES
_ALIGNMENT = 16
KEY_BYTES = 32
# Up to so many bytes, mapping a file costs more than reading it.
_READ_BYTES_MAX = 65_536
STALE_SECONDS = 86_400
ENTRIES_KEPT_MAX = 40_000


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


def write_entry(
    path: Path, header: Mapping[str, Any], blocks: Sequence[Buffer], *, sync: bool = False, keys: Keys | None = None
) -> None:
    """Write an entry beside its place and rename it there, closed where there are keys. Raises OSError."""
    make_folder(path.parent)
    sizes = [memoryview(block).nbytes for block in blocks]
    head = json.dumps({**header, "sizes": sizes}, sort_keys=True).encode()
    head = len(head).to_bytes(4, "big") + head
    parts: list[Buffer] = [head + bytes(-(_PREFIX_BYTES + len(head)) % _ALIGNMENT)]
    for block, size in zip(blocks, sizes, strict=True):
        parts += [memoryview(block).cast("B") if size else b"", bytes(-size % _ALIGNMENT)]
    # Under the name: an entry in the place of another is as good as damaged.
    total = hashlib.sha256(_name_bytes(path))
    for part in parts:
        total.update(part)
    whole = [_MAGIC + total.digest(), *parts]
    _replace(path, whole if keys is None else seal_stream(keys, "cache", _bound_name(path), whole), sync)


def write_private(path: Path, content: bytes) -> None:
    """Put a small file of ours in its place, whole or not at all. Raises OSError."""
    make_folder(path.parent)
    _replace(path, [content], True)


def _name_bytes(path: Path) -> bytes:
    return _bound_name(path).encode() + b"\n"


def _bound_name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _replace(path: Path, parts: Iterable[Buffer], sync: bool) -> None:
    descriptor, name = new_file(path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
            if CLAIMS:
                # While it is claimed: a sweep must not take it for one that nobody finishes.
                os.replace(name, path)
        if not CLAIMS:
            os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def read_entry(path: Path, keys: Keys | None = None) -> Entry | None:
    """The entry, memory-mapped where it is large and not closed; None where it is absent, unreadable or damaged.

    With keys, an entry that stands open, or is closed under none of them, is as good as absent: `reseal` closed all
    that were ours. Raises KeyMissing where there are no keys and it is closed.
    """
    view = _mapped(path)
    if view is None:
        return None
    if keys is not None or sealed_under(view) is not None:
        try:
            view = memoryview(open_stream(keys or Keys(()), "cache", _bound_name(path), view))
        except NotAuthentic:
            return None
        except KeyMissing:
            if keys is None:
                raise
            # `reseal` has closed all that is ours under a key of these: the name of the key is damaged.
            return None
    return _verified(view, _name_bytes(path))


def _mapped(path: Path) -> memoryview | None:
    try:
        with path.open("rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size > _READ_BYTES_MAX:
                return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
            content = stream.readall()
            return memoryview(content) if content else None
    except (OSError, ValueError):
        return None


def _verified(view: memoryview, name: bytes) -> Entry | None:
    body, magic = view[_PREFIX_BYTES:], view[: len(_MAGIC)]
    if len(view) < _PREFIX_BYTES + 4 or magic not in (_MAGIC, _MAGIC_UNNAMED):
        return None
    total = hashlib.sha256(name if magic == _MAGIC else b"")
    total.update(body)
    if total.digest() != view[len(_MAGIC) : _PREFIX_BYTES]:
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


# --- keys -------------------------------------------------------------------------------------------

_SEAL_NAME = "sealed"


def entry_paths(cache: Path) -> Iterator[Path]:
    """Every entry of a cache, sorted."""
    for folder in (cache, cache / "leaves", cache / "sets"):
        if folder.is_dir():
            yield from sorted(one for one in folder.iterdir() if _is_entry(one, folder == cache))


def _is_entry(path: Path, at_top: bool) -> bool:
    return path.is_file() and not path.name.startswith(".") and (path.name.startswith("people-") or not at_top)


def reseal(cache: Path, keys: Keys | None) -> int:
    """Close every entry under the current key, once; how many were written anew.

    What stands open in a cache that was closed before was put there by somebody else and stays as it is, to be
    passed over. Raises KeyMissing where the cache is closed under a key that is not given, before anything is
    written; OSError.
    """
    closed_under = _closed_under(cache)
    if closed_under is not None and (keys is None or closed_under not in keys.key_ids):
        raise KeyMissing(closed_under)
    if keys is None or closed_under == keys.key_id or not cache.is_dir():
        return 0
    written = 0
    for path in entry_paths(cache):
        if _closed_anew(path, keys, open_too=closed_under is None):
            written += 1
    _replace(cache / _SEAL_NAME, [keys.key_id.encode()], True)
    return written


def _closed_under(cache: Path) -> str | None:
    try:
        return (cache / _SEAL_NAME).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _closed_anew(path: Path, keys: Keys, *, open_too: bool) -> bool:
    view = _mapped(path)
    under = None if view is None else sealed_under(view)
    if view is None or under == keys.key_id or (under is None and not open_too):
        return False
    plain: Buffer = view
    if under is not None:
        try:
            plain = memoryview(open_stream(keys, "cache", _bound_name(path), view))
        except NotAuthentic:
            return False
    _replace(path, seal_stream(keys, "cache", _bound_name(path), [plain]), True)
    return True


@contextlib.contextmanager
def scratch_folder(cache: Path) -> Iterator[Path]:
    """A folder of its own for working files, removed at the end. Raises OSError."""
    make_folder(cache / "tmp")
    with claimed_folder(cache / "tmp") as folder:
        yield folder


def old_files(folder: Path, pattern: str, *, at_once: bool) -> list[Path]:
    """Files that nobody can be about to name any more, because a day went by; or all of them, `at_once`."""
    oldest = time.time() - STALE_SECONDS
    found = []
    for path in sorted(folder.glob(pattern)):
        with contextlib.suppress(OSError):
            if at_once or path.stat().st_mtime < oldest:
                found.append(path)
    return found


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
