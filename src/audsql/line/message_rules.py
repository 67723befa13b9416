"""The rules of LINE message objects as data: which fields, of which shape, within which limits.

A `Check` looks at a value and notes what is wrong with it. Objects are tables of fields; what holds only of
some objects (an emoji's place, a picture's shorter text) stands in a function beside its table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from urllib.parse import urlsplit

from audsql.diag import Diagnostic, error, warning
from audsql.line import limits
from audsql.line.recipient import canonical_json
from audsql.records import dataclass
from audsql.source import Span

__all__ = ["MESSAGE", "StringRule", "Walk", "utf16_length"]


@dataclass(frozen=True, slots=True)
class StringRule:
    """What a string must be: at most so many characters, not blank unless it may be; `link`: also checked as one."""

    limit: int
    may_be_empty: bool
    link: Callable[[Walk, object, str], None] | None = None


@dataclass(slots=True)
class Walk:
    """The message that is looked at, and what was found wrong with it. `strings`, where it is given: what each string
    must be, by path. `fixed`: paths of strings that are words of LINE's."""

    message: str
    span: Span | None
    found: list[Diagnostic] = field(default_factory=list)
    strings: dict[str, list[StringRule]] | None = None
    fixed: set[str] = field(default_factory=set)


Check = Callable[[Walk, object, str], None]
Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rule:
    """A field of an object."""

    name: str
    check: Check
    required: bool = True


def utf16_length(text: str) -> int:
    """UTF-16 code units: what LINE counts as characters."""
    return len(text) if text.isascii() else len(text) + len(_ASTRAL.findall(text))


_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_NO_TEXT = re.compile("[\ud800-\udfff\0]")


# --- shapes -------------------------------------------------------------------------------------------------


def _wrong_shape(walk: Walk, path: str, expected: str) -> None:
    walk.found.append(error("AUD1104", walk.span, message=walk.message, path=path, expected=expected))


def _text(limit: int, may_be_empty: bool = False) -> Check:
    rule = StringRule(limit, may_be_empty)

    def check(walk: Walk, value: object, path: str) -> None:
        if walk.strings is not None:
            walk.strings.setdefault(path, []).append(rule)
        if not isinstance(value, str):
            return _wrong_shape(walk, path, "string")
        if not value.strip() and not may_be_empty:
            walk.found.append(error("AUD1113", walk.span, message=walk.message, path=path))
        count = utf16_length(value)
        if count > limit:
            walk.found.append(error("AUD1105", walk.span, message=walk.message, path=path, count=count, limit=limit))
        if _NO_TEXT.search(value):
            walk.found.append(error("AUD1112", walk.span, message=walk.message, path=path))
        return None

    return check


def _link(limit: int, schemes: tuple[str, ...]) -> Check:
    measure = _text(limit)

    def check(walk: Walk, value: object, path: str) -> None:
        if walk.strings is not None:
            walk.strings.setdefault(path, []).append(rule)
        measure(walk, value, path)
        if not isinstance(value, str) or not value.strip():
            return
        scheme = _scheme(value)
        if scheme not in schemes:
            walk.found.append(
                error("AUD1106", walk.span, message=walk.message, path=path, scheme=scheme or None, schemes=schemes)
            )

    rule = StringRule(limit, False, check)
    return check


def _scheme(link: str) -> str:
    """The scheme of a link; '' where it is not a link at all."""
    try:
        parts = urlsplit(link)
        broken = parts.scheme in ("http", "https") and not parts.hostname
    except ValueError:
        return ""
    return "" if broken or re.search(r"\s", link) else parts.scheme.lower()


