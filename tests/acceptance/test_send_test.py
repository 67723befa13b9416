"""`send-test`: exactly the messages, marked, to a declared list and nobody else; `require tested` asks for it."""

from __future__ import annotations

import json

import pytest

from audsql.session.applying import ApplyOptions
from audsql.session.testing_sends import TestOptions, send_test
from harness import AS_OF, codes, place

SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload testers { file: "testers.txt"  id: user_id }
upload buyers { file: "buyers.txt"  id: user_id }
message card { text: "sale" }
policy house { require tested }
delivery sale { to: uploaded(buyers)  send: card }
"""


def uid(number: int) -> str:
    return f"U{number:032x}"


def lines(*numbers: int) -> str:
    return "".join(f"{uid(number)}\n" for number in numbers)


def shop(root, spec: str = SPEC, testers=(1, 2), **files: str):
    friends = [{"userId": uid(number), "followedAt": "2025-01-01T00:00:00+09:00"} for number in range(1, 101)]
    world = {"now": AS_OF.isoformat(), "accounts": {"shop": {"token": "sim-token", "friends": friends}}}
    texts = {name.replace("_csv", ".csv").replace("_json", ".json"): text for name, text in files.items()}
    return place(
        root, world, {"shop.aud": spec, "testers.txt": lines(*testers), "buyers.txt": lines(*range(11, 81)), **texts}
    )


def sent(here, target: str = "sale", to: str = "testers", **more: str):
    return send_test(here.opened(), target, TestOptions(to, **more), ApplyOptions())


def texts(here) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for one in here.inbox():
        found.setdefault(int(one["userId"][1:], 16), []).extend(message["text"] for message in one["messages"])
    return found


def test_testers_get_exactly_the_messages_behind_a_mark_and_nobody_else_gets_anything(tmp_path):
    with shop(tmp_path) as here:
        outcome = sent(here)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (0, [])
        assert {person: said[1:] for person, said in texts(here).items()} == {1: ["sale"], 2: ["sale"]}
        assert all(said[0].startswith("[TEST] sale") for said in texts(here).values())
        assert here.requests("POST")[-1]["path"].endswith("/message/push")
        (row,) = outcome.document["tests"]
        assert (row["tested"], row["sent"], row["testers"], row["invented"]) == (True, 2, 2, 0)


def test_nothing_is_approved_before_its_words_were_tested(tmp_path):
    with shop(tmp_path) as here:
        refused = here.apply()
        assert (refused.exit_code, codes(refused.diagnostics)) == (5, ["AUD0830"])
        guard = next(one for one in here.plan().document["guards"] if one["code"] == "AUD0830")
        assert guard["facts"]["command"] == "audsql send-test sale --to LIST"
        assert sent(here).exit_code == 0
        assert here.apply().exit_code == 0
        assert len(here.received()) == 72


def test_an_edited_message_needs_another_test_and_an_excepted_delivery_none(tmp_path):
    with shop(tmp_path) as here:
        assert sent(here).exit_code == 0
        here.write("shop.aud", SPEC.replace('"sale"', '"sale!"'))
        assert codes(here.apply().diagnostics) == ["AUD0830"]
        here.write("shop.aud", SPEC.replace('"sale"', '"sale!"').replace("tested", "tested except for [sale]"))
        assert here.apply().exit_code == 0


def test_a_second_run_within_a_minute_sends_nothing_twice(tmp_path):
    with shop(tmp_path) as here:
        assert sent(here).exit_code == 0
        assert sent(here).exit_code == 0
        assert here.received() == {uid(1): 1, uid(2): 1}


def test_a_lost_answer_is_asked_again_with_the_same_key(tmp_path):
    with shop(tmp_path) as here:
        here.faults({"match": {"path": "/v2/bot/message/push"}, "nth": 1, "do": "drop-response"})
        assert sent(here).exit_code == 0
        assert here.received() == {uid(1): 1, uid(2): 1}


def test_what_line_refuses_does_not_count_as_tested(tmp_path):
    with shop(tmp_path) as here:
        here.faults({"match": {"path": "/v2/bot/message/push"}, "nth": 2, "do": "status:400"})
        outcome = sent(here)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (4, ["AUD0834"])
        assert codes(here.apply().diagnostics) == ["AUD0830"]


@pytest.mark.parametrize("people", [(), range(1, 52)])
def test_a_list_of_nobody_or_of_too_many_is_sent_nothing(tmp_path, people):
    with shop(tmp_path, testers=tuple(people)) as here:
        outcome = sent(here)
        assert outcome.exit_code == 1 and "AUD0833" in codes(outcome.diagnostics)
        assert here.inbox() == []


def test_unknown_targets_and_lists_are_refused(tmp_path):
    with shop(tmp_path) as here:
        assert codes(sent(here, "sales").diagnostics) == ["AUD0831"]
        assert codes(sent(here, to="tester").diagnostics) == ["AUD0832"]
        assert here.inbox() == []


def test_a_pause_stops_tests_too(tmp_path):
    with shop(tmp_path) as here:
        assert here.command("pause", "--reason", "a wrong price").returncode == 0
        outcome = sent(here)
        assert (outcome.exit_code, codes(outcome.diagnostics), here.inbox()) == (5, ["AUD0876"], [])


def test_five_messages_are_marked_by_a_push_of_their_own(tmp_path):
    with shop(tmp_path, SPEC.replace("send: card", "send: card, card, card, card, card"), testers=(1,)) as here:
        assert sent(here).exit_code == 0
        assert [len(one["messages"]) for one in here.inbox()] == [1, 5]


PERSONAL = SPEC.replace(
    "delivery",
    """table members { file: "members.csv"  id: user_id }
