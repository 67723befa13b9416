"""What one delivery adds and another subtracts has changed since both were approved: neither is refused for the other,
nobody comes in, nobody gets two, and an upload that both name holds what each of them may be sent over."""

from __future__ import annotations

from typing import Any

import pytest
from f1000 import SOURCES, delivery, f1000
from test_adversarial import buys, person

from harness import Place, codes

EARLY, LATE = "at: 2026-12-01 10:00", "at: 2026-12-03 10:00"
TO_THE_FIRST, TO_THE_SECOND = 10 * 86_400 + 10 * 3_600, 2 * 86_400
ADDS, TAKES = "clicked(msg42) AND purchased(A)", "clicked(msg42) EXCEPT purchased(A)"
PLAIN = SOURCES.split("policy house", 1)[0]
ORDER = "priority [sale_a, sale_b]\n"


def bought(here: Place, what: str) -> set[str]:
    rows = [line.split(",") for line in (here.root / "data/orders.csv").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2] == what}


def optout(here: Place) -> set[str]:
    return set((here.root / "data/optout.txt").read_text().split())


def send(here: Place, seconds: int) -> dict[str, int]:
    before = here.received()
    here.advance(seconds)
    assert here.run().exit_code == 0
    return dict(here.received() - before)


def test_new_people_of_the_first_stop_neither(tmp_path: Any) -> None:
    with f1000(tmp_path, delivery("purchased(A)", EARLY) + delivery("purchased(B)", LATE, "sale_b") + ORDER) as here:
        assert here.apply(as_of=None).exit_code == 0
        approved_a, approved_b, out = bought(here, "A"), bought(here, "B"), optout(here)
        of_b_alone = [i for i in range(1, 1001) if person(i) in approved_b - approved_a - out]
        for i in of_b_alone[::2]:
            buys(here, i)
        now_a = bought(here, "A")
        assert now_a > approved_a
        first = send(here, TO_THE_FIRST)
        second = send(here, TO_THE_SECOND)
        assert first
        assert set(first) <= approved_a - out
        assert second
        assert set(second) <= approved_b - now_a - out
        assert not set(first) & set(second)


@pytest.mark.parametrize("order", ["adds first", "subtracts first"])
def test_an_upload_that_one_adds_and_another_subtracts_has_the_people_of_each(order: str, tmp_path: Any) -> None:
    sets = (ADDS, TAKES) if order == "adds first" else (TAKES, ADDS)
    both = delivery(sets[0], EARLY) + delivery(sets[1], LATE, "sale_b")
    with f1000(tmp_path, both, PLAIN) as here:
        uploads = {one["address"]: one["needed_by"] for one in here.plan(as_of=None).document["resource_changes"]}
        assert any(len(names) == 2 for address, names in uploads.items() if address.startswith("upload."))
        assert here.apply(as_of=None).exit_code == 0
        approved = bought(here, "A")
        for i in range(1, 400):
            buys(here, i)
        now = bought(here, "A")
        assert now > approved
        first, second = send(here, TO_THE_FIRST), send(here, TO_THE_SECOND)
        added, rest = (first, second) if order == "adds first" else (second, first)
        assert added
        assert set(added) <= approved
        assert rest
        assert not set(rest) & now
        assert not set(first) & set(second)


def test_both_at_one_time_go_one_after_the_other(tmp_path: Any) -> None:
    both = delivery(ADDS, EARLY) + delivery(TAKES, EARLY, "sale_b")
    with f1000(tmp_path, both, PLAIN) as here:
        assert here.apply(as_of=None).exit_code == 0
        approved = bought(here, "A")
        for i in range(1, 400):
            buys(here, i)
        here.advance(TO_THE_FIRST)
        assert here.run().exit_code == 0
        got = here.received()
        assert set(got.values()) == {1}
        assert not (set(got) - approved) & bought(here, "A")


def test_what_one_delivery_adds_and_subtracts_itself_stops_that_one_alone(tmp_path: Any) -> None:
    moved = "(purchased(A) AND gender(male)) OR (purchased(B) EXCEPT purchased(A))"
    with f1000(tmp_path, delivery(moved, EARLY) + delivery("purchased(B)", EARLY, "sale_b")) as here:
        assert here.apply(as_of=None).exit_code == 0
        approved = bought(here, "B")
        for i in range(1, 400):
            buys(here, i)
        here.advance(TO_THE_FIRST)
        outcome = here.run()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0625"])
        assert here.received()
        assert set(here.received()) <= approved
        assert set(here.received().values()) == {1}
