"""How many people of own data are in two deliveries of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from audsql.apply.world import World
from audsql.compile.bounds import TooMany, bounds
from audsql.data.engine import Engine
from audsql.meaning.ir import Expression, Project
from audsql.plan.facts import DeliveryFacts, Size
from audsql.plan.overlaps import Overlaps, overlaps_of
from audsql.plan.plan import Wanted

__all__ = ["counted_overlaps"]


def counted_overlaps(
    engine: Engine,
    world: World,
    project: Project,
    wanted: Sequence[Wanted],
    facts: Mapping[str, DeliveryFacts],
) -> Overlaps:
    """The overlaps of a plan over the data that it is made from. `world` has every own atom of these deliveries."""
    return overlaps_of(project, wanted, facts, partial(_size, engine, world))


def _size(engine: Engine, world: World, expression: Expression) -> Size:
    try:
        low, high = bounds(expression)
    except TooMany:
        return Size(0, None)
    low_count = engine.count(engine.evaluate(low, world.people))
    if high is None:
        return Size(low_count, None)
    if high == low:
        return Size(low_count, low_count)
    return Size(low_count, engine.count(engine.evaluate(high, world.people)))
