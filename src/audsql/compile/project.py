"""All deliveries of a project compiled, each after those whose clicks, opens or receipts it uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from audsql.compile.audiences import Parts, refers_to
from audsql.compile.flows import check_flows
from audsql.compile.program import LineAudience, Program, UploadFunction
from audsql.compile.sends import Compiled, compile_one
from audsql.compile.uploads import weight
from audsql.diag import Bag, Diagnostic, Label, error
from audsql.meaning import ir
from audsql.meaning.algebra import certain_facts
from audsql.meaning.words import arms_of, verbs_of

__all__ = ["check_project", "compile_delivery", "compile_project", "parts_for"]

_ALIKE_ATOMS_MAX = 6
"""Up to so many atoms every search for a short tree is exhaustive: what it finds depends on the shape alone."""


def compile_project(project: ir.Project) -> tuple[Program, tuple[Diagnostic, ...]]:
    """Compile every delivery that was not sent elsewhere. Deliveries with an error are left out."""
    bag = Bag()
    done = _compiled(project, bag, alike=False)
    return _program(done), bag.sorted()


def check_project(project: ir.Project) -> tuple[Diagnostic, ...]:
    """The diagnostics of `compile_project` alone: of deliveries that are alike only the first is compiled."""
    bag = Bag()
    _compiled(project, bag, alike=True)
    return bag.sorted()


def _compiled(project: ir.Project, bag: Bag, *, alike: bool) -> list[Compiled]:
    """The deliveries compiled in order; `alike`: without those whose like had no problem."""
    own = {delivery.name: delivery for delivery in project.deliveries if delivery.sent_request_id is None}
    uses = {name: _used(delivery, own) for name, delivery in own.items()}
    order, cycle = _ordered(uses)
    if cycle:
        bag.add(_circle_problem([own[name] for name in cycle]))
    parts: dict[str, tuple[int, ...]] = dict.fromkeys(own, (0,))
    done: list[Compiled] = []
    verbs, arms = verbs_of(project), arms_of(project)
    sound: dict[_Shape, tuple[int, ...]] = {}
    for name in order:
        shape = _shape(own[name]) if alike else None
        if shape is not None and shape in sound:
            parts[name] = sound[shape]
            continue
        compiled, problems = compile_one(own[name], parts, verbs, arms)
        bag.extend(problems)
        if compiled is not None:
            done.append(compiled)
            parts[name] = tuple(send.part for send in compiled.delivery.sends)
            if shape is not None and not problems:
                sound[shape] = parts[name]
    bag.extend(check_flows(project, parts))
    return done


_Shape = tuple[object, ...]


def _shape(delivery: ir.Delivery) -> _Shape | None:
    """All that compiling looks at, own atoms by number instead of by name; None for what is better compiled.

    Numbers follow the order of keys and certain facts are part of the shape, so that two deliveries of one
    shape differ in names only, and so do their programs.
    """
    atoms = ir.atoms_of(delivery.reach)
    if len(atoms) > _ALIKE_ATOMS_MAX or any(atom.world == "line" for atom in atoms):
        return None
    number = {atom.key: str(index) for index, atom in enumerate(atoms)}
    facts = certain_facts(atoms)
    structure = ir.fold(
        delivery.reach,
        lambda node: number[node.key],
        str,
        lambda inner: f"!{inner}",
        lambda parts: f"({'&'.join(parts)})",
        lambda parts: f"({'|'.join(parts)})",
    )
    return (
        structure,
        tuple(atom.key if atom.world == "attribute" else "" for atom in atoms),
        tuple((number[left], number[right]) for left, right in facts.implications),
        tuple((number[left], number[right]) for left, right in facts.exclusions),
        delivery.by,
        delivery.personal,
        delivery.capped,
        delivery.limit,
        delivery.is_friends,
    )


def compile_delivery(
    delivery: ir.Delivery, project: ir.Project, parts: Parts | None = None
) -> tuple[Compiled | None, tuple[Diagnostic, ...]]:
    """Compile one delivery; None where it has an error.

    `parts` gives the numbers of the sends of the deliveries that it refers to; those not in it count as one
    send, made elsewhere.
    """
    return compile_one(delivery, parts or {}, verbs_of(project), arms_of(project))


def parts_for(delivery: ir.Delivery, project: ir.Project) -> tuple[Parts, tuple[Diagnostic, ...]]:
    """The numbers of the sends of the deliveries that one refers to, directly or through others, as
    `compile_project` finds them; those with errors count as one send. A circle among them is told."""
    own = {one.name: one for one in project.deliveries if one.sent_request_id is None}
    waiting, uses = [delivery.name], {}
    while waiting:
        name = waiting.pop()
        if name not in uses:
            uses[name] = _used(own[name], own)
            waiting.extend(uses[name])
    order, cycle = _ordered(uses)
    parts: dict[str, tuple[int, ...]] = dict.fromkeys(own, (0,))
    for name in order:
        if name != delivery.name:
            compiled, _ = compile_one(own[name], parts, verbs_of(project), arms_of(project))
            if compiled is not None:
                parts[name] = tuple(send.part for send in compiled.delivery.sends)
    return parts, (_circle_problem([own[name] for name in cycle]),) if cycle else ()


def _used(delivery: ir.Delivery, own: Mapping[str, ir.Delivery]) -> tuple[str, ...]:
    names = {refers_to(atom) for atom in ir.atoms_of(delivery.reach)}
    return tuple(sorted(name for name in names if name is not None and name in own))


def _ordered(uses: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names, each after those it uses, and a cycle where there is one. Deliveries of a cycle, and those that
    need them, are not in the order."""
    order: list[str] = []
    left = dict(uses)
    while True:
        ready = sorted(name for name, needed in left.items() if not any(other in left for other in needed))
        if not ready:
            return tuple(order), _cycle(left)
        order.extend(ready)
        for name in ready:
            del left[name]


