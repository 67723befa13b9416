"""How far reading own data is, as a line that is drawn again and again: what is shown, and when.

The line appears only where something takes longer than a second, at most ten times a second, and never stays: it is
wiped before anything else is said (specs/operations.md, cli.progress).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace

from audsql.data.progress import Step, listening
from audsql.records import dataclass

__all__ = ["Meter", "Progress", "shown", "wanted"]

_QUIET_SECONDS = 1.0
_BETWEEN_SECONDS = 0.1
_TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """What is at work: source `source`, number `number` of `of`, with so many rows and bytes read, and the seconds
    since reading began. `evaluating`: its rows are being looked at."""

    source: str = ""
    number: int = 0
    of: int = 0
    rows: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    evaluating: bool = False


def wanted(environment: Mapping[str, str], arguments: tuple[str, ...], *, is_terminal: bool) -> bool:
    """Whether a person is watching: a terminal that can move back, no CI, and no output for a machine."""
    if not is_terminal or environment.get("CI") or environment.get("TERM") == "dumb":
        return False
    pairs = zip(arguments, (*arguments[1:], ""), strict=True)
    return "--json" not in arguments and not any(
        one == "--format=json" or (one == "--format" and following == "json") for one, following in pairs
    )


@dataclass(slots=True)
class Meter:
    """The steps of one command as lines. `clock` gives seconds; `line` makes the text of a state, `write` shows it:
    text without a line end takes the place of the last one, "" wipes it. Both may be called on any thread."""

    clock: Callable[[], float]
    line: Callable[[Progress], str]
    write: Callable[[str], None]
    state: Progress = field(default_factory=Progress)
    began: float | None = None
    drawn: float | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def take(self, step: Step) -> None:
        """A step of an engine."""
        with self.lock:
            if step.kind == "end":
                self.wipe()
                self.began = None
                return
            if self.began is None:
                self.began = self.clock()
            if step.kind == "source":
                self.state = Progress(step.source, step.number, step.of)
            else:
                known = (step.rows or self.state.rows, step.size_bytes or self.state.size_bytes)
                evaluating = step.kind == "evaluate"
                self.state = replace(self.state, rows=known[0], size_bytes=known[1], evaluating=evaluating)
            self.tick()

    def tick(self) -> None:
        """Draw the line anew where it is time to."""
        with self.lock:
            now = self.clock()
            if self.began is None or now - self.began < _QUIET_SECONDS:
                return
            if self.drawn is None or now - self.drawn >= _BETWEEN_SECONDS:
                self.drawn = now
                self.write(self.line(replace(self.state, seconds=now - self.began)))

    def wipe(self) -> None:
        """Take the line away, if there is one."""
        with self.lock:
            if self.drawn is not None:
                self.drawn = None
                self.write("")


@contextmanager
def shown(meter: Meter) -> Iterator[None]:
    """Show what is read in this block; the seconds go on while nothing is told. The line is wiped at the end."""
    over = threading.Event()

    def keep_ticking() -> None:
        while not over.wait(_TICK_SECONDS):
            meter.tick()

    ticking = threading.Thread(target=keep_ticking, name="progress", daemon=True)

    def take(step: Step) -> None:
        # A command that reads nothing needs no thread.
        if ticking.ident is None:
            ticking.start()
        meter.take(step)

    try:
        with listening(take):
            yield
    finally:
        over.set()
        if ticking.ident is not None:
            ticking.join()
        meter.take(Step("end"))
