"""From intent to effects: apply, run, resolve. One lease, one journal, one report."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from audsql.data.engine import EngineFailure
from audsql.diag import Diagnostic, error, has_errors
from audsql.records import dataclass
from audsql.session.accounts import Remote, connect, followers_of
from audsql.session.backups import is_changed, keep_backup
from audsql.session.holding import take_lease, user_name
from audsql.session.keys import keys_of
from audsql.session.notifying import notified
from audsql.session.planning import PlanOptions, make, open_store, state_of
from audsql.session.project import Opened, check, compiled, messages_of, spec_digest
from audsql.session.retaining import forget_old
from audsql.session.sets import engine_of
from audsql.session.tombstones import erased_people
from audsql.session.upcoming import coming_up, next_instant, seconds_until
from audsql.session.water import note

if TYPE_CHECKING:
    from audsql.apply.context import Context
    from audsql.apply.state import State
    from audsql.apply.store import Held, Lease, Store

__all__ = ["ApplyOptions", "ApplyOutcome", "apply", "carried", "refusals_of", "resolve", "run_due"]

Document = dict[str, Any]

_LOCK_PAUSE_SECONDS = 0.5
_SECRETS = ("AUD0658", "AUD0672", "AUD0673")


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """`expect`: the digest that the plan must have. `accept_shrunk`: lists whose shrinking a person
    accepted, `accept_policies`: policies that a person set aside, `accept_restart`: flows that may begin anew though
    LINE knows their sends, with `reason`. `prune`: see PlanOptions.
    `on_event` gets each step as it happens. `revision`: which specs these are, for the history, where it is not what
    Git says of the project folder. `lock_seconds`: how long to wait for a lock that somebody else has."""

    as_of: datetime | None = None
    expect: str | None = None
    accept_shrunk: frozenset[str] = frozenset()
    reason: str = ""
    on_event: Callable[[Document], None] = field(default=lambda event: None)
    accept_policies: frozenset[str] = frozenset()
    prune: bool = False
    revision: Document | None = None
    lock_seconds: float = 0.0
    accept_restart: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ApplyOutcome:
    document: Document | None
    diagnostics: tuple[Diagnostic, ...]
    exit_code: int


def apply(opened: Opened, document: Document | None, options: ApplyOptions) -> ApplyOutcome:
    """Make it so, once: what the plan `document` says, or a plan made now."""
    return notified(opened, "apply", _connected(opened, lambda remote: _apply(opened, remote, document, options)))


def run_due(opened: Opened, options: ApplyOptions) -> ApplyOutcome:
    """Send what an apply approved earlier and is due now, once."""
    return notified(opened, "run", _connected(opened, lambda remote: _run_due(opened, remote, options)))


def carried(opened: Opened, options: ApplyOptions, operation: str, work: Callable[[Context], int]) -> ApplyOutcome:
    """Work on an account under a lease of its own, reported and notified like an apply."""
    outcome = _connected(opened, lambda remote: _with_context(opened, remote, options, operation, work, None))
    return notified(opened, operation, outcome)


def _connected(opened: Opened, work: Callable[[Remote], ApplyOutcome]) -> ApplyOutcome:
    problems = check(opened, compiles=True)
    if opened.analysis is None or has_errors(problems):
        return ApplyOutcome(None, problems, 1)
    with connect(opened) as (remote, found):
        if remote is None:
            usage = {"AUD0020", "AUD0021", "AUD0864"}
            codes = {one.code for one in found if one.severity == "error"}
            return ApplyOutcome(None, (*problems, *found), 64 if codes <= usage else 1)
        outcome = work(remote)
        warnings = tuple(one for one in problems if one.severity != "error")
        return replace(outcome, diagnostics=(*warnings, *outcome.diagnostics))


def _apply(opened: Opened, remote: Remote, document: Document | None, options: ApplyOptions) -> ApplyOutcome:
    state, problems = state_of(opened)
    if state is None:
        return ApplyOutcome(None, problems, 1)
    if document is None:
        try:
            choice = PlanOptions(options.accept_shrunk, options.accept_policies, options.prune, options.accept_restart)
            planned, problems = make(opened, remote, state, options.as_of, choice)
        except EngineFailure as failure:
            return ApplyOutcome(None, (failure.diagnostic,), 1)
        if planned is None:
            return ApplyOutcome(None, problems, _refusal_code(problems))
        document = planned.document
    refusals = refusals_of(opened, remote, state, document, options)
    if refusals:
        return ApplyOutcome(None, refusals, 5)
    if not document["summary"]["changes"] and not state.lineage:
        return ApplyOutcome(_report("apply", document["digest"], [], state, 0), (), 0)

    def work(context: Context) -> int:
        # Another process may have applied between the first look and the lease: only now nobody else can.
        late = refusals_of(opened, remote, context.state(), document, options)
        late = late or tuple(_refused_messages(context, document))
        if late:
            context.diagnostics.extend(late)
            return 5
        code = _execute(context, document, _interrupted(context.state(), document["digest"]))
        return code if code not in (0, 7) else _also_due(opened, remote, context, code)

    return _with_context(opened, remote, options, "apply", work, document["digest"])


def _also_due(opened: Opened, remote: Remote, context: Context, code: int) -> int:
    """After an apply: what has come due of repetitions that were approved before."""
    from audsql.apply.run import carry_out
    from audsql.session.repeating import open_times

    before = context.state().serial
    refused = open_times(opened, remote, context)
    return max(code, refused, carry_out(context) if context.state().serial != before else 0)


def _refused_messages(context: Context, document: Document) -> Iterator[Diagnostic]:
    """What LINE's own check says of the messages of each delivery that is about to be approved. Nothing is sent."""
    from audsql.apply.coupons import checkable
    from audsql.line.outcome import Refused
    from audsql.plan.personal import said_to_somebody

    for entry in document["deliveries"]:
        if entry["action"] not in ("send", "schedule", "update"):
            continue
        # The rules of messages are the same for every kind of send.
        objects = checkable(said_to_somebody(document, entry))
        if not objects:
            continue
        outcome = context.client(entry["account"]).validate("push", objects)
        if isinstance(outcome, Refused) and outcome.status == 400:
            name = entry["address"].removeprefix("delivery.")
            delivery = context.project.delivery(name)
            detail = ", ".join(outcome.codes) or outcome.message
            span = delivery.span if delivery else None
            yield error("AUD0719", span, delivery=name, place=outcome.property_name, detail=detail)


