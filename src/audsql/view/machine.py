"""The diagnostics document for tools: GitHub annotations and SARIF 2.1.0."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any
from urllib.parse import quote

from audsql import catalog

__all__ = ["github", "sarif"]

_GITHUB_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}
_SARIF_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
# Facts that move with the text above them.
_PLACES = ("line", "lines", "byte_offset", "column")
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def github(document: dict[str, Any]) -> str:
    """Workflow commands. Columns only where a place stays on its line: GitHub drops others."""
    return "".join(_annotation(item) + "\n" for item in document["diagnostics"])


def _annotation(item: dict[str, Any]) -> str:
    properties: list[tuple[str, object]] = []
    if item["path"]:
        properties.append(("file", item["path"]))
    start, end = item["start"], item["end"]
    if start:
        properties += [("line", start["line"]), ("endLine", end["line"])]
        if start["line"] == end["line"] and item["excerpt"]:
            properties += [("col", start["column"]), ("endColumn", max(start["column"] + 1, end["column"]))]
    properties.append(("title", item["code"]))
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties)
    body = "\n".join([item["title"], *filter(None, [item["label"]]), *item["notes"], *item["helps"]])
    return f"::{_GITHUB_LEVELS[item['severity']]} {listed}::{_data(body)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def sarif(document: dict[str, Any], tool_version: str) -> dict[str, Any]:
    """One run; columns count code points and say so (`columnKind`)."""
    codes = sorted({item["code"] for item in document["diagnostics"]})
    index = {code: position for position, code in enumerate(codes)}
    driver = {
        "name": "audsql",
        "version": tool_version,
        "language": document["language"],
        "rules": [_rule(code, document["language"]) for code in codes],
    }
    seen: Counter[str] = Counter()
    results = []
    for item in document["diagnostics"]:
        same = _same(item)
        results.append(_result(item, index[item["code"]], f"{same}:{seen[same]}"))
        seen[same] += 1
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str, language: str) -> dict[str, Any]:
    entry = catalog.entry(code)
    texts = entry.text(language)
    explained = texts.explain.strip()
    return {
        "id": code,
        "name": entry.rule,
        "shortDescription": {"text": catalog.without_facts(texts.title)},
        "fullDescription": {"text": explained.split("\n\n")[0]},
        "help": {"text": explained},
        "defaultConfiguration": {"level": _SARIF_LEVELS[entry.kind]},
    }


def _result(item: dict[str, Any], rule_index: int, fingerprint: str) -> dict[str, Any]:
    text = "\n".join([item["title"], *filter(None, [item["label"]]), *item["notes"], *item["helps"]])
    result: dict[str, Any] = {
        "ruleId": item["code"],
        "ruleIndex": rule_index,
        "level": _SARIF_LEVELS[item["severity"]],
        "message": {"text": text},
        "partialFingerprints": {"audsql/v1": fingerprint},
    }
    if item["path"]:
        result["locations"] = [_location(item)]
    labels = [label for label in item["labels"] if label["path"]]
    if labels:
        result["relatedLocations"] = [{**_location(label), "message": {"text": label["text"]}} for label in labels]
    fixes = [fix for fix in item["fixes"] if fix["edits"] and all(edit["start"] for edit in fix["edits"])]
    if fixes:
        result["fixes"] = [_fix(fix) for fix in fixes]
    return result


def _same(item: dict[str, Any]) -> str:
    """What a finding is, without its place: it keeps its identity when lines move. Equal ones are numbered."""
    kept = {name: fact for name, fact in item["facts"].items() if name not in _PLACES}
    facts = json.dumps(kept, ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(f"{item['code']}\0{item['path']}\0{facts}".encode()).hexdigest()[:32]


def _location(place: dict[str, Any]) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(place["path"])}
    if place["start"]:
        physical["region"] = _region(place)
    return {"physicalLocation": physical}


def _artifact(path: str) -> dict[str, str]:
    return {"uri": quote(path), "uriBaseId": "%SRCROOT%"}


def _region(place: dict[str, Any]) -> dict[str, int]:
    return {
        "startLine": place["start"]["line"],
        "startColumn": place["start"]["column"],
        "endLine": place["end"]["line"],
        "endColumn": place["end"]["column"],
    }


def _fix(fix: dict[str, Any]) -> dict[str, Any]:
    by_path: dict[str, list[dict[str, Any]]] = {}
    for edit in fix["edits"]:
        replacement = {"deletedRegion": _region(edit), "insertedContent": {"text": edit["text"]}}
        by_path.setdefault(edit["path"], []).append(replacement)
    changes = [{"artifactLocation": _artifact(path), "replacements": by_path[path]} for path in sorted(by_path)]
    return {"description": {"text": fix["title"]}, "artifactChanges": changes}
