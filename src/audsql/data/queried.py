"""The result of a query as a source like a file: its rows as CSV, their digest, and which result was read last.

Equal rows in any order have one digest: what is kept of a result is found again whatever order the database gives it
in. The rows themselves are never kept. Rules: specs/data.md, queries.*.
"""

from __future__ import annotations

import hashlib
import io
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from audsql.data import cache as store
from audsql.data.connections import Column, Connection, Reading, Refused, connected
from audsql.data.content import Content, open_file
from audsql.data.declared import Declared
from audsql.data.keys import Keys
from audsql.diag import Diagnostic, error, warning
from audsql.near import nearest
from audsql.records import dataclass
from audsql.source import Span

__all__ = ["NO_QUERIES", "Known", "Queries", "keep_result", "known_result", "source_content"]

_TIMES = ("day", "local", "instant")
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_MEBIBYTE = 1 << 20

Rows = Callable[[int, int], None]
"""Told the rows and the bytes that were read so far."""
Friends = Callable[[str], frozenset[str] | Diagnostic]
"""The user IDs of the friends of an account, as LINE lists them, or why it does not."""


@dataclass(frozen=True, slots=True)
class Queries:
    """The connections of a project by name. `may_connect`: whether this command may touch the network.

    `environment` tells results of different databases under one name apart. `friends`: who is a friend of an account,
    asked of LINE; None where this command asks LINE for nothing.
    """

    connections: Mapping[str, Connection] = field(default_factory=dict)
    may_connect: bool = False
    environment: str = ""
    friends: Friends | None = None


NO_QUERIES = Queries()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a result before anything is connected to.

    `digest`: of the result to look for in the cache first; None: read it. `newest`: its newest time. `missing`: what
    is wrong where the cache does not have enough of it; None: then it is read. `notes` where it is used.
    """

    digest: str | None = None
    newest: datetime | None = None
    missing: Diagnostic | None = None
    notes: tuple[Diagnostic, ...] = ()


def known_result(
    declared: Declared, span: Span | None, pinned: str | None, queries: Queries, cache: Path, keys: Keys | None
) -> Known:
    """What to look for of this source: the result that is pinned, else the last one where nothing may connect.

    Raises KeyMissing.
    """
    if declared.friends_of:
        return Known(pinned)
    connection = queries.connections.get(declared.connection)
    if not declared.query or connection is None:
        return Known()
    if pinned is not None:
        return Known(pinned)
    if connection.is_local or queries.may_connect:
        return Known()
    missing = error("AUD1094", span, table=declared.name, connection=connection.name)
    kept = store.read_entry(_kept_at(cache, declared, connection, queries), keys)
    if kept is None:
        return Known(missing=missing)
    header = kept.header
    newest = None if header["newest"] is None else datetime.fromisoformat(header["newest"])
    told = warning("AUD1095", span, table=declared.name, connection=connection.name, read_at=header["read_at"])
    return Known(header["digest"], newest, missing, (told,))


def keep_result(
    declared: Declared, digest: str, content: Content, queries: Queries, cache: Path, keys: Keys | None
) -> None:
    """Keep which result was read last, and when; none of its rows. Raises OSError, KeyMissing."""
    newest = content.modified.isoformat() if declared.dated else None
    header = {"digest": digest, "newest": newest, "read_at": datetime.now(UTC).isoformat(timespec="seconds")}
    path = _kept_at(cache, declared, queries.connections[declared.connection], queries)
    store.write_entry(path, header, [], keys=keys)


def _kept_at(cache: Path, declared: Declared, connection: Connection, queries: Queries) -> Path:
    place = (queries.environment, connection.name, connection.variable or connection.url)
    return cache / "leaves" / store.entry_name("query", *place, declared.query, declared.rules)


# --- reading --------------------------------------------------------------------------------------


def source_content(
    root: Path,
    declared: Declared,
    span: Span | None,
    queries: Queries,
    cache: Path,
    as_of: datetime,
    rows: Rows | None = None,
) -> Content | Diagnostic:
    """The bytes of a source, a file or the result of a query, or why there are none.

    `root`: the project. `as_of`: what a query's newest time must not be after, to count.

    Raises OSError where the cache cannot be written. Codes: as `open_file`; AUD0090, AUD0092, AUD0691, AUD1053,
    AUD1093, AUD1096 to AUD1099.
    """
    if declared.friends_of:
        return _friends(declared, queries, as_of)
    if not declared.query:
        return open_file(root / declared.folder, declared.file, declared.formats, span)
    connection = queries.connections.get(declared.connection)
    if connection is None:
        known = tuple(sorted(queries.connections))
        name = declared.connection
        return error("AUD0090", span, table=declared.name, name=name, near=nearest(name, known), known=known)
    assert declared.form is not None
    try:
        with (
            store.scratch_folder(cache) as scratch,
            connected(connection, declared.query, declared.form.zone.key, root, scratch) as reading,
        ):
            return _content(reading, declared, span, connection, as_of, rows)
    except KeyError:
        return error("AUD0092", span, connection=connection.name, variable=connection.variable)
    except Refused as refused:
        return _refusal(refused, declared, span, connection)


def _friends(declared: Declared, queries: Queries, as_of: datetime) -> Content | Diagnostic:
    """The friends of an account as a list file, in one order whatever LINE's was (specs/data.md, data.followers)."""
    if queries.friends is None:
        return error("AUD1053", None, account=declared.friends_of)
    found = queries.friends(declared.friends_of)
    if isinstance(found, Diagnostic):
        return found
    data = "".join(f"{one}\n" for one in sorted(found)).encode()
    return Content(declared.file, data, hashlib.sha256(data).hexdigest(), as_of)


