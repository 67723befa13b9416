"""The embedded engine: DuckDB reads tables, bitmaps hold people, the cache remembers both.

A source is read once per call, hashed while it is in memory, and evaluated from that copy. What an atom
means on given bytes is kept in the cache under the digest of the bytes and of the rules that read them.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audsql.data import cache as store
from audsql.data import kept
from audsql.data.buckets import Buckets, extended, read_buckets
from audsql.data.content import Content, open_file
from audsql.data.declared import Declared, Wanted, declared_source, region_of, source_name, wanted_of
from audsql.data.derived import Derived, derive, link_of
from audsql.data.dictionary import (
    ERASED,
    Dictionary,
    encode,
    flush,
    id_texts,
    open_dictionary,
)
from audsql.data.engine import EngineFailure, LinkKey, Materialised, SourceFacts
from audsql.data.erased import NOBODY_ERASED, Erased
from audsql.data.fingerprint import fingerprint_of, id_bytes, ids_from
from audsql.data.ids import Ids
from audsql.data.kept import facts_from, facts_header
from audsql.data.keys import Keys
from audsql.data.leaves import Window, open_ended
from audsql.data.linkage import Links
from audsql.data.lists import read_list
from audsql.data.people import People, PeopleSet, bits_of, evaluate, numbers_of, with_bits
from audsql.data.shape import Shape
from audsql.data.tables import evaluate_table, read_pairs, read_table
from audsql.diag import Diagnostic, error, warning
from audsql.meaning.ir import Atom, Expression, IdKind, Linked, Mapped, Project, Rows, Uploaded
from audsql.meaning.lineage import with_parts

__all__ = ["DuckEngine", "open_engine"]


def open_engine(
    project: Project,
    root: Path,
    cache: Path,
    key: bytes | None = None,
    keys: Keys | None = None,
    erased: Erased = NOBODY_ERASED,
) -> DuckEngine:
    """The embedded engine over the files below `root`.

    `cache`: a folder that the engine may fill, made at the first write. `key`: for fingerprints, at least
    16 bytes; without it, one that is kept in the cache. `keys` close the cache, which must be closed already
    (`cache.reseal`). `erased`: people who are in no set, whatever the files say.
    """
    return DuckEngine(project, root, cache, key, keys, erased)


@dataclass(frozen=True, slots=True)
class _Found:
    facts: SourceFacts
    people: PeopleSet
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class _FoundLinks:
    facts: SourceFacts
    links: Links
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(slots=True)
class _Batch:
    """The results of one `materialise`: what waits in `keep` is written once the dictionaries are."""

    found: dict[str, _Found] = field(default_factory=dict)
    links: dict[LinkKey, _FoundLinks] = field(default_factory=dict)
    keep_links: list[tuple[str, LinkKey]] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    keep: list[tuple[str, _Found]] = field(default_factory=list)
    latest: dict[str, int | None] = field(default_factory=dict)


@dataclass(slots=True)
class DuckEngine:
    """Implements the port `audsql.data.engine.Engine`."""

    project: Project
    root: Path
    cache: Path
    key: bytes | None = None
    keys: Keys | None = None
    erased: Erased = NOBODY_ERASED
    dictionaries: dict[IdKind, Dictionary] = field(default_factory=dict)
    fingerprints: dict[tuple[str, bytes], str] = field(default_factory=dict)
    buckets: dict[tuple[IdKind, str], Buckets] = field(default_factory=dict)
    buckets_to_keep: set[tuple[IdKind, str]] = field(default_factory=set)
    # The last time of each table, by its digest, as the cache has it: every leaf with a window asks for it.
    latest: dict[str, int | None] = field(default_factory=dict)
    packs: dict[str, kept.Pack] = field(default_factory=dict)

    def materialise(
        self, atoms: Sequence[Atom], as_of: datetime, pinned: Mapping[str, str] | None = None
    ) -> tuple[Materialised, tuple[Diagnostic, ...]]:
        """See the port. Atoms that are not own data are passed over."""
        batch = _Batch()
        own = [atom for atom in atoms if atom.world == "own"]
        by_source: dict[str, dict[str, Atom]] = {}
        for atom in with_parts(own):
            if isinstance(atom, Uploaded | Rows | Linked | Mapped):
                by_source.setdefault(source_name(atom), {})[atom.key] = atom
        for name in sorted(by_source):
            declared = declared_source(self.project, name)
            of_source = [by_source[name][key] for key in sorted(by_source[name])]
            _take_source(self, batch, declared, of_source, as_of, (pinned or {}).get(name))
        links = {key: one.links for key, one in sorted(batch.links.items())}
        derived = _derive(self, own, {key: one.people for key, one in batch.found.items()}, links, {})
        _keep(self, batch)
        found = {name: batch.found[name] for name in sorted(batch.found)}
        everything: list[_Found | _FoundLinks] = [batch.links[key] for key in sorted(batch.links)]
        everything += found.values()
        sources = {one.facts.name: one.facts for one in everything}
        people = {**{key: one.people for key, one in found.items()}, **derived.people}
        return (
            Materialised(
                {name: sources[name] for name in sorted(sources)},
                {key: people[key] for key in sorted(people)},
                {name: one.facts.digest for name, one in found.items()},
                {key: derived.losses[key] for key in sorted(derived.losses)},
                links,
            ),
            _distinct([*batch.problems, *(note for one in everything for note in one.warnings)]),
        )

    def derive(
        self,
        atoms: Sequence[Atom],
        people: Mapping[str, People],
        read: Materialised,
        beside: Mapping[str, PeopleSet] | None = None,
    ) -> Mapping[str, People]:
        return _derive(self, atoms, people, read.links, beside or {}).people

    def evaluate(self, expression: Expression, people: Mapping[str, People]) -> PeopleSet:
        return evaluate(expression, people)

    def count(self, people: PeopleSet) -> int:
        return len(people.bits)

    def members(self, people: PeopleSet) -> Iterator[str]:
        """The ids in ascending order."""
        if people.kind is not None:
            yield from id_texts(_dictionary(self, people.kind), numbers_of(people))

    def union(self, left: PeopleSet, right: PeopleSet) -> PeopleSet:
        return with_bits(left, right, left.bits | right.bits)

    def delta(self, before: PeopleSet, after: PeopleSet) -> tuple[PeopleSet, PeopleSet]:
        entering = with_bits(before, after, after.bits - before.bits)
        return entering, with_bits(before, after, before.bits - after.bits)

    def fingerprint(self, people: PeopleSet) -> str:
        """A keyed BLAKE2b over the kind, the count and the ids in ascending order: 48 hexadecimal digits.

        The empty set has one fingerprint, whatever its kind.
        """
        bits = hashlib.sha256(people.bits.serialize()).digest()
        memo = (people.kind or "", bits)
        if memo not in self.fingerprints:
            self.fingerprints[memo] = _fingerprint(self, people, _secret(self))
        return self.fingerprints[memo]

    def is_fingerprint(self, people: PeopleSet, known: str) -> bool:
        """Whether a fingerprint is this set's, under the key of today or an older one."""
        if self.fingerprint(people) == known:
            return True
        older = self.keys.secrets[1:] if self.keys else ()
        return any(_fingerprint(self, people, key) == known for key in older)

    def save(self, name: str, people: PeopleSet) -> None:
        block = b""
        if people.kind is not None:
            block = id_bytes(_dictionary(self, people.kind), people)
        try:
            header = {"format": 1, "kind": people.kind, "count": len(people.bits)}
            store.write_entry(_set_path(self, name), header, [block], sync=True, keys=self.keys)
        except OSError as failure:
            raise EngineFailure(_write_failure(failure)) from None

    def load(self, name: str) -> PeopleSet | None:
        entry = store.read_entry(_set_path(self, name), self.keys)
        if entry is None or entry.header.get("format") != 1:
            return None
        kind: IdKind | None = entry.header["kind"]
        if kind is None:
            return PeopleSet(None, BitMap())
        dictionary = _dictionary(self, kind)
        numbers = encode(dictionary, ids_from(kind, bytes(entry.blocks[0])), admitted_too=True)
        return PeopleSet(kind, bits_of(numbers[numbers != ERASED]))


