"""The algebra of sets: equal, narrower, disjoint, empty, everybody, decided exactly.

An expression is a Boolean function over atoms; worlds that certain facts rule out do not count. Up to
16 atoms it is decided by a truth table, beyond by a decision diagram, and where that outgrows the stated number
of nodes, by trying every possible person up to 30 atoms. Beyond, `Undecided` is raised rather than guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import reduce
from operator import and_, or_

from audsql.meaning import ir
from audsql.meaning.either import spelled_out
from audsql.meaning.facts import Facts, certain_facts
from audsql.meaning.search import search
from audsql.meaning.spaces import Space, Undecided, space_over
from audsql.meaning.words import Verbs, atom_words, to_words, verbs_of

__all__ = [
    "Facts",
    "Undecided",
    "Verbs",
    "anchored",
    "atom_words",
    "certain_facts",
    "closed",
    "constant_parts",
    "difference",
    "disjoint",
    "equal",
    "feasibility_of",
    "feasible",
    "function_of",
    "is_empty",
    "is_everybody",
    "possible",
    "to_words",
    "variable_order",
    "verbs_of",
    "witness",
    "witnesses",
    "within",
]


def anchored(expression: ir.Expression) -> bool:
    """Whether the set is empty where every atom is, `friends` included: then it cannot grow to everybody."""
    return not ir.evaluate(expression, frozenset())


def is_empty(expression: ir.Expression) -> bool:
    """Whether nobody is in it in any possible world. Raises Undecided."""
    return not _varies_throughout(expression, certain_facts(ir.atoms_of(expression))) and witness(expression) is None


def is_everybody(expression: ir.Expression) -> bool:
    """Whether everybody is in it in every possible world. Raises Undecided."""
    return not anchored(expression) and witness(ir.lnot(expression)) is None


def equal(left: ir.Expression, right: ir.Expression) -> bool:
    """Whether both are the same set in every possible world. Raises Undecided."""
    return left == right or difference(left, right) is None


def within(left: ir.Expression, right: ir.Expression) -> bool:
    """Whether `left` is a subset of `right` in every possible world. Raises Undecided."""
    return left == right or witness(ir.land(left, ir.lnot(right))) is None


def disjoint(left: ir.Expression, right: ir.Expression) -> bool:
    """Whether nobody is in both in any possible world. Raises Undecided."""
    return witness(ir.land(left, right)) is None


def difference(left: ir.Expression, right: ir.Expression) -> frozenset[str] | None:
    """The atoms of a possible person who is in exactly one of both; None where they are equal."""
    found = witness(ir.land(left, ir.lnot(right)))
    return found if found is not None else witness(ir.land(right, ir.lnot(left)))


def witness(expression: ir.Expression) -> frozenset[str] | None:
    """The atoms (keys) of a possible person who is in the set; None where it is always empty.
    Raises Undecided."""
    return witnesses((expression,))[0]


def witnesses(targets: Sequence[ir.Expression]) -> tuple[frozenset[str] | None, ...]:
    """For each set the atoms (keys) of a possible person in it, None where it is always empty; shared parts
    are decided once. Raises Undecided."""
    told = {target.key: target for target in targets}
    written = {atom.key: atom for target in targets for atom in ir.atoms_of(target)}
    rule = spelled_out(tuple(written.values()))
    asked = {key: ir.land(target, rule) for key, target in told.items()}
    atoms = {atom.key: atom for target in asked.values() for atom in ir.atoms_of(target)}
    facts = certain_facts([atoms[key] for key in sorted(atoms)])
    found = {key: _quick_witness(target, facts) for key, target in asked.items()}
    opened = {key: target for key, target in asked.items() if found[key] is None and target != ir.NOBODY}
    if opened:
        models = _models(tuple(opened.values()), variable_order(tuple(asked.values()), facts), facts)
        found.update(zip(opened, models, strict=True))
    return tuple(None if (one := found[target.key]) is None else one.intersection(written) for target in targets)


def _models(targets: Sequence[ir.Expression], order: Sequence[str], facts: Facts) -> tuple[frozenset[str] | None, ...]:
    """One possible person of each set, by a diagram; by trying everybody where that grows too large."""
    keys = {key: index for index, key in enumerate(order)}
    try:
        space = space_over(len(order))
        functions: dict[str, int] = {}
        feasibility = feasibility_of(space, keys, facts)
        found: list[frozenset[str] | None] = []
        for target in targets:
            function = function_of(target, space, keys, functions)
            model = space.model(space.conjunction([feasibility, function]))
            found.append(None if model is None else frozenset(order[index] for index in model))
        return tuple(found)
    except Undecided:
        return search(targets, facts)


def constant_parts(expression: ir.Expression) -> Mapping[str, bool]:
    """Which parts of the expression, by key, are always empty (False) or always everybody (True).
    Raises Undecided."""
    atoms = ir.atoms_of(expression)
    facts = certain_facts(atoms)
    if _varies_throughout(expression, facts):
        return {}
    if _all_vary(expression, _samples(expression, [atom.key for atom in atoms], facts)):
        return {}
    space, keys = _space(expression, facts)
    feasibility = feasibility_of(space, keys, facts)
    functions: dict[str, int] = {}
    found: dict[str, bool] = {}
    for node in ir.nodes_of(expression):
        function = _step(node, functions, space, keys)
        functions[node.key] = function
        if space.conjunction([feasibility, function]) == space.false:
            found[node.key] = False
        elif space.conjunction([feasibility, space.negation(function)]) == space.false:
            found[node.key] = True
    return found


def feasible(atoms: Sequence[ir.Atom]) -> Iterator[frozenset[str]]:
    """Every set of atoms (keys) that one person can be in by the certain facts, the smaller keys last."""
    keys = sorted({atom.key for atom in atoms})
    facts = certain_facts(atoms)
    allows = _checks(keys, facts)
    stack: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    while stack:
        index, chosen = stack.pop()
        if index == len(keys):
            yield frozenset(chosen)
            continue
        for taken in ((*chosen, keys[index]), chosen):
            if allows(index, frozenset(taken)):
                stack.append((index + 1, taken))


def _checks(keys: Sequence[str], facts: Facts) -> Callable[[int, Set[str]], bool]:
    """A test of the facts whose later key is the one just decided."""
    position = {key: index for index, key in enumerate(keys)}
    by_last: list[list[tuple[str, str, bool]]] = [[] for _ in keys]
    for left, right in facts.implications:
        by_last[max(position[left], position[right])].append((left, right, True))
    for left, right in facts.exclusions:
        by_last[max(position[left], position[right])].append((left, right, False))
    return lambda index, chosen: all(
        left not in chosen or (right in chosen) is implied for left, right, implied in by_last[index]
    )


# --- deciding ---------------------------------------------------------------------------------------


def _quick_witness(expression: ir.Expression, facts: Facts) -> frozenset[str] | None:
    """A likely person first: nobody's, then everything that is asked for and nothing that is excluded."""
    for chosen in _candidates(expression):
        whole = closed(chosen, facts)
        if possible(whole, facts) and ir.evaluate(expression, whole):
            return whole
    return None


