"""`explain --compile --format mermaid`: own data, groups, uploads, sends, audiences of LINE (specs/explain.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.view.graph import mermaid_label

__all__ = ["mermaid"]

Document = dict[str, Any]

_NODES_MAX = 20
"""Of one kind; what is left out is counted."""
_LABEL_CHARACTERS_MAX = 80


def mermaid(document: Document, language: str) -> str:
    """From left to right: own data, the groups that they make, the uploads, the sends; from below what LINE holds.

    Names stand in labels only, signs in them as numbers: none can end its label or be read as something else.
    """
    nodes = dict(_nodes(document, language))
    lines = ["graph LR", *(f'  {node}["{_label(text)}"]' for node, text in nodes.items())]
    for start, end, label in _edges(document):
        if start in nodes and end in nodes:
            lines.append(
                f"  {start} -- {word(f'compile.edge.{label}', language)} --> {end}" if label else f"  {start} --> {end}"
            )
    for kind, count in _left_out(document):
        lines.append(f'  {kind}more["{_label(word("compile.more", language, count=count))}"]')
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return mermaid_label(text if len(text) <= _LABEL_CHARACTERS_MAX else f"{text[: _LABEL_CHARACTERS_MAX - 3]}...")


def _texts(document: Document, world: str) -> list[str]:
    return [one["text"] for one in document["conditions"] if (one["world"], one["is"]) == (world, "set")]


def _leaves(document: Document) -> dict[str, str]:
    """The audiences and earlier sends that the sends name, other than uploads: their labels by key."""
    uploads = {one["key"] for one in document["uploads"]}
    return {key: label for key, label in document["labels"].items() if key not in uploads}


def _left_out(document: Document) -> Iterator[tuple[str, int]]:
    counts = {
        "o": len(_texts(document, "own")),
        "g": len(document["groups"]) + document["groups_left_out"],
        "u": len(document["uploads"]),
        "s": len(document["sends"]),
        "l": len(_leaves(document)),
    }
    for kind, count in counts.items():
        if count > _NODES_MAX:
            yield kind, count - _NODES_MAX


def _nodes(document: Document, language: str) -> Iterator[tuple[str, str]]:
    """Each node's id with its text: `o0` own data, `g1` a group, `u1` an upload, `l0` what LINE holds, `s0` a send."""
    for number, text in enumerate(_texts(document, "own")[:_NODES_MAX]):
        yield f"o{number}", text
    for group in document["groups"][:_NODES_MAX]:
        text = word("compile.unlisted", language) if group["unlisted"] else group["text"]
        yield f"g{group['number']}", f"{group['number']}: {text}"
    for one in document["uploads"][:_NODES_MAX]:
        yield f"u{one['number']}", word("compile.upload", language, number=one["number"])
    for number, label in enumerate([*_leaves(document).values()][:_NODES_MAX]):
        yield f"l{number}", label
    for send in document["sends"][:_NODES_MAX]:
        yield f"s{send['part']}", word("compile.send", language, number=send["part"] + 1)
        if send.get("filter_text"):
            yield f"f{send['part']}", send["filter_text"]


def _edges(document: Document) -> Iterator[tuple[str, str, str]]:
    """Start, end, and a word where the end takes whoever is not in the start, or filters."""
    own = {text: f"o{number}" for number, text in enumerate(_texts(document, "own"))}
    keys = {one["key"]: f"u{one['number']}" for one in document["uploads"]}
    keys |= {key: f"l{number}" for number, key in enumerate(_leaves(document))}
    for group in document["groups"]:
        told = () if group["unlisted"] else group["own"]
        yield from ((own[text], f"g{group['number']}", "") for text in told if text in own)
    for one in document["uploads"]:
        yield from ((f"g{number}", f"u{one['number']}", "") for number in one["groups"])
    for send in document["sends"]:
        for key, negated in dict.fromkeys(_named(send.get("recipient"))):
            yield keys[key], f"s{send['part']}", "not" if negated else ""
        yield f"f{send['part']}", f"s{send['part']}", "filter"


def _named(recipient: Document | None) -> Iterator[tuple[str, bool]]:
    """The keys of a recipient tree in order, each with whether it stands below a NOT."""
    waiting: list[tuple[Any, bool]] = [] if recipient is None else [(recipient, False)]
    while waiting:
        tree, negated = waiting.pop()
        match tree:
            case {"and": parts} | {"or": parts}:
                waiting.extend((part, negated) for part in reversed(parts))
            case {"not": part}:
                waiting.append((part, not negated))
            case {"audience": key}:
                yield key, negated
            case {"redelivery": delivery, "part": part}:
                yield f"redelivery({delivery}; {part})", negated
