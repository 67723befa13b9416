"""Names that changed or went on purpose: `moved old -> new` and `removed name { keep | delete }`.

Normative: specs/language/05-statements.md, `statements.moved` and `statements.removed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audsql.diag import Bag, Label, error
from audsql.meaning import ir
from audsql.meaning.names import Symbol, Symbols, fix_near, nearest
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["lower_moved", "lower_removed"]

_KINDS = ("audience", "codes", "coupon", "delivery", "flow", "message", "split", "table", "upload")


def lower_moved(nodes: Sequence[ast.Moved], symbols: Symbols, bag: Bag) -> tuple[ir.Moved, ...]:
    """Every old name with what it is called now, through chains, sorted by the old name."""
    kept = _each_once(nodes, bag)
    following = {node.old.text: node.new.text for node in kept}
    found: list[ir.Moved] = []
    for node in kept:
        if _still_declared("moved", node.old, symbols, bag):
            continue
        symbol = _declared_end(node, following, symbols, bag)
        if symbol is not None:
            found.append(ir.Moved(node.old.text, symbol.name, symbol.kind, node.span))
    return tuple(sorted(found, key=lambda moved: moved.old))


def _each_once(nodes: Sequence[ast.Moved], bag: Bag) -> tuple[ast.Moved, ...]:
    """The statements whose old and new names no earlier one has: nothing becomes two, no two become one."""
    olds: dict[str, Span] = {}
    news: dict[str, Span] = {}
    kept: list[ast.Moved] = []
    for node in nodes:
        twice = next((name for name, seen in ((node.old, olds), (node.new, news)) if name.text in seen), None)
        if twice is not None:
            first = olds.get(twice.text) if twice is node.old else news.get(twice.text)
            labels = [Label(first, "first")] if first else []
            bag.add(error("AUD0377", twice.span, labels=labels, name=twice.text))
            continue
        olds[node.old.text], news[node.new.text] = node.old.span, node.new.span
        kept.append(node)
    return tuple(kept)


def _still_declared(statement: str, name: ast.Name, symbols: Symbols, bag: Bag) -> bool:
    symbol = symbols.get(name.text)
    if symbol is None:
        return False
    labels = [Label(symbol.span, "declared")]
    bag.add(error("AUD0388", name.span, labels=labels, statement=statement, name=name.text))
    return True


def _declared_end(node: ast.Moved, following: Mapping[str, str], symbols: Symbols, bag: Bag) -> Symbol | None:
    """What the new name is, or what that became in turn; None, and told, where nothing of the kind is declared."""
    name, seen = node.new.text, {node.old.text}
    while symbols.get(name) is None and name in following and name not in seen:
        seen.add(name)
        name = following[name]
    symbol, span = symbols.get(name), node.new.span
    if symbol is None:
        if name == node.new.text or name in seen:
            _unknown(node.new, symbols, bag)
        return None
    if symbol.kind not in _KINDS:
        labels = [Label(symbol.span, "declared")]
        bag.add(error("AUD0204", span, labels=labels, name=name, kind=symbol.kind, wanted="audience"))
        return None
    return symbol


def _unknown(name: ast.Name, symbols: Symbols, bag: Bag) -> None:
    if symbols.may_be_unread(*_KINDS):
        return
    near = nearest(name.text, symbols.of_kind(*_KINDS))
    fixes = fix_near(name.span, near)
    bag.add(error("AUD0207", name.span, fixes=fixes, name=name.text, wanted="name", near=near))


def lower_removed(
    nodes: Sequence[ast.Removed], moved: Sequence[ast.Moved], symbols: Symbols, bag: Bag
) -> tuple[ir.Removed, ...]:
    """Every name that went, each once and neither declared nor moved, sorted by name."""
    first: dict[str, Span] = {node.old.text: node.old.span for node in moved}
    found: list[ir.Removed] = []
    for node in nodes:
        name = node.name
        if name.text in first:
            bag.add(error("AUD0377", name.span, labels=[Label(first[name.text], "first")], name=name.text))
        elif not _still_declared("removed", name, symbols, bag):
            found.append(ir.Removed(name.text, node.action, node.span))
        first.setdefault(name.text, name.span)
    return tuple(sorted(found, key=lambda removed: removed.name))
