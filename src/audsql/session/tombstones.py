"""Who was erased, as the state remembers it and as this machine saw it last (specs/privacy.md, privacy.erase)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from audsql.data.erased import NOBODY_ERASED, Erased, Tombstone, erased_of
from audsql.data.keys import KeyMissing, Keys
from audsql.session.project import Opened, compiled

if TYPE_CHECKING:
    from audsql.apply.state import State

__all__ = ["SUBJECT", "VERDICT", "erased_people", "suppressing_sources", "tombstones_of"]

VERDICT = "erased"
SUBJECT = "erased."
_NAME = "erased"


def tombstones_of(state: State) -> tuple[Tombstone, ...]:
    """The tombstones that a state holds, sorted."""
    found = set()
    for row in state.resolutions:
        if row.verdict == VERDICT and row.subject.startswith(SUBJECT):
            kind, _, digest = row.subject.removeprefix(SUBJECT).partition(".")
            found.add((kind, digest, str(row.attributes.get("key_id", ""))))
    return tuple(Tombstone(*one) for one in sorted(found))  # type: ignore[arg-type]


def erased_people(opened: Opened, keys: Keys | None, state: State | None) -> Erased:
    """Whom no set may hold. Raises KeyMissing where that cannot be told without a key; OSError."""
    path = opened.cache / _NAME
    known = tombstones_of(state) if state is not None else _remembered(path)
    if not known:
        return NOBODY_ERASED
    if keys is None:
        raise KeyMissing(known[0].key_id)
    if state is not None and known != _remembered(path):
        _remember(path, known)
    return erased_of(keys, known, suppressing_sources(opened))


def suppressing_sources(opened: Opened) -> frozenset[str]:
    """The lists and tables from which deliveries only take people away: opt-outs and the like."""
    from audsql.apply.world import atoms_needed, exclusions
    from audsql.meaning.lineage import read_from, with_parts

    program, _ = compiled(opened)
    used = exclusions(program.deliveries)
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for atom in with_parts(atoms_needed(program.deliveries, program)):
        names[atom.key in used.subtracted].add(read_from(atom))
    return frozenset(names[True] - names[False])


def _remembered(path: Path) -> tuple[Tombstone, ...]:
    try:
        return tuple(Tombstone(*row) for row in json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return ()


def _remember(path: Path, tombstones: Iterable[Tombstone]) -> None:
    from audsql.data.cache import write_private

    write_private(path, json.dumps([[one.kind, one.digest, one.key_id] for one in tombstones]).encode())
