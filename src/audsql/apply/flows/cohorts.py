"""A branch that LINE decides, at its time: who stands there becomes an upload, each arm one or more narrowcasts.

Everybody who comes to the branch at this time is taken up by one batch of the ledger, durable before anything leaves:
from then on they are past the branch, whatever becomes of the sends. Which sets of own data each of them is in is
fixed with it, so that a later run makes the same uploads. The sends are requests of the state like those of a delivery,
under keys that follow from the batch. LINE never says who took which arm. Normative: specs/flows.md, `flow.cohort`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import numpy as np

from audsql.apply.audiences import Ready, ensure_upload, wait_until_ready
from audsql.apply.batches import (
    GUARDED,
    OPEN,
    PARTLY,
    After,
    Allowed,
    Receiver,
    batch_id,
    end_of,
    is_paused,
    name_of,
    retry_key,
    untried,
)
from audsql.apply.bind import bind_deliveries, current, settled
from audsql.apply.checks import counted_again, keys_of, may_be_named
from audsql.apply.context import Context
from audsql.apply.flows.cohort_form import CohortForm, cohort_form, name_of_flow, own_atoms, source_atom
from audsql.apply.flows.conditions import Reading, holds
from audsql.apply.flows.listed_sets import ListedSets
from audsql.apply.flows.sending import owner_of, pass_over, sent_as
from audsql.apply.flows.sending import settled as counted
from audsql.apply.flows.walk import Walk, crowd_of
from audsql.apply.fuse import own_bound
from audsql.apply.gathered import line_resources, named_audiences, not_ready
from audsql.apply.guards import REACHED_NOBODY_CODES, Held, guarded
from audsql.apply.ledger import Batch, BatchState, Occupied, Opening, Place, Sent
from audsql.apply.pausing import Paused
from audsql.apply.sends import (
    REQUEST_SECONDS,
    Part,
    follow_accepted,
    give_up,
    is_open,
    known_operation,
    may_have_left,
    miss,
    newest,
    over,
    refuse_empty,
    send_part,
)
from audsql.apply.state import Occurrence, Operation
from audsql.apply.world import World
from audsql.compile.flows import Cohort, cohorts_of, readable_accounts
from audsql.compile.program import CompiledDelivery, Narrowcast, Program
from audsql.data.engine import Materialised
from audsql.diag import Diagnostic, error, warning
from audsql.line.limits import RECIPIENTS_MIN
from audsql.line.recipient import Limit, filter_json, narrowcast_body, recipient_json
from audsql.meaning.ir import EVERYBODY, Delivery, leaf
from audsql.meaning.words import arms_of, verbs_of
from audsql.plan.audiences import live_until
from audsql.plan.behind import has_minimum
from audsql.plan.flow_form import FlowForm
from audsql.plan.quiet import is_quiet, quiets_of, window_end
from audsql.records import dataclass

__all__ = ["carry_cohort", "send_cohort", "settle_cohorts"]

KIND: Literal["narrowcast"] = "narrowcast"
UNSENT = "unsent"
"""Evidence: no arm had anybody to whom LINE could send it."""


# --- taking up ----------------------------------------------------------------------------------------


def send_cohort(walk: Walk, path: str, places: Sequence[Place], after: After) -> list[Batch]:
    """Send these people the arms of a branch, those who stand there now and are due; the batch as it ended.

    Who is there twice (two rows of a trigger) is taken once: the other place waits for the next time.
    """
    context = walk.reading.context
    once = list({place.person: place for place in sorted(places, key=lambda one: one.entry, reverse=True)}.values())
    opening = _opening(walk, path, sorted(once, key=lambda one: one.person))
    context.keep_lease()
    try:
        context.ledger.open_batches(context.lease, context.steady_now(), "flow.cohort", [opening])
    except Occupied:
        owner = owner_of(walk.form.name)
        known = [one for one in once if one.person in context.ledger.was_sent(owner, sent_as(one))]
        if not known:
            raise
        # Nobody is sent anything twice, whatever became of their place.
        pass_over(walk, path, known, "known")
        rest = [one for one in once if one not in known]
        return send_cohort(walk, path, rest, after) if rest else []
    batch = _again(context, opening.batch)
    batch = carry_cohort(context, walk.form, walk.cohorts[path], batch, after)
    if batch.state == "missed" and batch.evidence in (UNSENT, GUARDED):
        # Not late: no arm had anybody whom it could be sent to.
        walk.tally.add("passed_over", batch.count, "unsent")
        return [batch]
    return counted([batch], walk.tally)


def _opening(walk: Walk, path: str, places: Sequence[Place]) -> Opening:
    context, form = walk.reading.context, walk.form
    account, owner, occurrence = form.flow.account, owner_of(form.name), f"{form.version}/{path}"
    now = context.now(account)
    end = window_end(now, quiets_of(context.project, form.name), context.project.timezone)
    receivers = [Receiver(place.person, sent_as(place), place) for place in places]
    identity = batch_id(owner, occurrence, receivers)
    key = retry_key(context.bots[account], identity)
    batch = Batch(
        identity, owner, occurrence, account, KIND, "pending", key, len(places), end, now,
        content=_inside(walk.reading, walk.cohorts[path], walk, places),
    )  # fmt: skip
    sent = tuple(Sent(account, owner, one.occurrence, one.person, now, identity) for one in receivers)
    return Opening(batch, tuple(replace(one, state="sending", batch=identity) for one in places), sent)


def _inside(reading: Reading, cohort: Cohort, walk: Walk, places: Sequence[Place]) -> str:
    """Which of them are in which of the branch's own sets, a bit for each person in the order of the ledger."""
    crowd = crowd_of(walk, places)
    masks = [holds(reading, leaf(atom), crowd) for atom in _atoms(reading.context, cohort)]
    return json.dumps([np.packbits(mask).tobytes().hex() for mask in masks])


