"""What stands in the tables of the ledger as a whole: its head, whether its rows fit, as a part of a state's document.

The digest of the last event about the ledger covers every row, so that one that was changed, lost or put back from an
earlier day is found (specs/state.md, `ledger.verified`).
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from audsql.apply.door import Door
from audsql.apply.journal import parse_event
from audsql.apply.keyed import keys_of
from audsql.apply.ledger_rows import EMPTY, KEYS, NAMES, TABLES, Head, Raw, head_of, weight
from audsql.apply.store import StoreFailed
from audsql.data.keys import KeyMissing, NotAuthentic, open_sealed, seal, sealed_under
from audsql.diag import error

__all__ = [
    "HEAD",
    "clear_ledger",
    "close_secret",
    "found_ledger",
    "head_of_rows",
    "is_ledger",
    "ledger_document",
    "packed_ledger",
    "put_ledger",
    "read_head",
    "read_ledger",
    "said_head",
    "secret_name",
    "verify_head",
    "verify_ledger",
    "write_head",
]

Document = dict[str, Any]
Execute = Callable[[str], Any]
HEAD = "SELECT places, batches, sends, codes, digest, secret_id, closed FROM ledger_meta"
_ROWS_MAX = 20_000
# A part that grows by more than this when it is opened is not one of ours.
_PART_BYTES_MAX = 64 << 20


def read_head(db: Door) -> tuple[Head, bytes | None]:
    """What the ledger holds, and its secret as it is stored. Raises StoreFailed where there is no head."""
    return _head_in(db.execute, db.name)


def _head_in(execute: Execute, path: str) -> tuple[Head, bytes | None]:
    found = execute(HEAD).fetchall()
    if len(found) != 1:
        raise _damaged(path)
    *counts, digest, secret_id, closed = found[0]
    try:
        return head_of({**dict(zip(TABLES, counts, strict=True)), "digest": digest, "secret_id": secret_id}), closed
    except (ValueError, TypeError):
        raise _damaged(path) from None


def write_head(db: Door, head: Head, *, new: bool = False, closed: bytes | None = None) -> None:
    values = (*head.counts, f"{head.digest:032x}", head.secret_id)
    if new:
        db.execute(
            "INSERT INTO ledger_meta (places, batches, sends, codes, digest, secret_id, closed, id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
            (*values, closed),
        )
    else:
        db.execute(
            "UPDATE ledger_meta SET places = ?, batches = ?, sends = ?, codes = ?, digest = ?, secret_id = ?", values
        )


def secret_name(secret_id: str) -> str:
    """Under which name the ledger's secret is closed."""
    return f"secret {secret_id}"


def close_secret(db: Door) -> None:
    """Close the ledger's secret under the project's current key, where it is closed under an older one."""
    keys = keys_of(db)
    if keys is None or not db.has_table("ledger_meta"):
        return
    head, closed = read_head(db)
    if closed is None or sealed_under(closed) == keys.key_id:
        return
    name = secret_name(head.secret_id)
    try:
        anew = seal(keys, "ledger", name, open_sealed(keys, "ledger", name, closed))
    except (KeyMissing, NotAuthentic):
        # Told where people are asked for: nothing else needs this secret, and it stays as it is.
        return
    db.execute("UPDATE ledger_meta SET closed = ?", (anew,))


def _damaged(path: str) -> StoreFailed:
    return StoreFailed(error("AUD0603", None, path=path, part="ledger", place=None, backup=None))


# --- verifying --------------------------------------------------------------------------------------


def said_head(attributes: Mapping[str, Any]) -> Head | None:
    """The head that an event names; None where it is not about the ledger. Raises KeyError, ValueError, TypeError."""
    said = attributes.get("ledger")
    return None if said is None else head_of(said)


def verify_head(execute: Execute, path: str, said: Head) -> None:
    """Raises StoreFailed where the head is not the one that the journal tells."""
    if _head_in(execute, path)[0] != said:
        raise _damaged(path)


def verify_ledger(db: Door) -> None:
    """Raises StoreFailed where the rows are not those that the journal's last event about the ledger left."""
    head, _ = read_head(db)
    found = EMPTY
    for table in TABLES:
        for rows in _read(db, table):
            found = found.moved(table, len(rows), weight(table, rows))
    # Only the last event about the ledger is read.
    text = """SELECT document FROM event WHERE document LIKE '%"ledger":{%' ORDER BY number DESC LIMIT 1"""
    last = db.execute(text).fetchone()
    said = said_head(parse_event(last[0]).attributes) if last else None
    if (found.counts, found.digest) != (head.counts, head.digest) or head != (said or EMPTY):
        raise _damaged(db.name)


