"""The graph in every format: stable, linear, and deaf to what names hold."""

from __future__ import annotations

import re
from typing import Any

import pytest

from audsql.view import graph
from audsql.view.terminal import Style

HOSTILE = [
    'a"b', "a\nb", "a\\", "a\\nb", "<img src=x onerror=alert(1)>", "a]b", "`code`", "%%{init: {}}%%", "a;b --> c",
    "#35;", "sale[A]", "購入者", "end", "a|b", "x\u202ey", "&amp;", "\x1b[31m", "$x$", "subgraph", "a'b",
]  # fmt: skip


def document(names: list[str], edges: list[tuple[str, str]]) -> dict[str, Any]:
    nodes = [{"address": f"audience.{name}", "kind": "audience", "name": name} for name in names]
    return {"nodes": nodes, "edges": [{"from": f"audience.{a}", "to": f"audience.{b}"} for a, b in edges]}


@pytest.mark.parametrize("name", HOSTILE)
def test_mermaid_holds_names_in_labels(name: str) -> None:
    text = graph.mermaid(document([name, "plain"], [(name, "plain")]))
    lines = text.splitlines()
    assert lines[0] == "graph LR"
    assert len(lines) == 4
    for line in lines[1:3]:
        label = re.fullmatch(r'  n\d\["([^"]*)"\]', line)
        assert label is not None, line
        assert not re.search(r"[<>`\\{}|%&]|[\x00-\x1f\u202e]", label[1])
        assert not re.search(r"#(?!\d+;)", label[1])
    assert re.fullmatch(r"  n[01] --> n[01]", lines[3])


@pytest.mark.parametrize("name", HOSTILE)
def test_dot_holds_names_in_strings(name: str) -> None:
    lines = graph.dot(document([name, "plain"], [(name, "plain")])).splitlines()
    assert len(lines) == 7
    assert sum(bool(re.fullmatch(r'  n\d \[label="(?:[^"\\]|\\["\\])*"\];', line)) for line in lines) == 2
    assert re.fullmatch(r"  n[01] -> n[01];", lines[5])


def test_names_read_as_they_are() -> None:
    text = graph.mermaid(document(["sale[A]", "購入者"], []))
    assert '  n0["audience sale[A]"]\n  n1["audience 購入者"]\n' in text


def test_signs_can_be_read_back() -> None:
    label = graph.mermaid(document(['a"<#'], [])).splitlines()[1]
    assert re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label) == '  n0["audience a"<#"]'


def test_order_is_that_of_addresses() -> None:
    names, edges = ["c", "a", "b"], [("c", "a"), ("b", "a")]
    turned = document(names[::-1], edges[::-1])
    for render in (graph.dot, graph.mermaid, lambda one: graph.human(one, Style())):
        assert render(document(names, edges)) == render(turned)


def test_human() -> None:
    text = graph.human(document(["a", "b"], [("a", "b")]), Style())
    assert text == "audience a\n  <- audience b\naudience b\n"
