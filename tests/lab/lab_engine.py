"""Own data as small sets in memory: the engine port without files, one cache for each machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audsql.data.engine import Materialised, SourceFacts
from audsql.diag import Diagnostic
from audsql.meaning.ir import Atom, Expression, Uploaded, fold
from audsql.meaning.lineage import with_parts

Set = frozenset[str]
NOBODY: Set = frozenset()


@dataclass
class Data:
    """The lists of a project, every version that ever was: `now` by name, `versions` by digest."""

    now: dict[str, Set]
    versions: dict[str, tuple[str, Set]] = field(default_factory=dict)

    def digest(self, name: str) -> str:
        found = _digest(name, self.now[name])
        self.versions.setdefault(found, (name, self.now[name]))
        return found


_DIGESTS: dict[tuple[str, Set], str] = {}


def _digest(name: str, people: Set) -> str:
    key = (name, people)
    if key not in _DIGESTS:
        _DIGESTS[key] = hashlib.sha256("\n".join((name, *sorted(people))).encode()).hexdigest()
    return _DIGESTS[key]


@dataclass
class Machine:
    """What a machine keeps beside the state: sets by name, and the versions of lists that it has read."""

    sets: dict[str, Set] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)


@dataclass
class LabEngine:
    """`at` is called with the name of each call that a crash may come before or after."""

    data: Data
    machine: Machine
    at: Any

    def materialise(
        self, atoms: Sequence[Atom], as_of: datetime, pinned: Mapping[str, str] | None = None
    ) -> tuple[Materialised, tuple[Diagnostic, ...]]:
        self.at("data")
        sources: dict[str, SourceFacts] = {}
        people: dict[str, Set] = {}
        digests: dict[str, str] = {}
        wanted = {atom.key: atom for atom in with_parts([one for one in atoms if one.world == "own"])}
        for key in sorted(wanted):
            atom = wanted[key]
            assert isinstance(atom, Uploaded), "the lab's projects have lists only"
            name, digest = atom.source, self.data.digest(atom.source)
            pin = (pinned or {}).get(name)
            if pin is not None and pin != digest:
                if pin not in self.machine.read:
                    continue
                digest = pin
            found = self.data.versions[digest][1]
            self.machine.read.add(digest)
            sources[name] = SourceFacts(name, "upload", digest, len(found), len(found), 0, "utf-8", as_of)
            people[key] = found
            digests[key] = digest
        return Materialised({one: sources[one] for one in sorted(sources)}, people, digests), ()

    def derive(
        self, atoms: Sequence[Atom], people: Mapping[str, Set], read: Materialised, beside: Any = None
    ) -> Mapping[str, Set]:
        return {}

    def evaluate(self, expression: Expression, people: Mapping[str, Set]) -> Set:
        # A set, or with False the complement of one.
        found, plain = fold(
            expression,
            lambda node: (people[node.key], True),
            lambda value: (NOBODY, not value),
            lambda value: (value[0], not value[1]),
            _both,
            lambda parts: _inverse(_both([_inverse(part) for part in parts])),
        )
        assert plain, "an expression over own data has an end"
        return found

    def count(self, people: Set) -> int:
        return len(people)

    def members(self, people: Set) -> Iterator[str]:
        return iter(sorted(people))

    def union(self, left: Set, right: Set) -> Set:
        return left | right

    def delta(self, before: Set, after: Set) -> tuple[Set, Set]:
        return after - before, before - after

    def fingerprint(self, people: Set) -> str:
        return _digest("key", people)[:48]

    def is_fingerprint(self, people: Set, text: str) -> bool:
        return self.fingerprint(people) == text

    def save(self, name: str, people: Set) -> None:
        self.at("save")
        self.machine.sets[name] = people
        self.at("saved")

    def load(self, name: str) -> Set | None:
        return self.machine.sets.get(name)

    def loaded(self, names: Sequence[str]) -> Iterator[tuple[str, Set | None]]:
        return ((name, self.load(name)) for name in names)


def _inverse(one: tuple[Set, bool]) -> tuple[Set, bool]:
    return one[0], not one[1]


def _both(parts: Sequence[tuple[Set, bool]]) -> tuple[Set, bool]:
    inside = [people for people, plain in parts if plain]
    outside = NOBODY.union(*(people for people, plain in parts if not plain))
    if not inside:
        return outside, False
    return inside[0].intersection(*inside[1:]) - outside, True


__all__ = ["Data", "LabEngine", "Machine"]
