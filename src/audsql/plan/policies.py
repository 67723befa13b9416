"""What policies ask of the deliveries that are about to be sent: sizes, fresh data, quiet hours, caps. Pure.

Also what this version checks and does not send. Each is a guard as `audsql.plan.guard` describes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from zoneinfo import ZoneInfo

from audsql.diag import Diagnostic, error, warning
from audsql.meaning.ir import Cap, Delivery, Project, RequireMeasure
from audsql.meaning.lineage import sources_in
from audsql.plan.facts import Size
from audsql.plan.personal import personal_problems
from audsql.plan.plan import Desired, PlanInputs, Wanted
from audsql.plan.quiet import is_quiet, next_allowed, quiets_of, starts_at
from audsql.plan.repeated import starts_of

__all__ = ["POLICIES", "change_bound", "holds", "quiet_problem"]


def _measured(inputs: PlanInputs, aim: Desired, measure: str) -> Iterator[tuple[RequireMeasure, Wanted]]:
    """The policies of a measure with each delivery that they judge; one that has begun is not refused any more."""
    for rule in inputs.project.requirements:
        if not isinstance(rule, RequireMeasure) or rule.measure != measure:
            continue
        for one in aim.wanted:
            if one.active and one.verdict.action != "resume" and one.delivery.name not in rule.exceptions:
                yield rule, one


# --- sizes ------------------------------------------------------------------------------------------


def holds(operator: str, low: Decimal, high: Decimal | None, value: Decimal) -> bool | None:
    """Whether a number that is known as bounds compares so with `value`; None: that cannot be known."""
    above, below = low > value, high is not None and high < value
    same, apart = low == high == value, above or below
    match operator:
        case ">=":
            yes, no = low >= value, below
        case ">":
            yes, no = above, high is not None and high <= value
        case "<=":
            yes, no = high is not None and high <= value, above
        case "<":
            yes, no = below, low >= value
        case "=":
            yes, no = same, apart
        case _:
            yes, no = apart, same
    return True if yes else (False if no else None)


def required_reach(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for rule, one in _measured(inputs, aim, "reach"):
        facts = inputs.facts.deliveries.get(one.delivery.name)
        if facts is None or rule.operator is None or rule.value is None:
            continue
        low, high = facts.size.low, facts.size.high
        verdict = holds(rule.operator, Decimal(low), None if high is None else Decimal(high), rule.value)
        if verdict is False:
            yield error(
                "AUD0720", one.delivery.to_span, policy=rule.name, delivery=one.delivery.name,
                operator=rule.operator, value=_plain(rule.value), low=low, high=high,
            )  # fmt: skip
        elif verdict is None:
            yield warning(
                "AUD0721", one.delivery.to_span, policy=rule.name, delivery=one.delivery.name,
                operator=rule.operator, value=_plain(rule.value), low=low, high=high,
            )  # fmt: skip


def required_change(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Against the sizes of the last apply: of the delivery, and of each upload that it is sent to."""
    for rule, one in _measured(inputs, aim, "change"):
        if rule.operator is None or rule.value is None:
            continue
        sizes = list(_sizes(inputs, one))
        for label, before, after in sizes:
            change = change_bound(before, after)
            if holds(rule.operator, change, change, rule.value) is False:
                yield error(
                    "AUD0722", one.delivery.to_span, policy=rule.name, delivery=one.delivery.name, label=label or None,
                    before=_bound(before), after=_bound(after), operator=rule.operator, value=_plain(rule.value),
                )  # fmt: skip
                break
        else:
            if any(not size.exact for label, before, after in sizes if not label for size in (before, after)):
                yield warning("AUD0723", one.delivery.to_span, policy=rule.name, delivery=one.delivery.name)


def _sizes(inputs: PlanInputs, one: Wanted) -> Iterator[tuple[str, Size, Size]]:
    """Label ('' for the delivery itself), the size of the last apply, the size now; a first one is left out."""
    facts = inputs.facts.deliveries.get(one.delivery.name)
    if facts is not None and facts.previous is not None:
        yield "", facts.previous, facts.size
    for key in one.compiled.uploads:
        held, now = inputs.held.get(key), inputs.facts.uploads.get(key)
        if held is not None and now is not None:
            yield inputs.program.upload(key).label, Size(held.size, held.size), Size(now.size, now.size)


def _bound(size: Size) -> int:
    return size.low if size.high is None else size.high


