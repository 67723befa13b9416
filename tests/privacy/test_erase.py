"""`erase`: afterwards nothing of the person is kept, nothing is sent to them, and no file brings them back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import spawn
from harness import Place, place

KEY = "6b" * 32
NEW_KEY = "6c" * 32
PERSON = "U" + "9d" * 16
OTHER = [f"U{number:032x}" for number in range(1, 121)]
SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload buyers { file: "data/buyers.txt"  id: user_id }
upload optout { file: "data/optout.txt"  id: user_id  allow empty }
upload letters { file: "data/letters.txt"  id: email }
message sale { text: "sale" }
policy house { always except uploaded(optout) }
delivery weekly {
  to: uploaded(buyers)
  send: sale
  at: 2026-12-01 10:00
}
"""


def world() -> dict[str, object]:
    people = [
        {"userId": one, "status": "following", "followedAt": "2025-01-01T00:00:00+09:00", "policyAccepted": True}
        for one in [*OTHER, PERSON]
    ]
    shop = {
        "token": "sim-token", "quota": {"type": "limited", "value": 30000}, "followersReadable": True,
        "notIncludesUnknown": True, "friends": people, "sends": [], "audiences": [],
    }  # fmt: skip
    return {"now": "2026-11-21T00:00:00+09:00", "accounts": {"shop": shop}}


def files(optout: str = OTHER[0]) -> dict[str, str]:
    return {
        "shop.aud": SPEC,
        "data/buyers.txt": "\n".join([*OTHER, PERSON]) + "\n",
        "data/optout.txt": f"{optout}\n",
        "data/letters.txt": "erased.person@canary.example\nother@example.com\n",
    }


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("AUDSQL_KEY", KEY)


def erase(here: Place, *ids: str, code: int = 0, **environment: str):
    given = {**os.environ, "NO_COLOR": "1", "AUDSQL_LANG": "en", **environment}
    done = spawn.run(("erase", "--id-from-stdin", "--json"), cwd=here.root, env=given, input="\n".join(ids))
    assert done.returncode == code, (done.stdout, done.stderr)
    return (json.loads(done.stdout) if done.stdout else None), done.stdout + done.stderr


def traces(here: Place, *ids: str) -> list[str]:
    """Files of ours that hold an id in any form, also in what is encrypted."""
    from audsql import session
    from audsql.data.cache import entry_paths, read_entry
    from audsql.session.keys import keys_of

    forms = [form for one in ids for form in (one.encode(), bytes.fromhex(one[1:]) if one[0] == "U" else one.encode())]
    found = []
    opened = session.open_project(here.root)
    for path in sorted((here.root / ".audsql").rglob("*")):
        if path.is_file() and any(form in path.read_bytes() for form in forms):
            found.append(path.name)
    for path in entry_paths(opened.cache):
        entry = read_entry(path, keys_of(opened))
        assert entry is not None, path
        content = json.dumps(entry.header).encode() + b"".join(bytes(block) for block in entry.blocks)
        words = [form for form in forms if len(form) == 16]
        # The dictionary keeps the two halves of an id apart, each in this machine's order.
        halves = [form[at : at + 8][::-1] for form in words for at in (0, 8)]
        if any(form in content for form in (*forms, *halves)):
            found.append(path.name)
    return found


def uploaded(here: Place) -> list[tuple[str, ...]]:
    return [tuple(one["members"]) for one in here.audiences() if one["type"] == "UPLOAD"]


