"""From syntax trees to meaning: a whole project, or one expression in it.

A statement with an error is left out and its name stays known, so that nothing that refers to it is told
to be wrong as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import TypeVar

from audsql.diag import Bag, Diagnostic, Label, error, has_errors
from audsql.meaning import ir
from audsql.meaning.calls import Meaning, Scope
from audsql.meaning.cases import TestCase, lower_test
from audsql.meaning.expressions import Lowered, lower
from audsql.meaning.lint import check_expression
from audsql.meaning.names import Symbols, declare
from audsql.meaning.order import Circle, order, references
from audsql.meaning.reach import Rule, check_uses, lower_rules, lower_to
from audsql.meaning.statements import lower_account, lower_delivery, lower_message, lower_table, lower_upload
from audsql.meaning.values import zone_of
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["Analysis", "TestCase", "analyse", "lower_expression"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a project means, its tests, and the scope in which further expressions are read."""

    project: ir.Project
    tests: tuple[TestCase, ...]
    scope: Scope = field(repr=False)


def analyse(files: tuple[ast.File, ...], *, name: str, timezone: str) -> tuple[Analysis, tuple[Diagnostic, ...]]:
    """The meaning of a project's files, and everything that is wrong with them, in order of place.

    `timezone` is an IANA name. Statements with errors are left out of the result.
    """
    bag = Bag()
    symbols = declare(files, bag)
    sources = _sources(symbols, zone_of(timezone), bag)
    meanings: dict[str, Meaning] = {}
    scope = replace(sources.scope, audiences=meanings)
    ordering = order(_needs(symbols))
    for circle in ordering.circles:
        bag.add(_circle_problem(circle))
    audiences: list[ir.Audience] = []
    for one in ordering.order:
        node = symbols.names[one].node
        if isinstance(node, ast.Audience):
            lowered = lower(node.expression, scope, bag)
            meanings[one] = lowered.meaning
            audiences.extend(_audience(node, lowered, scope, bag))
    rules = lower_rules(_policies(symbols), scope, bag)
    deliveries = _deliveries(symbols, set(ordering.order), rules, scope, bag)
    tests = _tests(files, scope, bag)
    project = ir.Project(
        name=name,
        timezone=timezone,
        accounts=_by_name(scope.accounts),
        uploads=_by_name(scope.uploads),
        tables=_by_name(scope.tables),
        messages=_by_name(sources.messages),
        audiences=tuple(sorted(audiences, key=lambda audience: audience.name)),
        deliveries=deliveries,
        policies=_policy_values(rules),
    )
    return Analysis(project, tests, scope), bag.sorted()


def lower_expression(expression: ast.Expression, analysis: Analysis) -> tuple[ir.Expression, tuple[Diagnostic, ...]]:
    """What an expression means in the project; nobody where it has errors."""
    bag = Bag()
    lowered = lower(expression, analysis.scope, bag)
    known = lowered.expression is not None and not has_errors(bag.items)
    return (lowered.expression if known and lowered.expression is not None else ir.NOBODY), bag.sorted()


# --- sources ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sources:
    """What audiences and deliveries are made of."""

    scope: Scope
    messages: Mapping[str, ir.Message]


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
    for name, symbol in symbols.names.items():
        block = symbol.node
        if not isinstance(block, ast.Block):
            continue
        if block.kind == "upload" and (upload := lower_upload(block, symbols, zone, bag)):
            uploads[name] = upload
        elif block.kind == "table" and (table := lower_table(block, zone, bag)):
            tables[name] = table
        elif block.kind == "message" and (message := lower_message(block, zone, bag)):
            messages[name] = message
        elif block.kind == "delivery" and (delivery := lower_delivery(block, symbols, accounts, zone, bag)):
            deliveries[name] = delivery
    verbs = {verb.name: verb for table in tables.values() for verb in table.verbs}
    only = next(iter(symbols.accounts)) if len(symbols.accounts) == 1 else ""
    scope = Scope(symbols, zone, only, accounts, uploads, tables, verbs, deliveries, {})
    return _Sources(scope, messages)


def _by_name(values: Mapping[str, T]) -> tuple[T, ...]:
    return tuple(values[name] for name in sorted(values))


# --- order ------------------------------------------------------------------------------------------


def _needs(symbols: Symbols) -> dict[str, dict[str, Span]]:
    """What each audience and delivery refers to; a delivery also refers to what its policies do."""
    policies = [
        (rule, references(rule.expression))
        for policy in _policies(symbols)
        for rule in policy.rules
        if isinstance(rule, ast.ExcludeRule)
    ]
    needs: dict[str, dict[str, Span]] = {}
    for name, symbol in symbols.names.items():
        if isinstance(symbol.node, ast.Audience):
            needs[name] = references(symbol.node.expression)
        elif isinstance(symbol.node, ast.Block) and symbol.kind == "delivery":
            needs[name] = _delivery_needs(symbol.node, policies)
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


def _circle_problem(circle: Circle) -> Diagnostic:
    labels = [Label(place, "next") for place in circle.places[1:]]
    path = " -> ".join((*circle.names, circle.names[0]))
    return error("AUD0210", circle.places[0], labels=labels, name=circle.names[0], path=path)


# --- audiences, policies, deliveries, tests ---------------------------------------------------------


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
    if scope.account or all(atom.world == "own" for atom in ir.atoms_of(expression)):
        return scope.account
    names = {
        scope.deliveries[atom.delivery].account
        for atom in ir.atoms_of(expression)
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
    symbols: Symbols, ordered: set[str], rules: Sequence[Rule], scope: Scope, bag: Bag
) -> tuple[ir.Delivery, ...]:
    found: list[ir.Delivery] = []
    for name in symbols.of_kind("delivery"):
        block = symbols.names[name].node
        if isinstance(block, ast.Block) and name in ordered:
            delivery = lower_to(block, scope.deliveries.get(name), rules, scope, bag)
            if delivery is not None:
                found.append(delivery)
    return tuple(found)


def _tests(files: Sequence[ast.File], scope: Scope, bag: Bag) -> tuple[TestCase, ...]:
    return tuple(
        lower_test(statement, scope, bag)
        for file in sorted(files, key=lambda file: file.path)
        for statement in file.statements
        if isinstance(statement, ast.Test)
    )
