"""The sends themselves: frozen, journalled, asked for with a fixed key, and never late.

At most one request of an occurrence is ever accepted: its key follows from the occurrence and not from
the run, and no attempt leaves outside the window in which LINE remembers the key (specs/operations.md).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from audsql.apply.context import Context, Stop
from audsql.apply.pausing import paused, stop_if_paused
from audsql.apply.state import Occurrence, OccurrenceState, Operation, OperationState
from audsql.apply.window import end_of_window, quiet_now
from audsql.diag import error, warning
from audsql.line.client import SendKind
from audsql.line.outcome import Accepted, AlreadyAccepted, Found, Limited, Refused, SendOutcome, Unknown
from audsql.records import dataclass

__all__ = [
    "CUT_ELSEWHERE",
    "REQUEST_SECONDS",
    "RETRY_PAUSE_SECONDS",
    "SENT_ELSEWHERE",
    "Part",
    "PartState",
    "conclude",
    "follow_accepted",
    "give_up",
    "is_monthly",
    "is_open",
    "is_reserved",
    "known_operation",
    "may_have_left",
    "miss",
    "newest",
    "nothing_happened",
    "over",
    "refuse_empty",
    "retry_key",
    "send_part",
    "settle_late",
]

CUT_ELSEWHERE = "cut_elsewhere"
"""Evidence: LINE took one of several requests of a list before this state ever made it. A state that is lost cut that
list, in other places if it was another list: whoever is near a cut would get the message twice or not at all."""
SENT_ELSEWHERE = "sent_elsewhere"
"""Evidence: LINE took a request before this state ever made it, for the people of that time."""
# A request may take this long in all; none is begun that could arrive after the window.
REQUEST_SECONDS = 60
PROGRESS_POLL_SECONDS = (2, 5, 10, 20, 30, 60)
RETRY_PAUSE_SECONDS = (2, 5, 10, 30, 60)
PROGRESS_WAIT_SECONDS = 4 * 60 * 60

PartState = Literal["succeeded", "failed", "in_doubt", "missed", "rejected", "empty"]


@dataclass(frozen=True, slots=True)
class Part:
    """One request to be made. `keep_body`: whether the journal may hold the bytes (they name nobody)."""

    part: int
    kind: SendKind
    body: bytes
    chunk: int = 0
    chunks: int = 1
    keep_body: bool = True


def retry_key(bot_id: str, occurrence: str, part: int, generation: int, chunk: int) -> str:
    """A UUID from the send's identity alone: a lost state or a second runner makes the same one."""
    text = "\n".join(("audsql/v1", bot_id, occurrence, str(part), str(generation), str(chunk)))
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=5))


