"""The year's oracle on histories made by hand: what must be caught is caught, what is right passes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from year_oracle import Oracle, Received, doubled, in_quiet, inside, next_time, out_of_quiet
from year_people import LISTS, Drop, Files, Happening, person
from year_specs import START, Branch, Condition, Flow, Send, Shop, Wait, shop_of

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
ANN, BOB, CAT = (person(number) for number in (1, 2, 3))


def files(
    friends: tuple[str, ...] = (), orders: tuple[Any, ...] = (), drops: tuple[Drop, ...] = (), **lists: Any
) -> Files:
    return Files({name: frozenset(lists.get(name, ())) for name in LISTS}, orders, drops, frozenset(friends))


def flow(*steps: Any, start: Condition = ("when", ("list", "s1")), **more: Any) -> Flow:
    return Flow("f", start, steps, **more)


def shop(*flows: Flow, quiet: tuple[int, int] | None = None, cap: tuple[int, int] | None = None) -> Shop:
    return Shop(flows, (), quiet, cap)


def walked(
    one: Shop, *runs: tuple[timedelta, Files], events: tuple[Happening, ...] = ()
) -> list[tuple[float, str, str]]:
    """Hours since the start, person and words of everything that is expected."""
    oracle = Oracle()
    oracle.approve(one, START)
    found = []
    for after, data in runs:
        known = [event for event in events if event.at <= START + after]
        found += [(after / HOUR, sent.who, sent.words) for sent in oracle.run(START + after, data, known)]
    return found


def test_a_wait_counts_from_when_it_was_reached_however_late_runs_are() -> None:
    data = files(s1=(ANN,))
    steps = flow(Send("one"), Wait(1440), Send("two"), Wait(1440), Send("three"))
    runs = [(0 * HOUR, data), (20 * HOUR, data), (30 * HOUR, data), (47 * HOUR, data), (49 * HOUR, data)]
    assert walked(shop(steps), *runs) == [(0, ANN, "one"), (30, ANN, "two"), (49, ANN, "three")]


def test_who_is_too_late_for_a_send_goes_on_without_it() -> None:
    data = files(s1=(ANN,))
    steps = flow(Send("one"), Wait(60), Send("two"), Wait(1440), Send("three"))
    assert walked(shop(steps), (0 * HOUR, data), (26 * HOUR, data)) == [(0, ANN, "one"), (26, ANN, "three")]


def test_exit_policy_and_arms_are_looked_at_when_the_step_is_due() -> None:
    arms = Branch(((("list", "l1"), (Send("arm"),)), (None, (Send("other"),))))
    steps = flow(Wait(60), arms, exit=("list", "gone"))
    everybody = (ANN, BOB, CAT, person(4))
    later = files(s1=everybody, l1=(ANN, CAT), gone=(BOB,), optout=(CAT,))
    found = walked(shop(steps), (0 * HOUR, files(s1=everybody)), (2 * HOUR, later))
    assert found == [(2, ANN, "arm"), (2, person(4), "other")]


def test_a_person_comes_again_only_after_they_were_outside() -> None:
    inside_, outside = files(s1=(ANN,)), files()
    runs = [(number * DAY, data) for number, data in enumerate((inside_, inside_, outside, inside_, outside, inside_))]
    for reentry, times in ((None, [0]), (0, [0, 72, 120]), (4, [0, 120])):
        found = walked(shop(flow(Send("one"), reentry=reentry)), *runs)
        assert [hour for hour, _, _ in found] == times


def test_quiet_hours_move_a_send_and_what_is_counted_from_it() -> None:
    data = files(s1=(ANN,))
    steps = flow(Wait(12 * 60), Send("one"), Wait(60), Send("two"))
    runs = [(hours * HOUR, data) for hours in (0, 13, 22, 23, 24)]
    # 22:20 is quiet until 09:00, which is 22 hours and 40 minutes after the start.
    assert walked(shop(steps, quiet=(21, 9)), *runs) == [(23, ANN, "one"), (24, ANN, "two")]


def test_a_row_enters_once_and_leaves_with_its_price_or_its_row() -> None:
    rows = (Drop(ANN, "a", START + HOUR), Drop(BOB, "a", START + HOUR), Drop(CAT, "a", START + HOUR))
    old = Drop(CAT, "b", START - HOUR)
    later = (rows[0], Drop(BOB, "a", START + HOUR, "yes"), old)
    steps = flow(Wait(120), Send("one"), start=("trigger", "drops"), exit=("row", "back"))
    runs = [(2 * HOUR, files(drops=(*rows, old))), (4 * HOUR, files(drops=later * 2)), (5 * HOUR, files(drops=later))]
    assert walked(shop(steps), *runs) == [(4, ANN, "one")]
    assert walked(shop(steps), (9 * HOUR, files(drops=rows))) == [], "rows that are more than six hours old are missed"


def test_events_of_the_log_let_people_in_and_out() -> None:
    events = (
        Happening(START + HOUR, 1, "follow", ANN, "poster"), Happening(START + HOUR, 2, "follow", BOB, "search"),
        Happening(START + 2 * HOUR, 3, "block", ANN), Happening(START - HOUR, 0, "follow", CAT, "poster"),
    )  # fmt: skip
    for via, who in ((None, [BOB]), ("poster", []), ("search", [BOB])):
        steps = flow(Wait(60), Send("one"), start=("follow", via))
        assert [one for _, one, _ in walked(shop(steps), (3 * HOUR, files()), events=events)] == who


def test_windows_are_days_of_the_calendar_or_hours() -> None:
    at = START.replace(hour=1)
    cases = [
        (("days", 1), 47 * HOUR, False),
        (("days", 1), 30 * HOUR, True),
        (("hours", 24), 25 * HOUR, False),
        (None, 99 * DAY, True),
    ]
    for window, after, holds in cases:
        steps = flow(Send("one"), start=("when", ("and", ("list", "s1"), ("bought", "A", window))))
        found = walked(shop(steps), (at + after - START, files(s1=(ANN,), orders=((ANN, "A", at),))))
        assert bool(found) is holds, window


def test_clocks() -> None:
    assert next_time(START, 10, 20) == START and next_time(START, 10, 0) == START.replace(minute=0) + DAY
    assert [in_quiet(START.replace(hour=hour), (21, 9)) for hour in (20, 21, 8, 9)] == [False, True, True, False]
    assert out_of_quiet(START.replace(hour=23), (21, 9)) == START.replace(hour=9, minute=0) + DAY
    assert out_of_quiet(START, (21, 9)) == START


# --- inboxes that must not be ---------------------------------------------------------------------------


def came(words: str, hours: float = 0, who: str = ANN) -> Received:
    return Received(who, words, START + hours * HOUR, 0)


@pytest.mark.parametrize(
    ("inbox", "why"),
    [
        ([came("f/0 e1", 12)], "quiet"),
        ([came("f/0 e1", who=BOB)], "opted out"),
        ([came("f/0 e1"), came("g/0 e1", 24), came("d once", 100)], "one more than 2 in 7 days"),
    ],
)
def test_what_no_inbox_may_hold_is_found(inbox: list[Received], why: str) -> None:
    one = shop(quiet=(21, 9), cap=(2, 7))
    assert any(why in problem for problem in inside(one, inbox, {0: frozenset({BOB})}))


def test_what_an_inbox_may_hold_is_not_found() -> None:
    one = shop(quiet=(21, 9), cap=(2, 7))
    fine = [came("f/0 e1"), came("g/0 e1", 24), came("d once", 7 * 24), came("f/0 e1", who=CAT)]
    assert list(inside(one, fine, {0: frozenset({BOB})})) == []


@pytest.mark.parametrize(
    ("inbox", "why"),
    [
        (["f/0 e1", "f/0 e1"], "came 2 times"),
        (["f/1.0.0 e1", "f/1.1.0 e1"], "two arms of f e1 1"),
        (["f/1.0.2.0.0 e1", "f/1.0.2.1.0 e1"], "two arms of f e1 1.0.2"),
        (["f/0 e1", "f/0 e2", "f/0 e2"], "f/0 e2 came 2 times"),
    ],
)
def test_twice_and_both_arms_are_found(inbox: list[str], why: str) -> None:
    found = list(doubled([came(words) for words in inbox], {("f", ANN): 1}))
    assert any(why in problem for problem in found), found
    assert list(doubled([came(words) for words in inbox], {("f", ANN): 2})) == []


def test_a_seed_is_one_shop_and_says_all_that_flows_can() -> None:
    assert shop_of(3, 200, 30) == shop_of(3, 200, 30)
    texts = [shop_of(seed, 200, 30).text() for seed in range(1, 4)]
    words = "start when|start on follow via|trigger on|wait until|branch|otherwise|exit when|since start|by: push"
    for word in f"{words}|reentry: always|reentry: after|every:|at:".split("|"):
        assert all(word in text for text in texts), word
    assert any("quiet" in text for text in texts) and any("cap" in text for text in texts)


def test_the_start_is_at_no_edge() -> None:
    assert datetime.fromisoformat("2026-11-21T10:20:00+09:00") == START
