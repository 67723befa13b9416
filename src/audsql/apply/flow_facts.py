"""What own data and the ledger say of flows before an apply: who would enter now, and who stands where. Counts only.

Rules: specs/flows.md, `flow.plan`. Members are looked at to leave out who may not enter, and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime, timedelta

import numpy as np

from audsql.apply.flows.enter import OUTSIDE
from audsql.apply.flows.standing import is_over
from audsql.apply.ledger import Ledger, Place
from audsql.apply.persons import Persons
from audsql.compile.flows import readable_accounts, unknown_atoms
from audsql.data.among import Among, Mask, in_bucket, inside
from audsql.data.engine import Engine, People
from audsql.meaning import ir
from audsql.meaning.flow import Branch, BranchArm, Flow, SendStep, Step
from audsql.meaning.lineage import deep_atoms
from audsql.plan.flows import ArmCount, FlowFacts, Stood

__all__ = ["flow_atoms", "flow_facts", "kept_out", "standing_of", "who_is_in", "would_enter"]

# --- what is read ---------------------------------------------------------------------------------------


def flow_atoms(project: ir.Project) -> tuple[ir.Atom, ...]:
    """The own atoms that say who enters the flows of a project, and which way they take at once, by key."""
    found: dict[str, ir.Atom] = {}
    for flow in project.flows:
        for expression in _expressions(flow):
            atoms = [atom for atom in ir.atoms_of(expression) if not isinstance(atom, ir.Friends | ir.Followers)]
            found |= {atom.key: atom for atom in atoms if atom.world == "own"}
        if flow.start.table is not None:
            rows = ir.Rows(flow.start.table)
            found[rows.key] = rows
    return tuple(found[key] for key in sorted(found))


def _expressions(flow: Flow) -> Iterator[ir.Expression]:
    """Sets of a flow, as they are for somebody who enters now: nothing has happened since."""
    parts = [flow.start.expression or ir.NOBODY, flow.exit, flow.exclude]
    parts += [arm.expression for _, _, arm, _ in _first_arms(flow.steps)]
    return (_at_start(one) for one in parts)


def _at_start(expression: ir.Expression) -> ir.Expression:
    """The set without rows since the start: at the start there are none."""
    since = {
        atom.key: ir.NOBODY
        for atom in ir.atoms_of(expression)
        if any(isinstance(one, ir.Rows) and ir.SinceStart() in one.rows for one in deep_atoms(ir.leaf(atom)))
    }
    return ir.substitute(expression, since) if since else expression


_FirstArm = tuple[str, int, BranchArm, tuple[ir.Expression, ...]]


def _first_arms(steps: Sequence[Step]) -> Iterator[_FirstArm]:
    """The arms that people come to without waiting, those of the first branch and of branches that their arms begin
    with: path, number, the arm, and the arms around it."""
    stack: list[tuple[str, Sequence[Step], tuple[ir.Expression, ...]]] = [("", steps, ())]
    while stack:
        prefix, here, around = stack.pop()
        at = next((index for index, step in enumerate(here) if not isinstance(step, SendStep)), None)
        step = here[at] if at is not None else None
        if not isinstance(step, Branch):
            continue
        path = f"{prefix}{at}"
        for number, arm in enumerate(step.arms):
            yield path, number, arm, around
        stack.extend(
            (f"{path}.{number}.", arm.steps, (*around, arm.expression)) for number, arm in enumerate(step.arms)
        )


# --- who would enter ------------------------------------------------------------------------------------


def flow_facts(
    engine: Engine,
    project: ir.Project,
    people: Mapping[str, People],
    friends: Mapping[str, frozenset[str]],
    out: Mapping[str, Set[str]],
    units: Mapping[str, bool],
) -> dict[str, FlowFacts]:
    """By flow of the project how many would enter now, and which arms they take at once.

    `people`: own atoms evaluated, by key; `friends`: user IDs by account, of those whose followers are readable;
    `out`: who may not enter, by flow (`kept_out`); `units`: whether LINE knows the unit of a flow.
    """
    readable = readable_accounts(project)
    found = {}
    for flow in project.flows:
        facts = FlowFacts(unit_known=units.get(flow.name, False))
        if flow.start.expression is not None and not (flow.account in readable and flow.account not in friends):
            facts = _entering(engine, flow, people, friends, out.get(flow.name, frozenset()), readable, facts)
        found[flow.name] = facts
    return found


def would_enter(
    engine: Engine,
    project: ir.Project,
    flow: Flow,
    people: Mapping[str, People],
    friends: Mapping[str, frozenset[str]],
) -> set[str] | None:
    """The user IDs of everybody in the set that starts a flow and in neither its exit nor a policy; None where that
    cannot be known. Who entered before is among them."""
    readable = readable_accounts(project)
    if flow.start.expression is None or (flow.account in readable and flow.account not in friends):
        return None
    start, leaving, excluded = (_at_start(one) for one in (flow.start.expression, flow.exit, flow.exclude))
    enters = ir.land(start, ir.lnot(leaving), ir.lnot(excluded))
    return None if unknown_atoms(enters, readable) else who_is_in(engine, enters, people, friends)


def _entering(
    engine: Engine,
    flow: Flow,
    people: Mapping[str, People],
    friends: Mapping[str, frozenset[str]],
    out: Set[str],
    readable: frozenset[str],
    facts: FlowFacts,
) -> FlowFacts:
    start, leaving, excluded = (_at_start(one) for one in (flow.start.expression or ir.NOBODY, flow.exit, flow.exclude))
    enters = ir.land(start, ir.lnot(leaving), ir.lnot(excluded))
    if unknown_atoms(enters, readable):
        return facts
    whole = who_is_in(engine, enters, people, friends) - out
    counts = []
    for path, number, arm, around in _first_arms(flow.steps):
        taken = ir.land(enters, *map(_at_start, (*around, arm.expression)))
        if not unknown_atoms(taken, readable):
            counts.append(ArmCount(path, number, len(who_is_in(engine, taken, people, friends) - out)))
    return FlowFacts(len(whole), tuple(sorted(counts, key=lambda one: (one.step, one.number))), facts.unit_known)


def who_is_in(
    engine: Engine, expression: ir.Expression, people: Mapping[str, People], friends: Mapping[str, frozenset[str]]
) -> set[str]:
    """The user IDs of an anchored set over own atoms and friends of one account, whose followers LINE lists."""
    atoms = [one for one in ir.atoms_of(expression) if isinstance(one, ir.Friends | ir.Followers)]
    if not atoms:
        return _members(engine, expression, people)
    listed = friends.get(atoms[0].account, frozenset())
    outside = ir.substitute(expression, {atom.key: ir.NOBODY for atom in atoms})
    strangers = _members(engine, outside, people) - listed
    among = Among(sorted(listed))
    holds = ir.fold(
        ir.substitute(expression, {atom.key: ir.EVERYBODY for atom in atoms}),
        lambda node: _mask(engine, node.atom, among, people),
        lambda value: np.full(len(among), value, np.bool_),
        lambda mask: ~mask,
        np.logical_and.reduce,
        np.logical_or.reduce,
    )
    return strangers | {among.user_ids[at] for at in np.flatnonzero(holds).tolist()}


def _mask(engine: Engine, atom: ir.Atom, among: Among, people: Mapping[str, People]) -> Mask:
    if isinstance(atom, ir.Bucket):
        # Friends of whom own data knows nothing have a share too.
        return in_bucket(among, atom.salt, atom.low, atom.high)
    return inside(engine, among, people[atom.key])


def _members(engine: Engine, expression: ir.Expression, people: Mapping[str, People]) -> set[str]:
    if isinstance(expression, ir.Constant):
        return set()
    return set(engine.members(engine.evaluate(expression, people)))


# --- who stands there -----------------------------------------------------------------------------------


def standing_of(ledger: Ledger, flow: str | None = None) -> dict[str, tuple[Stood, ...]]:
    """Who stands where, by flow: counts alone."""
    found: dict[str, list[Stood]] = {}
    for one in ledger.standings(flow):
        found.setdefault(one.flow, []).append(Stood(one.version, one.step, one.state, one.count, one.due_at))
    return {name: tuple(rows) for name, rows in sorted(found.items())}


def kept_out(ledger: Ledger, persons: Persons, flow: Flow, names: Iterable[str], now: datetime) -> frozenset[str]:
    """Who may not enter a flow now: is inside it, or was there and may not again, or not yet. `names`: of the flow, the
    one that it had before included."""
    pause = timedelta(minutes=flow.reentry_minutes or 0)

    def stays_out(place: Place) -> bool:
        again = flow.reentry_minutes is not None and is_over(place) and OUTSIDE in place.note.split()
        return not again or (place.ended_at or now) + pause > now

    found = {person for name in names for person, place in ledger.persons_of(name).items() if stays_out(place)}
    return frozenset(persons.show(sorted(found)))
