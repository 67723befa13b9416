"""Many atoms of one source are kept in one file, and no answer depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from data_helpers import AS_OF, engine, project, user_id

from audsql.data import cache as store
from audsql.data import duckdb, kept, tables
from audsql.data.duckdb import DuckEngine, open_engine
from audsql.data.erased import NOBODY_ERASED, Erased, digest_of_id, erased_of
from audsql.data.keys import KeyMissing, Keys
from audsql.meaning.ir import (
    Aggregate,
    Before,
    ColumnCompare,
    ColumnIn,
    Last,
    Rows,
    TableSource,
    Times,
    Uploaded,
    UploadSource,
)

PEOPLE = 90
TABLE = TableSource("orders", "orders.csv", (("user_id", "uid"),), "at")
SHOP = project((UploadSource("optout", "optout.txt", "user_id"),), (TABLE,))
KEYS = Keys((b"k" * 32,))
NEWER = Keys((b"n" * 32, b"k" * 32))
PRODUCTS = [Rows("orders", (ColumnIn("product", (f"P{number}",)),)) for number in range(40)]
WINDOWS = [Rows("orders", (ColumnIn("product", (f"P{number}",)), Last(3 + number % 9, "day"))) for number in range(40)]
MANY: list[Rows | Uploaded] = [*PRODUCTS, *WINDOWS, Uploaded("optout")]


def write(root: Path, shift: int = 0) -> None:
    rows = [
        f"{user_id(number)},P{(number * 7 + turn + shift) % 40},{number % 5},"
        f"2026-11-{1 + (number + turn) % 19:02}T12:00:00+09:00\n"
        for number in range(PEOPLE)
        for turn in range(4)
    ]
    (root / "orders.csv").write_text("uid,product,n,at\n" + "".join(rows), "utf-8")
    (root / "optout.txt").write_text("".join(f"{user_id(number)}\n" for number in range(0, PEOPLE, 7)), "utf-8")


def expected(root: Path, number: int) -> list[str]:
    """Who has a row of this product, from the file alone."""
    lines = (root / "orders.csv").read_text("utf-8").splitlines()[1:]
    return sorted({line.split(",")[0] for line in lines if line.split(",")[1] == f"P{number}"})


def members(used: DuckEngine, atoms: list[Rows | Uploaded] | None = None, days: int = 0) -> Mapping[str, list[str]]:
    atoms = [*MANY] if atoms is None else atoms
    found, problems = used.materialise(atoms, AS_OF + timedelta(days=days))
    assert problems == ()
    assert set(found.people) == {atom.key for atom in atoms}
    return {key: list(used.members(people)) for key, people in found.people.items()}


def packs(root: Path) -> list[Path]:
    return sorted((root / ".audsql/cache/leaves").glob("pack-*"))


def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the source was read")

    monkeypatch.setattr(duckdb, "read_table", refuse)
    monkeypatch.setattr(duckdb, "read_list", refuse)


def test_many_atoms_are_one_file_and_the_same_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    cold = members(engine(tmp_path, SHOP))
    assert [cold[atom.key] for atom in PRODUCTS] == [expected(tmp_path, number) for number in range(40)]
    assert len(packs(tmp_path)) == 1
    # The list, and the last time of the table.
    assert len(list((tmp_path / ".audsql/cache/leaves").iterdir())) == 3
    no_reading(monkeypatch)
    assert members(engine(tmp_path, SHOP)) == cold


def test_few_atoms_have_files_of_their_own(tmp_path: Path) -> None:
    write(tmp_path)
    few = members(engine(tmp_path, SHOP), list(PRODUCTS[:5]))
    assert packs(tmp_path) == []
    everything = members(engine(tmp_path, SHOP))
    assert {key: everything[key] for key in few} == few


def test_what_comes_later_goes_beside_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    first, second = members(engine(tmp_path, SHOP), list(PRODUCTS)), members(engine(tmp_path, SHOP), list(WINDOWS))
    no_reading(monkeypatch)
    assert members(engine(tmp_path, SHOP), [*PRODUCTS, *WINDOWS]) == {**first, **second}


def test_other_data_of_the_same_file_are_read(tmp_path: Path) -> None:
    write(tmp_path)
    members(engine(tmp_path, SHOP))
    write(tmp_path, shift=3)
    found = members(engine(tmp_path, SHOP))
    assert [found[atom.key] for atom in PRODUCTS] == [expected(tmp_path, number) for number in range(40)]
    assert len(packs(tmp_path)) == 2


@pytest.mark.parametrize("harm", ["turned", "cut", "empty", "gone"])
def test_a_damaged_pack_is_as_good_as_absent(tmp_path: Path, harm: str) -> None:
    write(tmp_path)
    cold = members(engine(tmp_path, SHOP))
    (pack,) = packs(tmp_path)
    content = pack.read_bytes()
    turned = bytearray(content)
    turned[len(content) // 2] ^= 1
    pack.write_bytes({"turned": bytes(turned), "cut": content[:-9], "empty": b"", "gone": b""}[harm])
    if harm == "gone":
        pack.unlink()
    assert members(engine(tmp_path, SHOP)) == cold
    assert packs(tmp_path) == [pack]
    assert store.read_entry(pack) is not None


def test_a_pack_of_a_lost_dictionary_is_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    cold = members(engine(tmp_path, SHOP))
    (tmp_path / ".audsql/cache/people-user_id").unlink()
    other = tmp_path / "first.txt"
    other.write_text("".join(f"{user_id(number)}\n" for number in range(80, 0, -3)), "utf-8")
    # Somebody else gets the numbers that the pack speaks of.
    numbered = project((UploadSource("first", "first.txt", "user_id"),))
    members(engine(tmp_path, numbered), [Uploaded("first")])
    assert members(engine(tmp_path, SHOP)) == cold


def test_large_sets_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_PEOPLE_MAX", 8)
    write(tmp_path)
    cold = members(engine(tmp_path, SHOP))
    large = sum(len(found) > 8 for key, found in cold.items() if key != "uploaded(optout)")
    assert 0 < large < len(MANY) - 33
    # Besides the large ones: the pack, the list and the last time.
    assert len(list((tmp_path / ".audsql/cache/leaves").iterdir())) == large + 3
    no_reading(monkeypatch)
    assert members(engine(tmp_path, SHOP)) == cold


def test_a_full_pack_keeps_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_ENTRIES_MAX", 50)
    write(tmp_path)
    first, second = members(engine(tmp_path, SHOP), list(PRODUCTS)), members(engine(tmp_path, SHOP), list(WINDOWS))
    (pack,) = packs(tmp_path)
    entry = store.read_entry(pack)
    assert entry is not None and len(entry.blocks) == 50
    assert members(engine(tmp_path, SHOP), [*PRODUCTS, *WINDOWS]) == {**first, **second}
    no_reading(monkeypatch)
    assert members(engine(tmp_path, SHOP), list(WINDOWS)) == second


def test_old_packs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_PACKS_KEPT_MAX", 2)
    for shift in range(4):
        write(tmp_path, shift)
        members(engine(tmp_path, SHOP))
    assert len(packs(tmp_path)) == 2


def test_a_pack_is_closed_under_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / ".audsql" / "cache"

    def opened(keys: Keys | None) -> DuckEngine:
        store.reseal(cache, keys)
        return open_engine(SHOP, tmp_path, cache, key=keys.current if keys else None, keys=keys)

    write(tmp_path)
    cold = members(opened(None))
    (pack,) = packs(tmp_path)
    assert b"utf-8" in pack.read_bytes()
    with monkeypatch.context() as patch:
        no_reading(patch)
        assert members(opened(KEYS)) == cold
        assert b"utf-8" not in pack.read_bytes()
        assert members(opened(NEWER)) == cold
    with pytest.raises(KeyMissing):
        kept.find(pack.parent, {}, "any", "x", None) or store.read_entry(pack, None)
    write(tmp_path, shift=1)
    members(opened(NEWER))
    assert all(b"utf-8" not in one.read_bytes() for one in packs(tmp_path))


def test_nobody_who_was_erased_comes_out_of_a_pack(tmp_path: Path) -> None:
    def opened(erased: Erased) -> DuckEngine:
        return open_engine(SHOP, tmp_path, tmp_path / ".audsql" / "cache", key=KEYS.current, erased=erased)

    write(tmp_path)
    before = members(opened(NOBODY_ERASED))
    gone = user_id(14)
    assert sum(gone in found for found in before.values()) > 1
    erased = erased_of(KEYS, [digest_of_id(KEYS, "user_id", gone)])
    after = members(opened(erased))
    assert after == {key: [one for one in found if one != gone] for key, found in before.items()}


def test_few_rows_and_many_rows_are_asked_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conditions = []
    for number in range(20):
        more = ColumnCompare("n", ">", Decimal(number % 5))
        conditions.append(Rows("orders", (more,), (Times("at least", 1 + number % 4),)))
        early = Before(AS_OF - timedelta(days=number))
        conditions.append(Rows("orders", (early,), (Aggregate("sum", "n", ">=", Decimal(number)),)))
    atoms = [*PRODUCTS, *WINDOWS, *conditions]
    found = []
    for records in (0, tables._FEW_RECORDS):
        monkeypatch.setattr(tables, "_FEW_RECORDS", records)
        root = tmp_path / str(records)
        root.mkdir()
        write(root)
        found.append(members(engine(root, SHOP), list(atoms)))
    assert found[0] == found[1]
    assert any(0 < len(people) < PEOPLE for people in found[0].values())


def test_another_day_is_another_answer(tmp_path: Path) -> None:
    write(tmp_path)
    today = members(engine(tmp_path, SHOP), list(WINDOWS))
    later = members(engine(tmp_path, SHOP), list(WINDOWS), days=9)
    alone = tmp_path / "alone"
    alone.mkdir()
    write(alone)
    assert later == members(engine(alone, SHOP), list(WINDOWS), days=9)
    assert later != today