def _refusal(refused: Refused, declared: Declared, span: Span | None, connection: Connection) -> Diagnostic:
    table, name = declared.name, connection.name
    if refused.condition == "psycopg":
        return error("AUD0691", span, package="psycopg")
    if refused.reason == "connect":
        return error("AUD1093", span, table=table, connection=name, reason=refused.condition)
    if refused.reason == "seconds":
        limit = connection.timeout_seconds
        return error("AUD1097", span, table=table, connection=name, setting="timeout_seconds", limit=limit)
    return error("AUD1098", span, table=table, connection=name, reason=refused.condition, line=refused.line)


def _content(
    reading: Reading,
    declared: Declared,
    span: Span | None,
    connection: Connection,
    as_of: datetime,
    rows: Rows | None,
) -> Content | Diagnostic:
    for column in reading.columns:
        if column.kind is None:
            return error("AUD1096", span, table=declared.name, column=column.name, type=column.type)
    newest: datetime | None = None
    if declared.dated:
        at = _time_column(reading.columns, declared)
        if at is not None and reading.columns[at].kind not in _TIMES:
            column = reading.columns[at]
            return error("AUD1099", span, table=declared.name, column=column.name, type=column.type)
        # Without the column, what reads the rows says that it is missing.
        newest = None if at is None else reading.newest(at, as_of)
    header = ",".join(_quoted(column.name) for column in reading.columns).encode() + b"\n"
    out, digests, count = io.BytesIO(), bytearray(), 0
    out.write(header)
    for piece in reading.rows():
        for row in piece:
            digests += hashlib.sha256(row).digest()
            out.write(row)
        count += len(piece)
        beyond = _beyond(count, out.tell(), connection)
        if beyond is not None:
            setting, limit = beyond
            name = connection.name
            return error("AUD1097", span, table=declared.name, connection=name, setting=setting, limit=limit)
        if rows is not None:
            rows(count, out.tell())
    return Content(declared.file, out.getvalue(), _digest(header, digests), newest or _LONG_AGO)


def _time_column(columns: Sequence[Column], declared: Declared) -> int | None:
    assert declared.form is not None
    wanted = unicodedata.normalize("NFC", declared.form.time_column or "")
    names = [unicodedata.normalize("NFC", column.name) for column in columns]
    return names.index(wanted) if wanted in names else None


def _beyond(rows: int, size_bytes: int, connection: Connection) -> tuple[str, int] | None:
    """The limit that is passed."""
    if rows > connection.rows_max:
        return "rows_max", connection.rows_max
    if size_bytes > connection.mebibytes_max * _MEBIBYTE:
        return "mebibytes_max", connection.mebibytes_max
    return None


def _quoted(name: str) -> str:
    # Always in quotes, so that no name makes the text look like a file of another format.
    return '"' + name.replace('"', '""') + '"'


def _digest(header: bytes, digests: bytearray) -> str:
    """A digest over the header and the rows, in whatever order these come: their digests are put in order."""
    ordered = np.sort(np.frombuffer(bytes(digests), "S32"))
    return hashlib.sha256(json.dumps([header.decode()]).encode() + ordered.tobytes()).hexdigest()
