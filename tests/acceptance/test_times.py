"""Deliveries that use each other, and LINE's rules of time, from text to inbox. Rules: `time.*`."""

from __future__ import annotations

from f1000 import delivery, f1000

from harness import codes

DAY = 86_400
TEN_HOURS = 10 * 3600
FIRST = delivery("purchased(A) OR purchased(B)", "at: 2026-12-01 10:00", "first")


def person(i: int) -> str:
    return "U" + format(i, "032x")


def clicked(here, people: list[str]) -> None:
    """These people open what came last and click in it."""
    request_id = here.inbox()[-1]["requestId"]
    here.control("POST", "/_sim/behave", {"requestId": request_id, "clicked": {"https://shop.example/": people}})


def turns(document):
    return {one["address"].removeprefix("delivery."): one for one in document["timeline"]}


def narrowcasts(here):
    return [one for one in here.requests("POST") if one["path"].endswith("/message/narrowcast")]


def test_who_clicked_gets_the_next_one_when_the_plan_said(tmp_path):
    second = delivery("clicked(first)", "at: 2026-12-05 10:00", "second")
    with f1000(tmp_path, FIRST + second) as here:
        document = here.plan().document
        assert document["applyable"]
        rows = turns(document)
        assert (rows["second"]["after"], rows["second"]["earliest"]) == (
            ["delivery.first"],
            "2026-12-05T10:00:00+09:00",
        )
        assert here.apply().exit_code == 0
        here.advance(10 * DAY + TEN_HOURS)
        assert here.run().exit_code == 0
        first = sorted(here.received())
        clicked(here, first[:60])
        here.run()
        assert turns(here.plan().document)["second"]["after"] == []
        here.advance(4 * DAY - 600)
        here.run()
        assert len(narrowcasts(here)) == 1
        here.advance(600)
        assert here.run().exit_code == 0
        assert sorted(one for one, count in here.received().items() if count == 2) == first[:60]


def test_receipts_of_the_fourteenth_day_are_taken_and_later_ones_refused_before_anything_is_sent(tmp_path):
    second = "(purchased(A) OR purchased(B)) EXCEPT received(first)"
    late = delivery(second, "at: 2026-12-15 10:00  allow empty", "second")
    with f1000(tmp_path, FIRST.replace("send: sale", "send: sale\n  limit: 60") + late) as here:
        assert codes(here.plan().diagnostics) == ["AUD0753"]
        assert here.apply().exit_code == 5
        assert here.requests("POST", "PUT") == []
        text = (here.root / "shop.aud").read_text()
        here.write("shop.aud", text.replace("2026-12-15 10:00", "2026-12-15 09:59"))
        assert here.apply().exit_code == 0
        here.advance(10 * DAY + TEN_HOURS)
        assert here.run().exit_code == 0
        here.advance(14 * DAY - 60)
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {1}
        assert len(narrowcasts(here)) == 2


def test_what_goes_before_what_it_uses_is_refused(tmp_path):
    second = delivery("clicked(first)", "at: 2026-11-30 10:00", "second")
    with f1000(tmp_path, FIRST + second) as here:
        assert codes(here.plan().diagnostics) == ["AUD0750"]
        assert here.apply().exit_code == 5
        assert here.requests("POST", "PUT") == []


def test_more_sends_than_an_hour_takes_leave_when_the_plan_said(tmp_path):
    """61 deliveries of one time at LINE's own rate: the last leaves an hour later, and nobody is left out."""
    specs = "".join(delivery("purchased(A)", "at: 2026-12-01 10:00", f"d{index:02}") for index in range(61))
    with f1000(tmp_path, specs) as here:
        document = here.plan().document
        assert [one["code"] for one in document["guards"]] == ["AUD0757"]
        assert turns(document)["d60"]["earliest"] == "2026-12-01T11:00:00+09:00"
        assert here.apply().exit_code == 0
        here.advance(10 * DAY + TEN_HOURS)
        here.run()
        sent = narrowcasts(here)
        assert len(sent) == 61
        assert set(here.received().values()) == {61}


def test_an_upload_for_a_day_far_ahead_is_made_once_and_renewed_once(tmp_path):
    far = delivery("purchased(A)", "at: 2027-06-09 10:00")
    with f1000(tmp_path, far) as here:
        assert here.apply().exit_code == 0
        for _ in range(3):
            assert not here.plan().document["summary"]["changes"]
            here.advance(5 * DAY)
            assert here.run().exit_code == 0
        assert len(here.audiences()) == 2
        here.advance(10 * DAY)
        (change,) = here.plan().document["resource_changes"]
        assert (change["action"], change["reason"]) == ("replace", "expires_too_soon")
        assert here.run().exit_code == 0
        assert not here.plan().document["summary"]["changes"]


def test_next_months_messages_do_not_count_against_what_is_left_of_this_one(tmp_path):
    with f1000(tmp_path, FIRST) as here:
        world = here.control("GET", "/_sim/world")
        world["accounts"]["shop"]["quota"]["value"] = 10
        here.control("PUT", "/_sim/world", world)
        document = here.plan().document
        assert document["applyable"]
        (row,) = document["later_quota"]
        assert (row["month"], row["low"]) == ("2026-12", document["deliveries"][0]["people"]["low"])
        assert {one["high"] for one in document["quota"]} == {0}
