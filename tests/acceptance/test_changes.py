"""A delivery that is scheduled ahead, while data, specs and state move under it."""

from __future__ import annotations

import copy
import json

import pytest
from f1000 import FOUNDING, SOURCES, delivery, f1000

from harness import AS_OF, codes

AHEAD = delivery(FOUNDING, "at: 2026-12-01 10:00")
TEN_DAYS = 10 * 86_400 + 10 * 3600


def person(i: int) -> str:
    return "U" + format(i, "032x")


def remove(here, path: str, *people: int) -> None:
    gone = {person(i) for i in people}
    file = here.root / path
    file.write_text("".join(f"{line}\n" for line in file.read_text().split() if line.split(",")[0] not in gone))


def add(here, path: str, *people: int) -> None:
    with (here.root / path).open("a") as out:
        out.writelines(f"{person(i)}\n" for i in people)


def upload(document):
    (one,) = [one for one in document["resource_changes"] if one["type"] == "UPLOAD"]
    return one


def live_uploads(here):
    return [one for one in here.audiences() if one["type"] == "UPLOAD"]


def writes(here):
    return len(here.requests("POST", "PUT", "DELETE"))


@pytest.mark.threat("T21")
def test_ahead_of_its_time_everything_is_ready_and_nothing_is_sent(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        outcome = here.apply()
        assert outcome.exit_code == 0
        assert here.inbox() == []
        assert {one["status"] for one in here.audiences()} == {"READY"}
        before = writes(here)
        assert not here.plan().document["summary"]["changes"]
        assert here.apply().exit_code == 0
        assert here.run().exit_code == 0
        assert writes(here) == before
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert len(here.received()) == 58
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {1}


def test_who_leaves_means_a_replacement_that_is_ready_before_the_switch(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        (old,) = live_uploads(here)
        text = (here.root / "data/orders.csv").read_text().splitlines(keepends=True)
        (here.root / "data/orders.csv").write_text("".join(row for row in text if person(12) not in row))
        document = here.plan().document
        change = upload(document)
        assert (change["action"], change["reason"]) == ("replace", "people_left")
        assert (change["people"]["entering"], change["people"]["leaving"]) == (0, 1)
        assert here.apply().exit_code == 0
        new = next(one for one in live_uploads(here) if one["audienceGroupId"] != old["audienceGroupId"])
        assert person(12) not in new["members"]
        assert new["status"] == "READY"
        assert old["audienceGroupId"] in {one["audienceGroupId"] for one in live_uploads(here)}
        assert not here.plan().document["summary"]["changes"]
        here.advance(25 * 3600)
        assert here.apply().exit_code == 0
        assert old["audienceGroupId"] not in {one["audienceGroupId"] for one in live_uploads(here)}


def test_pure_growth_adds_in_place(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        with (here.root / "data/orders.csv").open("a") as out:
            out.write(f"x,{person(3)},A,100,2026-11-01T00:00:00+09:00\n")
        change = upload(here.plan().document)
        assert (change["action"], change["people"]["entering"]) == ("add", 1)
        assert here.apply().exit_code == 0
        (one,) = live_uploads(here)
        assert person(3) in one["members"]
        assert not here.plan().document["summary"]["changes"]
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert person(3) in here.received()


def test_after_its_last_send_an_upload_is_released_and_deleted_lazily(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        assert len(live_uploads(here)) == 1
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert not here.plan().document["summary"]["changes"]
        before = writes(here)
        here.apply()
        assert writes(here) == before
        here.advance(25 * 3600)
        assert not here.plan().document["summary"]["changes"]
        assert here.apply().exit_code == 0
        assert live_uploads(here) == []


def test_an_upload_of_what_was_sent_without_a_time_stays_and_tells_a_lost_state(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.apply()
        here.advance(25 * 3600)
        assert not here.plan().document["summary"]["changes"]
        assert here.apply().exit_code == 0
        assert len(live_uploads(here)) == 1
        for file in (here.root / ".audsql").glob("state.sqlite*"):
            file.unlink()
        assert codes(here.apply().diagnostics) == ["AUD0715"]
        assert set(here.received().values()) == {1}


@pytest.mark.parametrize("to", [FOUNDING, "clicked(msg42) OR gender(female)"])
@pytest.mark.threat("T38", "T41")
def test_an_opt_out_between_plan_and_apply_is_respected(to, tmp_path):
    with f1000(tmp_path, delivery(to)) as here:
        document = here.plan().document
        add(here, "data/optout.txt", 12, 24)
        outcome = here.apply(document, as_of=None)
        assert outcome.exit_code == 0
        assert not {person(12), person(24)} & set(here.received())
        assert len(here.received()) > 50


@pytest.mark.threat("T38")
def test_an_opt_out_between_apply_and_run_is_respected(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        add(here, "data/optout.txt", 12)
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert len(here.received()) == 57
        assert person(12) not in here.received()


@pytest.mark.threat("T38")
@pytest.mark.scenario(46)
def test_what_grows_after_the_plan_is_not_sent_to(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        with (here.root / "data/orders.csv").open("a") as out:
            out.write(f"x,{person(3)},A,100,2026-11-01T00:00:00+09:00\n")
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert person(3) not in here.received()
        assert len(here.received()) == 58


@pytest.mark.threat("T35")
def test_a_suppression_list_that_shrank_stops_every_send(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        remove(here, "data/optout.txt", 25, 50)
        here.advance(TEN_DAYS)
        outcome = here.run()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0703"])
        assert here.inbox() == []
        assert here.plan().document["applyable"] is False
        assert here.run(accept_shrunk=frozenset({"optout"}), reason="they asked").exit_code == 0
        assert person(25) not in here.received()


@pytest.mark.parametrize("content", ["", None])
@pytest.mark.threat("T35", "T48")
def test_a_suppression_list_that_is_empty_or_missing_stops_everything(content, tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        file = here.root / "data/optout.txt"
        if content is None:
            file.unlink()
        else:
            file.write_text(content)
        assert here.plan().document is None
        here.advance(TEN_DAYS)
        assert here.run().exit_code in (1, 5)
        assert here.inbox() == []


@pytest.mark.scenario(22)
def test_a_plan_is_applied_once(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        document = here.plan().document
        assert here.apply(document, as_of=None).exit_code == 0
        again = here.apply(document, as_of=None)
        assert (again.exit_code, codes(again.diagnostics)) == (5, ["AUD0623"])
        assert len(here.received()) == 58


@pytest.mark.threat("T39")
@pytest.mark.scenario(26)
def test_a_plan_that_no_longer_fits_is_refused(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        document = here.plan().document
        spec = (here.root / "shop.aud").read_text()
        here.write("shop.aud", spec.replace("msg42) AND", "msg42) AND purchased(B) AND"))
        outcome = here.apply(document, as_of=None)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0624"])
        here.write("shop.aud", spec)
        outcome = here.apply(document, as_of=None, expect="sha256:other")
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0626"])
        here.advance(25 * 3600)
        outcome = here.apply(document, as_of=None)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0624"])
        assert here.inbox() == []


@pytest.mark.threat("T39")
@pytest.mark.scenario(21, 47)
def test_a_second_plan_made_before_the_first_was_applied_is_stale(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        first, second = here.plan().document, here.plan(AS_OF.replace(hour=1)).document
        assert here.apply(first, as_of=None).exit_code == 0
        outcome = here.apply(second, as_of=None)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0624"])


def test_plans_of_the_same_inputs_are_the_same_bytes(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        assert here.plan().document == here.plan().document


def test_a_time_that_is_past_is_refused(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING, "at: 2026-11-20 10:00")) as here:
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0707"])
        assert writes(here) == 0


def test_what_was_sent_cannot_be_edited(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.apply()
        here.write("shop.aud", (here.root / "shop.aud").read_text().replace(FOUNDING, "purchased(B)"))
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0708"])
        assert set(here.received().values()) == {1}


def test_a_changed_time_cancels_the_old_occurrence(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        spec = (here.root / "shop.aud").read_text()
        here.write("shop.aud", spec.replace("2026-12-01 10:00", "2026-12-02 10:00"))
        document = here.plan().document
        assert len(document["cancelled"]) == 1
        assert here.apply().exit_code == 0
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert here.inbox() == []
        here.advance(86_400)
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {1}


@pytest.mark.scenario(26)
def test_a_spec_edited_after_apply_is_not_sent_without_a_new_apply(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        here.write("shop.aud", (here.root / "shop.aud").read_text().replace("セール開催中", "別の文"))
        here.advance(TEN_DAYS)
        outcome = here.run()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0863"])
        assert here.inbox() == []
        assert here.apply().exit_code == 0
        assert len(here.received()) == 58


@pytest.mark.threat("T16")
def test_a_lost_state_does_not_send_again(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.apply()
        for file in (here.root / ".audsql").glob("state.sqlite*"):
            file.unlink()
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0715"])
        assert set(here.received().values()) == {1}
        resolved = here.command("resolve", "sale_a", "sent", "--reason", "seen in the inbox")
        assert resolved.returncode == 0, resolved.stderr
        assert not here.plan().document["summary"]["changes"]


@pytest.mark.threat("T33", "T34")
@pytest.mark.scenario(46)
def test_an_expected_size_is_a_fuse(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING, "expect: 300..400 people")) as here:
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0701"])
    with f1000(tmp_path / "b", delivery(FOUNDING, "expect: 10..40 people")) as here:
        outcome = here.apply()
        assert outcome.exit_code == 7
        assert here.inbox() == []


@pytest.mark.threat("T62")
@pytest.mark.scenario(24)
def test_one_altered_byte_of_a_plan_file_is_refused(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        document = here.plan().document
        (here.root / "p.audplan").write_text(
            json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        )
        raw = (here.root / "p.audplan").read_bytes()
        (here.root / "p.audplan").write_bytes(raw.replace(b'"limit":206', b'"limit":207'))
        refused = here.command("apply", "p.audplan")
        assert refused.returncode == 5
        assert "AUD0622" in refused.stderr
        assert here.inbox() == []
        assert copy.deepcopy(document) == document


def test_a_message_that_line_would_refuse_stops_the_plan(tmp_path):
    sources = SOURCES.replace('message sale { text: "セール開催中" }', 'message sale { file: "sale.json" }')
    with f1000(tmp_path, delivery(FOUNDING), sources) as here:
        here.write("sale.json", '{"type": "txet", "text": "x"}')
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0719"])
        assert here.inbox() == []
        assert here.audiences()[0]["type"] == "CHAT_TAG"
        assert len(here.audiences()) == 1