def _atoms(context: Context, cohort: Cohort) -> tuple[Any, ...]:
    return own_atoms(cohort, readable_accounts(context.project))


# --- carrying -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cohort:
    """A batch of people at a branch with its sends. `context`: as of the run, over the people listed. `users` by
    person; `torn`: somebody is in it who may not be sent it any more, and something of it may have left."""

    context: Context
    flow: FlowForm
    path: str
    batch: Batch
    made: CohortForm
    form: CompiledDelivery
    world: World
    occurrence: Occurrence
    torn: bool


def carry_cohort(
    context: Context, form: FlowForm, cohort: Cohort, batch: Batch, after: After, allowed: Allowed | None = None
) -> Batch:
    """Bring the people at a branch through it, from wherever an earlier run left them; the batch as it is then.

    It stays open where it is paused or its audiences are not ready yet. `allowed` is asked before anything leaves.
    Raises Stop, as other sends do.
    """
    if batch.state not in OPEN:
        return batch
    occurrence = _occurrence(context, batch)
    follow_accepted(context, occurrence)
    if not _in_window(context, batch):
        return _closed(context, occurrence, batch, after, "window")
    if is_paused(context, batch.owner):
        return batch
    people = context.ledger.people_of(batch.id)
    gone = frozenset(people) - allowed(batch, people) if allowed is not None else frozenset[bytes]()
    torn = bool(gone) and not untried(batch)
    if gone and not torn:
        batch, people = _without(context, batch, people, gone, after)
    if not people:
        return _ended(context, batch, after, "missed", "nobody")
    found = _made(context, form, cohort, batch, people, occurrence, torn)
    if not isinstance(found, _Cohort):
        context.diagnostics.extend(found)
        return _closed(context, occurrence, batch, after, "unmade")
    try:
        done = _sent(found)
    except Paused:
        # Asked again with the next batch, and by the next run.
        is_paused(context, batch.owner)
        return _again(context, batch)
    finally:
        context.lease, context.waited_seconds = found.context.lease, found.context.waited_seconds
    batch = _again(context, batch)
    return _concluded(context, occurrence, batch, after) if done else batch


def settle_cohorts(context: Context, forms: Sequence[FlowForm], after: After, allowed: Allowed) -> list[Batch]:
    """Bring what earlier runs left open at branches to its end; the batches as they are now."""
    found: list[Batch] = []
    for batch in context.ledger.batches(states=OPEN):
        if batch.kind != KIND or batch.account not in context.clients:
            continue
        version, _, path = batch.occurrence.partition("/")
        name = name_of(context.project, batch.owner)
        form = next((one for one in forms if (one.name, one.version) == (name, version)), None)
        cohorts = () if form is None else cohorts_of(form.flow, readable_accounts(context.project))
        cohort = next((one for one in cohorts if one.path == path), None)
        if form is None or cohort is None:
            found.append(_closed(context, _occurrence(context, batch), batch, after, "unmade"))
        else:
            found.append(carry_cohort(context, form, cohort, batch, after, allowed))
    return found


