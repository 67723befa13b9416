"""Verdicts over what is about to be planned: what must stop it, and what a reviewer should know. Pure.

Each guard is a function of the inputs and the desired deliveries that yields diagnostics; an error makes
the plan one that apply refuses. Their order is the order in which reviewers read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from audsql.compile.program import LineAudience, Narrowcast, RedeliveryLeaf, recipient_leaves
from audsql.diag import Diagnostic, error, warning
from audsql.line.limits import (
    AUDIENCE_RECIPIENTS_MIN,
    AUDIENCES_PER_CHANNEL_MAX,
    MINIMUM_EXEMPT_AUDIENCE_TYPES,
    RECIPIENTS_MIN,
    REDELIVERY_RECIPIENTS_MIN,
    RETARGETING_AGE_DAYS_MAX,
    TARGET_REACH_MIN,
)
from audsql.plan.audiences import find_named, find_retargeting, names_like
from audsql.plan.behind import has_minimum
from audsql.plan.drift import other_states
from audsql.plan.facts import RemoteAudienceFacts, RemoteFacts
from audsql.plan.feasibility import FEASIBILITY
from audsql.plan.flow_guards import FLOW_GUARDS
from audsql.plan.history import HISTORY, changed_splits
from audsql.plan.plan import Desired, PlanInputs, Wanted, request_id_of
from audsql.plan.policies import POLICIES
from audsql.plan.repeated import times_that_need_a_person, turns_this_month
from audsql.plan.tags import Tag, parse_tag
from audsql.plan.tested import coupons, untested
from audsql.plan.timeline import quota_month, quota_month_end
from audsql.source import Span

__all__ = ["GUARDS", "check", "is_accepted"]

_OF_A_POLICY = ("AUD0720", "AUD0722", "AUD0724")


def check(
    inputs: PlanInputs,
    aim: Desired,
    accepted_shrunk: frozenset[str] = frozenset(),
    accepted_policies: frozenset[str] = frozenset(),
    accepted_restarts: frozenset[str] = frozenset(),
) -> tuple[Diagnostic, ...]:
    """All verdicts, in the order of GUARDS, without those that a person accepted: lists that shrank, policies
    whose demands of sizes and fresh data are not met, and flows that begin anew though LINE knows their sends."""
    verdicts = [verdict for guard in GUARDS for verdict in guard(inputs, aim)]
    return tuple(
        verdict
        for verdict in verdicts
        if not is_accepted(verdict.code, dict(verdict.facts), accepted_shrunk, accepted_policies, accepted_restarts)
    )


def is_accepted(
    code: str,
    facts: Mapping[str, Any],
    shrunk: frozenset[str],
    policies: frozenset[str],
    restarts: frozenset[str] = frozenset(),
) -> bool:
    """Whether a person took the responsibility for this verdict."""
    if code in ("AUD0775", "AUD0779"):
        return str(facts["flow"]) in restarts
    if code in ("AUD0703", "AUD0741"):
        return str(facts["name"]) in shrunk
    return code in _OF_A_POLICY and str(facts["policy"]) in policies


def _active(aim: Desired) -> Iterator[Wanted]:
    return (one for one in aim.wanted if one.active)


def needs_a_person(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """A send whose outcome is unknown, that was missed, or that failed: nothing happens by itself."""
    for one in aim.wanted:
        if one.verdict.action == "attention":
            state = one.verdict.known.state if one.verdict.known else "missed"
            yield warning("AUD0700", one.delivery.span, delivery=one.delivery.name, state=state)
    spans = {one.delivery.name: one.delivery.span for one in aim.wanted}
    for name, known in times_that_need_a_person(inputs.project, inputs.occurrences):
        if name in spans:
            yield warning("AUD0700", spans[name], delivery=name, state=known.state)


def edited_after_sending(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    explained = {name for names in changed_splits(inputs.project, inputs.occurrences).values() for name in names}
    for one in aim.wanted:
        if one.verdict.action == "edited" and one.delivery.name not in explained:
            known = one.verdict.known
            if known is not None and known.label:
                yield error("AUD0790", one.delivery.span, delivery=one.delivery.name, label=known.label)
                continue
            yield error(
                "AUD0708", one.delivery.span, delivery=one.delivery.name, scheduled=known.scheduled if known else ""
            )


def already_past(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for one in aim.wanted:
        if one.verdict.action == "past" and one.delivery.at:
            at = one.delivery.at.isoformat(timespec="minutes")
            now = inputs.facts.now.astimezone(one.delivery.at.tzinfo).isoformat(timespec="minutes")
            yield error("AUD0707", one.delivery.span, delivery=one.delivery.name, at=at, now=now)


def no_time_left(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """A repetition that nobody approved while it had times to come."""
    for one in aim.wanted:
        if one.verdict.action == "past" and one.delivery.every is not None:
            end = one.delivery.every.end
            until = end.isoformat(timespec="minutes") if end else None
            yield error("AUD0791", one.delivery.span, delivery=one.delivery.name, until=until)


def lost_state(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """LINE holds audiences for a delivery that the state has never heard of: it is another one, or an old copy."""
    for one in aim.wanted:
        first = one.verdict.action in ("send", "schedule") and one.verdict.known is None
        remote = inputs.facts.remotes.get(one.delivery.account)
        if first and remote and _foreign_tags(inputs, one, remote):
            yield error("AUD0715", one.delivery.span, delivery=one.delivery.name)


def leaves_no_mark(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Without a state only audiences at LINE tell that a delivery without a time was sent; some need none."""
    for one in aim.wanted:
        first = inputs.lineage is None and one.verdict.action == "send" and one.verdict.known is None
        if first and one.delivery.at is None and not one.compiled.uploads:
            yield warning("AUD0768", one.delivery.span, delivery=one.delivery.name)


