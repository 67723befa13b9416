"""Shares of a set, and deliveries of which a person gets the first only, over the shared world."""

from __future__ import annotations

from collections import Counter

import pytest
from f1000 import SOURCES, f1000

from harness import codes

YEAR = """
message card_a { text: "A" }
message card_b { text: "B" }
delivery sale_a { to: purchased(A, last 365 days)  send: card_a }
delivery sale_b { to: purchased(B, last 365 days)  send: card_b }
priority [sale_a, sale_b]
"""
TRIAL = """
split trial of (friends EXCEPT uploaded(buyers)) EXCEPT uploaded(optout) {
  holdout 10%, a 45%, b 45%
} salt "winter-sale-2026"
message card_a { text: "A" }
message card_b { text: "B" }
delivery to_a { to: trial.a  send: card_a }
delivery to_b { to: trial.b  send: card_b }
"""
READABLE = SOURCES.replace('KEN") }', 'KEN")  followers: readable }')


def texts(here) -> Counter[str]:
    """How many got each text; nobody got two messages."""
    assert set(here.received().values()) == {1}
    return Counter(one["messages"][0]["text"] for one in here.inbox())


def test_a_person_in_two_sets_gets_the_first_delivery(tmp_path):
    with f1000(tmp_path, YEAR) as here:
        assert here.apply().exit_code == 0
        assert texts(here) == {"A": 146, "B": 58}


def let_read(here) -> None:
    world = here.control("GET", "/_sim/world")
    world["accounts"]["shop"]["followersReadable"] = True
    here.control("PUT", "/_sim/world", world)


def test_the_arms_of_a_split_over_friends(tmp_path):
    with f1000(tmp_path, TRIAL, READABLE) as here:
        let_read(here)
        plan = here.plan().document
        assert here.apply(plan).exit_code == 0
        assert texts(here) == {"A": 353, "B": 366}
        assert "friends(shop)" in [one["name"] for one in plan["sources"]]
        assert [one["people"] for one in plan["sources"] if one["name"] == "friends(shop)"] == [950]


def test_who_became_a_friend_since_the_plan_is_in_no_arm(tmp_path):
    with f1000(tmp_path, TRIAL, READABLE) as here:
        let_read(here)
        plan = here.plan().document
        world = here.control("GET", "/_sim/world")
        new = [{"userId": f"U{number:032x}", "status": "following"} for number in range(5_000, 5_100)]
        world["accounts"]["shop"]["friends"] += new
        here.control("PUT", "/_sim/world", world)
        assert here.apply(plan).exit_code == 0
        assert texts(here) == {"A": 353, "B": 366}


def test_an_account_that_may_not_read_its_friends(tmp_path):
    with f1000(tmp_path, TRIAL, READABLE) as here:
        assert "AUD1054" in codes(here.plan().diagnostics)
        assert here.apply().exit_code == 1
        assert not here.inbox()


@pytest.mark.parametrize("text", ['sample(friends, 10%, seed: "x")', "trial.a"])
def test_without_asking_line_it_is_not_known_who_is_in_a_share_of_friends(text, tmp_path):
    with f1000(tmp_path, TRIAL, READABLE) as here:
        done = here.command("eval", text)
        assert done.returncode == 1
        assert "AUD1053" in done.stderr


def test_friends_who_may_be_read_are_reached_by_user_id(tmp_path):
    spec = "delivery all { to: friends EXCEPT uploaded(buyers)  send: sale  by: multicast }"
    with f1000(tmp_path, spec, READABLE, rate_limits=False) as here:
        let_read(here)
        assert here.apply().exit_code == 0
        assert len(here.received()) == 789
        paths = {one["path"] for one in here.requests("POST") if "/message/" in one["path"]}
        assert paths - {"/v2/bot/message/validate/push"} == {"/v2/bot/message/multicast"}
