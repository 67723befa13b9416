"""Rules `ledger.*` of specs/state.md, which every store keeps: one suite over SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from store_cases import ANNA, BEN, LOCATIONS, NOW, TTL, every_kind, taken

from audsql.apply.journal import arm_kill, count_checkpoints
from audsql.apply.ledger import Assigned, Batch, Beat, Ledger, Occupied, Opening, Place, Sent
from audsql.apply.persons import Persons, make_persons, open_persons
from audsql.apply.store import Lease, LeaseLost, RowChanged, RuleBroken, Store, StoreFailed, open_store
from audsql.data.keys import Keys

KEYS = Keys((b"k" * 32,))
NEWER = Keys((b"n" * 32, b"k" * 32))
DAY = timedelta(days=1)
PEOPLE = Persons(b"s" * 32)
USERS = [f"U{number:032x}" for number in range(1, 8)]
A, B, C, D, *_ = PERSONS = PEOPLE.hide(USERS)


def opened(location: str, keys: Keys | None = KEYS, *, create: bool = True) -> Store:
    numbers = count(1)
    store = open_store(location, create=create, environment="prod", new_id=lambda: f"id-{next(numbers)}", keys=keys)
    assert not isinstance(store, tuple), store
    return store


@pytest.fixture(params=sorted(LOCATIONS))
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return LOCATIONS[request.param](tmp_path)


@pytest.fixture
def store(location: str) -> Iterator[Store]:
    with opened(location) as found:
        yield found


def place(person: bytes = A, **changes: object) -> Place:
    fields: dict[str, object] = {
        "flow": "welcome", "person": person, "entry": "1", "version": "0123456789ab", "step": "0", "state": "waiting",
        "entered_at": NOW, "due_at": NOW,
    }  # fmt: skip
    return Place(**{**fields, **changes})  # type: ignore[arg-type]


def batch(people: list[bytes], **changes: object) -> Batch:
    fields: dict[str, object] = {
        "id": hashlib.sha256(b"".join(sorted(people))).hexdigest(), "owner": "flow.welcome", "occurrence": "0",
        "account": "shop", "kind": "multicast", "state": "pending", "retry_key": "key-1", "count": len(people),
        "not_after": NOW + timedelta(hours=6), "created_at": NOW, "content": '[{"type":"text","text":"冬"}]',
    }  # fmt: skip
    return Batch(**{**fields, **changes})  # type: ignore[arg-type]


def opening(places: list[Place], **changes: object) -> Opening:
    one = batch([each.person for each in places], **changes)
    sent = tuple(Sent("shop", one.owner, f"{each.entry}/{each.step}", each.person, NOW, one.id) for each in places)
    return Opening(one, tuple(replace(each, state="sending", batch=one.id) for each in places), sent)


def everything(ledger: Ledger) -> tuple[object, ...]:
    sent = ledger.sent_times("shop", NOW - 400 * DAY)
    return ledger.places(), ledger.batches(), sent, ledger.assigned("winter")


def entered(ledger: Ledger, lease: Lease, *places: Place) -> list[Place]:
    ledger.enter(lease, NOW, "flow.entered", places)
    return ledger.places("welcome")


# --- nobody ---------------------------------------------------------------------------------------------


def test_looking_makes_no_ledger(store: Store) -> None:
    store.write(taken(store), NOW, "all", *every_kind())
    before = store.backup()
    ledger = store.ledger()
    assert everything(ledger) == ([], [], {}, ()) and ledger.standings() == () and ledger.beats() == ()
    assert not ledger.written and open_persons(store, KEYS) is None
    assert "ledger" not in before and store.backup() == before
    assert not store._door.has_table("ledger_meta") and not store._door.has_table("ledger_beat")  # type: ignore[attr-defined]


# --- places ---------------------------------------------------------------------------------------------


def test_places_are_found_by_flow_state_time_and_batch(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    other = place(B, flow="dormant", due_at=NOW + DAY)
    later = place(B, due_at=NOW + timedelta(seconds=0.5), note="missed 0", step="2.1.0")
    ledger.enter(lease, NOW, "flow.entered", [later, place(), other, place(C, state="done", ended_at=NOW)])
    found = ledger.places()
    assert [(one.flow, one.person) for one in found] == sorted((one.flow, one.person) for one in found)
    assert {replace(one, revision=0) for one in found} == {later, place(), other, place(C, state="done", ended_at=NOW)}
    assert [one.person for one in ledger.places("welcome", states=("waiting",), due_by=NOW)] == [A]
    assert ledger.places("welcome", states=("waiting", "done")) == sorted(
        ledger.places("welcome"), key=lambda one: one.person
    )  # fmt: skip
    assert ledger.places(batch="none") == []
    standings = [(one.flow, one.step, one.state, one.count, one.due_at) for one in ledger.standings()]
    assert standings == [
        ("dormant", "0", "waiting", 1, NOW + DAY), ("welcome", "0", "done", 1, NOW),
        ("welcome", "0", "waiting", 1, NOW),
        ("welcome", "2.1.0", "waiting", 1, NOW + timedelta(seconds=0.5)),
    ]  # fmt: skip
    assert [one.flow for one in ledger.standings("dormant")] == ["dormant"]


def test_the_last_place_of_a_person_is_the_one_entered_last(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    times = [place(entry=str(number), entered_at=NOW + (number // 9) * DAY) for number in (1, 2, 9, 10)]
    ledger.enter(lease, NOW, "flow.entered", [*times, place(B)])
    assert {person: one.entry for person, one in ledger.persons_of("welcome").items()} == {A: "10", B: "1"}
    assert ledger.entries_of("welcome") == {(A, "1"), (A, "2"), (A, "9"), (A, "10"), (B, "1")}
    assert ledger.persons_of("none") == {} and ledger.entries_of("none") == frozenset()


def test_who_is_there_cannot_enter_again_and_nothing_of_that_write_stays(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    ledger.enter(lease, NOW, "flow.entered", [place()])
    before, events = everything(ledger), store.events()
    many = [place(one) for one in PEOPLE.hide([f"U{number:032x}" for number in range(100, 300)])]
    for given in ([place(B), place()], [*many, place()]):
        with pytest.raises(Occupied):
            ledger.enter(lease, NOW, "flow.entered", given)
    assert everything(ledger) == before and store.events() == events
    ledger.enter(lease, NOW, "flow.entered", [place(entry="2")])


def test_a_place_moves_only_from_where_it_was_read(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    first, second = entered(ledger, lease, place(), place(B))
    ledger.move(lease, NOW, "flow.waited", [replace(first, step="1", due_at=NOW + DAY), second])
    moved = {one.person: one for one in ledger.places("welcome")}
    # Who stays as they were is not written.
    assert (moved[first.person].step, moved[first.person].revision, moved[second.person].revision) == ("1", 2, 1)
    before, events = everything(ledger), store.events()
    for stale in (replace(first, step="2"), place(C, revision=1), replace(second, entry="2")):
        with pytest.raises(RowChanged):
            ledger.move(lease, NOW, "flow.waited", [replace(moved[second.person], step="5"), stale][-2:])
    with pytest.raises(RuleBroken):
        ledger.move(lease, NOW, "flow.waited", [second, second])
    ledger.move(lease, NOW, "flow.waited", [second])
    assert everything(ledger) == before and store.events() == events


def test_a_place_is_carried_to_another_flow_or_stays_where_it_is(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    (here,) = entered(ledger, lease, place())
    there = replace(here, flow="other", version="2" * 12, revision=0)
    with pytest.raises(RowChanged):
        ledger.carry(lease, NOW, "flow.moved", [(replace(here, revision=9), there)])
    assert (len(ledger.places(here.flow)), ledger.places("other")) == (1, [])
    ledger.carry(lease, NOW, "flow.moved", [(here, there)])
    assert ledger.places(here.flow) == []
    assert ledger.places("other") == [replace(there, revision=1)]
    (again,) = entered(ledger, lease, place())
    with pytest.raises(Occupied):
        ledger.carry(lease, NOW, "flow.moved", [(again, there)])
    assert ledger.places(again.flow) == [again]


def test_a_thousand_places_move_at_once(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    people = PEOPLE.hide([f"U{number:032x}" for number in range(1000)])
    ledger.enter(lease, NOW, "flow.entered", [place(one) for one in people])
    ledger.move(lease, NOW, "flow.waited", [replace(one, step="1") for one in ledger.places("welcome")])
    assert {(one.step, one.revision) for one in ledger.places("welcome")} == {("1", 2)}
    assert [one.count for one in ledger.standings()] == [1000]


# --- the lease and the journal --------------------------------------------------------------------------


def test_who_lost_the_lease_writes_nothing(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    first, *_ = entered(ledger, lease, place())
    ledger.open_batches(lease, NOW, "batch.opened", [opening([first])])
    taken(store, BEN, NOW + 2 * TTL)
    before, events = everything(ledger), store.events()
    (known,) = ledger.batches()
    for write in (
        lambda: ledger.enter(lease, NOW, "x", [place(B)]),
        lambda: ledger.move(lease, NOW, "x", [replace(ledger.places()[0], step="1")]),
        lambda: ledger.open_batches(lease, NOW, "x", [opening([], occurrence="1")]),
        lambda: ledger.put_batch(lease, NOW, "x", replace(known, state="intent")),
        lambda: ledger.remember_sent(lease, NOW, "x", [Sent("shop", "delivery.d", "once", B, NOW)]),
        lambda: ledger.assign(lease, NOW, "x", [Assigned("winter", b"c" * 16, A, "delivery.d", "once")]),
        lambda: ledger.keep_secret(lease, NOW, "0" * 16, None),
        lambda: ledger.forget(lease, NOW, [A]),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert everything(ledger) == before and store.events() == events


def test_each_write_is_one_event_and_one_checkpoint_that_name_nobody(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    serial, number = store.snapshot().serial, store.events()[-1].number
    arm_kill(0)
    first, second, *_ = entered(ledger, lease, place(), place(B))
    ledger.open_batches(lease, NOW, "batch.opened", [opening([first, second])])
    (known,) = ledger.batches()
    ledger.put_batch(lease, NOW, "batch.intent", replace(known, state="intent"))
    events = store.events(number)
    assert [one.what for one in events] == ["flow.entered", "batch.opened", "batch.intent"]
    assert count_checkpoints() == 3 and store.snapshot().serial == serial
    assert [one.attributes["rows"] for one in events] == [
        {"place": 2},
        {"batch": 1, "place": 2, "sent": 2},
        {"batch": 1},
    ]
    said = events[-1].attributes["ledger"]
    assert [said[name] for name in ("place", "batch", "sent", "code")] == [2, 1, 2, 0]
    text = json.dumps([dict(one.attributes) for one in events])
    assert not any(one.hex() in text for one in PERSONS) and not any(one in text for one in USERS)


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger, lease: ledger.enter(lease, NOW, "x", [place(b"short")]),
        lambda ledger, lease: ledger.enter(lease, NOW, "x", [place(note=f"was {USERS[0]}")]),
        lambda ledger, lease: ledger.open_batches(lease, NOW, "x", [opening([place()], occurrence=USERS[0])]),
        lambda ledger, lease: ledger.open_batches(lease, NOW, "x", [opening([place()], body=b'{"to":[]}')]),
        lambda ledger, lease: ledger.remember_sent(lease, NOW, "x", [Sent("shop", "o", USERS[0], A, NOW)]),
        lambda ledger, lease: ledger.assign(lease, NOW, "x", [Assigned("p", b"c", b"", "o", "1")]),
    ],
)
def test_ids_of_people_and_open_bodies_are_refused(store: Store, write: Callable[[Ledger, Lease], None]) -> None:
    ledger, lease = store.ledger(), taken(store)
    with pytest.raises(RuleBroken):
        write(ledger, lease)
    assert everything(ledger) == ([], [], {}, ())


# --- batches --------------------------------------------------------------------------------------------


def test_a_batch_takes_up_its_people_and_its_outcome_moves_them(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    first, second, third = entered(ledger, lease, place(), place(B), place(C))
    closed = PEOPLE.seal("x", b"request")
    given = opening([first, second], body=closed, body_sha256="5" * 64, unit="audsql_1", silent=True)
    ledger.open_batches(lease, NOW, "batch.opened", [given])
    (known,) = ledger.batches("flow.welcome", states=("pending", "intent"))
    assert replace(known, revision=0) == given.batch and known.revision == 1
    assert ledger.batches("flow.other") == [] == ledger.batches(states=("succeeded",))
    assert ledger.people_of(known.id) == sorted([first.person, second.person])
    assert {one.state for one in ledger.places(batch=known.id)} == {"sending"}
    assert ledger.places(states=("waiting",)) == [third]
    known = ledger.put_batch(lease, NOW, "batch.intent", replace(known, state="intent", asked=True, attempts=1))
    assert known == ledger.batches()[0] and known.body == closed
    on = [replace(one, state="waiting", step="1", batch="") for one in ledger.places(batch=known.id)]
    known = ledger.put_batch(lease, NOW, "batch.sent", replace(known, state="succeeded", request_id="r"), on)
    # The bytes name people and are of no use any more.
    assert known.body is None and known == ledger.batches()[0] and known.body_sha256 == "5" * 64
    assert {(one.step, one.batch) for one in ledger.places() if one.person != third.person} == {("1", "")}
    assert ledger.people_of(known.id) == sorted([first.person, second.person])


def test_what_was_sent_to_somebody_is_not_opened_again(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    first, second = entered(ledger, lease, place(), place(B))
    ledger.open_batches(lease, NOW, "batch.opened", [opening([first])])
    before, events = everything(ledger), store.events()
    same = opening([first])
    another = Opening(replace(opening([second]).batch, count=2), (), (*opening([second]).sent, *same.sent))
    another = replace(another, sent=tuple(replace(one, batch=another.batch.id) for one in another.sent))
    for given in (same, replace(same, places=()), another):
        with pytest.raises((Occupied, RowChanged)):
            ledger.open_batches(lease, NOW, "batch.opened", [given])
    stale = opening([replace(second, revision=7)])
    with pytest.raises(RowChanged):
        ledger.open_batches(lease, NOW, "batch.opened", [stale])
    for given in (replace(opening([second]), sent=()), replace(opening([second]), batch=replace(same.batch, id="x"))):
        with pytest.raises(RuleBroken):
            ledger.open_batches(lease, NOW, "batch.opened", [given])
    assert everything(ledger) == before and store.events() == events


def settled(ledger: Ledger, lease: Lease, *states: str) -> Batch:
    known = ledger.batches()[0]
    for state in states:
        known = ledger.put_batch(lease, NOW, "batch", replace(known, state=state))  # type: ignore[arg-type]
    return known


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        (("intent",), "pending"), (("intent", "in_doubt"), "intent"), (("intent", "in_doubt"), "pending"),
        (("intent", "succeeded"), "in_doubt"), (("missed",), "intent"), (("in_doubt", "resolved_sent"), "intent"),
        (("in_doubt", "resolved_not_sent"), "resolved_sent"), (("intent", "succeeded"), "rejected"),
    ],
)  # fmt: skip
def test_what_may_have_been_sent_never_becomes_sendable(store: Store, path: tuple[str, ...], refused: str) -> None:
    ledger, lease = store.ledger(), taken(store)
    ledger.open_batches(lease, NOW, "batch.opened", [opening(entered(ledger, lease, place()))])
    known = settled(ledger, lease, *path)
    with pytest.raises(RuleBroken):
        ledger.put_batch(lease, NOW, "batch", replace(known, state=refused))  # type: ignore[arg-type]
    assert ledger.batches() == [known]


def test_a_batch_stays_what_it_is_for(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    ledger.open_batches(lease, NOW, "batch.opened", [opening(entered(ledger, lease, place()))])
    known = settled(ledger, lease, "intent", "rejected", "intent")
    known = ledger.put_batch(lease, NOW, "batch", replace(known, body_sha256="a" * 64, asked=True))
    for changes in ({"retry_key": "x"}, {"count": 2}, {"owner": "flow.x"}, {"body_sha256": "b" * 64}):
        with pytest.raises(RuleBroken):
            ledger.put_batch(lease, NOW, "batch", replace(known, **changes))  # type: ignore[arg-type]
    for stale in (replace(known, revision=1), replace(known, id="other")):
        with pytest.raises(RowChanged):
            ledger.put_batch(lease, NOW, "batch", stale)
    events = store.events()
    assert ledger.put_batch(lease, NOW, "batch", known) == known and store.events() == events


# --- what was sent --------------------------------------------------------------------------------------


def test_times_of_sends_leave_out_what_certainly_nobody_got(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    rows = [
        Sent("shop", "delivery.d", "once", A, NOW), Sent("shop", "delivery.e", "once", A, NOW - DAY),
        Sent("cafe", "delivery.c", "once", A, NOW), Sent("shop", "delivery.d", "once", B, NOW - 9 * DAY),
    ]  # fmt: skip
    ledger.remember_sent(lease, NOW, "send.remembered", rows)
    events = store.events()
    # What is known already is passed over.
    ledger.remember_sent(lease, NOW, "send.remembered", [replace(row, at=NOW + DAY) for row in rows])
    assert store.events() == events
    first, *_ = entered(ledger, lease, place(C), place(D))
    ledger.open_batches(lease, NOW, "batch.opened", [opening([first])])
    week = NOW - 7 * DAY
    assert ledger.sent_times("shop", week) == {A: [NOW - DAY, NOW], first.person: [NOW]}
    assert ledger.sent_times("shop", week, [B, A]) == {A: [NOW - DAY, NOW]}
    assert ledger.sent_times("shop", week, []) == {}
    assert ledger.sent_times("shop", week, [*PERSONS] * 100, ("delivery.d", "x")) == {
        A: [NOW - DAY],
        first.person: [NOW],
    }
    settled(ledger, lease, "intent", "rejected")
    assert ledger.sent_times("shop", week) == {A: [NOW - DAY, NOW]}
    assert ledger.was_sent("flow.welcome", "1/0") == {first.person}
    assert ledger.was_sent("delivery.d", "once") == {A, B} and ledger.was_sent("delivery.d", "x") == frozenset()


def test_a_code_belongs_to_one_person_and_a_person_has_one(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    one = Assigned("winter", PEOPLE.code_digest("winter", "X-1"), A, "delivery.d", "once")
    ledger.assign(lease, NOW, "codes.assigned", [one])
    second = PEOPLE.code_digest("winter", "X-2")
    for other in (replace(one, person=B), replace(one, code=second)):
        with pytest.raises(Occupied):
            ledger.assign(lease, NOW, "codes.assigned", [replace(one, pool="other"), other])
    assert ledger.assigned("winter") == (one,) and ledger.assigned("other") == ()
    ledger.assign(lease, NOW, "codes.assigned", [replace(one, code=second, occurrence="later")])
    assert len(ledger.assigned("winter")) == 2


def test_a_beat_needs_no_lease_and_leaves_no_event(store: Store) -> None:
    ledger = store.ledger()
    taken(store)
    events = store.events()
    ledger.beat(Beat("run", NOW, "build-1", 7, {"next": None}))
    ledger.beat(Beat("watch", NOW, "build-2", 8, {}))
    ledger.beat(Beat("run", NOW + DAY, "build-1", 9, {"next": "2026-11-22"}))
    assert ledger.beats() == (
        Beat("run", NOW + DAY, "build-1", 9, {"next": "2026-11-22"}), Beat("watch", NOW, "build-2", 8, {}),
    )  # fmt: skip
    assert store.events() == events and not store._door.has_table("ledger_meta")  # type: ignore[attr-defined]


# --- a person who is forgotten --------------------------------------------------------------------------


def test_a_forgotten_person_is_gone_and_their_code_stays_taken(store: Store) -> None:
    ledger, lease = store.ledger(), taken(store)
    places = entered(ledger, lease, place(), place(entry="2"), place(B))
    mine, theirs = opening([places[0]]), opening([one for one in places if one.person == B])
    mine = replace(mine, batch=replace(mine.batch, body=PEOPLE.seal(mine.batch.id, b"to A")))
    ledger.open_batches(lease, NOW, "batch.opened", [mine, theirs])
    codes = [Assigned("winter", bytes([number]) * 16, A, "delivery.d", str(number)) for number in (1, 2)]
    ledger.assign(lease, NOW, "codes.assigned", codes)
    with pytest.raises(RowChanged):
        # A request that names the person may still leave.
        ledger.forget(lease, NOW, [places[0].person])
    for known in ledger.batches():
        ledger.put_batch(lease, NOW, "batch", replace(known, state="in_doubt"))
    assert ledger.forget(lease, NOW, [A]) == 5
    assert {one.person for one in ledger.places()} == {B}
    assert ledger.sent_times("shop", NOW - DAY).keys() == {B}
    assert [(one.code, one.person) for one in ledger.assigned("winter")] == [(one.code, b"") for one in codes]
    assert {one.body for one in ledger.batches()} == {None} and sum(one.count for one in ledger.batches()) == 2
    with pytest.raises(Occupied):
        ledger.assign(lease, NOW, "codes.assigned", [replace(codes[0], person=B)])
    assert ledger.forget(lease, NOW, [A, C]) == 0


# --- damage ---------------------------------------------------------------------------------------------


def filled(store: Store) -> tuple[object, ...]:
    ledger, lease = store.ledger(), taken(store)
    places = entered(ledger, lease, place(), place(B), place(C, state="done", ended_at=NOW))
    given = opening([one for one in places if one.state == "waiting"], body=PEOPLE.seal("b", b"closed"))
    ledger.open_batches(lease, NOW, "batch.opened", [given])
    ledger.assign(lease, NOW, "codes.assigned", [Assigned("winter", b"c" * 16, A, "delivery.d", "once")])
    store.release(lease, NOW)
    return everything(ledger)


DAMAGES = [
    "UPDATE ledger_place SET step = '9'",
    "UPDATE ledger_place SET revision = 7 WHERE state = 'done'",
    "DELETE FROM ledger_sent",
    "DELETE FROM ledger_place WHERE state = 'done'",
    "UPDATE ledger_batch SET body = NULL",
    "UPDATE ledger_batch SET state = 'rejected'",
    "UPDATE ledger_code SET occurrence = 'x'",
    "INSERT INTO ledger_sent (owner, occurrence, person, account, at, batch) SELECT 'o', occurrence, person, 'a', 1, ''"
    " FROM ledger_sent",
]
HEADS = ["UPDATE ledger_meta SET places = 4", "UPDATE ledger_meta SET digest = 'zz'", "DELETE FROM ledger_meta"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_row_that_is_not_the_one_written_is_found_before_it_is_read(location: str, damage: str) -> None:
    with opened(location) as store:
        filled(store)
        store._door.execute(damage)  # type: ignore[attr-defined]
    with opened(location) as store:
        for look in (store.ledger().standings, lambda: store.ledger().enter(taken(store), NOW, "x", [place(D)])):
            with pytest.raises(StoreFailed) as failure:
                look()
            assert (failure.value.diagnostic.code, failure.value.diagnostic.fact("part")) == ("AUD0603", "ledger")


@pytest.mark.parametrize("damage", HEADS)
def test_a_ledger_that_the_journal_does_not_know_is_refused_at_opening(location: str, damage: str) -> None:
    with opened(location) as store:
        filled(store)
        store._door.execute(damage)  # type: ignore[attr-defined]
    answer = open_store(location, create=False, environment="prod", keys=KEYS)
    assert isinstance(answer, tuple) and answer[0].code == "AUD0603"


def test_a_ledger_put_back_from_an_earlier_day_is_found(location: str) -> None:
    with opened(location) as store:
        door, ledger, lease = store._door, store.ledger(), taken(store)  # type: ignore[attr-defined]
        ledger.enter(lease, NOW, "flow.entered", [place()])
        (head,) = door.execute("SELECT places, batches, sends, codes, digest FROM ledger_meta").fetchall()
        ledger.enter(lease, NOW, "flow.entered", [place(B)])
        door.execute("DELETE FROM ledger_place WHERE person = ?", (B,))
        door.execute("UPDATE ledger_meta SET places = ?, batches = ?, sends = ?, codes = ?, digest = ?", head)
    answer = open_store(location, create=False, environment="prod", keys=KEYS)
    assert isinstance(answer, tuple) and answer[0].code == "AUD0603"


# --- the whole state ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", sorted(LOCATIONS))
def test_a_document_takes_the_ledger_along(location: str, target: str, tmp_path: Path) -> None:
    with opened(location) as store:
        make_persons(store, KEYS, lease := taken(store), NOW)
        store.release(lease, NOW)
        before, document = filled(store), json.loads(json.dumps(store.backup()))
        person = open_persons(store, KEYS)
    text = json.dumps(document)
    assert person is not None and person.secret.hex() not in text and not any(one in text for one in USERS)
    with opened(LOCATIONS[target](tmp_path / "other")) as other:
        assert other.put_back(document, "prod", NOW) == "written"
        assert everything(other.ledger()) == before and open_persons(other, KEYS) == person
        assert other.backup() == document
        # A later document of the same history replaces it whole; an earlier one is refused.
        later = taken(other, now=NOW + DAY)
        other.ledger().enter(later, NOW, "flow.entered", [place(D)])
        other.release(later, NOW + DAY)
        newest = other.backup()
        with pytest.raises(StoreFailed) as failure:
            other.put_back(document, "prod", NOW + DAY)
        assert failure.value.diagnostic.code == "AUD0633"
    with opened(location) as store:
        assert store.put_back(newest, "prod", NOW + 2 * DAY) == "written"
        assert len(store.ledger().places()) == 4


@pytest.mark.parametrize("change", ["head", "rows", "text", "gone"])
def test_a_document_whose_ledger_does_not_fit_changes_nothing(location: str, tmp_path: Path, change: str) -> None:
    with opened(location) as store:
        filled(store)
        document = store.backup()
    ledger = document["ledger"]
    if change == "head":
        ledger["head"]["place"] += 1
    elif change == "rows":
        ledger["parts"] = ledger["parts"][1:]
    elif change == "text":
        ledger["parts"][0][1] = "AAAA"
    else:
        del document["ledger"]
    with opened(LOCATIONS[location.partition(":")[0].replace("postgresql", "postgres")](tmp_path / "other")) as other:
        with pytest.raises(StoreFailed) as failure:
            other.put_back(document, "prod", NOW)
        assert failure.value.diagnostic.code == "AUD0603"
        assert other.snapshot().head != document["head"] and everything(other.ledger())[0] == []


# --- dying ----------------------------------------------------------------------------------------------


def forked(work: Callable[[], object]) -> int:
    """Do the work in a process of its own; the signal that ended it, 0 where none did."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def small_flow(location: str, kill_at: int, run: int) -> int:
    """Enter, open, ask, settle: each step looks before it acts. How many checkpoints it passed."""
    arm_kill(kill_at)
    now = NOW + run * 2 * TTL
    with opened(location) as store:
        lease = store.acquire(ANNA, now, TTL)
        assert isinstance(lease, Lease)
        ledger = store.ledger()
        people = make_persons(store, KEYS, lease, NOW).hide(USERS)
        fresh = [one for one in people if one not in ledger.persons_of("welcome")]
        if fresh:
            ledger.enter(lease, now, "flow.entered", [place(one) for one in fresh])
        due = ledger.places("welcome", states=("waiting",), due_by=NOW)
        if due:
            ledger.open_batches(lease, now, "batch.opened", [opening(due[:4]), opening(due[4:])])
        for known in ledger.batches(states=("pending", "intent")):
            asked = ledger.put_batch(lease, now, "batch.intent", replace(known, state="intent", asked=True))
            on = [replace(one, state="done", step="", batch="") for one in ledger.places(batch=asked.id)]
            ledger.put_batch(lease, now, "batch.sent", replace(asked, state="succeeded"), on)
        store.release(lease, now)
    passed = count_checkpoints()
    arm_kill(0)
    return passed


