"""Batches against a simulator: opened, asked for, settled, whatever happens in between; nobody gets one twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audsql import session
from audsql.apply.batches import OPEN, Content, Receiver, carry, code_of, openings, settle_open
from audsql.apply.ledger import Batch, Occupied, Place
from audsql.session.applying import carried, resolve
from harness import AS_OF, codes, place

SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
message m { text: "hello" }
upload u { file: "u.txt"  id: user_id }
flow welcome { start when uploaded(u)  send m }
delivery later { to: uploaded(u)  send: m  at: 2027-01-10 10:00 }
"""
FLOW = "flow.welcome"
STEP = "0@0123456789ab"
HELLO = Content(({"type": "text", "text": "hello"},))


def uid(number: int) -> str:
    return f"U{number:032x}"


@contextmanager
def shop(root, more: str = "", friends: int = 20, **account):
    people = [{"userId": uid(n), "followedAt": "2025-01-01T00:00:00+09:00"} for n in range(1, friends + 1)]
    world = {"now": AS_OF.isoformat(), "accounts": {"shop": {"token": "sim-token", "friends": people, **account}}}
    with place(root, world, {"shop.aud": SPEC + more, "u.txt": uid(1) + "\n"}) as here:
        yield here


def work(here, what: Callable[[Any], Any]) -> tuple[Any, int]:
    """What a run under a lease gives, and its exit code."""
    found: list[Any] = []

    def inside(context: Any) -> int:
        found.append(what(context))
        return 0

    outcome = carried(here.opened(), session.ApplyOptions(), "run", inside)
    here.diagnostics = outcome.diagnostics
    return (found[0] if found else None), outcome.exit_code


def begin(context: Any, people: Sequence[int], content: Content = HELLO, **more: Any) -> list[Batch]:
    """People enter the flow and are taken up by batches."""
    now = context.now("shop")
    persons = context.persons.hide([uid(n) for n in people])
    places = [Place("welcome", one, "1", STEP[2:], "0", "waiting", now, now) for one in sorted(persons)]
    context.ledger.enter(context.lease, context.steady_now(), "entered", places)
    read = [one for one in context.ledger.places("welcome", states=("waiting",)) if one.person in set(persons)]
    receivers = [Receiver(one.person, f"{one.entry}/{one.step}", one) for one in read]
    found = openings(context, "shop", FLOW, STEP, content, receivers, **more)
    context.ledger.open_batches(context.lease, context.steady_now(), "opened", found)
    return context.ledger.batches(FLOW, states=("pending",))


STATES = {"in_doubt": "held", "rejected": "left", "resolved_not_sent": "left"}


def after(batch: Batch, places: Sequence[Place]) -> list[Place]:
    state: Any = STATES.get(batch.state, "done")
    return [replace(one, state=state, note="" if state == "done" else batch.state) for one in places]


def send(context: Any, people: Sequence[int], **more: Any) -> list[Batch]:
    return [carry(context, one, after) for one in begin(context, people, **more)]


def stand(here) -> dict[str, int]:
    found = work(here, lambda context: context.ledger.places("welcome"))[0]
    return {state: sum(one.state == state for one in found) for state in sorted({one.state for one in found})}


def asked(here) -> list[str]:
    return [one["path"].rpartition("/")[2] for one in here.requests("POST") if "/message/" in one["path"]]


@pytest.mark.rule("batch.open")
def test_several_get_a_multicast_and_one_alone_a_push(tmp_path):
    with shop(tmp_path) as here:
        found, _ = work(here, lambda context: send(context, range(1, 8)))
        assert [(one.kind, one.state, one.count) for one in found] == [("multicast", "succeeded", 7)]
        found, _ = work(here, lambda context: send(context, [9]))
        assert [(one.kind, one.state, one.count) for one in found] == [("push", "succeeded", 1)]
        found, _ = work(here, lambda context: send(context, [10, 11], single=True))
        assert asked(here) == ["multicast", "push", "push", "push"]
        assert dict(here.received()) == {uid(n): 1 for n in [*range(1, 8), 9, 10, 11]}
        assert stand(here) == {"done": 10}


