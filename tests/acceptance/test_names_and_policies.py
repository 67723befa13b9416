"""Renamed, removed and quiet: from text to inbox, over several applies."""

from __future__ import annotations

import pytest
from f1000 import FOUNDING, SOURCES, delivery, f1000

from audsql import session
from audsql.view.markdown import plan_comment
from audsql.view.plan import human
from audsql.view.terminal import Style
from harness import AS_OF, codes

TEN_DAYS = 10 * 86_400 + 10 * 3600
AHEAD = delivery(FOUNDING, "at: 2026-12-01 10:00")
ONCE = delivery(FOUNDING)
MOVED = "\nmoved sale_a -> sale_b\n"


def renamed(spec: str) -> str:
    return spec.replace("sale_a", "sale_b")


def write(here, *specs: str) -> None:
    here.write("shop.aud", SOURCES + "\n" + "\n".join(specs))


def live_uploads(here):
    return [one for one in here.audiences() if one["type"] == "UPLOAD"]


def verdicts(document) -> list[str]:
    return [one["code"] for one in document["guards"]]


# --- moved ------------------------------------------------------------------------------------------


@pytest.mark.scenario(37)
def test_a_delivery_that_was_sent_moves_and_is_not_sent_again(tmp_path):
    with f1000(tmp_path, ONCE) as here:
        assert here.apply().exit_code == 0
        assert len(here.received()) == 58
        write(here, renamed(ONCE), MOVED)
        document = here.plan().document
        assert document["moved"] == [{"from": "sale_a", "to": "sale_b"}]
        assert [one["action"] for one in document["deliveries"]] == ["sent"]
        assert (document["summary"]["change"], document["applyable"]) == (1, True)
        assert "was called sale_a" in human(document, Style(False, True, "en"))
        assert "以前は sale\\_a" in plan_comment(document, "ja")
        assert here.apply().exit_code == 0
        assert not here.plan().document["summary"]["changes"]
        write(here, renamed(ONCE))
        document = here.plan().document
        assert not document["summary"]["changes"]
        assert verdicts(document) == []
        assert set(here.received().values()) == {1}


