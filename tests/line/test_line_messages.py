"""Message objects: what is found wrong with them, and how they are shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audsql import catalog
from audsql.line.message_rules import utf16_length
from audsql.line.messages import (
    check_message,
    coupon_message,
    link_hosts,
    message_digest,
    outline,
    read_messages,
    text_message,
)
from audsql.source import Span

PLACE = Span("shop.aud", 3, 9)
LINK = "https://e.example/a"
URI = {"type": "uri", "label": "見る", "uri": LINK}
BUTTONS = {"type": "buttons", "text": "選んでください", "actions": [URI]}
BUBBLE = {"type": "bubble", "body": {"type": "box", "layout": "vertical", "contents": [{"type": "text", "text": "A"}]}}
AREA = {"x": 0, "y": 0, "width": 9, "height": 9}
COLUMN = {"text": "a", "actions": [URI]}


def template(inner: dict) -> dict:
    return {"type": "template", "altText": "代替", "template": inner}


def flex(contents: dict) -> dict:
    return {"type": "flex", "altText": "お知らせ", "contents": contents}


GOOD = [
    text_message("クーポンをどうぞ"),
    text_message("x" * 5_000),
    {"type": "text", "text": "😀$ a $", "emojis": [{"index": 2, "productId": "p", "emojiId": "1"}]},
    {"type": "textV2", "text": "{a}", "substitution": {"a": {"type": "emoji", "productId": "p", "emojiId": "1"}}},
    {"type": "sticker", "packageId": "446", "stickerId": "1988"},
    {"type": "image", "originalContentUrl": LINK, "previewImageUrl": LINK},
    {"type": "video", "originalContentUrl": LINK, "previewImageUrl": LINK, "trackingId": "t"},
    {"type": "audio", "originalContentUrl": LINK, "duration": 60_000},
    {"type": "location", "title": "店", "address": "東京", "latitude": 35.6, "longitude": 139},
    {
        "type": "imagemap", "baseUrl": LINK, "altText": "a", "baseSize": {"width": 1040, "height": 1040},
        "actions": [{"type": "uri", "linkUri": "tel:0312345678", "area": AREA}],
        "video": {"originalContentUrl": LINK, "previewImageUrl": LINK, "area": AREA},
    },
    template(BUTTONS),
    template({"type": "confirm", "text": "?", "actions": [URI, {"type": "message", "label": "b", "text": "c"}]}),
    template({"type": "carousel", "columns": [COLUMN, COLUMN]}),
    template({"type": "image_carousel", "columns": [{"imageUrl": LINK, "action": {"type": "uri", "uri": LINK}}]}),
    flex(BUBBLE),
    flex({"type": "carousel", "contents": [BUBBLE] * 12}),
    {"type": "coupon", "couponId": "01JYNW", "deliveryTag": "winter"},
    [text_message("a"), text_message("b")],
    {**text_message("a"), "quickReply": {"items": [{"type": "action", "action": URI}]}, "sender": {"name": "店"}},
]  # fmt: skip

BAD = [
    (3, "AUD1104", "$"),
    ("text", "AUD1104", "$"),
    ([], "AUD1102", None),
    ([text_message("a")] * 6, "AUD1102", None),
    ({}, "AUD1103", "$"),
    ({"text": "a"}, "AUD1103", "$"),
    ({"type": 3}, "AUD1104", "type"),
    ({"type": "hologram"}, "AUD1109", "$"),
    ([text_message("a"), {"type": "text"}], "AUD1103", "[1]"),
    ({"type": "text", "text": 5}, "AUD1104", "text"),
    (text_message(""), "AUD1113", "text"),
    (text_message(" 　"), "AUD1113", "text"),
    (text_message("x" * 5_001), "AUD1105", "text"),
    (text_message("😀" * 2_501), "AUD1105", "text"),
    (text_message("a\ud83d"), "AUD1112", "text"),
    ({**text_message("a$"), "emojis": [{"index": 0, "productId": "p", "emojiId": "1"}]}, "AUD1115", "emojis[0]"),
    (
        {"type": "textV2", "text": "{a}", "substitution": {"a": {"type": "mention", "mentionee": {"type": "all"}}}},
        "AUD1116",
        "substitution.a",
    ),
    ({"type": "image", "originalContentUrl": "http://e.example", "previewImageUrl": LINK}, "AUD1106",
     "originalContentUrl"),
    ({"type": "image", "originalContentUrl": "https://", "previewImageUrl": LINK}, "AUD1106", "originalContentUrl"),
    (template({**BUTTONS, "actions": [{**URI, "uri": "javascript:alert(1)"}]}), "AUD1106", "template.actions[0].uri"),
    (template({**BUTTONS, "actions": [URI] * 5}), "AUD1107", "template.actions"),
    (template({**BUTTONS, "actions": []}), "AUD1107", "template.actions"),
    (template({**BUTTONS, "title": "t", "text": "x" * 61}), "AUD1105", "template.text"),
    (template({**BUTTONS, "actions": [{"type": "uri", "uri": LINK}]}), "AUD1103", "template.actions[0]"),
    (template({"type": "confirm", "text": "?", "actions": [URI]}), "AUD1107", "template.actions"),
    (template({"type": "carousel", "columns": [COLUMN, {**COLUMN, "title": "t"}]}), "AUD1117", "template.columns"),
    (template({"type": "wheel"}), "AUD1109", "template"),
    (flex({**BUBBLE, "size": "tera"}), "AUD1108", "contents.size"),
    (flex({"type": "bubble", "body": {"type": "text"}}), "AUD1103", "contents.body"),
    (flex({"type": "carousel", "contents": [BUBBLE] * 13}), "AUD1107", "contents.contents"),
    (flex({"type": "bubble", "hero": {"type": "text", "text": "あ" * 4_999, "contents": [
        {"type": "span", "text": "あ" * 4_999}] * 3}}), "AUD1110", "contents"),
    ({"type": "location", "title": "a", "address": "b", "latitude": "35", "longitude": 1}, "AUD1104", "latitude"),
    ({**text_message("a"), "quickReply": {"items": []}}, "AUD1107", "quickReply.items"),
    ({**text_message("a"), "sender": {"name": "x" * 21}}, "AUD1105", "sender.name"),
]  # fmt: skip


@pytest.mark.parametrize("raw", GOOD, ids=lambda raw: str(raw)[:50])
def test_a_good_message_gives_nothing(raw: object) -> None:
    assert check_message(raw, PLACE, "m") == ()


@pytest.mark.rule(
    "line.message.required", "line.message.shape", "line.message.length", "line.message.link", "line.message.items",
    "line.message.value", "line.message.type", "line.message.size", "line.message.characters", "line.message.empty",
    "line.message.emoji", "line.message.mention", "line.message.columns",
)  # fmt: skip
@pytest.mark.parametrize(("raw", "code", "path"), BAD, ids=lambda value: ascii(value)[:50])
def test_a_bad_message_gives_its_code_and_place(raw: object, code: str, path: str | None) -> None:
    (found,) = check_message(raw, PLACE, "m")
    assert (found.code, found.span, found.fact("message")) == (code, PLACE, "m")
    assert found.fact("path") == path
    assert found.severity == ("warning" if code in ("AUD1108", "AUD1109") else "error")


def test_the_rules_that_are_named_have_cases() -> None:
    """The rules of the codes that the table of bad messages shows are those that its test names."""
    (named,) = (mark.args for mark in test_a_bad_message_gives_its_code_and_place.pytestmark if mark.name == "rule")
    assert {catalog.entry(code).rule for _, code, _ in BAD} >= set(named)


@pytest.mark.rule("line.message.depth")
@pytest.mark.threat("T53")
def test_a_deep_message_is_refused_quickly() -> None:
    deep: object = []
    for _ in range(5_000):
        deep = [deep]
    (found,) = check_message(deep, PLACE, "m")
    assert found.code == "AUD1111"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["text", "flex", "uri", LINK, ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "contents", "actions", "template", "action"]), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(JSON)
def test_no_json_raises(raw: object) -> None:
    check_message(raw, None)
    if isinstance(raw, dict):
        outline(raw)


# --- files -------------------------------------------------------------------------------------------------------


def codes(content: bytes) -> list[str]:
    objects, found = read_messages(content, PLACE, "m")
    assert not objects or not any(diagnostic.severity == "error" for diagnostic in found)
    return [diagnostic.code for diagnostic in found]


def test_files_hold_one_object_or_a_list() -> None:
    one = json.dumps(text_message("あ")).encode()
    assert read_messages(one, PLACE, "m") == ((text_message("あ"),), ())
    assert read_messages(b"\xef\xbb\xbf[" + one + b"]", PLACE, "m")[0] == (text_message("あ"),)
    assert codes(b'{"type":"hologram"}') == ["AUD1109"]


@pytest.mark.rule("line.message.json", "line.message.count", "line.message.doubled")
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "AUD1101"),
        (b"{'type':'text'}", "AUD1101"),
        (b'{"type":"text","text":"\x83e"}', "AUD1101"),
        (b"\x00\xff\xfe", "AUD1101"),
        (b'{"a":' + b"9" * 5_000 + b"}", "AUD1101"),
        (b"[" * 200_000, "AUD1111"),
        (b'{"type":"text","text":"a","text":"b"}', "AUD1114"),
        (b"[]", "AUD1102"),
        (b" " * 1_000_001, "AUD1110"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_files_that_are_refused(content: bytes, code: str) -> None:
    assert codes(content) == [code]


def test_a_broken_file_says_where() -> None:
    _, (found,) = read_messages(b'{\n  "type": "text",\n}', PLACE, "m")
    assert (found.fact("line"), found.fact("column")) == (3, 1)


# --- showing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (text_message("クーポンを\nどうぞ"), "クーポンを どうぞ"),
        (text_message(f"見て {LINK} ね"), f"見て {LINK} ね → e.example"),
        (text_message("x" * 90), "x" * 59 + "…"),
        (template(BUTTONS), "[template] 代替 → e.example"),
        (coupon_message("01JYNW8JMQ"), "[coupon] 01JYNW8JMQ"),
        ({"type": "sticker", "packageId": "1", "stickerId": "2"}, "[sticker]"),
        (text_message("\x1b[31m赤\u202e"), "[31m赤"),
        ({}, "[?]"),
    ],
)
def test_an_outline_is_what_a_person_will_see(message: dict, line: str) -> None:
    assert outline(message) == line


def test_a_coupon_is_a_message() -> None:
    assert check_message(coupon_message("01JYNW8JMQ"), PLACE, "gift") == ()
    assert [problem.code for problem in check_message(coupon_message(" "), PLACE, "gift")] == ["AUD1113"]


@pytest.mark.threat("T63")
def test_hosts_are_sorted_and_each_once() -> None:
    assert link_hosts([flex(BUBBLE), template(BUTTONS), text_message("https://b.example:8/x https://[::1")]) == (
        "b.example",
        "e.example",
    )


def test_equal_messages_have_equal_digests() -> None:
    assert message_digest({"type": "text", "text": "a"}) == message_digest({"text": "a", "type": "text"})
    assert message_digest(text_message("a")) != message_digest(text_message("b"))


def test_characters_are_counted_as_line_counts_them() -> None:
    assert utf16_length("aあ😀") == 4
