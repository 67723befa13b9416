"""`priority [a, b, c]`: a person in several deliveries gets only the first that reaches them.

Normative: specs/language/05-statements.md, `priority.*`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from audsql.diag import Bag, Label, error, warning
from audsql.meaning import algebra, ir
from audsql.meaning.names import Symbols, fix_near, nearest
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["Ranking", "Standing", "edges_of", "emptied_by", "less_earlier", "lower_priorities", "standing_of"]


@dataclass(frozen=True, slots=True)
class Ranking:
    """A priority statement, with the place of each of its deliveries; those with errors are left out."""

    priority: ir.Priority
    places: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a delivery stands behind: the names in the order of the lists, and the place of its own name."""

    behind: tuple[str, ...] = ()
    places: tuple[Span, ...] = ()


def lower_priorities(
    nodes: Iterable[ast.Priority], symbols: Symbols, heads: Mapping[str, ir.Delivery], bag: Bag
) -> tuple[Ranking, ...]:
    """Every list, checked: deliveries that are sent here, each once, at least two, of one account."""
    found: list[Ranking] = []
    for node in nodes:
        first: dict[str, ast.Name] = {}
        for name in node.deliveries:
            if name.text in first:
                labels = [Label(first[name.text].span, "first")]
                bag.add(error("AUD0376", name.span, labels=labels, delivery=name.text))
            else:
                first[name.text] = name
        if len(first) < 2 and len(node.deliveries) == len(first):
            bag.add(error("AUD0376", node.span, delivery=None))
        known = [name for name in first.values() if _is_delivery(name, symbols, heads, bag)]
        known = _same_account(known, heads, bag)
        _limited(known, heads, bag)
        names = tuple(name.text for name in known)
        found.append(Ranking(ir.Priority(names, node.span), tuple(name.span for name in known)))
    return tuple(found)


def _is_delivery(name: ast.Name, symbols: Symbols, heads: Mapping[str, ir.Delivery], bag: Bag) -> bool:
    symbol, head = symbols.get(name.text), heads.get(name.text)
    if symbol is None:
        if not symbols.may_be_unread("delivery"):
            near = nearest(name.text, symbols.of_kind("delivery"))
            fixes = fix_near(name.span, near)
            bag.add(error("AUD0207", name.span, fixes=fixes, name=name.text, wanted="delivery", near=near))
        return False
    if symbol.kind != "delivery":
        if not symbol.broken:
            labels = [Label(symbol.span, "declared")]
            bag.add(error("AUD0204", name.span, labels=labels, name=name.text, kind=symbol.kind, wanted="delivery"))
        return False
    if head is not None and head.sent_request_id is not None:
        bag.add(error("AUD0379", name.span, labels=[Label(symbol.span, "declared")], delivery=name.text))
        return False
    return True


def _same_account(names: Sequence[ast.Name], heads: Mapping[str, ir.Delivery], bag: Bag) -> list[ast.Name]:
    """The deliveries of the first one's account; the others are told."""
    kept = [name for name in names if name.text not in heads]
    known = [name for name in names if name.text in heads]
    for name in known:
        head, first = heads[name.text], heads[known[0].text]
        if head.account == first.account:
            kept.append(name)
            continue
        bag.add(
            error(
                "AUD0378",
                name.span,
                labels=[Label(known[0].span, "first")],
                delivery=name.text,
                account=head.account,
                other=first.name,
                other_account=first.account,
            )
        )
    return sorted(kept, key=names.index)


def _limited(names: Sequence[ast.Name], heads: Mapping[str, ir.Delivery], bag: Bag) -> None:
    """A limit on a delivery that others stand behind: those who are not drawn get nothing of the others either."""
    for index, name in enumerate(names[:-1]):
        head = heads.get(name.text)
        if head is not None and head.limit is not None:
            later = tuple(other.text for other in names[index + 1 :])
            bag.add(warning("AUD0383", name.span, delivery=name.text, later=later))


def edges_of(rankings: Iterable[Ranking]) -> dict[str, dict[str, Span]]:
    """What each delivery needs to be given meaning first: the one before it, with the place of its own name."""
    found: dict[str, dict[str, Span]] = {}
    for ranking in rankings:
        names = ranking.priority.deliveries
        for earlier, later, place in zip(names, names[1:], ranking.places[1:], strict=False):
            found.setdefault(later, {}).setdefault(earlier, place)
    return found


def standing_of(name: str, rankings: Iterable[Ranking]) -> Standing:
    """Everything that a delivery stands directly behind in some list."""
    behind: dict[str, None] = {}
    places: list[Span] = []
    for ranking in rankings:
        names = ranking.priority.deliveries
        if name in names[1:]:
            behind.update(dict.fromkeys(names[: names.index(name)]))
            places.append(ranking.places[names.index(name)])
    return Standing(tuple(behind), tuple(places))


def less_earlier(
    reach: ir.Expression, behind: Sequence[str], earlier: Mapping[str, ir.Delivery], bases: Mapping[str, ir.Expression]
) -> ir.Expression:
    """The set less everybody whom an earlier delivery reaches.

    Where everything that the earlier one stands behind is subtracted too, so is all that it lost to them: the
    shorter formula of whom it would reach alone (`bases`) says the same.
    """
    taken = [bases[name] if set(earlier[name].behind) <= set(behind) else earlier[name].reach for name in behind]
    return ir.land(reach, *(ir.lnot(expression) for expression in taken))


def emptied_by(base: ir.Expression, behind: Sequence[str], bases: Mapping[str, ir.Expression]) -> tuple[str, ...]:
    """The earlier deliveries that leave nobody: a single one that all are for, else all. Raises Undecided."""
    alone = [name for name in behind if algebra.within(base, bases[name])]
    return tuple(alone[:1] or behind)
