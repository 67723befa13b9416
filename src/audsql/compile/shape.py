"""The author's expression in negation normal form, and what is left of it when atoms are decided.

Attributes are three-valued: a person satisfies one, does not, or LINE does not know. LINE does not say
whether its `not` includes people of whom it knows nothing (specs/line.md). So `x` and `NOT x` of
an attribute are two independent variables here, its *rails*: known yes sets the first, known no the
second, unknown neither (or, under the other reading, the second). An expression in negation normal form
is monotone in the rails, and what is left of it holds only literals that the author wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from audsql.meaning import ir

__all__ = ["Rail", "literals_of", "normal", "rail_of", "residual"]

Rail = tuple[str, bool]
"""The key of an atom and whether the literal is the positive one."""


def normal(expression: ir.Expression) -> ir.Expression:
    """Negation normal form: NOT stands before atoms only."""
    forms: dict[str, tuple[ir.Expression, ir.Expression]] = {}
    for node in ir.nodes_of(expression):
        match node:
            case ir.Constant() | ir.Leaf():
                forms[node.key] = (node, ir.lnot(node))
            case ir.Not(operand):
                positive, negative = forms[operand.key]
                forms[node.key] = (negative, positive)
            case ir.And(operands):
                forms[node.key] = (
                    ir.land(*(forms[operand.key][0] for operand in operands)),
                    ir.lor(*(forms[operand.key][1] for operand in operands)),
                )
            case ir.Or(operands):
                forms[node.key] = (
                    ir.lor(*(forms[operand.key][0] for operand in operands)),
                    ir.land(*(forms[operand.key][1] for operand in operands)),
                )
    return forms[expression.key][0]


def rail_of(node: ir.Expression) -> Rail | None:
    """The literal that a node is, if it is one."""
    match node:
        case ir.Leaf(atom):
            return (atom.key, True)
        case ir.Not(ir.Leaf(atom)):
            return (atom.key, False)
        case _:
            return None


def literals_of(expression: ir.Expression) -> tuple[tuple[ir.Atom, bool], ...]:
    """The literals of a normal form, each once, in the order in which they are met."""
    found: dict[Rail, ir.Atom] = {}
    seen: set[str] = set()
    stack = [expression]
    while stack:
        node = stack.pop()
        if node.key in seen:
            continue
        seen.add(node.key)
        match node:
            case ir.Leaf(atom):
                found[(atom.key, True)] = atom
            case ir.Not(ir.Leaf(atom)):
                found[(atom.key, False)] = atom
            case _:
                stack.extend(reversed(ir.children(node)))
    return tuple((atom, positive) for (_, positive), atom in found.items())


def residual(expression: ir.Expression, decided: Callable[[Rail], bool | None] | Mapping[Rail, bool]) -> ir.Expression:
    """A normal form with literals decided and constants folded; no literal that was not there appears."""
    ask = decided.get if isinstance(decided, Mapping) else decided
    values: dict[str, ir.Expression] = {}
    for node in ir.nodes_of(expression):
        rail = rail_of(node)
        if rail is not None:
            truth = ask(rail)
            values[node.key] = node if truth is None else ir.Constant(truth)
        elif isinstance(node, ir.And):
            values[node.key] = ir.land(*(values[operand.key] for operand in node.operands))
        elif isinstance(node, ir.Or):
            values[node.key] = ir.lor(*(values[operand.key] for operand in node.operands))
        else:
            values[node.key] = node
    return values[expression.key]
