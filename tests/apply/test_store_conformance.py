"""Rules of specs/state.md that every store keeps; a new store is one more entry of FACTORIES."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from store_cases import (
    ANNA,
    BEN,
    BODY,
    FACTORIES,
    NOW,
    SEND,
    TTL,
    every_kind,
    frozen,
    occurrence,
    send,
    taken,
    upload,
)

from audsql.apply.state import (
    KnownSize,
    Occurrence,
    Operation,
    Resolution,
    Row,
    SpentPlan,
    State,
    empty_state,
    iso_time,
    parse_row,
    parse_time,
    row_content,
    row_kind,
    to_document,
)
from audsql.apply.store import Held, Lease, LeaseLost, Removal, RowChanged, RuleBroken, Store, put

SCHEMA = json.loads((Path(__file__).parents[2] / "specs/schemas/state.schema.json").read_text("utf-8"))


@pytest.fixture(params=sorted(FACTORIES))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    return lambda: FACTORIES[request.param](tmp_path)


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Iterator[Store]:
    with reopen() as opened:
        yield opened


def same_but_stamps(left: State, right: State) -> bool:
    return to_document(left) == to_document(right)


# --- content --------------------------------------------------------------------------------------


def test_every_kind_comes_back_as_it_was_written(store: Store, reopen: Callable[[], Store]) -> None:
    lease = taken(store)
    written = store.write(lease, NOW, "all", *every_kind())
    for given, stored in zip(every_kind(), written, strict=True):
        assert replace(stored, stamp=given.stamp) == given
        assert (stored.stamp.revision, stored.stamp.created_at, stored.stamp.updated_at) == (1, NOW, NOW)
    before = store.snapshot()
    store.close()
    with reopen() as again:
        assert again.snapshot() == before
        assert again.body(frozen().id) == BODY


def test_all_row_fields_survive_the_round_trip() -> None:
    for row in every_kind():
        assert parse_row(row_kind(row), json.loads(json.dumps(row_content(row))), row.stamp) == row
        for field in fields(row):
            if "datetime" in str(field.type) and getattr(row, field.name) is not None:
                assert isinstance(row_content(row)[field.name], str)


def test_the_document_has_the_published_shape_and_no_body(store: Store) -> None:
    store.write(taken(store), NOW, "all", *every_kind())
    for state in (store.snapshot(), empty_state("prod")):
        document = to_document(state)
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        assert json.loads(json.dumps(document)) == document
    text = json.dumps(to_document(store.snapshot()), ensure_ascii=False)
    assert '"body"' not in text


def test_lookups(store: Store) -> None:
    lease = taken(store)
    old, new = upload(), upload(generation=2)
    store.write(lease, NOW, "two", new, old, occurrence(), send(part=1), send(), send(part=0, generation=1))
    state = store.snapshot()
    assert [row.generation for row in state.generations("upload.ab12")] == [1, 2]
    newest = state.resource("upload.ab12")
    assert newest is not None and newest.generation == 2
    assert [(row.part, row.generation) for row in state.operations_of(SEND)] == [(0, 0), (0, 1), (1, 0)]
    found = state.occurrence(SEND)
    assert found is not None and found.delivery == "winter"
    assert state.resource("upload.none") is None and state.size("x") is None and state.spent("x") is None


def test_lineage_is_made_once(store: Store, reopen: Callable[[], Store]) -> None:
    lineage = store.snapshot().lineage
    store.close()
    with reopen() as again:
        assert lineage and again.snapshot().lineage == lineage


def test_times_have_zones() -> None:
    with pytest.raises(ValueError, match="zone"):
        iso_time(datetime(2026, 11, 21))
    assert parse_time(iso_time(NOW.astimezone())) == NOW


# --- serial, journal ------------------------------------------------------------------------------


def test_serial_rises_by_one_for_resources_and_occurrences_only(store: Store) -> None:
    lease = taken(store)
    assert store.snapshot().serial == 0
    row, moment = store.write(lease, NOW, "both", upload(), occurrence())
    assert store.snapshot().serial == 1
    operation = put(store, lease, NOW, "send", send())
    put(store, lease, NOW, "size", KnownSize("audience.vip", 3, NOW))
    store.renew(lease, NOW, TTL)
    assert store.snapshot().serial == 1
    store.write(lease, NOW, "again", row, moment, operation)
    assert store.snapshot().serial == 1
    store.write(lease, NOW, "gone", Removal(row))
    assert store.snapshot().serial == 2


def test_digest_follows_the_serial_not_the_polling(store: Store) -> None:
    lease = taken(store)
    put(store, lease, NOW, "upload", upload())
    before = store.snapshot().digest
    put(store, lease, NOW, "send", send())
    assert store.snapshot().digest == before
    put(store, lease, NOW, "send", occurrence())
    assert store.snapshot().digest != before


def test_each_change_is_one_event_with_states(store: Store) -> None:
    lease = taken(store)
    row, operation = store.write(lease, NOW, "upload.intent", upload(), send())
    assert isinstance(operation, Operation)
    put(store, lease, NOW, "send.intent", frozen(stamp=operation.stamp, evidence="plan"))
    store.write(lease, NOW, "upload.deleted", Removal(row))
    first, second, third, fourth = store.events()
    assert (first.what, second.what, third.what, fourth.what) == (
        "lease.acquired", "upload.intent", "send.intent", "upload.deleted",
    )  # fmt: skip
    assert [event.number for event in store.events()] == [1, 2, 3, 4]
    assert [(change.kind, change.before, change.after) for change in second.changes] == [
        ("resource", None, "creating"), ("operation", None, "pending"),
    ]  # fmt: skip
    assert (third.changes[0].before, third.changes[0].after, third.changes[0].evidence) == ("pending", "intent", "plan")
    assert (fourth.changes[0].after, fourth.changes[0].digest) == (None, None)
    assert store.events(after=3) == (fourth,)
    assert {event.epoch for event in store.events()} == {lease.epoch}


def test_equal_content_writes_nothing(store: Store) -> None:
    lease = taken(store)
    row = put(store, lease, NOW, "upload", upload())
    operation = put(store, lease, NOW, "send", frozen())
    before, events = store.snapshot(), store.events()
    later = NOW + timedelta(minutes=1)
    assert store.write(lease, later, "again", row, operation, replace(operation, body=BODY)) == (
        row, operation, operation,
    )  # fmt: skip
    assert (store.snapshot(), store.events()) == (before, events)


# --- compare and swap -----------------------------------------------------------------------------


def test_a_stale_row_changes_nothing(store: Store) -> None:
    lease = taken(store)
    first = put(store, lease, NOW, "upload", upload())
    second = put(store, lease, NOW, "upload", replace(first, status="ready"))
    before = store.snapshot()
    for row in (replace(first, status="failed"), upload(), replace(second, generation=9)):
        with pytest.raises(RowChanged):
            store.write(lease, NOW, "stale", occurrence(), row)
    with pytest.raises(RowChanged):
        store.write(lease, NOW, "stale", occurrence(), Removal(first))
    assert store.snapshot() == before


def test_a_row_made_again_is_another_row(store: Store) -> None:
    lease = taken(store)
    first = put(store, lease, NOW, "upload", upload())
    store.write(lease, NOW, "gone", Removal(first))
    again = put(store, lease, NOW, "upload", upload())
    assert again.stamp.revision == first.stamp.revision and again.stamp.incarnation != first.stamp.incarnation
    with pytest.raises(RowChanged):
        put(store, lease, NOW, "upload", replace(first, status="ready"))


def test_a_plan_is_spent_once(store: Store) -> None:
    lease = taken(store)
    put(store, lease, NOW, "plan.spent", SpentPlan("sha256:a", NOW))
    with pytest.raises(RowChanged):
        put(store, lease, NOW, "plan.spent", SpentPlan("sha256:a", NOW))


# --- rules ----------------------------------------------------------------------------------------

UNSENT = ("pending", "rejected", "refused_empty", "refused_guard", "stale")
TRIED = ("accepted", "sending", "failed", "in_doubt", "missed", "succeeded", "resolved_sent", "resolved_not_sent")


@pytest.mark.parametrize("state", TRIED)
@pytest.mark.parametrize("target", ["pending", "intent"])
def test_what_may_have_been_sent_is_never_sendable_again(store: Store, state: str, target: str) -> None:
    lease = taken(store)
    row = put(store, lease, NOW, "send", frozen(state=state))
    with pytest.raises(RuleBroken):
        put(store, lease, NOW, "send", replace(row, state=target))


@pytest.mark.parametrize("state", ["succeeded", "resolved_sent", "resolved_not_sent"])
def test_nothing_leaves_a_final_state(store: Store, state: str) -> None:
    lease = taken(store)
    row = put(store, lease, NOW, "send", frozen(state=state))
    put(store, lease, NOW, "send", replace(row, counts={"success": 58}))
    row = store.snapshot().operations[0]
    with pytest.raises(RuleBroken):
        put(store, lease, NOW, "send", replace(row, state="in_doubt"))


@pytest.mark.parametrize("state", UNSENT)
def test_before_anything_left_the_body_may_change(store: Store, state: str) -> None:
    lease = taken(store)
    row = put(store, lease, NOW, "send", frozen(state=state))
    other = b'{"messages":[]}'
    changed = replace(row, state="intent", body=other, body_sha256=hashlib.sha256(other).hexdigest())
    put(store, lease, NOW, "send", changed)
    assert store.body(row.id) == other


@pytest.mark.threat("T05")
def test_an_intent_is_frozen(store: Store) -> None:
    lease = taken(store)
    row = put(store, lease, NOW, "send", frozen())
    other = b"{}"
    for changes in (
        {"retry_key": "other"},
        {"body": other, "body_sha256": hashlib.sha256(other).hexdigest()},
        {"body": other},
        {"body_sha256": None},
        {"state": "pending"},
    ):
        with pytest.raises(RuleBroken):
            put(store, lease, NOW, "send", replace(row, **changes))
    accepted = put(store, lease, NOW, "send", replace(row, state="accepted", request_id="r-1", attempts=1))
    assert store.body(accepted.id) == BODY and accepted.body is None
    assert store.body("nothing") is None


@pytest.mark.parametrize("kind", ["multicast", "push"])
def test_a_body_that_lists_people_is_not_stored(store: Store, kind: str) -> None:
    lease = taken(store)
    with pytest.raises(RuleBroken):
        put(store, lease, NOW, "send", frozen(kind=kind))
    row = put(store, lease, NOW, "send", replace(frozen(kind=kind, chunk=3, chunks=4), body=None))
    assert store.body(row.id) is None and row.body_sha256


def test_ids_of_people_are_refused(store: Store) -> None:
    lease = taken(store)
    person = "U" + "0a" * 16
    rows: tuple[Row, ...] = (
        upload(attributes={"first": person}),
        upload(name=f"x {person}"),
        KnownSize(person, 1, NOW),
        send(counts={person: 1}),
    )
    for row in rows:
        with pytest.raises(RuleBroken) as caught:
            put(store, lease, NOW, "send", row)
        assert person not in str(caught.value)
    put(store, lease, NOW, "author", occurrence(document={"text": f"https://e.example/{person}"}))


def test_memory_is_never_removed(store: Store) -> None:
    lease = taken(store)
    stored = store.write(lease, NOW, "all", *every_kind())
    kept = {"occurrence", "operation", "spent_plan", "applied_plan", "resolution", "flow_version", "coupon"}
    for row in stored:
        if row_kind(row) in kept:
            with pytest.raises(RuleBroken):
                store.write(lease, NOW, "gone", Removal(row))
        else:
            store.write(lease, NOW, "gone", Removal(row))


def test_values_that_are_no_json_are_refused_whole(store: Store) -> None:
    lease = taken(store)
    with pytest.raises(TypeError):
        store.write(lease, NOW, "bad", occurrence(), upload(attributes={"x": object()}))
    with pytest.raises(ValueError, match="zone"):
        store.write(lease, NOW, "bad", upload(created_at=datetime(2026, 1, 1)))
    assert store.snapshot().occurrences == ()


# --- the lease ------------------------------------------------------------------------------------


def test_one_lease_at_a_time(store: Store) -> None:
    lease = taken(store)
    held = store.acquire(BEN, NOW + TTL - timedelta(seconds=1), TTL)
    assert held == Held("anna", "build-1", 4321, "apply", NOW, NOW + TTL, lease.id) == store.holder()
    store.release(lease, NOW)
    assert store.holder() is None
    second = taken(store, BEN)
    assert second.epoch > lease.epoch and second.took_over is None


@pytest.mark.scenario(18)
def test_take_over_needs_expiry_and_is_journalled(store: Store) -> None:
    lease = taken(store)
    second = taken(store, BEN, NOW + TTL)
    assert second.epoch == lease.epoch + 1
    assert second.took_over is not None and second.took_over.by == "anna"
    event = store.events()[-1]
    assert (event.what, event.attributes["from"]["by"], event.attributes["by"]) == ("lease.taken_over", "anna", "ben")


@pytest.mark.threat("T10")
@pytest.mark.scenario(19)
def test_a_lost_lease_writes_nothing(store: Store) -> None:
    lease = taken(store)
    row = put(store, lease, NOW, "upload", upload())
    taken(store, BEN, NOW + TTL)
    before, events = store.snapshot(), store.events()
    with pytest.raises(LeaseLost):
        put(store, lease, NOW + TTL, "late", replace(row, status="ready"))
    with pytest.raises(LeaseLost):
        store.write(lease, NOW + TTL, "late")
    with pytest.raises(LeaseLost):
        store.renew(lease, NOW + TTL, TTL)
    store.release(lease, NOW + TTL)
    assert (store.snapshot(), store.events()) == (before, events)
    assert store.holder() is not None


def test_renewal_moves_the_end_even_when_late(store: Store) -> None:
    lease = store.renew(taken(store), NOW + 3 * TTL, TTL)
    assert lease.expires == NOW + 4 * TTL
    assert isinstance(store.acquire(BEN, NOW + 3 * TTL, TTL), Held)
    put(store, lease, NOW, "upload", upload())


def test_a_released_lease_writes_nothing(store: Store) -> None:
    lease = taken(store)
    store.release(lease, NOW)
    store.release(lease, NOW)
    with pytest.raises(LeaseLost):
        put(store, lease, NOW, "late", upload())


@pytest.mark.scenario(20)
def test_unlock_needs_the_id(store: Store) -> None:
    assert store.force_release("nothing", NOW, "ben") == "not_held"
    lease = taken(store)
    assert store.force_release("other", NOW, "ben") == "wrong_id"
    put(store, lease, NOW, "upload", upload())
    assert store.force_release(lease.id, NOW, "ben") == "released"
    with pytest.raises(LeaseLost):
        put(store, lease, NOW, "late", occurrence())
    assert isinstance(store.acquire(ANNA, NOW, TTL), Lease)
    assert [event.what for event in store.events()][-2:] == ["lease.forced", "lease.acquired"]


# --- what people decided (state.note) --------------------------------------------------------------


def pause_at(seconds: int, verdict: str = "paused") -> Resolution:
    return Resolution("deliveries", verdict, "a wrong price", "anna", NOW + timedelta(seconds=seconds))


def test_a_note_is_added_whoever_holds_the_lease(store: Store, reopen: Callable[[], Store]) -> None:
    lease = taken(store)
    (row,) = store.write(lease, NOW, "x", occurrence())
    before = store.snapshot()
    with reopen() as other:
        (noted,) = other.note(NOW, "paused", pause_at(0))
        assert (noted.stamp.revision, noted.stamp.created_at) == (1, NOW)
    after = store.snapshot()
    assert [one.verdict for one in after.resolutions] == ["paused"]
    assert (after.serial, after.digest) == (before.serial, before.digest)
    event = store.events()[-1]
    assert (event.what, event.serial, event.epoch) == ("paused", before.serial, lease.epoch)
    # The holder goes on, and everything verifies when it is opened anew.
    assert isinstance(row, Occurrence)
    store.write(lease, NOW, "y", replace(row, state="sending"))
    store.close()
    with reopen() as again:
        assert [one.verdict for one in again.snapshot().resolutions] == ["paused"]


def test_a_note_changes_nothing_that_is_there(store: Store) -> None:
    (noted,) = store.note(NOW, "paused", pause_at(0))
    before = (store.snapshot(), store.events())
    assert isinstance(noted, Resolution)
    for row in (pause_at(0), pause_at(0, "resumed"), replace(noted, reason="another")):
        with pytest.raises(RowChanged):
            store.note(NOW, "again", pause_at(5), row)
    with pytest.raises(RuleBroken):
        store.note(NOW, "again", replace(pause_at(1), reason=f"asked by U{7:032x}"))
    assert (store.snapshot(), store.events()) == before
