"""Marks read off the texts of the tests: which test says that it shows what. Nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Marked", "marked"]

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Marked:
    """A test that carries a mark with this argument, whole or by one of its cases; `path` from the root."""

    argument: str | int
    path: str
    test: str


@cache
def marked(mark: str) -> tuple[Marked, ...]:
    """Every `@pytest.mark.MARK(argument, …)` of the tests, in the order of files and lines; one for each argument."""
    found: list[Marked] = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if f"mark.{mark}" in text:
            place = path.relative_to(ROOT).as_posix()
            found.extend(Marked(argument, place, test) for argument, test in _of(ast.parse(text), mark))
    return tuple(found)


def _of(tree: ast.Module, mark: str) -> Iterator[tuple[str | int, str]]:
    tables = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        for decorator in node.decorator_list:
            used = {one.id for one in ast.walk(decorator) if isinstance(one, ast.Name)} & tables.keys()
            for part in (decorator, *(tables[name] for name in sorted(used))):
                yield from ((one, node.name) for call in ast.walk(part) for one in _arguments(call, mark))


def _arguments(node: ast.AST, mark: str) -> list[str | int]:
    if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith(f"mark.{mark}")):
        return []
    return [ast.literal_eval(argument) for argument in node.args]
