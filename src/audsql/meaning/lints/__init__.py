"""Lints: what is allowed, reads well, and is probably not meant. Each is a pure function of the project.

A lint gives warnings of one or a few codes (AUD0510 and up) with a place, what proves it, and where one is
possible a fix; a fix is safe only where no set changes its meaning. `check` tells none of them.

Rules: specs/language/11-lints.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from audsql.diag import Bag, Diagnostic
from audsql.meaning.lints.deliveries import expiring, limited, linkless, retargeting, slices
from audsql.meaning.lints.duplicates import aliases, duplicates, written_out
from audsql.meaning.lints.naming import confusable, language_words, quoting
from audsql.meaning.lints.redundant import redundant
from audsql.meaning.lints.subject import Subject, subject_of
from audsql.meaning.lints.unused import unused, unused_variables

__all__ = ["LINTS", "Lint", "Subject", "found_by", "subject_of"]

Lint = Callable[[Subject], Iterable[Diagnostic]]

LINTS: tuple[Lint, ...] = (
    redundant,
    duplicates,
    aliases,
    written_out,
    unused,
    unused_variables,
    retargeting,
    expiring,
    linkless,
    slices,
    limited,
    confusable,
    language_words,
    quoting,
)


def found_by(lints: Iterable[Lint], subject: Subject) -> tuple[Diagnostic, ...]:
    """What these lints find in the project's own files, in order of place; nothing is told of used files."""
    bag = Bag()
    for lint in lints:
        bag.extend(one for one in lint(subject) if one.span is None or one.span.path in subject.paths)
    return bag.sorted()
