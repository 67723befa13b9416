"""Every request of the client against LINE's OpenAPI description, deeper than a schema library reads it.

The description dispatches recipients, filters, messages and actions by a `discriminator`, which schema
libraries ignore, so that anything passes there. `problems` follows it, and also refuses fields that the
description does not know. Where the description is wrong (specs/line.md) the reference holds: it names
no required fields for audiences, and puts no bound on `uploadDescription`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from audsql.compile.program import (
    AgeBetween,
    AllFilters,
    AllOf,
    AnyFilter,
    AnyOf,
    AreaIn,
    AudienceLeaf,
    FriendForBetween,
    GenderIn,
    NoneOf,
    NotFilter,
    OsIn,
    RedeliveryLeaf,
)
from audsql.line import limits
from audsql.line.client import LineClient
from audsql.line.ports import ClientPorts
from audsql.line.recipient import (
    Limit,
    broadcast_body,
    everybody_body,
    filter_json,
    filter_only_body,
    multicast_body,
    narrowcast_body,
    push_body,
    recipient_json,
)
from audsql.line.transport import open_client

FILES = ("manage-audience.yml", "messaging-api.yml", "insight.yml")
KEY = "123e4567-e89b-12d3-a456-426614174000"
PERSON = "U" + "0" * 32
TEXT = [{"type": "text", "text": "こんにちは"}]
Schema = dict[str, Any]


@cache
def description(name: str) -> Schema:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((Path(__file__).parent / "line-openapi" / name).read_text(encoding="utf-8"), Loader=loader)


def resolve(schema: Schema, document: Schema) -> Schema:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def merged(schema: Schema, document: Schema) -> Schema:
    """One object schema out of a schema and everything it is made of."""
    schema = resolve(schema, document)
    parts = [merged(part, document) for part in schema.get("allOf", ())]
    result = {key: value for key, value in schema.items() if key != "allOf"}
    result["properties"] = {k: v for part in (*parts, schema) for k, v in part.get("properties", {}).items()}
    result["required"] = sorted({name for part in (*parts, schema) for name in part.get("required", ())})
    return result


def problems(schema: Schema, value: Any, document: Schema, path: str = "$") -> Iterator[str]:
    """Where `value` is not what the schema describes."""
    schema = resolve(schema, document)
    mapping = schema.get("discriminator", {}).get("mapping", {})
    if mapping and isinstance(value, dict):
        if value.get("type") not in mapping:
            yield f"{path}: type {value.get('type')!r}"
            return
        schema = resolve({"$ref": mapping[value["type"]]}, document)
    whole = merged(schema, document)
    if whole["properties"]:
        if not isinstance(value, dict):
            yield f"{path}: not an object"
            return
        yield from (f"{path}: lacks {name}" for name in whole["required"] if name not in value)
        yield from (f"{path}: unknown {name}" for name in value if name not in whole["properties"])
        for name in value.keys() & whole["properties"].keys():
            yield from problems(whole["properties"][name], value[name], document, f"{path}.{name}")
        return
    plain = {key: rule for key, rule in whole.items() if key in ("type", "enum", "maxLength", "minLength", "pattern")}
    plain |= {key: whole[key] for key in ("maxItems", "minItems", "minimum", "maximum") if key in whole}
    yield from (f"{path}: {found.message}" for found in jsonschema.Draft202012Validator(plain).iter_errors(value))
    if isinstance(value, list) and "items" in whole:
        for index, item in enumerate(value):
            yield from problems(whole["items"], item, document, f"{path}[{index}]")


def described(method: str, path: str) -> tuple[Schema, Schema, str]:
    """The operation of a request, its document, and its path template; exact paths before templates."""
    for exact in (True, False):
        for name in FILES:
            for template, entry in description(name)["paths"].items():
                pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
                matches = path == template if exact else re.fullmatch(pattern, path) is not None
                if matches and method.lower() in entry:
                    return entry[method.lower()], description(name), template
    raise AssertionError(f"{method} {path} is not described")


def seen(call: Callable[[LineClient], object]) -> httpx.Request:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(
            200, json={"audienceGroups": [], "audienceGroupId": 1}, headers={"X-Line-Request-Id": "r"}
        )

    ports = ClientPorts(lambda: datetime(2026, 11, 21, tzinfo=UTC), lambda seconds: None, lambda: 0.0)
    client = open_client("line", "shop", "token", ports, lambda: httpx.MockTransport(answer))
    assert isinstance(client, LineClient)
    call(client)
    return requests[0]


LEAVES = {f"k{number}": number for number in range(1, 8)}
RECIPIENT = recipient_json(
    AllOf((AudienceLeaf("k1"), NoneOf(AnyOf((AudienceLeaf("k2"), RedeliveryLeaf("d")))))), LEAVES, {("d", 0): "r"}
)
FILTER = filter_json(
    AllFilters(
        (
            GenderIn(("female",)),
            AgeBetween("age_30", "age_40"),
            AnyFilter((AreaIn(("jp_13", "tw_01", "th_08")), OsIn(("ios",)))),
            NotFilter(FriendForBetween("day_90", None)),
        )
    )
)
CALLS: dict[str, Callable[[LineClient], object]] = {
    "create_upload": lambda client: client.create_upload("名", [PERSON], "fp/1of1"),
    "add_ids": lambda client: client.add_ids(5, [PERSON], "fp/1of1"),
    "create_upload_file": lambda client: client.create_upload_file("名", [PERSON], "fp/1of1"),
    "add_ids_file": lambda client: client.add_ids_file(5, [PERSON]),
    "create_click": lambda client: client.create_click("名", "r", "https://e.example/a"),
    "create_impression": lambda client: client.create_impression("名", "r"),
    "rename": lambda client: client.rename(5, "名"),
    "delete": lambda client: client.delete(5),
    "audience": lambda client: client.audience(5),
    "audiences": lambda client: client.audiences("名"),
    "shared_audiences": lambda client: client.shared_audiences(),
    "narrowcast": lambda client: client.narrowcast(narrowcast_body(RECIPIENT, FILTER, TEXT, Limit(9), True), KEY),
    "narrowcast_filter": lambda client: client.narrowcast(filter_only_body(FILTER, TEXT, Limit(9)), KEY),
    "narrowcast_everybody": lambda client: client.narrowcast(everybody_body(TEXT, Limit(9)), KEY),
    "broadcast": lambda client: client.broadcast(broadcast_body(TEXT, True), KEY),
    "multicast": lambda client: client.multicast(multicast_body([PERSON], TEXT, unit="sale_1"), KEY),
    "push": lambda client: client.push(push_body(PERSON, TEXT, unit="sale_1"), KEY),
    "progress": lambda client: client.progress("r"),
    "quota": lambda client: client.quota(),
    "consumption": lambda client: client.consumption(),
    "validate": lambda client: client.validate("narrowcast", TEXT),
    "followers": lambda client: client.followers(date(2026, 11, 20)),
    "insight_event": lambda client: client.insight_event("r"),
    "bot": lambda client: client.bot(),
}
# What LINE's reference requires and its OpenAPI description does not say.
REQUIRED = {
    "create_upload": {"description"},
    "add_ids": {"audienceGroupId", "audiences"},
    "create_upload_file": {"description", "file"},
    "add_ids_file": {"audienceGroupId", "file"},
    "create_click": {"description", "requestId"},
    "create_impression": {"description", "requestId"},
    "rename": {"description"},
}


def multipart(request: httpx.Request) -> dict[str, str]:
    return dict(re.findall(r'name="(\w+)".*?\r\n\r\n(.*?)\r\n--', request.content.decode(), re.DOTALL))


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_request_is_as_line_describes_it(name: str) -> None:
    request = seen(CALLS[name])
    entry, document, template = described(request.method, request.url.path)
    host = entry.get("servers", document["paths"][template].get("servers", document["servers"]))[0]["url"]
    assert str(request.url).startswith(host)
    parameters = [resolve(parameter, document) for parameter in entry.get("parameters", ())]
    assert set(request.url.params) <= {each["name"] for each in parameters if each["in"] == "query"}
    assert {each["name"] for each in parameters if each["in"] == "query" and each.get("required")} <= set(
        request.url.params
    )
    keyed = any(each["name"] == "X-Line-Retry-Key" for each in parameters)
    assert ("x-line-retry-key" in request.headers) == keyed
    content = entry.get("requestBody", {}).get("content", {})
    if not content:
        assert request.content == b""
        return
    (kind,) = content
    assert request.headers["content-type"].startswith(kind)
    body = json.loads(request.content) if kind == "application/json" else multipart(request)
    assert REQUIRED.get(name, set()) <= body.keys()
    if kind == "application/json":
        assert list(problems(content[kind]["schema"], body, document)) == []
    else:
        assert body.keys() <= merged(content[kind]["schema"], document)["properties"].keys()


@pytest.mark.parametrize(
    "change",
    [
        {"recipient": {"type": "audience"}, "extra": 1},
        {"recipient": {"type": "unheard"}},
        {"recipient": {"type": "audience", "audienceGroupId": "5"}},
        {"filter": {"demographic": {"type": "area", "oneOf": ["jp_99"]}}},
        {"messages": []},
        {"messages": TEXT * 6},
        {"limit": {"max": 0}},
        {"customAggregationUnits": ["x"]},
    ],
)
def test_the_check_itself_finds_faults(change: dict[str, object]) -> None:
    document = description("messaging-api.yml")
    schema = document["components"]["schemas"]["NarrowcastRequest"]
    good = json.loads(narrowcast_body(RECIPIENT, FILTER, TEXT, Limit(9)))
    assert list(problems(schema, good, document)) == []
    assert list(problems(schema, good | change, document)) != []


def enumeration(name: str) -> set[str]:
    return set(description("messaging-api.yml")["components"]["schemas"][name]["enum"])


def test_the_closed_lists_are_lines() -> None:
    assert set(limits.AGE_CODES) == enumeration("AgeDemographic")
    assert set(limits.FRIEND_FOR_CODES) == enumeration("SubscriptionPeriodDemographic")
    assert set(limits.GENDERS) == enumeration("GenderDemographic")
    assert set(limits.OSES) == enumeration("AppTypeDemographic")
    # The Indonesian areas left the reference (specs/line.md).
    assert set(limits.AREAS) == {code for code in enumeration("AreaDemographic") if not code.startswith("id_")}


def test_the_numbers_are_lines_where_it_describes_them() -> None:
    schemas = description("messaging-api.yml")["components"]["schemas"]
    assert schemas["MulticastRequest"]["properties"]["to"]["maxItems"] == limits.MULTICAST_RECIPIENTS_MAX
    assert schemas["NarrowcastRequest"]["properties"]["messages"]["maxItems"] == limits.MESSAGES_PER_SEND_MAX
    unit = schemas["MulticastRequest"]["properties"]["customAggregationUnits"]["items"]["pattern"]
    assert re.fullmatch(unit, "a_B9" * 7)
    assert limits.UNIT_NAME.fullmatch("a_B9" * 7)
    groups = description("manage-audience.yml")["components"]["schemas"]
    upload = groups["CreateAudienceGroupRequest"]["properties"]
    assert upload["description"]["maxLength"] == limits.AUDIENCE_NAME_CHARACTERS_MAX
    assert upload["audiences"]["maxItems"] == limits.UPLOAD_JSON_IDS_MAX
    assert set(groups["AudienceGroupStatus"]["enum"]) == set(limits.AUDIENCE_STATUSES)
    assert set(groups["AudienceGroupType"]["enum"]) <= set(limits.AUDIENCE_TYPES)
