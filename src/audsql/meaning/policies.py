"""Policies: what is taken away from every delivery, and what must hold of every one.

Normative: specs/language/05-statements.md, `policies.*`.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from decimal import Decimal

from audsql.diag import Bag, Diagnostic, Edit, Fix, Label, error, warning
from audsql.meaning import algebra, ir
from audsql.meaning.calls import Scope
from audsql.meaning.expressions import Lowered, as_user_ids, lower
from audsql.meaning.lint import check_expression
from audsql.meaning.names import fix_near, nearest, unknown_parameter
from audsql.meaning.schedule import clock, quiet_hit
from audsql.meaning.types import Use, check_belongs, localise
from audsql.meaning.words import verbs_of_tables
from audsql.records import dataclass
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = [
    "Policies", "Require", "Rule", "check_quiet", "check_required", "check_uses", "lower_policies", "narrowed",
    "refuse_lookalikes",
]  # fmt: skip

_QUIET_EXAMPLE = "quiet 21:00..09:00"
_MEASURE_EXAMPLES = {
    "reach": "require reach >= 50", "change": "require change <= 20%", "freshness": "require freshness",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One `always except` with what it means; unknown where it has errors."""

    policy: str
    written: ast.ExcludeRule
    lowered: Lowered

    @property
    def exceptions(self) -> tuple[str, ...]:
        return _exceptions(self.written)


@dataclass(frozen=True, slots=True)
class Require:
    """One `require EXPR` that is free of errors, with the uses of names in it."""

    rule: ir.RequireWithin
    written: ast.Expression
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Policies:
    """Every rule of every policy. `requirements` holds those of `required` too; rules with errors are left out."""

    excludes: tuple[Rule, ...] = ()
    required: tuple[Require, ...] = ()
    requirements: tuple[ir.Requirement, ...] = ()

    @property
    def quiet(self) -> tuple[ir.Quiet, ...]:
        return tuple(rule for rule in self.requirements if isinstance(rule, ir.Quiet))


# --- what policies and deliveries share -------------------------------------------------------------


def refuse_lookalikes(lowered: Lowered, what: str, name: str, bag: Bag) -> bool:
    """Whether there is no look-alike in it; if there is, it is told where: LINE Ads alone can send to those."""
    for node, expression in lowered.parts:
        if isinstance(node, (ast.Reference, ast.Call)) and any(
            isinstance(atom, ir.Lookalike) for atom in ir.atoms_of(expression)
        ):
            bag.add(error("AUD0367", node.span, what=what, name=name))
            return False
    return True


def check_uses(uses: Sequence[Use], account: ir.Account | None, scope: Scope, bag: Bag) -> None:
    """What belongs to another account, provider or region than the one that uses it."""
    if account is None:
        return
    if scope.account:
        # With one account each audience has been checked where it is defined.
        uses = [use for use in uses if not use.by_name]
    # Not one new dictionary for each statement: projects have thousands of both.
    sources: Mapping[str, ir.UploadSource | ir.TableSource] = ChainMap({}, scope.tables, scope.uploads)  # type: ignore[arg-type]
    bag.extend(check_belongs(uses, account, scope.deliveries, sources))


# --- rules ------------------------------------------------------------------------------------------


def lower_policies(policies: Sequence[ast.Policy], scope: Scope, bag: Bag) -> Policies:
    """Every rule, checked: sets are never empty and never everybody, exceptions are deliveries or flows."""
    excludes: list[Rule] = []
    required: list[Require] = []
    requirements: list[ir.Requirement] = []
    for policy in policies:
        name = policy.name.text
        _repeated_measures(policy, bag)
        for written in policy.rules:
            _check_exceptions(written, scope, bag)
            match written:
                case ast.ExcludeRule():
                    excludes.append(Rule(name, written, _lower_set(written.expression, name, scope, bag)))
                case ast.RequireRule():
                    required.extend(_lower_require(written, name, scope, bag))
                case ast.TestedRule():
                    requirements.extend(_tested(written, name, scope, bag))
                case _:
                    requirements.extend(_lower_plain(written, name, bag))
    together = (*(one.rule for one in required), *requirements)
    return Policies(tuple(excludes), tuple(required), tuple(sorted(together, key=_order)))


