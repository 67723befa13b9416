"""Whom deliveries reach: `to` less every policy, and what must hold of it before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from audsql.diag import Bag, Label, error, warning
from audsql.meaning import algebra, ir
from audsql.meaning.calls import Scope
from audsql.meaning.expressions import Lowered, is_literally_friends, lower
from audsql.meaning.lint import check_expression
from audsql.meaning.names import fix_near, nearest
from audsql.meaning.types import Use, check_belongs, localise, opaque_atoms
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["Rule", "check_uses", "lower_rules", "lower_to", "user_ids_only", "verbs_in"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One `always except` with what it means; unknown where it has errors."""

    policy: str
    written: ast.ExcludeRule
    lowered: Lowered

    @property
    def exceptions(self) -> tuple[str, ...]:
        return tuple(sorted({name.text for name in self.written.exceptions}))


def verbs_in(scope: Scope) -> algebra.Verbs:
    """The verbs of each table, for the words of expressions."""
    return {name: table.verbs for name, table in scope.tables.items() if table.verbs}


def user_ids_only(lowered: Lowered, span: Span, what: str, name: str, bag: Bag) -> bool:
    """Whether the set is of LINE user IDs, as whatever is sent must be; if not, it is told."""
    kind = lowered.meaning.kind
    if kind in (None, "user_id"):
        return True
    bag.add(error("AUD0342", span, what=what, name=name, kind=kind))
    return False


def check_uses(uses: Sequence[Use], account: ir.Account | None, scope: Scope, bag: Bag) -> None:
    """What belongs to another account, provider or region than the one that uses it."""
    if account is None:
        return
    if scope.account:
        # With one account each audience has been checked where it is defined.
        uses = [use for use in uses if not use.by_name]
    bag.extend(check_belongs(uses, account, scope.deliveries, {**scope.uploads, **scope.tables}))


# --- policies ---------------------------------------------------------------------------------------


def lower_rules(policies: Sequence[ast.Policy], scope: Scope, bag: Bag) -> tuple[Rule, ...]:
    """Every `always except`, checked: never empty, never everybody, exceptions are deliveries."""
    rules: list[Rule] = []
    for policy in policies:
        for written in policy.rules:
            if not isinstance(written, ast.ExcludeRule):
                continue
            name = policy.name.text
            lowered = lower(written.expression, scope, bag)
            check_expression(written.expression, lowered, "policy", name, False, bag)
            user_ids_only(lowered, written.expression.span, "policy", name, bag)
            if scope.account:
                check_uses(lowered.uses, scope.accounts.get(scope.account), scope, bag)
            _check_exceptions(written, scope, bag)
            rules.append(Rule(name, written, lowered))
    return tuple(rules)


def _check_exceptions(rule: ast.ExcludeRule, scope: Scope, bag: Bag) -> None:
    for name in rule.exceptions:
        symbol = scope.symbols.get(name.text)
        if symbol is None and scope.symbols.may_be_unread("delivery"):
            continue
        if symbol is None:
            near = nearest(name.text, scope.symbols.of_kind("delivery"))
            fixes = fix_near(name.span, near)
            bag.add(error("AUD0207", name.span, fixes=fixes, name=name.text, wanted="delivery", near=near))
        elif symbol.kind != "delivery" and not symbol.broken:
            labels = [Label(symbol.span, "declared")]
            bag.add(error("AUD0204", name.span, labels=labels, name=name.text, kind=symbol.kind, wanted="delivery"))


# --- deliveries -------------------------------------------------------------------------------------


def lower_to(
    block: ast.Block, head: ir.Delivery | None, rules: Sequence[Rule], scope: Scope, bag: Bag
) -> ir.Delivery | None:
    """The delivery with its sets; None where it or what it needs has errors. One that was sent elsewhere
    has no sets."""
    entry = next((entry for entry in block.entries if entry.key.text == "to"), None)
    if head is not None and head.sent_request_id is not None:
        return head
    if entry is None or not isinstance(entry.value, (ast.Reference, ast.Call, ast.Not, ast.Paren, ast.Chain)):
        return None
    name, written = block.name.text, entry.value
    allow_empty = entry.allow_empty if head is None else head.allow_empty
    lowered = lower(written, scope, bag)
    sound = check_expression(written, lowered, "delivery", name, allow_empty, bag)
    sound = user_ids_only(lowered, written.span, "delivery", name, bag) and sound
    if head is None or lowered.expression is None or not sound:
        return None
    applied = [rule for rule in rules if name not in rule.exceptions]
    account = scope.accounts.get(head.account)
    told = len(bag.items)
    check_uses(lowered.uses, account, scope, bag)
    if not scope.account:
        check_uses([use for rule in applied for use in rule.lowered.uses], account, scope, bag)
    excluded = [rule.lowered.expression for rule in applied if rule.lowered.expression is not None]
    if len(excluded) < len(applied):
        return None
    reach = ir.land(lowered.expression, *(ir.lnot(expression) for expression in excluded))
    delivery = replace(
        head,
        to=localise(lowered.expression, head.account),
        reach=localise(reach, head.account),
        to_text=expression_text(written),
        is_friends=is_literally_friends(written),
        policies=tuple(sorted({rule.policy for rule in applied})),
        to_span=written.span,
    )
    _check_reach(delivery, written, applied, scope, bag)
    return None if any(item.severity == "error" for item in bag.items[told:]) else delivery


def _check_reach(delivery: ir.Delivery, written: ast.Expression, rules: Sequence[Rule], scope: Scope, bag: Bag) -> None:
    name, labels = delivery.name, [Label(rule.written.expression.span, "policy") for rule in rules]
    if not algebra.anchored(delivery.reach):
        bag.add(error("AUD0352", written.span, delivery=name))
        return
    try:
        if not delivery.allow_empty and algebra.is_empty(delivery.reach):
            bag.add(error("AUD0353", written.span, labels=labels, delivery=name, policies=delivery.policies))
            return
    except algebra.Undecided as undecided:
        bag.add(warning("AUD0505", written.span, atoms=undecided.atoms))
    if delivery.by == "broadcast" and not delivery.is_friends:
        bag.add(error("AUD0354", written.span, delivery=name))
    elif delivery.by == "broadcast" and delivery.reach != ir.leaf(ir.Friends(delivery.account)):
        bag.add(error("AUD0356", written.span, labels=labels, delivery=name, policies=delivery.policies))
    if delivery.by in ("multicast", "push"):
        opaque = opaque_atoms(delivery.reach)
        if opaque or all(isinstance(atom, ir.Friends) for atom in ir.atoms_of(delivery.reach)):
            listed = opaque or ir.atoms_of(delivery.reach)
            words = algebra.atom_words(listed[0], verbs_in(scope)) if listed else "friends"
            bag.add(error("AUD0355", written.span, delivery=name, by=delivery.by, atom=words))
