"""Deliveries to listed people: by push, and under caps, person by person."""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import pairwise

import pytest

from audsql import session
from audsql.session.applying import ApplyOptions, resolve
from audsql.session.operating import retry
from audsql.session.planning import open_store
from audsql.session.reporting import report
from harness import AS_OF, codes, place


def uid(number: int) -> str:
    return f"U{number:032x}"


HOUSE = 'account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }\nmessage m { text: "hello" }\n'


@contextmanager
def shop(root, spec: str, friends: int = 30, **lists):
    people = [{"userId": uid(n), "followedAt": "2025-01-01T00:00:00+09:00"} for n in range(1, friends + 1)]
    world = {"now": AS_OF.isoformat(), "accounts": {"shop": {"token": "sim-token", "friends": people}}}
    files = {"shop.aud": HOUSE + "".join(f'upload {name} {{ file: "{name}.txt"  id: user_id }}\n' for name in lists)}
    files |= {f"{name}.txt": "".join(f"{uid(n)}\n" for n in numbers) for name, numbers in lists.items()}
    with place(root, world, {**files, "d.aud": spec}) as here:
        yield here


def got(here) -> dict[int, int]:
    return {int(user[1:], 16): count for user, count in sorted(here.received().items())}


def asked(here) -> list[str]:
    return [one["path"].rpartition("/")[2] for one in here.requests("POST") if one["path"].count("/message/") == 1
            and "validate" not in one["path"]]  # fmt: skip


def left_out(here) -> dict[str, int]:
    """By delivery how many people a plan says that caps leave out."""
    guards = [one["facts"] for one in here.plan().document["guards"] if one["code"] == "AUD0873"]
    return {one["delivery"]: one["people"] for one in guards}


def warned(outcome, code: str) -> list[dict]:
    return [dict(one.facts) for one in outcome.diagnostics if one.code == code]


def test_by_push_each_gets_a_request_of_their_own(tmp_path):
    with shop(tmp_path, "delivery d { to: uploaded(a)  send: m  by: push }\n", a=range(1, 6)) as here:
        document = here.plan().document
        assert document["deliveries"][0]["sends"][0]["kind"] == "push"
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (0, [])
        assert got(here) == dict.fromkeys(range(1, 6), 1) and asked(here) == ["push"] * 5
        assert here.plan().document["summary"]["changes"] == 0
        assert here.run().exit_code == 0 and len(asked(here)) == 5


def test_an_outage_in_the_middle_is_gone_on_with(tmp_path):
    with shop(tmp_path, "delivery d { to: uploaded(a)  send: m  by: push }\n", a=range(1, 6)) as here:
        here.faults(*({"match": {"method": "POST", "path": "/v2/bot/message/push"}, "nth": n, "do": "drop-response"}
                      for n in range(3, 200)))  # fmt: skip
        assert here.apply().exit_code == 4
        here.faults()
        assert here.run().exit_code == 0
        assert got(here) == dict.fromkeys(range(1, 6), 1)


def test_who_opts_out_between_two_runs_is_taken_out(tmp_path):
    spec = "policy house { always except uploaded(out) }\ndelivery d { to: uploaded(a)  send: m  by: push }\n"
    with shop(tmp_path, spec, a=range(1, 6), out=[30]) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/push"}, "do": "status:429"})
        assert here.apply().exit_code == 4
        here.faults()
        (here.root / "out.txt").write_text(f"{uid(30)}\n{uid(4)}\n")
        outcome = here.run()
        assert got(here) == dict.fromkeys((1, 2, 3, 5), 1)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (0, [])


def test_a_doubt_needs_a_person_and_one_word_settles_it(tmp_path):
    with shop(tmp_path, "delivery d { to: uploaded(a)  send: m  by: push }\n", a=range(1, 4)) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/push"}, "do": "drop-response"})
        assert here.apply().exit_code == 4
        here.faults()
        here.advance(7 * 3600)
        outcome = here.run()
        assert outcome.exit_code == 7 and "AUD0824" in codes(outcome.diagnostics)
        assert resolve(here.opened(), "d", "sent", "looked").exit_code == 0
        assert here.run().exit_code == 0
        assert set(got(here).values()) == {1}


