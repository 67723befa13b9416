"""One delivery compiled: the sends, and the uploads and LINE audiences that they name.

specs/compile.md: sends are disjoint and their union is the expression; few sends, then few uploads, then few
leaves; a filter holds no negation that the author did not write; nobody unknown to the data is uploaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audsql.compile import cofactor, formula
from audsql.compile.audiences import Named, Parts, named
from audsql.compile.cofactor import ATOMS_MAX, CELLS_MAX, Split, TooMany, Way
from audsql.compile.covers import Cover, best_cover
from audsql.compile.filters import filter_of, rest_words
from audsql.compile.program import (
    AudienceLeaf,
    Broadcast,
    CompiledDelivery,
    LineAudience,
    Multicast,
    Narrowcast,
    Recipient,
    Send,
    UploadFunction,
    filter_leaves,
    recipient_leaves,
)
from audsql.compile.trees import VARIABLES_MAX, Tree, lines_of, recipient_of
from audsql.compile.uploads import Encoding, cell_function, fewest, own_expression, upload_key
from audsql.compile.working import Part, Working
from audsql.diag import Diagnostic, error
from audsql.line.limits import FILTER_LEAVES_MAX, RATES, RECIPIENT_LEAVES_MAX
from audsql.meaning import ir
from audsql.meaning.minimal import minimal
from audsql.meaning.words import Arms, Verbs, atom_words, to_words
from audsql.source import Span

__all__ = ["Compiled", "compile_one", "working_of"]

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
    job = _job(delivery, parts, verbs, arms)
    result = _result(job)
    return _finish(job, (result.sends, result.uploads) if isinstance(result, Working) else result)


def working_of(delivery: ir.Delivery, parts: Parts, verbs: Verbs, arms: Arms) -> Working | None:
    """The way to a delivery's narrowcasts; None where it is not sent by narrowcast or has an error."""
    result = _result(_job(delivery, parts, verbs, arms))
    return result if isinstance(result, Working) else None


def _result(job: _Job) -> Working | _Result:
    if job.delivery.by == "push":
        return error("AUD0407", job.span, delivery=job.name, by=job.delivery.by)
    if job.delivery.by == "broadcast":
        return _broadcast(job)
    try:
        split = cofactor.split(job.function)
    except TooMany as problem:
        return error(
            "AUD0404", job.span, delivery=job.name, atoms=problem.atoms, atoms_max=ATOMS_MAX, groups_max=CELLS_MAX
        )
    return _multicast(job, split) if job.delivery.by == "multicast" else _narrowcasts(job, split)


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


def _multicast(job: _Job, split: Split) -> _Result:
    """Members by user ID: only where own data decides everything, and holds everybody who is reached."""
    if not split.ways:
        return (), ()
    opaque = [split.atoms[key] for key, _ in split.rails[: split.own_start]]
    if not opaque and not _reaches(split.ways[0], 0):
        mask = sum(1 << cell for cell in range(len(split.cells)) if _reaches(split.ways[0], cell))
        return (Multicast(0, own_expression(split, cell_function(split, mask))),), ()
    friends = [atom for atom in ir.atoms_of(job.delivery.reach) if isinstance(atom, ir.Friends)]
    atom = (*opaque, *friends)[0]
    return error("AUD0355", job.span, delivery=job.name, by=job.delivery.by, atom=atom_words(atom, job.verbs))


def _reaches(way: Way, cell: int) -> bool:
    return way.lines[cell] != 0


def _part(split: Split, way: Way) -> Part:
    rest = rest_words(split, way)
    return Part(way, rest, None if way.everybody else filter_of(rest))


def _narrowcasts(job: _Job, split: Split) -> Working | Diagnostic:
    if len(split.ways) > SENDS_MAX:
        return error("AUD0403", job.span, delivery=job.name, sends=len(split.ways), limit=SENDS_MAX)
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
    for part in parts:
        levels = lines_of(split, part.way)
        variables = len(levels) + fewest(len(set(part.way.lines)))
        if variables > VARIABLES_MAX:
            return _too_wide(job, variables, job.function)
    cover = best_cover(split, [part.way for part in parts], weights)
    made = _make(job, split, cover)
    for tree in (tree for trees in cover.trees for tree in trees):
        if tree.leaves > RECIPIENT_LEAVES_MAX:
            return _too_wide(job, tree.leaves, made.region(tree))
    sends = _sends(made, cover, parts)
    if isinstance(sends, Diagnostic):
        return sends
    return Working(job.delivery, job.function, job.names, split, tuple(parts), cover, sends, made.uploads)


def _too_wide(job: _Job, needed: int, expression: ir.Expression) -> Diagnostic:
    words = _shortened(min(job.words(expression), job.words(job.function), key=len), _EXPRESSION_CHARACTERS_MAX)
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
        leaves: dict[int, Recipient] = {i: AudienceLeaf(upload.key) for i, upload in enumerate(self.uploads)}
        for index, level in enumerate(tree.task.levels):
            leaves[len(self.uploads) + index] = self.names[level].recipient
        return recipient_of(tree.spoken, leaves)

    def region(self, tree: Tree) -> ir.Expression:
        """The set of a tree, over own and line atoms."""
        leaves = [upload.expression for upload in self.uploads]
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


def _label(job: _Job, expression: ir.Expression) -> str:
    """What people know the upload by: as the function came out of the encoding where that is short, else its
    shortest form."""
    words = job.words(expression)
    if len(words) > _LABEL_CHARACTERS_MAX and len(ir.atoms_of(expression)) <= _LABEL_ATOMS_MAX:
        words = job.words(minimal(expression))
    return _shortened(words, _LABEL_CHARACTERS_MAX)


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 3] + "..."


def _sends(made: _Made, cover: Cover, parts: Sequence[Part]) -> tuple[Send, ...] | Diagnostic:
    sends: list[Send] = []
    friends = [ir.leaf(atom) for atom in ir.atoms_of(made.job.delivery.reach) if isinstance(atom, ir.Friends)]
    for part, trees in zip(parts, cover.trees, strict=True):
        bound = _bound(made, cover.encoding, part.way)
        for tree in trees:
            recipient = made.recipient(tree)
            everybody = recipient is None and part.filter is None
            if everybody and not _is_friends(made.job):
                return error(
                    "AUD0411", made.job.span, delivery=made.job.name, expression=made.job.words(made.job.delivery.reach)
                )
            region = ir.land(made.region(tree), part.rest, *friends)
            sends.append(Narrowcast(len(sends), recipient, part.filter, region, bound, everybody))
    return tuple(sends)


def _bound(made: _Made, encoding: Encoding, way: Way) -> ir.Expression | None:
    """The own data that a send's people are in; None where it may reach people unknown to the data."""
    if _reaches(way, 0):
        return None
    split = made.split
    mask = sum(1 << cell for cell in range(len(split.cells)) if _reaches(way, cell))
    if mask in encoding:
        return made.uploads[encoding.index(mask)].expression
    return own_expression(split, cell_function(split, mask))