# --- one source -------------------------------------------------------------------------------------


def _take_source(
    engine: DuckEngine, batch: _Batch, declared: Declared, atoms: Sequence[Atom], as_of: datetime, pinned: str | None
) -> None:
    span = declared.form.span if declared.form else (declared.upload.span if declared.upload else None)
    wanted, problems = wanted_of(declared, atoms, as_of)
    links = sorted({link_of(atom) for atom in atoms if isinstance(atom, Mapped)})
    batch.problems += problems
    content = open_file(engine.root / declared.folder, declared.file, declared.formats, span)
    digest = None if isinstance(content, Diagnostic) else _digest(content, declared)
    if pinned is not None and digest != pinned:
        for one in wanted:
            found = _cached(engine, declared, one, pinned, None)
            if found is not None:
                batch.found[one.key] = found
        _cached_links(engine, batch, declared, links, pinned, None)
        return
    if isinstance(content, Diagnostic):
        batch.problems.append(content)
        return
    assert digest is not None
    missing = []
    for one in wanted:
        found = _cached(engine, declared, one, digest, content.modified)
        if found is None:
            missing.append(one)
        else:
            batch.found[one.key] = found
    links = _cached_links(engine, batch, declared, links, digest, content.modified)
    if missing or links:
        _read(engine, batch, declared, missing, links, content, digest)


