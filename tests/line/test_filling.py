"""Personal messages compiled: the same JSON as filling in by hand, and everything that LINE would refuse found."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from audsql.line.filling import Illegal, check_filling, compile_filling
from audsql.line.messages import check_message
from audsql.line.recipient import canonical_json
from audsql.meaning.ir import Message, TemplateField
from audsql.source import Source, Span

TOKYO = ZoneInfo("Asia/Tokyo")
FIELDS = (TemplateField("name", "string"), TemplateField("url", "string"), TemplateField("points", "number"))
MESSAGE = Message("card", file="card.json", table="members", fields=FIELDS, span=Span(Source("a.aud", "x"), 0, 1))


def _bubble(**more: Any) -> dict[str, Any]:
    return {"type": "flex", "altText": "{{ name }}", "contents": {"type": "bubble", **more}}


CARD = _bubble(
    hero={"type": "image", "url": "{{ url }}", "size": "full",
          "action": {"type": "uri", "label": "{{ name }}", "uri": "{{ url }}?p={{ points }}"}},
    body={"type": "box", "layout": "vertical", "contents": [
        {"type": "text", "text": "{% if points >= 100 %}gold{% else %}{{ points }}{% endif %}", "color": "#ff0000"},
        {"type": "text", "contents": [{"type": "span", "text": "{{ name | upper }}"}]},
    ]},
)  # fmt: skip


def _filled(objects: Any, *values: Any) -> Any:
    return json.loads(f"[{compile_filling(MESSAGE, objects, TOKYO).render(values)}]")


@pytest.mark.parametrize(
    "name", ["anna", '"\\/\n\t\x1f\x7f', "日本\U0001f600", "</script>", "{{ url }}", '","type":"image']
)
def test_a_rendering_is_the_json_of_the_filled_structure(name: str) -> None:
    (found,) = _filled((CARD,), name, "https://a.example/x", Decimal(7))
    expected = json.loads(json.dumps(CARD).replace("{{ url }}?p={{ points }}", "https://a.example/x?p=7"))
    expected["altText"] = expected["contents"]["hero"]["action"]["label"] = name
    expected["contents"]["hero"]["url"] = "https://a.example/x"
    first, second = expected["contents"]["body"]["contents"]
    first["text"], second["contents"][0]["text"] = "7", name.upper()
    assert found == expected
    text = compile_filling(MESSAGE, (CARD,), TOKYO).render((name, "https://a.example/x", Decimal(7)))
    assert f"[{text}]".encode() == canonical_json([expected])


TEXT = {"type": "text", "text": "{{ name }}"}


@pytest.mark.parametrize(
    ("objects", "values", "path", "code"),
    [
        ((TEXT,), ("x" * 5_001, "", None), "[0].text", "AUD1105"),
        ((TEXT,), ("\U0001f600" * 2_501, "", None), "[0].text", "AUD1105"),
        ((TEXT,), (" \n", "", None), "[0].text", "AUD1113"),
        ((TEXT,), ("a\0b", "", None), "[0].text", "AUD1112"),
        ((TEXT,), ("a\ud83d", "", None), "[0].text", "AUD1112"),
        ((TEXT,), ("x" * 20_001, "", None), "[0].text", "AUD1105"),
        ((CARD,), ("x" * 1_501, "https://a.example/", Decimal(1)), "[0].altText", "AUD1105"),
        ((CARD,), ("x" * 41, "https://a.example/", Decimal(1)), "[0].contents.hero.action.label", "AUD1105"),
        ((CARD,), ("anna", "http://a.example/", Decimal(1)), "[0].contents.hero.url", "AUD1106"),
        ((CARD,), ("anna", "https://", Decimal(1)), "[0].contents.hero.url", "AUD1106"),
        ((CARD,), ("anna", "https://a b.example/", Decimal(1)), "[0].contents.hero.url", "AUD1106"),
        ((CARD,), ("anna", "javascript:alert(1)", Decimal(1)), "[0].contents.hero.url", "AUD1106"),
        ((CARD,), ("anna", "https://[a/", Decimal(1)), "[0].contents.hero.url", "AUD1106"),
        ((CARD,), ("anna", "https://a.example/" + "x" * 2_000, Decimal(1)), "[0].contents.hero.url", "AUD1105"),
    ],
)  # fmt: skip
def test_what_line_would_refuse_is_found_at_its_place(objects: Any, values: Any, path: str, code: str) -> None:
    with pytest.raises(Illegal) as caught:
        compile_filling(MESSAGE, objects, TOKYO).render(values)
    assert (caught.value.path, caught.value.code) == (path, code)
    assert caught.value.columns


def test_a_bubble_that_gets_too_large_and_an_emoji_that_moves_are_found() -> None:
    texts = [{"type": "text", "text": "{{ name }}"} for _ in range(8)]
    card = {"type": "flex", "altText": "x", "contents": {"type": "bubble", "body": {
        "type": "box", "layout": "vertical", "contents": texts}}}  # fmt: skip
    assert _filled((card,), "あ" * 1_000, "", None)
    with pytest.raises(Illegal) as caught:
        _filled((card,), "あ" * 1_300, "", None)
    assert (caught.value.code, caught.value.columns) == ("AUD1110", ("name",))
    emoji = {"type": "text", "text": "{{ name }}$", "emojis": [{"index": 4, "productId": "p", "emojiId": "1"}]}
    assert _filled((emoji,), "anna", "", None)
    with pytest.raises(Illegal) as caught:
        _filled((emoji,), "ben", "", None)
    assert caught.value.code == "AUD1115"


def test_what_renders_is_what_the_rules_of_every_message_take() -> None:
    compiled = compile_filling(MESSAGE, (CARD,), TOKYO)
    for length in (1, 19, 20, 39, 40, 41, 300, 1_499, 1_500, 1_501):
        for letter in ("x", "あ", "\U0001f600", " "):
            values = (letter * length, "https://a.example/", Decimal(length))
            try:
                found = json.loads(f"[{compiled.render(values)}]")
            except Illegal:
                sound = False
            else:
                sound = not check_message(found, None)
            by_hand = json.loads(json.dumps(CARD).replace("{{ url }}?p={{ points }}", "https://a.example/"))
            by_hand["altText"] = by_hand["contents"]["hero"]["action"]["label"] = letter * length
            by_hand["contents"]["hero"]["url"] = "https://a.example/"
            by_hand["contents"]["body"]["contents"] = []
            assert sound == (not check_message([by_hand], None)), (letter, length)


def _codes(objects: Any) -> list[tuple[str, Any]]:
    return [(one.code, dict(one.facts).get("path")) for one in check_filling(MESSAGE, objects)]


def test_what_is_wrong_whoever_gets_it_is_told_once() -> None:
    assert _codes((CARD,)) == []
    used = {"type": "text", "text": "{{ name }}{{ url }}{{ points }}"}
    assert _codes((used, {"type": "{{ name }}", "text": "x"})) == [("AUD1133", "[1].type")]
    assert _codes((used, {"type": "text", "text": ""})) == [("AUD1113", "[1].text")]
    assert _codes((used, _bubble(size="{{ name }}"))) == [("AUD1133", "[1].contents.size")]
    assert [code for code, _ in _codes((used, {"type": "text", "text": "{{ nmae }} {% for x in y %}"}))] == [
        "AUD1125",
        "AUD1122",
    ]
    assert [code for code, _ in _codes((TEXT,))] == ["AUD1126"], "columns that nothing shows"
