"""`audsql run --watch`: one run after the other, with a sign of life that others can look at. Rules: `schedule.*`.

A service approves nothing. All it knows between two cycles is how often it failed and what the specs were like: specs,
data and state are read anew in each, so that a killed one loses nothing.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic, has_errors, warning
from audsql.records import dataclass
from audsql.session.accounts import connect
from audsql.session.applying import ApplyOptions, ApplyOutcome, run_due
from audsql.session.operating import local_time
from audsql.session.planning import open_store
from audsql.session.project import Opened, check, messages_of, spec_digest

if TYPE_CHECKING:
    from audsql.apply.ledger import Beat

__all__ = ["INTERVAL_SECONDS_DEFAULT", "Cycle", "Watch", "runners_of", "serve"]

Document = dict[str, Any]

INTERVAL_SECONDS_DEFAULT = 60
_BACK_OFF_SECONDS_MAX = 15 * 60
_OVERDUE_CYCLES = 3
_OVERDUE_SECONDS_MIN = 3 * 60
_MAY_PASS = (1, 4, 6)
"""Exit codes of what the next cycle may find otherwise: unreadable input, LINE away, somebody else at work."""
_USAGE, _INTERRUPTED = 64, 130


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one cycle came to. `rest_seconds`: until the next one begins; `changed`: the specs are others than in the
    cycle before. `opened`: what was read, to show places in it."""

    opened: Opened
    outcome: ApplyOutcome
    rest_seconds: int
    changed: bool = False


def let_pass(opened: Opened, seconds: float) -> None:
    """Rest: really, or by the clock of the simulator that the accounts live in."""
    endpoints = opened.config.endpoints.values() if opened.config is not None else ()
    if any(one != "line" for one in endpoints) and opened.analysis is not None and not has_errors(check(opened)):
        with connect(opened) as (remote, _):
            client = next(iter(remote.clients.values()), None) if remote is not None else None
            if client is not None and client.is_simulator:
                client.sleep(seconds)
                return
    time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Watch:
    """How a service runs. `again` opens the project anew; `tell` is called after each cycle; `rest` lets time pass, by
    the simulator's clock where the accounts live in one; `now` is the clock of signs of life."""

    again: Callable[[], Opened]
    tell: Callable[[Cycle], None]
    interval_seconds: int = INTERVAL_SECONDS_DEFAULT
    rest: Callable[[Opened, float], None] = let_pass
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def serve(watch: Watch, options: ApplyOptions) -> int:
    """Run until KeyboardInterrupt, which signals raise. Returns 0 where that came between two cycles, else 130; 64
    where the first cycle finds that the command cannot work here."""
    failures, digest, idle, opened = 0, "", False, None
    try:
        while True:
            idle = False
            opened = watch.again()
            beat(opened, watch, "running")
            outcome = run_due(opened, options)
            now_digest = _digest(opened)
            changed = bool(digest) and now_digest != digest
            if outcome.exit_code == _USAGE and not digest:
                watch.tell(Cycle(opened, outcome, 0))
                return _USAGE
            digest = now_digest
            failures = failures + 1 if outcome.exit_code in _MAY_PASS else 0
            seconds = _rest_seconds(watch, outcome, failures)
            told = (*outcome.diagnostics, warning("AUD0793", None)) if changed else outcome.diagnostics
            cycle = Cycle(opened, ApplyOutcome(outcome.document, told, outcome.exit_code), seconds, changed)
            beat(opened, watch, "running", outcome)
            watch.tell(cycle)
            idle = True
            watch.rest(opened, seconds)
    except KeyboardInterrupt:
        if opened is not None:
            beat(opened, watch, "stopped")
        return 0 if idle else _INTERRUPTED


def _digest(opened: Opened) -> str:
    """Of the specs, messages and settings; of specs with errors, that they have them."""
    if opened.analysis is None or has_errors(check(opened)):
        return "errors"
    messages, _ = messages_of(opened)
    return spec_digest(opened, messages)


def _rest_seconds(watch: Watch, outcome: ApplyOutcome, failures: int) -> int:
    """Until the next cycle: the interval, less where something is due before, twice as long after each failure."""
    if failures:
        # Doubling that far is beyond the longest rest in any case.
        longer: int = watch.interval_seconds * 2 ** min(failures - 1, 10)
        return min(max(watch.interval_seconds, longer), max(_BACK_OFF_SECONDS_MAX, watch.interval_seconds))
    soon = outcome.document.get("next_in_seconds") if outcome.document else None
    return watch.interval_seconds if soon is None else max(1, min(watch.interval_seconds, int(soon)))


# --- signs of life ------------------------------------------------------------------------------------


def beat(opened: Opened, watch: Watch, state: str, outcome: ApplyOutcome | None = None) -> None:
    """Leave a sign of life where there is a state; one that cannot be left is missed by whoever looks, and stops
    nothing."""
    from audsql.apply.ledger import Beat
    from audsql.apply.store import StoreFailed

    # Before the first apply there is no state, and nothing that anybody could wait for.
    store, _ = open_store(opened, create=False) if opened.config is not None else (None, ())
    if store is None:
        return
    host, pid = platform.node(), os.getpid()
    document: Document = {"state": state, "interval_seconds": watch.interval_seconds}
    if outcome is not None:
        document["exit_code"] = outcome.exit_code
        document["next_due"] = outcome.document.get("next_due") if outcome.document else None
    with store:
        try:
            store.ledger().beat(Beat(f"watch@{host}", watch.now(), host, pid, document))
        except StoreFailed as failed:
            watch.tell(Cycle(opened, ApplyOutcome(None, (failed.diagnostic,), 4), 0))


def runners_of(opened: Opened, now: datetime) -> tuple[list[Document], tuple[Diagnostic, ...]]:
    """The services that left signs of life, the latest first, and a warning where the latest of them is overdue."""
    store, problems = open_store(opened, create=False)
    if store is None:
        return [], problems
    with store:
        beats = sorted(store.ledger().beats(), key=lambda one: (one.at, one.name), reverse=True)
    rows = [_runner(opened, one, now) for one in beats]
    late = [(one, row) for one, row in zip(beats, rows, strict=True) if row["state"] == "overdue"]
    if not late or any(row["state"] == "running" for row in rows):
        return rows, ()
    one, row = late[0]
    seconds = int(one.document.get("interval_seconds", INTERVAL_SECONDS_DEFAULT))
    return rows, (warning("AUD0792", None, host=one.host, seen=row["seen"], interval_seconds=seconds),)


def _runner(opened: Opened, one: Beat, now: datetime) -> Document:
    seconds = int(one.document.get("interval_seconds", INTERVAL_SECONDS_DEFAULT))
    limit = timedelta(seconds=max(_OVERDUE_CYCLES * seconds, _OVERDUE_SECONDS_MIN))
    state = str(one.document.get("state", "running"))
    if state == "running" and now - one.at > limit:
        state = "overdue"
    return {
        "name": one.name, "host": one.host, "pid": one.pid, "seen": local_time(opened, one.at), "state": state,
        "interval_seconds": seconds,
    }  # fmt: skip
