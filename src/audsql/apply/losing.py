"""Who is lost between the ids that were given and the people who get a message (specs/operations.md, plan.losses)."""

from __future__ import annotations

from audsql.apply.world import World
from audsql.compile.bounds import bounds
from audsql.data.engine import Engine, People
from audsql.data.linkage import added_mappings, kept_by_another_id
from audsql.meaning.ir import Expression, atoms_of
from audsql.plan.facts import Losses, Size

__all__ = ["losses_of"]


def losses_of(
    engine: Engine, world: World, before: Expression, after: Expression, friends: frozenset[str] | None = None
) -> Losses | None:
    """What mapping ids cost a set. `before`: the set without policies, `after`: with them; `friends`: the user IDs of
    all friends, None where LINE does not say.

    None where nothing is mapped that the set is made of, and friends are not known. Raises compile.bounds.TooMany.
    """
    mappings = tuple(added_mappings(before))
    own = [atom.key for atom in atoms_of(before) if atom.world == "own"]
    if not (mappings or friends is not None) or not all(key in world.people for key in own):
        return None
    losses = [world.materialised.losses[one.key] for one in mappings if one.key in world.materialised.losses]
    kept = kept_by_another_id(engine, after, world.materialised, world.people, _most(engine, world, after))
    given, lost = sum(one.given for one in losses), sum(one.lost for one in losses)
    size, known = _size(engine, world, before), None
    if friends is not None and size.high is not None:
        known = sum(one in friends for one in engine.members(_most(engine, world, before)))
    return Losses(given if mappings else None, lost if mappings else None, size, kept, known)


def _size(engine: Engine, world: World, expression: Expression) -> Size:
    low, high = bounds(expression)
    least = engine.count(engine.evaluate(low, world.people))
    return Size(least, None if high is None else engine.count(engine.evaluate(high, world.people)))


def _most(engine: Engine, world: World, expression: Expression) -> People:
    """Everybody of own data who can be in the set."""
    low, high = bounds(expression)
    return engine.evaluate(low if high is None else high, world.people)
