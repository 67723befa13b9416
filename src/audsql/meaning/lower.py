"""From syntax trees to meaning: a whole project, or one expression in it.

A statement with an error is left out and its name stays known, so that nothing that refers to it is told
to be wrong as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import field, replace
from datetime import tzinfo
from typing import TypeVar

from audsql.diag import Bag, Diagnostic, Label, error, has_errors
from audsql.meaning import ir
from audsql.meaning.calls import Meaning, Scope
from audsql.meaning.cases import TestCase, lower_test
from audsql.meaning.coupons import check_coupons, lower_codes
from audsql.meaning.expand import NO_INPUTS, Expanded, Inputs, expand, expand_expression, in_folders
from audsql.meaning.expressions import Lowered, lower
from audsql.meaning.flows import lower_flow
from audsql.meaning.lineage import deep_atoms
from audsql.meaning.lint import check_expression
from audsql.meaning.moves import lower_moved, lower_removed
from audsql.meaning.names import Symbol, Symbols, declare
from audsql.meaning.order import Circle, Ordering, order, references
from audsql.meaning.policies import Policies, Rule, check_uses, lower_policies, moved_time
from audsql.meaning.priority import Ranking, edges_of, lower_priorities, standing_of
from audsql.meaning.reach import Earlier, lower_to
from audsql.meaning.splits import lower_split
from audsql.meaning.statements import (
    lower_account,
    lower_coupon_of,
    lower_delivery,
    lower_message,
    lower_table,
    lower_upload,
)
from audsql.meaning.values import zone_of
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["Analysis", "TestCase", "analyse", "lower_expression", "lower_meaning"]

S = TypeVar("S", bound=ast.Statement)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a project means, its tests, and the scope in which further expressions are read."""

    project: ir.Project
    tests: tuple[TestCase, ...]
    scope: Scope = field(repr=False)
    expanded: Expanded = field(default=Expanded(()), repr=False)


def analyse(
    files: tuple[ast.File, ...], *, name: str, timezone: str, inputs: Inputs = NO_INPUTS
) -> tuple[Analysis, tuple[Diagnostic, ...]]:
    """The meaning of a project's files, and everything that is wrong with them, in order of place.

    `timezone` is an IANA name; `inputs`: what parameters are given and the files that are used. Statements
    with errors are left out of the result.
    """
    bag = Bag()
    expanded = expand(files, inputs)
    files = expanded.files
    bag.extend(expanded.diagnostics)
    symbols = declare(files, bag)
    sources = _sources(symbols, zone_of(timezone), bag)
    rankings = lower_priorities(_written(files, ast.Priority), symbols, sources.scope.deliveries, bag)
    ordering = order(_needs(symbols, rankings))
    for circle in ordering.circles:
        bag.add(_circle_problem(circle, rankings, symbols))
    scope, audiences = _sets(symbols, ordering, sources.scope, bag)
    policies = lower_policies(_policies(symbols), scope, bag)
    moved = _written(files, ast.Moved)
    project = ir.Project(
        name=name,
        timezone=timezone,
        accounts=_by_name(scope.accounts),
        uploads=_by_name(scope.uploads),
        tables=_by_name(scope.tables),
        messages=_by_name(sources.messages),
        audiences=audiences,
        deliveries=_with_personal(_deliveries(symbols, ordering, policies, rankings, scope, bag), sources.messages),
        policies=_policy_values(policies.excludes),
        splits=_by_name(scope.splits),
        requirements=policies.requirements,
        priorities=tuple(ranking.priority for ranking in rankings),
        flows=_flows(symbols, policies, scope, bag),
        moved=lower_moved(moved, symbols, bag),
        removed=lower_removed(_written(files, ast.Removed), moved, symbols, bag),
        coupons=_by_name(sources.coupons),
        code_pools=_by_name(sources.code_pools),
    )
    check_coupons(project, symbols, bag)
    tests = _tests(files, scope, bag)
    project = in_folders(_with_moved_times(_with_capped(project)), expanded.folders)
    _check_uncalled(expanded.uncalled, scope, bag)
    return Analysis(project, tests, scope, expanded), bag.sorted()


def _with_personal(deliveries: Sequence[ir.Delivery], messages: Mapping[str, ir.Message]) -> tuple[ir.Delivery, ...]:
    """The deliveries, each told whether it goes to its people one by one, and with what its messages are filled in."""
    personal = {name: message for name, message in messages.items() if message.personal}
    return tuple(
        replace(
            one,
            personal=True,
            filled_in=_filled_in([personal[name] for name in one.messages if name in personal]),
        )
        if personal.keys() & {*one.messages}
        else one
        for one in deliveries
    )


