"""Own data: the engine of a project, and the size of a set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.data.engine import EngineFailure
from audsql.diag import Diagnostic, error, has_errors
from audsql.session.keys import keys_of, missing_key
from audsql.session.project import Opened
from audsql.session.tombstones import erased_people

if TYPE_CHECKING:
    from audsql.apply.state import State
    from audsql.data.engine import Engine

__all__ = ["engine_of", "evaluate"]


def engine_of(opened: Opened, state: State | None = None) -> Engine:
    """The engine of a project: its cache closed under the project's key, and nobody in any set who was erased.

    `state`: where who was erased is known from; without it, from what this machine saw of the state last. Raises
    EngineFailure where a key is needed and is not there.
    """
    from audsql.data.cache import reseal
    from audsql.data.duckdb import open_engine
    from audsql.data.keys import KeyMissing

    assert opened.analysis is not None
    keys = keys_of(opened)
    try:
        reseal(opened.cache, keys)
        erased = erased_people(opened, keys, state)
    except KeyMissing as missing:
        raise EngineFailure(missing_key(opened.cache.name, missing)) from None
    except OSError as problem:
        raise EngineFailure(error("AUD1047", None, reason=os.strerror(problem.errno or 0))) from None
    key = keys.current if keys else None
    return open_engine(opened.analysis.project, opened.home, opened.cache, key=key, keys=keys, erased=erased)


def evaluate(
    opened: Opened, text: str, as_of: datetime | None, members: Path | None = None
) -> tuple[dict[str, Any] | None, tuple[Diagnostic, ...]]:
    """How many people an expression has: exact over own data, bounds where LINE holds a part of it.

    `members`: where to write the ids of a listable expression, one a line. Policies are not applied.
    """
    from audsql.compile.bounds import TooMany, bounds
    from audsql.data.engine import linkage_loss
    from audsql.meaning.ir import atoms_of
    from audsql.meaning.lower import lower_expression
    from audsql.syntax.parse import parse_expression

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
    listable = all(atom.world == "own" for atom in atoms_of(expression))
    if members is not None and not listable:
        opaque = next(atom.key for atom in atoms_of(expression) if atom.world != "own")
        return None, (error("AUD0043", None, atom=opaque),)
    if members is not None:
        written = _write_members(members, engine.members(low_people))
        if written:
            return None, written
    document: dict[str, Any] = {
        "count": low_count if exact else None, "exact": exact, "low": low_count, "high": high_count
    }  # fmt: skip
    losses = linkage_loss(expression, materialised)
    if losses:
        document["linkage"] = [loss.to_document() for loss in losses]
    return document, (*found, *diagnostics)


def _write_members(path: Path, ids: Iterator[str]) -> tuple[Diagnostic, ...]:
    """One id a line, readable by the owner only, complete or not there at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            out.writelines(f"{one}\n" for one in ids)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        return (error("AUD0044", None, path=str(path)),)
    return ()
