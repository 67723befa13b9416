"""Functions of own data as uploads: their codes, their shortest words, their identity.

The cells of a delivery's split are told apart by a code of bits; each bit is one upload, the union of the
cells that have it set. Cell 0 holds everybody of whom own data knows nothing; nobody can list them, so its
code is all zeros and no bit contains it (specs/compile.md, `compile.unlisted`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from functools import lru_cache
from itertools import combinations, islice

from audsql.compile import decision, formula
from audsql.compile.cofactor import Split, Way, express, facts_of
from audsql.compile.decision import Space
from audsql.compile.formula import Formula
from audsql.compile.shape import normal
from audsql.meaning import ir
from audsql.records import dataclass

__all__ = [
    "Encoding",
    "Words",
    "cell_function",
    "encodings",
    "fewest",
    "four_uploads",
    "own_expression",
    "swapped",
    "upload_key",
    "weight",
    "written_code",
]

Encoding = tuple[int, ...]
"""One number an upload: bit c is set where cell c is in it."""

_POOL_CELLS_MAX = 5
"""Up to so many cells all codes with the fewest uploads are looked at."""
_CANDIDATES_MAX = 24
_COMBINATIONS_MAX = 500
_TABLE_VARIABLES_MAX = 6
_FAR = 1_000
"""Words of a function that the author did not write, as far as codes are put in order."""


@dataclass(slots=True)
class Words:
    """The functions that the author wrote, as sets of cells without cell 0, and how long their words are; what unions
    of cells are in words, as far as they were asked for."""

    split: Split
    naturals: dict[int, int] = field(init=False)
    made: dict[int, ir.Expression] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.naturals = _natural_masks(self.split)

    @property
    def cells(self) -> int:
        return len(self.split.cells)

    def order(self, code: Encoding) -> tuple[int, tuple[str, ...]]:
        """Short uploads first, then those whose words come first: the same for equal functions in any delivery."""
        for mask in code:
            if mask not in self.made:
                self.made[mask] = own_expression(self.split, cell_function(self.split, mask))
        spoken = [self.made[mask] for mask in code]
        return sum(weight(one) for one in spoken), tuple(sorted(one.key for one in spoken))


def fewest(cells: int) -> int:
    """The number of uploads that tell so many cells apart."""
    return max(cells - 1, 0).bit_length()


def encodings(words: Words, uploads: int) -> tuple[Encoding, ...]:
    """Codes of that many uploads worth trying, those with the fewest uploaded cells and words first."""
    count = words.cells
    if count <= 1:
        return ((),) if uploads == 0 else ()
    found = dict.fromkeys(_candidates(count, uploads, tuple(words.naturals)))
    told = [code for code in found if all(code) and _separates(code, count)]
    told.sort(key=lambda code: (_members(code), sum(words.naturals.get(mask, _FAR) for mask in code), code))
    return tuple(told if count <= _POOL_CELLS_MAX and uploads == fewest(count) else told[:_CANDIDATES_MAX])


def swapped(words: Words, code: Encoding) -> Iterator[Encoding]:
    """The encoding with the codes of two cells exchanged, or one cell given a code that no cell has."""
    numbers = [sum((mask >> cell & 1) << bit for bit, mask in enumerate(code)) for cell in range(words.cells)]
    free = [number for number in range(1, 1 << len(code)) if number not in numbers]
    for cell in range(1, words.cells):
        for other in range(cell + 1, words.cells):
            yield _numbered([numbers[{cell: other, other: cell}.get(at, at)] for at in range(words.cells)], len(code))
        for number in free:
            yield _numbered([*numbers[:cell], number, *numbers[cell + 1 :]], len(code))


def four_uploads(words: Words, ways: Sequence[Way]) -> tuple[Encoding, ...]:
    """For sends that two line atoms decide: an upload for whom each of the four states of them lets in.

    A tree is then `a ? (b ? u3 : u2) : (b ? u1 : u0)`: ten leaves where each line atom takes one, and with several
    2 leaves of one atom, 4 of the other and 4 of uploads. People unknown to the data are in no upload: where a state
    lets them in, the upload is of those whom it keeps out.
    """
    space = words.split.space
    levels = sorted({level for way in ways for line in way.lines for level in decision.support(space, line)})
    if len(levels) != 2:
        return ()
    masks: dict[int, None] = {}
    for way in ways:
        for states in ((), levels[:1], levels[1:], levels):
            mask = sum(1 << cell for cell, line in enumerate(way.lines) if decision.evaluate(space, line, states))
            mask = ((1 << words.cells) - 1) & ~mask if mask & 1 else mask
            masks.update({mask: None} if mask else {})
    code = tuple(sorted(masks))
    return (code,) if _separates(code, words.cells) else ()


def written_code(words: Words, function: ir.Expression) -> tuple[Encoding, ...]:
    """The code whose uploads are the largest parts of own data as the author wrote them. With it no tree needs more
    leaves than what the author wrote."""
    split = words.split
    levels = {rail: level for level, rail in enumerate(split.rails)}
    masks: dict[int, None] = {}
    try:
        for part in _own_parts(normal(function)):
            function_of_part = express(split.space, part, levels)
            inside = (decision.evaluate(split.space, function_of_part, _example(split, cell)) for cell in split.cells)
            mask = sum(1 << at for at, holds in enumerate(inside) if holds)
            mask = ((1 << words.cells) - 1) & ~mask if mask & 1 else mask
            masks.update({mask: None} if mask else {})
    except decision.SpaceFull:
        return ()
    code = tuple(sorted(masks))
    return (code,) if _separates(code, words.cells) else ()


def _example(split: Split, cell: int) -> tuple[int, ...]:
    """The own atoms of somebody in a cell: of as few as can be."""
    if decision.evaluate(split.space, cell, ()):
        return ()
    return decision.paths(split.space, cell, len(split.rails))[decision.TRUE]


def _own_parts(form: ir.Expression) -> Iterator[ir.Expression]:
    own: dict[str, bool] = {}
    for node in ir.nodes_of(form):
        inner = ir.children(node)
        own[node.key] = all(own[part.key] for part in inner) if inner else _is_own(node)
    stack = [form]
    while stack:
        node = stack.pop()
        if own[node.key]:
            yield node
        elif isinstance(node, ir.And | ir.Or):
            mine = [part for part in node.operands if own[part.key]]
            if mine:
                yield ir.land(*mine) if isinstance(node, ir.And) else ir.lor(*mine)
            stack.extend(part for part in node.operands if not own[part.key])


def _is_own(node: ir.Expression) -> bool:
    return isinstance(node, ir.Leaf) and node.atom.world == "own"


def _natural_masks(split: Split) -> dict[int, int]:
    """The functions that the author wrote, as sets of cells without cell 0, and how long their words are."""
    everything = (1 << len(split.cells)) - 1
    masks: dict[int, int] = {}
    for function, expression in split.naturals:
        mask = sum(1 << i for i, cell in enumerate(split.cells) if decision.within(split.space, cell, function))
        mask = everything & ~mask if mask & 1 else mask
        if mask:
            masks[mask] = min(weight(expression), masks.get(mask, _FAR))
    return masks


def _candidates(count: int, uploads: int, naturals: Sequence[int]) -> Iterator[Encoding]:
    singles = [1 << cell for cell in range(1, count)]
    pool = range(2, 1 << count, 2) if count <= _POOL_CELLS_MAX else sorted({*naturals})
    yield from islice(combinations(pool, uploads), _COMBINATIONS_MAX)
    if uploads == len(singles):
        yield tuple(singles)
    if count - 1 < 1 << uploads:
        yield _numbered(range(count), uploads)
        yield _numbered([number ^ (number >> 1) for number in range(count)], uploads)


def _numbered(codes: Iterable[int], uploads: int) -> Encoding:
    numbers = list(codes)
    return tuple(sorted(sum(1 << c for c, code in enumerate(numbers) if code >> bit & 1) for bit in range(uploads)))


def _separates(encoding: Encoding, count: int) -> bool:
    return len({tuple(mask >> cell & 1 for mask in encoding) for cell in range(count)}) == count


def _members(encoding: Encoding) -> int:
    return sum(mask.bit_count() for mask in encoding)


def cell_function(split: Split, mask: int) -> int:
    """The function of own data that is the union of these cells."""
    return decision.disjunction(split.space, (cell for i, cell in enumerate(split.cells) if mask >> i & 1))


# --- words ----------------------------------------------------------------------------------------


def weight(expression: ir.Expression) -> int:
    """How many leaves an expression has when written out."""
    return _count(expression, 1, 0)


def _length(expression: ir.Expression) -> tuple[int, int]:
    return weight(expression), _count(expression, 0, 1)


def _count(expression: ir.Expression, leaf: int, negation: int) -> int:
    def total(parts: Sequence[int]) -> int:
        return sum(parts)

    return ir.fold(expression, lambda _: leaf, lambda _: 0, lambda inner: inner + negation, total, total)


def own_expression(split: Split, function: int) -> ir.Expression:
    """A short expression of a union of cells, over own atoms; people who cannot exist are left open.

    What the author wrote is kept where nothing shorter is found.
    """
    candidates = [*_written(split, function), *_made(split, function)] or [_pieced(split, function)]
    return min(enumerate(candidates), key=lambda pair: (_length(pair[1]), pair[0]))[1]


def _written(split: Split, function: int) -> Iterator[ir.Expression]:
    rest = decision.both(split.space, split.own_facts, decision.negation(split.space, function))
    for natural, expression in split.naturals:
        if natural == function:
            yield expression
        elif natural == rest:
            yield normal(ir.lnot(expression))


def _made(split: Split, function: int) -> Iterator[ir.Expression]:
    space = split.space
    open_rows = decision.negation(space, split.own_facts)
    upper = decision.either(space, function, open_rows)
    levels = sorted({*decision.support(space, function), *decision.support(space, upper)})
    if len(levels) <= _TABLE_VARIABLES_MAX:
        yield _spoken(split, _tabled(split, function, levels), levels)
        return
    opposite = decision.both(space, split.own_facts, decision.negation(space, function))
    for low, positive in ((function, True), (opposite, False)):
        try:
            cubes = decision.cover(space, low, decision.either(space, low, open_rows))
        except decision.SpaceFull:
            continue
        expression = _spoken(split, formula.factored(cubes), range(len(split.rails)))
        yield expression if positive else normal(ir.lnot(expression))


def _pieced(split: Split, function: int) -> ir.Expression:
    """The cells one by one, each by the author's own functions: always possible, rarely short."""
    cells = [cell for cell in split.cells if decision.within(split.space, cell, function)]
    parts = []
    for cell in cells:
        sides = ((decision.within(split.space, cell, natural), words) for natural, words in split.naturals)
        parts.append(ir.land(*(words if inside else ir.lnot(words) for inside, words in sides)))
    return normal(ir.lor(*parts))


