"""A branch that LINE decides, as sends: the arms' narrowcasts in one order, so that nobody gets two arms. Pure.

The people who stand there are one upload source; each arm is compiled like a delivery to those of them who are in it.
Between two sends somebody may change at LINE from one arm to another: arms are sent in the order in which the fewest
can come from an earlier one into a later one, and where somebody can, the later send leaves out who got the earlier.
Normative: specs/flows.md, `flow.cohort`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from audsql.compile.audiences import Parts
from audsql.compile.flows import Cohort, arm_delivery, cohort_source
from audsql.compile.program import (
    AllOf,
    AnyOf,
    AudienceLeaf,
    CompiledDelivery,
    LineAudience,
    Narrowcast,
    NoneOf,
    Recipient,
    RedeliveryLeaf,
    UploadFunction,
    recipient_leaves,
)
from audsql.compile.sends import Compiled, compile_one
from audsql.diag import Diagnostic, has_errors
from audsql.line.limits import RECIPIENT_LEAVES_MAX
from audsql.meaning import ir
from audsql.meaning.algebra import Undecided, is_empty
from audsql.meaning.flow import Flow
from audsql.meaning.words import Arms, Verbs
from audsql.records import dataclass

__all__ = ["CohortForm", "cohort_form", "name_of_flow", "own_atoms", "source_atom"]


@dataclass(frozen=True, slots=True)
class CohortForm:
    """The sends of a branch. `messages`: by part the names of what it sends; `arms`: by part the number of its arm.
    `crowded`: parts that cannot be kept apart from an earlier one, because no leaf is left: they must not be made."""

    form: CompiledDelivery
    uploads: tuple[UploadFunction, ...]
    audiences: tuple[LineAudience, ...]
    messages: Mapping[int, tuple[str, ...]]
    arms: Mapping[int, int]
    crowded: frozenset[int]


def name_of_flow(flow: str) -> str:
    """What the sends of a flow go by; no delivery has a dot in its name."""
    return f"flow.{flow}"


def source_atom(flow: str, path: str, batch: str) -> ir.Uploaded:
    """The people of one batch as a source of uploads: another batch is another one."""
    return ir.Uploaded(f"{cohort_source(flow, path)}#{batch[:12]}")


def own_atoms(cohort: Cohort, known: frozenset[str]) -> tuple[ir.Atom, ...]:
    """The atoms of the arms that are known of each person, by key. `known`: accounts whose followers are readable."""
    from audsql.compile.flows import unknown_atoms

    found: dict[str, ir.Atom] = {}
    for arm in cohort.arms:
        unknown = set(unknown_atoms(arm.expression, known))
        found.update({one.key: one for one in ir.atoms_of(arm.expression) if one not in unknown})
    return tuple(found[key] for key in sorted(found))


def cohort_form(
    flow: Flow, cohort: Cohort, source: ir.Uploaded, parts: Parts, verbs: Verbs, arms: Arms
) -> CohortForm | tuple[Diagnostic, ...]:
    """The sends for those who stand at this branch, or why there are none."""
    stood = ir.Uploaded(cohort_source(flow.name, cohort.path))
    done: list[tuple[int, tuple[tuple[str, ...], ...], Compiled]] = []
    for arm in cohort.arms:
        if not arm.sends:
            continue
        delivery = arm_delivery(flow, cohort, arm)
        reach = ir.substitute(delivery.reach, {stood.key: ir.leaf(source)})
        delivery = replace(delivery, name=name_of_flow(flow.name), to=reach, reach=reach)
        compiled, problems = compile_one(delivery, parts, verbs, arms)
        if compiled is None:
            return tuple(one for one in problems if has_errors((one,)))
        done.append((arm.number, tuple(names for _, names in arm.sends), compiled))
    order = _ordered([one[2] for one in done])
    return _joined(flow, [done[at] for at in order])


def _ordered(arms: Sequence[Compiled]) -> list[int]:
    """The arms, each time the first of those from which the fewest others can be come into."""
    left, order = list(range(len(arms))), list[int]()
    while left:
        costs = {
            at: sum(_may_change(arms[at], arms[other]) for other in left if other != at) for at in left
        }  # fmt: skip
        first = min(left, key=lambda at: (costs[at], at))
        order.append(first)
        left.remove(first)
    return order


def _may_change(earlier: Compiled, later: Compiled) -> bool:
    return any(_may_come(one, other) for one in _sends(earlier) for other in _sends(later))


def _sends(compiled: Compiled) -> list[Narrowcast]:
    return [send for send in compiled.delivery.sends if isinstance(send, Narrowcast)]


def _may_come(earlier: Narrowcast, later: Narrowcast) -> bool:
    """Whether somebody may be among the receivers of one send and, later, of the other.

    Uploads and receipts stay; clicks and opens only grow; everything else at LINE may change.
    """
    then: dict[str, ir.Expression] = {}
    grown: list[ir.Expression] = []
    for atom in ir.atoms_of(later.region):
        if atom.world == "own" or isinstance(atom, ir.Received):
            continue
        changed = ir.leaf(ir.Uploaded(f"later {atom.key}"))
        then[atom.key] = changed
        if isinstance(atom, ir.Clicked | ir.Opened):
            grown.append(ir.lor(ir.lnot(ir.leaf(atom)), changed))
    try:
        return not is_empty(ir.land(earlier.region, ir.substitute(later.region, then), *grown))
    except Undecided:
        return True


# --- joined -------------------------------------------------------------------------------------------


def _joined(flow: Flow, arms: Sequence[tuple[int, tuple[tuple[str, ...], ...], Compiled]]) -> CohortForm:
    """All arms as the parts of one delivery; each send of an arm has parts of its own."""
    sends: list[Narrowcast] = []
    messages: dict[int, tuple[str, ...]] = {}
    of: dict[int, int] = {}
    crowded: set[int] = set()
    for number, steps, compiled in arms:
        others = list(sends)
        for names in steps:
            base = max((one.part for one in sends), default=-1) + 1
            for send in _sends(compiled):
                part = base + send.part
                before = [one for one in others if _may_come(one, send)]
                recipient, fits = _apart(flow.name, _moved(send.recipient, base), before)
                sends.append(replace(send, part=part, recipient=recipient))
                messages[part], of[part] = names, number
                crowded |= set() if fits else {part}
    keys = {leaf.key for send in sends for leaf in recipient_leaves(send.recipient) if isinstance(leaf, AudienceLeaf)}
    uploads = _labelled(flow.name, {one.key: one for _, _, compiled in arms for one in compiled.uploads})
    audiences = {one.key: one for _, _, compiled in arms for one in compiled.audiences}
    waits = {name for _, _, compiled in arms for name in compiled.delivery.waits_for}
    reach = ir.lor(*(compiled.delivery.reach for _, _, compiled in arms))
    form = CompiledDelivery(
        name_of_flow(flow.name), flow.account, reach, tuple(sends), tuple(sorted(keys & uploads.keys())),
        tuple(sorted(keys & audiences.keys())), tuple(sorted(waits)),
    )  # fmt: skip
    return CohortForm(
        form, tuple(uploads[key] for key in sorted(uploads)), tuple(audiences[key] for key in sorted(audiences)),
        messages, of, frozenset(crowded),
    )  # fmt: skip


def _labelled(flow: str, uploads: Mapping[str, UploadFunction]) -> dict[str, UploadFunction]:
    """With names that people read in LINE's own tools."""
    return {
        key: replace(uploads[key], label=f"flow {flow}" if len(uploads) == 1 else f"flow {flow} {number}")
        for number, key in enumerate(sorted(uploads), start=1)
    }


def _moved(tree: Recipient | None, base: int) -> Recipient | None:
    """The tree of a part whose number is so much higher: what it says of its own delivery's parts moves along."""
    match tree:
        case RedeliveryLeaf(name, part) if name.startswith("flow."):
            return RedeliveryLeaf(name, part + base)
        case AllOf(operands):
            return AllOf(tuple(_moved(one, base) or one for one in operands))
        case AnyOf(operands):
            return AnyOf(tuple(_moved(one, base) or one for one in operands))
        case NoneOf(operand):
            return NoneOf(_moved(operand, base) or operand)
        case _:
            return tree


def _apart(flow: str, tree: Recipient | None, before: Sequence[Narrowcast]) -> tuple[Recipient | None, bool]:
    """The tree without the receivers of these sends, and whether LINE's limit of leaves allows that."""
    if not before or tree is None:
        return tree, not before
    guards = tuple(NoneOf(RedeliveryLeaf(name_of_flow(flow), one.part)) for one in before)
    inner = tree.operands if isinstance(tree, AllOf) else (tree,)
    made = AllOf((*inner, *guards))
    return made, len(recipient_leaves(made)) <= RECIPIENT_LEAVES_MAX
