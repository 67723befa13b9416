"""What changes at LINE, or goes wrong there, between the sends of one delivery: nobody twice, nobody outside.

Rules: apply.send.first, apply.send.guarded, apply.send.sum, apply.send.reserved, apply.shortfall, apply.small.
"""

from __future__ import annotations

import json
import urllib.request
from unittest.mock import patch

import pytest
from f1000 import SOURCES, delivery, f1000
from test_adversarial import AHEAD, crashing, narrowcasts, person, states

from harness import TOKEN, Place, codes

TAGGED = 'chat_tag("VIP") OR gender(female)'
VIP = [i for i in range(1, 1001) if i % 10 == 1]
WOMEN = {i for i in range(1, 1001) if i % 7 in (1, 2) and i % 11}
OUT = {i for i in range(1, 1001) if i % 25 == 0 or i % 20 == 0}
LATER = 11 * 86_400


def edit(here: Place, work) -> None:
    """Change the simulator's world; `work` gets the account."""
    world = here.control("GET", "/_sim/world")
    work(world["accounts"]["shop"])
    here.control("PUT", "/_sim/world", world)


def tag(here: Place, members) -> None:
    def work(account):
        for one in account["audiences"]:
            if one["description"] == "VIP":
                one["members"] = [person(i) for i in members]

    edit(here, work)


def put(here: Place, **settings) -> None:
    edit(here, lambda account: account.update(settings))


def people(here: Place) -> dict[int, int]:
    return {int(one[1:], 16): count for one, count in here.received().items()}


def sent_bodies(here: Place) -> list[dict]:
    return [one["body"] for one in narrowcasts(here) if one["status"] == 202]


def facts(outcome, code: str) -> list[dict]:
    return [dict(one.facts) for one in outcome.diagnostics if one.code == code]


# --- guards ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["accepted", "ended"])
def test_who_loses_a_tag_between_two_sends_gets_it_once(when, tmp_path):
    gone = [i for i in VIP if i in WOMEN and i not in OUT]
    assert gone
    with f1000(tmp_path, delivery(TAGGED)) as here:
        tag(here, VIP)
        change = {"description": "VIP", "remove": [person(i) for i in gone]}
        put(here, turns=[{"nth": 1, "when": when, "audiences": [change]}])
        assert here.apply().exit_code == 0
        assert people(here) == dict.fromkeys((set(VIP) | WOMEN) - OUT, 1)
        first, second = sent_bodies(here)
        assert "redelivery" not in json.dumps(first) and "redelivery" in json.dumps(second)


def test_who_gains_a_tag_between_two_sends_is_not_reached_from_outside(tmp_path):
    new = [i for i in range(1, 1001) if i % 10 == 3]
    with f1000(tmp_path, delivery(TAGGED)) as here:
        tag(here, VIP)
        change = {"description": "VIP", "add": [person(i) for i in new]}
        put(here, turns=[{"nth": 1, "when": "ended", "audiences": [change]}])
        assert here.apply().exit_code == 0
        # A part is exact as of the moment when it is sent: the new ones have the tag by then.
        assert people(here) == dict.fromkeys((set(VIP) | (WOMEN - set(new))) - OUT, 1)


def test_an_attribute_that_changes_between_two_sends_delivers_once(tmp_path):
    spec = "(purchased(A) AND gender(female)) OR (purchased(B) AND area(osaka))"
    with f1000(tmp_path, delivery(spec)) as here:
        everybody = [person(i) for i in range(1, 1001)]
        change = [{"userId": one, "gender": "female", "area": "jp_27"} for one in everybody]
        put(here, turns=[{"nth": 1, "when": "ended", "friends": change}])
        here.apply()
        bought = {i for i in range(1, 1001) if i % 4 == 0 or i % 6 == 0}
        reached = people(here)
        assert reached and set(reached.values()) == {1} and set(reached) <= bought - OUT


@pytest.mark.parametrize(
    ("target", "posts"),
    [("audsql.apply.sends:_new_operation", 2), ("audsql.apply.sends:_ask", 2), ("audsql.apply.sends:_settle", 3)],
)
def test_killed_between_two_sends_and_run_again(target, posts, tmp_path):
    """Before the second is written down, before it leaves, and after it left: the tag is gone by the next run."""
    with f1000(tmp_path, delivery(TAGGED)) as here:
        tag(here, VIP)
        crashing(here.apply, target, nth=2)
        tag(here, set(VIP) - WOMEN)
        assert here.apply().exit_code == 0
        assert people(here) == dict.fromkeys((set(VIP) | WOMEN) - OUT, 1)
        made = narrowcasts(here)
        assert len(made) == posts
        again = {(one["retryKey"], json.dumps(one["body"], sort_keys=True)) for one in made}
        assert len(again) == 2 and sum("redelivery" in body for _, body in again) == 1


