"""Files without quotes are read from their bytes: the same people, counts and last times as the long way finds."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from data_helpers import user_id

from audsql.data import cells, shape, tables
from audsql.data.content import Content
from audsql.data.ids import user_id_texts
from audsql.data.leaves import Leaf, Window
from audsql.data.matching import ascending_order, in_ascending_order
from audsql.data.tables import Form, TableResult, evaluate_table, read_table
from audsql.meaning.ir import Aggregate, ColumnCompare, ColumnGiven, ColumnIn, ColumnMissing, Latest, Times

ZONE = ZoneInfo("America/New_York")
HEAD = "uid,product,note,at,n,ok\n"
STARTS = (datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 10, 31, tzinfo=UTC), datetime(1960, 1, 1, tzinfo=UTC))


def a_time(chance: random.Random) -> str:
    moment = chance.choice(STARTS) + timedelta(
        minutes=10 * chance.randrange(432), seconds=chance.randrange(60), microseconds=chance.randrange(10**6)
    )
    day = f"{moment:%Y{mark}%m{mark}%d}" if (mark := chance.choice("-/")) else ""
    minute, second = f"{moment:%H:%M}", f"{moment:%S}"
    fraction = chance.choice(("", "", ".5", f".{moment.microsecond:06}", ".123456789"))
    offset = chance.choice(("", "", "Z", " Z", "+09:00", "-0330", "+14"))
    return chance.choice(
        ("", day, f"{day} {minute}", f"{day}T{minute}{offset}", f"{day}T{minute}:{second}{fraction}{offset}")
    )


def a_row(chance: random.Random, people: int) -> str:
    product = chance.choice(("", "P1", "P2", "ガ", "か\u3099", "a longer name of a product, no: one"[:20], "x" * 64))
    number = chance.choice(("", "0", "-1.5", "+12", "3.000000001", "999999999999999999"))
    who = "" if chance.random() < 0.1 else user_id(chance.randrange(people))
    return (
        f"{who},{product},{chance.choice(('', 'é'))},{a_time(chance)},{number},{chance.choice(('', 'TRUE', 'false'))}\n"
    )


LEAVES = [
    Leaf((), ()),
    Leaf((), (Times("at least", 3), Times("at most", 5))),
    Leaf((), (Times("exactly", 0),)),
    *(Leaf((ColumnCompare("product", sign, "ガ"),), ()) for sign in ("=", "!=", "<", "<=", ">", ">=")),
    Leaf((ColumnIn("product", ("P1", "nobody", "x" * 64)), ColumnGiven("note")), ()),
    Leaf((ColumnIn("product", ()),), ()),
    Leaf((ColumnIn("product", ()), ColumnGiven("note")), (Times("exactly", 0),)),
    Leaf((ColumnMissing("product"),), (Times("exactly", 0),)),
    *(Leaf((ColumnCompare("n", sign, value),), ()) for sign in ("<", ">=") for value in (0, 12)),
    Leaf((ColumnCompare("ok", "=", True), ColumnCompare("n", "!=", 0)), (Times("at least", 1),)),
    Leaf((Window(None, None),), (Times("at most", 1),)),
    *(Leaf((), (Aggregate(function, "n", ">=", 12),)) for function in ("sum", "avg", "min", "max")),
    Leaf((ColumnGiven("note"),), (Aggregate("max", "at", "<", STARTS[1]), Times("at most", 9))),
    *(Leaf((Window(None, 1793511000_000000),), (Latest("product", sign, "P1"),)) for sign in ("=", "!=")),
    *(
        Leaf((Window(start, end), *more), ())
        for start in (None, 1772946000_000000, 1793507400_000000)
        for end in (None, 1793511000_000000)
        for more in ((), (ColumnCompare("product", "=", "P1"),), (ColumnCompare("at", "!=", STARTS[0]),))
    ),
]  # fmt: skip


def evaluated(
    folder: Path, data: str, leaves: list[Leaf] = LEAVES, *, plain: bool = True, files: int = 1, path: Any = None
) -> TableResult:
    form = Form("t", "t.csv", (("user_id", "uid"),), "at", (), "jp", ZONE, None)
    lines = data.removeprefix(HEAD).splitlines(keepends=True)
    contents = [
        Content("t.csv", (HEAD + "".join(lines[at::files])).encode(), "", STARTS[0], ending=".csv")
        for at in range(files)
    ]
    whole = contents[0] if files == 1 else Content("t.csv", b"", "", STARTS[0], ending=".csv", parts=tuple(contents))
    read = read_table(whole, form)
    assert read.shape is not None, read.diagnostics
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, *(("_evaluate", None) if plain else ("_evaluate_coded", lambda *_: None)))
        return evaluate_table(read.shape, form, ("user_id", "uid"), leaves, folder)


def members(result: TableResult) -> tuple[Any, ...]:
    assert result.ids is not None, result.diagnostics
    texts = np.array(user_id_texts(result.ids.high, result.ids.low))
    truth = {key: sorted(texts[flags].tolist()) for key, flags in result.truth.items()}
    return sorted(texts.tolist()), truth, result.blank_ids, result.latest


@pytest.mark.parametrize(("seed", "files", "spellings", "block"), [
    (1, 1, 100_000, 1 << 18), (2, 3, 100_000, 500), (3, 1, 500, 1 << 18), (4, 2, 500, 700),
])  # fmt: skip
def test_both_ways_agree(
    seed: int, files: int, spellings: int, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few spellings allowed, times are read in pieces."""
    chance = random.Random(seed)
    data = HEAD + "".join(a_row(chance, 200) for _ in range(1_500))
    monkeypatch.setattr(cells, "_SPELLINGS_MAX", spellings)
    monkeypatch.setattr(shape, "_PLAIN_BYTES", block)
    # A fraction of a second has too many spellings to be had in pieces, where few are allowed.
    lines = data.splitlines(keepends=True)
    data = "".join(line for line in lines if spellings > 500 or "." not in line.split(",")[3])
    quick = members(evaluated(tmp_path, data, files=files))
    assert quick == members(evaluated(tmp_path, data, plain=False, files=files))
    assert quick[3] is not None
    assert quick[2] > 0
    assert 0 < sum(map(bool, quick[1].values())) <= len(LEAVES)


