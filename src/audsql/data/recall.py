"""What one `materialise` finds, and what the cache keeps of it from run to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audsql.data import cache as store
from audsql.data import kept
from audsql.data.alike import keep_out_of_git, reason_of, source_digest
from audsql.data.buckets import Buckets, read_buckets
from audsql.data.content import Content
from audsql.data.declared import Declared, Wanted
from audsql.data.dictionary import Dictionary, encode, flush, open_dictionary
from audsql.data.engine import LinkKey, SourceFacts
from audsql.data.ids import Ids, Words
from audsql.data.kept import facts_from, facts_header
from audsql.data.leaves import Window, open_ended
from audsql.data.linkage import Links
from audsql.data.lists import ListRead
from audsql.data.people import PeopleSet
from audsql.data.queried import keep_result
from audsql.data.stamps import Stamps, keep_stamps, read_stamps
from audsql.diag import Diagnostic, warning
from audsql.meaning.ir import IdKind
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.data.duckdb import DuckEngine

__all__ = [
    "Batch", "Found", "FoundLinks", "Waiting", "cached", "cached_links", "dictionary_of", "keep", "known_buckets",
    "leaf_name", "leaves_of", "links_name", "numbered", "stamps_of", "suppresses",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    facts: SourceFacts
    people: PeopleSet
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundLinks:
    facts: SourceFacts
    links: Links
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A list whose ids are not numbered yet. `read` is without them."""

    declared: Declared
    wanted: Sequence[Wanted]
    digest: str
    read: ListRead
    modified: datetime


@dataclass(slots=True)
class Batch:
    """The results of one `materialise`: what waits in `keep` is written once the dictionaries are."""

    found: dict[str, Found] = field(default_factory=dict)
    links: dict[LinkKey, FoundLinks] = field(default_factory=dict)
    keep_links: list[tuple[str, LinkKey]] = field(default_factory=list)
    keep_results: list[tuple[Declared, Content]] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    keep: list[tuple[str, Found]] = field(default_factory=list)
    latest: dict[str, int | None] = field(default_factory=dict)
    waiting: list[tuple[Waiting, tuple[Words, Words]]] = field(default_factory=list)
    waiting_bytes: int = 0


def dictionary_of(engine: DuckEngine, kind: IdKind) -> Dictionary:
    if kind not in engine.dictionaries:
        engine.dictionaries[kind] = open_dictionary(engine.cache, kind, engine.keys, engine.erased)
    return engine.dictionaries[kind]


def numbered(engine: DuckEngine, declared: Declared, kind: IdKind, ids: Ids) -> NDArray[np.uint32]:
    """The number of each id; `ERASED` for whoever was erased, unless the source only takes people away."""
    return encode(dictionary_of(engine, kind), ids, erased_too=suppresses(engine, declared))


def suppresses(engine: DuckEngine, declared: Declared) -> bool:
    return declared.name in engine.erased.suppressing


def leaf_name(one: Wanted, digest: str) -> str:
    return _name_of(one, one.leaf.key, digest)


def _name_of(one: Wanted, key: str, digest: str) -> str:
    return store.entry_name("leaf", digest, *one.id, key)


def cached(engine: DuckEngine, declared: Declared, one: Wanted, digest: str, modified: datetime | None) -> Found | None:
    """What the cache holds of an atom on the source of this digest."""
    leaf = one.leaf
    if any(isinstance(row, Window) for row in leaf.rows):
        if digest not in engine.latest:
            last = store.read_entry(leaves_of(engine) / store.entry_name("latest", digest), engine.keys)
            if last is not None:
                engine.latest[digest] = last.header["latest"]
        if digest in engine.latest:
            leaf = open_ended(leaf, engine.latest[digest])
    name = _name_of(one, leaf.key, digest)
    entry = kept.find(leaves_of(engine), engine.packs, digest, name, engine.keys)
    dictionary = dictionary_of(engine, one.id[0])
    if entry is None or entry.header["epoch"] not in dictionary.epochs:
        return None
    people = PeopleSet(one.id[0], BitMap.deserialize(bytes(entry.blocks[0])))
    if dictionary.blank or dictionary.admitted:
        gone = BitMap(dictionary.blank if suppresses(engine, declared) else dictionary.blank + dictionary.admitted)
        if suppresses(engine, declared) and people.bits & gone:
            # Somebody was erased and is to stay kept away: only the file still says who.
            return None
        people = PeopleSet(people.kind, people.bits - gone)
    facts, notes = facts_from(entry.header, declared, digest, modified)
    return Found(facts, people, notes)


def links_name(declared: Declared, key: LinkKey, digest: str) -> str:
    assert declared.form is not None
    columns = dict(declared.form.ids)
    return store.entry_name("links", digest, key[1], columns[key[1]], key[2], columns[key[2]])


