"""Carrying out an approved plan, and what is due later: audiences first, then sends, one after the other.

Order inside a run (specs/operations.md): occurrences that were begun, then audiences, then sends by their
time, then releases, then lazy deletions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from audsql.apply.audiences import (
    Ready,
    delete_released,
    ensure_upload,
    release,
    wait_until_ready,
)
from audsql.apply.bind import approved_at, bind_deliveries, known_occurrences, settled
from audsql.apply.capping import barred_now, cap_problems
from audsql.apply.context import Context, Stop
from audsql.apply.coupons import approved_coupons, close_coupons, create_coupons
from audsql.apply.deliver import deliver
from audsql.apply.flow_versions import approved_versions, entering_bounds
from audsql.apply.flows.run import run_flows
from audsql.apply.gathered import line_resources, named_audiences, not_ready
from audsql.apply.listed import close_listed
from audsql.apply.names import followed, left_behind, moved_sizes, settled_rows
from audsql.apply.pausing import Paused, held_back, stop_if_paused, with_pauses
from audsql.apply.received import receivers_of
from audsql.apply.remembering import remember
from audsql.apply.renamed import put_names_back
from audsql.apply.repeated import approved_rows
from audsql.apply.rounds import in_rounds, other_people
from audsql.apply.sends import follow_accepted, settle_late
from audsql.apply.state import (
    AppliedPlan,
    Occurrence,
    Resource,
    SpentPlan,
    State,
    iso_time,
    occurrence_id,
)
from audsql.apply.window import end_of_window
from audsql.apply.world import World, as_approved
from audsql.compile.bounds import bounds
from audsql.compile.program import CompiledDelivery, Narrowcast, Send
from audsql.diag import error
from audsql.line.limits import RECIPIENTS_MIN
from audsql.plan.audiences import live_until
from audsql.plan.behind import Leaving, has_minimum, less_received
from audsql.plan.definition import accepted_definitions, content_digest
from audsql.plan.history import split_documents
from audsql.plan.meanings import buckets_of, storable
from audsql.plan.plan import Desired, Wanted, bot_digest, desired
from audsql.plan.quiet import quiets_of, starts_at, window_end
from audsql.records import dataclass

__all__ = ["carry_out", "execute", "renew_pins", "said_of"]

_ACTIVE = ("send", "schedule", "update", "keep", "resume")
_RESUMES = 4
_NEEDS_A_PERSON = ("in_doubt", "missed", "failed")


def execute(context: Context, plan: Mapping[str, Any], digest: str, resuming: bool) -> int:
    """Approve a plan and carry it out. Returns the exit code; Stop and store failures pass through."""
    if not resuming:
        _approve(context, plan, digest)
    put_names_back(context, plan)
    code = _carry_out(context, entering_bounds(plan))
    if code == 0 or code == 7:
        remember(context, plan)
        applied = context.state().applied(digest)
        if applied is not None and applied.outcome is None:
            ended = replace(applied, outcome="done" if code == 0 else "needs_a_person", ended_at=context.steady_now())
            context.put("plan.applied", ended)
    return with_pauses(context, code)


# --- approval -----------------------------------------------------------------------------------------


def _approve(context: Context, plan: Mapping[str, Any], digest: str) -> None:
    """One transaction: the plan is spent, names are followed, its deliveries are scheduled, cancelled ones are
    cancelled, and what is left of those that are gone is given up."""
    serial, now = context.state().serial, context.steady_now()
    found = followed(context.state(), context.project, context.program, context.messages)
    state = found.state
    rows: list[Any] = [
        SpentPlan(digest, now),
        AppliedPlan(digest, serial, now, context.options.holder, summary=_summary(context, plan)),
        *moved_sizes(state, found.moves),
        *settled_rows(state, plan.get("removed", ())),
        *approved_versions(state, context.project, context.messages, plan, context.now),
        *approved_coupons(state, plan),
    ]
    changed = {row.id: row for row in found.rows}
    pins = {source["name"]: source["digest"] for source in plan["sources"]}
    for entry in plan["deliveries"]:
        if entry["action"] in ("send", "schedule", "update", "keep"):
            for row in _rows_of(context, state, entry, plan, digest, pins):
                changed[row.id] = row
    for entry in plan["cancelled"]:
        name = entry["address"].removeprefix("delivery.")
        for row in state.occurrences:
            if row.name == name and row.time == entry["occurrence"] and row.state in ("planned", "scheduled"):
                changed[row.id] = replace(row, state="cancelled")
    context.write("plan.approved", *rows, *(changed[identity] for identity in sorted(changed)))
    for move in found.moves:
        context.say("delivery_moved", old=move["from"], new=move["to"])


def _summary(context: Context, plan: Mapping[str, Any]) -> dict[str, Any]:
    """What the history tells of an apply: counts, the specs' revision, and whose set became another one."""
    sets = {one["address"]: one["classification"] for one in plan.get("changes", ())}
    return {**plan["summary"], **context.options.revision, **({"sets": sets} if sets else {})}


