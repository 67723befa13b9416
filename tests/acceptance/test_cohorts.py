"""Branches that LINE decides, from text to inbox: who stands there is uploaded, each arm goes to those whom LINE finds
in it, and nobody gets two (specs/flows.md, `flow.cohort`)."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest
from f1000 import f1000

from harness import Place, codes

NUDGE = """
message warm { text: "warm" }
message cold { text: "cold" }
message more { text: "more" }
flow nudge {
  start when purchased(A)
  branch {
    clicked(msg42) -> send warm
    otherwise -> send cold
  }
}
"""
LIST = 'upload joined { file: "data/joined.txt"  id: user_id }\n'
FRIENDS = {i for i in range(1, 1001) if i % 20}
BUYERS_A = {i for i in range(1, 1001) if i % 4 == 0 and i % 25}


def uid(i: int) -> str:
    return "U" + format(i, "032x")


def texts(here: Place) -> dict[str, Counter[int]]:
    """By the words of a message who got it how often."""
    found: dict[str, Counter[int]] = {}
    for one in here.inbox():
        for message in one["messages"]:
            found.setdefault(message["text"], Counter())[int(one["userId"][1:], 16)] += 1
    return found


def once(people: set[int]) -> Counter[int]:
    return Counter(dict.fromkeys(people, 1))


def says(here: Place, event: str) -> list[int]:
    return [one["count"] for one in here.events if one["event"] == event]


def bodies(here: Place) -> list[dict[str, object]]:
    found = [one for one in here.requests("POST") if one["path"] == "/v2/bot/message/narrowcast"]
    return [one["body"] if isinstance(one["body"], dict) else json.loads(one["body"]) for one in found]


def joined(here: Place, people: set[int]) -> None:
    here.write("data/joined.txt", "".join(f"{uid(one)}\n" for one in sorted(people)))


WARM = {i for i in BUYERS_A & FRIENDS if i % 3 == 0}
COLD = {i for i in BUYERS_A & FRIENDS if i % 3}


def test_each_arm_goes_to_those_whom_line_finds_in_it(tmp_path):
    with f1000(tmp_path, NUDGE) as here:
        outcome = here.apply()
        assert (codes(outcome.diagnostics), outcome.exit_code) == ([], 0)
        assert texts(here) == {"warm": once(WARM), "cold": once(COLD)}
        assert says(here, "flow_entered") == [240] and says(here, "flow_done") == [240]
        # Every send has its fuse: nobody beyond those who stood there.
        assert {one["limit"]["max"] for one in bodies(here)} == {240}
        for again in (here.run(), here.apply()):
            assert again.exit_code == 0
        assert texts(here) == {"warm": once(WARM), "cold": once(COLD)}
        uploads = [one for one in here.audiences() if one["type"] == "UPLOAD"]
        assert [one["description"].partition(" [")[0] for one in uploads] == ["flow nudge"]
        # What was uploaded for this alone goes when it is over.
        here.advance(2 * 86400)
        assert here.run().exit_code == 0
        assert [one for one in here.audiences() if one["type"] == "UPLOAD"] == []


def test_who_comes_later_is_another_cohort(tmp_path):
    with f1000(tmp_path, LIST + NUDGE.replace("purchased(A)", "uploaded(joined)")) as here:
        first = {i for i in range(1, 301) if i % 25}
        joined(here, first)
        assert here.apply().exit_code == 0
        second = {i for i in range(1, 601) if i % 25}
        joined(here, second)
        here.advance(3600)
        assert here.run().exit_code == 0
        assert texts(here) == {
            "warm": once({i for i in second & FRIENDS if i % 3 == 0}),
            "cold": once({i for i in second & FRIENDS if i % 3}),
        }


def test_own_data_and_what_line_holds_are_asked_together(tmp_path):
    branch = """
      clicked(msg42) AND purchased(B) -> { send warm  send more }
      purchased(B) -> {}
      otherwise -> send cold
    """
    spec = NUDGE.replace("    clicked(msg42) -> send warm\n    otherwise -> send cold\n", branch)
    with f1000(tmp_path, spec) as here:
        outcome = here.apply()
        assert (codes(outcome.diagnostics), outcome.exit_code) == ([], 0)
        both = {i for i in BUYERS_A & FRIENDS if i % 6 == 0 and i % 3 == 0}
        rest = {i for i in BUYERS_A & FRIENDS if i % 6}
        assert texts(here) == {"warm": once(both), "more": once(both), "cold": once(rest)}


@pytest.mark.parametrize("condition", ['chat_tag("VIP")', "gender(female)"])
def test_what_can_change_both_ways_is_kept_apart_by_the_receipt_of_the_earlier_arm(condition, tmp_path):
    spec = LIST + NUDGE.replace("purchased(A)", "uploaded(joined)").replace("clicked(msg42)", condition)
    spec = spec.replace("otherwise", "clicked(msg42)").replace("  }\n}", "    otherwise -> send more\n  }\n}")
    with f1000(tmp_path, spec) as here:
        people = {i for i in range(1, 1001) if i % 3 == 0}
        people |= {i for i in range(1, 1001) if i % 50 == 0}
        joined(here, people)
        here.apply()
        got = texts(here)
        everybody = sum(got.values(), Counter())
        assert everybody and set(everybody.values()) == {1}
        assert set(everybody) <= people & {i for i in FRIENDS if i % 25}
        named = [json.dumps(one["recipient"]) for one in bodies(here)]
        assert any("redelivery" in one for one in named[1:]) and "redelivery" not in named[0]


def test_fewer_than_lines_minimum_is_told_and_nobody_gets_it_instead(tmp_path):
    spec = LIST + NUDGE.replace("purchased(A)", "uploaded(joined)").replace("clicked(msg42)", "gender(female)")
    with f1000(tmp_path, spec + "\n") as here:
        joined(here, set(range(1, 41)) - {25})
        outcome = here.apply()
        assert [one.code for one in outcome.diagnostics] == ["AUD0674"] * 2 and outcome.exit_code == 0
        assert bodies(here) == [] and here.inbox() == []
        assert says(here, "flow_done") == [39]
        here.advance(3600)
        assert here.run().exit_code == 0 and here.inbox() == []


def test_too_few_in_an_arm_is_told_by_line_and_the_others_get_theirs(tmp_path):
    spec = LIST + NUDGE.replace("purchased(A)", "uploaded(joined)")
    with f1000(tmp_path, spec) as here:
        joined(here, set(range(1, 121)) - {25, 50, 75, 100})
        outcome = here.apply()
        assert [one.code for one in outcome.diagnostics] == ["AUD0676"] and outcome.exit_code == 0
        assert texts(here) == {"cold": once({i for i in range(1, 121) if i % 3 and i % 20 and i % 25})}


def test_what_became_of_an_arm_is_not_known_so_its_people_are_held(tmp_path):
    spec = LIST + NUDGE.replace("purchased(A)", "uploaded(joined)").replace(
        "  }\n}", "  }\n  wait 1 hour\n  send more\n}"
    )
    with f1000(tmp_path, spec, rate_limits=False) as here:
        first = {i for i in range(1, 121) if i % 25}
        joined(here, first)
        here.faults({"match": {"path": "*/message/narrowcast"}, "do": "status-after:500"})
        assert here.apply().exit_code != 0
        here.faults()
        second = {i for i in range(1, 301) if i % 25}
        joined(here, second)
        here.advance(7 * 3600)
        outcome = here.run()
        assert "AUD0824" in codes(outcome.diagnostics) and outcome.exit_code == 7
        here.advance(3600)
        here.run()
        got = texts(here)
        # The flow goes on for everybody else, and nobody who is in doubt gets anything more.
        assert got["more"] == once({i for i in second - first if i % 20})
        assert set((got["warm"] + got["cold"]).values()) == {1}
        assert not set(got["warm"]) & set(got["cold"])
        done = here.command("resolve", "flow.nudge", "sent", "--reason", "LINE's report has both arms")
        assert done.returncode == 0, done.stderr
        assert here.run().exit_code == 0
        here.advance(3600)
        assert here.run().exit_code == 0
        assert texts(here)["more"] == once({i for i in second if i % 20})


def test_who_opts_out_before_anything_left_gets_nothing(tmp_path):
    with f1000(tmp_path, NUDGE) as here:
        # LINE does not answer where audiences are made: the run ends with its people taken up and nothing sent.
        here.faults({"match": {"path": "/v2/bot/audienceGroup/upload"}, "do": "status:500"})
        assert here.apply().exit_code != 0 and bodies(here) == []
        here.faults()
        gone = {i for i in BUYERS_A if i < 200}
        optout = sorted({i for i in range(1, 1001) if i % 25 == 0} | gone)
        here.write("data/optout.txt", "".join(f"{uid(one)}\n" for one in optout))
        assert here.run().exit_code == 0
        assert texts(here) == {"warm": once(WARM - gone), "cold": once(COLD - gone)}


@pytest.mark.parametrize(("fault", "held"), [("status:429", False), ("refuse", True)])
def test_who_opts_out_between_two_arms_is_in_no_arm_that_is_still_to_come(fault, held, tmp_path):
    """Where the second arm certainly did not leave it is not made; where it may have, nobody asks for it again."""
    with f1000(tmp_path, NUDGE) as here:
        here.faults(
            *({"match": {"path": "*/message/narrowcast"}, "nth": number, "do": fault} for number in range(2, 60))
        )
        assert here.apply().exit_code != 0
        here.faults()
        assert texts(here) == {"warm": once(WARM)}
        optout = sorted({i for i in range(1, 1001) if i % 25 == 0} | set(range(1, 500)))
        here.write("data/optout.txt", "".join(f"{uid(one)}\n" for one in optout))
        outcome = here.run()
        assert "AUD0867" in codes(outcome.diagnostics) and texts(here) == {"warm": once(WARM)}
        assert ("AUD0824" in codes(outcome.diagnostics)) == held and outcome.exit_code == 7
        assert here.run().exit_code == (7 if held else 0) and texts(here) == {"warm": once(WARM)}


@pytest.mark.parametrize("begin", range(1, 9) if os.environ.get("AUDSQL_SWEEP") else [3])
def test_killed_at_any_point_nobody_gets_an_arm_twice_or_two_arms(begin, tmp_path):
    spec = LIST + NUDGE.replace("purchased(A)", "uploaded(joined)").replace("clicked", "opened")
    with f1000(tmp_path, spec, rate_limits=False) as here:
        joined(here, set())
        here.write("data/joined.txt", f"{uid(25)}\n")
        assert here.apply().exit_code == 0
        people: set[int] = set()
        for turn in range(4):
            people |= set(range(turn * 240 + 1, turn * 240 + 241))
            joined(here, people)
            here.advance(3600)
            point = begin + 8 * turn
            done = here.command("run", AUDSQL_TEST_KILL_AT=str(point))
            assert done.returncode == -9 or point > 27, (turn, done.stderr)
            done = here.command("run")
            assert done.returncode == 0, (turn, done.stderr)
        people = {i for i in people & FRIENDS if i % 25}
        opened = {i for i in people if i % 2 == 0 or i % 3 == 0}
        assert texts(here) == {"warm": once(opened), "cold": once(people - opened)}
