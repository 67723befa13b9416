"""Buckets depend on the salt and the id and on nothing else, and a second run hashes nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from data_helpers import AS_OF, engine, project, user_id

from audsql.data import buckets as data_buckets
from audsql.data.buckets import Buckets, between, extended, read_buckets
from audsql.data.dictionary import Dictionary, encode
from audsql.data.ids import Ids
from audsql.meaning.ir import Bucket, Uploaded, UploadSource, land, leaf, lnot
from audsql.meaning.splits import bucket_of

BUYERS, PHONES, OTHERS = Uploaded("buyers"), Uploaded("phones"), Uploaded("others")
SHOP = project(
    (
        UploadSource("buyers", "buyers.txt", "user_id"),
        UploadSource("others", "others.txt", "user_id"),
        UploadSource("phones", "phones.txt", "phone"),
    )
)
PEOPLE = [user_id(number) for number in range(1, 401)]
NUMBERS = [f"0901234{number:04}" for number in range(200)]


def expected(salt: str, ids: list[str], low: int, high: int) -> list[str]:
    found = []
    for one in ids:
        bucket = int(hashlib.sha256(f"{salt}:{one}".encode()).hexdigest()[:8], 16) % 10_000
        found += [one] if low <= bucket < high else []
    return sorted(found)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "buyers.txt").write_text("".join(f"{one}\n" for one in PEOPLE))
    (tmp_path / "others.txt").write_text(f"{user_id(900)}\n")
    (tmp_path / "phones.txt").write_text("".join(f"{one[:3]}-{one[3:7]}-{one[7:]}\n" for one in NUMBERS))
    return tmp_path


def members(root: Path, atom: Uploaded, bucket: Bucket, *beside: Uploaded) -> list[str]:
    used = engine(root, SHOP)
    found, problems = used.materialise([atom, bucket, *beside], AS_OF)
    assert problems == ()
    return list(used.members(used.evaluate(land(leaf(atom), leaf(bucket)), found.people)))


@pytest.mark.parametrize("salt", ["2026-12", "sample:春"])
def test_the_hash_is_the_one_of_the_language(shop: Path, salt: str) -> None:
    for low, high in ((0, 1000), (1000, 5500), (5500, 10_000), (0, 0), (0, 10_000)):
        bucket = Bucket(salt, low, high)
        assert members(shop, BUYERS, bucket) == expected(salt, PEOPLE, low, high)
        assert members(shop, PHONES, bucket) == expected(salt, NUMBERS, low, high)


def test_arms_stay_when_others_come_and_the_cache_goes(shop: Path) -> None:
    bucket = Bucket("s", 2000, 7000)
    first = members(shop, BUYERS, bucket)
    assert members(shop, BUYERS, bucket, OTHERS, PHONES) == first
    (shop / "others.txt").write_text("".join(f"{user_id(number)}\n" for number in range(5000, 5900)))
    engine(shop, SHOP).materialise([OTHERS], AS_OF)
    assert members(shop, BUYERS, bucket, OTHERS) == first
    for path in (shop / ".audsql" / "cache").rglob("*"):
        if path.is_file():
            path.unlink()
    assert members(shop, BUYERS, bucket) == first


def test_what_is_excluded_by_an_arm_stays_out(shop: Path) -> None:
    used = engine(shop, SHOP)
    bucket = Bucket("s", 0, 5000)
    found, _ = used.materialise([BUYERS, bucket], AS_OF)
    rest = used.evaluate(land(leaf(BUYERS), lnot(land(leaf(BUYERS), leaf(bucket)))), found.people)
    assert list(used.members(rest)) == expected("s", PEOPLE, 5000, 10_000)


def test_a_second_run_hashes_nothing(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket("s", 0, 5000)
    first = members(shop, BUYERS, bucket)
    monkeypatch.setattr(data_buckets, "_hashed", None)
    assert members(shop, BUYERS, bucket) == first
    assert members(shop, BUYERS, Bucket("s", 5000, 10_000)) == expected("s", PEOPLE, 5000, 10_000)
    with pytest.raises(TypeError):
        members(shop, BUYERS, Bucket("another salt", 0, 5000))


def test_only_what_is_new_is_hashed() -> None:
    people = Dictionary("user_id", b"k" * 32)
    numbers = encode(people, _ids(range(10)))
    known = extended(read_buckets(b""), people, "s", numbers[:4])
    assert extended(known, people, "s", numbers[:4]) is known
    more = extended(known, people, "s", numbers)
    assert (more.values != 0xFFFF).sum() == 10
    later = encode(people, _ids(range(10, 20)))
    wider = extended(more, people, "s", later)
    assert between(wider, later, 0, 10_000).tolist() == later.tolist()
    assert (wider.values[numbers] == more.values[numbers]).all()


def _ids(numbers: range) -> Ids:
    low = np.array(list(numbers), np.uint64)
    return Ids("user_id", np.zeros(len(low), np.uint64), low)


def test_two_implementations_agree() -> None:
    """The engine's and the one that tests of the language use."""
    people = Dictionary("user_id", b"k" * 32)
    numbers = encode(people, _ids(range(300)))
    found: Buckets = extended(read_buckets(b""), people, "x", numbers)
    assert found.values[numbers].tolist() == [bucket_of("x", user_id(number)) for number in range(300)]
