"""What the project's key adds to a stored state: signed events, closed request bodies (specs/state.md, state.keyed).

An event carries a MAC over its text and the hash before it, beside the plain chain. As that hash binds everything
before, the MAC of the last event vouches for the whole journal, and the journal for every row.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from audsql.apply.door import Door
from audsql.apply.journal import Change, Event, chained, event_text, parse_event, row_hash
from audsql.apply.state import parse_row, row_state
from audsql.apply.store import StoreFailed
from audsql.data.keys import KeyMissing, Keys, NotAuthentic, mac, open_sealed, seal, sealed_under
from audsql.diag import error

__all__ = [
    "SIGNATURE",
    "close_bodies",
    "closed_body",
    "is_keyed",
    "keys_of",
    "opened_body",
    "signed_text",
    "verify_keys",
]

Execute = Callable[[str], Any]
_MAC, _KEY = "mac", "key_id"
_KEYED = "keyed"
SIGNATURE = (_KEYED, _KEY, _MAC)
"""The attributes of a signed event that vouch for its text."""


def keys_of(door: Door) -> Keys | None:
    """The keys of the project whose state this is."""
    found: Keys | None = getattr(door, "keys", None)
    return found


def signed_text(door: Door, event: Event, head: str) -> str:
    """The text of an event that is about to be written after the hash `head`; the first signed one says so."""
    keys = keys_of(door)
    if keys is None:
        return event_text(event)
    first = {} if is_keyed(door.execute) else {_KEYED: True}
    event = replace(event, attributes={**event.attributes, **first, _KEY: keys.key_id})
    return event_text(replace(event, attributes={**event.attributes, _MAC: _mac(keys.current, event, head)}))


def signed_document(document: dict[str, Any], keys: Keys | None, now: datetime) -> dict[str, Any]:
    """A whole state that was made good by itself (apply.backup), with an event that signs it."""
    if keys is None:
        return document
    rows, head = document["events"], str(document["head"])
    epoch = parse_event(rows[-1][1]).epoch if rows else 0
    event = Event(len(rows) + 1, now, "state.signed", epoch, document["serial"], (), {_KEYED: True, _KEY: keys.key_id})
    text = event_text(replace(event, attributes={**event.attributes, _MAC: _mac(keys.current, event, head)}))
    head = chained(head, text)
    return {**document, "events": [*rows, [event.number, text, head]], "head": head}


def _mac(secret: bytes, event: Event, head: str) -> str:
    return mac(secret, "journal", f"{head}\n{event_text(event)}".encode("utf-8", "surrogatepass"))


def is_keyed(execute: Execute) -> bool:
    """Whether the last event is signed."""
    last = _last(execute)
    return last is not None and _MAC in last[0].attributes


def _last(execute: Execute) -> tuple[Event, str] | None:
    """The last event, and the hash before it."""
    rows = execute("SELECT document, hash FROM event ORDER BY number DESC LIMIT 2").fetchall()
    if not rows:
        return None
    return parse_event(rows[0][0]), str(rows[1][1]) if len(rows) > 1 else ""


def verify_keys(execute: Execute, path: str, keys: Keys | None, genesis_hash: str) -> None:
    """Raises StoreFailed where a signed journal is not the one that was signed, or the key is not here.

    The plain chain must hold already. A journal that was never signed is one from before the key. `genesis_hash`:
    the hash before the first event.
    """
    last = _last(execute)
    if last is None:
        return
    event, before = last
    stated, key_id = event.attributes.get(_MAC), str(event.attributes.get(_KEY, ""))
    if stated is None:
        if keys is not None and _was_signed(execute):
            raise StoreFailed(error("AUD0663", None, path=path, event=event.number))
        return
    if keys is None:
        raise StoreFailed(error("AUD0664", None, path=path, key_id=key_id))
    unsigned = replace(event, attributes={name: one for name, one in event.attributes.items() if name != _MAC})
    if not hmac.compare_digest(_mac(_secret(keys, key_id, path), unsigned, before or genesis_hash), str(stated)):
        raise StoreFailed(error("AUD0663", None, path=path, event=event.number))


def _was_signed(execute: Execute) -> bool:
    texts = execute("SELECT document FROM event").fetchall()
    return any(_MAC in parse_event(text).attributes for (text,) in texts)


def _secret(keys: Keys, key_id: str, path: str) -> bytes:
    try:
        return keys.named(key_id)
    except KeyMissing:
        raise StoreFailed(error("AUD0658", None, path=path, key_id=key_id)) from None


# --- request bodies ---------------------------------------------------------------------------------


def closed_body(door: Door, kind: str, identity: str, body: bytes | None) -> bytes | None:
    """A body as it is stored: closed under the key, bound to this state and row."""
    keys = keys_of(door)
    return body if body is None or keys is None else seal(keys, "state", _name(door, kind, identity), body)


def opened_body(door: Door, kind: str, identity: str, stored: bytes | None) -> bytes | None:
    """A stored body as it is sent. One from before the key stands open; the signed journal vouches for it."""
    if stored is None or sealed_under(stored) is None:
        return stored
    try:
        return open_sealed(keys_of(door) or Keys(()), "state", _name(door, kind, identity), stored)
    except KeyMissing as missing:
        raise StoreFailed(error("AUD0658", None, path=door.name, key_id=missing.key_id)) from None
    except NotAuthentic:
        place = f"{kind} {identity}"
        problem = error("AUD0603", None, path=door.name, part="rows", place=place, backup=None)
        raise StoreFailed(problem) from None


def close_bodies(door: Door) -> tuple[Change, ...]:
    """Close every body that stands open or under an older key; the changes for the event that is written with it."""
    keys = keys_of(door)
    if keys is None:
        return ()
    changes = []
    rows = door.execute(
        "SELECT kind, id, document, incarnation, revision, created_at, updated_at, body FROM record"
        " WHERE body IS NOT NULL ORDER BY kind, id"
    ).fetchall()
    for kind, identity, text, incarnation, revision, created_at, updated_at, body in rows:
        if sealed_under(body) == keys.key_id:
            continue
        closed = closed_body(door, kind, identity, opened_body(door, kind, identity, body))
        door.execute("UPDATE record SET body = ? WHERE kind = ? AND id = ?", (closed, kind, identity))
        digest = row_hash(text, (incarnation, revision, created_at, updated_at), closed)
        state = _state_of(kind, text)
        changes.append(Change(kind, identity, revision, state, state, digest))
    return tuple(changes)


def _state_of(kind: str, text: str) -> str | None:
    import json

    from audsql.apply.state import UNSTORED

    return row_state(parse_row(kind, json.loads(text), UNSTORED))


def _name(door: Door, kind: str, identity: str) -> str:
    (lineage,) = door.execute("SELECT lineage FROM meta").fetchone()
    return f"{lineage}\0{kind}\0{identity}"
