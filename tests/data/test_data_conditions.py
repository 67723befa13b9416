"""Conditions and set algebra against a naive evaluator in plain Python."""

from __future__ import annotations

import csv
import io
import unicodedata
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from data_helpers import AS_OF, engine, project, user_id
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audsql.data.typed import offset_pieces
from audsql.meaning.ir import (
    Aggregate,
    Before,
    ColumnCompare,
    ColumnGiven,
    ColumnIn,
    ColumnMissing,
    Expression,
    Last,
    Latest,
    Rows,
    Since,
    TableSource,
    Times,
    Uploaded,
    UploadSource,
    land,
    leaf,
    lnot,
    lor,
)

ZONES = ("Asia/Tokyo", "America/New_York", "Australia/Lord_Howe")
COMPARE = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}

# --- the naive evaluator --------------------------------------------------------------------------------


def instant(cell: str, zone: ZoneInfo) -> datetime:
    moment = datetime.fromisoformat(cell.replace("/", "-"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def typed(cell: str, like: Any, zone: ZoneInfo) -> Any:
    if isinstance(like, bool):
        return cell.lower() == "true"
    if isinstance(like, Decimal):
        return Decimal(cell)
    if isinstance(like, datetime):
        return instant(cell, zone)
    return unicodedata.normalize("NFC", cell).encode()


def compares(cell: str, operator: str, value: Any, zone: ZoneInfo) -> bool:
    if cell == "":
        return False
    right = typed(value, "", zone) if isinstance(value, str) else value
    return bool(COMPARE[operator](typed(cell, value, zone), right))


def row_holds(row: dict[str, str], condition: Any, as_of: datetime, zone: ZoneInfo) -> bool:
    match condition:
        case ColumnCompare(column, operator, value):
            return compares(row[column], operator, value, zone)
        case ColumnIn(column, values):
            return any(compares(row[column], "=", value, zone) for value in values)
        case ColumnMissing(column):
            return row[column] == ""
        case ColumnGiven(column):
            return row[column] != ""
    if row["at"] == "":
        return False
    time = instant(row["at"], zone)
    match condition:
        case Since(moment):
            return time >= moment
        case Before(moment):
            return time < moment
        case Last(amount, "day"):
            day = as_of.astimezone(zone).date() - timedelta(days=amount)
            return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) <= time < as_of
        case Last(amount, unit):
            return as_of - amount * (timedelta(hours=1) if unit == "hour" else timedelta(minutes=1)) <= time < as_of
    raise AssertionError(condition)


def people_hold(rows: list[dict[str, str]], condition: Any, zone: ZoneInfo) -> bool:
    match condition:
        case Times(bound, count):
            return {"at least": len(rows) >= count, "at most": len(rows) <= count, "exactly": len(rows) == count}[bound]
        case Aggregate(function, column, operator, value):
            cells = [typed(row[column], value, zone) for row in rows if row[column]]
            if not cells:
                return False
            if function == "avg":
                return bool(COMPARE[operator](sum(cells), value * len(cells)))
            return bool(COMPARE[operator]({"sum": sum, "min": min, "max": max}[function](cells), value))
        case Latest(column, operator, value):
            timed = [(instant(row["at"], zone), row) for row in rows if row["at"]]
            newest = max((time for time, _ in timed), default=None)
            return any(compares(row[column], operator, value, zone) for time, row in timed if time == newest)
    raise AssertionError(condition)


def naive(table: list[dict[str, str]], atom: Rows, as_of: datetime, zone: ZoneInfo) -> list[str]:
    people = sorted({row["uid"] for row in table if row["uid"]})
    found = []
    for person in people:
        rows = [row for row in table if row["uid"] == person]
        rows = [row for row in rows if all(row_holds(row, one, as_of, zone) for one in atom.rows)]
        if all(people_hold(rows, one, zone) for one in atom.people) if atom.people else rows:
            found.append(person)
    return found


# --- random tables and atoms ------------------------------------------------------------------------------

texts = st.sampled_from(["", "A", "a", "B", "10", "010", "が", "か\u3099", "x,y", 'q"q', "l\nl"])
numbers = st.sampled_from(["", "0", "1", "-1", "10", "010", "0.5", "1.000000001", "+2", "999999999999999999"])
truths = st.sampled_from(["", "true", "TRUE", "false"])
moments = st.one_of(
    st.just(""),
    st.builds(
        lambda base, minutes, form: form(base + timedelta(minutes=minutes)),
        st.sampled_from([datetime(2026, 11, 20), datetime(2026, 11, 1), datetime(2026, 3, 8), datetime(1969, 12, 31)]),
        st.integers(-3000, 3000),
        st.sampled_from(
            [
                lambda t: t.isoformat(),
                lambda t: t.strftime("%Y-%m-%d %H:%M"),
                lambda t: t.strftime("%Y/%m/%d"),
                lambda t: t.isoformat() + "+09:00",
                lambda t: t.isoformat(sep=" ") + "Z",
                lambda t: t.isoformat() + "-03:30",
                lambda t: t.isoformat() + ".000001",
            ]
        ),
    ),
)
tables = st.lists(
    st.fixed_dictionaries(
        {
            "uid": st.sampled_from(["", *map(user_id, range(4))]),
            "name": texts,
            "amount": numbers,
            "ok": truths,
            "at": moments,
        }
    ),
    min_size=1,
    max_size=12,
)
operators = st.sampled_from(sorted(COMPARE))
decimals = st.sampled_from([Decimal(text) for text in ("0", "1", "-1", "10", "0.5", "1.000000001", "5.25")])
instants = st.builds(
    lambda base, minutes: base + timedelta(minutes=minutes),
    st.sampled_from([AS_OF, datetime(2026, 3, 8, tzinfo=UTC)]),
    st.integers(-4000, 4000),
)
words = st.sampled_from(["A", "a", "B", "10", "010", "が", "か\u3099", "l\nl"])
scalars = st.one_of(
    st.tuples(st.just("name"), words),
    st.tuples(st.just("amount"), decimals),
    st.tuples(st.just("amount"), words),
    st.tuples(st.just("ok"), st.booleans()),
    st.tuples(st.just("at"), instants),
)
row_conditions = st.one_of(
    st.builds(lambda pair, operator: ColumnCompare(pair[0], operator, pair[1]), scalars, operators),
    st.builds(lambda values: ColumnIn("name", tuple(sorted(values))), st.sets(words, max_size=3)),
    st.builds(lambda values: ColumnIn("amount", tuple(sorted(values))), st.sets(decimals, max_size=3)),
    st.builds(ColumnMissing, st.sampled_from(["name", "amount", "at"])),
    st.builds(ColumnGiven, st.sampled_from(["name", "amount", "at"])),
    st.builds(Last, st.integers(0, 40), st.sampled_from(["minute", "hour", "day"])),
    st.builds(Since, instants),
    st.builds(Before, instants),
)
people_conditions = st.one_of(
    st.builds(Times, st.sampled_from(["at least", "at most", "exactly"]), st.integers(0, 3)),
    st.builds(Aggregate, st.sampled_from(["sum", "avg", "min", "max"]), st.just("amount"), operators, decimals),
    st.builds(Aggregate, st.sampled_from(["min", "max"]), st.just("at"), operators, instants),
    st.builds(lambda pair, operator: Latest(pair[0], operator, pair[1]), scalars, operators),
)
atoms = st.builds(
    lambda rows, people: Rows("t", tuple(rows), tuple(people)),
    st.lists(row_conditions, max_size=3),
    st.lists(people_conditions, max_size=2),
)


def written(table: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["uid", "name", "amount", "ok", "at"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue().encode()


@given(tables, st.lists(atoms, min_size=6, max_size=14), st.sampled_from(ZONES), instants)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.threat("T36")
def test_conditions_like_a_naive_evaluator(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[dict[str, str]],
    wanted: list[Rows],
    timezone: str,
    as_of: datetime,
) -> None:
    root = tmp_path_factory.mktemp("t")
    (root / "t.csv").write_bytes(written(table))
    of = project(tables=(TableSource("t", "t.csv", (("user_id", "uid"),), "at"),), timezone=timezone)
    for moment in (as_of, as_of + timedelta(hours=7), as_of):
        used = engine(root, of)
        found, problems = used.materialise(wanted, moment)
        assert problems == ()
        for atom in wanted:
            expected = naive(table, atom, moment, ZoneInfo(timezone))
            assert list(used.members(found.people[atom.key])) == expected, atom


# --- set algebra ------------------------------------------------------------------------------------------

LISTS = [Uploaded(f"l{number}") for number in range(4)]
expressions = st.recursive(
    st.sampled_from([leaf(one) for one in LISTS]),
    lambda inner: st.one_of(
        st.builds(lnot, inner),
        st.builds(lambda parts: land(*parts), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: lor(*parts), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=10,
)


@given(st.lists(st.sets(st.integers(0, 20)), min_size=4, max_size=4), st.lists(expressions, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
@pytest.mark.threat("T32", "T36")
def test_algebra_like_python_sets(
    tmp_path_factory: pytest.TempPathFactory, sets: list[set[int]], wanted: list[Expression]
) -> None:
    from audsql.meaning.ir import evaluate

    root = tmp_path_factory.mktemp("l")
    uploads = tuple(UploadSource(one.source, f"{one.source}.txt", "user_id", allow_empty=True) for one in LISTS)
    for one, people in zip(LISTS, sets, strict=True):
        (root / f"{one.source}.txt").write_text("".join(f"{user_id(person)}\n" for person in sorted(people)))
    used = engine(root, project(uploads))
    found, problems = used.materialise(LISTS, AS_OF)
    assert problems == ()
    for expression in wanted:
        if evaluate(expression, frozenset()):
            continue
        expected = [
            user_id(person)
            for person in range(21)
            if evaluate(expression, {one.key for one, people in zip(LISTS, sets, strict=True) if person in people})
        ]
        assert list(used.members(used.evaluate(expression, found.people))) == expected


# --- zones ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*ZONES, "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia", "Europe/London"])
def test_offsets_of_local_times(name: str) -> None:
    zone = ZoneInfo(name)
    epoch = datetime(1970, 1, 1)
    days = [(datetime(2011, 1, 1) + timedelta(days=day) - epoch).days for day in range(900)]
    # Gaps between the days of the data must not hide a change.
    for chosen in (days, days[::37], [*days[60:80], *days[300:330], *days[700:705]], [-20000, -1, 0, 2932896]):
        pieces = offset_pieces(chosen, zone)
        starts = [start for start, _ in pieces]
        for day in chosen:
            for minute in range(0, 1440, 30):
                local = epoch + timedelta(days=day, minutes=minute)
                micros = (local - epoch) // timedelta(microseconds=1)
                offset = pieces[bisect_right(starts, micros) - 1][1]
                assert timedelta(microseconds=offset) == local.replace(tzinfo=zone).utcoffset(), local
