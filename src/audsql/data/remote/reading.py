"""Sources as tables of an engine: read here by the strict readers, and shipped as values.

The files, their diagnostics, spellings, kinds, times and digests are those of the embedded engine: the same functions
read them. What travels is the id of a row and the columns that conditions ask for; rows are taken away again as soon
as it is known whom each condition names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import numpy as np

from audsql.data import cache as store
from audsql.data.alike import keep_out_of_git, source_digest, table_notes, write_failure
from audsql.data.content import Content
from audsql.data.declared import Declared, Wanted, region_of
from audsql.data.engine import LinkKey, SourceFacts
from audsql.data.erased import Erased, is_erased
from audsql.data.ids import Ids, user_id_texts
from audsql.data.leaves import Leaf, Naming
from audsql.data.lists import read_list
from audsql.data.remote.backend import Piece
from audsql.data.remote.emitter import Statement, columns_of, leaf_table
from audsql.data.remote.session import RemoteSession
from audsql.data.remote.sets import RemoteSet
from audsql.data.sheet import Sheet
from audsql.data.tables import read_pairs, read_table, typed_rows
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import IdKind, Project
from audsql.records import dataclass

__all__ = ["Found", "FoundLinks", "Reading", "id_texts_of", "read_source"]

LEAVES_PER_QUERY = 64
"""PostgreSQL has 1,600 columns at most and Spark plans many columns slowly; one pass over the rows serves this many."""


@dataclass(frozen=True, slots=True)
class Found:
    facts: SourceFacts
    people: RemoteSet
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundLinks:
    """A linkage as a table with the columns `given` and `found`, each pair once."""

    facts: SourceFacts
    table: str
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(slots=True)
class Reading:
    """What one call reads, and where: atoms by key, linkages, problems."""

    session: RemoteSession
    project: Project
    cache: Path
    erased: Erased
    found: dict[str, Found] = field(default_factory=dict)
    links: dict[LinkKey, FoundLinks] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)

    def hidden(self, declared: Declared) -> Erased | None:
        """Who is left out of a source: whoever was erased, unless the source only takes people away."""
        return None if not self.erased.mark or declared.name in self.erased.suppressing else self.erased


def read_source(
    reading: Reading, declared: Declared, wanted: Sequence[Wanted], links: Sequence[LinkKey], content: Content
) -> None:
    """Read a source and ship what is wanted of it. Raises EngineFailure."""
    digest = source_digest(content, declared)
    if declared.form is None:
        _read_list(reading, declared, wanted, content, digest)
        return
    read = read_table(content, declared.form)
    reading.problems += read.diagnostics
    if read.shape is None:
        return
    rows, when = read.shape.records, content.modified
    facts = SourceFacts(declared.name, declared.kind, digest, rows, 0, 0, read.encoding, when)
    try:
        keep_out_of_git(reading.cache)
        with store.scratch_folder(reading.cache) as scratch:
            for key in links:
                _read_links(reading, declared, key, read.shape, facts, scratch)
            for id_column in sorted({one.id for one in wanted}):
                chosen = [one for one in wanted if one.id == id_column]
                _read_leaves(reading, declared, id_column, chosen, read.shape, facts, scratch)
    except OSError as failure:
        reading.problems.append(write_failure(failure))


def _read_list(reading: Reading, declared: Declared, wanted: Sequence[Wanted], content: Content, digest: str) -> None:
    upload = declared.upload
    assert upload is not None
    read = read_list(content, upload, region_of(reading.project, upload.account))
    if read.ids is None:
        reading.problems += read.diagnostics
        return
    ids = _seen(read.ids, reading.hidden(declared))
    people = RemoteSet(upload.id_kind, reading.session.load_ids(ids))
    rows, count = read.rows, len({*ids})
    facts = SourceFacts(upload.name, "upload", digest, rows, count, rows - count, read.encoding, content.modified)
    for one in wanted:
        reading.found[one.key] = Found(facts, people, read.diagnostics)


# --- tables ---------------------------------------------------------------------------------------


def _read_leaves(
    reading: Reading,
    declared: Declared,
    id_column: tuple[IdKind, str],
    wanted: Sequence[Wanted],
    shape: Sheet,
    facts: SourceFacts,
    scratch: Path,
) -> None:
    form = declared.form
    assert form is not None
    leaves = {one.leaf.key: one.leaf for one in wanted}
    people: dict[str, Statement] = {}

    def take(naming: Naming, names: Sequence[str], pieces: Iterator[list[tuple[Any, ...]]]) -> None:
        seen = _seen_rows(pieces, id_column[0], reading.hidden(declared))
        people.update(_ship(reading.session, list(leaves.values()), naming, names, seen))

    blank, problems = typed_rows(shape, form, id_column, list(leaves.values()), scratch, take)
    reading.problems += problems
    if blank is None:
        return
    everybody = RemoteSet(id_column[0], people[""])
    facts = replace(facts, people=reading.session.count(everybody), blank_ids=blank)
    facts, notes = table_notes(declared, facts)
    for one in wanted:
        reading.found[one.key] = Found(facts, RemoteSet(id_column[0], people[one.leaf.key]), notes)


def _ship(
    session: RemoteSession, leaves: Sequence[Leaf], naming: Naming, names: Sequence[str], pieces: Iterable[Piece]
) -> dict[str, Statement]:
    """The people of each leaf by its key, everybody under the empty one."""
    rows, found = session.new_name(), dict[str, Statement]()
    session.backend.load(rows, columns_of(names), pieces)
    for begin in range(0, len(leaves), LEAVES_PER_QUERY):
        part = leaves[begin : begin + LEAVES_PER_QUERY]
        table = session.keep_rows(leaf_table(rows, part, naming))
        found[""] = Statement(f"SELECT person FROM {table}")
        for at, leaf in enumerate(part):
            found[leaf.key] = Statement(f"SELECT person FROM {table} WHERE a{at}")
    session.backend.drop(rows)
    return found


def _read_links(
    reading: Reading, declared: Declared, key: LinkKey, shape: Sheet, facts: SourceFacts, scratch: Path
) -> None:
    form, (_, kind, to), session = declared.form, key, reading.session
    assert form is not None
    columns = dict(form.ids)
    result = read_pairs(shape, form, (kind, columns[kind]), (to, columns[to]), scratch)
    reading.problems += result.diagnostics
    if result.given is None or result.found is None:
        return
    if facts.rows and not len(result.given):
        reading.problems.append(error("AUD1052", form.span, table=form.name, given=kind, found=to, count=facts.rows))
        return
    hidden = reading.hidden(declared)
    sides = [zip(id_texts_of(ids), _gone(ids, hidden), strict=True) for ids in (result.given, result.found)]
    pairs = ((given, found) for (given, left), (found, right) in zip(*sides, strict=True) if not left and not right)
    table = session.new_name()
    session.backend.load(table, (("given", "text"), ("found", "text")), (list(dict.fromkeys(pairs)),))
    people = session.number(f"SELECT count(DISTINCT found) AS n FROM {table}")
    facts, notes = table_notes(declared, replace(facts, people=people, blank_ids=result.blank_ids))
    reading.links[key] = FoundLinks(facts, table, notes)


# --- ids ------------------------------------------------------------------------------------------


def id_texts_of(ids: Ids) -> list[str]:
    """Ids as they are written, in the order given."""
    return user_id_texts(ids.high, ids.low) if ids.kind == "user_id" else list(ids.texts)


def _seen(ids: Ids, hidden: Erased | None) -> list[str]:
    return [text for text, gone in zip(id_texts_of(ids), _gone(ids, hidden), strict=True) if not gone]


def _gone(ids: Ids, hidden: Erased | None) -> list[bool]:
    found: list[bool] = np.zeros(len(ids), bool).tolist() if hidden is None else is_erased(hidden, ids).tolist()
    return found


def _seen_rows(pieces: Iterable[Piece], kind: IdKind, hidden: Erased | None) -> Iterator[Piece]:
    for piece in pieces:
        if hidden is None:
            yield piece
            continue
        ids = ids_written(kind, [row[0] for row in piece])
        yield [row for row, gone in zip(piece, _gone(ids, hidden), strict=True) if not gone]


def ids_written(kind: IdKind, texts: Sequence[str]) -> Ids:
    """Ids from what `id_texts_of` wrote."""
    none = np.empty(0, np.uint64)
    if kind != "user_id":
        return Ids(kind, none, none, tuple(texts))
    words = np.frombuffer(bytes.fromhex("".join(text[1:] for text in texts)), ">u8").reshape(-1, 2).astype(np.uint64)
    return Ids(kind, words[:, 0].copy(), words[:, 1].copy())
