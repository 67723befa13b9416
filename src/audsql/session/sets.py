"""Own data: the engine of a project, and the size of a set."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.data.engine import EngineFailure
from audsql.diag import Diagnostic, error, has_errors, warning
from audsql.session.keys import keys_of, missing_key
from audsql.session.project import Opened
from audsql.session.tombstones import erased_people

if TYPE_CHECKING:
    from audsql.apply.state import State
    from audsql.apply.world import World
    from audsql.data.engine import Engine, People
    from audsql.data.queried import Friends
    from audsql.meaning.ir import Expression

__all__ = ["engine_of", "evaluate"]


def engine_of(
    opened: Opened, state: State | None = None, *, may_connect: bool = False, friends: Friends | None = None
) -> Engine:
    """The engine of a project: its cache closed under the project's key, and nobody in any set who was erased.

    `state`: where who was erased is known from; without it, from what this machine saw of the state last.
    `may_connect`: a `query:` of a database elsewhere is asked; without it, only what is kept of its last result is
    used. `friends`: who LINE lists as friends of an account. Raises EngineFailure where a key is needed and is not
    there, or the engine of `[engine]` cannot be opened.
    """
    from audsql.data.cache import reseal
    from audsql.data.duckdb import open_engine
    from audsql.data.keys import KeyMissing
    from audsql.data.leftovers import remove_leftovers
    from audsql.data.queried import Queries

    assert opened.analysis is not None
    connections = opened.config.connections if opened.config else {}
    keys = keys_of(opened)
    try:
        remove_leftovers(opened.cache)
        reseal(opened.cache, keys)
        erased = erased_people(opened, keys, state)
    except KeyMissing as missing:
        raise EngineFailure(missing_key(opened.cache.name, missing)) from None
    except OSError as problem:
        raise EngineFailure(error("AUD1047", None, reason=os.strerror(problem.errno or 0))) from None
    open_it: Callable[..., Engine] = open_engine
    if opened.config is not None:
        open_it = partial(open_engine, memory_bytes=opened.config.memory_mebibytes << 20)
    if opened.config is not None and opened.config.engine.kind != "duckdb":
        from audsql.data.remote.engine import open_remote
        from audsql.data.remote.settings import open_backend

        open_it = partial(open_remote, open_backend(opened.config.engine))
    return open_it(
        opened.analysis.project,
        opened.home,
        opened.cache,
        key=keys.current if keys else None,
        keys=keys,
        erased=erased,
        queries=Queries(connections, may_connect, opened.environment, friends),
    )


def evaluate(
    opened: Opened, text: str, as_of: datetime | None, members: Path | None = None
) -> tuple[dict[str, Any] | None, tuple[Diagnostic, ...]]:
    """How many people an expression has: exact over own data, bounds where LINE holds a part of it.

    `members`: where to write the ids of an expression that is known exactly, one a line. Policies are not applied.
    """
    from audsql.apply.world import World
    from audsql.compile.bounds import TooMany, bounds
    from audsql.data.engine import linkage_loss
    from audsql.meaning.ir import atoms_of
    from audsql.meaning.lower import lower_expression
    from audsql.session.listing import refused
    from audsql.syntax.parse import parse_expression

    refusal = None if members is None else refused(members)
    if refusal is not None:
        return None, (refusal,)
    tree, problems = parse_expression(text)
    if opened.analysis is None or tree is None or has_errors((*opened.diagnostics, *opened.findings, *problems)):
        return None, (*opened.diagnostics, *opened.findings, *problems)
    expression, found = lower_expression(tree, opened.analysis)
    if has_errors(found):
        return None, found
    try:
        low, high = bounds(expression)
    except TooMany as problem:
        return None, (error("AUD0045", None, atoms=problem.atoms),)
    engine = engine_of(opened)
    own = tuple(atom for atom in atoms_of(expression) if atom.world == "own")
    materialised, diagnostics = engine.materialise(own, as_of or datetime.now(UTC))
    if has_errors(diagnostics):
        return None, (*found, *diagnostics)
    low_people = engine.evaluate(low, materialised.people)
    low_count = engine.count(low_people)
    high_count = None if high is None else engine.count(engine.evaluate(high, materialised.people))
    exact = low_count == high_count
    if members is not None:
        written = _listed(members, expression, engine, low_people if exact else None)
        if has_errors(written):
            return None, written
        found = (*found, *written)
    document: dict[str, Any] = {
        "count": low_count if exact else None, "exact": exact, "low": low_count, "high": high_count
    }  # fmt: skip
    losses = linkage_loss(expression, materialised)
    if losses:
        document["linkage"] = [loss.to_document() for loss in losses]
        lost, told = _losses(engine, World(materialised.people, materialised), expression)
        document |= lost
        found = (*found, *told)
    return document, (*found, *diagnostics)


def _losses(engine: Engine, world: World, expression: Expression) -> tuple[dict[str, Any], tuple[Diagnostic, ...]]:
    """Who is lost between ids that were given and user IDs, and who stays by another id."""
    from audsql.apply.losing import losses_of

    losses = losses_of(engine, world, expression, expression)
    if losses is None:
        return {}, ()
    told = (
        warning("AUD1092", None, delivery=None, name=one.table, kind=one.kind, to=one.to, count=one.count)
        for one in losses.kept
    )
    return {"losses": losses.to_document()}, tuple(told)


def _listed(path: Path, expression: Expression, engine: Engine, people: People | None) -> tuple[Diagnostic, ...]:
    """The ids written to a file. `people`: who is in the set; None where own data do not say it exactly."""
    from audsql.meaning.ir import atoms_of
    from audsql.session.listing import write_members

    if people is not None:
        return write_members(path, engine, people)
    opaque = next((atom.key for atom in atoms_of(expression) if atom.world != "own"), None)
    return (error("AUD1090", None) if opaque is None else error("AUD0043", None, atom=opaque),)
