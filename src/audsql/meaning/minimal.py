"""The shortest way to write a set: redundant parts out, then two-level minimisation and factoring.

Assignments that certain facts rule out are free: a formula may say anything of them. To 12 atoms the products
are a least cover by prime implicants, to 30 an irredundant cover read off a decision diagram; beyond, an
expression stays as it is. The shortest of all candidates is taken, the expression itself among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from audsql.meaning import cover, ir
from audsql.meaning.algebra import feasibility_of, function_of, variable_order
from audsql.meaning.either import spelled_out
from audsql.meaning.facts import Facts, certain_facts
from audsql.meaning.spaces import Diagrams, Space, Tables, Undecided, space_over
from audsql.meaning.words import to_words

__all__ = ["ATOMS_MAX", "literals_in", "minimal"]

TABLE_ATOMS_MAX = 12
ATOMS_MAX = 30
_LITERALS_MAX = 400
_DEPTH_MAX = 100
_TERMS_MAX = 64


def minimal(expression: ir.Expression, facts: Facts | None = None) -> ir.Expression:
    """An expression of the same meaning in every world that the facts allow, and never a longer one.

    `facts`: those between its atoms; the certain ones where None.
    """
    if isinstance(expression, (ir.Constant, ir.Leaf)):
        return expression
    atoms = ir.atoms_of(expression)
    if len(atoms) > ATOMS_MAX or literals_in(expression) > _LITERALS_MAX or _depth(expression) > _DEPTH_MAX:
        return expression
    known = _between({atom.key for atom in atoms}, certain_facts(atoms) if facts is None else facts)
    return _shortest(expression, _candidates(expression, atoms, known))


def literals_in(expression: ir.Expression) -> int:
    """How many atoms a person reads in it; tiers of one attribute in one union count once."""
    counts: dict[str, int] = {}
    for node in ir.nodes_of(expression):
        parts = ir.children(node)
        own = 1 if isinstance(node, ir.Leaf) else sum(counts[part.key] for part in parts)
        if isinstance(node, ir.Or):
            tiers = [family for part in parts if (family := _family(part))]
            own -= len(tiers) - len(set(tiers))
        counts[node.key] = own
    return counts[expression.key]


def _family(node: ir.Expression) -> str:
    """The attribute that a leaf is a tier of; '' for everything else."""
    return node.atom.family if isinstance(node, ir.Leaf) and isinstance(node.atom, ir.Attribute) else ""


def _between(keys: set[str], facts: Facts) -> Facts:
    return Facts(
        tuple(pair for pair in facts.implications if keys.issuperset(pair)),
        tuple(pair for pair in facts.exclusions if keys.issuperset(pair)),
    )


def _depth(expression: ir.Expression) -> int:
    depths: dict[str, int] = {}
    for node in ir.nodes_of(expression):
        depths[node.key] = 1 + max((depths[part.key] for part in ir.children(node)), default=0)
    return depths[expression.key]


def _shortest(expression: ir.Expression, candidates: Iterator[ir.Expression]) -> ir.Expression:
    """The first of the shortest candidates that is longer neither in atoms nor in characters."""
    literals, characters = literals_in(expression), len(to_words(expression))
    best, best_size = expression, (literals, _negations(expression), characters)
    for candidate in candidates:
        size = (literals_in(candidate), _negations(candidate), len(to_words(candidate)))
        if size < best_size and size[2] <= characters:
            best, best_size = candidate, size
    return best


def _negations(expression: ir.Expression) -> int:
    """Complements that no EXCEPT can say."""
    count = int(isinstance(expression, ir.Not))
    for node in ir.nodes_of(expression):
        parts = ir.children(node)
        negated = sum(isinstance(part, ir.Not) for part in parts)
        count += 0 if isinstance(node, ir.And) and negated < len(parts) else negated
    return count


def _candidates(expression: ir.Expression, atoms: Sequence[ir.Atom], facts: Facts) -> Iterator[ir.Expression]:
    order = variable_order((expression,), facts)
    space, keys = space_over(len(order)), {key: index for index, key in enumerate(order)}
    leaves = {atom.key: ir.leaf(atom) for atom in atoms}
    literals: dict[tuple[int, bool], ir.Expression] = {(keys[key], True): one for key, one in leaves.items()}
    literals |= {(keys[key], False): ir.lnot(one) for key, one in leaves.items()}
    try:
        allowed = feasibility_of(space, keys, facts)
        rule = spelled_out(atoms)
        if all(atom.key in keys for atom in ir.atoms_of(rule)):
            allowed = space.conjunction((allowed, function_of(rule, space, keys, {})))
        pruned, function = _prune(expression, allowed, space, keys)
        yield pruned
        inside = space.conjunction((function, allowed))
        outside = space.conjunction((space.negation(function), allowed))
        for target, other, negated in ((inside, outside, False), (outside, inside, True)):
            products = _products(space, target, space.negation(other))
            if products is not None:
                yield _factored([frozenset(map(literals.__getitem__, product)) for product in products], negated)
    except Undecided:
        return


def _products(space: Space, lower: int, upper: int) -> Sequence[cover.Product] | None:
    """Products between two functions; None where there are more than anybody would read."""
    if isinstance(space, Tables) and space.count <= TABLE_ATOMS_MAX:
        found = cover.least(space, lower, upper)
        if found is not None:
            return found if len(found) <= _TERMS_MAX else None
    if isinstance(space, Tables):
        diagrams = Diagrams(space.count)
        lower, upper = cover.drawn(diagrams, space, lower), cover.drawn(diagrams, space, upper)
        return cover.irredundant(diagrams, lower, upper, _TERMS_MAX)
    assert isinstance(space, Diagrams)
    return cover.irredundant(space, lower, upper, _TERMS_MAX)


# --- redundant parts ----------------------------------------------------------------------------------


def _prune(expression: ir.Expression, care: int, space: Space, keys: Mapping[str, int]) -> tuple[ir.Expression, int]:
    """The expression without what makes no difference where `care` holds, and its function. As deep as the
    expression, which `minimal` bounds."""
    match expression:
        case ir.Not(operand):
            pruned, function = _prune(operand, care, space, keys)
            return ir.lnot(pruned), space.negation(function)
        case ir.And(operands) | ir.Or(operands):
            return _prune_operands(expression, operands, care, space, keys)
        case _:
            return expression, function_of(expression, space, keys, {})


def _prune_operands(
    node: ir.And | ir.Or, operands: Sequence[ir.Expression], care: int, space: Space, keys: Mapping[str, int]
) -> tuple[ir.Expression, int]:
    """One operand after the other, the longest first, where the others leave it a say."""
    joined = isinstance(node, ir.And)
    known: dict[str, int] = {}
    parts = [(part, function_of(part, space, keys, known)) for part in operands]
    for part in sorted(operands, key=lambda one: (-literals_in(one), not isinstance(one, ir.Not), one.key)):
        index = next(i for i, (other, _) in enumerate(parts) if other == part)
        rest = [function if joined else space.negation(function) for i, (_, function) in enumerate(parts) if i != index]
        scope = space.conjunction((care, *rest))
        function = parts[index][1]
        mattering = space.conjunction((scope, space.negation(function) if joined else function))
        if mattering == space.false:
            del parts[index]
        else:
            parts[index] = _prune(part, scope, space, keys)
    functions = [function for _, function in parts]
    if joined:
        return ir.land(*(part for part, _ in parts)), space.conjunction(functions)
    return ir.lor(*(part for part, _ in parts)), space.disjunction(functions)


# --- factoring ----------------------------------------------------------------------------------------

_Literals = frozenset[ir.Expression]


def _factored(products: Sequence[_Literals], negated: bool) -> ir.Expression:
    """A sum of products with common parts out; `negated`: the complement, each part turned round.

    Each step takes an atom out of what is left, so the recursion is as deep as there are atoms.
    """
    join, meet = (ir.land, ir.lor) if negated else (ir.lor, ir.land)

    def literal(one: ir.Expression) -> ir.Expression:
        return ir.lnot(one) if negated else one

    def build(terms: Sequence[_Literals]) -> ir.Expression:
        if not terms or frozenset() in terms:
            return ir.Constant(bool(terms) != negated)
        common = frozenset.intersection(*terms)
        if common:
            return meet(*map(literal, _ordered(common)), build([term - common for term in terms]))
        often = _most_frequent(terms)
        if often is None:
            return join(*(meet(*map(literal, _ordered(term))) for term in terms))
        quotient = [term - {often} for term in terms if often in term]
        shared = frozenset.intersection(*quotient)
        quotient = [term - shared for term in quotient]
        divisor = _divided(terms, quotient)
        rest = [term for term in terms if not any(one | part == term for one in divisor for part in quotient)]
        whole = meet(build(divisor), build(quotient))
        return join(whole, build(rest)) if rest else whole

    return build(products)


def _ordered(literals: _Literals) -> list[ir.Expression]:
    return sorted(literals, key=lambda one: one.key)


def _most_frequent(terms: Sequence[_Literals]) -> ir.Expression | None:
    """The literal of the most products, the smaller key first; None where each has its own."""
    counts: dict[str, tuple[int, ir.Expression]] = {}
    for term in terms:
        for one in term:
            counts[one.key] = (counts.get(one.key, (0, one))[0] + 1, one)
    best = min(counts.values(), key=lambda pair: (-pair[0], pair[1].key))
    return best[1] if best[0] > 1 else None


def _divided(terms: Sequence[_Literals], quotient: Sequence[_Literals]) -> list[_Literals]:
    """What the quotient must be joined with, each time all of it, to give products that are there."""
    present = set(terms)
    first = quotient[0]
    found: dict[_Literals, None] = {}
    for term in terms:
        if first <= term:
            one = term - first
            if all(one | part in present and not one & part for part in quotient):
                found[one] = None
    return list(found)
