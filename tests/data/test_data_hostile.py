"""The corpus of hostile files: each gives the declared rows or the declared error, and no row is lost silently."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from data_helpers import AS_OF, codes, engine, project, told
from hostile.corpus import CASES, SECRET, A, B, C, Case
from hostile.naive import rows_of

from audsql.diag import Diagnostic, has_errors
from audsql.meaning.ir import Atom, ColumnCompare, Rows, TableSource, Uploaded, UploadSource


def test_the_corpus_is_large_and_its_names_are_distinct() -> None:
    assert len(CASES) >= 120
    assert len({case.name for case in CASES}) == len(CASES)


def read(case: Case, root: Path) -> tuple[list[str] | None, int, tuple[Diagnostic, ...]]:
    for name, data in case.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data())
    atom: Atom
    if case.listed:
        used = engine(root, project((UploadSource("s", case.file, case.kind),)))
        atom = Uploaded("s")
    else:
        used = engine(root, project(tables=(TableSource("s", case.file, ((case.kind, "uid"),)),)))
        atom = Rows("s", (ColumnCompare("amount", ">", Decimal(-1)),) if case.number else ())
    found, problems = used.materialise([atom], AS_OF)
    people = found.people.get(atom.key)
    rows = found.sources["s"].rows + found.sources["s"].blank_ids * case.listed if people is not None else 0
    return (None if people is None else list(used.members(people))), rows, problems


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.threat("T43", "T44", "T45", "T46", "T47", "T48", "T51")
def test_declared_rows_or_declared_error(case: Case, tmp_path: Path) -> None:
    members, rows, problems = read(case, tmp_path)
    assert not any(text in repr(problems) for text in (A, B, C, A[5:], SECRET))
    if case.code:
        assert [problem.code for problem in problems if problem.severity == "error"] == [case.code]
        assert members is None
        if case.lines is not None:
            facts = told(problems[0])
            shown = facts.get("lines") or facts.get("rows") or (str(facts.get("line")),)
            assert shown == case.lines
        return
    assert not has_errors(problems), codes(problems)
    assert (members, rows) == (sorted(case.people), case.rows)
    paths = sorted(tmp_path.glob(case.file))
    assert sum(rows_of(path, case.listed) for path in paths) == rows