@pytest.mark.parametrize("at", ["2026-1-2T10:00:00", "2026-01-02 1:00", "2026-01-02T1:00:00", "2026-01-02T10:00:00 "])
def test_times_that_are_written_otherwise(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that do not stand where they usually do, and cells that are no times, are read the long way."""
    monkeypatch.setattr(cells, "_SPELLINGS_MAX", 2)
    data = f"{HEAD}{user_id(1)},,,{at},,\n" + "".join(f"{user_id(2)},,,2026-01-02T10:00:0{n},,\n" for n in range(2))
    leaves = [Leaf((Window(None, 1767366000_000000),), ())]
    with pytest.raises(TypeError):
        evaluated(tmp_path, data, leaves)
    result = evaluated(tmp_path, data, leaves, plain=False)
    assert (result.ids is None) == at.endswith(" ")


def test_spellings_that_share_a_slot_stay_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_slots", lambda words: np.zeros(len(words[0]), np.uint64))
    monkeypatch.setattr(shape, "_PLAIN_BYTES", 300)
    chance = random.Random(9)
    data = HEAD + "".join(a_row(chance, 20) for _ in range(300))
    assert members(evaluated(tmp_path, data)) == members(evaluated(tmp_path, data, plain=False))


def test_forged_ids_stay_apart(tmp_path: Path) -> None:
    """Ids that share their first half, or all but the last bit, each in several rows."""
    chance = random.Random(3)
    forged = [f"U{'ab' * 8}{low:016x}" for low in (*range(60), 2**64 - 1)] + [
        f"U{high:016x}{'0' * 16}" for high in range(9)
    ]
    rows = [f"{who},P1,,,,\n" for who in forged for _ in range(3)]
    chance.shuffle(rows)
    leaves = [Leaf((ColumnCompare("product", "=", "P1"),), (Times("exactly", 3),))]
    people, truth, _, _ = members(evaluated(tmp_path, HEAD + "".join(rows), leaves))
    assert people == sorted(forged)
    assert list(truth.values()) == [people]


def test_ids_in_order_beside_those_that_share_bits() -> None:
    chance = np.random.default_rng(4)
    high, low = chance.integers(0, 5, 500).astype(np.uint64), chance.integers(0, 9, 500).astype(np.uint64)
    high[::7] = chance.integers(0, 2**64, len(high[::7]), np.uint64)
    expected = np.lexsort((low, high))
    rows, ordered_high, ordered_low = in_ascending_order(high, low)
    assert rows.tolist() == ascending_order(high, low).tolist() == expected.tolist()
    assert (ordered_high.tolist(), ordered_low.tolist()) == (high[expected].tolist(), low[expected].tolist())


@pytest.mark.parametrize("row", ["{bad},,,,,\n", "{good},,,yesterday,,\n", "{good},,,,1e5,\n", "{good},,,,,yes\n"])
def test_what_is_wrong_is_told_as_ever(row: str, tmp_path: Path) -> None:
    """A fault is never decided on the short way."""
    good = [f"{user_id(n)},P,,2026-01-02,1,true\n" for n in range(40)]
    data = HEAD + "".join([*good, row.format(bad="U12", good=user_id(77)), *good])
    with pytest.raises(TypeError):
        evaluated(tmp_path, data)
    result = evaluated(tmp_path, data, plain=False)
    assert result.ids is None
    assert "42" in str(result.diagnostics[0].facts if hasattr(result.diagnostics[0], "facts") else result.diagnostics)


def test_many_leaves_of_one_shape(tmp_path: Path) -> None:
    values = [f"P{at}" for at in range(300)]
    data = HEAD + "".join(f"{user_id(at % 97)},{values[at % 300]},,2026-01-{1 + at % 28:02},,\n" for at in range(2_000))
    leaves = [Leaf((ColumnCompare("product", "=", value), Window(1767900000_000000, None)), ()) for value in values]
    assert members(evaluated(tmp_path, data, leaves)) == members(evaluated(tmp_path, data, leaves, plain=False))
