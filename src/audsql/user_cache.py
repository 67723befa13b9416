"""Small JSON values kept between runs in the user's own cache folder; losing any of them only costs time.

They are not kept in the project: a folder that came from somebody else must not be able to say that its
own specs are fine.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["code_digest", "read", "write"]

_BYTES_MAX = 64 * 1024 * 1024
# Of a kind; what a project's statements are and mean can be large.
_ENTRIES_MAX = {"meaning": 20, "outline": 20, "rows": 20}
_ENTRIES_MAX_ELSE = 200


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "audsql"


def _file(kind: str, key: str) -> Path:
    return _folder() / f"{kind}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}.json"


def read(kind: str, key: str) -> Any:
    """The value kept under this key; None where there is none, or it cannot be read or is not as it was written."""
    try:
        with _file(kind, key).open("rb") as file:
            digest, raw = file.readline(100).strip(), file.read(_BYTES_MAX + 1)
        value = json.loads(raw) if len(raw) <= _BYTES_MAX and _digest(raw) == digest else None
    except (OSError, ValueError, RecursionError):
        return None
    return value["value"] if isinstance(value, dict) and value.get("key") == key else None


def write(kind: str, key: str, value: Any) -> None:
    """Keep a value, whole or not at all. A cache that cannot be written is done without."""
    file = _file(kind, key)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        raw = json.dumps({"key": key, "value": value}, separators=(",", ":")).encode()
        temporary.write_bytes(_digest(raw) + b"\n" + raw)
        temporary.replace(file)
        _trim(file.parent, kind)


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=16).hexdigest().encode()


def _trim(folder: Path, kind: str) -> None:
    """Forget the oldest entries of a kind beyond a number."""
    entries = sorted(folder.glob(f"{kind}-*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in entries[_ENTRIES_MAX.get(kind, _ENTRIES_MAX_ELSE) :]:
        path.unlink(missing_ok=True)


@cache
def code_digest() -> str:
    """Identifies the installed code, so that nothing that another version found is believed."""
    total = hashlib.sha256()
    for folder, folders, names in os.walk(Path(__file__).parent):
        folders.sort()
        for name in sorted(names):
            if name.endswith((".py", ".toml", ".lark")):
                status = os.stat(os.path.join(folder, name))
                total.update(f"{name} {status.st_mtime_ns} {status.st_size}\n".encode())
    return total.hexdigest()
