"""Flows from their text to the simulator's inbox: the shared world of 1,000 people, `audsql apply` and `audsql run`."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from f1000 import f1000
from sweep import KILLED, in_process_of_its_own, rotating

from audsql import session
from audsql.apply import journal
from audsql.apply.store import Lease
from audsql.session.holding import take_lease
from audsql.session.planning import open_store
from harness import AS_OF, Place, codes

CART = """
table carts { file: "data/cart.csv"  id: user_id  time: put_at  verb cart by cart_id }
message survey { text: "survey" }
message reminder { text: "reminder" }
flow carts_left {
  start when cart(*, last 24 hours)
  branch {
    cart(ordered_at is given) -> send survey
    otherwise -> send reminder
  }
}
"""
SURVEYS = {i for i in range(1, 1001) if i % 8 == 3 and i % 3 == 0 and i % 25}
REMINDERS = {i for i in range(1, 1001) if i % 8 == 3 and i % 3 and i % 25}


def uid(i: int) -> str:
    return "U" + format(i, "032x")


def texts(here: Place) -> dict[str, Counter[int]]:
    """By the words of a message who got it how often."""
    found: dict[str, Counter[int]] = {}
    for one in here.inbox():
        found.setdefault(one["messages"][0]["text"], Counter())[int(one["userId"][1:], 16)] += 1
    return found


def sends(here: Place) -> list[str]:
    return [one["path"].rpartition("/")[2] for one in here.requests("POST") if one["path"].count("/") == 4]


def once(people: set[int]) -> Counter[int]:
    return Counter(dict.fromkeys(people, 1))


def says(here: Place, event: str) -> list[int]:
    return [one["count"] for one in here.events if one["event"] == event]


def test_a_flow_that_branches_sends_each_person_one_arm(tmp_path):
    with f1000(tmp_path, CART) as here:
        plan = here.plan()
        (flow,) = plan.document["flows"]
        assert (flow["entering"], [one["people"] for one in flow["arms"]]) == (120, [40, 80])
        outcome = here.apply()
        assert (codes(outcome.diagnostics), outcome.exit_code) == ([], 0)
        assert (len(SURVEYS), len(REMINDERS)) == (40, 80)
        assert texts(here) == {"survey": once(SURVEYS), "reminder": once(REMINDERS)}
        assert set(sends(here)) <= {"multicast", "push"}
        assert here.run().exit_code == 0
        assert here.apply().exit_code == 0
        assert texts(here) == {"survey": once(SURVEYS), "reminder": once(REMINDERS)}


def test_two_runs_that_start_at_once_send_once(tmp_path):
    spec = CART.replace("  branch {", "  wait 1 hour\n  branch {")
    with f1000(tmp_path, spec) as here:
        assert here.apply().exit_code == 0
        assert here.inbox() == []
        here.advance(3600)

        def start(_: int) -> subprocess.CompletedProcess[str]:
            return here.command("run")

        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(start, range(2)))
        assert {one.returncode for one in ended} <= {0, 6}, [one.stderr for one in ended]
        assert here.run().exit_code == 0
        assert texts(here) == {"survey": once(SURVEYS), "reminder": once(REMINDERS)}


@pytest.mark.threat("T01", "T25")
def test_killed_at_any_point_each_person_gets_one_arm_once(tmp_path):
    """Every seventeenth point, each day others; all of them with AUDSQL_SWEEP=1."""
    spec = CART.replace("  branch {", "  wait 1 hour\n  branch {").replace(
        "send survey\n", "{ send survey  send reminder }\n"
    )
    everybody = {"survey": once(SURVEYS), "reminder": once(SURVEYS | REMINDERS)}

    def step(here: Place, kill_at: int = 0) -> int:
        def work() -> int:
            journal.arm_kill(kill_at)
            code = here.run().exit_code
            (here.root / "count").write_text(str(journal.count_checkpoints()))
            return code

        return in_process_of_its_own(work)

    with f1000(tmp_path / "whole", spec) as here:
        assert here.apply().exit_code == 0
        here.advance(3600)
        assert step(here) == 0
        assert texts(here) == everybody
        points = int((here.root / "count").read_text())
    assert points > 15
    for point in rotating(points, 17):
        with f1000(tmp_path / str(point), spec) as here:
            assert here.apply().exit_code == 0
            here.advance(3600)
            assert step(here, point) == KILLED
            codes_found = [step(here)]
            while codes_found[-1] == 6:
                here.advance(20 * 60)
                codes_found.append(step(here))
            assert codes_found[-1] == 0, point
            assert texts(here) == everybody, point


# --- time ---------------------------------------------------------------------------------------------

LIST = 'upload joined { file: "data/joined.txt"  id: user_id }\n'
STEPS = """
message first { text: "first" }
message second { text: "second" }
flow steps {
  start when uploaded(joined)
  send first
  wait 3 days
  wait until 12:00
  send second
}
"""


def joined(here: Place, *people: int) -> None:
    here.write("data/joined.txt", "".join(f"{uid(one)}\n" for one in people))


def test_a_wait_counts_from_when_the_step_before_was_due(tmp_path):
    with f1000(tmp_path, LIST + STEPS) as here:
        joined(here, 1, 2)
        assert here.apply().exit_code == 0
        assert texts(here) == {"first": once({1, 2})}
        joined(here, 1, 2, 3)
        here.advance(10 * 3600)
        assert here.run().exit_code == 0
        assert texts(here)["first"] == once({1, 2, 3})
        here.advance(3 * 86400 + 3600)  # 11:00 of the fourth day: the second is due at 12:00
        assert here.run().exit_code == 0
        assert "second" not in texts(here)
        here.advance(3600)
        assert here.run().exit_code == 0
        assert texts(here)["second"] == once({1, 2, 3})


def test_a_send_that_is_a_day_late_is_passed_over_and_told(tmp_path):
    with f1000(tmp_path, LIST + STEPS + 'message third { text: "third" }\n') as here:
        here.write(
            "shop.aud",
            (here.root / "shop.aud").read_text().replace("send second\n", "send second\n  wait 2 days\n  send third\n"),
        )
        joined(here, 1)
        assert here.apply().exit_code == 0
        here.advance(5 * 86400)  # the second was due half a day and more than 24 hours ago
        outcome = here.run()
        assert [one.code for one in outcome.diagnostics] == ["AUD0822"]
        assert outcome.exit_code == 0
        assert says(here, "flow_missed") == [1]
        here.advance(12 * 3600)
        assert here.run().exit_code == 0
        assert texts(here) == {"first": once({1}), "third": once({1})}


def test_a_send_that_is_due_in_quiet_hours_moves_and_what_follows_moves_along(tmp_path):
    quiet = "policy night { quiet 21:00..09:00 }\n"
    with f1000(tmp_path, LIST + STEPS + quiet) as here:
        joined(here, 1)
        assert here.apply().exit_code == 0  # midnight
        assert here.inbox() == []
        here.advance(9 * 3600 - 60)
        assert here.run().exit_code == 0
        assert here.inbox() == []
        here.advance(60)
        assert here.run().exit_code == 0
        assert texts(here) == {"first": once({1})}
        here.advance(3 * 86400 + 3 * 3600)
        assert here.run().exit_code == 0
        assert texts(here)["second"] == once({1})


def test_quiet_hours_that_refuse_pass_a_send_over(tmp_path):
    quiet = "policy night { quiet 21:00..09:00 refuse }\n"
    with f1000(tmp_path, LIST + STEPS + quiet) as here:
        joined(here, 1)
        assert here.apply().exit_code == 0
        assert says(here, "flow_passed_over") == [1]
        here.advance(3 * 86400 + 12 * 3600)
        assert here.run().exit_code == 0
        assert texts(here) == {"second": once({1})}


# --- who leaves ---------------------------------------------------------------------------------------


def test_exit_and_policies_are_looked_at_before_each_step(tmp_path):
    leaving = 'upload bought { file: "data/bought.txt"  id: user_id  allow empty }\n'
    spec = LIST + leaving + STEPS.replace("send second", "send second\n  exit when uploaded(bought)")
    with f1000(tmp_path, spec) as here:
        joined(here, 1, 2, 3)
        here.write("data/bought.txt", "")
        outcome = here.apply()
        assert (codes(outcome.diagnostics), outcome.exit_code) == ([], 0)
        here.write("data/bought.txt", uid(1) + "\n")
        with (here.root / "data/optout.txt").open("a") as out:
            out.write(uid(2) + "\n")
        here.advance(4 * 86400)
        assert here.run().exit_code == 0
        assert texts(here) == {"first": once({1, 2, 3}), "second": once({3})}


def test_since_start_is_since_this_person_entered(tmp_path):
    spec = (
        LIST
        + """
