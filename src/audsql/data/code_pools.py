"""Single-use codes as a file holds them. Whose each is says the ledger (`audsql.apply.codes`).

A code is read as a member ID is: a text without blanks at its ends, quotes or separators. Rules: specs/data.md, rows.*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime

from audsql.data import cache as store
from audsql.data.alike import source_digest, write_failure
from audsql.data.content import Content
from audsql.data.declared import Declared, declared_source, region_of
from audsql.data.leaves import ANYBODY
from audsql.data.lists import read_list
from audsql.data.queried import source_content
from audsql.data.rowwise import Rowwise
from audsql.data.tables import evaluate_table, read_table
from audsql.diag import Diagnostic, warning
from audsql.meaning.ir import CodePool, UploadSource
from audsql.records import dataclass

__all__ = ["Codes", "read_codes"]


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of a pool, each once, in ascending order. `digest`: of the file and the rules that read it."""

    name: str
    digest: str
    texts: tuple[str, ...] = field(repr=False)


def read_codes(place: Rowwise, pool: CodePool, as_of: datetime) -> tuple[Codes | None, tuple[Diagnostic, ...]]:
    """The codes of a pool. Codes of diagnostics: as of an upload of member IDs; a code that stands twice is one code,
    with a warning (AUD1020)."""
    source = UploadSource(pool.name, pool.file, "member_id", pool.column, span=pool.span, folder=pool.folder,
                          allow_empty=True)  # fmt: skip
    declared = declared_source(replace(place.project, uploads=(source,), tables=()), pool.name)
    try:
        content = source_content(place.root, declared, pool.span, place.queries, place.cache, as_of)
        if isinstance(content, Diagnostic):
            return None, (content,)
        texts, problems = _texts(place, declared, source, content)
    except OSError as failure:
        return None, (write_failure(failure),)
    if texts is None:
        return None, problems
    once = tuple(sorted({*texts}))
    repeated = len(texts) - len(once)
    if repeated:
        problems = (*problems, warning("AUD1020", pool.span, file=pool.file, count=repeated, lines=()))
    return Codes(pool.name, source_digest(content, declared), once), problems


def _texts(
    place: Rowwise, declared: Declared, source: UploadSource, content: Content
) -> tuple[Sequence[str] | None, tuple[Diagnostic, ...]]:
    form = declared.form
    if form is None:
        read = read_list(content, source, region_of(place.project, ""))
        return (None if read.ids is None else read.ids.texts), read.diagnostics
    table = read_table(content, form)
    if table.shape is None:
        return None, table.diagnostics
    with store.scratch_folder(place.cache) as scratch:
        found = evaluate_table(table.shape, form, form.ids[0], [ANYBODY], scratch, place.memory_bytes)
    notes = (*table.diagnostics, *found.diagnostics)
    return (None if found.ids is None else found.ids.texts), notes
