"""The project's keys, from the environment or from a file that only their owner reads (specs/privacy.md)."""

from __future__ import annotations

import os
import re
import stat
from importlib.util import find_spec
from pathlib import Path

from audsql.data.engine import EngineFailure
from audsql.data.keys import KEY_BYTES_MIN, KeyMissing, Keys
from audsql.diag import Diagnostic, error
from audsql.session.project import Opened

__all__ = ["KEYS_OLD_VARIABLE", "KEY_VARIABLE", "keys_of", "missing_key"]

KEY_VARIABLE = "AUDSQL_KEY"
KEYS_OLD_VARIABLE = "AUDSQL_KEYS_OLD"
_KEY_FILE_BYTES_MAX = 64 * 1024


def keys_of(opened: Opened) -> Keys | None:
    """The keys of a project, the current one first; None where it has none.

    Raises EngineFailure where a key is configured and cannot be used: nothing goes on without it.
    """
    found = _from_environment() or _from_file(opened)
    if found is None:
        return None
    if find_spec("cryptography") is None:
        raise EngineFailure(error("AUD0656", None, package="cryptography"))
    return Keys(tuple(dict.fromkeys(found)))


def missing_key(path: str, missing: KeyMissing) -> Diagnostic:
    """Something is closed under a key that is not among those given."""
    return error("AUD0658", None, path=path, key_id=missing.key_id)


def _from_environment() -> list[bytes] | None:
    text = os.environ.get(KEY_VARIABLE, "").strip()
    if not text:
        return None
    older = re.split(r"[\s,]+", os.environ.get(KEYS_OLD_VARIABLE, "").strip())
    return [_key(text, KEY_VARIABLE), *(_key(one, KEYS_OLD_VARIABLE) for one in older if one)]


def _from_file(opened: Opened) -> list[bytes] | None:
    named = opened.config.key_file if opened.config else None
    if named is None:
        return None
    path = Path(named).expanduser()
    path = path if path.is_absolute() else opened.home / path
    lines = [line.strip() for line in _private_text(path, named).splitlines()]
    found = [_key(line, named) for line in lines if line and not line.startswith("#")]
    if not found:
        raise EngineFailure(error("AUD0655", None, source=named))
    return found


def _private_text(path: Path, named: str) -> str:
    """The text of a file that nobody else can read and that is in no Git repository. Raises EngineFailure."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            content = stream.read(_KEY_FILE_BYTES_MAX)
    except OSError as problem:
        raise EngineFailure(error("AUD0657", None, path=named, reason=os.strerror(problem.errno or 0))) from None
    if os.name == "posix" and mode & 0o077:
        raise EngineFailure(error("AUD0665", None, path=named, mode=f"{mode:04o}"))
    if any((folder / ".git").exists() for folder in path.resolve().parents):
        raise EngineFailure(error("AUD0667", None, path=named))
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise EngineFailure(error("AUD0655", None, source=named)) from None


def _key(text: str, source: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES_MIN:
        raise EngineFailure(error("AUD0655", None, source=source))
    return key
