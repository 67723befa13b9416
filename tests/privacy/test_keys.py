"""Keys: what is closed under them, how they are changed, and what happens without the right one."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from test_erase import KEY, NEW_KEY, OTHER, files, traces, world

from audsql.data import cache as store
from audsql.data.keys import KeyMissing, Keys, NotAuthentic, open_sealed, seal, sealed_under
from harness import Place, codes, place

OLD, NEW = Keys((bytes.fromhex(KEY),)), Keys((bytes.fromhex(NEW_KEY), bytes.fromhex(KEY)))
SPEC_NOW = files()["shop.aud"].replace("  at: 2026-12-01 10:00\n", "")


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in ("AUDSQL_KEY", "AUDSQL_KEYS_OLD", "AUDSQL_STATE_SERIAL_MIN"):
        monkeypatch.delenv(name, raising=False)
    with place(tmp_path, world(), {**files(), "shop.aud": SPEC_NOW}) as here:
        yield here


def problems(here: Place) -> list[str]:
    return codes(here.plan(as_of=None).diagnostics)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- closing and opening ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_what_is_closed_opens_under_its_key_name_and_purpose_only(size):
    plain = os.urandom(size)
    closed = seal(OLD, "cache", "sets/a", plain)
    assert open_sealed(NEW, "cache", "sets/a", closed) == plain and sealed_under(closed) == OLD.key_id
    assert seal(OLD, "cache", "sets/a", plain) != closed
    for purpose, name in (("cache", "sets/b"), ("state", "sets/a")):
        with pytest.raises(NotAuthentic):
            open_sealed(OLD, purpose, name, closed)
    with pytest.raises(KeyMissing):
        open_sealed(Keys((bytes.fromhex(NEW_KEY),)), "cache", "sets/a", closed)


def test_every_flipped_byte_and_every_cut_is_found():
    closed = seal(OLD, "cache", "n", b"people" * 9)
    for at in range(len(closed)):
        broken = bytearray(closed)
        broken[at] ^= 1
        with pytest.raises((NotAuthentic, KeyMissing)):
            open_sealed(OLD, "cache", "n", bytes(broken))
        with pytest.raises(NotAuthentic):
            open_sealed(OLD, "cache", "n", closed[:at])
    whole = seal(OLD, "cache", "n", bytes(2 << 20))
    with pytest.raises(NotAuthentic):
        open_sealed(OLD, "cache", "n", whole[: len(whole) // 2 + 12])


def test_keys_are_never_shown():
    assert KEY not in repr(OLD) and repr(bytes.fromhex(KEY)) not in repr(OLD) and KEY not in OLD.key_id
    assert len(OLD.key_id) == 16 and OLD.key_id != NEW.key_id


# --- the cache --------------------------------------------------------------------------------------


def test_a_plain_cache_is_closed_once_and_changes_nothing(here, monkeypatch):
    assert here.apply(as_of=None).exit_code == 0
    cache = here.root / ".audsql/cache"
    entries = list(store.entry_paths(cache))
    assert entries and all(sealed_under(path.read_bytes()) is None for path in entries)
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    assert problems(here) == []
    assert all(sealed_under(path.read_bytes()) == OLD.key_id for path in store.entry_paths(cache))
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in store.entry_paths(cache))


def test_an_open_entry_in_a_closed_cache_is_passed_over(here, monkeypatch):
    """Somebody who can write to the folder, and has no key, cannot say who is in a set."""
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    assert here.apply(as_of=None).exit_code == 0
    assert problems(here) == []
    path = next(one for one in store.entry_paths(here.root / ".audsql/cache") if one.parent.name == "sets")
    header = store.read_entry(path, OLD).header
    store.write_entry(path, {**header, "count": 1}, [b"\0" * 16])
    assert store.read_entry(path, OLD) is None
    other = path.with_name("0" * 64)
    store.write_entry(path, header, [b"\0" * 16], keys=OLD)
    path.rename(other)
    assert store.read_entry(other, OLD) is None, "an entry does not open under another name"


def test_a_wrong_or_lost_key_says_so_and_overwrites_nothing(here, monkeypatch):
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    assert here.apply(as_of=None).exit_code == 0 and problems(here) == []
    before = tree(here.root / ".audsql/cache")
    for key in (NEW_KEY, ""):
        monkeypatch.setenv("AUDSQL_KEY", key)
        assert set(problems(here)) <= {"AUD0658", "AUD0664"} and problems(here)
        assert here.apply(as_of=None).exit_code == 1
        assert tree(here.root / ".audsql/cache") == before
    done = here.command("eval", "uploaded(buyers)", AUDSQL_KEY=NEW_KEY)
    assert done.returncode == 1 and "AUD0658" in done.stderr and OLD.key_id in done.stderr
    assert tree(here.root / ".audsql/cache") == before


def test_a_key_is_changed_by_reading_with_the_old_and_writing_with_the_new(here, monkeypatch):
    """Scenario 51: a change of the key is no change of any audience, and afterwards the old key is not needed."""
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    here.write("shop.aud", files()["shop.aud"])
    assert here.apply(as_of=None).exit_code == 0
    monkeypatch.setenv("AUDSQL_KEY", NEW_KEY)
    monkeypatch.setenv("AUDSQL_KEYS_OLD", f"{'11' * 32}, {KEY}")
    plan = here.plan(as_of=None).document
    assert not plan["summary"]["changes"], plan["summary"]
    cache = here.root / ".audsql/cache"
    assert {sealed_under(path.read_bytes()) for path in store.entry_paths(cache)} == {NEW.key_id}
    here.write("data/buyers.txt", "\n".join([*OTHER, "U" + "7e" * 16]) + "\n")
    assert here.apply(as_of=None).exit_code == 0
    monkeypatch.delenv("AUDSQL_KEYS_OLD")
    assert problems(here) == []


@pytest.mark.parametrize(
    ("text", "mode", "code"),
    [
        ("not hexadecimal", 0o600, "AUD0655"),
        ("abcd", 0o600, "AUD0655"),
        ("# only a comment\n", 0o600, "AUD0655"),
        (KEY, 0o644, "AUD0665"),
        (None, 0o600, "AUD0657"),
    ],
)
def test_a_key_file_that_protects_nothing_is_refused(here, tmp_path_factory, text, mode, code):
    path = tmp_path_factory.mktemp("keys") / "key"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    settings = (here.root / "audsql.toml").read_text()
    here.write("audsql.toml", f'{settings}\n[keys]\nfile = "{path}"\n')
    assert problems(here) == [code]


def test_a_key_file_outside_git_is_used(here, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    (folder / "key").write_text(f"# ours\n{NEW_KEY}\n{KEY}\n")
    (folder / "key").chmod(0o600)
    settings = (here.root / "audsql.toml").read_text()
    here.write("audsql.toml", f'{settings}\n[keys]\nfile = "{folder / "key"}"\n')
    assert here.apply(as_of=None).exit_code == 0 and problems(here) == []
    assert traces(here, OTHER[3]) and not any(
        bytes.fromhex(OTHER[100][1:]) in one for one in tree(here.root / ".audsql/cache").values()
    )
    (folder / ".git").mkdir()
    assert problems(here) == ["AUD0667"]


# --- the state --------------------------------------------------------------------------------------


def bodies(here: Place) -> list[bytes]:
    with sqlite3.connect(here.root / ".audsql/state.sqlite") as db:
        return [row[0] for row in db.execute("SELECT body FROM record WHERE body IS NOT NULL ORDER BY id")]


def test_request_bodies_are_closed_and_those_from_before_follow(here, monkeypatch):
    assert here.apply(as_of=None).exit_code == 0
    assert bodies(here) and all(b'"sale"' in one for one in bodies(here))
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    here.write("shop.aud", SPEC_NOW + "delivery second { to: uploaded(buyers)  send: sale }\n")
    assert here.apply(as_of=None).exit_code == 0
    assert len(bodies(here)) == 2 and all(sealed_under(one) == OLD.key_id for one in bodies(here))
    assert not any(b"sale" in one for one in bodies(here))
    assert problems(here) == []
    assert here.run().exit_code == 0, "the bodies are still those that the rows name"


def events(here: Place) -> list[dict[str, object]]:
    with sqlite3.connect(here.root / ".audsql/state.sqlite") as db:
        return [json.loads(row[0]) for row in db.execute("SELECT document FROM event ORDER BY number")]


def rechained(here: Place, change) -> None:
    """What somebody does who can write to the file and knows how the plain chain is made, and has no key."""
    from audsql.apply.journal import chained, genesis
    from audsql.plan.document import canonical

    with sqlite3.connect(here.root / ".audsql/state.sqlite") as db:
        lineage, environment, version = db.execute("SELECT lineage, environment, format FROM meta").fetchone()
        rows = [json.loads(row[0]) for row in db.execute("SELECT document FROM event ORDER BY number")]
        head = genesis(lineage, environment, version)
        db.execute("DELETE FROM event")
        for number, row in enumerate(change(rows), start=1):
            text = canonical(row).decode()
            head = chained(head, text)
            db.execute("INSERT INTO event VALUES (?, ?, ?)", (number, text, head))
        db.execute("UPDATE meta SET head = ?", (head,))


def told_otherwise(rows):
    rows[0]["at"] = "2020-01-01T00:00:00Z"
    return rows


def test_a_journal_that_was_chained_anew_is_found(here, monkeypatch):
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    assert here.apply(as_of=None).exit_code == 0 and problems(here) == []
    assert all("mac" in event["attributes"] for event in events(here))
    rechained(here, told_otherwise)
    assert problems(here) == ["AUD0663"]
    assert here.apply(as_of=None).exit_code == 1


def test_without_a_key_the_same_goes_unseen(here):
    """What the key is for."""
    assert here.apply(as_of=None).exit_code == 0
    rechained(here, told_otherwise)
    assert problems(here) == []


def test_an_old_state_becomes_signed_with_the_next_event_and_says_so(here, monkeypatch):
    assert here.apply(as_of=None).exit_code == 0
    count = len(events(here))
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    assert problems(here) == []
    assert here.run().exit_code == 0
    later = events(here)[count:]
    assert later[0]["attributes"]["keyed"] is True and "keyed" not in later[1]["attributes"]
    assert all("mac" in event["attributes"] for event in later)
    monkeypatch.delenv("AUDSQL_KEY")
    assert "AUD0664" in problems(here)


def test_taking_all_signatures_away_is_found(here, monkeypatch):
    def unsigned(rows):
        for row in rows:
            row["attributes"] = {key: one for key, one in row["attributes"].items() if key not in ("mac", "key_id")}
        return rows

    monkeypatch.setenv("AUDSQL_KEY", KEY)
    assert here.apply(as_of=None).exit_code == 0
    rechained(here, unsigned)
    assert problems(here) == ["AUD0659"]


def test_an_older_state_put_in_its_place_is_refused(here, monkeypatch):
    """Scenario 52, T17: it is sound in itself; what this machine saw since, or CI was told, says otherwise."""
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    here.write("shop.aud", files()["shop.aud"])
    assert here.apply(as_of=None).exit_code == 0
    state = here.root / ".audsql/state.sqlite"
    shutil.copy(state, here.root / "older.sqlite")
    here.write("data/buyers.txt", "\n".join([*OTHER, "U" + "7e" * 16]) + "\n")
    assert here.apply(as_of=None).exit_code == 0
    shutil.copy(here.root / "older.sqlite", state)
    assert problems(here) == ["AUD0659"]
    (here.root / ".audsql/high-water.json").unlink()
    assert problems(here) == []
    monkeypatch.setenv("AUDSQL_STATE_SERIAL_MIN", "100000")
    assert problems(here) == ["AUD0659"]


def test_a_forged_high_water_mark_is_not_believed(here, monkeypatch):
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    assert here.apply(as_of=None).exit_code == 0
    path = here.root / ".audsql/high-water.json"
    path.write_text(path.read_text().replace('"serial": ', '"serial": 1'))
    assert problems(here) == ["AUD0669"]
