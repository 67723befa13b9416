"""Who gets which send of a compiled delivery, as a matrix of kinds of people (specs/explain.md, `explain.compile`).

A row is a group of own data with what LINE's audiences say of its people, a column what LINE knows of their
attributes. People whom the same sends reach are one row; attributes that the same filters take are one column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from audsql.compile import decision, formula
from audsql.compile.cofactor import Split
from audsql.compile.covers import Cover
from audsql.compile.trees import Tree
from audsql.compile.working import Working
from audsql.meaning import ir
from audsql.records import dataclass

__all__ = [
    "Column",
    "Literal",
    "Matrix",
    "Row",
    "apart",
    "group_numbers",
    "matrix_of",
    "words_of_lines",
]

Reached = frozenset[int]
"""Numbers of sends, from 0."""

_STATES = ("yes", "no", "not_no", "not_yes")
_CLASSES_MAX = 400
_TERMS_MAX = 6
_WITNESSES_MAX = 8
_WITNESS_CELLS_MAX = 120


@dataclass(frozen=True, slots=True)
class Literal:
    """What LINE knows of one attribute. `state`: yes; no; `not_yes`, no or unknown; `not_no`, yes or unknown."""

    atom: ir.Atom
    state: str


@dataclass(frozen=True, slots=True)
class Column:
    """`states` of the attributes that the same `fitting` sends' filters take: any of `terms` holds, each as a whole.
    No terms: it could not be said shortly. `rest`: whom LINE knows nothing of is among them."""

    states: int
    fitting: Reached
    terms: tuple[tuple[Literal, ...], ...]
    rest: bool


@dataclass(frozen=True, slots=True)
class Row:
    """People of one cell of own data whom the same sends are `meant` for, as far as recipients go. `line` is the
    function of LINE's audiences that they have."""

    cell: int
    line: int
    meant: Reached


@dataclass(frozen=True, slots=True)
class Matrix:
    """`rows` by cell, the unlisted last; in each the reached first. `columns`: the rest last. `witness`: places (row,
    column) of which no two can be in one send, for one send takes all its recipients through one filter."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    witness: tuple[tuple[int, int], ...]

    def at(self, row: int, column: int) -> tuple[int, ...]:
        """The sends that reach these people, in order."""
        return tuple(sorted(self.rows[row].meant & self.columns[column].fitting))


def group_numbers(split: Split) -> tuple[int, ...]:
    """Cells in the order in which they are shown: people unknown to the data come last."""
    return (*range(1, len(split.cells)), 0)


def matrix_of(working: Working) -> Matrix | None:
    """None where there are too many kinds of people to tell."""
    split = working.split
    try:
        lines = [_recipients(working.split, working.cover, tree) for _, tree in _trees(working.cover)]
        rests = [working.parts[part].way.rest for part, _ in _trees(working.cover)]
        columns = _columns(split, rests)
        rows = [row for cell in group_numbers(split) for row in _rows(split, cell, [line[cell] for line in lines])]
    except decision.SpaceFull:
        return None
    return Matrix(tuple(rows), tuple(columns), _witness(rows, columns))


def _trees(cover: Cover) -> list[tuple[int, Tree]]:
    """Each send's tree with the number of its part, in the order of the sends."""
    return [(part, tree) for part, trees in enumerate(cover.trees) for tree in trees]


def _recipients(split: Split, cover: Cover, tree: Tree) -> tuple[int, ...]:
    """For each cell the function of LINE's audiences with which its people are recipients of a send."""
    space, found = split.space, []
    for cell in range(len(split.cells)):

        def literal(item: formula.Literal, cell: int = cell) -> int:
            if item.variable < tree.task.uploads:
                inside = bool(cover.encoding[tree.task.bits[item.variable]] >> cell & 1)
                return decision.TRUE if inside == item.positive else decision.FALSE
            level = decision.variable(space, tree.task.levels[item.variable - tree.task.uploads])
            return level if item.positive else decision.negation(space, level)

        line = formula.render(
            tree.spoken,
            literal,
            int,
            lambda parts: decision.conjunction(space, parts),
            lambda parts: decision.disjunction(space, parts),
        )
        found.append(decision.both(space, split.line_facts, line))
    return tuple(found)


