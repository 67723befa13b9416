"""Who enters a flow that begins with a set: whoever is in it now and may enter, once or again.

Normative: specs/flows.md, `flow.enter`, `flow.first`, `flow.reentry`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np

from audsql.apply.flow_versions import entries_known, last_places
from audsql.apply.flows.conditions import Crowd, Reading, holds, started
from audsql.apply.flows.standing import is_over, noted
from audsql.apply.flows.ways import Way, landing
from audsql.apply.ledger import Ledger, Place
from audsql.data.among import Among
from audsql.meaning import ir
from audsql.plan.flow_form import FlowForm
from audsql.records import dataclass

__all__ = ["OUTSIDE", "Entrance", "Numbering", "entrance", "people_in", "place_at_start"]

OUTSIDE = "outside"
"""Note of a place that is over: its person was seen outside the set since."""
_PIECE = 100_000
_DIGEST_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Entrance:
    """`fresh`: places to be added; `seen`: places that are over, of people who are outside the set by now."""

    fresh: tuple[Place, ...]
    seen: tuple[Place, ...] = ()


def entrance(reading: Reading, form: FlowForm, way: Way, excluded: ir.Expression) -> Entrance:
    """Who enters now. The sets must have been read. Raises Unreadable."""
    flow, context = form.flow, reading.context
    assert flow.start.expression is not None
    inside = people_in(reading, flow.start.expression)
    inside = context.persons.admitted(inside)
    persons = context.persons.hide(inside)
    if flow.reentry_minutes is None:
        known = {person for person, _ in entries_known(context, flow.name)}
        new = [at for at, person in enumerate(persons) if person not in known]
        entries = dict.fromkeys(new, "1")
        seen: tuple[Place, ...] = ()
    else:
        last = last_places(context, flow.name)
        pause = timedelta(minutes=flow.reentry_minutes)
        entries = dict(_again(persons, last, pause, reading.now, Numbering(context.ledger, flow.name)))
        within = frozenset(persons)
        seen = tuple(
            noted(place, OUTSIDE)
            for person, place in sorted(last.items())
            if person not in within and is_over(place) and OUTSIDE not in place.note.split()
        )
    chosen = sorted(_allowed(reading, form, excluded, inside, sorted(entries)), key=lambda at: persons[at])
    now, first = reading.now, landing(way, "0", reading.now, reading.zone)
    name, version, step, due_at = form.name, form.version, first.step, first.due_at
    fresh = [Place(name, persons[at], entries[at], version, step, "waiting", now, due_at) for at in chosen]
    return Entrance(tuple(fresh), seen)


def place_at_start(
    form: FlowForm, way: Way, person: bytes, entry: str, entered_at: datetime, reading: Reading
) -> Place:
    """The place of somebody who enters this version at this instant."""
    first = landing(way, "0", entered_at, reading.zone)
    return Place(form.name, person, entry, form.version, first.step, "waiting", entered_at, first.due_at)


@dataclass(slots=True)
class Numbering:
    """Which time of entering comes next for whom. Entries of a time at which the flow had a trigger have no number."""

    ledger: Ledger
    flow: str
    known: dict[bytes, int] | None = None

    def after(self, place: Place) -> str:
        if _is_number(place.entry):
            return str(int(place.entry) + 1)
        if self.known is None:
            self.known = {}
            for person, entry in self.ledger.entries_of(self.flow):
                number = int(entry) if _is_number(entry) else 0
                self.known[person] = max(number, self.known.get(person, 0))
        return str(self.known.get(place.person, 0) + 1)


def _is_number(entry: str) -> bool:
    return len(entry) < _DIGEST_DIGITS and entry.isdecimal()


def _again(
    persons: Sequence[bytes], last: dict[bytes, Place], pause: timedelta, now: datetime, numbering: Numbering
) -> Iterator[tuple[int, str]]:
    """Who may enter by their last time, and which time this is."""
    for at, person in enumerate(persons):
        place = last.get(person)
        if place is None:
            yield at, "1"
        elif is_over(place) and OUTSIDE in place.note.split() and (place.ended_at or now) + pause <= now:
            yield at, numbering.after(place)


def _allowed(
    reading: Reading, form: FlowForm, excluded: ir.Expression, user_ids: Sequence[str], rows: Sequence[int]
) -> list[int]:
    """Those of these rows whom neither the exit nor a policy would take out at once."""
    if not rows:
        return []
    crowd = Crowd(Among([user_ids[at] for at in rows]), [reading.now] * len(rows))
    gone = holds(reading, ir.lor(form.flow.exit, excluded), crowd)
    return [rows[at] for at in np.flatnonzero(~gone).tolist()]


def people_in(reading: Reading, expression: ir.Expression) -> list[str]:
    """The user IDs of everybody in an anchored set, in ascending order, each once."""
    expression = started(expression, reading.now)
    engine, atoms = reading.context.engine, ir.atoms_of(expression)
    if all(atom.world == "own" for atom in atoms):
        return list(engine.members(engine.evaluate(expression, _with_buckets(reading, atoms))))
    everybody = sorted(set(_ids(reading, atoms)))
    found: list[str] = []
    for begin in range(0, len(everybody), _PIECE):
        some = everybody[begin : begin + _PIECE]
        mask = holds(reading, expression, Crowd(Among(some), [reading.now] * len(some)))
        found += [some[at] for at in np.flatnonzero(mask).tolist()]
    return found


def _ids(reading: Reading, atoms: Iterable[ir.Atom]) -> Iterator[str]:
    """Everybody whom some atom holds: nobody else is in an anchored set."""
    for atom in atoms:
        if isinstance(atom, ir.Friends):
            yield from reading.friends[atom.account]
        elif not isinstance(atom, ir.Bucket):
            yield from reading.context.engine.members(reading.people[atom.key])


def _with_buckets(reading: Reading, atoms: Sequence[ir.Atom]) -> dict[str, object]:
    """The sets of these atoms; those by bucket are made beside the others."""
    if not any(isinstance(atom, ir.Bucket) for atom in atoms):
        return {atom.key: reading.people[atom.key] for atom in atoms}
    found, _ = reading.context.engine.materialise(atoms, reading.now)
    return dict(found.people)
