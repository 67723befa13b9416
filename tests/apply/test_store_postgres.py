"""What is PostgreSQL's own: servers that cannot be reached or lose what they confirmed, connections that break off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from store_cases import (
    ANNA,
    BEN,
    NOW,
    TTL,
    frozen,
    occurrence,
    postgres_location,
    postgres_store,
    postgres_url,
    send,
    taken,
    upload,
)

from audsql.apply.door import Cursor
from audsql.apply.postgres import PostgresDoor, PostgresStore, address_of
from audsql.apply.state import KnownSize, to_document
from audsql.apply.store import Held, Lease, LeaseLost, Store, StoreFailed, open_store, put, state_exists
from audsql.diag import Diagnostic


def refused(location: str, environment: str = "prod", create: bool = False) -> Diagnostic:
    answer = open_store(location, create=create, environment=environment)
    assert isinstance(answer, tuple), answer
    return answer[0]


@contextmanager
def other_session() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        yield connection


def door_of(store: Store) -> PostgresDoor:
    assert isinstance(store, PostgresStore)
    door = store._door
    assert isinstance(door, PostgresDoor)
    return door


# --- where it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "schema", "name"),
    [
        ("postgresql://db.example/aud", "audsql", "postgresql://db.example/aud?schema=audsql"),
        ("postgres://anna:secret@db:5433/aud", "audsql", "postgresql://anna@db:5433/aud?schema=audsql"),
        ("postgresql:///aud?host=/run&schema=s%C3%A9", "sé", "postgresql:///aud?schema=sé"),
        ("postgresql://u@h/d?password=secret&schema=x", "x", "postgresql://u@h/d?schema=x"),
    ],
)
def test_an_address_is_named_without_its_password(location: str, schema: str, name: str) -> None:
    address = address_of(location)
    assert (address.schema, address.name) == (schema, name)
    assert "secret" not in address.name and "schema" not in address.url


def test_a_server_that_is_not_there() -> None:
    location = "postgresql://anna:secret@127.0.0.1:1/none"
    found = refused(location)
    assert found.code == "AUD0627" and "secret" not in repr(found)
    exists = state_exists(location)
    assert isinstance(exists, tuple) and exists[0].code == "AUD0627"


def test_a_missing_state_is_made_only_where_that_is_said(tmp_path: Path) -> None:
    location = postgres_location(tmp_path)
    assert state_exists(location) is False
    assert refused(location).code == "AUD0600"
    assert state_exists(location) is False
    postgres_store(tmp_path).close()
    assert state_exists(location) is True


@pytest.mark.scenario(12)
def test_another_environment_and_a_newer_version(tmp_path: Path) -> None:
    location = postgres_location(tmp_path)
    postgres_store(tmp_path).close()
    found = refused(location, "staging")
    assert (found.code, found.fact("found"), found.fact("expected")) == ("AUD0606", "prod", "staging")
    with other_session() as session:
        session.execute(f"UPDATE {address_of(location).schema}.meta SET format = 99")  # type: ignore[call-overload]
    found = refused(location)
    assert (found.code, found.fact("found")) == ("AUD0605", 99)


def test_a_schema_of_any_name_is_quoted(tmp_path: Path) -> None:
    url = postgres_url()
    location = f"{url}{'&' if '?' in url else '?'}schema=%22%3B%20drop%20table%20x%3B--%20{tmp_path.name}"
    store = open_store(location, create=True, environment="prod")
    assert not isinstance(store, tuple), store
    with store:
        taken(store)
    assert state_exists(location) is True


@pytest.mark.parametrize("setting", ["synchronous_commit"])
@pytest.mark.threat("T14")
def test_a_server_that_may_lose_what_it_confirmed_is_refused(tmp_path: Path, setting: str) -> None:
    postgres_store(tmp_path).close()
    url = postgres_url()
    location = postgres_location(tmp_path) + f"&options=-c%20{setting}%3Doff"
    found = refused(location)
    assert (found.code, found.fact("setting"), found.fact("value")) == ("AUD0629", setting, "off"), url


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE record SET document = replace(document, 'winter', 'summer')", "AUD0603"),
        ("UPDATE record SET body = body || '\\x20'::bytea WHERE body IS NOT NULL", "AUD0603"),
        ("DELETE FROM record WHERE kind = 'operation'", "AUD0603"),
        ("UPDATE event SET document = replace(document, 'intent', 'pending') WHERE number = 3", "AUD0604"),
        ("DELETE FROM event WHERE number = (SELECT max(number) FROM event)", "AUD0604"),
        ("UPDATE lease SET epoch = epoch + 1", "AUD0603"),
        ("UPDATE meta SET serial = serial + 1", "AUD0603"),
    ],
)
@pytest.mark.threat("T15")
@pytest.mark.scenario(11)
def test_edits_by_hand_are_found(tmp_path: Path, statement: str, code: str) -> None:
    with postgres_store(tmp_path) as store:
        lease = taken(store)
        put(store, lease, NOW, "plan", occurrence())
        put(store, lease, NOW, "send.intent", frozen())
    with other_session() as session:
        session.execute(f"SET search_path = {address_of(postgres_location(tmp_path)).schema}")  # type: ignore[call-overload]
        session.execute(statement)  # type: ignore[call-overload]
    assert refused(postgres_location(tmp_path)).code == code


# --- take-overs -----------------------------------------------------------------------------------


@pytest.mark.threat("T10")
def test_a_write_waits_for_a_take_over_that_is_under_way_and_then_fails(tmp_path: Path) -> None:
    """A lease that is checked without holding its row would let this write through."""
    with postgres_store(tmp_path) as first, postgres_store(tmp_path) as second:
        lease = taken(first)
        thief = door_of(second)
        thief.begin(write=True)
        thief.execute("UPDATE lease SET epoch = epoch + 1, lock_id = 'thief'")
        result: list[str] = []

        def write() -> None:
            try:
                put(first, lease, NOW, "late", KnownSize("n", 1, NOW))
                result.append("written")
            except LeaseLost:
                result.append("lost")

        thread = threading.Thread(target=write)
        thread.start()
        with other_session() as session:
            while not session.execute(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'audsql'"
            ).fetchone():
                assert thread.is_alive(), result
        thief.roll_back()
        thread.join(timeout=60)
        assert result == ["written"]

        thief.begin(write=True)
        thief.execute("UPDATE lease SET epoch = epoch + 1, lock_id = 'thief'")
        thread = threading.Thread(target=write)
        thread.start()
        thief.commit()
        thread.join(timeout=60)
        assert result == ["written", "lost"]


@pytest.mark.threat("T10")
@pytest.mark.scenario(18)
def test_the_lease_survives_the_session_that_took_it(tmp_path: Path) -> None:
    """A server that ends the holder's session frees nothing: the lease stands until it expires."""
    with postgres_store(tmp_path) as first:
        taken(first)
        cut(first)
    with postgres_store(tmp_path) as second:
        assert isinstance(second.acquire(BEN, NOW, TTL), Held)
        assert isinstance(second.acquire(BEN, NOW + TTL, TTL), Lease)


