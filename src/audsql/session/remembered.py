"""What `check` found, kept for a project whose texts have not changed since."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from audsql import user_cache
from audsql.config import Loaded
from audsql.session.variables import NO_VARIABLES, Variables

__all__ = ["file_digest", "keep", "recall"]

Document = dict[str, Any]


def recall(root: Path, loaded: Loaded, language: str, variables: Variables = NO_VARIABLES) -> Document | None:
    """The diagnostics document of an earlier `check` of exactly these texts and values by exactly this code."""
    kept = user_cache.read("check", _key(root, loaded, language, variables))
    try:
        document: Document = kept["document"]
        same = all(file_digest(root / path) == digest for path, digest in kept["files"].items())
    except (AttributeError, KeyError, TypeError):
        # There is none, or it was kept in another form.
        return None
    return document if same else None


def keep(
    root: Path,
    loaded: Loaded,
    language: str,
    files: tuple[str, ...],
    document: Document,
    variables: Variables = NO_VARIABLES,
) -> None:
    """`files`: what `check` read besides the texts (used files, message files), relative to the project."""
    digests = {path: file_digest(root / path) for path in files}
    user_cache.write("check", _key(root, loaded, language, variables), {"files": digests, "document": document})


def _key(root: Path, loaded: Loaded, language: str, variables: Variables) -> str:
    environment = loaded.config.environment if loaded.config else None
    parts = (
        str(root.resolve()),
        user_cache.code_digest(),
        loaded.texts.digest,
        str(environment),
        language,
        variables.digest,
    )
    return "\n".join(parts)


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file's bytes; None where there is no file that can be read."""
    try:
        # A pipe must not make us wait.
        if not path.is_file():
            return None
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
