"""Coupons of the simulator (specs/simulator.md, Coupons)."""

from __future__ import annotations

from typing import Any

import pytest
from sim_cases import KEY, SEND, TEXT, Line, line, uid, uids, world

COUPON = "/v2/bot/coupon"
END = 1_798_729_200  # 2027-01-01 00:00 in Tokyo


def coupon(**values: Any) -> dict[str, Any]:
    """The body of a creation; None takes a field away."""
    given = {
        "title": "100 yen off", "startTimestamp": 0, "endTimestamp": END, "timezone": "ASIA_TOKYO",
        "visibility": "UNLISTED", "maxUseCountPerTicket": 1, "acquisitionCondition": {"type": "normal"},
        "reward": {"type": "discount", "priceInfo": {"type": "fixed", "fixedAmount": 100}}, **values,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def made(here: Line, **values: Any) -> str:
    answer = here.post(COUPON, coupon(**values))
    assert answer.status == 200, answer.body
    return str(answer.body["couponId"])


def carrying(coupon_id: str) -> list[dict[str, Any]]:
    return [TEXT[0], {"type": "coupon", "couponId": coupon_id, "deliveryTag": "spring"}]


def test_a_coupon_runs_is_read_and_listed_and_closed_once() -> None:
    here = line()
    first, second = made(here), made(here, title="second")
    assert len(first) == 26 and first != second
    read = here.get(f"{COUPON}/{first}").body
    assert (read["status"], read["title"], read["createdTimestamp"]) == ("RUNNING", "100 yen off", 1_795_186_800)
    assert read["reward"]["priceInfo"] == {"type": "fixed", "fixedAmount": 100, "currency": "JPY"}
    assert [each["couponId"] for each in here.get(COUPON).body["items"]] == [second, first]
    assert here.ask("PUT", f"{COUPON}/{first}/close").status == 200
    assert here.get(f"{COUPON}/{first}").body["status"] == "CLOSED"
    assert here.ask("PUT", f"{COUPON}/{first}/close").status == 410
    assert here.ask("PUT", f"{COUPON}/01JYNW8JMQVFBNWF1APF8Z3FS7/close").status == 404
    assert here.get(f"{COUPON}/01JYNW8JMQVFBNWF1APF8Z3FS7").status == 404
    assert [each["couponId"] for each in here.get(f"{COUPON}?status=RUNNING").body["items"]] == [second]
    assert len(here.get(f"{COUPON}?status=RUNNING&status=CLOSED").body["items"]) == 2
    assert here.get(f"{COUPON}?status=OPEN").status == 400
    again = line(here.simulation.dump())
    assert again.get(f"{COUPON}/{first}").body == here.get(f"{COUPON}/{first}").body
    assert made(again) not in (first, second)


def test_the_list_has_pages() -> None:
    here = line()
    ids = [made(here, title=f"n{number}") for number in range(25)][::-1]
    page = here.get(COUPON).body
    assert [each["couponId"] for each in page["items"]] == ids[:20]
    rest = here.get(f"{COUPON}?start={page['next']}").body
    assert [each["couponId"] for each in rest["items"]] == ids[20:] and "next" not in rest
    assert len(here.get(f"{COUPON}?limit=100").body["items"]) == 25
    assert here.get(f"{COUPON}?limit=101").status == 400


LOTTERY = {"type": "lottery", "lotteryProbability": 50, "maxAcquireCount": -1}


@pytest.mark.parametrize(
    "values",
    [
        {"acquisitionCondition": LOTTERY},
        {"reward": {"type": "cashBack", "priceInfo": {"type": "percentage", "percentage": 10}}},
        {
            "reward": {
                "type": "discount",
                "priceInfo": {"type": "explicit", "priceAfterDiscount": 1, "originalPrice": 2},
            }
        },
        {"reward": {"type": "free"}},
        {"reward": None},
        {"maxUseCountPerTicket": -1, "imageUrl": "https://shop.example/a.png", "couponCode": "SPRING"},
        {"title": "字" * 60, "description": "d" * 1_000, "usageCondition": "u" * 100},
    ],
)
def test_what_line_takes(values: dict[str, Any]) -> None:
    made(line(), **values)


@pytest.mark.parametrize(
    "values",
    [
        {"title": ""},
        {"title": "字" * 61},
        {"title": None},
        {"description": "d" * 1_001},
        {"usageCondition": "u" * 101},
        {"visibility": "PRIVATE"},
        {"timezone": "Asia/Tokyo"},
        {"maxUseCountPerTicket": 2},
        {"startTimestamp": -1},
        {"startTimestamp": END},
        {"endTimestamp": 1_795_186_800},
        {"imageUrl": "http://shop.example/a.png"},
        {"acquisitionCondition": {"type": "referral"}},
        {"acquisitionCondition": {**LOTTERY, "lotteryProbability": 100}},
        {"acquisitionCondition": {**LOTTERY, "maxAcquireCount": 1_000_000}},
        {"acquisitionCondition": {"type": "lottery"}},
        {"reward": {"type": "points"}},
        {"reward": {"type": "discount"}},
        {"reward": {"type": "discount", "priceInfo": {"type": "percentage", "percentage": 100}}},
        {
            "reward": {
                "type": "cashBack",
                "priceInfo": {"type": "explicit", "priceAfterDiscount": 1, "originalPrice": 2},
            }
        },
        {"colour": "red"},
    ],
)
def test_what_line_refuses(values: dict[str, Any]) -> None:
    answer = line().post(COUPON, coupon(**values))
    assert answer.status == 400 and answer.body["message"]


def test_no_more_than_5000_valid_ones() -> None:
    here = line()
    first, *_ = [made(here) for _ in range(200)]
    shop = here.simulation.world.accounts["shop"]
    one = shop.coupons[first]
    shop.coupons.update({f"c{number}": one for number in range(4_800)})
    here.wait(10)
    assert here.post(COUPON, coupon()).status == 400
    assert here.ask("PUT", f"{COUPON}/{first}/close").status == 200
    made(here)


def test_a_message_may_carry_a_running_coupon_alone() -> None:
    here = line()
    running, closed, ends = made(here), made(here), made(here, endTimestamp=1_795_186_800 + 60)
    here.ask("PUT", f"{COUPON}/{closed}/close")
    for path, to in (("multicast", uids((1, 2))), ("push", uid(1))):
        assert here.post(f"{SEND}/{path}", {"to": to, "messages": carrying(running)}).status == 200
        for wrong in (closed, "01JYNW8JMQVFBNWF1APF8Z3FS7"):
            answer = here.post(f"{SEND}/{path}", {"to": to, "messages": carrying(wrong)}, X_Line_Retry_Key=KEY)
            assert answer.status == 400 and "messages[1].couponId" in answer.body["message"]
    assert here.post(f"{SEND}/broadcast", {"messages": carrying(closed)}).status == 400
    assert here.narrowcast(messages=carrying(closed)).status == 400
    assert here.post(f"{SEND}/push", {"to": uid(1), "messages": carrying(ends)}).status == 200
    here.wait(60)
    assert here.post(f"{SEND}/push", {"to": uid(1), "messages": carrying(ends)}).status == 400
    assert here.post(f"{SEND}/validate/push", {"messages": carrying(closed)}).status == 200
    assert here.received(KEY) == [], "a refused request reached nobody"


def test_a_draft_of_the_manager_is_neither_sent_nor_closed() -> None:
    draft = {"couponId": "d1", "created": "2026-11-01", "draft": True, "document": coupon()}
    here = line(world(coupons=[draft]))
    assert here.get(f"{COUPON}/d1").body["status"] == "DRAFT"
    assert here.ask("PUT", f"{COUPON}/d1/close").status == 400
    assert here.post(f"{SEND}/push", {"to": uid(1), "messages": carrying("d1")}).status == 400


def test_a_creation_whose_answer_is_lost_has_happened() -> None:
    here = line()
    here.post("/_sim/faults", [{"match": {"path": COUPON}, "nth": 1, "do": "drop-response"}])
    assert here.post(COUPON, coupon()).dropped
    assert len(here.get(COUPON).body["items"]) == 1
