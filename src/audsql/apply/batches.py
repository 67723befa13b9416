"""Requests to listed people: opened with who gets them, asked for under a fixed key, and never late.

A batch is durable, with everybody in it, before a byte of it leaves; what became of it is recorded in the transaction
that moves its people on. Its key follows from what is sent to whom: the same people and the same step make the same
one, so LINE takes it once. Rules: specs/operations.md, `batch.*`.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from audsql.apply.context import Context, Stop
from audsql.apply.coupons import filled
from audsql.apply.ledger import Batch, BatchState, Opening, Place, Sent
from audsql.apply.pausing import held_back, pause_of
from audsql.apply.sends import (
    REQUEST_SECONDS,
    RETRY_PAUSE_SECONDS,
    is_monthly,
    is_reserved,
    nothing_happened,
)
from audsql.diag import Diagnostic, error
from audsql.line.limits import MULTICAST_RECIPIENTS_MAX
from audsql.line.outcome import Accepted, AlreadyAccepted, Refused, SendOutcome
from audsql.line.recipient import canonical_json, multicast_body, push_body
from audsql.meaning.ir import Project
from audsql.plan.quiet import is_quiet, quiets_of, window_end
from audsql.records import dataclass

__all__ = [
    "GUARDED",
    "OPEN",
    "PARTLY",
    "After",
    "Allowed",
    "Content",
    "Receiver",
    "Undecided",
    "batch_id",
    "carry",
    "close",
    "code_of",
    "end_of",
    "is_paused",
    "name_of",
    "openings",
    "retry_key",
    "settle_open",
    "untried",
]

PARTLY, GUARDED = "partly", "guarded"
"""Evidence of people at a branch that LINE decides: some of its sends, or all of them, were not made (AUD0675)."""
_TOLD_MAX = 5
OPEN: tuple[BatchState, ...] = ("pending", "intent")
"""States of a batch whose end is not known yet."""

After = Callable[[Batch, Sequence[Place]], Sequence[Place]]
"""What the end of a batch does to the places that stand in it: given the batch as it ended (`succeeded`, `rejected`,
`in_doubt`, `missed`, `resolved_sent`, `resolved_not_sent`), the places as they are to be stored with it."""
Allowed = Callable[[Batch, Sequence[bytes]], frozenset[bytes]]
"""Who of these people may still be sent a batch, by the data, policies and conditions of now. Raises Undecided."""


class Undecided(Exception):
    """Who may still be sent a batch cannot be known now: it stays as it is, for a later run."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent: message objects, the name that LINE counts it under, without a sound (`silent`). `personal`: the
    words are those of one person or a few, and are kept closed."""

    messages: tuple[Any, ...]
    unit: str = ""
    silent: bool = False
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Receiver:
    """A person who is to be sent something. `occurrence`: under which it is remembered for this person (`Sent`).
    `place`: where they stand, as read; it is taken up by the batch (`sending`)."""

    person: bytes
    occurrence: str
    place: Place | None = None


def openings(
    context: Context,
    account: str,
    owner: str,
    occurrence: str,
    content: Content,
    receivers: Iterable[Receiver],
    *,
    single: bool = False,
    latest: datetime | None = None,
) -> list[Opening]:
    """The batches that send this content to these people, 500 at most in each, for `Ledger.open_batches`.

    `owner` is `flow.NAME` or `delivery.NAME`, `occurrence` the step and version or the scheduled time. One person
    alone is sent a push, several a multicast; with `single` each is sent a push. The window begins now, which must not
    be quiet, and ends at `latest` if that is earlier. Nothing is written.
    """
    now = context.now(account)
    end = window_end(now, quiets_of(context.project, name_of(context.project, owner)), context.project.timezone)
    end = end if latest is None else min(end, latest)
    people = sorted(receivers, key=lambda one: (one.person, one.occurrence))
    blank = Batch(
        "", owner, occurrence, account, "push", "pending", "", 0, end, now, unit=content.unit, silent=content.silent
    )
    words, size = canonical_json(filled(context, content.messages)), 1 if single else MULTICAST_RECIPIENTS_MAX
    chunks = (people[index : index + size] for index in range(0, len(people), size))
    return [_opening(context, blank, words, content.personal, chunk) for chunk in chunks]


def _opening(context: Context, blank: Batch, words: bytes, personal: bool, people: Sequence[Receiver]) -> Opening:
    identity = batch_id(blank.owner, blank.occurrence, people)
    body, plain = (context.persons.seal(identity, words), "") if personal else (None, words.decode())
    batch = replace(
        blank, id=identity, kind="push" if len(people) == 1 else "multicast", count=len(people),
        retry_key=retry_key(context.bots[blank.account], identity), body=body, content=plain,
    )  # fmt: skip
    batch = replace(batch, body_sha256=_digest(_body(context, batch, [one.person for one in people])))
    places = tuple(replace(one.place, state="sending", batch=identity) for one in people if one.place is not None)
    at = blank.created_at
    sent = tuple(Sent(blank.account, blank.owner, one.occurrence, one.person, at, identity) for one in people)
    return Opening(batch, places, sent)


def batch_id(owner: str, occurrence: str, people: Sequence[Receiver]) -> str:
    """What is sent to whom, as 32 hex digits: a second time of entering a flow is another one."""
    digest = hashlib.sha256(b"\n".join((b"audsql/batch/v1", owner.encode(), occurrence.encode())))
    for one in people:
        digest.update(b"\n" + one.person + one.occurrence.encode())
    return digest.hexdigest()[:32]


def retry_key(bot_id: str, batch: str) -> str:
    """A UUID from the batch's identity alone, as those of other sends."""
    text = "\n".join(("audsql/batch/v1", bot_id, batch))
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=5))


