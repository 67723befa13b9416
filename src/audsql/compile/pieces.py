"""A send as several of which each is a union of small pieces (specs/compile.md, `compile.receipts`).

A piece is a group of own data, which gets an upload of its own, with a product of line atoms, or with all that they
say of that group. Sends that have a group in common may overlap: each later one leaves out who got the earlier one,
by LINE's own receipt, and keeps room for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from audsql.compile import decision, formula
from audsql.compile.cofactor import Split, Way
from audsql.compile.decision import Cube
from audsql.compile.formula import Formula, Literal
from audsql.compile.halves import Bench
from audsql.compile.trees import TooWide, Tree, renumbered, states_of, task_of, tree_of, tree_saying
from audsql.compile.uploads import Encoding, cell_function, own_expression
from audsql.line.limits import RECIPIENT_LEAVES_MAX
from audsql.meaning import ir
from audsql.records import dataclass

__all__ = ["Pack", "Piece", "by_receipts", "by_uploads", "encoding_of", "too_wide", "trees_of"]

_MOST = RECIPIENT_LEAVES_MAX
_PIECES_MAX = 64
"""Pieces that one send is put together from."""
_LOOKED_MAX = 200_000
"""Pairs of pieces looked at while groups are divided in two."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The people of these cells (a number with a bit for each) whose line atoms a formula allows, its variables the
    levels of the atoms. `cube`: the formula where it is a product."""

    cells: int
    spoken: Formula
    cube: Cube | None = None


Pack = tuple[Piece, ...]
"""The pieces of one send."""


def by_uploads(bench: Bench, way: Way, room: int) -> tuple[Pack, ...] | None:
    """The way by groups of own data, in sends that have none in common and fit with `room` left: one send for all
    that is halved as long as it is too wide, or the groups one by one and as many a send as it takes. The fewer sends
    of both; None where some group does not fit."""
    singles = {cells: _group(bench, way, line, cells) for line, cells in _groups(way).items()}
    fitting = {cells: piece for cells, piece in singles.items() if piece is not None}
    if len(fitting) < len(singles) or any(_leaves(bench, (one,)) + room > _MOST for one in fitting.values()):
        return None
    halved = _halved(bench, _products(bench.split, way) or [], fitting, room)
    packed = _packed(bench, [*fitting.values()], room)
    return min((packs for packs in (halved, packed) if packs is not None), key=len)


def _halved(
    bench: Bench, products: Sequence[Piece], singles: Mapping[int, Piece], room: int
) -> tuple[Pack, ...] | None:
    """Sends of which each is of other groups, found by dividing the groups in two as often as it takes; None where
    there are too many ways to divide."""
    if not products:
        return None
    done: list[Pack] = []
    waiting = [_cells(tuple(products))]
    looked = 0
    while waiting:
        cells = waiting.pop()
        pack = _of_cells(products, singles, cells)
        if _leaves(bench, pack) + room <= _MOST:
            done.append(pack)
            continue
        sides = dict.fromkeys((*(piece.cells & cells for piece in products), *(one & cells for one in singles)))
        halves = [(side, cells & ~side) for side in sides if side and side != cells]
        looked += len(halves) * len(pack) ** 2
        if looked > _LOOKED_MAX:
            return None
        waiting.extend(min(halves, key=lambda pair: _price(bench, [_of_cells(products, singles, one) for one in pair])))
    return _joined(bench, done, room)


def _of_cells(products: Sequence[Piece], singles: Mapping[int, Piece], cells: int) -> Pack:
    """What the pieces say of these cells."""
    if cells in singles:
        return (singles[cells],)
    return tuple(replace(piece, cells=piece.cells & cells) for piece in products if piece.cells & cells)


def _price(bench: Bench, packs: Sequence[Pack]) -> tuple[int, int]:
    leaves = [_leaves(bench, pack) for pack in packs]
    return max(leaves), sum(leaves)


def _joined(bench: Bench, packs: Sequence[Pack], room: int) -> tuple[Pack, ...]:
    """The sends with those together that fit in one, the widest first."""
    joined: list[Pack] = []
    for pack in sorted(packs, key=lambda one: -_leaves(bench, one)):
        for at, other in enumerate(joined):
            if _leaves(bench, (*other, *pack)) + room <= _MOST:
                joined[at] = (*other, *pack)
                break
        else:
            joined.append(pack)
    return tuple(joined)


def by_receipts(bench: Bench, way: Way, room: int) -> tuple[Pack, ...] | None:
    """The way by products of line atoms, sends of which may overlap; or by groups of which those too wide are cut up
    so. The fewer sends of both; None where neither fits."""
    options = [_products(bench.split, way), _grouped(bench, way, room)]
    packed = [_packed(bench, pieces, room) for pieces in options if pieces is not None]
    return min((packs for packs in packed if packs is not None), key=len, default=None)


def _groups(way: Way) -> dict[int, int]:
    """The cells of each function of line atoms that lets somebody in."""
    found: dict[int, int] = {}
    for cell, line in enumerate(way.lines):
        if line != decision.FALSE:
            found[line] = found.get(line, 0) | 1 << cell
    return found


def _group(bench: Bench, way: Way, line: int, cells: int) -> Piece | None:
    """A group with the shortest formula of its line atoms; None where that is too wide."""
    try:
        states = states_of(bench.split, replace(way, lines=(line,) * len(way.lines)))
        tree = tree_of(task_of(states, (), bench.weights))
    except TooWide:
        return None
    bench.work.left -= tree.work
    return Piece(cells, renumbered(tree.spoken, tree.task.levels))


def _grouped(bench: Bench, way: Way, room: int) -> list[Piece] | None:
    found: list[Piece] = []
    for line, cells in _groups(way).items():
        piece = _group(bench, way, line, cells)
        if piece is not None and _leaves(bench, (piece,)) + room <= _MOST:
            found.append(piece)
            continue
        cubes = _cubes(bench.split, line)
        if cubes is None:
            return None
        found.extend(_product(cells, cube) for cube in cubes)
    return found if len(found) <= _PIECES_MAX else None


def _product(cells: int, cube: Cube) -> Piece:
    return Piece(cells, formula.join(True, (Literal(*item) for item in cube)), cube)


def _cubes(split: Split, line: int) -> tuple[Cube, ...] | None:
    upper = decision.either(split.space, line, decision.negation(split.space, split.line_facts))
    try:
        return decision.cover(split.space, line, upper, _PIECES_MAX)
    except decision.SpaceFull:
        return None


def _products(split: Split, way: Way) -> list[Piece] | None:
    """Products of line atoms, each with all the cells that it lets in whatever else is; none that others make up."""
    groups = _groups(way)
    found: dict[Cube, int] = {}
    for line in groups:
        cubes = _cubes(split, line)
        if cubes is None:
            return None
        for cube in cubes:
            if cube not in found:
                found[cube] = sum(cells for other, cells in groups.items() if _lies_in(split, cube, other))
        if len(found) > 4 * _PIECES_MAX:
            return None
    pieces = _needed(split, groups, [_product(cells, cube) for cube, cells in found.items()])
    return pieces if len(pieces) <= _PIECES_MAX else None


def _function(split: Split, cube: Cube) -> int:
    space = split.space
    literals = (decision.variable(space, level) for level, _ in cube)
    signs = (positive for _, positive in cube)
    sides = (one if sign else decision.negation(space, one) for one, sign in zip(literals, signs, strict=True))
    return decision.conjunction(space, (split.line_facts, *sides))


def _lies_in(split: Split, cube: Cube, line: int) -> bool:
    return decision.within(split.space, _function(split, cube), line)


def _needed(split: Split, groups: dict[int, int], pieces: list[Piece]) -> list[Piece]:
    """The pieces without those whose people are in others: first to go are those of few cells and many atoms."""
    space = split.space
    functions = {piece: _function(split, piece.cube or ()) for piece in pieces}
    kept = list(pieces)
    for piece in sorted(pieces, key=lambda one: (one.cells.bit_count(), -len(one.cube or ()))):
        touched = [line for line, cells in groups.items() if cells & piece.cells]
        others = [one for one in kept if one != piece]
        made = (
            (line, (functions[one] for one in others if one.cells & groups[line] == groups[line])) for line in touched
        )
        if all(decision.within(space, line, decision.disjunction(space, parts)) for line, parts in made):
            kept = others
    return kept


# --- pieces together ------------------------------------------------------------------------------


def _packed(bench: Bench, pieces: Sequence[Piece], room: int) -> tuple[Pack, ...] | None:
    """As few sends as a greedy choice takes: the widest piece that is left, and what adds the fewest leaves to it."""
    left = sorted(pieces, key=lambda piece: -_leaves(bench, (piece,)))
    packs: list[Pack] = []
    while left:
        pack: Pack = (left.pop(0),)
        if _taken(bench, packs, pack) + room > _MOST:
            return None
        while left:
            taken, at = min((_taken(bench, packs, (*pack, piece)), at) for at, piece in enumerate(left))
            if taken + room > _MOST:
                break
            pack = (*pack, left.pop(at))
        packs.append(pack)
    return tuple(packs)


def _taken(bench: Bench, earlier: Sequence[Pack], pack: Pack) -> int:
    """The leaves of a send and of its guards."""
    cells = _cells(pack)
    return _leaves(bench, pack) + sum(bool(_cells(other) & cells) for other in earlier)


def _cells(pack: Pack) -> int:
    cells = 0
    for piece in pack:
        cells |= piece.cells
    return cells


def _leaves(bench: Bench, pack: Pack) -> int:
    start = bench.split.attribute_start
    masks = {mask: number for number, mask in enumerate(_masks(bench.split, (pack,)))}
    found = formula.leaves(_spoken(bench.split, masks, pack))
    return sum(1 if leaf.variable >= start else bench.weights[leaf.variable] for leaf in found)


def _spoken(split: Split, masks: dict[int, int], pack: Pack) -> Formula:
    """The pieces as a formula of line atoms by their levels, and uploads after these."""
    if all(piece.cube is not None for piece in pack):
        uploads = [_upload(split, masks, piece.cells) for piece in pack]
        return formula.factored(
            (*(piece.cube or ()), *((leaf.variable, leaf.positive) for leaf in upload))
            for piece, upload in zip(pack, uploads, strict=True)
        )
    parts = (formula.join(True, (*_upload(split, masks, piece.cells), piece.spoken)) for piece in pack)
    return formula.join(False, parts)


def _upload(split: Split, masks: dict[int, int], cells: int) -> tuple[Literal, ...]:
    """The upload of a piece: that of everybody else where people unknown to the data are in; none for all."""
    mask = _mask(split, cells)
    return (Literal(split.attribute_start + masks[mask], not cells & 1),) if mask else ()


def _mask(split: Split, cells: int) -> int:
    return ((1 << len(split.cells)) - 1) & ~cells if cells & 1 else cells


def _masks(split: Split, packs: Iterable[Pack]) -> Iterator[int]:
    found = dict.fromkeys(_mask(split, piece.cells) for pack in packs for piece in pack)
    return (mask for mask in found if mask)


# --- to trees -------------------------------------------------------------------------------------


def encoding_of(split: Split, encoding: Encoding, packs: Iterable[Pack]) -> Encoding:
    """The encoding with the uploads that the pieces need after its own."""
    return tuple(dict.fromkeys((*encoding, *_masks(split, packs))))


def trees_of(bench: Bench, packs: Sequence[Pack]) -> tuple[Tree, ...]:
    """A tree for each pack; the encoding has all uploads of the pieces."""
    masks = {mask: number for number, mask in enumerate(bench.encoding)}
    return tuple(
        tree_saying(bench.split, bench.encoding, bench.weights, _spoken(bench.split, masks, pack)) for pack in packs
    )


# --- what does not fit ----------------------------------------------------------------------------


def too_wide(split: Split, ways: Sequence[Way], weights: Sequence[int]) -> tuple[int, ir.Expression] | None:
    """The widest product of sets that some send has to reach as a whole, and its leaves; None where each fits or they
    are too many to look at. The smallest part of a delivery that no number of sends reaches."""
    found: list[tuple[int, Piece]] = []
    for line, cells in (entry for way in ways for entry in _groups(way).items()):
        for cube in _cubes(split, line) or ():
            leaves = sum(weights[level] for level, _ in cube) + bool(_mask(split, cells))
            found.append((leaves, _product(cells, cube)))
    if not found:
        return None
    leaves, piece = max(found, key=lambda one: one[0])
    if leaves <= _MOST:
        return None
    atoms = [ir.leaf(atom) for atom in split.lines]
    lines = (atoms[level] if positive else ir.lnot(atoms[level]) for level, positive in piece.cube or ())
    own = own_expression(split, cell_function(split, piece.cells)) if _mask(split, piece.cells) else ir.EVERYBODY
    return leaves, ir.land(own, *lines)