@pytest.mark.parametrize("error_code", [2, 4, 5])
def test_a_first_part_that_reached_nobody_guards_nothing(error_code, tmp_path):
    with f1000(tmp_path, delivery(TAGGED)) as here:
        tag(here, VIP)
        put(here, progress=[{"errorCode": error_code}])
        outcome = here.apply()
        assert outcome.exit_code == 7
        assert facts(outcome, "AUD0858") == [{"delivery": "sale_a", "part": 1, "error_code": error_code}]
        assert people(here) == dict.fromkeys(WOMEN - set(VIP) - OUT, 1)
        assert "redelivery" not in json.dumps(sent_bodies(here)[1])
        assert here.run().exit_code == 7
        assert len(narrowcasts(here)) == 2
        assert states(here) == {"sale_a": "failed"}


def test_a_first_part_that_line_refuses_guards_nothing(tmp_path):
    with f1000(tmp_path, delivery(TAGGED)) as here:
        tag(here, VIP)
        here.faults({"match": {"path": "/v2/bot/message/narrowcast"}, "nth": 1, "do": "status:400"})
        outcome = here.apply()
        assert outcome.exit_code == 7 and codes(outcome.diagnostics) == ["AUD0855"]
        assert people(here) == dict.fromkeys(WOMEN - set(VIP) - OUT, 1)


def test_a_first_part_that_failed_half_way_holds_the_second(tmp_path):
    with f1000(tmp_path, delivery(TAGGED)) as here:
        tag(here, VIP)
        put(here, progress=[{"errorCode": 1, "delivered": 3}])
        outcome = here.apply()
        assert outcome.exit_code == 7 and codes(outcome.diagnostics) == ["AUD0858", "AUD0868"]
        assert facts(outcome, "AUD0868") == [{"delivery": "sale_a", "part": 2, "earlier": 1, "state": "failed"}]
        assert here.run().exit_code == 7
        assert len(narrowcasts(here)) == 1 and len(people(here)) == 3


@pytest.mark.threat("T23")
def test_a_first_part_in_doubt_holds_the_second(tmp_path):
    path = {"path": "/v2/bot/message/narrowcast"}
    with f1000(tmp_path, delivery(TAGGED)) as here:
        tag(here, VIP)
        here.faults({"match": path, "nth": 1, "do": "drop-response"}, {"match": path, "nth": 2, "do": "status:400"})
        outcome = here.apply()
        assert outcome.exit_code == 7 and "AUD0868" in codes(outcome.diagnostics)
        assert facts(outcome, "AUD0868")[0]["state"] == "in_doubt"
        assert states(here) == {"sale_a": "in_doubt"}
        here.advance(600)
        assert here.run().exit_code == 7
        assert set(people(here)) == set(VIP) - OUT


def test_a_first_part_that_is_not_over_holds_the_second(tmp_path):
    with f1000(tmp_path, delivery(TAGGED)) as here:
        tag(here, VIP)
        put(here, sendSeconds=5 * 3600)
        outcome = here.apply()
        assert outcome.exit_code == 4 and codes(outcome.diagnostics) == ["AUD0856"]
        assert len(narrowcasts(here)) == 1
        put(here, sendSeconds=20)
        here.advance(3600)
        assert here.run().exit_code == 0
        assert people(here) == dict.fromkeys((set(VIP) | WOMEN) - OUT, 1)


def test_a_first_part_that_nobody_got_guards_nothing(tmp_path):
    with f1000(tmp_path, delivery(TAGGED)) as here:
        tag(here, [i for i in range(1, 1001) if i % 20 == 0])
        assert here.apply().exit_code == 0
        assert people(here) == dict.fromkeys(WOMEN - OUT, 1)
        assert "redelivery" not in json.dumps(sent_bodies(here)[1])


# --- small parts -----------------------------------------------------------------------------------------


def test_a_part_that_is_too_small_reaches_nobody_and_the_others_go(tmp_path):
    spec = "(purchased(A) AND gender(male)) OR (uploaded(buyers) AND area(osaka))"
    with f1000(tmp_path, delivery(spec)) as here:
        planned = here.plan()
        warned = {one["part"] for one in facts(planned, "AUD0706")}
        outcome = here.apply()
        failed = facts(outcome, "AUD0858")
        assert warned == {3} and outcome.exit_code == 7
        assert [(one["part"], one["error_code"]) for one in failed] == [(3, 2)]
        first, *others = narrowcasts(here)
        assert "jp_27" in json.dumps(first["body"]) and "male" in json.dumps(first["body"])
        assert first["body"]["limit"]["max"] < min(one["body"]["limit"]["max"] for one in others)
        reached = people(here)
        both = {i for i in range(1, 1001) if i % 28 == 0}
        assert reached and set(reached.values()) == {1} and not set(reached) & both
        assert here.run().exit_code == 7 and len(narrowcasts(here)) == 3


