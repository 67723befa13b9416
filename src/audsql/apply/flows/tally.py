"""What a run did to the people of a flow, as counts: for the report and for what is told. Nobody is named."""

from __future__ import annotations

from collections import Counter
from dataclasses import field

from audsql.apply.context import Context
from audsql.records import dataclass

__all__ = ["Tally"]

EVENTS = ("entered", "sent", "missed", "passed_over", "done", "left", "held", "rejected")


@dataclass(slots=True)
class Tally:
    """Counts of one flow by event. `left` counts by the reason as well (`left.exit`)."""

    flow: str
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, event: str, count: int, reason: str = "") -> None:
        self.counts[event] += count
        if reason and count:
            self.counts[f"{event}.{reason}"] += count

    def say(self, context: Context) -> None:
        """One event of the run for what happened, in a fixed order, with the reasons for which people left."""
        for event in EVENTS:
            if self.counts[event]:
                start = f"{event}."
                why = {
                    key.removeprefix(start): self.counts[key] for key in sorted(self.counts) if key.startswith(start)
                }
                context.say(f"flow_{event}", flow=self.flow, count=self.counts[event], **({"why": why} if why else {}))
