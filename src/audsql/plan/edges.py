"""What waits for what in one plan, as edges with times: data, audiences, sends. Pure.

Each edge leads from what goes first to what waits for it. Rules: `time.*` of specs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from audsql.compile.program import CompiledDelivery, Narrowcast, RedeliveryLeaf, recipient_leaves
from audsql.line.limits import AUDIENCE_LIFETIME_DAYS, REDELIVERY_AGE_DAYS_MAX, RETARGETING_AGE_DAYS_MAX
from audsql.meaning.lineage import sources_in
from audsql.plan.timeline import RETARGETING_KINDS, Timeline, Turn, sent_time
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.plan.plan import Desired, PlanInputs

__all__ = ["EDGES_MAX", "Edge", "edge_rows", "edges_of", "expiry_of", "received_by"]

EDGES_MAX = 2_000
"""How many edges a plan lists; it says how many more there are."""

_KINDS = ("data", "upload", "react", "ready", "received", "part", "turn")


@dataclass(frozen=True, slots=True)
class Edge:
    """`start` and `end` are addresses. `kind`: `data` a list or table is read for an upload; `upload` an upload is
    READY before a send; `react` a delivery is sent before an audience is made of who clicked or opened; `ready` such
    an audience, or one that was made in LINE's tools, is READY before a send; `received` a delivery has succeeded
    before a send names who got it; `part` a send of a delivery goes before another of it (`parts`, from 0); `turn` one
    delivery of an account goes before the next.

    `earliest`: when what waits can have it at the earliest, None where nothing says; `latest`: when it is too late,
    None for never. `rule`: why, in specs/operations.md."""

    start: str
    end: str
    kind: str
    earliest: datetime | None
    latest: datetime | None
    rule: str
    parts: tuple[int, int] | None = None

    @property
    def order(self) -> tuple[int, str, str, tuple[int, int]]:
        """Total: no two edges of a plan are alike in it."""
        return _KINDS.index(self.kind), self.end, self.start, self.parts or (0, 0)


def edges_of(
    inputs: PlanInputs, aim: Desired, line: Timeline, changes: Sequence[Mapping[str, Any]]
) -> tuple[Edge, ...]:
    """All edges of what is still to be sent, each once, in order."""
    found: set[Edge] = set(_data_edges(inputs, changes))
    by_address = {str(one["address"]): one for one in changes}
    for one in aim.wanted:
        turn = line.turns.get(one.delivery.name)
        if turn is not None:
            found.update(_audience_edges(inputs, turn, one.compiled, line, by_address))
            found.update(_received_edges(inputs, turn, one.compiled, line))
            found.update(_part_edges(turn, one.compiled))
    found.update(_turn_edges(line))
    return tuple(sorted(found, key=lambda edge: edge.order))


def _data_edges(inputs: PlanInputs, changes: Sequence[Mapping[str, Any]]) -> Iterator[Edge]:
    """What an upload is read from, where it is made or grows."""
    expressions = {f"upload.{upload.key}": upload.expression for upload in inputs.program.uploads}
    for change in changes:
        if change["action"] in ("create", "add", "replace") and change["address"] in expressions:
            address = str(change["address"])
            for name in sources_in(expressions[address]):
                yield Edge(f"source.{name}", address, "data", inputs.facts.now, None, "time.upload")


def _audience_edges(
    inputs: PlanInputs,
    turn: Turn,
    compiled: CompiledDelivery,
    line: Timeline,
    changes: Mapping[str, Mapping[str, Any]],
) -> Iterator[Edge]:
    end = f"delivery.{turn.name}"
    for key in compiled.uploads:
        address = f"upload.{key}"
        if address in changes:
            yield Edge(address, end, "upload", line.made[address], turn.latest, "time.upload")
    for key in compiled.audiences:
        change = changes.get(f"line_audience.{key}")
        if change is None:
            continue
        address = str(change["address"])
        expires = expiry_of(inputs, line, change)
        latest = turn.latest if expires is None else min(turn.latest, expires)
        yield Edge(address, end, "ready", _there(inputs, line, change), latest, "time.ready")
        if change["type"] in RETARGETING_KINDS and change["action"] in ("create", "wait") and change["delivery"]:
            source = str(change["delivery"])
            sent = _first_sent(inputs, line, source)
            made_until = sent + timedelta(days=RETARGETING_AGE_DAYS_MAX) if sent else None
            start = f"delivery.{source}"
            yield Edge(start, address, "react", _there(inputs, line, change), made_until, "time.reactions")


def _there(inputs: PlanInputs, line: Timeline, change: Mapping[str, Any]) -> datetime | None:
    """When an audience of LINE's own can be made at the earliest; it is then not READY yet."""
    if change["action"] == "wait":
        turn = line.turns.get(str(change["delivery"]))
        return turn.last if turn else None
    return max(inputs.facts.now, line.made[str(change["address"])])


