"""One delivery compiled: the sends, and the uploads and LINE audiences that they name.

specs/compile.md: sends are disjoint and their union is the expression; few sends, then few uploads, then few
leaves; a filter holds no negation that the author did not write; nobody unknown to the data is uploaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import lru_cache
from typing import TypeGuard

from audsql.compile import cofactor, decision, formula
from audsql.compile.audiences import Named, Parts, named
from audsql.compile.changing import Guards, guarded, guards_of, ordered, targets_of
from audsql.compile.cofactor import ATOMS_MAX, CELLS_MAX, Split, TooMany, Way
from audsql.compile.covers import Cover, best_cover
from audsql.compile.fewest import covered
from audsql.compile.filters import filter_of, rest_words
from audsql.compile.pieces import too_wide
from audsql.compile.program import (
    AudienceLeaf,
    Broadcast,
    CompiledDelivery,
    LineAudience,
    ListedKind,
    Multicast,
    Narrowcast,
    Recipient,
    Send,
    UploadFunction,
    filter_leaves,
    recipient_leaves,
)
from audsql.compile.trees import TooWide, Tree, recipient_of
from audsql.compile.uploads import Encoding, cell_function, own_expression, upload_key
from audsql.compile.working import Part, Working
from audsql.diag import Diagnostic, error, warning
from audsql.line.limits import FILTER_LEAVES_MAX, RATES, RECIPIENT_LEAVES_MAX
from audsql.meaning import ir
from audsql.meaning.minimal import minimal
from audsql.meaning.words import Arms, Verbs, atom_words, to_words
from audsql.records import dataclass
from audsql.source import Span

__all__ = ["Compiled", "compile_one", "compile_shown", "split_of", "working_of"]

SENDS_MAX = RATES["narrowcast"][0]
"""Narrowcasts of one delivery: what LINE lets an account send within an hour."""
_LABEL_CHARACTERS_MAX = 60
_LABEL_ATOMS_MAX = 8
_EXPRESSION_CHARACTERS_MAX = 400


@dataclass(frozen=True, slots=True)
class Compiled:
    """A delivery with all that it needs."""

    delivery: CompiledDelivery
    uploads: tuple[UploadFunction, ...] = ()
    audiences: tuple[LineAudience, ...] = ()


@dataclass(frozen=True, slots=True)
class _Job:
    """A delivery, what it reaches among friends, and how its line atoms are named at LINE."""

    delivery: ir.Delivery
    function: ir.Expression
    names: Mapping[str, Named]
    waits_for: tuple[str, ...]
    verbs: Verbs = field(default_factory=dict)
    arms: Arms = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.delivery.name

    @property
    def span(self) -> Span | None:
        return self.delivery.to_span or self.delivery.span

    def words(self, expression: ir.Expression) -> str:
        return to_words(expression, self.verbs, self.arms)


def compile_one(
    delivery: ir.Delivery, parts: Parts, verbs: Verbs, arms: Arms
) -> tuple[Compiled | None, tuple[Diagnostic, ...]]:
    """Compile a delivery. `parts` says how each delivery that it refers to is sent."""
    compiled, problems, _ = compile_shown(delivery, parts, verbs, arms)
    return compiled, problems


def compile_shown(
    delivery: ir.Delivery, parts: Parts, verbs: Verbs, arms: Arms
) -> tuple[Compiled | None, tuple[Diagnostic, ...], Working | None]:
    """As `compile_one`, with the way to it, as `working_of` gives it."""
    job = _job(delivery, parts, verbs, arms)
    result = _result(job)
    if not isinstance(result, Working):
        return *_finish(job, result), None
    compiled, problems = _finish(job, (result.sends, result.uploads))
    return compiled, (*problems, *(_exposed(job, result) if compiled is not None else ())), result


def working_of(delivery: ir.Delivery, parts: Parts, verbs: Verbs, arms: Arms) -> Working | None:
    """The way to a delivery's narrowcasts; None where it is not sent by narrowcast or has an error."""
    result = _result(_job(delivery, parts, verbs, arms))
    return result if isinstance(result, Working) else None


def split_of(delivery: ir.Delivery, parts: Parts, verbs: Verbs, arms: Arms) -> Split | None:
    """What a delivery reaches among friends, split; None where it tells too much apart."""
    try:
        return cofactor.split(_job(delivery, parts, verbs, arms).function)
    except TooMany:
        return None


def _result(job: _Job) -> Working | _Result:
    if job.delivery.by == "broadcast":
        return _broadcast(job)
    try:
        split = cofactor.split(job.function)
    except TooMany as problem:
        return error(
            "AUD0404", job.span, delivery=job.name, atoms=problem.atoms, atoms_max=ATOMS_MAX, groups_max=CELLS_MAX
        )
    kind = _listed_kind(job.delivery)
    if kind is not None:
        return _multicast(job, split, kind)
    if job.delivery.capped and job.delivery.limit is None:
        counted = _multicast(job, split, "listed")
        if not isinstance(counted, Diagnostic):
            return counted
    return _narrowcasts(job, split)


