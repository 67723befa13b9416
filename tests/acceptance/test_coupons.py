"""Coupons: made once, their ids put into messages, replaced by another one, closed when nothing needs them."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import jsonschema
import pytest
from test_send_test import shop, uid

from audsql.apply import context
from audsql.apply.state import to_document
from audsql.session.applying import ApplyOptions
from audsql.session.planning import state_of
from audsql.session.testing_sends import TestOptions, send_test
from harness import TOKEN, codes

SCHEMAS = Path(__file__).parents[2] / "specs" / "schemas"
COUPON = 'coupon winter { title: "10% off"  from: 2026-11-01  until: 2027-01-01  discount: 10% }\n'
ACCOUNT = (
    'account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }\nupload buyers { file: "buyers.txt"  id: user_id }\n'
)
MESSAGE = "message gift { coupon: winter }\n"
DELIVERY = "delivery sale { to: uploaded(buyers)  send: gift }\n"
OTHER = ACCOUNT + 'message card { text: "hi" }\ndelivery other { to: uploaded(buyers)  send: card }\n'
SPEC = ACCOUNT + COUPON + MESSAGE + DELIVERY


def coupons(here) -> dict[str, bool]:
    """Whether each coupon at LINE is open, oldest first."""
    (account,) = here.control("GET", "/_sim/world")["accounts"].values()
    return {one["couponId"]: one.get("closed") is None for one in account["coupons"]}


def close_by_hand(here, coupon: str) -> None:
    url = f"{here.simulator.base_url}/v2/bot/coupon/{coupon}/close"
    request = urllib.request.Request(url, method="PUT", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def created(here) -> int:
    return sum(one["path"] == "/v2/bot/coupon" and one["method"] == "POST" for one in here.requests("POST"))


def rows(here) -> list[tuple[str, int, str]]:
    state, _ = state_of(here.opened())
    return [(row.name, row.generation, row.state) for row in state.coupons]


def test_a_coupon_is_made_and_sent_by_its_id(tmp_path):
    with shop(tmp_path, SPEC) as here:
        document = here.plan().document
        assert [(one["address"], one["action"]) for one in document["coupons"]] == [("coupon.winter", "create")]
        assert here.apply().exit_code == 0
        assert rows(here) == [("winter", 1, "running")]
        assert {message["couponId"] for one in here.inbox() for message in one["messages"]} == set(coupons(here))
        assert here.plan().document["summary"]["changes"] is False


def test_a_lost_answer_is_found_and_not_doubled(tmp_path):
    with shop(tmp_path, SPEC) as here:
        here.faults({"match": {"path": "/v2/bot/coupon", "method": "POST"}, "nth": 1, "do": "drop-response"})
        assert here.apply().exit_code == 0
        assert (created(here), rows(here)) == (1, [("winter", 1, "running")])


@pytest.mark.parametrize("place", ["request.coupon", "answer.coupon"])
def test_an_apply_that_dies_around_the_request_makes_one_coupon_in_the_end(tmp_path, monkeypatch, place):
    def die(name: str) -> None:
        if name == place:
            raise KeyboardInterrupt

    with shop(tmp_path, SPEC) as here:
        with monkeypatch.context() as patched:
            patched.setattr(context, "checkpoint", die)
            with pytest.raises(KeyboardInterrupt):
                here.apply()
        assert here.inbox() == []
        assert here.run().exit_code == 0
        assert (created(here), rows(here)) == (1, [("winter", 1, "running")])
        assert set(here.received().values()) == {1}


def test_a_coupon_that_cannot_be_made_holds_what_is_sent_with_it(tmp_path):
    with shop(tmp_path, SPEC) as here:
        here.faults({"match": {"path": "/v2/bot/coupon", "method": "POST"}, "nth": 1, "do": "status:500"})
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics), here.inbox()) == (4, ["AUD0839"], [])
        assert here.run().exit_code == 0
        assert len(here.received()) == 70 and len(coupons(here)) == 1


def test_a_change_is_another_coupon_and_the_first_is_closed(tmp_path):
    with shop(tmp_path, ACCOUNT + COUPON) as here:
        assert here.apply().exit_code == 0
        here.write("shop.aud", ACCOUNT + COUPON.replace("discount: 10%", "discount: 20%"))
        plan = here.plan()
        assert [one.code for one in plan.diagnostics if one.code.startswith("AUD083")] == ["AUD0837"]
        assert here.apply().exit_code == 0
        assert rows(here) == [("winter", 1, "closed"), ("winter", 2, "running")]
        assert list(coupons(here).values()) == [False, True]


def test_absence_closes_nothing_and_removed_says_what_becomes_of_it(tmp_path):
    with shop(tmp_path, ACCOUNT + COUPON) as here:
        assert here.apply().exit_code == 0
        here.write("shop.aud", OTHER)
        assert "AUD0836" in [one.code for one in here.plan().diagnostics]
        assert here.apply().exit_code == 0
        assert list(coupons(here).values()) == [True]
        here.write("shop.aud", OTHER + "removed winter { delete }\n")
        assert here.apply().exit_code == 0
        # What is on its way to people is over by then.
        here.advance(3600)
        assert here.run().exit_code == 0
        assert (list(coupons(here).values()), rows(here)) == ([False], [("winter", 1, "closed")])


def test_a_coupon_that_was_closed_elsewhere_stops_what_sends_it(tmp_path):
    with shop(tmp_path, ACCOUNT + COUPON) as here:
        assert here.apply().exit_code == 0
        (coupon,) = coupons(here)
        close_by_hand(here, coupon)
        assert [one.code for one in here.plan().diagnostics] == ["AUD0838"]
        here.write("shop.aud", SPEC)
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics), here.inbox()) == (5, ["AUD0835"], [])


def test_a_state_that_lost_its_coupon_takes_up_the_one_that_says_the_same(tmp_path):
    with shop(tmp_path, ACCOUNT + COUPON) as here:
        assert here.apply().exit_code == 0
        for file in here.root.glob(".audsql/*.db*"):
            file.unlink()
        assert here.apply().exit_code == 0
        assert (created(here), len(coupons(here))) == (1, 1)


def test_a_renamed_coupon_goes_on(tmp_path):
    with shop(tmp_path, ACCOUNT + COUPON) as here:
        assert here.apply().exit_code == 0
        here.write("shop.aud", ACCOUNT + COUPON.replace("winter", "snow") + "moved winter -> snow\n")
        assert [one["action"] for one in here.plan().document["coupons"]] == ["move"]
        assert here.apply().exit_code == 0
        assert created(here) == 1 and ("snow", 1, "running") in rows(here)
        assert here.plan().document["summary"]["changes"] is False


FLOW = """
flow hello {
  start when uploaded(buyers)
  wait 2 days
  send gift
}
"""


def test_an_old_coupon_stays_open_while_people_inside_a_flow_are_still_sent_it(tmp_path):
    with shop(tmp_path, ACCOUNT + COUPON + MESSAGE + FLOW) as here:
        assert here.apply(as_of=None).exit_code == 0
        (first,) = coupons(here)
        here.write("shop.aud", ACCOUNT + COUPON.replace("discount: 10%", "discount: 20%") + MESSAGE + FLOW)
        assert here.apply(as_of=None).exit_code == 0
        assert list(coupons(here).values()) == [True, True]
        here.advance(2 * 86_400 + 60)
        assert here.run().exit_code == 0
        assert {message["couponId"] for one in here.inbox() for message in one["messages"]} == {first}
        here.run()
        assert list(coupons(here).values()) == [False, True]


def test_a_rehearsal_makes_no_coupon_at_line_and_knows_those_that_are_there(tmp_path):
    with shop(tmp_path, SPEC) as here:
        assert here.command("apply", "--rehearse", "--as-of", "2026-11-21").returncode == 0
        assert (coupons(here), here.inbox()) == ({}, [])
        here.write("shop.aud", ACCOUNT + COUPON)
        assert here.apply().exit_code == 0
        here.write("shop.aud", SPEC)
        done = here.command("apply", "--rehearse", "--as-of", "2026-11-21")
        assert done.returncode == 0, done.stderr
        assert here.inbox() == []


def test_the_plan_is_as_its_schema_says_and_tells_of_coupons_in_words(tmp_path):
    schema = json.loads((SCHEMAS / "plan.schema.json").read_text(encoding="utf-8"))
    with shop(tmp_path, SPEC) as here:
        jsonschema.Draft202012Validator(schema).validate(here.plan().document)
        shown = here.command("plan", "--as-of", "2026-11-21").stdout
        assert "10% off: is made at LINE" in shown
        assert "10% off: LINE に作ります" in here.command("plan", "--lang", "ja", "--as-of", "2026-11-21").stdout
        assert here.apply().exit_code == 0
        state = json.loads((SCHEMAS / "state.schema.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(state).validate(to_document(state_of(here.opened())[0]))


def test_a_coupon_can_be_tested_before_its_delivery_is_approved(tmp_path):
    testers = 'upload testers { file: "testers.txt"  id: user_id }\npolicy house { require tested }\n'
    with shop(tmp_path, ACCOUNT + testers + COUPON + MESSAGE + DELIVERY) as here:
        test = send_test(here.opened(), "sale", TestOptions("testers"), ApplyOptions())
        assert codes(test.diagnostics) == ["AUD0835"]
        here.write("shop.aud", ACCOUNT + testers + COUPON + MESSAGE)
        assert here.apply().exit_code == 0
        here.write("shop.aud", ACCOUNT + testers + COUPON + MESSAGE + DELIVERY)
        assert send_test(here.opened(), "sale", TestOptions("testers"), ApplyOptions()).exit_code == 0
        assert here.apply().exit_code == 0
        assert here.received()[uid(11)] == 1
