"""The simulator's answers against LINE's own OpenAPI descriptions."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from line_descriptions import AMENDMENTS, answer_problems, operations, request_problems, unknown_fields

from audsql.sim.world import ENDPOINTS, Simulation

NOW = "2026-11-21T00:00:00+09:00"
SENT = "bb9744f9-47fa-4a29-941e-1234567890ab"
PEOPLE = [f"U{number:032x}" for number in range(1, 121)]
TEXT = [{"type": "text", "text": "hello"}]
GROUPS = "/v2/bot/audienceGroup"
SEND = "/v2/bot/message"
COUPON = "/v2/bot/coupon"
COUPON_BODY = {
    "title": "100 yen off", "startTimestamp": 0, "endTimestamp": 1_798_729_200, "timezone": "ASIA_TOKYO",
    "visibility": "UNLISTED", "maxUseCountPerTicket": 1,
    "acquisitionCondition": {"type": "lottery", "lotteryProbability": 50, "maxAcquireCount": -1},
    "reward": {"type": "discount", "priceInfo": {"type": "fixed", "fixedAmount": 100}},
}  # fmt: skip

# Paths that the description spells otherwise, or not at all: template of the simulator → of the description.
SPELT = {
    f"{GROUPS}/{{id}}": f"{GROUPS}/{{audienceGroupId}}",
    f"{GROUPS}/shared/{{id}}": f"{GROUPS}/shared/{{audienceGroupId}}",
    f"{GROUPS}/{{id}}/updateDescription": f"{GROUPS}/{{audienceGroupId}}/updateDescription",
}


def world() -> dict[str, Any]:
    """An account with something to answer for every endpoint."""
    friends = [
        {"userId": each, "followedAt": "2025-01-01T00:00:00+09:00", "gender": "female", "age": "age_30",
         "area": "jp_13", "os": "ios"}
        for each in PEOPLE
    ]  # fmt: skip
    sent = {"requestId": SENT, "kind": "broadcast", "at": "2026-11-10T10:00:00+09:00", "to": PEOPLE,
            "opened": PEOPLE, "clicked": {"https://e.example/a": PEOPLE[:10]}}  # fmt: skip
    past = {"requestId": "00000000-0000-4000-a000-000000000001", "kind": "narrowcast", "to": PEOPLE,
            "at": "2026-11-20T00:00:00+09:00"}  # fmt: skip
    owner = {"serviceType": "account", "id": "@x", "name": "x"}
    audiences = [
        {"audienceGroupId": 7, "type": "UPLOAD", "description": "mine", "members": PEOPLE, "permission": "READ_WRITE"},
        {"audienceGroupId": 8, "type": "WEBTRAFFIC", "description": "theirs", "members": PEOPLE, "owner": owner,
         "createRoute": "BUSINESS_MANAGER"},
    ]  # fmt: skip
    coupon = {"couponId": "c1", "created": "2026-11-01", "document": COUPON_BODY}
    shop = {"token": "t", "followersReadable": True, "friends": friends, "sends": [sent, past],
            "audiences": audiences, "coupons": [coupon], "quota": {"type": "limited", "value": 1000}}  # fmt: skip
    return {"now": NOW, "accounts": {"shop": shop}}


def ask(simulation: Simulation, method: str, target: str, body: Any = None, kind: str = "application/json") -> Any:
    parts = urlsplit(target)
    headers = {"Authorization": "Bearer t", "Content-Type": kind}
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return simulation.handle(method, parts.path, parts.query, headers, content)


LEAF = {"type": "audience", "audienceGroupId": 7}
RECIPIENT = {"type": "operator", "and": [LEAF, {"type": "operator", "not": {"type": "redelivery", "requestId": SENT}}]}
DEMOGRAPHIC = {"type": "operator", "or": [{"type": "gender", "oneOf": ["female"]}, {"type": "age", "gte": "age_20"}]}
NARROWCAST = {
    "messages": TEXT,
    "recipient": {**RECIPIENT, "and": [LEAF]},
    "filter": {"demographic": DEMOGRAPHIC},
    "limit": {"max": 100, "upToRemainingQuota": True, "forbidPartialDelivery": True},
    "notificationDisabled": True,
}
IDS = [{"id": each} for each in PEOPLE[:3]]

# (method, template in the description, target, JSON body)
CALLS: list[tuple[str, str, str, Any]] = [
    ("POST", f"{GROUPS}/upload", "", {"description": "a", "uploadDescription": "b", "audiences": IDS}),
    ("PUT", f"{GROUPS}/upload", "", {"audienceGroupId": 7, "audiences": IDS}),
    ("POST", f"{GROUPS}/click", "", {"description": "a", "requestId": SENT, "clickUrl": "https://e.example/a"}),
    ("POST", f"{GROUPS}/imp", "", {"description": "a", "requestId": SENT}),
    ("PUT", f"{GROUPS}/{{audienceGroupId}}/updateDescription", f"{GROUPS}/7/updateDescription", {"description": "b"}),
    ("DELETE", f"{GROUPS}/{{audienceGroupId}}", f"{GROUPS}/7", None),
    ("GET", f"{GROUPS}/{{audienceGroupId}}", f"{GROUPS}/7", None),
    ("GET", f"{GROUPS}/list", f"{GROUPS}/list?page=1", None),
    ("GET", f"{GROUPS}/shared/{{audienceGroupId}}", f"{GROUPS}/shared/8", None),
    ("GET", f"{GROUPS}/shared/list", f"{GROUPS}/shared/list?page=1&includesOwnedAudienceGroups=true", None),
    ("POST", f"{SEND}/narrowcast", "", NARROWCAST),
    ("POST", f"{SEND}/broadcast", "", {"messages": TEXT}),
    ("POST", f"{SEND}/multicast", "", {"messages": TEXT, "to": PEOPLE[:2], "customAggregationUnits": ["u"]}),
    ("POST", f"{SEND}/push", "", {"messages": TEXT, "to": PEOPLE[0]}),
    ("POST", f"{SEND}/validate/narrowcast", "", {"messages": TEXT}),
    ("POST", f"{SEND}/validate/reply", "", {"messages": TEXT}),
    ("GET", f"{SEND}/progress/narrowcast", f"{SEND}/progress/narrowcast?requestId=00000000-0000-4000-a000-000000000001",
     None),
    ("GET", f"{SEND}/quota", "", None),
    ("GET", f"{SEND}/quota/consumption", "", None),
    ("GET", f"{SEND}/delivery/broadcast", f"{SEND}/delivery/broadcast?date=20261110", None),
    ("GET", f"{SEND}/delivery/push", f"{SEND}/delivery/push?date=20261121", None),
    ("GET", f"{SEND}/aggregation/info", "", None),
    ("GET", f"{SEND}/aggregation/list", "", None),
    ("POST", COUPON, "", COUPON_BODY),
    ("GET", COUPON, f"{COUPON}?status=RUNNING&limit=1", None),
    ("GET", f"{COUPON}/{{couponId}}", f"{COUPON}/c1", None),
    ("PUT", f"{COUPON}/{{couponId}}/close", f"{COUPON}/c1/close", None),
    ("POST", f"{SEND}/push", "", {"messages": [{"type": "coupon", "couponId": "c1"}], "to": PEOPLE[0]}),
    ("GET", "/v2/bot/insight/followers", "/v2/bot/insight/followers?date=20261120", None),
    ("GET", "/v2/bot/insight/demographic", "", None),
    ("GET", "/v2/bot/insight/message/delivery", "/v2/bot/insight/message/delivery?date=20261110", None),
    ("GET", "/v2/bot/insight/message/event", f"/v2/bot/insight/message/event?requestId={SENT}", None),
    ("GET", "/v2/bot/insight/message/event/aggregation",
     "/v2/bot/insight/message/event/aggregation?customAggregationUnit=u&from=20261101&to=20261121", None),
    ("GET", "/v2/bot/followers/ids", "/v2/bot/followers/ids?limit=50", None),
    ("GET", "/v2/bot/info", "", None),
    ("GET", "/v2/bot/profile/{userId}", f"/v2/bot/profile/{PEOPLE[0]}", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "template", "target", "body"), CALLS, ids=lambda value: str(value)[:60])
def test_answers_satisfy_the_description(method: str, template: str, target: str, body: Any) -> None:
    answer = ask(Simulation(world()), method, target or template, body)
    assert answer.status in (200, 202), answer.body
    assert answer_problems(method, template, answer.status, answer.body) == []
    assert unknown_fields(method, template, answer.status, answer.body) == []


@pytest.mark.parametrize(
    ("method", "template", "body"),
    [(method, template, body) for method, template, _, body in CALLS if body is not None],
    ids=lambda value: str(value)[:60],
)
def test_the_bodies_of_these_tests_satisfy_the_description(method: str, template: str, body: Any) -> None:
    assert request_problems(method, template, body) == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_uploads_by_file_satisfy_the_description(method: str) -> None:
    texts = {"description": "a"} if method == "POST" else {"audienceGroupId": "7"}
    head = "--e\r\nContent-Disposition: form-data; name="
    body = "".join(f'{head}"{name}"\r\n\r\n{text}\r\n' for name, text in texts.items())
    body += '--e\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n'
    body += f"{PEOPLE[0]}\n\r\n--e--\r\n"
    path = f"{GROUPS}/upload/byFile"
    answer = ask(Simulation(world()), method, path, body.encode(), "multipart/form-data; boundary=e")
    assert answer.status == 202
    assert answer_problems(method, path, answer.status, answer.body) == []


def test_errors_have_lines_shape() -> None:
    simulation = Simulation(world())
    for method, target, body in (
        ("GET", f"{GROUPS}/1", None),
        ("POST", f"{SEND}/narrowcast", {}),
        ("GET", "/v2/bot/nothing", None),
    ):
        answer = ask(simulation, method, target, body)
        assert set(answer.body) <= {"message", "details"}
        assert all(set(detail) <= {"message", "property"} for detail in answer.body.get("details", []))


def test_every_endpoint_is_one_of_lines() -> None:
    described = set(operations())
    for endpoint in ENDPOINTS:
        path = SPELT.get(endpoint.path, endpoint.path)
        paths = [path.replace("{kind:reply|push|multicast|broadcast}", kind) for kind in ("reply", "push")]
        assert all((endpoint.method, each) in described for each in paths), endpoint


def test_all_twelve_audience_operations_are_there() -> None:
    described = {key for key, (name, _) in operations().items() if name == "manage-audience"}
    served = {(each.method, SPELT.get(each.path, each.path)) for each in ENDPOINTS}
    assert len(described) == 12
    assert described <= served


def test_amendments_give_their_reasons() -> None:
    assert all(len(each) == 3 and all(each) for each in AMENDMENTS)