def _tabled(split: Split, function: int, levels: Sequence[int]) -> Formula:
    tables = dict(zip(levels, formula.columns(len(levels)), strict=True))
    full = (1 << (1 << len(levels))) - 1
    possible = decision.forget(
        split.space, split.own_facts, (v for v in decision.support(split.space, split.own_facts) if v not in tables)
    )
    on = decision.truth_table(split.space, function, tables, full)
    off = decision.truth_table(split.space, possible, tables, full) & ~on
    return formula.shortest(len(levels), on, off, [1] * len(levels), [1] * len(levels))


def _spoken(split: Split, spoken: Formula, levels: Sequence[int]) -> ir.Expression:
    def literal(item: formula.Literal) -> ir.Expression:
        leaf = ir.leaf(split.atoms[split.rails[levels[item.variable]][0]])
        return leaf if item.positive else ir.lnot(leaf)

    return formula.render(spoken, literal, ir.Constant, lambda parts: ir.land(*parts), lambda parts: ir.lor(*parts))


# --- identity -------------------------------------------------------------------------------------


@lru_cache(maxsize=2_048)
def upload_key(account: str, expression: ir.Expression) -> str:
    """The identity of an upload: equal for equal functions of own data on one account, whatever their words.

    The digest is over the reduced decision diagram of the function, its atoms in the order of their keys,
    with what certain facts exclude left out where no data can ever break them: deliveries whose data move
    apart share an upload only if it is the same for both whatever happens.
    """
    atoms = ir.atoms_of(expression)
    try:
        text = _canonical(expression, atoms)
    except decision.SpaceFull:
        text = expression.key
    digest = hashlib.sha256(f"{account}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"upload({account}; {digest[:16]})"


def _canonical(expression: ir.Expression, atoms: Sequence[ir.Atom]) -> str:
    space = Space()
    levels = {(atom.key, True): level for level, atom in enumerate(atoms)}
    function = express(space, normal(expression), levels)
    still = [atom for atom in atoms if isinstance(atom, ir.Bucket)]
    function = decision.both(space, function, facts_of(space, still, levels))
    order = [number for number in decision.nodes_below(space, function) if number > decision.TRUE]
    names = {decision.FALSE: "0", decision.TRUE: "1", **{number: f"n{index}" for index, number in enumerate(order)}}
    lines = []
    for number in order:
        level, low, high = space.nodes[number]
        lines.append(f"{atoms[level].key} {names[low]} {names[high]}")
    return "\n".join((names[function], *lines))