def test_five_hundred_in_a_request(tmp_path):
    with shop(tmp_path, friends=1001) as here:
        found, _ = work(here, lambda context: send(context, range(1, 1002)))
        assert sorted((one.kind, one.count) for one in found) == [("multicast", 500), ("multicast", 500), ("push", 1)]
        assert set(here.received().values()) == {1} and len(here.received()) == 1001


@pytest.mark.rule("batch.open", "batch.key")
def test_the_same_people_and_step_make_the_same_key_and_are_taken_up_once(tmp_path):
    with shop(tmp_path) as here:

        def twice(context):
            batch = begin(context, [1, 2, 3])[0]
            people = [Receiver(one, "1/0") for one in reversed(context.ledger.people_of(batch.id))]
            again = openings(context, "shop", FLOW, STEP, HELLO, people)[0]
            assert (again.batch.id, again.batch.retry_key) == (batch.id, batch.retry_key)
            with pytest.raises(Occupied):
                context.ledger.open_batches(context.lease, context.steady_now(), "opened", [again])
            # Who enters a second time is another one: else LINE would take it for a repetition and send nothing.
            second = openings(context, "shop", FLOW, STEP, HELLO, [replace(one, occurrence="2/0") for one in people])
            assert second[0].batch.retry_key != batch.retry_key

        work(here, twice)
        assert asked(here) == []


@pytest.mark.rule("batch.certain", "batch.key")
@pytest.mark.parametrize("people", [(1, 2, 3), (4,)])
def test_an_answer_that_is_not_certain_is_asked_for_again_under_the_same_key(tmp_path, people):
    with shop(tmp_path) as here:
        faults = ("drop-response", "status:500", "status-after:500", "status:429", "refuse")
        match = {"method": "POST", "path": "/v2/bot/message/*"}
        here.faults(*({"match": match, "nth": nth, "do": fault} for nth, fault in enumerate(faults, start=1)))
        found, _ = work(here, lambda context: send(context, people))
        assert [(one.state, one.evidence, one.attempts) for one in found] == [("succeeded", "409", 6)]
        assert dict(here.received()) == {uid(n): 1 for n in people}
        keys = [one["retryKey"] for one in here.requests("POST") if "/message/" in one["path"]]
        assert len(keys) == 6 and set(keys) == {found[0].retry_key}


@pytest.mark.rule("batch.certain", "batch.effect")
def test_an_outage_leaves_it_to_the_next_run_and_the_others_are_tried(tmp_path):
    with shop(tmp_path) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/multicast"}, "do": "drop-response"})
        found, _ = work(here, lambda context: [*send(context, [1, 2]), *send(context, [3])])
        assert [one.state for one in found] == ["intent", "succeeded"]
        assert codes(here.diagnostics) == ["AUD0825"] and code_of(found) == 4
        assert stand(here) == {"done": 1, "sending": 2}
        here.faults()
        found, _ = work(here, lambda context: settle_open(context, after))
        assert [(one.state, one.evidence) for one in found] == [("succeeded", "409")]
        assert dict(here.received()) == {uid(n): 1 for n in (1, 2, 3)}


def test_a_send_that_left_later_counts_from_then(tmp_path):
    with shop(tmp_path) as here:
        work(here, lambda context: begin(context, [1, 2]))
        here.advance(3 * 3600)
        work(here, lambda context: settle_open(context, after))
        since = AS_OF - timedelta(days=1)
        times = work(here, lambda context: context.ledger.sent_times("shop", since))[0]
        assert {one for some in times.values() for one in some} == {AS_OF + timedelta(hours=3)}


@pytest.mark.rule("batch.window", "batch.doubt")
@pytest.mark.parametrize(("fault", "state"), [("drop-response", "in_doubt"), ("status:429", "missed")])
def test_a_window_closes_in_doubt_or_missed(tmp_path, fault, state):
    """What may have left holds its people; what certainly did not is passed over."""
    with shop(tmp_path) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/multicast"}, "do": fault})
        found, _ = work(here, lambda context: send(context, [1, 2]))
        assert found[0].state in OPEN
        here.faults()
        here.advance(6 * 3600)
        found, _ = work(here, lambda context: settle_open(context, after))
        assert [one.state for one in found] == [state]
        assert codes(here.diagnostics) == (["AUD0824"] if state == "in_doubt" else [])
        assert stand(here) == ({"held": 2} if state == "in_doubt" else {"done": 2})
        assert work(here, lambda context: settle_open(context, after))[0] == []