def _rows_of(
    context: Context,
    state: State,
    entry: Mapping[str, Any],
    plan: Mapping[str, Any],
    digest: str,
    pins: Mapping[str, str],
) -> Sequence[Occurrence]:
    """What an approved delivery becomes; a repetition that stays as it is needs no row."""
    if "repeats" not in entry:
        return [_scheduled(context, state, entry, plan, digest, pins)]
    if entry["action"] == "keep":
        return []
    name = entry["address"].removeprefix("delivery.")
    known = _known(state, entry["account"], name, entry["occurrence"])
    return list(approved_rows(context, state, entry, digest, known, said_of(context, name)))


def _scheduled(
    context: Context,
    state: State,
    entry: Mapping[str, Any],
    plan: Mapping[str, Any],
    digest: str,
    pins: Mapping[str, str],
) -> Occurrence:
    """The row of an approved delivery; one that is known under this name keeps the name of its first approval."""
    name, account = entry["address"].removeprefix("delivery."), entry["account"]
    at = datetime.fromisoformat(entry["at"]) if entry["at"] else None
    known = _known(state, account, name, entry["occurrence"])
    again = known if known is not None and known.state != "cancelled" else None
    begin = (approved_at(again) if again else None) or context.now(account)
    quiets = quiets_of(context.project, name)
    begin = begin if at else starts_at(begin, quiets, context.project.timezone) or begin
    end = again.not_after if again and not at else None
    document = {
        "definition": entry["definition"],
        "as_of": plan["as_of"],
        "as_of_given": plan["as_of_given"],
        "pins": dict(pins),
        "members": entry["members"],
        "bot": plan["bots"].get(account),
        "limits": {str(send["part"]): send["limit"] for send in entry["sends"]},
        "bound": entry.get("bound"),
        "approved_at": iso_time(begin),
        **said_of(context, name),
    }
    identity = known.delivery if known else name
    if identity != name:
        document["name"] = name
    end = end or window_end(at or begin, quiets, context.project.timezone)
    fresh = Occurrence(account, identity, entry["occurrence"], "scheduled", digest, at, end, document)
    return replace(fresh, stamp=known.stamp) if known else fresh


def _known(state: State, account: str, name: str, time: str) -> Occurrence | None:
    """The occurrence of this name and time. Raises Stop where its identity belongs to a delivery that was renamed."""
    for row in state.occurrences:
        if (row.account, row.name, row.time) == (account, name, time):
            return row
    other = state.occurrence(occurrence_id(account, name, time))
    if other is not None:
        raise Stop(5, (error("AUD0735", None, delivery=name, now=other.name),))
    return None


def said_of(context: Context, name: str) -> dict[str, Any]:
    """What a later plan compares with: the set, the messages, and the shares that were used."""
    delivery = context.project.delivery(name)
    assert delivery is not None
    return {
        "reach": storable(delivery.reach) or [],
        "content": content_digest(delivery, context.messages),
        "buckets": [list(one) for one in buckets_of(delivery.reach)],
        "splits": split_documents(context.project, delivery),
    }


