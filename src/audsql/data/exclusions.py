"""An empty list is nobody; where it is excluded, that is most likely a broken export.

Rules: specs/data.md, empty.*; language: "an empty list that is excluded is an error unless `allow empty`".
"""

from __future__ import annotations

from collections.abc import Mapping

from audsql.data.engine import SourceFacts
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import Atom, Expression, Leaf, Mapped, Not, Project, TableSource, UploadSource, children
from audsql.meaning.lineage import read_from

__all__ = ["empty_exclusions", "excluded_atoms"]


def empty_exclusions(
    project: Project, expression: Expression, sources: Mapping[str, SourceFacts]
) -> tuple[Diagnostic, ...]:
    """AUD1050 for every source without rows that the expression excludes.

    `sources`: facts of the sources of the expression. An upload that says `allow empty` is fine.
    """
    declared: list[UploadSource | TableSource] = [*project.uploads, *project.tables]
    by_name = {source.name: source for source in declared}
    allowed = {upload.name for upload in project.uploads if upload.allow_empty}
    names = {read_from(atom) for atom in excluded_atoms(expression)} - allowed
    empty = sorted(name for name in names if name in sources and sources[name].rows == 0)
    return tuple(error("AUD1050", by_name[name].span, name=name, file=by_name[name].file) for name in empty)


def excluded_atoms(expression: Expression) -> tuple[Atom, ...]:
    """The own atoms that stand under an odd number of NOTs somewhere, sorted by key. A mapped set grows with what
    it is made of, so the NOTs inside it count on."""
    found: dict[str, Atom] = {}
    seen: set[tuple[str, bool]] = set()
    stack = [(expression, False)]
    while stack:
        node, negated = stack.pop()
        if (node.key, negated) in seen:
            continue
        seen.add((node.key, negated))
        if isinstance(node, Leaf) and negated and node.atom.world == "own":
            found[node.key] = node.atom
        if isinstance(node, Leaf) and isinstance(node.atom, Mapped):
            stack.append((node.atom.inner, negated))
        stack += [(child, negated != isinstance(node, Not)) for child in children(node)]
    return tuple(found[key] for key in sorted(found))