def _occurrence(context: Context, batch: Batch) -> Occurrence:
    """What the requests of a batch belong to. It stands in no row: the batch of the ledger is what is remembered."""
    name = name_of_flow(name_of(context.project, batch.owner))
    return Occurrence(
        batch.account, batch.owner, batch.id, "sending", "", batch.created_at, end_of(context, batch), {"name": name}
    )  # fmt: skip


def _in_window(context: Context, batch: Batch) -> bool:
    now = context.now(batch.account)
    quiets = quiets_of(context.project, name_of(context.project, batch.owner))
    late = now + timedelta(seconds=REQUEST_SECONDS) > end_of(context, batch)
    return not late and not is_quiet(now, quiets, context.project.timezone)


def _without(
    context: Context, batch: Batch, people: Sequence[bytes], gone: frozenset[bytes], after: After
) -> tuple[Batch, list[bytes]]:
    """Take people out of it before anything left; their places are as after a batch that was never sent."""
    kept = [at for at, one in enumerate(people) if one not in gone]
    masks = [np.packbits(mask[kept]).tobytes().hex() for mask in _masks(batch, len(people))]
    places = [one for one in context.ledger.places(batch=batch.id) if one.person in gone]
    moved = after(replace(batch, state="missed", evidence="excluded"), places)
    fewer = replace(batch, count=len(kept), content=json.dumps(masks))
    context.keep_lease()
    batch = context.ledger.put_batch(
        context.lease, context.steady_now(), "batch.left_out", fewer, moved, withdrawn=sorted(gone)
    )
    return batch, [people[at] for at in kept]


def _masks(batch: Batch, count: int) -> list[Any]:
    packed = [np.frombuffer(bytes.fromhex(text), np.uint8) for text in json.loads(batch.content)]
    return [np.unpackbits(one, count=count).astype(np.bool_) for one in packed]


def _made(
    context: Context,
    flow: FlowForm,
    cohort: Cohort,
    batch: Batch,
    people: Sequence[bytes],
    occurrence: Occurrence,
    torn: bool,
) -> _Cohort | tuple[Diagnostic, ...]:
    """The sends of a batch over its people, empty uploads left out; or why there are none."""
    users = context.persons.show(people)
    source = source_atom(flow.name, cohort.path, batch.id)
    project = context.project
    own = {one.name for one in project.deliveries if one.sent_request_id is None}
    parts = {one.name: tuple(send.part for send in one.sends) for one in context.program.deliveries}
    made = cohort_form(
        flow.flow, cohort, source, {**dict.fromkeys(own, (0,)), **parts}, verbs_of(project), arms_of(project)
    )  # fmt: skip
    if not isinstance(made, CohortForm):
        return made
    everybody = frozenset(users)
    inside = {source.key: everybody}
    for atom, mask in zip(_atoms(context, cohort), _masks(batch, len(users)), strict=True):
        inside[atom.key] = frozenset(one for one, is_in in zip(users, mask.tolist(), strict=True) if is_in)
    engine: Any = ListedSets(everybody, context.persons.secret)
    program = Program(made.uploads, made.audiences, (made.form,))
    world = World(inside, Materialised({}, inside, {}))
    over_people = replace(context, engine=engine, program=program)
    bound, _ = bind_deliveries(engine, program, context.state(), world, [made.form])
    form = bound[made.form.name]
    return _Cohort(over_people, flow, cohort.path, batch, made, form, world, occurrence, torn)


# --- sending ------------------------------------------------------------------------------------------


def _sent(one: _Cohort) -> bool:
    """Make the audiences ready and every request that is to be made; False where it has to wait for a later run."""
    context, state = one.context, one.context.state()
    if not all(settled(state, name) for name in one.form.waits_for):
        context.say("not_ready", delivery=one.form.name)
        return False
    ready = _prepared(one) if any(_is_new(one, send) for send in _narrowcasts(one.form)) else {}
    if ready is None:
        context.say("not_ready", delivery=one.form.name)
        return False
    if not _in_window(context, one.batch):
        return True
    if not one.batch.asked:
        # From here on somebody may have been sent an arm, whatever becomes of this process.
        asked = replace(one.batch, state="intent", asked=True, attempts=one.batch.attempts + 1)
        context.keep_lease()
        context.ledger.put_batch(context.lease, context.steady_now(), "batch.asking", asked)
    for send in sorted(_narrowcasts(one.form), key=lambda send: send.part):
        _send_one(one, send, ready)
    return True


