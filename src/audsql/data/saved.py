"""Named sets read back, many at a time: what their ids came to in numbers is kept beside them.

A named set holds ids, which are numbered anew each time that it is read. A plan reads those of all audiences, nearly
all of them as the last plan did: the numbers are kept in the cache, and hold for the very file that they were made of
and a dictionary that went through the epoch of that day. Rules: specs/data.md, cache.unchanged, cache.numbers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pyroaring import BitMap

from audsql.data import cache as store
from audsql.data.people import PeopleSet
from audsql.data.recall import dictionary_of, leaves_of
from audsql.data.stamps import SETTLED_NANOSECONDS
from audsql.meaning.ir import IdKind
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.data.duckdb import DuckEngine

__all__ = ["SETS", "loaded"]

SETS = "sets"
_FORMAT = 1
_PACK = "numbers"
# A larger one has an entry of its own, so that all together take little memory.
_PEOPLE_MAX = 1_000
# Fewer that are new are not worth writing all of them anew.
_NEW_MIN = 8

_Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What the ids of a file came to: its stamp, the kind of ids, the epoch of the numbers, and these as a bitmap."""

    stamp: _Stamp
    kind: IdKind
    epoch: str
    bits: bytes | memoryview


def loaded(engine: DuckEngine, names: Sequence[str]) -> Iterator[tuple[str, PeopleSet | None]]:
    """Each name with the set kept under it, as `DuckEngine.load` reads it. Raises KeyMissing."""
    known = _read_pack(engine)
    now: dict[str, _Numbers] = {}
    new = 0
    for name in names:
        file = store.entry_name(name)
        stamp = _stamp(f"{engine.cache}/{SETS}/{file}")
        if stamp is None:
            yield name, None
            continue
        numbers = known.get(file) or _read_large(engine, file)
        people = None if numbers is None or numbers.stamp != stamp else _people(engine, numbers)
        is_small = people is not None and len(people.bits) <= _PEOPLE_MAX
        if people is None:
            people = engine.load(name)
            numbers = None if people is None else _numbers(engine, people, stamp)
            is_small = people is not None and len(people.bits) <= _PEOPLE_MAX
            new += is_small and numbers is not None
            if numbers is not None and not is_small:
                _write_large(engine, file, numbers)
        if numbers is not None and is_small:
            now[file] = numbers
        yield name, people
    if new >= _NEW_MIN or (new and len(names) < _NEW_MIN):
        _write_pack(engine, now)


def _stamp(path: str) -> _Stamp | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _people(engine: DuckEngine, numbers: _Numbers) -> PeopleSet | None:
    """The set, without whoever was erased since; None where the numbers are those of another dictionary."""
    dictionary = dictionary_of(engine, numbers.kind)
    if numbers.epoch not in dictionary.epochs:
        return None
    bits = BitMap.deserialize(bytes(numbers.bits))
    return PeopleSet(numbers.kind, bits - BitMap(dictionary.blank) if dictionary.blank else bits)


def _numbers(engine: DuckEngine, people: PeopleSet, stamp: _Stamp) -> _Numbers | None:
    """What can be kept: of a dictionary that is kept as it is, and of a file that a change must tell from this."""
    if people.kind is None or time.time_ns() - max(stamp[3:]) < SETTLED_NANOSECONDS:
        return None
    dictionary = dictionary_of(engine, people.kind)
    if dictionary.grown or not dictionary.epochs:
        return None
    return _Numbers(stamp, people.kind, dictionary.epochs[-1], people.bits.serialize())


# --- the files --------------------------------------------------------------------------------------


def _read_pack(engine: DuckEngine) -> dict[str, _Numbers]:
    entry = store.read_entry(leaves_of(engine) / store.entry_name(_PACK), engine.keys)
    if entry is None or entry.header.get("format") != _FORMAT:
        return {}
    rows = zip(entry.header["sets"], entry.blocks, strict=True)
    return {file: _Numbers(tuple(stamp), kind, epoch, bits) for (file, stamp, kind, epoch), bits in rows}


def _write_pack(engine: DuckEngine, numbers: dict[str, _Numbers]) -> None:
    header = {
        "format": _FORMAT, "sets": [[file, one.stamp, one.kind, one.epoch] for file, one in numbers.items()]
    }  # fmt: skip
    # Only a later run gains from it: it does without where it cannot be written.
    with suppress(OSError):
        blocks = [one.bits for one in numbers.values()]
        store.write_entry(leaves_of(engine) / store.entry_name(_PACK), header, blocks, keys=engine.keys)


def _read_large(engine: DuckEngine, file: str) -> _Numbers | None:
    entry = store.read_entry(leaves_of(engine) / store.entry_name(_PACK, file), engine.keys)
    if entry is None or entry.header.get("format") != _FORMAT:
        return None
    header = entry.header
    return _Numbers(tuple(header["stamp"]), header["kind"], header["epoch"], entry.blocks[0])


def _write_large(engine: DuckEngine, file: str, numbers: _Numbers) -> None:
    header = {"format": _FORMAT, "stamp": numbers.stamp, "kind": numbers.kind, "epoch": numbers.epoch}
    with suppress(OSError):
        path = leaves_of(engine) / store.entry_name(_PACK, file)
        store.write_entry(path, header, [numbers.bits], keys=engine.keys)
