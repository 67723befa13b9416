"""Tests as values: what is given, what is expected and what is to be proved, over lowered expressions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from audsql.diag import Bag, Diagnostic, error
from audsql.meaning import ir, values
from audsql.meaning.calls import Scope
from audsql.meaning.conditions import date_words
from audsql.meaning.expressions import lower
from audsql.meaning.names import unknown_parameter
from audsql.meaning.splits import arm_bucket, as_friends
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["CountCase", "ExpectCase", "GivenCase", "ProveCase", "TestCase", "lower_test"]


@dataclass(frozen=True, slots=True)
class GivenCase:
    """`people` are in the set. Several `atoms` are the tiers of one range: each person is in one of them.

    Of an arm, `atoms` is its bucket and `within` the split set, which its people are in by other givens.
    """

    atoms: tuple[ir.Atom, ...]
    people: frozenset[str]
    span: Span
    within: ir.Expression | None = None


@dataclass(frozen=True, slots=True)
class ExpectCase:
    expression: ir.Expression
    people: frozenset[str]
    span: Span


@dataclass(frozen=True, slots=True)
class CountCase:
    expression: ir.Expression
    count: int
    span: Span


@dataclass(frozen=True, slots=True)
class ProveCase:
    left: ir.Expression
    relation: Literal["=", "within", "disjoint"]
    right: ir.Expression
    span: Span


@dataclass(frozen=True, slots=True)
class TestCase:
    """One `test`. `broken`: some item has an error that checking the project tells; the test cannot run."""

    title: str
    givens: tuple[GivenCase, ...]
    expectations: tuple[ExpectCase | CountCase, ...]
    proofs: tuple[ProveCase, ...]
    at: datetime | None
    broken: bool
    span: Span


def lower_test(test: ast.Test, scope: Scope, bag: Bag) -> TestCase:
    """The test as a value; problems with its names and types go to the bag."""
    # A warning about an audience is told where the audience stands, not again in its tests.
    told = Bag()
    givens: list[GivenCase] = []
    expectations: list[ExpectCase | CountCase] = []
    proofs: list[ProveCase] = []
    at: datetime | None = None
    broken = False
    lowered: GivenCase | ExpectCase | CountCase | ProveCase | None
    for item in test.items:
        match item:
            case ast.TestAt(moment=ast.Word() as word):
                told.add(unknown_parameter(word))
                lowered = None
            case ast.TestAt(moment=ast.DateTime() as moment):
                at = values.moment(moment, scope.zone)
                if at is None:
                    told.add(error("AUD0312", moment.span, date=date_words(moment)))
                lowered = None
            case ast.Given():
                lowered = _given(item, scope, told)
                givens.extend([lowered] if lowered else [])
            case ast.Expect() | ast.ExpectCount():
                lowered = _expected(item, scope, told)
                expectations.extend([lowered] if lowered else [])
            case ast.Prove():
                lowered = _prove(item, scope, told)
                proofs.extend([lowered] if lowered else [])
        broken = broken or (lowered is None and not isinstance(item, ast.TestAt))
    errors: list[Diagnostic] = [item for item in told.items if item.severity == "error"]
    bag.extend(errors)
    title = test.title
    return TestCase(title, tuple(givens), tuple(expectations), tuple(proofs), at, broken or bool(errors), test.span)


def _given(item: ast.Given, scope: Scope, bag: Bag) -> GivenCase | None:
    before = len(bag.items)
    expression = lower(item.atom, scope, bag).expression
    people = _people(item.people, bag)
    if expression is None or people is None or (len(bag.items) > before and _any_error(bag.items[before:])):
        return None
    arm = _arm(item.atom, scope)
    if arm is not None:
        return GivenCase((arm[1],), people, item.span, as_friends(arm[0].expression))
    if isinstance(item.atom, ast.Call) and item.atom.name.text == "sample":
        bag.add(error("AUD0389", item.atom.span))
        return None
    atoms = _atoms(item.atom, expression)
    if not atoms:
        bag.add(error("AUD0904", item.atom.span))
        return None
    return GivenCase(atoms, people, item.span)


def _arm(written: ast.Expression, scope: Scope) -> tuple[ir.Split, ir.Bucket] | None:
    """The split and the bucket of an arm that is written; nothing for an arm of 100%."""
    if not isinstance(written, ast.Reference) or written.member is None:
        return None
    split = scope.splits.get(written.name.text)
    bucket = arm_bucket(split, written.member.text) if split else None
    return (split, bucket) if split and bucket else None


def _any_error(items: Sequence[Diagnostic]) -> bool:
    return any(item.severity == "error" for item in items)


def _atoms(written: ast.Expression, expression: ir.Expression) -> tuple[ir.Atom, ...]:
    """The atom that is written, or the tiers of one attribute; nothing for any other expression."""
    if isinstance(written, ast.Reference) and written.name.text != "friends":
        return ()
    if isinstance(expression, ir.Leaf):
        return (expression.atom,)
    if isinstance(written, ast.Call) and isinstance(expression, ir.Or):
        return tuple(part.atom for part in expression.operands if isinstance(part, ir.Leaf))
    return ()


def _people(listed: ast.ListValue, bag: Bag) -> frozenset[str] | None:
    names: set[str] = set()
    for value in listed.items:
        match value:
            case ast.Word() | ast.Text():
                names.add(value.text)
            case ast.Number(value=amount):
                names.add(format(amount, "f"))
            case _:
                bag.add(error("AUD0905", value.span))
                return None
    return frozenset(names)


def _set(written: ast.Expression, scope: Scope, bag: Bag) -> ir.Expression | None:
    expression = lower(written, scope, bag).expression
    return None if expression is None else as_friends(expression)


def _expected(item: ast.Expect | ast.ExpectCount, scope: Scope, bag: Bag) -> ExpectCase | CountCase | None:
    expression = _set(item.expression, scope, bag)
    if isinstance(item, ast.ExpectCount):
        return None if expression is None else CountCase(expression, item.count, item.span)
    people = _people(item.people, bag)
    return None if expression is None or people is None else ExpectCase(expression, people, item.span)


def _prove(item: ast.Prove, scope: Scope, bag: Bag) -> ProveCase | None:
    left, right = _set(item.left, scope, bag), _set(item.right, scope, bag)
    return None if left is None or right is None else ProveCase(left, item.relation, right, item.span)
