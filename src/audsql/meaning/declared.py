"""What a project declares, as things that two projects can be compared by: a name, a set where it has one, and
everything else that was declared of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, fields
from typing import Any

from audsql.meaning import ir
from audsql.records import dataclass
from audsql.syntax import ast
from audsql.syntax.parse import parse_expression

__all__ = ["KINDS", "Thing", "mentions", "named", "things_of"]

KINDS = (
    "project", "account", "upload", "table", "codes", "coupon", "message", "audience", "split", "arm", "policy",
    "priority", "delivery", "flow",
)  # fmt: skip
"""In the order in which one depends on the other."""

_NEVER_FIELDS = frozenset(
    {"name", "span", "to_span", "expression", "text", "to", "to_text", "reach", "arms", "policies", "behind",
     "is_friends", "personal", "filled_in", "capped"}
)  # fmt: skip
_CALLS = {"uploaded": "upload", "linked": "table", "clicked": "delivery", "opened": "delivery", "received": "delivery"}


@dataclass(frozen=True, slots=True)
class Thing:
    """`expression` None where it is no set of people. `text`: what was written of the set. `fields`: everything
    else by name. `after`: addresses that it follows from besides what its text mentions."""

    kind: str
    name: str
    expression: ir.Expression | None = None
    text: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    after: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"{self.kind}.{self.name}"


def things_of(project: ir.Project) -> dict[str, dict[str, Thing]]:
    """Everything declared, by kind and name."""
    found: dict[str, dict[str, Thing]] = {kind: {} for kind in KINDS}
    for thing in _things(project):
        found[thing.kind][thing.name] = thing
    return found


def _things(project: ir.Project) -> Iterator[Thing]:
    yield Thing("project", "project", fields={"timezone": project.timezone})
    for kind, rows in (
        ("account", project.accounts), ("upload", project.uploads), ("table", project.tables),
        ("codes", project.code_pools),
    ):  # fmt: skip
        yield from (Thing(kind, row.name, fields=_fields(row)) for row in rows)
    for coupon in project.coupons:
        yield Thing("coupon", coupon.name, fields=_fields(coupon) | {"text": coupon.text})
    for message in project.messages:
        after = tuple(f"codes.{one.pool}" for one in message.fields if one.pool)
        after += (f"coupon.{message.coupon_name}",) if message.coupon_name else ()
        yield Thing("message", message.name, fields=_fields(message) | {"text": message.text}, after=after)
    for audience in project.audiences:
        yield Thing("audience", audience.name, audience.expression, audience.text, _fields(audience))
    for split in project.splits:
        yield from _split(split)
    yield from _policies(project)
    for index, priority in enumerate(project.priorities, start=1):
        yield Thing("priority", str(index), fields=_fields(priority))
    for delivery in project.deliveries:
        after = (
            *(f"policy.{name}" for name in delivery.policies),
            *(f"message.{name}" for name in delivery.messages),
            *(f"delivery.{name}" for name in delivery.behind),
            *(f"priority.{index}" for index in range(1, len(project.priorities) + 1) if delivery.behind),
        )
        yield Thing("delivery", delivery.name, delivery.reach, delivery.to_text, _fields(delivery), after)
    for flow in project.flows:
        after = tuple(f"policy.{name}" for name in flow.policies)
        yield Thing("flow", flow.name, _enters(flow), "", _flow_fields(flow), after)


def _fields(row: Any) -> dict[str, object]:
    return {one.name: getattr(row, one.name) for one in fields(row) if one.name not in _NEVER_FIELDS}


def _split(split: ir.Split) -> Iterator[Thing]:
    arms = tuple((arm.name, arm.hundredths) for arm in split.arms)
    yield Thing("split", split.name, fields=_fields(split) | {"arms": arms})
    for arm in split.arms:
        fields = {"weight": arm.hundredths, "salt": split.salt}
        yield Thing("arm", f"{split.name}.{arm.name}", arm.expression, split.text, fields, (f"split.{split.name}",))


def _policies(project: ir.Project) -> Iterator[Thing]:
    """Each rule as a thing: `name` for what is subtracted, `name.require`, `name.quiet` and so on for the rest;
    the second of a name gets a number."""
    counts: dict[str, int] = {}
    for rule in (*project.policies, *project.requirements):
        name = rule.name + _suffix(rule)
        counts[name] = counts.get(name, 0) + 1
        numbered = name if counts[name] == 1 else f"{name}#{counts[name]}"
        match rule:
            case ir.ExcludePolicy() | ir.RequireWithin():
                yield Thing("policy", numbered, rule.expression, rule.text, _fields(rule))
            case _:
                yield Thing("policy", numbered, fields=_fields(rule))


def _suffix(rule: ir.ExcludePolicy | ir.Requirement) -> str:
    match rule:
        case ir.ExcludePolicy():
            return ""
        case ir.RequireWithin():
            return ".require"
        case ir.RequireMeasure(measure=measure):
            return f".{measure}"
        case ir.RequireTested():
            return ".tested"
        case ir.Quiet():
            return ".quiet"
        case ir.Cap():
            return ".cap"


def _enters(flow: ir.Flow) -> ir.Expression:
    """Who can enter: of a flow that no set starts, everybody whom no policy takes away."""
    return ir.land(flow.start.expression or ir.EVERYBODY, ir.lnot(flow.exclude))


def _flow_fields(flow: ir.Flow) -> dict[str, object]:
    start = (flow.start.kind, flow.start.via, flow.start.table)
    return {name: value for name, value in _fields(flow).items() if name != "exclude"} | {"start": start}


# --- names --------------------------------------------------------------------------------------------


def named(things: Mapping[str, Mapping[str, Thing]]) -> dict[str, str]:
    """The address of each name that an expression can mention; verbs lead to their table."""
    found: dict[str, str] = {}
    for kind in ("upload", "table", "delivery", "split", "arm", "audience"):
        found |= {name: thing.address for name, thing in things[kind].items()}
    for name, table in things["table"].items():
        verbs = table.fields.get("verbs", ())
        assert isinstance(verbs, tuple)
        found |= {verb.name: f"table.{name}" for verb in verbs}
    return found


def mentions(text: str, addresses: Mapping[str, str]) -> tuple[str, ...]:
    """The addresses of what an expression names, as written; sorted."""
    tree = parse_expression(text)[0] if text else None
    names = {name for node in _walk(tree) for name in _names_in(node)} if tree is not None else set()
    return tuple(sorted({addresses[name] for name in names if name in addresses}))


def _walk(tree: ast.Expression) -> Iterator[ast.Expression]:
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        match node:
            case ast.Not(operand=inner) | ast.Paren(inner=inner):
                stack.append(inner)
            case ast.Chain(operands=operands):
                stack.extend(operands)
            case ast.Call(arguments=arguments) if arguments.subject is not None:
                stack.append(arguments.subject)
            case _:
                continue


def _names_in(node: ast.Expression) -> Iterable[str]:
    match node:
        case ast.Reference(name=name, member=member):
            return (name.text,) if member is None else (f"{name.text}.{member.text}",)
        case ast.Call(name=name, arguments=arguments) if name.text in _CALLS:
            return tuple(value.text for value in arguments.values[:1] if isinstance(value, (ast.Word, ast.Text)))
        case ast.Call(name=name):
            return (name.text,)
        case _:
            return ()
