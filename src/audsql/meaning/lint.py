"""What is allowed and probably not meant: parts that are always empty, and NOT of an estimated attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audsql.diag import Bag, Diagnostic, error, warning
from audsql.meaning import algebra, ir
from audsql.meaning.expressions import Lowered, children_of
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["check_expression"]


def check_expression(
    written: ast.Expression, lowered: Lowered, what: str, name: str, allow_empty: bool, bag: Bag
) -> bool:
    """Tell of an expression that is always empty or everybody (an error), of such parts of it, and of
    negated attributes (lints). `what` and `name` say whose expression it is. Whether no error was told."""
    if lowered.expression is None:
        return False
    bag.extend(_negated_attributes(written, lowered))
    try:
        constants = algebra.constant_parts(lowered.expression)
        whole = constants.get(lowered.expression.key)
        if whole is None:
            _constant_parts(written, lowered, constants, bag)
        elif not allow_empty:
            bag.add(_constant(whole, written.span, what, name))
            return False
    except algebra.Undecided as undecided:
        bag.add(warning("AUD0505", written.span, atoms=undecided.atoms))
    return True


def _constant(everybody: bool, span: Span, what: str, name: str) -> Diagnostic:
    if everybody:
        return error("AUD0351", span, what=what, name=name)
    return error("AUD0350", span, what=what, name=name)


def _constant_parts(written: ast.Expression, lowered: Lowered, constants: Mapping[str, bool], bag: Bag) -> None:
    """The outermost written parts that are constant; a name or a call alone has been told elsewhere."""
    if lowered.expression is None or not any(children_of(node) for node in children_of(written)):
        return
    meaning = {id(node): expression for node, expression in lowered.parts}
    decided = {node.key for node in ir.nodes_of(lowered.expression)}
    stack = [written]
    while stack:
        node = stack.pop()
        expression = meaning.get(id(node))
        if not children_of(node) or expression is None:
            continue
        # A part that joined the whole chain is no node of the whole.
        own = constants if expression.key in decided else algebra.constant_parts(expression)
        constant = own.get(expression.key)
        if constant is None:
            stack.extend(children_of(node))
        else:
            bag.add(warning("AUD0502", node.span) if constant else warning("AUD0501", node.span))


def _negated_attributes(written: ast.Expression, lowered: Lowered) -> Iterator[Diagnostic]:
    """NOT and EXCEPT of what LINE only estimates: whether people it knows nothing of are included is open."""
    negated = tuple(_negated(written))
    meaning = {id(node): expression for node, expression in lowered.parts} if negated else {}
    for node in negated:
        expression = meaning.get(id(node))
        if expression is None:
            continue
        atoms = [atom for atom in ir.atoms_of(expression) if isinstance(atom, ir.Attribute)]
        if atoms:
            yield warning("AUD0503", node.span, families=tuple(sorted({atom.family for atom in atoms})))


def _negated(written: ast.Expression) -> Iterator[ast.Expression]:
    """The written parts directly under NOT or to the right of EXCEPT, outermost only."""
    stack: list[ast.Expression] = [written]
    while stack:
        node = stack.pop()
        parts = children_of(node)
        excluded: set[int] = set()
        if isinstance(node, ast.Not):
            excluded.add(id(node.operand))
        if isinstance(node, ast.Chain) and "EXCEPT" in node.operators:
            pairs = zip(node.operators, parts[1:], strict=False)
            excluded.update(id(operand) for operator, operand in pairs if operator == "EXCEPT")
        for child in parts:
            if id(child) in excluded:
                yield child
            else:
                stack.append(child)
