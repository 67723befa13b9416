"""Own data as it stood when the plan was approved, with what is subtracted as it stands now.

Between a plan and its sends data moves. What was approved is the set of people at that time; what may
happen to it afterwards is that people drop out, never that people come in. So sources that only ever
add are pinned to the digests of the plan, and sources that are subtracted are read again: whoever was
excluded then or is excluded now stays out (specs/operations.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime

from audsql.compile.cofactor import moving
from audsql.compile.program import CompiledDelivery, Multicast, Narrowcast, Program
from audsql.data.engine import Engine, Materialised, People
from audsql.data.exclusions import empty_exclusions
from audsql.diag import Bag, Diagnostic, error, has_errors
from audsql.meaning.ir import Atom, Expression, Mapped, Project, atoms_of
from audsql.meaning.lineage import read_from, sources_of, with_parts
from audsql.records import dataclass

__all__ = [
    "Polarity",
    "World",
    "as_approved",
    "as_found",
    "atoms_needed",
    "excluded_linkages",
    "exclusions",
    "linkage_name",
    "own_atoms",
]


@dataclass(frozen=True, slots=True)
class World:
    """Own atoms evaluated: `people` by atom key. `excluded`: digests of what was read again to be subtracted."""

    people: Mapping[str, People]
    materialised: Materialised
    excluded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Polarity:
    """Keys of own atoms, those that mapped sets are made of included, that are only subtracted, and of those
    that are both added and subtracted."""

    subtracted: frozenset[str]
    mixed: frozenset[str]


def own_atoms(expression: Expression) -> tuple[Atom, ...]:
    return tuple(atom for atom in atoms_of(expression) if atom.world == "own")


def atoms_needed(deliveries: Sequence[CompiledDelivery], program: Program) -> tuple[Atom, ...]:
    """Every own atom that these deliveries' uploads, bounds and members are made of, by key."""
    expressions: list[Expression] = [delivery.reach for delivery in deliveries]
    expressions += [program.upload(key).expression for delivery in deliveries for key in delivery.uploads]
    for delivery in deliveries:
        for send in delivery.sends:
            if isinstance(send, Multicast):
                expressions.append(send.members)
            elif isinstance(send, Narrowcast) and send.bound is not None:
                expressions.append(send.bound)
    found = {atom.key: atom for expression in expressions for atom in own_atoms(expression)}
    return tuple(found[key] for key in sorted(found))


def exclusions(deliveries: Sequence[CompiledDelivery]) -> Polarity:
    """How own atoms are used by all these deliveries together, read off their reach."""
    added: set[str] = set()
    subtracted: set[str] = set()
    for delivery in deliveries:
        _polarity(delivery.reach, added, subtracted)
    return Polarity(frozenset(subtracted - added), frozenset(subtracted & added))


def excluded_linkages(deliveries: Sequence[CompiledDelivery], atoms: Sequence[Atom]) -> tuple[Mapped, ...]:
    """The mapped sets among these atoms and their parts that some of these deliveries subtract."""
    found = exclusions(deliveries)
    keys = found.subtracted | found.mixed
    return tuple(one for one in with_parts(atoms) if isinstance(one, Mapped) and one.key in keys)


def linkage_name(atom: Mapped) -> str:
    """Under which the engine keeps the people of a mapped set that is subtracted."""
    return f"linkage.{atom.key}"


def _polarity(expression: Expression, added: set[str], subtracted: set[str]) -> None:
    """By meaning, not by how it is written: what adds in one place and subtracts in another may do only one."""
    seen: set[tuple[str, bool]] = set()
    stack: list[tuple[Expression, bool]] = [(expression, True)]
    while stack:
        node, positive = stack.pop()
        if (node.key, positive) in seen:
            continue
        seen.add((node.key, positive))
        found = moving(node)
        for side, keys in ((positive, found.added), (not positive, found.subtracted)):
            (added if side else subtracted).update(keys)
            # A mapped set grows with what it is made of.
            mapped = (atom for atom in atoms_of(node) if isinstance(atom, Mapped) and atom.key in keys)
            stack.extend((atom.inner, side) for atom in mapped)


def as_found(engine: Engine, atoms: Sequence[Atom], as_of: datetime) -> tuple[World | None, tuple[Diagnostic, ...]]:
    """The world as the files stand now."""
    materialised, diagnostics = engine.materialise(atoms, as_of)
    if has_errors(diagnostics):
        return None, diagnostics
    return World(materialised.people, materialised), diagnostics


