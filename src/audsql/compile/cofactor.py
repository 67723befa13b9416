"""Splits a delivery's function by the three worlds of its atoms (specs/compile.md, `compile.cells`).

The function is drawn as one decision diagram: line atoms on top, attribute rails below, own atoms at the
bottom. The cofactors at the lowest level are functions of own data; the cells that they cut own data into
are what uploads must tell apart. For each cell, the cofactors at the attribute level are what is left for
a send's filter, and the ways to reach one of them are that send's recipients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from audsql.compile import decision
from audsql.compile.decision import Space
from audsql.compile.least import Least
from audsql.compile.shape import Rail, literals_of, normal, residual
from audsql.meaning import ir
from audsql.meaning.algebra import certain_facts
from audsql.records import dataclass

__all__ = ["ATOMS_MAX", "CELLS_MAX", "Moving", "Split", "TooMany", "Way", "express", "facts_of", "moving", "split"]

ATOMS_MAX = 256
"""Atoms of one delivery; a diagram is as deep as it has atoms."""
CELLS_MAX = 64
"""Behaviours that own data must tell apart in one delivery; six uploads."""


class TooMany(Exception):
    """The expression has too many atoms, or tells too much apart, for the compiler. `atoms`: how many."""

    def __init__(self, atoms: int) -> None:
        super().__init__(f"{atoms} atoms")
        self.atoms = atoms


@dataclass(frozen=True, slots=True)
class Way:
    """People with one rest of the function over the attributes, or with one part of their rests.

    `rest` is that function; `everybody` whether it is true of all. `lines` gives, for each cell, the
    function of the line atoms that leads to it. `shapes` are ways to write the rest, over attributes only.
    """

    rest: int
    everybody: bool
    lines: tuple[int, ...]
    shapes: tuple[ir.Expression, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """A function split. Variables are numbered: `rails` gives the literal of each; lines are
    [0, attribute_start), attributes [attribute_start, own_start), own atoms from there.

    `attribute_facts` are the states of the attributes that can occur, `attribute_known` those in which each
    is yes or no. `cells` partition own data; the first holds people of whom own data knows nothing. `naturals` are the
    functions of own data that occur in the expression, as the author wrote them. `ways` is a cover by sends: the
    distinct rests, or what `fewest.covered` made of them, whose `lines` may overlap where their rests do not;
    `sends_least` says how few they can be.
    """

    space: Space
    rails: tuple[Rail, ...]
    atoms: Mapping[str, ir.Atom]
    attribute_start: int
    own_start: int
    line_facts: int
    attribute_facts: int
    attribute_known: int
    own_facts: int
    cells: tuple[int, ...]
    naturals: tuple[tuple[int, ir.Expression], ...]
    ways: tuple[Way, ...]
    sends_least: Least

    @property
    def lines(self) -> tuple[ir.Atom, ...]:
        return tuple(self.atoms[key] for key, _ in self.rails[: self.attribute_start])


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A normal form with a level for each of its literals."""

    space: Space
    form: ir.Expression
    rails: tuple[Rail, ...]
    atoms: Mapping[str, ir.Atom]
    attribute_start: int
    own_start: int


def split(expression: ir.Expression) -> Split:
    """Split a function of own, line and attribute atoms; raises TooMany."""
    form = normal(expression)
    count = len(ir.atoms_of(form))
    if count > ATOMS_MAX:
        raise TooMany(count)
    try:
        return _split(_draw(form), moving(form))
    except decision.SpaceFull:
        raise TooMany(count) from None


def express(space: Space, expression: ir.Expression, levels: Mapping[Rail, int]) -> int:
    """The function of a normal form. A negated literal without a level of its own is the complement."""
    values: dict[str, int] = {}
    for node in ir.nodes_of(expression):
        match node:
            case ir.Constant(value):
                values[node.key] = int(value)
            case ir.Leaf(atom):
                level = levels.get((atom.key, True))
                values[node.key] = decision.FALSE if level is None else decision.variable(space, level)
            case ir.Not(operand):
                level = levels.get((operand.key, False))
                values[node.key] = (
                    decision.negation(space, values[operand.key]) if level is None else decision.variable(space, level)
                )
            case ir.And(operands):
                values[node.key] = decision.conjunction(space, (values[part.key] for part in operands))
            case ir.Or(operands):
                values[node.key] = decision.disjunction(space, (values[part.key] for part in operands))
    return values[expression.key]