def _listed_kind(delivery: ir.Delivery) -> ListedKind | None:
    """How a delivery goes to its people by user ID; None where LINE may hold them."""
    if delivery.by == "push":
        return "push"
    if delivery.personal or (delivery.by == "multicast" and delivery.capped):
        return "listed"
    return "multicast" if delivery.by == "multicast" else None


def _job(delivery: ir.Delivery, parts: Parts, verbs: Verbs, arms: Arms) -> _Job:
    """`friends` is true for everyone a send can reach; parts of a delivery that are never sent reached nobody."""
    decided: dict[str, ir.Expression] = {}
    names: dict[str, Named] = {}
    waits: set[str] = set()
    for atom in ir.atoms_of(delivery.reach):
        if isinstance(atom, ir.Friends) and atom.account in ("", delivery.account):
            decided[atom.key] = ir.EVERYBODY
        elif atom.world == "line":
            name = named(atom, delivery.account, parts)
            if name.waits_for is not None:
                waits.add(name.waits_for)
            if name.leaves:
                names[atom.key] = name
            else:
                decided[atom.key] = ir.NOBODY
    return _Job(delivery, ir.substitute(delivery.reach, decided), names, tuple(sorted(waits)), verbs, arms)


_Result = tuple[tuple[Send, ...], tuple[UploadFunction, ...]] | Diagnostic


def _finish(job: _Job, result: _Result) -> tuple[Compiled | None, tuple[Diagnostic, ...]]:
    if isinstance(result, Diagnostic):
        return None, (result,)
    sends, uploads = result
    limit = job.delivery.limit
    if limit is not None and any(not isinstance(send, Narrowcast) for send in sends):
        return None, (error("AUD0409", job.span, delivery=job.name, by=job.delivery.by),)
    if limit is not None and len(sends) > 1:
        return None, (error("AUD0408", job.span, delivery=job.name, limit=limit, sends=len(sends)),)
    used = {
        leaf.key
        for send in sends
        if isinstance(send, Narrowcast)
        for leaf in recipient_leaves(send.recipient)
        if isinstance(leaf, AudienceLeaf)
    }
    kept = tuple(upload for upload in sorted(uploads, key=lambda upload: upload.key) if upload.key in used)
    made = {audience.key: audience for name in job.names.values() for audience in name.audiences}
    audiences = tuple(made[key] for key in sorted(used & made.keys()))
    delivery = CompiledDelivery(
        job.delivery.name,
        job.delivery.account,
        job.delivery.reach,
        sends,
        tuple(upload.key for upload in kept),
        tuple(audience.key for audience in audiences),
        job.waits_for,
    )
    return Compiled(delivery, kept, audiences), ()


# --- kinds of send --------------------------------------------------------------------------------


def _is_friends(job: _Job) -> bool:
    """Whether the reach is `friends` as written, nothing subtracted."""
    reach = job.delivery.reach
    return isinstance(reach, ir.Leaf) and isinstance(reach.atom, ir.Friends)


def _broadcast(job: _Job) -> _Result:
    if _is_friends(job):
        return (Broadcast(0),), ()
    if not job.delivery.is_friends:
        return error("AUD0354", job.span, delivery=job.name)
    return error("AUD0356", job.span, delivery=job.name, policies=job.delivery.policies)


def _multicast(job: _Job, split: Split, kind: ListedKind) -> _Result:
    """Members by user ID: only where own data decides everything, and holds everybody who is reached."""
    if not split.ways:
        return (), ()
    opaque = [split.atoms[key] for key, _ in split.rails[: split.own_start]]
    if not opaque and not _reaches(split.ways[0], 0):
        mask = sum(1 << cell for cell in range(len(split.cells)) if _reaches(split.ways[0], cell))
        return (Multicast(0, own_expression(split, cell_function(split, mask)), kind),), ()
    friends = [atom for atom in ir.atoms_of(job.delivery.reach) if isinstance(atom, ir.Friends)]
    atom = (*opaque, *friends)[0]
    return error("AUD0355", job.span, delivery=job.name, by=job.delivery.by, atom=atom_words(atom, job.verbs))


def _reaches(way: Way, cell: int) -> bool:
    return way.lines[cell] != 0


def _part(split: Split, way: Way) -> Part:
    rest = rest_words(split, way)
    return Part(way, rest, None if way.everybody else filter_of(rest))


