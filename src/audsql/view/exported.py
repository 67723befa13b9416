"""The manifest of an export for a person to read: the files, what is in them, and what was taken away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.source import cell_width
from audsql.view.numbers import linkage_lines
from audsql.view.terminal import Style, left, neutralise

__all__ = ["human"]


def human(document: dict[str, Any], style: Style) -> str:
    """The document of `session.exporting.export`."""
    return "".join(f"{line}\n" for line in _lines(document, style.language))


def _lines(document: dict[str, Any], language: str) -> Iterator[str]:
    people, kind = document["people"], word(f"id_kind.{document['id_kind']}", language)
    key = "export.hashed" if document["hash"] else "export.plain"
    yield word(key, language, people=people, kind=kind, algorithm=document["hash"], destination=document["destination"])
    rows = [(neutralise(one["name"]), one) for one in document["files"]]
    width = max((cell_width(name) for name, _ in rows), default=0)
    yield word("export.folder", language, folder=neutralise(document["folder"]))
    for name, one in rows:
        yield f"  {left(name, width)}  " + word("export.file", language, lines=one["lines"], bytes=one["bytes"])
    yield from linkage_lines(document, language)
    yield from _policies(document, language)
    if document["phone_form"]:
        yield word(f"export.form_{document['phone_form']}", language)
    if document["destination"] == "oa-manager":
        yield word("export.manager_limits", language)


def _policies(document: dict[str, Any], language: str) -> Iterator[str]:
    if document["purpose"] == "exclude":
        yield word("export.to_exclude", language)
        return
    for one in document["policies"]:
        key = "export.policy" if one["whole"] else "export.policy_part"
        yield word(key, language, name=neutralise(one["name"]), rule=one["rule"], count=one["taken"])
    for name in document["around"]:
        yield word("export.around", language, name=neutralise(name))
    if not document["policies"] and not document["around"]:
        yield word("export.no_policy", language)
