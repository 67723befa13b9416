"""`audsql conformance`: answers the cases of the specification, one JSON request and one answer a line.

What is asked and answered: specs/conformance/README.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audsql.cli.console import emit

if TYPE_CHECKING:
    from audsql.diag import Diagnostic
    from audsql.meaning.lower import Analysis
    from audsql.source import SourceMap

__all__ = ["answer", "command"]

_CONFIG = '[project]\nname = "spec"\ntimezone = "Asia/Tokyo"\n'


@click.command("conformance", hidden=True)
def command() -> None:
    """Answer requests from stdin until it ends."""
    for line in sys.stdin:
        if line.strip():
            emit(json.dumps(answer(json.loads(line)), ensure_ascii=False, sort_keys=True) + "\n")
            sys.stdout.flush()


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request; `error` in it where the request cannot be answered."""
    kind = _KINDS.get(str(request.get("kind")))
    found = kind(request) if kind else {"error": f"unknown kind {request.get('kind')!r}"}
    return {"id": request.get("id"), **found}


def _check(request: Mapping[str, Any]) -> dict[str, Any]:
    """Every diagnostic of a project of these files, its tests run."""
    from audsql.session.project import check_texts

    sources = _sources(request)
    found = check_texts({source.path: source.text for source in sources})
    return {"diagnostics": [_placed(one, sources) for one in found]}


def _format(request: Mapping[str, Any]) -> dict[str, Any]:
    """Each file in canonical layout."""
    from audsql.syntax.print import format_source

    return {"files": {source.path: format_source(source)[0] for source in _sources(request)}}


def _fix(request: Mapping[str, Any]) -> dict[str, Any]:
    """Each file with its safe repairs made, in canonical layout: what `fmt --fix` writes."""
    from audsql.cli.fmt import formatted

    return {"files": {source.path: formatted(source, with_fixes=True) for source in _sources(request)}}


def _lint(request: Mapping[str, Any]) -> dict[str, Any]:
    """What is probably not meant; the errors where there are some."""
    from audsql.session.linting import lint_texts

    sources = _sources(request)
    found = lint_texts({source.path: source.text for source in sources})
    return {"diagnostics": [_placed(one, sources) for one in found]}


def _repair(request: Mapping[str, Any]) -> dict[str, Any]:
    """Each file with the safe fixes of its lints made: what `lint --fix` writes."""
    from audsql.session.linting import repair_texts

    return {"files": repair_texts(request["files"])}


def _relation(request: Mapping[str, Any]) -> dict[str, Any]:
    """How two expressions relate in every possible world."""
    from audsql.diag import has_errors
    from audsql.meaning.lower import lower_expression
    from audsql.meaning.relation import relation
    from audsql.syntax.parse import parse_expression

    sources = _sources(request)
    analysis, problems = _analysed(sources)
    sides = []
    for text in (request["left"], request["right"]):
        tree, found = parse_expression(text)
        problems += found
        if tree is not None:
            expression, found = lower_expression(tree, analysis)
            problems += found
            sides.append(expression)
    if has_errors(problems):
        return {"error": " ".join(sorted({one.code for one in problems if one.severity == "error"}))}
    return {"relation": relation(*sides).kind}


def _members(request: Mapping[str, Any]) -> dict[str, Any]:
    """The ids in a set of own data, in order."""
    import tempfile
    from datetime import datetime

    from audsql.session.project import open_project
    from audsql.session.sets import evaluate

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in {"audsql.toml": _CONFIG, **request["files"], **request["data"]}.items():
            path = (root / name).resolve()
            if not path.is_relative_to(root.resolve()):
                return {"error": f"{name} is not inside the project"}
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        out = root / "members"
        moment = datetime.fromisoformat(request["as_of"])
        document, found = evaluate(open_project(root), request["expression"], moment, out)
        if document is None:
            return {"error": " ".join(sorted({one.code for one in found if one.severity == "error"}))}
        return {"members": sorted(out.read_text(encoding="utf-8").split())}


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "check": _check,
    "fix": _fix,
    "format": _format,
    "lint": _lint,
    "members": _members,
    "relation": _relation,
    "repair": _repair,
}


def _sources(request: Mapping[str, Any]) -> SourceMap:
    from audsql.source import Source, SourceMap

    return SourceMap.of(Source(path, text) for path, text in request["files"].items())


def _analysed(sources: SourceMap) -> tuple[Analysis, tuple[Diagnostic, ...]]:
    from audsql.meaning.lower import analyse
    from audsql.syntax.parse import parse_file

    read = [parse_file(source) for source in sources]
    analysis, found = analyse(tuple(file for file, _ in read), name="spec", timezone="Asia/Tokyo")
    return analysis, (*(problem for _, problems in read for problem in problems), *found)


def _placed(diagnostic: Diagnostic, sources: SourceMap) -> dict[str, Any]:
    placed: dict[str, Any] = {"code": diagnostic.code, "severity": diagnostic.severity}
    span = diagnostic.span
    source = sources.get(span.path) if span else None
    if span is None or source is None:
        return placed
    start, end = source.position(span.start), source.position(span.end)
    places = {"line": start.line, "column": start.column, "endLine": end.line, "endColumn": end.column}
    return {**placed, "file": span.path, **places}
