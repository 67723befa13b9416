"""Own data as it stood when the plan was approved, with what is subtracted as it stands now.

Between a plan and its sends data moves. What was approved is the set of people at that time; what may
happen to it afterwards is that people drop out, never that people come in. So sources that only ever
add are pinned to the digests of the plan, and sources that are subtracted are read again: whoever was
excluded then or is excluded now stays out (specs/operations.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audsql.compile.cofactor import moving
from audsql.compile.program import CompiledDelivery, Multicast, Narrowcast, Program
from audsql.data.engine import Engine, Materialised, People
from audsql.data.exclusions import empty_exclusions
from audsql.diag import Bag, Diagnostic, error, has_errors
from audsql.meaning.ir import Atom, Expression, Mapped, Project, atoms_of
from audsql.meaning.lineage import read_from, sources_of, with_parts

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
) -> tuple[World | None, tuple[Diagnostic, ...]]:
    """The approved world, minus everybody who is excluded now.

    `pinned` are the digests of the approved plan by source name. Errors: a pinned source that is neither
    cached nor unchanged, a source that is both added and subtracted and has changed (both make the plan
    stale, AUD0625), an exclusion that lost people (AUD0703).
    """
    atoms = atoms_needed(deliveries, program)
    polarity = exclusions(deliveries)
    planned, diagnostics = engine.materialise(atoms, as_of, pinned)
    if has_errors(diagnostics):
        return None, diagnostics
    missing = _unread(atoms, planned)
    if missing:
        return None, tuple(error("AUD0625", None, name=name) for name in missing)
    fresh_atoms = [atom for atom in with_parts(atoms) if atom.key in polarity.subtracted | polarity.mixed]
    if not fresh_atoms:
        return World(planned.people, planned), diagnostics
    latest, found = engine.materialise(fresh_atoms, exclusions_as_of)
    diagnostics = (*diagnostics, *found)
    bag = Bag()
    for one in deliveries:
        bag.extend(empty_exclusions(project, one.reach, latest.sources))
    if has_errors(found) or bag.items:
        return None, (*diagnostics, *bag.sorted())
    return _merged(engine, planned, latest, atoms, fresh_atoms, polarity, accepted_shrunk, diagnostics)


def _unread(atoms: Sequence[Atom], planned: Materialised) -> tuple[str, ...]:
    """The sources of atoms that are not at hand; of a mapped set those that were not read."""
    names = {read_from(atom) for atom in with_parts(atoms) if atom.key not in planned.people}
    read = {*planned.sources}
    return tuple(sorted(names - read or names))


def _merged(
    engine: Engine,
    planned: Materialised,
    latest: Materialised,
    atoms: Sequence[Atom],
    fresh_atoms: Sequence[Atom],
    polarity: Polarity,
    accepted_shrunk: frozenset[str],
    diagnostics: tuple[Diagnostic, ...],
) -> tuple[World | None, tuple[Diagnostic, ...]]:
    people = dict(planned.people)
    problems: list[Diagnostic] = []
    stale: set[str] = set()
    for atom in fresh_atoms:
        entering, leaving = engine.delta(planned.people[atom.key], latest.people[atom.key])
        changed = atom.key in polarity.mixed and (engine.count(entering) or engine.count(leaving))
        if changed and not stale.intersection(sources_of(atom)):
            stale.add(read_from(atom))
        name = read_from(atom)
        shrunk = atom.key in polarity.subtracted and _is_list(atom) and engine.count(leaving)
        if shrunk and name not in accepted_shrunk:
            before, after = engine.count(planned.people[atom.key]), engine.count(latest.people[atom.key])
            problems.append(error("AUD0703", None, name=name, before=before, after=after, left=engine.count(leaving)))
        if atom.key in polarity.subtracted:
            people[atom.key] = engine.union(planned.people[atom.key], latest.people[atom.key])
    problems += [error("AUD0625", None, name=name) for name in sorted(stale)]
    if problems:
        return None, (*diagnostics, *problems)
    # What is made of these moves with them: buckets for people who are new, mapped sets that subtract within.
    subtracted = {key: people[key] for key in polarity.subtracted}
    people |= engine.derive(atoms, people, planned, subtracted)
    return World(people, planned, {name: facts.digest for name, facts in sorted(latest.sources.items())}), diagnostics


def _is_list(atom: Atom) -> bool:
    """Lists must not shrink unseen; people leave the windows of tables in the ordinary course of time."""
    return hasattr(atom, "source")
