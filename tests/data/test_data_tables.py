"""Tables: form, ids and types; what is wrong is said with its lines, and nothing of a line ever leaves."""

from __future__ import annotations

import csv
import io
import os
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from data_helpers import AS_OF, codes, engine, project, read_upload, told, user_id
from hypothesis import given, settings
from hypothesis import strategies as st

from audsql.data.leftovers import remove_leftovers
from audsql.data.shape import physical_lines, shape_of
from audsql.diag import Diagnostic
from audsql.meaning.ir import Aggregate, Atom, ColumnCompare, Last, Linked, Rows, TableSource, Uploaded, UploadSource

A, B, C = (user_id(number) for number in (10, 11, 12))
SECRET = "ひみつ"


def evaluate(
    root: Path,
    data: bytes,
    *atoms: Atom,
    file: str = "t.csv",
    ids: Any = (("user_id", "uid"),),
    time: str | None = None,
    timezone: str = "Asia/Tokyo",
) -> tuple[list[list[str] | None], tuple[Diagnostic, ...], Any]:
    (root / file).write_bytes(data)
    used = engine(root, project(tables=(TableSource("t", file, ids, time),), timezone=timezone))
    found, problems = used.materialise(atoms or (Rows("t"),), AS_OF)
    people = [found.people.get(atom.key) for atom in atoms or (Rows("t"),)]
    return [None if one is None else list(used.members(one)) for one in people], problems, found.sources.get("t")


HEAD = "uid,amount,note\n"

