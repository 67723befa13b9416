"""The inventory of an account, and finding audiences in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from audsql.diag import Diagnostic
from audsql.line.client import LineClient
from audsql.line.inventory import (
    Inventory,
    InventoryFailure,
    failure_diagnostic,
    read_inventory,
)
from audsql.line.models import AudienceInfo
from audsql.line.outcome import Limited, Refused, Unknown
from audsql.line.ports import ClientPorts
from audsql.line.transport import open_client

NOW = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)  # already the 22nd in Japan
Answers = dict[str, Callable[[httpx.Request], httpx.Response]]


def ok(body: object) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(200, json=body, headers={"X-Line-Request-Id": "r"})


def no(status: int) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(status, json={"message": "no"})


GROUP = {"audienceGroupId": 8, "type": "CHAT_TAG", "description": "VIP", "status": "READY", "audienceCount": 3}
BASE: Answers = {
    "/v2/bot/info": ok({"userId": "Ubot", "displayName": "店"}),
    "/v2/bot/audienceGroup/list": ok({"audienceGroups": [GROUP], "hasNextPage": False, "totalCount": 1}),
    "/v2/bot/audienceGroup/shared/list": ok({"audienceGroups": [], "hasNextPage": False, "totalCount": 0}),
    "/v2/bot/message/quota": ok({"type": "limited", "value": 1_000}),
    "/v2/bot/message/quota/consumption": ok({"totalUsage": 300}),
    "/v2/bot/insight/followers": ok({"status": "ready", "followers": 90, "targetedReaches": 70, "blocks": 12}),
}


def client_with(answers: Answers) -> LineClient:
    table = BASE | answers
    transport = httpx.MockTransport(lambda request: table[request.url.path](request))
    ports = ClientPorts(lambda: NOW, lambda seconds: None, lambda: 0.0)
    client = open_client("line", "shop", "token", ports, lambda: transport)
    assert isinstance(client, LineClient)
    return client


def inventory_with(*audiences: AudienceInfo, shared: tuple[AudienceInfo, ...] = ()) -> Inventory:
    return Inventory("shop", "Ubot", NOW, audiences, shared)


@pytest.mark.rule("line.quota.subtracted", "line.followers.blocks", "line.followers.day")
def test_everything_is_read() -> None:
    found = read_inventory(client_with({}))
    assert isinstance(found, Inventory)
    assert (found.bot_id, found.quota_remaining, found.friends, found.target_reach) == ("Ubot", 700, 78, 70)
    assert found.followers_day is not None
    assert found.followers_day.isoformat() == "2026-11-21"
    assert found.by_id(8) is not None
    assert found.by_id(9) is None


@pytest.mark.rule("line.followers.day")
def test_yesterdays_counts_may_not_be_ready_yet() -> None:
    days: list[str] = []

    def followers(request: httpx.Request) -> httpx.Response:
        days.append(request.url.params["date"])
        ready = {"status": "ready", "followers": 5, "targetedReaches": None, "blocks": None}
        return httpx.Response(200, json=ready if len(days) == 2 else {"status": "unready"})

    found = read_inventory(client_with({"/v2/bot/insight/followers": followers}))
    assert isinstance(found, Inventory)
    assert days == ["20261121", "20261120"]
    assert (found.friends, found.target_reach) == (5, None)


@pytest.mark.rule("line.quota.kinds")
def test_what_line_refuses_to_some_accounts_is_absent() -> None:
    refusing = {"/v2/bot/insight/followers": no(403), "/v2/bot/audienceGroup/shared/list": no(403)}
    found = read_inventory(client_with({**refusing, "/v2/bot/message/quota": ok({"type": "none"})}))
    assert isinstance(found, Inventory)
    assert (found.followers, found.shared, found.quota_remaining) == (None, (), None)


@pytest.mark.parametrize("path", sorted(BASE))
def test_an_uncertain_answer_is_a_failure(path: str) -> None:
    failure = read_inventory(client_with({path: no(500)}))
    assert isinstance(failure, InventoryFailure)
    assert failure.outcome == Unknown("status-500")
    assert path.rsplit("/", 1)[1] in str(failure.diagnostic().fact("endpoint"))


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Refused(401, (), "no"), "AUD0804"),
        (Refused(400, ("X",), "no", "size"), "AUD0805"),
        (Limited("rate"), "AUD0806"),
        (Limited("monthly"), "AUD0807"),
        (Unknown("timeout"), "AUD0808"),
    ],
)
def test_each_failure_has_its_code(outcome: Refused | Limited | Unknown, code: str) -> None:
    diagnostic = failure_diagnostic("shop", "quota", outcome)
    assert isinstance(diagnostic, Diagnostic)
    assert diagnostic.code == code
