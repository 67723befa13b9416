"""`pause` and `resume`: nothing leaves for LINE that LINE has not accepted (T02, T07, T08, T28)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from test_line_rules import got, narrowcasts, shop

from audsql.session import operating
from harness import AS_OF, codes

LIST = "uploaded(list)"
ALL = list(range(1, 61))
TWO = '}\nmessage other { text: "other" }\ndelivery news { to: uploaded(list)  send: other '


def status(here, code: int = 0):
    done = here.command("status", "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def pause(here, *arguments: str) -> None:
    done = here.command("pause", *arguments, "--reason", "a wrong price")
    assert done.returncode == 0, done.stderr


def test_what_is_paused_is_prepared_and_not_sent_until_resumed(tmp_path):
    with shop(tmp_path, LIST) as here:
        pause(here)
        outcome = here.apply()
        assert outcome.exit_code == 5 and codes(outcome.diagnostics) == ["AUD0876"]
        assert outcome.document["paused"] == ["sale"]
        assert narrowcasts(here) == 0 and got(here) == []
        assert [one["type"] for one in here.audiences()] == ["UPLOAD"]
        assert here.run().exit_code == 5
        assert here.command("resume").returncode == 0
        assert narrowcasts(here) == 0
        assert here.run().exit_code == 0
        assert got(here) == ALL
        assert here.plan().document["summary"]["changes"] is False


def test_one_delivery_is_paused_and_the_others_go(tmp_path):
    """Scenario 27: what does not depend on it goes on."""
    with shop(tmp_path, LIST, more=TWO) as here:
        pause(here, "sale")
        outcome = here.apply()
        assert outcome.exit_code == 5 and outcome.document["summary"]["sent"] == 1
        assert narrowcasts(here) == 1 and got(here) == ALL
        names = {one["delivery"]: one["paused"] for one in status(here)["next"]}
        assert names == {"sale": True}
        assert here.command("resume", "sale").returncode == 0
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {2}


def test_a_pause_of_all_and_a_pause_of_one_are_two(tmp_path):
    with shop(tmp_path, LIST) as here:
        pause(here)
        pause(here, "sale")
        assert "already" in here.command("pause", "--reason", "again").stdout
        assert [one["delivery"] for one in status(here)["paused"]] == [None, "sale"]
        assert "AUD0877" in here.command("resume").stderr
        assert here.apply().exit_code == 5
        assert here.command("resume", "sale").returncode == 0
        assert "was not paused" in here.command("resume").stdout
        assert here.run().exit_code == 0 and got(here) == ALL


def test_it_is_shown_by_plan_status_and_apply_with_its_reason(tmp_path):
    with shop(tmp_path, LIST) as here:
        pause(here)
        plan = here.command("plan")
        assert plan.returncode == 0 and "AUD0877" in plan.stderr and "a wrong price" in plan.stdout
        document = here.plan().document
        assert [one["delivery"] for one in document["paused"]] == [None]
        assert document["paused"] == [
            {name: one[name] for name in ("delivery", "since", "reason")} for one in status(here)["paused"]
        ]
        applied = here.command("apply", "--auto-approve")
        assert applied.returncode == 5 and "AUD0876" in applied.stderr and "audsql resume" in applied.stderr
        assert "sale" in applied.stdout
        assert "a wrong price" in here.command("status").stdout
        assert "一時停止" in here.command("status", "--lang", "ja").stdout


def test_a_plan_made_before_the_pause_is_not_stale_and_not_sent(tmp_path):
    with shop(tmp_path, LIST) as here:
        assert here.apply().exit_code == 0
        here.write("shop.aud", (here.root / "shop.aud").read_text() + "delivery next { to: friends  send: card }\n")
        document = here.plan().document
        pause(here)
        outcome = here.apply(document)
        assert outcome.exit_code == 5 and codes(outcome.diagnostics) == ["AUD0876"]
        assert len(got(here)) == 60


def test_past_its_window_it_is_missed_as_always_T07(tmp_path):
    with shop(tmp_path, LIST) as here:
        pause(here)
        assert here.apply().exit_code == 5
        here.advance(7 * 3600)
        assert here.run().exit_code == 7
        assert narrowcasts(here) == 0
        found = status(here, 7)
        assert [(one["delivery"], one["why"]) for one in found["needs_person"]] == [("sale", "missed")]
        assert here.command("resume").returncode == 0
        assert here.run().exit_code == 7 and got(here) == []


def test_what_is_not_due_yet_is_no_refusal(tmp_path):
    at = (AS_OF + timedelta(hours=2)).isoformat()
    with shop(tmp_path, LIST, more=f"at: {at[:16].replace('T', ' ')}") as here:
        pause(here)
        outcome = here.apply()
        assert outcome.exit_code == 0 and "AUD0877" in [one.code for one in outcome.diagnostics]
        here.advance(2 * 3600 + 60)
        assert here.run().exit_code == 5 and got(here) == []


def test_what_line_accepted_is_named_and_followed_to_its_end(tmp_path):
    with shop(tmp_path, LIST) as here:
        assert here.apply().exit_code == 0
        done = here.command("pause", "sale", "--reason", "too late")
        assert done.returncode == 0 and "AUD0879" in done.stderr and "sale" in done.stderr
        assert got(here) == ALL


def test_a_lost_answer_is_not_asked_again_while_paused_T02(tmp_path):
    """Scenario 30: asked again under the same key, and only once it is resumed."""
    with shop(tmp_path, LIST) as here:
        fault = {"match": {"method": "POST", "path": "/v2/bot/message/narrowcast"}, "do": "drop-response"}
        here.faults({**fault, "nth": 1})
        outcome = _paused_after_the_first_send(here)
        assert outcome.exit_code == 5
        assert narrowcasts(here) == 1
        document = json.loads(here.command("pause", "sale", "--reason", "more", "--json").stdout)
        assert document["changed"] is True
        assert here.command("resume").returncode == 0 and here.command("resume", "sale").returncode == 0
        assert here.run().exit_code == 0
        assert got(here) == ALL


def _paused_after_the_first_send(here):
    """An apply during which a person pauses everything as soon as its first send has left."""
    from audsql.apply import context

    whole, done = context.Context.request, []

    def request(self, name, call):
        answer = whole(self, name, call)
        if name.startswith("send.") and not done:
            done.append(operating.pause(here.opened(), None, "stop").exit_code)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context.Context, "request", request)
        outcome = here.apply()
    assert done == [0]
    return outcome


def test_a_pause_between_the_check_and_the_first_byte_holds_it_back(tmp_path, monkeypatch):
    """The connection is open, the process was asleep, and somebody paused it meanwhile (T08)."""
    from audsql.apply import context

    with shop(tmp_path, LIST) as here:
        whole = context.Context.request

        def request(self, name, call):
            if name.startswith("send."):
                assert operating.pause(here.opened(), None, "stop").exit_code == 0
            return whole(self, name, call)

        monkeypatch.setattr(context.Context, "request", request)
        outcome = here.apply()
        assert outcome.exit_code == 5 and narrowcasts(here) == 0
        monkeypatch.setattr(context.Context, "request", whole)
        assert here.command("resume").returncode == 0
        assert here.run().exit_code == 0
        assert got(here) == ALL


def test_a_renamed_delivery_stays_paused(tmp_path):
    with shop(tmp_path, LIST) as here:
        pause(here, "sale")
        assert here.apply().exit_code == 5
        text = (here.root / "shop.aud").read_text().replace("delivery sale", "delivery winter")
        here.write("shop.aud", text + "moved sale -> winter\n")
        assert here.apply().exit_code == 5
        assert got(here) == []
        assert here.command("resume", "winter").returncode == 0
        assert here.run().exit_code == 0
        assert got(here) == ALL


def test_it_works_where_specs_are_broken_and_nothing_was_applied(tmp_path):
    with shop(tmp_path, LIST) as here:
        whole = (here.root / "shop.aud").read_text()
        here.write("shop.aud", whole + "delivery {{{\n")
        pause(here)
        here.write("shop.aud", whole)
        assert here.apply().exit_code == 5 and got(here) == []


def test_a_name_that_nobody_knows_is_refused_with_a_near_one(tmp_path):
    with shop(tmp_path, LIST) as here:
        done = here.command("pause", "sael", "--reason", "x")
        assert done.returncode == 1 and "AUD0878" in done.stderr and "sale" in done.stderr
        assert here.apply().exit_code == 0


@pytest.mark.parametrize(
    "arguments", [("pause",), ("pause", "--reason", " "), ("resolve", "sale", "sent", "--reason", "")]
)
def test_a_reason_is_needed(tmp_path, arguments):
    with shop(tmp_path, LIST) as here:
        assert here.command(*arguments).returncode == 64


def test_a_reason_with_the_id_of_a_person_is_not_kept(tmp_path):
    with shop(tmp_path, LIST) as here:
        for arguments in (("pause",), ("resolve", "sale", "sent")):
            done = here.command(*arguments, "--reason", f"asked by U{7:032x}")
            assert done.returncode == 1 and "AUD0884" in done.stderr
        assert here.command("lock", "show").returncode in (0, 1)
        assert here.apply().exit_code == 0 and got(here) == ALL
