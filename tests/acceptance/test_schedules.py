"""Repeated deliveries, from text to inbox: late, skipped and doubled runs (T20–T23, T28, T29). Rules: `schedule.*`."""

from __future__ import annotations

import json
import os
import random
from datetime import datetime, timedelta

import pytest
from f1000 import delivery, f1000

from audsql import session
from harness import codes

HOUR, DAY = 3600, 86_400
DAILY = delivery("purchased(A)", "every: day 10:00", "daily")
TO = "purchased(A)"


def clock(here) -> datetime:
    return datetime.fromisoformat(here.control("GET", "/_sim/clock")["now"])


def go_to(here, text: str) -> None:
    """Let time pass until this time of the project's zone."""
    seconds = int((datetime.fromisoformat(f"{text}:00+09:00") - clock(here)).total_seconds())
    assert seconds >= 0
    here.advance(seconds)


def times(here) -> dict[str, str]:
    """The times of the repetition that are recorded, with their states."""
    document = session.status(here.opened())[0]
    return {one["time"]: one["state"] for one in document["occurrences"]}


def sent(here) -> list[str]:
    """When each narrowcast left, by the clock of the project's zone."""
    return sorted({one["at"][:16] for one in here.inbox()})


def rewrite(here, old: str, new: str) -> None:
    text = (here.root / "shop.aud").read_text()
    assert old in text
    here.write("shop.aud", text.replace(old, new))


def test_each_time_is_sent_once_and_nothing_changes_in_between(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        document = here.plan(None).document
        (entry,) = document["deliveries"]
        assert (entry["action"], entry["occurrence"], document["summary"]["add"]) == ("schedule", "every", 1)
        assert [one["label"] for one in entry["repeats"]["next"]][:2] == ["2026-11-21 10:00", "2026-11-22 10:00"]
        assert {one["people"]["count"] for one in entry["repeats"]["next"]} == {240}
        outcome = here.apply(as_of=None)
        assert (outcome.exit_code, outcome.document["next_due"]) == (0, "2026-11-21T10:00:00+09:00")
        assert [one for one in here.audiences() if one["type"] == "UPLOAD"] == []
        for day in (21, 22, 23):
            go_to(here, f"2026-11-{day} 09:59")
            assert here.run().exit_code == 0
            assert set(here.received().values()) <= {day - 21}
            go_to(here, f"2026-11-{day} 10:00")
            outcome = here.run()
            assert (outcome.exit_code, outcome.document["summary"]["sent"]) == (0, 1)
            assert outcome.document["next"][0]["label"] == f"2026-11-{day + 1} 10:00"
            assert set(here.received().values()) == {day - 20}
            assert here.run().document["summary"]["sent"] == 0
            plan = here.plan(None).document
            assert not plan["summary"]["changes"]
            assert (plan["releases"], plan["resource_changes"]) == ([], [])
        assert times(here) == {f"2026-11-{day}T01:00:00Z": "done" for day in (21, 22, 23)}
        assert len({one["requestId"] for one in here.inbox()}) == 3


def test_data_are_read_again_for_each_time_and_exclusions_hold(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-21 10:00")
        here.run()
        first = here.received()
        gone = sorted(first)[0]
        optout = here.root / "data" / "optout.txt"
        optout.write_text(optout.read_text() + gone + "\n")
        orders = here.root / "data" / "orders.csv"
        lines = orders.read_text().splitlines()
        kept = [one for one in lines if not one.split(",")[0].endswith("7")]
        orders.write_text("\n".join(kept) + "\n")
        go_to(here, "2026-11-22 10:00")
        assert here.run().exit_code == 0
        second = here.received() - first
        assert gone not in second
        assert 0 < len(second) < len(first)


def test_a_time_that_a_policy_refuses_is_asked_about_again_until_its_window_is_over(tmp_path):
    small = DAILY + "policy size { require reach >= 100 }\n"
    with f1000(tmp_path, small) as here:
        assert here.apply(as_of=None).exit_code == 0
        orders = here.root / "data" / "orders.csv"
        whole = orders.read_text()
        orders.write_text("\n".join(whole.splitlines()[:20]) + "\n")
        go_to(here, "2026-11-21 10:00")
        outcome = here.run()
        assert (outcome.exit_code, "AUD0720" in codes(outcome.diagnostics)) == (5, True)
        assert outcome.document["next_due"] == "2026-11-21T10:00:00+09:00"
        assert here.received() == {}
        orders.write_text(whole)
        go_to(here, "2026-11-21 12:00")
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {1}
        orders.write_text("\n".join(whole.splitlines()[:20]) + "\n")
        go_to(here, "2026-11-22 15:59")
        assert here.run().exit_code == 5
        go_to(here, "2026-11-22 16:01")
        assert here.run().exit_code == 7
        assert times(here)["2026-11-22T01:00:00Z"] == "missed"
        assert set(here.received().values()) == {1}


@pytest.mark.threat("T21")
def test_an_outage_is_told_and_the_next_time_passes_over_it(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-24 09:00")
        outcome = here.run()
        assert outcome.exit_code == 7
        assert [one["label"] for one in outcome.document["events"]] == [f"2026-11-{day} 10:00" for day in (21, 22, 23)]
        assert here.received() == {}
        assert session.status(here.opened())[2] == 7
        assert [one["code"] for one in here.plan(None).document["guards"]] == ["AUD0700"] * 3
        go_to(here, "2026-11-24 10:00")
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {1}
        assert list(times(here).values()) == ["cancelled", "cancelled", "cancelled", "done"]
        assert session.status(here.opened())[2] == 0


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-23 21:59", ["cancelled?", "cancelled?", "done"]),  # before half-way
        ("2026-11-23 22:01", ["missed", "missed", "missed"]),
    ],
)
def test_the_last_time_of_an_outage_is_caught_up_where_it_still_makes_sense(tmp_path, now, expected):
    spec = delivery(TO, "every: day 10:00  catch_up: once", "daily")
    with f1000(tmp_path, spec) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, now)
        outcome = here.run()
        # The other two are told in any case.
        assert outcome.exit_code == 7
        assert list(times(here).values()) == [one.replace("cancelled?", "missed") for one in expected]
        assert len(here.received()) == (200 if expected[-1] == "done" else 0)
        here.run()
        assert set(here.received().values()) <= {1}
        go_to(here, "2026-11-24 10:00")
        assert here.run().exit_code == 0


