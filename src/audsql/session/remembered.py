"""What `check` found, kept for a project whose texts have not changed since."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from audsql import user_cache
from audsql.config import Loaded

__all__ = ["keep", "recall"]

Document = dict[str, Any]


def recall(root: Path, loaded: Loaded, language: str) -> Document | None:
    """The diagnostics document of an earlier `check` of exactly these texts by exactly this code."""
    kept = user_cache.read("check", _key(root, loaded, language))
    if kept is None or any(_digest(root / path) != digest for path, digest in kept["files"].items()):
        return None
    document: Document = kept["document"]
    return document


def keep(root: Path, loaded: Loaded, language: str, files: tuple[str, ...], document: Document) -> None:
    """`files`: what `check` read besides the texts (message files), relative to the project."""
    digests = {path: _digest(root / path) for path in files}
    user_cache.write("check", _key(root, loaded, language), {"files": digests, "document": document})


def _key(root: Path, loaded: Loaded, language: str) -> str:
    environment = loaded.config.environment if loaded.config else None
    parts = (str(root.resolve()), user_cache.code_digest(), loaded.texts.digest, str(environment), language)
    return "\n".join(parts)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
