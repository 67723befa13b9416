"""Set expressions: from what was written to a Boolean function over atoms, with id kinds checked on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from audsql.diag import Bag, Diagnostic, Label, error, fix
from audsql.meaning import algebra, ir
from audsql.meaning.calls import UNKNOWN, Meaning, Scope, lower_call
from audsql.meaning.names import BUILT_IN, Symbol, fix_near, nearest, written
from audsql.meaning.splits import arm_of, lower_lookalike, lower_sample
from audsql.meaning.types import Use, kind_problem, linkages, mapped_through
from audsql.near import nearest_name
from audsql.records import dataclass
from audsql.source import Span, made_often
from audsql.syntax import ast

__all__ = ["Lowered", "as_user_ids", "children_of", "is_literally_friends", "lower", "walk"]


@made_often
@dataclass(frozen=True, slots=True)
class Lowered:
    """An expression with what was found on the way. `parts` are the meanings of its written parts, each
    after its own parts, the whole last; unknown ones are left out."""

    meaning: Meaning
    uses: tuple[Use, ...] = ()
    parts: tuple[tuple[ast.Expression, ir.Expression], ...] = ()

    @property
    def expression(self) -> ir.Expression | None:
        return self.meaning.expression


def children_of(node: ast.Expression) -> tuple[ast.Expression, ...]:
    # Asked of every node several times: the kinds that have no parts come first.
    if isinstance(node, ast.Reference):
        return ()
    if isinstance(node, ast.Call):
        subject = node.arguments.subject
        return () if subject is None else (subject,)
    if isinstance(node, ast.Chain):
        return node.operands
    return (node.operand,) if isinstance(node, ast.Not) else (node.inner,)


def walk(expression: ast.Expression) -> tuple[ast.Expression, ...]:
    """The written parts, each after its own parts, in reading order; no recursion."""
    order: list[ast.Expression] = []
    # Each node, and then None in its place once its parts are on the stack above it.
    stack: list[ast.Expression | None] = [expression]
    opened: list[ast.Expression] = []
    while stack:
        node = stack.pop()
        if node is None:
            order.append(opened.pop())
        elif parts := children_of(node):
            opened.append(node)
            stack.append(None)
            stack.extend(parts[::-1])
        else:
            order.append(node)
    return tuple(order)


def lower(expression: ast.Expression, scope: Scope, bag: Bag) -> Lowered:
    """What the expression means in this scope. Problems go to the bag; the rest is still checked."""
    meanings: dict[int, Meaning] = {}
    uses: list[Use] = []
    parts: list[tuple[ast.Expression, ir.Expression]] = []
    for node in walk(expression):
        meaning = _meaning_of(node, meanings, scope, uses, bag)
        meanings[id(node)] = meaning
        if meaning.expression is not None:
            parts.append((node, meaning.expression))
            # What a sample or a look-alike begins with is a place of its own.
            if isinstance(node, (ast.Reference, ast.Call)) and not children_of(node):
                uses.append(Use(node.span, meaning.expression, isinstance(node, ast.Reference)))
    return Lowered(meanings[id(expression)], tuple(uses), tuple(parts))


def as_user_ids(lowered: Lowered, span: Span, what: str, name: str, scope: Scope, bag: Bag) -> Lowered:
    """The set as LINE user IDs, as whatever is sent must be; unknown where nothing connects them, which is told."""
    kind = lowered.meaning.kind
    if kind in (None, "user_id"):
        return lowered
    found = linkages(kind, "user_id", scope.tables.values(), scope.accounts.get(scope.account))
    if not found and not _tables_unknown(scope):
        bag.add(error("AUD0342", span, what=what, name=name, kind=kind))
    elif len(found) > 1:
        bag.add(kind_problem("user_id", kind, found, span, None))
    if len(found) != 1 or lowered.expression is None:
        return replace(lowered, meaning=Meaning(None, "user_id"))
    expression = mapped_through(_or_nobody(lowered.expression), kind, "user_id", found[0])
    uses = (*lowered.uses, Use(span, expression))
    return Lowered(Meaning(expression, "user_id"), uses, lowered.parts)


def _meaning_of(
    node: ast.Expression, meanings: Mapping[int, Meaning], scope: Scope, uses: list[Use], bag: Bag
) -> Meaning:
    match node:
        case ast.Reference():
            return _reference(node, scope, bag)
        case ast.Call():
            return _call(node, meanings, scope, bag)
        case ast.Paren(inner=inner):
            return meanings[id(inner)]
        case ast.Not(operand=operand):
            return _not(node, meanings[id(operand)], scope, uses, bag)
        case ast.Chain():
            return _chain(node, meanings, scope, uses, bag)


def _call(node: ast.Call, meanings: Mapping[int, Meaning], scope: Scope, bag: Bag) -> Meaning:
    written_subject = node.arguments.subject
    subject = meanings[id(written_subject)] if written_subject is not None else None
    if node.name.text == "sample":
        return lower_sample(node, subject, scope, bag)
    if node.name.text == "lookalike":
        return lower_lookalike(node, subject, bag)
    return lower_call(node, scope, bag)


def _reference(node: ast.Reference, scope: Scope, bag: Bag) -> Meaning:
    name = node.name.text
    if name == "friends" and node.member is None:
        return Meaning(ir.leaf(ir.Friends(scope.account)), "user_id")
    symbol = scope.symbols.get(name)
    if symbol is None:
        if not scope.symbols.may_be_unread("audience", "split"):
            bag.add(_unknown_name(node, scope))
        return UNKNOWN
    if node.member is not None and (symbol.kind == "split" or symbol.broken):
        return arm_of(node, scope, bag)
    if node.member is not None:
        labels = [Label(symbol.span, "declared")]
        bag.add(error("AUD0204", node.name.span, labels=labels, name=name, kind=symbol.kind, wanted="split"))
        return UNKNOWN
    if symbol.kind == "audience" or symbol.broken:
        return scope.audiences.get(name, UNKNOWN)
    bag.add(_wrong_name(node, symbol.kind, scope))
    return UNKNOWN


def _unknown_name(node: ast.Reference, scope: Scope) -> Diagnostic:
    name = node.name.text
    if name in BUILT_IN:
        return error("AUD0208", node.span, name=name, kind="call", call=f"{name}(...)")
    if node.member is not None:
        near, place = nearest(name, scope.symbols.of_kind("split")), node.name.span
        return error("AUD0207", place, fixes=fix_near(place, near), name=name, wanted="split", near=near)
    kinds = ("split", "upload", "table", "verb")
    audiences = [one for one in scope.symbols.of_kind("audience") if not _inside(node, scope.symbols.names[one])]
    near = nearest_name(name, audiences) or nearest(name, (*scope.symbols.of_kind(*kinds), "friends"))
    symbol = scope.symbols.get(near) if near else None
    labels = [Label(symbol.span, "near")] if symbol else []
    if symbol is None or near is None or symbol.kind == "audience":
        fixes = fix_near(node.span, near)
        return error("AUD0201", node.span, labels=labels, fixes=fixes, name=name, near=near, call=None, arms=None)
    if isinstance(symbol.node, ast.Split):
        arms = arms_written(symbol.node)
        return error("AUD0201", node.span, labels=labels, name=name, near=None, call=None, arms=arms)
    call = _calls(written(near)).get(symbol.kind)
    fixes = (fix(node.span, call, safe=False, key="call"),) if call else ()
    return error("AUD0201", node.span, labels=labels, fixes=fixes, name=name, near=None, call=call, arms=None)


def _inside(node: ast.Reference, symbol: Symbol) -> bool:
    """Whether the name stands in the declaration of the symbol, which is no proposal then."""
    place, own = node.span, symbol.node.span
    return place.path == own.path and own.start <= place.start and place.end <= own.end


def arms_written(node: ast.Split) -> tuple[str, ...]:
    """The arms of a split as an expression names them."""
    name = written(node.name.text)
    return tuple(f"{name}.{written(arm.name.text)}" for arm in node.arms)


def _calls(name: str) -> dict[str, str]:
    """How an expression speaks of a declared name of a kind that is no audience."""
    return {"upload": f"uploaded({name})", "table": f"{name}()", "verb": f"{name}(*)", "delivery": f"clicked({name})"}


def _wrong_name(node: ast.Reference, kind: str, scope: Scope) -> Diagnostic:
    """A declared name of another kind where an audience is needed; a list or a table needs its call."""
    name = written(node.name.text)
    symbol = scope.symbols.get(node.name.text)
    labels = [Label(symbol.span, "declared")] if symbol else []
    if symbol is not None and isinstance(symbol.node, ast.Split):
        return error("AUD0366", node.span, labels=labels, name=node.name.text, arms=arms_written(symbol.node))
    call = _calls(name).get(kind)
    if call is None:
        return error("AUD0204", node.span, labels=labels, name=node.name.text, kind=kind, wanted="audience")
    fixes = [fix(node.span, call, safe=False, key="call")] if kind in ("upload", "table") else []
    return error("AUD0208", node.span, labels=labels, fixes=fixes, name=node.name.text, kind=kind, call=call)


def _not(node: ast.Not, operand: Meaning, scope: Scope, uses: list[Use], bag: Bag) -> Meaning:
    part = _as_kind(operand, "user_id", node.operand.span, node.span, scope, uses, bag)
    return Meaning(None if part.expression is None else ir.lnot(part.expression), "user_id")


def _chain(node: ast.Chain, meanings: Mapping[int, Meaning], scope: Scope, uses: list[Use], bag: Bag) -> Meaning:
    parts = [meanings[id(operand)] for operand in node.operands]
    kinds = [part.kind for part in parts if part.kind is not None]
    kind: ir.IdKind | None = "user_id" if "user_id" in kinds else kinds[0] if kinds else None
    first = next((o.span for o, part in zip(node.operands, parts, strict=True) if part.kind == kind), node.span)
    told: set[ir.IdKind] = set()
    expressions: list[ir.Expression] = []
    for operand, part in zip(node.operands, parts, strict=True):
        if kind is None or part.kind in told:
            continue
        whole = _as_kind(part, kind, operand.span, first, scope, uses, bag)
        if whole.expression is not None:
            expressions.append(whole.expression)
        elif part.kind is not None and part.kind != kind:
            told.add(part.kind)
    if len(expressions) < len(parts):
        return Meaning(None, kind)
    return Meaning(_join(expressions, node.operators), kind)


def _as_kind(
    part: Meaning, kind: ir.IdKind, here: Span, there: Span, scope: Scope, uses: list[Use], bag: Bag
) -> Meaning:
    """An operand as ids of another kind, through the only linkage that connects the two. `there` has that kind."""
    if part.kind is None or part.kind == kind:
        return part
    found = linkages(part.kind, kind, scope.tables.values(), scope.accounts.get(scope.account))
    if not found and _tables_unknown(scope):
        return Meaning(None, kind)
    if len(found) != 1:
        if here.start < there.start:
            bag.add(kind_problem(part.kind, kind, found, there, here))
        else:
            bag.add(kind_problem(kind, part.kind, found, here, there))
        return Meaning(None, kind)
    if part.expression is None:
        return Meaning(None, kind)
    expression = mapped_through(_or_nobody(part.expression), part.kind, kind, found[0])
    uses.append(Use(here, expression))
    return Meaning(expression, kind)


def _tables_unknown(scope: Scope) -> bool:
    """Whether a table has errors of its own: it may be the linkage that is missing."""
    return scope.symbols.may_be_unread("table") or len(scope.symbols.of_kind("table")) > len(scope.tables)


def _or_nobody(expression: ir.Expression) -> ir.Expression:
    """Nobody is said plainly: what is mapped is a set that no algebra looks into."""
    try:
        return ir.NOBODY if algebra.is_empty(expression) else expression
    except algebra.Undecided:
        return expression


def _join(operands: Sequence[ir.Expression], operators: Sequence[ast.BooleanOperator]) -> ir.Expression:
    """Grouped to the left; one OR or one AND chain with EXCEPTs is joined at once."""
    first, rest = operands[0], list(zip(operators, operands[1:], strict=False))
    if all(operator == "OR" for operator, _ in rest):
        return ir.lor(*operands)
    if all(operator != "OR" for operator, _ in rest):
        return ir.land(first, *(part if operator == "AND" else ir.lnot(part) for operator, part in rest))
    total = first
    for operator, part in rest:
        if operator == "OR":
            total = ir.lor(total, part)
        else:
            total = ir.land(total, part if operator == "AND" else ir.lnot(part))
    return total


def is_literally_friends(expression: ast.Expression) -> bool:
    """Whether `friends` is written, in parentheses or not, and nothing else."""
    while isinstance(expression, ast.Paren):
        expression = expression.inner
    return isinstance(expression, ast.Reference) and expression.name.text == "friends" and expression.member is None
