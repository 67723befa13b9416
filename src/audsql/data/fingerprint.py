"""Ids of a set as bytes, and the fingerprint over them (specs/data.md, cache.key)."""

from __future__ import annotations

import hashlib

import numpy as np

from audsql.data.dictionary import Dictionary, id_order, id_texts
from audsql.data.ids import Ids
from audsql.data.people import PeopleSet, numbers_of
from audsql.meaning.ir import IdKind

__all__ = ["fingerprint_of", "id_bytes", "ids_from"]

_PERSON = b"audsql-people-1"


def fingerprint_of(dictionary: Dictionary | None, people: PeopleSet, secret: bytes) -> str:
    """A BLAKE2b over kind, count and ids, under a key that is derived from the secret: 48 hexadecimal digits.

    `dictionary` is that of the kind of the set; None for the set without one.
    """
    key = hashlib.blake2b(secret, digest_size=32, person=_PERSON).digest()
    kind = people.kind if people.kind and len(people.bits) else ""
    total = hashlib.blake2b(digest_size=24, key=key, person=_PERSON)
    total.update(f"{kind}\0{len(people.bits)}\0".encode())
    if dictionary is not None and kind:
        total.update(id_bytes(dictionary, people))
    return total.hexdigest()


def id_bytes(dictionary: Dictionary, people: PeopleSet) -> bytes:
    """The ids in ascending order: 16 bytes each, or lines for other kinds than user ids."""
    numbers = numbers_of(people)
    if dictionary.kind != "user_id":
        return "\n".join(id_texts(dictionary, numbers)).encode("utf-8")
    ordered = id_order(dictionary, numbers)
    words = np.empty((len(ordered), 2), ">u8")
    words[:, 0], words[:, 1] = dictionary.high[ordered], dictionary.low[ordered]
    return words.tobytes()


def ids_from(kind: IdKind, block: bytes) -> Ids:
    """The ids that `id_bytes` wrote."""
    none = np.empty(0, np.uint64)
    if kind != "user_id":
        return Ids(kind, none, none, tuple(block.decode("utf-8").split("\n")) if block else ())
    words = np.frombuffer(block, ">u8").reshape(-1, 2).astype(np.uint64)
    return Ids(kind, words[:, 0].copy(), words[:, 1].copy())