def renew_pins(context: Context, plan: Mapping[str, Any]) -> None:
    """The files' bytes changed and no set did: what waits is from now on pinned to the files as they are."""
    pins = {source["name"]: source["digest"] for source in plan["sources"]}
    kept = {one["address"].removeprefix("delivery.") for one in plan["deliveries"] if one["action"] == "keep"}
    rows = []
    for row in context.state().occurrences:
        before = dict(row.document.get("pins", {}))
        same_sources = {name: digest for name, digest in pins.items() if name in before}
        # A time of a repetition stays with the data that it was judged by.
        waits = row.state == "scheduled" and row.name in kept and not row.document.get("label")
        if waits and same_sources != before:
            document = {**row.document, "pins": pins, "as_of": plan["as_of"], "as_of_given": plan["as_of_given"]}
            rows.append(replace(row, document=document))
    if rows:
        context.write("occurrences.pinned", *rows)


# --- carrying out -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Group:
    """Occurrences that were approved over the same data. `begun`: some request may have left already."""

    occurrences: tuple[Occurrence, ...]
    begun: bool


def carry_out(context: Context) -> int:
    """Everything approved that is not over: audiences, due sends, releases. Returns the exit code."""
    return with_pauses(context, _carry_out(context))


def _carry_out(context: Context, entering: Mapping[str, int] | None = None) -> int:
    """The same, as if what is paused were not due. `entering`: how many may enter each flow that is new."""
    code, stopped = 0, None
    try:
        for group in _groups(context):
            if not group.begun:
                create_coupons(context)
            code = max(code, _carry_out_group(context, group))
        create_coupons(context)
    except Stop as stop:
        # A delivery that cannot go on for now keeps nobody waiting in a flow; what is wrong in earnest stops all.
        if stop.exit_code != _RESUMES:
            raise
        stopped = stop
    code = max(code, run_flows(context, entering or {}))
    if stopped is not None:
        raise stopped
    close_coupons(context)
    needed = _still_needed(context)
    if code in (0, 7):
        release(context, {**dict.fromkeys(_unsettled(context), ()), **needed})
        delete_released(context)
    attention = any(row.state in _NEEDS_A_PERSON for row in context.state().occurrences)
    attention = attention or bool(context.ledger.batches(states=("in_doubt",)))
    return 7 if attention and code in (0, 7) else code


def _unsettled(context: Context) -> frozenset[str]:
    """Uploads that wait for deliveries which are gone: they stay until a person gives them up."""
    left = left_behind(context.state(), context.project)
    return frozenset(key for keys in left.values() for key in keys)


def _groups(context: Context) -> list[_Group]:
    """The open occurrences by the data they were approved over, those that were begun first."""
    found: dict[tuple[bool, str], list[Occurrence]] = {}
    for row in context.state().occurrences:
        if row.state not in ("scheduled", "sending") or row.account not in context.clients:
            continue
        begun = row.state == "sending"
        pins = repr((sorted(dict(row.document.get("pins", {})).items()), row.document.get("as_of")))
        found.setdefault((not begun, pins), []).append(row)
    return [_Group(tuple(found[key]), not key[0]) for key in sorted(found)]


def _carry_out_group(context: Context, group: _Group) -> int:
    _same_bots(context, group.occurrences)
    if group.begun:
        for row in group.occurrences:
            follow_accepted(context, row)
    open_rows = tuple(row for row in group.occurrences if not _closed_for_lateness(context, row))
    wanted = [(row, *_compiled(context, row)) for row in open_rows]
    changed = [row for row, compiled, same in wanted if compiled is None or not same]
    for row in changed:
        context.diagnostics.append(error("AUD0863", None, delivery=row.name))
    usable = [(row, compiled) for row, compiled, same in wanted if compiled is not None and same]
    if not usable:
        return 5 if changed else 0
    worlds = _worlds(context, [compiled for _, compiled in usable], usable[0][0])
    if worlds is None:
        return 5
    sound = [(row, compiled) for row, compiled in usable if row.name in worlds]
    forms, contents = _forms(context, [compiled for _, compiled in sound], worlds)
    code, left = 0 if len(sound) == len(wanted) else 5, list[str]()
    for rows in in_rounds([row for row, _ in sound], contents):
        # An upload is filled for a later delivery only once the earlier one with other people in it is over.
        free = [row for row in rows if not any(other_people(row.name, name, contents) for name in left)]
        code = max(code, _carry_out_round(context, free, forms, worlds))
        left += [row.name for row in rows if _is_unfinished(context, row)]
    return code


