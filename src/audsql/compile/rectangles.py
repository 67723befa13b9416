"""The fewest filters of which every rest of a function is a disjoint union (specs/compile.md, `compile.fewest`).

A filter holds the author's literals and no negation beside them, so it is an *up-set* of the states in which a
person's attributes can be: with a state it holds every state that satisfies more literals. Of two disjoint up-sets
no state of one lies above or below a state of the other. So an up-set falls apart in one way only, into its
*pieces* (connected by above and below), and every way to write a rest as disjoint filters is a grouping of its
pieces. Where one state satisfies all literals there is one piece to each rest, and each rest is a filter of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import combinations

from audsql.compile import decision
from audsql.compile.decision import Space, SpaceFull
from audsql.compile.least import Least, LeastReason
from audsql.records import dataclass

__all__ = ["Filters", "Price", "fewest", "lowered", "pieces", "raised"]

Price = Callable[[int], tuple[int, str] | None]
"""How many conditions a filter takes and its words; None where LINE does not take it."""

_RESTS_MAX = 256
_PIECES_MAX = 16
"""Pieces of one rest."""
_BLOCKS_MAX = 64
"""States told apart by any piece."""
_CANDIDATES_MAX = 1_000
_STEPS_MAX = 2_000
_COVERS_MAX = 64
"""Covers of the smallest size that are compared."""
_ROUNDS_MAX = 4
"""Searches, each without the filters that LINE did not take before."""
_NODES_MAX = 30_000
_PRIME = (1 << 61) - 1


@dataclass(frozen=True, slots=True)
class Filters:
    """`filters` as functions in the caller's space; `parts` gives for each rest the filters that it is the disjoint
    union of. `least` bounds their number from below."""

    filters: tuple[int, ...]
    parts: tuple[tuple[int, ...], ...]
    least: Least


def fewest(space: Space, rests: Sequence[int], facts: int, levels: Sequence[int], price: Price) -> Filters:
    """The filters for these distinct rests, none of them of nobody. `facts`: the states that can occur, over the
    variables `levels`. Where the search is too large, the rests themselves."""
    count = len(rests)
    if count <= 2:
        return _rows(rests, Least(count, ("nothing", "one", "rank")[count], exact=True))
    if decision.evaluate(space, facts, levels):
        return _rows(rests, Least(count, "rests", exact=True))
    if count > _RESTS_MAX or len(space.nodes) > space.nodes_max // 2:
        return _rows(rests, Least(2, "rank", exact=False))
    scratch = Space(nodes_max=_NODES_MAX)
    try:
        inner = [_copied(space, scratch, rest) for rest in rests]
        within = _copied(space, scratch, facts)
        coarse = _of_puzzle(space, scratch, rests, _coarse(scratch, inner, within), price)
    except SpaceFull:
        return _rows(rests, Least(2, "rank", exact=False))
    if coarse.least.exact:
        return coarse
    try:
        fine = _of_puzzle(space, scratch, rests, _fine(scratch, inner, within, levels), price)
    except SpaceFull:
        return coarse
    return fine if fine.least.value >= coarse.least.value and len(fine.filters) <= len(coarse.filters) else coarse


def _of_puzzle(space: Space, scratch: Space, rests: Sequence[int], puzzle: _Puzzle | None, price: Price) -> Filters:
    if puzzle is None:
        return _rows(rests, Least(2, "rank", exact=False))
    return _solved(_Back(space, scratch, puzzle, dict(zip(puzzle.rests, rests, strict=True)), price), puzzle, rests)


def _rows(rests: Sequence[int], least: Least) -> Filters:
    return Filters(tuple(rests), tuple((index,) for index in range(len(rests))), least)


# --- up-sets --------------------------------------------------------------------------------------


def _copied(source: Space, target: Space, function: int) -> int:
    done = {decision.FALSE: decision.FALSE, decision.TRUE: decision.TRUE}
    for number in _below_first(source, function):
        if number not in done:
            level, low, high = source.nodes[number]
            done[number] = decision.choose(target, decision.variable(target, level), done[high], done[low])
    return done[function]


def _below_first(space: Space, function: int) -> Iterator[int]:
    """The nodes of a function, each after the two below it: levels grow from the top."""
    yield from sorted(decision.nodes_below(space, function), key=lambda number: -space.nodes[number][0])


def raised(space: Space, function: int) -> int:
    """The states of the function and all that satisfy more literals."""
    return _moved(space, function, upwards=True)


def lowered(space: Space, function: int) -> int:
    """The states of the function and all that satisfy fewer literals."""
    return _moved(space, function, upwards=False)


def _moved(space: Space, function: int, *, upwards: bool) -> int:
    done = {decision.FALSE: decision.FALSE, decision.TRUE: decision.TRUE}
    for number in _below_first(space, function):
        if number not in done:
            level, low, high = space.nodes[number]
            joined = decision.either(space, done[low], done[high])
            then, otherwise = (joined, done[low]) if upwards else (done[high], joined)
            done[number] = decision.choose(space, decision.variable(space, level), then, otherwise)
    return done[function]


def pieces(space: Space, rest: int, levels: Sequence[int], pieces_max: int) -> list[int] | None:
    """The parts that an up-set of the states falls apart into; None where they are more than `pieces_max`."""
    found: list[int] = []
    left = rest
    while left != decision.FALSE:
        if len(found) == pieces_max:
            return None
        piece = _grown(space, rest, _state(space, left, levels))
        found.append(piece)
        left = decision.both(space, left, decision.negation(space, piece))
    return found


def _state(space: Space, function: int, levels: Sequence[int]) -> int:
    true = frozenset(decision.paths(space, function, levels[-1] + 1)[decision.TRUE])
    state = decision.TRUE
    for level in reversed(levels):
        then, otherwise = (state, decision.FALSE) if level in true else (decision.FALSE, state)
        state = decision.choose(space, decision.variable(space, level), then, otherwise)
    return state


def _grown(space: Space, rest: int, piece: int) -> int:
    while True:
        above = decision.both(space, rest, raised(space, piece))
        around = decision.both(space, rest, lowered(space, above))
        if around == piece:
            return piece
        piece = around


# --- the puzzle -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Puzzle:
    """Rests and their pieces as sets of blocks (bits): states that every piece holds all or none of. `fine`: these
    are all the pieces there are; otherwise some may fall apart further."""

    blocks: tuple[int, ...]
    rests: tuple[int, ...]
    pieces: tuple[tuple[int, ...], ...]
    fine: bool


def _coarse(space: Space, rests: Sequence[int], facts: int) -> _Puzzle | None:
    """Blocks that the rests themselves tell apart, and pieces made of them. None where there are too many."""
    blocks = _blocks(space, facts, rests)
    if blocks is None:
        return None
    above = [raised(space, block) for block in blocks]
    near = [
        sum(
            1 << at
            for at, block in enumerate(blocks)
            if _meet(space, above[own], block) or _meet(space, above[at], one)
        )
        for own, one in enumerate(blocks)
    ]
    sets = tuple(_bits(space, blocks, rest) for rest in rests)
    return _Puzzle(tuple(blocks), sets, tuple(_connected(rest, near) for rest in sets), fine=False)


def _meet(space: Space, left: int, right: int) -> bool:
    return decision.both(space, left, right) != decision.FALSE


def _bits(space: Space, blocks: Sequence[int], function: int) -> int:
    return sum(1 << at for at, block in enumerate(blocks) if decision.within(space, block, function))


def _connected(rest: int, near: Sequence[int]) -> tuple[int, ...]:
    found: list[int] = []
    while rest:
        piece, grown = 0, rest & -rest
        while grown != piece:
            piece = grown
            for at, others in enumerate(near):
                if piece >> at & 1:
                    grown |= others & rest
        found.append(piece)
        rest &= ~piece
    return tuple(sorted(found))


def _fine(space: Space, rests: Sequence[int], facts: int, levels: Sequence[int]) -> _Puzzle | None:
    """All pieces, and the blocks that they tell apart. None where there are too many."""
    fallen: list[list[int]] = []
    for rest in rests:
        parts = pieces(space, rest, levels, _PIECES_MAX)
        if parts is None:
            return None
        fallen.append(parts)
    blocks = _blocks(space, facts, dict.fromkeys(piece for parts in fallen for piece in parts))
    if blocks is None:
        return None
    sets = tuple(tuple(sorted(_bits(space, blocks, piece) for piece in parts)) for parts in fallen)
    return _Puzzle(tuple(blocks), tuple(sum(parts) for parts in sets), sets, fine=True)


def _blocks(space: Space, facts: int, functions: Iterable[int]) -> list[int] | None:
    blocks = [facts]
    for function in functions:
        other = decision.negation(space, function)
        halves = ((decision.both(space, block, function), decision.both(space, block, other)) for block in blocks)
        blocks = [half for pair in halves for half in pair if half != decision.FALSE]
        if len(blocks) > _BLOCKS_MAX:
            return None
    return blocks


def _candidates(puzzle: _Puzzle) -> list[int] | None:
    """The filters that two rests or more can be made of; None where there are too many."""
    found: set[int] = set()
    for left, right in combinations(range(len(puzzle.rests)), 2):
        shared = _common(puzzle.pieces[left], puzzle.pieces[right])
        if 1 << len(shared) > _CANDIDATES_MAX:
            return None
        sums = [0]
        for part in shared:
            sums += [one | part for one in sums]
        found.update(sums[1:])
        if len(found) > _CANDIDATES_MAX:
            return None
    return sorted(found)


def _common(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """The smallest sets that are unions of pieces of both."""
    groups: list[tuple[int, int]] = [(piece, 0) for piece in left]
    for piece in right:
        inside, covered, rest = 0, piece, []
        for one, other in groups:
            if (one | other) & piece:
                inside, covered = inside | one, covered | other
            else:
                rest.append((one, other))
        groups = [*rest, (inside, covered)]
    return sorted(one for one, other in groups if one == other)


# --- independent rows -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Basis:
    """Independent rows over a prime field: rows that are independent there are so over the reals, too."""

    rows: tuple[tuple[int, ...], ...] = ()

    def with_set(self, bits: int, width: int) -> _Basis:
        row = [bits >> at & 1 for at in range(width)]
        for other in self.rows:
            lead = next(at for at, value in enumerate(other) if value)
            if factor := row[lead]:
                row = [(value - factor * one) % _PRIME for value, one in zip(row, other, strict=True)]
        if not any(row):
            return self
        inverse = pow(next(value for value in row if value), -1, _PRIME)
        return _Basis((*self.rows, tuple(value * inverse % _PRIME for value in row)))


def _basis(sets: Iterable[int], width: int) -> _Basis:
    basis = _Basis()
    for bits in sets:
        basis = basis.with_set(bits, width)
    return basis


# --- search ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Search:
    """Looks for covers of `size` filters. `usable`: for each rest the filters that are unions of its pieces, larger
    ones first."""

    puzzle: _Puzzle
    usable: tuple[tuple[int, ...], ...]
    size: int = 0
    steps_left: int = _STEPS_MAX
    covers: dict[frozenset[int], None] = field(default_factory=dict)
    seen: set[frozenset[int]] = field(default_factory=set)


def _solved(back: _Back, puzzle: _Puzzle, rests: Sequence[int]) -> Filters:
    count = len(rests)
    basis = _basis(puzzle.rests, len(puzzle.blocks))
    rank = len(basis.rows)
    if rank == count:
        return _rows(rests, Least(count, "rank", exact=True))
    if all(len(parts) == 1 for parts in puzzle.pieces):
        return _rows(rests, Least(count, "rests", exact=True) if puzzle.fine else Least(rank, "rank", exact=False))
    candidates = _candidates(puzzle)
    refused: frozenset[int] = frozenset()
    for _ in range(_ROUNDS_MAX):
        least, covers = _deepened(puzzle, candidates, refused, basis)
        if least.value > rank and (refused or not puzzle.fine):
            least = Least(rank, "rank", exact=False)
        if not covers:
            return _rows(rests, least)
        fitting = [cover for cover in covers if all(back.price(one) for one in cover)]
        if fitting:
            return _chosen(back, puzzle, min(fitting, key=lambda cover: _order(cover, back, puzzle)), least)
        refused |= {one for cover in covers for one in cover if not back.price(one)}
    return _rows(rests, Least(rank, "rank", exact=False))


def _chosen(back: _Back, puzzle: _Puzzle, cover: frozenset[int], least: Least) -> Filters:
    filters = sorted(cover)
    parts = tuple(_partition(rest, filters) or () for rest in puzzle.rests)
    numbers = {one: number for number, one in enumerate(filters)}
    return Filters(
        tuple(back.function(one) for one in filters),
        tuple(tuple(numbers[one] for one in part) for part in parts),
        least,
    )


def _order(cover: frozenset[int], back: _Back, puzzle: _Puzzle) -> tuple[int, int, tuple[str, ...]]:
    """Few recipients in two sends, then few conditions, then words."""
    filters = sorted(cover)
    pairs = {
        pair
        for rest in puzzle.rests
        for part in (_partition(rest, filters) or (),)
        for pair in combinations(sorted(part), 2)
    }
    prices = [back.price(one) or (0, "") for one in filters]
    return len(pairs), sum(leaves for leaves, _ in prices), tuple(sorted(words for _, words in prices))


def _deepened(
    puzzle: _Puzzle, candidates: Sequence[int] | None, refused: frozenset[int], basis: _Basis
) -> tuple[Least, list[frozenset[int]]]:
    """The bound and the covers of the smallest number of filters that was found; none where rests are no more."""
    rank = len(basis.rows)
    whole = frozenset(rest for rest, parts in zip(puzzle.rests, puzzle.pieces, strict=True) if len(parts) == 1)
    reason: LeastReason = "rank" if rank >= len(whole) else "rests"
    start = max(rank, len(whole))
    if candidates is None:
        return Least(start, reason, exact=False), _plain(puzzle)
    search = _Search(puzzle, _usable(puzzle, candidates, refused))
    for size in range(start, len(puzzle.rests)):
        search.size = size
        search.seen.clear()
        _extend(search, whole, basis)
        if search.covers:
            return Least(size, reason, exact=True), list(search.covers)
        if search.steps_left <= 0:
            return Least(size, reason, exact=False), _plain(puzzle)
        reason = "search"
    return Least(len(puzzle.rests), "search", exact=True), []


def _usable(puzzle: _Puzzle, candidates: Sequence[int], refused: frozenset[int]) -> tuple[tuple[int, ...], ...]:
    kept = [one for one in candidates if one not in refused]
    return tuple(
        tuple(sorted({rest, *(one for one in kept if _joins(one, parts))}, key=lambda one: (-one.bit_count(), one)))
        for rest, parts in zip(puzzle.rests, puzzle.pieces, strict=True)
    )


def _joins(one: int, parts: Iterable[int]) -> bool:
    """Whether a set is a union of pieces."""
    left = one
    for piece in parts:
        if piece & one:
            if piece & ~one:
                return False
            left &= ~piece
    return not left


def _plain(puzzle: _Puzzle) -> list[frozenset[int]]:
    """All pieces, where they are fewer than the rests."""
    every = frozenset(piece for parts in puzzle.pieces for piece in parts)
    return [every] if len(every) < len(puzzle.rests) else []


def _extend(search: _Search, chosen: frozenset[int], basis: _Basis) -> None:
    """Add filters until every rest is made. All rests and filters of a cover lie in the span of its filters, so
    more independent ones than the cover may have is a dead end."""
    if search.steps_left <= 0 or len(search.covers) >= _COVERS_MAX or chosen in search.seen:
        return
    search.steps_left -= 1
    search.seen.add(chosen)
    open_rests = [at for at, rest in enumerate(search.puzzle.rests) if _partition(rest, chosen) is None]
    if not open_rests:
        search.covers[chosen] = None
        return
    if len(basis.rows) > search.size or len(chosen) == search.size:
        return
    at = min(open_rests, key=lambda number: (len(search.puzzle.pieces[number]), number))
    budget = search.size - len(chosen)
    ways = dict.fromkeys(_makings(search, search.puzzle.rests[at], search.usable[at], chosen, budget))
    for added in sorted(ways, key=lambda way: (len(way), sorted(way))):
        grown = basis
        for one in sorted(added):
            grown = grown.with_set(one, len(search.puzzle.blocks))
        _extend(search, chosen | added, grown)


def _makings(
    search: _Search, left: int, usable: Sequence[int], chosen: frozenset[int], budget: int
) -> Iterator[frozenset[int]]:
    """The sets of at most `budget` new filters with which what is left of a rest is a disjoint union."""
    if not left:
        yield frozenset()
        return
    lowest = left & -left
    for one in usable:
        if search.steps_left <= 0:
            return
        if one & lowest and not one & ~left:
            new = one not in chosen
            if not new or budget:
                search.steps_left -= new
                for others in _makings(search, left & ~one, usable, chosen, budget - new):
                    yield others | {one} if new else others


def _partition(rest: int, filters: Iterable[int]) -> tuple[int, ...] | None:
    """The filters that the rest is the disjoint union of, the whole one where it is there."""
    inside = sorted((one for one in filters if not one & ~rest), key=lambda one: (-one.bit_count(), one))
    stack: list[tuple[int, tuple[int, ...]]] = [(rest, ())]
    while stack:
        left, taken = stack.pop()
        if not left:
            return taken
        lowest = left & -left
        fitting = [one for one in inside if one & lowest and not one & ~left]
        stack.extend((left & ~one, (*taken, one)) for one in reversed(fitting))
    return None


# --- back to functions ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Back:
    """Sets of blocks as functions in the caller's space. Raises SpaceFull."""

    space: Space
    scratch: Space
    puzzle: _Puzzle
    rests: Mapping[int, int]
    asked: Price
    prices: dict[int, tuple[int, str] | None] = field(default_factory=dict)

    def function(self, bits: int) -> int:
        if bits in self.rests:
            return self.rests[bits]
        blocks = (block for at, block in enumerate(self.puzzle.blocks) if bits >> at & 1)
        return _copied(self.scratch, self.space, decision.disjunction(self.scratch, blocks))

    def price(self, bits: int) -> tuple[int, str] | None:
        if bits not in self.prices:
            self.prices[bits] = self.asked(self.function(bits))
        return self.prices[bits]
