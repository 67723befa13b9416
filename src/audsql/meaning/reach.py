"""Whom deliveries reach: `to` less every policy and every delivery that goes first, and what must hold of it
before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from audsql.diag import Bag, Label, error, warning
from audsql.meaning import algebra, ir
from audsql.meaning.calls import Scope
from audsql.meaning.expressions import as_user_ids, is_literally_friends, lower
from audsql.meaning.lint import check_expression
from audsql.meaning.policies import (
    Policies,
    Rule,
    check_quiet,
    check_required,
    check_uses,
    refuse_lookalikes,
)
from audsql.meaning.priority import Standing, emptied_by, less_earlier
from audsql.meaning.splits import with_followers
from audsql.meaning.types import localise, opaque_atoms
from audsql.meaning.words import verbs_of_tables
from audsql.records import dataclass
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["Earlier", "lower_to"]


@dataclass(frozen=True, slots=True)
class Earlier:
    """The deliveries that have their sets already, and whom each would reach if none went first (`bases`)."""

    deliveries: dict[str, ir.Delivery] = field(default_factory=dict)
    bases: dict[str, ir.Expression] = field(default_factory=dict)


def lower_to(
    block: ast.Block,
    head: ir.Delivery | None,
    policies: Policies,
    standing: Standing,
    earlier: Earlier,
    scope: Scope,
    bag: Bag,
) -> ir.Delivery | None:
    """The delivery with its sets, noted in `earlier`; None where it or what it needs has errors. One that was
    sent elsewhere has no sets."""
    if head is not None and head.sent_request_id is not None:
        return head
    told = len(bag.items)
    found = _with_sets(block, head, policies.excludes, scope, bag)
    if found is None or any(name not in earlier.deliveries for name in standing.behind):
        return None
    delivery, written, applied = found
    base = delivery.reach
    reach = less_earlier(base, standing.behind, earlier.deliveries, earlier.bases)
    delivery = replace(delivery, reach=reach, behind=standing.behind)
    sound = _check_reach(delivery, base, written, applied, scope, bag)
    if sound and standing.behind:
        sound = _check_standing(delivery, written, standing, {**earlier.bases, delivery.name: base}, bag)
    if sound:
        check_required(delivery, written, policies.required, scope, bag)
    check_quiet(delivery, block, policies.quiet, scope.zone, bag)
    if any(item.severity == "error" for item in bag.items[told:]):
        return None
    earlier.deliveries[delivery.name], earlier.bases[delivery.name] = delivery, base
    return delivery


def _with_sets(
    block: ast.Block, head: ir.Delivery | None, rules: Sequence[Rule], scope: Scope, bag: Bag
) -> tuple[ir.Delivery, ast.Expression, Sequence[Rule]] | None:
    """The delivery with `to` and with `reach` less the policies, what was written, and the rules that apply."""
    entry = next((entry for entry in block.entries if entry.key.text == "to"), None)
    if entry is None or not isinstance(entry.value, (ast.Reference, ast.Call, ast.Not, ast.Paren, ast.Chain)):
        return None
    name, written = block.name.text, entry.value
    allow_empty = entry.allow_empty if head is None else head.allow_empty
    lowered = as_user_ids(lower(written, scope, bag), written.span, "delivery", name, scope, bag)
    sound = check_expression(written, lowered, "delivery", name, allow_empty, bag)
    sound = refuse_lookalikes(lowered, "delivery", name, bag) and sound
    if head is None or lowered.expression is None or not sound:
        return None
    applied = [rule for rule in rules if name not in rule.exceptions]
    account = scope.accounts.get(head.account)
    check_uses(lowered.uses, account, scope, bag)
    if not scope.account:
        check_uses([use for rule in applied for use in rule.lowered.uses], account, scope, bag)
    excluded = [rule.lowered.expression for rule in applied if rule.lowered.expression is not None]
    if len(excluded) < len(applied):
        return None
    reach = localise(ir.land(lowered.expression, *(ir.lnot(expression) for expression in excluded)), head.account)
    to = localise(lowered.expression, head.account)
    if head.by in ("multicast", "push") or any(_is_template(message, scope) for message in head.messages):
        # It goes by user ID: its friends are those whom LINE lists.
        to, reach = with_followers(to, scope), with_followers(reach, scope)
    delivery = replace(
        head,
        to=to,
        reach=reach,
        to_text=expression_text(written),
        is_friends=is_literally_friends(written),
        policies=tuple(sorted({rule.policy for rule in applied})),
        to_span=written.span,
    )
    return delivery, written, applied


def _check_reach(
    delivery: ir.Delivery,
    base: ir.Expression,
    written: ast.Expression,
    rules: Sequence[Rule],
    scope: Scope,
    bag: Bag,
) -> bool:
    """What must hold of whom a delivery would reach if none went first (`base`); whether no error was told."""
    told = len(bag.items)
    name, labels = delivery.name, [Label(rule.written.expression.span, "policy") for rule in rules]
    if not algebra.anchored(delivery.reach):
        bag.add(error("AUD0352", written.span, delivery=name))
        return False
    try:
        if not delivery.allow_empty and algebra.is_empty(base):
            bag.add(error("AUD0353", written.span, labels=labels, delivery=name, policies=delivery.policies))
            return False
    except algebra.Undecided as undecided:
        bag.add(warning("AUD0505", written.span, atoms=undecided.atoms))
    if delivery.by == "broadcast" and not delivery.is_friends:
        bag.add(error("AUD0354", written.span, delivery=name))
    elif delivery.by == "broadcast" and base != ir.leaf(ir.Friends(delivery.account)):
        bag.add(error("AUD0356", written.span, labels=labels, delivery=name, policies=delivery.policies))
    if delivery.by in ("multicast", "push"):
        _check_listed(delivery, written, scope, bag)
    _check_personal(delivery, written, scope, bag)
    return not any(item.severity == "error" for item in bag.items[told:])


def _check_personal(delivery: ir.Delivery, written: ast.Expression, scope: Scope, bag: Bag) -> None:
    """A message that is filled in for each person goes to people who are listed, one by one."""
    message = next((name for name in delivery.messages if _is_template(name, scope)), None)
    if message is None:
        return
    if delivery.by in ("narrowcast", "broadcast"):
        bag.add(error("AUD1131", written.span, delivery=delivery.name, message=message, by=delivery.by))
        return
    atoms = ir.atoms_of(delivery.reach)
    opaque = opaque_atoms(delivery.reach) or (() if any(atom.world == "own" for atom in atoms) else atoms)
    if opaque:
        words = algebra.atom_words(opaque[0], verbs_of_tables(scope.tables.values()))
        bag.add(error("AUD1130", written.span, delivery=delivery.name, message=message, atom=words))


def _is_template(message: str, scope: Scope) -> bool:
    symbol = scope.symbols.get(message)
    node = symbol.node if symbol else None
    if not isinstance(node, ast.Block):
        return False
    return bool(node.fields) or any(entry.key.text == "template" for entry in node.entries)


def _check_listed(delivery: ir.Delivery, written: ast.Expression, scope: Scope, bag: Bag) -> None:
    opaque = opaque_atoms(delivery.reach)
    if opaque or all(isinstance(atom, ir.Friends) for atom in ir.atoms_of(delivery.reach)):
        listed = opaque or ir.atoms_of(delivery.reach)
        words = algebra.atom_words(listed[0], verbs_of_tables(scope.tables.values())) if listed else "friends"
        bag.add(error("AUD0355", written.span, delivery=delivery.name, by=delivery.by, atom=words))


def _check_standing(
    delivery: ir.Delivery,
    written: ast.Expression,
    standing: Standing,
    bases: Mapping[str, ir.Expression],
    bag: Bag,
) -> bool:
    """A delivery behind others still has somebody, and is no broadcast; whether no error was told."""
    labels = [Label(place, "priority") for place in standing.places]
    if delivery.by == "broadcast":
        bag.add(error("AUD0382", written.span, labels=labels, delivery=delivery.name, behind=standing.behind))
        return False
    try:
        if not delivery.allow_empty and algebra.is_empty(delivery.reach):
            by = emptied_by(bases[delivery.name], standing.behind, bases)
            bag.add(error("AUD0381", written.span, labels=labels, delivery=delivery.name, by=by))
            return False
    except algebra.Undecided as undecided:
        bag.add(warning("AUD0505", written.span, atoms=undecided.atoms))
    return True
