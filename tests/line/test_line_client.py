"""The client: what it sends, what it remembers, and that the token stays inside."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from audsql.diag import Diagnostic
from audsql.line import limits
from audsql.line.client import LineClient
from audsql.line.outcome import Accepted, AlreadyAccepted, Found, Limited, Refused, Unknown
from audsql.line.ports import ClientPorts, RequestRecord, Secret
from audsql.line.transport import open_client, resolve_endpoint

TOKEN = "canary-token-7f3a"
KEY = "123e4567-e89b-12d3-a456-426614174000"
START = datetime(2026, 11, 21, tzinfo=UTC)


class Desk:
    """A LINE that a test writes, and a clock that only sleeping moves."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.now = START
        self.slept: list[float] = []
        self.requests: list[httpx.Request] = []
        self.records: list[RequestRecord] = []
        self.opened = 0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)

    def transport(self) -> httpx.BaseTransport:
        self.opened += 1
        return httpx.MockTransport(self.handle)

    def client(self, endpoint: str = "line") -> LineClient:
        ports = ClientPorts(lambda: self.now, self.sleep, lambda: 0.5, self.records.append)
        client = open_client(endpoint, "shop", TOKEN, ports, self.transport)
        assert isinstance(client, LineClient)
        return client


def says(status: int, body: object = None, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    named = {"X-Line-Request-Id": "r-1"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(status, json={} if body is None else body, headers=named)


def in_turn(*answers: Callable[[httpx.Request], httpx.Response]) -> Callable[[httpx.Request], httpx.Response]:
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        return (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer


@pytest.mark.rule("line.retry.first")
def test_a_send_carries_exactly_the_frozen_bytes_and_the_key() -> None:
    desk = Desk(says(202))
    body = b'{"messages": [ {"type":"text","text":"\xe3\x81\x82"} ] }'
    assert desk.client().narrowcast(body, KEY) == Accepted("r-1", {}, 202)
    (request,) = desk.requests
    assert request.content == body
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-line-retry-key"] == KEY
    assert str(request.url) == "https://api.line.me/v2/bot/message/narrowcast"


def test_each_send_has_a_connection_of_its_own_and_reads_share_one() -> None:
    desk = Desk(says(200, {"userId": "U1"}))
    client = desk.client()
    client.bot()
    client.bot()
    assert desk.opened == 1
    client.push(b"{}", KEY)
    client.push(b"{}", KEY)
    assert desk.opened == 3


@pytest.mark.rule("line.retry.uuid")
def test_the_key_is_a_uuid() -> None:
    with pytest.raises(ValueError):
        Desk(says(200)).client().push(b"{}", "not-a-uuid")


@pytest.mark.parametrize("kind", ["narrowcast", "broadcast", "multicast", "push"])
def test_a_send_is_made_once_whatever_comes(kind: str) -> None:
    for answer in (says(500), says(429, {"message": "x"}), says(302, Location="https://elsewhere.example")):
        desk = Desk(answer)
        outcome = getattr(desk.client(), kind)(b"{}", KEY)
        assert isinstance(outcome, Unknown | Limited)
        assert len(desk.requests) == 1


@pytest.mark.rule("line.retry.accepted")
def test_an_accepted_key_is_told() -> None:
    desk = Desk(says(409, {"message": "The retry key is already accepted"}, X_Line_Accepted_Request_Id="r-0"))
    assert desk.client().broadcast(b"{}", KEY) == AlreadyAccepted("r-0")


def test_a_withheld_send_writes_nothing() -> None:
    desk = Desk(says(202))
    assert desk.client().narrowcast(b"{}", KEY, lambda: False) == Unknown("withheld", written=False)
    assert desk.requests == []


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (httpx.ConnectError("no"), Unknown("unreachable", written=False)),
        (httpx.ConnectTimeout("no"), Unknown("unreachable", written=False)),
        (httpx.ReadTimeout("late"), Unknown("timeout")),
        (httpx.ReadError("reset"), Unknown("broken-off")),
        (httpx.RemoteProtocolError(f"Bearer {TOKEN}"), Unknown("broken-off")),
        (httpx.InvalidURL("odd"), Unknown("broken-off")),
        (ConnectionResetError("reset"), Unknown("broken-off")),
    ],
)
def test_a_broken_network_is_a_value(failure: Exception, outcome: Unknown) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise failure

    assert Desk(fail).client().narrowcast(b"{}", KEY) == outcome


def test_reads_are_tried_again_with_growing_pauses() -> None:
    desk = Desk(in_turn(says(500), says(429, {"message": "rate"}), says(200, {"totalUsage": 12})))
    assert desk.client().consumption() == Found(12, "r-1")
    assert len(desk.slept) == 2
    assert desk.slept[0] < desk.slept[1]


def test_reads_give_up_and_refusals_are_not_repeated() -> None:
    desk = Desk(says(503))
    assert desk.client().quota() == Unknown("status-503")
    assert len(desk.requests) == 5
    refused = Desk(says(404, {"message": "Not found"}))
    assert refused.client().progress("r-9") == Refused(404, (), "Not found")
    assert len(refused.requests) == 1


@pytest.mark.rule("line.retry.endpoints")
def test_changes_of_audiences_are_never_repeated_and_carry_no_key() -> None:
    desk = Desk(says(500))
    client = desk.client()
    calls: list[Callable[[], object]] = [
        lambda: client.create_upload("a", ["U1"], "x/1of1"),
        lambda: client.add_ids(5, ["U1"]),
        lambda: client.create_upload_file("a", ["U1"]),
        lambda: client.add_ids_file(5, ["U1"]),
        lambda: client.create_click("a", "r", "https://e.example"),
        lambda: client.create_impression("a", "r"),
        lambda: client.rename(5, "b"),
        lambda: client.delete(5),
    ]
    for call in calls:
        assert call() == Unknown("status-500")
    assert len(desk.requests) == len(calls)
    assert desk.slept == []
    assert not any("x-line-retry-key" in request.headers for request in desk.requests)


@pytest.mark.rule("line.audience.file_lines")
def test_audience_bodies() -> None:
    desk = Desk(says(202, {"audienceGroupId": 9}))
    client = desk.client()
    created = client.create_upload("名", ["U1", "U2"], "fp/1of2")
    assert isinstance(created, Accepted)
    assert created.audience_id == 9
    client.add_ids_file(9, ["U1", "U2"], "fp/2of2")
    client.delete(9)
    first, second, third = desk.requests
    assert json.loads(first.content) == {
        "description": "名", "isIfaAudience": False, "uploadDescription": "fp/1of2",
        "audiences": [{"id": "U1"}, {"id": "U2"}],
    }  # fmt: skip
    assert str(second.url) == "https://api-data.line.me/v2/bot/audienceGroup/upload/byFile"
    assert second.method == "PUT"
    text = second.content.decode()
    assert "Content-Type: text/plain\r\n\r\nU1\nU2\r\n--" in text
    assert 'name="uploadDescription"\r\n\r\nfp/2of2\r\n' in text
    assert (third.method, third.url.path) == ("DELETE", "/v2/bot/audienceGroup/9")


@pytest.mark.parametrize("count", [0, limits.UPLOAD_JSON_IDS_MAX + 1])
@pytest.mark.rule("line.audience.ids")
def test_an_upload_by_json_stays_within_its_number(count: int) -> None:
    with pytest.raises(ValueError):
        Desk(says(202)).client().create_upload("a", ["U1"] * count)


@pytest.mark.rule("line.audience.pages")
def test_all_pages_are_read_once_each() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        assert request.url.params["size"] == "40"
        assert request.url.params["includesExternalPublicGroups"] == "true"
        first = (number - 1) * 40
        groups = [{"audienceGroupId": at + 1, "type": "UPLOAD"} for at in range(first, min(first + 40, 95))]
        body = {"audienceGroups": groups, "hasNextPage": number < 3, "totalCount": 95, "page": number, "size": 40}
        return httpx.Response(200, json=body)

    desk = Desk(page)
    outcome = desk.client().audiences()
    assert isinstance(outcome, Found)
    assert [audience.id for audience in outcome.value] == list(range(1, 96))
    assert len(desk.requests) == 3


def test_a_list_that_changed_between_pages_is_read_again() -> None:
    calls = {"count": 0}

    def page(request: httpx.Request) -> httpx.Response:
        calls["count"] += 1
        groups = [{"audienceGroupId": 1}] if calls["count"] == 1 else [{"audienceGroupId": 1}, {"audienceGroupId": 2}]
        return httpx.Response(200, json={"audienceGroups": groups, "hasNextPage": False, "totalCount": 2})

    outcome = Desk(page).client().audiences()
    assert isinstance(outcome, Found)
    assert [audience.id for audience in outcome.value] == [1, 2]


def test_a_page_that_is_not_one_is_unknown() -> None:
    for body in ({}, {"audienceGroups": [{"type": "UPLOAD"}]}, {"audienceGroups": 3}):
        assert Desk(says(200, body)).client().audiences() == Unknown("success-of-another-shape")


@pytest.mark.rule("line.rate.narrowcast", "line.retry.cost", "line.rate.endpoint")
@pytest.mark.threat("T04")
def test_the_sixty_first_narrowcast_in_an_hour_waits() -> None:
    desk = Desk(says(202))
    client = desk.client()
    for _ in range(60):
        client.narrowcast(b"{}", KEY)
        desk.now += timedelta(seconds=1)
    assert desk.slept == []
    assert client.pace_seconds("narrowcast") == pytest.approx(3_540)
    client.narrowcast(b"{}", KEY)
    assert desk.now >= START + timedelta(hours=1)
    assert client.pace_seconds("broadcast") == 0


@pytest.mark.rule("line.rate.narrowcast", "line.rate.capacity")
def test_requests_of_an_earlier_run_count_against_the_pace() -> None:
    desk = Desk(says(202))
    client = desk.client()
    client.recall("narrowcast", [START - timedelta(minutes=5)] * 60)
    assert client.pace("narrowcast") == pytest.approx(3_300)
    assert desk.now == START + timedelta(minutes=55)


@pytest.mark.rule("line.followers.day")
def test_days_are_asked_for_as_line_writes_them() -> None:
    desk = Desk(says(200, {"status": "ready", "followers": 7, "targetedReaches": 5, "blocks": 1}))
    outcome = desk.client().followers(date(2026, 1, 2))
    assert isinstance(outcome, Found)
    assert (outcome.value.followers, outcome.value.target_reach, outcome.value.ready) == (7, 5, True)
    assert desk.requests[0].url.params["date"] == "20260102"


# --- clocks ---------------------------------------------------------------------------------------------------


@pytest.mark.threat("T19")
def test_a_clock_that_differs_is_noticed() -> None:
    desk = Desk(says(200, {"userId": "U1"}, Date="Sat, 21 Nov 2026 00:10:00 GMT"))
    client = desk.client()
    assert client.clock_skew_seconds() is None
    assert not client.clock_is_wrong
    client.bot()
    assert client.server_time() == START + timedelta(minutes=10)
    assert client.clock_skew_seconds() == -600
    assert client.clock_is_wrong
    assert client.now() == START


@pytest.mark.parametrize("value", ["", "yesterday", "Sat, 99 Nov 2026 00:00:00 GMT", "\u00e9"])
def test_an_odd_date_is_no_date(value: str) -> None:
    client = Desk(lambda request: httpx.Response(200, json={}, headers=[(b"Date", value.encode())])).client()
    client.bot()
    assert client.server_time() is None


def test_against_a_simulator_time_is_the_servers_and_sleep_is_a_request() -> None:
    world = {"now": START + timedelta(days=3)}

    def simulate(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/_sim/clock" and request.method == "POST":
            world["now"] += timedelta(seconds=json.loads(request.content)["advance_seconds"])
        body = {"userId": "U1", "now": world["now"].isoformat()}
        return httpx.Response(200, json=body, headers={"X-Line-Simulator": "1"})

    desk = Desk(simulate)
    client = desk.client("http://127.0.0.1:9")
    assert client.is_simulator
    assert client.now() == START + timedelta(days=3)
    client.sleep(90.2)
    assert client.now() == START + timedelta(days=3, seconds=91)
    assert desk.slept == []
    assert client.clock_skew_seconds() == 0
    control = [request for request in desk.requests if request.url.path.startswith("/_sim/")]
    assert not any("authorization" in request.headers for request in control)


def test_line_itself_is_never_taken_for_a_simulator() -> None:
    desk = Desk(says(200, {"userId": "U1"}, X_Line_Simulator="1"))
    client = desk.client("line")
    client.bot()
    assert not client.is_simulator
    client.sleep(2)
    assert desk.slept == [2]


def test_nobody_answering_at_first_ends_soon() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no")

    desk = Desk(fail)
    assert desk.client("http://127.0.0.1:9").bot() == Unknown("unreachable", written=False)
    assert len(desk.requests) == 5
    assert sum(desk.slept) < 5


# --- secrets --------------------------------------------------------------------------------------------------


@pytest.mark.rule("line.token.usable")
@pytest.mark.threat("T64")
def test_the_token_is_nowhere_to_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.DEBUG)

    def fail(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        raise httpx.RemoteProtocolError(f"Bearer {TOKEN}")

    desk = Desk(fail)
    client = desk.client()
    seen = [repr(client), str(vars(client)), f"{Secret(TOKEN)} {Secret(TOKEN)!r} {[Secret(TOKEN)]}"]
    seen += [repr(client.bot()), repr(client.push(b"{}", KEY)), repr(desk.records), caplog.text]
    assert not [text for text in seen if "canary" in text]
    with pytest.raises(TypeError):
        pickle.dumps(Secret(TOKEN))


def test_the_request_log_holds_no_ids_and_no_queries() -> None:
    desk = Desk(says(200, {"audienceGroup": {"audienceGroupId": 77}}))
    client = desk.client()
    client.audience(77)
    client.audiences("秘密")
    shown = repr(desk.records)
    assert "{audienceGroupId}" in shown
    assert "77" not in shown
    assert "秘密" not in shown
    assert desk.records[0] == RequestRecord(START, "GET", "/v2/bot/audienceGroup/{audienceGroupId}", 200, "r-1")


@pytest.mark.parametrize("token", ["", "a b", "a\n", "あ", "a\x00"])
@pytest.mark.rule("line.token.usable")
def test_an_odd_token_is_refused_without_being_shown(token: str) -> None:
    refused = open_client("line", "shop", token, ClientPorts(lambda: START, lambda s: None, lambda: 0.0))
    assert isinstance(refused, Diagnostic)
    assert refused.code == "AUD0803"
    assert token.strip() == "" or token not in repr(refused)


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("http://example.com", "AUD0802"),
        ("http://192.168.0.1:80", "AUD0802"),
        ("http://127.0.0.1.example.com", "AUD0802"),
        ("http://localhost@example.com", "AUD0801"),
        ("ftp://example.com", "AUD0801"),
        ("sim", "AUD0801"),
        ("", "AUD0801"),
        ("https://", "AUD0801"),
        ("https://u:p@example.com", "AUD0801"),
        ("https://example.com/?a=1", "AUD0801"),
        ("https://[::1", "AUD0801"),
        ("https://example.com:99999", "AUD0801"),
    ],
)
@pytest.mark.rule("line.endpoint.url", "line.endpoint.encrypted")
def test_endpoints_that_are_refused(endpoint: str, code: str) -> None:
    refused = resolve_endpoint(endpoint, "shop")
    assert isinstance(refused, Diagnostic)
    assert refused.code == code


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:8", "http://localhost", "http://[::1]:9", "https://gw.example/line/"]
)
@pytest.mark.rule("line.endpoint.url", "line.endpoint.encrypted")
def test_endpoints_that_are_taken(endpoint: str) -> None:
    assert resolve_endpoint(endpoint, "shop") == (endpoint.rstrip("/"),) * 2