def as_approved(
    engine: Engine,
    project: Project,
    deliveries: Sequence[CompiledDelivery],
    program: Program,
    pinned: Mapping[str, str],
    as_of: datetime,
    exclusions_as_of: datetime,
    accepted_shrunk: frozenset[str],
) -> tuple[Mapping[str, World] | None, tuple[Diagnostic, ...]]:
    """By delivery the approved world, minus everybody whom this delivery excludes now.

    Each has a world of its own: what one adds and another subtracts is as approved for the one, and read again for
    the other. `pinned` are the digests of the approved plan by source name. A delivery is left out, and the source
    told (AUD0625), where a pinned source is neither cached nor unchanged, or one that this delivery both adds and
    subtracts has changed. None: nothing may be sent; an exclusion lost people (AUD0703) or cannot be read.
    """
    atoms = atoms_needed(deliveries, program)
    planned, diagnostics = engine.materialise(atoms, as_of, pinned)
    if has_errors(diagnostics):
        return None, diagnostics
    unread = {one.name: _unread(atoms_needed([one], program), planned) for one in deliveries}
    sent = [one for one in deliveries if not unread[one.name]]
    diagnostics = (*diagnostics, *_changed(name for names in unread.values() for name in names))
    polarities = {one.name: exclusions([one]) for one in sent}
    again = frozenset[str]().union(*(one.subtracted | one.mixed for one in polarities.values()))
    fresh_atoms = [atom for atom in with_parts(atoms_needed(sent, program)) if atom.key in again]
    if not fresh_atoms:
        return {one.name: World(planned.people, planned) for one in sent}, diagnostics
    latest, found = engine.materialise(fresh_atoms, exclusions_as_of)
    diagnostics = (*diagnostics, *found)
    bag = Bag()
    for one in sent:
        bag.extend(empty_exclusions(project, one.reach, latest.sources))
    if has_errors(found) or bag.items:
        return None, (*diagnostics, *bag.sorted())
    moved = {atom.key: _moved(engine, planned, latest, atom) for atom in fresh_atoms}
    reading = _Reading(engine, planned, latest, atoms_needed(sent, program), tuple(fresh_atoms), moved)
    shrunk = _shrunk(reading, polarities, accepted_shrunk)
    if shrunk:
        return None, (*diagnostics, *shrunk)
    stale = {name: _stale(reading, polarity) for name, polarity in polarities.items()}
    worlds = _worlds(reading, {name: one for name, one in polarities.items() if not stale[name]})
    return worlds, (*diagnostics, *_changed(name for names in stale.values() for name in names))


def _changed(names: Iterable[str]) -> tuple[Diagnostic, ...]:
    return tuple(error("AUD0625", None, name=name) for name in sorted({*names}))


def _unread(atoms: Sequence[Atom], planned: Materialised) -> tuple[str, ...]:
    """The sources of atoms that are not at hand; of a mapped set those that were not read."""
    names = {read_from(atom) for atom in with_parts(atoms) if atom.key not in planned.people}
    read = {*planned.sources}
    return tuple(sorted(names - read or names))


@dataclass(frozen=True, slots=True)
class _Reading:
    """Own data as approved and, of what is subtracted somewhere (`fresh`), as it is now. `moved`: by key of these
    how many people came in since, and how many left."""

    engine: Engine
    planned: Materialised
    latest: Materialised
    atoms: tuple[Atom, ...]
    fresh: tuple[Atom, ...]
    moved: Mapping[str, tuple[int, int]]


def _moved(engine: Engine, planned: Materialised, latest: Materialised, atom: Atom) -> tuple[int, int]:
    entering, leaving = engine.delta(planned.people[atom.key], latest.people[atom.key])
    return engine.count(entering), engine.count(leaving)


def _shrunk(reading: _Reading, polarities: Mapping[str, Polarity], accepted_shrunk: frozenset[str]) -> list[Diagnostic]:
    """Lists that lost people and are only subtracted by some delivery: nothing is sent."""
    subtracted = frozenset[str]().union(*(one.subtracted for one in polarities.values()))
    problems: list[Diagnostic] = []
    for atom in reading.fresh:
        name, left = read_from(atom), reading.moved[atom.key][1]
        if left and _is_list(atom) and atom.key in subtracted and name not in accepted_shrunk:
            count, planned, latest = reading.engine.count, reading.planned.people, reading.latest.people
            before, after = count(planned[atom.key]), count(latest[atom.key])
            problems.append(error("AUD0703", None, name=name, before=before, after=after, left=left))
    return problems


def _stale(reading: _Reading, polarity: Polarity) -> frozenset[str]:
    """The sources that one delivery both adds and subtracts and that have changed."""
    found: set[str] = set()
    for atom in reading.fresh:
        if atom.key in polarity.mixed and any(reading.moved[atom.key]) and not found.intersection(sources_of(atom)):
            found.add(read_from(atom))
    return frozenset(found)


def _worlds(reading: _Reading, polarities: Mapping[str, Polarity]) -> dict[str, World]:
    """By delivery; those that read the same sets again have one world together."""
    told = {atom.key for atom in reading.fresh if isinstance(atom, Mapped) or any(reading.moved[atom.key])}
    made: dict[frozenset[str], World] = {}
    found: dict[str, World] = {}
    for name, polarity in polarities.items():
        read_again = polarity.subtracted & told
        if read_again not in made:
            made[read_again] = _merged(reading, polarity.subtracted)
        found[name] = made[read_again]
    return found


def _merged(reading: _Reading, subtracted: frozenset[str]) -> World:
    engine, planned, latest = reading.engine, reading.planned, reading.latest
    people = dict(planned.people)
    keys = [atom.key for atom in reading.fresh if atom.key in subtracted]
    people |= {key: engine.union(planned.people[key], latest.people[key]) for key in keys}
    # What is made of these moves with them: buckets for people who are new, mapped sets that subtract within.
    people |= engine.derive(reading.atoms, people, planned, {key: people[key] for key in keys})
    return World(people, planned, {name: facts.digest for name, facts in sorted(latest.sources.items())})


def _is_list(atom: Atom) -> bool:
    """Lists must not shrink unseen; people leave the windows of tables in the ordinary course of time."""
    return hasattr(atom, "source")
