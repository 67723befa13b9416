"""Files with a header: read by DuckDB under a declared dialect, checked against our own count.

DuckDB sees a private copy of the bytes that were hashed, in memory and in a folder of its own, and may
reach nothing else. Its messages print lines of the file, so they go nowhere; the name of the exception is
all that is kept. Rules: specs/data.md, tables.* and conditions.*.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from audsql.data.cells import Cells, TooMany, read_cells
from audsql.data.coded import aggregated, in_pieces, is_countable, meanings_of, number_people, truth_of, whole
from audsql.data.content import LINES_SHOWN_MAX, Content
from audsql.data.ids import Ids, bad_codes, column_of, normalise
from audsql.data.leaves import Leaf, Naming, TypedColumn, columns_needed, leaf_sql, out_of_range, values_of
from audsql.data.lists import id_problems
from audsql.data.reading import read_sheet
from audsql.data.shape import Shape
from audsql.data.sheet import Part, Sheet, load, places, unread_columns
from audsql.data.typed import absent_sql, time_sql, typed_sql
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import ColumnIn, IdKind
from audsql.near import nearest
from audsql.records import dataclass
from audsql.source import Span

__all__ = [
    "Form", "PairsResult", "Ready", "TableRead", "TableResult", "column_problems", "connect", "evaluate_table",
    "read_pairs", "read_table", "ready_table", "typed_rows",
]  # fmt: skip

_BATCH = 100_000
_MEBIBYTE = 1 << 20
_LEAVES_PER_QUERY = 200
# Planning a query costs DuckDB more than the square of its columns, and time and memory more than reading few rows
# again does.
_FEW_RECORDS = 50_000
_LEAVES_PER_QUERY_OF_FEW = 32


@dataclass(frozen=True, slots=True)
class Form:
    """How a table file is declared: its ids as (kind, column), its time column, other columns that must exist.

    `queried`: the rows are the result of a query, and `file` is only how messages call it.
    """

    name: str
    file: str
    ids: tuple[tuple[IdKind, str], ...]
    time_column: str | None
    others: tuple[str, ...]
    region: str
    zone: ZoneInfo
    span: Span | None
    queried: bool = False


@dataclass(frozen=True, slots=True)
class TableRead:
    """A table whose form is sound, or `shape` None and the reasons."""

    encoding: str
    shape: Sheet | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class TableResult:
    """`ids`: the distinct people; `truth`: for each leaf key, whether each of them satisfies it.

    `blank_ids`: rows without an id. `latest`: the latest time in microseconds, where times were read.
    """

    ids: Ids | None
    truth: Mapping[str, NDArray[np.bool_]]
    blank_ids: int
    latest: int | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class PairsResult:
    """The two ids of each row that has both, side by side, repetitions left out; `given` None: the reasons.

    `blank_ids`: rows without one of the two.
    """

    given: Ids | None
    found: Ids | None
    blank_ids: int
    diagnostics: tuple[Diagnostic, ...]


def read_table(content: Content, form: Form) -> TableRead:
    """Decode a file and check its form. Codes: AUD1006 to AUD1013, AUD1030 to AUD1039, AUD1057 to AUD1069."""
    if form.queried:
        # The result of a query is kept as CSV (`data.queried`).
        content = replace(content, ending=".csv")
    names = [column for _, column in form.ids]
    encoding, sheet, problems = read_sheet(content, names, form.span)
    if sheet is not None:
        if form.queried:
            sheet = _without_header_line(sheet)
        declared = [*names, *([form.time_column] if form.time_column else []), *form.others]
        problems = (*missing_columns(sheet, declared, form), *_several_columns(sheet, form))
    return TableRead(encoding, None if problems else sheet, problems)


def _without_header_line(sheet: Sheet) -> Sheet:
    """Then lines are rows of the result, from 1: it has no header line, and a cell's line breaks are no lines."""
    part = sheet.parts[0]
    assert isinstance(part.shape, Shape)
    shape = replace(part.shape, header_lines=0, folded=part.shape.folded[:0])
    return replace(sheet, parts=(Part(part.file, shape),))


