"""LINE's official SDK as an independent client of a running simulator: one story, since the import is heavy."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audsql.sim.server import start_embedded

SENT = "bb9744f9-47fa-4a29-941e-1234567890ab"
URL = "https://e.example/a"
PEOPLE = [f"U{number:032x}" for number in range(1, 121)]
KEY = "123e4567-e89b-12d3-a456-426614174000"


def world() -> dict[str, Any]:
    """120 friends who all opened and clicked one broadcast."""
    friends = [{"userId": each, "followedAt": "2025-01-01T00:00:00+09:00", "gender": "female"} for each in PEOPLE]
    sent = {"requestId": SENT, "kind": "broadcast", "at": "2026-11-10T10:00:00+09:00", "to": PEOPLE,
            "opened": PEOPLE, "clicked": {URL: PEOPLE[:60]}}  # fmt: skip
    shop = {"token": "t", "friends": friends, "sends": [sent], "quota": {"type": "limited", "value": 1000}}
    return {"now": "2026-11-21T00:00:00+09:00", "accounts": {"shop": shop}}


class Clients:
    """The SDK's clients, all pointed at one simulator."""

    def __init__(self, base_url: str) -> None:
        from linebot.v3 import audience, insight, messaging

        self.base_url = base_url
        settings = {"host": base_url, "access_token": "t"}
        self.audience, self.messaging, self.insight = audience, messaging, insight
        groups = audience.ApiClient(audience.Configuration(**settings))
        self.groups = audience.ManageAudience(groups)
        self.files = audience.ManageAudienceBlob(groups)
        self.messages = messaging.MessagingApi(messaging.ApiClient(messaging.Configuration(**settings)))
        self.figures = insight.Insight(insight.ApiClient(insight.Configuration(**settings)))

    def control(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.base_url + path, data)) as answer:
            return json.load(answer)

    def group(self, number: int) -> Any:
        return self.groups.get_audience_data(number).audience_group


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    """A simulator whose time passes with polling."""
    with start_embedded({**world(), "auto": True}) as running:
        yield Clients(running.base_url)


def wait_ready(clients: Clients, number: int) -> None:
    for _ in range(10):
        if clients.group(number).status == "READY":
            return
        time.sleep(0)
    raise AssertionError("the audience does not become READY")


def test_uploads_are_created_added_to_listed_renamed_and_deleted(clients: Clients) -> None:
    kit = clients.audience
    people = [kit.Audience(id=each) for each in PEOPLE[:3]]
    request = kit.CreateAudienceGroupRequest(description="sdk", uploadDescription="first", audiences=people)
    created = clients.groups.create_audience_group(request)
    number = created.audience_group_id
    assert (created.type, created.expire_timestamp - created.created) == ("UPLOAD", 15_552_000)
    more = kit.AddAudienceToAudienceGroupRequest(audienceGroupId=number, audiences=[kit.Audience(id=PEOPLE[3])])
    clients.groups.add_audience_to_audience_group(more)
    wait_ready(clients, number)
    data = clients.groups.get_audience_data(number)
    assert (data.audience_group.audience_count, len(data.jobs)) == (4, 2)
    clients.groups.update_audience_group_description(
        number, kit.UpdateAudienceGroupDescriptionRequest(description="renamed")
    )
    listed = clients.groups.get_audience_groups(page=1, description="RENAMED", size=40)
    assert [each.audience_group_id for each in listed.audience_groups] == [number]
    assert listed.has_next_page is False
    clients.groups.delete_audience_group(number)
    with pytest.raises(Exception, match="AUDIENCE_GROUP_NOT_FOUND") as refused:
        clients.groups.delete_audience_group(number)
    assert getattr(refused.value, "status", None) == 400


