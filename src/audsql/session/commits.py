"""Which commit the specs of a project are, for the history of applies."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator

from audsql.config import CONFIG_NAME
from audsql.records import dataclass
from audsql.session.project import Opened
from audsql.session.revision import head_of

__all__ = ["Commit", "commit_of"]


@dataclass(frozen=True, slots=True)
class Commit:
    """`commit`: its full name. `dirty`: the specs, settings or message files are not the ones that it holds."""

    commit: str
    dirty: bool


def commit_of(opened: Opened) -> Commit | None:
    """The commit that the project folder's work tree stands at; None outside Git, or where Git cannot be asked.

    The bytes of files are compared, not what Git makes of them, since a rollback reads the bytes of the commit.
    """
    head = head_of(opened.root)
    if head is None:
        return None
    below = (path.removeprefix(head.prefix) for path in head.names if path.startswith(head.prefix))
    held = {path for path in below if path == CONFIG_NAME or (path.endswith(".aud") and _is_read(path))}
    used = set(_used(opened))
    same = all(_same(opened, path, head.names.get(posixpath.normpath(head.prefix + path))) for path in used)
    return Commit(head.commit, not (same and held <= used))


def _is_read(path: str) -> bool:
    """Hidden folders are no part of a project."""
    return not any(part.startswith(".") for part in path.split("/")[:-1])


def _used(opened: Opened) -> Iterator[str]:
    """The files that a project is made of besides data, relative to its folder."""
    assert opened.analysis is not None
    if (opened.root / CONFIG_NAME).exists():
        yield CONFIG_NAME
    for source in opened.sources:
        yield source.path
    for message in opened.analysis.project.messages:
        if message.file is not None:
            yield posixpath.join(message.folder, message.file)


def _same(opened: Opened, path: str, name: str | None) -> bool:
    try:
        content = (opened.root / path).read_bytes()
    except OSError:
        return False
    digest = hashlib.sha1 if name is not None and len(name) == 40 else hashlib.sha256
    # The name that Git gives to these bytes; no security rests on it.
    return digest(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == name
