"""Diagnostics as the public JSON document (`specs/schemas/diagnostics.schema.json`).

Facts meet the catalogue's words here, once; every rendering reads this document alone. It carries the
source lines that a person needs to see, so that it can be rendered far from the project.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from audsql import catalog
from audsql.diag import Diagnostic, Fact, Fix
from audsql.source import CopySpan, Position, Source, SourceMap, Span
from audsql.view.terminal import neutralise

__all__ = ["FORMAT_VERSION", "to_document"]

FORMAT_VERSION = "1.0"

# A line of noise may be megabytes long; this much of it around the place is enough to see.
_EXCERPT_CHARACTERS = 200
_EXCERPT_LEAD_CHARACTERS = 60


def to_document(diagnostics: Iterable[Diagnostic], sources: SourceMap, language: str) -> dict[str, Any]:
    """The document of these diagnostics in their total order (path, place, code)."""
    ordered = sorted(diagnostics, key=lambda diagnostic: diagnostic.sort_key)
    items = [_diagnostic(diagnostic, sources, language) for diagnostic in ordered]
    return {
        "format_version": FORMAT_VERSION,
        "language": language,
        "diagnostics": items,
        "summary": {
            "errors": sum(item["severity"] == "error" for item in items),
            "warnings": sum(item["severity"] == "warning" for item in items),
            "infos": sum(item["severity"] == "info" for item in items),
            "files": len({item["path"] for item in items if item["path"]}),
            "files_checked": len(sources.sources),
        },
    }


def _diagnostic(diagnostic: Diagnostic, sources: SourceMap, language: str) -> dict[str, Any]:
    facts = dict(diagnostic.facts)
    shown = {name: _safe_fact(_named_kind(name, fact, language)) for name, fact in facts.items()}
    texts = catalog.entry(diagnostic.code).text(language)
    place = _place(diagnostic.span, sources) if diagnostic.span else _place_of_facts(facts)
    primary_text = catalog.render_text(texts.labels.get("p", ""), shown)
    others = [
        {**_place(label.span, sources), "text": catalog.render_text(texts.labels.get(label.key, ""), shown)}
        for label in diagnostic.labels
    ]
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "path": place["path"],
        "start": place["start"],
        "end": place["end"],
        "title": catalog.render_text(texts.title, shown),
        "label": primary_text,
        "excerpt": place["excerpt"],
        "labels": [*others, *_origin_labels(diagnostic.span, sources, language)],
        "notes": list(catalog.shown_lines(texts.notes, shown)),
        "helps": list(catalog.shown_lines(texts.helps, shown)),
        "fixes": [_fix(fix, sources, texts, shown, language) for fix in diagnostic.fixes],
        "facts": {name: list(fact) if isinstance(fact, tuple) else fact for name, fact in facts.items()},
    }


def _origin_labels(span: Span | None, sources: SourceMap, language: str) -> list[dict[str, Any]]:
    """Of a problem in text that is expanded several times: which copy it was found in first."""
    origin = span.origin if isinstance(span, CopySpan) else None
    if origin is None:
        return []
    text = catalog.word("origin", language, origin=neutralise(origin.text))
    return [{**_place(origin.span, sources), "text": text}]


def _named_kind(name: str, fact: Fact, language: str) -> Fact:
    """A fact that says a kind of statement (`wanted`, `kind`, `what`), in the word of the language."""
    if name not in ("wanted", "kind", "what") or not isinstance(fact, str):
        return fact
    return catalog.kind_word(fact, language) or fact


def _safe_fact(fact: Fact) -> Fact:
    """A fact that cannot act on a terminal, and that stays on its line."""
    if isinstance(fact, tuple):
        return tuple(neutralise(item) for item in fact)
    return neutralise(fact) if isinstance(fact, str) else fact


def _place(span: Span, sources: SourceMap) -> dict[str, Any]:
    source = sources.get(span.path)
    if source is None:
        return {"path": span.path, "start": None, "end": None, "excerpt": None}
    start, end = source.position(span.start), source.position(max(span.start, span.end))
    return {
        "path": span.path,
        "start": {"line": start.line, "column": start.column},
        "end": {"line": end.line, "column": end.column},
        "excerpt": _excerpt(source, start),
    }


def _excerpt(source: Source, start: Position) -> dict[str, Any]:
    """The line of a place; `column` is the column of its first character, above 1 where the
    line was cut before it; `cut`: there is more after it."""
    text = source.line_text(start.line)
    first = 0
    if len(text) > _EXCERPT_CHARACTERS:
        first = max(0, min(start.column - 1 - _EXCERPT_LEAD_CHARACTERS, len(text) - _EXCERPT_CHARACTERS))
    shown = text[first : first + _EXCERPT_CHARACTERS]
    return {"text": shown, "column": first + 1, "cut": first + len(shown) < len(text)}


def _place_of_facts(facts: Mapping[str, Fact]) -> dict[str, Any]:
    """The place of a problem in a data file: its facts `file` or `path`, and `line`."""
    path = facts.get("file") or facts.get("path")
    line = facts.get("line")
    has_line = isinstance(line, int) and not isinstance(line, bool) and line > 0
    position = {"line": line, "column": 1} if has_line and path else None
    return {"path": path if isinstance(path, str) else None, "start": position, "end": position, "excerpt": None}


def _fix(
    fix: Fix, sources: SourceMap, texts: catalog.Texts, facts: Mapping[str, Fact], language: str
) -> dict[str, Any]:
    if fix.key in texts.fixes:
        title = catalog.render_text(texts.fixes[fix.key], facts)
    elif text := "".join(edit.text for edit in fix.edits):
        title = catalog.word("replace", language, text=neutralise(text))
    else:
        title = catalog.word("remove", language)
    edits = []
    for edit in fix.edits:
        place = _place(edit.span, sources)
        edits.append({"path": place["path"], "start": place["start"], "end": place["end"], "text": edit.text})
    return {"title": title, "safe": fix.safe, "edits": edits}