def change_bound(before: Size, after: Size) -> Decimal:
    """The change in percent of the upper bounds, of the lower ones where there are none above; beyond any number
    where there was nobody."""
    if before.high is not None and after.high is None:
        return Decimal("Infinity")
    old, new = (before.low, after.low) if before.high is None else (before.high, _bound(after))
    if old == new:
        return Decimal(0)
    return Decimal(abs(new - old) * 100) / old if old else Decimal("Infinity")


def _plain(value: Decimal) -> str:
    return format(value, "f")


# --- data -------------------------------------------------------------------------------------------


def required_freshness(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Late data are another guard's; here: nothing says how old a source may be, or nothing knows how old it is."""
    found = {source.name: source for source in inputs.facts.sources}
    for rule, one in _measured(inputs, aim, "freshness"):
        for name in sources_in(one.delivery.reach):
            if name not in found or not found[name].dated:
                kind = "upload" if any(upload.name == name for upload in inputs.project.uploads) else "table"
                yield error(
                    "AUD0724", one.delivery.to_span, policy=rule.name, delivery=one.delivery.name, name=name, kind=kind
                )


# --- hours ------------------------------------------------------------------------------------------


def quiet_problem(project: Project, delivery: Delivery, start: datetime) -> Diagnostic | None:
    """Why a send of a delivery may not start at `start`; None where it may."""
    quiets, zone = quiets_of(project, delivery.name), project.timezone
    if starts_at(start, quiets, zone) is not None:
        return None
    allowed = next_allowed(start, quiets, zone)
    at = start.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")
    after = allowed.isoformat(timespec="minutes") if allowed else None
    policy = next(one.name for one in quiets if is_quiet(start, (one,), zone))
    return error("AUD0725", delivery.span, policy=policy, delivery=delivery.name, at=at, allowed=after)


def quiet_hours(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for one in aim.wanted:
        if one.active and one.verdict.action != "resume":
            starts = starts_of(one.delivery, inputs.project, inputs.facts.now)
            problems = (quiet_problem(inputs.project, one.delivery, start) for start in starts)
            yield from islice((problem for problem in problems if problem is not None), 1)


# --- caps -------------------------------------------------------------------------------------------


def caps(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Whom caps leave out, counted person by person; where nobody can count, only what can never bind is sent."""
    reached = _messages_ever(inputs)
    for one in aim.wanted:
        if not one.active or one.verdict.action == "resume" or one.delivery.every is not None:
            continue
        name, span = one.delivery.name, one.delivery.span
        facts = inputs.caps.get(name)
        for rule in () if facts is not None else inputs.project.requirements:
            if not isinstance(rule, Cap) or name in rule.exceptions or (reached is not None and reached <= rule.count):
                continue
            yield error("AUD0726", span, policy=rule.name, delivery=name, count=rule.count, days=rule.days, earlier=())
        for policy, count, days, earlier in facts.unsure if facts is not None else ():
            yield error("AUD0726", span, policy=policy, delivery=name, count=count, days=days, earlier=earlier)
        for policy, count, days, people in facts.left_out if facts is not None else ():
            yield warning("AUD0873", span, policy=policy, delivery=name, count=count, days=days, people=people)


def _messages_ever(inputs: PlanInputs) -> int | None:
    """The most deliveries that one person can have got, or get; None where nothing bounds them."""
    if inputs.project.flows or any(one.every is not None for one in inputs.project.deliveries):
        return None
    begun = {name: sum(known.begun or known.state == "closed" for known in all_known)
             for name, all_known in inputs.occurrences.items()}  # fmt: skip
    names = {one.name for one in inputs.project.deliveries}
    return sum(max(1, begun.get(name, 0)) for name in names) + sum(
        count for name, count in begun.items() if name not in names
    )


# --- what this version does not send ----------------------------------------------------------------


def not_sent_yet(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    messages = {one.name: one for one in inputs.project.messages}
    for one in aim.wanted:
        if not one.active or one.verdict.action == "resume":
            continue
        for name in one.delivery.messages:
            message = messages.get(name)
            kind = "template" if message and message.template is not None else "coupon"
            if not inputs.messages.get(name):
                yield error("AUD0728", one.delivery.span, delivery=one.delivery.name, message=name, kind=kind)


def personal(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """What personal messages lack (`plan.personal`)."""
    del aim
    yield from personal_problems(inputs.project, inputs.personal)


POLICIES = (required_reach, required_change, required_freshness, quiet_hours, caps, not_sent_yet, personal)