def _narrowcasts(form: CompiledDelivery) -> list[Narrowcast]:
    return [send for send in form.sends if isinstance(send, Narrowcast)]


def _is_new(one: _Cohort, send: Narrowcast) -> bool:
    return is_open(known_operation(one.context, one.occurrence, send.part, 0))


def _prepared(one: _Cohort) -> dict[str, Ready] | None:
    """The audiences of the sends, by key; None where one is not ready yet.

    An upload of these people is needed by no delivery: it is released with the end of the run, and deleted later.
    """
    context, account = one.context, one.batch.account
    until = live_until(one.batch.not_after, context.now(account))
    rows = [ensure_upload(context, context.program.upload(key), one.world, until, ()) for key in one.form.uploads]
    for key in one.form.audiences:
        before = current(context.state(), f"line_audience.{key}")
        rows += line_resources(context, key, before.needed_by if before is not None else ())
    named = named_audiences(context, dict.fromkeys(one.form.audiences, ()))
    deadline = context.now(account) + timedelta(seconds=context.options.audience_wait_seconds)
    ready, late = wait_until_ready(context, rows, deadline)
    context.diagnostics.extend(not_ready(context, row) for row in late)
    found = {**ready, **named}
    return found if all(key in found for key in (*one.form.uploads, *one.form.audiences)) else None


def _send_one(one: _Cohort, send: Narrowcast, ready: Mapping[str, Ready]) -> None:
    """One narrowcast of an arm, or why it is not made."""
    context, occurrence = one.context, one.occurrence
    known = known_operation(context, occurrence, send.part, 0)
    blank = Part(send.part, KIND, b"")
    if known is not None and not is_open(known):
        if one.torn and known.state == "intent":
            # It may have left, and names people who may not be sent it any more: it is not asked for again.
            context.diagnostics.append(error("AUD0867", None, delivery=one.form.name, part=send.part + 1))
            miss(context, occurrence, blank, "moved")
        else:
            send_part(context, occurrence, replace(blank, body=context.store.body(known.id) or b""))
        return
    bound = own_bound(context, send, one.world)
    bound = one.batch.count if bound is None else bound
    if bound == 0:
        refuse_empty(context, occurrence, blank)
        return
    apart = guarded(context, occurrence, one.form, send)
    if _is_small(one, send, bound):
        refuse_empty(context, occurrence, blank)
        return
    why = _refusal(one, send, ready, apart.state if isinstance(apart, Held) else None)
    if why is not None or isinstance(apart, Held):
        context.diagnostics.extend(why or ())
        miss(context, occurrence, blank, "guard")
        return
    recipient = apart.send.recipient
    assert recipient is not None, "the people of a branch bound each of its sends"
    ids = {key: audience.remote_id for key, audience in ready.items()}
    guards = {(one.form.name, part): request for part, request in apart.sent.items()}
    filter_ = None if apart.send.filter is None else filter_json(apart.send.filter)
    messages = [message for name in one.made.messages[send.part] for message in one.flow.messages[name]]
    tree = recipient_json(recipient, ids, {**_receipts(one), **guards})
    said = len(context.diagnostics)
    send_part(context, occurrence, replace(blank, body=narrowcast_body(tree, filter_, messages, Limit(bound))))
    _tell_too_few(one, send, said)


def _tell_too_few(one: _Cohort, send: Narrowcast, said: int) -> None:
    """That LINE found fewer people than it sends to is no mistake of anybody's: the branch was small this time."""
    context = one.context
    known = known_operation(context, one.occurrence, send.part, 0)
    if known is not None and known.state == "failed" and known.error_code in REACHED_NOBODY_CODES:
        context.diagnostics[said:] = [row for row in context.diagnostics[said:] if row.code != "AUD0858"]
        arm, code = one.made.arms[send.part] + 1, known.error_code
        context.diagnostics.append(
            warning("AUD0676", None, flow=one.flow.name, step=_number(one), arm=arm, error_code=code)
        )


def _receipts(one: _Cohort) -> dict[tuple[str, int], str]:
    """LINE's request ids of the deliveries whose receivers an arm asks for."""
    from audsql.apply.bind import sent_parts

    state, deliveries = one.context.state(), one.context.project.deliveries
    sent = {(name, part): request for name, parts in sent_parts(state).items() for part, request in parts.items()}
    return {**sent, **{(each.name, 0): each.sent_request_id for each in deliveries if each.sent_request_id}}