HOSTILE: dict[str, tuple[bytes, str, tuple[str, ...] | int | None]] = {
    "empty": (b"", "AUD1030", None),
    "empty first line": (b"\nx,y\n", "AUD1030", None),
    "name twice": (f"uid,amount,amount\n{A},1,2\n".encode(), "AUD1033", None),
    "no such column": (f"user_id,amount\n{A},1\n".encode(), "AUD1039", None),
    "unterminated quote": (f'{HEAD}{A},1,x\n{B},2,"{SECRET}\n{C},3,y\n'.encode(), "AUD1035", 3),
    "quote in a cell": (f'{HEAD}{A},1,{SECRET}"x\n{B},2,"y\n'.encode(), "AUD1036", 2),
    "text after a quote": (f'{HEAD}{A},1,x\n{B},2,"{SECRET}" y\n'.encode(), "AUD1036", 3),
    "extra column": (f"{HEAD}{A},1,x\n{B},2,{SECRET},z\n".encode(), "AUD1037", ("3",)),
    "short row": (f"{HEAD}{A},1,x\n{B},2\n".encode(), "AUD1037", ("3",)),
    "short last row": (f"{HEAD}{A},1,x\n{B}".encode(), "AUD1037", ("3",)),
    "extra column after a folded cell": (f'{HEAD}{A},1,"x\ny"\n{B},2,{SECRET},z\n'.encode(), "AUD1037", ("4",)),
    "empty lines": (f"{HEAD}{A},1,x\n\n{B},2,y\n\n".encode(), "AUD1032", ("3", "5")),
    "NUL": (f"{HEAD}{A},1,x\0{SECRET}\n".encode(), "AUD1010", ("2",)),
    "bare CR": (f"{HEAD}{A},1,x\r{B},2,y\n".encode(), "AUD1011", ("2",)),
    "bad id": (f"{HEAD}{A},1,x\nU{SECRET},2,y\n".encode(), "AUD1019", ("3",)),
    "bad id after a folded cell": (f'{HEAD}{A},1,"x\n\ny"\n{SECRET},2,y\n'.encode(), "AUD1019", ("5",)),
    "folded id": (f'{HEAD}"{A}\n",1,x\n'.encode(), "AUD1017", ("2",)),
    "blank in an id": (f"{HEAD}{A},1,x\n {B},2,y\n".encode(), "AUD1017", ("3",)),
    "id in capitals": (f"{HEAD}U{'AB' * 16},1,x\n".encode(), "AUD1018", ("2",)),
    "UTF-16": (f"{HEAD}{A},1,x\n".encode("utf-16"), "AUD1006", None),
    "cut off": (f"{HEAD}{A},1,{SECRET}".encode()[:-1], "AUD1009", 2),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.threat("T47")
def test_hostile(name: str, tmp_path: Path) -> None:
    data, code, lines = HOSTILE[name]
    (members,), problems, _ = evaluate(tmp_path, data)
    assert codes(problems) == [code]
    assert members is None
    if lines is not None:
        assert told(problems[0])["line" if isinstance(lines, int) else "lines"] == lines
    assert not any(part in repr(problems) for part in (A, B, C, SECRET))
    assert not list((tmp_path / ".audsql").rglob("rows"))


def test_good_forms(tmp_path: Path) -> None:
    text = f'uid,amount,note\n{A},1,"a, ""quoted"" cell\nof two lines"\n"{B}",2,\n,3,nobody\n{A},4,お客様\n'
    for encoding, said in (("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp932", "cp932")):
        for ending in ("\n", "\r\n"):
            data = text.replace("\n", ending).encode(encoding)
            (members,), problems, facts = evaluate(tmp_path, data)
            assert (members, problems) == ([A, B], ())
            assert (facts.rows, facts.people, facts.blank_ids, facts.encoding) == (4, 2, 1, said)


def test_tab_separated(tmp_path: Path) -> None:
    (members,), problems, _ = evaluate(tmp_path, f"uid\tnote\n{A}\tx,y\n".encode(), file="t.tsv")
    assert (members, problems) == ([A], ())


def test_missing_column_suggests(tmp_path: Path) -> None:
    _, problems, _ = evaluate(tmp_path, f"UID ,amount\n{A},1\n".encode())
    assert told(problems[0]) == {"file": "t.csv", "column": "uid", "near": "UID ", "columns": ("UID ", "amount")}
    atom = Rows("t", (ColumnCompare("amuont", "=", "1"),))
    _, problems, _ = evaluate(tmp_path, f"uid,amount\n{A},1\n".encode(), atom)
    assert (codes(problems), told(problems[0])["near"]) == (["AUD1039"], "amount")


def test_header_only_warns(tmp_path: Path) -> None:
    (members,), problems, facts = evaluate(tmp_path, HEAD.encode())
    assert (members, codes(problems), facts.rows) == ([], ["AUD1005"], 0)


def test_types_that_do_not_fit(tmp_path: Path) -> None:
    rows = f"uid,amount,at,ok\n{A},1,2026-11-01,true\n{B},x{SECRET},11/01/2026,yes\n{C},,,\n{C},1e5,2026-02-30,\n"
    number = Rows("t", (ColumnCompare("amount", ">", Decimal(0)),))
    truth = Rows("t", (ColumnCompare("ok", "=", True),))
    recent = Rows("t", (Last(90, "day"),))
    _, problems, _ = evaluate(tmp_path, rows.encode(), number, truth, recent, time="at")
    assert [(problem.code, told(problem)["count"], told(problem)["lines"]) for problem in problems] == [
        ("AUD1040", 2, ("3", "5")),
        ("AUD1041", 2, ("3", "5")),
        ("AUD1042", 1, ("3",)),
    ]
    assert SECRET not in repr(problems)
    # Read as texts, the same cells are fine.
    members, problems, _ = evaluate(tmp_path, rows.encode(), Rows("t", (ColumnCompare("amount", "!=", "1"),)))
    assert (members, problems) == ([[B, C]], ())


def test_numbers_are_exact(tmp_path: Path) -> None:
    data = f"uid,amount\n{A},0.1\n{A},0.2\n{B},0.3\n{C},99999999999999999.999999999\n".encode()
    three = Decimal("0.3")
    equal = Rows("t", (), (Aggregate("sum", "amount", "=", three),))
    average = Rows("t", (), (Aggregate("avg", "amount", "=", Decimal("0.15")),))
    big = Rows("t", (ColumnCompare("amount", ">=", Decimal("99999999999999999.999999999")),))
    members, problems, _ = evaluate(tmp_path, data, equal, average, big)
    assert (members, problems) == ([[A, B], [A], [C]], ())
    for number in (
        Decimal(10) ** 18,
        Decimal("0.0000000001"),
        Decimal("NaN"),
        Decimal("123456789012345678.12345678901"),
    ):
        _, problems, _ = evaluate(tmp_path, data, Rows("t", (ColumnCompare("amount", "=", number),)))
        assert codes(problems) == ["AUD1045"]


def test_window_without_time_column(tmp_path: Path) -> None:
    _, problems, _ = evaluate(tmp_path, f"uid\n{A}\n".encode(), Rows("t", (Last(3, "day"),)))
    assert codes(problems) == ["AUD1044"]


def test_linked_is_by_user_id(tmp_path: Path) -> None:
    data = f"member,uid\nm1,{A}\nm2,\nm3,{B}\n".encode()
    ids = (("member_id", "member"), ("user_id", "uid"))
    members, problems, _ = evaluate(tmp_path, data, Linked("t"), Rows("t"), ids=ids)
    assert (members, problems) == ([[A, B], ["m1", "m2", "m3"]], ())
    _, problems, _ = evaluate(tmp_path, data, Linked("t"), ids=ids[:1])
    assert codes(problems) == ["AUD1051"]


@pytest.mark.threat("T40")
def test_spellings_of_one_person_are_one(tmp_path: Path) -> None:
    data = b"phone,amount\n090-1234-5678,1\n09012345678,1\n(090)12345678,1\n03-1234-5678,1\n"
    atom = Rows("t", (), (Aggregate("sum", "amount", "=", Decimal(3)),))
    members, problems, facts = evaluate(tmp_path, data, atom, ids=(("phone", "phone"),))
    assert (members, problems, facts.people) == ([["09012345678"]], (), 2)
    _, problems, _ = evaluate(tmp_path, data + b"+819012345678,1\n9012345678,1\n", ids=(("phone", "phone"),))
    assert [(problem.code, told(problem)["lines"]) for problem in problems] == [
        ("AUD1027", ("6",)),
        ("AUD1081", ("7",)),
    ]


def test_upload_by_column(tmp_path: Path) -> None:
    data = f"name,uid\nx,{A}\ny,\nz,{B}\nw,{A}\n".encode()
    members, problems, used = read_upload(tmp_path, data, file="list.csv", column="uid")
    assert (members, codes(problems)) == ([A, B], ["AUD1020", "AUD1043"])
    facts = used.materialise([Uploaded("people")], AS_OF)[0].sources["people"]
    assert (facts.rows, facts.people, facts.duplicates, facts.blank_ids) == (3, 2, 1, 1)
    _, problems, _ = read_upload(tmp_path, data + b"v,Ux\n", file="list.csv", column="uid")
    assert (codes(problems), told(problems[0])["lines"], told(problems[0])["column"]) == (["AUD1019"], ("6",), "uid")


@pytest.mark.threat("T55")
def test_names_of_columns_are_never_sql(tmp_path: Path) -> None:
    column = "a\"; DROP TABLE raw; --'"
    header = io.StringIO()
    csv.writer(header).writerow(["uid", column])
    data = f"{header.getvalue()}{A},x' OR true --\n{B},y\n".encode()
    atom = Rows("t", (ColumnCompare(column, "=", "x' OR true --"),))
    members, problems, _ = evaluate(tmp_path, data, atom)
    assert (members, problems) == ([[A]], ())


@pytest.mark.threat("T65")
def test_database_messages_stay_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    from audsql.data import tables

    def fail(*_: object) -> None:
        raise duckdb.InvalidInputException(f"Original Line: {A},{SECRET}")

    monkeypatch.setattr(tables, "load", fail)
    _, problems, _ = evaluate(tmp_path, f'uid\n"{A}"\n'.encode())
    assert (codes(problems), told(problems[0])) == (["AUD1046"], {"file": "t.csv", "reason": "InvalidInputException"})


@pytest.mark.threat("T47")
def test_counts_that_differ_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audsql.data import tables

    load = tables.load

    def lose(connection: Any, *rest: Any) -> tuple[Diagnostic, ...]:
        problems = load(connection, *rest)
        connection.execute("DELETE FROM raw WHERE rowid = 1")
        return problems

    monkeypatch.setattr(tables, "load", lose)
    _, problems, _ = evaluate(tmp_path, f'uid\n"{A}"\n{B}\n{C}\n'.encode())
    assert (codes(problems), told(problems[0])) == (["AUD1038"], {"file": "t.csv", "counted": 3, "read": 2})


@pytest.mark.threat("T54", "T55")
def test_the_database_reaches_nothing_else(tmp_path: Path) -> None:
    import duckdb

    from audsql.data.tables import connect

    (tmp_path / "scratch").mkdir()
    (tmp_path / "secret.csv").write_text("x\n")
    connection = connect(tmp_path / "scratch")
    for sql in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"SELECT * FROM read_csv('{tmp_path}/scratch/../secret.csv')",
        f"ATTACH '{tmp_path}/other.db'",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(sql)


# --- the independent count against Python's csv module ------------------------------------------------

_cells = st.text(st.sampled_from(["a", "1", ",", '"', "\n", "é", "　", " ", "'"]), max_size=5)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(_cells, min_size=n, max_size=n), max_size=8)), st.data())
@settings(max_examples=200, deadline=None)
def test_shape_counts_like_csv(rows: list[list[str]], data: Any) -> None:
    columns = len(rows[0]) if rows else 2
    out = io.StringIO()
    writer = csv.writer(
        out, lineterminator="\n", quoting=data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    )
    starts, line = [], 2
    writer.writerow([f"c{number}" for number in range(columns)])
    for row in rows:
        starts.append(line)
        before = out.tell()
        writer.writerow(row)
        line += out.getvalue()[before:].count("\n")
    text = out.getvalue()
    shape, problems = shape_of(text.encode(), ",", "t.csv", None)
    assert problems == ()
    assert shape is not None
    assert shape.records == len(rows) == len(list(csv.reader(io.StringIO(text)))) - 1
    import numpy as np

    assert physical_lines(shape, np.arange(shape.records)).tolist() == starts