def _refusal_code(problems: tuple[Diagnostic, ...]) -> int:
    codes = {one.code for one in problems if one.severity == "error"}
    return 5 if codes and all(code.startswith("AUD07") for code in codes) else 1


def _interrupted(state: State, digest: str) -> bool:
    """Whether this plan was taken up and not ended, and none was taken up since."""
    applied = state.applied(digest)
    return applied is not None and applied.outcome is None and applied.at == max(one.at for one in state.applied_plans)


def _execute(context: Context, document: Document, resuming: bool) -> int:
    from audsql.apply.remembering import remember
    from audsql.apply.run import carry_out, execute, renew_pins

    if not document["summary"]["changes"] and not resuming:
        # Nothing to approve; what is due by now, and what may be deleted by now, is still done.
        renew_pins(context, document)
        code = carry_out(context)
        if code in (0, 7) and document.get("changes"):
            remember(context, document)
        return code
    return execute(context, document, document["digest"], resuming)


def refusals_of(
    opened: Opened, remote: Remote, state: State, document: Document, options: ApplyOptions
) -> tuple[Diagnostic, ...]:
    """Why a plan may not be applied: it is not the one, not for this state, not allowed, or too old."""
    from audsql.plan.guard import is_accepted

    digest = document["digest"]
    # A plan that was made again has another digest, and the same one for review (review.digest).
    review = str(document.get("review_digest", digest))
    if options.expect not in (None, digest, review):
        return (error("AUD0626", None, expected=options.expect, found=digest, review=review),)
    if state.spent(digest) is not None and not _interrupted(state, digest):
        return (error("AUD0623", None, digest=digest),)
    stale = [what for what, differs in _differences(opened, remote, state, document) if differs]
    if stale:
        return (error("AUD0624", None, what=tuple(stale)),)
    denied = [one for one in document["guards"] if one["severity"] == "error"]
    left = [
        one
        for one in denied
        if not is_accepted(
            one["code"], one["facts"], options.accept_shrunk, options.accept_policies, options.accept_restart
        )
    ]
    if left:
        return tuple(_denial(one) for one in left)
    return () if _interrupted(state, digest) else tuple(_too_quiet(opened, remote, document))


def _too_quiet(opened: Opened, remote: Remote, document: Document) -> Iterator[Diagnostic]:
    """What is to be sent at once, in hours that have become quiet since the plan was made."""
    from audsql.plan.policies import quiet_problem

    assert opened.analysis is not None
    project = opened.analysis.project
    for entry in document["deliveries"]:
        delivery = project.delivery(entry["address"].removeprefix("delivery."))
        at_once = entry["at"] is None and "repeats" not in entry
        if at_once and entry["action"] in ("send", "update") and delivery is not None:
            problem = quiet_problem(project, delivery, remote.now())
            if problem is not None:
                yield problem