def _order(rule: ir.Requirement) -> tuple[str, str, int]:
    return rule.name, rule.span.path if rule.span else "", rule.span.start if rule.span else 0


def _exceptions(rule: ast.PolicyRule) -> tuple[str, ...]:
    return tuple(sorted({name.text for name in rule.exceptions}))


def _lower_set(written: ast.Expression, policy: str, scope: Scope, bag: Bag) -> Lowered:
    lowered = as_user_ids(lower(written, scope, bag), written.span, "policy", policy, scope, bag)
    check_expression(written, lowered, "policy", policy, False, bag)
    refuse_lookalikes(lowered, "policy", policy, bag)
    if scope.account:
        check_uses(lowered.uses, scope.accounts.get(scope.account), scope, bag)
    return lowered


def _lower_require(written: ast.RequireRule, policy: str, scope: Scope, bag: Bag) -> Sequence[Require]:
    told = len(bag.items)
    lowered = _lower_set(written.expression, policy, scope, bag)
    broken = any(item.severity == "error" for item in bag.items[told:])
    if lowered.expression is None or broken:
        return ()
    text, span = expression_text(written.expression), written.expression.span
    rule = ir.RequireWithin(policy, lowered.expression, text, _exceptions(written), span)
    return (Require(rule, written.expression, lowered.uses),)


def _tested(written: ast.TestedRule, policy: str, scope: Scope, bag: Bag) -> Sequence[ir.RequireTested]:
    """`require tested`: where a set has that name, which of the two is meant has to be written."""
    symbol = scope.symbols.get("tested")
    if symbol is None:
        return (ir.RequireTested(policy, _exceptions(written), written.span),)
    bag.add(error("AUD0391", written.span, labels=[Label(symbol.span, "declared")], policy=policy))
    return ()


def _lower_plain(
    written: ast.MeasureRule | ast.QuietRule | ast.CapRule, policy: str, bag: Bag
) -> Sequence[ir.Requirement]:
    found: ir.Requirement | None
    match written:
        case ast.MeasureRule():
            found = _measure(written, policy, bag)
        case ast.QuietRule():
            found = _quiet(written, policy, bag)
        case ast.CapRule():
            found = _cap(written, policy, bag)
    return () if found is None else (found,)


def _measure(rule: ast.MeasureRule, policy: str, bag: Bag) -> ir.RequireMeasure | None:
    """`reach` compares with people, `change` is at most a percentage, `freshness` stands alone."""
    exceptions = _exceptions(rule)
    match rule:
        case ast.MeasureRule(value=ast.Word() as word):
            bag.add(unknown_parameter(word))
            return None
        case ast.MeasureRule("freshness", None, None):
            return ir.RequireMeasure(policy, rule.measure, None, None, exceptions, rule.span)
        case ast.MeasureRule("reach", (">=" | ">" | "<=" | "<") as operator, ast.Number(value=people)) if (
            people >= 0 and people == int(people)
        ):
            return ir.RequireMeasure(policy, rule.measure, operator, Decimal(int(people)), exceptions, rule.span)
        case ast.MeasureRule("change", ("<=" | "<") as operator, ast.Percent(value=percent)) if percent >= 0:
            return ir.RequireMeasure(policy, rule.measure, operator, percent, exceptions, rule.span)
        case _:
            bag.add(error("AUD0371", rule.span, measure=rule.measure, example=_MEASURE_EXAMPLES[rule.measure]))
            return None