def _carry_out_round(
    context: Context,
    rows: Sequence[Occurrence],
    forms: Mapping[str, CompiledDelivery],
    worlds: Mapping[str, World],
) -> int:
    """Make the audiences of these occurrences ready and send what is due."""
    # Its audiences are made from what is known now: what is sent on the way is for the next run.
    state = context.state()
    waiting = {row.name for row in rows if not all(settled(state, name) for name in forms[row.name].waits_for)}
    ready = _prepare(context, rows, forms, worlds)
    code = 0
    for row in rows:
        late = _too_early(context, row) or (row.name in waiting and _must_wait(context, row))
        code = max(code, 0 if late else _send(context, row, forms[row.name], worlds[row.name], ready))
    return code


def _is_unfinished(context: Context, row: Occurrence) -> bool:
    now = context.state().occurrence(row.id)
    return now is not None and now.state in ("scheduled", "sending")


def _forms(
    context: Context, deliveries: Sequence[CompiledDelivery], worlds: Mapping[str, World]
) -> tuple[dict[str, CompiledDelivery], dict[str, dict[str, str]]]:
    """By delivery its form without empty uploads, and the fingerprints of the others by key."""
    forms: dict[str, CompiledDelivery] = {}
    contents: dict[str, dict[str, str]] = {}
    for world in {id(one): one for one in worlds.values()}.values():
        together = [one for one in deliveries if worlds[one.name] is world]
        bound, facts = bind_deliveries(context.engine, context.program, context.state(), world, together)
        forms |= bound
        contents |= {name: {key: facts[key].fingerprint for key in form.uploads} for name, form in bound.items()}
    return forms, contents


def _same_bots(context: Context, rows: Sequence[Occurrence]) -> None:
    """A token that belongs to another account by now reaches other people. Raises Stop."""
    for row in rows:
        if row.document.get("bot") not in (None, bot_digest(context.bots[row.account])):
            raise Stop(5, (error("AUD0624", None, what=("accounts",)),))


def _closed_for_lateness(context: Context, row: Occurrence) -> bool:
    now = context.now(row.account)
    end = end_of_window(context, row)
    if end is None or now <= end:
        return False
    close_listed(context, row)
    settle_late(context, row)
    return True


def _compiled(context: Context, row: Occurrence) -> tuple[CompiledDelivery | None, bool]:
    """The delivery as the project has it now, and whether that is what was approved."""
    delivery = context.project.delivery(row.name)
    compiled = next((one for one in context.program.deliveries if one.name == row.name), None)
    if delivery is None or compiled is None:
        return None, False
    accepted = accepted_definitions(delivery, compiled, context.messages)
    return compiled, row.document.get("definition") in accepted


def _worlds(context: Context, deliveries: Sequence[CompiledDelivery], row: Occurrence) -> Mapping[str, World] | None:
    """By delivery the data that it is sent over; see `as_approved`."""
    as_of = datetime.fromisoformat(str(row.document["as_of"]))
    now = context.now(row.account)
    exclusions_as_of = as_of if row.document.get("as_of_given") else max(as_of, now)
    pins = {str(name): str(digest) for name, digest in dict(row.document.get("pins", {})).items()}
    worlds, diagnostics = as_approved(
        context.engine, context.project, deliveries, context.program, pins, as_of, exclusions_as_of,
        context.options.accept_shrunk,
    )  # fmt: skip
    context.diagnostics.extend(diagnostics)
    return worlds


def _aim(context: Context, account: str) -> Desired:
    return desired(
        context.project,
        context.program,
        {},
        context.messages,
        known_occurrences(context.state()),
        context.now(account),
    )


def _prepare(
    context: Context,
    rows: Sequence[Occurrence],
    forms: Mapping[str, CompiledDelivery],
    worlds: Mapping[str, World],
) -> dict[str, Ready]:
    """Make the audiences of these occurrences ready, by function key; an upload has the same people for all."""
    if not rows:
        return {}
    aim = _aim(context, rows[0].account)
    now = context.now(rows[0].account)
    ends = {row.name: live_until(row.not_after or now, now) for row in rows}
    needs: dict[str, list[str]] = {}
    for row in rows:
        for key in (*forms[row.name].uploads, *forms[row.name].audiences):
            needs.setdefault(key, []).append(row.name)
    made: list[Resource] = []
    for key in sorted(needs):
        until = max(ends[name] for name in needs[key])
        by = tuple(sorted({*aim.needed_by.get(key, ()), *aim.kept.get(key, ()), *needs[key]}))
        upload = next((one for one in context.program.uploads if one.key == key), None)
        if upload is not None:
            made.append(ensure_upload(context, upload, worlds[needs[key][0]], until, by))
        else:
            made.extend(line_resources(context, key, by))
    named = named_audiences(context, needs)
    deadline = context.now(rows[0].account) + timedelta(seconds=context.options.audience_wait_seconds)
    ready, late = wait_until_ready(context, made, deadline)
    context.diagnostics.extend(not_ready(context, one) for one in late)
    return {**ready, **named}


