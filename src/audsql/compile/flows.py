"""Flows compiled: what must be known of each person and is not, and the branches that LINE decides.

A flow is run person by person, so that its start, its exit and what policies take away must be own data, or `friends`
where LINE lists the followers. A branch may ask what LINE holds if all that its arms do is send: then who stands there
is uploaded and each arm is one narrowcast to those of them whom LINE finds in it (`Cohort`). Rules: specs/flows.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from audsql.compile.audiences import Parts
from audsql.compile.sends import compile_one
from audsql.diag import Diagnostic, error
from audsql.meaning import ir
from audsql.meaning.flow import Branch, BranchArm, Flow, SendStep, Step
from audsql.meaning.words import Arms, Verbs, arms_of, atom_words, verbs_of
from audsql.records import dataclass

__all__ = [
    "Cohort",
    "CohortArm",
    "arm_delivery",
    "check_flows",
    "cohort_source",
    "cohorts_of",
    "readable_accounts",
    "unknown_atoms",
]

_ATOMS_TOLD_MAX = 5


@dataclass(frozen=True, slots=True)
class CohortArm:
    """One arm of a branch that LINE decides. `expression`: who of those who stand there takes it, less those before
    it. `sends`: its steps in order, each by its path with the names of its messages; empty where nothing is sent."""

    number: int
    expression: ir.Expression
    sends: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Cohort:
    """A branch that LINE decides, by the path of its step. Its arms have sends only."""

    path: str
    arms: tuple[CohortArm, ...]


def readable_accounts(project: ir.Project) -> frozenset[str]:
    """The accounts whose followers LINE lists."""
    return frozenset(account.name for account in project.accounts if account.followers_readable)


def unknown_atoms(expression: ir.Expression, readable: frozenset[str]) -> tuple[ir.Atom, ...]:
    """The atoms that cannot be known of a single person, sorted by key. `readable`: of `readable_accounts`."""
    return tuple(
        atom
        for atom in ir.atoms_of(expression)
        if atom.world != "own" and not (isinstance(atom, ir.Friends) and atom.account in readable)
    )


def cohorts_of(flow: Flow, readable: frozenset[str]) -> tuple[Cohort, ...]:
    """The branches of a flow that LINE decides, in the order of their steps."""
    return tuple(
        Cohort(path, tuple(_arm(path, number, arm) for number, arm in enumerate(step.arms)))
        for path, step in _branches(flow.steps)
        if any(unknown_atoms(arm.expression, readable) for arm in step.arms)
    )


def cohort_source(flow: str, path: str) -> str:
    """The name under which the people who stand at a branch are a source of uploads."""
    return f"flow.{flow}@{path}"


def arm_delivery(flow: Flow, cohort: Cohort, arm: CohortArm) -> ir.Delivery:
    """An arm as a delivery: to those who stand at the branch and are in it."""
    reach = ir.land(ir.leaf(ir.Uploaded(cohort_source(flow.name, cohort.path))), arm.expression)
    names = tuple(name for _, messages in arm.sends for name in messages)
    return ir.Delivery(flow.name, flow.account, reach, reach, "", names, by="narrowcast", span=flow.span)


def _arm(path: str, number: int, arm: BranchArm) -> CohortArm:
    sends = tuple(
        (f"{path}.{number}.{index}", step.messages)
        for index, step in enumerate(arm.steps)
        if isinstance(step, SendStep)
    )
    return CohortArm(number, arm.expression, sends)


def _branches(steps: Sequence[Step]) -> Iterator[tuple[str, Branch]]:
    """Every branch with its path, in the order of the steps; no recursion."""
    stack = [(str(index), step) for index, step in enumerate(steps)][::-1]
    while stack:
        path, step = stack.pop()
        if isinstance(step, Branch):
            yield path, step
            inner = [
                (f"{path}.{number}.{index}", one)
                for number, arm in enumerate(step.arms)
                for index, one in enumerate(arm.steps)
            ]
            stack.extend(inner[::-1])


# --- what is wrong --------------------------------------------------------------------------------------


def check_flows(project: ir.Project, parts: Parts) -> Iterator[Diagnostic]:
    """What keeps the flows of a project from being run. `parts`: how each delivery that they refer to is sent."""
    readable = readable_accounts(project)
    verbs, arms = verbs_of(project), arms_of(project)
    messages = {message.name: message for message in project.messages}
    for flow in project.flows:
        yield from _unknown(flow, readable, verbs)
        yield from _cohort_problems(flow, readable, verbs, arms, messages, parts)


def _unknown(flow: Flow, readable: frozenset[str], verbs: Verbs) -> Iterator[Diagnostic]:
    parts = {"start": flow.start.expression or ir.NOBODY, "exit": flow.exit, "policy": flow.exclude}
    for what, expression in parts.items():
        atoms = unknown_atoms(expression, readable)
        held = [atom for atom in atoms if not isinstance(atom, ir.Friends)]
        if held:
            told = tuple(sorted({atom_words(atom, verbs) for atom in held})[:_ATOMS_TOLD_MAX])
            yield error("AUD0770", flow.span, flow=flow.name, what=what, atoms=told)
        elif atoms:
            yield error("AUD0771", flow.span, flow=flow.name, what=what, account=flow.account)


def _cohort_problems(
    flow: Flow,
    readable: frozenset[str],
    verbs: Verbs,
    arms: Arms,
    messages: Mapping[str, ir.Message],
    parts: Parts,
) -> Iterator[Diagnostic]:
    branches = dict(_branches(flow.steps))
    for cohort in cohorts_of(flow, readable):
        branch = branches[cohort.path]
        atoms = {atom for arm in branch.arms for atom in unknown_atoms(arm.expression, readable)}
        told = tuple(sorted({atom_words(atom, verbs) for atom in atoms})[:_ATOMS_TOLD_MAX])
        step = _number(cohort.path)
        if any(not isinstance(step, SendStep) for arm in branch.arms for step in arm.steps):
            yield error("AUD0772", flow.span, flow=flow.name, step=step, atoms=told)
            continue
        personal = sorted({name for name in _sent(cohort) if name in messages and messages[name].personal})
        if personal:
            yield error("AUD0773", flow.span, flow=flow.name, step=step, message=personal[0], atoms=told)
            continue
        for arm in cohort.arms:
            if arm.sends:
                yield from compile_one(arm_delivery(flow, cohort, arm), parts, verbs, arms)[1]


def _sent(cohort: Cohort) -> Iterator[str]:
    return (name for arm in cohort.arms for _, names in arm.sends for name in names)


def _number(path: str) -> str:
    """A step's place as people count, from 1."""
    return ".".join(str(int(one) + 1) for one in path.split("."))
