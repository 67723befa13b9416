"""The founding sentence and its neighbours over the shared world, counted in the simulator's inbox."""

from __future__ import annotations

import json

import pytest
from f1000 import FOUNDING, SOURCES, delivery, f1000

from harness import codes


def expected(inside) -> set[str]:
    return {"U" + format(i, "032x") for i in range(1, 1001) if inside(i)}


def reached(i: int) -> bool:
    """Not opted out, not blocked."""
    return i % 25 != 0 and i % 20 != 0


def female(i: int) -> bool:
    return i % 11 != 0 and i % 7 in (1, 2)


def tokyo(i: int) -> bool:
    return i % 11 != 0 and i % 4 in (0, 1)


CASES = {
    "founding": (FOUNDING, lambda i: i % 3 == 0 and i % 4 == 0 and i % 7 != 0, 58, 1),
    "or-attribute": ("clicked(msg42) OR gender(female)", lambda i: i % 3 == 0 or female(i), 467, 2),
    "two-products": (
        "(clicked(msg42) AND gender(female)) OR (purchased(A) AND area(tokyo))",
        lambda i: (i % 3 == 0 and female(i)) or (i % 4 == 0 and tokyo(i)),
        243,
        3,
    ),
    "friends-except": ("friends EXCEPT uploaded(buyers)", lambda i: i % 7 != 0, 789, 1),
    "vip": ('chat_tag("VIP") OR purchased(B)', lambda i: i % 50 == 0 or i % 6 == 0, None, 1),
    "opened-not-clicked": (
        "opened(msg42) EXCEPT clicked(msg42)",
        lambda i: i % 2 == 0 and i % 3 != 0,
        None,
        1,
    ),
    "attributes-alone": ("gender(female) AND os(ios)", lambda i: female(i) and i % 2 == 1, None, 1),
    "age-and-orders": (
        "age(30..39) AND purchased(*, at least 1 time, last 365 days)",
        lambda i: i % 11 != 0 and i % 5 in (2, 3) and (i % 4 == 0 or i % 6 == 0) and i % 500 <= 365,
        None,
        1,
    ),
    "not-an-attribute": (
        "clicked(msg42) AND NOT gender(female)",
        lambda i: i % 3 == 0 and not female(i),
        None,
        1,
    ),
    "by-multicast": ("purchased(A) EXCEPT uploaded(buyers)", lambda i: i % 4 == 0 and i % 7 != 0, None, 0),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.threat("T32")
def test_exactly_the_right_people_get_it_once(name, tmp_path):
    to, inside, count, sends = CASES[name]
    more = "by: multicast" if name == "by-multicast" else ""
    with f1000(tmp_path, delivery(to, more)) as here:
        outcome = here.apply()
        assert codes(outcome.diagnostics) == []
        assert outcome.exit_code == 0
        received = here.received()
        assert set(received) == expected(lambda i: inside(i) and reached(i))
        assert set(received.values()) == {1}
        assert count is None or len(received) == count
        assert sum(one["path"].endswith("/narrowcast") for one in here.requests("POST")) <= sends
        again = here.plan()
        assert again.document is not None
        assert not again.document["summary"]["changes"]


def test_everybody_only_where_friends_is_written(tmp_path):
    sources = SOURCES.replace("always except uploaded(optout)", "always except uploaded(optout) except for [notice]")
    spec = "delivery notice {\n  to: friends\n  send: sale\n  by: broadcast\n}\n"
    with f1000(tmp_path, spec, sources) as here:
        assert here.apply().exit_code == 0
        assert set(here.received()) == expected(lambda i: i % 20 != 0)
        paths = [one["path"] for one in here.requests("POST") if "/validate/" not in one["path"]]
        assert paths == ["/v2/bot/message/broadcast"]


def test_a_limit_and_a_later_delivery_to_who_received_it(tmp_path):
    first = delivery(FOUNDING, "limit: 55")
    second = delivery("clicked(msg42) EXCEPT received(sale_a)", "at: 2026-11-22 10:00", "rest")
    with f1000(tmp_path, first + second) as here:
        assert here.apply().exit_code == 0
        assert len(here.received()) == 55
        here.advance(34 * 3600)
        assert here.run().exit_code == 0
        received = here.received()
        assert set(received.values()) == {1}
        assert set(received) == expected(lambda i: i % 3 == 0 and reached(i))


def test_the_founding_sentence_is_one_click_audience_one_upload_one_send_of_two_leaves(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        assert here.apply().exit_code == 0
        assert sorted(one["type"] for one in here.audiences()) == ["CHAT_TAG", "CLICK", "UPLOAD"]
        (send,) = [one for one in here.requests("POST") if one["path"].endswith("/narrowcast")]
        assert json.dumps(send["body"]["recipient"]).count('"audienceGroupId"') == 2
        assert send["body"]["limit"]["forbidPartialDelivery"] is True


def test_nothing_changed_means_only_reads(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        here.apply()
        before = len(here.requests("POST", "PUT", "DELETE"))
        assert here.apply().exit_code == 0
        assert len(here.requests("POST", "PUT", "DELETE")) == before


def test_eval_counts(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        exact = here.command(
            "eval", "purchased(A) EXCEPT uploaded(buyers)", "--json", "--as-of", "2026-11-21T00:00:00+09:00"
        )
        assert json.loads(exact.stdout) == {"count": 215, "exact": True, "low": 215, "high": 215}
        bounds = json.loads(here.command("eval", FOUNDING, "--json", "--as-of", "2026-11-21T00:00:00+09:00").stdout)
        assert bounds["exact"] is False
        assert bounds["count"] is None
        assert 0 <= bounds["low"] <= 72 <= bounds["high"] <= 215