def _quiet(rule: ast.QuietRule, policy: str, bag: Bag) -> ir.Quiet | None:
    hours = rule.hours
    if isinstance(hours, ast.Word):
        bag.add(unknown_parameter(hours))
        return None
    low, high = hours.low, hours.high
    if not isinstance(low, ast.TimeOfDay) or not isinstance(high, ast.TimeOfDay):
        bag.add(error("AUD0303", hours.span, entry="quiet", example=_QUIET_EXAMPLE))
        return None
    start, end = low.hour * 60 + low.minute, high.hour * 60 + high.minute
    if start == end:
        bag.add(error("AUD0372", hours.span, time=clock(start)))
        return None
    return ir.Quiet(policy, start, end, _exceptions(rule), rule.span, rule.over)


def _cap(rule: ast.CapRule, policy: str, bag: Bag) -> ir.Cap | None:
    count, duration = rule.count, rule.duration
    unknown = [value for value in (count, duration) if isinstance(value, ast.Word)]
    bag.extend(unknown_parameter(word) for word in unknown)
    if isinstance(count, ast.Word) or isinstance(duration, ast.Word):
        return None
    days = {"day": duration.amount, "week": duration.amount * 7}.get(duration.unit, 0)
    if count < 1:
        bag.add(error("AUD0308", rule.span, what="cap", minimum=1))
    if days < 1:
        bag.add(error("AUD0374", duration.span))
    if count < 1 or days < 1:
        return None
    return ir.Cap(policy, count, days, _exceptions(rule), rule.span, rule.over)


def _repeated_measures(policy: ast.Policy, bag: Bag) -> None:
    """Two rules of one policy that bound the same measure from the same side: one of them says nothing."""
    first: dict[tuple[str, str, tuple[str, ...]], ast.MeasureRule] = {}
    for rule in policy.rules:
        if isinstance(rule, ast.MeasureRule):
            known = first.setdefault((rule.measure, (rule.operator or "")[:1], _exceptions(rule)), rule)
            if known is not rule:
                labels = [Label(known.span, "first")]
                bag.add(warning("AUD0375", rule.span, labels=labels, policy=policy.name.text, measure=rule.measure))


def _check_exceptions(rule: ast.PolicyRule, scope: Scope, bag: Bag) -> None:
    for name in rule.exceptions:
        symbol = scope.symbols.get(name.text)
        if symbol is None and scope.symbols.may_be_unread("delivery", "flow"):
            continue
        if symbol is None:
            near = nearest(name.text, scope.symbols.of_kind("delivery", "flow"))
            fixes = fix_near(name.span, near)
            bag.add(error("AUD0207", name.span, fixes=fixes, name=name.text, wanted="delivery", near=near))
        elif symbol.kind not in ("delivery", "flow") and not symbol.broken:
            labels = [Label(symbol.span, "declared")]
            bag.add(error("AUD0204", name.span, labels=labels, name=name.text, kind=symbol.kind, wanted="delivery"))


# --- what must hold of a delivery -------------------------------------------------------------------


def check_required(
    delivery: ir.Delivery, written: ast.Expression, required: Sequence[Require], scope: Scope, bag: Bag
) -> None:
    """Every `require EXPR` is proved of whom the delivery reaches, or a person who shows the contrary is told.

    A proof that cannot be made is an error: nothing is taken on trust.
    """
    for one in required:
        if delivery.name in one.rule.exceptions:
            continue
        if not scope.account:
            check_uses(one.uses, scope.accounts.get(delivery.account), scope, bag)
        problem = _unproved(delivery, written, one, scope)
        if problem is not None:
            bag.add(problem)