def name_of(project: Project, owner: str) -> str:
    """The name that the flow or delivery has now, which policies except."""
    kind, _, name = owner.partition(".")
    moves = {one.old: one.new for one in project.moved if one.kind == kind}
    for _ in moves:
        name = moves.get(name, name)
    return name


def untried(batch: Batch) -> bool:
    """Whether certainly nothing of it left: who gets it may still be chosen."""
    return batch.state == "pending" or (batch.state == "intent" and not batch.asked)


def end_of(context: Context, batch: Batch) -> datetime:
    """The last instant at which it may leave: as opened, or where the quiet hours of today begin, if earlier."""
    quiets = quiets_of(context.project, name_of(context.project, batch.owner))
    return min(batch.not_after, window_end(batch.created_at, quiets, context.project.timezone))


def is_paused(context: Context, owner: str) -> bool:
    """Whether a person stopped this flow or delivery. What is due and held back is told once (exit 5)."""
    name = name_of(context.project, owner)
    subject = f"flow.{name}" if owner.startswith("flow.") else name
    pause = pause_of(context.state(), context.project, subject)
    if pause is None:
        return False
    if subject not in context.held:
        context.held.append(subject)
        context.diagnostics.append(held_back(subject, pause, context.project.timezone))
    return True


def code_of(batches: Iterable[Batch]) -> int:
    """The exit code of a run that carried these: 7 where one needs a person, 4 where one is not settled yet."""
    known = list(batches)
    states = {one.state for one in known}
    if states & {"in_doubt", "rejected"} or any(one.evidence in (PARTLY, GUARDED) for one in known):
        return 7
    return 4 if states & set(OPEN) else 0


# --- carrying one -------------------------------------------------------------------------------------


def _nobody_moves(batch: Batch, places: Sequence[Place]) -> Sequence[Place]:
    return places


def carry(context: Context, batch: Batch, after: After = _nobody_moves, allowed: Allowed | None = None) -> Batch:
    """Bring a batch to its end, from wherever an earlier run left it; the batch as it is then.

    It stays open (`pending`, `intent`) where it is paused, and where LINE gave no certain answer for as long as this
    run may ask: a later run goes on under the same key. Once the window is closed it is `missed` or `in_doubt`.
    `allowed` is asked before anything leaves: who may not get it any more is taken out of it, or, where it may have
    left with them in it, it is in doubt. Raises Stop for a token that is wrong (1) and a month's quota (4).
    """
    if batch.state not in OPEN:
        return batch
    if not _in_window(context, batch):
        return _over(context, batch, after, "window")
    if is_paused(context, batch.owner):
        return batch
    people = context.ledger.people_of(batch.id)
    try:
        gone = frozenset(people) - allowed(batch, people) if allowed is not None else frozenset[bytes]()
    except Undecided:
        return batch
    if gone and not untried(batch):
        return _over(context, batch, after, "moved")
    if gone:
        batch = _without(context, batch, after, gone)
        people = [one for one in people if one not in gone]
    if not people:
        return _over(context, batch, after, "nobody")
    body = _body(context, batch, people)
    if _digest(body) != batch.body_sha256:
        if not untried(batch):
            # Who it was sent to cannot be made again: another body under this key must not leave.
            return _over(context, batch, after, "body")
        batch = replace(batch, body_sha256=_digest(body), count=len(people))
    return _ask(context, batch, after, body)


