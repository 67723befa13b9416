"""More wrong sequences on purpose: names, priorities, linkages, and files that change after the approval."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from f1000 import FOUNDING, SOURCES, delivery, f1000
from test_adversarial import AHEAD, TEN_DAYS, append, buys, person

from harness import Place, codes

MEMBERS = """
table members { file: "data/members.csv"  id: user_id, phone }
upload phones_optout { file: "data/phones_optout.txt"  id: phone }
policy by_phone { always except uploaded(phones_optout) }
"""


def phone(i: int) -> str:
    return f"0901234{i:04d}"


def link(here: Place, *people: int) -> None:
    rows = "".join(f"{person(i)},{phone(i)}\n" for i in people)
    here.write("data/members.csv", "user_id,phone\n" + rows)


def phones(here: Place, *people: int) -> None:
    here.write("data/phones_optout.txt", "".join(f"{phone(i)}\n" for i in people))


def rewrite(here: Place, *specs: str) -> None:
    here.write("shop.aud", SOURCES + "\n" + "\n".join(specs))


def verdicts(here: Place) -> list[str]:
    return [one["code"] for one in here.plan(as_of=None).document["guards"]]


# --- data that move under a fact ---------------------------------------------------------------------


def test_who_bought_first_after_the_approval_is_not_sent_to(tmp_path):
    """`last 30 days` lies within the plain set, but what is added is as it was approved and what is subtracted is as
    it is now: a first purchase is in the one and not in the other."""
    reach = "purchased(A) EXCEPT (purchased(A, last 30 days) AND gender(male))"
    with f1000(tmp_path, delivery(reach, AHEAD)) as here:
        assert here.apply(as_of=None).exit_code == 0
        bought = {line.split(",")[1] for line in (here.root / "data/orders.csv").read_text().splitlines()
                  if line.split(",")[2] == "A"}  # fmt: skip
        for i in range(1, 1001):
            if person(i) not in bought:
                buys(here, i)
        here.advance(TEN_DAYS)
        here.run()
        assert here.received()
        assert set(here.received()) <= bought


# --- exclusions by another id ------------------------------------------------------------------------


def test_excluded_ids_that_no_linkage_knows_are_told(tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", AHEAD) + MEMBERS) as here:
        link(here, *range(1, 900))
        phones(here, 2, 4, 950)
        (verdict,) = here.plan(as_of=None).document["guards"]
        assert (verdict["code"], verdict["severity"]) == ("AUD0740", "warning")
        assert (verdict["facts"]["given"], verdict["facts"]["lost"]) == (3, 1)


@pytest.mark.parametrize("cached", [True, False])
def test_a_linkage_that_shrinks_brings_nobody_back(cached, tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", AHEAD) + MEMBERS) as here:
        everybody = list(range(1, 1001))
        link(here, *everybody)
        phones(here, *everybody[::2])
        assert here.apply(as_of=None).exit_code == 0
        link(here, *everybody[:500])
        if cached:
            outcome = here.apply(as_of=None)
            assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0741"])
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert here.received()
        assert not set(here.received()) & {person(i) for i in everybody[::2]}


def test_people_who_are_gone_from_a_linkage_are_accepted_by_its_name(tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", AHEAD) + MEMBERS) as here:
        link(here, *range(1, 900))
        phones(here, *range(1, 900))
        assert here.apply(as_of=None).exit_code == 0
        link(here, *range(300, 900))
        assert codes(here.apply(as_of=None, accept_shrunk=frozenset({"optout"})).diagnostics) == ["AUD0741"]
        accepted = frozenset({"members"})
        assert here.apply(as_of=None, accept_shrunk=accepted, reason="sold the number").exit_code == 0
        assert "AUD0741" not in verdicts(here)


@pytest.mark.parametrize("how", ["empty", "missing"])
def test_a_linkage_that_is_not_there_stops_every_send(how, tmp_path):
    with f1000(tmp_path, delivery("purchased(A)", AHEAD) + MEMBERS) as here:
        link(here, *range(1, 900))
        phones(here, 2, 4)
        assert here.apply(as_of=None).exit_code == 0
        if how == "empty":
            link(here)
        else:
            (here.root / "data/members.csv").unlink()
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 5
        assert here.inbox() == []


# --- names -------------------------------------------------------------------------------------------


def renamed(spec: str) -> str:
    return spec.replace("sale_a", "sale_b")


def test_a_renaming_that_is_rolled_back_sends_nothing_again(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        assert here.apply(as_of=None).exit_code == 0
        rewrite(here, renamed(delivery(FOUNDING)), "moved sale_a -> sale_b")
        assert here.apply(as_of=None).exit_code == 0
        rewrite(here, delivery(FOUNDING))
        assert here.apply(as_of=None).exit_code == 5
        rewrite(here, delivery(FOUNDING), "moved sale_b -> sale_a")
        assert here.apply(as_of=None).exit_code == 0
        assert not here.plan(as_of=None).document["summary"]["changes"]
        assert set(here.received().values()) == {1}


@pytest.mark.scenario(37)
def test_a_chain_of_renamings_over_names_that_never_were_is_followed(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.apply(as_of=None)
        for steps in (("sale_a -> x", "x -> sale_b"), ("sale_a -> x", "x -> y", "y -> sale_b")):
            rewrite(here, renamed(delivery(FOUNDING)), *(f"moved {step}" for step in steps))
            assert here.apply(as_of=None).exit_code == 0
        assert set(here.received().values()) == {1}


@pytest.mark.parametrize(
    ("to", "more", "code"),
    [
        (f"({FOUNDING}) AND purchased(*)", "", "AUD0730"),
        (f"({FOUNDING}) EXCEPT uploaded(staff)", "", "AUD0730"),
        ("purchased(B)", "", "AUD0742"),
        (FOUNDING, "at: 2026-12-01 10:00", "AUD0730"),
    ],
)
def test_a_renaming_with_a_small_edit_is_noticed(to, more, code, tmp_path):
    staff = 'upload staff { file: "data/buyers.txt"  id: user_id  allow empty }'
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.apply(as_of=None)
        rewrite(here, delivery(to, more, "sale_b"), staff)
        assert verdicts(here) == [code]


def test_a_renaming_with_another_message_is_noticed(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.apply(as_of=None)
        other = delivery(FOUNDING, name="sale_b").replace("send: sale", "send: other")
        rewrite(here, other, 'message other { text: "セール開催中!" }')
        assert verdicts(here) == ["AUD0742"]
        rewrite(here, other, 'message other { text: "セール開催中!" }', "removed sale_a { keep }")
        assert verdicts(here) == []


# --- priority ----------------------------------------------------------------------------------------


def test_who_was_sent_to_first_and_left_the_set_since_is_told_of(tmp_path):
    first, later = delivery("purchased(A, last 30 days)"), delivery("purchased(*)", "at: 2026-12-03 10:00", "sale_b")
    with f1000(tmp_path, first + later + "priority [sale_a, sale_b]\n") as here:
        assert here.plan(as_of=None).document["guards"] == []
        assert here.apply(as_of=None).exit_code == 0
        here.advance(11 * 86_400)
        assert verdicts(here) == ["AUD0743"]
        rewrite(here, first, later.replace("purchased(*)", "purchased(*) EXCEPT received(sale_a)"),
                "priority [sale_a, sale_b]")  # fmt: skip
        assert verdicts(here) == []
        assert here.apply(as_of=None).exit_code == 0
        here.advance(86_400 + 10 * 3600)
        here.run()
        assert set(here.received().values()) == {1}


def test_a_holdout_that_is_excluded_does_not_make_new_people_stop_the_send(tmp_path):
    """The list that the holdout is drawn from is added and subtracted, and who comes to it changes nothing."""
    split = 'split test of purchased(A) { hold 10%, rest 90% } salt "s"\npolicy held { always except test.hold }\n'
    with f1000(tmp_path, split + delivery("purchased(A)", AHEAD)) as here:
        assert here.apply(as_of=None).exit_code == 0
        (approved,) = here.plan(as_of=None).document["deliveries"]
        for i in range(1, 1001):
            buys(here, i)
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        assert 0 < len(here.received()) <= approved["people"]["count"]


def test_opt_outs_between_two_deliveries_of_a_priority_hold(tmp_path):
    both = delivery("purchased(A)", AHEAD) + delivery("purchased(B)", "at: 2026-12-03 10:00", "sale_b")
    with f1000(tmp_path, both + "priority [sale_a, sale_b]\n") as here:
        assert here.apply(as_of=None).exit_code == 0
        here.advance(TEN_DAYS)
        assert here.run().exit_code == 0
        first = set(here.received())
        append(here, "data/optout.txt", *range(1, 500))
        here.advance(2 * 86_400)
        assert here.run().exit_code == 0
        later = set(here.received()) - first
        assert later
        assert not later & {person(i) for i in range(1, 500)}
        assert set(here.received().values()) == {1}


# --- files that a spec names -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by its name", "by a link", "in the project by a link"])
def test_a_file_of_secrets_is_never_read_as_a_spec(how, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secrets.env").write_text("CANARY_SECRET=1\n", encoding="utf-8")
    with f1000(Path(tmp_path, "project"), delivery("purchased(A)")) as here:
        (here.root / "inside.env").write_text("CANARY_SECRET=1\n", encoding="utf-8")
        if how == "by its name":
            here.write("use.aud", 'use "../outside/secrets.env" as s\n')
        elif how == "by a link":
            os.symlink(outside / "secrets.env", outside / "s.aud")
            here.write("use.aud", 'use "../outside/s.aud" as s\n')
        else:
            os.symlink(here.root / "inside.env", here.root / "s.aud")
        for arguments in (("check",), ("check", "--format", "json"), ("plan",)):
            done = here.command(*arguments)
            assert "CANARY" not in done.stdout + done.stderr
            assert (done.returncode == 1) == (how != "in the project by a link"), done.stderr
