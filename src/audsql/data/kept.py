"""What the cache keeps of the atoms of a source: one file for many small ones, and a file of its own for each other.

A thousand atoms over one table are then one file to read and to write. A pack is an entry like any other: under
one SHA-256, written whole or not at all, closed where there is a key. What is not in it is looked for in a file of
its own, so that losing a pack only costs time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from audsql.data.cache import Entry, entry_name, read_entry, write_entry
from audsql.data.declared import Declared
from audsql.data.engine import SourceFacts
from audsql.data.keys import Keys
from audsql.data.people import PeopleSet
from audsql.diag import Diagnostic

__all__ = ["Pack", "facts_from", "facts_header", "find", "keep"]

Pack = Mapping[str, Entry]
"""Entries of one block each, by the name that a file of their own would have."""

Header = Mapping[str, Any]

_FORMAT = 1
_PREFIX = "pack-"
_ENTRIES_MIN = 32
_ENTRIES_MAX = 8_000
_PEOPLE_MAX = 1_000
_PACKS_KEPT_MAX = 200


def find(folder: Path, packs: dict[str, Pack], digest: str, name: str, keys: Keys | None) -> Entry | None:
    """The entry of this name for the source of this digest; None where there is none. `packs`: those read so far.

    Raises KeyMissing.
    """
    if digest not in packs:
        packs[digest] = _read(folder, digest, keys)
    return packs[digest].get(name) or read_entry(folder / name, keys)


def keep(folder: Path, digest: str, new: Mapping[str, tuple[Header, PeopleSet]], keys: Keys | None) -> None:
    """Keep new entries, headers and people by name. Raises OSError, KeyMissing.

    Many small ones go into the pack of their source, beside what it holds. A large one has a file of its own, so
    that one that is wanted does not cost reading all.
    """
    small = [name for name in sorted(new) if len(new[name][1].bits) <= _PEOPLE_MAX]
    packed = frozenset(small[:_ENTRIES_MAX] if len(small) >= _ENTRIES_MIN else ())
    for name, (header, people) in new.items():
        if name not in packed:
            write_entry(folder / name, header, [people.bits.serialize()], keys=keys)
    if not packed:
        return
    before = _read(folder, digest, keys)
    room = [name for name in sorted(before) if name not in packed][: _ENTRIES_MAX - len(packed)]
    entries: list[tuple[str, Header, bytes | memoryview]] = [
        *((name, before[name].header, before[name].blocks[0]) for name in room),
        *((name, new[name][0], new[name][1].bits.serialize()) for name in sorted(packed)),
    ]
    header = {"format": _FORMAT, "entries": [[name, one] for name, one, _ in entries]}
    write_entry(_path(folder, digest), header, [block for _, _, block in entries], keys=keys)
    _trim(folder)


def _read(folder: Path, digest: str, keys: Keys | None) -> Pack:
    pack = read_entry(_path(folder, digest), keys)
    if pack is None or pack.header.get("format") != _FORMAT:
        return {}
    written: Sequence[tuple[str, dict[str, Any]]] = pack.header["entries"]
    return {name: Entry(header, (block,)) for (name, header), block in zip(written, pack.blocks, strict=True)}


def _path(folder: Path, digest: str) -> Path:
    return folder / (_PREFIX + entry_name("pack", digest))


def _trim(folder: Path) -> None:
    """Drop the packs that were written longest ago beyond the number that is kept."""
    with suppress(OSError):
        packs = sorted(folder.glob(f"{_PREFIX}*"), key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
        for path in packs[_PACKS_KEPT_MAX:]:
            path.unlink(missing_ok=True)


# --- what a header says of a source -----------------------------------------------------------------


def facts_header(facts: SourceFacts, warnings: Sequence[Diagnostic]) -> dict[str, Any]:
    return {
        "rows": facts.rows,
        "people": facts.people,
        "duplicates": facts.duplicates,
        "encoding": facts.encoding,
        "blank_ids": facts.blank_ids,
        "warnings": [[note.code, note.facts] for note in warnings],
    }


def facts_from(
    header: Header, declared: Declared, digest: str, modified: datetime | None
) -> tuple[SourceFacts, tuple[Diagnostic, ...]]:
    rows, count, duplicates = header["rows"], header["people"], header["duplicates"]
    blank = header["blank_ids"]
    facts = SourceFacts(
        declared.name, declared.kind, digest, rows, count, duplicates, header["encoding"], modified, blank
    )
    span = declared.form.span if declared.form else (declared.upload.span if declared.upload else None)
    notes = [
        Diagnostic(code, "warning", span, tuple((name, _fact(value)) for name, value in told))
        for code, told in header["warnings"]
    ]
    return facts, tuple(notes)


def _fact(value: str | int | list[str] | None) -> str | int | tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) else value