def expiry_of(inputs: PlanInputs, line: Timeline, change: Mapping[str, Any]) -> datetime | None:
    """When LINE lets an audience expire: as LINE says, else counted from when it can be made; None where neither is
    known."""
    if change["remote_id"] is not None:
        remote = inputs.facts.remotes.get(str(change["account"]))
        found = remote.by_id(int(change["remote_id"])) if remote else None
        return found.expires_at if found else None
    made = _there(inputs, line, change) if change["type"] in RETARGETING_KINDS else None
    return made + timedelta(days=AUDIENCE_LIFETIME_DAYS) if made else None


def _first_sent(inputs: PlanInputs, line: Timeline, name: str) -> datetime | None:
    """When a delivery was sent, or goes at the earliest."""
    turn = line.turns.get(name)
    return turn.earliest if turn else sent_time(inputs, name)


def received_by(compiled: CompiledDelivery) -> tuple[str, ...]:
    """The other deliveries whose receipts the sends of a delivery name."""
    leaves = (
        leaf
        for send in compiled.sends
        if isinstance(send, Narrowcast)
        for leaf in recipient_leaves(send.recipient)
        if isinstance(leaf, RedeliveryLeaf)
    )
    return tuple(sorted({leaf.delivery for leaf in leaves} - {compiled.name}))


def _received_edges(inputs: PlanInputs, turn: Turn, compiled: CompiledDelivery, line: Timeline) -> Iterator[Edge]:
    for name in received_by(compiled):
        sent = _first_sent(inputs, line, name)
        limit = sent + timedelta(days=REDELIVERY_AGE_DAYS_MAX) if sent else None
        other = line.turns.get(name)
        earliest = other.last if other else inputs.facts.now
        latest = turn.latest if limit is None else min(turn.latest, limit)
        yield Edge(f"delivery.{name}", f"delivery.{turn.name}", "received", earliest, latest, "time.received")


def _part_edges(turn: Turn, compiled: CompiledDelivery) -> Iterator[Edge]:
    """Each send of a delivery after those whose receivers it leaves out (apply.send.guarded)."""
    address = f"delivery.{turn.name}"
    for send in compiled.sends:
        leaves = recipient_leaves(send.recipient) if isinstance(send, Narrowcast) else ()
        earlier = {leaf.part for leaf in leaves if isinstance(leaf, RedeliveryLeaf) and leaf.delivery == turn.name}
        for part in sorted(earlier):
            yield Edge(address, address, "part", turn.earliest, turn.latest, "time.turn", (part, send.part))


def _turn_edges(line: Timeline) -> Iterator[Edge]:
    """Deliveries of one account, each to the next one that can go while the first still may."""
    previous: dict[str, Turn] = {}
    for turn in line.turns.values():
        before = previous.get(turn.account)
        if before is not None and turn.earliest <= before.latest:
            start, end = f"delivery.{before.name}", f"delivery.{turn.name}"
            yield Edge(start, end, "turn", before.last, turn.latest, "time.turn")
        previous[turn.account] = turn


def edge_rows(edges: Sequence[Edge], timezone: str) -> list[dict[str, Any]]:
    """The first `EDGES_MAX` edges as a plan lists them; instants in the project's zone."""
    zone = ZoneInfo(timezone)

    def shown(instant: datetime | None) -> str | None:
        return instant.astimezone(zone).isoformat(timespec="seconds") if instant else None

    return [
        {
            "from": edge.start,
            "to": edge.end,
            "kind": edge.kind,
            "earliest": shown(edge.earliest),
            "latest": shown(edge.latest),
            "rule": edge.rule,
            **({"parts": list(edge.parts)} if edge.parts else {}),
        }
        for edge in edges[:EDGES_MAX]
    ]
