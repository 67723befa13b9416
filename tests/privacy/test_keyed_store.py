"""Signed journals and closed bodies are the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from store_cases import ANNA, BODY, LOCATIONS, NOW, TTL, send

from audsql.apply.state import Resolution
from audsql.apply.store import Lease, Store, open_store
from audsql.data.keys import Keys, sealed_under

KEYS = Keys((b"k" * 32,))
NEWER = Keys((b"n" * 32, b"k" * 32))


@pytest.fixture(params=sorted(LOCATIONS))
def location(request, tmp_path):
    return LOCATIONS[request.param](tmp_path)


def operation(**changes):
    return send(body=BODY, body_sha256=hashlib.sha256(BODY).hexdigest(), **changes)


def opened(location: str, keys: Keys | None, create: bool = False) -> Store:
    store = open_store(location, create=create, environment="prod", keys=keys)
    assert not isinstance(store, tuple), store
    return store


def refused(location: str, keys: Keys | None) -> list[str]:
    answer = open_store(location, create=False, environment="prod", keys=keys)
    assert isinstance(answer, tuple)
    return [one.code for one in answer]


def write(store: Store, *rows, at: datetime = NOW) -> None:
    lease = store.acquire(ANNA, at, TTL)
    assert isinstance(lease, Lease)
    store.write(lease, at, "test", *rows)
    store.release(lease, at)


def raw(store: Store, text: str):
    """What the database holds, as somebody sees it who has no key."""
    return store._door.execute(text).fetchall()


def test_bodies_are_closed_and_come_back_as_they_were(location):
    with opened(location, KEYS, create=True) as store:
        row = operation()
        write(store, row)
        assert store.body(row.id) == BODY and store.keyed()
        ((stored,),) = raw(store, "SELECT body FROM record WHERE kind = 'operation'")
        assert sealed_under(bytes(stored)) == KEYS.key_id and BODY[:20] not in bytes(stored)
    with opened(location, KEYS) as store:
        assert store.body(row.id) == BODY
    assert refused(location, None) == ["AUD0664"]
    assert refused(location, Keys((b"x" * 32,))) == ["AUD0658"]


def test_a_closed_body_does_not_open_in_another_row(location):
    from audsql.apply.store import StoreFailed

    with opened(location, KEYS, create=True) as store:
        first, second = operation(), operation(part=1)
        write(store, first, second)
        ((stored,),) = raw(store, f"SELECT body FROM record WHERE id = '{first.id}'")
        store._door.execute("UPDATE record SET body = ? WHERE id = ?", (bytes(stored), second.id))
        assert store.body(first.id) == BODY
        with pytest.raises(StoreFailed) as failure:
            store.body(second.id)
        assert failure.value.diagnostic.code == "AUD0603"


def test_a_plain_state_is_closed_and_signed_with_the_next_write_and_then_under_a_newer_key(location):
    row = operation()
    with opened(location, None, create=True) as store:
        write(store, row)
        assert not store.keyed()
    for hours, keys in enumerate((KEYS, NEWER), start=1):
        later = NOW + timedelta(hours=hours)
        with opened(location, keys) as store:
            write(store, Resolution("subject", "verdict", "reason", "anna", later), at=later)
            ((stored,),) = raw(store, "SELECT body FROM record WHERE body IS NOT NULL")
            assert sealed_under(bytes(stored)) == keys.key_id and store.keyed() and store.body(row.id) == BODY
    # The older key is not needed any more.
    with opened(location, Keys(NEWER.secrets[:1])) as store:
        assert store.body(row.id) == BODY


def test_who_has_no_key_cannot_write_an_event(location):
    from audsql.apply.journal import Event, chained, event_text

    with opened(location, KEYS, create=True) as store:
        write(store, Resolution("subject", "verdict", "reason", "anna", NOW))
        ((count, head),) = raw(store, "SELECT events, head FROM meta")
        text = event_text(Event(count + 1, datetime(2026, 11, 22, tzinfo=UTC), "lease.forced", 1, 0))
        store._door.begin(write=True)
        store._door.execute("INSERT INTO event VALUES (?, ?, ?)", (count + 1, text, chained(head, text)))
        store._door.execute("UPDATE meta SET events = ?, head = ?", (count + 1, chained(head, text)))
        store._door.commit()
    assert refused(location, KEYS) == ["AUD0663"]


def test_a_backup_goes_back_with_its_signatures(location, tmp_path):
    with opened(location, KEYS, create=True) as store:
        write(store, operation())
        document = store.backup()
    with opened(f"sqlite:{tmp_path / 'other.db'}", KEYS, create=True) as other:
        assert other.put_back(document, "prod", NOW) == "written"
        assert other.body(operation().id) == BODY