def _filled_in(messages: Sequence[ir.Message]) -> str:
    """A digest of where the values of personal messages come from, and of what stands for those that are missing."""
    told = [
        [message.table, *([one.name, one.type, str(one.fallback), one.pool] for one in message.fields)]
        for message in messages
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _with_capped(project: ir.Project) -> ir.Project:
    """The project, each delivery told whether a cap covers it and its people can be counted one by one."""
    caps = [one for one in project.requirements if isinstance(one, ir.Cap)]
    if not caps:
        return project
    sets = [one.expression for one in project.audiences] + [one.reach for one in project.deliveries]
    atoms = (atom for expression in sets for atom in ir.atoms_of(expression))
    needed = {atom.delivery for atom in atoms if isinstance(atom, ir.Clicked | ir.Opened | ir.Received)}
    needed |= {name for one in project.priorities for name in one.deliveries}
    deliveries = tuple(
        replace(one, capped=any(one.name not in cap.exceptions for cap in caps) and _is_free(one, needed))
        for one in project.deliveries
    )
    return replace(project, deliveries=deliveries)


def _is_free(delivery: ir.Delivery, needed: Set[str]) -> bool:
    """Whether nothing needs a record of it at LINE. What goes out by user ID has none in any case."""
    return delivery.by in ("multicast", "push") or delivery.personal or delivery.name not in needed


def _with_moved_times(project: ir.Project) -> ir.Project:
    """The project, each delivery at the time at which quiet hours let it go."""
    rules = [one for one in project.requirements if isinstance(one, ir.Quiet)]
    if not any(one.over == "move" for one in rules):
        return project
    zone = zone_of(project.timezone)
    moved = tuple(replace(one, at=moved_time(one, rules, zone)) for one in project.deliveries)
    return replace(project, deliveries=moved)


def _check_uncalled(expressions: Sequence[ast.Expression], scope: Scope, bag: Bag) -> None:
    """The names in audiences with parameters that nothing calls."""
    found = Bag()
    for expression in expressions:
        lower(expression, scope, found)
    bag.extend(problem for problem in found.items if problem.code.startswith("AUD02"))


def _written(files: Sequence[ast.File], kind: type[S]) -> tuple[S, ...]:
    """The statements of that kind, in the order of files and places."""
    return tuple(
        statement
        for file in sorted(files, key=lambda file: file.path)
        for statement in file.statements
        if isinstance(statement, kind)
    )


def lower_expression(expression: ast.Expression, analysis: Analysis) -> tuple[ir.Expression, tuple[Diagnostic, ...]]:
    """What an expression means in the project; nobody where it has errors."""
    meaning, problems = lower_meaning(expression, analysis)
    return meaning.expression or ir.NOBODY, problems


def lower_meaning(expression: ast.Expression, analysis: Analysis) -> tuple[Meaning, tuple[Diagnostic, ...]]:
    """What an expression means in the project, with the kind of its ids; nothing where it has errors."""
    bag = Bag()
    filled, audiences = expand_expression(expression, analysis.expanded, bag)
    if filled is None:
        return Meaning(None, None), bag.sorted()
    scope = _with_audiences(analysis.scope, audiences, bag) if audiences else analysis.scope
    meaning = lower(filled, scope, bag).meaning
    return (Meaning(None, meaning.kind) if has_errors(bag.items) else meaning), bag.sorted()


def _with_audiences(scope: Scope, audiences: Sequence[ast.Audience], bag: Bag) -> Scope:
    """The scope with more audiences, each after those that it needs."""
    symbols = {node.name.text: Symbol("audience", node.name.text, node.name.span, node) for node in audiences}
    meanings = dict(scope.audiences)
    scope = replace(scope, symbols=replace(scope.symbols, names={**scope.symbols.names, **symbols}), audiences=meanings)
    nodes = {node.name.text: node for node in audiences}
    for name in order({name: references(node.expression) for name, node in nodes.items()}).order:
        meanings[name] = lower(nodes[name].expression, scope, bag).meaning
    return scope


# --- sources ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sources:
    """What audiences and deliveries are made of."""

    scope: Scope
    messages: Mapping[str, ir.Message]
    coupons: Mapping[str, ir.Coupon]
    code_pools: Mapping[str, ir.CodePool]


def _sources(symbols: Symbols, zone: tzinfo, bag: Bag) -> _Sources:
    """Every statement that stands for itself, and what deliveries say besides whom they reach."""
    accounts: dict[str, ir.Account] = {}
    for name, symbol in symbols.accounts.items():
        account = lower_account(symbol.node, zone, bag) if isinstance(symbol.node, ast.Block) else None
        if account is not None:
            accounts[name] = account
    uploads: dict[str, ir.UploadSource] = {}
    tables: dict[str, ir.TableSource] = {}
    messages: dict[str, ir.Message] = {}
    deliveries: dict[str, ir.Delivery] = {}
    coupons: dict[str, ir.Coupon] = {}
    pools: dict[str, ir.CodePool] = {}
    for name, symbol in symbols.names.items():
        block = symbol.node
        if not isinstance(block, ast.Block):
            continue
        if block.kind == "upload" and (upload := lower_upload(block, symbols, zone, bag)):
            uploads[name] = upload
        elif block.kind == "table" and (table := lower_table(block, zone, bag)):
            tables[name] = table
        elif block.kind == "message" and (message := lower_message(block, symbols, zone, bag)):
            messages[name] = message
        elif block.kind == "coupon" and (coupon := lower_coupon_of(block, symbols, accounts, zone, bag)):
            coupons[name] = coupon
        elif block.kind == "codes" and (pool := lower_codes(block, zone, bag)):
            pools[name] = pool
        elif block.kind == "delivery" and (delivery := lower_delivery(block, symbols, accounts, zone, bag)):
            deliveries[name] = delivery
    verbs = {verb.name: verb for table in tables.values() for verb in table.verbs}
    only = next(iter(symbols.accounts)) if len(symbols.accounts) == 1 else ""
    scope = Scope(symbols, zone, only, accounts, uploads, tables, verbs, deliveries, {})
    return _Sources(scope, messages, coupons, pools)


def _by_name(values: Mapping[str, T]) -> tuple[T, ...]:
    return tuple(values[name] for name in sorted(values))


# --- order ------------------------------------------------------------------------------------------


def _needs(symbols: Symbols, rankings: Sequence[Ranking]) -> dict[str, dict[str, Span]]:
    """What each audience, split and delivery refers to; a delivery also refers to what its policies do, and to
    those that go first."""
    first = edges_of(rankings)
    policies = [
        (rule, references(rule.expression))
        for policy in _policies(symbols)
        for rule in policy.rules
        if isinstance(rule, ast.ExcludeRule)
    ]
    needs: dict[str, dict[str, Span]] = {}
    for name, symbol in symbols.names.items():
        if isinstance(symbol.node, ast.Split) or (isinstance(symbol.node, ast.Audience) and not symbol.node.parameters):
            needs[name] = references(symbol.node.expression)
        elif isinstance(symbol.node, ast.Block) and symbol.kind == "delivery":
            needs[name] = {**first.get(name, {}), **_delivery_needs(symbol.node, policies)}
    return needs


def _delivery_needs(
    block: ast.Block, policies: Sequence[tuple[ast.ExcludeRule, Mapping[str, Span]]]
) -> dict[str, Span]:
    found: dict[str, Span] = {}
    keys = {entry.key.text for entry in block.entries}
    if "sent" in keys:
        return found
    for entry in block.entries:
        if entry.key.text == "to" and isinstance(entry.value, (ast.Reference, ast.Call, ast.Not, ast.Paren, ast.Chain)):
            found.update(references(entry.value))
    for rule, needed in policies:
        if block.name.text not in {name.text for name in rule.exceptions}:
            for name, span in needed.items():
                found.setdefault(name, span)
    return found


def _circle_problem(circle: Circle, rankings: Sequence[Ranking], symbols: Symbols) -> Diagnostic:
    labels = [Label(place, "next") for place in circle.places[1:]]
    path = " -> ".join((*circle.names, circle.names[0]))
    ranked = {place for ranking in rankings for place in ranking.places}
    if ranked.issuperset(circle.places):
        return error("AUD0380", circle.places[0], labels=labels, delivery=circle.names[0], path=path)
    policy, covered = _closing_policy(circle, symbols)
    name = circle.names[0]
    return error("AUD0210", circle.places[0], labels=labels, name=name, path=path, policy=policy, covered=covered)


def _closing_policy(circle: Circle, symbols: Symbols) -> tuple[str | None, str | None]:
    """The first policy that a step of a circle stands in, and the delivery that it covers there."""
    for policy in _policies(symbols):
        for rule in policy.rules:
            whole = rule.expression.span if isinstance(rule, ast.ExcludeRule) else None
            for name, place in zip(circle.names, circle.places, strict=True):
                if whole and place.path == whole.path and whole.start <= place.start and place.end <= whole.end:
                    return policy.name.text, name
    return None, None


# --- audiences, policies, deliveries, tests ---------------------------------------------------------


def _sets(symbols: Symbols, ordering: Ordering, scope: Scope, bag: Bag) -> tuple[Scope, tuple[ir.Audience, ...]]:
    """The scope in which audiences and splits mean something, each after what it needs, and the audiences."""
    meanings: dict[str, Meaning] = {}
    splits: dict[str, ir.Split] = {}
    scope = replace(scope, audiences=meanings, splits=splits)
    audiences: list[ir.Audience] = []
    for name in ordering.order:
        node = symbols.names[name].node
        if isinstance(node, ast.Audience):
            lowered = lower(node.expression, scope, bag)
            meanings[name] = lowered.meaning
            found = _audience(node, lowered, scope, bag)
            # An audience with its arguments filled in is a part of those that call it.
            audiences.extend(() if node.name.index else found)
        elif isinstance(node, ast.Split):
            split = _split(node, scope, bag)
            splits.update({} if split is None else {name: split})
    return scope, tuple(sorted(audiences, key=lambda audience: audience.name))


def _split(node: ast.Split, scope: Scope, bag: Bag) -> ir.Split | None:
    """The split, or None where it has errors."""
    lowered = lower(node.expression, scope, bag)
    sound = check_expression(node.expression, lowered, "split", node.name.text, False, bag)
    if scope.account:
        check_uses(lowered.uses, scope.accounts.get(scope.account), scope, bag)
    split = lower_split(node, lowered.meaning, scope, bag)
    return replace(split, account=_account_of(split.expression, scope)) if split and sound else None


def _audience(node: ast.Audience, lowered: Lowered, scope: Scope, bag: Bag) -> Sequence[ir.Audience]:
    """The audience, or nothing where it has errors."""
    name, expression = node.name.text, lowered.expression
    sound = check_expression(node.expression, lowered, "audience", name, node.allow_empty, bag)
    if scope.account:
        check_uses(lowered.uses, scope.accounts.get(scope.account), scope, bag)
    if expression is None or not sound:
        return ()
    return (
        ir.Audience(
            name=name,
            expression=expression,
            text=expression_text(node.expression),
            id_kind=lowered.meaning.kind or "user_id",
            account=_account_of(expression, scope),
            allow_empty=node.allow_empty,
            description=node.description,
            span=node.name.span,
        ),
    )


def _account_of(expression: ir.Expression, scope: Scope) -> str:
    """The account that an audience belongs to: the only one, or that of the deliveries it speaks of."""
    atoms = deep_atoms(expression)
    if scope.account or all(atom.world == "own" for atom in atoms):
        return scope.account
    names = {
        scope.deliveries[atom.delivery].account
        for atom in atoms
        if isinstance(atom, (ir.Clicked, ir.Opened, ir.Received)) and atom.delivery in scope.deliveries
    }
    return names.pop() if len(names) == 1 else ""


def _policies(symbols: Symbols) -> tuple[ast.Policy, ...]:
    nodes = (symbols.policies[name].node for name in sorted(symbols.policies))
    return tuple(node for node in nodes if isinstance(node, ast.Policy))


def _policy_values(rules: Sequence[Rule]) -> tuple[ir.ExcludePolicy, ...]:
    return tuple(
        ir.ExcludePolicy(
            rule.policy,
            rule.lowered.expression,
            expression_text(rule.written.expression),
            rule.exceptions,
            rule.written.expression.span,
        )
        for rule in rules
        if rule.lowered.expression is not None
    )


def _deliveries(
    symbols: Symbols, ordering: Ordering, policies: Policies, rankings: Sequence[Ranking], scope: Scope, bag: Bag
) -> tuple[ir.Delivery, ...]:
    """The deliveries that are free of errors, each found after those that go first."""
    found: list[ir.Delivery] = []
    earlier = Earlier()
    for name in ordering.order:
        block = symbols.names[name].node
        if isinstance(block, ast.Block):
            standing = standing_of(name, rankings)
            delivery = lower_to(block, scope.deliveries.get(name), policies, standing, earlier, scope, bag)
            found.extend([delivery] if delivery else [])
    return tuple(sorted(found, key=lambda delivery: delivery.name))


def _flows(symbols: Symbols, policies: Policies, scope: Scope, bag: Bag) -> tuple[ir.Flow, ...]:
    nodes = [symbols.names[name].node for name in symbols.of_kind("flow")]
    found = [lower_flow(node, policies.excludes, scope, bag) for node in nodes if isinstance(node, ast.Flow)]
    return tuple(flow for flow in found if flow is not None)


def _tests(files: Sequence[ast.File], scope: Scope, bag: Bag) -> tuple[TestCase, ...]:
    return tuple(lower_test(test, scope, bag) for test in _written(files, ast.Test))