def _denial(guard: Document) -> Diagnostic:
    facts = {name: tuple(value) if isinstance(value, list) else value for name, value in guard["facts"].items()}
    return Diagnostic(guard["code"], "error", None, tuple(sorted(facts.items())))


def _made_elsewhere(remote: Remote, state: State, document: Document) -> bool:
    """Whether LINE has audiences of this plan's sets that another state made: the one that it was made for is lost."""
    from audsql.plan.tags import Tag, parse_tag

    keys = {Tag.of("", one["address"].partition(".")[2], 0).key for one in document["resource_changes"]}
    ours = Tag.of(state.lineage, "", 0).lineage
    tags = [parse_tag(one.name) for facts in remote.facts.values() for one in facts.audiences]
    return any(tag is not None and tag.key in keys and tag.lineage != ours for tag in tags)


def _differences(opened: Opened, remote: Remote, state: State, document: Document) -> list[tuple[str, bool]]:
    from audsql.line.limits import LIMITS_VERSION
    from audsql.plan.plan import bot_digest

    messages, _ = messages_of(opened)
    interrupted = _interrupted(state, document["digest"])
    lineage, serial = document["state"]["lineage"], document["state"]["serial"]
    # A plan from before there was a state fits every state in which nothing was approved yet.
    unborn = lineage is None and state.serial == 0 and not _made_elsewhere(remote, state, document)
    moved = not interrupted and not unborn and ((state.lineage or None) != lineage or state.serial != serial)
    return [
        ("state", moved),
        ("specs", document["spec_digest"] != spec_digest(opened, messages)),
        ("environment", document["environment"] != opened.environment),
        ("accounts", document["bots"] != {name: bot_digest(one.bot_id) for name, one in remote.facts.items()}),
        ("endpoints", document["endpoints"] != dict(sorted(remote.endpoints.items()))),
        ("limits", document["limits_version"] != LIMITS_VERSION),
        ("validity", not interrupted and remote.now() > datetime.fromisoformat(document["valid_until"])),
    ]


def _run_due(opened: Opened, remote: Remote, options: ApplyOptions) -> ApplyOutcome:
    from audsql.session.repeating import with_times

    state, problems = state_of(opened)
    if state is None:
        return ApplyOutcome(None, problems, 1)
    if not state.lineage:
        return ApplyOutcome(_report("run", None, [], state, 0), (), 0)
    return _with_context(opened, remote, options, "run", lambda context: with_times(opened, remote, context), None)


def _with_context(
    opened: Opened,
    remote: Remote,
    options: ApplyOptions,
    operation: str,
    work: Callable[[Context], int],
    digest: str | None,
) -> ApplyOutcome:
    """Open the store, take the lease, do the work, report. Whatever happens, the journal says what was done."""
    from audsql.apply.context import Context, Options
    from audsql.apply.store import (
        Held,
        LeaseLost,
        StoreFailed,
        held_diagnostic,
        lease_lost_diagnostic,
        takeover_diagnostic,
    )

    store, problems = open_store(opened, create=True)
    if store is None:
        return ApplyOutcome(None, problems, 1)
    with store:
        try:
            lease = _lease_within(store, operation, options.lock_seconds)
        except StoreFailed as failed:
            return ApplyOutcome(None, (failed.diagnostic,), 1)
        if isinstance(lease, Held):
            return ApplyOutcome(None, (held_diagnostic(lease),), 6)
        try:
            context = _context(opened, remote, options, store, lease, Context, Options)
        except EngineFailure as failure:
            store.release(lease, datetime.now(UTC))
            return ApplyOutcome(None, (failure.diagnostic,), 1)
        except StoreFailed as failed:
            return _failed(store, lease, failed.diagnostic, ())
        if lease.took_over is not None:
            context.diagnostics.append(takeover_diagnostic(lease.took_over))
        try:
            _recall_pace(remote, store)
            before = store.snapshot()
            _record_overrides(context)
            code = _worked(context, work)
            store.release(context.lease, datetime.now(UTC))
            state = store.snapshot()
            coming = coming_up(store, state, context.project)
            now = remote.now()
            report = _report(operation, digest, context.events, state, code, before, context.held, coming, now)
            report["needs_person"] += _doubtful(store)
            note(opened, store, keys_of(opened), changed=is_changed(store, before, state))
            forget_old(opened, store.snapshot(), datetime.now(UTC))
            context.diagnostics.extend(keep_backup(opened, store, before))
        except KeyboardInterrupt:
            # Whoever goes on, here or elsewhere, need not wait for the lease of a run that is over.
            with suppress(LeaseLost, StoreFailed):
                store.release(context.lease, datetime.now(UTC))
            raise
        except LeaseLost as lost:
            return ApplyOutcome(None, (*context.diagnostics, lease_lost_diagnostic(lost, store.path)), 6)
        except StoreFailed as failed:
            return _failed(store, context.lease, failed.diagnostic, context.diagnostics)
        return ApplyOutcome(report, tuple(context.diagnostics), code)