def _too_early(context: Context, row: Occurrence) -> bool:
    # One without a time that was approved in quiet hours which move it begins when they are over.
    begin = row.at or approved_at(row)
    early = begin is not None and context.now(row.account) < begin
    if early and begin is not None:
        at = begin.astimezone(ZoneInfo(context.project.timezone))
        context.say("scheduled", delivery=row.name, at=at.isoformat())
    return early


def _must_wait(context: Context, row: Occurrence) -> bool:
    """For the end of a delivery whose clicks, opens or receipts it uses."""
    context.say("not_ready", delivery=row.name)
    return True


def _send(context: Context, row: Occurrence, form: CompiledDelivery, world: World, ready: Mapping[str, Ready]) -> int:
    if any(key not in ready for key in (*form.uploads, *form.audiences)):
        context.say("not_ready", delivery=row.name)
        return 4
    try:
        stop_if_paused(context, row)
        caps = barred_now(context, row, form, world)
        if caps.unsure:
            context.diagnostics.extend(cap_problems(row.name, caps))
            return 5
        return deliver(context, row, _less_received(context, row, form, world, caps.left_out), world, ready)
    except Paused as stopped:
        # Nobody was asked for anything: the rest goes on.
        context.held.append(row.name)
        context.diagnostics.append(held_back(row.name, stopped.pause, context.project.timezone))
        return 0


def _less_received(
    context: Context, row: Occurrence, form: CompiledDelivery, world: World, capped: Sequence[str]
) -> CompiledDelivery:
    """Without who got a delivery that goes before this one in a priority, as far as LINE can tell (guard.priority), or
    one that a cap leaves no room beside (guard.cap)."""
    delivery = context.project.delivery(row.name)
    if capped:
        # Whether or not LINE finds the rest too small then: nobody gets more than the cap allows.
        found, leaves = receivers_of(context.state()), Leaving(context.now(row.account))
        form = replace(form, sends=tuple(less_received(one, capped, found, leaves) for one in form.sends))
    if delivery is None or not delivery.behind:
        return form
    receivers, now = receivers_of(context.state()), context.now(row.account)
    kinds = {key: context.program.audience(key).kind for key in form.audiences}
    leaving = {one.part: Leaving(now, _spare(context, one, kinds, world)) for one in form.sends}
    sends = tuple(less_received(one, delivery.behind, receivers, leaving[one.part]) for one in form.sends)
    return replace(form, sends=sends)


def _spare(context: Context, send: Send, kinds: Mapping[str, str], world: World) -> int | None:
    """The people of own data that a send has beyond LINE's minimum; None where it applies in any case."""
    if not isinstance(send, Narrowcast) or has_minimum(send, kinds):
        return None
    low, _ = bounds(send.region)
    return context.engine.count(context.engine.evaluate(low, world.people)) - RECIPIENTS_MIN


def _still_needed(context: Context) -> dict[str, tuple[str, ...]]:
    """Keys that some delivery of the project still needs; a state without accounts needs all it has."""
    needed: dict[str, tuple[str, ...]] = {}
    for account in sorted(context.clients):
        aim = _aim(context, account)
        open_names = {
            one.delivery.name for one in aim.wanted if one.delivery.account == account and _is_open(context, one)
        }
        for key, names in aim.needed_by.items():
            if open_names & set(names):
                needed[key] = tuple(sorted({*needed.get(key, ()), *(open_names & set(names))}))
        for key, names in aim.kept.items():
            needed[key] = tuple(sorted({*needed.get(key, ()), *names}))
    return needed


def _is_open(context: Context, one: Wanted) -> bool:
    return one.verdict.action in _ACTIVE
