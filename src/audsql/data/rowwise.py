"""Tables row by row: the rows of a table with the LINE user IDs that they belong to, wanted columns typed.

Where sets of people do not do: what a message says to each of them, and what happened in a row. Files are read here by
the strict readers whatever engine evaluates sets, so that a value means the same in both. Rows lie in a database of
their own that goes to disk where memory does not do, and are gone when they are closed. Rules: specs/data.md, rows.*.
"""

from __future__ import annotations

import contextlib
import unicodedata
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from audsql.data import cache as store
from audsql.data.alike import source_digest, table_notes, write_failure
from audsql.data.content import Content
from audsql.data.declared import Declared, declared_source
from audsql.data.engine import RowColumn, SourceFacts, TableRow, TableRows
from audsql.data.erased import Erased, is_erased
from audsql.data.ids import Ids, Words
from audsql.data.keys import Keys
from audsql.data.leaves import TypedColumn, microseconds
from audsql.data.parquet import ParquetShape
from audsql.data.progress import Step, tell
from audsql.data.queried import Queries, known_result, source_content
from audsql.data.sheet import Sheet
from audsql.data.tables import Form, Ready, column_problems, connect, read_pairs, read_table, ready_table
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import IdKind, Project
from audsql.meaning.types import linkages
from audsql.records import dataclass

__all__ = ["Rowwise", "read_rows"]

