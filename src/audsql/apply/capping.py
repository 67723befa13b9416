"""Caps: how many sends a person got within some days, and whom one more would take beyond what a policy allows.

Every send to people who are listed is counted person by person, of deliveries and flows alike. Of a send to people
whom LINE holds nobody knows who got it: it counts for everybody. Rules: specs/operations.md, `guard.cap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from audsql.apply.bind import approved_at
from audsql.apply.context import Context
from audsql.apply.ledger import Ledger
from audsql.apply.received import receivers_of
from audsql.apply.sends import newest
from audsql.apply.state import Occurrence, State, parse_time
from audsql.apply.world import World
from audsql.compile.program import CompiledDelivery, Multicast, Narrowcast, Send
from audsql.data.engine import Engine
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import Cap, Project
from audsql.plan.behind import Leaving, is_left_out
from audsql.plan.facts import CapFacts
from audsql.plan.plan import Wanted
from audsql.records import dataclass

__all__ = [
    "Barred", "Over", "barred", "barred_now", "cap_facts", "cap_problems", "caps_of", "counted_owners", "over_caps",
    "over_caps_in", "persons_in", "unlisted",
]  # fmt: skip

_CERTAINLY_UNSENT = ("pending", "rejected", "refused_empty", "refused_guard", "stale", "missed", "resolved_not_sent")
_LISTED = ("listed", "push")


@dataclass(frozen=True, slots=True)
class Over:
    """A person whom one more send would take over a cap; `free` is the first instant at which it would not."""

    cap: Cap
    free: datetime


def caps_of(project: Project, name: str) -> tuple[Cap, ...]:
    """The caps that cover a delivery or a flow."""
    rules = (one for one in project.requirements if isinstance(one, Cap))
    return tuple(one for one in rules if name not in one.exceptions)


def over_caps(context: Context, name: str, account: str, persons: Sequence[bytes], at: datetime) -> dict[bytes, Over]:
    """Those of these people whom a send of the delivery or flow `name` at this instant would take over a cap."""
    caps = caps_of(context.project, name)
    if not caps or not persons:
        return {}
    return over_caps_in(context.ledger, context.state(), context.project, caps, account, persons, at)


def over_caps_in(
    ledger: Ledger | None,
    state: State,
    project: Project,
    caps: Sequence[Cap],
    account: str,
    persons: Sequence[bytes] | None,
    at: datetime,
    more: Mapping[bytes, Sequence[datetime]] | None = None,
) -> dict[bytes, Over]:
    """The same over a ledger. `persons` None: everybody whom it knows. `more`: sends to come that count too.

    Of caps that a person is over, the one that is free last.
    """
    found: dict[bytes, Over] = {}
    for cap in caps:
        since = at - timedelta(days=cap.days)
        everybody = [min(moment, at) for _, moment in unlisted(state, project, cap, account, since)]
        owners = counted_owners(project, cap, state, since)
        times = {} if ledger is None else ledger.sent_times(account, since, persons, owners)
        for person in persons if persons is not None else sorted({*times, *(more or {})}):
            # What was sent counts though a run that began before it, or a slow clock, calls it later than `at`.
            to_come = [one for one in (more or {}).get(person, ()) if since < one <= at]
            own = [one for one in times.get(person, ()) if since < one]
            counted = sorted([*own, *to_come, *everybody])
            if len(counted) < cap.count:
                continue
            free = counted[-cap.count] + timedelta(days=cap.days)
            if person not in found or found[person].free < free:
                found[person] = Over(cap, free)
    return found


def counted_owners(project: Project, cap: Cap, state: State, since: datetime) -> tuple[str, ...]:
    """The owners whose sends do not count for a cap: those it does not cover, under any name that they had, and
    deliveries that certainly reached nobody."""
    names = {"delivery": set(cap.exceptions), "flow": set(cap.exceptions)}
    for _ in project.moved:
        for one in project.moved:
            if one.kind in names and one.new in names[one.kind]:
                names[one.kind].add(one.old)
    names["delivery"] |= {row.delivery for row in state.occurrences if row.name in names["delivery"]}
    rows = [row for row in state.occurrences if (_time(row) or since) >= since]
    reached = {row.delivery for row in rows if not _reached_nobody(state, row)}
    unsent = {row.delivery for row in rows} - reached
    return tuple(
        sorted(f"{kind}.{name}" for kind in names for name in names[kind]) + sorted(f"delivery.{one}" for one in unsent)
    )


def unlisted(
    state: State, project: Project, cap: Cap, account: str, since: datetime
) -> list[tuple[Occurrence, datetime]]:
    """The sends since then that a cap counts and of which nobody knows who got them, in order of time."""
    found = []
    for row in state.occurrences:
        moment = _time(row)
        if row.account != account or row.name in cap.exceptions or moment is None or moment <= since:
            continue
        listed = {int(part) for part in row.document.get("listed", ())}
        open_parts = [
            one
            for one in newest(state.operations_of(row.id))
            if one.kind not in _LISTED and one.part not in listed and one.state not in _CERTAINLY_UNSENT
        ]
        if open_parts:
            found.append((row, moment))
    return sorted(found, key=lambda pair: (pair[1], pair[0].id))


def _reached_nobody(state: State, row: Occurrence) -> bool:
    operations = newest(state.operations_of(row.id))
    if row.state in ("planned", "scheduled", "cancelled", "missed"):
        return all(one.state in _CERTAINLY_UNSENT for one in operations)
    return bool(operations) and all(one.state in _CERTAINLY_UNSENT for one in operations)


def _time(row: Occurrence) -> datetime | None:
    """When the sends of an occurrence began, as far as that is recorded."""
    began = row.document.get("began_at")
    return parse_time(str(began)) if began else row.at or approved_at(row) or row.not_after


# --- sends to people whom LINE holds --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Barred:
    """What caps ask of a send to people whom LINE holds. `left_out`: deliveries whose receivers LINE is to leave out.
    `unsure`: by cap the earlier sends that it cannot leave out, none where those were to listed people."""

    left_out: tuple[str, ...] = ()
    unsure: tuple[tuple[Cap, tuple[str, ...]], ...] = ()


def barred(
    ledger: Ledger | None,
    state: State,
    project: Project,
    form: CompiledDelivery,
    at: datetime,
    persons: Sequence[bytes] | None = None,
    coming: Sequence[str] = (),
) -> Barred:
    """`persons`: who can be in it as far as own data say, None where they do not. `coming`: what goes before it."""
    left_out: set[str] = set()
    unsure = []
    for cap in caps_of(project, form.name):
        since = at - timedelta(days=cap.days)
        owners = counted_owners(project, cap, state, since)
        times = {} if ledger is None else ledger.sent_times(form.account, since, persons, owners)
        most = max((sum(since < one <= at for one in some) for some in times.values()), default=0)
        earlier = [row.name for row, _ in unlisted(state, project, cap, form.account, since)]
        names = sorted({*earlier, *(one for one in coming if one not in cap.exceptions)})
        if most + len(earlier) + len(names) - len({*earlier}) < cap.count:
            continue
        if cap.count > 1 or most or not all(_leaves_out(state, form, name, at) for name in sorted({*earlier})):
            unsure.append((cap, tuple(names)))
        else:
            left_out |= {*earlier}
    return Barred(tuple(sorted(left_out)), tuple(unsure))


def _leaves_out(state: State, form: CompiledDelivery, earlier: str, at: datetime) -> bool:
    receivers, leaving = receivers_of(state), Leaving(at)
    return all(is_left_out(earlier, send, (earlier,), receivers, leaving) for send in form.sends)


def barred_now(context: Context, occurrence: Occurrence, form: CompiledDelivery, world: World) -> Barred:
    """The same for a delivery that is about to begin; nothing for one that has begun, or has none of these sends."""
    begun = occurrence.state == "sending" or all(_is_counted(one) for one in form.sends)
    if begun or not caps_of(context.project, occurrence.name):
        return Barred()
    ledger = context.ledger
    if ledger.was_sent(f"delivery.{occurrence.delivery}", occurrence.time):
        return Barred()
    persons = persons_in(context.engine, form, world, context.persons.hide)
    return barred(ledger, context.state(), context.project, form, context.now(occurrence.account), persons)


def cap_problems(name: str, found: Barred) -> Iterator[Diagnostic]:
    """Why a delivery must not be sent: a cap cannot be kept (exit 5)."""
    for cap, earlier in found.unsure:
        yield error("AUD0726", None, policy=cap.name, delivery=name, count=cap.count, days=cap.days, earlier=earlier)


def _is_counted(send: Send) -> bool:
    return isinstance(send, Multicast) and send.kind in _LISTED


def persons_in(
    engine: Engine, form: CompiledDelivery, world: World, hide: Callable[[Sequence[str]], Sequence[bytes]]
) -> list[bytes] | None:
    """Everybody who can be in a delivery by own data; None where they do not bound it."""
    found: set[bytes] = set()
    for send in form.sends:
        bound = send.members if isinstance(send, Multicast) else send.bound if isinstance(send, Narrowcast) else None
        if bound is None:
            return None
        found.update(hide(list(engine.members(engine.evaluate(bound, world.people)))))
    return sorted(found)


# --- what a plan says -----------------------------------------------------------------------------------


def cap_facts(
    ledger: Ledger | None,
    hide: Callable[[Sequence[str]], Sequence[bytes]],
    engine: Engine,
    world: World,
    state: State,
    project: Project,
    wanted: Sequence[Wanted],
    now: datetime,
) -> dict[str, CapFacts]:
    """By delivery that is to be sent, in the order of their times: whom caps would leave out of it, and where they
    cannot be kept. What goes before counts as sent."""
    if not any(isinstance(one, Cap) for one in project.requirements):
        return {}
    found: dict[str, CapFacts] = {}
    sent: dict[bytes, list[tuple[datetime, str]]] = {}
    unknown: list[str] = []
    judged = [one for one in wanted if one.active and one.verdict.action != "resume"]
    for one in sorted(judged, key=lambda one: (max(one.delivery.at or now, now), one.delivery.name)):
        name, form, at = one.delivery.name, one.compiled, max(one.delivery.at or now, now)
        persons = persons_in(engine, form, world, hide)
        if form.sends and all(_is_counted(send) for send in form.sends):
            found[name], kept = _listed_facts(ledger, state, project, form, at, persons or [], sent)
        else:
            closed = barred(ledger, state, project, form, at, persons, unknown)
            found[name] = CapFacts((), tuple((cap.name, cap.count, cap.days, names) for cap, names in closed.unsure))
            kept = persons or []
            unknown += [name] if persons is None and form.sends else []
        for person in kept:
            sent.setdefault(person, []).append((at, name))
    return found


def _listed_facts(
    ledger: Ledger | None,
    state: State,
    project: Project,
    form: CompiledDelivery,
    at: datetime,
    persons: Sequence[bytes],
    sent: Mapping[bytes, Sequence[tuple[datetime, str]]],
) -> tuple[CapFacts, list[bytes]]:
    """Whom caps leave out, and who stays."""
    over: dict[bytes, Over] = {}
    unsure = []
    for cap in caps_of(project, form.name):
        since = at - timedelta(days=cap.days)
        earlier = unlisted(state, project, cap, form.account, since)
        if len(earlier) >= cap.count and persons:
            unsure.append((cap.name, cap.count, cap.days, tuple(sorted({row.name for row, _ in earlier}))))
        more = {
            person: [moment for moment, name in sent.get(person, ()) if name not in cap.exceptions]
            for person in persons
        }
        over |= over_caps_in(ledger, state, project, (cap,), form.account, persons, at, more)
    caps = sorted({one.cap for one in over.values()}, key=lambda one: (one.name, one.count, one.days))
    counted = tuple((one.name, one.count, one.days, sum(some.cap == one for some in over.values())) for one in caps)
    return CapFacts(counted, tuple(unsure)), [one for one in persons if one not in over]
