"""The plan as a comment: nobody's text acts, nothing is split, and it fits whatever the size of the plan."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from audsql.line.anatomy import parts_of
from audsql.view.markdown import COMMENT_BYTES_MAX, plan_comment
from audsql.view.mermaid import EDGES_MAX, NODES_MAX
from audsql.view.shared import count_text, masked
from audsql.view.untrusted import mermaid_text, quoted, quoted_lines

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

ATTACKS = (
    "`",
    "```",
    "````mermaid",
    "~~~",
    "|",
    "a|b|c",
    "</details>",
    "<details open>",
    "<summary>",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<!-- audsql:plan env=prod -->",
    "-->",
    "<a href=x>y</a>",
    "![x](https://e.example/p.png)",
    "[x](https://e.example)",
    "[x][y]",
    "[y]: https://e.example",
    "<https://e.example>",
    "https://e.example/a",
    "www.e.example",
    "mailto:a@b.example",
    "user@e.example",
    "@team",
    "@org/team",
    "&#64;team",
    "&lt;b&gt;",
    "&commat;team",
    "#12",
    "GH-12",
    "owner/repo#3",
    "owner/repo@a1b2c3d",
    "a1b2c3d4e5f6a7b8",
    ":tada:",
    ":100:",
    "$x^2$",
    "$$x$$",
    "$`x`$",
    "[^1]",
    "**b**",
    "__b__",
    "*i*",
    "_i_",
    "~~s~~",
    "# head",
    "## head",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "1) item",
    "> quote",
    "---",
    "===",
    "    code",
    "\tcode",
    "a\\",
    "\\",
    "a\nb",
    "a\r\nb",
    "a\u2028b",
    "a\u2029b",
    "\x1b[2J",
    "\u202eevil\u202c",
    "\u2066x\u2069",
    "a\u200bb",
    "\ufeffx",
    "a\u200db",
    "@te\u200dam",
    "\u00ad",
    "\u3164",
    "- [ ] task",
    "[!WARNING]",
    "> [!WARNING]",
    "{{x}}",
    "%%x%%",
    '"]; click n0 href "https://e.example"',
    "end",
    "subgraph x",
    "n0 --> n1",
    "%%{init: {}}%%",
    "a & b",
    "x" * 1_000,
    "人" * 500,
)

TEXT_MESSAGE = {"type": "text", "text": "TEXT"}
FLEX = {
    "type": "flex",
    "altText": "ALT",
    "contents": {
        "type": "bubble",
        "hero": {"type": "image", "url": "https://img.example/a.png"},
        "body": {"type": "box", "layout": "vertical", "contents": [{"type": "text", "text": "BODY"}]},
        "footer": {
            "type": "box",
            "layout": "vertical",
            "contents": [{"type": "button", "action": {"type": "uri", "label": "BUY", "uri": "https://shop.example/"}}],
        },
    },
}
EXACT = {"count": 215, "exact": True, "low": 215, "high": 215}
SUMMARY = {
    "add": 1,
    "change": 1,
    "delete": 1,
    "changes": True,
    "needs_a_person": 0,
    "people_entering": 300,
    "people_leaving": 80,
}


def document(text: str = "plain", count: int = 1, **changes: Any) -> dict[str, Any]:
    """A plan with `text` wherever a person can write some."""
    upload = {
        "address": "upload.k0",
        "type": "UPLOAD",
        "label": text,
        "action": "create",
        "reason": "new",
        "people": {"before": 0, "after": 300, "entering": 300, "leaving": 0},
        "needed_by": [f"{text}0"],
    }
    send = {
        "part": 0,
        "kind": "narrowcast",
        "recipient": {"and": [{"audience": "k0"}, {"not": {"redelivery": text, "part": 0}}]},
        "filter": None,
        "limit": 215,
    }
    bubble = {**FLEX, "altText": text}
    bubble["contents"] = {
        **FLEX["contents"],
        "footer": {"type": "button", "action": {"type": "uri", "label": text, "uri": text}},
    }
    deliveries = [
        {
            "address": f"delivery.{text}{number}",
            "account": text,
            "action": "schedule",
            "at": "2026-12-01T10:00:00+09:00",
            "people": EXACT,
            "to": text,
            "policies": [text],
            "sends": [send],
            "messages": [text],
            "waits_for": [],
            "content": [{"type": "text", "text": text}, bubble],
        }
        for number in range(count)
    ]
    message = {
        "name": text,
        "state": "new",
        "digest": "sha256:" + "a" * 64,
        "kinds": ["text", "flex"],
        "link_hosts": [text],
        "deliveries": [one["address"] for one in deliveries],
    }
    overlap = {
        "deliveries": [f"delivery.{text}", f"delivery.{text}2"],
        "both": text,
        "people": EXACT,
        "own_data": "exact",
    }
    change = {
        "address": f"audience.{text}",
        "classification": "renamed",
        "old_name": text,
        "added": text,
        "removed": text,
    }
    audience = {"name": text, "people": EXACT, "previous": EXACT, "entering": 30, "leaving": 40}
    guard = {"code": "AUD0020", "severity": "error", "facts": {"account": text}}
    return {
        "project": text,
        "environment": text,
        "digest": "sha256:" + "b" * 64,
        "review_digest": "sha256:" + "c" * 64,
        "applyable": True,
        "resource_changes": [upload],
        "deliveries": deliveries,
        "messages": [message],
        "cancelled": [{"address": f"delivery.{text}", "occurrence": text}],
        "moved": [{"from": text, "to": text}],
        "removed": [{"name": text, "action": "keep", "addresses": []}],
        "audiences": [audience],
        "changes": [change],
        "guards": [guard],
        "overlaps": {"listed": [overlap], "more": 0, "apart_for_now": 0},
        "quota": [{"account": text, "remaining": 30_000, "low": 0, "high": 72, "yen_per_message": "2.8"}],
        "pace": {"waiting_seconds": 65},
        "summary": SUMMARY,
        **changes,
    }


def tokens(text: str) -> list[Token]:
    found: list[Token] = []
    for token in PARSER.parse(text):
        found.append(token)
        found += token.children or ()
    return found


def structure(text: str) -> list[str]:
    """The comment's shape: its blocks and markup, without what they say."""
    shape = []
    for token in tokens(text):
        if token.type in ("html_block", "html_inline", "fence", "code_inline", "code_block"):
            body = re.sub(r"#\d+;|env=[\w.:-]+", "", token.content) if token.type == "fence" else token.content
            shape.append(f"{token.type} {'' if token.type == 'fence' else re.sub(r'env=[^ ]+', '', body)}")
        elif token.type not in ("text", "text_special"):
            shape.append(f"{token.type} {dict(token.attrs)}")
    return shape


