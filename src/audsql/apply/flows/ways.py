"""The way through a flow: which step comes behind which, and when it is due. Pure; times of the project's zone.

Nobody stands at a wait: who comes to one stands at the next step that does something, due when the wait is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from audsql.meaning.flow import Flow, Step, WaitFor, WaitUntil
from audsql.plan.flow_form import steps_by_path
from audsql.records import dataclass

__all__ = ["Landing", "Way", "behind", "first_in_arm", "landing", "next_time", "way_of"]

_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Way:
    """`steps` by path in the order written, each before those inside it; `after`: where who is behind a step goes on,
    '' where nothing is behind it."""

    steps: Mapping[str, Step]
    after: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Landing:
    """Where somebody stands next (`step` '' behind the last) and when that is due."""

    step: str
    due_at: datetime


def way_of(flow: Flow) -> Way:
    """The steps of a flow and how they follow each other; no recursion."""
    steps = steps_by_path(flow.steps)
    after: dict[str, str] = {}
    for path in steps:
        around, _, index = path.rpartition(".")
        beside = f"{around}.{int(index) + 1}" if around else str(int(index) + 1)
        # A path without its last two numbers is the branch that the step is inside of.
        branch = around.rpartition(".")[0]
        after[path] = beside if beside in steps else after.get(branch, "")
    return Way(steps, after)


def first_in_arm(way: Way, branch: str, arm: int) -> str:
    """The first step of an arm; behind the branch where the arm has none."""
    inside = f"{branch}.{arm}.0"
    return inside if inside in way.steps else way.after[branch]


def behind(way: Way, step: str, at: datetime, zone: ZoneInfo) -> Landing:
    """Where somebody stands who is over a step that was due `at`."""
    return landing(way, way.after[step], at, zone)


def landing(way: Way, step: str, at: datetime, zone: ZoneInfo) -> Landing:
    """Where somebody stands who comes to `step` at this instant, waits passed."""
    while True:
        match way.steps.get(step):
            case WaitFor(minutes):
                at += timedelta(minutes=minutes)
            case WaitUntil(hour, minute):
                at = next_time(at, hour, minute, zone)
            case _:
                return Landing(step, at)
        step = way.after[step]


def next_time(at: datetime, hour: int, minute: int, zone: ZoneInfo) -> datetime:
    """The first instant from this one on at which clocks show this time, in UTC. Where they jump over it, the first
    minute behind the jump; where they show it twice, the first time."""
    today = at.astimezone(zone).date()
    for days in range(3):
        day = today + timedelta(days=days)
        wall = datetime.combine(day, time(hour, minute))
        for shift in range(_DAY_MINUTES):
            shown = wall + timedelta(minutes=shift)
            instant = shown.replace(tzinfo=zone, fold=0).astimezone(UTC)
            if instant.astimezone(zone).replace(tzinfo=None) == shown:
                break
        if instant >= at:
            return instant
    raise AssertionError("every day has a minute that clocks show")