def _digest(content: Content, declared: Declared) -> str:
    return hashlib.sha256(f"{declared.rules}\n{content.digest}".encode()).hexdigest()


def _read(
    engine: DuckEngine,
    batch: _Batch,
    declared: Declared,
    wanted: Sequence[Wanted],
    links: Sequence[LinkKey],
    content: Content,
    digest: str,
) -> None:
    if declared.form is None:
        _read_list(engine, batch, declared, wanted, content, digest)
        return
    read = read_table(content, declared.form)
    batch.problems += read.diagnostics
    if read.shape is None:
        return
    facts = SourceFacts(declared.name, declared.kind, digest, read.shape.records, 0, 0, read.encoding, content.modified)
    for key in links:
        _read_links(engine, batch, declared, key, read.shape, facts)
    for id_column in sorted({one.id for one in wanted}):
        leaves = {one.leaf.key: one.leaf for one in wanted if one.id == id_column}
        try:
            with store.scratch_folder(engine.cache) as scratch:
                result = evaluate_table(read.shape, declared.form, id_column, list(leaves.values()), scratch)
        except OSError as failure:
            batch.problems.append(_write_failure(failure))
            return
        batch.problems += result.diagnostics
        if result.ids is None:
            return
        numbers = _numbers(engine, declared, id_column[0], result.ids)
        known = numbers != ERASED
        facts = replace(facts, people=int(known.sum()), blank_ids=result.blank_ids)
        facts, notes = _table_notes(declared, facts)
        latest: int | Literal["unknown"] | None = "unknown"
        if any(isinstance(row, Window) for leaf in leaves.values() for row in leaf.rows):
            latest = batch.latest[digest] = result.latest
        for one in wanted:
            if one.id == id_column:
                people = PeopleSet(id_column[0], bits_of(numbers[result.truth[one.leaf.key] & known]))
                leaf = one.leaf if latest == "unknown" else open_ended(one.leaf, latest)
                _put(batch, replace(one, leaf=leaf), _Found(facts, people, notes), digest)


