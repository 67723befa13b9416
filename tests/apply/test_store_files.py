"""The state file when it is not what it should be: a clear code each time, and the file as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from store_cases import ANNA, NOW, TTL, every_kind, frozen, sqlite_store, taken, upload

from audsql.apply import journal
from audsql.apply.sqlite import SqliteStore
from audsql.apply.sqlite_file import network_filesystem
from audsql.apply.state import KnownSize
from audsql.apply.store import (
    Held,
    LeaseLost,
    StoreFailed,
    held_diagnostic,
    lease_lost_diagnostic,
    open_store,
    put,
    state_exists,
    takeover_diagnostic,
    unlock_refused_diagnostic,
)
from audsql.catalog import entry
from audsql.diag import Diagnostic


def refusal(path: Path | str, environment: str = "prod") -> Diagnostic | None:
    """Why the file is refused, None where it is not; the catalogue knows its code and facts."""
    answer = open_store(str(path), create=False, environment=environment)
    if not isinstance(answer, tuple):
        answer.close()
        return None
    (diagnostic,) = answer
    known(diagnostic)
    return diagnostic


def known(diagnostic: Diagnostic) -> None:
    assert entry(diagnostic.code).args and {name for name, _ in diagnostic.facts} == set(entry(diagnostic.code).args)
    assert entry(diagnostic.code).kind == diagnostic.severity


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with sqlite_store(tmp_path) as store:
        lease = taken(store)
        stored = store.write(lease, NOW, "all", *every_kind())
        store.write(lease, NOW, "more", replace(stored[0], size=216), upload(generation=2))
        store.release(lease, NOW)
    assert sorted(os.listdir(tmp_path)) == ["state.db"]
    return tmp_path / "state.db"


def edit(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


# --- modes, places --------------------------------------------------------------------------------


@pytest.mark.threat("T14")
def test_file_and_folder_are_private(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    with sqlite_store(place) as store:
        taken(store)
        modes = {name: stat.S_IMODE((place / name).stat().st_mode) for name in os.listdir(place)}
        assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
        assert isinstance(store, SqliteStore)
        settings = [store._door._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in
                    ("journal_mode", "synchronous", "secure_delete")]  # fmt: skip
        assert settings == ["wal", 2, 1]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (place, place.parent)} == {0o700}


def test_an_open_mode_is_closed(path: Path) -> None:
    path.chmod(0o644)
    assert refusal(path) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_missing(tmp_path: Path) -> None:
    place = tmp_path / "none" / "state.db"
    found = refusal(f"sqlite:{place}")
    assert found is not None and (found.code, found.fact("path")) == ("AUD0600", str(place))
    assert not state_exists(f"sqlite:{place}") and not place.parent.exists()


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "mysql://h", "", "sqlite:"])
def test_other_stores_are_not_understood(url: str) -> None:
    found = refusal(url)
    assert found is not None and found.code == "AUD0610" and "secret" not in repr(found)


def test_paths_and_urls_name_the_same_file(path: Path) -> None:
    for url in (str(path), f"sqlite:{path}", f"sqlite://{path}"):
        assert refusal(url) is None and state_exists(url)


def test_another_environment(path: Path) -> None:
    found = refusal(path, "staging")
    assert found is not None
    assert (found.code, found.fact("found"), found.fact("expected")) == ("AUD0606", "prod", "staging")


def test_a_folder_or_a_place_below_a_file(path: Path) -> None:
    for place in (path.parent, path / "state.db"):
        answer = open_store(str(place), create=True, environment="prod")
        assert isinstance(answer, tuple)
        assert answer[0].code == "AUD0617"
        known(answer[0])


def test_read_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    found = refusal(path)
    assert found is not None and found.code == "AUD0607"


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:44 / /mnt/share rw,relatime - nfs4 server:/x rw
31 30 0:45 / /mnt/share/local rw - ext4 /dev/sdb1 rw
32 22 0:46 / /mnt/win\\040dows rw - cifs //server/x rw
33 22 0:47 / /mnt/ssh rw - fuse.sshfs host:/ rw
odd line
"""


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/home/x/state.db", None),
        ("/mnt/share/a/state.db", "nfs4"),
        ("/mnt/share/local/state.db", None),
        ("/mnt/shared/state.db", None),
        ("/mnt/win dows/state.db", "cifs"),
        ("/mnt/ssh/state.db", "fuse.sshfs"),
    ],
)
@pytest.mark.threat("T11")
def test_network_file_systems_are_known(place: str, expected: str | None) -> None:
    assert network_filesystem(Path(place), MOUNTS) == expected


