"""Small projects over files that the tests write."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from audsql.data.duckdb import DuckEngine, open_engine
from audsql.diag import Diagnostic
from audsql.meaning.ir import Account, IdKind, Project, TableSource, Uploaded, UploadSource

AS_OF = datetime.fromisoformat("2026-11-21T00:00:00+09:00")


def user_id(number: int) -> str:
    return f"U{number:032x}"


def project(
    uploads: tuple[UploadSource, ...] = (),
    tables: tuple[TableSource, ...] = (),
    timezone: str = "Asia/Tokyo",
    region: str = "jp",
) -> Project:
    return Project("shop", timezone, (Account("shop", "TOKEN", region=region),), uploads, tables)


def engine(root: Path, of: Project, key: bytes | None = None) -> DuckEngine:
    return open_engine(of, root, root / ".audsql" / "cache", key)


def read_upload(
    root: Path, data: bytes, kind: IdKind = "user_id", file: str = "list.txt", region: str = "jp", **declared: Any
) -> tuple[Any, tuple[Diagnostic, ...], DuckEngine]:
    """(members in order or None, diagnostics, engine) of one upload."""
    (root / file).write_bytes(data)
    source = UploadSource("people", file, kind, **declared)
    used = engine(root, project((source,), region=region))
    atom = Uploaded("people")
    found, problems = used.materialise([atom], AS_OF)
    people = found.people.get(atom.key)
    return (None if people is None else list(used.members(people))), problems, used


def codes(problems: tuple[Diagnostic, ...]) -> list[str]:
    return [problem.code for problem in problems]


def told(problem: Diagnostic) -> dict[str, Any]:
    return dict(problem.facts)