@given(st.binary(max_size=60).map(lambda noise: noise.replace(b"\r", b"").replace(b"\0", b"")))
@settings(max_examples=200, deadline=None)
def test_shape_never_fails(noise: bytes) -> None:
    text = noise.decode("utf-8", "ignore").encode()
    shape, problems = shape_of(b"a,b\n" + text, ",", "t.csv", None)
    assert (shape is None) == bool(problems)


def test_blocks_join(monkeypatch: pytest.MonkeyPatch) -> None:
    from audsql.data import shape as module

    chance = random.Random(5)
    rows = [["".join(chance.choices('ab",\n', k=chance.randrange(6))) for _ in range(3)] for _ in range(200)]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["x", "y", "z"], *rows])
    whole = shape_of(out.getvalue().encode(), ",", "t.csv", None)
    assert whole[0] is not None
    for size in (1, 2, 7, 64):
        monkeypatch.setattr(module, "_BLOCK_BYTES", size)
        parts = shape_of(out.getvalue().encode(), ",", "t.csv", None)
        assert parts[0] is not None
        assert parts[0].records == whole[0].records == 200
        assert parts[0].folded.tolist() == whole[0].folded.tolist()


def test_big_table_keeps_its_order(tmp_path: Path) -> None:
    """Lines of bad cells are right even where the engine reads in parallel."""
    lines = [f"{user_id(number)},{number}\n" for number in range(300_000)]
    bad = [7, 150_001, 299_999]
    for place in bad:
        lines[place] = f"{user_id(place)},x\n"
    atom = Rows("t", (ColumnCompare("amount", ">", Decimal(0)),))
    _, problems, _ = evaluate(tmp_path, ("uid,amount\n" + "".join(lines)).encode(), atom)
    assert told(problems[0])["lines"] == tuple(str(place + 2) for place in bad)


