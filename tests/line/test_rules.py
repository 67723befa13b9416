"""Rules of specs/line.md that the other files of the client's tests do not show by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from audsql import catalog
from audsql.cli.conformance import answer
from audsql.line import limits
from audsql.line.client import LineClient
from audsql.line.models import read_detail, read_progress
from audsql.line.outcome import Accepted, Found, Refused
from audsql.line.ports import ClientPorts
from audsql.line.recipient import (
    Limit,
    broadcast_body,
    everybody_body,
    filter_only_body,
    multicast_body,
    narrowcast_body,
    recipient_json,
)
from audsql.line.transport import open_client

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KEY = "123e4567-e89b-12d3-a456-426614174000"
TEXT = [{"type": "text", "text": "hello"}]
PEOPLE = [f"U{number:032x}" for number in range(10_000)]
LEAF = {"type": "audience", "audienceGroupId": 5}
FEMALE = {"type": "gender", "oneOf": ["female"]}


def client_of(reply: Callable[[httpx.Request], httpx.Response]) -> LineClient:
    """A client of a LINE that answers by `reply` and whose clock stands still."""
    ports = ClientPorts(lambda: NOW, lambda seconds: None, lambda: 0.5)
    client = open_client("line", "shop", "token", ports, lambda: httpx.MockTransport(reply))
    assert isinstance(client, LineClient)
    return client


def says(status: int, body: object) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(status, json=body, headers={"X-Line-Request-Id": "r-1"})


AUDIENCE = "create_upload add_ids create_upload_file add_ids_file create_click create_impression rename delete audience"


@pytest.mark.rule(
    "line.rate.narrowcast", "line.rate.broadcast", "line.rate.multicast", "line.rate.audience", "line.rate.insight",
    "line.rate.other", "line.rate.endpoint", "line.rate.capacity",
)  # fmt: skip
@pytest.mark.parametrize(
    ("operations", "requests", "seconds"),
    [
        ("narrowcast broadcast", 60, 3_600),
        ("multicast", 200, 1),
        (f"{AUDIENCE} audiences shared_audiences", 60, 60),
        ("followers insight_event", 60, 3_600),
        ("push progress quota consumption validate bot", 2_000, 1),
    ],
)
def test_no_window_of_an_operation_holds_more_than_its_rate(operations: str, requests: int, seconds: int) -> None:
    for operation in operations.split():
        client = client_of(says(200, {}))
        client.recall(operation, [NOW - timedelta(seconds=seconds / 2)] * (requests - 1))
        assert client.pace_seconds(operation) == 0
        client.recall(operation, [NOW])
        assert client.pace_seconds(operation) == pytest.approx(seconds / 2)
        others = {"narrowcast", "broadcast", "audience", "audiences", "followers", "quota"} - {operation}
        assert all(client.pace_seconds(other) == 0 for other in others)


@pytest.mark.rule("line.body.size", "line.audience.ids")
def test_the_largest_bodies_stay_within_two_million_bytes() -> None:
    seen: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, json={"audienceGroupId": 1})

    name = "名" * limits.AUDIENCE_NAME_CHARACTERS_MAX
    note = "あ" * limits.UPLOAD_DESCRIPTION_CHARACTERS_MAX
    client_of(reply).create_upload(name, PEOPLE[: limits.UPLOAD_JSON_IDS_MAX], note)
    assert len(seen[0].content) <= limits.REQUEST_BODY_BYTES_MAX
    text = {"type": "text", "text": "あ" * limits.TEXT_CHARACTERS_MAX}
    flex = {"type": "flex", "altText": "a", "contents": "x" * limits.FLEX_CAROUSEL_BYTES_MAX}
    for message in (text, flex):
        body = multicast_body(PEOPLE[:500], [message] * limits.MESSAGES_PER_SEND_MAX)
        assert len(body) <= limits.REQUEST_BODY_BYTES_MAX


@pytest.mark.rule("line.audience.file_size", "line.audience.ids")
def test_a_file_is_bounded_by_its_lines_alone() -> None:
    client = client_of(says(202, {"audienceGroupId": 1}))
    assert isinstance(client.create_upload_file("a", PEOPLE * 10), Accepted)
    with pytest.raises(ValueError):
        client.create_upload_file("a", PEOPLE * 150 + PEOPLE[:1])


@pytest.mark.rule("line.multicast.unknown_ids")
def test_an_unknown_id_in_a_multicast_may_be_passed_over_or_refused() -> None:
    body = multicast_body(PEOPLE[:2], TEXT)
    assert client_of(says(200, {})).multicast(body, KEY) == Accepted("r-1", {}, 200)
    message = "The property, to[1], in the request body is invalid (line: -, column: -)"
    assert client_of(says(400, {"message": message})).multicast(body, KEY) == Refused(400, (), message)


@pytest.mark.rule("line.narrowcast.properties", "line.limit.max", "line.narrowcast.messages")
def test_narrowcasts_have_no_other_properties_and_always_a_limit() -> None:
    allowed = {"messages", "recipient", "filter", "limit", "notificationDisabled"}
    for quiet in (False, True):
        for body in (
            narrowcast_body(LEAF, FEMALE, TEXT, Limit(9), quiet),
            filter_only_body(FEMALE, TEXT, Limit(9), quiet),
            everybody_body(TEXT, Limit(9), quiet),
        ):
            assert {"messages", "limit"} <= json.loads(body).keys() <= allowed
    assert json.loads(broadcast_body(TEXT)).keys() == {"messages"}


@pytest.mark.rule("line.recipient.one_entry")
def test_a_list_of_one_entry_is_never_written() -> None:
    from audsql.compile.program import AllOf, AnyOf, AudienceLeaf, NoneOf

    tree = AllOf((AnyOf((AudienceLeaf("a"),)),))
    assert recipient_json(tree, {"a": 5}, {}) == LEAF
    assert recipient_json(NoneOf(tree), {"a": 5}, {}) == {"type": "operator", "not": LEAF}


def detail(status: str, *jobs: str) -> dict[str, object]:
    return {
        "audienceGroup": {"audienceGroupId": 5, "type": "UPLOAD", "status": status},
        "jobs": [{"audienceGroupJobId": number, "jobStatus": job} for number, job in enumerate(jobs)],
    }


@pytest.mark.rule("line.audience.growing", "line.audience.job_status")
@pytest.mark.parametrize(
    ("status", "jobs", "settled"),
    [
        ("READY", (), True),
        ("READY", ("FINISHED", "FINISHED"), True),
        ("READY", ("FINISHED", "WORKING"), False),
        ("READY", ("QUEUED",), False),
        ("READY", ("RESTING",), False),
        ("IN_PROGRESS", ("FINISHED",), False),
    ],
)
def test_an_audience_is_settled_when_every_upload_is_in_it(status: str, jobs: tuple[str, ...], settled: bool) -> None:
    found = read_detail(detail(status, *jobs))
    assert found is not None
    assert found.settled is settled


@pytest.mark.rule("line.progress.codes", "line.progress.internal", "line.retry.conflict", "line.minimum.which_code")
@pytest.mark.parametrize(("code", "nobody"), [(1, False), (2, True), (3, False), (4, True), (5, True), (6, False)])
def test_which_error_codes_say_that_nobody_was_reached(code: int, nobody: bool) -> None:
    found = read_progress({"phase": "failed", "errorCode": code})
    assert found is not None
    assert found.nobody_reached is nobody


@pytest.mark.rule("line.statistics.hidden")
def test_a_small_number_stays_unknown() -> None:
    overview = {"delivered": 12, "uniqueImpression": None, "uniqueClick": None}
    found = client_of(says(200, {"overview": overview})).insight_event("r-0")
    assert found == Found({"overview": overview}, "r-1")


# --- what the compiler refuses, or warns of, before anything is asked of LINE -------------------------


def checked(code: str) -> tuple[set[str], set[str]]:
    """The codes that checking the bad and the good sample of a code gives."""
    sample = catalog.entry(code).sample
    assert sample is not None

    def codes(text: str) -> set[str]:
        files = {"a.aud": text, **dict(sample.files)}
        answers = (answer({"id": 1, "kind": kind, "files": files}) for kind in ("check", "lint"))
        return {one["code"] for said in answers for one in said["diagnostics"]}

    return codes(sample.bad), codes(sample.good)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("AUD0330", marks=pytest.mark.rule("line.redelivery.kind")),
        pytest.param("AUD0329", marks=pytest.mark.rule("line.audience.request_kind")),
        pytest.param("AUD0518", marks=pytest.mark.rule("line.audience.window")),
        pytest.param("AUD0519", marks=pytest.mark.rule("line.redelivery.age", "line.audience.life")),
    ],
)
def test_what_line_cannot_aim_at_is_told(code: str) -> None:
    bad, good = checked(code)
    assert code in bad
    assert code not in good
