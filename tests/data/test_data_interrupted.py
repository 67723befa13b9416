"""A cold `eval` that is stopped anywhere, and a cache that is damaged anywhere: the next answer is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from data_helpers import user_id

from audsql import session
from audsql.data import cache as store
from audsql.data import leftovers
from audsql.session.keys import keys_of
from audsql.session.sets import engine_of

AS_OF = datetime.fromisoformat("2026-11-21T00:00:00+09:00")
SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload buyers { file: "buyers.txt"  id: user_id }
upload phones { file: "phones.txt"  id: phone }
table orders { file: "orders.csv"  id: user_id  time: made  verb purchased by item }
table members { file: "members.csv"  id: user_id, phone }
"""
EXPRESSION = 'uploaded(phones) AND (purchased(A, last 30 days) OR sample(uploaded(buyers), 50%, seed: "s"))'
# Enough small sets over one table that they are kept in one file.
MANY = " OR ".join(f"orders(amount = {number})" for number in range(33))
BOTH = f"({EXPRESSION}) OR {MANY}"
PEOPLE = 400
POINTS = 60 if os.environ.get("AUDSQL_SWEEP") else 6


def phone(number: int) -> str:
    return f"0901234{number:04}"


def write_project(root: Path, people: int = PEOPLE) -> Path:
    root.mkdir(parents=True)
    days = [(AS_OF - timedelta(days=number % 50)).date().isoformat() for number in range(people)]
    orders = [f"{user_id(n)},{'AB'[n % 2]},{n % 90},{days[n]}" for n in range(people)]
    (root / "x.aud").write_text(SPEC)
    (root / "audsql.toml").write_text('[project]\nname = "shop"\n')
    (root / "buyers.txt").write_text("".join(f"{user_id(n)}\n" for n in range(people)))
    (root / "phones.txt").write_text("".join(f"{phone(n)}\n" for n in range(0, people, 3)))
    (root / "orders.csv").write_text("user_id,item,amount,made\n" + "\n".join(orders) + "\n")
    (root / "members.csv").write_text("user_id,phone\n" + "".join(f"{user_id(n)},{phone(n)}\n" for n in range(people)))
    return root


def evaluated(root: Path, expression: str) -> int:
    document, problems = session.evaluate(session.open_project(root), expression, AS_OF)
    assert document is not None and not problems, problems
    count: int = document["count"]
    return count


# --- stopped --------------------------------------------------------------------------------------


@pytest.mark.skipif(not leftovers.CLAIMS, reason="needs fork and signals")
def test_wherever_a_cold_eval_is_stopped_the_next_one_is_right_and_leaves_nothing(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("interrupting.py")), str(project), str(work), EXPRESSION,
         str(POINTS)],
        capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "NO_COLOR": "1", "AUDSQL_LANG": "en"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    right = json.loads(found["said"])
    assert right["exact"] and right["count"] > 0
    assert len(found["runs"]) == 2 * POINTS and found["total"] > 45
    for run in found["runs"]:
        place = (run["point"], run["kind"])
        assert run["first"] == (130 if run["kind"] == "SIGINT" else -9), place
        # Whoever is interrupted clears up; whoever is killed cannot, and the next does.
        assert run["kind"] == "SIGKILL" or not any(run["behind"].values()), (place, run["behind"])
        assert (run["second"], run["left"]) == (0, {}), (place, run)
        assert json.loads(run["said"]) == right, place
    assert any(any(run["behind"].values()) for run in found["runs"]), (
        "no point left anything behind: the points are badly chosen"
    )


# --- leftovers ------------------------------------------------------------------------------------


@pytest.mark.skipif(not leftovers.CLAIMS, reason="needs locks on files")
def test_what_a_process_at_work_holds_is_no_leftover(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for folder in ("leaves", "sets"):
        (cache / folder).mkdir(parents=True)
    with store.scratch_folder(cache) as mine:
        (mine / "rows").write_text("personal")
        descriptor, name = leftovers.new_file(cache / "leaves")
        (cache / "tmp" / "dead").mkdir()
        (cache / "tmp" / "dead" / "rows").write_text("personal")
        dead = [cache / "tmp" / "dead", *(cache / folder / ".new-dead" for folder in ("", "leaves", "sets"))]
        for path in dead[1:]:
            path.write_text("personal")
        leftovers.remove_leftovers(cache)
        assert (mine / "rows").exists() and Path(name).exists()
        assert not any(path.exists() for path in dead)
        os.close(descriptor)
        leftovers.remove_leftovers(cache)
        assert not Path(name).exists() and (mine / "rows").exists()
    assert not mine.exists()


def test_an_entry_is_claimed_until_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, replace = tmp_path / "leaves" / "one", os.replace

    def swept(source: str, target: Path) -> None:
        leftovers.remove_leftovers(tmp_path)
        replace(source, target)

    monkeypatch.setattr(os, "replace", swept)
    store.write_entry(entry, {"n": 1}, [b"block"])
    found = store.read_entry(entry)
    assert found is not None and bytes(found.blocks[0]) == b"block"


# --- damaged --------------------------------------------------------------------------------------


def flipped(at: float) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        place = min(int(len(content) * at), len(content) - 1)
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    return flip


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "first byte": flipped(0.0),
    "digest": lambda content: content[:9] + bytes([content[9] ^ 128]) + content[10:],
    "middle": flipped(0.5),
    "last byte": flipped(1.0),
    "cut off": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b"x",
    "empty": lambda _: b"",
}


