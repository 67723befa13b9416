"""A person's place in a flow, as it moves on: over a step, out of the flow, into doubt. Pure.

Normative: specs/flows.md, `flow.held`, `flow.rejected`, `flow.missed`, `flow.end`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from audsql.apply.flows.ways import Landing, Way, behind, way_of
from audsql.apply.ledger import Batch, Place
from audsql.plan.flow_form import FlowForm

__all__ = ["BACK", "after_batch", "ended", "is_over", "left", "moved_on", "noted", "ways_of"]

BACK = ("excluded", "nobody")
"""Evidence of a batch that certainly never left with these people in it: they are decided of anew."""

_OUT = {"rejected": "rejected", "resolved_not_sent": "unsent"}


def ways_of(forms: Sequence[FlowForm]) -> dict[tuple[str, str], Way]:
    """The way through each version, by flow and version."""
    return {(form.name, form.version): way_of(form.flow) for form in forms}


def is_over(place: Place) -> bool:
    return place.state in ("done", "left")


def noted(place: Place, word: str) -> Place:
    """With one more word about what happened; words are separated by blanks, each stands once."""
    words = place.note.split()
    return place if word in words else replace(place, note=" ".join((*words, word)))


def left(place: Place, why: str, now: datetime) -> Place:
    """Out of the flow before its end."""
    return noted(replace(place, state="left", step="", batch="", ended_at=now), why)


def ended(place: Place) -> Place:
    """Behind the last step since it was due."""
    return Place(
        place.flow, place.person, place.entry, place.version, "", "done", place.entered_at, place.due_at, "",
        place.note, place.due_at, place.revision,
    )  # fmt: skip


def moved_on(place: Place, where: Landing) -> Place:
    """At the next step that does something."""
    # Written out: there are as many as people and steps, and `replace` takes several times as long.
    return Place(
        place.flow, place.person, place.entry, place.version, where.step, "waiting", place.entered_at, where.due_at, "",
        place.note, place.ended_at, place.revision,
    )  # fmt: skip


def after_batch(
    batch: Batch, places: Sequence[Place], ways: Mapping[tuple[str, str], Way], zone: ZoneInfo, now: datetime
) -> list[Place]:
    """What the end of a batch does to those who stand in it."""
    moved: list[Place] = []
    for place in places:
        way = ways.get((place.flow, place.version))
        if batch.state == "in_doubt" or way is None or place.step not in way.after:
            moved.append(replace(place, state="held"))
        elif batch.state in _OUT:
            moved.append(left(place, _OUT[batch.state], now))
        elif batch.state == "missed" and batch.evidence in BACK:
            moved.append(replace(place, state="waiting", batch=""))
        else:
            on = moved_on(place, behind(way, place.step, place.due_at, zone))
            moved.append(noted(on, f"missed:{place.step}") if batch.state == "missed" else on)
    return moved
