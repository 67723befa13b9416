"""Ids of a set as bytes, and the fingerprint over them (specs/data.md, cache.key)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

from audsql.data.dictionary import Dictionary, id_order, id_texts
from audsql.data.ids import Ids
from audsql.data.people import PeopleSet, numbers_of
from audsql.data.userids import written_lines
from audsql.meaning.ir import IdKind

__all__ = ["fingerprint_of", "id_bytes", "ids_from", "keyed_digest"]

_PERSON = b"audsql-people-1"
_PEOPLE_A_BLOCK = 1 << 18


def fingerprint_of(dictionary: Dictionary | None, people: PeopleSet, secret: bytes) -> str:
    """A BLAKE2b over kind, count and ids, under a key that is derived from the secret: 48 hexadecimal digits.

    `dictionary` is that of the kind of the set; None for the set without one.
    """
    pieces = () if dictionary is None or not len(people.bits) else (id_bytes(dictionary, people),)
    return keyed_digest(people.kind, len(people.bits), pieces, secret)


def keyed_digest(kind: IdKind | None, count: int, pieces: Iterable[bytes], secret: bytes) -> str:
    """The fingerprint of a set whose ids come as bytes, ascending, in pieces of any size."""
    key = hashlib.blake2b(secret, digest_size=32, person=_PERSON).digest()
    total = hashlib.blake2b(digest_size=24, key=key, person=_PERSON)
    total.update(f"{kind if kind and count else ''}\0{count}\0".encode())
    for piece in pieces if kind and count else ():
        total.update(piece)
    return total.hexdigest()


def id_bytes(dictionary: Dictionary, people: PeopleSet) -> bytes:
    """The ids in ascending order: 16 bytes each, or lines for other kinds than user ids."""
    return b"".join(_id_blocks(dictionary, people))


def _id_blocks(dictionary: Dictionary, people: PeopleSet) -> Iterator[bytes]:
    """The same in pieces, so that a large set is never in memory as a whole."""
    numbers = numbers_of(people)
    if dictionary.kind != "user_id":
        yield "\n".join(id_texts(dictionary, numbers)).encode("utf-8")
        return
    ordered = id_order(dictionary, numbers)
    words = np.empty((min(_PEOPLE_A_BLOCK, len(ordered)), 2), ">u8")
    for begin in range(0, len(ordered), _PEOPLE_A_BLOCK):
        some = ordered[begin : begin + _PEOPLE_A_BLOCK]
        words[: len(some), 0], words[: len(some), 1] = dictionary.high[some], dictionary.low[some]
        yield words[: len(some)].tobytes()


def id_lines(dictionary: Dictionary, people: PeopleSet) -> Iterator[bytes]:
    """The ids as they are written, in ascending order, one a line, many lines at a time."""
    numbers = numbers_of(people)
    if dictionary.kind != "user_id":
        texts = id_texts(dictionary, numbers)
        for begin in range(0, len(texts), _PEOPLE_A_BLOCK):
            yield "".join(f"{text}\n" for text in texts[begin : begin + _PEOPLE_A_BLOCK]).encode("utf-8")
        return
    ordered = id_order(dictionary, numbers)
    for begin in range(0, len(ordered), _PEOPLE_A_BLOCK):
        some = ordered[begin : begin + _PEOPLE_A_BLOCK]
        yield from written_lines(dictionary.high[some], dictionary.low[some])


def ids_from(kind: IdKind, block: bytes) -> Ids:
    """The ids that `id_bytes` wrote."""
    none = np.empty(0, np.uint64)
    if kind != "user_id":
        return Ids(kind, none, none, tuple(block.decode("utf-8").split("\n")) if block else ())
    words = np.frombuffer(block, ">u8").reshape(-1, 2).astype(np.uint64)
    return Ids(kind, words[:, 0].copy(), words[:, 1].copy())
