"""Lints over a project, and repairs: every safe fix made, round by round, in memory first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path

from audsql.config import load_project
from audsql.diag import Bag, Diagnostic, has_errors
from audsql.meaning.expand import Inputs
from audsql.meaning.lints import LINTS, found_by, subject_of
from audsql.meaning.lower import Analysis, analyse
from audsql.records import dataclass
from audsql.session.project import Opened, check, check_texts, open_project
from audsql.session.variables import NO_VARIABLES, Variables
from audsql.source import Source, SourceMap
from audsql.syntax import ast
from audsql.syntax.parse import parse_file
from audsql.syntax.print import apply_fixes

__all__ = ["ROUNDS_MAX", "Linted", "Repaired", "lint", "lint_texts", "repair", "repair_texts"]

ROUNDS_MAX = 10
_LINTS = "AUD05"


@dataclass(frozen=True, slots=True)
class Linted:
    """`sound`: the specs have no errors; else `diagnostics` are those of `check`."""

    sound: bool
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Repaired:
    """`texts`: what changed, by path relative to the project. `fixes`: how many were made in each."""

    texts: Mapping[str, str] = field(default_factory=dict)
    fixes: Mapping[str, int] = field(default_factory=dict)


def lint(opened: Opened) -> Linted:
    """Everything in the project's own files that is probably not meant, with the severities that
    `audsql.toml` asks for."""
    problems = check(opened)
    if opened.analysis is None or opened.config is None or has_errors(problems):
        return Linted(False, problems)
    found = _found(problems, opened.analysis, opened.files)
    raised = opened.config.lints_as_errors
    told = (one for one in found if one.code not in opened.config.lints_ignored)
    return Linted(True, tuple(replace(one, severity="error") if one.code in raised else one for one in told))


def lint_texts(texts: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """The lints of texts by path as one project; its errors where it has some."""
    problems = check_texts(texts)
    if has_errors(problems):
        return problems
    own = sorted(path for path in texts if path.endswith(".aud") and not path.startswith("../"))
    files = tuple(parse_file(Source(path, texts[path]))[0] for path in own)
    analysis, _ = analyse(files, name="spec", timezone="Asia/Tokyo", inputs=Inputs())
    return _found(problems, analysis, files)


def _found(problems: Iterable[Diagnostic], analysis: Analysis, files: tuple[ast.File, ...]) -> tuple[Diagnostic, ...]:
    bag = Bag()
    bag.extend(one for one in problems if one.code.startswith(_LINTS))
    bag.extend(found_by(LINTS, subject_of(analysis, files)))
    return bag.sorted()


# --- repairs ----------------------------------------------------------------------------------------


def repair(
    root: Path,
    env: str | None = None,
    variables: Variables = NO_VARIABLES,
    find: Callable[[Opened], Iterable[Diagnostic]] = check,
) -> Repaired:
    """Make the safe fixes of what `find` finds, again as long as one uncovers the next, ROUNDS_MAX times at most.

    Nothing is written. Files outside the project are left alone. A round after which there are more errors
    than before is not made.
    """
    first = loaded = load_project(root, env)
    opened = open_project(root, env, loaded, variables)
    counts: dict[str, int] = {}
    for _ in range(ROUNDS_MAX):
        sources, made = _round(loaded.sources, find(opened))
        if not made:
            break
        config = [source for source in loaded.texts if loaded.sources.get(source.path) is None]
        next_loaded = replace(loaded, sources=sources, texts=SourceMap.of([*sources, *config]))
        next_opened = open_project(root, env, next_loaded, variables)
        if _errors(next_opened) > _errors(opened):
            break
        loaded, opened = next_loaded, next_opened
        for path, count in made.items():
            counts[path] = counts.get(path, 0) + count
    texts = {source.path: source.text for source in loaded.sources if first.sources.get(source.path) != source}
    return Repaired(texts, {path: counts[path] for path in sorted(texts)})


def repair_texts(texts: Mapping[str, str]) -> dict[str, str]:
    """The same of texts by path as one project, with the fixes of its lints."""
    done = dict(texts)
    for _ in range(ROUNDS_MAX):
        sources = SourceMap.of(Source(path, text) for path, text in done.items() if path.endswith(".aud"))
        repaired, made = _round(sources, lint_texts(done))
        if not made:
            break
        done.update({source.path: source.text for source in repaired})
    return done


def _round(sources: SourceMap, found: Iterable[Diagnostic]) -> tuple[SourceMap, Mapping[str, int]]:
    """The texts with every safe fix that lies in one of them made, and how many there were in each."""
    by_path: dict[str, list[Diagnostic]] = {}
    for one in found:
        paths = {edit.span.path for fix in one.fixes if fix.safe for edit in fix.edits}
        if len(paths) == 1:
            by_path.setdefault(paths.pop(), []).append(one)
    done: list[Source] = []
    made: dict[str, int] = {}
    for source in sources:
        fixes = [fix for one in by_path.get(source.path, ()) for fix in one.fixes[:1] if fix.safe]
        text = apply_fixes(source.text, fixes)
        if text != source.text:
            made[source.path] = len(fixes)
        done.append(Source(source.path, text) if text != source.text else source)
    return SourceMap.of(done), made


def _errors(opened: Opened) -> int:
    return sum(one.severity == "error" for one in (*opened.diagnostics, *opened.findings))
