"""`apply --rehearse`: the plan against a simulated copy of the account; nothing leaves this machine."""

from __future__ import annotations

import json

from f1000 import FOUNDING, delivery, f1000

from audsql import session
from harness import codes

SCHEDULED = delivery("purchased(B)", "at: 2026-12-01 10:00", name="later")


def rehearse(here, document=None, **more):
    return session.rehearse(here.opened(), document, session.ApplyOptions(on_event=here.events.append, **more))


def writes(here):
    return [one for one in here.requests("POST", "PUT", "DELETE") if not one["path"].endswith("/validate/push")]


def files(here):
    return {
        str(path.relative_to(here.root)): path.read_bytes() for path in here.root.rglob("*") if path.is_file()
    }  # fmt: skip


def test_nothing_is_sent_and_nothing_changes(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.plan(as_of=None)
        before = files(here)
        outcome = rehearse(here)
        assert outcome.exit_code == 0, outcome.diagnostics
        assert outcome.document["kind"] == "audsql.rehearsal"
        assert outcome.document["summary"]["sent"] == 1
        assert outcome.document["friends"] > 900 and outcome.document["cut_off"] is False
        assert not writes(here) and not here.inbox()
        after = files(here)
        assert {name for name in after if after[name] != before.get(name)} <= {".audsql/requests.log"}


def test_scheduled_sends_are_played_in_their_time(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING) + SCHEDULED) as here:
        outcome = rehearse(here)
        assert outcome.exit_code == 0, outcome.diagnostics
        done = {event["delivery"] for event in outcome.document["events"] if event["event"] == "done"}
        assert done == {"sale_a", "later"}
        assert (outcome.document["summary"]["sent"], outcome.document["next_due"]) == (2, None)
        assert not here.inbox()


def test_what_would_stop_the_apply_stops_the_rehearsal(tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", "expect: 1..2 people")) as here:
        outcome = rehearse(here)
        assert outcome.exit_code == 5 and "AUD0701" in codes(outcome.diagnostics)


def test_a_saved_plan_must_fit(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        document = here.plan(as_of=None).document
        good = rehearse(here, document)
        assert (good.exit_code, good.document["plan_digest"]) == (0, document["digest"])
        here.write("shop.aud", (here.root / "shop.aud").read_text().replace("purchased(A)", "purchased(B)"))
        assert codes(rehearse(here, document).diagnostics) == ["AUD0624"]


def test_a_rehearsal_after_an_apply_has_nothing_left_to_send(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        assert here.apply(as_of=None).exit_code == 0
        received = here.received()
        outcome = rehearse(here)
        assert outcome.exit_code == 0 and outcome.document["summary"]["sent"] == 0
        here.write("shop.aud", (here.root / "shop.aud").read_text() + SCHEDULED)
        outcome = rehearse(here)
        assert outcome.exit_code == 0 and outcome.document["summary"]["sent"] == 1
        assert here.received() == received


def test_the_command_line(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        done = here.command("apply", "--rehearse")
        assert done.returncode == 0, done.stderr
        assert "nothing was sent" in done.stdout
        as_json = here.command("apply", "--rehearse", "--json")
        assert json.loads(as_json.stdout)["kind"] == "audsql.rehearsal"
        assert "何も配信していません" in here.command("apply", "--rehearse", "--lang", "ja").stdout
        assert not here.inbox()