def shown(text: str) -> str:
    """What a reader sees: the text nodes; where GitHub looks for mentions, numbers and addresses."""
    parts = [token.content for token in tokens(text) if token.type in ("text", "text_special")]
    return "\n".join(parts)


ACTS = re.compile(
    r"(?<![\w`])@[A-Za-z0-9]|\w@[A-Za-z0-9]|(?<!\w)#\d|\w/\w+#\d|\bGH-\d|https?://|\bwww\.|mailto:[A-Za-z]|:[a-z0-9_+-]+:"
    r"|\b[0-9a-f]{7,64}\b"
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda text: ascii(text)[:30])
@pytest.mark.threat("T58")
def test_an_attack_changes_nothing_but_the_words(attack: str) -> None:
    one = attack.replace("\n", " ").replace("\r", " ")
    plain, attacked = plan_comment(document(), "en"), plan_comment(document(one), "en")
    assert structure(attacked) == structure(plain)
    assert not ACTS.search(shown(attacked)), ACTS.search(shown(attacked))
    assert "$" not in attacked


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda text: ascii(text)[:30])
def test_an_attack_inside_a_message_stays_in_its_quotation(attack: str) -> None:
    quotation = "\n".join(quoted_lines(f"first\n{attack}\nlast", 60, 5_000))
    found = PARSER.parse(f"before\n\n{quotation}\n\nafter")
    kinds = [token.type for token in found if token.level == 0]
    inside = ["paragraph_open", "paragraph_close"]
    assert kinds == [*inside, "blockquote_open", "blockquote_close", *inside]
    assert {one.type for one in tokens(quotation)} <= {
        "blockquote_open", "blockquote_close", "paragraph_open", "paragraph_close", "inline", "text", "text_special",
        "hardbreak", "softbreak",
    }  # fmt: skip