def test_the_occurrence_that_was_never_tried_is_missed(tmp_path):
    spec = "delivery d { to: uploaded(a)  send: m  by: push  at: 2026-11-21 10:00 }\n"
    with shop(tmp_path, spec, a=range(1, 4)) as here:
        assert here.apply().exit_code == 0
        here.advance(48 * 3600)
        assert here.run().exit_code == 7 and got(here) == {}


CAPPED = """
policy house { cap 1 per person per 7 days }
delivery first { to: uploaded(a)  send: m  at: 2026-11-21 10:00 }
delivery second { to: uploaded(b)  send: m  at: 2026-11-23 10:00 }
delivery third { to: uploaded(c)  send: m  at: 2026-11-29 10:00 }
"""


@pytest.mark.rule("guard.cap")
def test_a_cap_counts_each_person_over_all_deliveries(tmp_path):
    with shop(tmp_path, CAPPED, a=range(1, 11), b=range(8, 16), c=range(5, 20)) as here:
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (0, [])
        here.advance(10 * 3600)
        assert here.run().exit_code == 0 and got(here) == dict.fromkeys(range(1, 11), 1)
        here.advance(48 * 3600)
        outcome = here.run()
        assert outcome.exit_code == 0 and got(here) == dict.fromkeys(range(1, 16), 1)
        assert [one["people"] for one in warned(outcome, "AUD0873")] == [3]
        here.advance(6 * 24 * 3600)
        outcome = here.run()
        # The first was eight days before, the second six.
        assert [one["people"] for one in warned(outcome, "AUD0873")] == [5]
        assert got(here) == {**dict.fromkeys(range(1, 5), 1), **dict.fromkeys(range(5, 11), 2),
                             **dict.fromkeys(range(11, 16), 1), **dict.fromkeys(range(16, 20), 1)}  # fmt: skip
        assert asked(here).count("narrowcast") == 0


def test_no_id_of_a_person_stands_in_plan_or_state(tmp_path):
    with shop(tmp_path, CAPPED, a=range(1, 11), b=range(8, 16), c=range(5, 20)) as here:
        here.apply()
        here.advance(10 * 3600)
        here.run()
        said = json.dumps(here.plan().document) + json.dumps(here.run().document)
        kept = b"".join(path.read_bytes() for path in here.root.glob(".audsql/state*"))
        assert uid(3) not in said and uid(3).encode() not in kept


@pytest.mark.rule("guard.cap")
def test_a_plan_says_whom_a_cap_would_leave_out_before_it_bites(tmp_path):
    with shop(tmp_path, CAPPED, a=range(1, 11), b=range(8, 16), c=range(5, 20)) as here:
        said = left_out(here)
        assert said == {"second": 3, "third": 5}
        assert here.plan().document["applyable"]
        here.apply()
        for hours in (10, 48):
            here.advance(hours * 3600)
            here.run()
        # The list is another one by now.
        (here.root / "c.txt").write_text("".join(f"{uid(n)}\n" for n in range(1, 12)))
        said = left_out(here)
        assert said["third"] == 1


LINE_HELD = """
upload x { file: "x.txt"  id: user_id }
policy house { cap 1 per person per 7 days }
delivery early { to: friends EXCEPT uploaded(x)  send: m  at: 2026-11-21 10:00 }
delivery late { to: friends EXCEPT uploaded(x)  send: m  at: 2026-11-23 10:00 }
"""


@pytest.mark.rule("guard.cap")
def test_line_leaves_out_who_got_an_earlier_send_that_nobody_can_list(tmp_path):
    with shop(tmp_path, LINE_HELD, friends=200) as here:
        here.write("x.txt", uid(200) + "\n")
        assert here.apply().exit_code == 0
        here.advance(10 * 3600)
        assert here.run().exit_code == 0 and len(got(here)) == 199
        here.control("PUT", "/_sim/world", more_friends(here, 300))
        here.advance(48 * 3600)
        outcome = here.run()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (0, [])
        assert got(here) == {number: 1 for number in range(1, 301) if number != 200}