def _classes(split: Split, everybody: int, functions: Sequence[int]) -> list[tuple[int, Reached]]:
    """`everybody` told apart by these functions: each part with the functions that are true of it, the fewest last."""
    space = split.space
    parts: list[tuple[int, Reached]] = [(everybody, frozenset())]
    for index, function in enumerate(functions):
        halves: list[tuple[int, Reached]] = []
        for part, inside in parts:
            halves.append((decision.both(space, part, function), inside | {index}))
            halves.append((decision.both(space, part, decision.negation(space, function)), inside))
        parts = [(part, inside) for part, inside in halves if part != decision.FALSE]
        if len(parts) > _CLASSES_MAX:
            raise decision.SpaceFull
    return sorted(parts, key=lambda one: (not one[1], sorted(one[1])))


def _rows(split: Split, cell: int, lines: Sequence[int]) -> Iterator[Row]:
    for line, meant in _classes(split, split.line_facts, lines):
        yield Row(cell, line, meant)


def _columns(split: Split, rests: Sequence[int]) -> list[Column]:
    found = [
        Column(states, fitting, _terms(split, states), decision.evaluate(split.space, states, ()))
        for states, fitting in _classes(split, split.attribute_facts, rests)
    ]
    return sorted(found, key=lambda column: column.rest)


def _terms(split: Split, states: int) -> tuple[tuple[Literal, ...], ...]:
    space = split.space
    upper = decision.either(space, states, decision.negation(space, split.attribute_facts))
    try:
        cubes = decision.cover(space, states, upper, _TERMS_MAX)
    except decision.SpaceFull:
        return ()
    terms = ([_literal(split, level, positive) for level, positive in cube] for cube in cubes)
    return tuple(tuple(sorted(term, key=lambda literal: _STATES.index(literal.state))) for term in terms)


def _literal(split: Split, level: int, positive: bool) -> Literal:
    key, wanted = split.rails[level]
    state = "yes" if wanted else "no"
    return Literal(split.atoms[key], state if positive else f"not_{state}")


def words_of_lines(split: Split, line: int) -> ir.Expression:
    """A function of LINE's audiences as an expression; what certain facts exclude is left open."""
    space = split.space
    try:
        cubes = decision.cover(space, line, decision.either(space, line, decision.negation(space, split.line_facts)))
    except decision.SpaceFull:
        return ir.NOBODY
    leaves = [ir.leaf(atom) for atom in split.lines]
    terms = (ir.land(*(leaves[level] if wanted else ir.lnot(leaves[level]) for level, wanted in c)) for c in cubes)
    return ir.lor(*terms)


# --- why not fewer ----------------------------------------------------------------------------------


def _witness(rows: Sequence[Row], columns: Sequence[Column]) -> tuple[tuple[int, int], ...]:
    """Places that need a send each. A send that reached two of them would reach the two corners beside them too, and
    in one of those is nobody of the delivery."""
    filled = [
        (row, column)
        for row, one in enumerate(rows)
        for column, other in enumerate(columns)
        if one.meant & other.fitting
    ][:_WITNESS_CELLS_MAX]

    def one_send(left: tuple[int, int], right: tuple[int, int]) -> bool:
        corners = ((left[0], right[1]), (right[0], left[1]))
        return all(rows[row].meant & columns[column].fitting for row, column in corners)

    best: list[tuple[int, int]] = []
    for start in filled:
        found = [start]
        for place in filled:
            if not any(one_send(place, other) for other in found):
                found.append(place)
        best = max(best, sorted(found), key=len)
    return tuple(best[:_WITNESSES_MAX])


def apart(working: Working, matrix: Matrix) -> dict[str, list[tuple[int, int]]]:
    """The pairs of sends by what keeps them disjoint: `own` data, LINE's `audiences`, the `attributes`; `order`
    where only the later one's exclusion of the earlier does."""
    rests = [working.parts[part].way.rest for part, _ in _trees(working.cover)]
    cells = [{row.cell for row in matrix.rows if send in row.meant} for send in range(len(rests))]
    rows = [{index for index, row in enumerate(matrix.rows) if send in row.meant} for send in range(len(rests))]
    found: dict[str, list[tuple[int, int]]] = {}
    for left, right in combinations(range(len(rests)), 2):
        if not cells[left] & cells[right]:
            by = "own"
        elif not rows[left] & rows[right]:
            by = "audiences"
        elif decision.both(working.split.space, rests[left], rests[right]) == decision.FALSE:
            by = "attributes"
        else:
            by = "order"
        found.setdefault(by, []).append((left, right))
    return {by: found[by] for by in sorted(found)}