@pytest.mark.threat("T11")
def test_network_file_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audsql.apply.sqlite_file.network_filesystem", lambda place: "nfs4")
    answer = open_store(str(tmp_path / "state.db"), create=True, environment="prod")
    assert isinstance(answer, tuple) and answer[0].code == "AUD0609"
    known(answer[0])
    assert os.listdir(tmp_path) == []


# --- damaged --------------------------------------------------------------------------------------

TRUNCATIONS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "a few bytes": lambda raw: raw[:10],
    "half a header": lambda raw: raw[:60],
    "one page": lambda raw: raw[:4096],
    "half": lambda raw: raw[: len(raw) // 2],
    "last byte": lambda raw: raw[:-1],
    "text": lambda raw: b'{"version": 1}',
    "binary": lambda raw: bytes(range(256)) * 40,
    "another database": lambda raw: raw[:68] + b"\0\0\0\0" + raw[72:],
}


@pytest.mark.parametrize("name", TRUNCATIONS)
@pytest.mark.scenario(10)
def test_cut_short_or_something_else(path: Path, name: str) -> None:
    path.write_bytes(TRUNCATIONS[name](path.read_bytes()))
    before = path.read_bytes()
    found = refusal(path)
    cut = name in ("a few bytes", "half a header", "one page", "half", "last byte")
    assert found is not None and found.code == ("AUD0602" if cut else "AUD0601")
    assert found.fact("path") == str(path)
    assert path.read_bytes() == before and os.listdir(path.parent) == ["state.db"]


@pytest.mark.scenario(12)
def test_a_newer_version_names_both(path: Path) -> None:
    edit_pragma = sqlite3.connect(path)
    edit_pragma.execute("PRAGMA user_version = 7")
    edit_pragma.close()
    before = path.read_bytes()
    found = refusal(path)
    assert found is not None
    assert (found.code, found.fact("found"), found.fact("supported")) == ("AUD0605", 7, 1)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("start", "mask"), [(0, 0x15), (1, 0x80), (2, 0x01)])
@pytest.mark.threat("T15")
@pytest.mark.scenario(11)
def test_a_flipped_byte_is_found_or_without_effect(path: Path, start: int, mask: int) -> None:
    with sqlite_store(path.parent) as store:
        whole, events, body = store.snapshot(), store.events(), store.body(frozen().id)
    raw = path.read_bytes()
    refused = 0
    for offset in [*range(start, 100, 7), *range(start * 53 + 100, len(raw), 211)]:
        changed = bytearray(raw)
        changed[offset] ^= mask
        path.write_bytes(changed)
        answer = open_store(str(path), create=False, environment="prod")
        if isinstance(answer, tuple):
            refused += 1
            known(answer[0])
            assert path.read_bytes() == changed
            continue
        with answer as store:
            assert (store.snapshot(), store.events(), store.body(frozen().id)) == (whole, events, body), offset
    assert refused > 10


TAMPERINGS = {
    "event changed": ("UPDATE event SET document = replace(document, 'upload', 'uplaod') WHERE number = 2", "AUD0604"),
    "event rehashed": ("UPDATE event SET hash = 'x' WHERE number = 2", "AUD0604"),
    "event dropped": ("DELETE FROM event WHERE number = 2", "AUD0604"),
    "last event dropped": ("DELETE FROM event WHERE number = (SELECT max(number) FROM event)", "AUD0604"),
    "event added": ("INSERT INTO event SELECT number + 1, document, hash FROM event WHERE number = 4", "AUD0604"),
    "events swapped": ("UPDATE event SET number = -number", "AUD0604"),
    "lineage": ("UPDATE meta SET lineage = 'other'", "AUD0604"),
    "environment": ("UPDATE meta SET environment = 'dev'", "AUD0604"),
    "serial": ("UPDATE meta SET serial = 1", "AUD0603"),
    "row changed": ("UPDATE record SET document = replace(document, 'ready', 'failed')", "AUD0603"),
    "revision": ("UPDATE record SET revision = revision + 1 WHERE kind = 'operation'", "AUD0603"),
    "row dropped": ("DELETE FROM record WHERE kind = 'spent_plan'", "AUD0603"),
    "row copied": ("INSERT INTO record SELECT kind, id || 'x', incarnation, revision, created_at, updated_at, document,"
                   " body FROM record WHERE kind = 'spent_plan'", "AUD0603"),
    "body": ("UPDATE record SET body = x'00' WHERE kind = 'operation'", "AUD0603"),
    "body dropped": ("UPDATE record SET body = NULL WHERE kind = 'operation'", "AUD0603"),
    "epoch": ("UPDATE lease SET epoch = 0", "AUD0603"),
    "lease": ("UPDATE lease SET lock_id = 'x', expires = 'soon'", "AUD0603"),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERINGS)
