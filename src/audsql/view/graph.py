"""The dependency document: `nodes` `{address, kind, name}`, `edges` `{from, to}` (from needs to)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.view.terminal import Style, neutralise

__all__ = ["dot", "human"]


def human(document: dict[str, Any], style: Style) -> str:
    """Each thing, and below it what it needs; sorted by address."""
    return "\n".join(_lines(document, style)) + "\n"


def _lines(document: dict[str, Any], style: Style) -> Iterator[str]:
    needs: dict[str, list[str]] = {}
    for edge in document["edges"]:
        needs.setdefault(edge["from"], []).append(edge["to"])
    names = {node["address"]: node for node in document["nodes"]}
    for address in sorted(names):
        yield style.paint("bold", _shown(names[address], style))
        for needed in sorted(set(needs.get(address, ()))):
            yield f"  <- {_shown(names[needed], style) if needed in names else neutralise(needed)}"


def _shown(node: dict[str, Any], style: Style) -> str:
    return f"{word('kind.' + node['kind'], style.language)} {neutralise(node['name'])}"


def dot(document: dict[str, Any]) -> str:
    """Graphviz: an arrow leads from a thing to what it needs."""
    lines = ["digraph audsql {", "  rankdir=LR;", "  node [shape=box];"]
    for node in sorted(document["nodes"], key=lambda node: str(node["address"])):
        lines.append(f"  {_quoted(node['address'])} [label={_quoted(node['kind'] + ' ' + node['name'])}];")
    for edge in sorted(document["edges"], key=lambda edge: (str(edge["from"]), str(edge["to"]))):
        lines.append(f"  {_quoted(edge['from'])} -> {_quoted(edge['to'])};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(neutralise(text).replace("\\", "/"), ensure_ascii=False)
