"""`state`, `lock`, `unlock`: what is remembered, looked at and mended by a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from f1000 import delivery, f1000

from harness import Place

SALE = "audience warm_a = clicked(msg42) AND purchased(A)\n" + delivery("warm_a")
WHY = ("--reason", "cleaning up")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with f1000(tmp_path_factory.mktemp("state"), SALE) as place:
        assert place.apply().exit_code == 0
        yield place


def json_of(here: Place, *arguments: str, code: int = 0):
    done = here.command(*arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else None


def test_list_and_show_agree(here):
    rows = json_of(here, "state", "list", "--json")["rows"]
    kinds = {row["address"].partition(".")[0] for row in rows}
    assert (
        {"upload", "line_audience", "delivery", "audience", "source"}
        >= kinds
        >= {"upload", "line_audience", "delivery"}
    )
    for row in rows:
        shown = json_of(here, "state", "show", row["address"], "--json")
        assert any(shown[group] for group in ("resources", "occurrences", "sizes")), row
    sale = json_of(here, "state", "show", "delivery.sale_a", "--json")
    assert [one["state"] for one in sale["occurrences"]] == ["done"]
    assert {one["state"] for one in sale["operations"]} == {"succeeded"}
    assert "delivery.sale_a@once" in here.command("state", "list", "delivery.").stdout
    assert "upload." not in here.command("state", "list", "delivery.").stdout


def test_an_unknown_address_names_a_near_one(here):
    done = here.command("state", "show", "delivery.sale_b")
    assert done.returncode == 1 and "AUD0635" in done.stderr and "delivery.sale_a" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("rm", "delivery.sale_a"), "AUD0636"),
        (("mv", "upload.x", "upload.y"), "AUD0636"),
        (("mv", "delivery.sale_a", "audience.sale_a"), "AUD0636"),
        (("mv", "delivery.sale_a", "delivery.sale_a"), "AUD0638"),
        (("mv", "delivery.none", "delivery.other"), "AUD0635"),
        (("rm", "upload.none"), "AUD0635"),
    ],
)
def test_what_cannot_be_changed_is_not(here, arguments, code):
    before = json_of(here, "state", "pull")
    done = here.command("state", *arguments, *WHY)
    assert done.returncode == 1 and code in done.stderr
    after = json_of(here, "state", "pull")
    assert (before["records"], before["serial"]) == (after["records"], after["serial"])


def test_a_delivery_goes_on_under_another_name_and_is_not_sent_again(tmp_path):
    with f1000(tmp_path, SALE) as here:
        assert here.apply().exit_code == 0
        received = here.received()
        undeclared = here.command("state", "mv", "delivery.sale_a", "delivery.sale_w", *WHY)
        assert undeclared.returncode == 1 and "AUD0635" in undeclared.stderr
        here.write("shop.aud", (here.root / "shop.aud").read_text().replace("sale_a", "sale_w"))
        assert here.command("state", "mv", "delivery.sale_a", "delivery.sale_w", *WHY).returncode == 0
        assert here.apply().exit_code == 0
        assert here.received() == received
        rows = [row["address"] for row in json_of(here, "state", "list", "--json")["rows"]]
        assert "delivery.sale_w@once" in rows and not any("sale_a" in row for row in rows)


def test_what_is_removed_stays_at_line_and_is_not_used_again(tmp_path):
    with f1000(tmp_path, SALE) as here:
        assert here.apply().exit_code == 0
        address = next(row["address"] for row in json_of(here, "state", "list", "upload.", "--json")["rows"])
        count = len(here.audiences())
        assert here.command("state", "rm", address, *WHY).returncode == 0
        assert len(here.audiences()) == count
        assert "left alone" in here.command("state", "list", "upload.").stdout
        assert here.plan().document["summary"]["changes"] is False


def test_a_reason_is_needed(here):
    assert here.command("state", "rm", "upload.x").returncode == 64


# --- the whole state --------------------------------------------------------------------------------


def test_a_pulled_state_can_be_pushed_where_there_is_none(tmp_path):
    with f1000(tmp_path, SALE) as here:
        assert here.apply().exit_code == 0
        received = here.received()
        assert here.command("state", "pull", "--out", "kept.json").returncode == 0
        whole = json.loads((here.root / "kept.json").read_text())
        (here.root / ".audsql" / "state.sqlite").unlink()
        for suffix in ("-wal", "-shm"):
            (here.root / ".audsql" / f"state.sqlite{suffix}").unlink(missing_ok=True)
        assert here.command("state", "push", "kept.json").returncode == 0
        assert json_of(here, "state", "pull") == whole
        assert here.command("state", "push", "kept.json").stdout.startswith("No changes.")
        assert here.apply().exit_code == 0
        assert here.received() == received


@pytest.mark.threat("T17")
@pytest.mark.scenario(23)
def test_an_older_one_a_parted_one_and_another_one_are_refused(tmp_path):
    with f1000(tmp_path / "a", SALE) as here, f1000(tmp_path / "b", SALE) as other:
        assert (here.apply().exit_code, other.apply().exit_code) == (0, 0)
        here.command("state", "pull", "--out", "old.json")
        assert here.command("state", "mv", "audience.warm_a", "audience.one", *WHY).returncode == 0
        now = json_of(here, "state", "pull")
        assert "AUD0633" in here.command("state", "push", "old.json").stderr
        parted = json.loads((here.root / "old.json").read_text())
        there = Place(tmp_path / "c", here.simulator)
        there.write("audsql.toml", (here.root / "audsql.toml").read_text())
        there.write("old.json", json.dumps(parted))
        assert there.command("state", "push", "old.json").returncode == 0
        assert there.command("state", "mv", "audience.warm_a", "audience.two", *WHY).returncode == 0
        there.command("state", "pull", "--out", str(here.root / "parted.json"))
        assert "AUD0634" in here.command("state", "push", "parted.json").stderr
        other.command("state", "pull", "--out", str(here.root / "other.json"))
        assert "AUD0632" in here.command("state", "push", "other.json").stderr
        assert json_of(here, "state", "pull") == now
        # What went on from here is taken.
        there.write("new.json", json.dumps(now))
        assert "AUD0634" in there.command("state", "push", "new.json").stderr


def test_damaged_documents_change_nothing(tmp_path):
    with f1000(tmp_path, SALE) as here:
        assert here.apply().exit_code == 0
        whole = json_of(here, "state", "pull")
        events, records = whole["events"], whole["records"]
        cases = {
            "AUD0631": [[], {"kind": "audsql.plan"}, None],
            "AUD0605": [{**whole, "format_version": 99}],
            "AUD0606": [{**whole, "environment": "staging"}],
            "AUD0604": [{**whole, "events": events[:-1]}, {**whole, "events": [[1, "x", "y"]]}],
            "AUD0603": [
                {**whole, "records": records[:-1]},
                {**whole, "serial": whole["serial"] + 1},
                {**whole, "records": [[*records[0][:-1], "%"], *records[1:]]},
                {**whole, "records": [["resource"]]},
                {**whole, "events": 7},
            ],
        }
        place = Place(tmp_path / "new", here.simulator)
        place.write("audsql.toml", (here.root / "audsql.toml").read_text())
        for code, documents in cases.items():
            for number, document in enumerate(documents):
                place.write("bad.json", json.dumps(document))
                done = place.command("state", "push", "bad.json")
                assert done.returncode == 1 and code in done.stderr, (code, number, done.stderr)
        place.write("bad.json", "{")
        assert "AUD0631" in place.command("state", "push", "bad.json").stderr
        place.write("good.json", json.dumps(whole))
        assert place.command("state", "push", "good.json").returncode == 0
        assert json_of(place, "state", "pull") == whole


# --- the lock ---------------------------------------------------------------------------------------


@pytest.fixture
def locked(tmp_path):
    from datetime import UTC, datetime, timedelta

    from audsql.apply.store import Holder, open_store

    with f1000(tmp_path, SALE) as here:
        assert here.apply().exit_code == 0
        store = open_store(str(here.root / ".audsql/state.sqlite"), create=False, environment="default")
        assert not isinstance(store, tuple)
        with store:
            lease = store.acquire(Holder("anna", "build-7", 4321), datetime.now(UTC), timedelta(hours=1))
        yield here, lease.id


@pytest.mark.scenario(20)
def test_the_lock_is_shown_and_ended_by_its_id_only(locked):
    here, identity = locked
    held = json_of(here, "lock", "show", "--json")["held"]
    assert (held["id"], held["by"], held["host"], held["pid"], held["expired"]) == (
        identity,
        "anna",
        "build-7",
        4321,
        False,
    )
    assert here.command("apply", "--auto-approve").returncode in (0, 6)
    wrong = here.command("unlock", "wrong", "--force")
    assert wrong.returncode == 1 and "AUD0616" in wrong.stderr and identity in wrong.stderr
    alive = here.command("unlock", identity)
    assert alive.returncode == 6 and "AUD0639" in alive.stderr
    assert here.command("unlock", identity, "--force").returncode == 0
    assert "free" in here.command("lock", "show").stdout
    assert here.command("unlock", identity).returncode == 1


def test_a_locked_state_is_not_pushed_over_or_changed(locked):
    here, _ = locked
    here.command("state", "pull", "--out", "kept.json")
    assert here.command("state", "push", "kept.json").returncode == 6
    assert here.command("state", "mv", "delivery.sale_a", "delivery.b", *WHY).returncode == 6


def test_japanese(here):
    assert "配信済み" in here.command("state", "list", "--lang", "ja").stdout
    assert "ロックされていません" in here.command("lock", "show", "--lang", "ja").stdout


def test_no_word_of_a_person_in_a_pulled_state(here):
    import re

    text = here.command("state", "pull").stdout
    assert not re.search(r"U[0-9a-f]{32}", text)
    assert Path(here.root).name