def cached_links(
    engine: DuckEngine,
    batch: Batch,
    declared: Declared,
    wanted: Sequence[LinkKey],
    digest: str,
    modified: datetime | None,
) -> list[LinkKey]:
    """Take what the cache holds of linkages on the source of this digest; the others."""
    missing = []
    for key in wanted:
        entry = store.read_entry(leaves_of(engine) / links_name(declared, key, digest), engine.keys)
        kinds = key[1:]
        if entry is None or any(
            epoch not in dictionary_of(engine, kind).epochs
            for kind, epoch in zip(kinds, entry.header["epochs"], strict=True)
        ):
            missing.append(key)
            continue
        facts, notes = facts_from(entry.header, declared, digest, modified)
        given, found = (np.frombuffer(block, np.uint32) for block in entry.blocks)
        links = _kept_pairs(engine, declared, kinds, given, found)
        if links is None:
            missing.append(key)
        else:
            batch.links[key] = FoundLinks(facts, links, notes)
    return missing


def _kept_pairs(
    engine: DuckEngine,
    declared: Declared,
    kinds: Sequence[IdKind],
    given: NDArray[np.uint32],
    found: NDArray[np.uint32],
) -> Links | None:
    """Pairs of the cache without people who were erased; None where the file must be read again."""
    dictionaries = [dictionary_of(engine, kind) for kind in kinds]
    if not any(one.blank or one.admitted for one in dictionaries):
        return Links(given, found)
    whole = suppresses(engine, declared)
    kept = np.ones(len(given), bool)
    for dictionary, numbers in zip(dictionaries, (given, found), strict=True):
        kept &= ~np.isin(numbers, np.array(dictionary.blank if whole else dictionary.blank + dictionary.admitted))
    if whole and not kept.all():
        return None
    return Links(given[kept], found[kept])


def known_buckets(engine: DuckEngine, kind: IdKind, salt: str) -> Buckets:
    """The buckets as far as they are known."""
    if (kind, salt) not in engine.buckets:
        entry = store.read_entry(leaves_of(engine) / store.entry_name("buckets", kind, salt), engine.keys)
        good = entry is not None and entry.header["epoch"] in dictionary_of(engine, kind).epochs
        engine.buckets[kind, salt] = read_buckets(entry.blocks[0] if entry is not None and good else b"")
    return engine.buckets[kind, salt]


def keep(engine: DuckEngine, batch: Batch) -> None:
    """Write what was read to the cache: dictionaries first, then what is numbered by them."""
    if not (batch.keep or batch.keep_links or batch.keep_results or engine.buckets_to_keep):
        _keep_stamps(engine)
        return
    try:
        keep_out_of_git(engine.cache)
        epochs = {kind: flush(dictionary, engine.cache) for kind, dictionary in engine.dictionaries.items()}
        new: dict[str, dict[str, tuple[Mapping[str, Any], PeopleSet]]] = {}
        for name, found in batch.keep:
            assert found.people.kind is not None
            header = {"epoch": epochs[found.people.kind], **facts_header(found.facts, found.warnings)}
            new.setdefault(found.facts.digest, {})[name] = (header, found.people)
        for digest, entries in new.items():
            kept.keep(leaves_of(engine), digest, entries, engine.keys)
            engine.packs.pop(digest, None)
        for declared, content in batch.keep_results:
            digest = source_digest(content, declared)
            keep_result(declared, digest, content, engine.queries, engine.cache, engine.keys)
        for name, key in batch.keep_links:
            one = batch.links[key]
            header = {"epochs": [epochs[key[1]], epochs[key[2]]], **facts_header(one.facts, one.warnings)}
            blocks = [one.links.given.data, one.links.found.data]
            store.write_entry(leaves_of(engine) / name, header, blocks, keys=engine.keys)
        for kind, salt in sorted(engine.buckets_to_keep):
            path = leaves_of(engine) / store.entry_name("buckets", kind, salt)
            values = engine.buckets[kind, salt].values.data
            store.write_entry(path, {"epoch": epochs[kind]}, [values], keys=engine.keys)
        engine.buckets_to_keep.clear()
        for digest, latest in batch.latest.items():
            path = leaves_of(engine) / store.entry_name("latest", digest)
            store.write_entry(path, {"latest": latest}, [], keys=engine.keys)
        _keep_stamps(engine)
        store.trim(leaves_of(engine))
    except OSError as failure:
        batch.problems.append(warning("AUD1048", None, reason=reason_of(failure)))


def _keep_stamps(engine: DuckEngine) -> None:
    # Only a later run gains from these: it does without where they cannot be written.
    with suppress(OSError):
        keep_stamps(leaves_of(engine), stamps_of(engine), engine.keys)


def leaves_of(engine: DuckEngine) -> Path:
    return engine.cache / "leaves"


def stamps_of(engine: DuckEngine) -> Stamps:
    if engine.stamps is None:
        engine.stamps = read_stamps(leaves_of(engine), engine.keys)
    return engine.stamps