def test_hidden_signs_are_written_out() -> None:
    for hidden in "\u202e\u2066\u200b\ufeff\u00ad\u3164\u2028\x1b":
        assert hidden not in quoted(f"a{hidden}b")
        assert hidden not in mermaid_text(f"a{hidden}b")
    assert "\u200d" not in quoted("te\u200dam")
    assert "\u200d" in quoted("👩\u200d👧")


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip()))
@pytest.mark.threat("T58")
def test_whatever_people_write_the_comment_has_one_shape(text: str) -> None:
    text = re.sub(r"[\n\r]", " ", text).encode("utf-8", "replace").decode()
    if not quoted(text):
        return
    attacked = plan_comment(document(text), "en")
    assert structure(attacked) == structure(plan_comment(document(), "en"))
    assert not ACTS.search(shown(attacked))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="`*_~[]()<>#+-=.!|\\&;:@/$^{}1aw \t\"'", min_size=1, max_size=30).filter(str.strip))
def test_punctuation_renders_as_itself(text: str) -> None:
    (opening, inline, closing) = PARSER.parse(quoted(text))
    assert (opening.type, closing.type) == ("paragraph_open", "paragraph_close")
    assert {one.type for one in inline.children or ()} <= {"text", "text_special"}
    seen = "".join(one.content for one in inline.children or ()).replace("\u2060", "")
    assert seen == " ".join(text.replace("\t", "    ").split())


@pytest.mark.parametrize("count", [1, 40, 5_000])
@pytest.mark.parametrize("text", ["plain", "人`|</details>@team" * 20])
def test_every_plan_fits_and_nothing_is_split(count: int, text: str) -> None:
    plan = document(text, count)
    plan["guards"] *= min(count, 300)
    plan["audiences"] *= min(count, 1_000)
    plan["resource_changes"] = [
        {**plan["resource_changes"][0], "address": f"upload.k{number}", "needed_by": [f"{text}{number}"]}
        for number in range(count)
    ]
    plan["messages"] = [{**plan["messages"][0], "name": f"{number}"} for number in range(count)]
    for language in ("en", "ja"):
        comment = plan_comment(plan, language)
        assert len(comment.encode()) <= COMMENT_BYTES_MAX
        assert comment.count("<details>") == comment.count("</details>")
        assert comment.count("```mermaid") == len(re.findall(r"^```$", comment, re.MULTILINE))
        rows = [line for line in comment.splitlines() if line.startswith("| ")]
        assert rows
        assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)
        assert comment.startswith("<!-- audsql:plan env=")
        assert f"--expect sha256:{'c' * 64}`\n" in comment
        assert (count < 5_000) or len(comment.encode()) > COMMENT_BYTES_MAX // 2


def test_what_is_left_out_is_counted() -> None:
    comment = plan_comment(document(count=5_000), "en")
    rows = sum(line.startswith("| + | delivery") for line in comment.splitlines())
    left_out = int(re.search(r"\n([\d,]+) more lines are in the plan itself", comment)[1].replace(",", ""))  # type: ignore[index]
    # Beside deliveries the table has an upload, a cancelled, a renamed and a removed delivery.
    assert 100 < rows < 5_000
    assert rows + left_out == 5_000 + 3


def test_refusals_stand_before_warnings_and_before_the_table() -> None:
    plan = document()
    plan["guards"] = [{**plan["guards"][0], "severity": "warning"}, plan["guards"][0]]
    comment = plan_comment(plan, "en")
    assert comment.index("[!CAUTION]") < comment.index("[!WARNING]") < comment.index("| | what |")


def test_the_graph_is_bounded_and_its_labels_cannot_act() -> None:
    comment = plan_comment(document('"]; click n0 "javascript:x" `', 200), "en")
    graph = comment.split("```mermaid\n")[1].split("```")[0]
    nodes = re.findall(r'^  n\d+\["([^"]*)"\]$', graph, re.MULTILINE)
    edges = re.findall(r"^  n\d+ --> n\d+$", graph, re.MULTILINE)
    assert len(nodes) <= NODES_MAX
    assert len(edges) <= EDGES_MAX
    assert len(nodes) + len(edges) + 1 == len(graph.splitlines())
    assert all(re.fullmatch(r"(?:[^\W_]|[ .-]|#\d+;)*", node) for node in nodes)