@pytest.mark.scenario(37)
def test_a_delivery_that_waits_is_sent_once_under_its_new_name(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        assert here.apply().exit_code == 0
        write(here, renamed(AHEAD), MOVED)
        document = here.plan().document
        assert (document["cancelled"], [one["action"] for one in document["deliveries"]]) == ([], ["keep"])
        refused = here.run()
        assert here.inbox() == []
        assert codes(refused.diagnostics) == ["AUD0863"]
        assert here.apply().exit_code == 0
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert len(here.received()) == 58
        assert set(here.received().values()) == {1}
        assert [one["delivery"] for one in session.status(here.opened())[0]["occurrences"]] == ["sale_b"]


def test_a_renaming_and_an_edit_at_once_are_an_update(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        write(here, renamed(AHEAD).replace("purchased(A)", "purchased(B)"), MOVED)
        document = here.plan().document
        assert [one["action"] for one in document["deliveries"]] == ["update"]
        assert [one["address"] for one in document["changes"]] == ["delivery.sale_b"]
        assert here.apply().exit_code == 0
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {1}


def test_what_was_sent_cannot_be_edited_by_renaming(tmp_path):
    with f1000(tmp_path, ONCE) as here:
        here.apply()
        write(here, renamed(ONCE).replace("purchased(A)", "purchased(B)"), MOVED)
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0708"])


def test_what_speaks_of_a_renamed_delivery_is_not_edited_by_it(tmp_path):
    follow_up = delivery("received(sale_a)", "at: 2026-12-01 10:00", "again")
    with f1000(tmp_path, ONCE + follow_up) as here:
        assert here.apply().exit_code == 0
        write(here, renamed(ONCE + follow_up), MOVED)
        document = here.plan().document
        assert {one["address"]: one["action"] for one in document["deliveries"]} == {
            "delivery.again": "keep", "delivery.sale_b": "sent"
        }  # fmt: skip
        assert document["changes"] == []
        assert here.apply().exit_code == 0
        assert not here.plan().document["summary"]["changes"]


@pytest.mark.scenario(37)
def test_the_first_name_cannot_be_used_for_another_delivery(tmp_path):
    with f1000(tmp_path, ONCE) as here:
        here.apply()
        write(here, renamed(ONCE), MOVED)
        here.apply()
        write(here, renamed(ONCE), delivery("purchased(B)"))
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0735"])
        assert set(here.received().values()) == {1}


@pytest.mark.parametrize("to", [FOUNDING, "purchased(A) AND clicked(msg42) EXCEPT uploaded(buyers)"])
@pytest.mark.scenario(38)
def test_a_renaming_that_nobody_declared_is_refused(to, tmp_path):
    with f1000(tmp_path, ONCE) as here:
        here.apply()
        write(here, delivery(to, name="sale_b"))
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0730"])
        assert set(here.received().values()) == {1}
        write(here, delivery(to, name="sale_b"), "removed sale_a { keep }")
        assert here.plan().document["applyable"]


# --- removed ----------------------------------------------------------------------------------------


@pytest.mark.scenario(40)
def test_absence_alone_deletes_nothing(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        write(here)
        document = here.plan().document
        assert (len(document["cancelled"]), document["releases"]) == (1, [])
        assert verdicts(document) == ["AUD0733"]
        for _ in range(3):
            assert here.apply().exit_code == 0
            here.advance(25 * 3600)
        assert len(live_uploads(here)) == 1
        assert here.inbox() == []


@pytest.mark.parametrize("how", ["delete", "prune"])
def test_what_is_given_up_is_deleted_later(how, tmp_path):
    other = delivery("purchased(B)", "at: 2026-12-05 10:00", "other")
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        (old,) = live_uploads(here)
        write(here, other, "removed sale_a { delete }" if how == "delete" else "")
        prune = how == "prune"
        document = session.plan(here.opened(), AS_OF, session.PlanOptions(prune=prune)).document
        (row,) = document["removed"]
        assert (row["name"], row["action"], len(document["releases"])) == ("sale_a", how, 1)
        assert verdicts(document) == []
        assert here.apply(prune=prune).exit_code == 0
        assert not here.plan().document["summary"]["changes"]
        here.advance(25 * 3600)
        assert here.apply().exit_code == 0
        (new,) = live_uploads(here)
        assert new["audienceGroupId"] != old["audienceGroupId"]


def test_what_is_kept_stays_for_good_and_is_not_used_again(tmp_path):
    with f1000(tmp_path, AHEAD) as here:
        here.apply()
        (old,) = live_uploads(here)
        write(here, "removed sale_a { keep }")
        assert here.apply().exit_code == 0
        assert not here.plan().document["summary"]["changes"]
        here.advance(25 * 3600)
        here.apply()
        assert [one["audienceGroupId"] for one in live_uploads(here)] == [old["audienceGroupId"]]
        write(here, delivery(FOUNDING, name="other"), "removed sale_a { keep }")
        assert here.apply().exit_code == 0
        assert len(live_uploads(here)) == 2
        assert len(here.received()) == 58


# --- policies ---------------------------------------------------------------------------------------

# Virtual time begins at midnight in Tokyo.
NIGHT = "\npolicy night { quiet 21:00..09:00 }\n"


def test_nothing_starts_in_quiet_hours(tmp_path):
    with f1000(tmp_path, ONCE + NIGHT) as here:
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0725"])
        assert here.requests("POST") == []
        here.advance(9 * 3600)
        assert here.apply().exit_code == 0
        assert len(here.received()) == 58


def test_a_plan_from_before_quiet_hours_is_refused_in_them(tmp_path):
    with f1000(tmp_path, ONCE + NIGHT) as here:
        here.advance(20 * 3600)
        document = here.plan().document
        assert document["applyable"]
        here.advance(2 * 3600)
        outcome = here.apply(document, as_of=None)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0725"])
        assert here.inbox() == []
        here.advance(12 * 3600)
        assert here.apply(document, as_of=None).exit_code == 0
        assert len(here.received()) == 58


@pytest.mark.parametrize("written", ["before the approval", "after the approval"])
@pytest.mark.threat("T22")
def test_a_run_that_comes_in_quiet_hours_sends_nothing(written, tmp_path):
    evening = delivery(FOUNDING, "at: 2026-12-01 20:00")
    with f1000(tmp_path, evening + (NIGHT if written == "before the approval" else "")) as here:
        assert here.apply().exit_code == 0
        write(here, evening, NIGHT)
        here.advance(10 * 86_400 + 22 * 3600)
        assert here.run().exit_code == 7
        assert here.inbox() == []
        assert {one["state"] for one in session.status(here.opened())[0]["occurrences"]} == {"missed"}


def test_a_time_in_quiet_hours_is_refused_before_anything_is_read(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING, "at: 2026-12-01 21:00") + NIGHT) as here:
        outcome = here.plan()
        assert (outcome.document, codes(outcome.diagnostics)) == (None, ["AUD0373"])


@pytest.mark.threat("T33")
@pytest.mark.scenario(46)
def test_a_change_is_measured_against_what_was_applied(tmp_path):
    policy = "\npolicy steady { require change <= 20% }\n"
    ahead = delivery("purchased(A)", "at: 2026-12-01 10:00") + policy
    with f1000(tmp_path, ahead) as here:
        assert here.plan().document["guards"] == []
        assert here.apply().exit_code == 0
        file = here.root / "data/orders.csv"
        rows = file.read_text().splitlines(keepends=True)
        file.write_text("".join(rows[: len(rows) // 2]))
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0722"])
        accepted = frozenset({"steady"})
        assert here.apply(accept_policies=accepted, reason="half the shops closed").exit_code == 0
        assert not here.plan().document["summary"]["changes"]
        assert verdicts(here.plan().document) == []


def test_a_split_stays_as_it_was_used(tmp_path):
    def split(first: int) -> str:
        return f'split test of purchased(A) {{ a {first}%, b {100 - first}% }} salt "s"\n' + delivery("test.a")

    with f1000(tmp_path, split(50)) as here:
        assert here.apply().exit_code == 0
        assert not here.plan().document["summary"]["changes"]
        write(here, split(60))
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0731"])
        write(here, split(60).replace("sale_a", "sale_b"), "removed sale_a { keep }")
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0731"])
        assert set(here.received().values()) == {1}


def test_the_plan_says_how_a_set_changed(tmp_path):
    audience = "audience warm = purchased(A){}\n"
    spec = delivery("warm", "at: 2026-12-01 10:00")
    with f1000(tmp_path, audience.format("") + spec) as here:
        assert here.apply().exit_code == 0
        assert here.plan().document["changes"] == []
        write(here, audience.format(" EXCEPT uploaded(buyers)"), spec)
        document = here.plan().document
        found = {one["address"]: one["classification"] for one in document["changes"]}
        assert found == {"audience.warm": "narrower", "delivery.sale_a": "narrower"}
        assert "narrower" in human(document, Style(False, True, "en"))
        write(here, audience.format(" AND purchased(A)"), spec)
        document = here.plan().document
        assert (document["changes"], document["summary"]["changes"]) == ([], False)