def close(context: Context, batch: Batch, after: After = _nobody_moves) -> Batch:
    """End a batch that must not leave any more: `missed`, or `in_doubt` where it may have left."""
    return _over(context, batch, after, "window") if batch.state in OPEN else batch


def _body(context: Context, batch: Batch, people: Sequence[bytes]) -> bytes:
    """The exact bytes of the request, made from who is in it and the words that were fixed when it was opened."""
    words = context.persons.open(batch.id, batch.body) if batch.body is not None else batch.content.encode()
    messages, unit = json.loads(words), batch.unit or None
    users = context.persons.show(people)
    if batch.kind == "push":
        return push_body(users[0], messages, batch.silent, unit)
    return multicast_body(users, messages, batch.silent, unit)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _without(context: Context, batch: Batch, after: After, gone: frozenset[bytes]) -> Batch:
    """Take people out of a batch of which nothing left; their places are as after a batch that was never sent."""
    places = [one for one in context.ledger.places(batch=batch.id) if one.person in gone]
    moved = after(replace(batch, state="missed", evidence="excluded"), places)
    fewer = replace(batch, count=batch.count - len(gone))
    context.keep_lease()
    return context.ledger.put_batch(
        context.lease, context.steady_now(), "batch.left_out", fewer, moved, withdrawn=sorted(gone)
    )


def _in_window(context: Context, batch: Batch) -> bool:
    now = context.now(batch.account)
    if now + timedelta(seconds=REQUEST_SECONDS) > end_of(context, batch):
        return False
    quiets = quiets_of(context.project, name_of(context.project, batch.owner))
    return not is_quiet(now, quiets, context.project.timezone)


def _ask(context: Context, batch: Batch, after: After, body: bytes) -> Batch:
    """Request until LINE answers with certainty, the window closes, or this run has asked long enough."""
    client = context.client(batch.account)
    for attempt in range(1_000_000):
        if attempt and not _in_window(context, batch):
            return _over(context, batch, after, "window")
        if attempt and is_paused(context, batch.owner):
            return batch
        client.pace(batch.kind)
        before = batch
        # From here on LINE may have taken it, whatever becomes of this process.
        batch = _put(context, "batch.asking", replace(batch, state="intent", asked=True, attempts=batch.attempts + 1))
        outcome = _attempt(context, batch, body)
        ended = _settled(context, before, batch, outcome, after)
        if ended is not None:
            return ended
        if nothing_happened(outcome):
            # Whether it had left before is as open as it was.
            batch = _put(context, "batch.unsent", replace(batch, asked=before.asked))
        if not _patient(context, batch, attempt):
            return batch
    raise AssertionError("a window ends")


def _attempt(context: Context, batch: Batch, body: bytes) -> SendOutcome:
    """One request over a fresh connection; window, lease and pauses are looked at after it is open."""
    client = context.client(batch.account)

    def may_write() -> bool:
        return _in_window(context, batch) and not is_paused(context, batch.owner)

    return context.request(f"batch.{batch.kind}", lambda: client.send(batch.kind, body, batch.retry_key, may_write))


def _patient(context: Context, batch: Batch, attempt: int) -> bool:
    """Wait before the next attempt; False where this run has waited long enough for batches in all."""
    pause = RETRY_PAUSE_SECONDS[min(attempt, len(RETRY_PAUSE_SECONDS) - 1)]
    if context.waited_seconds + pause > context.options.send_retry_seconds:
        _tell(context, error("AUD0825", None, owner=batch.owner, count=batch.count))
        return False
    context.waited_seconds += pause
    context.client(batch.account).sleep(pause)
    return True