def _cycle(left: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Follow the first unfinished need of each from the smallest name until one comes again."""
    if not left:
        return ()
    path = [min(left)]
    while True:
        following = next(other for other in left[path[-1]] if other in left)
        if following in path:
            found = path[path.index(following) :]
            start = found.index(min(found))
            return (*found[start:], *found[:start])
        path.append(following)


def _circle_problem(cycle: Sequence[ir.Delivery]) -> Diagnostic:
    places = [delivery.to_span or delivery.span for delivery in cycle]
    labels = [Label(place, "next") for place in places[1:] if place is not None]
    path = " -> ".join((*(delivery.name for delivery in cycle), cycle[0].name))
    return error("AUD0210", places[0], labels=labels, name=cycle[0].name, path=path, policy=None, covered=None)


def _program(done: Iterable[Compiled]) -> Program:
    compiled = sorted(done, key=lambda one: one.delivery.name)
    audiences: dict[str, LineAudience] = {}
    for one in compiled:
        audiences.update({audience.key: audience for audience in one.audiences})
    return Program(
        tuple(_shared(upload for one in compiled for upload in one.uploads)),
        tuple(audiences[key] for key in sorted(audiences)),
        tuple(one.delivery for one in compiled),
    )


def _shared(uploads: Iterable[UploadFunction]) -> Iterator[UploadFunction]:
    """Equal functions once, in the shortest words; negated where any delivery excludes by them."""
    by_key: dict[str, list[UploadFunction]] = {}
    for upload in uploads:
        by_key.setdefault(upload.key, []).append(upload)
    for key in sorted(by_key):
        group = by_key[key]
        best = min(group, key=lambda upload: (weight(upload.expression), upload.expression.key))
        negated = any(upload.negated for upload in group)
        yield UploadFunction(key, best.account, best.expression, best.label, negated)
