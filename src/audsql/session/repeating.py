"""What has come due of repetitions: each time is planned over the data of now, and opened where nothing refuses it.

The approval of a repetition covers its times. Guards and policies judge each of them with the data that it goes out
with: a time that they refuse is not opened, and is asked about again by every run until its window is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic
from audsql.session.accounts import Remote
from audsql.session.planning import PlanOptions, make
from audsql.session.project import Opened

if TYPE_CHECKING:
    from audsql.apply.context import Context
    from audsql.apply.repeated import Opening

__all__ = ["open_times", "with_times"]

Document = dict[str, Any]
_REFUSED = 5


def with_times(opened: Opened, remote: Remote, context: Context) -> int:
    """A run: open what has come due of repetitions, then carry out everything that is open. Returns the exit code."""
    from audsql.apply.run import carry_out

    code = open_times(opened, remote, context)
    return max(code, carry_out(context))


def open_times(opened: Opened, remote: Remote, context: Context) -> int:
    """Record what was missed, and open the times that are due. Returns 5 where one of them was refused."""
    from audsql.apply.repeated import close_missed, openings

    # Times are recorded without a gap: what was missed first, then what comes after it.
    missed = close_missed(context)
    before = len(context.diagnostics)
    found = openings(context)
    ready = _planned(opened, remote, context, found) if found else []
    for one, planned in ready:
        _open(context, one, planned, missed)
    refused = any(one.severity == "error" for one in context.diagnostics[before:]) or len(ready) < len(found)
    return _REFUSED if refused else 0


def _open(context: Context, one: Opening, planned: Document, missed: frozenset[str]) -> None:
    """`missed`: what this run closed, and so is told first."""
    from audsql.apply.remembering import remember_sizes
    from audsql.apply.repeated import opened_row, passed_over
    from audsql.apply.run import said_of

    name = one.row.name
    entry = next(row for row in planned["deliveries"] if row["address"] == f"delivery.{name}")
    row = opened_row(one, entry, planned, said_of(context, name))
    context.write("repeated.opened", row, *passed_over(context.state(), one, missed))
    context.say("time_opened", delivery=name, label=str(row.document["label"]), late=one.late)
    remember_sizes(context, {**planned, "audiences": [], "deliveries": [entry], "resource_changes": []})


def _planned(
    opened: Opened, remote: Remote, context: Context, found: Iterable[Opening]
) -> list[tuple[Opening, Document]]:
    """Those that nothing refuses, each with the plan that it is part of."""
    by_name = {one.row.name: one for one in found}
    options = PlanOptions(context.options.accept_shrunk, context.options.accept_policies)
    planned, problems = make(opened, remote, context.state(), None, options, frozenset(by_name))
    if planned is None:
        context.diagnostics.extend(problems)
        return []
    errors = [one for one in problems if one.severity == "error"]
    context.diagnostics.extend(errors)
    refused = {name for one in errors for name in _refused_by(one, by_name)}
    return [(one, planned.document) for name, one in sorted(by_name.items()) if name not in refused]


def _refused_by(problem: Diagnostic, names: Mapping[str, Any]) -> Iterable[str]:
    """A verdict that names a delivery is about it; every other one is about all that would be sent."""
    named = dict(problem.facts).get("delivery")
    return (str(named),) if named in names else tuple(names)