@pytest.mark.rule("line.endpoint.url")
def test_line_has_two_hosts() -> None:
    assert resolve_endpoint("line", "shop") == ("https://api.line.me", "https://api-data.line.me")


@pytest.mark.rule("line.units.names")
def test_unit_names_are_read_page_by_page() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["limit"] == str(limits.UNIT_NAMES_PAGE_SIZE_MAX)
        first = {"customAggregationUnits": ["a", "b"], "next": "n"}
        return says(200, first if request.url.params.get("start") is None else {"customAggregationUnits": ["c"]})(
            request
        )

    found = Desk(answer).client().aggregation_units()
    assert isinstance(found, Found)
    assert found.value == {"a", "b", "c"}
    endless = Desk(says(200, {"customAggregationUnits": ["a"], "next": "same"}))
    assert endless.client().aggregation_units() == Unknown("too-many-units")
    assert isinstance(Desk(says(200, {"customAggregationUnits": "a"})).client().aggregation_units(), Unknown)


@pytest.mark.rule("line.followers.ids")
def test_friends_are_read_page_by_page() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["limit"] == str(limits.FOLLOWER_IDS_PAGE_SIZE_MAX)
        start = request.url.params.get("start")
        return says(200, {"userIds": ["U1", "U2"], "next": "n"} if start is None else {"userIds": ["U2", "U3"]})(
            request
        )

    desk = Desk(answer)
    found = desk.client().follower_ids(100)
    assert isinstance(found, Found)
    assert found.value == {"U1", "U2", "U3"}
    assert desk.client().follower_ids(2) == Unknown("too-many-followers")
    refused = Desk(says(403, {"message": "Access to this API is not available for your account"}))
    assert isinstance(refused.client().follower_ids(100), Refused)
    endless = Desk(says(200, {"userIds": ["U1"], "next": "same"}))
    assert endless.client().follower_ids(100) == Unknown("too-many-followers")
    assert len(endless.requests) == 2
    assert isinstance(Desk(says(200, {"userIds": "U1"})).client().follower_ids(100), Unknown)
