"""When each delivery of a plan can go, and what waits for what: values with instants, made from facts. Pure.

Rules: `time.*` of specs/operations.md. Every instant here is the earliest or the latest one; how long LINE works on
an audience or a send is not known and is in none of them.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from audsql.compile.program import Narrowcast
from audsql.line.limits import QUOTA_ZONE, RATES
from audsql.plan.pace import audience_requests, upload_rounds, upload_seconds
from audsql.plan.quiet import quiets_of, window_end
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.plan.plan import Desired, PlanInputs, Wanted

__all__ = [
    "RETARGETING_KINDS", "Timeline", "Turn", "later_quota", "quota_month", "quota_month_end", "sent_time", "timeline",
    "turn_rows",
]  # fmt: skip

RETARGETING_KINDS = ("CLICK", "IMP")
_STUCK = ("attention", "closed")


@dataclass(frozen=True, slots=True)
class Turn:
    """A delivery that is still to be sent, in time.

    `due`: its own time; where none is written, when it was approved, else now. `ready`: when it could go but for
    LINE's rate of sends: after what it waits for and the requests for its audiences. `earliest` and `last`: when its
    first and its last send can leave; `latest`: the end of its window. `after`: the deliveries that must be sent first
    and are to be sent; `stuck`: those of them that a person must settle. `uploaded`: when the last request for its
    audiences has left.
    """

    name: str
    account: str
    due: datetime
    ready: datetime
    earliest: datetime
    last: datetime
    latest: datetime
    uploaded: datetime
    narrowcasts: int
    after: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    begun: bool = False

    @property
    def rated(self) -> timedelta:
        """How long LINE's rate alone holds its last send back."""
        return self.last - self.ready


@dataclass(frozen=True, slots=True)
class Timeline:
    """`turns`: by delivery, in the order of their earliest sends. `made`: when the last request for an audience has
    left at the earliest, `requests` how many there are; both by the address of its change."""

    turns: Mapping[str, Turn]
    made: Mapping[str, datetime] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)


def timeline(inputs: PlanInputs, aim: Desired, changes: Sequence[Mapping[str, Any]]) -> Timeline:
    """The times of everything that this plan has still to send. `changes`: the `resource_changes` of the plan.

    What is repeated has no time here: its next times stand with it (plan.repeated).
    """
    now = inputs.facts.now
    made: dict[str, datetime] = {}
    for account in sorted({str(one["account"]) for one in changes}):
        seconds = upload_seconds(one for one in changes if one["account"] == account)
        made |= {address: now + timedelta(seconds=passed) for address, passed in seconds.items()}
    requests = {str(one["address"]): sum(audience_requests(one).values()) for one in changes}
    stuck = {one.delivery.name for one in aim.wanted if one.verdict.action in _STUCK}
    coming = [one for one in aim.wanted if one.active and one.delivery.every is None]
    plain = {one.delivery.name: _alone(one, inputs, made, requests, stuck) for one in coming}
    waits = {one.delivery.name: tuple(name for name in one.compiled.waits_for if name in plain) for one in coming}
    return Timeline({turn.name: turn for turn in _in_turn(plain, waits)}, made, requests)


def _alone(
    one: Wanted, inputs: PlanInputs, made: Mapping[str, datetime], requests: Mapping[str, int], stuck: set[str]
) -> Turn:
    """The turn of a delivery as if it were the only one; what it waits for and the rate come later."""
    now, delivery = inputs.facts.now, one.delivery
    approved = one.verdict.known if one.verdict.action != "update" else None
    due = delivery.at or (approved.approved_at if approved else None) or now
    latest = approved.not_after if approved else None
    if latest is None:
        latest = window_end(due, quiets_of(inputs.project, delivery.name), inputs.project.timezone)
    addresses = [f"upload.{key}" for key in one.compiled.uploads]
    addresses += [f"line_audience.{key}" for key in one.compiled.audiences]
    uploaded = max((made[address] for address in addresses if requests.get(address)), default=now)
    earliest = max(due, now, uploaded)
    narrowcasts = sum(isinstance(send, Narrowcast) for send in one.compiled.sends)
    blocked = tuple(name for name in one.compiled.waits_for if name in stuck)
    return Turn(
        name=delivery.name,
        account=delivery.account,
        due=due,
        ready=earliest,
        earliest=earliest,
        last=earliest,
        latest=latest,
        uploaded=uploaded,
        narrowcasts=narrowcasts,
        stuck=blocked,
        begun=one.verdict.action == "resume",
    )