def test_a_person_is_erased_everywhere_and_stays_away(tmp_path, key):
    with place(tmp_path, world(), files()) as here:
        assert here.apply(as_of=None).exit_code == 0
        assert any(PERSON in members for members in uploaded(here))
        assert traces(here, PERSON), "the cache is where ids are"

        document, shown = erase(here, PERSON)
        assert PERSON not in shown and PERSON[1:] not in shown
        assert document["audiences"] and all(one["known"] for one in document["audiences"])
        assert {one["name"]: one["names_the_person"] for one in document["sources"]}["buyers"] is True
        assert traces(here, PERSON) == []

        # The file still names the person: a change of it reads every row again.
        here.write("data/buyers.txt", "\n".join([*OTHER, PERSON, "U" + "7e" * 16]) + "\n")
        plan = here.plan(as_of=None).document
        reasons = {entry["reason"] for entry in plan["uploads"]} if "uploads" in plan else set()
        assert "person_erased" in json.dumps(plan), reasons
        assert here.apply(as_of=None).exit_code == 0
        here.advance(2 * 24 * 3600)
        assert here.run().exit_code == 0
        assert uploaded(here) and not any(PERSON in members for members in uploaded(here))
        assert traces(here, PERSON) == []

        here.advance(9 * 24 * 3600 - 14 * 3600)
        assert here.run().exit_code in (0, 7)
        assert not here.received()[PERSON]


def test_a_person_on_an_opt_out_list_stays_kept_away(tmp_path, key):
    spec = SPEC.replace("to: uploaded(buyers)", "to: friends EXCEPT uploaded(optout)").replace(
        "  at: 2026-12-01 10:00\n", ""
    )
    out = "\n".join([*OTHER[:60], PERSON])
    with place(tmp_path, world(), {**files(out), "shop.aud": spec}) as here:
        erase(here, PERSON)
        result = here.apply(as_of=None)
        assert result.exit_code == 0, result.diagnostics
        received = here.received()
        assert received[OTHER[100]] == 1 and not received[PERSON] and not received[OTHER[0]]


def test_erasing_needs_a_key_and_an_id(tmp_path, monkeypatch):
    monkeypatch.delenv("AUDSQL_KEY", raising=False)
    with place(tmp_path, world(), files()) as here:
        _, shown = erase(here, PERSON, code=64)
        assert "AUD0660" in shown
        _, shown = erase(here, code=64, AUDSQL_KEY=KEY)
        assert "AUD0662" in shown
        done = here.command("erase", PERSON, AUDSQL_KEY=KEY)
        assert done.returncode == 0 and "AUD0668" in done.stderr and PERSON not in done.stdout + done.stderr