def _read_links(
    engine: DuckEngine, batch: _Batch, declared: Declared, key: LinkKey, shape: Shape, facts: SourceFacts
) -> None:
    form, (_, kind, to) = declared.form, key
    assert form is not None
    columns = dict(form.ids)
    try:
        with store.scratch_folder(engine.cache) as scratch:
            result = read_pairs(shape, form, (kind, columns[kind]), (to, columns[to]), scratch)
    except OSError as failure:
        batch.problems.append(_write_failure(failure))
        return
    batch.problems += result.diagnostics
    if result.given is None or result.found is None:
        return
    if facts.rows and not len(result.given):
        batch.problems.append(error("AUD1052", form.span, table=form.name, given=kind, found=to, count=facts.rows))
        return
    both = np.stack([_numbers(engine, declared, kind, result.given), _numbers(engine, declared, to, result.found)])
    pairs = np.unique(both[:, (both != ERASED).all(axis=0)], axis=1)
    links = Links(np.ascontiguousarray(pairs[0]), np.ascontiguousarray(pairs[1]))
    facts = replace(facts, people=len(np.unique(links.found)), blank_ids=result.blank_ids)
    facts, notes = _table_notes(declared, facts)
    batch.links[key] = _FoundLinks(facts, links, notes)
    batch.keep_links.append((_links_name(declared, key, facts.digest), key))


def _derive(
    engine: DuckEngine,
    atoms: Sequence[Atom],
    people: Mapping[str, People],
    links: Mapping[LinkKey, Links],
    beside: Mapping[str, PeopleSet],
) -> Derived:
    def buckets_of(kind: IdKind, salt: str, numbers: NDArray[np.uint32]) -> Buckets:
        known = _buckets(engine, kind, salt)
        result = extended(known, _dictionary(engine, kind), salt, numbers)
        if result is not known:
            engine.buckets[kind, salt] = result
            engine.buckets_to_keep.add((kind, salt))
        return result

    return derive(atoms, people, links, buckets_of, beside)


def _read_list(
    engine: DuckEngine, batch: _Batch, declared: Declared, wanted: Sequence[Wanted], content: Content, digest: str
) -> None:
    upload = declared.upload
    assert upload is not None
    read = read_list(content, upload, region_of(engine.project, upload.account))
    if read.ids is None:
        batch.problems += read.diagnostics
        return
    numbers = _numbers(engine, declared, upload.id_kind, read.ids)
    people = PeopleSet(upload.id_kind, bits_of(numbers[numbers != ERASED]))
    rows, count = len(read.ids), len(people.bits)
    facts = SourceFacts(upload.name, "upload", digest, rows, count, rows - count, read.encoding, content.modified)
    for one in wanted:
        _put(batch, one, _Found(facts, people, read.diagnostics), digest)


def _table_notes(declared: Declared, facts: SourceFacts) -> tuple[SourceFacts, tuple[Diagnostic, ...]]:
    """What is worth a warning: no rows; in an upload, rows without an id and repeated ids."""
    form, upload = declared.form, declared.upload
    assert form is not None
    notes = []
    if facts.rows == 0 and not (upload and upload.allow_empty):
        notes.append(warning("AUD1005", form.span, file=form.file))
    if upload is not None:
        facts = replace(facts, rows=facts.rows - facts.blank_ids)
        facts = replace(facts, duplicates=facts.rows - facts.people)
        if facts.blank_ids:
            notes.append(warning("AUD1043", form.span, file=form.file, column=upload.column, count=facts.blank_ids))
        if facts.duplicates:
            notes.append(warning("AUD1020", form.span, file=form.file, count=facts.duplicates, lines=()))
    return facts, tuple(notes)


def _put(batch: _Batch, one: Wanted, found: _Found, digest: str) -> None:
    batch.found[one.key] = found
    batch.keep.append((_leaf_name(one, digest), found))