def _narrowcasts(job: _Job, split: Split) -> Working | Diagnostic:
    """The fewest sends; the distinct rests where those do not fit, or would not be safe between the sends."""
    few = covered(split)
    best = _sent(job, few)
    if few.ways is split.ways or (_is_safe(best) and len(best.sends) == len(few.ways)):
        return best
    rows = _sent(job, replace(split, sends_least=replace(few.sends_least, exact=False)))
    if not _is_safe(best):
        return rows if isinstance(rows, Working) or isinstance(best, Working) else best
    return rows if isinstance(rows, Working) and len(rows.sends) <= len(best.sends) else best


def _is_safe(result: Working | Diagnostic) -> TypeGuard[Working]:
    return isinstance(result, Working) and not result.guards.unsafe


def _exposed(job: _Job, working: Working) -> tuple[Diagnostic, ...]:
    """A warning where somebody could get two sends by a change between them, and no guard fits."""
    if not working.guards.exposed:
        return ()
    atom = atom_words(working.guards.exposed[0], job.verbs)
    sends = len(working.sends)
    return (warning("AUD0412", job.span, delivery=job.name, atom=atom, sends=sends, limit=RECIPIENT_LEAVES_MAX),)


def _sent(job: _Job, split: Split) -> Working | Diagnostic:
    if len(split.ways) > SENDS_MAX:
        return _too_many(job, len(split.ways))
    parts = sorted((_part(split, way) for way in split.ways), key=lambda part: part.order)
    for part in parts:
        needed = filter_leaves(part.filter)
        if needed > FILTER_LEAVES_MAX:
            return error(
                "AUD0402",
                job.span,
                delivery=job.name,
                needed=needed,
                limit=FILTER_LEAVES_MAX,
                expression=_shortened(job.words(part.rest), _EXPRESSION_CHARACTERS_MAX),
            )
    weights = [len(job.names[atom.key].leaves) for atom in split.lines]
    try:
        parts, cover, guards = _laid_out(split, parts, weights, job.function)
    except TooWide as problem:
        return _too_wide(job, split, weights, problem.needed)
    if cover.worst > RECIPIENT_LEAVES_MAX or (guards.unsafe and any(len(trees) > 1 for trees in cover.trees)):
        return _too_wide(job, split, weights, max(cover.worst, RECIPIENT_LEAVES_MAX + 1))
    if cover.sends > SENDS_MAX:
        return _too_many(job, cover.sends)
    made = _make(job, split, cover)
    sends = _sends(made, cover, parts, guards)
    if isinstance(sends, Diagnostic):
        return sends
    return Working(job.delivery, job.function, job.names, split, tuple(parts), cover, sends, made.uploads, guards)


_Layout = tuple[list[Part], Cover, Guards]


def _laid_out(split: Split, parts: Sequence[Part], weights: Sequence[int], written: ir.Expression) -> _Layout:
    """The trees of the parts and their guards; where guards have no room, trees that leave it if there are any."""
    ways = [part.way for part in parts]
    first = _in_order(split, parts, best_cover(split, ways, weights, (), written))
    if not first[2].exposed and not first[2].unsafe:
        return first
    rooms = _rooms(split, parts, first)
    try:
        second = _in_order(split, parts, best_cover(split, ways, weights, rooms, written))
    except TooWide:
        return first
    fits = second[1].worst <= RECIPIENT_LEAVES_MAX and not second[2].exposed and not second[2].unsafe
    return second if fits else first


def _rooms(split: Split, parts: Sequence[Part], layout: _Layout) -> list[int]:
    """The leaves that the guards of each part's sends against other parts take."""
    ordered_parts, cover, guards = layout
    needed = iter(guards.needed)
    most = []
    for part, trees in zip(ordered_parts, cover.trees, strict=True):
        # The trees of one part have room for the guards between them as they were found.
        inside = guards_of(split, targets_of(split, part.way, cover.encoding, trees)).needed
        most.append(max(next(needed) - own for own in inside))
    return [most[ordered_parts.index(part)] for part in parts]


def _in_order(split: Split, parts: Sequence[Part], cover: Cover) -> _Layout:
    """The parts in the order that needs the fewest guards between them."""
    targets = [
        targets_of(split, part.way, cover.encoding, trees) for part, trees in zip(parts, cover.trees, strict=True)
    ]
    order = ordered(split, targets)
    flat = [target for number in order for target in targets[number]]
    trees = tuple(cover.trees[number] for number in order)
    return [parts[number] for number in order], replace(cover, trees=trees), guards_of(split, flat)


def _too_many(job: _Job, sends: int) -> Diagnostic:
    return error("AUD0403", job.span, delivery=job.name, sends=sends, limit=SENDS_MAX)


def _too_wide(job: _Job, split: Split, weights: Sequence[int], needed: int) -> Diagnostic:
    """The smallest part that no send can reach; all of it where each part by itself fits."""
    needed, part = too_wide(split, split.ways, weights) or (needed, job.function)
    words = _shortened(job.words(part), _EXPRESSION_CHARACTERS_MAX)
    return error("AUD0401", job.span, delivery=job.name, needed=needed, limit=RECIPIENT_LEAVES_MAX, expression=words)


