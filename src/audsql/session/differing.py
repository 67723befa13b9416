"""The comparison of a project with an earlier state of it, as a document. Nothing here touches the network."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audsql.diag import Diagnostic, error, has_errors
from audsql.meaning import ir
from audsql.meaning.compare import Change, Comparison, compare
from audsql.meaning.words import atoms_in_words
from audsql.records import dataclass
from audsql.session.formulas import Known, formula, formula_text, known
from audsql.session.project import Opened, open_project
from audsql.session.revision import write_revision
from audsql.session.variables import NO_VARIABLES, Variables
from audsql.source import SourceMap

__all__ = ["DiffOutcome", "diff"]

Document = dict[str, Any]
_MOVABLE = ("upload", "table", "codes", "coupon", "message", "audience", "split", "delivery", "flow")
_CHANGED = ("narrower", "wider", "overlapping", "disjoint", "undecided", "metadata-only")


@dataclass(frozen=True, slots=True)
class DiffOutcome:
    """`document` None where one of the two states has errors. `texts`: what the diagnostics point into."""

    document: Document | None
    diagnostics: tuple[Diagnostic, ...]
    texts: SourceMap


def diff(
    opened: Opened,
    base: str | None,
    *,
    variables: Variables = NO_VARIABLES,
    counts: bool = False,
    as_of: datetime | None = None,
) -> DiffOutcome:
    """The project against another folder, or against itself at a Git revision (None: HEAD)."""
    problems = (*opened.diagnostics, *opened.findings)
    if has_errors(problems) or opened.analysis is None:
        return DiffOutcome(None, problems, opened.texts)
    named = base or "HEAD"
    with tempfile.TemporaryDirectory(prefix="audsql-diff-") as folder:
        if base is not None and Path(base).is_dir():
            former, commit = Path(base), None
        else:
            revision, refused = write_revision(opened.root, named, Path(folder))
            if revision is None:
                return DiffOutcome(None, refused, opened.texts)
            former, commit = revision.root, revision.commit
        environment = opened.config.environment if opened.config else None
        before = open_project(former, environment, variables=variables)
        problems = tuple(one for one in (*before.diagnostics, *before.findings) if one.severity == "error")
        if problems or before.analysis is None:
            told = error("AUD0068", None, base=named, count=len(problems))
            return DiffOutcome(None, (told, *problems), before.texts)
    comparison = compare(before.analysis.project, opened.analysis.project)
    context = _known(before.analysis.project, opened.analysis.project)
    sizes, found = _sizes(opened, comparison, as_of) if counts else ({}, ())
    if has_errors(found):
        return DiffOutcome(None, found, opened.texts)
    document = _document(opened, comparison, context, sizes, {"name": named, "commit": commit})
    return DiffOutcome(document, found, opened.texts)


def _known(before: ir.Project, after: ir.Project) -> Known:
    """What the words of both states need; where they differ, as it is now."""
    old, new = known(before), known(after)
    return Known(new.zone, {**old.verbs, **new.verbs}, {**old.arms, **new.arms}, {**old.splits, **new.splits})


# --- the document -------------------------------------------------------------------------------------


def _document(
    opened: Opened, comparison: Comparison, context: Known, sizes: Mapping[str, Document], base: Document
) -> Document:
    assert opened.analysis is not None and opened.config is not None
    declared = {(moved.kind, moved.old) for moved in opened.analysis.project.moved}
    changes = [_change(change, context, sizes) for change in comparison.changes]
    classes = [change.classification for change in comparison.changes]
    return {
        "kind": "audsql.diff",
        "format_version": "1.0",
        "project": opened.config.name,
        "base": base,
        "changes": changes,
        "moved": [
            {"kind": change.kind, "old": change.old_name, "new": change.name}
            for change in comparison.changes
            if change.old_name and change.kind in _MOVABLE and (change.kind, change.old_name) not in declared
        ],
        "rewritten": list(comparison.rewritten),
        "summary": {
            "added": classes.count("added"),
            "changed": sum(one in _CHANGED for one in classes),
            "removed": classes.count("removed"),
            "renamed": classes.count("renamed"),
            "rewritten": len(comparison.rewritten),
            "unchanged": comparison.unchanged,
        },
    }


def _change(change: Change, context: Known, sizes: Mapping[str, Document]) -> Document:
    atoms = {
        atom.key: atom
        for expression in (change.before, change.after)
        if expression is not None
        for atom in ir.atoms_of(expression)
    }
    return {
        "address": change.address,
        "kind": change.kind,
        "name": change.name,
        "old_name": change.old_name,
        "classification": change.classification,
        "before": None if change.before is None else formula_text(change.before, context),
        "after": None if change.after is None else formula_text(change.after, context),
        "added": _region(change.added, change.entering, atoms, context, sizes),
        "removed": _region(change.removed, change.leaving, atoms, context, sizes),
        "staying": _person(change.staying, atoms, context),
        "text_changed": change.text_changed,
        "fields": list(change.fields),
        "because": list(change.because),
    }


def _region(
    expression: ir.Expression | None,
    person: frozenset[str] | None,
    atoms: Mapping[str, ir.Atom],
    context: Known,
    sizes: Mapping[str, Document],
) -> Document | None:
    if expression is None:
        return None
    if person is not None:
        atoms = {atom.key: atom for atom in ir.atoms_of(expression)}
    told = _person(person, atoms, context)
    return {"formula": formula_text(expression, context), "person": told, "people": sizes.get(expression.key)}


def _person(person: frozenset[str] | None, atoms: Mapping[str, ir.Atom], context: Known) -> Document | None:
    """One possible person: the atoms that they are in, and those that they are not in."""
    if person is None:
        return None
    inside = [atoms[key] for key in sorted(atoms) if key in person]
    outside = [atoms[key] for key in sorted(atoms) if key not in person]
    words = atoms_in_words((*inside, *outside), context.verbs)
    who = ir.land(*(ir.leaf(atom) for atom in inside), *(ir.lnot(ir.leaf(atom)) for atom in outside))
    return {
        "in": words[: len(inside)],
        "not_in": words[len(inside) :],
        "formula": formula(who, context),
    }


# --- sizes --------------------------------------------------------------------------------------------


def _sizes(
    opened: Opened, comparison: Comparison, as_of: datetime | None
) -> tuple[dict[str, Document], tuple[Diagnostic, ...]]:
    """How many people each region has over own data, by the key of its formula: exact, or bounds where LINE
    holds a part. Nothing of a region whose list or table is gone."""
    from audsql.session.sets import engine_of

    bounded = dict(_bounded(opened, comparison))
    own = {atom.key: atom for low, high in bounded.values() for one in (low, high or low) for atom in ir.atoms_of(one)}
    if not bounded:
        return {}, ()
    engine = engine_of(opened)
    materialised, diagnostics = engine.materialise(tuple(own.values()), as_of or datetime.now(UTC))
    if has_errors(diagnostics):
        return {}, diagnostics
    sizes: dict[str, Document] = {}
    for key, (low, high) in bounded.items():
        least = engine.count(engine.evaluate(low, materialised.people))
        most = None if high is None else engine.count(engine.evaluate(high, materialised.people))
        exact = least == most
        sizes[key] = {"count": least if exact else None, "exact": exact, "low": least, "high": most}
    return sizes, diagnostics


def _bounded(
    opened: Opened, comparison: Comparison
) -> Iterator[tuple[str, tuple[ir.Expression, ir.Expression | None]]]:
    from audsql.compile.bounds import TooMany, bounds
    from audsql.meaning.lineage import sources_in

    assert opened.analysis is not None
    project = opened.analysis.project
    known = {row.name for row in project.uploads} | {row.name for row in project.tables}
    for region in _regions(comparison.changes):
        if not known.issuperset(sources_in(region)):
            continue
        try:
            yield region.key, bounds(region)
        except TooMany:
            continue


def _regions(changes: Sequence[Change]) -> Iterator[ir.Expression]:
    for change in changes:
        yield from (region for region in (change.added, change.removed) if region is not None)