def _several_columns(sheet: Sheet, form: Form) -> tuple[Diagnostic, ...]:
    """AUD1062 where the only column is meant and there are several."""
    if any(not column for _, column in form.ids) and len(sheet.header) > 1:
        return (error("AUD1062", form.span, file=form.file, columns=sheet.header[:12]),)
    return ()


def missing_columns(shape: Sheet, wanted: Sequence[str], form: Form) -> tuple[Diagnostic, ...]:
    """AUD1039 for each wanted column that the header lacks."""
    found: list[Diagnostic] = []
    if not shape.header and not shape.records:
        return ()  # JSON Lines without a line
    names = [name for name in shape.header if name]
    for column in dict.fromkeys(unicodedata.normalize("NFC", name) for name in wanted if name):
        if column not in names:
            known, near = tuple(names[:12]), nearest(column, names)
            found.append(error("AUD1039", form.span, file=form.file, column=column, near=near, columns=known))
    return tuple(found)


def evaluate_table(
    shape: Sheet, form: Form, key: tuple[IdKind, str], leaves: Sequence[Leaf], scratch: Path, memory_bytes: int = 0
) -> TableResult:
    """All leaves over one table in one pass, per person by the id column `key` (kind, column).

    `memory_bytes`: what the database may take before it goes on in `scratch`; 0: what it thinks fit.

    Raises OSError where the working copy cannot be written. Codes: AUD1013 to AUD1029 for ids,
    AUD1038 to AUD1046.
    """
    needed = frozenset().union(*(columns_needed(leaf, form.time_column) for leaf in leaves))
    problems = column_problems(shape, form, leaves, needed)
    if problems:
        return TableResult(None, {}, 0, None, problems)
    if shape.records == 0:
        return TableResult(normalise(column_of(b""), key[0]), {leaf.key: _NONE for leaf in leaves}, 0, None, ())
    known = _evaluate_coded(shape, form, key, leaves, needed, scratch, memory_bytes)
    if known is not None:
        return known
    result = _with_copy(
        lambda connection, copy: _evaluate(connection, copy, shape, form, key, leaves, needed),
        form,
        scratch,
        memory_bytes,
    )
    return TableResult(None, {}, 0, None, (result,)) if isinstance(result, Diagnostic) else result


def read_pairs(
    shape: Sheet, form: Form, given: tuple[IdKind, str], found: tuple[IdKind, str], scratch: Path, memory_bytes: int = 0
) -> PairsResult:
    """The pairs of two id columns (kind, column), each cell under the rules of its kind; `memory_bytes` as above.

    Raises OSError where the working copy cannot be written. Codes: AUD1013 to AUD1029, AUD1038, AUD1046.
    """
    if shape.records == 0:
        none = column_of(b"")
        return PairsResult(normalise(none, given[0]), normalise(none, found[0]), 0, ())
    result = _with_copy(
        lambda connection, copy: _pairs(connection, copy, shape, form, given, found), form, scratch, memory_bytes
    )
    return PairsResult(None, None, 0, (result,)) if isinstance(result, Diagnostic) else result


_T = TypeVar("_T")


def _with_copy(ask: Callable[[Any, Path], _T], form: Form, scratch: Path, memory_bytes: int = 0) -> _T | Diagnostic:
    """What is asked of a connection and a private copy of the rows; AUD1046 where the engine fails."""
    import duckdb  # costs 0.1 s of start-up, and lists do without it

    copy = scratch / "rows"
    try:
        connection = connect(scratch, memory_bytes)
        try:
            return ask(connection, copy)
        finally:
            connection.close()
    except duckdb.Error as failure:
        return error("AUD1046", form.span, file=form.file, reason=type(failure).__name__)
    finally:
        copy.unlink(missing_ok=True)


_NONE = np.empty(0, np.bool_)


def column_problems(
    shape: Sheet, form: Form, leaves: Sequence[Leaf], needed: frozenset[TypedColumn]
) -> tuple[Diagnostic, ...]:
    named = sorted({unicodedata.normalize("NFC", column) for _, column in needed if column})
    found = [*missing_columns(shape, named, form), *unread_columns(shape, named, form.file, form.span)]
    if ("t", "") in needed:
        found.append(error("AUD1044", form.span, table=form.name))
    numbers = {str(value) for leaf in leaves for value in values_of(leaf) if out_of_range(value)}
    found += [error("AUD1045", form.span, table=form.name, number=number) for number in sorted(numbers)[:1]]
    return tuple(found)