def entries(root: Path) -> list[Path]:
    return list(store.entry_paths(root / ".audsql" / "cache"))


@pytest.fixture(params=[False, True], ids=["open", "closed"])
def filled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose cache holds every kind of entry, closed under a key or not."""
    if request.param:
        monkeypatch.setenv("AUDSQL_KEY", "ab" * 32)
    root = write_project(tmp_path / "project")
    evaluated(root, BOTH)
    yield root


def kinds_of(root: Path) -> set[str]:
    """What the entries of a cache are, by how they look."""
    keys = keys_of(session.open_project(root))
    found = set()
    for path in entries(root):
        entry = store.read_entry(path, keys)
        assert entry is not None, path
        names = ("salt", "entries", "epochs", "latest", "runs", "kind", "rows", "epoch")
        found.add(next((name for name in names if name in entry.header), path.name[:7]))
    return found


def test_every_kind_of_entry_is_there(filled: Path) -> None:
    found = kinds_of(filled)
    # Packs, linkages, last times, buckets, and single sets; dictionaries beside them.
    assert {"entries", "epochs", "latest", "rows", "epoch"} <= found, found
    assert sum(path.name.startswith("people-") for path in entries(filled)) >= 2


@pytest.mark.parametrize("shift", range(len(DAMAGES)) if os.environ.get("AUDSQL_SWEEP") else [0, 3])
def test_a_damaged_entry_is_noticed_and_made_again(filled: Path, shift: int) -> None:
    """Each entry is damaged in another way than its neighbours; all ways come up."""
    right = evaluated(filled, BOTH)
    keys, damages = keys_of(session.open_project(filled)), [DAMAGES[name] for name in sorted(DAMAGES)]
    found = entries(filled)
    assert len(found) >= len(damages)
    for number, path in enumerate(found):
        if path.exists():
            path.write_bytes(damages[(number + shift) % len(damages)](path.read_bytes()))
            assert store.read_entry(path, keys) is None, path
            assert evaluated(filled, BOTH) == right, path
    assert {path.name for path in found if store.read_entry(path, keys) is not None}
    assert evaluated(filled, BOTH) == right


def test_entries_in_the_place_of_others_are_noticed(filled: Path) -> None:
    right = evaluated(filled, BOTH)
    found = entries(filled)
    for first, second in list(pairwise(found))[:: 1 if os.environ.get("AUDSQL_SWEEP") else 2]:
        if not (first.exists() and second.exists()):
            continue
        left, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other)
        second.write_bytes(left)
        keys = keys_of(session.open_project(filled))
        assert left == other or (store.read_entry(first, keys), store.read_entry(second, keys)) == (None, None)
        assert evaluated(filled, BOTH) == right, (first, second)


def test_a_damaged_set_of_last_time_is_none_and_never_another(filled: Path) -> None:
    opened = session.open_project(filled)
    engine = engine_of(opened)
    from audsql.meaning.ir import Uploaded

    read, _ = engine.materialise([Uploaded("buyers"), Uploaded("phones")], AS_OF)
    for name in ("buyers", "phones"):
        engine.save(name, read.people[Uploaded(name).key])
    first, second = (path for path in entries(filled) if path.parent.name == "sets")
    good = {path: path.read_bytes() for path in (first, second)}
    for damage in DAMAGES.values():
        for path, content in good.items():
            path.write_bytes(damage(content))
        assert engine.load("buyers") is None and engine.load("phones") is None
    first.write_bytes(good[second])
    second.write_bytes(good[first])
    assert engine.load("buyers") is None and engine.load("phones") is None
    for path, content in good.items():
        path.write_bytes(content)
    kept = engine.load("buyers")
    assert kept is not None and engine.count(kept) == PEOPLE


def test_sets_of_an_earlier_version_are_still_read(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "sets" / "one"
    store.write_entry(path, {"format": 1}, [b"ids"])
    content = path.read_bytes()
    earlier = b"audsql1\n" + hashlib.sha256(content[40:]).digest() + content[40:]
    path.write_bytes(earlier)
    found = store.read_entry(path)
    assert found is not None and bytes(found.blocks[0]) == b"ids"
    path.write_bytes(content[:8] + earlier[8:])
    assert store.read_entry(path) is None