# --- connections that break off -------------------------------------------------------------------


def cut(store: Store) -> None:
    with other_session() as session:
        session.execute("SELECT pg_terminate_backend(%s, 5000)", (door_of(store)._connection.info.backend_pid,))


SCENARIO: tuple[Callable[[Store, Lease], object], ...] = (
    lambda store, lease: store.write(lease, NOW, "plan", occurrence(), upload()),
    lambda store, lease: put(store, lease, NOW, "send.pending", send()),
    lambda store, lease: put(store, lease, NOW, "send.intent", replace(frozen(), stamp=operation(store).stamp)),
    lambda store, lease: put(
        store, lease, NOW, "send.accepted", replace(operation(store), state="accepted", request_id="r")
    ),
    lambda store, lease: store.renew(lease, NOW, TTL),
)


def operation(store: Store) -> Any:
    return store.snapshot().operations[0]


def documents() -> list[object]:
    """What the state holds after each step of a run that nothing disturbs."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, postgres_store(Path(folder)) as store:
        lease = taken(store)
        found = [comparable(store)]
        for step in SCENARIO:
            step(store, lease)
            found.append(comparable(store))
        return found


def comparable(store: Store) -> object:
    document = to_document(store.snapshot())
    return {key: document[key] for key in ("serial", "resources", "occurrences", "operations")}


def run_and_cut(folder: Path, number: int, after: bool) -> tuple[int, int, Diagnostic | None]:
    """Steps done, statements seen, and what was said when the session ended just before or after the n-th of them.
    After a commit that means: it is durable and its answer is lost."""
    execute, seen, done, failure = PostgresDoor.execute, 0, 0, None

    def cutting(door: PostgresDoor, text: str, parameters: Sequence[object] = ()) -> Cursor:
        nonlocal seen
        seen += 1
        if seen == number and not after:
            cut(store)
        answer = execute(door, text, parameters)
        if seen == number and after:
            cut(store)
            if text == "COMMIT":
                return execute(door, "SELECT 1")
        return answer

    with postgres_store(folder) as store:
        lease = taken(store)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PostgresDoor, "execute", cutting)
            try:
                for step in SCENARIO:
                    step(store, lease)
                    done += 1
            except StoreFailed as failed:
                failure = failed.diagnostic
        if failure is not None:
            with pytest.raises(StoreFailed):
                store.snapshot()
    return done, seen, failure


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.threat("T10")
def test_cut_at_every_statement_nothing_is_half_written(tmp_path: Path, after: bool) -> None:
    whole = documents()
    _, statements, failure = run_and_cut(tmp_path / "whole", 0, after)
    assert failure is None and statements > 30
    for number in range(1, statements + 1):
        done, _, failure = run_and_cut(tmp_path / str(number), number, after)
        assert failure is None or failure.code == "AUD0628"
        assert failure is not None or number == statements
        with postgres_store(tmp_path / str(number)) as again:
            assert comparable(again) in whole[done : done + 2], number


@pytest.mark.scenario(44)
def test_a_lost_answer_is_settled_by_looking(tmp_path: Path) -> None:
    """Terminated between two writes: the next opening has everything that was answered, and can go on."""
    with postgres_store(tmp_path) as store:
        lease = taken(store)
        row = put(store, lease, NOW, "n", KnownSize("n", 1, NOW))
        cut(store)
        with pytest.raises(StoreFailed) as failed:
            put(store, lease, NOW, "n", replace(row, size=2))
        assert failed.value.diagnostic.code == "AUD0628"
    with postgres_store(tmp_path) as again:
        assert again.snapshot().size("n") == row
        renewed = again.renew(lease, NOW, TTL)
        assert put(again, renewed, NOW, "n", replace(row, size=2)).size == 2
        assert isinstance(again.acquire(ANNA, NOW, TTL), Held)
