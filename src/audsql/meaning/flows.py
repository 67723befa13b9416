"""Flows: who enters, what happens step by step, who leaves; as values that are checked and not yet run.

Normative: specs/language/10-flows.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from audsql.diag import Bag, Label, error
from audsql.line.limits import MESSAGES_PER_SEND_MAX
from audsql.meaning import algebra, ir
from audsql.meaning.calls import Scope
from audsql.meaning.expressions import as_user_ids, lower
from audsql.meaning.flow import Branch, BranchArm, FlowStart, SendStep, Step, WaitFor, WaitUntil
from audsql.meaning.flow_ways import check_ways, steps_of
from audsql.meaning.lint import check_expression
from audsql.meaning.names import fix_near, nearest, unknown_parameter
from audsql.meaning.policies import Rule, check_uses, refuse_lookalikes
from audsql.meaning.types import Use, kind_problem, linkages, localise
from audsql.meaning.values import plain_text
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["BRANCH_ARMS_MAX", "FLOW_STEPS_MAX", "lower_flow"]

T = TypeVar("T")
FLOW_STEPS_MAX = 1_000
BRANCH_ARMS_MAX = 50
_MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60, "week": 7 * 24 * 60}


def lower_flow(node: ast.Flow, rules: Sequence[Rule], scope: Scope, bag: Bag) -> ir.Flow | None:
    """The flow; None where it or a policy that applies to it has errors."""
    told, name = len(bag.items), node.name.text
    account = _account(node, scope, bag)
    start = _start(node, account, scope, bag)
    leaving = _only(node, ast.ExitWhen, "exit", bag)
    inside = replace(scope, in_flow=True)
    gone = _condition(leaving.expression, name, account, inside, bag) if leaving else ir.NOBODY
    reentry = _reentry(_only(node, ast.Reentry, "reentry", bag), bag)
    written = _written_steps(node, bag)
    conditions = _conditions(written, name, account, inside, bag)
    steps = _steps(node, written, conditions, scope, bag)
    applied = [rule for rule in rules if name not in rule.exceptions]
    if not scope.account:
        uses = [use for rule in applied for use in rule.lowered.uses]
        check_uses(uses, scope.accounts.get(account or ""), scope, bag)
    excluded = [rule.lowered.expression for rule in applied if rule.lowered.expression is not None]
    if _has_errors(bag, told) or None in (account, start, gone) or len(excluded) < len(applied):
        return None
    assert account is not None and start is not None and gone is not None
    flow = ir.Flow(
        name=name,
        account=account,
        start=start,
        steps=steps,
        exit=gone,
        exclude=localise(ir.lor(*excluded), account),
        reentry_minutes=reentry,
        policies=tuple(sorted({rule.policy for rule in applied})),
        description=node.description,
        span=node.name.span,
    )
    check_ways(node, flow, [rule.written.expression.span for rule in applied], conditions, bag)
    return None if _has_errors(bag, told) else flow


def _has_errors(bag: Bag, told: int) -> bool:
    """Whether an error came behind those that had been told."""
    return any(item.severity == "error" for item in bag.items[told:])


def _only(node: ast.Flow, kind: type[T], entry: str, bag: Bag) -> T | None:
    """The item of that kind; each further one is told."""
    found = [item for item in node.items if isinstance(item, kind)]
    for other in found[1:]:
        _twice(found[0], other, entry, bag)
    return found[0] if found else None


def _twice(first: object, other: object, entry: str, bag: Bag) -> None:
    span, place = getattr(other, "span", None), getattr(first, "span", None)
    bag.add(error("AUD0302", span, labels=[Label(place, "first")] if place else [], entry=entry))


def _missing(node: ast.Flow, entry: str, example: str, bag: Bag) -> None:
    name = node.name
    bag.add(error("AUD0301", name.span, statement="flow", name=name.text, entry=entry, example=example))


def _unknown(span: Span, name: str, wanted: str, scope: Scope, bag: Bag) -> bool:
    """Whether the name is not declared as that kind; if so, it has been told where it is no other error."""
    symbol = scope.symbols.get(name)
    if symbol is None:
        if not scope.symbols.may_be_unread(wanted):
            near = nearest(name, scope.symbols.of_kind(wanted))
            bag.add(error("AUD0207", span, fixes=fix_near(span, near), name=name, wanted=wanted, near=near))
        return True
    if symbol.kind != wanted and not symbol.broken:
        labels = [Label(symbol.span, "declared")]
        bag.add(error("AUD0204", span, labels=labels, name=name, kind=symbol.kind, wanted=wanted))
    return symbol.kind != wanted


# --- who ----------------------------------------------------------------------------------------------


def _account(node: ast.Flow, scope: Scope, bag: Bag) -> str | None:
    """The account that delivers: the one written, else the project's only one; None where it has errors."""
    entry = _only(node, ast.Entry, "account", bag)
    declared = sorted(scope.symbols.accounts)
    if entry is None and len(declared) == 1:
        return declared[0] if declared[0] in scope.accounts else None
    if entry is None:
        name = node.name
        if declared:
            bag.add(error("AUD0262", name.span, flow=name.text, accounts=tuple(declared)))
        elif not scope.symbols.may_be_unread("account"):
            bag.add(error("AUD0263", name.span, flow=name.text))
        return None
    written = plain_text(entry.value)
    if written is None:
        bag.add(error("AUD0303", entry.span, entry="account", example="account: shop"))
        return None
    if written not in scope.symbols.accounts and not scope.symbols.may_be_unread("account"):
        near, span = nearest(written, declared), getattr(entry.value, "span", entry.span)
        bag.add(error("AUD0207", span, fixes=fix_near(span, near), name=written, wanted="account", near=near))
    return written if written in scope.accounts else None