def test_many_leaves_take_several_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audsql.data import tables

    monkeypatch.setattr(tables, "_LEAVES_PER_QUERY", 2)
    data = "uid,n\n" + "".join(f'{user_id(number)},"{number % 7}"\n' for number in range(500))
    atoms = [Rows("t", (ColumnCompare("n", "=", str(digit)),)) for digit in range(7)]
    members, problems, _ = evaluate(tmp_path, data.encode(), *atoms)
    assert problems == ()
    assert members == [[user_id(number) for number in range(digit, 500, 7)] for digit in range(7)]


def test_killed_runs_leave_no_copies(tmp_path: Path) -> None:
    left = tmp_path / ".audsql/cache/tmp/old"
    left.mkdir(parents=True)
    (left / "rows").write_text(A)
    os.utime(left, (0, 0))
    remove_leftovers(tmp_path / ".audsql/cache")
    assert list(left.parent.iterdir()) == []


def test_upload_with_column_accepts_quotes(tmp_path: Path) -> None:
    source = UploadSource("people", "list.csv", "email", column="mail")
    (tmp_path / "list.csv").write_bytes(b'mail\n"A@x.jp"\n"b@x.jp"\n')
    used = engine(tmp_path, project((source,)))
    found, problems = used.materialise([Uploaded("people")], AS_OF)
    assert (list(used.members(found.people["uploaded(people)"])), problems) == (["a@x.jp", "b@x.jp"], ())