@pytest.mark.parametrize("kind", sorted(LOCATIONS))
def test_killed_at_every_checkpoint_it_converges(kind: str, tmp_path: Path) -> None:
    points = small_flow(LOCATIONS[kind](tmp_path / "whole"), 0, 0)
    assert points >= 10
    for number in range(1, points + 1):
        location = LOCATIONS[kind](tmp_path / str(number))
        assert forked(lambda place=location, at=number: small_flow(place, at, 0)) == signal.SIGKILL
        small_flow(location, 0, 1)
        with opened(location, create=False) as store:
            ledger, people = store.ledger(), open_persons(store, KEYS)
            assert people is not None
            assert sorted(people.show([one.person for one in ledger.places()])) == USERS
            assert {(one.state, one.step, one.batch) for one in ledger.places()} == {("done", "", "")}
            assert [(one.state, one.count) for one in ledger.batches()].count(("succeeded", 4)) == 1
            assert {len(times) for times in ledger.sent_times("shop", NOW - DAY).values()} == {1}
            assert [one.number for one in store.events()] == list(range(1, len(store.events()) + 1))


def test_of_two_writers_the_one_that_was_taken_over_stops(location: str) -> None:
    with opened(location) as first, opened(location) as second:
        lease = taken(first)
        entered(first.ledger(), lease, place())
        newer = taken(second, BEN, NOW + 2 * TTL)
        (seen,) = second.ledger().places()
        second.ledger().open_batches(newer, NOW, "batch.opened", [opening([seen])])
        with pytest.raises(LeaseLost):
            first.ledger().open_batches(lease, NOW, "batch.opened", [opening([seen])])
        assert first.ledger().batches() == second.ledger().batches()
        assert [one.state for one in first.ledger().places()] == ["sending"]
