"""The codes of a delivery's cells and the trees of its sends, chosen together (specs/compile.md, `compile.code`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from audsql.compile import formula
from audsql.compile.cofactor import CELLS_MAX, Split, Way
from audsql.compile.halves import Bench, Work, split_line, split_own, whole
from audsql.compile.least import Fallback, FallbackStep, Least
from audsql.compile.pieces import Pack, by_receipts, by_uploads, encoding_of, trees_of
from audsql.compile.trees import TooWide, Tree, width_of, with_uploads
from audsql.compile.uploads import Encoding, Words, encodings, fewest, four_uploads, swapped, written_code
from audsql.line.limits import RECIPIENT_LEAVES_MAX
from audsql.meaning import ir
from audsql.records import dataclass

__all__ = ["Cover", "best_cover"]

_SEARCHED_MAX = 4
"""Encodings of one number of uploads whose trees are searched well; the most promising at a quick look."""
_SPLIT_MAX = 2
"""Of those, how many are tried with split sends where none fits."""
_MORE_UPLOADS_MAX = 2
_WORK_MAX = 400
"""Steps of search for the codes of one delivery."""
_STEP_WORK_MAX = 200
"""Steps of search for each further step where no tree fits."""
_CHANGES_MAX = 4
"""How often a code is changed for a better one where none fits."""


@dataclass(frozen=True, slots=True)
class Cover:
    """The trees of each way under one encoding. `uploads_least` bounds the uploads of any encoding; `fallbacks` are
    the steps tried before the trees fitted, none where they did at once."""

    encoding: Encoding
    trees: tuple[tuple[Tree, ...], ...]
    uploads_least: Least
    fallbacks: tuple[Fallback, ...] = ()

    @property
    def sends(self) -> int:
        return sum(len(trees) for trees in self.trees)

    @property
    def worst(self) -> int:
        return max((tree.leaves for trees in self.trees for tree in trees), default=0)

    @property
    def rank(self) -> tuple[int, int, int, int, int]:
        """Fewer sends, uploads, exclusions by upload, uploaded cells, leaves, in this order."""
        flat = [tree for trees in self.trees for tree in trees]
        return (
            self.sends,
            len(self.encoding),
            sum(len(tree.negated) for tree in flat),
            sum(mask.bit_count() for mask in self.encoding),
            sum(tree.leaves for tree in flat),
        )


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An encoding with the trees found so far; no trees for a way that is too wide for any. `over`: by how many
    leaves the worst tree is beyond the limit, with the room that it has to leave."""

    cover: Cover
    over: int

    @property
    def rank(self) -> tuple[int, ...]:
        return self.over, *self.cover.rank


@dataclass(frozen=True, slots=True)
class _Desk:
    """What one delivery's search looks at. `rooms`: leaves that the trees of each way must leave free."""

    split: Split
    ways: tuple[Way, ...]
    weights: tuple[int, ...]
    rooms: tuple[int, ...]
    words: Words
    work: Work
    written: tuple[Encoding, ...]

    def bench(self, encoding: Encoding) -> Bench:
        return Bench(self.split, encoding, self.weights, self.work)


def best_cover(
    split: Split,
    ways: Sequence[Way],
    weights: Sequence[int],
    rooms: Sequence[int] = (),
    written: ir.Expression = ir.NOBODY,
) -> Cover:
    """The encoding and the trees by `compile.code`; where no tree fits, by the steps of `compile.fallbacks`.

    `rooms`: how many leaves each way's trees must leave free below LINE's limit, none where not given. `written`: the
    expression, whose own parts are a code, too. The cover has a
    tree beyond the limit where nothing fits. Raises TooWide where a send depends on more sets than any tree can name.
    """
    free = (*rooms, *[0] * (len(ways) - len(rooms)))
    words = Words(split)
    desk = _Desk(split, tuple(ways), tuple(weights), free, words, Work(_WORK_MAX), written_code(words, written))
    attempts = _attempts(desk, _codes(desk, fewest(len(split.cells))))
    preferred = min(attempts, key=lambda attempt: attempt.cover.rank)
    return preferred.cover if preferred.over <= 0 else _fallen_back(desk, preferred, attempts)


def _codes(desk: _Desk, uploads: int) -> tuple[Encoding, ...]:
    """The codes of so many uploads worth trying."""
    return (*(code for code in desk.written if len(code) == uploads), *encodings(desk.words, uploads))