message hello { text: "hello" }
message thanks { text: "thanks" }
message again { text: "again" }
flow buying {
  start when uploaded(joined)
  send hello
  wait 2 days
  branch {
    purchased(A, since start) -> send thanks
    otherwise -> send again
  }
}
"""
    )
    with f1000(tmp_path, spec) as here:
        joined(here, 1, 4)  # 4 bought A four days before
        assert here.apply().exit_code == 0
        here.advance(86400)
        joined(here, 1, 2, 3, 4)
        assert here.run().exit_code == 0
        rows = [(one, (AS_OF + timedelta(hours=hours)).isoformat()) for one, hours in ((1, 3), (2, 20), (3, 30))]
        with (here.root / "data/orders.csv").open("a") as out:
            out.writelines(f"n{one},{uid(one)},A,1,{at}\n" for one, at in rows)
        here.advance(86400)
        assert here.run().exit_code == 0
        assert {text: set(found) for text, found in texts(here).items()} == {
            "hello": {1, 2, 3, 4}, "thanks": {1}, "again": {4}
        }  # fmt: skip
        here.advance(86400)
        assert here.run().exit_code == 0
        # 2 bought before entering on the second day, 3 after it.
        assert set(texts(here)["thanks"]) == {1, 3}
        assert set(texts(here)["again"]) == {2, 4}


# --- once and again -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reentry", "again"), [("never", []), ("always", [1]), ("after 4 days", []), ("after 1 day", [1])]
)
def test_who_was_outside_since_may_enter_again_as_the_flow_says(reentry, again, tmp_path):
    spec = (
        LIST
        + 'message hello { text: "hello" }\n'
        + (f"flow hellos {{ start when uploaded(joined)  send hello  reentry: {reentry} }}\n")
    )
    with f1000(tmp_path, spec) as here:
        joined(here, 1, 2)
        assert here.apply().exit_code == 0
        for people in ((1, 2), (2,), (1, 2)):
            joined(here, *people)
            here.advance(86400)
            assert here.run().exit_code == 0
        assert texts(here)["hello"] == Counter({1: 1 + len(again), 2: 1})


def test_more_people_than_the_plan_counted_do_not_enter(tmp_path):
    with f1000(tmp_path, LIST + STEPS) as here:
        joined(here, 1, 2)
        plan = here.plan().document
        joined(here, *range(1, 500))
        outcome = here.apply(plan)
        assert "AUD0818" in codes(outcome.diagnostics)
        assert outcome.exit_code == 5
        here.run()
        assert here.inbox() == []


def test_people_finish_on_the_version_that_they_entered(tmp_path):
    with f1000(tmp_path, LIST + STEPS) as here:
        joined(here, 1)
        assert here.apply().exit_code == 0
        text = (here.root / "shop.aud").read_text()
        here.write("shop.aud", text.replace('text: "second"', 'text: "other"'))
        joined(here, 1, 2)
        assert here.apply().exit_code == 0
        here.advance(4 * 86400)
        assert here.run().exit_code == 0
        assert texts(here) == {"first": once({1, 2}), "second": once({1}), "other": once({2})}
        here.write("shop.aud", text[: text.index("flow steps")])
        assert here.apply().exit_code == 0
        assert [one["event"] for one in here.events if one["event"] == "flow_closed"] == ["flow_closed"] * 2


@pytest.mark.parametrize(("over", "later"), [("move", True), ("refuse", False)])
def test_a_cap_is_counted_over_flows_and_moves_or_refuses(over, later, tmp_path):
    spec = (
        LIST
        + """
