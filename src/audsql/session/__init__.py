"""The hall: the only package that knows the order of the stages.

Text becomes meaning (`project`), meaning meets own data (`sets`) and LINE (`accounts`), becomes intent
(`planning`), intent becomes effects (`applying`). Every function takes what `open_project` returned and
gives documents and diagnostics; nothing here prints. Heavy modules are imported where they are needed,
so that `check` never loads the data engine or HTTP.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audsql.session.applying import ApplyOptions, ApplyOutcome, apply, resolve, run_due
    from audsql.session.compiling import compiled, deliveries
    from audsql.session.differing import DiffOutcome, diff
    from audsql.session.explaining import explain, listing
    from audsql.session.graphs import graph
    from audsql.session.known import open_meaning
    from audsql.session.membership import person
    from audsql.session.offline import plan_offline
    from audsql.session.overlapping import overlap
    from audsql.session.overview import doctor, status
    from audsql.session.planning import PlanOptions, PlanOutcome, plan
    from audsql.session.project import Opened, check, check_text, check_texts, open_project, run_tests
    from audsql.session.rehearsing import rehearse
    from audsql.session.sets import evaluate

__all__ = [
    "ApplyOptions",
    "ApplyOutcome",
    "DiffOutcome",
    "Opened",
    "PlanOptions",
    "PlanOutcome",
    "apply",
    "check",
    "check_text",
    "check_texts",
    "compiled",
    "deliveries",
    "diff",
    "doctor",
    "evaluate",
    "explain",
    "graph",
    "listing",
    "open_meaning",
    "open_project",
    "overlap",
    "person",
    "plan",
    "plan_offline",
    "rehearse",
    "resolve",
    "run_due",
    "run_tests",
    "status",
]

_ROOMS = {
    "applying": ("ApplyOptions", "ApplyOutcome", "apply", "resolve", "run_due"),
    "compiling": ("compiled", "deliveries"),
    "differing": ("DiffOutcome", "diff"),
    "explaining": ("explain", "listing"),
    "graphs": ("graph",),
    "known": ("open_meaning",),
    "membership": ("person",),
    "offline": ("plan_offline",),
    "overlapping": ("overlap",),
    "overview": ("doctor", "status"),
    "planning": ("PlanOptions", "PlanOutcome", "plan"),
    "project": ("Opened", "check", "check_text", "check_texts", "open_project", "run_tests"),
    "rehearsing": ("rehearse",),
    "sets": ("evaluate",),
}


def __getattr__(name: str) -> Any:
    """Each command loads the rooms it enters and no other."""
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"audsql.session.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