def _unproved(delivery: ir.Delivery, written: ast.Expression, one: Require, scope: Scope) -> Diagnostic | None:
    labels = [Label(one.written.span, "rule")]
    required = localise(one.rule.expression, delivery.account)
    reach, friends = delivery.reach, ir.leaf(ir.Friends(delivery.account))
    if friends.atom in ir.atoms_of(required):
        # LINE delivers to friends alone, whatever the set says.
        reach = ir.land(reach, friends)
    if _operands(required) <= _operands(reach):
        return None
    try:
        person = algebra.witness(ir.land(reach, ir.lnot(required)))
    except algebra.Undecided as undecided:
        name, policy = delivery.name, one.rule.name
        return error("AUD0370", written.span, labels=labels, delivery=name, policy=policy, atoms=undecided.atoms)
    if person is None:
        return None
    verbs = verbs_of_tables(scope.tables.values())
    atoms = {atom.key: atom for side in (reach, required) for atom in ir.atoms_of(side)}
    missing = [atom for atom in ir.atoms_of(required) if atom.key not in person]
    return error(
        "AUD0369",
        written.span,
        labels=labels,
        fixes=[Fix((Edit(written.span, narrowed(written, one.written)),), False, "and")],
        delivery=delivery.name,
        policy=one.rule.name,
        required=one.rule.text,
        inside=tuple(algebra.atom_words(atoms[key], verbs) for key in sorted(person)),
        outside=tuple(algebra.atom_words(atom, verbs) for atom in missing),
    )


def _operands(expression: ir.Expression) -> frozenset[str]:
    """The keys of what is joined by AND; every set is within each of its own."""
    return frozenset(part.key for part in (expression.operands if isinstance(expression, ir.And) else (expression,)))


def narrowed(written: ast.Expression, required: ast.Expression) -> str:
    """The text of `written AND required`, with the parentheses that the language asks for."""
    first = required if isinstance(required, (ast.Reference, ast.Call, ast.Paren, ast.Not)) else ast.Paren(required)
    if isinstance(written, ast.Chain) and "OR" not in written.operators:
        return expression_text(ast.Chain((first, *written.operands), ("AND", *written.operators)))
    second = ast.Paren(written) if isinstance(written, ast.Chain) else written
    return expression_text(ast.Chain((second, first), ("AND",)))


def moved_time(delivery: ir.Delivery, rules: Sequence[ir.Quiet], zone: tzinfo) -> datetime | None:
    """When a delivery with a time goes out: as written, or when the quiet hours that move it are over."""
    if delivery.at is None:
        return None
    applied = [rule for rule in rules if delivery.name not in rule.exceptions]
    wall = delivery.at.astimezone(zone).replace(tzinfo=None)
    hit = quiet_hit(wall, applied)
    if hit is None or hit.allowed is None or quiet_hit(wall, [rule for rule in applied if rule.over != "move"]):
        return delivery.at
    return hit.allowed.replace(tzinfo=zone)


def check_quiet(delivery: ir.Delivery, block: ast.Block, rules: Sequence[ir.Quiet], zone: tzinfo, bag: Bag) -> None:
    """A delivery whose time, once or every time, falls into quiet hours; the next time that is allowed is told.

    A rule that says `move` has the delivery wait until then, if there is such a time.
    """
    applied = [rule for rule in rules if delivery.name not in rule.exceptions]
    entry = next((entry for entry in block.entries if entry.key.text in ("at", "every")), None)
    if delivery.at is not None:
        wall = delivery.at.astimezone(zone).replace(tzinfo=None)
    elif delivery.every is not None:
        # Only the time of day matters.
        wall = datetime(2000, 1, 1, delivery.every.hour, delivery.every.minute)  # noqa: DTZ001
    else:
        return
    hit = quiet_hit(wall, applied)
    if hit is None or entry is None:
        return
    refusing = quiet_hit(wall, [rule for rule in applied if rule.over != "move"])
    if refusing is None and hit.allowed is not None:
        return
    hit = replace(refusing or hit, allowed=hit.allowed)
    shape = "%Y-%m-%d %H:%M" if delivery.at is not None else "%H:%M"
    bag.add(
        error(
            "AUD0373",
            entry.span,
            labels=[Label(hit.rule.span, "rule")] if hit.rule.span else [],
            delivery=delivery.name,
            policy=hit.rule.name,
            time=wall.strftime("%H:%M"),
            quiet=f"{clock(hit.rule.start_minutes)}..{clock(hit.rule.end_minutes)}",
            allowed=hit.allowed.strftime(shape) if hit.allowed else None,
        )
    )