# --- from covers to sends -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Made:
    """A cover with the uploads that its bits are."""

    job: _Job
    split: Split
    uploads: tuple[UploadFunction, ...]
    names: tuple[Named, ...]

    def recipient(self, tree: Tree) -> Recipient | None:
        """The tree in LINE's objects."""
        leaves: list[Recipient] = [AudienceLeaf(self.uploads[bit].key) for bit in tree.task.bits]
        leaves += [self.names[level].recipient for level in tree.task.levels]
        return recipient_of(tree.spoken, dict(enumerate(leaves)))

    def region(self, tree: Tree) -> ir.Expression:
        """The set of a tree, over own and line atoms."""
        leaves = [self.uploads[bit].expression for bit in tree.task.bits]
        leaves += [ir.leaf(self.names[level].atom) for level in tree.task.levels]

        def literal(item: formula.Literal) -> ir.Expression:
            return leaves[item.variable] if item.positive else ir.lnot(leaves[item.variable])

        return formula.render(
            tree.spoken, literal, ir.Constant, lambda parts: ir.land(*parts), lambda parts: ir.lor(*parts)
        )


def _make(job: _Job, split: Split, cover: Cover) -> _Made:
    negated = {bit for trees in cover.trees for tree in trees for bit in tree.negated}
    uploads = tuple(_upload(job, split, mask, bit in negated) for bit, mask in enumerate(cover.encoding))
    return _Made(job, split, uploads, tuple(job.names[atom.key] for atom in split.lines))


def _upload(job: _Job, split: Split, mask: int, negated: bool) -> UploadFunction:
    account = job.delivery.account
    expression = own_expression(split, cell_function(split, mask))
    return UploadFunction(
        upload_key(account, expression),
        account,
        expression,
        _label(job, expression),
        negated,
    )


# The deliveries of a project share many functions of own data.
@lru_cache(maxsize=2_048)
def _minimal(expression: ir.Expression) -> ir.Expression:
    return minimal(expression)


def _label(job: _Job, expression: ir.Expression) -> str:
    """What people know the upload by: as the function came out of the encoding where that is short, else its
    shortest form."""
    words = job.words(expression)
    if len(words) > _LABEL_CHARACTERS_MAX and len(ir.atoms_of(expression)) <= _LABEL_ATOMS_MAX:
        words = job.words(_minimal(expression))
    return _shortened(words, _LABEL_CHARACTERS_MAX)


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 3] + "..."


def _sends(made: _Made, cover: Cover, parts: Sequence[Part], guards: Guards) -> tuple[Send, ...] | Diagnostic:
    sends: list[Send] = []
    friends = [ir.leaf(atom) for atom in ir.atoms_of(made.job.delivery.reach) if isinstance(atom, ir.Friends)]
    for part, trees in zip(parts, cover.trees, strict=True):
        bound = _bound(made, cover.encoding, part.way)
        for tree, area in zip(trees, _areas(made, cover.encoding, part.way, trees), strict=True):
            recipient = made.recipient(tree)
            everybody = recipient is None and part.filter is None
            if everybody and not _is_friends(made.job):
                return error(
                    "AUD0411", made.job.span, delivery=made.job.name, expression=made.job.words(made.job.delivery.reach)
                )
            region = ir.land(area, part.rest, *friends)
            recipient = guarded(recipient, made.job.name, guards.earlier[len(sends)])
            sends.append(Narrowcast(len(sends), recipient, part.filter, region, bound, everybody))
    return tuple(sends)


def _areas(made: _Made, encoding: Encoding, way: Way, trees: Sequence[Tree]) -> Iterator[ir.Expression]:
    """The set of each tree of a way, without those of earlier ones whose people it would reach, too: by its guard it
    leaves them out."""
    space = made.split.space
    targets = targets_of(made.split, way, encoding, trees)
    for number, (tree, target) in enumerate(zip(trees, targets, strict=True)):
        shared = (
            made.region(earlier)
            for earlier, other in zip(trees[:number], targets, strict=False)
            if any(decision.both(space, one, two) for one, two in zip(target.lines, other.lines, strict=True))
        )
        yield ir.land(made.region(tree), *(ir.lnot(region) for region in shared))


def _bound(made: _Made, encoding: Encoding, way: Way) -> ir.Expression | None:
    """The own data that a send's people are in; None where it may reach people unknown to the data."""
    if _reaches(way, 0):
        return None
    split = made.split
    mask = sum(1 << cell for cell in range(len(split.cells)) if _reaches(way, cell))
    if mask in encoding:
        return made.uploads[encoding.index(mask)].expression
    return own_expression(split, cell_function(split, mask))