def test_uploads_by_file(clients: Clients, tmp_path: Path) -> None:
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("".join(f"{each}\n" for each in PEOPLE[:50]))
    second.write_text("".join(f"{each}\n" for each in PEOPLE[50:60]))
    created = clients.files.create_audience_for_uploading_user_ids(str(first), description="file")
    clients.files.add_user_ids_to_audience(str(second), audience_group_id=created.audience_group_id)
    wait_ready(clients, created.audience_group_id)
    assert clients.group(created.audience_group_id).audience_count == 60


def test_click_and_impression_audiences_and_a_narrowcast(clients: Clients) -> None:
    kit, messaging = clients.audience, clients.messaging
    click = clients.groups.create_click_based_audience_group(
        kit.CreateClickBasedAudienceGroupRequest(description="clicked", requestId=SENT, clickUrl=URL)
    )
    opened = clients.groups.create_imp_based_audience_group(
        kit.CreateImpBasedAudienceGroupRequest(description="opened", requestId=SENT)
    )
    for made in (click, opened):
        wait_ready(clients, made.audience_group_id)
    request = messaging.NarrowcastRequest(
        messages=[messaging.TextMessage(text="hello")],
        recipient=messaging.OperatorRecipient(
            var_and=[
                messaging.AudienceRecipient(audienceGroupId=opened.audience_group_id),
                messaging.OperatorRecipient(
                    var_not=messaging.AudienceRecipient(audienceGroupId=click.audience_group_id)
                ),
            ]
        ),
        filter=messaging.Filter(demographic=messaging.GenderDemographicFilter(oneOf=["female"])),
        limit=messaging.Limit(max=60, upToRemainingQuota=True, forbidPartialDelivery=True),
    )
    answer = clients.messages.narrowcast_with_http_info(request, x_line_retry_key=KEY)
    request_id = answer.headers["X-Line-Request-Id"]
    phases = []
    for _ in range(10):
        told = clients.messages.get_narrowcast_progress(request_id)
        phases.append(told.phase)
        if told.phase == "succeeded":
            break
    assert (told.phase, told.success_count, told.target_count) == ("succeeded", 60, 60)
    assert told.completed_time > told.accepted_time
    inbox = clients.control("/_sim/inbox")
    assert sorted(each["userId"] for each in inbox if each["requestId"] == request_id) == PEOPLE[60:]
    with pytest.raises(Exception, match="already accepted") as refused:
        clients.messages.narrowcast(request, x_line_retry_key=KEY)
    headers = getattr(refused.value, "headers", {})
    assert headers["X-Line-Accepted-Request-Id"] == request_id
    event = clients.figures.get_message_event(SENT)
    assert (event.overview.delivered, event.overview.unique_click) == (120, 60)


def test_quota_counts_and_figures(clients: Clients) -> None:
    messages, figures = clients.messages, clients.figures
    assert messages.get_message_quota().value == 1000
    assert messages.get_message_quota_consumption().total_usage >= 120
    assert messages.get_number_of_sent_broadcast_messages("20261110").success == 120
    assert figures.get_number_of_followers("20261120").targeted_reaches == 120
    assert figures.get_friends_demographics().available is True
    assert figures.get_number_of_message_deliveries("20261110").api_broadcast == 120
    assert messages.get_bot_info().display_name == "shop"


def coupon_request(kit: Any) -> Any:
    price = kit.DiscountFixedPriceInfoRequest(fixedAmount=100)
    return kit.CouponCreateRequest(
        title="100 yen off", startTimestamp=0, endTimestamp=1_798_729_200, timezone="ASIA_TOKYO",
        visibility="UNLISTED", maxUseCountPerTicket=1,
        acquisitionCondition=kit.LotteryAcquisitionConditionRequest(lotteryProbability=50, maxAcquireCount=-1),
        reward=kit.CouponDiscountRewardRequest(priceInfo=price),
    )  # fmt: skip


