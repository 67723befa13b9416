"""The order in which audiences and deliveries are given meaning, and the circles that have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from audsql.meaning.expressions import walk
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["Circle", "Ordering", "order", "references"]


@dataclass(frozen=True, slots=True)
class Circle:
    """Names that need each other, each the next, the last the first; `places` where each is needed."""

    names: tuple[str, ...]
    places: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Ordering:
    """`order`: each name after what it needs. `circles`: found among the names that cannot be ordered."""

    order: tuple[str, ...]
    circles: tuple[Circle, ...]


def references(expression: ast.Expression) -> dict[str, Span]:
    """The audiences and deliveries that an expression may name, with the first place of each."""
    found: dict[str, Span] = {}
    for node in walk(expression):
        if isinstance(node, ast.Reference):
            found.setdefault(node.name.text, node.span)
        elif isinstance(node, ast.Call) and node.name.text in ("clicked", "opened", "received"):
            for value in node.arguments.values[:1]:
                if isinstance(value, (ast.Word, ast.Text)):
                    found.setdefault(value.text, value.span)
    return found


def order(needs: Mapping[str, Mapping[str, Span]]) -> Ordering:
    """Order the names so that each stands after those it needs; ties go by name."""
    waiting = {name: {need for need in needed if need in needs} for name, needed in needs.items()}
    wanted_by: dict[str, list[str]] = {}
    for name, needed in waiting.items():
        for need in needed:
            wanted_by.setdefault(need, []).append(name)
    ordered: list[str] = []
    ready = sorted((name for name, needed in waiting.items() if not needed), reverse=True)
    while ready:
        name = ready.pop()
        ordered.append(name)
        del waiting[name]
        free = []
        for follower in wanted_by.get(name, ()):
            waiting[follower].discard(name)
            if not waiting[follower]:
                free.append(follower)
        ready.extend(sorted(free, reverse=True))
    return Ordering(tuple(ordered), tuple(_circles(waiting, needs)))


def _circles(waiting: Mapping[str, Iterable[str]], needs: Mapping[str, Mapping[str, Span]]) -> list[Circle]:
    """One circle of each knot: from each name on, follow the first need that cannot be ordered either."""
    circles: list[Circle] = []
    seen: set[str] = set()
    for start in sorted(waiting):
        path: list[str] = []
        name = start
        while name not in seen:
            seen.add(name)
            path.append(name)
            name = min(waiting[name])
        if name in path:
            names = path[path.index(name) :]
            following = [*names[1:], names[0]]
            places = tuple(needs[one][needed] for one, needed in zip(names, following, strict=True))
            circles.append(Circle(tuple(names), places))
    return circles