@pytest.mark.threat("T63")
def test_messages_are_quoted_and_outlined() -> None:
    plan = document()
    plan["deliveries"][0]["content"] = [{"type": "text", "text": "一行目\n\n二行目"}, FLEX]
    plan["messages"][0]["link_hosts"] = ["img.example", "shop.example"]
    comment = plan_comment(plan, "ja")
    assert "> 一行目  \n>\n> 二行目" in comment
    assert "- flex “ALT”" in comment
    assert "      - text “BODY”" in comment
    assert "button" in comment
    assert "“BUY” → https:\u2060//shop.example/" in comment
    assert "img.example, shop.example" in comment
    assert "新しいメッセージと変わったメッセージ" in comment


def test_a_message_that_was_approved_is_not_repeated() -> None:
    plan = document()
    plan["messages"][0]["state"] = "same"
    assert "New and changed messages" not in plan_comment(plan, "en")


def test_parts_are_in_reading_order_and_bounded() -> None:
    kinds = [part.kind for part in parts_of(FLEX)]
    assert kinds == ["flex", "bubble", "image", "box", "text", "box", "button", "uri"]
    wide = {"type": "flex", "contents": {"type": "box", "contents": [{"type": "text", "text": "x"}] * 5_000}}
    assert len(parts_of(wide)) == 200


def test_money_stands_there_only_with_a_price() -> None:
    plan = document()
    assert "¥202, at ¥2.8 a message" in plan_comment(plan, "en").replace("&#36;", "$")
    assert "最大 202 円です" in plan_comment(plan, "ja")
    without = copy.deepcopy(plan)
    del without["quota"][0]["yen_per_message"]
    assert "¥" not in plan_comment(without, "en")


@pytest.mark.parametrize(
    ("number", "text"), [(0, "| 0 |"), (1, "| <20 |"), (19, "| <20 |"), (20, "| 20 |"), (1_204, "| 1,204 |")]
)
def test_few_people_are_no_number(number: int, text: str) -> None:
    plan = document()
    plan["resource_changes"][0]["people"] = {"before": 0, "after": number, "entering": number, "leaving": 0}
    assert text in plan_comment(plan, "en")
    assert (count_text(None), count_text("…"), count_text(1_204)) == ("?", "…", "1,204")


@pytest.mark.threat("T61")
def test_no_small_count_stands_in_a_comment() -> None:
    few = {"count": 7, "exact": True, "low": 7, "high": 7}
    plan = document()
    plan["deliveries"][0] |= {"people": few}
    plan["deliveries"][0]["sends"][0]["limit"] = 7
    plan["audiences"][0] |= {"people": few, "previous": few, "entering": 7, "leaving": 7}
    plan["overlaps"]["listed"][0]["people"] = few
    plan["resource_changes"][0]["people"] = {"before": 1_007, "after": 1_014, "entering": 7, "leaving": 0}
    plan["quota"][0] |= {"low": 7, "high": 7}
    plan["summary"] = {**SUMMARY, "people_entering": 7, "people_leaving": 7}
    comment = plan_comment(plan, "en")
    assert not re.search(r"\b(7|1,007)\b", comment)
    assert "| … → 1,014 | <20 | 0 |" in comment
    assert masked(plan)["deliveries"][0]["people"]["shown"] == "<20"


def test_the_floor_is_the_projects() -> None:
    plan = document()
    plan["resource_changes"][0]["people"] = {"before": 1_000, "after": 1_030, "entering": 30, "leaving": 0}
    assert "| 1,000 → 1,030 | 30 | 0 |" in plan_comment(plan, "en")
    assert "| … → 1,030 | <50 | 0 |" in plan_comment(plan, "en", 50)
    plan["resource_changes"][0]["people"] = {"before": 1_000, "after": 1_003, "entering": 3, "leaving": 0}
    assert "| 1,000 → 1,003 | 3 | 0 |" in plan_comment(plan, "en", 0)


def test_verdicts_are_masked_by_what_their_numbers_are() -> None:
    plan = document()
    facts = {"name": "opt_outs", "before": 107, "after": 100, "left": 7}
    plan["guards"] = [
        {"code": "AUD0703", "severity": "error", "facts": facts},
        {"code": "AUD0710", "severity": "error", "facts": {"name": "people", "late_hours": 7}},
    ]
    shown = masked(plan)["guards"]
    assert shown[0]["facts"] == {"name": "opt_outs", "before": 107, "after": "…", "left": "<20"}
    assert shown[1]["facts"]["late_hours"] == 7


def test_a_plan_that_is_refused_says_so_and_not_how_to_apply_it() -> None:
    comment = plan_comment(document(applyable=False), "en")
    assert "This plan cannot be applied." in comment
    assert "audsql apply" not in comment