def _failed(store: Store, lease: Lease, problem: Diagnostic, before: Sequence[Diagnostic]) -> ApplyOutcome:
    """A run that its state ended. Where only the secret of the people in it is missing, the state is sound: the lease
    is given back, and running again does not help."""
    from audsql.apply.store import LeaseLost, StoreFailed

    if problem.code not in _SECRETS:
        return ApplyOutcome(None, (*before, problem), 4)
    with suppress(LeaseLost, StoreFailed):
        store.release(lease, datetime.now(UTC))
    return ApplyOutcome(None, (*before, problem), 1)


def _lease_within(store: Store, operation: str, seconds: float) -> Lease | Held:
    """The lease, asked for again until so many seconds of the monotonic clock have passed."""
    from audsql.apply.store import Held

    end = time.monotonic() + seconds
    while True:
        lease = take_lease(store, operation)
        left = end - time.monotonic()
        if not isinstance(lease, Held) or left <= 0:
            return lease
        time.sleep(min(_LOCK_PAUSE_SECONDS, left))


def _worked(context: Context, work: Callable[[Context], int]) -> int:
    """The exit code of the work; where it stopped, the reason is among the diagnostics."""
    from audsql.apply.context import Stop

    try:
        return work(context)
    except Stop as stop:
        context.diagnostics.extend(stop.diagnostics)
        return stop.exit_code
    except EngineFailure as failure:
        context.diagnostics.append(failure.diagnostic)
    except OSError as problem:
        # A full disk, say: the journal has all that was done, and running again resumes.
        name = os.path.basename(str(problem.filename or "stdout"))
        context.diagnostics.append(error("AUD0031", None, path=name, reason=os.strerror(problem.errno or 0)))
    return 4


def _record_overrides(context: Context) -> None:
    """What a person allowed against a guard, and why, stays in the history."""
    from audsql.apply.state import Resolution

    options = context.options
    for name in sorted(options.accept_shrunk):
        row = Resolution(f"source.{name}", "accept-shrunk", options.reason, options.holder, context.steady_now())
        context.write("guard.overridden", row)
    for name in sorted(options.accept_policies):
        row = Resolution(f"policy.{name}", "accept-policy", options.reason, options.holder, context.steady_now())
        context.write("guard.overridden", row)
    for name in sorted(options.accept_restart):
        row = Resolution(f"flow.{name}", "accept-restart", options.reason, options.holder, context.steady_now())
        context.write("guard.overridden", row)


def _recall_pace(remote: Remote, store: Store) -> None:
    """Narrowcasts of earlier runs count against LINE's rate an hour."""
    state = store.snapshot()
    accounts = {row.id: row.account for row in state.occurrences}
    for account, client in remote.clients.items():
        rows = [row for row in state.operations if accounts.get(row.occurrence) == account and row.attempts]
        if not client.is_simulator:
            client.recall("narrowcast", [row.stamp.updated_at for row in rows if row.stamp.updated_at])


def _context(
    opened: Opened,
    remote: Remote,
    options: ApplyOptions,
    store: Store,
    lease: Any,
    make_context: Any,
    make_options: Any,
) -> Context:
    assert opened.analysis is not None and opened.config is not None
    keys, state = keys_of(opened), store.snapshot()
    context: Context = make_context(
        store=store,
        lease=lease,
        clients=remote.clients,
        bots={account: facts.bot_id for account, facts in remote.facts.items()},
        engine=engine_of(opened, state, may_connect=True, friends=followers_of(remote)),
        project=opened.analysis.project,
        program=compiled(opened)[0],
        messages=messages_of(opened)[0],
        options=make_options(
            holder=user_name(), host=platform.node(), pid=os.getpid(), accept_shrunk=options.accept_shrunk,
            accept_policies=options.accept_policies, accept_restart=options.accept_restart, reason=options.reason,
            revision=_revision(opened) if options.revision is None else options.revision,
        ),
        on_event=options.on_event,
        steady_now=lambda: datetime.now(UTC),
        keys=keys,
        erased=erased_people(opened, keys, state),
        follow_logs={name: (opened.home, path) for name, path in opened.config.follow_logs.items()},
    )  # fmt: skip
    return context