def _read(db: Door, table: str) -> Iterator[list[Raw]]:
    """The rows of a table in the order of their keys, some at a time."""
    names, keys = NAMES[table], KEYS[table]
    places = [names.index(key) for key in keys]
    text = f"SELECT {', '.join(names)} FROM ledger_{table}"
    order = f" ORDER BY {', '.join(keys)} LIMIT {_ROWS_MAX}"
    after: tuple[Any, ...] = ()
    while True:
        where = f" WHERE ({', '.join(keys)}) > ({', '.join('?' * len(keys))})" if after else ""
        rows = db.execute(text + where + order, after).fetchall()
        if rows:
            yield rows
        if len(rows) < _ROWS_MAX:
            return
        after = tuple(rows[-1][place] for place in places)


# --- as a document ----------------------------------------------------------------------------------


def ledger_document(db: Door) -> Document | None:
    """The ledger as a part of a state's document, None where there is none. Within a transaction that sees one instant.

    Rows stand as JSON, packed, some at a time: `parts` has tables and texts in turn.
    """
    if not db.has_table("ledger_meta"):
        return None
    head, closed = read_head(db)
    parts = [[table, _packed(rows)] for table in TABLES for rows in _read(db, table)]
    return {"head": head.document, "closed": closed and base64.b64encode(closed).decode(), "parts": parts}


def found_ledger(heads: list[Raw], tables: Mapping[str, list[Raw]]) -> Document:
    """What could be read of a ledger, in the form of `ledger_document`; its head is empty where that could not."""
    head, closed = EMPTY, None
    if len(heads) == 1:
        *counts, digest, secret_id, closed = heads[0]
        with suppress(ValueError, TypeError):
            head = head_of({**dict(zip(TABLES, counts, strict=True)), "digest": digest, "secret_id": secret_id})
    kept = closed and base64.b64encode(closed).decode()
    parts = [
        [table, _packed(rows[begin : begin + _ROWS_MAX])]
        for table, rows in tables.items()
        for begin in range(0, len(rows), _ROWS_MAX)
    ]
    return {"head": head.document, "closed": kept, "parts": parts}


def head_of_rows(rows: Iterable[tuple[str, list[Raw]]], secret_id: str) -> Head:
    """The head that these rows come to."""
    found = replace(EMPTY, secret_id=secret_id)
    for table, some in rows:
        found = found.moved(table, len(some), weight(table, some))
    return found


def packed_ledger(head: Head, closed: str | None, rows: Iterable[tuple[str, list[Raw]]]) -> Document:
    """A ledger's document of these rows."""
    return {"head": head.document, "closed": closed, "parts": [[table, _packed(some)] for table, some in rows]}


def _packed(rows: list[Raw]) -> str:
    plain = [[_plain(value) for value in row] for row in rows]
    return base64.b64encode(zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), 1)).decode()


def _plain(value: object) -> object:
    return {"b": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def is_ledger(document: object) -> bool:
    """Whether this has the form of `ledger_document`."""
    if document is None:
        return True
    if not isinstance(document, dict) or not isinstance(document.get("head"), dict):
        return False
    parts, closed = document.get("parts"), document.get("closed")
    return isinstance(parts, list) and all(map(_is_part, parts)) and (closed is None or isinstance(closed, str))


def _is_part(part: object) -> bool:
    return isinstance(part, list) and len(part) == 2 and part[0] in TABLES and isinstance(part[1], str)


def read_ledger(document: Mapping[str, Any]) -> Iterator[tuple[str, list[Raw]]]:
    """The tables and rows of a ledger's document. Raises ValueError where they are none."""
    for table, text in document["parts"]:
        try:
            opener = zlib.decompressobj()
            plain = opener.decompress(base64.b64decode(text, validate=True), _PART_BYTES_MAX)
            rows = [tuple(_stored(value) for value in row) for row in json.loads(plain)]
        except (zlib.error, TypeError, KeyError, AttributeError, RecursionError) as problem:
            raise ValueError("no rows of a ledger") from problem
        if not opener.eof or any(len(row) != len(NAMES[table]) for row in rows):
            raise ValueError("no rows of a ledger")
        yield table, rows


def _stored(value: Any) -> Any:
    return base64.b64decode(value["b"], validate=True) if isinstance(value, dict) else value


def put_ledger(db: Door, document: Mapping[str, Any] | None) -> None:
    """Put the ledger of a document in place of whatever stands there; what it comes to is verified by the caller.

    Raises StoreFailed.
    """
    if document is None:
        clear_ledger(db)
        return
    try:
        if db.has_table("ledger_meta"):
            clear_ledger(db)
        else:
            db.make_ledger()
        closed = document["closed"]
        db.execute("DELETE FROM ledger_meta")
        write_head(db, head_of(document["head"]), new=True, closed=closed and base64.b64decode(closed, validate=True))
        for table, rows in read_ledger(document):
            db.insert_many(f"ledger_{table}", NAMES[table], rows)
    except (ValueError, KeyError, TypeError):
        raise _damaged(db.name) from None


def clear_ledger(db: Door) -> None:
    """Leave no row in the ledger, where there is one."""
    if db.has_table("ledger_meta"):
        for table in TABLES:
            db.execute(f"DELETE FROM ledger_{table}")
        write_head(db, EMPTY)
        db.execute("UPDATE ledger_meta SET closed = NULL")