def _settled(context: Context, before: Batch, batch: Batch, outcome: SendOutcome, after: After) -> Batch | None:
    """What an outcome means; None: not certain, ask again."""
    if isinstance(outcome, Accepted | AlreadyAccepted):
        evidence = "409" if isinstance(outcome, AlreadyAccepted) else str(outcome.status)
        taken = replace(batch, request_id=outcome.request_id, evidence=evidence)
        context.say("accepted", owner=batch.owner, count=batch.count, request_id=outcome.request_id)
        return _end(context, taken, "succeeded", after)
    if isinstance(outcome, Refused) and outcome.status == 401:
        _put(context, "batch.unsent", replace(batch, asked=before.asked))
        raise Stop(1, (error("AUD0859", None, account=batch.account),))
    if isinstance(outcome, Refused) and before.asked:
        # An attempt before this one has no certain answer: a refusal now says nothing about that one.
        return _over(context, batch, after, str(outcome.status))
    if isinstance(outcome, Refused):
        refusal = ", ".join(outcome.codes) or outcome.message or str(outcome.status)
        _tell(
            context,
            error("AUD0823", None, owner=batch.owner, batch=batch.id, count=batch.count, refusal=refusal),
        )
        return _end(context, replace(batch, evidence=str(outcome.status)), "rejected", after)
    if is_monthly(outcome) and not is_reserved(context, batch.account):
        _put(context, "batch.unsent", replace(batch, asked=before.asked))
        raise Stop(4, (error("AUD0826", None, owner=batch.owner, count=batch.count),))
    return None


def _over(context: Context, batch: Batch, after: After, evidence: str) -> Batch:
    """Ask for it no more: in doubt if it may have left, missed if it certainly did not."""
    ended = replace(batch, evidence=evidence)
    if untried(batch):
        if evidence != "nobody":
            context.say("missed", owner=batch.owner, count=batch.count)
        return _end(context, ended, "missed", after)
    # A delivery is settled as a whole.
    subject = batch.id if batch.owner.startswith("flow.") else name_of(context.project, batch.owner)
    _tell(context, error("AUD0824", None, owner=batch.owner, batch=batch.id, count=batch.count, subject=subject))
    return _end(context, ended, "in_doubt", after)


def _tell(context: Context, problem: Diagnostic) -> None:
    """Say it of the first few requests of a flow or delivery; `status` and `report` have all of them."""
    same = [
        one for one in context.diagnostics if one.code == problem.code and one.fact("owner") == problem.fact("owner")
    ]
    if len(same) < _TOLD_MAX:
        context.diagnostics.append(problem)


def _end(context: Context, batch: Batch, state: BatchState, after: After) -> Batch:
    """Record what became of it and of its people in one transaction. Words of single people are kept no longer."""
    ended = replace(batch, state=state, body=None)
    places = after(ended, context.ledger.places(batch=batch.id))
    return _put(context, f"batch.{state}", ended, places, _left_at(context, ended))


def _left_at(context: Context, batch: Batch) -> datetime | None:
    """When a batch left, by LINE's clock, where that is not as good as its opening: a cap counts from then."""
    answered = context.client(batch.account).server_time()
    late = answered is not None and answered > batch.created_at + timedelta(seconds=REQUEST_SECONDS)
    return answered if late and batch.state in ("succeeded", "in_doubt") else None


def _put(
    context: Context, what: str, batch: Batch, places: Sequence[Place] = (), sent_at: datetime | None = None
) -> Batch:
    context.keep_lease()
    return context.ledger.put_batch(context.lease, context.steady_now(), what, batch, places, sent_at=sent_at)


# --- at the start of a run ----------------------------------------------------------------------------


def settle_open(
    context: Context, after: After = _nobody_moves, allowed: Allowed | None = None, owners: str = "flow."
) -> list[Batch]:
    """Bring every batch that an earlier run left open to its end, those of owners that begin so, and move on who is
    held in a batch that a person has settled since. The batches that were touched, as they are now."""
    ledger = context.ledger
    for batch in ledger.batches(states=("resolved_sent", "resolved_not_sent")):
        held = ledger.places(batch=batch.id, states=("held",)) if batch.owner.startswith(owners) else []
        if held:
            context.keep_lease()
            ledger.move(context.lease, context.steady_now(), "batch.resolved", after(batch, held))
    found = [
        one
        for one in ledger.batches(states=OPEN)
        if one.owner.startswith(owners) and one.kind != "narrowcast" and one.account in context.clients
    ]
    return [carry(context, one, after, allowed) for one in found]