@pytest.mark.threat("T15")
@pytest.mark.scenario(11)
def test_edits_by_hand_are_found(path: Path, name: str) -> None:
    statement, code = TAMPERINGS[name]
    edit(path, statement)
    before = path.read_bytes()
    found = refusal(path)
    assert found is not None and found.code == code
    assert path.read_bytes() == before


def test_a_table_that_is_gone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE lease")
    connection.close()
    found = refusal(path)
    assert found is not None and found.code == "AUD0603"


def test_a_log_left_by_a_dead_process_is_folded_in(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with sqlite_store(path.parent) as store:
        lease = taken(store)
        put(store, lease, NOW, "size", KnownSize("audience.new", 1, NOW))
        copy = tmp_path_factory.mktemp("copy")
        for name in os.listdir(path.parent):
            shutil.copy(path.parent / name, copy / name)
        whole = store.snapshot()
    with sqlite_store(copy) as store:
        assert store.snapshot() == whole


# --- writes that fail -----------------------------------------------------------------------------


@pytest.mark.threat("T12")
@pytest.mark.scenario(9)
def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    with sqlite_store(tmp_path) as store:
        assert isinstance(store, SqliteStore)
        lease = taken(store)
        row = put(store, lease, NOW, "upload", upload())
        before = store.snapshot()
        (pages,) = store._door._connection.execute("PRAGMA page_count").fetchone()
        store._door._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreFailed) as caught:
            put(store, lease, NOW, "upload", replace(row, attributes={"pad": "x" * 50_000}))
        assert caught.value.diagnostic.code == "AUD0608"
        known(caught.value.diagnostic)
        assert store.snapshot() == before
        store.release(lease, NOW)
    with sqlite_store(tmp_path) as store:
        assert store.snapshot().resources == before.resources


def test_no_space_for_a_new_state(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from audsql.apply.store import open_store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "print(open_store(sys.argv[1], create=True, environment='prod')[0].code)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "state.db")], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=60,
    )  # fmt: skip
    assert out.stdout.strip() in ("AUD0608", "AUD0612")
    assert os.listdir(tmp_path) == []


def test_a_busy_file_is_said_to_be_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audsql.apply.sqlite_file._BUSY_SECONDS", 0.01)
    other = sqlite3.connect(path, isolation_level=None)
    with sqlite_store(path.parent) as store:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreFailed) as caught:
            store.acquire(ANNA, NOW, TTL)
        assert caught.value.diagnostic.code == "AUD0611"
        other.execute("ROLLBACK")
        taken(store)
    other.close()


def test_leftovers_of_an_interrupted_start_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "state.db.new").write_bytes(b"half")
    with sqlite_store(tmp_path) as store:
        taken(store)
    assert os.listdir(tmp_path) == ["state.db"]


# --- words and crash points -----------------------------------------------------------------------


def test_diagnostics_of_the_lease_have_their_words() -> None:
    held = Held("anna", "build-1", 4321, "apply", NOW, NOW + TTL, "id-1")
    for diagnostic in (
        held_diagnostic(held),
        takeover_diagnostic(held),
        lease_lost_diagnostic(LeaseLost("id-1"), "state.db"),
        unlock_refused_diagnostic("x", held),
        unlock_refused_diagnostic("x", None),
    ):
        known(diagnostic)


def test_checkpoints_count_durable_writes_only(tmp_path: Path) -> None:
    journal.arm_kill(0)
    with sqlite_store(tmp_path) as store:
        lease = taken(store)
        row = put(store, lease, NOW, "upload", upload())
        assert journal.count_checkpoints() == 3
        put(store, lease, NOW, "upload", row)
        store.snapshot()
        with pytest.raises(Exception, match="changed"):
            put(store, lease, NOW, "upload", upload())
        assert journal.count_checkpoints() == 3
