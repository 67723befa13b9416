"""Small JSON values kept between runs in the user's own cache folder; losing any of them only costs time.

They are not kept in the project: a folder that came from somebody else must not be able to say that its
own specs are fine.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["code_digest", "read", "write"]

_BYTES_MAX = 16 * 1024 * 1024
_ENTRIES_MAX = 200


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "audsql"


def _file(kind: str, key: str) -> Path:
    return _folder() / f"{kind}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}.json"


def read(kind: str, key: str) -> Any:
    """The value kept under this key; None where there is none or it cannot be read."""
    try:
        raw = _file(kind, key).read_bytes()
        value = json.loads(raw) if len(raw) <= _BYTES_MAX else None
    except (OSError, ValueError, RecursionError):
        return None
    return value["value"] if isinstance(value, dict) and value.get("key") == key else None


def write(kind: str, key: str, value: Any) -> None:
    """Keep a value, whole or not at all. A cache that cannot be written is done without."""
    file = _file(kind, key)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"key": key, "value": value}, ensure_ascii=False), encoding="utf-8")
        temporary.replace(file)
        _trim(file.parent, kind)


def _trim(folder: Path, kind: str) -> None:
    """Forget the oldest entries of a kind beyond a number."""
    entries = sorted(folder.glob(f"{kind}-*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in entries[_ENTRIES_MAX:]:
        path.unlink(missing_ok=True)


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
