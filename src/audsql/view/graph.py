"""The dependency document: `nodes` `{address, kind, name}`, `edges` `{from, to}` (from needs to)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from audsql.catalog import word
from audsql.view.terminal import Style, neutralise

__all__ = ["dot", "human", "mermaid", "mermaid_label"]

# What Mermaid would read as something else than text, even between quotation marks.
_MERMAID_SIGNS = re.compile(r"[\"#&<>`\\;%{}|@$]")


def human(document: dict[str, Any], style: Style) -> str:
    """Each thing, and below it what it needs; sorted by address."""
    return "\n".join(_lines(document, style)) + "\n"


def _lines(document: dict[str, Any], style: Style) -> Iterator[str]:
    needs: dict[str, list[str]] = {}
    for edge in document["edges"]:
        needs.setdefault(edge["from"], []).append(edge["to"])
    names = {node["address"]: node for node in document["nodes"]}
    for address in sorted(names):
        yield style.paint("bold", _shown(names[address], style.language))
        for needed in sorted(set(needs.get(address, ()))):
            yield f"  <- {_shown(names[needed], style.language) if needed in names else neutralise(needed)}"


def _shown(node: dict[str, Any], language: str) -> str:
    return f"{word('kind.' + node['kind'], language)} {neutralise(node['name'])}"


def dot(document: dict[str, Any]) -> str:
    """Graphviz: an arrow leads from a thing to what it needs."""
    ids = _ids(document)
    lines = ["digraph audsql {", "  rankdir=LR;", "  node [shape=box];"]
    for node in _nodes(document):
        lines.append(f"  {ids[node['address']]} [label={_quoted(node['kind'] + ' ' + node['name'])}];")
    lines += [f"  {start} -> {end};" for start, end in _edges(document, ids)]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    """A string of Graphviz: only the backslash and the quotation mark mean anything in it."""
    escaped = neutralise(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def mermaid(document: dict[str, Any]) -> str:
    """Mermaid, as GitHub shows it in a fenced block: names stand in labels only, signs in them as numbers."""
    ids = _ids(document)
    lines = ["graph LR"]
    for node in _nodes(document):
        lines.append(f'  {ids[node["address"]]}["{mermaid_label(node["kind"] + " " + node["name"])}"]')
    lines += [f"  {start} --> {end}" for start, end in _edges(document, ids)]
    return "\n".join(lines) + "\n"


def mermaid_label(text: str) -> str:
    """A text as it may stand between the quotation marks of a label of Mermaid."""
    return _MERMAID_SIGNS.sub(lambda match: f"#{ord(match[0])};", neutralise(text))


def _nodes(document: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(document["nodes"], key=lambda node: str(node["address"]))


def _ids(document: dict[str, Any]) -> Mapping[str, str]:
    """`n0`, `n1`, … in the order of addresses: a name can hold anything, an id cannot."""
    return {node["address"]: f"n{index}" for index, node in enumerate(_nodes(document))}


def _edges(document: dict[str, Any], ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for edge in sorted(document["edges"], key=lambda edge: (str(edge["from"]), str(edge["to"]))):
        yield ids[edge["from"]], ids[edge["to"]]
