"""The client against the simulator: the whole path of a delivery, and faults on the way."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from audsql.line import limits
from audsql.line.client import LineClient
from audsql.line.inventory import Inventory, read_inventory
from audsql.line.outcome import Accepted, AlreadyAccepted, Found, Limited, Refused, Unknown
from audsql.line.ports import ClientPorts
from audsql.line.recipient import (
    Limit,
    broadcast_body,
    canonical_json,
    filter_only_body,
    multicast_body,
    narrowcast_body,
    push_body,
)
from audsql.line.transport import open_client
from audsql.sim.server import start_embedded

PEOPLE = [f"U{number:032x}" for number in range(200)]
KEY = "123e4567-e89b-12d3-a456-42661417400{}"
TEXT = [{"type": "text", "text": "こんにちは"}]
WORLD = {
    "now": "2026-11-21T00:00:00+09:00",
    "accounts": {
        "shop": {
            "token": "sim-token",
            "quota": {"type": "limited", "value": 1_000},
            "friends": [
                {
                    "userId": person,
                    "status": "following",
                    "followedAt": "2025-01-01T00:00:00+09:00",
                    "policyAccepted": True,
                    "gender": "female" if index % 2 else "male",
                    "age": "age_30",
                    "area": "jp_13",
                    "os": "ios",
                }
                for index, person in enumerate(PEOPLE)
            ],
            "sends": [
                {
                    "requestId": "bb9744f9-47fa-4a29-941e-1234567890ab",
                    "kind": "broadcast",
                    "at": "2026-11-10T10:00:00+09:00",
                    "urls": ["https://e.example/a"],
                    "to": PEOPLE,
                    "opened": PEOPLE[:90],
                    "clicked": {"https://e.example/a": PEOPLE[:60]},
                }
            ],
            "audiences": [{"type": "CHAT_TAG", "description": "VIP", "members": PEOPLE[:5]}],
        }
    },
}


class Shop:
    """The client of an account, and the control plane of its simulator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.slept: list[float] = []
        ports = ClientPorts(lambda: datetime(2030, 1, 1, tzinfo=UTC), self.slept.append, lambda: 0.5)
        client = open_client(url, "shop", "sim-token", ports)
        assert isinstance(client, LineClient)
        self.client = client

    def control(self, path: str, body: object = None) -> object:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=data)) as response:
            return json.loads(response.read())

    def fault(self, path: str, do: str) -> None:
        self.control("/_sim/faults", [{"match": {"path": path}, "nth": 1, "do": do}])

    def inbox(self) -> list[str]:
        entries = self.control("/_sim/inbox")
        assert isinstance(entries, list)
        return sorted(entry["userId"] for entry in entries)

    def ready(self, audience_id: int) -> None:
        for _ in range(50):
            outcome = self.client.audience(audience_id)
            assert isinstance(outcome, Found)
            if outcome.value.settled:
                return
            self.client.sleep(60)
        raise AssertionError("the audience never became READY")

    def done(self, request_id: str) -> object:
        for _ in range(50):
            outcome = self.client.progress(request_id)
            assert isinstance(outcome, Found)
            if outcome.value.over:
                return outcome.value
            self.client.sleep(60)
        raise AssertionError("the narrowcast never ended")


@pytest.fixture
def shop() -> Iterator[Shop]:
    with start_embedded(WORLD) as running:
        desk = Shop(running.base_url)
        yield desk
        desk.client.close()


def created(outcome: object) -> int:
    assert isinstance(outcome, Accepted), outcome
    assert outcome.audience_id is not None
    return outcome.audience_id


def audience(number: int) -> dict[str, object]:
    return {"type": "audience", "audienceGroupId": number}


