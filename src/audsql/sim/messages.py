"""Message objects: the checks LINE makes on the messages of a send before it accepts it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from audsql.sim import rules
from audsql.sim.bodies import check_object, is_kind
from audsql.sim.model import Json

_COMMON = {"type": "string", "quickReply": "object", "sender": "object"}


@dataclass(frozen=True, slots=True)
class _Shape:
    """The fields of one message type beyond the common ones, and which of them are required."""

    fields: dict[str, str]
    required: tuple[str, ...]


_MEDIA = {"originalContentUrl": "string", "previewImageUrl": "string"}
_SHAPES = {
    "text": _Shape({"text": "string", "emojis": "array", "quoteToken": "string"}, ("text",)),
    "textV2": _Shape({"text": "string", "substitution": "object", "quoteToken": "string"}, ("text",)),
    "sticker": _Shape(
        {"packageId": "string", "stickerId": "string", "quoteToken": "string"}, ("packageId", "stickerId")
    ),
    "image": _Shape(_MEDIA, ("originalContentUrl", "previewImageUrl")),
    "video": _Shape({**_MEDIA, "trackingId": "string"}, ("originalContentUrl", "previewImageUrl")),
    "audio": _Shape({"originalContentUrl": "string", "duration": "number"}, ("originalContentUrl", "duration")),
    "location": _Shape(
        {"title": "string", "address": "string", "latitude": "number", "longitude": "number"},
        ("title", "address", "latitude", "longitude"),
    ),
    "imagemap": _Shape(
        {"baseUrl": "string", "altText": "string", "baseSize": "object", "actions": "array", "video": "object"},
        ("baseUrl", "altText", "baseSize", "actions"),
    ),
    "template": _Shape({"altText": "string", "template": "object"}, ("altText", "template")),
    "flex": _Shape({"altText": "string", "contents": "object"}, ("altText", "contents")),
    "coupon": _Shape({"couponId": "string", "deliveryTag": "string"}, ("couponId",)),
}
# Longest texts, in UTF-16 code units as LINE counts them.
_LENGTHS = {
    "text": 5_000,
    "altText": 1_500,
    "originalContentUrl": 2_000,
    "previewImageUrl": 2_000,
    "baseUrl": 2_000,
    "trackingId": 100,
    "title": 100,
    "address": 100,
    "deliveryTag": 30,
}
_HTTPS_FIELDS = ("originalContentUrl", "previewImageUrl", "baseUrl")
_INNER_TYPES = {
    "template": ("template", ("buttons", "confirm", "carousel", "image_carousel")),
    "flex": ("contents", ("bubble", "carousel")),
}
_URL = re.compile(r"https?://[^\s<>\"]+")


def check_messages(messages: list[Json]) -> tuple[Json, ...]:
    """The messages when there are 1 to 5 and each is well formed; else LINE's 400."""
    if not 1 <= len(messages) <= rules.MESSAGES_PER_SEND:
        raise rules.refuse_field("messages", f"Size must be between 1 and {rules.MESSAGES_PER_SEND}")
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    return tuple(messages)


def _check_message(message: Json, where: str) -> None:
    if not isinstance(message, dict):
        raise rules.refuse_property(where)
    kind = message.get("type")
    if not is_kind(kind, "string") or kind not in _SHAPES:
        raise rules.refuse_field(f"{where}.type", f"Must be one of the following values: [{', '.join(_SHAPES)}]")
    shape = _SHAPES[kind]
    given = check_object(message, where, {**_COMMON, **shape.fields}, shape.required)
    for name, value in given.items():
        if isinstance(value, str):
            _check_text(name, value, f"{where}.{name}", name in shape.required)
    if kind in _INNER_TYPES:
        field, kinds = _INNER_TYPES[kind]
        if given[field].get("type") not in kinds:
            raise rules.refuse_field(
                f"{where}.{field}.type", f"Must be one of the following values: [{', '.join(kinds)}]"
            )


def _check_text(name: str, value: str, where: str, required: bool) -> None:
    if required and not value.strip():
        raise rules.refuse_field(where, "May not be empty")
    longest = _LENGTHS.get(name)
    if longest is not None and len(value.encode("utf-16-le", "surrogatepass")) // 2 > longest:
        raise rules.refuse_field(where, f"Length must be between 1 and {longest}")
    if name in _HTTPS_FIELDS and not value.startswith("https://"):
        raise rules.refuse_field(where, "Must be a valid HTTPS URL")


def urls_of(messages: tuple[Json, ...]) -> tuple[str, ...]:
    """Every address that a reader of the messages can open, in the order they stand, each once."""
    return tuple(dict.fromkeys(_urls(list(messages))))


def _urls(value: Json) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _urls(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in ("uri", "linkUri") and isinstance(each, str):
                yield each
            elif name == "text" and isinstance(each, str):
                yield from _URL.findall(each)
            else:
                yield from _urls(each)