def _candidates(expression: ir.Expression) -> Iterator[frozenset[str]]:
    yield frozenset()
    positive, negative = _polarities(expression)
    yield frozenset(positive - negative)
    yield frozenset(positive)


def _polarities(expression: ir.Expression) -> tuple[set[str], set[str]]:
    """The atoms that stand under an even, and under an odd number of NOTs."""
    seen: set[tuple[str, bool]] = set()
    found: tuple[set[str], set[str]] = (set(), set())
    stack: list[tuple[ir.Expression, bool]] = [(expression, False)]
    while stack:
        node, negated = stack.pop()
        if (node.key, negated) in seen:
            continue
        seen.add((node.key, negated))
        if isinstance(node, ir.Leaf):
            found[negated].add(node.key)
        stack.extend((child, negated != isinstance(node, ir.Not)) for child in ir.children(node))
    return found


def closed(chosen: Iterable[str], facts: Facts) -> frozenset[str]:
    """The atoms (keys) with all that they lie within."""
    above: dict[str, list[str]] = {}
    for left, right in facts.implications:
        above.setdefault(left, []).append(right)
    found: set[str] = set()
    stack = list(chosen)
    while stack:
        key = stack.pop()
        if key not in found:
            found.add(key)
            stack.extend(above.get(key, ()))
    return frozenset(found)


def possible(chosen: Set[str], facts: Facts) -> bool:
    """Whether no exclusion stands between these atoms (keys)."""
    return not any(left in chosen and right in chosen for left, right in facts.exclusions)


def _samples(expression: ir.Expression, keys: Sequence[str], facts: Facts) -> list[frozenset[str]]:
    """A few possible people, of each atom one and of many atoms some."""
    singles = [closed((key,), facts) for key in keys]
    packed = [_pack(order, facts) for order in (singles, singles[::-1])]
    samples = [*(closed(chosen, facts) for chosen in _candidates(expression)), *singles, *packed]
    return [sample for sample in samples if possible(sample, facts)]


