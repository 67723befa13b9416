"""What a project declares and what uses what, as a document (specs/explain.md, `graph.document`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audsql.meaning.expressions import walk
from audsql.meaning.lower import Analysis
from audsql.meaning.names import Symbol, Symbols
from audsql.records import dataclass
from audsql.session.project import Opened
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["KINDS", "Links", "focused", "graph", "graph_node", "links_of", "reached", "resolved"]

Document = dict[str, Any]

KINDS = (
    "account", "audience", "codes", "coupon", "delivery", "flow", "message", "policy", "split", "table", "upload",
)  # fmt: skip
_CALLS_OF_NAMES = ("uploaded", "linked", "clicked", "opened", "received")
_EXPRESSIONS = (ast.Reference, ast.Call, ast.Not, ast.Paren, ast.Chain)
# Entries whose words name another statement, and the kind of that statement.
_ENTRIES = {"account": "account", "coupon": "", "send": "", "table": ""}


def graph(opened: Opened, focus: str | None = None) -> Document:
    """Nodes and edges of the project: an edge goes from what uses to what is used.

    `focus`, an address: only what it uses and what uses it, directly and through others.
    """
    head: Document = {"kind": "audsql.graph", "format_version": "1.0"}
    if opened.analysis is None:
        return {**head, "nodes": [], "edges": []}
    links = links_of(opened.analysis)
    kept = links.nodes if focus is None else focused(links, focus)
    edges = [{"from": one, "to": other} for one in sorted(kept) for other in links.uses.get(one, ()) if other in kept]
    return {**head, "nodes": [graph_node(address, links.nodes[address]) for address in sorted(kept)], "edges": edges}


def focused(links: Links, address: str) -> set[str]:
    """The address, what it uses and what uses it, directly and through others."""
    return {address} | reached(address, links.uses) | reached(address, links.used_by)


def reached(address: str, edges: Mapping[str, Sequence[str]]) -> set[str]:
    """Everything that the edges lead to from there; without the address itself unless a circle leads back."""
    found: set[str] = set()
    waiting = list(edges.get(address, ()))
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(edges.get(one, ()))
    return found


@dataclass(frozen=True, slots=True)
class Links:
    """`nodes` by address; `uses` and `used_by` sorted, in the order of addresses."""

    nodes: Mapping[str, Symbol]
    uses: Mapping[str, tuple[str, ...]]
    used_by: Mapping[str, tuple[str, ...]]


def links_of(analysis: Analysis) -> Links:
    """Every declared thing with what it mentions, what is subtracted from it and what goes before it."""
    symbols = analysis.scope.symbols
    nodes = {f"{one.kind}.{one.name}": one for one in _declared(symbols)}
    found: dict[str, set[str]] = {address: set() for address in nodes}
    addresses = _addresses(symbols)
    for address, symbol in nodes.items():
        found[address].update(_mentioned(symbol.node, addresses))
        found[address].update(_called(symbol, nodes))
    for delivery in analysis.project.deliveries:
        address = f"delivery.{delivery.name}"
        found.setdefault(address, set()).update(f"policy.{name}" for name in delivery.policies)
        found[address].update(f"delivery.{name}" for name in delivery.behind)
    for flow in analysis.project.flows:
        found.setdefault(f"flow.{flow.name}", set()).update(f"policy.{name}" for name in flow.policies)
    uses = {one: tuple(sorted(other for other in others if other in nodes)) for one, others in found.items()}
    back: dict[str, list[str]] = {}
    for one in sorted(uses):
        for other in uses[one]:
            back.setdefault(other, []).append(one)
    return Links(nodes, uses, {one: tuple(others) for one, others in back.items()})


def _called(symbol: Symbol, nodes: Mapping[str, Symbol]) -> Sequence[str]:
    """The audience with parameters that this one is a call of: `lapsed(A, 90 days)` is one of `lapsed`."""
    name, opening, _ = symbol.name.partition("(")
    template = nodes.get(f"audience.{name}") if opening and symbol.kind == "audience" else None
    has_parameters = template is not None and isinstance(template.node, ast.Audience) and template.node.parameters
    return (f"audience.{name}",) if has_parameters else ()


def _declared(symbols: Symbols) -> Iterator[Symbol]:
    for space in (symbols.names, symbols.accounts, symbols.policies):
        yield from (symbol for symbol in space.values() if symbol.kind in KINDS)


def _addresses(symbols: Symbols) -> dict[str, str]:
    """Where each name that an expression can mention leads: a verb to its table."""
    found = {name: f"{symbol.kind}.{name}" for name, symbol in symbols.names.items() if symbol.kind in KINDS}
    for name, symbol in symbols.names.items():
        if isinstance(symbol.node, ast.Block):
            found |= {verb.name.text: f"table.{name}" for verb in symbol.node.verbs if verb.name.text not in found}
    return found


def resolved(symbols: Symbols, name: str) -> str | None:
    """The address of what is declared under a name: of the common name space first, then policies and accounts.
    `policy.house` is that policy, whatever else is called `house`."""
    for kind, space, own in _places(symbols, name):
        symbol = space.get(own)
        if symbol is not None and symbol.kind in KINDS and kind in ("", symbol.kind):
            return f"{symbol.kind}.{own}"
    return None


def _places(symbols: Symbols, name: str) -> Iterator[tuple[str, Mapping[str, Symbol], str]]:
    spaces = (symbols.names, symbols.policies, symbols.accounts)
    yield from (("", space, name) for space in spaces)
    kind, _, own = name.partition(".")
    if own and kind in KINDS:
        yield from ((kind, space, own) for space in spaces)


# --- mentions ---------------------------------------------------------------------------------------


def _mentioned(node: ast.Statement | ast.Verb, addresses: Mapping[str, str]) -> Iterator[str]:
    """The addresses that a statement names."""
    for expression in expressions_of(node):
        for part in walk(expression):
            yield from (addresses[name] for name in _names(part) if name in addresses)
    for kind, name in _words(node):
        if kind or name in addresses:
            yield f"{kind}.{name}" if kind else addresses[name]


def _names(part: ast.Expression) -> Sequence[str]:
    match part:
        case ast.Reference(name=name, member=member):
            return (name.text,) if member is None else (f"{name.text}.{member.text}", name.text)
        case ast.Call(name=name, arguments=arguments) if name.text in _CALLS_OF_NAMES:
            return [value.text for value in arguments.values[:1] if isinstance(value, ast.Word | ast.Text)]
        case ast.Call(name=name):
            return (name.text,)
        case _:
            return ()


def expressions_of(node: ast.Statement | ast.Verb) -> Iterator[ast.Expression]:
    """The set expressions that stand in a statement."""
    match node:
        case ast.Audience(expression=expression) | ast.Split(expression=expression):
            yield expression
        case ast.Policy(rules=rules):
            for rule in rules:
                if isinstance(rule, ast.ExcludeRule | ast.RequireRule):
                    yield rule.expression
        case ast.Block(kind="delivery", entries=entries):
            yield from (entry.value for entry in entries if isinstance(entry.value, _EXPRESSIONS))
        case ast.Flow(items=items):
            for item in _steps(items):
                if isinstance(item, ast.StartWhen | ast.ExitWhen):
                    yield item.expression
                elif isinstance(item, ast.BranchArm) and item.condition is not None:
                    yield item.condition
        case _:
            return


def _steps(items: Sequence[ast.FlowItem]) -> Iterator[ast.FlowItem | ast.BranchArm]:
    """The items of a flow with the arms of its branches and their steps; no recursion."""
    waiting: list[ast.FlowItem | ast.BranchArm] = list(reversed(items))
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, ast.Branch):
            waiting.extend(reversed(item.arms))
        elif isinstance(item, ast.BranchArm):
            waiting.extend(reversed(item.steps))


def _words(node: ast.Statement | ast.Verb) -> Iterator[tuple[str, str]]:
    """Names outside expressions, with their kind where it has a name space of its own."""
    if isinstance(node, ast.Block):
        yield from (("", one.pool.text) for one in node.fields if one.pool is not None)
        for entry in node.entries:
            if entry.key.text in _ENTRIES and not isinstance(entry.value, _EXPRESSIONS):
                values = entry.value if isinstance(entry.value, tuple) else (entry.value,)
                for value in values:
                    if isinstance(value, ast.Word | ast.Text):
                        yield _ENTRIES[entry.key.text], value.text
    elif isinstance(node, ast.Flow):
        for item in _steps(node.items):
            if isinstance(item, ast.SendStep):
                yield from (("", message.text) for message in item.messages)
            elif isinstance(item, ast.TriggerOn):
                yield "", item.table.text
            elif isinstance(item, ast.Entry) and isinstance(item.value, ast.Word | ast.Text):
                yield "account", item.value.text


# --- nodes ------------------------------------------------------------------------------------------


def graph_node(address: str, symbol: Symbol) -> Document:
    span: Span = getattr(symbol.node, "span", symbol.span)
    return {
        "address": address,
        "kind": symbol.kind,
        "name": symbol.name,
        "text": text_of(symbol),
        "description": getattr(symbol.node, "description", ""),
        "path": span.path,
        "start": span.start,
        "end": span.end,
    }


def text_of(symbol: Symbol) -> str:
    """The definition as it is written, of what is defined by one expression."""
    node = symbol.node
    if isinstance(node, ast.Audience | ast.Split) or (isinstance(node, ast.Block) and node.kind == "delivery"):
        return next((expression_text(expression) for expression in expressions_of(node)), "")
    return ""