_PIECE = 1 << 13
_LETTERS = {"string": "x", "number": "n", "date": "t", "truth": "b"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Found = tuple[TableRows | None, tuple[Diagnostic, ...]]


@dataclass(frozen=True, slots=True)
class Rowwise:
    """Where rows are read from: what an engine has been opened with. `memory_bytes`: what the database may take."""

    project: Project
    root: Path
    cache: Path
    keys: Keys | None
    erased: Erased
    queries: Queries
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class _Source:
    """A table that was read: its rows are in `sheet`."""

    declared: Declared
    form: Form
    sheet: Sheet
    facts: SourceFacts


def read_rows(
    place: Rowwise,
    table: str,
    columns: Sequence[RowColumn] | None,
    as_of: datetime,
    pinned: Mapping[str, str],
    account: str = "",
) -> Found:
    """See the port, `Engine.rows`. Codes: as `materialise`, and AUD1132."""
    source, notes = _read(place, table, as_of, pinned)
    if source is None:
        return None, notes
    wanted = _every_column(source) if columns is None else tuple(columns)
    needed = _needed(source.form, wanted)
    problems = column_problems(source.sheet, source.form, (), needed)
    if problems:
        return None, (*notes, *problems)
    try:
        return _loaded(place, source, wanted, as_of, pinned, account, notes)
    except OSError as failure:
        return None, (*notes, write_failure(failure))


def _read(
    place: Rowwise, table: str, as_of: datetime, pinned: Mapping[str, str]
) -> tuple[_Source | None, tuple[Diagnostic, ...]]:
    """A table as it is now; None without a reason where it is not what was pinned."""
    declared = declared_source(place.project, table)
    form, pin = declared.form, pinned.get(table)
    assert form is not None
    known = known_result(declared, form.span, None, place.queries, place.cache, place.keys)
    if known.missing is not None:
        return None, (known.missing,)
    try:
        content = source_content(place.root, declared, form.span, place.queries, place.cache, as_of)
    except OSError as failure:
        return None, (write_failure(failure),)
    if isinstance(content, Diagnostic):
        return None, (content,)
    digest = source_digest(content, declared)
    if pin not in (None, digest):
        return None, ()
    return _checked(declared, form, content, digest)


def _checked(
    declared: Declared, form: Form, content: Content, digest: str
) -> tuple[_Source | None, tuple[Diagnostic, ...]]:
    read = read_table(content, form)
    if read.shape is None:
        return None, read.diagnostics
    tell(Step("evaluate", rows=read.shape.records, size_bytes=len(content.data)))
    rows, when = read.shape.records, content.modified
    facts = SourceFacts(declared.name, declared.kind, digest, rows, 0, 0, read.encoding, when)
    return _Source(declared, form, read.shape, facts), read.diagnostics


def _every_column(source: _Source) -> tuple[RowColumn, ...]:
    """All columns as text, those left out that cannot be read."""
    shapes = [part.shape for part in source.sheet.parts if isinstance(part.shape, ParquetShape)]
    names = dict.fromkeys(name for name in source.sheet.header if name)
    return tuple(RowColumn(name, "string") for name in names
                 if all(shape.is_read(shape.header.index(name)) for shape in shapes))  # fmt: skip


def _needed(form: Form, columns: Sequence[RowColumn]) -> frozenset[TypedColumn]:
    needed = {(_LETTERS[one.type], unicodedata.normalize("NFC", one.name)) for one in columns}
    if form.time_column:
        needed.add(("t", unicodedata.normalize("NFC", form.time_column)))
    return frozenset(needed)


# --- loading ----------------------------------------------------------------------------------------


def _loaded(
    place: Rowwise,
    source: _Source,
    columns: tuple[RowColumn, ...],
    as_of: datetime,
    pinned: Mapping[str, str],
    account: str,
    notes: tuple[Diagnostic, ...],
) -> Found:
    """The rows in a database; it and its folder are let go where something is wrong. Raises OSError."""
    import duckdb

    sources, form = {source.facts.name: source.facts}, source.form
    own = next((key for key in form.ids if key[0] == "user_id"), None)
    key, linkage, links = own or form.ids[0], "", None
    if own is None:
        linkage, links, linked, problems = _links(place, form, as_of, pinned, account)
        notes = (*notes, *problems)
        if links is None:
            return None, notes
        sources |= linked
    with contextlib.ExitStack() as open_things:
        scratch = open_things.enter_context(store.scratch_folder(place.cache))
        try:
            connection = open_things.enter_context(contextlib.closing(connect(scratch, place.memory_bytes)))
            problems = _fill(connection, scratch, source, key, links, columns, as_of)
            if any(problem.severity == "error" for problem in problems):
                return None, (*notes, *problems)
            facts, told = table_notes(source.declared, _counted(connection, source.facts))
        except duckdb.Error as failure:
            return None, (*notes, error("AUD1046", form.span, file=form.file, reason=type(failure).__name__))
        sources[facts.name] = facts
        rows = _Rows(columns, {name: sources[name] for name in sorted(sources)}, linkage, connection,
                     form.zone, place.erased, bool(form.time_column))  # fmt: skip
        rows.finish = weakref.finalize(rows, open_things.pop_all().close)
        return rows, (*notes, *told)


@dataclass(frozen=True, slots=True)
class _Links:
    """The pairs of a linkage: ids of the table's kind, and the user ids that stand with them."""

    given: tuple[str, ...]
    found: Ids


def _links(
    place: Rowwise, form: Form, as_of: datetime, pinned: Mapping[str, str], account: str
) -> tuple[str, _Links | None, dict[str, SourceFacts], tuple[Diagnostic, ...]]:
    """The one linkage between a table's ids and user ids; AUD1132 where there is none or several."""
    kind = form.ids[0][0]
    owner = next((one for one in place.project.accounts if one.name == account), None)
    tables = linkages(kind, "user_id", place.project.tables, owner)
    if len(tables) != 1:
        names = tuple(one.name for one in tables)
        return "", None, {}, (error("AUD1132", form.span, table=form.name, kind=kind, tables=names),)
    name = tables[0].name
    source, notes = _read(place, name, as_of, pinned)
    if source is None:
        return name, None, {}, notes
    columns = dict(source.form.ids)
    given, found = (kind, columns[kind]), ("user_id", columns["user_id"])
    keys: tuple[tuple[IdKind, str], tuple[IdKind, str]] = (given, ("user_id", found[1]))
    with store.scratch_folder(place.cache) as scratch:
        pairs = read_pairs(source.sheet, source.form, keys[0], keys[1], scratch, place.memory_bytes)
    if pairs.given is None or pairs.found is None:
        return name, None, {}, (*notes, *pairs.diagnostics)
    if source.facts.rows and not len(pairs.given):
        count = source.facts.rows
        return name, None, {}, (*notes, error("AUD1052", source.form.span, table=name, given=kind, found="user_id",
                                              count=count))  # fmt: skip
    facts = replace(source.facts, people=len({*_words(pairs.found)}), blank_ids=pairs.blank_ids)
    return name, _Links(pairs.given.texts, pairs.found), {name: facts}, (*notes, *pairs.diagnostics)


def _words(ids: Ids) -> Iterator[tuple[int, int]]:
    return zip(ids.high.tolist(), ids.low.tolist(), strict=True)


def _fill(
    connection: Any,
    scratch: Path,
    source: _Source,
    key: tuple[IdKind, str],
    links: _Links | None,
    columns: Sequence[RowColumn],
    as_of: datetime,
) -> tuple[Diagnostic, ...]:
    """The table `people_rows`: `high` and `low` of the user id, `moment` the time, `v0`, `v1`, … the wanted columns."""
    form = source.form
    values = "".join(f", CAST(NULL AS VARCHAR) AS v{number}" for number in range(len(columns)))
    if not source.sheet.records:
        connection.execute(
            "CREATE TABLE people_rows AS SELECT CAST(0 AS UBIGINT) AS high, CAST(0 AS UBIGINT) AS low,"
            f" CAST(0 AS BIGINT) AS moment{values} WHERE false"
        )
        connection.execute("CREATE TABLE typed AS SELECT 1 AS person WHERE false")
        return ()
    copy = scratch / "rows"
    try:
        ready, problems = ready_table(connection, copy, source.sheet, form, key, _needed(form, columns))
    finally:
        copy.unlink(missing_ok=True)
    if ready is None:
        return problems
    time = ready.naming.typed("t", unicodedata.normalize("NFC", form.time_column)) if form.time_column else "NULL"
    named = [ready.naming.typed(_LETTERS[one.type], unicodedata.normalize("NFC", one.name)) for one in columns]
    values = "".join(f", {name} AS v{number}" for number, name in enumerate(named))
    person, joined = _person_sql(connection, ready, links)
    until = microseconds(as_of, form.zone)
    connection.execute(
        f"CREATE TABLE people_rows AS SELECT {person}, CAST({time} AS BIGINT) AS moment{values}"
        f" FROM {ready.source} AS found {joined} WHERE found.person IS NOT NULL AND coalesce({time} <= ?, true)",
        [until],
    )
    connection.execute("DROP TABLE raw")
    return ()


def _person_sql(connection: Any, ready: Ready, links: _Links | None) -> tuple[str, str]:
    """The words of the user id of a row, and what is joined for them."""
    if links is None:
        low = f"CAST(found.person & {2**64 - 1}::UHUGEINT AS UBIGINT) AS low"
        return f"CAST(found.person >> 64 AS UBIGINT) AS high, {low}", ""
    numbers = {text: number for number, text in enumerate(ready.texts)}
    known = [number for number, text in enumerate(links.given) if text in numbers]
    given = np.array([numbers[links.given[number]] for number in known], np.uint64)
    connection.register("pairs", {"given": given, "high": links.found.high[known], "low": links.found.low[known]})
    connection.execute("CREATE TABLE linked AS SELECT DISTINCT * FROM pairs")
    connection.unregister("pairs")
    return "linked.high, linked.low", "JOIN linked ON linked.given = found.person"


def _counted(connection: Any, facts: SourceFacts) -> SourceFacts:
    people = "SELECT count(*) FROM (SELECT DISTINCT high, low FROM people_rows)"
    blank = "SELECT count(*) FROM typed WHERE person IS NULL"
    found = replace(facts, people=connection.execute(people).fetchone()[0],
                    blank_ids=connection.execute(blank).fetchone()[0])  # fmt: skip
    connection.execute("DROP TABLE typed")
    return found


# --- rows -------------------------------------------------------------------------------------------


class _Rows:
    """Implements the port `audsql.data.engine.TableRows` over a table in a database of its own."""

    def __init__(
        self,
        columns: tuple[RowColumn, ...],
        sources: Mapping[str, SourceFacts],
        linkage: str,
        connection: Any,
        zone: ZoneInfo,
        erased: Erased,
        timed: bool,
    ) -> None:
        self.columns, self.sources, self.linkage, self.timed = columns, sources, linkage, timed
        self._connection, self._zone, self._erased = connection, zone, erased
        self.finish: Any = None

    def __iter__(self) -> Iterator[TableRow]:
        cursor = self._asked("high, low", "people_rows", "high, low", self._connection.cursor())
        dates, made = self._dates(), tuple.__new__
        for piece in _pieces(cursor):
            hidden = self._hidden(*(np.array([row[at] for row in piece], np.uint64) for at in (0, 1)))
            for at, row in enumerate(piece):
                if hidden is None or not hidden[at]:
                    time, values = row[2], row[3:]
                    # As TableRow(…), at half the cost.
                    yield made(TableRow, (f"U{row[0]:016x}{row[1]:016x}", None if time is None else self._moment(time),
                                          self._dated(values, dates) if dates else values))  # fmt: skip

    def of(self, people: Sequence[str]) -> Iterator[list[TableRow]]:
        digits = bytes.fromhex("".join([one[1:] for one in people]))
        words = np.frombuffer(digits, ">u8").reshape(-1, 2).astype(np.uint64)
        high, low = words[:, 0].copy(), words[:, 1].copy()
        cursor = self._connection.cursor()
        cursor.register("given", {"rank": np.arange(len(words), dtype=np.uint64), "high": high, "low": low})
        cursor.execute("CREATE TEMP TABLE asked AS SELECT * FROM given")
        cursor.unregister("given")
        self._asked("rank", "asked JOIN people_rows USING (high, low)", "rank", cursor)
        return self._by_rank(cursor, people, self._hidden(high, low))

    def close(self) -> None:
        self.finish()

    def _asked(self, first: str, source: str, order: str, cursor: Any) -> Any:
        values = [f"v{number}" for number in range(len(self.columns))]
        chosen = ", ".join((first, "moment", *values))
        ordered = ", ".join(("moment NULLS FIRST", *values))
        return cursor.execute(f"SELECT {chosen} FROM {source} ORDER BY {order}, {ordered}")

    def _by_rank(self, cursor: Any, people: Sequence[str], hidden: Sequence[bool] | None) -> Iterator[list[TableRow]]:
        """The rows of each of these people, which come in the order of their numbers."""
        dates, made = self._dates(), tuple.__new__
        at, found = 0, list[TableRow]()
        for piece in _pieces(cursor):
            for row in piece:
                rank, time, values = row[0], row[1], row[2:]
                while at < rank:
                    yield found
                    at, found = at + 1, []
                if hidden is None or not hidden[rank]:
                    found.append(made(TableRow, (people[rank], None if time is None else self._moment(time),
                                                 self._dated(values, dates) if dates else values)))  # fmt: skip
        while at < len(people):
            yield found
            at, found = at + 1, []

    def _dates(self) -> tuple[int, ...]:
        return tuple(number for number, one in enumerate(self.columns) if one.type == "date")

    def _dated(self, values: tuple[Any, ...], dates: Sequence[int]) -> tuple[Any, ...]:
        changed = [*values]
        for number in dates:
            changed[number] = self._moment(values[number])
        return tuple(changed)

    def _moment(self, time: int | None) -> datetime | None:
        return None if time is None else (_EPOCH + timedelta(microseconds=time)).astimezone(self._zone)

    def _hidden(self, high: Words, low: Words) -> Sequence[bool] | None:
        if not self._erased.mark:
            return None
        found: list[bool] = is_erased(self._erased, Ids("user_id", high, low)).tolist()
        return found


def _pieces(cursor: Any) -> Iterator[list[tuple[Any, ...]]]:
    try:
        while piece := cursor.fetchmany(_PIECE):
            yield piece
    finally:
        cursor.close()
