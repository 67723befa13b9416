"""Nobody can be read out of a ledger: not of its tables, its log, its journal, its documents, nor of an error."""

from __future__ import annotations

import json
import traceback
from dataclasses import replace
from datetime import timedelta

import pytest
from canaries import Canaries
from store_cases import NOW, TTL, taken
from test_ledger import KEYS, batch, opened, place

from audsql.apply.ledger import Assigned, Occupied, Opening, Sent
from audsql.apply.persons import make_persons, secret_file
from audsql.apply.store import RowChanged, RuleBroken

USERS = [f"U{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}" for number in range(1, 61)]
CODES = [f"KANARIE-{number}" for number in range(700, 760)]
CANARIES = Canaries([*USERS, *CODES])


@pytest.mark.parametrize("keys", [None, KEYS], ids=["without a key", "with a key"])
def test_nobody_can_be_read_out_of_a_ledger(tmp_path, keys):
    location = f"sqlite:{tmp_path / 'state.db'}"
    with opened(location, keys) as store:
        lease, ledger = taken(store), store.ledger()
        persons = make_persons(store, keys, lease, NOW)
        people = persons.hide(USERS)
        ledger.enter(lease, NOW, "flow.entered", [place(one) for one in people])
        for some in (people[:30], people[30:]):
            given = batch(some)
            body = persons.seal(given.id, json.dumps({"to": persons.show(some)}).encode())
            sent = tuple(Sent("shop", given.owner, "1/0", one, NOW, given.id) for one in some)
            places = tuple(
                replace(one, state="sending", batch=given.id) for one in ledger.places() if one.person in some
            )
            ledger.open_batches(lease, NOW, "batch.opened", [Opening(replace(given, body=body), places, sent)])
        codes = [
            Assigned("winter", persons.code_digest("winter", code), one, "delivery.d", "once")
            for code, one in zip(CODES, people, strict=True)
        ]
        ledger.assign(lease, NOW, "codes.assigned", codes)
        known, *_ = ledger.batches()
        ledger.put_batch(lease, NOW, "batch.sent", replace(known, state="intent"))
        ledger.forget(lease, NOW, [])
        assert CANARIES.in_folder(tmp_path) == [], "while it is open, its log included"
        document = json.dumps(store.backup())
        store.release(lease, NOW)
        assert CANARIES.in_text(document) == []
        for work in (
            lambda: ledger.enter(taken(store, now=NOW + TTL), NOW, "x", [place(people[0])]),
            lambda: ledger.move(taken(store, now=NOW + 9 * TTL), NOW, "x", [place(people[0], revision=9)]),
            lambda: ledger.enter(taken(store, now=NOW + 19 * TTL), NOW, "x", [place(people[0], note=USERS[0])]),
            lambda: persons.hide([USERS[0], CODES[0]]),
            lambda: persons.show([b"short"]),
        ):
            with pytest.raises((Occupied, RowChanged, RuleBroken, ValueError)) as caught:
                work()
            said = "".join(traceback.format_exception(caught.value, limit=0)) + repr(persons)
            assert CANARIES.in_text(said) == [] and not any(one.hex() in said for one in people)
    assert CANARIES.in_folder(tmp_path) == []
    raw = (tmp_path / "state.db").read_bytes()
    assert people[7] in raw and persons.secret not in raw and persons.secret.hex().encode() not in raw
    found = secret_file(store)
    assert found is not None and found.exists() == (keys is None)


def test_a_state_alone_says_nothing_about_a_person(tmp_path):
    """Two ledgers of the same people have nothing in common."""
    seen = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with opened(f"sqlite:{tmp_path / name / 'state.db'}", KEYS) as store:
            lease = taken(store, now=NOW + timedelta(days=1))
            seen.append(set(make_persons(store, KEYS, lease, NOW).hide(USERS)))
    assert not seen[0] & seen[1]