def _draw(form: ir.Expression) -> _Drawing:
    literals = literals_of(form)
    lines = sorted({atom.key for atom, _ in literals if atom.world == "line"})
    attributes = [(atom, positive) for atom, positive in literals if atom.world == "attribute"]
    attributes.sort(key=lambda literal: (literal[0].key.partition("(")[0], literal[0].key, not literal[1]))
    own = dict.fromkeys(atom.key for atom, _ in literals if atom.world == "own")
    rails = (
        *((key, True) for key in lines),
        *((atom.key, positive) for atom, positive in attributes),
        *((key, True) for key in own),
    )
    atoms = {atom.key: atom for atom, _ in literals}
    return _Drawing(Space(), form, rails, atoms, len(lines), len(lines) + len(attributes))


def _split(drawing: _Drawing, moved: Moving) -> Split:
    space, own_start, attribute_start = drawing.space, drawing.own_start, drawing.attribute_start
    levels = {rail: level for level, rail in enumerate(drawing.rails)}
    line_facts = facts_of(space, _of_world(drawing, "line"), levels)
    own_facts = facts_of(space, _of_world(drawing, "own"), levels, moved)
    attribute_facts, attribute_known = _attribute_facts(drawing, levels)
    meaning = express(space, drawing.form, levels)
    whole = decision.conjunction(space, (meaning, line_facts, attribute_facts, own_facts))
    functions = [node for node in decision.below(space, whole, own_start) if node != decision.FALSE]
    cells = _cells(space, own_facts, functions, len(drawing.atoms))
    cofactors = [_in_cell(space, whole, own_start, cell) for cell in cells]
    ways = tuple(_ways(drawing, cells, cofactors, attribute_facts))
    return Split(
        space,
        drawing.rails,
        drawing.atoms,
        attribute_start,
        own_start,
        line_facts,
        attribute_facts,
        attribute_known,
        own_facts,
        cells,
        tuple(_naturals(drawing, whole)),
        ways,
        _sends_least(len(ways)),
    )


def _sends_least(ways: int) -> Least:
    """What is certain before `fewest.covered` looks: two rests that differ are two sends."""
    return Least(min(ways, 2), ("nothing", "one", "rank")[min(ways, 2)], ways <= 2)


# --- certain facts --------------------------------------------------------------------------------


