"""Who people are in the ledger, and where its secret is kept: `privacy.ledger` of specs/privacy.md."""

from __future__ import annotations

import random
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from store_cases import LOCATIONS, NOW, TTL, postgres_location, taken
from test_ledger import KEYS, NEWER, PEOPLE, USERS, filled, opened, place

from audsql.apply.persons import Persons, make_persons, open_persons, secret_file
from audsql.apply.state import KnownSize
from audsql.apply.store import RuleBroken, Store, StoreFailed
from audsql.data.erased import digest_of_id, erased_of
from audsql.data.keys import KeyMissing, Keys, NotAuthentic, sealed_under

DAY = timedelta(days=1)


@pytest.fixture(params=sorted(LOCATIONS))
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return LOCATIONS[request.param](tmp_path)


def made(store: Store, keys: Keys | None, days: int = 0) -> Persons:
    lease = taken(store, now=NOW + days * DAY)
    try:
        return make_persons(store, keys, lease, NOW + days * DAY)
    finally:
        store.release(lease, NOW + days * DAY)


def refused(work) -> str:
    with pytest.raises(StoreFailed) as failure:
        work()
    return failure.value.diagnostic.code


# --- hiding -------------------------------------------------------------------------------------------------


def test_a_person_is_16_other_bytes_that_the_secret_turns_back() -> None:
    source = random.Random(7)
    users = [f"U{source.randbytes(16).hex()}" for _ in range(2_000)]
    hidden = PEOPLE.hide(users)
    assert PEOPLE.show(hidden) == users and PEOPLE.hide(users[5:6]) == hidden[5:6]
    assert len(set(hidden)) == 2_000 and {len(one) for one in hidden} == {16}
    assert not {bytes.fromhex(one[1:]) for one in users} & set(hidden)
    assert Persons(b"t" * 32).hide(users)[0] != hidden[0] and PEOPLE.hide([]) == [] == PEOPLE.show([])
    assert PEOPLE.secret_id not in PEOPLE.secret.hex() and "secret" not in repr(PEOPLE)


@pytest.mark.parametrize(
    "text", ["", "U", f"U{'0' * 31}", f"U{'0' * 33}", f"u{'0' * 32}", f"U{'g' * 32}", f"U{'0' * 30} 0"]
)
def test_what_is_no_user_id_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not the id of a LINE user$"):
        PEOPLE.hide([USERS[0], text])
    with pytest.raises(ValueError, match="16 bytes"):
        PEOPLE.show([b"x" * 15])


def test_a_body_opens_under_its_own_name_and_secret_alone() -> None:
    closed = PEOPLE.seal("b-1", b'{"to":["U1"]}')
    assert PEOPLE.open("b-1", closed) == b'{"to":["U1"]}' and b"U1" not in closed and sealed_under(closed) is not None
    with pytest.raises(NotAuthentic):
        PEOPLE.open("b-2", closed)
    with pytest.raises(KeyMissing):
        Persons(b"t" * 32).open("b-1", closed)


def test_a_code_stands_as_a_keyed_digest() -> None:
    digest = PEOPLE.code_digest("winter", "AB-1")
    assert len(digest) == 16 and digest == PEOPLE.code_digest("winter", "AB-1")
    others = {PEOPLE.code_digest("summer", "AB-1"), PEOPLE.code_digest("winter", "AB-2")}
    assert len({digest, *others, Persons(b"t" * 32).code_digest("winter", "AB-1")}) == 4


def test_whoever_was_erased_is_not_admitted() -> None:
    erased = erased_of(NEWER, [digest_of_id(KEYS, "user_id", USERS[1]), digest_of_id(NEWER, "user_id", USERS[3])])
    people = replace(PEOPLE, erased=erased)
    assert people.admitted(USERS) == [USERS[0], USERS[2], *USERS[4:]] and people.admitted([]) == []
    assert PEOPLE.admitted(USERS) == USERS


# --- the secret under a key ---------------------------------------------------------------------------------


def test_with_a_key_the_secret_stands_closed_in_the_state(location: str) -> None:
    with opened(location, KEYS) as store:
        people = made(store, KEYS)
        # As long as nobody stands under it too: it is made once.
        assert made(store, KEYS, 1) == people == open_persons(store, KEYS)
        known = store.ledger().secret()
        assert known.closed is not None and sealed_under(known.closed) == KEYS.key_id and known.id == people.secret_id
        assert secret_file(store) is None or not secret_file(store).exists()
    for days, keys in ((2, NEWER), (3, Keys(NEWER.secrets[:1]))):
        with opened(location, keys) as store:
            assert open_persons(store, keys) == people and made(store, keys, days) == people
            events = len(store.events())
            closed = store.ledger().secret().closed
            assert closed is not None and sealed_under(closed) == NEWER.key_id
            assert len(store.events()) == events
    with opened(location, NEWER) as store:
        store.ledger().enter(taken(store, now=NOW + 9 * DAY), NOW, "flow.entered", [place()])
        assert refused(lambda: open_persons(store, KEYS)) == "AUD0658"
        assert refused(lambda: open_persons(store, None)) == "AUD0658"