def connect(scratch: Path, memory_bytes: int = 0) -> Any:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "temp_directory": str(scratch),
    }
    if memory_bytes:
        settings["memory_limit"] = f"{memory_bytes // _MEBIBYTE}MiB"
    connection = duckdb.connect(":memory:", config=settings)
    folder = str(scratch).replace("'", "''")
    connection.execute(f"SET allowed_directories = ['{folder}']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


# --- plain files ------------------------------------------------------------------------------------


def _evaluate_coded(
    sheet: Sheet,
    form: Form,
    key: tuple[IdKind, str],
    leaves: Sequence[Leaf],
    needed: frozenset[TypedColumn],
    scratch: Path,
    memory_bytes: int,
) -> TableResult | None:
    """The same from the bytes of delimited files without quotes; None where that does not do, for whatever reason, a
    fault included: then the engine reads the rows, and tells what is wrong with them."""
    shapes = [part.shape for part in sheet.parts if isinstance(part.shape, Shape) and not part.shape.quoted]
    if key[0] != "user_id" or len(shapes) < len(sheet.parts):
        return None
    naming = Naming({name: at for at, name in enumerate(sheet.header) if name}, form.time_column or "", form.zone)
    id_number = naming.numbers[unicodedata.normalize("NFC", key[1])] if key[1] else 0
    cells = _cells(shapes, sheet.delimiter, id_number, needed, leaves, naming)
    if cells is None:
        return None
    if not cells.codes:
        return _over_codes(None, cells, leaves, needed, naming, 1)
    found = _with_copy(
        lambda opened, _: _over_codes(opened, cells, leaves, needed, naming, _per_query(sheet, leaves)),
        form,
        scratch,
        memory_bytes,
    )
    return None if isinstance(found, Diagnostic) else found


def _over_codes(
    connection: Any,
    cells: Cells,
    leaves: Sequence[Leaf],
    needed: frozenset[TypedColumn],
    naming: Naming,
    per_query: int,
) -> TableResult | None:
    """What comes of codes; None where a cell is not what a condition takes it for."""
    meanings = meanings_of(connection, cells, needed, naming)
    if meanings is None:
        return None
    people = number_people(cells)
    truth = truth_of([leaf for leaf in leaves if is_countable(leaf)], cells, meanings, people)
    others = [leaf for leaf in leaves if not is_countable(leaf)]
    if others:
        truth |= aggregated(connection, others, cells, meanings, people, per_query)
    ids = Ids("user_id", people.high, people.low)
    return TableResult(ids, truth, len(cells.given) - len(cells.high), meanings.latest, ())


def _per_query(sheet: Sheet, leaves: Sequence[Leaf]) -> int:
    """How many leaves one query is about."""
    few = sheet.records <= _FEW_RECORDS
    return max(min(_LEAVES_PER_QUERY, _LEAVES_PER_QUERY_OF_FEW if few else len(leaves)), 1)


def _cells(
    shapes: Sequence[Shape],
    delimiter: str,
    id_number: int,
    needed: frozenset[TypedColumn],
    leaves: Sequence[Leaf],
    naming: Naming,
) -> Cells | None:
    """The cells that conditions need; times in pieces where nearly each is spelt differently."""
    letters: dict[int, set[str]] = {}
    for letter, column in needed:
        letters.setdefault(naming.numbers[column], set()).add(letter)
    pieces = {number: whole(number) for number in sorted(letters)}
    while True:
        cells = read_cells(shapes, delimiter, id_number, [one for some in pieces.values() for one in some])
        if not isinstance(cells, TooMany):
            return cells
        number = cells.piece[0]
        listed = any(isinstance(row, ColumnIn) and naming.numbers[row.column] == number
                     for leaf in leaves for row in leaf.rows)  # fmt: skip
        if letters[number] != {"t"} or listed or len(pieces[number]) > 1:
            return None
        pieces[number] = in_pieces(number)


# --- loading ----------------------------------------------------------------------------------------


def _evaluate(
    connection: Any,
    copy: Path,
    shape: Sheet,
    form: Form,
    key: tuple[IdKind, str],
    leaves: Sequence[Leaf],
    needed: frozenset[TypedColumn],
) -> TableResult:
    ready, problems = ready_table(connection, copy, shape, form, key, needed)
    if ready is None:
        return TableResult(None, {}, 0, None, problems)
    per_query = _per_query(shape, leaves)
    ids, truth = _people(connection, ready.source, key[0], ready.texts, leaves, ready.naming, per_query)
    latest = None
    if form.time_column and ("t", form.time_column) in needed:
        time = ready.naming.typed("t", form.time_column)
        latest = connection.execute(f"SELECT max({time}) FROM {ready.source}").fetchone()[0]
    return TableResult(ids, truth, _blank_ids(connection), latest, ())


@dataclass(frozen=True, slots=True)
class Ready:
    """A table loaded, checked and typed: `source` is where its rows are read, `texts` the ids by the number that
    stands for them (none for user ids)."""

    source: str
    texts: tuple[str, ...]
    naming: Naming


def ready_table(
    connection: Any, copy: Path, shape: Sheet, form: Form, key: tuple[IdKind, str], needed: frozenset[TypedColumn]
) -> tuple[Ready | None, tuple[Diagnostic, ...]]:
    numbers = {name: number for number, name in enumerate(shape.header) if name}
    id_number = numbers[unicodedata.normalize("NFC", key[1])] if key[1] else 0
    wanted = sorted({id_number, *(numbers[column] for _, column in needed)})
    problems = load(connection, shape, wanted, copy, form.span) or _miscounted(connection, shape, form)
    if problems:
        return None, problems
    problems = _id_problems(connection, id_number, shape, form, key)
    texts: tuple[str, ...] = ()
    if not problems:
        texts = _name_people(connection, id_number, key[0])
        problems = _type_columns(connection, id_number, key[0], numbers, needed, shape, form)
    if problems:
        return None, problems
    times = sorted(numbers[column] for letter, column in needed if letter == "t")
    naming = Naming(numbers, form.time_column or "", form.zone)
    return Ready(time_sql(connection, times, form.zone), texts, naming), ()


def _blank_ids(connection: Any) -> int:
    found: int = connection.execute("SELECT count(*) FROM typed WHERE person IS NULL").fetchone()[0]
    return found


def typed_rows(
    shape: Sheet,
    form: Form,
    key: tuple[IdKind, str],
    leaves: Sequence[Leaf],
    scratch: Path,
    take: Callable[[Naming, Sequence[str], Iterator[list[tuple[Any, ...]]]], None],
) -> tuple[int | None, tuple[Diagnostic, ...]]:
    """The rows that have an id as values, for an engine that is elsewhere; the number of rows without one.

    `take` is given the naming of the columns, their names (`person`, then `x3`, `n3`, ...) and the rows in pieces:
    the id as its kind is written, text in NFC, numbers as decimals of 9 places, times in microseconds, truth values.
    Raises OSError where the working copy cannot be written. Codes: as `evaluate_table`; then None comes back.
    """
    needed = frozenset().union(*(columns_needed(leaf, form.time_column) for leaf in leaves))
    problems = column_problems(shape, form, leaves, needed)
    if problems:
        return None, problems
    numbers = {name: number for number, name in enumerate(shape.header) if name}
    naming = Naming(numbers, form.time_column or "", form.zone)
    names = [naming.typed(letter, column) for letter, column in sorted(needed)]
    if shape.records == 0:
        take(naming, ["person", *names], iter(()))
        return 0, ()

    def ask(connection: Any, copy: Path) -> tuple[int | None, tuple[Diagnostic, ...]]:
        ready, found = ready_table(connection, copy, shape, form, key, needed)
        if ready is None:
            return None, found
        blank, chosen = _blank_ids(connection), ", ".join(["person", *names])
        rows = connection.execute(f"SELECT {chosen} FROM {ready.source} WHERE person IS NOT NULL")
        take(ready.naming, ["person", *names], _pieces(rows, ready.texts))
        return blank, ()

    result = _with_copy(ask, form, scratch)
    return (None, (result,)) if isinstance(result, Diagnostic) else result


def _pieces(rows: Any, texts: tuple[str, ...]) -> Iterator[list[tuple[Any, ...]]]:
    while piece := rows.fetchmany(_BATCH):
        if texts:
            yield [(texts[person], *values) for person, *values in piece]
        else:
            yield [(f"U{person:032x}", *values) for person, *values in piece]


def _pairs(
    connection: Any, copy: Path, shape: Sheet, form: Form, given: tuple[IdKind, str], found: tuple[IdKind, str]
) -> PairsResult:
    numbers = {name: number for number, name in enumerate(shape.header) if name}
    columns = [numbers[unicodedata.normalize("NFC", column)] for _, column in (given, found)]
    problems = load(connection, shape, sorted(set(columns)), copy, form.span) or _miscounted(connection, shape, form)
    for number, key in () if problems else zip(columns, (given, found), strict=True):
        problems += _id_problems(connection, number, shape, form, key)
    if problems:
        return PairsResult(None, None, 0, problems)
    left, right = (f"c{number}" for number in columns)
    both = f"{left} <> '' AND {right} <> ''"
    blank = connection.execute(f"SELECT count(*) FILTER (NOT coalesce({both}, false)) FROM raw").fetchone()[0]
    cells = connection.execute(f"SELECT DISTINCT {left}, {right} FROM raw WHERE {both} ORDER BY 1, 2").fetchall()
    sides = [normalise(_column([row[at] for row in cells]) if cells else column_of(b""), key[0])
             for at, key in enumerate((given, found))]  # fmt: skip
    return PairsResult(sides[0], sides[1], blank, ())


def _miscounted(connection: Any, shape: Sheet, form: Form) -> tuple[Diagnostic, ...]:
    """AUD1038 where the engine counts other rows than we do."""
    rows = connection.execute("SELECT count(*) FROM raw").fetchone()[0]
    if rows == shape.records:
        return ()
    return (error("AUD1038", form.span, file=form.file, counted=shape.records, read=rows),)


# --- ids --------------------------------------------------------------------------------------------

_USER_ID = "U[0-9a-f]{32}"


def _id_problems(
    connection: Any, number: int, shape: Sheet, form: Form, key: tuple[IdKind, str]
) -> tuple[Diagnostic, ...]:
    """Malformed ids by reason, with their lines."""
    given = f"c{number} <> ''"
    if key[0] == "user_id":
        given += f" AND NOT regexp_full_match(c{number}, '{_USER_ID}')"
        cells = connection.execute(f"SELECT rowid, c{number} FROM raw WHERE {given} ORDER BY rowid").fetchall()
    else:
        cells = connection.execute(f"SELECT min(rowid), c{number} FROM raw WHERE {given} GROUP BY 2").fetchall()
        if cells and bad_codes(_column([cell for _, cell in cells]), key[0], form.region).any():
            cells = connection.execute(f"SELECT rowid, c{number} FROM raw WHERE {given} ORDER BY rowid").fetchall()
        else:
            cells = []
    if not cells:
        return ()
    codes = bad_codes(_column([cell for _, cell in cells]), key[0], form.region)
    records = np.array([row for row, _ in cells], np.int64)
    return id_problems(
        codes, records, form.file, key[1], key[0], form.region, form.span, lambda bad: places(shape, bad)
    )


def _column(cells: Sequence[str]) -> Any:
    """Cells as lines; a line break within a cell becomes another sign that no id may hold."""
    lines = "\n".join(cell.replace("\n", "\x01").replace("\r", "\x01") for cell in cells)
    return column_of(f"{lines}\n".encode())


def _name_people(connection: Any, number: int, kind: IdKind) -> tuple[str, ...]:
    """For ids other than user ids, a table from each spelling to the number of its normalised text."""
    if kind == "user_id":
        return ()
    sql = f"SELECT DISTINCT c{number} FROM raw WHERE c{number} <> '' ORDER BY 1"
    spellings = [row[0] for row in connection.execute(sql).fetchall()]
    texts = normalise(_column(spellings), kind).texts if spellings else ()
    people = {text: person for person, text in enumerate(dict.fromkeys(texts))}
    connection.execute("CREATE TABLE people (spelling VARCHAR, person UBIGINT)")
    for begin in range(0, len(spellings), _BATCH):
        part = slice(begin, begin + _BATCH)
        values = [spellings[part], [people[text] for text in texts[part]]]
        connection.execute("INSERT INTO people SELECT unnest(?::VARCHAR[]), unnest(?::UBIGINT[])", values)
    return tuple(people)


# --- typed columns ----------------------------------------------------------------------------------

_TYPE_CODES = {"n": "AUD1040", "h": "AUD1040", "t": "AUD1041", "b": "AUD1042"}


def _type_columns(
    connection: Any,
    id_number: int,
    kind: IdKind,
    numbers: Mapping[str, int],
    needed: frozenset[TypedColumn],
    shape: Sheet,
    form: Form,
) -> tuple[Diagnostic, ...]:
    """The table `typed`; AUD1040 to AUD1042 for cells that are not what a condition takes them for."""
    projections = typed_sql({(letter, numbers[column]) for letter, column in needed})
    if kind == "user_id":
        # 32 hexadecimal digits are a UUID without its hyphens.
        person, source = f"CAST(TRY_CAST(substr(c{id_number}, 2) AS UUID) AS UHUGEINT) AS person", "raw"
    else:
        person, source = "CAST(person AS UHUGEINT) AS person", f"raw LEFT JOIN people ON spelling = c{id_number}"
    columns = [person, "raw.rowid AS record", *projections]
    connection.execute(f"CREATE TABLE typed AS SELECT {', '.join(columns)} FROM {source}")
    found = []
    for letter, column in sorted(needed):
        if letter != "x":
            bad = f"x{numbers[column]} IS NOT NULL AND {absent_sql(letter, numbers[column])}"
            found += _type_problems(connection, bad, _TYPE_CODES[letter], column, shape, form)
    return tuple(found)


def _type_problems(connection: Any, bad: str, code: str, column: str, shape: Sheet, form: Form) -> list[Diagnostic]:
    count = connection.execute(f"SELECT count(*) FROM typed WHERE {bad}").fetchone()[0]
    if not count:
        return []
    sql = f"SELECT record FROM typed WHERE {bad} ORDER BY record LIMIT {LINES_SHOWN_MAX}"
    records = np.array([row[0] for row in connection.execute(sql).fetchall()], np.int64)
    lines, rows = places(shape, records)
    return [error(code, form.span, file=form.file, column=column, count=count, lines=lines, rows=rows)]


# --- people -----------------------------------------------------------------------------------------


_WORDS = ("CAST(person >> 64 AS UBIGINT) AS high", f"CAST(person & {2**64 - 1}::UHUGEINT AS UBIGINT) AS low")


def _people(
    connection: Any,
    source: str,
    kind: IdKind,
    texts: tuple[str, ...],
    leaves: Sequence[Leaf],
    naming: Naming,
    per_query: int,
) -> tuple[Ids, dict[str, NDArray[np.bool_]]]:
    """Each person once, with a truth value for every leaf; `per_query` leaves in one pass."""
    truth: dict[str, NDArray[np.bool_]] = {}
    high = low = np.empty(0, np.uint64)
    for begin in range(0, max(len(leaves), 1), per_query):
        part = leaves[begin : begin + per_query]
        parts = [leaf_sql(leaf, naming) for leaf in part]
        columns = [f"coalesce({sql}, false) AS a{at}" for at, (sql, _) in enumerate(parts)]
        values = [value for _, bound in parts for value in bound]
        chosen = ", ".join((*_WORDS, *columns))
        sql = f"SELECT {chosen} FROM {source} WHERE person IS NOT NULL GROUP BY person"
        # Ordered, so that the rows of two queries belong to the same people.
        ordered = f"{sql} ORDER BY person" if len(leaves) > per_query else sql
        found = connection.execute(ordered, values).fetchnumpy()
        high, low = np.asarray(found["high"], np.uint64), np.asarray(found["low"], np.uint64)
        truth |= {leaf.key: np.asarray(found[f"a{at}"], np.bool_) for at, leaf in enumerate(part)}
    if kind == "user_id":
        return Ids(kind, high, low), truth
    none = np.empty(0, np.uint64)
    return Ids(kind, none, none, tuple(texts[person] for person in low.tolist())), truth