def _distinct(problems: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.sort_key))


# --- the cache --------------------------------------------------------------------------------------


def _dictionary(engine: DuckEngine, kind: IdKind) -> Dictionary:
    if kind not in engine.dictionaries:
        engine.dictionaries[kind] = open_dictionary(engine.cache, kind, engine.keys, engine.erased)
    return engine.dictionaries[kind]


def _numbers(engine: DuckEngine, declared: Declared, kind: IdKind, ids: Ids) -> NDArray[np.uint32]:
    """The number of each id; `ERASED` for whoever was erased, unless the source only takes people away."""
    return encode(_dictionary(engine, kind), ids, erased_too=_suppresses(engine, declared))


def _suppresses(engine: DuckEngine, declared: Declared) -> bool:
    return declared.name in engine.erased.suppressing


def _leaf_name(one: Wanted, digest: str) -> str:
    return store.entry_name("leaf", digest, *one.id, one.leaf.key)


def _cached(
    engine: DuckEngine, declared: Declared, one: Wanted, digest: str, modified: datetime | None
) -> _Found | None:
    """What the cache holds of an atom on the source of this digest."""
    leaf = one.leaf
    if any(isinstance(row, Window) for row in leaf.rows):
        if digest not in engine.latest:
            last = store.read_entry(_leaves(engine) / store.entry_name("latest", digest), engine.keys)
            if last is not None:
                engine.latest[digest] = last.header["latest"]
        if digest in engine.latest:
            leaf = open_ended(leaf, engine.latest[digest])
    name = _leaf_name(replace(one, leaf=leaf), digest)
    entry = kept.find(_leaves(engine), engine.packs, digest, name, engine.keys)
    dictionary = _dictionary(engine, one.id[0])
    if entry is None or entry.header["epoch"] not in dictionary.epochs:
        return None
    people = PeopleSet(one.id[0], BitMap.deserialize(bytes(entry.blocks[0])))
    if dictionary.blank or dictionary.admitted:
        gone = BitMap(dictionary.blank if _suppresses(engine, declared) else dictionary.blank + dictionary.admitted)
        if _suppresses(engine, declared) and people.bits & gone:
            # Somebody was erased and is to stay kept away: only the file still says who.
            return None
        people = PeopleSet(people.kind, people.bits - gone)
    facts, notes = facts_from(entry.header, declared, digest, modified)
    return _Found(facts, people, notes)


def _links_name(declared: Declared, key: LinkKey, digest: str) -> str:
    assert declared.form is not None
    columns = dict(declared.form.ids)
    return store.entry_name("links", digest, key[1], columns[key[1]], key[2], columns[key[2]])