@pytest.mark.rule("line.narrowcast.accepted", "line.progress.phases")
def test_a_delivery_from_upload_to_inbox_in_virtual_time(shop: Shop) -> None:
    client = shop.client
    assert client.is_simulator
    assert client.now() == datetime.fromisoformat("2026-11-21T00:00:00+09:00")
    buyers = created(client.create_upload("買った人", PEOPLE[:20], "fp/1of2"))
    assert isinstance(client.add_ids_file(buyers, PEOPLE[20:30], "fp/2of2"), Accepted)
    clicked = created(client.create_click("clicked", "bb9744f9-47fa-4a29-941e-1234567890ab", "https://e.example/a"))
    shop.ready(buyers)
    shop.ready(clicked)
    wanted = {"type": "operator", "and": [audience(clicked), {"type": "operator", "not": audience(buyers)}]}
    body = narrowcast_body(wanted, None, TEXT, Limit(60))
    # 30 people: LINE asks for 50 where a click audience is used.
    small = client.narrowcast(body, KEY.format(0))
    assert isinstance(small, Accepted)
    assert shop.done(small.request_id).error_code == limits.ERROR_TOO_FEW_RECIPIENTS
    outcome = client.narrowcast(narrowcast_body(audience(clicked), None, TEXT, Limit(60)), KEY.format(1))
    assert isinstance(outcome, Accepted)
    progress = shop.done(outcome.request_id)
    assert (progress.phase, progress.success_count) == ("succeeded", 60)
    assert shop.inbox() == sorted(PEOPLE[:60])
    assert shop.slept == []


@pytest.mark.rule("line.limit.partial", "line.progress.codes")
@pytest.mark.threat("T34")
def test_the_fuse_sends_to_nobody_rather_than_to_too_many(shop: Shop) -> None:
    body = filter_only_body({"type": "gender", "oneOf": ["female"]}, TEXT, Limit(99))
    outcome = shop.client.narrowcast(body, KEY.format(0))
    assert isinstance(outcome, Accepted)
    progress = shop.done(outcome.request_id)
    assert (progress.phase, progress.error_code, progress.nobody_reached) == ("failed", limits.ERROR_OVER_LIMIT, True)
    assert shop.inbox() == []


@pytest.mark.rule("line.retry.accepted", "line.answer.unknown")
@pytest.mark.threat("T02")
def test_a_lost_answer_is_settled_by_the_same_key(shop: Shop) -> None:
    body = broadcast_body(TEXT)
    shop.fault("/v2/bot/message/broadcast", "drop-response")
    assert shop.client.broadcast(body, KEY.format(0)) == Unknown("broken-off")
    assert isinstance(shop.client.broadcast(body, KEY.format(0)), AlreadyAccepted)
    assert shop.inbox() == sorted(PEOPLE)


@pytest.mark.parametrize("fault", ["status:500", "refuse", "status-after:502"])
@pytest.mark.threat("T03")
@pytest.mark.scenario(30)
def test_server_errors_are_unknown_and_the_key_settles_them(shop: Shop, fault: str) -> None:
    body = multicast_body(PEOPLE[:3], TEXT, unit="sale")
    shop.fault("/v2/bot/message/multicast", fault)
    assert isinstance(shop.client.multicast(body, KEY.format(0)), Unknown)
    assert isinstance(shop.client.multicast(body, KEY.format(0)), Accepted | AlreadyAccepted)
    assert shop.inbox() == sorted(PEOPLE[:3])


def test_reads_outlive_faults_without_sleeping_in_real_time(shop: Shop) -> None:
    shop.client.bot()
    shop.fault("/v2/bot/message/quota", "status:500")
    assert isinstance(shop.client.quota(), Found)
    assert shop.slept == []


@pytest.mark.rule("line.answer.monthly", "line.quota.reservation.fits", "line.quota.moment")
@pytest.mark.threat("T04")
def test_the_monthly_limit_is_told_apart(shop: Shop) -> None:
    for number in range(4):  # 4 x 200, and 200 of the earlier one
        assert isinstance(shop.client.broadcast(broadcast_body(TEXT), KEY.format(number)), Accepted)
    assert shop.client.broadcast(broadcast_body(TEXT), KEY.format(4)) == Limited("monthly")