codes winter { file: "codes.txt" }
message hi {
  template: "{{ name }} {{ points }} {{ code }}"
  table: members
  column name: string
  column points: number = 0
  column code: codes winter
}
delivery""",
).replace("send: card", "send: hi")


def test_personal_messages_are_filled_in_for_each_tester_and_invented_where_a_row_is_missing(tmp_path):
    rows = f"user_id,name,points\n{uid(1)},Mika,\n{uid(11)},Ken,30\n"
    with shop(tmp_path, PERSONAL, members_csv=rows, **{"codes.txt": "REAL-1\n"}) as here:
        outcome = sent(here)
        assert outcome.exit_code == 0, outcome.diagnostics
        assert outcome.document["tests"][0]["invented"] == 1
        assert {person: said[1:] for person, said in texts(here).items()} == {
            1: ["Mika 0 TEST-winter"], 2: ["TEST-name 100 TEST-winter"]
        }  # fmt: skip
        assert sent(here, row_of=uid(11)).exit_code == 0


def test_no_id_of_a_tester_enters_the_state(tmp_path):
    with shop(tmp_path) as here:
        assert sent(here).exit_code == 0
        shown = here.command("state", "pull").stdout
        assert "tested" in shown and uid(1) not in shown
        assert all(uid(1).encode() not in file.read_bytes() for file in here.root.glob("*.db*"))


def test_a_flow_is_tested_step_by_step_or_as_a_whole(tmp_path):
    flow = """
message second { text: "still there?" }
flow hello {
  start when uploaded(buyers)
  send card
  wait 1 day
  send second
}
"""
    with shop(tmp_path, SPEC.replace("delivery sale { to: uploaded(buyers)  send: card }", flow)) as here:
        assert "AUD0830" in codes(here.plan().diagnostics)
        assert [one["target"] for one in sent(here, "hello.2").document["tests"]] == ["hello.2"]
        assert "AUD0830" in codes(here.plan().diagnostics)
        assert [one["target"] for one in sent(here, "hello").document["tests"]] == ["hello.0", "hello.2"]
        assert "AUD0830" not in codes(here.plan().diagnostics)


def test_the_command_answers_people_and_programs(tmp_path):
    with shop(tmp_path) as here:
        done = here.command("send-test", "sale", "--to", "testers")
        assert (done.returncode, done.stdout) == (0, "sale: sent to 2 of 2 testers of testers\n")
        done = here.command("send-test", "sale", "--to", "testers", "--json")
        assert json.loads(done.stdout)["kind"] == "audsql.send-test"
        assert uid(1) not in done.stdout
