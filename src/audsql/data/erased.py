"""Who was erased: keyed digests of ids, by which a person is recognised without being remembered.

Rules: specs/privacy.md, privacy.erase.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import field

import numpy as np
from numpy.typing import NDArray

from audsql.data.ids import Ids, user_id_texts
from audsql.data.keys import Keys, subkey
from audsql.meaning.ir import IdKind
from audsql.records import dataclass

__all__ = ["NOBODY_ERASED", "Erased", "Tombstone", "digest_of_id", "erased_of", "is_erased"]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One erased id: its kind, its digest and the id of the key that made the digest."""

    kind: IdKind
    digest: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Erased:
    """The digests by kind and by key. `mark` names this very set of tombstones. `suppressing`: names of the sources
    that only ever take people away: an erased person whom the owner lists there stays kept away."""

    by_kind: Mapping[IdKind, tuple[tuple[bytes, frozenset[bytes]], ...]] = field(default_factory=dict, repr=False)
    mark: str = ""
    suppressing: frozenset[str] = frozenset()


NOBODY_ERASED = Erased()


def erased_of(keys: Keys, tombstones: Iterable[Tombstone], suppressing: frozenset[str] = frozenset()) -> Erased:
    """Raises KeyMissing where a digest was made with a key that is not given."""
    found: dict[IdKind, dict[bytes, set[bytes]]] = {}
    rows = sorted({(one.kind, one.key_id, one.digest) for one in tombstones})
    for kind, key_id, digest in rows:
        key = subkey(keys.named(key_id), "person")
        found.setdefault(kind, {}).setdefault(key, set()).add(bytes.fromhex(digest))
    if not found:
        return NOBODY_ERASED
    by_kind = {
        kind: tuple((key, frozenset(digests)) for key, digests in sorted(by_key.items()))
        for kind, by_key in found.items()
    }
    mark = hashlib.sha256(repr(rows).encode()).hexdigest()
    return Erased(by_kind, mark, suppressing)


def digest_of_id(keys: Keys, kind: IdKind, text: str) -> Tombstone:
    """The tombstone of an id as the normaliser writes it."""
    return Tombstone(kind, _digest(subkey(keys.current, "person"), kind, text).hex(), keys.key_id)


def is_erased(erased: Erased, ids: Ids) -> NDArray[np.bool_]:
    """For each id whether it was erased."""
    found = np.zeros(len(ids), bool)
    by_key = erased.by_kind.get(ids.kind, ())
    if not by_key or not len(ids):
        return found
    texts = user_id_texts(ids.high, ids.low) if ids.kind == "user_id" else ids.texts
    for key, digests in by_key:
        hits = [_digest(key, ids.kind, text) in digests for text in texts]
        found |= np.array(hits, bool)
    return found


def _digest(key: bytes, kind: str, text: str) -> bytes:
    return hashlib.blake2b(f"{kind}\0{text}".encode(), digest_size=16, key=key).digest()
