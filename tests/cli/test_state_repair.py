"""`state repair`, `state upgrade`, and the backups that are written by themselves."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from f1000 import delivery, f1000

from audsql.apply import backup, mend, sqlite_file, state, upgrade, verified
from audsql.apply.ledger import Batch, Opening, Sent
from audsql.apply.ledger import Place as Place_
from audsql.apply.persons import make_persons, open_persons
from audsql.apply.store import Holder, Lease, open_store
from audsql.session import backups, mending
from harness import Place

SALE = "audience warm_a = clicked(msg42) AND purchased(A)\n" + delivery("warm_a")
STATE = ".audsql/state.sqlite"


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A project after its first apply; tests damage copies of its state."""
    with f1000(tmp_path_factory.mktemp("repair"), SALE) as place:
        assert place.apply().exit_code == 0
        yield place


@pytest.fixture
def here(applied: Place) -> Iterator[Place]:
    """The same, with its state put back afterwards."""
    kept = applied.root.parent / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(applied.root / ".audsql", kept)
    yield applied
    shutil.rmtree(applied.root / ".audsql")
    shutil.copytree(kept, applied.root / ".audsql")


def file_of(here: Place) -> Path:
    return here.root / STATE


def change(here: Place, *statements: str) -> None:
    connection = sqlite3.connect(file_of(here))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def repair(here: Place, *, dry_run: bool = False, exit_code: int = 0) -> Any:
    outcome = mending.repair(here.opened(), dry_run=dry_run)
    assert outcome.exit_code == exit_code, outcome.diagnostics
    return outcome.document if outcome.document is not None else [one.code for one in outcome.diagnostics]


def pulled(here: Place) -> dict[str, Any]:
    store = open_store(str(file_of(here)), create=False, environment="default")
    assert not isinstance(store, tuple), store
    with store:
        return store.backup()


# --- what is refused, and what it names ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda raw: raw[: len(raw) // 2], "AUD0602"),
        (lambda raw: b"", "AUD0601"),
        (lambda raw: b'{"version": 1, "resour', "AUD0601"),
        (lambda raw: bytes(range(256)) * 64, "AUD0601"),
    ],
    ids=["cut short", "empty", "half JSON", "binary"],
)
def test_scenario_10_a_state_that_is_not_whole(here: Place, damage: Callable[[bytes], bytes], code: str) -> None:
    """Scenario 10: refused with its size, the newest good backup named, nothing written."""
    broken = damage(file_of(here).read_bytes())
    file_of(here).write_bytes(broken)
    (one,) = here.plan().diagnostics
    assert one.code == code and one.fact("size_bytes") == len(broken)
    (good,) = [path.name for path in (here.root / ".audsql/backups").iterdir()]
    assert one.fact("backup") == f".audsql/backups/{good}"
    assert file_of(here).read_bytes() == broken
    done = here.command("status")
    assert done.returncode == 1 and f"audsql state push .audsql/backups/{good}" in done.stderr


def test_scenario_10_a_backup_that_is_damaged_is_not_named(here: Place) -> None:
    """Scenario 10: only a good backup is named; the newest of the good ones."""
    folder = here.root / ".audsql/backups"
    (good,) = folder.iterdir()
    newer = json.loads(good.read_text())
    newer["records"][0][6] += " "
    (folder / "state-99.json").write_text(json.dumps(newer, separators=(",", ":")))
    (folder / "state-98.json").write_text("{")
    file_of(here).write_bytes(b"")
    assert here.plan().diagnostics[0].fact("backup") == f".audsql/backups/{good.name}"


def test_scenario_11_a_byte_that_was_changed_by_hand(here: Place) -> None:
    """Scenario 11: the row is named, `state repair` is named, and it keeps everything else."""
    change(here, "UPDATE record SET document = replace(document, 'done', 'dome') WHERE kind = 'occurrence'")
    (one,) = here.plan().diagnostics
    assert (one.code, one.fact("place")) == ("AUD0603", "occurrence shop/sale_a/once")
    assert "audsql state repair" in here.command("status").stderr
    would = repair(here, dry_run=True)
    assert would["verdict"] == "would" and here.plan().document is None
    found = repair(here)
    lost = [{"kind": "occurrence", "id": "shop/sale_a/once", "state": "done"}]
    assert (found["verdict"], found["lost"], found["in_doubt"]) == ("repaired", lost, [])
    assert repair(here)["verdict"] == "sound"
    # The journal is whole, so that it is certain that it was sent.
    received = here.received()
    assert here.apply().exit_code == 0 and here.received() == received


