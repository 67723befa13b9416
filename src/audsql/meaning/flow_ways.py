"""The ways through a flow: whoever enters can take a step, every arm can be taken, no wait is in vain.

What is known of those who come to a step: before the first wait they are those who entered; always nobody whom
the exit or a policy takes away, which are looked at again before each step; in an arm those who took it. A wait
ends all that but the exit and the policies, since sets change. Normative: specs/language/10-flows.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audsql.diag import Bag, Label, error, warning
from audsql.meaning import algebra, ir
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["check_ways", "steps_of"]

KNOWN_ATOMS_MAX = 30
_WAITS = (ast.WaitFor, ast.WaitUntil)


def steps_of(node: ast.Flow) -> tuple[ast.Step, ...]:
    """The steps above all branches, in the order written."""
    return tuple(item for item in node.items if isinstance(item, (*_WAITS, ast.SendStep, ast.Branch)))


def check_ways(
    node: ast.Flow,
    flow: ir.Flow,
    policies: Sequence[Span],
    conditions: Mapping[int, ir.Expression | None],
    bag: Bag,
) -> None:
    """Tell of what can never happen. `policies`: where those that apply are written; `conditions`: what each arm
    asks for, by the identity of its node."""
    staying = ir.land(ir.lnot(flow.exit), ir.lnot(flow.exclude))
    entering = flow.start.expression or ir.EVERYBODY
    try:
        if _nobody_stays(node, flow, entering, policies, bag):
            return
        always = _bounded(staying)
        _check_arms(node, _bounded(ir.land(entering, staying), entering, always), always, conditions, bag)
    except algebra.Undecided as undecided:
        bag.add(warning("AUD0505", node.name.span, atoms=undecided.atoms))
    _check_ends(node, flow, bag)


def _bounded(*known: ir.Expression) -> ir.Expression:
    """The first that is over few atoms, else everybody: what is left out of it makes no arm an error."""
    return next((one for one in known if len(ir.atoms_of(one)) <= KNOWN_ATOMS_MAX), ir.EVERYBODY)


def _nobody_stays(node: ast.Flow, flow: ir.Flow, entering: ir.Expression, policies: Sequence[Span], bag: Bag) -> bool:
    """Whether everybody who enters is taken away before the first step; if so, it has been told."""
    start = next((item for item in node.items if isinstance(item, ast.StartWhen)), None)
    leaving = next((item for item in node.items if isinstance(item, ast.ExitWhen)), None)
    place = start.expression.span if start else node.name.span
    allowed = ir.land(entering, ir.lnot(flow.exclude))
    if flow.exclude != ir.NOBODY and algebra.is_empty(allowed):
        labels = [Label(span, "policy") for span in policies]
        bag.add(error("AUD0253", place, labels=labels, flow=flow.name, policies=flow.policies))
        return True
    if leaving is not None and algebra.is_empty(ir.land(allowed, ir.lnot(flow.exit))):
        bag.add(error("AUD0252", leaving.expression.span, labels=[Label(place, "start")], flow=flow.name))
        return True
    return False


# --- arms -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """A row of steps and what is known of those who come to its first."""

    steps: Sequence[ast.Step]
    known: ir.Expression


def _check_arms(
    node: ast.Flow,
    known: ir.Expression,
    staying: ir.Expression,
    conditions: Mapping[int, ir.Expression | None],
    bag: Bag,
) -> None:
    """Every arm can be taken by somebody; no recursion."""
    with_waits = _with_waits(node)
    places = [_Place(steps_of(node), known)]
    while places:
        place = places.pop()
        here = place.known
        for step in place.steps:
            if isinstance(step, ast.Branch):
                places.extend(_arms(step, here, node.name.text, conditions, bag))
            if isinstance(step, _WAITS) or id(step) in with_waits:
                here = staying


def _arms(
    branch: ast.Branch, known: ir.Expression, flow: str, conditions: Mapping[int, ir.Expression | None], bag: Bag
) -> list[_Place]:
    """What is known in each arm that can be taken; the others are told. An empty `otherwise` does no harm."""
    if all(arm.condition is None for arm in branch.arms):
        bag.add(warning("AUD0254", branch.span, flow=flow))
    found: list[_Place] = []
    left: ir.Expression = ir.EVERYBODY
    earlier: list[Label] = []
    for arm in branch.arms:
        own = conditions[id(arm)] or ir.NOBODY
        taken = ir.land(left, own)
        place = arm.condition.span if arm.condition is not None else arm.span
        needed = arm.condition is not None or bool(arm.steps)
        if needed and algebra.is_empty(taken):
            bag.add(error("AUD0250", place, labels=earlier, flow=flow))
        elif needed and algebra.is_empty(ir.land(taken, known)):
            bag.add(error("AUD0251", place, labels=earlier, flow=flow))
        else:
            found.append(_Place(arm.steps, _bounded(ir.land(taken, known), ir.land(own, known), known)))
        left = ir.land(left, ir.lnot(own))
        earlier = [*earlier, Label(place, "earlier")]
    return found


def _with_waits(node: ast.Flow) -> frozenset[int]:
    """The branches, by identity, in which somebody waits."""
    found: set[int] = set()
    stack: list[tuple[ast.Step, tuple[int, ...]]] = [(step, ()) for step in steps_of(node)]
    while stack:
        step, around = stack.pop()
        if isinstance(step, ast.Branch):
            inside = (*around, id(step))
            stack.extend((inner, inside) for arm in step.arms for inner in arm.steps)
        elif isinstance(step, _WAITS):
            found.update(around)
    return frozenset(found)


# --- ends -------------------------------------------------------------------------------------------


def _check_ends(node: ast.Flow, flow: ir.Flow, bag: Bag) -> None:
    """A wait behind which nothing happens. Where people may enter again, a wait says when the flow ends for them."""
    if flow.reentry_minutes is not None:
        return
    ends: list[Sequence[ast.Step]] = [steps_of(node)]
    while ends:
        for step in reversed(ends.pop()):
            if isinstance(step, ast.SendStep):
                break
            if isinstance(step, ast.Branch):
                ends.extend(arm.steps for arm in step.arms)
                break
            bag.add(warning("AUD0255", step.span, flow=flow.name))