message first { text: "first" }
message second { text: "second" }
flow one { start when uploaded(joined)  send first }
flow two { start when uploaded(joined)  send second }
"""
    )
    with f1000(tmp_path, spec + f"policy often {{ cap 1 per person per 7 days {over} }}\n") as here:
        joined(here, 1, 2)
        assert here.apply().exit_code == 0
        assert texts(here) == {"first": once({1, 2})}
        here.advance(7 * 86400 - 60)
        assert here.run().exit_code == 0
        assert texts(here) == {"first": once({1, 2})}
        here.advance(120)
        assert here.run().exit_code == 0
        assert texts(here).get("second", Counter()) == (once({1, 2}) if later else Counter())


def test_several_steps_are_passed_in_one_run_and_rows_of_one_person_one_by_one(tmp_path):
    with f1000(tmp_path, DROPS + "policy often { cap 2 per person per 7 days refuse }\n") as here:
        drops(here)
        assert here.apply().exit_code == 0
        here.advance(3600)
        drops(here, *[(1, item, 0.5, "") for item in "abcd"], (2, "a", 0.5, ""))
        assert here.run().exit_code == 0
        assert texts(here) == {"cheaper": Counter({1: 2, 2: 1})}
        assert says(here, "flow_passed_over") == [2]


def test_an_opt_out_list_that_lost_people_stops_its_flows_until_somebody_accepts_it(tmp_path):
    with f1000(tmp_path, LIST + STEPS) as here:
        joined(here, 1, 25)
        assert here.apply().exit_code == 0
        here.write("data/optout.txt", uid(50) + "\n")
        joined(here, 1, 2, 25)
        outcome = here.run()
        assert (codes(outcome.diagnostics), outcome.exit_code) == (["AUD0703"], 5)
        assert texts(here) == {"first": once({1})}
        outcome = here.apply(accept_shrunk=frozenset({"optout"}), reason="they came back")
        assert outcome.exit_code == 0, outcome.diagnostics
        assert texts(here) == {"first": once({1, 2, 25})}


# --- follow -------------------------------------------------------------------------------------------

FOLLOW = """
message hello { text: "hello" }
message poster { text: "poster" }
flow greeting { start on follow  send hello  wait 1 day  send poster }
flow by_poster { start on follow via "poster"  send poster }
"""
JST = timezone(timedelta(hours=9))


def event(kind: str, person: int, at: datetime, **more: object) -> dict[str, object]:
    source = {"type": "user", "userId": uid(person)}
    return {"type": kind, "timestamp": int(at.timestamp() * 1000), "source": source, **more}


def log(here: Place, *lines: object) -> None:
    here.write("events/log.jsonl", "".join(json.dumps(one) + "\n" for one in lines))


def following(here: Place) -> None:
    config = (here.root / "audsql.toml").read_text()
    here.write("audsql.toml", config.replace("[account.shop]\n", '[account.shop]\nfollow_log = "events/*.jsonl"\n'))


def test_who_follows_enters_once_and_who_unfollows_leaves(tmp_path):
    with f1000(tmp_path, FOLLOW) as here:
        following(here)
        log(here, event("follow", 9, AS_OF - timedelta(hours=1)))
        assert here.apply().exit_code == 0
        assert here.inbox() == []
        here.advance(3600)
        at = AS_OF + timedelta(minutes=30)
        first = event("follow", 1, at, webhookEventId="a")
        body = {"destination": "x", "events": [event("follow", 8, at)]}
        lines = [first, first, event("follow", 2, at, via="poster"), event("message", 3, at), body]
        log(here, *lines)
        assert here.run().exit_code == 0
        assert texts(here) == {"hello": once({1, 2}), "poster": once({2})}
        log(here, *reversed(lines), event("unfollow", 1, at + timedelta(hours=2)), "nothing")
        here.advance(86400)
        outcome = here.run()
        assert outcome.exit_code == 0
        assert [one.code for one in outcome.diagnostics] == ["AUD0819"]
        assert texts(here)["poster"] == Counter({2: 2})


def test_a_flow_without_its_log_says_so_and_others_run(tmp_path):
    with f1000(tmp_path, FOLLOW + CART) as here:
        outcome = here.apply()
        assert codes(outcome.diagnostics) == ["AUD0820", "AUD0820"]
        assert outcome.exit_code == 5
        assert set(texts(here)) == {"survey", "reminder"}


# --- triggers -----------------------------------------------------------------------------------------

DROPS = """
table drops { file: "data/drops.csv"  id: user_id  time: dropped_at  verb dropped by item }
message cheaper { text: "cheaper" }
flow price_drop {
  trigger on drops
  wait 10 minutes
  send cheaper
  exit when dropped(back is given)
}
"""


def drops(here: Place, *rows: tuple[int, str, float, str]) -> None:
    """Person, item, hours after the start, when the price was back up."""
    lines = [
        f"{uid(one)},{item},{(AS_OF + timedelta(hours=hours)).isoformat()},{back}" for one, item, hours, back in rows
    ]
    here.write("data/drops.csv", "\n".join(("user_id,item,dropped_at,back", *lines, "")))


def test_each_row_of_a_trigger_sends_once_in_any_order(tmp_path):
    old = (9, "lamp", -1.0, "")
    with f1000(tmp_path, DROPS) as here:
        drops(here, old)
        assert here.apply().exit_code == 0
        rows = [(1, "lamp", 0.5, ""), (1, "bag", 0.5, ""), (2, "lamp", 0.6, ""), (3, "lamp", 0.7, ""), old]
        drops(here, *rows)
        here.advance(3600)
        assert here.run().exit_code == 0
        expected = {"cheaper": Counter({1: 2, 2: 1, 3: 1})}
        assert texts(here) == expected
        for again in (rows[::-1], [*rows, *rows], [*rows[2:], *rows[:2]], rows):
            drops(here, *again)
            here.advance(600)
            assert here.run().exit_code == 0
        assert texts(here) == expected


def test_a_price_that_is_back_up_and_a_row_that_is_gone_send_nothing(tmp_path):
    with f1000(tmp_path, DROPS) as here:
        drops(here)
        assert here.apply().exit_code == 0
        here.advance(3600)
        rows = [(1, "lamp", 1.0, ""), (1, "bag", 0.99, ""), (2, "lamp", 1.0, ""), (3, "lamp", 1.0, "")]
        drops(here, *rows)
        assert here.run().exit_code == 0
        assert here.inbox() == []
        drops(here, (1, "lamp", 1.0, "yes"), *rows[1:3])
        here.advance(900)
        assert here.run().exit_code == 0
        assert texts(here) == {"cheaper": Counter({1: 1, 2: 1})}
        drops(here, *rows)
        here.advance(900)
        assert here.run().exit_code == 0
        assert texts(here) == {"cheaper": Counter({1: 1, 2: 1})}


def test_a_trigger_with_a_pause_passes_rows_over_that_come_too_soon(tmp_path):
    with f1000(tmp_path, DROPS.replace("  exit when", "  reentry: after 1 day\n  exit when")) as here:
        drops(here)
        assert here.apply().exit_code == 0
        here.advance(3600)
        rows = [(1, "a", 0.5, ""), (1, "b", 0.6, ""), (2, "a", 0.7, "")]
        drops(here, *rows)
        assert here.run().exit_code == 0
        assert texts(here) == {"cheaper": once({1, 2})}
        here.advance(86400 + 1800)
        drops(here, *rows, (1, "c", 24.9, ""), (2, "c", 24.5, ""))
        assert here.run().exit_code == 0
        # 1 was through at 0:40, a day before 0:54; 2 at 0:52, less than a day before 0:30.
        assert texts(here) == {"cheaper": Counter({1: 2, 2: 1})}


def test_a_flow_may_turn_from_a_trigger_into_a_set_and_back(tmp_path):
    with f1000(tmp_path, DROPS + LIST) as here:
        joined(here, 1, 3)
        drops(here)
        assert here.apply().exit_code == 0
        here.advance(3600)
        drops(here, (1, "a", 0.5, ""), (2, "a", 0.5, ""))
        assert here.run().exit_code == 0
        text = (here.root / "shop.aud").read_text()
        changed = text.replace("  trigger on drops", "  start when uploaded(joined)\n  reentry: always")
        here.write("shop.aud", changed.replace("  exit when dropped(back is given)\n", ""))
        assert here.apply().exit_code == 0
        for people in ((3,), (1, 3)):
            here.advance(3600)
            joined(here, *people)
            assert here.run().exit_code == 0
        here.advance(3600)
        assert here.run().exit_code == 0
        assert texts(here) == {"cheaper": Counter({1: 2, 2: 1, 3: 1})}


def test_a_row_that_comes_too_late_is_told_and_never_sent(tmp_path):
    with f1000(tmp_path, DROPS) as here:
        drops(here)
        assert here.apply().exit_code == 0
        here.advance(8 * 3600)
        drops(here, (1, "lamp", 1.0, ""), (2, "lamp", 7.0, ""))
        outcome = here.run()
        assert [one.code for one in outcome.diagnostics] == ["AUD0822"]
        assert texts(here) == {"cheaper": once({2})}
        assert here.run().diagnostics == ()


# --- doubt --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [True, False])
def test_who_is_in_doubt_is_held_and_everybody_else_goes_on(sent, tmp_path):
    spec = LIST + STEPS.replace("wait 3 days\n  wait until 12:00", "wait 1 hour")
    with f1000(tmp_path, spec) as here:
        joined(here, 1, 2)
        here.faults({"match": {"path": "*/message/multicast"}, "do": "status-after:500"})
        outcome = here.apply()
        assert outcome.exit_code != 0
        here.faults()
        joined(here, 1, 2, 3)
        here.advance(7 * 3600)
        outcome = here.run()
        assert "AUD0824" in codes(outcome.diagnostics)
        assert outcome.exit_code == 7
        here.advance(3600)
        assert here.run().exit_code == 7
        assert texts(here)["second"] == once({3})
        verdict = "sent" if sent else "not-sent"
        assert session.resolve(here.opened(), "flow.steps", verdict, "looked").exit_code == 0
        here.advance(3600)
        assert here.run().exit_code == 0
        # The step was due an hour after the one in doubt, which is less than a day ago.
        assert texts(here)["second"] == once({1, 2, 3} if sent else {3})
        assert texts(here)["first"] == once({1, 2, 3})


def test_a_flow_that_cannot_be_read_keeps_no_other_waiting(tmp_path):
    with f1000(tmp_path, LIST + STEPS + CART) as here:
        joined(here, 1)
        assert here.apply().exit_code == 0
        (here.root / "data/joined.txt").unlink()
        here.advance(4 * 86400)
        outcome = here.run()
        assert outcome.exit_code == 5
        assert "AUD0817" in codes(outcome.diagnostics)
        assert set(texts(here)) == {"first", "survey", "reminder"}
        joined(here, 1)
        assert here.run().exit_code == 0
        assert texts(here)["second"] == once({1})


def test_who_is_inside_a_flow_whose_sources_left_the_specs_stays_and_is_told(tmp_path):
    leaving = STEPS.replace("send second", "send second\n  exit when uploaded(joined) AND purchased(A, since start)")
    with f1000(tmp_path, LIST + leaving) as here:
        joined(here, 1)
        assert here.apply().exit_code == 0
        text = (here.root / "shop.aud").read_text()
        here.write("shop.aud", text[: text.index("upload joined")])
        here.apply()
        here.advance(4 * 86400)
        outcome = here.run()
        assert (codes(outcome.diagnostics), outcome.exit_code) == (["AUD0817"], 5)
        here.write("shop.aud", text)
        here.apply()
        assert texts(here)["second"] == once({1})


def test_a_token_of_another_account_sends_nothing(tmp_path):
    with f1000(tmp_path, LIST + STEPS) as here:
        joined(here)
        here.write("data/joined.txt", uid(1) + "\n")
        assert here.apply().exit_code == 0
        store, _ = open_store(here.opened(), create=True)
        assert store is not None
        with store:
            lease = take_lease(store, "run")
            assert isinstance(lease, Lease)
            (row,) = store.snapshot().flow_versions
            other = replace(row, document={**row.document, "bot": "another"})
            store.write(lease, datetime.now(UTC), "test", other)
            store.release(lease, datetime.now(UTC))
        here.advance(4 * 86400)
        outcome = here.run()
        assert (codes(outcome.diagnostics), outcome.exit_code) == (["AUD0624"], 5)
        assert set(texts(here)) == {"first"}
