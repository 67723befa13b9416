"""What makes large data quick changes no answer: bulk reading, matching, what expressions share, files left unread."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from data_helpers import AS_OF, engine, project, user_id
from pyroaring import BitMap

from audsql.data import duckdb, stamps
from audsql.data.dictionary import Dictionary, encode, flush, id_texts, open_dictionary
from audsql.data.duckdb import open_engine
from audsql.data.ids import Ids, user_id_texts
from audsql.data.matching import ABSENT, ascending_order, distinct, find, index_of, union
from audsql.data.people import Memo, PeopleSet, bits_of, evaluate
from audsql.data.texts import Texts
from audsql.data.userids import read_lines, written_lines
from audsql.meaning import ir
from audsql.meaning.ir import Expression, Uploaded, UploadSource, land, leaf, lnot, lor

A, B, C = (user_id(number) for number in (10, 11, 12))


def words(people: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.array([one >> shift & 2**64 - 1 for one in people], np.uint64) for shift in (64, 0))  # type: ignore[return-value]


def people_of(high: np.ndarray, low: np.ndarray) -> list[int]:
    return [(first << 64) + second for first, second in zip(high.tolist(), low.tolist(), strict=True)]


# --- lines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3, 9_000])
def test_lines_are_read_and_written_in_bulk(count: int) -> None:
    chance = random.Random(count)
    people = [chance.getrandbits(128) for _ in range(count)]
    high, low = words(people)
    text = "".join(f"{user_id(one)}\n" for one in people).encode()
    assert b"".join(written_lines(high, low)) == text
    for data in (text, text.removesuffix(b"\n"), text.replace(b"\n", b"\r\n"), text.replace(b"\n", b"\r\n")[:-2]):
        read = read_lines(data)
        assert read is not None
        assert people_of(*read) == people[: len(people) if data else 0]


def test_only_whole_lines_of_good_ids_are_read_in_bulk() -> None:
    good = f"{A}\n{B}\n{C}\n".encode()
    assert read_lines(good) is not None
    near = {*b"/09:@AFGU`afgu\n\r\0\x8d\xb0\xff"}
    for at in range(len(good)):
        for byte in ({*range(256)} if at in (34, 35, 50, 66, 67) else near) - {good[at]}:
            wrong = good[:at] + bytes([byte]) + good[at + 1 :]
            read = read_lines(wrong)
            hexadecimal = at % 34 not in (0, 33) and byte in b"0123456789abcdef"
            # Another good id is another person.
            assert (read is not None) == hexadecimal, (at, byte)
            assert read is None or user_id_texts(*read) == wrong.decode().split()
    for wrong in (good[:-2], good[1:], good + b"\n", good + b"\r", b"\n" + good, good.replace(b"\n", b"\r\n", 1)):
        assert read_lines(wrong) is None


# --- matching -------------------------------------------------------------------------------------------


def drawn(chance: random.Random, crowded: bool) -> list[int]:
    """Ids that are spread, or that crowd in one half or in the leading bits."""
    if not crowded:
        return [chance.getrandbits(128) for _ in range(chance.randrange(1, 400))]
    return [
        chance.choice((chance.getrandbits(6) << 64, 5 << 64, chance.getrandbits(70))) + chance.getrandbits(7)
        for _ in range(chance.randrange(1, 400))
    ]


@pytest.mark.threat("T40")
@pytest.mark.parametrize("crowded", [False, True])
def test_matching_is_exact(crowded: bool) -> None:
    chance = random.Random(crowded)
    for _ in range(20):
        sets = [sorted(set(drawn(chance, crowded))) for _ in range(chance.randrange(1, 5))]
        for people in sets:
            shuffled = chance.sample(people, len(people)) + people[:3]
            high, low = words(shuffled)
            order = ascending_order(high, low)
            assert people_of(*distinct(high[order], low[order])) == people
        joined = union([words(people) for people in sets])
        everybody = sorted({one for people in sets for one in people})
        assert people_of(joined.high, joined.low) == everybody
        for people, places in zip(sets, joined.places, strict=True):
            assert [everybody[place] for place in places.tolist()] == people
        asked = sorted([*everybody[::3], *drawn(chance, crowded)])
        expected = [everybody.index(one) if one in everybody else int(ABSENT) for one in asked]
        for index in (None, index_of(joined.high)):
            assert find((joined.high, joined.low), index, *words(asked)).tolist() == expected


# --- the dictionary -------------------------------------------------------------------------------------


def test_a_dictionary_grows_by_a_file_and_joins_files_of_like_size(tmp_path: Path) -> None:
    """What one more person costs does not depend on how many are known."""
    chance = random.Random(1)
    everybody: list[int] = []
    numbers: dict[int, int] = {}
    files: list[set[str]] = []
    for size in (4_000, 1, 1, 1, 30, 200, 3_000, 1):
        dictionary = open_dictionary(tmp_path, "user_id")
        new = [chance.getrandbits(128) for _ in range(size)]
        everybody += new
        high, low = words(everybody)
        for one, number in zip(everybody, encode(dictionary, Ids("user_id", high, low)).tolist(), strict=True):
            assert numbers.setdefault(one, number) == number
        flush(dictionary, tmp_path)
        files.append({run.name for run in dictionary.runs})
        shown = id_texts(dictionary, np.arange(len(dictionary), dtype=np.uint32))
        assert shown == [user_id(one) for one in sorted(everybody)]
    first = files[0]
    assert all(first <= after for after in files[:6]), "the first file stays while little is added"
    assert not first <= files[6], "as many again are joined to it"
    assert max(map(len, files)) <= 8
    assert len(numbers) == len(everybody) == len(set(numbers.values()))


def test_a_dictionary_without_one_of_its_files_is_none(tmp_path: Path) -> None:
    dictionary = open_dictionary(tmp_path, "email")
    none = np.empty(0, np.uint64)
    encode(dictionary, Ids("email", none, none, ("a@example.jp", "b@example.jp")))
    epoch = flush(dictionary, tmp_path)
    assert epoch in open_dictionary(tmp_path, "email").epochs
    next(tmp_path.glob("people-email.*")).unlink()
    assert open_dictionary(tmp_path, "email").epochs == []


def test_texts_in_a_buffer() -> None:
    texts = Texts()
    wanted: list[str] = []
    for step in range(20):
        more = [f"{'é' * (step % 3)}{number}" for number in range(step)]
        texts.add([one.encode() for one in more])
        wanted += more
    assert [texts[at] for at in range(len(texts))] == wanted
    block, lengths = texts.block(5, 60)
    again = Texts()
    again.add_block(block.tobytes(), lengths)
    assert again.of(range(len(again))) == texts.of(range(5, 60))
    texts.blank([0, 7])
    assert [texts[at] for at in (0, 1, 7, 8)] == ["", wanted[1], "", wanted[8]]
    assert len(texts) == len(wanted)


# --- what expressions share -----------------------------------------------------------------------------


def test_what_expressions_share_changes_no_answer() -> None:
    chance = random.Random(3)
    atoms = [Uploaded(f"u{number}") for number in range(6)]

    def drawn_set() -> PeopleSet:
        return PeopleSet("user_id", BitMap(chance.sample(range(40), chance.randrange(30))))

    def tree(size: int) -> Expression:
        if size == 0:
            return leaf(chance.choice(atoms))
        left, right = tree(chance.randrange(size)), tree(chance.randrange(size))
        return chance.choice((land(left, right), lor(left, right), land(left, lnot(right)), lnot(left)))

    shared = 0
    for _ in range(15):
        sets = {atom.key: drawn_set() for atom in atoms}
        # One that forgets all the time, and one that never does.
        memo = Memo(chance.choice([5, 10**9]))
        for _ in range(40):
            expression = tree(chance.randrange(5))
            if ir.evaluate(expression, frozenset()):
                with pytest.raises(ValueError, match="no list names"):
                    evaluate(expression, sets, memo=memo)
                continue
            inside = {
                one for one in range(40) if ir.evaluate(expression, {key for key in sets if one in sets[key].bits})
            }
            assert set(evaluate(expression, sets, memo=memo).bits) == inside
            shared += bool(memo.results)
            if chance.random() < 0.1:
                # Another set under the same name.
                sets[chance.choice(atoms).key] = drawn_set()
    assert shared > 200


def test_numbers_in_any_order_are_a_set() -> None:
    assert list(bits_of(np.array([5, 1, 70_000, 5], np.uint32))) == [1, 5, 70_000]


# --- files that are as they were ------------------------------------------------------------------------

LIST = project((UploadSource("people", "list.txt", "user_id"),))
PEOPLE = Uploaded("people")


def read(root: Path) -> list[str]:
    used = engine(root, LIST)
    found, problems = used.materialise([PEOPLE], AS_OF)
    assert problems == ()
    return list(used.members(found.people[PEOPLE.key]))


def settled(path: Path) -> None:
    """The file as it looks once nobody has touched it for a while."""
    long_ago = path.stat().st_mtime - 3_600
    os.utime(path, (long_ago, long_ago))


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were opened, where times of change lie as far back as those of modification."""
    opened: list[str] = []
    original, stamp_of = duckdb.source_content, stamps.stamp_of

    def watched(root: Path, declared: object, *rest: object) -> object:
        opened.append(declared.file)  # type: ignore[attr-defined]
        return original(root, declared, *rest)  # type: ignore[arg-type]

    def back(root: Path, file: str) -> stamps.Stamp | None:
        stamp = stamp_of(root, file)
        return stamp and stamps.Stamp((*stamp.values[:4], stamp.values[4] - 3_600_000_000_000))

    monkeypatch.setattr(duckdb, "source_content", watched)
    monkeypatch.setattr(duckdb, "stamp_of", back)
    return opened


