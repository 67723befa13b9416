"""LINE's OpenAPI descriptions as a judge of answers and request bodies, where they are right.

The copies in line-openapi/ are LINE's (Apache-2.0, licence beside them). Where the reference documentation
contradicts them, `AMENDMENTS` changes the loaded copy and says why; nothing else is skipped.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "line-openapi"
FILES = ("manage-audience", "messaging-api", "insight")

# What the reference documentation says otherwise: file, what, why.
AMENDMENTS = (
    ("manage-audience", "DELETE answers 202", "the reference documents 202, the description 200"),
    ("manage-audience", "jobs[].failedType and jobs[].description may be null", "the reference shows null for both"),
    ("manage-audience", "createRoute has BUSINESS_MANAGER and YAHOO_DISPLAY_ADS", "shared audiences carry them"),
    ("manage-audience", "POST /imp answers like POST /click", "the reference documents the full answer"),
    ("insight", "hidden numbers are null", "values under 20 are null by the reference, not absent"),
)


def _nullable(schema: dict[str, Any]) -> None:
    for name, value in list(schema["properties"].items()):
        schema["properties"][name] = {"anyOf": [value, {"type": "null"}]}


def _amend(name: str, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    if name == "manage-audience":
        deletion = document["paths"]["/v2/bot/audienceGroup/{audienceGroupId}"]["delete"]["responses"]
        deletion["202"] = deletion.pop("200")
        for field in ("failedType", "description"):
            value = schemas["AudienceGroupJob"]["properties"][field]
            schemas["AudienceGroupJob"]["properties"][field] = {"anyOf": [value, {"type": "null"}]}
        imp, click = (schemas[f"Create{kind}BasedAudienceGroupResponse"]["properties"] for kind in ("Imp", "Click"))
        imp.update({field: value for field, value in click.items() if field != "clickUrl"})
        schemas["AudienceGroupCreateRoute"]["enum"] += ["BUSINESS_MANAGER", "YAHOO_DISPLAY_ADS"]
    if name == "insight":
        for each in ("GetMessageEventResponse", "GetStatisticsPerUnitResponse"):
            for part in ("Overview", "Message", "Click"):
                _nullable(schemas[each + part])


@cache
def description(name: str) -> dict[str, Any]:
    """One description, amended."""
    document: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    _amend(name, document)
    return document


def operations() -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
    """(method, path template) → (file, operation) of everything described."""
    return {
        (method.upper(), path): (name, operation)
        for name in FILES
        for path, item in description(name)["paths"].items()
        for method, operation in item.items()
        if method in ("get", "post", "put", "delete")
    }


def _problems(name: str, schema: dict[str, Any], value: Any) -> list[str]:
    from jsonschema import Draft202012Validator

    root = {"components": description(name)["components"], **schema}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(root).iter_errors(value)]


def answer_problems(method: str, template: str, status: int, body: Any) -> list[str]:
    """What LINE's description says against an answer."""
    name, operation = operations()[method, template]
    responses = {str(code): value for code, value in operation["responses"].items()}
    if str(status) not in responses:
        return [f"status {status} is not described"]
    content = responses[str(status)].get("content", {}).get("application/json")
    return [] if content is None else _problems(name, content["schema"], body)


def unknown_fields(method: str, template: str, status: int, body: Any) -> list[str]:
    """Top-level fields of an answer that the description does not have."""
    name, operation = operations()[method, template]
    responses = {str(code): value for code, value in operation["responses"].items()}
    content = responses[str(status)].get("content", {}).get("application/json")
    if content is None:
        return []
    schema = content["schema"]
    if "$ref" in schema:
        schema = description(name)["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return sorted(set(body) - set(schema.get("properties", body)))


def request_problems(method: str, template: str, body: Any) -> list[str]:
    """What LINE's description says against a JSON request body."""
    name, operation = operations()[method, template]
    content = operation["requestBody"]["content"]["application/json"]
    return _problems(name, content["schema"], body)