def newest(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """The last generation of each request, by part and chunk: what came before it reached nobody."""
    last: dict[tuple[int, int], Operation] = {}
    for row in sorted(operations, key=lambda row: row.generation):
        last[row.part, row.chunk] = row
    return tuple(last[key] for key in sorted(last))


def known_operation(context: Context, occurrence: Occurrence, part: int, chunk: int) -> Operation | None:
    """The newest generation of a part's request as recorded."""
    rows = [row for row in context.state().operations_of(occurrence.id) if row.part == part and row.chunk == chunk]
    return max(rows, key=lambda row: row.generation, default=None)


def send_part(context: Context, occurrence: Occurrence, part: Part) -> PartState:
    """Bring one request to its end, from wherever an earlier run left it."""
    operation = known_operation(context, occurrence, part.part, part.chunk)
    if operation is None:
        operation = _new_operation(context, occurrence, part)
    ended = over(operation)
    if ended is not None:
        return ended
    if is_open(operation):
        frozen = _freeze(context, occurrence, operation, part)
        if frozen is None:
            return _close(context, operation, "missed", "window")
        operation = frozen
    if operation.state == "intent":
        outcome = _ask(context, occurrence, operation, part)
        if not isinstance(outcome, Operation):
            return outcome
        operation = outcome
    return _follow(context, occurrence, operation)


def is_open(operation: Operation | None) -> bool:
    """Whether the bytes of a request may still be chosen: none left under its key."""
    return operation is None or operation.state in ("pending", "stale") or _untried(operation)


def may_have_left(operation: Operation) -> bool:
    """Whether LINE may have taken the request: only then must it be exactly the same one again."""
    return not is_open(operation) and operation.state not in ("rejected", "refused_empty", "missed")


def _untried(operation: Operation) -> bool:
    return operation.state == "intent" and not operation.attributes.get("asked")


def over(operation: Operation) -> PartState | None:
    """What became of a request that is over; None where it is not."""
    if operation.state in ("succeeded", "failed", "in_doubt", "missed", "rejected"):
        return operation.state
    if operation.state == "refused_empty":
        return "empty"
    return "succeeded" if operation.state in ("resolved_sent", "resolved_not_sent") else None


def _operation(context: Context, occurrence: Occurrence, part: Part, state: OperationState) -> Operation:
    key = retry_key(context.bots[occurrence.account], occurrence.id, part.part, 0, part.chunk)
    return Operation(
        occurrence.id, part.part, 0, part.kind, state, key, part.chunk, part.chunks,
        not_before=occurrence.at, not_after=end_of_window(context, occurrence),
    )  # fmt: skip


def _new_operation(context: Context, occurrence: Occurrence, part: Part) -> Operation:
    return context.put("send.pending", _operation(context, occurrence, part, "pending"))


def refuse_empty(context: Context, occurrence: Occurrence, part: Part) -> None:
    """Nobody is in this part, and nobody comes in later: it is over."""
    known = known_operation(context, occurrence, part.part, part.chunk)
    operation = known or _operation(context, occurrence, part, "refused_empty")
    context.put("send.empty", replace(operation, state="refused_empty"))


def miss(context: Context, occurrence: Occurrence, part: Part, evidence: str) -> Literal["in_doubt", "missed"]:
    """Make a part no more, begun or not. `evidence`: one word that says why, kept in the journal."""
    known = known_operation(context, occurrence, part.part, part.chunk)
    return give_up(context, known or _new_operation(context, occurrence, part), evidence)


def _freeze(context: Context, occurrence: Occurrence, operation: Operation, part: Part) -> Operation | None:
    """Write the exact bytes down before the first attempt. None: the window has closed untried.

    A request that was frozen but certainly never left (`stale`) is frozen anew under the same key.
    """
    if not _in_window(context, occurrence):
        return None
    if operation.state == "intent":
        operation = context.put("send.stale", replace(operation, state="stale"))
    digest = hashlib.sha256(part.body).hexdigest()
    body = part.body if part.keep_body else None
    return context.put(
        "send.intent", replace(operation, state="intent", body=body, body_sha256=digest, attributes={})
    )  # fmt: skip


def _in_window(context: Context, occurrence: Occurrence) -> bool:
    now = context.now(occurrence.account)
    started = occurrence.at is None or now >= occurrence.at
    end = end_of_window(context, occurrence)
    open_still = end is None or now + timedelta(seconds=REQUEST_SECONDS) <= end
    return started and open_still and not quiet_now(context, occurrence, now)


def _ask(context: Context, occurrence: Occurrence, operation: Operation, part: Part) -> Operation | PartState:
    """Request until LINE answers with certainty, the window closes, or this run has asked long enough."""
    client = context.client(occurrence.account)
    body = context.store.body(operation.id) or part.body
    if hashlib.sha256(body).hexdigest() != operation.body_sha256:
        # The people it was frozen for cannot be made again: another body under this key must not leave.
        return give_up(context, operation, "body")
    began = context.now(occurrence.account)
    for attempt in range(1_000_000):
        if not _in_window(context, occurrence):
            return give_up(context, operation, "window")
        stop_if_paused(context, occurrence)
        client.pace(part.kind)
        before = operation
        operation = _asking(context, operation)
        outcome = _attempt(context, occurrence, operation, part.kind, body)
        elsewhere = isinstance(outcome, AlreadyAccepted) and is_open(before)
        if elsewhere and operation.chunks > 1:
            return give_up(context, operation, CUT_ELSEWHERE)
        if nothing_happened(outcome):
            # Whether it had left before is as open as it was.
            operation = context.put("send.unsent", replace(operation, attributes=before.attributes))
        settled = _settle(context, occurrence, operation, outcome, elsewhere)
        if settled is not None:
            return settled
        elapsed = (context.now(occurrence.account) - began).total_seconds()
        if elapsed > context.options.send_retry_seconds:
            why = "AUD0871" if is_monthly(outcome) else "AUD0854"
            raise Stop(4, (error(why, None, delivery=occurrence.name),))
        client.sleep(RETRY_PAUSE_SECONDS[min(attempt, len(RETRY_PAUSE_SECONDS) - 1)])
    raise AssertionError("a window ends")


def _asking(context: Context, operation: Operation) -> Operation:
    """Before the first byte: from here on LINE may have taken it, whatever becomes of this process."""
    asked = {**operation.attributes, "asked": True}
    return context.put("send.asking", replace(operation, attempts=operation.attempts + 1, attributes=asked))


def nothing_happened(outcome: SendOutcome) -> bool:
    """Whether an attempt certainly reached nobody, and its key may be used again."""
    return isinstance(outcome, Refused | Limited) or (isinstance(outcome, Unknown) and not outcome.written)


def _attempt(
    context: Context, occurrence: Occurrence, operation: Operation, kind: SendKind, body: bytes
) -> SendOutcome:
    """One request over a fresh connection; window, lease and pauses are looked at after it is open."""
    client = context.client(occurrence.account)

    def may_write() -> bool:
        return _in_window(context, occurrence) and paused(context, occurrence) is None

    return context.request(f"send.{kind}", lambda: client.send(kind, body, operation.retry_key, may_write))


def _settle(
    context: Context, occurrence: Occurrence, operation: Operation, outcome: SendOutcome, elsewhere: bool
) -> Operation | PartState | None:
    """What an outcome means; None: not certain, ask again. `elsewhere`: LINE took it before this state ever asked."""
    if isinstance(outcome, Accepted | AlreadyAccepted):
        evidence = "409" if isinstance(outcome, AlreadyAccepted) else str(outcome.status)
        if elsewhere:
            evidence = SENT_ELSEWHERE
            context.diagnostics.append(warning("AUD0890", None, delivery=occurrence.name, part=operation.part + 1))
        accepted = replace(operation, state="accepted", request_id=outcome.request_id, evidence=evidence)
        context.say("accepted", delivery=occurrence.name, part=operation.part + 1, request_id=outcome.request_id)
        return context.put("send.accepted", accepted)
    if isinstance(outcome, Refused) and outcome.status == 401:
        # The token is wrong, not the send: nothing happened, and a later run asks again.
        raise Stop(1, (error("AUD0859", None, account=occurrence.account),))
    if isinstance(outcome, Refused) and may_have_left(operation):
        # An attempt before this one has no certain answer: a refusal now says nothing about that one.
        return give_up(context, operation, str(outcome.status))
    if isinstance(outcome, Refused):
        refusal = ", ".join(outcome.codes) or outcome.message or str(outcome.status)
        rejected = replace(operation, state="rejected", evidence=str(outcome.status))
        context.put("send.rejected", rejected)
        context.diagnostics.append(
            error("AUD0855", None, delivery=occurrence.name, part=operation.part + 1, refusal=refusal)
        )
        return "rejected"
    if is_monthly(outcome) and not is_reserved(context, occurrence.account):
        context.diagnostics.append(error("AUD0857", None, delivery=occurrence.name))
        raise Stop(4)
    return None


def is_monthly(outcome: SendOutcome) -> bool:
    """Whether LINE refused for the messages of the month."""
    return isinstance(outcome, Limited) and outcome.kind == "monthly"


def is_reserved(context: Context, account: str) -> bool:
    """Whether messages are left, and LINE keeps them for a narrowcast that is running: they come back when it ends."""
    client = context.client(account)
    quota, used = client.quota(), client.consumption()
    if not isinstance(quota, Found) or not isinstance(used, Found) or quota.value.limit is None:
        return False
    return used.value < quota.value.limit


def _follow(context: Context, occurrence: Occurrence, operation: Operation) -> PartState:
    """Wait for the end of a narrowcast; the other kinds are over once they are accepted."""
    if operation.kind != "narrowcast":
        context.put("send.succeeded", replace(operation, state="succeeded", phase="succeeded"))
        return "succeeded"
    client = context.client(occurrence.account)
    began = context.now(occurrence.account)
    for attempt in range(1_000_000):
        found = client.progress(operation.request_id or "")
        if isinstance(found, Found) and found.value.over:
            return _finished(context, occurrence, operation, found.value)
        if isinstance(found, Refused) and found.status == 401:
            raise Stop(1, (error("AUD0859", None, account=occurrence.account),))
        if isinstance(found, Refused):
            # LINE forgets progress after 14 days; what was accepted stays accepted.
            return _close(context, operation, "in_doubt", "progress")
        elapsed = (context.now(occurrence.account) - began).total_seconds()
        if elapsed > PROGRESS_WAIT_SECONDS:
            raise Stop(4, (error("AUD0856", None, delivery=occurrence.name),))
        client.sleep(PROGRESS_POLL_SECONDS[min(attempt, len(PROGRESS_POLL_SECONDS) - 1)])
    raise AssertionError("a wait ends")


def _finished(context: Context, occurrence: Occurrence, operation: Operation, progress: Any) -> PartState:
    named = {
        "success": progress.success_count, "failure": progress.failure_count, "target": progress.target_count
    }  # fmt: skip
    counts = {name: count for name, count in named.items() if count is not None}
    state: Literal["succeeded", "failed"] = "succeeded" if progress.phase == "succeeded" else "failed"
    context.put(
        f"send.{state}",
        replace(operation, state=state, phase=progress.phase, error_code=progress.error_code, counts=counts),
    )
    context.say(state, delivery=occurrence.name, part=operation.part + 1, **counts)
    if state == "failed":
        context.diagnostics.append(
            error(
                "AUD0858",
                None,
                delivery=occurrence.name,
                part=operation.part + 1,
                error_code=progress.error_code,
            )
        )
    return state


def _close(
    context: Context, operation: Operation, state: Literal["in_doubt", "missed"], evidence: str
) -> Literal["in_doubt", "missed"]:
    context.put(f"send.{state}", replace(operation, state=state, evidence=evidence))
    return state


def give_up(context: Context, operation: Operation, evidence: str) -> Literal["in_doubt", "missed"]:
    """Make this request no more: in doubt if it may have left, missed if it certainly did not."""
    return _close(context, operation, "in_doubt" if may_have_left(operation) else "missed", evidence)


# --- occurrences that are over ------------------------------------------------------------------------


_WORST_FIRST: tuple[tuple[PartState, OccurrenceState], ...] = (
    ("in_doubt", "in_doubt"),
    ("failed", "failed"),
    ("rejected", "failed"),
    ("missed", "missed"),
)


def conclude(context: Context, occurrence: Occurrence, states: Sequence[PartState]) -> Occurrence:
    """An occurrence is what its worst part is; missed is one of which nothing was sent, else it failed."""
    found = [outcome for state, outcome in _WORST_FIRST if state in states]
    if found and found[0] == "missed" and "succeeded" in states:
        found = ["failed"]
    final: OccurrenceState = found[0] if found else "done"
    context.say(final, delivery=occurrence.name)
    return context.put(f"occurrence.{final}", replace(occurrence, state=final))


def follow_accepted(context: Context, occurrence: Occurrence) -> None:
    """What LINE took is followed to its end, whatever became of specs and data meanwhile."""
    for operation in newest(context.state().operations_of(occurrence.id)):
        if operation.state == "accepted":
            _follow(context, occurrence, operation)


def settle_late(context: Context, occurrence: Occurrence) -> Occurrence:
    """Close an occurrence whose window has passed: what was never tried is missed, the rest is what it is."""
    follow_accepted(context, occurrence)
    operations = newest(context.state().operations_of(occurrence.id))
    states = [over(one) or give_up(context, one, "window") for one in operations]
    chunks: dict[int, int] = {}
    for one in operations:
        chunks[one.part] = chunks.get(one.part, one.chunks) - 1
    approved = {int(part) for part in dict(occurrence.document.get("limits", {}))}
    if approved - set(chunks) or any(chunks.values()) or not operations:
        states.append("missed")
    return conclude(context, occurrence, states)