def _pack(sets: Iterable[frozenset[str]], facts: Facts) -> frozenset[str]:
    """As many of these sets together as one person can be in, the first ones first."""
    if not facts.exclusions:
        return frozenset().union(*sets)
    total: frozenset[str] = frozenset()
    for one in sets:
        if possible(total | one, facts):
            total |= one
    return total


def _varies_throughout(expression: ir.Expression, facts: Facts) -> bool:
    """Whether it is plain that no part is constant: each part stands once, and atoms are independent."""
    if facts.implications or facts.exclusions:
        return False
    nodes = ir.nodes_of(expression)
    if any(isinstance(node, ir.Constant) for node in nodes):
        return False
    return sum(len(ir.children(node)) for node in nodes) == len(nodes) - 1


def _all_vary(expression: ir.Expression, samples: Sequence[frozenset[str]]) -> bool:
    """Whether these people alone show that no part is constant; one bit for each of them."""
    full = (1 << len(samples)) - 1
    values: dict[str, int] = {}
    for node in ir.nodes_of(expression):
        match node:
            case ir.Constant():
                return False
            case ir.Leaf():
                value = sum(1 << index for index, sample in enumerate(samples) if node.key in sample)
            case ir.Not(operand):
                value = full ^ values[operand.key]
            case ir.And(operands):
                value = reduce(and_, (values[operand.key] for operand in operands))
            case ir.Or(operands):
                value = reduce(or_, (values[operand.key] for operand in operands))
        if value in (0, full):
            return False
        values[node.key] = value
    return True


def _space(expression: ir.Expression, facts: Facts) -> tuple[Space, Mapping[str, int]]:
    order = variable_order((expression,), facts)
    return space_over(len(order)), {key: index for index, key in enumerate(order)}


def variable_order(targets: Sequence[ir.Expression], facts: Facts) -> list[str]:
    """Atoms in order of appearance, those that facts connect side by side: small diagrams need both."""
    neighbours: dict[str, list[str]] = {}
    for left, right in (*facts.implications, *facts.exclusions):
        neighbours.setdefault(left, []).append(right)
        neighbours.setdefault(right, []).append(left)
    appearance = [node.key for target in targets for node in ir.nodes_of(target) if isinstance(node, ir.Leaf)]
    inside = set(appearance)
    order: dict[str, None] = {}
    for first in appearance:
        component, stack = {first}, [first]
        while stack and first not in order:
            fresh = [key for key in neighbours.get(stack.pop(), ()) if key in inside and key not in component]
            component.update(fresh)
            stack.extend(fresh)
        order.update(dict.fromkeys(key for key in appearance if key in component))
    return list(order)


def feasibility_of(space: Space, keys: Mapping[str, int], facts: Facts) -> int:
    """The assignments of these atoms (keys with their variables) that the facts allow."""
    variable = {key: space.variable(index) for key, index in keys.items()}
    clauses = [
        space.disjunction([space.negation(variable[left]), variable[right]])
        for left, right in _without_shortcuts(facts.implications)
    ]
    clauses += [space.negation(space.conjunction([variable[a], variable[b]])) for a, b in facts.exclusions]
    return space.conjunction(clauses)


def _without_shortcuts(implications: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The implications that do not follow from two others; sets that are equal keep all of theirs."""
    above: dict[str, set[str]] = {}
    for left, right in implications:
        above.setdefault(left, set()).add(right)

    def follows(left: str, right: str) -> bool:
        return any(
            right in above.get(middle, ()) and left not in above.get(middle, ()) and middle not in above.get(right, ())
            for middle in above[left] - {right}
        )

    return [(left, right) for left, right in implications if not follows(left, right)]


def function_of(expression: ir.Expression, space: Space, keys: Mapping[str, int], functions: dict[str, int]) -> int:
    """The expression in a space; `functions` are those of parts that are known already, new ones are added."""
    for node in ir.nodes_of(expression):
        if node.key not in functions:
            functions[node.key] = _step(node, functions, space, keys)
    return functions[expression.key]


def _step(node: ir.Expression, functions: Mapping[str, int], space: Space, keys: Mapping[str, int]) -> int:
    match node:
        case ir.Constant(value):
            return space.true if value else space.false
        case ir.Leaf():
            return space.variable(keys[node.key])
        case ir.Not(operand):
            return space.negation(functions[operand.key])
        case ir.And(operands):
            return space.conjunction([functions[operand.key] for operand in operands])
        case ir.Or(operands):
            return space.disjunction([functions[operand.key] for operand in operands])
