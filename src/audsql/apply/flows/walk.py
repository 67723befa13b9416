"""Walking everybody of one version who is due: exit, policies, then the step, as far as each of them comes.

A person only ever moves forward in the order of the steps, so that one pass over the steps takes everybody to a send,
a wait or the end; there is no loop over people and no recursion. Normative: specs/flows.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from audsql.apply.capping import over_caps
from audsql.apply.flows.conditions import Crowd, OwnRows, Reading, holds
from audsql.apply.flows.follow import FollowLog
from audsql.apply.flows.standing import ended, left, moved_on, noted
from audsql.apply.flows.tally import Tally
from audsql.apply.flows.trigger import TriggerRows
from audsql.apply.flows.ways import Landing, Way, behind, first_in_arm, landing
from audsql.apply.ledger import Place
from audsql.compile.flows import Cohort
from audsql.data.among import Among, Mask
from audsql.meaning import ir
from audsql.meaning.flow import Branch, SendStep
from audsql.plan.flow_form import FlowForm
from audsql.plan.quiet import is_quiet, next_allowed, quiets_of
from audsql.records import dataclass

__all__ = ["LATE_HOURS", "Decided", "Walk", "crowd_of", "decide", "staying"]

LATE_HOURS = 24
_A_MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class Walk:
    """One version in one run. `excluded`: whom today's policies take away. `cohorts`: the branches that LINE decides,
    by path. `rows`: of a trigger flow the rows of its table; None where the flow has no trigger. `log`: of a flow that
    starts when people follow; `unfollowed`: when they did last, by user ID. `tally` counts what is decided."""

    form: FlowForm
    way: Way
    reading: Reading
    excluded: ir.Expression
    tally: Tally
    cohorts: Mapping[str, Cohort] = field(default_factory=dict)
    rows: TriggerRows | None = None
    log: FollowLog | None = None
    unfollowed: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(slots=True)
class Decided:
    """`changed`: places that are to be stored as they are here. `sending`: by the path of a send those who are to be
    sent it now, as they were read but for the step that they came to. `cohorts`: the same by the path of a branch that
    LINE decides."""

    changed: list[Place] = field(default_factory=list)
    sending: dict[str, list[Place]] = field(default_factory=dict)
    cohorts: dict[str, list[Place]] = field(default_factory=dict)


def crowd_of(walk: Walk, places: Sequence[Place]) -> Crowd:
    """Those who stand at these places, to be asked about."""
    context = walk.reading.context
    among = Among(context.persons.show([one.person for one in places]))
    own = None
    if walk.rows is not None and walk.form.flow.start.table is not None:
        rows = [walk.rows.by_entry.get(one.entry, ()) for one in places]
        own = OwnRows(walk.form.flow.start.table, walk.rows.columns, rows)
    return Crowd(among, [one.entered_at for one in places], own)


def staying(walk: Walk, crowd: Crowd) -> dict[str, Mask]:
    """Who must leave before their next step, by the reason, each person for the first that fits."""
    gone = np.zeros(len(crowd), np.bool_)
    found: dict[str, Mask] = {}
    if walk.unfollowed:
        last = zip(crowd.among.user_ids, crowd.entered, strict=True)
        found["unfollowed"] = np.array([walk.unfollowed.get(one, at) > at for one, at in last], np.bool_)
        gone = found["unfollowed"]
    if crowd.own is not None:
        found["withdrawn"] = np.array([not rows for rows in crowd.own.rows], np.bool_)
        gone = found["withdrawn"]
    for reason, expression in (("exit", walk.form.flow.exit), ("policy", walk.excluded)):
        found[reason] = holds(walk.reading, expression, crowd) & ~gone
        gone = gone | found[reason]
    return found


def decide(walk: Walk, places: Sequence[Place], now: datetime) -> Decided:
    """What becomes of these, all of whom are due. Raises Unreadable; nothing is written."""
    decided = Decided()
    moving = [one for one in places if one.step]
    for one in places:
        if not one.step:
            decided.changed.append(ended(one))
            walk.tally.add("done", 1)
    crowd = crowd_of(walk, moving)
    gone = np.zeros(len(moving), np.bool_)
    for reason, mask in staying(walk, crowd).items():
        gone = gone | mask
        people = np.flatnonzero(mask).tolist()
        decided.changed.extend(left(moving[at], reason, now) for at in people)
        walk.tally.add("left", len(people), reason)
    standing: dict[str, list[int]] = {}
    for at in np.flatnonzero(~gone).tolist():
        standing.setdefault(moving[at].step, []).append(at)
    _pass(walk, _Pass(crowd, list(moving), standing, decided, now))
    return decided


@dataclass(slots=True)
class _Pass:
    """`current`: where everybody stands by now; `standing`: by step who is there and due; `sent`: who is sent
    something."""

    crowd: Crowd
    current: list[Place]
    standing: dict[str, list[int]]
    decided: Decided
    now: datetime
    sent: set[bytes] = field(default_factory=set)


def _pass(walk: Walk, one: _Pass) -> None:
    """Through the steps in their order: whoever leaves one comes to a later one."""
    for path, step in walk.way.steps.items():
        group = one.standing.pop(path, None)
        if not group:
            continue
        if path in walk.cohorts:
            # What such an arm does is a send: hours, lateness and caps are those of one.
            _send(walk, one, path, group, one.decided.cohorts)
        elif isinstance(step, Branch):
            _branch(walk, one, path, step, group)
        elif isinstance(step, SendStep):
            _send(walk, one, path, group, one.decided.sending)
        else:
            # A wait is no place to stand at: what an older version left there is put right.
            _forward(walk, one, group, path)


def _branch(walk: Walk, one: _Pass, path: str, step: Branch, group: Sequence[int]) -> None:
    """Each to the first step of the arm whose condition holds; who is in none goes on behind the branch."""
    asked = _part(one.crowd, group)
    free = np.ones(len(group), np.bool_)
    for number, arm in enumerate(step.arms):
        taken = holds(walk.reading, arm.expression, asked) & free
        free = free & ~taken
        people = [group[at] for at in np.flatnonzero(taken).tolist()]
        _forward(walk, one, people, first_in_arm(walk.way, path, number))
    _forward(walk, one, [group[at] for at in np.flatnonzero(free).tolist()], walk.way.after[path])


def _part(crowd: Crowd, group: Sequence[int]) -> Crowd:
    among = Among([crowd.among.user_ids[at] for at in group])
    own = crowd.own and replace(crowd.own, rows=[crowd.own.rows[at] for at in group])
    return Crowd(among, [crowd.entered[at] for at in group], own)


def _forward(walk: Walk, one: _Pass, group: Sequence[int], to: str) -> None:
    """Move these on to a step that they come to now, waits passed."""
    for at in group:
        place = one.current[at]
        _put(walk, one, at, moved_on(place, landing(walk.way, to, place.due_at, walk.reading.zone)))


def _put(walk: Walk, one: _Pass, at: int, place: Place) -> None:
    one.current[at] = place
    if place.due_at > one.now:
        one.decided.changed.append(place)
    elif not place.step:
        one.decided.changed.append(ended(place))
        walk.tally.add("done", 1)
    else:
        one.standing.setdefault(place.step, []).append(at)


# --- sends --------------------------------------------------------------------------------------------


def _send(walk: Walk, one: _Pass, path: str, group: Sequence[int], to: dict[str, list[Place]]) -> None:
    """Who is sent this step now, kept in `to`; the others are too late for it, or hours or a cap stand against it."""
    hours = _Hours(walk, one.now)
    ready: list[int] = []
    for at in group:
        place = one.current[at]
        fate, due = hours.fate(place.due_at)
        one.current[at] = moved_on(place, Landing(path, due))
        if fate == "send" and place.person in one.sent:
            # Two rows may be due for one person: the second is looked at again, under caps too, once this one is over.
            fate = "wait"
        if fate == "send":
            one.sent.add(place.person)
            ready.append(at)
        elif fate == "wait":
            one.decided.changed.append(one.current[at])
        else:
            walk.tally.add("missed" if fate == "missed" else "passed_over", 1, "" if fate == "missed" else fate)
            _pass_over(walk, one, path, at, fate)
    sending = [one.current[at] for at in _under_caps(walk, one, path, ready)]
    if sending:
        to[path] = sending


def _pass_over(walk: Walk, one: _Pass, path: str, at: int, why: str) -> None:
    """Behind a send without it, at the time from which what follows is counted."""
    place = one.current[at]
    _put(
        walk, one, at, noted(moved_on(place, behind(walk.way, path, place.due_at, walk.reading.zone)), f"{why}:{path}")
    )


def _under_caps(walk: Walk, one: _Pass, path: str, ready: Sequence[int]) -> list[int]:
    """Those whom one more send takes over no cap. The others wait until it would not, or are passed over."""
    context, flow = walk.reading.context, walk.form.flow
    over = over_caps(context, flow.name, flow.account, [one.current[at].person for at in ready], one.now)
    if not over:
        return list(ready)
    kept: list[int] = []
    for at in ready:
        place = one.current[at]
        found = over.get(place.person)
        if found is None:
            kept.append(at)
        elif found.cap.over == "refuse":
            walk.tally.add("passed_over", 1, "cap")
            _pass_over(walk, one, path, at, "cap")
        else:
            one.decided.changed.append(moved_on(place, Landing(path, max(found.free, one.now + _A_MINUTE))))
    return kept


Fate = Literal["send", "wait", "missed", "quiet"]


@dataclass(slots=True)
class _Hours:
    """What becomes of sends by when they are due, under the quiet hours of today."""

    walk: Walk
    now: datetime
    known: dict[datetime, tuple[Fate, datetime]] = field(default_factory=dict)

    def fate(self, due: datetime) -> tuple[Fate, datetime]:
        """With the instant from which what follows is counted. It waits where it is due in quiet hours, and then moves;
        and where it is only walked in them, and then stays due, so that late runs neither drift nor put it off for
        good."""
        if due not in self.known:
            self.known[due] = self._fate(due)
        return self.known[due]

    def _fate(self, due: datetime) -> tuple[Fate, datetime]:
        project = self.walk.reading.context.project
        quiets, zone = quiets_of(project, self.walk.form.name), project.timezone
        for instant in (due, self.now):
            if is_quiet(instant, quiets, zone) and _refuses(instant, quiets, zone):
                return "quiet", due
        allowed = next_allowed(due, quiets, zone)
        if allowed is None:
            return "quiet", due
        due = allowed.astimezone(UTC)
        if due > self.now:
            return "wait", due
        if self.now - due > timedelta(hours=LATE_HOURS):
            return "missed", due
        return "wait" if is_quiet(self.now, quiets, zone) else "send", due


def _refuses(instant: datetime, quiets: Sequence[ir.Quiet], zone: str) -> bool:
    return any(rule.over == "refuse" and is_quiet(instant, (rule,), zone) for rule in quiets)
