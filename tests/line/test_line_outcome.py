"""Raw replies become outcomes, whatever the reply is (threats T03, T04, T06)."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audsql.line.models import (
    read_audience,
    read_bot,
    read_consumption,
    read_detail,
    read_followers,
    read_page,
    read_progress,
    read_quota,
)
from audsql.line.outcome import (
    Accepted,
    AlreadyAccepted,
    Limited,
    Refused,
    Reply,
    Unknown,
    settle_read,
    settle_send,
    settle_write,
)

# The first draw of a text loads the tables of Unicode, which is slow on a busy machine.
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
ID = "5b59509c-c57b-11e9-aa8c-2a2ae2dbcce4"
OURS = {"x-line-request-id": ID}


def reply(status: int, body: object = None, headers: dict[str, str] | None = None) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return Reply(status, OURS if headers is None else headers, raw)


SENDS = [
    (reply(202), Accepted(ID, {}, 202)),
    (reply(200, {"sentMessages": []}), Accepted(ID, {"sentMessages": []}, 200)),
    (reply(202, headers={}), Unknown("success-without-request-id")),
    (reply(202, headers={"x-line-request-id": "a b\n"}), Unknown("success-without-request-id")),
    (reply(202, b"<html>ok</html>"), Unknown("success-without-json")),
    (reply(202, b""), Unknown("success-without-json")),
    (reply(202, b'{"a":'), Unknown("success-without-json")),
    (reply(202, b"[]"), Unknown("success-without-json")),
    (reply(204), Unknown("status-204")),
    (reply(301), Unknown("status-301")),
    (
        reply(409, {"message": "The retry key is already accepted"}, {"x-line-accepted-request-id": ID}),
        AlreadyAccepted(ID),
    ),
    (reply(409, {"message": "The retry key is already accepted"}), Unknown("conflict-without-request-id")),
    (reply(429, {"message": "The API rate limit has been exceeded. Try again later."}), Limited("rate")),
    (reply(429, {"message": "You have reached your monthly limit."}), Limited("monthly")),
    (reply(429, b"<html>slow down</html>"), Limited("rate")),
    (reply(400, b"<html>bad gateway rule</html>"), Unknown("status-400")),
    (reply(403, {"error": "proxy"}), Unknown("status-403")),
    (reply(408, {"message": "timeout"}), Unknown("status-408")),
    (reply(500, {"message": "Internal Server Error"}), Unknown("status-500")),
    (reply(504, b"<html>"), Unknown("status-504")),
    (
        reply(400, {"message": "Invalid", "details": [{"message": "TOO_HIGH", "property": "size"}, 3, {}]}),
        Refused(400, ("TOO_HIGH",), "Invalid", "size"),
    ),
    (
        reply(403, {"message": "Your account does not have enough friends"}),
        Refused(403, (), "Your account does not have enough friends"),
    ),
]


@pytest.mark.parametrize(("raw", "expected"), SENDS, ids=lambda value: repr(value)[:60])
@pytest.mark.rule(
    "line.answer.refused",
    "line.answer.details",
    "line.answer.monthly",
    "line.answer.rate",
    "line.answer.unknown",
    "line.answer.request_id",
    "line.answer.success_code",
    "line.answer.without_json",
    "line.answer.other_limit",
)
@pytest.mark.threat("T03", "T04")
def test_a_send_is_settled(raw: Reply, expected: object) -> None:
    assert settle_send(raw) == expected


@pytest.mark.rule("line.answer.writes")
def test_a_change_takes_any_success_but_a_creation_needs_its_id() -> None:
    assert isinstance(settle_write(reply(202)), Accepted)
    assert isinstance(settle_write(reply(200, b"")), Accepted)
    assert settle_write(reply(202, {"audienceGroupId": True}), needs_id=True) == Unknown("success-without-audience-id")
    created = settle_write(reply(202, {"audienceGroupId": 7, "new": 1}), needs_id=True)
    assert isinstance(created, Accepted)
    assert created.audience_id == 7


@pytest.mark.rule("line.audience.not_found")
def test_an_audience_that_is_gone_is_told_by_its_code() -> None:
    body = {"message": "audience group not found", "details": [{"message": "AUDIENCE_GROUP_NOT_FOUND"}]}
    outcome = settle_write(reply(400, body))
    assert isinstance(outcome, Refused)
    assert outcome.gone


def test_a_foreign_text_is_shortened_and_carries_no_user_id() -> None:
    outcome = settle_send(reply(400, {"message": "to U" + "0a" * 16 + "\x1b[31m " + "x" * 900}))
    assert isinstance(outcome, Refused)
    assert "U0a" not in outcome.message
    assert "\x1b" not in outcome.message
    assert len(outcome.message) < 310


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KNOWN = st.sampled_from(
    ["message", "details", "property", "audienceGroupId", "audienceGroup", "audienceGroups", "jobs", "created", "phase",
     "acceptedTime", "type", "value", "totalUsage", "status", "userId", "expireTimestamp", "errorCode"]
)  # fmt: skip
BODIES = st.binary(max_size=40) | st.dictionaries(KNOWN, JSON, max_size=5).map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(
    st.sampled_from(["x-line-request-id", "x-line-accepted-request-id", "date", "content-type"]),
    st.text(max_size=12) | st.just(ID),
)


@CALM
@given(st.integers(100, 999), HEADERS, BODIES)
@pytest.mark.threat("T06")
def test_no_reply_raises_and_only_a_clean_one_is_accepted(status: int, headers: dict[str, str], body: bytes) -> None:
    raw = Reply(status, headers, body)
    sent = settle_send(raw)
    assert isinstance(sent, Accepted) <= (status in (200, 202))
    assert isinstance(sent, AlreadyAccepted) <= (status == 409)
    assert isinstance(sent, Refused) <= (400 <= status < 500)
    settle_write(raw, needs_id=True)
    settle_read(raw)


@CALM
@given(st.dictionaries(KNOWN, JSON, max_size=6))
def test_no_object_raises_when_it_is_read(body: dict[str, object]) -> None:
    for read in (read_detail, read_page, read_progress, read_quota, read_consumption, read_followers, read_bot):
        read(body)
    read_audience(body)


def test_deep_and_huge_json_is_no_json() -> None:
    assert settle_send(reply(202, b"[" * 100_000)) == Unknown("success-without-json")
    assert settle_send(reply(202, b'{"a":' + b"9" * 5_000 + b"}")) == Unknown("success-without-json")


@pytest.mark.rule("line.answer.tolerant")
@pytest.mark.threat("T06")
def test_unknown_fields_and_values_are_kept() -> None:
    body = {"audienceGroupId": 4, "type": "FUTURE", "status": "RESTING", "createRoute": "MOON", "shine": 3}
    audience = read_audience(body)
    assert audience is not None
    assert (audience.kind, audience.status, audience.route) == ("FUTURE", "RESTING", "MOON")
    assert audience.extra == {"shine": 3}
    progress = read_progress({"phase": "resting"})
    assert progress is not None
    assert not progress.over