def _attempts(desk: _Desk, codes: Sequence[Encoding]) -> list[_Attempt]:
    """The most promising codes with well-searched trees, best first; of equal ones that with the shortest uploads."""
    looked = sorted(_looked(desk, codes, formula.QUICK), key=lambda attempt: attempt.rank)
    promising = (attempt.cover.encoding for attempt in looked[:_SEARCHED_MAX])
    found = list(_looked(desk, promising, ()))
    found.sort(key=lambda attempt: attempt.rank)
    equal = [attempt for attempt in found if attempt.rank == found[0].rank]
    if len(equal) > 1:
        equal.sort(key=lambda attempt: desk.words.order(attempt.cover.encoding))
    return [*equal, *found[len(equal) :]]


def _looked(desk: _Desk, codes: Iterable[Encoding], widths: Sequence[int]) -> Iterator[_Attempt]:
    """The trees of each code as long as there is work left, of the first in any case."""
    for index, code in enumerate(codes):
        if index == 0 or not desk.work.done:
            yield _attempt(desk, code, widths)


def _attempt(desk: _Desk, code: Encoding, widths: Sequence[int]) -> _Attempt:
    bench = desk.bench(code)
    found = [whole(bench, way, widths) for way in desk.ways]
    value = fewest(len(desk.split.cells))
    least = Least(value, "cells" if value else "nothing", len(code) == value)
    worst = max((leaves + room for (_, leaves), room in zip(found, desk.rooms, strict=True)), default=0)
    cover = Cover(code, tuple(() if tree is None else (tree,) for tree, _ in found), least)
    return _Attempt(cover, max(worst - RECIPIENT_LEAVES_MAX, 0))


# --- where no tree fits ---------------------------------------------------------------------------


def _fallen_back(desk: _Desk, preferred: _Attempt, attempts: Sequence[_Attempt]) -> Cover:
    """The step that makes all trees fit with the fewest sends, the first in order of equal ones; the preferred cover,
    too wide, where none does. Each step tried is told."""
    told: list[tuple[FallbackStep, _Attempt]] = []
    pool: list[_Attempt] = []
    for step, tried in _steps(desk, preferred, attempts, pool):
        desk.work.left = _STEP_WORK_MAX
        if tried:
            best = min(tried, key=lambda attempt: attempt.rank)
            told.append((step, best))
            # No later step can do with fewer: those before take no more sends than ways, the others at least one more.
            if best.over == 0 and best.cover.sends <= len(desk.ways) + 1:
                break
    fitting = [at for at, (_, best) in enumerate(told) if best.over == 0]
    taken = min(fitting, key=lambda at: told[at][1].cover.sends, default=None)
    rows = tuple(_told(desk, step, best, at == taken) for at, (step, best) in enumerate(told))
    if taken is not None:
        return replace(told[taken][1].cover, fallbacks=rows)
    if not all(preferred.cover.trees):
        raise TooWide(RECIPIENT_LEAVES_MAX + preferred.over)
    return replace(preferred.cover, fallbacks=rows)


def _told(desk: _Desk, step: FallbackStep, best: _Attempt, taken: bool) -> Fallback:
    cover = best.cover
    leaves = RECIPIENT_LEAVES_MAX + best.over if best.over else cover.worst
    return Fallback(step, cover.sends, len(cover.encoding), leaves, taken, cover.sends - len(desk.ways))


def _steps(
    desk: _Desk, preferred: _Attempt, attempts: Sequence[_Attempt], pool: list[_Attempt]
) -> Iterator[tuple[FallbackStep, list[_Attempt]]]:
    """Each step with what it finds, made when it is asked for; `pool` gathers the codes worth dividing."""
    pool.extend(attempts[:_SPLIT_MAX])
    if not _hopeless(desk):
        yield "encoding", [*(one for one in attempts if one is not preferred), *_changed(desk, attempts[0])]
        least = len(preferred.cover.encoding)
        for uploads in range(least + 1, min(len(desk.split.cells) - 1, least + _MORE_UPLOADS_MAX) + 1):
            found = _attempts(desk, _codes(desk, uploads))
            pool.extend(found[:1])
            yield "one_more_upload", found
        many = [code for code in desk.written if len(code) > least + _MORE_UPLOADS_MAX]
        pool[:0] = found = _attempts(desk, many)
        yield "one_more_upload", found
        yield "four_uploads", _attempts(desk, four_uploads(desk.words, desk.ways))
    yield "split_own", _divided_all(desk, pool, split_own)
    yield "split_uploads", _packed_all(desk, pool, by_uploads)
    yield "split_line", _divided_all(desk, pool, _divided_anyhow)
    yield "split_receipts", _packed_all(desk, pool, by_receipts)