@pytest.mark.rule("line.rate.broadcast", "line.rate.capacity")
def test_sixty_one_broadcasts_keep_the_pace(shop: Shop) -> None:
    started = shop.client.now()
    for number in range(61):
        key = f"123e4567-e89b-12d3-a456-4266141740{number:02d}"
        assert shop.client.broadcast(b'{"messages":[]}', key) != Limited("rate")
    assert shop.client.now() >= started + timedelta(hours=1)
    assert shop.slept == []


@pytest.mark.rule("line.audience.not_found", "line.answer.writes")
def test_a_name_lives_through_rename_and_delete(shop: Shop) -> None:
    number = created(shop.client.create_upload("前", PEOPLE[:1]))
    assert isinstance(shop.client.rename(number, "後"), Accepted)
    outcome = shop.client.audiences("後")
    assert isinstance(outcome, Found)
    assert [found.id for found in outcome.value] == [number]
    assert isinstance(shop.client.delete(number), Accepted)
    again = shop.client.delete(number)
    assert isinstance(again, Refused)
    assert again.gone


def test_the_inventory_is_read(shop: Shop) -> None:
    inventory = read_inventory(shop.client)
    assert isinstance(inventory, Inventory), inventory
    assert [(found.kind, found.name, found.count) for found in inventory.audiences] == [("CHAT_TAG", "VIP", 5)]
    assert inventory.quota_remaining == 800
    assert inventory.friends == 200


@pytest.mark.rule("line.narrowcast.validated")
def test_messages_are_validated_by_line_itself(shop: Shop) -> None:
    assert isinstance(shop.client.validate("narrowcast", TEXT), Found)
    refused = shop.client.validate("narrowcast", [{"type": "text"}])
    assert isinstance(refused, Refused)
    assert shop.inbox() == []


def test_openings_and_clicks_are_read(shop: Shop) -> None:
    outcome = shop.client.insight_event("bb9744f9-47fa-4a29-941e-1234567890ab")
    assert isinstance(outcome, Found)
    assert "overview" in outcome.value


@pytest.mark.rule("line.token.accepted")
def test_a_wrong_token_is_refused(shop: Shop) -> None:
    ports = ClientPorts(lambda: datetime(2030, 1, 1, tzinfo=UTC), lambda seconds: None, lambda: 0.5)
    client = open_client(shop.url, "shop", "another-token", ports)
    assert isinstance(client, LineClient)
    outcome = client.bot()
    assert isinstance(outcome, Refused)
    assert outcome.status == 401


@pytest.mark.rule("line.quota.reservation.reach", "line.quota.reservation.max", "line.quota.reservation.remaining")
def test_only_what_a_limit_names_is_reserved(shop: Shop) -> None:
    """Three broadcasts leave 200 messages, a push 199: one fewer than the target reach."""
    client = shop.client
    for number in range(3):
        assert isinstance(client.broadcast(broadcast_body(TEXT), KEY.format(number)), Accepted)
    assert isinstance(client.push(push_body(PEOPLE[0], TEXT), KEY.format(3)), Accepted)
    one = created(client.create_upload("one", PEOPLE[:1]))
    shop.ready(one)
    unlimited = canonical_json({"messages": TEXT, "recipient": audience(one)})
    assert client.narrowcast(unlimited, KEY.format(4)) == Limited("monthly")
    over = narrowcast_body(audience(one), None, TEXT, Limit(200, False, False))
    assert client.narrowcast(over, KEY.format(5)) == Limited("monthly")
    for number, limit in enumerate((Limit(199, False, False), Limit(None, True, False), Limit(1))):
        outcome = client.narrowcast(narrowcast_body(audience(one), None, TEXT, limit), KEY.format(6 + number))
        assert isinstance(outcome, Accepted)
        shop.done(outcome.request_id)
        # The next must fit beside what was used: one message less is left, so the fixed limits go down.
        if number == 0:
            again = narrowcast_body(audience(one), None, TEXT, Limit(199, False, False))
            assert client.narrowcast(again, KEY.format(9)) == Limited("monthly")
