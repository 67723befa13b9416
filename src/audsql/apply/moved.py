"""A delivery of several sends that was cut off in the middle, while exclusions went on growing.

Its sends divide people among them. Whoever is excluded meanwhile can fall out of a send that was made and
into one that is still to come, and would get the message twice. So the uploads of the first request are
remembered, and a later send leaves only if nobody who moved can be in it.
"""

from __future__ import annotations

from dataclasses import replace

from audsql.apply.context import Context
from audsql.apply.state import Occurrence
from audsql.apply.world import World, own_atoms
from audsql.compile.bounds import TooMany, bounds
from audsql.compile.program import Narrowcast
from audsql.data.engine import Engine, People
from audsql.meaning.ir import Expression, land, leaf, lor
from audsql.records import dataclass

__all__ = ["Moved", "begin", "moved", "stays_clear"]


@dataclass(frozen=True, slots=True)
class Moved:
    """People who were in other uploads when the delivery began. None: somebody moved, and who is not known."""

    people: People | None


def begin(context: Context, occurrence: Occurrence, world: World) -> Occurrence:
    """Remember, before the first request leaves, who is in each upload of this delivery."""
    compiled = next(one for one in context.program.deliveries if one.name == occurrence.name)
    fingerprints: dict[str, str] = {}
    for key in compiled.uploads:
        people = _people(context, key, world)
        context.engine.save(_name(occurrence, key), people)
        fingerprints[key] = context.engine.fingerprint(people)
    document = {**occurrence.document, "uploads": fingerprints, "excluded": dict(world.excluded)}
    return context.put("occurrence.sending", replace(occurrence, state="sending", document=document))


def moved(context: Context, occurrence: Occurrence, world: World) -> Moved | None:
    """Who is in other uploads now than when the delivery began; None: nobody."""
    found: People | None = None
    for key, fingerprint in sorted(dict(occurrence.document.get("uploads", {})).items()):
        now = _people(context, key, world)
        if context.engine.is_fingerprint(now, fingerprint):
            continue
        before = context.engine.load(_name(occurrence, key))
        if before is None or not context.engine.is_fingerprint(before, fingerprint):
            # The cache is another one. Files that are the same make the same sets.
            same = dict(world.excluded) == dict(occurrence.document.get("excluded", {}))
            return None if same else Moved(None)
        entering, leaving = context.engine.delta(before, now)
        changed = context.engine.union(entering, leaving)
        found = changed if found is None else context.engine.union(found, changed)
    return None if found is None else Moved(found)


def stays_clear(engine: Engine, send: Narrowcast, change: Moved, world: World) -> bool:
    """Whether nobody who moved can be in this send as it would be made now, whatever LINE holds."""
    own = own_atoms(send.region)
    if not own:
        # What own data do not tell apart is apart from the other sends by LINE's data alone.
        return True
    if change.people is None:
        return False
    if send.bound is not None:
        return not _shared(engine, change.people, send.bound, world)
    listed = lor(*(leaf(atom) for atom in own))
    try:
        _, inside = bounds(land(send.region, listed))
    except TooMany:
        return False
    unlisted = engine.delta(change.people, engine.evaluate(listed, world.people))[1]
    return inside is not None and not engine.count(unlisted) and not _shared(engine, change.people, inside, world)


def _shared(engine: Engine, people: People, expression: Expression, world: World) -> bool:
    outside = engine.delta(people, engine.evaluate(expression, world.people))[1]
    return engine.count(outside) < engine.count(people)


def _people(context: Context, key: str, world: World) -> People:
    return context.engine.evaluate(context.program.upload(key).expression, world.people)


def _name(occurrence: Occurrence, key: str) -> str:
    return f"sent.{occurrence.id}.{key}"
