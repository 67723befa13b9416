"""The files that a pattern names, in their order. Rules: specs/data.md, files.glob."""

from __future__ import annotations

import os
import re
import unicodedata
from fnmatch import translate
from pathlib import Path, PurePosixPath

from audsql.data.endings import is_glob

__all__ = ["GLOB_FILES_MAX", "matches"]

GLOB_FILES_MAX = 1_000


def matches(root: Path, pattern: str) -> tuple[str, ...]:
    """The paths below `root` that match, as the folders spell them, ordered by their NFC form; more than
    `GLOB_FILES_MAX` of them are not looked for. Raises OSError where a folder cannot be listed.

    A pattern matches within one name; folders that are matched on the way need not lead anywhere.
    """
    found = [PurePosixPath()]
    parts = PurePosixPath(pattern).parts
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        found = [path for folder in found for path in _next(root, folder, part, last)]
    return tuple(sorted(map(str, found), key=lambda path: (unicodedata.normalize("NFC", path), path)))


def _next(root: Path, folder: PurePosixPath, part: str, last: bool) -> list[PurePosixPath]:
    if not is_glob(part):
        path = root / folder / part
        return [folder / part] if (path.exists() if last else path.is_dir()) else []
    wanted = re.compile(translate(unicodedata.normalize("NFC", part)))
    with os.scandir(root / folder) as entries:
        named = [entry for entry in entries if _is_named(entry.name, part, wanted)]
        return [folder / entry.name for entry in named if last or entry.is_dir()]


def _is_named(name: str, part: str, wanted: re.Pattern[str]) -> bool:
    hidden = name.startswith(".") and not part.startswith(".")
    return not hidden and wanted.match(unicodedata.normalize("NFC", name)) is not None