def test_what_was_paused_is_not_caught_up(tmp_path):
    from audsql.session import operating

    spec = delivery(TO, "every: day 10:00  catch_up: once", "daily")
    with f1000(tmp_path, spec) as here:
        assert here.apply(as_of=None).exit_code == 0
        operating.pause(here.opened(), "daily", "not now")
        go_to(here, "2026-11-21 10:00")
        assert here.run().exit_code == 5
        go_to(here, "2026-11-21 17:00")
        operating.resume(here.opened(), "daily", "go on")
        assert here.run().exit_code == 7
        assert here.received() == {}
        assert list(times(here).values()) == ["missed"]


def test_an_edit_holds_for_the_times_that_have_not_begun(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-21 10:00")
        assert here.run().exit_code == 0
        rewrite(here, "セール開催中", "年末セール")
        go_to(here, "2026-11-22 10:00")
        outcome = here.run()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0863"])
        assert set(here.received().values()) == {1}
        (entry,) = here.plan(None).document["deliveries"]
        assert entry["action"] == "update"
        assert here.apply(as_of=None).exit_code == 0
        assert here.run().exit_code == 0
        texts = [one["messages"][0]["text"] for one in here.inbox()]
        assert {text: texts.count(text) for text in set(texts)} == {"セール開催中": 200, "年末セール": 200}
        assert times(here) == {"2026-11-21T01:00:00Z": "done", "2026-11-22T01:00:00Z": "done"}


def test_an_opened_time_that_has_not_begun_takes_the_new_text(tmp_path):
    from audsql.session import operating

    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        operating.pause(here.opened(), "daily", "a wrong price")
        go_to(here, "2026-11-21 10:00")
        assert here.run().exit_code == 5
        assert list(times(here).values()) == ["scheduled"]
        rewrite(here, "セール開催中", "年末セール")
        operating.resume(here.opened(), "daily", "put right")
        assert here.apply(as_of=None).exit_code == 0
        here.run()
        assert {one["messages"][0]["text"] for one in here.inbox()} == {"年末セール"}
        assert set(here.received().values()) == {1}


def test_another_time_of_the_day_is_another_repetition_from_its_approval_on(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-21 10:30")
        rewrite(here, "day 10:00", "day 12:00")
        assert here.apply(as_of=None).exit_code == 7
        assert times(here) == {"2026-11-21T01:00:00Z": "missed"}
        go_to(here, "2026-11-21 12:00")
        assert here.run().exit_code == 0
        assert sent(here) != [] and set(here.received().values()) == {1}


def test_a_renamed_repetition_keeps_its_times_and_a_removed_one_ends(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-21 10:00")
        assert here.run().exit_code == 0
        rewrite(here, "delivery daily", "moved daily -> morning\n\ndelivery morning")
        plan = here.plan(None).document
        assert [one["action"] for one in plan["deliveries"]] == ["keep"]
        assert (len(plan["moved"]), plan["applyable"]) == (1, True)
        assert here.apply(as_of=None).exit_code == 0
        assert here.run().document["summary"]["sent"] == 0
        go_to(here, "2026-11-22 10:00")
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {2}
        text = (here.root / "shop.aud").read_text()
        here.write("shop.aud", text[: text.index("moved daily")])
        plan = here.plan(None).document
        assert [one["occurrence"] for one in plan["cancelled"]] == ["every"]
        go_to(here, "2026-11-23 10:00")
        outcome = here.run()
        assert set(here.received().values()) == {2}
        assert here.apply(as_of=None).exit_code in (0, 7)
        go_to(here, "2026-11-24 10:00")
        assert here.run().document["next"] == []
        assert set(here.received().values()) == {2}
        assert outcome.document is not None


def test_until_ends_it_and_lets_go_of_its_uploads(tmp_path):
    spec = delivery(TO, "every: day 10:00  from: 2026-11-22  until: 2026-11-23 10:00", "daily")
    with f1000(tmp_path, spec) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-21 10:00")
        assert here.run().document["next_due"] == "2026-11-22T10:00:00+09:00"
        go_to(here, "2026-11-22 10:00")
        assert here.run().document["next"] == []
        go_to(here, "2026-11-23 10:00")
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {1}
        plan = here.plan(None).document
        assert (plan["deliveries"][0]["action"], plan["summary"]["changes"]) == ("sent", False)
        for _ in range(2):
            here.advance(2 * DAY)
            assert here.run().exit_code == 0
        assert [one for one in here.audiences() if one["type"] == "UPLOAD"] == []


def test_what_has_no_time_left_is_refused(tmp_path):
    with f1000(tmp_path, delivery(TO, "every: day 10:00  until: 2026-11-21", "daily")) as here:
        assert codes(here.plan(None).diagnostics) == ["AUD0791"]
        assert here.apply(as_of=None).exit_code == 5


@pytest.mark.threat("T21", "T29")
def test_thirty_days_of_runs_that_are_late_skipped_and_doubled(tmp_path):
    """A scheduler that nobody can rely on: each time is sent once in its window or reported as missed, never twice."""
    draw = random.Random("a month of cron")
    weekly = delivery("purchased(B)", "every: monday 09:30  catch_up: once", "weekly")
    days = 30 if os.environ.get("AUDSQL_SWEEP") == "1" else 6
    with f1000(tmp_path, DAILY + weekly, rate_limits=False) as here:
        assert here.apply(as_of=None).exit_code == 0
        end, told = clock(here) + timedelta(days=days), set()
        while clock(here) < end:
            # Now every ten minutes, now nothing for a day and a half.
            here.advance(draw.choice((600, 3 * HOUR, 5 * HOUR, 9 * HOUR, 36 * HOUR)))
            for _ in range(draw.choice((1, 1, 2))):
                outcome = here.run()
                assert outcome.exit_code in (0, 7), codes(outcome.diagnostics)
                told |= {
                    (one["delivery"], one["label"]) for one in outcome.document["events"] if "missed" in one["event"]
                }
        document = session.status(here.opened())[0]
        rows = [one for one in document["occurrences"] if one["delivery"] == "daily"]
        first = datetime.fromisoformat("2026-11-21T01:00:00+00:00")
        past = [first + timedelta(days=step) for step in range(days) if first + timedelta(days=step) <= clock(here)]
        recorded = {datetime.fromisoformat(one["time"]): one["state"] for one in rows}
        assert {one for one in past if one not in recorded} <= set(past[-1:])
        missed = {one for one, state in recorded.items() if state in ("missed", "cancelled")}
        assert len(missed) == len([one for one in told if one[0] == "daily"])
        done = [one for one, state in recorded.items() if state == "done"]
        narrowcasts = [one for one in here.requests("POST") if one["path"].endswith("/message/narrowcast")]
        weekly_done = [one for one in document["occurrences"] if one["delivery"] == "weekly" and one["state"] == "done"]
        assert len(narrowcasts) == len(done) + len(weekly_done)
        assert done and missed


def test_the_end_of_a_run_says_what_is_next_in_both_languages(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        here.apply(as_of=None)
        shown = here.command("run")
        assert "Next: daily 2026-11-21 10:00 +09:00" in shown.stdout, shown.stdout + shown.stderr
        assert "次の予定: daily 2026-11-21 10:00 +09:00" in here.command("run", "--lang", "ja").stdout
        document = json.loads(here.command("run", "--format", "json").stdout)
        assert [(one["kind"], one["name"]) for one in document["next"]] == [("repeat", "daily")]
        assert document["next_in_seconds"] > 0
        for language in ("en", "ja"):
            text = here.command("plan", "--lang", language).stdout
            assert "2026-11-21 10:00 +09:00" in text
        status = here.command("status").stdout
        assert "2026-11-21 10:00 +09:00" in status


@pytest.mark.threat("T22")
def test_quiet_hours_are_those_of_each_time_and_not_of_the_apply(tmp_path):
    quiet = "policy night { quiet 21:00..09:00 }\n"
    with f1000(tmp_path, DAILY + quiet) as here:
        # It is midnight now, and the first time is ten in the morning.
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-21 10:00")
        assert here.run().exit_code == 0
        rewrite(here, "day 10:00", "day 21:30")
        assert codes(here.plan(None).diagnostics) == ["AUD0373"]
        rewrite(here, "day 21:30", "day 20:30")
        assert here.apply(as_of=None).exit_code == 0
        (entry,) = here.plan(None).document["deliveries"]
        assert entry["repeats"]["next"][0]["not_after"] == "2026-11-21T21:00:00+09:00"
        go_to(here, "2026-11-21 21:10")
        assert here.run().exit_code == 7
        assert set(here.received().values()) == {1}


def test_a_rehearsal_plays_one_time_of_each_repetition(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        outcome = session.rehearse(here.opened(), None, session.ApplyOptions())
        assert (outcome.exit_code, outcome.document["summary"]["sent"]) == (0, 1)
        assert here.received() == {}


def test_what_is_asked_about_a_repetition_is_asked_about_its_times(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-22 09:00")
        assert here.run().exit_code == 7
        assert "2026-11-21" in here.command("status").stdout
        assert here.command("history").returncode == 0
        assert here.command("blame", "daily").returncode == 0
        assert here.command("report", "daily").returncode == 0
        assert here.command("resolve", "daily", "not-sent", "--reason", "too late").returncode == 0
        assert session.status(here.opened())[2] == 0
        go_to(here, "2026-11-22 10:00")
        assert here.run().exit_code == 0
        assert list(times(here).values()) == ["cancelled", "done"]
        assert here.command("report", "daily", "--format", "json").returncode == 0
        assert here.command("state", "verify").returncode in (0, 64)


def test_an_upload_that_somebody_deleted_in_between_is_made_anew(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-21 10:00")
        assert here.run().exit_code == 0
        world = here.control("GET", "/_sim/world")
        kept = [one for one in world["accounts"]["shop"]["audiences"] if one["type"] != "UPLOAD"]
        world["accounts"]["shop"]["audiences"] = kept
        here.control("PUT", "/_sim/world", world)
        assert here.plan(None).document["applyable"]
        go_to(here, "2026-11-22 10:00")
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {2}
        assert times(here)["2026-11-22T01:00:00Z"] == "done"


@pytest.mark.threat("T01", "T21")
@pytest.mark.parametrize("step", range(8) if os.environ.get("AUDSQL_SWEEP") == "1" else (0, 2, 5))
def test_killed_at_a_step_a_time_is_sent_once(tmp_path, step):
    """A run that dies at any of its steps: the next one completes the time, and nobody gets it twice."""
    with f1000(tmp_path, DAILY, rate_limits=False) as here:
        assert here.apply(as_of=None).exit_code == 0
        go_to(here, "2026-11-21 10:00")
        seen = []

        def die(event):
            seen.append(event)
            if len(seen) > step:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            session.run_due(here.opened(), session.ApplyOptions(on_event=die))
        outcome = here.run()
        assert outcome.exit_code == 0, codes(outcome.diagnostics)
        assert set(here.received().values()) == {1}
        assert times(here) == {"2026-11-21T01:00:00Z": "done"}


@pytest.mark.threat("T21")
def test_a_token_of_another_account_sends_nothing(tmp_path):
    """What was approved is for the friends of one account."""
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        world = here.control("GET", "/_sim/world")
        world["accounts"] = {"other": world["accounts"]["shop"]}
        here.control("PUT", "/_sim/world", world)
        go_to(here, "2026-11-21 10:00")
        outcome = here.run()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0624"])
        assert here.received() == {}
