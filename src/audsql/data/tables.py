"""Files with a header: read by DuckDB under a declared dialect, checked against our own count.

DuckDB sees a private copy of the bytes that were hashed, in memory and in a folder of its own, and may
reach nothing else. Its messages print lines of the file, so they go nowhere; the name of the exception is
all that is kept. Rules: specs/data.md, tables.* and conditions.*.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from audsql.data.content import LINES_SHOWN_MAX, Content, decode, line_list
from audsql.data.ids import Ids, bad_codes, column_of, normalise
from audsql.data.leaves import Leaf, Naming, TypedColumn, columns_needed, leaf_sql, out_of_range, values_of
from audsql.data.lists import bare_returns, id_problems
from audsql.data.shape import Shape, physical_lines, shape_of
from audsql.data.typed import time_sql, typed_sql
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import IdKind
from audsql.near import nearest
from audsql.source import Span

__all__ = ["Form", "PairsResult", "TableRead", "TableResult", "evaluate_table", "read_pairs", "read_table"]

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": ","}
_BATCH = 100_000
_LEAVES_PER_QUERY = 200
# Planning a query costs DuckDB more than the square of its columns, and time and memory more than reading few rows
# again does.
_FEW_RECORDS = 50_000
_LEAVES_PER_QUERY_OF_FEW = 32


@dataclass(frozen=True, slots=True)
class Form:
    """How a table file is declared: its ids as (kind, column), its time column, other columns that must exist."""

    name: str
    file: str
    ids: tuple[tuple[IdKind, str], ...]
    time_column: str | None
    others: tuple[str, ...]
    region: str
    zone: ZoneInfo
    span: Span | None


@dataclass(frozen=True, slots=True)
class TableRead:
    """A table whose form is sound, or `shape` None and the reasons."""

    encoding: str
    shape: Shape | None
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
    """Decode a file and check its form. Codes: AUD1006 to AUD1013, AUD1030 to AUD1039."""
    text = decode(content, form.span)
    if isinstance(text, Diagnostic):
        return TableRead("", None, (text,))
    problems = bare_returns(text.data, form.file, form.span)
    if problems:
        return TableRead(text.encoding, None, problems)
    delimiter = DELIMITERS[PurePosixPath(form.file).suffix.lower()]
    shape, problems = shape_of(text.data, delimiter, form.file, form.span)
    if shape is not None:
        declared = [column for _, column in form.ids]
        declared += [form.time_column] if form.time_column else []
        problems = missing_columns(shape, [*declared, *form.others], form)
    return TableRead(text.encoding, None if problems else shape, problems)


def missing_columns(shape: Shape, wanted: Sequence[str], form: Form) -> tuple[Diagnostic, ...]:
    """AUD1039 for each wanted column that the header lacks."""
    found = []
    names = [name for name in shape.header if name]
    for column in dict.fromkeys(unicodedata.normalize("NFC", name) for name in wanted):
        if column not in names:
            known, near = tuple(names[:12]), nearest(column, names)
            found.append(error("AUD1039", form.span, file=form.file, column=column, near=near, columns=known))
    return tuple(found)


def evaluate_table(
    shape: Shape, form: Form, key: tuple[IdKind, str], leaves: Sequence[Leaf], scratch: Path
) -> TableResult:
    """All leaves over one table in one pass, per person by the id column `key` (kind, column).

    Raises OSError where the working copy cannot be written. Codes: AUD1013 to AUD1029 for ids,
    AUD1038 to AUD1046.
    """
    needed = frozenset().union(*(columns_needed(leaf, form.time_column) for leaf in leaves))
    problems = _condition_problems(shape, form, leaves, needed)
    if problems:
        return TableResult(None, {}, 0, None, problems)
    if shape.records == 0:
        return TableResult(normalise(column_of(b""), key[0]), {leaf.key: _NONE for leaf in leaves}, 0, None, ())
    result = _with_copy(
        lambda connection, copy: _evaluate(connection, copy, shape, form, key, leaves, needed), shape, form, scratch
    )
    return TableResult(None, {}, 0, None, (result,)) if isinstance(result, Diagnostic) else result


def read_pairs(
    shape: Shape, form: Form, given: tuple[IdKind, str], found: tuple[IdKind, str], scratch: Path
) -> PairsResult:
    """The pairs of two id columns (kind, column), each cell under the rules of its kind.

    Raises OSError where the working copy cannot be written. Codes: AUD1013 to AUD1029, AUD1038, AUD1046.
    """
    if shape.records == 0:
        none = column_of(b"")
        return PairsResult(normalise(none, given[0]), normalise(none, found[0]), 0, ())
    result = _with_copy(
        lambda connection, copy: _pairs(connection, copy, shape, form, given, found), shape, form, scratch
    )
    return PairsResult(None, None, 0, (result,)) if isinstance(result, Diagnostic) else result


_T = TypeVar("_T")


def _with_copy(ask: Callable[[Any, Path], _T], shape: Shape, form: Form, scratch: Path) -> _T | Diagnostic:
    """What is asked of a connection and a private copy of the rows; AUD1046 where the engine fails."""
    import duckdb  # costs 0.1 s of start-up, and lists do without it

    copy = _private_copy(shape.body, scratch)
    try:
        connection = _connect(scratch)
        try:
            return ask(connection, copy)
        finally:
            connection.close()
    except duckdb.Error as failure:
        return error("AUD1046", form.span, file=form.file, reason=type(failure).__name__)
    finally:
        copy.unlink(missing_ok=True)


_NONE = np.empty(0, np.bool_)


def _condition_problems(
    shape: Shape, form: Form, leaves: Sequence[Leaf], needed: frozenset[TypedColumn]
) -> tuple[Diagnostic, ...]:
    found = list(missing_columns(shape, sorted({column for _, column in needed if column}), form))
    if ("t", "") in needed:
        found.append(error("AUD1044", form.span, table=form.name))
    numbers = {str(value) for leaf in leaves for value in values_of(leaf) if out_of_range(value)}
    found += [error("AUD1045", form.span, table=form.name, number=number) for number in sorted(numbers)[:1]]
    return tuple(found)


def _private_copy(body: bytes, scratch: Path) -> Path:
    path = scratch / "rows"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(body)
    return path


def _connect(scratch: Path) -> Any:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "temp_directory": str(scratch),
    }
    connection = duckdb.connect(":memory:", config=settings)
    folder = str(scratch).replace("'", "''")
    connection.execute(f"SET allowed_directories = ['{folder}']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


# --- loading ----------------------------------------------------------------------------------------


def _evaluate(
    connection: Any,
    copy: Path,
    shape: Shape,
    form: Form,
    key: tuple[IdKind, str],
    leaves: Sequence[Leaf],
    needed: frozenset[TypedColumn],
) -> TableResult:
    numbers = {name: number for number, name in enumerate(shape.header) if name}
    id_number = numbers[unicodedata.normalize("NFC", key[1])]
    _load(connection, copy, shape, form, {id_number, *(numbers[column] for _, column in needed)})
    problems = _miscounted(connection, shape, form)
    if problems:
        return TableResult(None, {}, 0, None, problems)
    problems = _id_problems(connection, id_number, shape, form, key)
    texts: tuple[str, ...] = ()
    if not problems:
        texts = _name_people(connection, id_number, key[0])
        problems = _type_columns(connection, id_number, key[0], numbers, needed, shape, form)
    if problems:
        return TableResult(None, {}, 0, None, problems)
    naming = Naming(numbers, form.time_column or "", form.zone)
    source = time_sql(connection, sorted(numbers[column] for letter, column in needed if letter == "t"), form.zone)
    per_query = min(_LEAVES_PER_QUERY, _LEAVES_PER_QUERY_OF_FEW if shape.records <= _FEW_RECORDS else len(leaves))
    ids, truth = _people(connection, source, key[0], texts, leaves, naming, max(per_query, 1))
    latest = None
    if form.time_column and ("t", form.time_column) in needed:
        latest = connection.execute(f"SELECT max({naming.typed('t', form.time_column)}) FROM {source}").fetchone()[0]
    blank = connection.execute("SELECT count(*) FROM typed WHERE person IS NULL").fetchone()[0]
    return TableResult(ids, truth, blank, latest, ())


def _pairs(
    connection: Any, copy: Path, shape: Shape, form: Form, given: tuple[IdKind, str], found: tuple[IdKind, str]
) -> PairsResult:
    numbers = {name: number for number, name in enumerate(shape.header) if name}
    columns = [numbers[unicodedata.normalize("NFC", column)] for _, column in (given, found)]
    _load(connection, copy, shape, form, set(columns))
    problems = _miscounted(connection, shape, form)
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


def _load(connection: Any, copy: Path, shape: Shape, form: Form, wanted: set[int]) -> None:
    """The wanted columns as text. Every column is declared, so that nothing is guessed."""
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(shape.header)))
    chosen = ", ".join(f"c{number}" for number in sorted(wanted))
    delimiter = DELIMITERS[PurePosixPath(form.file).suffix.lower()]
    connection.execute(
        f"CREATE TABLE raw AS SELECT {chosen} FROM read_csv(?, auto_detect = false, header = false, delim = ?,"
        " quote = '\"', escape = '\"', new_line = '\\n', strict_mode = true, null_padding = false,"
        f" ignore_errors = false, columns = {{{columns}}})",
        [str(copy), delimiter],
    )


def _miscounted(connection: Any, shape: Shape, form: Form) -> tuple[Diagnostic, ...]:
    """AUD1038 where the engine counts other rows than we do."""
    rows = connection.execute("SELECT count(*) FROM raw").fetchone()[0]
    if rows == shape.records:
        return ()
    return (error("AUD1038", form.span, file=form.file, counted=shape.records, read=rows),)


# --- ids --------------------------------------------------------------------------------------------

_USER_ID = "U[0-9a-f]{32}"


def _id_problems(
    connection: Any, number: int, shape: Shape, form: Form, key: tuple[IdKind, str]
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
    lines = physical_lines(shape, np.array([row for row, _ in cells], np.int64))
    return id_problems(codes, lines, form.file, key[1], key[0], form.region, form.span)


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
    shape: Shape,
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
            bad = f"x{numbers[column]} IS NOT NULL AND {_absent(letter, numbers[column])}"
            found += _type_problems(connection, bad, _TYPE_CODES[letter], column, shape, form)
    return tuple(found)


def _absent(letter: str, number: int) -> str:
    return f"l{number} IS NULL AND z{number} IS NULL" if letter == "t" else f"{letter}{number} IS NULL"


def _type_problems(connection: Any, bad: str, code: str, column: str, shape: Shape, form: Form) -> list[Diagnostic]:
    count = connection.execute(f"SELECT count(*) FROM typed WHERE {bad}").fetchone()[0]
    if not count:
        return []
    sql = f"SELECT record FROM typed WHERE {bad} ORDER BY record LIMIT {LINES_SHOWN_MAX}"
    records = np.array([row[0] for row in connection.execute(sql).fetchall()], np.int64)
    lines = line_list(physical_lines(shape, records).tolist())
    return [error(code, form.span, file=form.file, column=column, count=count, lines=lines)]


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