def _start(node: ast.Flow, account: str | None, scope: Scope, bag: Bag) -> FlowStart | None:
    """The one way in. A set that people come into is anchored, as everything that is sent to."""
    ways = [item for item in node.items if isinstance(item, (ast.StartWhen, ast.StartOnFollow, ast.TriggerOn))]
    for other in ways[1:]:
        _twice(ways[0], other, "start", bag)
    if not ways:
        _missing(node, "start", "start when purchased(A)", bag)
        return None
    match ways[0]:
        case ast.StartWhen(expression=written):
            expression = _condition(written, node.name.text, account, scope, bag)
            if expression is not None and not algebra.anchored(expression):
                bag.add(error("AUD0261", written.span, flow=node.name.text))
            return None if expression is None else FlowStart("when", expression)
        case ast.StartOnFollow(path=ast.Word() as word):
            bag.add(unknown_parameter(word))
            return None
        case ast.StartOnFollow(path=path):
            if path is not None and not path.text.strip():
                bag.add(error("AUD0259", path.span))
                return None
            return FlowStart("follow", via=path.text if path else None)
        case ast.TriggerOn(table=table):
            return _trigger(table, account, scope, bag)


def _trigger(written: ast.Name, account: str | None, scope: Scope, bag: Bag) -> FlowStart | None:
    """Each new row of a table: it says when it happened and whose it is, by a user id or through the one linkage."""
    if _unknown(written.span, written.text, "table", scope, bag):
        return None
    table, owner = scope.tables.get(written.text), scope.accounts.get(account or "")
    if table is None:
        return None
    told, labels = len(bag.items), [Label(table.span, "declared")] if table.span else []
    if table.time_column is None:
        bag.add(error("AUD0258", written.span, labels=labels, table=table.name))
    kinds = tuple(kind for kind, _ in table.ids)
    if "user_id" not in kinds:
        found = linkages(kinds[0], "user_id", scope.tables.values(), owner)
        if not found and len(scope.symbols.of_kind("table")) == len(scope.tables):
            bag.add(error("AUD0257", written.span, labels=labels, table=table.name, kind=kinds[0]))
        elif len(found) > 1:
            bag.add(kind_problem("user_id", kinds[0], found, written.span, None))
    check_uses([Use(written.span, ir.leaf(ir.Rows(table.name)))], owner, scope, bag)
    return None if _has_errors(bag, told) else FlowStart("row", table=table.name)


def _condition(written: ast.Expression, flow: str, account: str | None, scope: Scope, bag: Bag) -> ir.Expression | None:
    """A set of a flow, for its account; None where it has errors."""
    lowered = as_user_ids(lower(written, scope, bag), written.span, "flow", flow, scope, bag)
    sound = check_expression(written, lowered, "flow", flow, False, bag)
    sound = refuse_lookalikes(lowered, "flow", flow, bag) and sound
    check_uses(lowered.uses, scope.accounts.get(account or ""), scope, bag)
    return localise(lowered.expression, account or "") if sound and lowered.expression is not None else None


def _reentry(item: ast.Reentry | None, bag: Bag) -> int | None:
    if item is None or item.when == "never":
        return None
    return 0 if item.when == "always" else _minutes(item.when, "reentry", bag)