def test_coupons_are_created_read_sent_and_closed(clients: Clients) -> None:
    kit = clients.messaging
    ids = [clients.messages.create_coupon(coupon_request(kit)).coupon_id for _ in range(2)]
    read = clients.messages.get_coupon_detail(ids[0])
    assert (read.status, read.timezone, read.reward.price_info.currency) == ("RUNNING", "ASIA_TOKYO", "JPY")
    assert read.acquisition_condition.lottery_probability == 50
    page = clients.messages.list_coupon(status=["RUNNING"], limit=1)
    assert [one.coupon_id for one in page.items] == ids[1:]
    assert [one.coupon_id for one in clients.messages.list_coupon(start=page.next).items] == ids[:1]
    carrying = [kit.CouponMessage(couponId=ids[0], deliveryTag="spring")]
    clients.messages.push_message(kit.PushMessageRequest(to=PEOPLE[0], messages=carrying))
    clients.messages.close_coupon(ids[0])
    with pytest.raises(Exception, match="Gone") as gone:
        clients.messages.close_coupon(ids[0])
    assert getattr(gone.value, "status", None) == 410
    with pytest.raises(Exception, match="couponId") as refused:
        clients.messages.push_message(kit.PushMessageRequest(to=PEOPLE[0], messages=carrying))
    assert getattr(refused.value, "status", None) == 400
    assert [one.coupon_id for one in clients.messages.list_coupon(status=["CLOSED"]).items] == ids[:1]


def test_units_faults_and_webhook_events(clients: Clients) -> None:
    """Listed people by multicast with a unit, an answer that is lost, and the SDK's own reader of events."""
    from linebot.v3.webhooks import CallbackRequest

    kit = clients.messaging
    request = kit.MulticastRequest(
        to=PEOPLE[:2], messages=[kit.TextMessage(text="unit")], customAggregationUnits=["audsql_0123abcd"]
    )
    key = KEY.replace("1", "2")
    path = "/v2/bot/message/multicast"
    clients.control("/_sim/faults", [{"match": {"path": path}, "nth": 1, "do": "drop-response"}])
    with pytest.raises(Exception, match=r"(?i)connection|protocol|remote"):
        clients.messages.multicast(request, x_line_retry_key=key)
    clients.control("/_sim/faults", [])
    with pytest.raises(Exception, match="already accepted"):
        clients.messages.multicast(request, x_line_retry_key=key)
    inbox = clients.control("/_sim/inbox")
    assert sum(entry["messages"][0].get("text") == "unit" for entry in inbox) == 2
    assert clients.messages.get_aggregation_unit_name_list().custom_aggregation_units == ["audsql_0123abcd"]
    stranger = "U" + "e" * 32
    for status in ("following", "blocked"):
        clients.control("/_sim/people", {"account": "shop", "people": [{"userId": stranger, "status": status}]})
    told = [CallbackRequest.from_dict({k: body[k] for k in ("destination", "events")})
            for body in clients.control("/_sim/webhooks")]  # fmt: skip
    follow, unfollow = (body.events[0] for body in told)
    assert (type(follow).__name__, type(unfollow).__name__) == ("FollowEvent", "UnfollowEvent")
    assert (follow.source.user_id, follow.follow.is_unblocked) == (stranger, False)
    assert follow.webhook_event_id != unfollow.webhook_event_id


def test_multicast_push_broadcast_and_validate(clients: Clients) -> None:
    kit = clients.messaging
    text = [kit.TextMessage(text="hello")]
    clients.messages.validate_narrowcast(kit.ValidateMessageRequest(messages=text))
    clients.messages.multicast(kit.MulticastRequest(to=PEOPLE[:2], messages=text))
    pushed = clients.messages.push_message(kit.PushMessageRequest(to=PEOPLE[0], messages=text))
    assert len(pushed.sent_messages) == 1
    clients.messages.broadcast(kit.BroadcastRequest(messages=text))
    with pytest.raises(Exception, match="Access to this API is not available"):
        clients.messages.get_followers()