@pytest.mark.rule("batch.window")
def test_quiet_hours_of_today_close_a_window(tmp_path):
    with shop(tmp_path) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/multicast"}, "do": "refuse"})
        work(here, lambda context: send(context, [1, 2]))
        here.faults()
        here.write("house.aud", "policy house { quiet 01:00..09:00 }\n")
        here.advance(3600)
        found, _ = work(here, lambda context: settle_open(context, after))
        assert [one.state for one in found] == ["in_doubt"] and here.inbox() == []


@pytest.mark.rule("batch.refused")
def test_a_refusal_reaches_nobody_and_after_a_doubt_it_proves_nothing(tmp_path):
    with shop(tmp_path) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/*"}, "nth": 1, "do": "status:400"})
        found, _ = work(here, lambda context: send(context, [1, 2]))
        assert [one.state for one in found] == ["rejected"] and codes(here.diagnostics) == ["AUD0823"]
        assert stand(here) == {"left": 2} and code_of(found) == 7
        here.faults(
            {"match": {"method": "POST", "path": "/v2/bot/message/*"}, "nth": 1, "do": "drop-response"},
            {"match": {"method": "POST", "path": "/v2/bot/message/*"}, "nth": 2, "do": "status:400"},
        )
        found, _ = work(here, lambda context: send(context, [3, 4]))
        assert [one.state for one in found] == ["in_doubt"]
        assert dict(here.received()) == {uid(3): 1, uid(4): 1}


def test_a_token_that_is_wrong_says_nothing_about_the_batch(tmp_path):
    with shop(tmp_path) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/*"}, "nth": 1, "do": "status:401"})
        _, code = work(here, lambda context: send(context, [1, 2]))
        assert code == 1 and codes(here.diagnostics) == ["AUD0859"]
        found, _ = work(here, lambda context: settle_open(context, after))
        assert [one.state for one in found] == ["succeeded"]


def test_a_month_without_messages_left_stops_the_run_and_loses_nothing(tmp_path):
    with shop(tmp_path, quota={"type": "limited", "value": 5, "used": 5}) as here:
        _, code = work(here, lambda context: send(context, [1, 2]))
        assert code == 4 and codes(here.diagnostics) == ["AUD0826"]
        assert here.inbox() == []
        found = work(here, lambda context: context.ledger.batches(FLOW))[0]
        assert [(one.state, one.asked) for one in found] == [("intent", False)]


@pytest.mark.rule("batch.pause")
def test_what_is_paused_stays_as_it_is(tmp_path):
    from audsql.session import operating

    with shop(tmp_path) as here:
        assert operating.pause(here.opened(), "flow.welcome", "wrong words").exit_code == 0
        found, _ = work(here, lambda context: send(context, [1, 2]))
        assert [one.state for one in found] == ["pending"] and codes(here.diagnostics) == ["AUD0876"]
        assert here.inbox() == []
        assert operating.resume(here.opened(), "flow.welcome", "").exit_code == 0
        found, _ = work(here, lambda context: settle_open(context, after))
        assert [one.state for one in found] == ["succeeded"]
        assert operating.pause(here.opened(), "flow.welcom", "x").diagnostics[0].code == "AUD0878"


@pytest.mark.rule("batch.allowed")
def test_who_may_not_get_it_any_more_is_taken_out_before_anything_left(tmp_path):
    with shop(tmp_path) as here:
        work(here, lambda context: begin(context, [1, 2, 3]))

        def again(context):
            gone = set(context.persons.hide([uid(2)]))
            return settle_open(context, after, lambda batch, people: frozenset(people) - gone)

        found, _ = work(here, again)
        assert [(one.state, one.count) for one in found] == [("succeeded", 2)]
        assert dict(here.received()) == {uid(1): 1, uid(3): 1}
        sent = work(here, lambda context: context.ledger.was_sent(FLOW, "1/0"))[0]
        assert len(sent) == 2 and stand(here) == {"done": 3}


@pytest.mark.rule("batch.allowed", "batch.frozen")
def test_who_may_not_get_it_any_more_leaves_a_request_that_may_have_left_in_doubt(tmp_path):
    """The same bytes would reach them, and other bytes must not leave under the key."""
    with shop(tmp_path) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/*"}, "do": "drop-response"})
        work(here, lambda context: send(context, [1, 2, 3]))
        here.faults()
        requests = len(asked(here))

        def again(context):
            gone = set(context.persons.hide([uid(2)]))
            return settle_open(context, after, lambda batch, people: frozenset(people) - gone)

        found, _ = work(here, again)
        assert [(one.state, one.evidence) for one in found] == [("in_doubt", "moved")]
        assert len(asked(here)) == requests


@pytest.mark.rule("batch.frozen")
def test_words_of_one_person_are_kept_closed_and_no_longer_than_needed(tmp_path):
    with shop(tmp_path) as here:
        personal = replace(HELLO, messages=({"type": "text", "text": "code ABRACADABRA"},), personal=True)
        work(here, lambda context: begin(context, [1], content=personal))
        held = work(here, lambda context: context.ledger.batches(FLOW))[0]
        assert held[0].content == "" and held[0].body is not None
        database = b"".join(path.read_bytes() for path in (here.root / ".audsql").glob("state.sqlite*"))
        assert b"ABRACADABRA" not in database and uid(1).encode() not in database
        found, _ = work(here, lambda context: settle_open(context, after))
        assert [one.state for one in found] == ["succeeded"] and found[0].body is None
        assert [one["messages"][0]["text"] for one in here.inbox()] == ["code ABRACADABRA"]


def test_lease_lost_before_a_request(tmp_path):
    """Somebody took over between two batches: this run asks LINE for nothing more (exit 6)."""
    with shop(tmp_path) as here:

        def robbed(context):
            batch = begin(context, [1, 2])[0]
            context.store.force_release(context.lease.id, context.steady_now(), "somebody")
            carry(context, batch, after)

        _, code = work(here, robbed)
        assert code == 6 and here.inbox() == [] and asked(here) == []
        found, _ = work(here, lambda context: settle_open(context, after))
        assert [one.state for one in found] == ["succeeded"]


def in_doubt(here, people=(1, 2)) -> None:
    here.faults({"match": {"method": "POST", "path": "/v2/bot/message/*"}, "do": "drop-response"})
    work(here, lambda context: send(context, people))
    here.faults()
    here.advance(6 * 3600)
    work(here, lambda context: settle_open(context, after))
    assert stand(here) == {"held": len(people)}


@pytest.mark.rule("batch.resolve", "batch.effect")
@pytest.mark.parametrize(("verdict", "end"), [("sent", "done"), ("not-sent", "left")])
def test_a_person_says_what_became_of_a_batch_and_its_people_go_on_or_leave(tmp_path, verdict, end):
    with shop(tmp_path) as here:
        in_doubt(here)
        outcome = resolve(here.opened(), FLOW, verdict, "looked at LINE")
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (0, [])
        work(here, lambda context: settle_open(context, after))
        assert stand(here) == {end: 2}
        count = work(here, lambda context: len(context.ledger.sent_times("shop", AS_OF - timedelta(days=1))))[0]
        assert count == (2 if verdict == "sent" else 0)
        assert codes(resolve(here.opened(), FLOW, verdict, "again").diagnostics) == ["AUD0865"]
        assert dict(here.received()) == {uid(1): 1, uid(2): 1}


def test_one_word_is_about_one_batch(tmp_path):
    with shop(tmp_path) as here:
        in_doubt(here, (1, 2))
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/*"}, "do": "drop-response"})
        work(here, lambda context: send(context, [3]))
        here.faults()
        here.advance(6 * 3600)
        found, _ = work(here, lambda context: settle_open(context, after))
        assert codes(resolve(here.opened(), FLOW, "sent", "x").diagnostics) == ["AUD0889"]
        assert resolve(here.opened(), found[0].id, "sent", "x").exit_code == 0
        assert resolve(here.opened(), FLOW, "not-sent", "x").exit_code == 0
        assert codes(resolve(here.opened(), "flow.welcom", "sent", "x").diagnostics) == ["AUD0866"]
