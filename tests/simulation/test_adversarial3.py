"""Wrong sequences around flows on purpose: nobody gets what they must not get, and nobody gets it twice."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import Place, codes, place

DAY = 86_400
KEY = "6b" * 32
SOURCES = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload members { file: "members.txt"  id: user_id }
upload optout { file: "optout.txt"  id: user_id  allow empty }
message hello { text: "hello" }
message two { text: "two" }
"""
POLICY = "policy house { always except uploaded(optout) }\n"
FLOW = """
flow welcome {
  start when uploaded(members)
  send hello
  wait 1 day
  send two
}
"""


def person(number: int) -> str:
    return f"U{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


def lines(*numbers: int) -> str:
    return "".join(f"{person(number)}\n" for number in numbers)


@contextmanager
def shop(root: Path, specs: str = SOURCES + POLICY + FLOW, out: tuple[int, ...] = ()):
    """Ten members; `out`: who of them opted out."""
    friends = [{"userId": person(number)} for number in range(1, 11)]
    world = {"now": "2026-11-21T10:00:00+09:00", "accounts": {"shop": {"token": "sim-token", "friends": friends}}}
    files = {"shop.aud": specs, "members.txt": lines(*range(1, 11)), "optout.txt": lines(*out)}
    with place(root, world, files) as here:
        yield here


def apply(here: Place, **more: object) -> tuple[int, list[str]]:
    outcome = here.apply(as_of=None, revision={}, **more)
    return outcome.exit_code, codes(outcome.diagnostics)


def run(here: Place) -> tuple[int, list[str]]:
    outcome = here.run(revision={})
    return outcome.exit_code, codes(outcome.diagnostics)


def got(here: Place) -> Counter[tuple[str, int]]:
    """How often each text reached each person."""
    numbers = {person(number): number for number in range(1, 11)}
    return Counter((said["text"], numbers[one["userId"]]) for one in here.inbox() for said in one["messages"])


def texts(here: Place) -> Counter[str]:
    return Counter(text for text, _ in got(here).elements())


# --- policies of specs that nobody approved ----------------------------------------------------------


def test_who_opted_out_stays_out_until_somebody_approves_that_the_policy_is_gone(tmp_path):
    with shop(tmp_path, out=(3,)) as here:
        assert apply(here) == (0, [])
        here.write("optout.txt", lines(3, 4))
        here.write("shop.aud", SOURCES + FLOW)
        here.advance(DAY)
        assert run(here) == (0, [])
        assert got(here)["hello", 3] == 0 and got(here)["two", 4] == 0
        assert texts(here) == {"hello": 9, "two": 8}
        shown = here.command("plan").stdout
        assert "`always except uploaded(optout)` is gone" in shown and "1 to change" in shown
        assert apply(here) == (0, [])
        assert got(here)["hello", 3] == 1, "now a person decided it"
        assert here.plan(as_of=None).document["summary"]["changes"] == 0


def test_a_batch_that_was_open_does_not_leave_for_who_opts_out_under_a_dropped_policy(tmp_path):
    with shop(tmp_path) as here:
        here.faults({"match": {"path": "*/message/multicast"}, "do": "status:429"})
        assert apply(here)[0] == 4
        here.faults()
        here.write("optout.txt", lines(4))
        here.write("shop.aud", SOURCES + FLOW)
        assert run(here)[0] == 0
        assert got(here)["hello", 4] == 0 and texts(here) == {"hello": 9}


def test_a_policy_that_is_added_holds_at_once_and_its_approval_is_one_change(tmp_path):
    with shop(tmp_path, SOURCES + FLOW) as here:
        assert apply(here) == (0, [])
        here.write("optout.txt", lines(4))
        here.write("shop.aud", SOURCES + POLICY + FLOW)
        here.advance(DAY)
        assert run(here) == (0, [])
        assert got(here)["two", 4] == 0 and texts(here)["two"] == 9
        assert here.plan(as_of=None).document["summary"]["change"] == 1
        assert apply(here) == (0, [])
        assert here.plan(as_of=None).document["summary"]["changes"] == 0


# --- an older state in the middle of a flow -----------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, ""])
def test_a_state_from_before_a_step_was_sent_is_refused(tmp_path, monkeypatch, key):
    """The serial does not rise with what flows send; the people are others by now, so LINE would take it again."""
    if key:
        monkeypatch.setenv("AUDSQL_KEY", key)
    with shop(tmp_path / "p") as here:
        assert apply(here) == (0, [])
        shutil.copy(here.root / ".audsql/state.sqlite", tmp_path / "older")
        here.advance(DAY)
        assert run(here) == (0, [])
        before = got(here)
        for one in (here.root / ".audsql").glob("state.sqlite*"):
            if not one.name.endswith("people-key"):
                one.unlink()
        shutil.copy(tmp_path / "older", here.root / ".audsql/state.sqlite")
        here.write("optout.txt", lines(3))
        assert run(here) == (1, ["AUD0659"])
        assert apply(here) == (1, ["AUD0659"])
        assert got(here) == before