def more_friends(here, count: int):
    world = here.control("GET", "/_sim/world")
    friends = world["accounts"]["shop"]["friends"]
    known = {one["userId"] for one in friends}
    friends += [
        {"userId": uid(n), "followedAt": "2025-01-01T00:00:00+09:00"}
        for n in range(1, count + 1)
        if uid(n) not in known
    ]
    return world


@pytest.mark.rule("guard.cap")
def test_a_send_that_line_cannot_leave_people_out_of_is_refused(tmp_path):
    """Listed people got one by user ID: LINE knows nothing of it that it could leave out."""
    spec = LINE_HELD.replace("to: friends EXCEPT uploaded(x)", "to: uploaded(a)", 1)
    with shop(tmp_path, spec, friends=200, a=range(1, 61)) as here:
        here.write("x.txt", uid(200) + "\n")
        assert here.apply().exit_code == 0
        here.advance(10 * 3600)
        assert here.run().exit_code == 0 and len(got(here)) == 60
        guards = [one["code"] for one in here.plan().document["guards"] if one["severity"] == "error"]
        assert guards == ["AUD0726"]
        here.advance(48 * 3600)
        outcome = here.run()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0726"])
        assert len(got(here)) == 60


@pytest.mark.rule("guard.cap")
def test_what_a_cap_does_not_cover_does_not_count_for_it(tmp_path):
    spec = CAPPED.replace("7 days }", "7 days except for [first] }")
    with shop(tmp_path, spec, a=range(1, 11), b=range(8, 16), c=range(5, 20)) as here:
        said = left_out(here)
        assert said == {"third": 8}
        assert here.apply().exit_code == 0
        here.advance(3 * 24 * 3600)
        assert here.run().exit_code == 7 and got(here) == {}  # Both windows are over.


@pytest.mark.rule("guard.quiet")
@pytest.mark.parametrize("at", ["at: 2026-11-21 22:30", ""])
def test_quiet_hours_that_move_put_a_delivery_off_until_they_are_over(tmp_path, at):
    spec = f"policy night {{ quiet 21:00..09:00 move }}\ndelivery d {{ to: uploaded(a)  send: m  by: push {at} }}\n"
    with shop(tmp_path, spec, a=range(1, 4)) as here:
        if not at:
            here.advance(23 * 3600)
        assert here.apply().exit_code == 0 and got(here) == {}
        assert here.run().exit_code == 0 and got(here) == {}
        here.advance((33 if at else 10) * 3600 - 60)
        assert here.run().exit_code == 0 and got(here) == {}
        here.advance(60)
        assert here.run().exit_code == 0 and got(here) == dict.fromkeys(range(1, 4), 1)
        assert here.run().exit_code == 0 and len(asked(here)) == 3


def test_what_line_refused_is_tried_again_under_the_same_keys(tmp_path):
    with shop(tmp_path, "delivery d { to: uploaded(a)  send: m  by: push }\n", a=range(1, 4)) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/push"}, "do": "status:400"})
        assert here.apply().exit_code == 7 and got(here) == {}
        here.faults()
        assert here.run().exit_code == 7 and got(here) == {}
        assert retry(here.opened(), "d", "the link was fixed", ApplyOptions()).exit_code == 0
        assert got(here) == dict.fromkeys(range(1, 4), 1)
        keys = [one["retryKey"] for one in here.requests("POST") if one["path"] == "/v2/bot/message/push"]
        assert len(keys) == 6 and len(set(keys)) == 3


FLOW = "flow welcome {\n  start when uploaded(a)\n  send m\n}\n"


