"""What every request passes: tokens, retry keys, rate buckets, faults, the log, the clock (specs/simulator.md)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sim_cases import GROUPS, KEY, SEND, TEXT, audience, form, ids_body, line, uid, uids, world

from audsql.sim.world import Simulation

HOUR = 3_600
RATE = {"message": "The API rate limit has been exceeded. Try again later."}


@pytest.mark.parametrize("token", ["wrong", "", "sim-token extra"])
@pytest.mark.rule("line.token.accepted")
def test_a_wrong_token_is_unauthorised(token: str) -> None:
    answer = line(token=token).get("/v2/bot/info")
    assert answer.status == 401
    assert answer.body["message"].startswith("Authentication failed due to the following reason: ")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic sim-token"}, {"Authorization": "sim-token"}])
def test_no_bearer_is_unauthorised(headers: dict[str, str]) -> None:
    assert Simulation(world()).handle("GET", "/v2/bot/info", headers=headers).status == 401


@pytest.mark.rule("line.token.channel")
def test_accounts_do_not_see_each_other() -> None:
    shop = line()
    made = shop.ready([1])
    shop.token = "other-token"
    assert shop.get(f"{GROUPS}/{made}").status == 400
    assert shop.get(f"{GROUPS}/list?page=1").body["totalCount"] == 0
    assert shop.narrowcast(recipient=audience(made)).status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/bot/nothing"),
        ("GET", "/"),
        ("PATCH", f"{GROUPS}/1"),
        ("GET", f"{SEND}/narrowcast"),
        ("POST", f"{GROUPS}/1/activate"),
        ("GET", f"{GROUPS}/authorityLevel/x/y"),
    ],
)
def test_everything_else_is_not_found(method: str, path: str) -> None:
    answer = line().ask(method, path)
    assert (answer.status, answer.body) == (404, {"message": "Not found"})


@pytest.mark.rule("line.answer.request_id")
def test_every_answer_carries_its_headers() -> None:
    shop = line()
    seen = set()
    for path in ("/v2/bot/info", "/v2/bot/nothing", f"{GROUPS}/1"):
        headers = shop.get(path).headers
        seen.add(str(UUID(headers["X-Line-Request-Id"])))
        assert headers["Date"] == "Fri, 20 Nov 2026 15:00:00 GMT"
        assert headers["X-Line-Simulator"] == "audsql"
        assert headers["Content-Type"] == "application/json"
    assert len(seen) == 3
    control = shop.get("/_sim/clock").headers
    assert control["Date"] == "Fri, 20 Nov 2026 15:00:00 GMT"
    assert "X-Line-Request-Id" not in control


@pytest.mark.rule("line.endpoint.url")
def test_real_host_names_are_told_apart() -> None:
    simulation = Simulation(world())
    headers = {"Authorization": "Bearer sim-token"}
    statuses = {
        (path, host): simulation.handle("POST", f"{GROUPS}/upload{path}", "", headers, b"", host).status
        for path in ("", "/byFile")
        for host in ("api.line.me", "api-data.line.me", "127.0.0.1:80")
    }
    assert [key for key, status in statuses.items() if status == 404] == [
        ("", "api-data.line.me"),
        ("/byFile", "api.line.me"),
    ]


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"{", "application/json", 400, "The request body could not be parsed as JSON (line: 1, column: 2)"),
        (b"[]", "application/json", 400, "The request body could not be parsed as JSON (line: 1, column: 1)"),
        (b"", "application/json", 400, "The request body could not be parsed as JSON (line: 1, column: 1)"),
        (b"\xff", "application/json", 400, "The request body could not be parsed as JSON (line: 1, column: 1)"),
        (b'{"a": NaN}', "application/json", 400, "The request body could not be parsed as JSON (line: 1, column: 1)"),
        (b"[" * 100_000, "application/json", 400, "The request body could not be parsed as JSON (line: 1, column: 1)"),
        (b"{}", "text/plain", 415, "The content type, text/plain, is not supported"),
        (b" " * (2 * 1024 * 1024 + 1), "application/json", 413, "Request Entity Too Large"),
    ],
)
@pytest.mark.rule("line.body.size")
def test_unreadable_bodies(content: bytes, kind: str, status: int, message: str) -> None:
    answer = line().post(f"{SEND}/broadcast", content, Content_Type=kind)
    assert (answer.status, answer.body["message"]) == (status, message)


def test_json_with_a_charset_is_json() -> None:
    answer = line().post(f"{SEND}/broadcast", {"messages": TEXT}, Content_Type="application/json; charset=UTF-8")
    assert answer.status == 200


BODIES: dict[str, Any] = {
    "narrowcast": {"messages": TEXT},
    "broadcast": {"messages": TEXT},
    "multicast": {"messages": TEXT, "to": uids([1])},
    "push": {"messages": TEXT, "to": uid(1)},
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.rule("line.retry.endpoints", "line.retry.accepted", "line.retry.window", "line.retry.first")
def test_a_retry_key_is_accepted_once_in_24_hours(kind: str) -> None:
    shop = line()
    first = shop.post(f"{SEND}/{kind}", BODIES[kind], X_Line_Retry_Key=KEY)
    assert first.status in (200, 202)
    shop.wait(24 * HOUR - 1)
    before = len(shop.get("/_sim/inbox").body)
    second = shop.post(f"{SEND}/{kind}", BODIES[kind], X_Line_Retry_Key=KEY)
    assert second.status == 409
    assert second.body["message"] == "The retry key is already accepted"
    assert second.headers["X-Line-Accepted-Request-Id"] == first.headers["X-Line-Request-Id"]
    assert second.headers["X-Line-Request-Id"] != first.headers["X-Line-Request-Id"]
    assert second.body.get("sentMessages") == (first.body or {}).get("sentMessages")
    shop.wait(0)
    assert len(shop.get("/_sim/inbox").body) == before
    shop.wait(1)
    assert shop.post(f"{SEND}/{kind}", BODIES[kind], X_Line_Retry_Key=KEY).status == first.status
    shop.wait(30)
    assert len(shop.get("/_sim/inbox").body) == 2 * before


@pytest.mark.rule("line.retry.compared")
def test_the_first_body_wins_under_one_key() -> None:
    shop = line()
    shop.post(f"{SEND}/push", BODIES["push"], X_Line_Retry_Key=KEY)
    other = {"messages": TEXT, "to": uid(2)}
    assert shop.post(f"{SEND}/push", other, X_Line_Retry_Key=KEY.upper()).status == 409
    assert [each["userId"] for each in shop.get("/_sim/inbox").body] == [uid(1)]


@pytest.mark.rule("line.retry.after_refusal")
def test_a_refused_request_does_not_use_up_its_key() -> None:
    shop = line(world(quota={"type": "limited", "value": 1, "used": 1}))
    assert shop.post(f"{SEND}/push", BODIES["push"], X_Line_Retry_Key=KEY).status == 429
    assert shop.post(f"{SEND}/push", {}, X_Line_Retry_Key=KEY).status == 400
    shop.wait(10 * 24 * HOUR)
    assert shop.post(f"{SEND}/push", BODIES["push"], X_Line_Retry_Key=KEY).status == 200


@pytest.mark.rule("line.token.channel")
def test_keys_belong_to_a_channel() -> None:
    shop = line()
    shop.post(f"{SEND}/push", BODIES["push"], X_Line_Retry_Key=KEY)
    shop.token = "other-token"
    assert shop.post(f"{SEND}/push", BODIES["push"], X_Line_Retry_Key=KEY).status == 200


@pytest.mark.parametrize("key", ["", "abc", KEY + "0", KEY.replace("-", ""), "g" + KEY[1:]])
@pytest.mark.rule("line.retry.uuid")
def test_a_retry_key_is_a_uuid(key: str) -> None:
    assert line().post(f"{SEND}/push", BODIES["push"], X_Line_Retry_Key=key).status == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{GROUPS}/upload", {"description": "a"}),
        ("GET", f"{GROUPS}/list?page=1", None),
        ("POST", f"{SEND}/validate/push", {"messages": TEXT}),
        ("GET", "/v2/bot/info", None),
    ],
)
@pytest.mark.rule("line.retry.endpoints")
def test_a_retry_key_elsewhere_is_an_error(method: str, path: str, body: Any) -> None:
    shop = line()
    assert shop.ask(method, path, body, X_Line_Retry_Key=KEY).status == 400
    assert shop.ask(method, path, body).status in (200, 202)


@pytest.mark.parametrize(
    ("method", "path", "body", "count", "seconds"),
    [
        ("POST", f"{SEND}/narrowcast", BODIES["narrowcast"], 60, 60),
        ("POST", f"{SEND}/broadcast", BODIES["broadcast"], 60, 60),
        ("POST", f"{SEND}/multicast", BODIES["multicast"], 200, 1),
        ("GET", f"{GROUPS}/list?page=1", None, 60, 1),
        ("GET", f"{GROUPS}/1", None, 60, 1),
        ("GET", "/v2/bot/insight/followers?date=20261120", None, 60, 60),
        ("GET", "/v2/bot/info", None, 2_000, 1),
    ],
)
@pytest.mark.rule(
    "line.rate.narrowcast",
    "line.rate.broadcast",
    "line.rate.multicast",
    "line.rate.audience",
    "line.rate.insight",
    "line.rate.other",
    "line.rate.capacity",
    "line.answer.rate",
)
def test_rate_buckets_refill_evenly(method: str, path: str, body: Any, count: int, seconds: int) -> None:
    shop = line(world(quota={"type": "none"}))
    for _ in range(count):
        assert shop.ask(method, path, body).status != 429
    answer = shop.ask(method, path, body)
    assert (answer.status, answer.body) == (429, RATE)
    shop.wait(seconds)
    assert shop.ask(method, path, body).status != 429


@pytest.mark.rule("line.rate.endpoint")
def test_buckets_are_per_endpoint_and_channel() -> None:
    shop = line()
    for number in range(60):
        shop.get(f"{GROUPS}/{number}")
    assert shop.get(f"{GROUPS}/60").status == 429
    assert shop.get(f"{GROUPS}/list?page=1").status == 200
    assert shop.ask("DELETE", f"{GROUPS}/60").status == 400
    shop.token = "other-token"
    assert shop.get(f"{GROUPS}/60").status == 400


@pytest.mark.rule("line.retry.cost")
def test_a_repeated_key_costs_rate_too() -> None:
    shop = line(world(quota={"type": "none"}))
    statuses = [shop.post(f"{SEND}/broadcast", {"messages": TEXT}, X_Line_Retry_Key=KEY).status for _ in range(61)]
    assert statuses == [200] + [409] * 59 + [429]


def fault(do: str, nth: int | None = 1, path: str = SEND, method: str | None = "POST") -> list[dict[str, Any]]:
    match = {"path": path, **({} if method is None else {"method": method})}
    return [{"match": match, "do": do, **({} if nth is None else {"nth": nth})}]


@pytest.mark.parametrize(
    ("do", "dropped", "status", "happened"),
    [
        ("drop-response", True, 200, True),
        ("refuse", True, 0, False),
        ("status:500", False, 500, False),
        ("status:429", False, 429, False),
        ("status-after:500", False, 500, True),
        ("delay:5", False, 200, True),
    ],
)
@pytest.mark.rule("line.answer.unknown", "line.retry.when")
def test_faults(do: str, dropped: bool, status: int, happened: bool) -> None:
    shop = line()
    assert shop.post("/_sim/faults", fault(do)).status == 200
    answer = shop.post(f"{SEND}/push", BODIES["push"], X_Line_Retry_Key=KEY)
    assert (answer.dropped, answer.status) == (dropped, status)
    assert len(shop.get("/_sim/inbox").body) == happened
    again = shop.post(f"{SEND}/push", BODIES["push"], X_Line_Retry_Key=KEY)
    assert again.status == (409 if happened else 200)
    assert len(shop.get("/_sim/inbox").body) == 1
    assert shop.get("/_sim/clock").body["now"].endswith("00:00:05+09:00" if do == "delay:5" else "00:00:00+09:00")
    assert shop.get("/_sim/requests").body[0]["fault"] == [do]
    if status == 500:
        assert answer.body == {"message": "Internal server error"}


def test_faults_count_matching_requests_from_one() -> None:
    shop = line()
    shop.post("/_sim/faults", fault("status:500", nth=2, path="/v2/bot/*/list", method=None))
    assert shop.get("/v2/bot/info").status == 200
    assert [shop.get(f"{GROUPS}/list?page=1").status for _ in range(3)] == [200, 500, 200]
    shop.post("/_sim/faults", fault("status:503", nth=None, path="/v2", method="get"))
    assert [shop.get("/v2/bot/info").status for _ in range(3)] == [503] * 3
    assert shop.post(f"{SEND}/push", BODIES["push"]).status == 200
    assert shop.get("/_sim/faults").body[0]["seen"] == 3
    assert shop.ask("DELETE", "/_sim/faults").body == []
    assert shop.get("/v2/bot/info").status == 200


@pytest.mark.parametrize(
    "document",
    [{}, [{"do": "explode"}], [{"do": "refuse", "nth": 0}], [{"do": "refuse", "match": {"host": "x"}}], ["x"]],
)
def test_malformed_faults_are_refused(document: Any) -> None:
    assert line().post("/_sim/faults", document).status == 400


def test_the_request_log() -> None:
    shop = line()
    shop.get(f"{GROUPS}/list?page=1&createRoute=OA_MANAGER&createRoute=POINT_AD")
    answer = shop.post(f"{SEND}/push", BODIES["push"], X_Line_Retry_Key=KEY)
    content = f"{uid(1)}\n{uid(2)}\n".encode()
    body, kind = form({"description": (None, "名簿".encode()), "file": ("text/plain", content)})
    shop.post(f"{GROUPS}/upload/byFile", body, Content_Type=kind)
    shop.token = "wrong"
    shop.get("/v2/bot/info")
    first, second, third, fourth = shop.get("/_sim/requests").body
    assert first["query"] == {"page": "1", "createRoute": ["OA_MANAGER", "POINT_AD"]}
    assert second == {
        "at": "2026-11-21T00:00:00+09:00",
        "method": "POST",
        "path": f"{SEND}/push",
        "query": {},
        "status": 200,
        "account": "shop",
        "requestId": answer.headers["X-Line-Request-Id"],
        "retryKey": KEY,
        "body": BODIES["push"],
        "host": "api",
    }
    assert (third["body"], third["host"]) == ({"description": "名簿", "ids": 2}, "api-data")
    assert uid(1) not in str(third)
    assert (fourth["account"], fourth["status"]) == (None, 401)


def test_time_stands_still_until_it_is_told_to_pass() -> None:
    shop = line()
    made = shop.upload([1])
    for _ in range(10):
        assert shop.group(made)["status"] == "IN_PROGRESS"
    assert shop.get("/_sim/clock").body == {"now": "2026-11-21T00:00:00+09:00", "auto": False}


def test_time_passes_with_polling_when_asked() -> None:
    shop = line()
    assert shop.post("/_sim/clock", {"auto": True}).body["auto"] is True
    made = shop.upload([1])
    assert [shop.group(made)["status"] for _ in range(3)] == ["IN_PROGRESS", "IN_PROGRESS", "READY"]
    request_id = shop.narrowcast(recipient=audience(made)).headers["X-Line-Request-Id"]
    assert [shop.progress(request_id)["phase"] for _ in range(3)] == ["sending", "sending", "succeeded"]
    shop.get("/v2/bot/info")
    assert shop.get("/_sim/clock").body["now"] == "2026-11-21T00:01:00+09:00"


@pytest.mark.parametrize("document", [None, {}, {"advance_seconds": -1}, {"advance_seconds": "5"}, {"hours": 1}, 5])
def test_malformed_clocks_are_refused(document: Any) -> None:
    shop = line()
    assert shop.post("/_sim/clock", document).status == 400
    assert shop.get("/_sim/clock").body["now"] == "2026-11-21T00:00:00+09:00"


def test_unknown_control_paths() -> None:
    assert line().get("/_sim/nothing").status == 404
    assert line().post("/_sim/behave", {"requestId": "x"}).status == 400


def test_the_inventory_names_members() -> None:
    shop = line()
    made = shop.ready([2, 1])
    shop.clicks()
    found = {each["type"]: each for each in shop.get("/_sim/audiences").body}
    assert found["UPLOAD"]["audienceGroupId"] == made
    assert found["UPLOAD"]["members"] == uids([1, 2])
    assert found["CLICK"]["members"] == uids(range(1, 81))
    wanted = {"account", "audienceGroupId", "type", "description", "status", "audienceCount", "members", "created",
              "expireTimestamp", "requestId"}  # fmt: skip
    assert wanted <= set(found["CLICK"])


def test_a_failed_request_changes_nothing() -> None:
    shop = line()
    shop.post(f"{GROUPS}/upload", {"description": "a", "audiences": [*ids_body([1]), {"id": "x"}]})
    shop.post(f"{SEND}/narrowcast", {"messages": TEXT, "limit": {"max": 0}})
    assert shop.get("/_sim/audiences").body == []
    assert len(shop.simulation.dump()["accounts"]["shop"]["sends"]) == 3
