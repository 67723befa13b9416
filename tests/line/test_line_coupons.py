"""The client's coupon operations."""

from __future__ import annotations

import json

import pytest
from test_line_client import Desk, in_turn, says

from audsql.line import limits
from audsql.line.client import operation
from audsql.line.outcome import Accepted, Found, Refused

OPERATIONS = ("create_coupon", "close_coupon", "coupon", "coupons")


@pytest.mark.rule("line.coupon.immutable")
def test_a_coupon_is_created_once_and_only_its_id_comes_back() -> None:
    desk = Desk(says(200, {"couponId": "01J"}))
    outcome = desk.client().create_coupon({"title": "10% off"})
    assert isinstance(outcome, Accepted) and outcome.body == {"couponId": "01J"}
    (request,) = desk.requests
    assert (request.method, request.url.path) == ("POST", "/v2/bot/coupon")
    assert json.loads(request.content) == {"title": "10% off"}
    assert "x-line-retry-key" not in request.headers
    assert not any(operation(name).path.endswith("/update") for name in OPERATIONS)


@pytest.mark.rule("line.coupon.immutable")
def test_a_creation_without_a_certain_answer_is_not_repeated_by_the_client() -> None:
    desk = Desk(says(500))
    desk.client().create_coupon({"title": "10% off"})
    assert len(desk.requests) == 1


@pytest.mark.rule("line.coupon.list")
def test_all_pages_of_running_coupons_are_read() -> None:
    first = says(200, {"items": [{"couponId": "b", "title": "two"}], "next": "more"})
    second = says(200, {"items": [{"couponId": "a", "title": "one"}]})
    desk = Desk(in_turn(first, second))
    outcome = desk.client().running_coupons()
    assert isinstance(outcome, Found) and [one.id for one in outcome.value] == ["a", "b"]
    assert dict(desk.requests[0].url.params) == {"status": "RUNNING", "limit": str(limits.COUPON_PAGE_SIZE_MAX)}
    assert desk.requests[1].url.params["start"] == "more"


@pytest.mark.rule("line.coupon.list")
def test_a_token_that_leads_nowhere_ends_the_reading() -> None:
    desk = Desk(says(200, {"items": [], "next": "same"}))
    assert not isinstance(desk.client().running_coupons(), Found)
    assert len(desk.requests) == 2


@pytest.mark.rule("line.coupon.closed")
def test_closing_twice_and_closing_nothing_are_told_apart() -> None:
    for status in (404, 410):
        outcome = Desk(says(status, {"message": "x"})).client().close_coupon("01J")
        assert isinstance(outcome, Refused) and outcome.status == status


@pytest.mark.rule("line.coupon.rate")
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_has_the_rate_of_coupons(name: str) -> None:
    assert limits.RATES[operation(name).rate] == (200, 1)
