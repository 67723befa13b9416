"""The inventory of an account, and finding audiences in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from audsql.diag import Diagnostic
from audsql.line.client import LineClient
from audsql.line.inventory import (
    Inventory,
    InventoryFailure,
    failure_diagnostic,
    find_audiences,
    find_remote,
    read_inventory,
)
from audsql.line.models import AudienceInfo
from audsql.line.outcome import Limited, Refused, Unknown
from audsql.line.ports import ClientPorts
from audsql.line.transport import open_client
from audsql.meaning.ir import RemoteAudience

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


def test_everything_is_read() -> None:
    found = read_inventory(client_with({}))
    assert isinstance(found, Inventory)
    assert (found.bot_id, found.quota_remaining, found.friends, found.target_reach) == ("Ubot", 700, 78, 70)
    assert found.followers_day is not None
    assert found.followers_day.isoformat() == "2026-11-21"
    assert found.by_id(8) is not None
    assert found.by_id(9) is None


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


def audience(
    number: int, name: str = "VIP", kind: str = "CHAT_TAG", status: str = "READY", **more: object
) -> AudienceInfo:
    return AudienceInfo(number, kind, name, status, **more)  # type: ignore[arg-type]


def atom(name: str = "VIP", kind: str = "CHAT_TAG") -> RemoteAudience:
    return RemoteAudience("shop", kind, name)


def test_names_are_compared_without_case_and_may_be_shared_by_several() -> None:
    inventory = inventory_with(audience(3), audience(2, "vip"), audience(1, "VIP", "IMP"), audience(4, "ＶＩＰ"))
    assert [found.id for found in find_audiences(inventory, "CHAT_TAG", "Vip")] == [2, 3]


def test_an_expired_namesake_does_not_count() -> None:
    old = audience(1, expires_at=NOW - timedelta(days=1))
    assert find_audiences(inventory_with(old, audience(2)), "CHAT_TAG", "VIP") == (audience(2),)
    assert find_audiences(inventory_with(old), "CHAT_TAG", "VIP") == (old,)


FINDINGS = [
    (inventory_with(audience(1, count=3)), atom(), None),
    (inventory_with(audience(1, kind="FRIEND_PATH", count=50)), atom(kind="FRIEND_PATH"), None),
    (inventory_with(audience(1, kind="TRACKINGTAG_WEBTRAFFIC", count=90)), atom(kind="WEBTRAFFIC"), None),
    (inventory_with(shared=(audience(1, kind="UPLOAD", count=90),)), atom(kind="SHARED"), None),
    (inventory_with(), atom(), "AUD0810"),
    (inventory_with(audience(1, kind="IMP")), atom(), "AUD0810"),
    (inventory_with(audience(1), audience(2)), atom(), "AUD0811"),
    (inventory_with(audience(1, status="IN_PROGRESS")), atom(), "AUD0812"),
    (inventory_with(audience(1, status="RESTING")), atom(), "AUD0812"),
    (inventory_with(audience(1, expires_at=NOW)), atom(), "AUD0812"),
    (inventory_with(audience(1, kind="FRIEND_PATH", count=49)), atom(kind="FRIEND_PATH"), "AUD0813"),
    (inventory_with(audience(1, kind="FRIEND_PATH", count=0)), atom(kind="FRIEND_PATH"), "AUD0813"),
    (inventory_with(shared=(audience(1, kind="UPLOAD", count=49),)), atom(kind="SHARED"), "AUD0813"),
]


@pytest.mark.parametrize(("inventory", "wanted", "code"), FINDINGS)
def test_an_atom_finds_its_audience_or_says_why_not(
    inventory: Inventory, wanted: RemoteAudience, code: str | None
) -> None:
    found, diagnostics = find_remote(inventory, wanted)
    assert [diagnostic.code for diagnostic in diagnostics] == ([code] if code else [])
    assert (found is None) == (code is not None)


def test_a_hidden_count_is_not_shown_as_zero_and_a_near_name_is_offered() -> None:
    _, (small,) = find_remote(inventory_with(audience(1, kind="IMP", count=0)), atom(kind="IMP"))
    assert small.fact("count") is None
    _, (missing,) = find_remote(inventory_with(audience(1, "VIP会員")), atom("VIP会"))
    assert missing.fact("near") == "VIP会員"
