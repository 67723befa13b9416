"""The plan file: canonical JSON with a digest, so that equal inputs give equal bytes.

A plan holds definitions, counts and digests, never an id of a person. Its shape is published in
`specs/schemas/plan.schema.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from audsql.diag import Diagnostic, error

__all__ = ["FORMAT_VERSION", "Document", "canonical", "digest_of", "parse_plan", "sealed"]

Document = dict[str, Any]
FORMAT_VERSION = "1.5"
_PLAN_BYTES_MAX = 64 * 1024 * 1024


# One encoder for all: `json.dumps` makes one for each value.
_spelled = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical(value: object) -> bytes:
    """Sorted keys, no blanks, UTF-8: the one spelling of a JSON value."""
    return _spelled(value).encode("utf-8", "surrogatepass")


def digest_of(value: object) -> str:
    """`sha256:` and the hexadecimal SHA-256 of the canonical form."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def sealed(document: Mapping[str, Any]) -> Document:
    """The document with `digest` over everything else."""
    body = {key: value for key, value in document.items() if key != "digest"}
    return {**body, "digest": digest_of(body)}


def parse_plan(raw: bytes, path: str) -> tuple[Document | None, tuple[Diagnostic, ...]]:
    """A plan file's document, or why it is none: not JSON, not a plan, another format, or altered."""
    if len(raw) > _PLAN_BYTES_MAX:
        return None, (error("AUD0620", None, path=path),)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None, (error("AUD0620", None, path=path),)
    if isinstance(document, dict) and document.get("kind") == "audsql.offline_plan":
        return None, (error("AUD0651", None, path=path),)
    if not isinstance(document, dict) or document.get("kind") != "audsql.plan":
        return None, (error("AUD0620", None, path=path),)
    found = str(document.get("format_version"))
    if found.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        return None, (error("AUD0621", None, path=path, found=found, supported=FORMAT_VERSION),)
    if not _is_whole(document, raw):
        return None, (error("AUD0622", None, path=path),)
    return document, ()


def _is_whole(document: Document, raw: bytes) -> bool:
    """Whether the digest fits and these are its canonical bytes. Python reads JSON that has no canonical form (NaN)."""
    try:
        return sealed(document)["digest"] == document.get("digest") and canonical(document) == raw.rstrip(b"\n")
    except (ValueError, RecursionError):
        return False