def _cached_links(
    engine: DuckEngine,
    batch: _Batch,
    declared: Declared,
    wanted: Sequence[LinkKey],
    digest: str,
    modified: datetime | None,
) -> list[LinkKey]:
    """Take what the cache holds of linkages on the source of this digest; the others."""
    missing = []
    for key in wanted:
        entry = store.read_entry(_leaves(engine) / _links_name(declared, key, digest), engine.keys)
        kinds = key[1:]
        if entry is None or any(
            epoch not in _dictionary(engine, kind).epochs
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
            batch.links[key] = _FoundLinks(facts, links, notes)
    return missing


def _kept_pairs(
    engine: DuckEngine,
    declared: Declared,
    kinds: Sequence[IdKind],
    given: NDArray[np.uint32],
    found: NDArray[np.uint32],
) -> Links | None:
    """Pairs of the cache without people who were erased; None where the file must be read again."""
    dictionaries = [_dictionary(engine, kind) for kind in kinds]
    if not any(one.blank or one.admitted for one in dictionaries):
        return Links(given, found)
    whole = _suppresses(engine, declared)
    kept = np.ones(len(given), bool)
    for dictionary, numbers in zip(dictionaries, (given, found), strict=True):
        kept &= ~np.isin(numbers, np.array(dictionary.blank if whole else dictionary.blank + dictionary.admitted))
    if whole and not kept.all():
        return None
    return Links(given[kept], found[kept])


def _buckets(engine: DuckEngine, kind: IdKind, salt: str) -> Buckets:
    """The buckets as far as they are known."""
    if (kind, salt) not in engine.buckets:
        entry = store.read_entry(_leaves(engine) / store.entry_name("buckets", kind, salt), engine.keys)
        good = entry is not None and entry.header["epoch"] in _dictionary(engine, kind).epochs
        engine.buckets[kind, salt] = read_buckets(entry.blocks[0] if entry is not None and good else b"")
    return engine.buckets[kind, salt]


def _keep(engine: DuckEngine, batch: _Batch) -> None:
    """Write what was read to the cache: dictionaries first, then what is numbered by them."""
    if not batch.keep and not batch.keep_links and not engine.buckets_to_keep:
        return
    try:
        _guard(engine.cache)
        epochs = {kind: flush(dictionary, engine.cache) for kind, dictionary in engine.dictionaries.items()}
        new: dict[str, dict[str, tuple[Mapping[str, Any], PeopleSet]]] = {}
        for name, found in batch.keep:
            assert found.people.kind is not None
            header = {"epoch": epochs[found.people.kind], **facts_header(found.facts, found.warnings)}
            new.setdefault(found.facts.digest, {})[name] = (header, found.people)
        for digest, entries in new.items():
            kept.keep(_leaves(engine), digest, entries, engine.keys)
            engine.packs.pop(digest, None)
        for name, key in batch.keep_links:
            one = batch.links[key]
            header = {"epochs": [epochs[key[1]], epochs[key[2]]], **facts_header(one.facts, one.warnings)}
            blocks = [one.links.given.data, one.links.found.data]
            store.write_entry(_leaves(engine) / name, header, blocks, keys=engine.keys)
        for kind, salt in sorted(engine.buckets_to_keep):
            path = _leaves(engine) / store.entry_name("buckets", kind, salt)
            values = engine.buckets[kind, salt].values.data
            store.write_entry(path, {"epoch": epochs[kind]}, [values], keys=engine.keys)
        engine.buckets_to_keep.clear()
        for digest, latest in batch.latest.items():
            path = _leaves(engine) / store.entry_name("latest", digest)
            store.write_entry(path, {"latest": latest}, [], keys=engine.keys)
        store.trim(_leaves(engine))
    except OSError as failure:
        batch.problems.append(warning("AUD1048", None, reason=_reason(failure)))


def _fingerprint(engine: DuckEngine, people: PeopleSet, secret: bytes) -> str:
    return fingerprint_of(None if people.kind is None else _dictionary(engine, people.kind), people, secret)


def _leaves(engine: DuckEngine) -> Path:
    return engine.cache / "leaves"


def _set_path(engine: DuckEngine, name: str) -> Path:
    return engine.cache / "sets" / store.entry_name(name)


def _guard(cache: Path) -> None:
    """The folder holds personal data: keep it out of Git whatever the project ignores."""
    store.make_folder(cache)
    ignore = cache / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")


def _write_failure(failure: OSError) -> Diagnostic:
    return error("AUD1047", None, reason=_reason(failure))


def _reason(failure: OSError) -> str:
    return os.strerror(failure.errno or errno.EIO)


_KEY_BYTES_MIN = 16


def _secret(engine: DuckEngine) -> bytes:
    if engine.key is None:
        try:
            engine.key = store.load_key(engine.cache)
        except OSError as failure:
            raise EngineFailure(_write_failure(failure)) from None
        except ValueError:
            raise EngineFailure(error("AUD1049", None, source="cache")) from None
    if len(engine.key) < _KEY_BYTES_MIN:
        raise EngineFailure(error("AUD1049", None, source="environment"))
    return engine.key
