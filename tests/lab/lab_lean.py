"""What is the same in every run is worked out once: pure parts of production, remembered while runs are played.

Nothing here decides anything: each is a function of values, and gives the value that it gave before for the same
ones. `test_lab_tables.py` plays runs with and without and wants the same calls, rows and messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any
from unittest.mock import patch

from audsql.apply import bind, names, run, sql_store
from audsql.line import client, outcome
from audsql.plan import plan

_ROWS, _BODIES, _OBJECTS = 20_000, 4_000, 4_000


def by_object(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remembered by which objects are given. They are kept, so that no other object has their number."""
    known: dict[tuple[int, ...], tuple[Any, Any]] = {}

    def remembered(*given: Any) -> Any:
        key = tuple(map(id, given))
        found = known.get(key)
        if found is None:
            if len(known) >= _OBJECTS:
                known.clear()
            found = known[key] = given, function(*given)
        return found[1]

    return remembered


_DEFINITIONS = by_object(plan.accepted_definitions)
_REMEMBERED: tuple[tuple[Any, str, Any], ...] = (
    (sql_store, "_parse", lru_cache(_ROWS)(sql_store._parse)),
    (outcome, "read_json", lru_cache(_BODIES)(outcome.read_json)),
    (client, "parsedate_to_datetime", lru_cache(_BODIES)(client.parsedate_to_datetime)),
    (bind, "expression_of", by_object(bind.expression_of)),
    (plan, "accepted_definitions", _DEFINITIONS),
    (names, "accepted_definitions", _DEFINITIONS),
    (run, "accepted_definitions", _DEFINITIONS),
)


@contextmanager
def lean() -> Iterator[None]:
    """Production with its pure parts remembered."""
    with ExitStack() as stack:
        for owner, name, value in _REMEMBERED:
            stack.enter_context(patch.object(owner, name, value))
        yield
