"""What reading own data is at: the port through which an engine says so, and whoever asked is told.

Nobody listens unless `listening` says who; then each step is a call. No clock and no output here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from audsql.records import dataclass

__all__ = ["Listener", "Step", "listening", "tell"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `source`: number `number` of `of` is begun; `read`: so much of it is read; `evaluate`: its rows are
    looked at; `end`: all of them are done. `rows` and `size_bytes` as far as they are known, else 0."""

    kind: Literal["source", "read", "evaluate", "end"]
    source: str = ""
    number: int = 0
    of: int = 0
    rows: int = 0
    size_bytes: int = 0


Listener = Callable[[Step], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` of every step until the end of the block, on this thread."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def tell(step: Step) -> None:
    """Tell whoever listens."""
    listener = _listener.get()
    if listener is not None:
        listener(step)