@pytest.mark.parametrize("key", [KEY, ""])
def test_the_newest_backup_is_taken_whatever_ran_since_without_a_change(tmp_path, monkeypatch, key):
    if key:
        monkeypatch.setenv("AUDSQL_KEY", key)
    with shop(tmp_path) as here:
        assert apply(here) == (0, [])
        here.advance(DAY)
        assert [run(here), run(here), run(here)] == [(0, [])] * 3
        (backup,) = (here.root / ".audsql/backups").iterdir()
        os.unlink(here.root / ".audsql/state.sqlite")
        assert here.command("state", "push", str(backup)).returncode == 0
        here.write("optout.txt", lines(3))
        assert run(here) == (0, [])
        assert texts(here) == {"hello": 10, "two": 10}


def test_a_key_that_comes_later_takes_the_mark_of_before_along(tmp_path, monkeypatch):
    with shop(tmp_path / "p") as here:
        assert apply(here) == (0, [])
        shutil.copy(here.root / ".audsql/state.sqlite", tmp_path / "older")
        here.advance(DAY)
        monkeypatch.setenv("AUDSQL_KEY", KEY)
        assert run(here) == (0, [])
        assert run(here) == (0, [])
        os.unlink(here.root / ".audsql/state.sqlite")
        shutil.copy(tmp_path / "older", here.root / ".audsql/state.sqlite")
        assert run(here) == (1, ["AUD0659"])


# --- what flows stand on is lost or gone --------------------------------------------------------------


def test_a_lost_secret_ends_a_run_and_leaves_no_lock(tmp_path):
    with shop(tmp_path) as here:
        assert apply(here) == (0, [])
        os.unlink(here.root / ".audsql/state.sqlite.people-key")
        here.advance(DAY)
        assert run(here) == (1, ["AUD0672"])
        assert run(here) == (1, ["AUD0672"]), "nobody has to wait for a lock"
        assert texts(here) == {"hello": 10}


def test_who_is_inside_finishes_when_the_flow_leaves_with_the_list_that_it_began_with(tmp_path):
    with shop(tmp_path) as here:
        assert apply(here) == (0, [])
        here.write("shop.aud", SOURCES.replace('upload members { file: "members.txt"  id: user_id }\n', "") + POLICY)
        os.unlink(here.root / "members.txt")
        assert apply(here) == (0, [])
        here.advance(DAY)
        assert run(here) == (0, [])
        assert texts(here) == {"hello": 10, "two": 10}


def test_a_flow_that_was_only_renamed_does_not_begin_anew(tmp_path):
    with shop(tmp_path) as here:
        assert apply(here) == (0, [])
        renamed = SOURCES + POLICY + FLOW.replace("welcome", "winback")
        here.write("shop.aud", renamed)
        assert apply(here) == (5, ["AUD0779"])
        assert texts(here) == {"hello": 10}
        here.write("shop.aud", renamed + "moved welcome -> winback\n")
        assert apply(here) == (0, [])
        here.advance(DAY)
        assert run(here) == (0, [])
        assert texts(here) == {"hello": 10, "two": 10}


def test_a_renamed_flow_begins_anew_where_a_person_decides_so(tmp_path):
    with shop(tmp_path) as here:
        assert apply(here) == (0, [])
        here.write("shop.aud", SOURCES + POLICY + FLOW.replace("welcome", "winback"))
        assert apply(here, accept_restart=frozenset({"winback"}), reason="a second campaign") == (0, [])
        assert texts(here) == {"hello": 20}


# --- what is shown ------------------------------------------------------------------------------------


def test_status_tells_of_flows(tmp_path):
    with shop(tmp_path) as here:
        assert apply(here) == (0, [])
        shown = here.command("status").stdout
        assert "welcome" in shown and "2026-11-22 10:00" in shown


def test_an_inserted_step_is_told_as_one_that_is_new(tmp_path):
    with shop(tmp_path) as here:
        assert apply(here) == (0, [])
        here.write("shop.aud", SOURCES + POLICY + FLOW.replace("send hello\n", "send hello\n  wait 1 hour\n"))
        edits = here.plan(as_of=None).document["flows"][0]["edits"]
        assert [(one["step"], one["before"], one["after"]) for one in edits] == [("1", None, "wait 1 hour")]


def test_a_day_of_play_and_a_delivery_by_user_id_are_told_in_words(tmp_path):
    letter = "delivery letter { to: uploaded(members)  send: two  by: push }\n"
    with shop(tmp_path, SOURCES + POLICY + FLOW + letter) as here:
        played = here.command("flow", "play", "welcome", "--days", "1", "--as-of", "2026-11-21 10:00")
        assert "for a day over" in played.stdout
        told = here.command("apply", "--auto-approve", AUDSQL_LANG="ja").stderr
        assert "配信 letter: パート 1 を 10 人に送りました" in told and "listed" not in told