def test_without_the_key_nobody_erased_comes_back(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDSQL_KEY", KEY)
    with place(tmp_path, world(), files()) as here:
        erase(here, PERSON)
        monkeypatch.delenv("AUDSQL_KEY")
        assert [one.code for one in here.plan(as_of=None).diagnostics if one.severity == "error"] == ["AUD0664"]
        monkeypatch.setenv("AUDSQL_KEY", NEW_KEY)
        assert [one.code for one in here.plan(as_of=None).diagnostics if one.severity == "error"] == ["AUD0658"]
        monkeypatch.setenv("AUDSQL_KEYS_OLD", KEY)
        assert here.plan(as_of=None).document is not None


def test_an_email_is_erased_too(tmp_path, key):
    spec = SPEC + "audience readers = uploaded(letters)\n"
    with place(tmp_path, world(), {**files(), "shop.aud": spec}) as here:
        assert here.apply(as_of=None).exit_code == 0
        counted = here.command("eval", "uploaded(letters)", "--json")
        assert json.loads(counted.stdout)["count"] == 2
        erase(here, "Erased.Person@canary.example")
        assert traces(here, "erased.person@canary.example") == []
        counted = here.command("eval", "uploaded(letters)", "--json")
        assert json.loads(counted.stdout)["count"] == 1


def test_another_machine_with_the_same_state_forgets_too(tmp_path, key):
    """The cache of another machine still knows the person; the tombstones in the state are enough."""
    import shutil

    with place(tmp_path, world(), files()) as here:
        assert here.apply(as_of=None).exit_code == 0
        cache = here.root / ".audsql" / "cache"
        shutil.copytree(cache, tmp_path / "other")
        erase(here, PERSON)
        shutil.rmtree(cache)
        Path(tmp_path / "other").rename(cache)
        plan = here.plan(as_of=None).document
        assert "person_erased" in json.dumps(plan)
        assert here.apply(as_of=None).exit_code == 0
        here.advance(2 * 24 * 3600)
        assert here.run().exit_code == 0
        assert not any(PERSON in members for members in uploaded(here))


def test_a_person_is_erased_from_the_ledger(tmp_path, key):
    """Places, sends and codes go, and so does a request that names the person; the numbers stay."""
    from dataclasses import replace
    from datetime import UTC, datetime, timedelta

    from audsql.apply.ledger import Assigned, Batch, Opening, Sent
    from audsql.apply.ledger import Place as Standing
    from audsql.apply.persons import make_persons, open_persons
    from audsql.apply.store import Holder, Lease, Store
    from audsql.session.keys import keys_of
    from audsql.session.planning import open_store
    from audsql.session.sets import engine_of
    from audsql.session.tombstones import erased_people

    def opened_state(here: Place) -> Store:
        store, problems = open_store(here.opened(), create=True)
        assert store is not None, problems
        return store

    now = datetime.now(UTC)
    with place(tmp_path, world(), files()) as here:
        keys = keys_of(here.opened())
        assert here.apply(as_of=None).exit_code == 0
        with opened_state(here) as store:
            lease = store.acquire(Holder("anna", "h", 1), now, timedelta(minutes=1))
            assert isinstance(lease, Lease)
            persons, ledger = make_persons(store, keys, lease, now), store.ledger()
            people = persons.hide([PERSON, OTHER[0]])
            ledger.enter(lease, now, "x", [Standing("f", one, "1", "v", "0", "waiting", now, now) for one in people])
            body = persons.seal("b", json.dumps({"to": [PERSON, OTHER[0]]}).encode())
            batch = Batch(
                "b", "flow.f", "0", "shop", "multicast", "intent", "k", 2, now, now, body=body, body_sha256="x"
            )
            sent = tuple(Sent("shop", "flow.f", "1/0", one, now, "b") for one in people)
            ledger.open_batches(lease, now, "x", [Opening(batch, (), sent)])
            ledger.assign(lease, now, "x", [Assigned("winter", b"c" * 16, people[0], "delivery.d", "once")])
            store.release(lease, now)
        _, shown = erase(here, PERSON, code=5)
        assert "AUD0661" in shown and "f" in shown
        with opened_state(here) as store:
            lease = store.acquire(Holder("anna", "h", 1), now, timedelta(minutes=1))
            assert isinstance(lease, Lease)
            (batch,) = store.ledger().batches()
            store.ledger().put_batch(lease, now, "x", replace(batch, state="in_doubt"))
            store.release(lease, now)
        document, shown = erase(here, PERSON)
        assert document["removed"]["ledger"] == 3 and PERSON not in shown
        with opened_state(here) as store:
            ledger, known = (
                store.ledger(),
                open_persons(store, keys, erased_people(here.opened(), keys, store.snapshot())),
            )
            assert known is not None and known.show([one.person for one in ledger.places()]) == [OTHER[0]]
            assert [(one.count, one.body) for one in ledger.batches()] == [(2, None)]
            assert ledger.was_sent("flow.f", "1/0") == {people[1]} and ledger.people_of("b") == [people[1]]
            assert [one.person for one in ledger.assigned("winter")] == [b""]
            # Whatever names them, they do not enter again.
            assert known.admitted([PERSON, *OTHER[:3]]) == OTHER[:3]
            assert engine_of(here.opened(), store.snapshot()) is not None
        assert erase(here, PERSON)[0]["removed"]["ledger"] == 0 and traces(here, PERSON) == []
        content = b"".join(path.read_bytes() for path in (here.root / ".audsql").glob("state.sqlite*"))
        assert people[0] not in content and people[1] in content
