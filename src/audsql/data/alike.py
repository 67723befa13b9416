"""What every engine does alike: the digest of a source, what is worth a warning, the key, the folder of the cache."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path

from audsql.data import cache as store
from audsql.data.content import Content
from audsql.data.declared import Declared
from audsql.data.engine import EngineFailure, SourceFacts
from audsql.diag import Diagnostic, error, warning

__all__ = ["keep_out_of_git", "project_secret", "reason_of", "source_digest", "table_notes", "write_failure"]

_KEY_BYTES_MIN = 16


def source_digest(content: Content, declared: Declared) -> str:
    """The digest over a file's bytes and the rules that read it."""
    return hashlib.sha256(f"{declared.rules}\n{content.digest}".encode()).hexdigest()


def table_notes(declared: Declared, facts: SourceFacts) -> tuple[SourceFacts, tuple[Diagnostic, ...]]:
    """What is worth a warning: no rows; in an upload, rows without an id and repeated ids."""
    form, upload = declared.form, declared.upload
    assert form is not None
    notes = []
    if facts.rows == 0 and not (upload and upload.allow_empty):
        notes.append(warning("AUD1005", form.span, file=form.file))
    if upload is not None:
        facts = replace(facts, rows=facts.rows - facts.blank_ids)
        facts = replace(facts, duplicates=facts.rows - facts.people)
        if facts.blank_ids:
            notes.append(warning("AUD1043", form.span, file=form.file, column=upload.column, count=facts.blank_ids))
        if facts.duplicates:
            notes.append(warning("AUD1020", form.span, file=form.file, count=facts.duplicates, lines=()))
    return facts, tuple(notes)


def project_secret(cache: Path, given: bytes | None) -> bytes:
    """The key of fingerprints: the one given, else the one that the cache keeps. Raises EngineFailure."""
    key = given
    if key is None:
        try:
            key = store.load_key(cache)
        except OSError as failure:
            raise EngineFailure(write_failure(failure)) from None
        except ValueError:
            raise EngineFailure(error("AUD1049", None, source="cache")) from None
    if len(key) < _KEY_BYTES_MIN:
        raise EngineFailure(error("AUD1049", None, source="environment"))
    return key


def keep_out_of_git(cache: Path) -> None:
    """The folder holds personal data: keep it out of Git whatever the project ignores. Raises OSError."""
    store.make_folder(cache)
    ignore = cache / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")


def write_failure(failure: OSError) -> Diagnostic:
    return error("AUD1047", None, reason=reason_of(failure))


def reason_of(failure: OSError) -> str:
    return os.strerror(failure.errno or errno.EIO)
