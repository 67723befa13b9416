"""What changes as a Mermaid graph: from audiences to the deliveries that need them, and on to those that wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audsql.catalog import word
from audsql.view.plan import DELIVERY_SIGNS, UPLOAD_SIGNS, listed_changes
from audsql.view.untrusted import cut, mermaid_text

__all__ = ["graph_lines"]

NODES_MAX = 40
EDGES_MAX = 80
_LABEL_CELLS_MAX = 40


def graph_lines(document: Mapping[str, Any], language: str) -> list[str]:
    """One block: a fence with at most 40 nodes and 80 edges. None where there are no two nodes to join."""
    every = dict(_nodes(document, language))
    # What is joined first: with many of both, an audience without its delivery would say nothing.
    joined = (address for edge in _edges(document) if every.keys() >= {*edge} for address in edge)
    kept = set(list(dict.fromkeys([*joined, *every]))[:NODES_MAX])
    nodes = {address: label for address, label in every.items() if address in kept}
    edges = [edge for edge in _edges(document) if edge[0] in nodes and edge[1] in nodes][:EDGES_MAX]
    if not edges:
        return []
    ids = {address: f"n{position}" for position, address in enumerate(nodes)}
    lines = [f'  {ids[address]}["{label}"]' for address, label in nodes.items()]
    lines += [f"  {ids[first]} --> {ids[second]}" for first, second in edges]
    return ["\n".join(["```mermaid", "flowchart LR", *lines, "```"])]


def _nodes(document: Mapping[str, Any], language: str) -> Iterator[tuple[str, str]]:
    """The address and label of each, deliveries first."""
    deliveries = [one for one in document["deliveries"] if one["action"] not in ("sent", "keep", "closed")]
    for one in deliveries:
        name = one["address"].removeprefix("delivery.")
        yield one["address"], _label(DELIVERY_SIGNS[one["action"]], word("kind.delivery", language), name)
    for one in listed_changes(dict(document)):
        kind = word(f"kind.{one['type']}", language)
        yield one["address"], _label(UPLOAD_SIGNS[one["action"]], kind, one["label"])


def _edges(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in listed_changes(dict(document)):
        yield from ((one["address"], f"delivery.{name}") for name in one.get("needed_by", ()))
    for one in document["deliveries"]:
        yield from ((f"delivery.{name}", one["address"]) for name in one.get("waits_for", ()))


def _label(sign: str, kind: str, name: str) -> str:
    return f"{mermaid_text(sign)} {mermaid_text(kind)} {mermaid_text(cut(name, _LABEL_CELLS_MAX))}"