def _hopeless(desk: _Desk) -> bool:
    """Whether some send depends on too many sets under any encoding."""
    return any(
        width_of(desk.split, way, desk.weights) + room > RECIPIENT_LEAVES_MAX
        for way, room in zip(desk.ways, desk.rooms, strict=True)
    )


def _changed(desk: _Desk, start: _Attempt) -> list[_Attempt]:
    """Better codes with the same number of uploads, found by changing the codes of two cells at a time."""
    best, found = start, []
    for _ in range(_CHANGES_MAX):
        looked = list(_looked(desk, swapped(desk.words, best.cover.encoding), formula.QUICK))
        if not looked or desk.work.done:
            break
        nearest = min(looked, key=lambda attempt: attempt.rank)
        if nearest.rank >= best.rank:
            break
        best = _attempt(desk, nearest.cover.encoding, ())
        found.append(best)
        if best.over == 0:
            break
    return found


_Divide = Callable[[Bench, Way, int], tuple[Tree, ...] | None]


def _divided_anyhow(bench: Bench, way: Way, room: int) -> tuple[Tree, ...] | None:
    return split_own(bench, way, room) or split_line(bench, way, room)


def _divided_all(desk: _Desk, pool: Sequence[_Attempt], divide: _Divide) -> list[_Attempt]:
    found = (_divided(desk, attempt, divide) for attempt in pool)
    return [attempt for attempt in found if attempt is not None]


def _divided(desk: _Desk, attempt: _Attempt, divide: _Divide) -> _Attempt | None:
    """The attempt with each way that does not fit as several sends."""
    bench = desk.bench(attempt.cover.encoding)
    found: list[tuple[Tree, ...]] = []
    for way, trees, room in zip(desk.ways, attempt.cover.trees, desk.rooms, strict=True):
        parts = trees if _fits(trees, room) else divide(bench, way, room)
        if parts is None:
            return None
        found.append(parts)
    return _Attempt(replace(attempt.cover, trees=tuple(found)), 0)


def _fits(trees: Sequence[Tree], room: int) -> bool:
    return bool(trees) and all(tree.leaves + room <= RECIPIENT_LEAVES_MAX for tree in trees)


_Packing = Callable[[Bench, Way, int], tuple[Pack, ...] | None]


def _packed_all(desk: _Desk, pool: Sequence[_Attempt], packing: _Packing) -> list[_Attempt]:
    """The attempts with each way that does not fit put together from pieces, which have uploads of their own."""
    packed: dict[int, tuple[Pack, ...] | None] = {}
    found: list[_Attempt] = []
    for cover in (attempt.cover for attempt in pool):
        wide = [at for at, trees in enumerate(cover.trees) if not _fits(trees, desk.rooms[at])]
        packed |= {at: packing(desk.bench(()), desk.ways[at], desk.rooms[at]) for at in wide if at not in packed}
        packs = {at: made for at in wide if (made := packed[at]) is not None}
        if len(packs) < len(wide):
            continue
        bench = desk.bench(encoding_of(desk.split, cover.encoding, [pack for at in wide for pack in packs[at]]))
        parts = (trees_of(bench, packs[at]) if at in packs else trees for at, trees in enumerate(cover.trees))
        pruned = _pruned(replace(cover, encoding=bench.encoding, trees=tuple(parts)))
        if len(pruned.encoding) <= CELLS_MAX:
            found.append(_Attempt(pruned, 0))
    return found


def _pruned(cover: Cover) -> Cover:
    """The cover without the uploads that no tree names."""
    flat = [tree for trees in cover.trees for tree in trees]
    used = sorted({bit for tree in flat for bit in tree.named})
    numbers = {bit: number for number, bit in enumerate(used)}
    trees = tuple(tuple(with_uploads(tree, numbers) for tree in parts) for parts in cover.trees)
    least = replace(cover.uploads_least, exact=len(used) == cover.uploads_least.value)
    return replace(cover, encoding=tuple(cover.encoding[bit] for bit in used), trees=trees, uploads_least=least)
