"""What can be trusted of the ledger of a damaged state (specs/state.md, `ledger.repair`). Pure.

One digest covers all rows: where it does not fit, no row can be told from a sound one. What can be read then serves as
a memory of who must not be sent again, and nobody goes on in a flow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from audsql.apply.ledger_rows import (
    NAMES,
    PERSON_BYTES,
    TABLES,
    Head,
    Raw,
    batch_of,
    batch_row,
    head_of,
    place_of,
    place_row,
)
from audsql.apply.ledger_stored import head_of_rows, packed_ledger, read_ledger
from audsql.records import dataclass

__all__ = ["DAMAGED", "SalvagedLedger", "is_whole", "salvaged_ledger"]

Document = dict[str, Any]
DAMAGED = "damaged"
"""The note of a place that somebody left because the ledger was damaged."""
_OPEN_PLACES = frozenset({"waiting", "sending", "held"})
_OPEN_BATCHES = frozenset({"pending", "intent"})


@dataclass(frozen=True, slots=True)
class SalvagedLedger:
    """`document`: the ledger to keep, None where there was none. `lost`: whether it is not the one that was."""

    document: Document | None
    lost: bool


def is_whole(document: Mapping[str, Any] | None, said: Head | None) -> bool:
    """Whether a ledger is the one that the journal's last event about it left (None: there was none)."""
    if document is None or said is None:
        return said is None and (document is None or not document["parts"])
    try:
        head = head_of(document["head"])
        return head == said and head_of_rows(read_ledger(document), head.secret_id) == said
    except (ValueError, KeyError, TypeError):
        return False


def salvaged_ledger(document: Mapping[str, Any] | None, said: Head | None, now: datetime) -> SalvagedLedger:
    """The ledger for a new state. `said`: what the journal's last sound event about it tells."""
    if is_whole(document, said):
        return SalvagedLedger(dict(document) if document is not None and said is not None else None, lost=False)
    rows: dict[tuple[str, tuple[Any, ...]], Raw] = {}
    if document is not None:
        for table, row in _readable(document):
            kept = _kept(table, row, now)
            if kept is not None:
                rows.setdefault((table, _key(table, kept)), kept)
    by_table = [(table, [row for (name, _), row in rows.items() if name == table]) for table in TABLES]
    secret_id = said.secret_id if said is not None else head_of((document or {})["head"]).secret_id
    closed = document["closed"] if document is not None else None
    return SalvagedLedger(packed_ledger(head_of_rows(by_table, secret_id), closed, by_table), lost=True)


def _readable(document: Mapping[str, Any]) -> Iterator[tuple[str, Raw]]:
    for part in document["parts"]:
        try:
            for table, rows in read_ledger({"parts": [part]}):
                yield from ((table, row) for row in rows)
        except ValueError:
            # That rows are missing shows by the digest.
            continue


def _key(table: str, row: Raw) -> tuple[Any, ...]:
    from audsql.apply.ledger_rows import KEYS

    return tuple(row[NAMES[table].index(name)] for name in KEYS[table])


def _kept(table: str, row: Raw, now: datetime) -> Raw | None:
    """A row as it may stand on; None where it has not the form of one."""
    kinds = _KINDS[table]
    if not all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True)):
        return None
    try:
        match table:
            case "place":
                place = place_of(row)
                if place.state in _OPEN_PLACES:
                    place = replace(place, state="left", note=DAMAGED, ended_at=now)
                return place_row(place, place.revision + 1) if len(place.person) == PERSON_BYTES else None
            case "batch":
                batch = batch_of(row)
                if batch.state in _OPEN_BATCHES:
                    batch = replace(batch, state="in_doubt", evidence=DAMAGED)
                return batch_row(batch, batch.revision + 1)
            case _:
                return row
    except (ValueError, TypeError, OverflowError):
        return None


_TEXT, _NUMBER, _BYTES = str, int, bytes
_KINDS: Mapping[str, tuple[Any, ...]] = {
    "place": (_TEXT, _BYTES, *(_TEXT,) * 4, _NUMBER, _NUMBER, _TEXT, _TEXT, int | None, _NUMBER),
    "batch": (
        *(_TEXT,) * 7, *(_NUMBER,) * 3, _TEXT, bytes | None, _TEXT, _NUMBER, _NUMBER, *(_TEXT,) * 3, _NUMBER, _NUMBER,
    ),
    "sent": (_TEXT, _TEXT, _BYTES, _TEXT, _NUMBER, _TEXT),
    "code": (_TEXT, _BYTES, _BYTES, _TEXT, _TEXT),
}  # fmt: skip