def _revision(opened: Opened) -> Document:
    from audsql.session.commits import commit_of

    found = commit_of(opened)
    return {} if found is None else {"commit": found.commit, "dirty": found.dirty}


def _report(
    operation: str,
    digest: str | None,
    events: list[Document],
    state: State,
    code: int,
    before: State | None = None,
    held: Sequence[str] = (),
    ahead: Sequence[Document] = (),
    now: datetime | None = None,
) -> Document:
    """What was done, as a document: counts, every occurrence that needs a person, what is due next."""
    done = Counter(event["event"] for event in events)
    attention = [row for row in state.occurrences if row.state in ("in_doubt", "missed", "failed")]
    earlier = {row.id: row.state for row in before.occurrences} if before else {}
    sent = [row for row in state.occurrences if row.state == "done" and earlier.get(row.id) != "done"]
    coming = [row for row in state.occurrences if row.state in ("scheduled", "sending")]
    created = done["upload_create"] + done["audience_create"]
    return {
        "kind": f"audsql.{operation}",
        "format_version": "1.0",
        "plan_digest": digest,
        "serial": state.serial,
        "exit_code": code,
        "complete": code in (0, 7),
        "events": events,
        "needs_person": [{"delivery": row.name, "occurrence": row.id, "state": row.state} for row in attention],
        **({"paused": sorted(set(held))} if held else {}),
        "next_due": next_instant(ahead),
        "next": list(ahead),
        "next_in_seconds": seconds_until(ahead, now),
        "summary": {
            "added": created,
            "changed": done["upload_add"] + done["upload_replace"] + done["audience_renamed"],
            "deleted": done["audience_deleted"],
            "sent": len(sent),
            "sent_in_flows": sum(event["count"] for event in events if event["event"] == "flow_sent"),
            "entered_flows": sum(event["count"] for event in events if event["event"] == "flow_entered"),
            "scheduled": len(coming),
            "done": len(sent) + created,
            "failed": len(attention),
            "not_started": len(coming),
            "unknown": sum(row.state == "intent" for row in state.operations),
        },
    }


def _doubtful(store: Store) -> list[Document]:
    """The requests of flows of which nobody knows whether LINE took them."""
    found = store.ledger().batches(states=("in_doubt",))
    return [
        {"delivery": one.owner, "occurrence": one.id, "state": one.state}
        for one in found
        if one.owner.startswith("flow.")
    ]


# --- a person's word -----------------------------------------------------------------------------------------


def resolve(opened: Opened, subject: str, verdict: str, reason: str) -> ApplyOutcome:
    """Settle what only a person can know: `subject` is a delivery, an occurrence or a request of `status`.

    A flow (`flow.NAME`) or a batch of one may be named as well. `verdict` is sent or not-sent. A delivery that the
    state does not know (its state was lost) may be declared too: `sent` closes it, `not-sent` lets the next plan
    send it.
    """
    from audsql.apply.settle import settle_batch, settle_by_person
    from audsql.apply.store import Held, RuleBroken, StoreFailed, held_diagnostic

    store, problems = open_store(opened, create=True)
    if store is None:
        return ApplyOutcome(None, problems, 1)
    now = datetime.now(UTC)
    with store:
        try:
            lease = take_lease(store, "resolve")
            if isinstance(lease, Held):
                return ApplyOutcome(None, (held_diagnostic(lease),), 6)
            assert opened.analysis is not None
            try:
                project, by = opened.analysis.project, user_name()
                about = (store, lease, project, subject, verdict, reason, by, now)
                settled = settle_batch(*about)
                found = settle_by_person(*about) if settled is None else settled
            except RuleBroken:
                found = (error("AUD0884", None),)
            store.release(lease, now)
            state = store.snapshot()
        except StoreFailed as failed:
            return ApplyOutcome(None, (failed.diagnostic,), 1)
    if has_errors(found):
        return ApplyOutcome(None, found, 1)
    document = {**_report("resolve", None, [], state, 0), "verdict": verdict}
    return ApplyOutcome(document, found, 0)
