"""When the window of an approved send ends, under the policies of today."""

from __future__ import annotations

from datetime import datetime

from audsql.apply.bind import approved_at
from audsql.apply.context import Context
from audsql.apply.state import Occurrence
from audsql.plan.quiet import is_quiet, quiets_of, window_end, window_start

__all__ = ["end_of_window", "quiet_now"]


def end_of_window(context: Context, occurrence: Occurrence) -> datetime | None:
    """The last instant at which a request may leave: as approved, or where quiet hours begin, whichever is earlier.

    A policy that came after the approval counts too (specs/operations.md, `guard.quiet`).
    """
    quiets = quiets_of(context.project, _named(occurrence))
    if occurrence.not_after is None or not quiets:
        return occurrence.not_after
    begin = window_start(occurrence.at, approved_at(occurrence), occurrence.not_after)
    return min(occurrence.not_after, window_end(begin, quiets, context.project.timezone))


def quiet_now(context: Context, occurrence: Occurrence, now: datetime) -> bool:
    """Whether nothing of this delivery may start now."""
    return is_quiet(now, quiets_of(context.project, _named(occurrence)), context.project.timezone)


def _named(occurrence: Occurrence) -> str:
    """The name that policies except: of a flow without what tells it from a delivery."""
    return occurrence.name.removeprefix("flow.")
