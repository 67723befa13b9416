"""The engine port: what any engine for own data must do.

A set of people is `People`, an opaque value of the engine; counting and comparing it is cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from audsql.diag import Diagnostic
from audsql.meaning.ir import Atom, Expression

__all__ = ["Engine", "EngineFailure", "Materialised", "People", "SourceFacts"]

People = Any


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What reading one source found.

    `digest` is over the file's bytes and the rules that read it. `rows` counts data rows (a list's
    valid ids before duplicates are dropped), `people` distinct ids, `encoding` what was detected
    (utf-8, utf-8-sig, cp932). `modified` is the file's modification time, None for a pinned digest that
    the file no longer has. `blank_ids` counts rows without an id: they are nobody.
    """

    name: str
    kind: str
    digest: str
    rows: int
    people: int
    duplicates: int
    encoding: str
    modified: datetime | None
    blank_ids: int = 0


class EngineFailure(Exception):
    """What an engine could not do, other than read data: a method without diagnostics in its result raises it."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.code)
        self.diagnostic = diagnostic


@dataclass(frozen=True, slots=True)
class Materialised:
    """Own atoms evaluated. `people` by atom key; `digests` the digest of the source of each atom key."""

    sources: Mapping[str, SourceFacts]
    people: Mapping[str, People]
    digests: Mapping[str, str]


class Engine(Protocol):
    """All methods are deterministic for the same files and `as_of`."""

    def materialise(
        self, atoms: Sequence[Atom], as_of: datetime, pinned: Mapping[str, str] | None = None
    ) -> tuple[Materialised, tuple[Diagnostic, ...]]:
        """Evaluate own atoms. `pinned` maps source names to digests: an atom of such a source is taken
        from the cache of that digest, whatever the file holds now, and is left out of the result
        (no diagnostic) where the cache no longer has it and the file differs."""

    def evaluate(self, expression: Expression, people: Mapping[str, People]) -> People:
        """The set of an expression over own atoms that is false where all atoms are false."""

    def count(self, people: People) -> int: ...

    def members(self, people: People) -> Iterator[str]:
        """The ids, in a stable order."""

    def union(self, left: People, right: People) -> People: ...

    def delta(self, before: People, after: People) -> tuple[People, People]:
        """(entering, leaving)."""

    def fingerprint(self, people: People) -> str:
        """A keyed digest of the set, equal for equal sets of one project, useless without its key.

        Raises EngineFailure where there is no usable key."""

    def save(self, name: str, people: People) -> None:
        """Keep a set under a name in the local cache (the members LINE has, as far as we know).

        Raises EngineFailure where the cache cannot be written."""

    def load(self, name: str) -> People | None:
        """The set kept under a name; None where there is none or it is damaged."""
