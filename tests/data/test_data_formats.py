"""Formats: the same values mean the same in each of them; globs and packed files obey the rules of plain ones."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import tracemalloc
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from data_helpers import AS_OF, codes, engine, project, read_upload, told, user_id
from hostile.corpus import _bomb
from hostile.naive import naive_list
from hypothesis import given, settings
from hypothesis import strategies as st

from audsql.data import content as contents
from audsql.data import globs, packed
from audsql.data.content import open_file
from audsql.data.endings import COLUMN_FORMATS, TABLE_FORMATS
from audsql.data.jsonl import CELL_END, json_rows, json_shape
from audsql.data.parquet import _type
from audsql.data.searching import names_one
from audsql.diag import Diagnostic, has_errors
from audsql.meaning.ir import (
    Aggregate,
    Atom,
    Before,
    ColumnCompare,
    ColumnGiven,
    ColumnIn,
    ColumnMissing,
    Last,
    Latest,
    Rows,
    Since,
    TableSource,
    Times,
)
from audsql.session.project import check_text

A, B, C = (user_id(number) for number in (10, 11, 12))
SWEEP = bool(os.environ.get("AUDSQL_SWEEP"))

# --- one meaning in every format ------------------------------------------------------------------

NOTES = (
    "",
    "x",
    "あ",
    "が",
    "か\u3099",
    "a,b",
    'say "so"',
    "two\nlines",
    "\\",
    "\\u0041",
    "\t",
    "😀",
    "null",
    "0012",
    "'",
)
Row = tuple[str | None, Decimal | None, Decimal | None, datetime | None, datetime | None, bool | None, str | None]


def random_rows(chance: random.Random) -> list[Row]:
    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.8 else None

    rows = []
    for _ in range(chance.randrange(1, 60)):
        moment = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(30 * 86400) / 4)
        whole, places = chance.randrange(-(10**12), 10**12), chance.choice((0, 0, 2, 4))
        rows.append(
            (
                maybe(user_id(chance.randrange(12))),
                maybe(Decimal(chance.randrange(-20, 20))),
                maybe(Decimal(whole).scaleb(-places)),
                maybe(moment.replace(tzinfo=None)),
                maybe(moment),
                maybe(chance.random() < 0.5),
                maybe(chance.choice(NOTES)),
            )
        )
    return rows


COLUMNS = ("uid", "amount", "price", "day", "moment", "ok", "note")
TYPES = ("VARCHAR", "BIGINT", "DECIMAL(30, 4)", "TIMESTAMP", "TIMESTAMPTZ", "BOOLEAN", "VARCHAR")


def cell_text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(" ")
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def as_csv(rows: list[Row], _: random.Random, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([cell_text(value) for value in row] for row in rows)


def as_json(rows: list[Row], chance: random.Random, path: Path) -> None:
    lines = []
    for row in rows:
        cells = []
        for name, value in zip(COLUMNS, row, strict=True):
            if value is None and name != "uid" and chance.random() < 0.5:
                continue
            bare = value is None or isinstance(value, bool | Decimal)
            text = "null" if value is None else cell_text(value)
            escaped = chance.random() < 0.5
            cells.append(f"{json.dumps(name)}:{text if bare else json.dumps(text, ensure_ascii=escaped)}")
        chance.shuffle(cells)
        lines.append("{" + ", ".join(cells) + "}\n")
    path.write_text("".join(lines), "utf-8")


def as_parquet(rows: list[Row], chance: random.Random, path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        types = list(TYPES)
        types[1] = chance.choice(("BIGINT", "INTEGER", "DOUBLE", "FLOAT", "DECIMAL(9, 2)"))
        types[2] = chance.choice(("DECIMAL(30, 4)", "DECIMAL(38, 12)"))
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS, types, strict=True))
        connection.execute(f"CREATE TABLE t ({columns})")
        places = ", ".join("?" for _ in COLUMNS)
        connection.executemany(f"INSERT INTO t VALUES ({places})", rows)
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")


FORMATS: dict[str, Callable[[list[Row], random.Random, Path], None]] = {
    "t.csv": as_csv,
    "t.jsonl": as_json,
    "t.parquet": as_parquet,
}


def atoms(chance: random.Random, time: str) -> list[Atom]:
    number, price = Decimal(chance.randrange(-20, 20)), Decimal(chance.randrange(-(10**9), 10**9)).scaleb(-2)
    moment = datetime(2026, 11, chance.randrange(1, 29), 9)
    note = chance.choice(NOTES[1:])
    operator = chance.choice(("=", "!=", "<", "<=", ">", ">="))
    return [
        Rows("t"),
        Rows("t", (ColumnCompare("amount", operator, number),)),
        Rows("t", (ColumnCompare("price", operator, price),)),
        Rows("t", (ColumnCompare("note", "=", note),)),
        Rows("t", (ColumnIn("note", (note, "x")),)),
        Rows("t", (ColumnCompare("note", operator, note),)),
        Rows("t", (ColumnMissing("note"),)),
        Rows("t", (ColumnGiven("price"),)),
        Rows("t", (ColumnCompare("ok", "=", True),)),
        Rows("t", (ColumnCompare(time, operator, moment),)),
        Rows("t", (Since(moment),)),
        Rows("t", (Before(moment),), (Times("at least", 2),)),
        Rows("t", (Last(7, "day"),), (Aggregate("sum", "price", ">", price),)),
        Rows("t", (), (Aggregate("avg", "amount", operator, number),)),
        Rows("t", (), (Latest("note", "=", note),)),
    ]


def members(root: Path, file: str, wanted: list[Atom], time: str) -> list[list[str] | None]:
    table = TableSource("t", file, (("user_id", "uid"),), time)
    used = engine(root, project(tables=(table,)))
    found, problems = used.materialise(wanted, AS_OF)
    assert not has_errors(problems), problems
    return [list(used.members(found.people[atom.key])) for atom in wanted]


@pytest.mark.parametrize("seed", range(100 if SWEEP else 6))
def test_the_same_values_mean_the_same_in_every_format(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    rows, time = random_rows(chance), chance.choice(("day", "moment"))
    rows += [(A, Decimal(1), Decimal(1), datetime(2026, 11, 2), datetime(2026, 11, 2, tzinfo=UTC), True, "x")]
    wanted = atoms(chance, time)
    answers = []
    for file, write in FORMATS.items():
        (tmp_path / file).mkdir()
        write(rows, chance, tmp_path / file / file)
        answers.append(members(tmp_path / file, file, wanted, time))
    assert answers[0] == answers[1] == answers[2]
    assert A in (answers[0][0] or ())


# --- against naive references ---------------------------------------------------------------------

ID_BYTES = st.sampled_from(
    [A.encode(), B.encode(), b"U", b"0" * 32, b"\n", b"\r\n", b"\r", b"\0", b" ", b'"', b",", "あ".encode(),
     "あ".encode("cp932"), b"\xff", b"\xef\xbb\xbf", b"\xc2\xa0", b"a", b"\t"]
)  # fmt: skip


@settings(max_examples=2000 if SWEEP else 150, deadline=None)
@given(parts=st.lists(ID_BYTES, max_size=8))
def test_lists_against_a_naive_reader(parts: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    data = b"".join(parts)
    found, problems, _ = read_upload(tmp_path_factory.mktemp("list"), data)
    naive = naive_list(data)
    assert (found is None) == has_errors(problems)
    assert found == (None if naive is None else sorted(set(naive)))


class _Object(list[tuple[str, Any]]):
    """An object as its pairs, so that keys which stand twice are seen."""


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _strict(line: str) -> list[tuple[str, Any]] | None:
    """A line as pairs, or None where it is no flat object of JSON with distinct keys."""
    try:
        found = json.loads(
            line, parse_constant=_no_constant, parse_int=Decimal, parse_float=Decimal, object_pairs_hook=_Object
        )
    except ValueError:
        return None
    if not isinstance(found, _Object):
        return None
    pairs = [(unicodedata.normalize("NFC", name), value) for name, value in found]
    texts = "".join(text for pair in pairs for text in pair if isinstance(text, str))
    odd = any(0xD800 <= ord(sign) < 0xE000 or sign == "\0" for sign in texts)
    nested = any(isinstance(value, list) for _, value in pairs)
    twice = len(dict(pairs)) < len(pairs) if not nested else False
    return None if odd or nested or twice else pairs


JSON_PARTS = st.sampled_from(
    ["{", "}", "[", "]", ":", ",", '"', '"a"', '"b"', '"a":1', '"b":"x"', '{"a":1}', '{"a":"x","b":null}', "null",
     "true", "NaN", "1", "-0", "1.5e3", "01", "\\", '\\"', "\\u0061", "\\ud83d\\ude00", "\\ud800", "\\u0000", " ",
     "\t", "é", "が", "\x01", "\x7f", '"が":2', '"か\u3099":3', '{"a":"', '"}']
)  # fmt: skip


@settings(max_examples=20_000 if SWEEP else 400, deadline=None)
@given(lines=st.lists(st.lists(JSON_PARTS, min_size=1, max_size=9).map("".join), min_size=1, max_size=4))
def test_json_lines_against_a_naive_reader(lines: list[str]) -> None:
    shape, problems = json_shape("\n".join(lines).encode(), (), "t.jsonl", None)
    naive = [_strict(line) for line in lines]
    assert (shape is None) == (None in naive), problems
    if shape is None:
        wrong = {number for number, row in enumerate(naive, 1) if row is None}
        assert {int(line) for problem in problems for line in told(problem)["lines"]} == wrong
        return
    header = tuple(dict.fromkeys(name for row in naive for name, _ in row or ()))
    assert (shape.header, shape.records) == (header, len(lines))
    rows = b"".join(json_rows(shape, header)).decode().split("\n")[:-1]
    for row, pairs in zip(rows, naive, strict=True):
        cells = [json.loads(f'"{cell}"') for cell in row.split(CELL_END)[:-1]]
        values = dict(pairs or ())
        for name, cell in zip(header, cells, strict=True):
            value = values.get(name)
            # A number is kept as it is written, so it is compared as a number.
            assert (Decimal(cell) if isinstance(value, Decimal) else cell) == (
                value if isinstance(value, Decimal) else cell_text(value)
            )


def test_json_lines_over_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from audsql.data import jsonl

    monkeypatch.setattr(jsonl, "_BLOCK_BYTES", 200)
    chance = random.Random(5)
    rows = [
        {"uid": user_id(number), **({"n": number} if chance.random() < 0.5 else {"m": "\\"})} for number in range(300)
    ]
    shape, problems = json_shape("".join(json.dumps(row) + "\n" for row in rows).encode(), ("uid",), "t", None)
    assert shape is not None and not problems and len(shape.blocks) > 50
    found = b"".join(json_rows(shape, ("n", "uid"))).decode().splitlines()
    assert found == [CELL_END.join((str(row.get("n", "")), str(row["uid"]), "-")) for row in rows]
    bad = "".join(json.dumps(row) + "\n" for row in rows[:250]) + "{}\n" + '{"uid":"x"\n'
    assert [told(one)["lines"] for one in json_shape(bad.encode(), ("uid",), "t", None)[1]] == [("252",)]


# --- uploads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["l.jsonl", "l.ndjson", "l.csv", "l.tsv", "l.txt", "l.csv.gz", "l.JSONL"])
def test_uploads_with_a_column(file: str, tmp_path: Path) -> None:
    lines = f'{{"uid":"{A}"}}\n{{"uid":"{B}"}}\n{{"uid":null}}\n' if "json" in file.lower() else f"uid\n{A}\n{B}\n"
    data = gzip.compress(lines.encode()) if file.endswith("gz") else lines.encode()
    found, problems, _ = read_upload(tmp_path, data, file=file, column="uid")
    assert found == [A, B]
    assert codes(problems) == (["AUD1043"] if "json" in file.lower() else [])


def test_only_tables_have_tabs(tmp_path: Path) -> None:
    _, problems, _ = read_upload(tmp_path, b"", file="l.tsv")
    assert codes(problems) == ["AUD1004"]
    facts = told(problems[0])
    assert facts["supported"] == (".csv", ".txt", ".jsonl", ".ndjson", ".parquet")
    assert facts["packings"] == (".gz", ".bz2", ".xz", ".zip")


def test_whole_numbers_are_ids(tmp_path: Path) -> None:
    found, problems, _ = read_upload(tmp_path, b'{"m":12}\n{"m":"012"}\n', "member_id", "l.jsonl", column="m")
    assert (found, problems) == (["012", "12"], ())
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT unnest([12, 7]) AS m) TO '{tmp_path}/l.parquet' (FORMAT parquet)")
    data = (tmp_path / "l.parquet").read_bytes()
    found, problems, _ = read_upload(tmp_path, data, "member_id", "l.parquet", column="m")
    assert (found, problems) == (["12", "7"], ())


@pytest.mark.parametrize("file", ["data/o-*.csv", "o.csv.gz", "o.jsonl", "o.ndjson", "o.parquet", "o.zip", "o.tsv.xz"])
def test_specs_name_every_format(file: str) -> None:
    listed = file.replace(".csv", ".txt").replace(".tsv", ".txt")
    spec = f'''account shop {{ token: env("TOKEN") }}
upload a {{ file: "{listed}"  id: user_id }}
upload b {{ file: "{file}"  id: user_id  column: uid }}
table c {{ file: "{file}"  id: user_id = uid }}
'''
    assert check_text(spec) == ()


# --- globs ----------------------------------------------------------------------------------------


def opened(root: Path, pattern: str) -> Any:
    return open_file(root, pattern, COLUMN_FORMATS, None)


def test_a_glob_is_read_in_order_and_digested_whole(tmp_path: Path) -> None:
    for name in ("o-2.csv", "o-10.csv", "か\u3099.csv", ".o.csv"):
        (tmp_path / name).write_text(f"uid\n{A}\n")
    first = opened(tmp_path, "*.csv")
    assert [unicodedata.normalize("NFC", part.file) for part in first.parts] == ["o-10.csv", "o-2.csv", "が.csv"]
    assert [part.file for part in opened(tmp_path, "が*.csv").parts] == ["か\u3099.csv"]
    digests = {first.digest, opened(tmp_path, "o-*.csv").digest}
    (tmp_path / "o-3.csv").write_text(f"uid\n{A}\n")
    digests.add(opened(tmp_path, "*.csv").digest)
    (tmp_path / "o-3.csv").rename(tmp_path / "o-4.csv")
    digests.add(opened(tmp_path, "*.csv").digest)
    (tmp_path / "o-4.csv").write_text(f"uid\n{B}\n")
    digests.add(opened(tmp_path, "*.csv").digest)
    assert len(digests) == 5
    (tmp_path / "o-4.csv").unlink()
    assert opened(tmp_path, "*.csv").digest == first.digest
    os.utime(tmp_path / "o-2.csv", (2_000_000_000, 2_000_000_000))
    assert opened(tmp_path, "*.csv").modified.timestamp() == 2_000_000_000


@pytest.mark.threat("T54")
def test_a_glob_stays_inside(tmp_path: Path) -> None:
    inner = tmp_path / "project"
    inner.mkdir()
    (tmp_path / "secret.csv").write_text(f"uid\n{A}\n")
    (inner / "link.csv").symlink_to(tmp_path / "secret.csv")
    (inner / "up").symlink_to(tmp_path)
    (inner / "folder.csv").mkdir()
    for pattern, code in (
        ("link*.csv", "AUD1003"),
        ("up/*.csv", "AUD1003"),
        ("../*.csv", "AUD1003"),
        ("folder*.csv", "AUD1002"),
        ("/*.csv", "AUD1003"),
    ):
        assert opened(inner, pattern).code == code


@pytest.mark.threat("T52")
def test_a_folder_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1.csv").write_text("uid\n")
    (tmp_path / "2.csv").write_text("uid\n")
    real = contents._read

    def and_then(change: Callable[[], Any]) -> None:
        def read(path: Path, *rest: Any) -> Any:
            found = real(path, *rest)
            if path.name == "1.csv":
                change()
            return found

        monkeypatch.setattr(contents, "_read", read)

    and_then((tmp_path / "2.csv").unlink)
    assert opened(tmp_path, "*.csv").code == "AUD1031"
    and_then(lambda: (tmp_path / "3.csv").write_text("uid\n"))
    assert opened(tmp_path, "*.csv").code == "AUD1031"


def test_an_unlistable_pattern_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid\n")
    for pattern in ("a.csv/*.csv", "none/*.csv", "[.csv", "*" * 60 + ".csv"):
        assert isinstance(opened(tmp_path, pattern), Diagnostic)
    assert globs.matches(tmp_path, "?.csv") == ("a.csv",)


# --- packed files ---------------------------------------------------------------------------------


@pytest.mark.threat("T51")
def test_a_bomb_is_never_unpacked_whole() -> None:
    big = _bomb((b"0" * 999 + b"\n") * 1000, 200)
    allowed = max(packed._RATIO_FROM_BYTES, len(big) * packed.PACKED_RATIO_MAX)
    assert allowed < 100_000_000
    tracemalloc.start()
    found = packed.unpack(big, ".gz", "t.csv.gz", None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, Diagnostic) and found.code == "AUD1058"
    assert peak < allowed + (1 << 24)


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz"])
def test_every_way_to_cut_a_stream_is_damage(packing: str) -> None:
    import bz2
    import lzma

    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[packing]
    whole = pack(f"uid\n{A}\n".encode())
    for length in range(len(whole)):
        found = packed.unpack(whole[:length], packing, "t", None)
        assert isinstance(found, Diagnostic) and found.code == "AUD1057", length
    assert packed.unpack(whole, packing, "t", None) == (f"uid\n{A}\n".encode(), "")
    for behind in (b"\n", b"\0\0\0\0", whole[:5]):
        found = packed.unpack(whole + behind, packing, "t", None)
        assert isinstance(found, Diagnostic) and found.code == "AUD1057"


def test_what_is_known_is_not_unpacked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(f"uid\n{A}\n".encode()))
    of = project(tables=(TableSource("t", "t.csv.gz", (("user_id", "uid"),)),))
    first = engine(tmp_path, of).materialise([Rows("t")], AS_OF)[0]
    monkeypatch.setattr(contents, "unpack", None)
    again, problems = engine(tmp_path, of).materialise([Rows("t")], AS_OF)
    assert (again.sources, problems) == (first.sources, ())


# --- Parquet --------------------------------------------------------------------------------------


def test_types_that_are_not_read() -> None:
    assert _type({1: 3, 4: b"x"}) == "INT96"
    assert _type({1: 6, 4: b"x"}) == "BINARY"
    assert _type({1: 7, 4: b"x", 10: {15: {}}}) == "FLOAT16"
    assert _type({1: 7, 4: b"x", 6: 5, 8: 39, 7: 2}) == "DECIMAL"
    assert _type({1: 6, 4: b"x", 3: 2, 6: 0}) == "LIST"
    assert _type({1: 2, 4: b"x", 6: 10}) == "instant"
    assert _type({1: 2, 4: b"x", 10: {8: {1: False, 2: {2: {}}}}}) == "local"


@pytest.mark.parametrize("seed", range(400 if SWEEP else 25))
def test_damaged_parquet_is_told_or_keeps_its_rows(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    path = tmp_path / "t.parquet"
    with duckdb.connect() as connection:
        sql = "SELECT 'U' || lpad(i::VARCHAR, 32, '0') AS uid, 'n' || i AS note FROM range(200) AS t(i)"
        connection.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 3))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    used = engine(tmp_path, project(tables=(TableSource("t", "t.parquet", (("user_id", "uid"),)),)))
    found, problems = used.materialise([Rows("t", (ColumnGiven("note"),))], AS_OF)
    if has_errors(problems):
        assert not found.people
    else:
        assert found.sources["t"].rows == 200


def test_formats_of_tables_and_uploads_are_told_apart() -> None:
    assert set(COLUMN_FORMATS) - set(TABLE_FORMATS) == {".txt"}


# --- who asks what is known of a person -----------------------------------------------------------


def test_any_format_is_searched_for_a_person(tmp_path: Path) -> None:
    def asked(file: str, data: bytes, text: str) -> bool | None:
        (tmp_path / file).write_bytes(data)
        scratch = tmp_path / "scratch" / file
        scratch.mkdir(parents=True, exist_ok=True)
        return names_one(opened(tmp_path, file), [text], COLUMN_FORMATS, scratch)

    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT '{A}' AS uid, 1 AS n) TO '{tmp_path}/1.parquet' (FORMAT parquet)")
        connection.execute(f"COPY (SELECT 'x' AS uid, [1] AS n) TO '{tmp_path}/2.parquet' (FORMAT parquet)")
    one, two = ((tmp_path / file).read_bytes() for file in ("1.parquet", "2.parquet"))
    text = f"uid\n{A}\n".encode()
    assert [asked(file, data, A) for file, data in (
        ("t.csv", text), ("t.csv.gz", gzip.compress(text)), ("t.jsonl", f'{{"uid":"\\u0055{A[1:]}"}}'.encode()),
        ("t.parquet", one), ("会員.csv", "uid,n\nx,会員\n".encode("cp932")), ("b.csv.gz", b"x"), ("b.parquet", b"x"),
        ("n.parquet", two),
    )] == [True, True, True, True, False, None, None, None]  # fmt: skip
    assert asked("会員.csv", "uid,n\nx,会員\n".encode("cp932"), "会員") is True
    assert names_one(opened(tmp_path, "*.csv"), [A], COLUMN_FORMATS, tmp_path) is True
    assert names_one(opened(tmp_path, "*.csv"), [B], COLUMN_FORMATS, tmp_path) is False
    assert asked("t.csv", b"phone\n090-1234-5678\n", "09012345678") is True