def _number(walk: Walk, value: object, path: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _wrong_shape(walk, path, "number")


def _whole(walk: Walk, value: object, path: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        _wrong_shape(walk, path, "integer")


def _any(walk: Walk, value: object, path: str) -> None:
    """A field whose inside LINE alone judges."""


def _one_of(*allowed: str) -> Check:
    def check(walk: Walk, value: object, path: str) -> None:
        walk.fixed.add(path)
        if not isinstance(value, str):
            return _wrong_shape(walk, path, "string")
        if value not in allowed:
            walk.found.append(
                warning("AUD1108", walk.span, message=walk.message, path=path, value=value[:40], allowed=allowed)
            )
        return None

    return check


def _items(check_item: Check, low: int, high: int) -> Check:
    def check(walk: Walk, value: object, path: str) -> None:
        if not isinstance(value, list):
            return _wrong_shape(walk, path, "array")
        if not low <= len(value) <= high:
            walk.found.append(
                error("AUD1107", walk.span, message=walk.message, path=path, count=len(value), low=low, high=high)
            )
        for index, item in enumerate(value):
            check_item(walk, item, f"{path}[{index}]")
        return None

    return check


def _object(*rules: Rule) -> Check:
    def check(walk: Walk, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            return _wrong_shape(walk, path, "object")
        for rule in rules:
            if rule.name in value:
                rule.check(walk, value[rule.name], _under(path, rule.name))
            elif rule.required:
                walk.found.append(error("AUD1103", walk.span, message=walk.message, path=path or "$", field=rule.name))
        return None

    return check


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _union(table: Mapping[str, tuple[Check, ...]]) -> Check:
    """An object whose `type` says which rules hold; an unknown type is only warned of."""

    def check(walk: Walk, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            return _wrong_shape(walk, path or "$", "object")
        walk.fixed.add(_under(path, "type"))
        kind = value.get("type")
        if kind is None:
            walk.found.append(error("AUD1103", walk.span, message=walk.message, path=path or "$", field="type"))
        elif not isinstance(kind, str):
            _wrong_shape(walk, _under(path, "type"), "string")
        elif kind not in table:
            allowed = tuple(sorted(table))
            walk.found.append(
                warning("AUD1109", walk.span, message=walk.message, path=path or "$", kind=kind[:40], allowed=allowed)
            )
        else:
            for each in table[kind]:
                each(walk, value, path)
        return None

    return check


def _optional(name: str, check: Check) -> Rule:
    return Rule(name, check, required=False)


_MEDIA = _link(limits.MESSAGE_URL_CHARACTERS_MAX, limits.MEDIA_SCHEMES)
_URI = _link(limits.ACTION_URI_CHARACTERS_MAX, limits.ACTION_SCHEMES)
_ANY_TEXT = _text(limits.TEXT_CHARACTERS_MAX)
_ACTION_TEXT = _text(limits.ACTION_TEXT_CHARACTERS_MAX)

# --- actions ------------------------------------------------------------------------------------------------


def _action(label_limit: int, label_required: bool) -> Check:
    """An action object; what its label must be depends on what carries it."""
    label = Rule("label", _text(label_limit), label_required)
    data = Rule("data", _text(limits.ACTION_TEXT_CHARACTERS_MAX, may_be_empty=True))
    desktop = _object(_optional("desktop", _URI))
    postback = _object(
        label,
        data,
        _optional("displayText", _ACTION_TEXT),
        _optional("text", _ACTION_TEXT),
        _optional("inputOption", _one_of("closeRichMenu", "openRichMenu", "openKeyboard", "openVoice")),
        _optional("fillInText", _text(limits.ACTION_TEXT_CHARACTERS_MAX, may_be_empty=True)),
    )
    own_label = _object(Rule("label", _text(limits.ACTION_LABEL_CHARACTERS_MAX)))
    return _union(
        {
            "postback": (postback,),
            "message": (_object(label, Rule("text", _ACTION_TEXT)),),
            "uri": (_object(label, Rule("uri", _URI), _optional("altUri", desktop)),),
            "datetimepicker": (_object(label, data, Rule("mode", _one_of("date", "time", "datetime"))),),
            "clipboard": (_object(label, Rule("clipboardText", _text(limits.CLIPBOARD_TEXT_CHARACTERS_MAX))),),
            "camera": (own_label,),
            "cameraRoll": (own_label,),
            "location": (own_label,),
            "richmenuswitch": (_object(Rule("richMenuAliasId", _ANY_TEXT), data),),
        }
    )


_TEMPLATE_ACTION = _action(limits.ACTION_LABEL_CHARACTERS_MAX, label_required=True)
_IMAGE_ACTION = _action(limits.IMAGE_CAROUSEL_LABEL_CHARACTERS_MAX, label_required=False)
_DEFAULT_ACTION = _action(limits.ACTION_LABEL_CHARACTERS_MAX, label_required=False)
_FLEX_BUTTON_ACTION = _action(limits.FLEX_LABEL_CHARACTERS_MAX, label_required=True)
_FLEX_ACTION = _action(limits.FLEX_LABEL_CHARACTERS_MAX, label_required=False)

# --- templates ----------------------------------------------------------------------------------------------

_PICTURE = (
    _optional("thumbnailImageUrl", _MEDIA),
    _optional("title", _text(limits.TEMPLATE_TITLE_CHARACTERS_MAX)),
    _optional("defaultAction", _DEFAULT_ACTION),
)


def _pictured(actions_max: int, text_limit: int) -> Check:
    """Buttons, or a column of a carousel: with a picture or a title the text must be shorter."""
    actions = Rule("actions", _items(_TEMPLATE_ACTION, 1, actions_max))
    plain = _object(*_PICTURE, Rule("text", _text(text_limit)), actions)
    short = _object(*_PICTURE, Rule("text", _text(limits.PICTURED_TEXT_CHARACTERS_MAX)), actions)

    def check(walk: Walk, value: object, path: str) -> None:
        has_picture = isinstance(value, Mapping) and ("thumbnailImageUrl" in value or "title" in value)
        (short if has_picture else plain)(walk, value, path)

    return check


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _alike(walk: Walk, value: object, path: str) -> None:
    """The columns of a carousel have equally many actions, and all or none of them a picture and a title."""
    columns = value.get("columns") if isinstance(value, Mapping) else None
    if not isinstance(columns, list) or not all(isinstance(column, Mapping) for column in columns):
        return
    shapes = {(_length(column.get("actions")), "title" in column, "thumbnailImageUrl" in column) for column in columns}
    if len(shapes) > 1:
        walk.found.append(error("AUD1117", walk.span, message=walk.message, path=_under(path, "columns")))


_CONFIRM = _object(
    Rule("text", _text(limits.CONFIRM_TEXT_CHARACTERS_MAX)),
    Rule("actions", _items(_TEMPLATE_ACTION, limits.CONFIRM_ACTIONS, limits.CONFIRM_ACTIONS)),
)
_COLUMN = _pictured(limits.CAROUSEL_ACTIONS_MAX, limits.CAROUSEL_TEXT_CHARACTERS_MAX)
_CAROUSEL = _object(Rule("columns", _items(_COLUMN, 1, limits.CAROUSEL_COLUMNS_MAX)))
_IMAGE_COLUMN = _object(Rule("imageUrl", _MEDIA), Rule("action", _IMAGE_ACTION))
_TEMPLATE = _union(
    {
        "buttons": (_pictured(limits.BUTTONS_ACTIONS_MAX, limits.BUTTONS_TEXT_CHARACTERS_MAX),),
        "confirm": (_CONFIRM,),
        "carousel": (_CAROUSEL, _alike),
        "image_carousel": (_object(Rule("columns", _items(_IMAGE_COLUMN, 1, limits.CAROUSEL_COLUMNS_MAX))),),
    }
)

# --- flex ---------------------------------------------------------------------------------------------------


def _component(walk: Walk, value: object, path: str) -> None:
    _COMPONENT(walk, value, path)


def _text_or_spans(walk: Walk, value: object, path: str) -> None:
    if isinstance(value, Mapping) and "text" not in value and "contents" not in value:
        walk.found.append(error("AUD1103", walk.span, message=walk.message, path=path, field="text"))


_FLEX_TEXT = _text(limits.TEXT_CHARACTERS_MAX, may_be_empty=True)
_SPAN = _union({"span": (_object(_optional("text", _FLEX_TEXT)),)})
_MANY = 10_000  # LINE gives no number for these; the size of the bubble bounds them
_BOX = _object(
    Rule("layout", _one_of("horizontal", "vertical", "baseline")),
    Rule("contents", _items(_component, 0, _MANY)),
    _optional("action", _FLEX_ACTION),
)
_COMPONENT = _union(
    {
        "box": (_BOX,),
        "button": (_object(Rule("action", _FLEX_BUTTON_ACTION)),),
        "image": (_object(Rule("url", _MEDIA), _optional("action", _FLEX_ACTION)),),
        "video": (
            _object(
                Rule("url", _MEDIA),
                Rule("previewUrl", _MEDIA),
                Rule("altContent", _component),
                _optional("action", _FLEX_ACTION),
            ),
        ),
        "icon": (_object(Rule("url", _MEDIA)),),
        "text": (
            _object(
                _optional("text", _FLEX_TEXT),
                _optional("contents", _items(_SPAN, 0, _MANY)),
                _optional("action", _FLEX_ACTION),
            ),
            _text_or_spans,
        ),
        "span": (_object(_optional("text", _FLEX_TEXT)),),
        "separator": (),
        "filler": (),
    }
)


def _at_most_bytes(limit: int) -> Check:
    def check(walk: Walk, value: object, path: str) -> None:
        try:
            count = len(canonical_json(value))
        except ValueError:
            return  # a text that has no UTF-8 form is reported where it stands
        if count > limit:
            walk.found.append(error("AUD1110", walk.span, message=walk.message, path=path, count=count, limit=limit))

    return check


_BUBBLE_RULES = _object(
    _optional("size", _one_of("nano", "micro", "deca", "hecto", "kilo", "mega", "giga")),
    _optional("direction", _one_of("ltr", "rtl")),
    _optional("header", _component),
    _optional("hero", _component),
    _optional("body", _component),
    _optional("footer", _component),
    _optional("action", _FLEX_ACTION),
)
_BUBBLE = (_BUBBLE_RULES, _at_most_bytes(limits.FLEX_BUBBLE_BYTES_MAX))
_BUBBLES = Rule("contents", _items(_union({"bubble": _BUBBLE}), 1, limits.FLEX_CAROUSEL_BUBBLES_MAX))
_CONTAINER = _union(
    {
        "bubble": _BUBBLE,
        "carousel": (_object(_BUBBLES), _at_most_bytes(limits.FLEX_CAROUSEL_BYTES_MAX)),
    }
)

# --- messages -----------------------------------------------------------------------------------------------

_QUICK_REPLY_ITEM = _object(
    Rule("type", _one_of("action")), _optional("imageUrl", _MEDIA), Rule("action", _TEMPLATE_ACTION)
)
_COMMON = _object(
    _optional("quickReply", _object(Rule("items", _items(_QUICK_REPLY_ITEM, 1, limits.QUICK_REPLY_ITEMS_MAX)))),
    _optional(
        "sender",
        _object(_optional("name", _text(limits.SENDER_NAME_CHARACTERS_MAX)), _optional("iconUrl", _MEDIA)),
    ),
)


def _emoji_places(walk: Walk, value: object, path: str) -> None:
    """Each emoji's index is the place of a `$` in the text, counted in UTF-16 code units."""
    if not isinstance(value, Mapping):
        return
    text, emojis = value.get("text"), value.get("emojis")
    if not isinstance(text, str) or not isinstance(emojis, list):
        return
    places, at = set(), 0
    for character in text:
        if character == "$":
            places.add(at)
        at += utf16_length(character)
    for number, emoji in enumerate(emojis):
        if isinstance(emoji, Mapping) and isinstance(emoji.get("index"), int) and emoji["index"] not in places:
            where = f"{_under(path, 'emojis')}[{number}]"
            walk.found.append(error("AUD1115", walk.span, message=walk.message, path=where))


def _no_mentions(walk: Walk, value: object, path: str) -> None:
    """LINE takes mentions only in pushes and replies to groups, and audsql sends neither."""
    table = value.get("substitution") if isinstance(value, Mapping) else None
    for key in sorted(table) if isinstance(table, Mapping) else ():
        entry = table[key] if isinstance(table, Mapping) else None
        if isinstance(entry, Mapping) and entry.get("type") == "mention":
            where = _under(path, f"substitution.{key}")
            walk.found.append(error("AUD1116", walk.span, message=walk.message, path=where))


_EMOJI = _object(Rule("index", _whole), Rule("productId", _ANY_TEXT), Rule("emojiId", _ANY_TEXT))
_ALT_TEXT = Rule("altText", _text(limits.ALT_TEXT_CHARACTERS_MAX))
_PLACE_TEXT = _text(limits.LOCATION_TEXT_CHARACTERS_MAX)
_AREA = _object(Rule("x", _whole), Rule("y", _whole), Rule("width", _whole), Rule("height", _whole))
_AREA_LABEL = _optional("label", _text(limits.IMAGEMAP_LABEL_CHARACTERS_MAX))
_IMAGEMAP_ACTION = _union(
    {
        "uri": (_object(Rule("linkUri", _URI), Rule("area", _AREA), _AREA_LABEL),),
        "message": (
            _object(Rule("text", _text(limits.IMAGEMAP_TEXT_CHARACTERS_MAX)), Rule("area", _AREA), _AREA_LABEL),
        ),
        "clipboard": (
            _object(
                Rule("clipboardText", _text(limits.CLIPBOARD_TEXT_CHARACTERS_MAX)), Rule("area", _AREA), _AREA_LABEL
            ),
        ),
    }
)
_IMAGEMAP_VIDEO = _object(
    Rule("originalContentUrl", _MEDIA),
    Rule("previewImageUrl", _MEDIA),
    Rule("area", _AREA),
    _optional(
        "externalLink",
        _object(Rule("linkUri", _URI), Rule("label", _text(limits.IMAGEMAP_VIDEO_LABEL_CHARACTERS_MAX))),
    ),
)
_IMAGEMAP = _object(
    Rule("baseUrl", _MEDIA),
    _ALT_TEXT,
    Rule("baseSize", _object(Rule("width", _whole), Rule("height", _whole))),
    Rule("actions", _items(_IMAGEMAP_ACTION, 0, limits.IMAGEMAP_ACTIONS_MAX)),
    _optional("video", _IMAGEMAP_VIDEO),
)
_TEXT_RULE = Rule("text", _ANY_TEXT)
_PREVIEW = (Rule("originalContentUrl", _MEDIA), Rule("previewImageUrl", _MEDIA))
_LOCATION = _object(
    Rule("title", _PLACE_TEXT),
    Rule("address", _PLACE_TEXT),
    Rule("latitude", _number),
    Rule("longitude", _number),
)

MESSAGE: Check = _union(
    {
        "text": (
            _object(_TEXT_RULE, _optional("emojis", _items(_EMOJI, 0, limits.TEXT_EMOJIS_MAX))),
            _emoji_places,
            _COMMON,
        ),
        "textV2": (_object(_TEXT_RULE, _optional("substitution", _any)), _no_mentions, _COMMON),
        "sticker": (_object(Rule("packageId", _ANY_TEXT), Rule("stickerId", _ANY_TEXT)), _COMMON),
        "image": (_object(*_PREVIEW), _COMMON),
        "video": (_object(*_PREVIEW, _optional("trackingId", _text(limits.VIDEO_TRACKING_CHARACTERS_MAX))), _COMMON),
        "audio": (_object(Rule("originalContentUrl", _MEDIA), Rule("duration", _number)), _COMMON),
        "location": (_LOCATION, _COMMON),
        "imagemap": (_IMAGEMAP, _COMMON),
        "template": (_object(_ALT_TEXT, Rule("template", _TEMPLATE)), _COMMON),
        "flex": (_object(_ALT_TEXT, Rule("contents", _CONTAINER)), _COMMON),
        "coupon": (
            _object(Rule("couponId", _ANY_TEXT), _optional("deliveryTag", _text(limits.COUPON_TAG_CHARACTERS_MAX))),
            _COMMON,
        ),
    }
)