def test_status_names_a_request_of_a_flow_in_doubt_and_how_to_settle_it(tmp_path):
    with shop(tmp_path, FLOW, a=range(1, 4)) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/multicast"}, "do": "drop-response"})
        assert here.apply().exit_code == 4
        here.faults()
        here.advance(7 * 3600)
        outcome = here.run()
        assert outcome.exit_code == 7 and codes(outcome.diagnostics) == ["AUD0824"]
        assert [one["delivery"] for one in outcome.document["needs_person"]] == ["flow.welcome"]
        document, _, code = session.status(here.opened())
        (named,) = document["needs_person"]
        assert (code, named["delivery"], named["why"]) == (7, "flow.welcome", "batch")
        assert "flow.welcome" in here.command("status").stdout
        assert here.command(*named["commands"][0].replace('"…"', "looked").split()[1:]).returncode == 0
        assert here.run().exit_code == 0 and session.status(here.opened())[2] == 0
        assert got(here) == dict.fromkeys(range(1, 4), 1)


MIXED = """
policy house { cap 1 per person per 7 days }
delivery sale { to: uploaded(a)  send: m  at: 2026-11-21 10:00 }
flow welcome {
  start when uploaded(b)
  wait 1 day
  send m
  wait 1 day
  send m
}
delivery later { to: uploaded(c)  send: m  at: 2026-12-04 10:00 }
"""


@pytest.mark.rule("guard.cap", "flow.cap")
def test_a_cap_counts_deliveries_and_flows_together(tmp_path):
    """Who got the delivery waits in the flow until a week later; what the flow sent counts for a delivery after it."""
    with shop(tmp_path, MIXED, a=range(1, 6), b=range(4, 9), c=range(1, 11)) as here:
        assert here.apply().exit_code == 0
        seen: list[tuple[int, int]] = []
        for hour in range(0, 16 * 24, 12):
            outcome = here.run()
            assert (outcome.exit_code, codes(outcome.diagnostics)) == (0, []), (hour, outcome.diagnostics)
            seen += [(hour, n) for n, count in got(here).items() for _ in range(count - sum(m == n for _, m in seen))]
            here.advance(12 * 3600)
        by_person = {n: [hour for hour, m in seen if m == n] for n in range(1, 11)}
        assert all(later - first >= 7 * 24 for hours in by_person.values() for first, later in pairwise(hours))
        # 1 to 3 got the sale and the later one; 4 and 5 the sale and both steps; 6 to 8 both steps.
        assert [len(by_person[n]) for n in range(1, 11)] == [2, 2, 2, 3, 3, 2, 2, 2, 1, 1]


def test_killed_before_the_first_request_and_never_run_in_time_leaves_nothing_open(tmp_path):
    """The batches are closed with the delivery: nobody in them counts as sent to, and anybody may be erased."""
    spec = "delivery d { to: uploaded(a)  send: m  by: push  at: 2026-11-21 10:00 }\n"
    with shop(tmp_path, spec, a=range(1, 4)) as here:
        assert here.apply().exit_code == 0
        here.advance(10 * 3600)
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/push"}, "do": "status:429"})
        assert here.run().exit_code == 4
        here.advance(24 * 3600)
        assert here.run().exit_code == 7 and got(here) == {}
        store, _ = open_store(here.opened(), create=False)
        with store:
            ledger = store.ledger()
            assert {one.state for one in ledger.batches()} == {"missed"}
            assert ledger.sent_times("shop", AS_OF) == {}


def test_a_report_says_what_line_took_person_by_person(tmp_path):
    spec = f"{FLOW}delivery d {{ to: uploaded(a)  send: m  by: push }}\n"
    with shop(tmp_path, spec, friends=60, a=range(1, 31)) as here:
        assert here.apply().exit_code == 0
        for subject in ("d", "flow.welcome"):
            document, _, code = report(here.opened(), subject)
            (occurrence,) = document["occurrences"]
            assert (code, occurrence["state"], occurrence["parts"][0]["delivered"]) == (0, "done", 30)
            assert here.command("report", subject).returncode == 0
        assert codes(report(here.opened(), "flow.welcom")[1]) == ["AUD0878"]
