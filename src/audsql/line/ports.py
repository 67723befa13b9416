"""What the client needs from outside: time, chance, and somewhere to put its request log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from audsql.records import dataclass

__all__ = ["ClientPorts", "RequestRecord", "Secret", "system_ports"]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as it may be kept: never a body, a query or a token.

    LINE asks its developers to keep exactly these (specs/line.md). `endpoint` is the path with its
    ids left out. `status` None: no reply came.
    """

    at: datetime
    method: str
    endpoint: str
    status: int | None
    request_id: str | None


def _no_log(record: RequestRecord) -> None:
    """The log of a caller who wants none."""


@dataclass(frozen=True, slots=True)
class ClientPorts:
    """`now` has an offset; `sleep` takes seconds; `random` is in [0, 1)."""

    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    random: Callable[[], float]
    log: Callable[[RequestRecord], None] = _no_log


def system_ports(log: Callable[[RequestRecord], None] = _no_log) -> ClientPorts:
    """The machine's own clock, sleep and randomness."""
    import random
    import time
    from datetime import UTC

    return ClientPorts(lambda: datetime.now(UTC), time.sleep, random.random, log)


class Secret:
    """A text that shows itself only to `reveal`: not in a repr, a log, a traceback or a pickle."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return repr(self)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not copied")