def _is_small(one: _Cohort, send: Narrowcast, bound: int) -> bool:
    """Whether LINE would not send to so few people, which is told; certainly nobody gets it."""
    kinds = {audience.key: audience.kind for audience in one.made.audiences}
    if bound >= RECIPIENTS_MIN or not has_minimum(send, kinds):
        return False
    arm = one.made.arms[send.part] + 1
    one.context.diagnostics.append(
        warning(
            "AUD0674", None, flow=one.flow.name, step=_number(one), arm=arm, people=bound, minimum=RECIPIENTS_MIN
        )
    )  # fmt: skip
    return True


def _refusal(one: _Cohort, send: Narrowcast, ready: Mapping[str, Ready], held: str | None) -> list[Diagnostic] | None:
    """Why a send must not be made; None where it may."""
    if one.torn:
        return [error("AUD0867", None, delivery=one.form.name, part=send.part + 1)]
    if held is not None or send.part in one.made.crowded:
        arm = one.made.arms[send.part] + 1
        return [error("AUD0675", None, flow=one.flow.name, step=_number(one), arm=arm, state=held)]
    return _misnamed(one, send, ready)


def _misnamed(one: _Cohort, send: Narrowcast, ready: Mapping[str, Ready]) -> list[Diagnostic] | None:
    """What LINE counts in the audiences of a send by now, where that keeps it from being made."""
    counts = counted_again(one.context, ready, keys_of([send]), one.batch.account)
    context = replace(one.context, diagnostics=[])
    delivery = Delivery(one.form.name, one.form.account, EVERYBODY, EVERYBODY, "", ())
    return None if may_be_named(context, delivery, counts) else context.diagnostics


def _number(one: _Cohort) -> str:
    """The place of the branch as people count, from 1."""
    return ".".join(str(int(part) + 1) for part in one.path.split("."))


# --- the end ------------------------------------------------------------------------------------------


def _again(context: Context, batch: Batch) -> Batch:
    return next(one for one in context.ledger.batches(batch.owner) if one.id == batch.id)


def _closed(context: Context, occurrence: Occurrence, batch: Batch, after: After, evidence: str) -> Batch:
    """Make no more of its requests: what may have left is in doubt."""
    for row in newest(context.state().operations_of(occurrence.id)):
        if over(row) is None:
            give_up(context, row, evidence)
    return _concluded(context, occurrence, batch, after, evidence)


def _concluded(
    context: Context, occurrence: Occurrence, batch: Batch, after: After, evidence: str = UNSENT
) -> Batch:  # fmt: skip
    """A batch is in doubt where one of its requests is, sent where one went to somebody, else it went to nobody."""
    rows = newest(context.state().operations_of(occurrence.id))
    request = next((row.request_id for row in rows if row.request_id), None)
    batch = replace(batch, request_id=request or "")
    if any(row.state == "in_doubt" or (may_have_left(row) and over(row) is None) for row in rows):
        context.diagnostics.append(
            error("AUD0824", None, owner=batch.owner, batch=batch.id, count=batch.count, subject=batch.id)
        )
        return _ended(context, batch, after, "in_doubt", evidence)
    unmade = any(row.state == "missed" for row in rows)
    if any(_reached(row) for row in rows):
        return _ended(context, batch, after, "succeeded", PARTLY if unmade else "progress")
    if any(row.state == "rejected" for row in rows):
        return _ended(context, batch, after, "rejected", "400")
    return _ended(context, batch, after, "missed", GUARDED if unmade and evidence == UNSENT else evidence)


def _reached(row: Operation) -> bool:
    """Whether somebody may have got it."""
    if row.state in ("resolved_sent", "resolved_not_sent"):
        return row.state == "resolved_sent"
    if row.state == "failed":
        return row.error_code not in REACHED_NOBODY_CODES
    return row.state == "succeeded" and not (row.counts.get("target") == 0 == row.counts.get("success"))


def _ended(context: Context, batch: Batch, after: After, state: BatchState, evidence: str) -> Batch:
    ended = replace(batch, state=state, evidence=evidence)
    places = after(ended, context.ledger.places(batch=batch.id))
    context.keep_lease()
    return context.ledger.put_batch(context.lease, context.steady_now(), f"batch.{state}", ended, places)
