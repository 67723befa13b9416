"""Rows of tables by person: whose they are, what their cells mean, in which order, and what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.data.data_helpers import AS_OF, codes, engine, project, told, user_id

from audsql.data.engine import RowColumn, TableRow
from audsql.meaning.ir import TableSource

TOKYO = ZoneInfo("Asia/Tokyo")
A, B, C = (user_id(number) for number in (1, 2, 0xABC << 100))
COLUMNS = (RowColumn("name"), RowColumn("points", "number"), RowColumn("day", "date"), RowColumn("loyal", "truth"))
HEADER = "user_id,bought_at,name,points,day,loyal"


def _orders(**declared: Any) -> TableSource:
    return TableSource("orders", "orders.csv", (("user_id", "user_id"),), time_column="bought_at", **declared)


def _read(root: Path, *lines: str, columns: Any = COLUMNS, tables: Any = None, **asked: Any) -> Any:
    (root / "orders.csv").write_text("\n".join((HEADER, *lines)) + "\n", "utf-8")
    found, problems = engine(root, project(tables=tables or (_orders(),))).rows("orders", columns, AS_OF, **asked)
    return found, problems


def test_cells_are_typed_and_empty_ones_have_no_value(tmp_path: Path) -> None:
    found, problems = _read(
        tmp_path,
        f"{B},2026-11-01T10:00:00Z,Cafe\u0301,12.50,2026-12-24,TRUE",
        f"{A},2026-11-02 09:30,,,,",
    )
    assert problems == ()
    assert list(found) == [
        TableRow(A, datetime(2026, 11, 2, 9, 30, tzinfo=TOKYO), (None, None, None, None)),
        TableRow(
            B,
            datetime(2026, 11, 1, 19, tzinfo=TOKYO),
            ("Caf\u00e9", Decimal("12.5"), datetime(2026, 12, 24, tzinfo=TOKYO), True),
        ),
    ]
    assert {row.time.tzinfo for row in found} == {TOKYO}
    assert found.sources["orders"].people == 2
    assert found.timed
    found.close()


def test_order_is_by_person_time_and_values_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    lines = [
        f"{B},2026-11-03,b,1,,", f"{C},2026-11-01,c,1,,", f"{A},2026-11-02,z,1,,", f"{A},2026-11-02,a,1,,",
        f"{A},,late,1,,", f"{A},2026-11-01,a,1,,",
    ]  # fmt: skip
    one = [(row.person, row.values[0]) for row in _read(tmp_path, *lines)[0]]
    other = [(row.person, row.values[0]) for row in _read(tmp_path, *reversed(lines))[0]]
    assert one == other == [(A, "late"), (A, "a"), (A, "a"), (A, "z"), (B, "b"), (C, "c")]


def test_rows_of_some_people_come_in_the_order_asked_for(tmp_path: Path) -> None:
    found, _ = _read(tmp_path, f"{B},2026-11-03,b,1,,", f"{C},,c,1,,", f"{A},2026-11-02,z,1,,", f"{A},2026-11-01,y,1,,")
    asked = found.of([C, user_id(9), A, C, user_id(8)])
    assert [[row.values[0] for row in rows] for rows in asked] == [["c"], [], ["y", "z"], ["c"], []]
    assert [row.person for rows in found.of([B]) for row in rows] == [B], "asked again, as something else"
    assert not list(found.of([]))


def test_rows_after_as_of_and_rows_of_nobody_are_left_out(tmp_path: Path) -> None:
    found, _ = _read(tmp_path, f"{A},2026-11-21T00:00:00+09:00,now,1,,", f"{B},2026-11-21T00:00:01+09:00,later,1,,",
                     ",2026-11-01,nobody,1,,")  # fmt: skip
    assert [row.values[0] for row in found] == ["now"]
    assert found.sources["orders"].blank_ids == 1


def test_all_columns_as_text(tmp_path: Path) -> None:
    found, _ = _read(tmp_path, f"{A},2026-11-01,x,007,,yes", columns=None)
    assert [one.name for one in found.columns] == HEADER.split(",")
    assert [row.values for row in found] == [(A, "2026-11-01", "x", "007", None, "yes")]


def test_a_cell_that_is_not_what_its_column_says_is_told_with_its_line(tmp_path: Path) -> None:
    found, problems = _read(tmp_path, f"{A},2026-11-01,x,1,,", f"{B},2026-11-01,x,many,,", f"{B},soon,x,1,,")
    assert found is None
    assert codes(problems) == ["AUD1040", "AUD1041"]
    assert told(problems[0])["lines"] == ("3",)


def test_a_column_that_is_not_there_and_ids_that_are_none_are_told(tmp_path: Path) -> None:
    found, problems = _read(tmp_path, columns=(RowColumn("nmae"),))
    assert (found, codes(problems)) == (None, ["AUD1039"])
    found, problems = _read(tmp_path, "U123,2026-11-01,x,1,,")
    assert (found, codes(problems)) == (None, ["AUD1019"])


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    found, problems = _read(tmp_path)
    assert (list(found), codes(problems)) == ([], ["AUD1005"])
    assert list(found.of([A])) == [[]]


def test_a_file_that_is_not_what_was_pinned_gives_nothing(tmp_path: Path) -> None:
    found, _ = _read(tmp_path, f"{A},2026-11-01,x,1,,")
    digest = found.sources["orders"].digest
    assert list(_read(tmp_path, f"{A},2026-11-01,x,1,,", pinned={"orders": digest})[0]) == list(found)
    assert _read(tmp_path, f"{A},2026-11-01,y,1,,", pinned={"orders": digest}) == (None, ())


MEMBERS = TableSource("members", "members.csv", (("user_id", "line"), ("phone", "phone")))
BY_PHONE = TableSource("orders", "orders.csv", (("phone", "user_id"),), time_column="bought_at")


def test_rows_by_another_id_go_through_the_one_linkage(tmp_path: Path) -> None:
    links = f"line,phone\n{A},090-1234-5678\n{B},09012345678\n{A},08011112222\n{C},\n"
    (tmp_path / "members.csv").write_text(links, "utf-8")
    found, problems = _read(
        tmp_path,
        "090-1234-5678,2026-11-01,shared,1,,",
        "08011112222,2026-11-02,own,1,,",
        "07099998888,2026-11-03,unknown,1,,",
        tables=(MEMBERS, BY_PHONE),
    )
    assert problems == ()
    assert [(row.person, row.values[0]) for row in found] == [(A, "shared"), (A, "own"), (B, "shared")]
    assert found.linkage == "members"
    assert list(found.sources) == ["members", "orders"]


def test_no_linkage_or_several_are_told(tmp_path: Path) -> None:
    found, problems = _read(tmp_path, tables=(BY_PHONE,))
    assert (found, codes(problems), told(problems[0])["tables"]) == (None, ["AUD1132"], ())
    other = TableSource("stores", "stores.csv", (("user_id", "line"), ("phone", "phone")))
    found, problems = _read(tmp_path, tables=(MEMBERS, other, BY_PHONE))
    assert (found, told(problems[0])["tables"]) == (None, ("members", "stores"))


def test_the_working_copy_is_gone_when_rows_are_closed(tmp_path: Path) -> None:
    found, _ = _read(tmp_path, f"{A},2026-11-01,x,1,,")
    found.close()
    assert not [path for path in (tmp_path / ".audsql" / "cache" / "tmp").rglob("*") if path.is_file()]


def test_times_are_aware_in_any_zone(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(f"{HEADER}\n{A},2026-07-01T12:00,x,1,,\n", "utf-8")
    of = project(tables=(_orders(),), timezone="America/New_York")
    found, _ = engine(tmp_path, of).rows("orders", (), AS_OF)
    assert found is not None
    assert [row.time for row in found] == [datetime(2026, 7, 1, 16, tzinfo=UTC)]