def test_an_upload_of_few_people_is_sent(tmp_path):
    """The account's own uploads are exempt from LINE's minimum, beside a part that is not."""
    lists = '\nupload few { file: "data/few.txt"  id: user_id }\n'
    with f1000(tmp_path, delivery("uploaded(few) OR gender(female)"), SOURCES + lists) as here:
        here.write("data/few.txt", f"{person(3)}\n{person(6)}\n")
        assert not facts(here.plan(), "AUD0706")
        assert here.apply().exit_code == 0
        assert people(here) == dict.fromkeys((WOMEN | {3, 6}) - OUT, 1)


# --- clicks of fewer than fifty --------------------------------------------------------------------------


@pytest.mark.parametrize("insufficient", ["IN_PROGRESS", "FAILED"])
@pytest.mark.parametrize("to", ["purchased(A) EXCEPT clicked(msg42)", "purchased(A) AND clicked(msg42)"])
def test_clicks_of_few_people_stop_the_delivery(to, insufficient, tmp_path):
    with f1000(tmp_path, delivery(to)) as here:
        few = {"https://shop.example/spring": [person(i) for i in range(1, 50)]}
        edit(here, lambda account: account["sends"][0].update(clicked=few))
        put(here, insufficientStatus=insufficient)
        outcome = here.apply()
        assert outcome.exit_code == 4 and codes(outcome.diagnostics) == ["AUD0870"]
        assert facts(outcome, "AUD0870")[0]["of"] == "msg42"
        verdicts = {(one.code, one.severity) for one in here.plan(as_of=None).diagnostics}
        assert {"IN_PROGRESS": ("AUD0766", "warning"), "FAILED": ("AUD0765", "error")}[insufficient] in verdicts
        assert not narrowcasts(here) and states(here) == {"sale_a": "scheduled"}


def test_clicks_that_grow_past_the_minimum_let_the_delivery_go(tmp_path):
    with f1000(tmp_path, delivery("purchased(A) EXCEPT clicked(msg42)")) as here:
        clicks = [person(i) for i in range(1, 50)]
        url = "https://shop.example/spring"
        edit(here, lambda account: account["sends"][0].update(clicked={url: clicks}))
        assert here.apply().exit_code == 4
        message = {"requestId": here.control("GET", "/_sim/world")["accounts"]["shop"]["sends"][0]["requestId"]}
        here.control("POST", "/_sim/behave", {**message, "clicked": {url: [person(50)]}})
        assert here.run().exit_code == 0
        assert people(here) == dict.fromkeys({i for i in range(51, 1001) if i % 4 == 0} - OUT, 1)


# --- shortfall, the sum of the fuses, reservations -------------------------------------------------------


def test_a_shortfall_that_appears_between_two_parts_stops_the_second(tmp_path):
    with f1000(tmp_path, delivery(TAGGED, AHEAD)) as here:
        tag(here, VIP)
        assert here.apply().exit_code == 0
        (upload,) = [one for one in here.audiences() if one["type"] == "UPLOAD"]
        lost = {"description": upload["description"], "remove": upload["members"][:1]}
        put(here, turns=[{"nth": 1, "when": "ended", "audiences": [lost]}])
        here.advance(LATER - 14 * 3600)
        for _ in range(2):
            outcome = here.run()
            assert outcome.exit_code == 5 and codes(outcome.diagnostics) == ["AUD0850"]
        assert len(narrowcasts(here)) == 1
        back = {"description": upload["description"], "add": upload["members"][:1]}
        put(here, turns=[])
        edit(here, lambda account: _restore(account, back))
        assert here.run().exit_code == 0
        assert people(here) == dict.fromkeys((set(VIP) | WOMEN) - OUT, 1)


def _restore(account, change) -> None:
    for one in account["audiences"]:
        if one["description"] == change["description"]:
            one["members"] = sorted({*one["members"], *change["add"]})


SHARED_BOUND = "purchased(A) AND (clicked(msg42) OR gender(male))"


def test_the_fuses_of_all_parts_stay_within_the_whole(tmp_path):
    with f1000(tmp_path, delivery(SHARED_BOUND)) as here:
        whole = here.plan().document["deliveries"][0]["people"]["high"]
        assert here.apply().exit_code == 0
        first, second = [one["limit"]["max"] for one in sent_bodies(here)]
        bought = {i for i in range(1, 1001) if i % 4 == 0} - {i for i in range(1, 1001) if i % 25 == 0}
        clicked = {i for i in bought if i % 3 == 0 and i % 20}
        assert first == whole == len(bought) and second == whole - len(clicked)