def other_state(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Audiences with the tag of another state: two of them send for one account, and none knows what the other did."""
    for account, lineage, count in other_states(inputs.facts.remotes, inputs.lineage, inputs.records):
        yield warning("AUD0809", None, account=account, lineage=lineage, count=count)


def _foreign_tags(inputs: PlanInputs, one: Wanted, remote: RemoteFacts) -> bool:
    ours = Tag.of(inputs.lineage or "", "", 0).lineage if inputs.lineage else None
    keys = (*one.compiled.uploads, *one.compiled.audiences)
    known = {Tag.of("", key, 0).key: inputs.generations.get(key, 0) for key in keys}
    tags = [parse_tag(audience.name) for audience in remote.audiences]
    return any(
        tag is not None and tag.key in known and (tag.lineage != ours or tag.generation > known[tag.key])
        for tag in tags
    )


def outside_expected_size(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for one in _active(aim):
        facts = inputs.facts.deliveries.get(one.delivery.name)
        if facts is None or one.delivery.expect is None or one.verdict.action == "resume":
            continue
        low, high = one.delivery.expect
        too_many = high is not None and facts.size.low > high
        too_few = low is not None and facts.size.high is not None and facts.size.high < low
        if too_many or too_few:
            yield error(
                "AUD0701",
                one.delivery.span,
                delivery=one.delivery.name,
                low=facts.size.low,
                high=facts.size.high,
                expected_low=low,
                expected_high=high,
            )


def reaches_nobody(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for one in _active(aim):
        facts = inputs.facts.deliveries.get(one.delivery.name)
        resuming = one.verdict.action == "resume"
        if facts and facts.size.high == 0 and not one.delivery.allow_empty and not resuming:
            yield error("AUD0702", one.delivery.to_span, delivery=one.delivery.name)


def shrunk_exclusion(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """A list that is subtracted and lost people since the last apply: they would get messages again."""
    for source in inputs.facts.sources:
        if source.exclusion and source.previous_people is not None:
            left = source.left if source.left is not None else max(0, source.previous_people - source.people)
            if left:
                yield error(
                    "AUD0703",
                    None,
                    name=source.name,
                    before=source.previous_people,
                    after=source.people,
                    left=left,
                )


def late_data(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for source in inputs.facts.sources:
        if source.late_hours is not None:
            yield error("AUD0710", None, name=source.name, late_hours=source.late_hours)


def quota(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Of this month: what the quota of a later one will be is not known (time.month)."""
    now = inputs.facts.now
    for account, remote in sorted(inputs.facts.remotes.items()):
        sizes = [
            inputs.facts.deliveries[one.delivery.name].size
            for one in aim.wanted
            if (one.active or one.comes_again) and one.delivery.account == account
            if one.delivery.name in inputs.facts.deliveries
            if quota_month(max(one.delivery.at or now, now)) == quota_month(now)
            for _ in range(_times(one, inputs))
        ]
        if remote.quota_remaining is None or not sizes:
            continue
        low = sum(size.low for size in sizes)
        highs = [remote.followers if size.high is None else size.high for size in sizes]
        high = None if any(one is None for one in highs) else sum(one or 0 for one in highs)
        if low > remote.quota_remaining:
            yield error("AUD0704", None, account=account, low=low, remaining=remote.quota_remaining)
        elif high is None or high > remote.quota_remaining:
            yield warning("AUD0705", None, account=account, high=high, remaining=remote.quota_remaining)


def _times(one: Wanted, inputs: PlanInputs) -> int:
    """How often it is sent in what is left of this month."""
    if one.delivery.every is None:
        return 1
    now = inputs.facts.now
    return turns_this_month(one.delivery.every, inputs.project.timezone, now, quota_month_end(now))


def small_parts(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """A part that uses an attribute or a LINE-held audience fails at LINE when it comes out below 50."""
    for one in _active(aim):
        facts = inputs.facts.deliveries.get(one.delivery.name)
        bounds = {part.part: part.bound for part in facts.parts} if facts else {}
        for send in one.compiled.sends:
            bound = bounds.get(send.part)
            if not isinstance(send, Narrowcast) or not _has_minimum(inputs, send):
                continue
            if bound is not None and 0 < bound < RECIPIENTS_MIN:
                name, part = one.delivery.name, send.part + 1
                yield warning(
                    "AUD0706", one.delivery.to_span, delivery=name, part=part, bound=bound, minimum=RECIPIENTS_MIN
                )


def small_guards(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """A part that leaves out who got an earlier one, when those are few: LINE gives no number for receipts."""
    for one in _active(aim):
        facts = inputs.facts.deliveries.get(one.delivery.name)
        bounds = {part.part: part.bound for part in facts.parts} if facts else {}
        for send, leaf in _own_receipts(one):
            bound = bounds.get(leaf.part)
            if bound is not None and 0 < bound < REDELIVERY_RECIPIENTS_MIN:
                yield warning(
                    "AUD0767",
                    one.delivery.to_span,
                    delivery=one.delivery.name,
                    part=send.part + 1,
                    earlier=leaf.part + 1,
                    bound=bound,
                    minimum=REDELIVERY_RECIPIENTS_MIN,
                )


def _own_receipts(one: Wanted) -> Iterator[tuple[Narrowcast, RedeliveryLeaf]]:
    for send in one.compiled.sends:
        leaves = recipient_leaves(send.recipient) if isinstance(send, Narrowcast) else ()
        for leaf in leaves:
            if isinstance(send, Narrowcast) and isinstance(leaf, RedeliveryLeaf) and leaf.delivery == one.delivery.name:
                yield send, leaf


def _has_minimum(inputs: PlanInputs, send: Narrowcast) -> bool:
    """A filter, a receipt or an audience that is not exempt is in it: of another part it is no matter."""
    return has_minimum(send, {audience.key: audience.kind for audience in inputs.program.audiences})


def target_reach(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for one in _active(aim):
        remote = inputs.facts.remotes.get(one.delivery.account)
        filtered = any(isinstance(send, Narrowcast) and send.filter is not None for send in one.compiled.sends)
        if filtered and remote and remote.target_reach is not None and remote.target_reach < TARGET_REACH_MIN:
            yield error(
                "AUD0709",
                one.delivery.to_span,
                delivery=one.delivery.name,
                reach=remote.target_reach,
                minimum=TARGET_REACH_MIN,
            )


def audiences_found_by_name(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for audience in _needed(inputs, aim):
        remote = inputs.facts.remotes.get(audience.account)
        if audience.kind in ("CLICK", "IMP") or remote is None:
            continue
        found = find_named(remote, audience)
        place, name, kind = _span_of(audience, aim), audience.name or "", audience.kind
        if not found:
            yield error(
                "AUD0711", place, name=name, kind=kind, account=audience.account, near=names_like(remote, audience)
            )
        elif len(found) > 1:
            yield error("AUD0712", place, name=name, kind=kind, count=len(found))
        elif found[0].status != "READY":
            yield error("AUD0713", place, name=name, kind=kind, status=found[0].status)
        elif kind not in MINIMUM_EXEMPT_AUDIENCE_TYPES and found[0].count < AUDIENCE_RECIPIENTS_MIN:
            yield error("AUD0714", place, name=name, kind=kind, minimum=AUDIENCE_RECIPIENTS_MIN)


def _needed(inputs: PlanInputs, aim: Desired) -> Iterator[LineAudience]:
    return (audience for audience in inputs.program.audiences if audience.key in aim.needed_by)


def _span_of(audience: LineAudience, aim: Desired) -> Span | None:
    names = aim.needed_by.get(audience.key, ())
    return next((one.delivery.to_span for one in aim.wanted if one.delivery.name in names), None)


def retargeting_age(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Click and impression audiences can be made for 60 days after the message."""
    for audience in _needed(inputs, aim):
        source = inputs.project.delivery(audience.delivery or "")
        if audience.kind not in ("CLICK", "IMP") or source is None or source.at is None:
            continue
        remote = inputs.facts.remotes.get(audience.account)
        stands = _at_line(inputs, audience, remote) is not None if remote else audience.key in inputs.line_held
        if stands or request_id_of(audience, inputs) is None:
            continue
        age = inputs.facts.now - source.at
        if age > timedelta(days=RETARGETING_AGE_DAYS_MAX):
            yield error(
                "AUD0716",
                _span_of(audience, aim),
                delivery=source.name,
                age_days=age.days,
                limit_days=RETARGETING_AGE_DAYS_MAX,
            )


def small_clicks_and_opens(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """A click or impression audience that stands at LINE with too few people stops every send that names it.

    Excluded, too: nobody knows whom LINE would leave out. While LINE still gathers, it may come to be usable.
    """
    for audience in _needed(inputs, aim):
        remote = inputs.facts.remotes.get(audience.account)
        held = _at_line(inputs, audience, remote) if remote and audience.kind in ("CLICK", "IMP") else None
        if held is None or (held.status == "READY" and held.count >= AUDIENCE_RECIPIENTS_MIN):
            continue
        place, of, minimum = _span_of(audience, aim), audience.delivery or "", AUDIENCE_RECIPIENTS_MIN
        if held.status == "EXPIRED":
            yield error("AUD0713", place, name=held.name, kind=held.kind, status=held.status)
        if held.status in ("READY", "FAILED"):
            yield error("AUD0765", place, of=of, kind=audience.kind, minimum=minimum)
        elif held.status in ("IN_PROGRESS", "ACTIVATING"):
            yield warning("AUD0766", place, of=of, kind=audience.kind, minimum=minimum)


def _at_line(inputs: PlanInputs, audience: LineAudience, remote: RemoteFacts) -> RemoteAudienceFacts | None:
    held = inputs.line_held.get(audience.key)
    known = remote.by_id(held) if held is not None else None
    request_id = request_id_of(audience, inputs)
    if known is not None or request_id is None:
        return known
    return find_retargeting(remote, audience.kind, request_id, audience.url)


def audience_count(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for account, remote in sorted(inputs.facts.remotes.items()):
        new = sum(
            key not in inputs.held and key not in inputs.line_held
            for key in aim.needed_by
            if _account_of(inputs, key) == account
        )
        if len(remote.audiences) + new > AUDIENCES_PER_CHANNEL_MAX:
            yield error(
                "AUD0718", None, account=account, count=len(remote.audiences), new=new, limit=AUDIENCES_PER_CHANNEL_MAX
            )


def _account_of(inputs: PlanInputs, key: str) -> str:
    owners = {upload.key: upload.account for upload in inputs.program.uploads}
    owners |= {audience.key: audience.account for audience in inputs.program.audiences}
    return owners.get(key, "")


def unbounded_send(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Without any bound there is no fuse: LINE did not tell the number of friends."""
    for one in _active(aim):
        remote = inputs.facts.remotes.get(one.delivery.account)
        facts = inputs.facts.deliveries.get(one.delivery.name)
        narrowcasts = [send for send in one.compiled.sends if isinstance(send, Narrowcast)]
        bounds = {part.part: part.bound for part in facts.parts} if facts else {}
        open_parts = [send for send in narrowcasts if bounds.get(send.part) is None]
        written = one.delivery.limit is not None or (one.delivery.expect and one.delivery.expect[1] is not None)
        if remote and remote.followers is None and open_parts and not written:
            yield error("AUD0717", one.delivery.to_span, delivery=one.delivery.name)


GUARDS = (
    needs_a_person,
    edited_after_sending,
    already_past,
    no_time_left,
    lost_state,
    leaves_no_mark,
    other_state,
    outside_expected_size,
    reaches_nobody,
    shrunk_exclusion,
    late_data,
    quota,
    target_reach,
    audiences_found_by_name,
    retargeting_age,
    small_clicks_and_opens,
    audience_count,
    unbounded_send,
    small_parts,
    small_guards,
    *FEASIBILITY,
    *POLICIES,
    *HISTORY,
    *FLOW_GUARDS,
    untested,
    coupons,
)