def test_scenario_12_a_state_of_a_newer_audsql(here: Place) -> None:
    """Scenario 12: neither read, nor repaired, nor upgraded; both versions are named."""
    change(here, "PRAGMA user_version = 99")
    before = file_of(here).read_bytes()
    for outcome in (mending.repair(here.opened()), mending.upgrade(here.opened())):
        (one,) = outcome.diagnostics
        assert (one.code, one.fact("found"), one.fact("supported")) == ("AUD0605", 99, state.FORMAT_VERSION)
        assert outcome.exit_code == 1
    assert file_of(here).read_bytes() == before


# --- repair -------------------------------------------------------------------------------------------


def test_a_sound_state_needs_no_repair(here: Place) -> None:
    before = pulled(here)
    done = here.command("state", "repair")
    assert done.returncode == 0 and done.stdout.startswith("Nothing to repair")
    assert "修復するものはありません" in here.command("state", "repair", "--lang", "ja").stdout
    assert pulled(here) == before


DAMAGE = {
    "a row": ["UPDATE record SET document = replace(document, '67', '68') WHERE kind = 'operation'"],
    "a row gone": ["DELETE FROM record WHERE kind = 'occurrence'"],
    "a body": ["UPDATE record SET body = x'00' WHERE kind = 'operation'"],
    "an event": ["UPDATE event SET document = document || ' ' WHERE number = 9"],
    "an event gone": ["DELETE FROM event WHERE number = 12"],
    "the last events": ["DELETE FROM event WHERE number > (SELECT max(number) - 5 FROM event)"],
    "the lineage": ["UPDATE meta SET lineage = 'other'"],
    "the lease": ["UPDATE lease SET epoch = 0"],
    "the serial": ["UPDATE meta SET serial = 1"],
    "all of it": [
        "UPDATE meta SET head = 'x'",
        "UPDATE lease SET expires = 'soon'",
        "DELETE FROM event WHERE number IN (3, 7, 11)",
        "UPDATE record SET document = '{' WHERE kind IN ('operation', 'size')",
    ],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_was_sent_is_never_sent_again(here: Place, name: str) -> None:
    """Whatever is damaged: the repaired state opens, nothing of it is new, and nobody gets a message twice."""
    before, received = pulled(here), here.received()
    change(here, *DAMAGE[name])
    damaged = file_of(here).read_bytes()
    found = repair(here)
    after = pulled(here)
    assert after["lineage"] == found["lineage"] != before["lineage"]
    assert after["serial"] == found["serial"] > before["serial"] or name == "the serial"
    assert (here.root / found["damaged"]).read_bytes() == damaged
    sound = {(row[0], row[1]): row for row in before["records"]}
    kept = [row for row in after["records"] if row == sound.get((row[0], row[1]))]
    assert len(kept) >= found["kept"] - len(found["in_doubt"])
    gone = {(one["kind"], one["id"]) for one in found["lost"]}
    assert {(row[0], row[1]) for row in before["records"]} <= {(row[0], row[1]) for row in kept} | gone | {
        ("occurrence", identity) for identity in found["in_doubt"]
    }
    assert here.apply().exit_code in (0, 7)
    assert here.received() == received


def test_what_may_have_been_sent_is_in_doubt_and_can_be_settled(here: Place) -> None:
    """A gap in the journal, and the delivery's row does not match: only a person knows."""
    change(
        here,
        "DELETE FROM event WHERE number = 12",
        "DELETE FROM record WHERE kind IN ('occurrence', 'operation')",
    )
    found = repair(here)
    assert not found["journal_whole"] and found["in_doubt"] == ["shop/sale_a/once"]
    text = here.command("state", "list").stdout
    assert "in doubt" in text
    received = here.received()
    assert here.apply().exit_code == 7
    assert here.command("resolve", "sale_a", "sent", "--reason", "seen in the manager").returncode == 0
    assert here.apply().exit_code == 0 and here.received() == received


def test_a_page_of_zeros_loses_what_is_on_it_only(here: Place) -> None:
    raw = bytearray(file_of(here).read_bytes())
    raw[4096 * 3 : 4096 * 4] = bytes(4096)
    file_of(here).write_bytes(bytes(raw))
    assert here.plan().document is None
    outcome = mending.repair(here.opened())
    if outcome.document is None:
        assert [one.code for one in outcome.diagnostics] == ["AUD0641"] and file_of(here).read_bytes() == bytes(raw)
    else:
        assert outcome.document["lost"] and outcome.document["kept"]
        assert repair(here)["verdict"] == "sound"


def test_nothing_that_can_be_trusted_is_not_a_new_state(here: Place) -> None:
    change(here, "DELETE FROM event")
    before = file_of(here).read_bytes()
    (good,) = (here.root / ".audsql/backups").iterdir()
    outcome = mending.repair(here.opened())
    (one,) = outcome.diagnostics
    assert (one.code, one.fact("backup"), outcome.exit_code) == ("AUD0641", f".audsql/backups/{good.name}", 1)
    assert file_of(here).read_bytes() == before
    # What the message says works.
    file_of(here).rename(here.root / "away.sqlite")
    assert here.command("state", "push", str(good.relative_to(here.root))).returncode == 0
    received = here.received()
    assert here.apply().exit_code == 0 and here.received() == received


def test_another_environments_state_is_not_repaired(here: Place) -> None:
    store = open_store(str(here.root / "other.sqlite"), create=True, environment="staging")
    assert not isinstance(store, tuple)
    with store:
        lease = store.acquire(Holder("anna", "b", 1), datetime.now(UTC), timedelta(hours=1))
        store.release(lease, datetime.now(UTC))
    shutil.copy(here.root / "other.sqlite", file_of(here))
    change(here, "UPDATE meta SET serial = 7")
    assert repair(here, exit_code=1) == ["AUD0606"]


@pytest.mark.parametrize("lease_damaged", [False, True])
@pytest.mark.scenario(49)
def test_a_state_that_is_held_is_not_repaired(here: Place, lease_damaged: bool) -> None:
    store = open_store(str(file_of(here)), create=False, environment="default")
    assert not isinstance(store, tuple)
    with store:
        lease = store.acquire(Holder("anna", "build-7", 4321), datetime.now(UTC), timedelta(hours=1))
        assert not hasattr(lease, "lock_id")
    change(here, "UPDATE record SET document = '{' WHERE kind = 'size'")
    if lease_damaged:
        change(here, "UPDATE lease SET lock_id = '', expires = 'soon', epoch = 0")
    before = file_of(here).read_bytes()
    assert repair(here, exit_code=6) == ["AUD0613"]
    assert file_of(here).read_bytes() == before


@pytest.mark.parametrize("at", [1, 2])
def test_a_repair_that_was_killed_can_be_repeated(here: Place, at: int) -> None:
    change(here, "UPDATE record SET document = '{' WHERE kind = 'occurrence'")
    received = here.received()
    assert here.command("state", "repair", AUDSQL_TEST_KILL_AT=str(at)).returncode == -9
    assert here.plan().document is None
    assert repair(here)["verdict"] == "repaired"
    assert repair(here)["verdict"] == "sound"
    assert here.apply().exit_code == 0 and here.received() == received


def people(here: Place, *, read: bool = False) -> list[Any]:
    """Some people in a flow of this state; afterwards, who is left and how."""
    store = open_store(str(file_of(here)), create=False, environment="default")
    assert not isinstance(store, tuple), store
    now = datetime.now(UTC)
    with store:
        ledger = store.ledger()
        if not read:
            lease = store.acquire(Holder("anna", "h", 1), now, timedelta(seconds=60))
            assert isinstance(lease, Lease)
            persons = make_persons(store, None, lease, now).hide([f"U{number:032x}" for number in range(40)])
            given = [Place_("welcome", one, "1", "v", "0", "waiting", now, now) for one in persons]
            ledger.enter(lease, now, "flow.entered", given)
            some = ledger.places()[:20]
            batch = Batch("b", "flow.welcome", "0", "shop", "multicast", "intent", "k", 20, now, now)
            sent = tuple(Sent("shop", "flow.welcome", "1/0", one.person, now, "b") for one in some)
            moved = tuple(replace(one, state="sending", batch="b") for one in some)
            ledger.open_batches(lease, now, "batch.opened", [Opening(batch, moved, sent)])
            store.release(lease, now)
        found = open_persons(store, None)
        assert found is not None and len(found.show([one.person for one in ledger.places()])) >= 1
        return [ledger.places(), ledger.batches(), ledger.was_sent("flow.welcome", "1/0")]


def test_a_ledger_that_is_sound_is_kept_whole(here: Place) -> None:
    before = people(here)
    change(here, "UPDATE record SET document = replace(document, 'done', 'dome') WHERE kind = 'occurrence'")
    assert repair(here)["verdict"] == "repaired"
    assert people(here, read=True) == before and repair(here)["verdict"] == "sound"


@pytest.mark.parametrize(
    "damage",
    ["UPDATE ledger_place SET step = '7' WHERE rowid_ = 1", "DELETE FROM ledger_sent", "DELETE FROM ledger_meta"],
)
def test_of_a_damaged_ledger_nobody_goes_on(here: Place, damage: str) -> None:
    """What can be read stays as a memory of who must not be sent again; nothing that was open is sendable."""
    before = people(here)
    person = before[0][0].person.hex()
    change(here, damage.replace("rowid_ = 1", f"person = x'{person}'"))
    found = repair(here)
    assert {"kind": "ledger", "id": "people", "state": None} in found["lost"]
    places, batches, sent = people(here, read=True)
    assert [one.person for one in places] == [one.person for one in before[0]]
    assert {(one.state, one.note) for one in places} == {("left", "damaged")}
    assert [one.state for one in batches] == ["in_doubt"]
    assert sent == (frozenset() if "ledger_sent" in damage else before[2])
    assert repair(here)["verdict"] == "sound"


# --- upgrade ------------------------------------------------------------------------------------------


def test_every_format_has_its_step() -> None:
    assert len(upgrade.STEPS) == state.FORMAT_VERSION - state.FIRST_FORMAT


def test_a_current_state_needs_no_upgrade(here: Place) -> None:
    before = pulled(here)
    done = here.command("state", "upgrade")
    assert done.returncode == 0 and done.stdout.startswith("Nothing to upgrade")
    assert pulled(here) == before


def test_scenario_13_a_state_of_an_earlier_release(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenario 13: a step of a format to come turns the state into one of it; the earlier one is kept."""

    def step(document: dict[str, Any]) -> dict[str, Any]:
        rows = []
        for row in document["records"]:
            content = json.loads(row[6])
            content.setdefault("attributes", {})["step"] = 2
            text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            rows.append([*row[:6], text, row[7]] if row[0] == "size" else row)
        return {**document, "records": rows}

    inside = people(here)
    change(here, "SELECT 1")
    before, raw = pulled(here), file_of(here).read_bytes()
    monkeypatch.setattr(upgrade, "STEPS", (step,))
    for module in (backup, sqlite_file, state, verified):
        monkeypatch.setattr(module, "FORMAT_VERSION", 2)
    assert [one.code for one in here.plan().diagnostics] == ["AUD0637"]
    outcome = mending.upgrade(here.opened())
    assert outcome.document is not None and outcome.document["verdict"] == "upgraded", outcome.diagnostics
    after = pulled(here)
    assert (after["format_version"], after["lineage"]) == (2, before["lineage"])
    assert after["ledger"] == before["ledger"] and people(here, read=True) == inside
    assert [json.loads(row[6])["attributes"]["step"] for row in after["records"] if row[0] == "size"]
    assert [row for row in after["records"] if row[0] != "size"] == [
        row for row in before["records"] if row[0] != "size"
    ]
    assert (here.root / outcome.document["earlier"]).read_bytes() == raw
    document = here.plan().document
    assert document is not None and document["summary"]["changes"] is False
    again = mending.upgrade(here.opened())
    assert again.document is not None and again.document["verdict"] == "current"


def test_scenario_14_what_this_version_does_not_know_is_kept_on_rewrite(here: Place) -> None:
    """Scenario 14: facts that a later minor version wrote into a row outlive a write of that row, and a repair."""
    store = open_store(str(file_of(here)), create=False, environment="default")
    assert not isinstance(store, tuple)
    with store:
        now = datetime.now(UTC)
        lease = store.acquire(Holder("anna", "b", 1), now, timedelta(hours=1))
        row = store.snapshot().resources[0]
        written = store.write(lease, now, "x", replace(row, attributes={**row.attributes, "of_tomorrow": {"a": [1]}}))
        store.write(lease, now, "y", replace(written[0], size=7))
        store.release(lease, now)
    change(here, "UPDATE record SET document = '{' WHERE kind = 'spent_plan'")
    repair(here)
    rows = [json.loads(row[6]) for row in pulled(here)["records"] if row[0] == "resource"]
    assert [row["attributes"]["of_tomorrow"] for row in rows if row["size"] == 7] == [{"a": [1]}]


def test_scenario_44_a_write_whose_answer_was_lost(here: Place) -> None:
    """Scenario 44: the state was put in place, the answer never came: the same document again changes nothing."""
    here.command("state", "pull", "--out", "kept.json")
    whole = pulled(here)
    file_of(here).unlink()
    killed = here.command("state", "push", "kept.json", AUDSQL_TEST_KILL_AT="2")
    assert killed.returncode == -9 and pulled(here) == whole
    done = here.command("state", "push", "kept.json")
    assert done.returncode == 0 and done.stdout.startswith("No changes.")
    assert pulled(here) == whole


# --- backups ------------------------------------------------------------------------------------------


def test_each_run_that_changed_something_leaves_a_backup(here: Place) -> None:
    (first,) = (here.root / ".audsql/backups").iterdir()
    document = json.loads(first.read_text())
    assert document == pulled(here) and first.name == f"state-{document['serial']}.json"
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    before = first.stat().st_mtime_ns
    assert here.run().exit_code == 0
    assert first.stat().st_mtime_ns == before and len(list(first.parent.iterdir())) == 1


def test_the_newest_five_of_a_state_are_kept(here: Place) -> None:
    folder = here.root / ".audsql/backups"
    document = pulled(here)
    other = {**document, "lineage": "0f0f0f0f-0000", "serial": 3}
    backups._write(folder, other)
    for serial in range(3, 13):
        backups._write(folder, {**document, "serial": serial})
        backups._prune(folder, document["lineage"], 5)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([*(f"state-{serial}.json" for serial in range(8, 13)), "state-3.json"])
    assert json.loads((folder / "state-3.json").read_text())["lineage"] == other["lineage"]


def test_a_backup_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    with f1000(tmp_path, SALE) as here:
        (here.root / ".audsql").mkdir()
        (here.root / ".audsql/backups").write_text("in the way")
        outcome = here.apply()
        assert outcome.exit_code == 0 and len(here.inbox()) > 0
        assert [one.code for one in outcome.diagnostics if one.code == "AUD0640"] == ["AUD0640"]


def test_a_copy_is_whole_before_it_has_its_name(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up leaves neither half a backup nor half a state."""
    folder = here.root / ".audsql/backups"
    names = sorted(os.listdir(folder))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    document = pulled(here)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        backups._write(folder, {**document, "serial": 77})
    assert sorted(os.listdir(folder)) == names
    change(here, "UPDATE record SET document = '{' WHERE kind = 'size'")
    before = file_of(here).read_bytes()
    assert mending.repair(here.opened()).exit_code == 1
    assert file_of(here).read_bytes() == before


# --- a server -----------------------------------------------------------------------------------------


def test_a_servers_state_is_repaired_in_one_transaction(here: Place, tmp_path: Path) -> None:
    psycopg = pytest.importorskip("psycopg")
    import sys

    sys.path.insert(0, str(Path(__file__).parent.parent / "apply"))
    from store_cases import postgres_location, postgres_url

    location = postgres_location(tmp_path)
    schema = location.rpartition("=")[2]
    text = (here.root / "audsql.toml").read_text()
    whole = pulled(here)
    here.command("state", "pull", "--out", "kept.json")
    try:
        here.write("audsql.toml", text + "\n[state]\nurl = 'env(\"AUDSQL_TEST_STATE\")'\n")
        server = {"AUDSQL_TEST_STATE": location}
        assert here.command("state", "push", "kept.json", **server).returncode == 0
        with psycopg.connect(postgres_url(), autocommit=True) as connection:
            connection.execute(f"UPDATE {schema}.record SET document = '{{' WHERE kind = 'occurrence'")
            done = here.command("state", "repair", "--json", **server)
            found = json.loads(done.stdout)
            assert (done.returncode, found["kept"]) == (0, len(whole["records"]) - 1), done.stderr
            (copies,) = connection.execute(f"SELECT count(*) FROM {found['damaged']}.record").fetchone()
            assert copies == len(whole["records"])
        assert here.command("state", "repair", **server).stdout.startswith("Nothing to repair")
    finally:
        here.write("audsql.toml", text)


def test_names_of_copies_count_up(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for number in (1, 2):
        *_, copy = mend._copies(path, "damaged")
        assert copy.name == f"state.damaged-{number}"
        copy.touch()


def test_a_state_under_a_key_is_repaired_and_signed_again(tmp_path: Path) -> None:
    """Closed request bodies are bound to the lineage; the journal is signed again by the next run."""
    with f1000(tmp_path, SALE) as here:
        key = {"AUDSQL_KEY": "ab" * 32}
        as_of = ("--as-of", "2026-11-21T00:00:00+09:00")
        done = here.command("apply", "--auto-approve", *as_of, **key)
        assert done.returncode == 0, done.stderr
        received = here.received()
        change(here, "UPDATE record SET document = '{' WHERE kind = 'spent_plan'")
        repaired = here.command("state", "repair", **key)
        assert repaired.returncode == 0, repaired.stderr
        assert here.command("state", "repair", **key).stdout.startswith("Nothing to repair")
        again = here.command("apply", "--auto-approve", *as_of, **key)
        assert again.returncode == 0 and here.received() == received, again.stderr
