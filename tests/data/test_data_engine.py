"""The engine: the cache never changes an answer, people never merge, files outside stay outside."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from data_helpers import AS_OF, codes, engine, project, told, user_id

from audsql.data import cache as store
from audsql.data.content import Content, open_file
from audsql.data.dictionary import Dictionary, encode, encode_sets, flush, id_texts, lookup, open_dictionary
from audsql.data.engine import Engine, EngineFailure
from audsql.data.exclusions import empty_exclusions, excluded_atoms
from audsql.data.ids import Ids
from audsql.diag import Diagnostic
from audsql.meaning.ir import (
    EVERYBODY,
    NOBODY,
    ColumnIn,
    Last,
    Rows,
    TableSource,
    Uploaded,
    UploadSource,
    land,
    leaf,
    lnot,
    lor,
)

BUYERS, OPTOUT = Uploaded("buyers"), Uploaded("optout")
A, B, C, D = (user_id(number) for number in (10, 11, 12, 13))
MAKER = Path(__file__).parents[1] / "fixtures" / "make_f1000.py"


@pytest.fixture(scope="module")
def f1000(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("f1000")
    subprocess.run([sys.executable, MAKER, root], check=True)
    return root


SHOP = project(
    (UploadSource("buyers", "data/buyers.txt", "user_id"), UploadSource("optout", "data/optout.txt", "user_id")),
    (TableSource("orders", "data/orders.csv", (("user_id", "user_id"),), "ordered_at"),),
)
PURCHASED_A = Rows("orders", (ColumnIn("product", ("A",)),))


def test_founding_sentence(f1000: Path) -> None:
    expected = [user_id(i) for i in range(1, 1001) if i % 4 == 0 and i % 7]
    for _ in ("cold", "warm"):
        used: Engine = engine(f1000, SHOP)
        found, problems = used.materialise([PURCHASED_A, BUYERS], AS_OF)
        people = used.evaluate(land(leaf(PURCHASED_A), lnot(leaf(BUYERS))), found.people)
        assert problems == ()
        assert used.count(people) == 215
        assert list(used.members(people)) == expected


def test_windows_end_at_as_of(f1000: Path) -> None:
    recent = Rows("orders", (ColumnIn("product", ("A",)), Last(90, "day")))
    hours = Rows("orders", (Last(36, "hour"),))
    for moment, days in ((AS_OF, 0), (AS_OF - timedelta(days=30, hours=5), 30), (AS_OF + timedelta(days=1), -1)):
        used = engine(f1000, SHOP)
        found, _ = used.materialise([recent, hours], moment)
        counts = [used.count(found.people[atom.key]) for atom in (recent, hours)]
        midnight = (moment - timedelta(hours=moment.hour, minutes=moment.minute)) - timedelta(days=90)
        times = [(i, AS_OF - timedelta(days=i % 500, hours=12)) for i in range(1, 1001)]
        assert counts[0] == sum(i % 4 == 0 and midnight <= time < moment for i, time in times), days
        assert counts[1] == sum(
            (i % 4 == 0 or i % 6 == 0) and moment - timedelta(hours=36) <= time < moment for i, time in times
        )


def lists(root: Path, buyers: bytes, optout: bytes = b"") -> None:
    (root / "data").mkdir(exist_ok=True)
    (root / "data/buyers.txt").write_bytes(buyers)
    (root / "data/optout.txt").write_bytes(optout)


def lines(*ids: str) -> bytes:
    return "".join(f"{one}\n" for one in ids).encode()


# --- the cache ----------------------------------------------------------------------------------------


def entries(root: Path) -> list[Path]:
    return sorted(path for path in (root / ".audsql/cache").rglob("*") if path.is_file() and path.name != ".gitignore")


def test_damage_is_noticed(tmp_path: Path) -> None:
    lists(tmp_path, lines(A, B), lines(B, C))
    first = engine(tmp_path, SHOP)
    found, _ = first.materialise([BUYERS, OPTOUT], AS_OF)
    first.save("sent", found.people[BUYERS.key])
    kept = {path: path.read_bytes() for path in entries(tmp_path)}
    assert len(kept) == 5
    for path, data in kept.items():
        for at in {0, 9, 45, len(data) // 2, len(data) - 1}:
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            check_members(tmp_path, "sets" in path.parts)
            for other, was in kept.items():
                other.write_bytes(was)
        for damaged in (b"", data[:40], data[:-1], data + b"x"):
            path.write_bytes(damaged)
            check_members(tmp_path, "sets" in path.parts)
            for other, was in kept.items():
                other.write_bytes(was)


def check_members(root: Path, set_is_damaged: bool) -> None:
    used = engine(root, SHOP)
    found, problems = used.materialise([BUYERS, OPTOUT], AS_OF)
    assert problems == ()
    assert [list(used.members(found.people[atom.key])) for atom in (BUYERS, OPTOUT)] == [[A, B], [B, C]]
    loaded = used.load("sent")
    assert (loaded is None) == set_is_damaged
    assert loaded is None or list(used.members(loaded)) == [A, B]


def test_rebuilt_dictionary_does_not_renumber_people(tmp_path: Path) -> None:
    lists(tmp_path, lines(A, B), lines(C))
    first = engine(tmp_path, SHOP)
    found, _ = first.materialise([BUYERS], AS_OF)
    first.save("sent", found.people[BUYERS.key])
    (tmp_path / ".audsql/cache/people-user_id").unlink()
    second = engine(tmp_path, SHOP)
    second.materialise([OPTOUT], AS_OF)  # C is now number 0
    found, _ = second.materialise([BUYERS], AS_OF)
    assert list(second.members(found.people[BUYERS.key])) == [A, B]
    loaded = second.load("sent")
    assert loaded is not None
    assert list(second.members(loaded)) == [A, B]


def test_processes_side_by_side_do_not_mix_people(tmp_path: Path) -> None:
    lists(tmp_path, lines(A, B), lines(C, D))
    left, right = engine(tmp_path, SHOP), engine(tmp_path, SHOP)
    left.load("nothing"), right.load("nothing")
    people_left = left.materialise([BUYERS], AS_OF)[0].people[BUYERS.key]
    people_right = right.materialise([OPTOUT], AS_OF)[0].people[OPTOUT.key]
    again_left = left.materialise([OPTOUT], AS_OF)[0].people[OPTOUT.key]
    again_right = right.materialise([BUYERS], AS_OF)[0].people[BUYERS.key]
    assert [list(left.members(one)) for one in (people_left, again_left)] == [[A, B], [C, D]]
    assert [list(right.members(one)) for one in (again_right, people_right)] == [[A, B], [C, D]]
    third = engine(tmp_path, SHOP)
    found, _ = third.materialise([BUYERS, OPTOUT], AS_OF)
    assert [list(third.members(found.people[atom.key])) for atom in (BUYERS, OPTOUT)] == [[A, B], [C, D]]


def test_cache_belongs_to_its_owner(tmp_path: Path) -> None:
    lists(tmp_path, lines(A))
    used = engine(tmp_path, SHOP)
    found, _ = used.materialise([BUYERS], AS_OF)
    used.save("sent", found.people[BUYERS.key])
    used.fingerprint(found.people[BUYERS.key])
    folder = tmp_path / ".audsql/cache"
    assert (folder / ".gitignore").read_text() == "*\n"
    for path in [folder, *folder.rglob("*")]:
        if path.name != ".gitignore":
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_unwritable_cache_is_a_warning_for_lists(tmp_path: Path) -> None:
    lists(tmp_path, lines(A, B))
    (tmp_path / ".audsql").write_text("a file where the folder should be")
    used = engine(tmp_path, SHOP)
    found, problems = used.materialise([BUYERS], AS_OF)
    assert (codes(problems), problems[0].severity) == (["AUD1048"], "warning")
    assert list(used.members(found.people[BUYERS.key])) == [A, B]
    with pytest.raises(EngineFailure) as failure:
        used.save("sent", found.people[BUYERS.key])
    assert failure.value.diagnostic.code == "AUD1047"


def test_named_sets(tmp_path: Path) -> None:
    lists(tmp_path, lines(A, B))
    used = engine(tmp_path, SHOP)
    assert used.load("sent") is None
    found, _ = used.materialise([BUYERS], AS_OF)
    used.save("sent", found.people[BUYERS.key])
    used.save("nobody", used.evaluate(NOBODY, {}))
    used.save("../../escape", found.people[BUYERS.key])
    other = engine(tmp_path, SHOP)
    for name, count in (("sent", 2), ("nobody", 0), ("../../escape", 2)):
        loaded = other.load(name)
        assert loaded is not None
        assert other.count(loaded) == count
    assert not (tmp_path / "escape").exists()


def test_phones_are_kept_too(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("090-1234-5678\n0312345678\n")
    of = project((UploadSource("p", "p.txt", "phone"),))
    atom = Uploaded("p")
    for _ in ("cold", "warm"):
        used = engine(tmp_path, of)
        found, _ = used.materialise([atom], AS_OF)
        assert list(used.members(found.people[atom.key])) == ["0312345678", "09012345678"]
        used.save("p", found.people[atom.key])
    loaded = engine(tmp_path, of).load("p")
    assert loaded is not None


# --- pinned digests -----------------------------------------------------------------------------------


def test_pinned_digest_is_taken_from_the_cache(tmp_path: Path) -> None:
    lists(tmp_path, lines(A, B))
    used = engine(tmp_path, SHOP)
    found, _ = used.materialise([BUYERS], AS_OF)
    pinned = {"buyers": found.digests[BUYERS.key]}
    lists(tmp_path, lines(C))
    for other in (used, engine(tmp_path, SHOP)):
        then, problems = other.materialise([BUYERS], AS_OF, pinned)
        assert problems == ()
        assert list(other.members(then.people[BUYERS.key])) == [A, B]
        assert (then.digests[BUYERS.key], then.sources["buyers"].modified) == (pinned["buyers"], None)
    (tmp_path / "data/buyers.txt").unlink()
    assert BUYERS.key in engine(tmp_path, SHOP).materialise([BUYERS], AS_OF, pinned)[0].people


def test_pinned_digest_that_nobody_has_is_left_out(tmp_path: Path) -> None:
    lists(tmp_path, lines(A, B), lines(C))
    used = engine(tmp_path, SHOP)
    found, problems = used.materialise([BUYERS, OPTOUT], AS_OF, {"buyers": "0" * 64})
    assert (problems, set(found.people), set(found.sources)) == ((), {OPTOUT.key}, {"optout"})
    # The file still is what was pinned: the cache is not needed.
    digest = used.materialise([BUYERS], AS_OF)[0].digests[BUYERS.key]
    for path in entries(tmp_path):
        path.unlink()
    found, problems = engine(tmp_path, SHOP).materialise([BUYERS], AS_OF, {"buyers": digest})
    assert (problems, set(found.people)) == ((), {BUYERS.key})


def test_digest_follows_bytes_and_declaration(tmp_path: Path) -> None:
    lists(tmp_path, lines(A), lines(A))
    used = engine(tmp_path, SHOP)
    first = used.materialise([BUYERS, OPTOUT], AS_OF)[0].digests
    assert first[BUYERS.key] == first[OPTOUT.key]
    as_members = project((UploadSource("buyers", "data/buyers.txt", "member_id"),))
    assert engine(tmp_path, as_members).materialise([BUYERS], AS_OF)[0].digests[BUYERS.key] != first[BUYERS.key]
    lists(tmp_path, lines(A, B))
    assert used.materialise([BUYERS], AS_OF)[0].digests[BUYERS.key] != first[BUYERS.key]


# --- where files may lie --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("../secret.txt", "AUD1003"),
        ("data/../../secret.txt", "AUD1003"),
        ("data/../inside.txt", "AUD1003"),
        ("/etc/hosts.txt", "AUD1003"),
        ("C:\\secret.txt", "AUD1003"),
        ("..\\secret.txt", "AUD1003"),
        ("link.txt", "AUD1003"),
        ("linked/secret.txt", "AUD1003"),
        ("loop.txt", "AUD1003"),
        ("missing.txt", "AUD1001"),
        ("folder.txt", "AUD1002"),
        ("pipe.txt", "AUD1007"),
        ("https://example.jp/a.txt", "AUD1004"),
        ("data/*.txt", "AUD1061"),
        ("data/a.parquet", "AUD1004"),
        ("data/a.jsonl", "AUD1004"),
        ("data/a.json", "AUD1004"),
        ("data/a", "AUD1004"),
        ("inside.txt", None),
        ("good.txt", None),
    ],
)
@pytest.mark.threat("T54")
def test_paths(file: str, code: str | None, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("x")
    (root / "inside.txt").write_text("x")
    (root / "folder.txt").mkdir()
    os.mkfifo(root / "pipe.txt")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "good.txt").symlink_to(root / "inside.txt")
    (root / "loop.txt").symlink_to(root / "loop.txt")
    (root / "linked").symlink_to(tmp_path)
    read = open_file(root, file, (".csv", ".txt"), None)
    if code is None:
        assert isinstance(read, Content)
    else:
        assert isinstance(read, Diagnostic)
        assert read.code == code


@pytest.mark.threat("T52")
def test_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x\n")
    sizes = iter((2, 3))
    real = os.fstat

    def growing(descriptor: int) -> os.stat_result:
        values = list(real(descriptor))
        values[6] = next(sizes, 2)
        return os.stat_result(values)

    monkeypatch.setattr("audsql.data.content.os.fstat", growing)
    read = open_file(tmp_path, "a.txt", (".txt",), None)
    assert isinstance(read, Diagnostic)
    assert read.code == "AUD1031"


# --- the dictionary -------------------------------------------------------------------------------------


def ids_of(*numbers: int) -> Ids:
    words = [(number >> 64, number & (2**64 - 1)) for number in numbers]
    return Ids("user_id", *(np.array([word[at] for word in words], np.uint64) for at in (0, 1)))


def test_forged_prefixes_stay_two_people() -> None:
    dictionary = Dictionary("user_id", bytes(32))
    forged = [(7 << 64) + low for low in (1, 2, 3)] + [(high << 64) + 7 for high in (1, 2, 3)]
    numbers = encode(dictionary, ids_of(*forged))
    assert len(set(numbers.tolist())) == 6
    assert encode(dictionary, ids_of(*forged)).tolist() == numbers.tolist()
    assert id_texts(dictionary, numbers) == sorted(map(user_id, forged))


def crowded(count: int, start: int) -> list[int]:
    """Ids that share one half or the leading bits of it with all others."""
    sharing = [(7 << 64) + (start + at) * 0x9E3779B97F4A7C15 % 2**64 for at in range(count)]
    sharing += [((start + at) << 64) + 7 for at in range(count)]
    return sharing + [((2**63 + start + at) << 64) + at for at in range(count)]


@pytest.mark.threat("T40")
def test_ids_that_crowd_stay_different_people() -> None:
    dictionary = Dictionary("user_id", bytes(32))
    numbers: dict[int, int] = {}
    for step in range(6):
        # Some are known, some are new, all stand twice; far more share a half than are walked past one by one.
        batch = crowded(400, step * 150)
        codes = encode(dictionary, ids_of(*batch, *batch)).tolist()
        for number, code in zip([*batch, *batch], codes, strict=True):
            assert numbers.setdefault(number, code) == code
    assert len(set(numbers.values())) == len(numbers) == len(dictionary)
    assert len(dictionary.runs) < 6
    everybody = np.arange(len(dictionary), dtype=np.uint32)
    assert id_texts(dictionary, everybody) == sorted(map(user_id, numbers))
    strangers = [number ^ 1 << bit for number in crowded(40, 0) for bit in (0, 64) if number ^ 1 << bit not in numbers]
    assert set(lookup(dictionary, ids_of(*strangers))) == {None}


@pytest.mark.threat("T40")
@pytest.mark.parametrize("forged", [False, True])
def test_sets_are_numbered_at_once_as_one_by_one(forged: bool) -> None:
    chance = random.Random(7)
    everybody = [chance.getrandbits(128) for _ in range(3_000)] + (crowded(200, 0) if forged else [])
    sets = [sorted(chance.sample(everybody, size)) for size in (0, 1, 40, 900, 2_500)]
    dictionary = Dictionary("user_id", bytes(32))
    encode(dictionary, ids_of(*everybody[:100]))
    words = [(one.high, one.low) for one in (ids_of(*people) for people in sets)]
    for _ in range(2):
        found = encode_sets(dictionary, words)
        for people, numbers in zip(sets, found, strict=True):
            assert encode(dictionary, ids_of(*people)).tolist() == numbers.tolist()
            assert id_texts(dictionary, np.sort(numbers)) == list(map(user_id, people))
    assert len(dictionary) == len({*everybody[:100], *(one for people in sets for one in people)})


def test_dictionary_survives_its_file(tmp_path: Path) -> None:
    for kind in ("user_id", "member_id"):
        dictionary = open_dictionary(tmp_path, kind)
        none = np.empty(0, np.uint64)
        first = ids_of(5, 9, 5) if kind == "user_id" else Ids(kind, none, none, ("い", "a", "い"))
        numbers = encode(dictionary, first).tolist()
        assert numbers[0] == numbers[2] != numbers[1]
        epoch = flush(dictionary, tmp_path)
        assert flush(dictionary, tmp_path) == epoch
        again = open_dictionary(tmp_path, kind)
        assert encode(again, first).tolist() == numbers
        assert id_texts(again, np.array(sorted(set(numbers)), np.uint32)) == id_texts(
            dictionary, np.array(sorted(set(numbers)), np.uint32)
        )
        more = ids_of(1) if kind == "user_id" else Ids(kind, none, none, ("z",))
        encode(again, more)
        assert flush(again, tmp_path) != epoch
        assert epoch in open_dictionary(tmp_path, kind).epochs


# --- fingerprints ----------------------------------------------------------------------------------------


def test_fingerprints(tmp_path: Path) -> None:
    def shown(folder: str, buyers: bytes, optout: bytes, key: bytes | None = b"k" * 32) -> list[str]:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        lists(root, buyers, optout)
        used = engine(root, SHOP, key)
        found, _ = used.materialise([OPTOUT, BUYERS] if folder == "b" else [BUYERS, OPTOUT], AS_OF)
        return [used.fingerprint(found.people[atom.key]) for atom in (BUYERS, OPTOUT)]

    first = shown("a", lines(A, B, C), lines(D))
    assert shown("b", lines(C, A, B), lines(D)) == first
    assert shown("c", lines(A, B), lines(D))[0] != first[0]
    assert shown("d", lines(A, B, C), lines(D), b"l" * 32)[0] != first[0]
    assert len({*shown("e", b"", b"")}) == 1
    # The key of the cache is made once.
    assert shown("f", lines(A), b"", None) == shown("f", lines(A), b"", None)
    assert shown("g", lines(A), b"", None)[0] != shown("f", lines(A), b"", None)[0]
    (tmp_path / "f/.audsql/cache/key").write_bytes(b"short")
    for root, key in (("f", None), ("a", b"short")):
        with pytest.raises(EngineFailure) as failure:
            shown(root, lines(A), b"", key)
        assert failure.value.diagnostic.code == "AUD1049"


def test_key_is_made_once(tmp_path: Path) -> None:
    assert store.load_key(tmp_path) == store.load_key(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


# --- sets ------------------------------------------------------------------------------------------------


def test_union_and_delta(tmp_path: Path) -> None:
    lists(tmp_path, lines(A, B), lines(B, C))
    used = engine(tmp_path, SHOP)
    found, _ = used.materialise([BUYERS, OPTOUT], AS_OF)
    buyers, optout = found.people[BUYERS.key], found.people[OPTOUT.key]
    assert list(used.members(used.union(buyers, optout))) == [A, B, C]
    entering, leaving = used.delta(buyers, optout)
    assert (list(used.members(entering)), list(used.members(leaving))) == ([C], [A])
    assert used.count(used.evaluate(NOBODY, {})) == 0
    for outside in (EVERYBODY, lnot(leaf(BUYERS)), lor(leaf(OPTOUT), lnot(leaf(BUYERS)))):
        with pytest.raises(ValueError, match="no list names"):
            used.evaluate(outside, found.people)


def test_sets_of_different_ids_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lists(tmp_path, lines(A))
    (tmp_path / "m.txt").write_text("m1\n")
    used = engine(tmp_path, project((*SHOP.uploads, UploadSource("m", "m.txt", "member_id"))))
    found, _ = used.materialise([BUYERS, Uploaded("m")], AS_OF)
    with pytest.raises(ValueError, match="different ids"):
        used.evaluate(land(leaf(BUYERS), leaf(Uploaded("m"))), found.people)


@pytest.mark.threat("T35", "T48")
def test_an_empty_exclusion_is_an_error(tmp_path: Path) -> None:
    lists(tmp_path, lines(A), b"")
    used = engine(tmp_path, SHOP)
    found, problems = used.materialise([BUYERS, OPTOUT], AS_OF)
    assert codes(problems) == ["AUD1005"]
    kept = land(leaf(BUYERS), lnot(leaf(OPTOUT)))
    assert codes(empty_exclusions(SHOP, kept, found.sources)) == ["AUD1050"]
    assert told(empty_exclusions(SHOP, kept, found.sources)[0]) == {"name": "optout", "file": "data/optout.txt"}
    assert empty_exclusions(SHOP, lor(leaf(BUYERS), leaf(OPTOUT)), found.sources) == ()
    allowed = project((SHOP.uploads[0], UploadSource("optout", "data/optout.txt", "user_id", allow_empty=True)))
    assert empty_exclusions(allowed, kept, found.sources) == ()


def test_excluded_atoms_are_under_odd_negations() -> None:
    inner = land(leaf(BUYERS), lnot(land(leaf(OPTOUT), lnot(leaf(PURCHASED_A)))))
    assert excluded_atoms(inner) == (OPTOUT,)
    assert excluded_atoms(lnot(inner)) == tuple(sorted((BUYERS, PURCHASED_A), key=lambda atom: atom.key))


def test_one_broken_source_leaves_the_others(tmp_path: Path) -> None:
    lists(tmp_path, b"nonsense\n", lines(C))
    used = engine(tmp_path, SHOP)
    found, problems = used.materialise([BUYERS, OPTOUT, PURCHASED_A], AS_OF)
    assert codes(problems) == ["AUD1001", "AUD1012"]
    assert set(found.people) == {OPTOUT.key}