def test_a_sum_beyond_the_plan_holds_the_next_part(tmp_path):
    from dataclasses import replace

    from audsql.line.client import LineClient
    from audsql.line.outcome import Found

    original = LineClient.progress

    def inflated(client, request_id):
        found = original(client, request_id)
        return Found(replace(found.value, success_count=5000)) if isinstance(found, Found) else found

    with f1000(tmp_path, delivery(SHARED_BOUND)) as here, patch.object(LineClient, "progress", inflated):
        outcome = here.apply()
        assert outcome.exit_code == 7 and codes(outcome.diagnostics) == ["AUD0869"]
        assert facts(outcome, "AUD0869")[0]["reached"] == 5000
        assert len(narrowcasts(here)) == 1 and states(here) == {"sale_a": "failed"}


def someone_else_sends(here: Place) -> None:
    """A narrowcast without a limit, as another tool makes it: LINE reserves one message for everybody."""
    body = json.dumps({"messages": [{"type": "text", "text": "hello"}]}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(
        here.simulator.base_url + "/v2/bot/message/narrowcast", data=body, headers=headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202


def test_messages_that_another_send_reserves_are_waited_for(tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", AHEAD)) as here:
        assert here.apply().exit_code == 0
        put(here, quota={"type": "limited", "value": 2000, "used": 0}, targetReach=2000, sendSeconds=300)
        here.advance(LATER - 14 * 3600)
        someone_else_sends(here)
        assert here.run().exit_code == 0
        mine = [one for one in narrowcasts(here) if one["retryKey"]]
        assert [one["status"] for one in mine][-1] == 202 and 429 in [one["status"] for one in mine]
        assert len({one["retryKey"] for one in mine}) == 1


def test_messages_that_stay_reserved_leave_the_send_to_the_next_run(tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", AHEAD)) as here:
        assert here.apply().exit_code == 0
        put(here, quota={"type": "limited", "value": 2000, "used": 0}, targetReach=2000, sendSeconds=3600)
        here.advance(LATER - 14 * 3600)
        someone_else_sends(here)
        outcome = here.run()
        assert outcome.exit_code == 4 and codes(outcome.diagnostics) == ["AUD0871"]
        here.advance(3600)
        assert here.run().exit_code == 0
        assert states(here) == {"sale_a": "done"}


def test_messages_that_are_used_up_end_the_run_at_once(tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", AHEAD)) as here:
        assert here.apply().exit_code == 0
        here.advance(LATER - 14 * 3600)
        put(here, quota={"type": "limited", "value": 2000}, used={"2026-12": 2000})
        outcome = here.run()
        assert outcome.exit_code == 4 and codes(outcome.diagnostics) == ["AUD0857"]
        assert [one["status"] for one in narrowcasts(here)] == [429]


@pytest.mark.parametrize(
    ("more", "limit"),
    [
        ("", {"max": 240, "upToRemainingQuota": True, "forbidPartialDelivery": True}),
        ("quota: fill", {"max": 240, "upToRemainingQuota": True}),
        ("limit: 30", {"max": 30, "upToRemainingQuota": True}),
        ("expect: 10..300 people", {"max": 240, "upToRemainingQuota": True, "forbidPartialDelivery": True}),
    ],
)
def test_the_limit_of_one_send(more, limit, tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", more)) as here:
        assert here.apply().exit_code == 0
        (body,) = sent_bodies(here)
        assert body["limit"] == limit
        assert set(people(here)) <= {i for i in range(1, 1001) if i % 4 == 0} - OUT


def test_quota_fill_reaches_some_where_the_quota_is_short(tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", "quota: fill\n  at: 2026-12-01 10:00")) as here:
        assert here.apply().exit_code == 0
        here.advance(LATER - 14 * 3600)
        put(here, quota={"type": "limited", "value": 2000}, used={"2026-12": 1990})
        assert here.run().exit_code == 0
        assert len(people(here)) == 10


def test_an_audience_that_shrank_below_the_minimum_stops_every_part(tmp_path):
    """One of LINE's own: the plan saw enough people in it, the send does not."""
    spec = delivery('friend_path("poster") OR gender(female)', AHEAD)
    with f1000(tmp_path, spec) as here:
        path = {"type": "FRIEND_PATH", "description": "poster", "members": [person(i) for i in range(1, 101)]}
        edit(here, lambda account: account["audiences"].append(path))
        assert here.apply().exit_code == 0
        edit(here, lambda account: account["audiences"][1].update(members=path["members"][:49], status="READY"))
        here.advance(LATER - 14 * 3600)
        outcome = here.run()
        assert outcome.exit_code == 5 and codes(outcome.diagnostics) == ["AUD0714"]
        assert not narrowcasts(here)