def _minutes(duration: ast.Duration | ast.Word | str, what: str, bag: Bag) -> int:
    """A duration of a minute or more; 0 where it has errors."""
    if isinstance(duration, ast.Word):
        bag.add(unknown_parameter(duration))
    if not isinstance(duration, ast.Duration):
        return 0
    if duration.amount < 1:
        bag.add(error("AUD0308", duration.span, what=what, minimum=1))
    return duration.amount * _MINUTES[duration.unit]


# --- what ---------------------------------------------------------------------------------------------


_Conditions = Mapping[int, ir.Expression | None]
"""What each arm asks for, by the identity of its node: everybody for `otherwise`, None where it has errors."""


def _written_steps(node: ast.Flow, bag: Bag) -> tuple[ast.Step, ...]:
    """Every step, each before those inside it; no recursion. At least one sends. Nothing where they are too many."""
    order: list[ast.Step] = []
    waiting: list[ast.Step] = list(reversed(steps_of(node)))
    while waiting:
        step = waiting.pop()
        order.append(step)
        if isinstance(step, ast.Branch):
            waiting.extend(inner for arm in reversed(step.arms) for inner in reversed(arm.steps))
            if len(step.arms) > BRANCH_ARMS_MAX:
                bag.add(error("AUD0264", step.span, count=len(step.arms), limit=BRANCH_ARMS_MAX))
    if not any(isinstance(step, ast.SendStep) for step in order):
        _missing(node, "send", "send card", bag)
    if len(order) > FLOW_STEPS_MAX:
        place, limit = order[FLOW_STEPS_MAX].span, FLOW_STEPS_MAX
        bag.add(error("AUD0260", place, flow=node.name.text, count=len(order), limit=limit))
        return ()
    return tuple(order)


def _conditions(steps: Sequence[ast.Step], flow: str, account: str | None, scope: Scope, bag: Bag) -> _Conditions:
    found: dict[int, ir.Expression | None] = {}
    for step in steps:
        for arm in step.arms if isinstance(step, ast.Branch) else ():
            own = None if arm.condition is None else _condition(arm.condition, flow, account, scope, bag)
            found[id(arm)] = ir.EVERYBODY if arm.condition is None else own
    return found


def _steps(
    node: ast.Flow, written: Sequence[ast.Step], conditions: _Conditions, scope: Scope, bag: Bag
) -> tuple[Step, ...]:
    """The steps in order, those inside branches first."""
    done: dict[int, Step | None] = {}
    for step in reversed(written):
        done[id(step)] = _step(step, done, conditions, scope, bag)
    return _known(steps_of(node), done) if written else ()


def _known(steps: Sequence[ast.Step], done: Mapping[int, Step | None]) -> tuple[Step, ...]:
    return tuple(step for step in (done[id(written)] for written in steps) if step is not None)


def _step(
    step: ast.Step, done: Mapping[int, Step | None], conditions: _Conditions, scope: Scope, bag: Bag
) -> Step | None:
    """One step whose inner ones are `done`; None where it has errors."""
    match step:
        case ast.WaitFor(duration=duration):
            return WaitFor(_minutes(duration, "wait", bag))
        case ast.WaitUntil(time=ast.Word() as word):
            bag.add(unknown_parameter(word))
            return None
        case ast.WaitUntil(time=ast.TimeOfDay(hour=hour, minute=minute)):
            return WaitUntil(hour, minute)
        case ast.SendStep():
            return _send(step, scope, bag)
        case ast.Branch(arms=arms):
            return _branch(arms, done, conditions)
    return None


def _send(step: ast.SendStep, scope: Scope, bag: Bag) -> SendStep:
    count = len(step.messages)
    if not 1 <= count <= MESSAGES_PER_SEND_MAX:
        bag.add(error("AUD0311", step.span, count=count, maximum=MESSAGES_PER_SEND_MAX))
    names = [(message.span, plain_text(message) or "") for message in step.messages]
    return SendStep(tuple(name for span, name in names if not _unknown(span, name, "message", scope, bag)))


def _branch(arms: Sequence[ast.BranchArm], done: Mapping[int, Step | None], conditions: _Conditions) -> Branch:
    """Total and disjoint: each arm takes its condition less those before it, the last one everybody else."""
    before: list[ir.Expression] = []
    found: list[BranchArm] = []
    for arm in arms:
        own = conditions[id(arm)]
        if own is None:
            continue
        found.append(BranchArm(ir.land(own, *map(ir.lnot, before)), _known(arm.steps, done)))
        before.append(own)
    if all(arm.condition is not None for arm in arms):
        found.append(BranchArm(ir.land(*map(ir.lnot, before)), ()))
    return Branch(tuple(found))
