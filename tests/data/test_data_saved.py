"""Named sets read many at a time are those that are read one by one, whatever is kept of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from data_helpers import AS_OF, project, user_id

from audsql.data import cache as store
from audsql.data import saved
from audsql.data.duckdb import DuckEngine, open_engine
from audsql.data.erased import NOBODY_ERASED, Erased, digest_of_id, erased_of
from audsql.data.keys import Keys
from audsql.data.people import NOBODY, PeopleSet
from audsql.meaning.ir import Uploaded, UploadSource

KEYS = Keys((b"k" * 32,))
LISTS = 12
SHOP = project(
    (*(UploadSource(f"l{at}", f"l{at}.txt", "user_id") for at in range(LISTS)), UploadSource("m", "m.txt", "email"))
)
NAMES = [*(f"audience.l{at}" for at in range(LISTS)), "audience.m", "audience.nobody", "audience.unknown"]


def opened(root: Path, keys: Keys | None = None, erased: Erased = NOBODY_ERASED) -> DuckEngine:
    return open_engine(SHOP, root, root / ".audsql" / "cache", key=KEYS.current, keys=keys, erased=erased)


def save_all(root: Path, used: DuckEngine) -> None:
    for at in range(LISTS):
        people = range(at, 60 + 3 * at, 1 + at % 3)
        (root / f"l{at}.txt").write_text("".join(f"{user_id(one)}\n" for one in people), "utf-8")
    (root / "m.txt").write_text("a@example.com\nb@example.com\n", "utf-8")
    read, _ = used.materialise([Uploaded(one.name) for one in SHOP.uploads], AS_OF)
    for one in SHOP.uploads:
        found = read.people[Uploaded(one.name).key]
        assert isinstance(found, PeopleSet)
        used.save(f"audience.{one.name}", found)
    used.save("audience.nobody", NOBODY)


def one_by_one(used: DuckEngine) -> dict[str, Any]:
    return {name: told(used, used.load(name)) for name in NAMES}


def at_once(used: DuckEngine) -> dict[str, Any]:
    return {name: told(used, people) for name, people in used.loaded(NAMES)}


def told(used: DuckEngine, people: PeopleSet | None) -> Any:
    return None if people is None else (people.kind, list(used.members(people)), used.fingerprint(people))


def from_ids(monkeypatch: pytest.MonkeyPatch, root: Path, keys: Keys | None = None) -> list[str]:
    """The sets that are read from their ids, everything else from numbers that are kept."""
    read: list[str] = []
    original = DuckEngine.load

    def load(used: DuckEngine, name: str) -> PeopleSet | None:
        read.append(name)
        return original(used, name)

    with monkeypatch.context() as patch:
        patch.setattr(DuckEngine, "load", load)
        list(opened(root, keys).loaded(NAMES))
    return read


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are old enough to be believed at once."""
    monkeypatch.setattr(saved, "SETTLED_NANOSECONDS", 0)


@pytest.mark.parametrize("people_max", [0, 70, 1_000])
@pytest.mark.parametrize("keys", [None, KEYS])
def test_kept_numbers_are_the_people_of_the_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, people_max: int, keys: Keys | None
) -> None:
    monkeypatch.setattr(saved, "_PEOPLE_MAX", people_max)
    save_all(tmp_path, opened(tmp_path, keys))
    expected = one_by_one(opened(tmp_path, keys))
    assert expected["audience.unknown"] is None and len(expected["audience.l1"][1]) > 30
    for _ in range(3):
        assert at_once(opened(tmp_path, keys)) == expected
    # A set of no kind has no numbers.
    assert from_ids(monkeypatch, tmp_path, keys) == ["audience.nobody"]


def test_a_set_that_was_saved_again_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_all(tmp_path, opened(tmp_path))
    at_once(opened(tmp_path))
    used = opened(tmp_path)
    other = used.load("audience.l2")
    assert other is not None
    used.save("audience.l1", other)
    assert at_once(opened(tmp_path)) == one_by_one(opened(tmp_path))
    assert at_once(opened(tmp_path))["audience.l1"] == at_once(opened(tmp_path))["audience.l2"]


def test_what_was_written_just_now_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "SETTLED_NANOSECONDS", 1 << 62)
    save_all(tmp_path, opened(tmp_path))
    at_once(opened(tmp_path))
    assert len(from_ids(monkeypatch, tmp_path)) == len(NAMES) - 1


@pytest.mark.parametrize("harm", ["pack", "dictionary", "grown dictionary", "gone"])
def test_what_is_lost_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    save_all(tmp_path, opened(tmp_path))
    expected = one_by_one(opened(tmp_path))
    at_once(opened(tmp_path))
    cache = tmp_path / ".audsql" / "cache"
    match harm:
        case "pack":
            path = cache / "leaves" / store.entry_name("numbers")
            content = bytearray(path.read_bytes())
            content[-40] ^= 1
            path.write_bytes(bytes(content))
        case "dictionary":
            for path in cache.glob("people-*"):
                path.unlink()
        case "grown dictionary":
            (tmp_path / "l0.txt").write_text(f"{user_id(5_000)}\n", "utf-8")
            opened(tmp_path).materialise([Uploaded("l0")], AS_OF)
        case "gone":
            (cache / "sets" / store.entry_name("audience.l3")).unlink()
            expected["audience.l3"] = None
    for _ in range(2):
        assert at_once(opened(tmp_path)) == expected


def test_nobody_who_was_erased_comes_out_of_kept_numbers(tmp_path: Path) -> None:
    save_all(tmp_path, opened(tmp_path))
    at_once(opened(tmp_path))
    gone = user_id(30)
    erased = erased_of(KEYS, [digest_of_id(KEYS, "user_id", gone)])
    expected = one_by_one(opened(tmp_path, erased=erased))
    assert at_once(opened(tmp_path, erased=erased)) == expected
    assert not any(found is not None and gone in found[1] for found in expected.values())