def _pairs(atoms: Iterable[ir.Atom]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Implications and exclusions between atoms, in a fixed order."""
    ordered = sorted(atoms, key=lambda atom: atom.key)
    keys = {atom.key for atom in ordered}
    facts = certain_facts(ordered)
    implications = sorted((a, b) for a, b in facts.implications if a in keys and b in keys and a != b)
    exclusions = sorted((a, b) for a, b in facts.exclusions if a in keys and b in keys and a != b)
    return implications, exclusions


def _of_world(drawing: _Drawing, world: str) -> list[ir.Atom]:
    return [atom for atom in drawing.atoms.values() if atom.world == world]


@dataclass(frozen=True, slots=True)
class Moving:
    """Keys of own atoms that add people to a set and that take some away, some do both, some neither. Apply takes
    what only adds as it was approved, reads what only subtracts again, and stops where what does both has changed.

    `data`: all that data can change. Of what does neither it is not known here which of these happens to it."""

    data: frozenset[str]
    added: frozenset[str]
    subtracted: frozenset[str]

    def breaks_implication(self, inner: str, outer: str) -> bool:
        return {inner, outer} <= self.data and inner not in self.added and outer not in self.subtracted

    def breaks_exclusion(self, left: str, right: str) -> bool:
        unchanged = self.added & self.subtracted
        pair = {left, right}
        return pair <= self.data and not pair & unchanged and not pair <= self.added


_STILL = Moving(frozenset(), frozenset(), frozenset())


@lru_cache(maxsize=8_192)
def moving(expression: ir.Expression) -> Moving:
    """Which own atoms an expression only grows with, and only shrinks with, whatever the others are: a list in
    `(a EXCEPT list) EXCEPT (b EXCEPT list)` is only subtracted. A bucket depends on no data."""
    form = normal(expression)
    drawing = _draw(form)
    own = [key for key, _ in drawing.rails[drawing.own_start :] if not isinstance(drawing.atoms[key], ir.Bucket)]
    try:
        return _monotone(drawing, own) if len(drawing.atoms) <= ATOMS_MAX else _as_written(form, own)
    except decision.SpaceFull:
        return _as_written(form, own)


def _monotone(drawing: _Drawing, own: Sequence[str]) -> Moving:
    space, levels = drawing.space, {rail: level for level, rail in enumerate(drawing.rails)}
    function = express(space, drawing.form, levels)
    added: set[str] = set()
    subtracted: set[str] = set()
    for key in own:
        without, having = (decision.fixed(space, function, levels[(key, True)], value) for value in (0, 1))
        if not decision.within(space, having, without):
            added.add(key)
        if not decision.within(space, without, having):
            subtracted.add(key)
    return Moving(frozenset(own), frozenset(added), frozenset(subtracted))


def _as_written(form: ir.Expression, own: Sequence[str]) -> Moving:
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for atom, positive in literals_of(form):
        sides[positive].add(atom.key)
    return Moving(frozenset(own), frozenset(sides[True] & {*own}), frozenset(sides[False] & {*own}))


def facts_of(space: Space, atoms: Iterable[ir.Atom], levels: Mapping[Rail, int], moved: Moving = _STILL) -> int:
    """The assignments of these atoms that certain facts allow; each atom is true or false.

    Facts that a send may break by the time it is made are no facts (specs/compile.md, `compile.moving`).
    """
    chosen = tuple(atoms)
    clicks = {atom.key for atom in chosen if isinstance(atom, ir.Clicked)}
    truths = {atom.key: decision.variable(space, levels[(atom.key, True)]) for atom in chosen}
    implications, exclusions = _pairs(chosen)
    return _constrain(
        space,
        truths,
        [pair for pair in implications if not clicks.issuperset(pair) and not moved.breaks_implication(*pair)],
        [pair for pair in exclusions if not moved.breaks_exclusion(*pair)],
    )


def _constrain(
    space: Space,
    truths: Mapping[str, int],
    implications: Iterable[tuple[str, str]],
    exclusions: Iterable[tuple[str, str]],
) -> int:
    clauses = [
        decision.either(space, decision.negation(space, truths[inner]), truths[outer]) for inner, outer in implications
    ]
    clauses += [
        decision.negation(space, decision.both(space, truths[left], truths[right])) for left, right in exclusions
    ]
    return decision.conjunction(space, clauses)


def _attribute_facts(drawing: _Drawing, levels: Mapping[Rail, int]) -> tuple[int, int]:
    """The states of the rails that can occur, and those of people of whom all is known: a family is unknown
    (all rails false) or known (the rails of an atom are opposite, and certain facts hold)."""
    space = drawing.space
    implications, exclusions = _pairs(_of_world(drawing, "attribute"))
    families: dict[str, list[str]] = {}
    for key, _ in drawing.rails[drawing.attribute_start : drawing.own_start]:
        families.setdefault(key.partition("(")[0], []).append(key)
    total = sure = decision.TRUE
    for keys in families.values():
        rails = [levels[rail] for key in keys for rail in ((key, True), (key, False)) if rail in levels]
        unknown = decision.conjunction(
            space, (decision.negation(space, decision.variable(space, level)) for level in rails)
        )
        known = _known(space, levels, set(keys), implications, exclusions)
        total = decision.both(space, total, decision.either(space, unknown, known))
        sure = decision.both(space, sure, known)
    return total, sure


def _known(
    space: Space,
    levels: Mapping[Rail, int],
    keys: set[str],
    implications: Sequence[tuple[str, str]],
    exclusions: Sequence[tuple[str, str]],
) -> int:
    truths: dict[str, int] = {}
    clauses: list[int] = []
    for key in sorted(keys):
        yes, no = levels.get((key, True)), levels.get((key, False))
        if yes is None and no is not None:
            truths[key] = decision.negation(space, decision.variable(space, no))
        elif yes is not None:
            truths[key] = decision.variable(space, yes)
            if no is not None:
                opposite = decision.negation(space, decision.variable(space, no))
                clauses.append(decision.choose(space, truths[key], opposite, decision.negation(space, opposite)))
    inside = [pair for pair in implications if set(pair) <= keys]
    apart = [pair for pair in exclusions if set(pair) <= keys]
    return decision.conjunction(space, (*clauses, _constrain(space, truths, inside, apart)))


# --- cells ----------------------------------------------------------------------------------------


def _cells(space: Space, own_facts: int, functions: Sequence[int], atoms: int) -> tuple[int, ...]:
    """The partition of own data that the functions generate; the cell of the unlisted first."""
    cells = [own_facts]
    for function in functions:
        parts: list[int] = []
        for cell in cells:
            inside = decision.both(space, cell, function)
            outside = decision.both(space, cell, decision.negation(space, function))
            parts.extend(part for part in (inside, outside) if part != decision.FALSE)
        cells = parts
        if len(cells) > CELLS_MAX:
            raise TooMany(atoms)
    return tuple(sorted(cells, key=lambda cell: not decision.evaluate(space, cell, ())))


def _in_cell(space: Space, whole: int, own_start: int, cell: int) -> int:
    """The function of line atoms and attributes that people of one cell have."""
    return decision.relabel(space, whole, own_start, lambda node: int(decision.within(space, cell, node)))


def _naturals(drawing: _Drawing, whole: int) -> Iterator[tuple[int, ir.Expression]]:
    for node, chosen in decision.paths(drawing.space, whole, drawing.own_start).items():
        if node != decision.FALSE:
            yield node, residual(drawing.form, _decided(drawing, chosen, 0, drawing.own_start))


def _decided(drawing: _Drawing, chosen: Iterable[int], start: int, end: int) -> dict[Rail, bool]:
    """The literals of the variables in [start, end), those `chosen` true and all others false."""
    true = frozenset(chosen)
    decided: dict[Rail, bool] = {}
    for level in range(start, end):
        key, positive = drawing.rails[level]
        decided[(key, positive)] = level in true
        if not drawing.attribute_start <= level < drawing.own_start:
            decided[(key, False)] = level not in true
    return decided


# --- ways -----------------------------------------------------------------------------------------


def _ways(drawing: _Drawing, cells: Sequence[int], cofactors: Sequence[int], facts: int) -> Iterator[Way]:
    space, start = drawing.space, drawing.attribute_start
    rests: dict[int, None] = {}
    for cofactor in cofactors:
        rests.update(dict.fromkeys(node for node in decision.below(space, cofactor, start) if node != decision.FALSE))
    for rest in rests:
        lines = tuple(_leading_to(space, cofactor, start, rest) for cofactor in cofactors)
        yield Way(rest, rest == facts, lines, tuple(_shapes(drawing, cells, cofactors, rest)))


def _leading_to(space: Space, cofactor: int, start: int, rest: int) -> int:
    return decision.relabel(space, cofactor, start, lambda node: int(node == rest))


def _shapes(drawing: _Drawing, cells: Sequence[int], cofactors: Sequence[int], rest: int) -> Iterator[ir.Expression]:
    """What the author's expression leaves, at one example of each cell."""
    space, start = drawing.space, drawing.attribute_start
    seen: set[str] = set()
    for cell, cofactor in zip(cells, cofactors, strict=True):
        chosen = decision.paths(space, cofactor, start).get(rest)
        if chosen is None:
            continue
        person = decision.paths(space, cell, len(drawing.rails))[decision.TRUE]
        decided = _decided(drawing, chosen, 0, start) | _decided(drawing, person, drawing.own_start, len(drawing.rails))
        shape = residual(drawing.form, decided)
        if shape.key not in seen:
            seen.add(shape.key)
            yield shape
