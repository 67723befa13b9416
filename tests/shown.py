"""Broken specs as cases: each a file or a folder beside what a person reads of it in English and in Japanese.

`NAME.aud` (or the folder `NAME`, for a project of several files) is the spec; `NAME.txt` holds the source and both
renderings one after the other, so that it reads as a user meets it. `AUDSQL_REWRITE=1` writes the snapshots anew.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from audsql import session
from audsql.view.diagnostics import to_document
from audsql.view.human import human
from audsql.view.terminal import Style

__all__ = ["cases_of", "errors_shown"]

LANGUAGES = ("en", "ja")
SETTINGS = '[project]\nname = "broken"\ntimezone = "Asia/Tokyo"\n'


def cases_of(folder: Path) -> list[Path]:
    """The cases of a folder, each a `.aud` file or a folder of them."""
    return sorted({*folder.glob("*.aud"), *(path.parent for path in folder.glob("*/*.aud"))})


def errors_shown(case: Path, folder: Path) -> list[dict[str, Any]]:
    """The errors of the case, made a project in `folder`, as the document has them in English.

    What is shown of it must be what `NAME.txt` holds.
    """
    if case.is_dir():
        shutil.copytree(case, folder, dirs_exist_ok=True)
    else:
        shutil.copy(case, folder / case.name)
    (folder / "audsql.toml").write_text(SETTINGS, encoding="utf-8")
    opened = session.open_project(folder)
    found = session.check(opened)
    documents = {language: to_document(found, opened.texts, language) for language in LANGUAGES}
    shown = [f"=== {one}\n{human(documents[one], Style(language=one))}" for one in LANGUAGES]
    text = "\n".join([_source(case), *shown])
    stored = case.with_name(f"{case.stem}.txt")
    if os.environ.get("AUDSQL_REWRITE"):
        stored.write_text(text, encoding="utf-8")
    assert text == stored.read_text(encoding="utf-8")
    return [item for item in documents["en"]["diagnostics"] if item["severity"] == "error"]


def _source(case: Path) -> str:
    if case.is_dir():
        files = sorted(case.rglob("*.aud"))
        return "\n".join(f"--- {one.relative_to(case).as_posix()}\n{one.read_text('utf-8')}" for one in files)
    content = case.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp932")