def test_the_next_write_of_the_state_closes_the_secret_under_the_newer_key(location: str) -> None:
    with opened(location, KEYS) as store:
        people = made(store, KEYS)
    with opened(location, NEWER) as store:
        lease = taken(store, now=NOW + DAY)
        store.write(lease, NOW, "size", KnownSize("audience.vip", 1, NOW))
        store.release(lease, NOW)
    newest = Keys(NEWER.secrets[:1])
    with opened(location, newest) as store:
        assert open_persons(store, newest) == people


def test_a_server_without_a_key_is_refused(tmp_path: Path) -> None:
    with opened(postgres_location(tmp_path), None) as store:
        lease, events = taken(store), store.events
        before = events()
        assert refused(lambda: make_persons(store, None, lease, NOW)) == "AUD0671"
        assert events() == before and store.ledger().secret().id == ""


def test_people_stay_under_the_secret_that_they_stand_under(location: str) -> None:
    with opened(location, KEYS) as store:
        people, lease = made(store, KEYS), taken(store, now=NOW + TTL)
        store.ledger().enter(lease, NOW, "flow.entered", [place()])
        with pytest.raises(RuleBroken):
            store.ledger().keep_secret(lease, NOW, "0" * 16, None)
        store._door.execute("UPDATE ledger_meta SET closed = ?", (PEOPLE.seal("x", b"x"),))  # type: ignore[attr-defined]
        store.release(lease, NOW)
        assert refused(lambda: made(store, KEYS, 1)) == "AUD0658"
        assert store.ledger().secret().id == people.secret_id


# --- the secret in a file -----------------------------------------------------------------------------------


def file_of(store: Store) -> Path:
    found = secret_file(store)
    assert found is not None
    return found


def test_without_a_key_it_lies_in_a_file_of_the_owner_alone(tmp_path: Path) -> None:
    location = f"sqlite:{tmp_path / 'state.db'}"
    with opened(location, None) as store:
        people = made(store, None)
        path = file_of(store)
        assert path == tmp_path / "state.db.people-key" and stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
        assert made(store, None, 1) == people == open_persons(store, None)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert sorted(one.name for one in tmp_path.iterdir() if "people" in one.name) == [path.name]
        assert people.secret.hex().encode() not in (tmp_path / "state.db").read_bytes()


def test_a_secret_that_is_lost_or_wrong_is_never_replaced_while_there_is_anybody(tmp_path: Path) -> None:
    with opened(f"sqlite:{tmp_path / 'state.db'}", None) as store:
        people, path = made(store, None), file_of(store)
        content = path.read_bytes()
        lease = taken(store, now=NOW + TTL)
        store.ledger().enter(lease, NOW, "flow.entered", [place()])
        store.release(lease, NOW)
        path.unlink()
        assert refused(lambda: made(store, None, 1)) == "AUD0672" == refused(lambda: open_persons(store, None))
        assert not path.exists()
        for wrong in (b"0" * 64, b"", b"zz\n", content + content):
            path.write_bytes(wrong)
            assert refused(lambda: made(store, None, 2)) == "AUD0673" and path.read_bytes() == wrong
        path.write_bytes(content)
        assert made(store, None, 3) == people
        # Whom nobody is left of may stand under another one.
        lease = taken(store, now=NOW + 4 * DAY)
        store.ledger().forget(lease, NOW, [place().person])
        store.release(lease, NOW)
        path.unlink()
        assert made(store, None, 5) != people and made(store, None, 6) == open_persons(store, None)


def test_a_file_that_a_killed_run_left_is_taken_up(tmp_path: Path) -> None:
    with opened(f"sqlite:{tmp_path / 'state.db'}", None) as store:
        file_of(store).write_text(f"# left\n{'ab' * 32}\n")
        assert made(store, None).secret == b"\xab" * 32


def test_with_a_key_the_secret_moves_from_its_file_into_the_state(tmp_path: Path) -> None:
    location = f"sqlite:{tmp_path / 'state.db'}"
    with opened(location, None) as store:
        people, path = made(store, None), file_of(store)
        lease = taken(store, now=NOW + TTL)
        store.ledger().enter(lease, NOW, "flow.entered", [place()])
        store.release(lease, NOW)
        content = path.read_bytes()
    with opened(location, KEYS) as store:
        assert open_persons(store, KEYS) == people and path.exists()
        assert made(store, KEYS, 1) == people and not path.exists()
        # A run that was killed before the file went leaves it to the next.
        path.write_bytes(content)
        assert made(store, KEYS, 2) == people and not path.exists()
    with opened(location, KEYS) as store:
        assert open_persons(store, KEYS) == people


def test_a_document_holds_the_secret_closed_or_not_at_all(tmp_path: Path) -> None:
    with opened(f"sqlite:{tmp_path / 'state.db'}", None) as store:
        made(store, None)
        filled_before = len(filled(store))
        document = store.backup()
        assert filled_before and document["ledger"]["closed"] is None
    with opened(f"sqlite:{tmp_path / 'other.db'}", None) as other:
        other.put_back(document, "prod", NOW)
        assert refused(lambda: open_persons(other, None)) == "AUD0672"
        file_of(other).write_bytes((tmp_path / "state.db.people-key").read_bytes())
        assert open_persons(other, None) is not None
