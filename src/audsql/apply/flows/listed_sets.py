"""Sets of people who stand at a branch, as lists of user IDs in memory: what uploads of them need of an engine.

Nothing of them is kept on this machine: who stands there is in the ledger, and which sets they are in with their batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audsql.data.keys import subkey
from audsql.meaning import ir

__all__ = ["ListedSets"]

Users = frozenset[str]


class ListedSets:
    """As much of `audsql.data.engine.Engine` as uploads and bounds ask for, over people that are listed."""

    def __init__(self, everybody: Users, secret: bytes) -> None:
        self._everybody = everybody
        self._key = subkey(secret, "ledger cohort")

    def evaluate(self, expression: ir.Expression, people: Mapping[str, Users]) -> Users:
        return ir.fold(
            expression,
            lambda node: people[node.atom.key],
            lambda value: self._everybody if value else frozenset(),
            lambda inner: self._everybody - inner,
            lambda parts: frozenset.intersection(self._everybody, *parts),
            lambda parts: frozenset().union(*parts),
        )

    def count(self, people: Users) -> int:
        return len(people)

    def members(self, people: Users) -> Iterator[str]:
        return iter(sorted(people))

    def union(self, left: Users, right: Users) -> Users:
        return left | right

    def delta(self, before: Users, after: Users) -> tuple[Users, Users]:
        return after - before, before - after

    def fingerprint(self, people: Users) -> str:
        digest = hashlib.blake2b(digest_size=16, key=self._key)
        for one in sorted(people):
            digest.update(one.encode())
        return f"people-{digest.hexdigest()}"

    def is_fingerprint(self, people: Users, known: str) -> bool:
        return self.fingerprint(people) == known

    def save(self, name: str, people: Users) -> None:
        """Nothing: they are listed anew from the ledger."""

    def load(self, name: str) -> Users | None:
        return None

    def loaded(self, names: Sequence[str]) -> Iterator[tuple[str, Users | None]]:
        return ((name, None) for name in names)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"people who are listed have no {name}")
