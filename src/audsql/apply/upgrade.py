"""A state of an earlier format turned into one of this format, step by step. Pure.

A step takes the whole state as the document of `state pull` in format n and gives it in format n + 1. Hashes are
made anew after the last step, since the format is part of what they cover; the events themselves stay.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from audsql.apply.journal import Event, chained, event_text, genesis, parse_event, row_hash
from audsql.apply.keyed import SIGNATURE
from audsql.apply.state import FIRST_FORMAT

__all__ = ["STEPS", "Step", "upgraded"]

Document = dict[str, Any]
Step = Callable[[Document], Document]

STEPS: tuple[Step, ...] = ()
"""The first step leads from the first format to the second, and so on."""


def upgraded(document: Document, steps: Sequence[Step], now: datetime) -> Document:
    """The document in the format that the last step leads to. It is sound if what is given is."""
    found = document["format_version"]
    for number, step in enumerate(steps, start=FIRST_FORMAT):
        if number >= found:
            document = {**step(document), "format_version": number + 1}
    return document if document["format_version"] == found else _chained_anew(document, found, now)


def _chained_anew(document: Document, found: int, now: datetime) -> Document:
    """With the hashes that rows and events have in this format, and an event that says so."""
    digests = {(row[0], row[1]): _digest(row) for row in document["records"]}
    last: dict[tuple[str, str], tuple[int, int]] = {}
    events = [parse_event(text) for _, text, _ in document["events"]]
    for number, event in enumerate(events):
        for place, change in enumerate(event.changes):
            last[change.kind, change.id] = (number, place)
    events.append(_said(document, events, found, now))
    head = genesis(document["lineage"], document["environment"], document["format_version"])
    rows: list[list[Any]] = []
    for number, event in enumerate(events):
        text = event_text(_with_digests(event, number, last, digests))
        head = chained(head, text)
        rows.append([event.number, text, head])
    return {**document, "events": rows, "head": head}


def _said(document: Document, events: Sequence[Event], found: int, now: datetime) -> Event:
    epoch = events[-1].epoch if events else 0
    facts = {"from": found, "to": document["format_version"]}
    return Event(len(events) + 1, now, "state.upgraded", epoch, document["serial"], (), facts)


def _digest(row: Sequence[Any]) -> str:
    _, _, incarnation, revision, created_at, updated_at, text, body = row
    content = None if body is None else base64.b64decode(body)
    return row_hash(text, (incarnation, revision, created_at, updated_at), content)


def _with_digests(
    event: Event, number: int, last: dict[tuple[str, str], tuple[int, int]], digests: dict[tuple[str, str], str]
) -> Event:
    """The event with the digests of the rows that it was the last to change."""
    changes = tuple(
        replace(change, digest=digests.get((change.kind, change.id), change.digest))
        if last[change.kind, change.id] == (number, place) and change.digest is not None
        else change
        for place, change in enumerate(event.changes)
    )
    # What signed the former text signs nothing now; the next write signs the journal again (state.keyed).
    attributes = {name: one for name, one in event.attributes.items() if name not in SIGNATURE}
    return replace(event, changes=changes, attributes=attributes)
