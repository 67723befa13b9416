"""Verdicts over time: what can no longer be sent, or not in time, by LINE's rules. Pure.

A guard as `audsql.plan.guard` describes them. Rules: `time.*` of specs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from audsql.diag import Diagnostic, error, warning
from audsql.line.limits import (
    AUDIENCE_LIFETIME_DAYS,
    AUDIENCE_READY_HOURS,
    RATES,
    REDELIVERY_AGE_DAYS_MAX,
)
from audsql.meaning.ir import Clicked, Opened, Received, atoms_of
from audsql.meaning.words import atom_words
from audsql.plan.edges import expiry_of, received_by
from audsql.plan.plan import Desired, PlanInputs, Wanted, resource_changes
from audsql.plan.timeline import RETARGETING_KINDS, Timeline, Turn, sent_time, timeline
from audsql.records import dataclass

__all__ = ["FEASIBILITY", "in_time"]

_NAMED_MAX = 10
"""How many deliveries a verdict names; it says how many there are."""

_Reaction = Clicked | Opened | Received


@dataclass(frozen=True, slots=True)
class _Case:
    """What the checks look at. `deliveries`: those that are to be sent and have not begun, with their turns."""

    inputs: PlanInputs
    line: Timeline
    changes: Mapping[str, Mapping[str, Any]]
    deliveries: tuple[tuple[Wanted, Turn], ...]

    def shown(self, instant: datetime) -> str:
        return instant.astimezone(ZoneInfo(self.inputs.project.timezone)).isoformat(timespec="minutes")


def in_time(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Everything that LINE's rules of time forbid or make doubtful, delivery by delivery, then by account."""
    changes = resource_changes(inputs, aim)
    line = timeline(inputs, aim, changes)
    coming = tuple(
        (one, line.turns[one.delivery.name])
        for one in aim.wanted
        if one.delivery.name in line.turns and not line.turns[one.delivery.name].begun
    )
    case = _Case(inputs, line, {str(one["address"]): one for one in changes}, coming)
    for one, turn in coming:
        told = list(_order(case, one, turn))
        yield from told
        if not told:
            yield from _gap(case, one, turn)
            yield from _received(case, one, turn)
            yield from _expiring(case, one, turn)
        yield from _stuck(case, one, turn)
    yield from _rate(case)
    yield from _uploads(case)


FEASIBILITY = (in_time,)


# --- one delivery after another ----------------------------------------------------------------------


def _reactions(one: Wanted) -> Iterator[_Reaction]:
    """The clicks, opens and receipts that a delivery uses, in order."""
    for atom in atoms_of(one.delivery.reach):
        if isinstance(atom, _Reaction):
            yield atom


def _order(case: _Case, one: Wanted, turn: Turn) -> Iterator[Diagnostic]:
    """Who reacted is known after a delivery; who got it, once it has ended."""
    told: set[str] = set()
    for atom in _reactions(one):
        other = case.line.turns.get(atom.delivery)
        if other is None or atom.delivery in told:
            continue
        late = other.due > turn.due if isinstance(atom, Received) else other.due >= turn.due
        if late:
            told.add(atom.delivery)
            yield error(
                "AUD0750",
                one.delivery.to_span,
                delivery=turn.name,
                other=other.name,
                call=atom_words(atom),
                at=case.shown(turn.due),
                other_at=case.shown(other.due),
            )


