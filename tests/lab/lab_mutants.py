"""Production with one protection taken away at a time: what the lab must find."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import lab_run
from lab_world import LabChannel

from audsql.apply import checks, context, deliver, guards, run, sends, sql_store
from audsql.apply.world import World
from audsql.line import client
from audsql.line.outcome import Accepted, Limited, Refused, Unknown
from audsql.line.recipient import canonical_json, everybody_body
from audsql.plan import guard

Patch = tuple[Any, str, Any]


def _unjournalled(own: Any, operation: Any) -> Any:
    return replace(operation, attempts=operation.attempts + 1, attributes={**operation.attributes, "asked": True})


def _random_key(*identity: Any) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, lab_run._LAB[-1].new_id()))


_freeze = sends._freeze


def _freeze_by_body(own: Any, occurrence: Any, operation: Any, part: Any) -> Any:
    key = str(uuid.uuid5(uuid.NAMESPACE_OID, part.body.hex()))
    return _freeze(own, occurrence, replace(operation, retry_key=key), part)


_attempt = sends._attempt


def _attempt_anew(own: Any, occurrence: Any, operation: Any, kind: Any, body: bytes) -> Any:
    """Every attempt after one without an answer is a new generation."""
    identity = (own.bots[occurrence.account], occurrence.id, operation.part, operation.attempts - 1, operation.chunk)
    key = sends.retry_key(*identity)
    return _attempt(own, occurrence, replace(operation, retry_key=key), kind, body)


_as_approved = run.as_approved


def _exclusions_of_the_plan(
    engine: Any, project: Any, deliveries: Any, program: Any, pinned: Mapping[str, str], as_of: Any, *more: Any
) -> Any:
    found, diagnostics = _as_approved(engine, project, deliveries, program, pinned, as_of, *more)
    if found is None:
        return found, diagnostics
    planned = next(iter(found.values())).materialised if found else None
    return {name: World(planned.people, planned) for name in found} if planned else found, diagnostics


def _unguarded(own: Any, occurrence: Any, form: Any, send: Any) -> Any:
    leaves = frozenset(guards.leaf_key(leaf) for leaf in guards._own_leaves(send, form.name))
    rewritten = guards._without(own, form, send, leaves) if leaves else send
    return guards.Guarded(rewritten, {})


def _to_everybody(making: Any, apart: Any, limit: Any) -> bytes:
    return everybody_body(making.messages, limit, False)


_narrowcast_body = deliver.narrowcast_body


def _without_limit(*arguments: Any) -> bytes:
    document = json.loads(_narrowcast_body(*arguments))
    document.pop("limit")
    return canonical_json(document)


_settle_send = client.settle_send


def _any_409(reply: Any) -> Any:
    if reply.status == 409:
        return Accepted(reply.headers.get("x-line-request-id", "none"), {}, 202)
    return _settle_send(reply)


_exchange = LabChannel.exchange


def _reconnecting(channel: LabChannel, request: Any) -> Any:
    """A client library that opens the connection anew and writes the request again."""
    outcome = _exchange(channel, request)
    if isinstance(outcome, Unknown) and outcome.written and "X-Line-Retry-Key" in request.headers:
        channel._lab.at("send.connect")
        return channel._write(request, "send")
    return outcome


def _blind(db: Any, row: Any) -> Any:
    kind, identity = sql_store.row_kind(row), sql_store.row_id(row)
    text = f"SELECT {sql_store._ROW} FROM record WHERE kind = ? AND id = ?"
    found = db.execute(text, (kind, identity)).fetchone()
    return sql_store._parse(kind, *found) if found else None


_store_row = sql_store._store


def _over_whatever(db: Any, before: Any, row: Any) -> Any:
    kind, identity = sql_store.row_kind(row), sql_store.row_id(row)
    db.execute("DELETE FROM record WHERE kind = ? AND id = ?", (kind, identity))
    return _store_row(db, None, row)


def _time_out_is_no(outcome: Any) -> bool:
    return isinstance(outcome, Refused | Limited | Unknown)


MUTANTS: dict[str, tuple[str, tuple[Patch, ...]]] = {
    "journal": ("the request leaves before it is recorded that it may have", ((sends, "_asking", _unjournalled),)),
    "fence": (
        "neither writes nor requests look at the lease, and it is not renewed",
        (
            (sql_store, "fence", lambda db, lease: None),
            (context.Context, "confirm_lease", lambda own: None),
            (context.Context, "keep_lease", lambda own: None),
        ),
    ),
    "fence_and_cas": (
        "writes look neither at the lease nor at the row's incarnation and revision, requests not at the lease",
        (
            (sql_store, "fence", lambda db, lease: None),
            (context.Context, "confirm_lease", lambda own: None),
            (context.Context, "keep_lease", lambda own: None),
            (sql_store, "_current", _blind),
            (sql_store, "_store", _over_whatever),
        ),
    ),
    "random_key": ("the retry key is random, and kept in the state", ((sends, "retry_key", _random_key),)),
    "key_of_body": ("the retry key follows from the body", ((sends, "_freeze", _freeze_by_body),)),
    "no_window": (
        "no window is looked at",
        (
            (sends, "_in_window", lambda own, occurrence: True),
            (run, "_closed_for_lateness", lambda own, row: False),
        ),
    ),
    "new_generation": ("an attempt after one without an answer has a new key", ((sends, "_attempt", _attempt_anew),)),
    "old_exclusions": ("lists that exclude are not read again", ((run, "as_approved", _exclusions_of_the_plan),)),
    "no_guard": ("a part does not leave out who got an earlier one", ((deliver, "guarded", _unguarded),)),
    "no_recipient": ("the recipient is left out of the request", ((deliver, "_body", _to_everybody),)),
    "no_fuse": ("the limit is left out of the request", ((deliver, "narrowcast_body", _without_limit),)),
    "header": ("the accepted request id of a 409 is not read", ((client, "settle_send", _any_409),)),
    "reconnect": (
        "the transport connects and writes again by itself",
        ((LabChannel, "exchange", _reconnecting),),
    ),
    "no_shortfall": (
        "it is not looked at how many people LINE took of an upload",
        ((checks, "_of_upload", lambda own, delivery, one: []),),
    ),
    "no_tags": ("tags of a lost state are not recognised", ((guard, "_foreign_tags", lambda *all: False),)),
    "torn": (
        "what may have left is made again though people were excluded since",
        ((deliver, "_torn", lambda *all: False),),
    ),
    "time_out": ("a request without an answer counts as not made", ((sends, "nothing_happened", _time_out_is_no),)),
}


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Production as it is, or one of the mutants."""
    with ExitStack() as stack:
        for owner, attribute, value in MUTANTS[name][1] if name else ():
            stack.enter_context(patch.object(owner, attribute, value))
        lab_run._PATCHED[:] = [name] if name else []
        try:
            yield
        finally:
            lab_run._PATCHED[:] = []
