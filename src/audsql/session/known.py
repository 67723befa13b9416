"""What a project means, kept for the next plan of exactly these texts by exactly this code.

It lies in the user's own cache, never in the project: a folder that came from somebody else must not be able to say
what its specs mean. It is data, read back without running anything (specs/decisions/0020).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from audsql import user_cache
from audsql.config import CONFIG_NAME, Loaded, load_project
from audsql.diag import Diagnostic
from audsql.records import dataclass
from audsql.session.project import Opened, open_project
from audsql.session.variables import NO_VARIABLES, Variables

if TYPE_CHECKING:
    from audsql.meaning.lower import Analysis
    from audsql.meaning.project import Project

__all__ = ["open_meaning"]

_KIND = "meaning"
_OUTLINES = "outline"
_STATEMENTS_MIN = 50


@dataclass(frozen=True, slots=True)
class _Known:
    """In the place of an analysis, of which only the project is kept: it has nothing else to be asked for."""

    project: Project


def open_meaning(root: Path, env: str | None = None, variables: Variables = NO_VARIABLES) -> Opened:
    """As `open_project`, where only what the project means is asked for: `files`, tests and the scope of further
    expressions may be missing."""
    loaded = load_project(root, env)
    if loaded.config is None or loaded.diagnostics or variables.given or variables.diagnostics:
        return open_project(root, env, loaded, variables)
    key, folder_key = _key(root, loaded, loaded.texts.digest), _key(root, loaded, _settings_digest(loaded))
    known = _read(key)
    if known is None:
        known = _after_edit(loaded, folder_key)
    if known is not None:
        project, diagnostics, findings = known
        analysis = cast("Analysis", _Known(project))
        return Opened(root, loaded.config, loaded.sources, loaded.texts, analysis, diagnostics, findings)
    opened = open_project(root, env, loaded, variables)
    _keep(opened, key, folder_key)
    return opened


def _key(root: Path, loaded: Loaded, digest: str) -> str:
    assert loaded.config is not None
    return "\n".join((str(root.resolve()), user_cache.code_digest(), digest, str(loaded.config.environment)))


def _settings_digest(loaded: Loaded) -> str:
    settings = loaded.texts.get(CONFIG_NAME)
    return settings.digest if settings else ""


_Meaning = tuple["Project", tuple[Diagnostic, ...], tuple[Diagnostic, ...]]


def _read(key: str) -> _Meaning | None:
    from audsql.meaning.plain import from_plain

    kept = user_cache.read(_KIND, key)
    try:
        project, diagnostics, findings = from_plain(kept)
    except (LookupError, TypeError, ValueError):
        # There is none, or it was kept in another form.
        return None
    return project, diagnostics, findings


def _after_edit(loaded: Loaded, folder_key: str) -> _Meaning | None:
    """What the texts mean, where they are an edit of what was kept last."""
    outline = user_cache.read(_OUTLINES, folder_key)
    try:
        before = None if outline is None else _read(outline["of"])
        if before is None or before[1] or before[2]:
            return None
        from audsql.session.edited import after_edit

        project = after_edit(loaded, outline, before[0])
    except (LookupError, TypeError, ValueError):
        # It was kept in another form.
        return None
    return None if project is None else (project, (), ())


def _keep(opened: Opened, key: str, folder_key: str) -> None:
    from audsql.meaning.plain import to_plain
    from audsql.plan.meanings import holds_person
    from audsql.session.edited import outline_document

    # A used file lies outside of the texts that the key is made of; a small project is read in no time.
    if (
        opened.analysis is None
        or opened.looked_at
        or sum(len(file.statements) for file in opened.files) < _STATEMENTS_MIN
    ):
        return
    try:
        document = to_plain(opened.analysis.project, opened.diagnostics, opened.findings)
    except (RecursionError, TypeError):
        return
    if not holds_person(document):
        user_cache.write(_KIND, key, document)
        outline = outline_document(opened)
        if outline is not None:
            user_cache.write(_OUTLINES, folder_key, {"of": key, **outline})