def _in_turn(plain: Mapping[str, Turn], waits: Mapping[str, tuple[str, ...]]) -> Iterator[Turn]:
    """The turns in order: each after those it waits for, sends of one account never faster than LINE's rate."""
    missing = {name: set(needed) for name, needed in waits.items()}
    needed_by: dict[str, list[str]] = {}
    for name, needed in waits.items():
        for other in needed:
            needed_by.setdefault(other, []).append(name)
    starts = {name: turn.earliest for name, turn in plain.items()}
    ready = [(starts[name], name) for name in sorted(plain) if not missing[name]]
    heapq.heapify(ready)
    sent: dict[str, deque[datetime]] = {}
    while ready:
        start, name = heapq.heappop(ready)
        turn = _placed(plain[name], start, waits[name], sent)
        yield turn
        for follower in sorted(needed_by.get(name, ())):
            starts[follower] = max(starts[follower], turn.last)
            missing[follower].discard(name)
            if not missing[follower]:
                heapq.heappush(ready, (starts[follower], follower))


def _placed(turn: Turn, start: datetime, after: tuple[str, ...], sent: dict[str, deque[datetime]]) -> Turn:
    """The turn with the instants of its sends, which are noted in `sent`, the latest of each account."""
    allowed, window_seconds = RATES["narrowcast"]
    before = sent.setdefault(turn.account, deque(maxlen=allowed))
    first = last = start
    for index in range(turn.narrowcasts):
        if before:
            last = max(last, before[-1])
        if len(before) == allowed:
            last = max(last, before[0] + timedelta(seconds=window_seconds))
        before.append(last)
        first = last if index == 0 else first
    return replace(turn, ready=start, earliest=first, last=last, after=after)


# --- what is not in the plan any more ----------------------------------------------------------------


def sent_time(inputs: PlanInputs, name: str) -> datetime | None:
    """When a delivery was sent that is over, here or elsewhere; None where it was not, or nothing says when."""
    delivery = inputs.project.delivery(name)
    if delivery is not None and delivery.sent_request_id is not None:
        return delivery.at
    done = [known for known in inputs.occurrences.get(name, ()) if known.state == "done"]
    times = [known.at or known.approved_at for known in done]
    return max((one for one in times if one is not None), default=None)


# --- the month of a quota -----------------------------------------------------------------------------


def quota_month(instant: datetime) -> str:
    """The month whose quota a send of this instant counts against, `2026-12` (time.month)."""
    return instant.astimezone(ZoneInfo(QUOTA_ZONE)).strftime("%Y-%m")


def quota_month_end(instant: datetime) -> datetime:
    """When the month of that quota is over, not included."""
    first = instant.astimezone(ZoneInfo(QUOTA_ZONE)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=31)).replace(day=1)


def later_quota(deliveries: Iterable[Mapping[str, Any]], months: Mapping[str, str], this_month: str) -> list[Any]:
    """Messages by account and month, of the months whose quota is not known yet. `months`: by address."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in deliveries:
        month = months.get(one["address"], this_month)
        if month > this_month:
            found.setdefault((one["account"], month), []).append(one["people"] or {"low": 0, "high": None})
    rows = []
    for (account, month), sizes in sorted(found.items()):
        highs = [size["high"] for size in sizes]
        high = None if None in highs else sum(highs)
        rows.append({"account": account, "month": month, "low": sum(size["low"] for size in sizes), "high": high})
    return rows


# --- as a document ------------------------------------------------------------------------------------


def turn_rows(inputs: PlanInputs, aim: Desired, line: Timeline) -> list[dict[str, Any]]:
    """One row a delivery that is to be sent, by its earliest send; instants in the project's zone."""
    zone = ZoneInfo(inputs.project.timezone)
    compiled = {one.delivery.name: one.compiled for one in aim.wanted}
    spent: Counter[tuple[str, str]] = Counter()
    open_end: set[tuple[str, str]] = set()
    rows = []
    for turn in line.turns.values():
        month = quota_month(max(turn.due, inputs.facts.now))
        bucket = (turn.account, month)
        most = _most(inputs, turn)
        requests = [line.requests.get(f"upload.{key}", 0) for key in compiled[turn.name].uploads]
        rows.append(
            {
                "address": f"delivery.{turn.name}",
                "due": _time(turn.due, zone),
                "earliest": _time(turn.earliest, zone),
                "last": _time(turn.last, zone),
                "latest": _time(turn.latest, zone),
                "after": [f"delivery.{name}" for name in turn.after],
                "stuck": [f"delivery.{name}" for name in turn.stuck],
                "upload_requests": sum(requests),
                "upload_rounds": max(map(upload_rounds, requests), default=0),
                "upload_seconds": int((turn.uploaded - inputs.facts.now).total_seconds()),
                "month": month,
                "most_before": None if bucket in open_end else spent[bucket],
                "most": most,
            }
        )
        if most is None:
            open_end.add(bucket)
        spent[bucket] += most or 0
    return rows


def _most(inputs: PlanInputs, turn: Turn) -> int | None:
    """The most messages that a delivery can take; None where nothing bounds it."""
    facts = inputs.facts.deliveries.get(turn.name)
    remote = inputs.facts.remotes.get(turn.account)
    high = facts.size.high if facts else None
    return high if high is not None else (remote.followers if remote else None)


def _time(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat(timespec="seconds")
