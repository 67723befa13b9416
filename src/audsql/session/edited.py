"""What a project means after audiences of it were edited: only what the edit concerns is read again.

Beside the meaning of a project stands where its statements are, as for `check` (`audsql.session.incremental`). Where
all that differs is what some audiences say, these, and the audiences, deliveries and tests that use them however far,
are analysed together with everything that they need. Where that tells of nothing, they take the places of those that
were kept, and otherwise the whole project is read: what comes out is always what reading everything gives
(specs/decisions/0020).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

from audsql.config import Loaded
from audsql.meaning.expand import Inputs
from audsql.meaning.lower import analyse
from audsql.meaning.project import Audience, Delivery, Project
from audsql.session.incremental import (
    Edit,
    Kept,
    Place,
    Row,
    affected_places,
    compared,
    is_much,
    needed_places,
    odd_names,
    outline_of,
    parts_of,
    row_used,
)
from audsql.session.project import Opened
from audsql.syntax import ast

__all__ = ["after_edit", "outline_document"]

# Whatever else uses an edited audience is no part of this, or not only a part of itself.
_AFFECTED = frozenset({"audience", "delivery", "test"})
# Their statements stand for others that are not written.
_UNKNOWN = frozenset({"template", "use"})


def outline_document(opened: Opened) -> dict[str, Any] | None:
    """Where the statements of a project are and what they use; None of one that this cannot be said of, or of which
    something was told."""
    if opened.diagnostics or opened.findings:
        return None
    outlines = {file.path: outline_of(file) for file in opened.files}
    found = {path: rows for path, rows in outlines.items() if rows is not None}
    if len(found) < len(outlines) or any(row.kind in _UNKNOWN for rows in found.values() for row in rows):
        return None
    names = {name for rows in found.values() for row in rows for name in row.declares}
    odd = odd_names(names)
    texts = opened.sources.sources
    return {
        "files": {path: texts[path].digest for path in found},
        "rows": {path: [row_used(row, texts[path].text, names, odd) for row in rows] for path, rows in found.items()},
    }


def after_edit(loaded: Loaded, outline: Any, project: Project) -> Project | None:
    """The project as its texts are now. `outline`, `project`: as they were. None where everything is to be read.

    Raises LookupError, TypeError or ValueError for what is no outline.
    """
    rows = {path: [Row._make(row) for row in rows] for path, rows in outline["rows"].items()}
    if set(rows) != set(loaded.sources.sources):
        return None
    kept = Kept(outline["files"], rows, [], {}, [], [], {}, {})
    edit = compared(kept, loaded.sources)
    if edit is None or not _is_of_audiences(edit, kept):
        return None
    affected = affected_places(edit, set(), set())
    if affected is None or any(_row(edit, place).kind not in _AFFECTED for place in affected):
        return None
    chosen = affected | needed_places(edit, affected, ())
    parts = None if is_much(edit, chosen) else parts_of(edit, chosen, loaded.sources)
    if parts is None or loaded.config is None:
        return None
    config = loaded.config
    analysis, findings = analyse(tuple(parts[0]), name=config.name, timezone=config.timezone, inputs=Inputs())
    return None if findings else _joined(project, analysis.project, edit, affected)


def _row(edit: Edit, place: Place) -> Row:
    return edit.rows[place.path][place.number]


def _is_of_audiences(edit: Edit, kept: Kept) -> bool:
    """Whether the files that differ hold the same audiences as before, in the same order, and nothing else."""
    for path in edit.parsed:
        before, now = ([(row.kind, tuple(row.declares)) for row in rows[path]] for rows in (kept.rows, edit.rows))
        if before != now or any(kind != "audience" for kind, _ in now):
            return False
    return True


def _joined(project: Project, part: Project, edit: Edit, affected: Set[Place]) -> Project | None:
    """The project with the audiences and deliveries of the part that were affected, all at their places of now."""
    names = {name for place in affected for name in _row(edit, place).declares}
    found = {one.name for one in part.audiences} | {one.name for one in part.deliveries}
    if names - found - _names_of_tests(edit, affected):
        return None
    written = {
        one.name.text: one for statements in edit.parsed.values() for one in statements if isinstance(one, ast.Audience)
    }
    audiences = {one.name: one for one in part.audiences if one.name in names}
    deliveries = {one.name: one for one in part.deliveries if one.name in names}
    return replace(
        project,
        audiences=tuple(_audience(one, audiences, written) for one in project.audiences),
        deliveries=tuple(_delivery(one, deliveries) for one in project.deliveries),
    )


def _names_of_tests(edit: Edit, affected: Set[Place]) -> set[str]:
    return {name for place in affected if _row(edit, place).kind == "test" for name in _row(edit, place).declares}


def _audience(one: Audience, fresh: Mapping[str, Audience], written: Mapping[str, ast.Audience]) -> Audience:
    """`written`: those of the files that differ. Place and description are those of its own file: the comment that
    describes it stands before the statement, and so outside of what tells whether it was edited."""
    found, node = fresh.get(one.name, one), written.get(one.name)
    span, description = (one.span, one.description) if node is None else (node.name.span, node.description)
    is_same = found is one and span == one.span and description == one.description
    return one if is_same else replace(found, span=span, description=description)


def _delivery(one: Delivery, fresh: Mapping[str, Delivery]) -> Delivery:
    # Its own file is as it was: of what was analysed, only the text of the statement was a part.
    found = fresh.get(one.name)
    return one if found is None else replace(found, span=one.span, to_span=one.to_span, description=one.description)
