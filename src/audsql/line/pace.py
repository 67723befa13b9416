"""Local pacing: requests are spread so that LINE's rate limits are never hit.

LINE counts an endpoint and a channel (specs/line.md) and publishes no bucket size, so no more than
the allowed number is ever sent within any window of that length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from audsql.line import limits

__all__ = ["Pacer"]


class Pacer:
    """Remembers when each operation was requested. `rates`: operation to the name of its rate."""

    def __init__(self, rates: dict[str, str]) -> None:
        self._rates = rates
        self._times: dict[str, deque[datetime]] = {}

    def wait_seconds(self, operation: str, now: datetime) -> float:
        """How long to wait before the next request of this operation; 0 if it may go at once."""
        allowed, window_seconds = self._rate(operation)
        times = self._times.get(operation)
        if times is None or len(times) < allowed:
            return 0.0
        free_at = times[-allowed] + timedelta(seconds=window_seconds)
        return max(0.0, (free_at - now).total_seconds())

    def note(self, operation: str, at: datetime) -> None:
        allowed, _ = self._rate(operation)
        self._times.setdefault(operation, deque(maxlen=allowed)).append(at)

    def recall(self, operation: str, times: Iterable[datetime]) -> None:
        """Earlier requests, of a run before this one, count too."""
        allowed, _ = self._rate(operation)
        merged = sorted([*self._times.get(operation, ()), *times])
        self._times[operation] = deque(merged, maxlen=allowed)

    def _rate(self, operation: str) -> tuple[int, int]:
        return limits.RATES.get(self._rates.get(operation, ""), limits.RATE_DEFAULT)
