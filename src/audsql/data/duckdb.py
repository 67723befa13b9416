"""The embedded engine: DuckDB reads tables, bitmaps hold people, the cache remembers both.

A source is read once per call, hashed while it is in memory, and evaluated from that copy. What an atom
means on given bytes is kept in the cache under the digest of the bytes and of the rules that read them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audsql.data import cache as store
from audsql.data import kept
from audsql.data.alike import project_secret, source_digest, table_notes, write_failure
from audsql.data.buckets import Buckets, extended
from audsql.data.code_pools import Codes, read_codes
from audsql.data.content import Content
from audsql.data.declared import Declared, Wanted, declared_source, region_of, source_name, wanted_of
from audsql.data.derived import Derived, derive, link_of
from audsql.data.dictionary import (
    ERASED,
    Dictionary,
    encode,
    encode_sets,
)
from audsql.data.engine import EngineFailure, LinkKey, Materialised, RowColumn, SourceFacts, TableRows
from audsql.data.erased import NOBODY_ERASED, Erased
from audsql.data.fingerprint import fingerprint_of, id_bytes, id_lines, ids_from
from audsql.data.keys import Keys
from audsql.data.leaves import Window, open_ended
from audsql.data.linkage import Links
from audsql.data.lists import read_list
from audsql.data.people import Memo, People, PeopleSet, bits_of, evaluate, with_bits
from audsql.data.progress import Step, tell
from audsql.data.queried import NO_QUERIES, Queries, known_result, source_content
from audsql.data.recall import (
    Batch,
    Found,
    FoundLinks,
    Waiting,
    cached,
    cached_links,
    dictionary_of,
    keep,
    known_buckets,
    leaf_name,
    links_name,
    numbered,
    stamps_of,
)
from audsql.data.rowwise import Rowwise, read_rows
from audsql.data.saved import SETS, loaded
from audsql.data.sheet import Sheet
from audsql.data.stamps import Stamp, Stamps, digest_of, stamp_of, take_stamp
from audsql.data.tables import evaluate_table, read_pairs, read_table
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import Atom, CodePool, Expression, Followers, IdKind, Linked, Mapped, Project, Rows, Uploaded
from audsql.meaning.lineage import with_parts
from audsql.records import dataclass
from audsql.source import Span

__all__ = ["MEMORY_BYTES", "DuckEngine", "open_engine"]

MEMORY_BYTES = 4 << 30
"""How much reading may take where a project says nothing of it."""
# Lists that wait to be numbered take at most such a share of it.
_WAITING_SHARE = 4
# The database takes at most such a one before it goes to disk.
_DATABASE_SHARE = 2
# And what parts of expressions came to at most such a one.
_MEMO_SHARE = 8


def open_engine(
    project: Project,
    root: Path,
    cache: Path,
    key: bytes | None = None,
    keys: Keys | None = None,
    erased: Erased = NOBODY_ERASED,
    queries: Queries = NO_QUERIES,
    memory_bytes: int = MEMORY_BYTES,
) -> DuckEngine:
    """The embedded engine over the files below `root`.

    `cache`: a folder that the engine may fill, made at the first write. `key`: for fingerprints, at least
    16 bytes; without it, one that is kept in the cache. `keys` close the cache, which must be closed already
    (`cache.reseal`). `erased`: people who are in no set, whatever the files say.
    `queries`: what tables with `query:` may be read from. `memory_bytes`: about how much reading may take at a time;
    what DuckDB does not hold in it goes to disk.
    """
    return DuckEngine(project, root, cache, key, keys, erased, memory_bytes, queries=queries)


@dataclass(slots=True)
class DuckEngine:
    """Implements the port `audsql.data.engine.Engine`."""

    project: Project
    root: Path
    cache: Path
    key: bytes | None = None
    keys: Keys | None = None
    erased: Erased = NOBODY_ERASED
    memory_bytes: int = MEMORY_BYTES
    dictionaries: dict[IdKind, Dictionary] = field(default_factory=dict)
    fingerprints: dict[tuple[str, bytes], str] = field(default_factory=dict)
    buckets: dict[tuple[IdKind, str], Buckets] = field(default_factory=dict)
    buckets_to_keep: set[tuple[IdKind, str]] = field(default_factory=set)
    # The last time of each table, by its digest, as the cache has it: every leaf with a window asks for it.
    latest: dict[str, int | None] = field(default_factory=dict)
    packs: dict[str, kept.Pack] = field(default_factory=dict)
    queries: Queries = NO_QUERIES
    memo: Memo = field(init=False)
    stamps: Stamps | None = None

    def __post_init__(self) -> None:
        self.memo = Memo(self.memory_bytes // _MEMO_SHARE)

    def materialise(
        self, atoms: Sequence[Atom], as_of: datetime, pinned: Mapping[str, str] | None = None
    ) -> tuple[Materialised, tuple[Diagnostic, ...]]:
        """See the port. Atoms that are not own data are passed over."""
        batch = Batch()
        own = [atom for atom in atoms if atom.world == "own"]
        by_source: dict[str, dict[str, Atom]] = {}
        for atom in with_parts(own):
            if isinstance(atom, Uploaded | Rows | Linked | Mapped | Followers):
                by_source.setdefault(source_name(atom), {})[atom.key] = atom
        for number, name in enumerate(sorted(by_source), 1):
            tell(Step("source", name, number, len(by_source)))
            declared = declared_source(self.project, name)
            of_source = [by_source[name][key] for key in sorted(by_source[name])]
            _take_source(self, batch, declared, of_source, as_of, (pinned or {}).get(name))
        _take_waiting(self, batch)
        links = {key: one.links for key, one in sorted(batch.links.items())}
        derived = _derive(self, own, {key: one.people for key, one in batch.found.items()}, links, {})
        keep(self, batch)
        tell(Step("end"))
        found = {name: batch.found[name] for name in sorted(batch.found)}
        everything: list[Found | FoundLinks] = [batch.links[key] for key in sorted(batch.links)]
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

    def rows(
        self,
        table: str,
        columns: Sequence[RowColumn] | None,
        as_of: datetime,
        pinned: Mapping[str, str] | None = None,
        account: str = "",
    ) -> tuple[TableRows | None, tuple[Diagnostic, ...]]:
        return read_rows(_place(self), table, columns, as_of, pinned or {}, account)

    def codes(self, pool: CodePool, as_of: datetime) -> tuple[Codes | None, tuple[Diagnostic, ...]]:
        return read_codes(_place(self), pool, as_of)

    def derive(
        self,
        atoms: Sequence[Atom],
        people: Mapping[str, People],
        read: Materialised,
        beside: Mapping[str, PeopleSet] | None = None,
    ) -> Mapping[str, People]:
        return _derive(self, atoms, people, read.links, beside or {}).people

    def evaluate(self, expression: Expression, people: Mapping[str, People]) -> PeopleSet:
        return evaluate(expression, people, memo=self.memo)

    def count(self, people: PeopleSet) -> int:
        return len(people.bits)

    def members(self, people: PeopleSet) -> Iterator[str]:
        """The ids in ascending order."""
        for some in self.id_lines(people):
            yield from some.decode("utf-8").split("\n")[:-1]

    def id_lines(self, people: PeopleSet) -> Iterator[bytes]:
        """The ids in ascending order, each with a line feed, in pieces: much faster than `members`."""
        if people.kind is not None:
            yield from id_lines(dictionary_of(self, people.kind), people)

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
            block = id_bytes(dictionary_of(self, people.kind), people)
        try:
            header = {"format": 1, "kind": people.kind, "count": len(people.bits)}
            store.write_entry(_set_path(self, name), header, [block], sync=True, keys=self.keys)
        except OSError as failure:
            raise EngineFailure(write_failure(failure)) from None

    def load(self, name: str) -> PeopleSet | None:
        entry = store.read_entry(_set_path(self, name), self.keys)
        if entry is None or entry.header.get("format") != 1:
            return None
        kind: IdKind | None = entry.header["kind"]
        if kind is None:
            return PeopleSet(None, BitMap())
        dictionary = dictionary_of(self, kind)
        numbers = encode(dictionary, ids_from(kind, bytes(entry.blocks[0])), admitted_too=True)
        return PeopleSet(kind, bits_of(numbers[numbers != ERASED]))

    def loaded(self, names: Sequence[str]) -> Iterator[tuple[str, PeopleSet | None]]:
        return loaded(self, names)


def _place(engine: DuckEngine) -> Rowwise:
    """Where rows and codes are read from."""
    return Rowwise(engine.project, engine.root, engine.cache, engine.keys, engine.erased, engine.queries,
                   _database_bytes(engine))  # fmt: skip


# --- one source -------------------------------------------------------------------------------------


def _take_source(
    engine: DuckEngine, batch: Batch, declared: Declared, atoms: Sequence[Atom], as_of: datetime, pinned: str | None
) -> None:
    span = declared.form.span if declared.form else (declared.upload.span if declared.upload else None)
    wanted, problems = wanted_of(declared, atoms, as_of)
    links = sorted({link_of(atom) for atom in atoms if isinstance(atom, Mapped)})
    batch.problems += problems
    known = known_result(declared, span, pinned, engine.queries, engine.cache, engine.keys)
    if known.digest is not None:
        left = _take_cached(engine, batch, declared, wanted, links, known.digest, known.newest)
        if not left:
            batch.problems += known.notes
            return
    if known.missing is not None:
        batch.problems.append(known.missing)
        return
    stamp = None if declared.query or declared.friends_of else stamp_of(engine.root / declared.folder, declared.file)
    if _is_unchanged(engine, batch, declared, wanted, links, stamp, pinned):
        return
    content = _content(engine, batch, declared, span, as_of)
    digest = None if isinstance(content, Diagnostic) else source_digest(content, declared)
    if stamp is not None and isinstance(content, Content):
        after = stamp_of(engine.root / declared.folder, declared.file)
        take_stamp(stamps_of(engine), _stamp_name(declared), stamp, after, content)
    if pinned is not None and digest != pinned:
        _take_cached(engine, batch, declared, wanted, links, pinned, None)
        return
    if isinstance(content, Diagnostic):
        batch.problems.append(content)
        return
    assert digest is not None
    missing = []
    for one in wanted:
        found = cached(engine, declared, one, digest, content.modified)
        if found is None:
            missing.append(one)
        else:
            batch.found[one.key] = found
    links = cached_links(engine, batch, declared, links, digest, content.modified)
    if missing or links:
        _read(engine, batch, declared, missing, links, content, digest)


def _is_unchanged(
    engine: DuckEngine,
    batch: Batch,
    declared: Declared,
    wanted: Sequence[Wanted],
    links: Sequence[LinkKey],
    stamp: Stamp | None,
    pinned: str | None,
) -> bool:
    """Whether a file is as it was and all that is wanted of it was taken from the cache."""
    known = digest_of(stamps_of(engine), _stamp_name(declared), stamp)
    if stamp is None or known is None:
        return False
    digest = source_digest(Content(declared.file, b"", known, stamp.modified), declared)
    return pinned in (None, digest) and not _take_cached(engine, batch, declared, wanted, links, digest, stamp.modified)


def _stamp_name(declared: Declared) -> str:
    return f"{declared.folder}\0{declared.file}"


def _told_rows(rows: int, size_bytes: int) -> None:
    tell(Step("read", rows=rows, size_bytes=size_bytes))


def _content(
    engine: DuckEngine, batch: Batch, declared: Declared, span: Span | None, as_of: datetime
) -> Content | Diagnostic:
    try:
        content = source_content(engine.root, declared, span, engine.queries, engine.cache, as_of, _told_rows)
    except OSError as failure:
        return write_failure(failure)
    if isinstance(content, Content):
        tell(Step("read", size_bytes=len(content.data)))
    if declared.query and isinstance(content, Content):
        batch.keep_results.append((declared, replace(content, data=b"")))
    return content


def _take_cached(
    engine: DuckEngine,
    batch: Batch,
    declared: Declared,
    wanted: Sequence[Wanted],
    links: Sequence[LinkKey],
    digest: str,
    modified: datetime | None,
) -> bool:
    """Take what the cache holds of a source of this digest; whether something is not there."""
    missing = False
    for one in wanted:
        found = cached(engine, declared, one, digest, modified)
        if found is None:
            missing = True
        else:
            batch.found[one.key] = found
    return bool(cached_links(engine, batch, declared, links, digest, modified)) or missing


def _read(
    engine: DuckEngine,
    batch: Batch,
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
    tell(Step("evaluate", rows=read.shape.records, size_bytes=len(content.data)))
    facts = SourceFacts(declared.name, declared.kind, digest, read.shape.records, 0, 0, read.encoding, content.modified)
    for key in links:
        _read_links(engine, batch, declared, key, read.shape, facts)
    for id_column in sorted({one.id for one in wanted}):
        leaves = {one.leaf.key: one.leaf for one in wanted if one.id == id_column}
        try:
            with store.scratch_folder(engine.cache) as scratch:
                result = evaluate_table(
                    read.shape, declared.form, id_column, list(leaves.values()), scratch, _database_bytes(engine)
                )
        except OSError as failure:
            batch.problems.append(write_failure(failure))
            return
        batch.problems += result.diagnostics
        if result.ids is None:
            return
        numbers = numbered(engine, declared, id_column[0], result.ids)
        known = numbers != ERASED
        facts = replace(facts, people=int(known.sum()), blank_ids=result.blank_ids)
        facts, notes = table_notes(declared, facts)
        latest: int | Literal["unknown"] | None = "unknown"
        if any(isinstance(row, Window) for leaf in leaves.values() for row in leaf.rows):
            latest = batch.latest[digest] = result.latest
        for one in wanted:
            if one.id == id_column:
                people = PeopleSet(id_column[0], bits_of(numbers[result.truth[one.leaf.key] & known]))
                leaf = one.leaf if latest == "unknown" else open_ended(one.leaf, latest)
                _put(batch, replace(one, leaf=leaf), Found(facts, people, notes), digest)


def _database_bytes(engine: DuckEngine) -> int:
    """What the database may take: the file itself is in memory beside it."""
    return engine.memory_bytes // _DATABASE_SHARE


def _read_links(
    engine: DuckEngine, batch: Batch, declared: Declared, key: LinkKey, shape: Sheet, facts: SourceFacts
) -> None:
    form, (_, kind, to) = declared.form, key
    assert form is not None
    columns = dict(form.ids)
    try:
        with store.scratch_folder(engine.cache) as scratch:
            given, found = (kind, columns[kind]), (to, columns[to])
            result = read_pairs(shape, form, given, found, scratch, _database_bytes(engine))
    except OSError as failure:
        batch.problems.append(write_failure(failure))
        return
    batch.problems += result.diagnostics
    if result.given is None or result.found is None:
        return
    if facts.rows and not len(result.given):
        batch.problems.append(error("AUD1052", form.span, table=form.name, given=kind, found=to, count=facts.rows))
        return
    both = np.stack([numbered(engine, declared, kind, result.given), numbered(engine, declared, to, result.found)])
    pairs = np.unique(both[:, (both != ERASED).all(axis=0)], axis=1)
    links = Links(np.ascontiguousarray(pairs[0]), np.ascontiguousarray(pairs[1]))
    facts = replace(facts, people=len(np.unique(links.found)), blank_ids=result.blank_ids)
    facts, notes = table_notes(declared, facts)
    batch.links[key] = FoundLinks(facts, links, notes)
    batch.keep_links.append((links_name(declared, key, facts.digest), key))


def _derive(
    engine: DuckEngine,
    atoms: Sequence[Atom],
    people: Mapping[str, People],
    links: Mapping[LinkKey, Links],
    beside: Mapping[str, PeopleSet],
) -> Derived:
    def buckets_of(kind: IdKind, salt: str, numbers: NDArray[np.uint32]) -> Buckets:
        known = known_buckets(engine, kind, salt)
        result = extended(known, dictionary_of(engine, kind), salt, numbers)
        if result is not known:
            engine.buckets[kind, salt] = result
            engine.buckets_to_keep.add((kind, salt))
        return result

    return derive(atoms, people, links, buckets_of, beside)


def _read_list(
    engine: DuckEngine, batch: Batch, declared: Declared, wanted: Sequence[Wanted], content: Content, digest: str
) -> None:
    upload = declared.upload
    assert upload is not None
    read = read_list(content, upload, region_of(engine.project, upload.account))
    if read.ids is None:
        batch.problems += read.diagnostics
        return
    waiting = Waiting(declared, wanted, digest, replace(read, ids=None), content.modified)
    if upload.id_kind != "user_id" or engine.erased.mark:
        numbers = numbered(engine, declared, upload.id_kind, read.ids)
        _take_list(batch, waiting, upload.id_kind, numbers[numbers != ERASED])
        return
    batch.waiting.append((waiting, (read.ids.high, read.ids.low)))
    batch.waiting_bytes += read.ids.high.nbytes + read.ids.low.nbytes
    if batch.waiting_bytes > engine.memory_bytes // _WAITING_SHARE:
        _take_waiting(engine, batch)


def _take_waiting(engine: DuckEngine, batch: Batch) -> None:
    """Number the user ids of the lists that were read, all at once: the dictionary grows by one run."""
    if batch.waiting:
        numbers = encode_sets(dictionary_of(engine, "user_id"), [words for _, words in batch.waiting])
        for (waiting, _), found in zip(batch.waiting, numbers, strict=True):
            _take_list(batch, waiting, "user_id", found)
        batch.waiting.clear()
        batch.waiting_bytes = 0


def _take_list(batch: Batch, waiting: Waiting, kind: IdKind, numbers: NDArray[np.uint32]) -> None:
    people, read, declared = PeopleSet(kind, bits_of(numbers)), waiting.read, waiting.declared
    count, repeated = len(people.bits), read.rows - len(people.bits)
    facts = SourceFacts(
        declared.name, "upload", waiting.digest, read.rows, count, repeated, read.encoding, waiting.modified
    )
    for one in waiting.wanted:
        _put(batch, one, Found(facts, people, read.diagnostics), waiting.digest)


def _put(batch: Batch, one: Wanted, found: Found, digest: str) -> None:
    batch.found[one.key] = found
    batch.keep.append((leaf_name(one, digest), found))


def _distinct(problems: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.sort_key))


# --- keys and folders -------------------------------------------------------------------------------


def _fingerprint(engine: DuckEngine, people: PeopleSet, secret: bytes) -> str:
    return fingerprint_of(None if people.kind is None else dictionary_of(engine, people.kind), people, secret)


def _set_path(engine: DuckEngine, name: str) -> Path:
    return engine.cache / SETS / store.entry_name(name)


def _secret(engine: DuckEngine) -> bytes:
    engine.key = project_secret(engine.cache, engine.key)
    return engine.key