def test_a_file_that_is_as_it_was_is_not_read_again(tmp_path: Path, readings: list[str]) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{A}\n{B}\n")
    settled(path)
    assert [read(tmp_path) for _ in range(3)] == [[A, B]] * 3
    assert len(readings) == 1
    # Nor is it where another file of the same bytes and times takes its place: but then it is looked at.
    again = tmp_path / "again.txt"
    again.write_text(f"{A}\n{C}\n")
    os.utime(again, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    os.replace(again, path)
    assert read(tmp_path) == [A, C]
    assert len(readings) == 2


def test_a_file_that_was_written_just_now_is_read_again(tmp_path: Path, readings: list[str]) -> None:
    (tmp_path / "list.txt").write_text(f"{A}\n{B}\n")
    assert [read(tmp_path) for _ in range(3)] == [[A, B]] * 3
    assert len(readings) == 3


def test_a_file_whose_people_the_cache_lost_is_read_again(tmp_path: Path, readings: list[str]) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{A}\n{B}\n")
    settled(path)
    read(tmp_path)
    (tmp_path / ".audsql/cache/people-user_id").unlink()
    assert read(tmp_path) == [A, B]
    assert len(readings) == 2
    path.unlink()
    assert [one.code for one in engine(tmp_path, LIST).materialise([PEOPLE], AS_OF)[1]] == ["AUD1001"]


# --- memory ---------------------------------------------------------------------------------------------


def test_lists_are_numbered_together_or_in_turns_alike(tmp_path: Path) -> None:
    chance = random.Random(5)
    everybody = [user_id(chance.getrandbits(128)) for _ in range(300)]
    sources = tuple(UploadSource(f"l{at}", f"l{at}.txt", "user_id") for at in range(7))
    for source in sources:
        (tmp_path / source.file).write_text("".join(f"{one}\n" for one in chance.sample(everybody, 100)))
    atoms = [Uploaded(source.name) for source in sources]
    found = []
    for name, memory_bytes in (("little", 1 << 12), ("much", 1 << 30)):
        used = open_engine(project(sources), tmp_path, tmp_path / name, memory_bytes=memory_bytes)
        people = used.materialise(atoms, AS_OF)[0].people
        found.append({key: list(used.members(one)) for key, one in people.items()})
    assert found[0] == found[1]
    assert all(len(one) == 100 for one in found[0].values())


def test_the_database_is_told_what_it_may_take(tmp_path: Path) -> None:
    from audsql.data.tables import connect

    connection = connect(tmp_path, 300 << 20)
    assert connection.execute("SELECT current_setting('memory_limit')").fetchone() == ("300.0 MiB",)
    connection.close()


def test_people_who_were_numbered_stay_so(tmp_path: Path) -> None:
    """A dictionary that is full of one run and a little of another shows everybody in order."""
    dictionary = Dictionary("user_id", bytes(32))
    for people in ([5, 1, 9], [7], [0], [3, 12]):
        encode(dictionary, Ids("user_id", *words(people)))
    assert id_texts(dictionary, np.array([6, 0, 3, 4], np.uint32)) == sorted(
        id_texts(dictionary, np.array([6, 0, 3, 4], np.uint32))
    )


def test_a_project_says_how_much_memory_reading_may_take(tmp_path: Path) -> None:
    from audsql.session import open_project
    from audsql.session.sets import engine_of

    (tmp_path / "main.audsql").write_text("")
    for text, expected in (("", 4_096), ("[engine]\nmemory_mebibytes = 512\n", 512)):
        (tmp_path / "audsql.toml").write_text(f'[project]\nname = "shop"\n{text}')
        opened = open_project(tmp_path)
        assert opened.analysis is not None, opened.diagnostics
        used = engine_of(opened)
        assert isinstance(used, duckdb.DuckEngine)
        assert used.memory_bytes == expected << 20
    for wrong in ("255", '"4 GiB"'):
        (tmp_path / "audsql.toml").write_text(f'[project]\nname = "shop"\n[engine]\nmemory_mebibytes = {wrong}\n')
        assert open_project(tmp_path).config is None