def _gap(case: _Case, one: Wanted, turn: Turn) -> Iterator[Diagnostic]:
    """LINE takes hours for an audience, and people take days to react."""
    told: set[str] = set()
    for atom in _reactions(one):
        other = case.line.turns.get(atom.delivery)
        if other is None or isinstance(atom, Received) or atom.delivery in told:
            continue
        gap = turn.due - other.last
        if gap < timedelta(hours=AUDIENCE_READY_HOURS):
            told.add(atom.delivery)
            yield warning(
                "AUD0751",
                one.delivery.to_span,
                delivery=turn.name,
                other=other.name,
                gap_minutes=max(0, int(gap.total_seconds() // 60)),
                hours=AUDIENCE_READY_HOURS,
            )


def _stuck(case: _Case, one: Wanted, turn: Turn) -> Iterator[Diagnostic]:
    for name in turn.stuck:
        until = case.shown(turn.latest)
        yield warning("AUD0752", one.delivery.to_span, delivery=turn.name, other=name, until=until)


def _received(case: _Case, one: Wanted, turn: Turn) -> Iterator[Diagnostic]:
    """LINE takes the request of a narrowcast for a redelivery while it is young."""
    for name in received_by(one.compiled):
        other = case.line.turns.get(name)
        sent = other.due if other else sent_time(case.inputs, name)
        age = turn.earliest - sent if sent else timedelta()
        if age >= timedelta(days=REDELIVERY_AGE_DAYS_MAX):
            yield error(
                "AUD0753",
                one.delivery.to_span,
                delivery=turn.name,
                other=name,
                age_days=age.days,
                limit_days=REDELIVERY_AGE_DAYS_MAX,
            )


def _expiring(case: _Case, one: Wanted, turn: Turn) -> Iterator[Diagnostic]:
    """An audience of LINE's own must live until the end of the window: it cannot be renewed by an apply."""
    for key in one.compiled.audiences:
        change = case.changes.get(f"line_audience.{key}")
        expires = expiry_of(case.inputs, case.line, change) if change else None
        if change is None or expires is None or expires >= turn.latest:
            continue
        at, end = case.shown(turn.due), case.shown(expires)
        if change["type"] in RETARGETING_KINDS:
            yield error(
                "AUD0754",
                one.delivery.to_span,
                delivery=turn.name,
                other=str(change["delivery"]),
                at=at,
                expires=end,
                limit_days=AUDIENCE_LIFETIME_DAYS,
            )
        else:
            yield warning(
                "AUD0755", one.delivery.to_span, delivery=turn.name, audience=str(change["label"]), at=at, expires=end
            )


# --- an account at LINE's rates ----------------------------------------------------------------------


def _rate(case: _Case) -> Iterator[Diagnostic]:
    """Sends that LINE's rate moves behind their time, or out of their window; of an account the worse alone."""
    for account in sorted({turn.account for _, turn in case.deliveries}):
        turns = [turn for _, turn in case.deliveries if turn.account == account]
        behind = sorted((turn for turn in turns if _is_delayed(turn)), key=lambda turn: (turn.last, turn.name))
        out = [turn for turn in behind if turn.last >= turn.latest]
        if not behind:
            continue
        # What takes up the rate: all that is due from an hour before the first that is late.
        begin = min(turn.ready for turn in behind) - timedelta(seconds=RATES["narrowcast"][1])
        count = sum(turn.narrowcasts for turn in turns if begin <= turn.ready <= behind[-1].last)
        last = case.shown(behind[-1].last)
        if out:
            yield error(
                "AUD0756", _span(case, out), account=account, deliveries=_names(out), count=len(out), sends=count,
                limit=RATES["narrowcast"][0], last=last,
            )  # fmt: skip
        else:
            yield warning(
                "AUD0757", _span(case, behind), account=account, deliveries=_names(behind), count=len(behind),
                sends=count, limit=RATES["narrowcast"][0], last=last,
            )  # fmt: skip


def _is_delayed(turn: Turn) -> bool:
    return turn.narrowcasts > 0 and turn.rated > timedelta()


def _names(turns: Sequence[Turn]) -> tuple[str, ...]:
    return tuple(turn.name for turn in turns[:_NAMED_MAX])


def _span(case: _Case, turns: Sequence[Turn]) -> Any:
    return next((one.delivery.span for one, turn in case.deliveries if turn.name == turns[0].name), None)


def _uploads(case: _Case) -> Iterator[Diagnostic]:
    """Uploads whose requests alone take longer than there is until their delivery is due."""
    told: set[str] = set()
    for one, turn in sorted(case.deliveries, key=lambda pair: (pair[1].due, pair[1].name)):
        if one.delivery.at is None or turn.due <= case.inputs.facts.now or turn.account in told:
            continue
        if turn.uploaded > turn.due:
            told.add(turn.account)
            addresses = [address for address in case.line.requests if address in _addresses(one)]
            yield warning(
                "AUD0758",
                one.delivery.to_span,
                delivery=turn.name,
                at=case.shown(turn.due),
                requests=sum(case.line.requests[address] for address in addresses),
                uploaded=case.shown(turn.uploaded),
                limit=RATES["audience"][0],
            )


def _addresses(one: Wanted) -> set[str]:
    uploads = {f"upload.{key}" for key in one.compiled.uploads}
    return uploads | {f"line_audience.{key}" for key in one.compiled.audiences}
