"""A stored state checked whole: the journal's chain, every row against its last event, lease and environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from audsql.apply.journal import first_broken, genesis, parse_event, row_hash
from audsql.apply.keyed import verify_keys
from audsql.apply.ledger_rows import Head
from audsql.apply.ledger_stored import said_head, verify_head
from audsql.apply.state import FIRST_FORMAT, FORMAT_VERSION, parse_time
from audsql.apply.store import StoreFailed
from audsql.data.keys import Keys
from audsql.diag import error

__all__ = ["Execute", "verify_content"]

Execute = Callable[[str], Any]
"""Runs a query without parameters and gives its cursor."""


def verify_content(
    execute: Execute, path: str, environment: str, keys: Keys | Literal["unknown"] | None = "unknown"
) -> None:
    """Raises StoreFailed where the tables hold what no writer of ours left, or another environment's state.

    The queries must see one instant. `path` is for messages. `keys`: those that must have signed the journal;
    "unknown" leaves the signature to whoever opens the state.
    """
    epoch, live, ledger = _verify_journal(execute, path)
    _verify_rows(execute, path, live)
    if ledger is not None:
        # Its rows are verified when the ledger is first used: they may be millions.
        verify_head(execute, path, ledger)
    _verify_lease(execute, path, epoch)
    (found,) = execute("SELECT environment FROM meta").fetchone()
    if found != environment:
        raise StoreFailed(error("AUD0606", None, path=path, found=found, expected=environment))
    if keys != "unknown":
        (lineage,) = execute("SELECT lineage FROM meta").fetchone()
        verify_keys(execute, path, keys, genesis(lineage, environment, FORMAT_VERSION))


def _damaged(path: str, part: str, place: str | None = None) -> StoreFailed:
    return StoreFailed(error("AUD0603", None, path=path, part=part, place=place, backup=None))


def _other_format(path: str, version: object) -> StoreFailed:
    """The state of an older audsql is not damaged: `state upgrade` turns it into one of this format."""
    if type(version) is int and FIRST_FORMAT <= version < FORMAT_VERSION:
        return StoreFailed(error("AUD0637", None, path=path, found=version, supported=FORMAT_VERSION))
    return _damaged(path, "meta", "format")


def _verify_journal(execute: Execute, path: str) -> tuple[int, dict[tuple[str, str], str], Head | None]:
    """Follow the chain; returns the last epoch, the digest that each living row must have, and what the ledger must
    hold (None: it was never used)."""
    meta = execute("SELECT lineage, environment, format, serial, events, head FROM meta").fetchall()
    if len(meta) != 1:
        raise _damaged(path, "meta")
    lineage, environment, version, serial, count, head = meta[0]
    if version != FORMAT_VERSION:
        raise _other_format(path, version)
    rows = execute("SELECT number, document, hash FROM event ORDER BY number").fetchall()
    broken, last = first_broken(genesis(lineage, environment, version), rows)
    if broken is None and (last != head or len(rows) != count):
        broken = len(rows) + 1
    if broken is not None:
        raise StoreFailed(error("AUD0604", None, path=path, event=broken, events=len(rows), backup=None))
    return _replay(path, serial, [text for _, text, _ in rows])


def _replay(path: str, serial: int, texts: list[str]) -> tuple[int, dict[tuple[str, str], str], Head | None]:
    live: dict[tuple[str, str], str] = {}
    ledger: Head | None = None
    reached = epoch = 0
    for text in texts:
        event = parse_event(text)
        reached, epoch = event.serial, event.epoch
        ledger = said_head(event.attributes) or ledger
        for change in event.changes:
            if change.digest is None:
                live.pop((change.kind, change.id), None)
            else:
                live[change.kind, change.id] = change.digest
    if reached != serial:
        raise _damaged(path, "meta", "serial")
    return epoch, live, ledger


def _verify_rows(execute: Execute, path: str, live: dict[tuple[str, str], str]) -> None:
    rows = execute("SELECT kind, id, document, incarnation, revision, created_at, updated_at, body FROM record")
    for kind, identity, text, incarnation, revision, created_at, updated_at, body in rows:
        found = None
        if isinstance(text, str) and (body is None or isinstance(body, bytes)):
            found = row_hash(text, (incarnation, revision, created_at, updated_at), body)
        if live.pop((kind, identity), None) != found or found is None:
            raise _damaged(path, "rows", f"{kind} {identity}")
    if live:
        kind, identity = min(live)
        raise _damaged(path, "rows", f"{kind} {identity}")


def _verify_lease(execute: Execute, path: str, epoch: int) -> None:
    rows = execute("SELECT epoch, lock_id, pid, since, expires FROM lease").fetchall()
    if len(rows) != 1 or rows[0][0] != epoch or not isinstance(rows[0][2], int):
        raise _damaged(path, "lease")
    if rows[0][1]:
        try:
            parse_time(rows[0][3])
            parse_time(rows[0][4])
        except (TypeError, ValueError):
            raise _damaged(path, "lease") from None
