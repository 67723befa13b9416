"""Wrong sequences on purpose: crashes at single places, data and specs that move between them, lost files."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import pytest
from f1000 import FOUNDING, SOURCES, delivery, f1000
from sweep import in_process_of_its_own

from harness import AS_OF, Place, codes

CRASHED = 55
AHEAD = "at: 2026-12-01 10:00"
TEN_DAYS = 10 * 86_400 + 10 * 3600
ALL = SOURCES + '\nupload everybody { file: "data/everybody.txt"  id: user_id }\n'
THREE_PARTS = "(clicked(msg42) AND gender(female)) OR (purchased(A) AND area(tokyo))"
OVERLAP = "((purchased(A) EXCEPT uploaded(buyers)) AND clicked(msg42)) OR gender(female)"


def person(i: int) -> str:
    return "U" + format(i, "032x")


def buys(here: Place, i: int, product: str = "A") -> None:
    with (here.root / "data/orders.csv").open("a") as out:
        out.write(f"x{i},{person(i)},{product},100,2026-11-01T00:00:00+09:00\n")


def append(here: Place, path: str, *people: int) -> None:
    with (here.root / path).open("a") as out:
        out.writelines(f"{person(i)}\n" for i in people)


def take_out(here: Place, path: str, *people: int) -> None:
    gone = {person(i) for i in people}
    file = here.root / path
    file.write_text("".join(f"{line}\n" for line in file.read_text().split() if line not in gone))


def states(here: Place) -> dict[str, str]:
    from audsql.session.planning import state_of

    state, _ = state_of(here.opened())
    assert state is not None
    return {row.delivery: row.state for row in state.occurrences}


def crashing(work, target: str, nth: int = 1, after: bool = False, name: str = "") -> None:
    """Run `work` in a process that ends at the nth call of `target` (module:function); `name`: its first text."""
    module_name, _, attribute = target.partition(":")
    owner = importlib.import_module(module_name)
    *path, last = attribute.split(".")
    for step in path:
        owner = getattr(owner, step)
    original = getattr(owner, last)
    calls = [0]

    def cut(*arguments, **named):
        texts = [one for one in arguments if isinstance(one, str)]
        matches = not name or (texts and re.search(name, texts[0]))
        calls[0] += bool(matches)
        if matches and calls[0] == nth:
            if after:
                original(*arguments, **named)
            os._exit(CRASHED)
        return original(*arguments, **named)

    def inside() -> int:
        with patch.object(owner, last, cut):
            return work().exit_code

    assert in_process_of_its_own(inside) == CRASHED


def narrowcasts(here: Place):
    return [one for one in here.requests("POST") if one["path"].endswith("/narrowcast")]


# --- who decides, and when -------------------------------------------------------------------------------


@pytest.mark.scenario(21)
def test_a_plan_that_was_overtaken_before_the_lease_is_stale(tmp_path):
    from audsql.session import applying

    with f1000(tmp_path, delivery(FOUNDING)) as here, ExitStack() as stack:
        mine = here.plan(AS_OF.replace(hour=1)).document
        original, overtaken = applying.take_lease, []

        def late(store, operation):
            if not overtaken:
                overtaken.append(True)
                assert here.apply().exit_code == 0
            return original(store, operation)

        stack.enter_context(patch.object(applying, "take_lease", late))
        outcome = here.apply(mine, as_of=None)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0624"])
        assert states(here) == {"sale_a": "done"}
        assert set(here.received().values()) == {1}


def test_an_older_interrupted_plan_is_not_resumed_after_a_newer_one(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING, AHEAD)) as here:
        first = here.plan().document
        crashing(lambda: here.apply(first, as_of=None), "audsql.apply.run:_carry_out")
        assert here.apply(as_of=AS_OF.replace(hour=1)).exit_code == 0
        outcome = here.apply(first, as_of=None)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0623"])


def test_what_a_person_said_was_sent_can_be_planned_with(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.apply()
        for file in (here.root / ".audsql").glob("state.sqlite*"):
            file.unlink()
        assert here.command("resolve", "sale_a", "sent", "--reason", "seen").returncode == 0
        document = here.plan().document
        assert document["applyable"]
        assert [one["action"] for one in document["deliveries"]] == ["sent"]


def test_the_last_delivery_can_be_taken_out(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING, AHEAD)) as here:
        here.apply()
        here.write("shop.aud", SOURCES)
        assert here.apply().exit_code == 0
        assert states(here) == {"sale_a": "cancelled"}
        here.write("shop.aud", SOURCES + delivery(FOUNDING, AHEAD))
        assert here.apply().exit_code == 0
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert len(here.received()) == 58


def test_a_cancelled_delivery_that_comes_back_has_a_new_window(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        crashing(here.apply, "audsql.apply.run:_carry_out")
        here.write("shop.aud", SOURCES + delivery("purchased(B)", AHEAD, "other"))
        assert here.apply().exit_code == 0
        here.advance(7 * 3600)
        here.write("shop.aud", SOURCES + delivery(FOUNDING))
        assert here.apply().exit_code == 0
        assert len(here.received()) == 58


# --- sends -----------------------------------------------------------------------------------------------


@pytest.mark.rule("line.progress.life", "line.progress.forgotten")
def test_what_succeeded_before_the_crash_is_done_however_late_one_looks(tmp_path):
    with f1000(tmp_path, delivery(THREE_PARTS)) as here:
        crashing(here.apply, "audsql.apply.deliver:conclude")
        here.advance(7 * 3600)
        assert here.apply().exit_code == 0
        assert states(here) == {"sale_a": "done"}


def test_what_was_accepted_is_followed_though_the_specs_no_longer_have_it(tmp_path):
    specs = delivery("purchased(B)", AHEAD, "other")
    with f1000(tmp_path, delivery(FOUNDING) + specs) as here:
        crashing(here.apply, "audsql.apply.sends:_follow")
        here.write("shop.aud", SOURCES + specs)
        here.advance(7 * 3600)
        assert here.run().exit_code == 0
        assert states(here)["sale_a"] == "done"


@pytest.mark.rule("line.retry.after_refusal")
@pytest.mark.threat("T02")
@pytest.mark.scenario(30)
def test_a_refusal_after_a_lost_answer_proves_nothing(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        path = {"method": "POST", "path": "/v2/bot/message/narrowcast"}
        here.faults({"match": path, "nth": 1, "do": "drop-response"}, {"match": path, "nth": 2, "do": "status:400"})
        outcome = here.apply()
        assert outcome.exit_code == 7
        assert "AUD0855" not in codes(outcome.diagnostics)
        assert states(here) == {"sale_a": "in_doubt"}


def test_a_refusal_after_a_crash_in_the_middle_of_a_request_proves_nothing(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        crashing(here.apply, "audsql.apply.sends:_settle")
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/narrowcast"}, "do": "status:400"})
        assert here.apply().exit_code == 7
        assert states(here) == {"sale_a": "in_doubt"}


def test_a_bad_token_while_following_leaves_the_send_as_it_is(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.faults({"match": {"path": "/v2/bot/message/progress*"}, "nth": 1, "do": "status:401"})
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (1, ["AUD0859"])
        assert here.apply().exit_code == 0
        assert states(here) == {"sale_a": "done"}


def test_a_delivery_of_which_a_part_was_sent_is_not_sent_again_at_another_time(tmp_path):
    spec = delivery(THREE_PARTS, "at: 2026-11-22 10:00")
    with f1000(tmp_path, spec) as here:
        here.apply()
        here.advance(34 * 3600)
        crashing(here.run, "audsql.apply.sends:_new_operation", nth=2)
        here.advance(7 * 3600)
        assert here.run().exit_code == 7
        assert states(here) == {"sale_a": "failed"}
        here.write("shop.aud", SOURCES + spec.replace("11-22", "11-25"))
        assert codes(here.apply().diagnostics) == ["AUD0708"]
        assert set(here.received().values()) == {1}


@pytest.mark.threat("T16", "T17")
def test_an_old_copy_of_the_state_does_not_send_again(tmp_path):
    with f1000(tmp_path, delivery("purchased(B)", AHEAD, "other")) as here:
        here.apply()
        shutil.copytree(here.root / ".audsql", tmp_path / "copy")
        here.write("shop.aud", SOURCES + delivery("purchased(B)", AHEAD, "other") + delivery(FOUNDING))
        assert here.apply().exit_code == 0
        shutil.rmtree(here.root / ".audsql")
        shutil.copytree(tmp_path / "copy", here.root / ".audsql")
        here.advance(30 * 3600)
        assert codes(here.apply(as_of=None).diagnostics) == ["AUD0715"]
        assert set(here.received().values()) == {1}


def test_what_is_expected_bounds_all_parts_together(tmp_path):
    with f1000(tmp_path, delivery(THREE_PARTS, "expect: 10..200 people")) as here:
        assert here.apply().exit_code == 7
        assert 0 < len(here.received()) <= 200


@pytest.mark.rule("line.token.channel")
@pytest.mark.threat("T39")
def test_a_token_of_another_account_sends_nothing(tmp_path):
    from audsql.line.client import LineClient

    with f1000(tmp_path, delivery(FOUNDING, AHEAD)) as here, ExitStack() as stack:
        document = here.plan(AS_OF).document
        assert here.apply().exit_code == 0
        original = LineClient.bot

        def other(client):
            found = original(client)
            return replace(found, value=replace(found.value, bot_id="U" + "f" * 32))

        stack.enter_context(patch.object(LineClient, "bot", other))
        here.advance(TEN_DAYS)
        outcome = here.run()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0624"])
        assert here.apply(document, as_of=None).exit_code == 5
        assert here.inbox() == []


# --- exclusions that grow in the middle ------------------------------------------------------------------


def test_who_opts_out_while_a_send_is_in_the_air_does_not_get_it(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/narrowcast"}, "do": "refuse"})
        assert here.apply().exit_code == 4
        here.faults()
        append(here, "data/optout.txt", 12)
        outcome = here.apply(as_of=None)
        assert person(12) not in here.received()
        assert outcome.exit_code == 7
        assert states(here) == {"sale_a": "in_doubt"}


def test_who_opts_out_before_a_frozen_request_first_leaves_is_left_out(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        crashing(here.apply, "audsql.apply.sends:_ask")
        append(here, "data/optout.txt", 12)
        assert here.apply(as_of=None).exit_code == 0
        assert person(12) not in here.received()
        assert len(here.received()) == 57


def test_an_exclusion_that_grows_between_two_parts_makes_nobody_get_it_twice(tmp_path):
    with f1000(tmp_path, delivery(OVERLAP)) as here:
        crashing(here.apply, "audsql.apply.sends:_new_operation", nth=2)
        once = set(here.received())
        women = [i for i in range(1, 1001) if i % 7 in (1, 2) and i % 11 and person(i) in once]
        assert once
        append(here, "data/buyers.txt", *women, 3)
        outcome = here.apply(as_of=None)
        assert set(here.received().values()) == {1}
        assert outcome.exit_code in (0, 7)


def test_an_opt_out_between_two_parts_is_left_out_and_the_others_get_theirs(tmp_path):
    with f1000(tmp_path, delivery(OVERLAP)) as here:
        crashing(here.apply, "audsql.apply.sends:_new_operation", nth=2)
        once = set(here.received())
        women = [
            i for i in range(1, 1001)
            if i % 7 in (1, 2) and i % 11 and i % 25 and i % 20 and person(i) not in once
        ]  # fmt: skip
        append(here, "data/optout.txt", women[0])
        assert here.apply(as_of=None).exit_code == 0
        received = here.received()
        assert person(women[0]) not in received
        assert {person(i) for i in women[1:]} <= set(received)
        assert set(received.values()) == {1}


def test_growth_does_not_reach_a_delivery_that_is_in_the_air(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/narrowcast"}, "do": "refuse"})
        assert here.apply().exit_code == 4
        here.faults()
        (old,) = [one for one in here.audiences() if one["type"] == "UPLOAD"]
        here.write("shop.aud", SOURCES + delivery(FOUNDING) + delivery(FOUNDING, AHEAD, "later"))
        buys(here, 3)
        take_out(here, "data/optout.txt", 25)
        assert here.apply().exit_code == 5
        assert states(here) == {"sale_a": "sending", "later": "scheduled"}
        assert person(3) not in next(
            one["members"] for one in here.audiences() if one["audienceGroupId"] == old["audienceGroupId"]
        )
        assert person(3) not in here.received()


# --- multicast -------------------------------------------------------------------------------------------


def everybody(here: Place) -> None:
    (here.root / "data/everybody.txt").write_text("".join(f"{person(i)}\n" for i in range(1, 1001)))


def test_a_multicast_whose_list_is_lost_is_not_cut_into_other_pieces(tmp_path):
    with f1000(tmp_path, delivery("uploaded(everybody)", f"by: multicast {AHEAD}"), ALL) as here:
        everybody(here)
        assert here.apply().exit_code == 0
        append(here, "data/optout.txt", 1)
        here.advance(TEN_DAYS)
        crashing(here.run, "audsql.apply.sends:_new_operation", nth=2)
        take_out(here, "data/optout.txt", 1)
        shutil.rmtree(next((here.root / ".audsql").rglob("sets")))
        outcome = here.run()
        assert set(here.received().values()) == {1}
        assert outcome.exit_code == 7


def test_a_multicast_that_would_reach_other_people_is_a_change(tmp_path):
    with f1000(tmp_path, delivery("purchased(B)", f"by: multicast {AHEAD}")) as here:
        here.apply()
        assert not here.plan().document["summary"]["changes"]
        buys(here, 5, "B")
        document = here.plan().document
        assert [one["action"] for one in document["deliveries"]] == ["update"]
        assert here.apply().exit_code == 0
        assert not here.plan().document["summary"]["changes"]


# --- uploads ---------------------------------------------------------------------------------------------


def test_growth_that_was_cut_off_before_it_was_recorded_is_not_forgotten(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING, AHEAD)) as here:
        here.apply()
        buys(here, 3)
        crashing(here.apply, "audsql.data.duckdb:DuckEngine.save", name=r"^upload\..*\.1$", after=True)
        assert here.apply().exit_code == 0
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert person(3) in here.received()


def test_growth_that_was_cut_off_and_released_is_finished_when_it_is_needed_again(tmp_path):
    other = delivery("purchased(B)", AHEAD, "other")
    with f1000(tmp_path, delivery(FOUNDING, AHEAD) + other) as here:
        here.apply()
        buys(here, 3)
        crashing(here.apply, "audsql.apply.audiences:_fill")
        here.write("shop.aud", SOURCES + other)
        assert here.apply().exit_code == 0
        here.write("shop.aud", SOURCES + other + delivery(FOUNDING, AHEAD))
        assert here.apply().exit_code == 0
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert person(3) in here.received()


# --- deliveries that speak of deliveries -----------------------------------------------------------------


@pytest.mark.rule("line.redelivery.succeeded")
@pytest.mark.threat("T23")
def test_a_delivery_that_excludes_receivers_of_another_waits_for_all_of_it(tmp_path):
    second = delivery("purchased(B) EXCEPT received(first)", "", "a_second")
    with f1000(tmp_path, delivery(THREE_PARTS, "", "first") + second) as here:
        assert here.apply().exit_code == 0
        assert states(here) == {"first": "done", "a_second": "scheduled"}
        assert here.run().exit_code == 0
        assert states(here) == {"first": "done", "a_second": "done"}
        assert str(narrowcasts(here)[-1]["body"]["recipient"]).count("requestId") == 3
        assert set(here.received().values()) == {1}


def test_clicks_of_a_delivery_of_three_parts_are_three_audiences(tmp_path):
    second = delivery("purchased(B) EXCEPT clicked(first)", AHEAD, "a_second")
    with f1000(tmp_path, delivery(THREE_PARTS, "", "first") + second) as here:
        assert here.apply().exit_code == 0
        before = sum(one["type"] == "CLICK" for one in here.audiences())
        here.run()
        assert sum(one["type"] == "CLICK" for one in here.audiences()) == before + 3


def test_a_part_that_was_sent_to_nobody_has_no_receivers(tmp_path):
    lists = 'upload few { file: "data/few.txt"  id: user_id }\n'
    first = delivery("(uploaded(few) AND gender(male)) OR (purchased(A) AND area(tokyo))", "", "first")
    second = delivery("purchased(B) EXCEPT received(first)", "", "second")
    with f1000(tmp_path, lists + first + second) as here:
        document = here.root / "data/few.txt"
        document.write_text(f"{person(3)}\n")
        plan = here.plan(as_of=None).document
        append(here, "data/optout.txt", 3)
        here.apply(plan, as_of=None)
        assert here.run().exit_code == 0
        assert states(here) == {"first": "done", "second": "done"}
        assert set(here.received().values()) == {1}
