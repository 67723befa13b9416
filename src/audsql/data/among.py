"""Which of many given people are in sets of own data: the sets say who is in them, this says it of a list.

Nothing is remembered of who is asked about: not in the dictionary, not in the cache, and not in a table of an engine
that is elsewhere. A person may stand in the list more than once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import field

import numpy as np
from numpy.typing import NDArray

from audsql.data.buckets import BUCKETS
from audsql.data.dictionary import Dictionary, numbers_known
from audsql.data.duckdb import DuckEngine
from audsql.data.engine import Engine, People
from audsql.data.ids import Ids
from audsql.data.matching import ABSENT
from audsql.data.people import PeopleSet, numbers_of
from audsql.data.recall import dictionary_of
from audsql.records import dataclass

__all__ = ["Among", "Mask", "in_bucket", "inside", "those_of"]

Mask = NDArray[np.bool_]
"""For each of the people that are asked about whether it holds."""


@dataclass(slots=True)
class Among:
    """LINE user IDs, as LINE writes them, in a fixed order. `numbers`: theirs in a dictionary of so many ids."""

    user_ids: Sequence[str]
    known: int = -1
    numbers: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))

    def __len__(self) -> int:
        return len(self.user_ids)


def inside(engine: Engine, asked: Among, people: People) -> Mask:
    """Which of them are in a set that this engine has made. All false where it is a set of other ids."""
    if isinstance(engine, DuckEngine) and isinstance(people, PeopleSet):
        return _in_bits(dictionary_of(engine, "user_id"), asked, people)
    return those_of(asked, frozenset(engine.members(people)))


def those_of(asked: Among, user_ids: frozenset[str]) -> Mask:
    """Which of them are among these ids."""
    return np.fromiter((one in user_ids for one in asked.user_ids), np.bool_, len(asked))


def in_bucket(asked: Among, salt: str, low: int, high: int) -> Mask:
    """Whose bucket under a salt is at least `low` and below `high` (specs/data.md, `derived.bucket`)."""
    prefix, digest = f"{salt}:".encode("utf-8", "surrogatepass"), hashlib.sha256
    heads = b"".join(digest(prefix + one.encode()).digest()[:4] for one in asked.user_ids)
    buckets = np.frombuffer(heads, ">u4") % BUCKETS
    found: Mask = (buckets >= low) & (buckets < high)
    return found


def _in_bits(dictionary: Dictionary, asked: Among, people: PeopleSet) -> Mask:
    if people.kind != "user_id":
        return np.zeros(len(asked), np.bool_)
    if asked.known != len(dictionary):
        # The dictionary grows with what is read: who was in no set before may be in one now.
        asked.numbers, asked.known = numbers_known(dictionary, _ids_of(asked.user_ids)), len(dictionary)
    holds = np.zeros(len(dictionary) + 1, np.bool_)
    holds[numbers_of(people)] = True
    return holds[np.where(asked.numbers == ABSENT, len(dictionary), asked.numbers)]


def _ids_of(user_ids: Sequence[str]) -> Ids:
    words = np.frombuffer(bytes.fromhex("".join(one[1:] for one in user_ids)), ">u8").reshape(-1, 2)
    return Ids("user_id", words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64))
