"""The port over an engine that is elsewhere: PostgreSQL, Spark, or DuckDB as the one they are compared with.

Files are read here; people are counted and combined there. Fingerprints and kept sets are those of the embedded
engine, so a project may change its engine from one command to the next. Nothing is remembered between commands but
kept sets: they stand in the local cache, under the project's key.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path

from audsql.data import cache as store
from audsql.data.alike import keep_out_of_git, project_secret, source_digest, write_failure
from audsql.data.code_pools import Codes, read_codes
from audsql.data.content import Content
from audsql.data.declared import Declared, Wanted, declared_source, source_name, wanted_of
from audsql.data.derived import link_of
from audsql.data.engine import EngineFailure, LinkKey, Materialised, RowColumn, TableRows
from audsql.data.erased import NOBODY_ERASED, Erased, is_erased
from audsql.data.fingerprint import ids_from, keyed_digest
from audsql.data.keys import Keys
from audsql.data.queried import NO_QUERIES, Queries, known_result, source_content
from audsql.data.remote.backend import Backend
from audsql.data.remote.derived import BucketTables, derive
from audsql.data.remote.emitter import difference
from audsql.data.remote.reading import Found, FoundLinks, Reading, id_texts_of, read_source
from audsql.data.remote.session import RemoteSession, id_pieces
from audsql.data.remote.sets import NOBODY, People, RemoteSet, evaluate, kind_of_both, whole_union
from audsql.data.rowwise import Rowwise, read_rows
from audsql.diag import Diagnostic
from audsql.meaning.ir import Atom, CodePool, Expression, Followers, IdKind, Linked, Mapped, Project, Rows, Uploaded
from audsql.meaning.lineage import with_parts
from audsql.records import dataclass
from audsql.source import Span

__all__ = ["RemoteEngine", "open_remote"]


# Sets are held elsewhere; here are only the rows of one table at a time.
_ROWS_BYTES = 1 << 30


def open_remote(
    backend: Backend,
    project: Project,
    root: Path,
    cache: Path,
    key: bytes | None = None,
    keys: Keys | None = None,
    erased: Erased = NOBODY_ERASED,
    queries: Queries = NO_QUERIES,
) -> RemoteEngine:
    """An engine over a session that is open; it is closed with the engine. The rest as `duckdb.open_engine`."""
    engine = RemoteEngine(RemoteSession(backend), project, root, cache, key, keys, erased, queries)
    weakref.finalize(engine, backend.close)
    return engine


@dataclass(eq=False)
class RemoteEngine:
    """Implements the port `audsql.data.engine.Engine`."""

    session: RemoteSession
    project: Project
    root: Path
    cache: Path
    key: bytes | None = None
    keys: Keys | None = None
    erased: Erased = NOBODY_ERASED
    queries: Queries = NO_QUERIES
    buckets: BucketTables = field(default_factory=dict)
    fingerprints: dict[tuple[RemoteSet, bytes], str] = field(default_factory=dict)
    # What was read in this session, by source and digest: the second look at a file ships nothing again.
    read: dict[tuple[str, str, tuple[IdKind, str], str], Found] = field(default_factory=dict)
    read_links: dict[tuple[str, LinkKey], FoundLinks] = field(default_factory=dict)
    # Erased people whom a list names that only takes people away, by kind.
    admitted: dict[IdKind, set[str]] = field(default_factory=dict)

    def materialise(
        self, atoms: Sequence[Atom], as_of: datetime, pinned: Mapping[str, str] | None = None
    ) -> tuple[Materialised, tuple[Diagnostic, ...]]:
        """See the port. What a pinned digest stood for is known only to the session that read it."""
        reading = Reading(self.session, self.project, self.cache, self.erased)
        own = [atom for atom in atoms if atom.world == "own"]
        by_source: dict[str, dict[str, Atom]] = {}
        for atom in with_parts(own):
            if isinstance(atom, Uploaded | Rows | Linked | Mapped | Followers):
                by_source.setdefault(source_name(atom), {})[atom.key] = atom
        try:
            for name in sorted(by_source):
                of_source = [by_source[name][key] for key in sorted(by_source[name])]
                _take_source(self, reading, declared_source(self.project, name), of_source, as_of, pinned or {})
            return _materialised(self, reading, own)
        except EngineFailure as failure:
            return Materialised({}, {}, {}), (*_distinct(reading.problems), failure.diagnostic)

    def rows(
        self,
        table: str,
        columns: Sequence[RowColumn] | None,
        as_of: datetime,
        pinned: Mapping[str, str] | None = None,
        account: str = "",
    ) -> tuple[TableRows | None, tuple[Diagnostic, ...]]:
        """See the port. Rows are read here, as every file is, and do not travel."""
        return read_rows(_place(self), table, columns, as_of, pinned or {}, account)

    def codes(self, pool: CodePool, as_of: datetime) -> tuple[Codes | None, tuple[Diagnostic, ...]]:
        return read_codes(_place(self), pool, as_of)

    def derive(
        self,
        atoms: Sequence[Atom],
        people: Mapping[str, People],
        read: Materialised,
        beside: Mapping[str, RemoteSet] | None = None,
    ) -> Mapping[str, People]:
        return derive(self.session, self.buckets, atoms, people, read.links, beside or {}).people

    def evaluate(self, expression: Expression, people: Mapping[str, People]) -> RemoteSet:
        return evaluate(expression, people, self.session.keep)

    def count(self, people: RemoteSet) -> int:
        return self.session.count(people)

    def members(self, people: RemoteSet) -> Iterator[str]:
        """The ids in ascending order."""
        return self.session.ids(people)

    def holds(self, people: RemoteSet, kind: IdKind, text: str) -> bool | None:
        """Whether the person of an id, as its kind is written, is in a set; None of a set of other ids."""
        if people.kind not in (None, kind):
            return None
        if people.statement is None:
            return False
        sql = f"SELECT count(*) AS n FROM ({people.statement.sql}) AS s WHERE person = ?"
        return self.session.number(sql, (*people.statement.values, text)) > 0

    def union(self, left: RemoteSet, right: RemoteSet) -> RemoteSet:
        return _named(self, whole_union([left, right], self.session.keep))

    def delta(self, before: RemoteSet, after: RemoteSet) -> tuple[RemoteSet, RemoteSet]:
        return _less(self, after, before), _less(self, before, after)

    def fingerprint(self, people: RemoteSet) -> str:
        """That of the embedded engine: `audsql.data.fingerprint.keyed_digest`."""
        self.key = project_secret(self.cache, self.key)
        return _fingerprint(self, people, self.key)

    def is_fingerprint(self, people: RemoteSet, known: str) -> bool:
        if self.fingerprint(people) == known:
            return True
        older = self.keys.secrets[1:] if self.keys else ()
        return any(_fingerprint(self, people, key) == known for key in older)

    def save(self, name: str, people: RemoteSet) -> None:
        block = b""
        if people.kind is not None:
            block = b"".join(id_pieces(people.kind, self.session.ids(people)))
        try:
            keep_out_of_git(self.cache)
            header = {"format": 1, "kind": people.kind, "count": self.count(people)}
            store.write_entry(_set_path(self, name), header, [block], sync=True, keys=self.keys)
        except OSError as failure:
            raise EngineFailure(write_failure(failure)) from None

    def load(self, name: str) -> RemoteSet | None:
        entry = store.read_entry(_set_path(self, name), self.keys)
        if entry is None or entry.header.get("format") != 1:
            return None
        kind: IdKind | None = entry.header["kind"]
        if kind is None:
            return NOBODY
        ids = ids_from(kind, bytes(entry.blocks[0]))
        texts, gone = id_texts_of(ids), is_erased(self.erased, ids).tolist()
        known = self.admitted.get(kind, set())
        kept = [text for text, erased in zip(texts, gone, strict=True) if not erased or text in known]
        return RemoteSet(kind, self.session.load_ids(kept))

    def loaded(self, names: Sequence[str]) -> Iterator[tuple[str, RemoteSet | None]]:
        return ((name, self.load(name)) for name in names)


def _place(engine: RemoteEngine) -> Rowwise:
    """Where rows and codes are read from."""
    return Rowwise(engine.project, engine.root, engine.cache, engine.keys, engine.erased, engine.queries,
                   _ROWS_BYTES)  # fmt: skip


# --- one source -------------------------------------------------------------------------------------


def _take_source(
    engine: RemoteEngine,
    reading: Reading,
    declared: Declared,
    atoms: Sequence[Atom],
    as_of: datetime,
    pinned: Mapping[str, str],
) -> None:
    span = declared.form.span if declared.form else (declared.upload.span if declared.upload else None)
    wanted, problems = wanted_of(declared, atoms, as_of)
    links = sorted({link_of(atom) for atom in atoms if isinstance(atom, Mapped)})
    reading.problems += problems
    pin = pinned.get(declared.name)
    known = known_result(declared, span, pin, engine.queries, engine.cache, engine.keys)
    if known.digest is not None and not any(
        _take_known(engine, reading, declared, wanted, links, known.digest, known.newest)
    ):
        reading.problems += known.notes
        return
    if known.missing is not None:
        reading.problems.append(known.missing)
        return
    content = _content(engine, declared, span, as_of)
    digest = None if isinstance(content, Diagnostic) else source_digest(content, declared)
    if pin is not None and digest != pin:
        _take_known(engine, reading, declared, wanted, links, pin, None)
        return
    if isinstance(content, Diagnostic):
        reading.problems.append(content)
        return
    assert digest is not None
    missing, unread = _take_known(engine, reading, declared, wanted, links, digest, content.modified)
    if not missing and not unread:
        return
    read_source(reading, declared, missing, unread, content)
    for one in missing:
        if one.key in reading.found:
            engine.read[declared.name, digest, one.id, one.leaf.key] = reading.found[one.key]
            _admit(engine, reading, declared, one)
    engine.read_links |= {(digest, key): reading.links[key] for key in unread if key in reading.links}


def _content(engine: RemoteEngine, declared: Declared, span: Span | None, as_of: datetime) -> Content | Diagnostic:
    try:
        return source_content(engine.root, declared, span, engine.queries, engine.cache, as_of)
    except OSError as failure:
        return write_failure(failure)


def _take_known(
    engine: RemoteEngine,
    reading: Reading,
    declared: Declared,
    wanted: Sequence[Wanted],
    links: Sequence[LinkKey],
    digest: str,
    modified: datetime | None,
) -> tuple[list[Wanted], list[LinkKey]]:
    """Take what the session read of the source of this digest; the others."""
    missing, unread = [], []
    for one in wanted:
        found = engine.read.get((declared.name, digest, one.id, one.leaf.key))
        if found is None:
            missing.append(one)
        else:
            reading.found[one.key] = replace(found, facts=replace(found.facts, modified=modified))
    for key in links:
        linked = engine.read_links.get((digest, key))
        if linked is None:
            unread.append(key)
        else:
            reading.links[key] = replace(linked, facts=replace(linked.facts, modified=modified))
    return missing, unread


def _admit(engine: RemoteEngine, reading: Reading, declared: Declared, one: Wanted) -> None:
    """Note the erased people of a list that only takes people away: kept sets may name them again."""
    if not engine.erased.mark or declared.name not in engine.erased.suppressing:
        return
    engine.admitted.setdefault(one.id[0], set()).update(engine.session.ids(reading.found[one.key].people))


def _materialised(
    engine: RemoteEngine, reading: Reading, own: Sequence[Atom]
) -> tuple[Materialised, tuple[Diagnostic, ...]]:
    links = {key: one.table for key, one in sorted(reading.links.items())}
    base = {key: one.people for key, one in reading.found.items()}
    derived = derive(engine.session, engine.buckets, own, base, links, {})
    found = {name: reading.found[name] for name in sorted(reading.found)}
    everything: list[Found | FoundLinks] = [reading.links[key] for key in sorted(reading.links)]
    everything += found.values()
    sources = {one.facts.name: one.facts for one in everything}
    people: dict[str, People] = {**{key: one.people for key, one in found.items()}, **derived.people}
    return (
        Materialised(
            {name: sources[name] for name in sorted(sources)},
            {key: people[key] for key in sorted(people)},
            {name: one.facts.digest for name, one in found.items()},
            {key: derived.losses[key] for key in sorted(derived.losses)},
            links,
        ),
        _distinct([*reading.problems, *(note for one in everything for note in one.warnings)]),
    )


def _distinct(problems: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.sort_key))


# --- sets -------------------------------------------------------------------------------------------


def _named(engine: RemoteEngine, people: RemoteSet) -> RemoteSet:
    if people.statement is None or people.statement.weight == 1:
        return people
    return RemoteSet(people.kind, engine.session.keep(people.statement))


def _less(engine: RemoteEngine, left: RemoteSet, right: RemoteSet) -> RemoteSet:
    kind = kind_of_both(left, right)
    if left.statement is None or right.statement is None or left.statement == right.statement:
        return RemoteSet(kind, None if left.statement == right.statement else left.statement)
    return RemoteSet(kind, engine.session.keep(difference(left.statement, right.statement)))


def _fingerprint(engine: RemoteEngine, people: RemoteSet, secret: bytes) -> str:
    memo = (people, secret)
    if memo not in engine.fingerprints:
        ids = () if people.kind is None else id_pieces(people.kind, engine.session.ids(people))
        engine.fingerprints[memo] = keyed_digest(people.kind, engine.count(people), ids, secret)
    return engine.fingerprints[memo]


def _set_path(engine: RemoteEngine, name: str) -> Path:
    return engine.cache / "sets" / store.entry_name(name)
