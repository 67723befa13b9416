"""What was sent to testers: the digest of messages as they are sent, and the guard of `require tested`. Pure.

Rules: `guard.tested` of specs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audsql.diag import Diagnostic, error
from audsql.meaning.ir import Delivery, Flow, Message, Project, RequireTested
from audsql.plan.coupons import coupon_guards
from audsql.plan.document import digest_of
from audsql.plan.plan import Desired, PlanInputs
from audsql.plan.said import sends_of

__all__ = ["coupons", "tested_digest", "untested"]

_CHECKED = ("send", "schedule", "update", "keep")


def tested_digest(names: Sequence[str], project: Project, messages: Mapping[str, Sequence[Any]]) -> str:
    """The digest of what these messages say: the objects that LINE gets, of personal ones the templates and what they
    are filled in with."""
    declared = {one.name: one for one in project.messages}
    return digest_of([_said(declared[name], messages.get(name, ())) for name in names if name in declared])


def coupons(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """What stands against the coupons of this plan (`plan.coupons`)."""
    if inputs.only is not None or not (inputs.project.coupons or inputs.coupons.rows):
        return
    active: list[Delivery | Flow] = [one.delivery for one in aim.wanted if one.active or one.comes_again]
    yield from coupon_guards(inputs.project, inputs.coupons, [*active, *inputs.project.flows], inputs.facts.now)


def _said(message: Message, objects: Sequence[Any]) -> dict[str, Any]:
    fields = [
        {"name": one.name, "type": one.type, "pool": one.pool,
         "fallback": None if one.fallback is None else str(one.fallback)}
        for one in message.fields
    ]  # fmt: skip
    personal = {"template": message.template, "table": message.table, "fields": fields} if message.personal else {}
    return {"objects": list(objects), **personal}


def untested(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Deliveries and flows that a policy wants tested, and whose words no tester was sent."""
    rules = [rule for rule in inputs.project.requirements if isinstance(rule, RequireTested)]
    if not rules:
        return
    owners: list[Delivery | Flow] = [one.delivery for one in aim.wanted if one.verdict.action in _CHECKED]
    if inputs.only is None:
        owners += inputs.project.flows
    for owner in owners:
        rule = next((rule for rule in rules if owner.name not in rule.exceptions), None)
        if rule is None:
            continue
        digests = (tested_digest(names, inputs.project, inputs.messages) for _, names in sends_of(owner))
        if any(digest not in inputs.tested for digest in digests):
            kind = "delivery" if isinstance(owner, Delivery) else "flow"
            command = f"audsql send-test {owner.name} --to LIST"
            yield error("AUD0830", owner.span, kind=kind, name=owner.name, policy=rule.name, command=command)
