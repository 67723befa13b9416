"""Flows with one protection taken away at a time: what a year must find, and the seed that finds it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from audsql.apply import batches
from audsql.apply.flows import enter, run, standing, trigger, walk
from audsql.apply.ledger_sql import SqlLedger
from audsql.line.outcome import Refused, Unknown

Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Mutant:
    """What is taken away, and the year that shows it: eight days with twenty flows and deliveries."""

    what: str
    patches: tuple[Patch, ...]
    seed: int
    days: int = 8
    size: int = 20
    people: int = 50


_staying = walk.staying


def _without(reason: str) -> Any:
    """Whoever would leave for this reason stays."""

    def staying(one: Any, crowd: Any) -> Any:
        return {name: mask & (name != reason) for name, mask in _staying(one, crowd).items()}

    return staying


def _again_at_once(persons: Any, last: Any, pause: Any, now: Any, numbering: Any) -> Iterator[tuple[int, str]]:
    """Whoever stays in the set goes round."""
    for at, person in enumerate(persons):
        place = last.get(person)
        if place is None:
            yield at, "1"
        elif enter.is_over(place):
            yield at, numbering.after(place)


class _NoHours(walk._Hours):
    def _fate(self, due: Any) -> Any:
        return "send", due


_behind = standing.behind


def _drifting(way: Any, path: str, due_at: Any, zone: Any) -> Any:
    """What follows counts from half a day later, as if from when a late run came to it."""
    return _behind(way, path, due_at + timedelta(hours=12), zone)


_attempt = batches._attempt
_keys = itertools.count(1)


def _new_key(context: Any, batch: Any, body: bytes) -> Any:
    """Every attempt has a key of its own."""
    key = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{batch.id} {next(_keys)}"))
    return _attempt(context, replace(batch, retry_key=key), body)


def _time_out_is_no(context: Any, batch: Any, body: bytes) -> Any:
    """A request without an answer counts as refused."""
    outcome = _attempt(context, batch, body)
    return Refused(400, (), "no answer") if isinstance(outcome, Unknown) else outcome


_put_batch = SqlLedger.put_batch


def _apart(self: Any, lease: Any, now: Any, what: str, batch: Any, places: Any = (), **more: Any) -> Any:
    """What became of a batch is recorded, what that does to its people is not."""
    return _put_batch(self, lease, now, what, batch, (), **more)


_rows_seen = itertools.count(1)


def _by_number(context: Any, row: Any, columns: int) -> str:
    """A row is told apart by when it was read, not by what it says."""
    return f"{next(_rows_seen):032x}"


def _first_arm(one: Any, way: Any, path: str, step: Any, group: Any) -> None:
    """Everybody takes the first arm of a branch."""
    walk._forward(one, way, group, walk.first_in_arm(one.way, path, 0))


MUTANTS: dict[str, Mutant] = {
    "branch": Mutant("the conditions of arms are not read", ((walk, "_branch", _first_arm),), 5),
    "exit": Mutant("the exit is not read again", ((walk, "staying", _without("exit")),), 5),
    "policy": Mutant("policies are not read again", ((walk, "staying", _without("policy")),), 3),
    "withdrawn": Mutant("a row that is gone is not noticed", ((walk, "staying", _without("withdrawn")),), 5),
    "caps": Mutant("caps are not counted", ((walk, "over_caps", lambda *given: {}),), 12, size=30, people=60),
    "hours": Mutant("quiet hours and lateness are not looked at", ((walk, "_Hours", _NoHours),), 5),
    "late": Mutant("a step is sent however late", ((walk, "LATE_HOURS", 10_000),), 5),
    "outside": Mutant("who stays in the set goes round", ((enter, "_again", _again_at_once),), 5),
    "drift": Mutant("late runs put off what follows", ((standing, "behind", _drifting),), 5),
    "settle": Mutant("open batches are not settled first", ((run, "_settle", lambda one: 0),), 7),
    "new_key": Mutant("an attempt after one without an answer has a new key", ((batches, "_attempt", _new_key),), 5),
    "time_out": Mutant("no answer counts as a refusal", ((batches, "_attempt", _time_out_is_no),), 3),
    "apart": Mutant("a batch and its people are not recorded together", ((SqlLedger, "put_batch", _apart),), 5),
    "row": Mutant("a row that is read again is a new one", ((trigger, "_entry", _by_number),), 5),
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Production with a mutant."""
    with ExitStack() as stack:
        for owner, attribute, value in MUTANTS[name].patches:
            stack.enter_context(patch.object(owner, attribute, value))
        yield
