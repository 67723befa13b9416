"""Diagnostics as a document and as each rendering of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audsql.diag import Diagnostic, Edit, Fix, Label, error, fix
from audsql.source import Source, SourceMap, Span, cell_width
from audsql.view import machine
from audsql.view.diagnostics import to_document
from audsql.view.human import SHOWN_MAX, concise, human, wrapped
from audsql.view.terminal import Style, document_bytes, neutralise, quote_markdown, style_for

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "specs" / "schemas" / "diagnostics.schema.json").read_text(encoding="utf-8")
)
TEXT = '[project]\nname = "店"\n購入者 = 1 # 説明\ntimezoen = "x"\n'


def place(text: str, part: str, path: str = "audsql.toml") -> Span:
    start = text.index(part)
    return Span(path, start, start + len(part))


def unknown(text: str = TEXT, part: str = "timezoen", path: str = "audsql.toml", **more: Any) -> Diagnostic:
    span = place(text, part, path)
    return error("AUD0011", span, key=part, near="timezone", known=("language", "name", "timezone"), **more)


def document(*diagnostics: Diagnostic, text: str = TEXT, language: str = "en") -> dict[str, Any]:
    found = to_document(diagnostics, SourceMap.of([Source("audsql.toml", text)]), language)
    jsonschema.validate(found, SCHEMA)
    return found


def test_human() -> None:
    assert human(document(unknown()), Style()) == (
        "error[AUD0011]: unknown setting `timezoen` in `audsql.toml`\n"
        " --> audsql.toml:4:1\n"
        "  |\n"
        '4 | timezoen = "x"\n'
        "  | ^^^^^^^^ not a setting\n"
        "  |\n"
        "  = note: known here: language, name, timezone\n"
        "  = help: did you mean `timezone`?\n"
        "  = see: audsql explain AUD0011\n"
        "\n"
        "1 error in 1 file\n"
    )


def test_human_in_japanese() -> None:
    shown = human(document(unknown(), language="ja"), Style(language="ja"))
    assert shown.startswith("エラー[AUD0011]: `audsql.toml` の設定 `timezoen` は使えません\n")
    assert "  = 対処: `timezone` のことですか？\n" in shown
    assert shown.endswith("\nエラー 1 件（1 ファイル）\n")


@pytest.mark.parametrize("part", ["購入者", "説明", "1", "店"])
def test_marks_stand_under_wide_characters(part: str) -> None:
    lines = human(document(unknown(part=part)), Style()).splitlines()
    source = next(line for line in lines if part in line and "|" in line)
    marks = lines[lines.index(source) + 1]
    assert cell_width(source[: source.index(part)]) == marks.index("^")
    assert marks.count("^") == cell_width(part)


def test_second_places_and_other_files() -> None:
    other = "audience x = y\n"
    labels = [Label(place(TEXT, "name"), "p"), Label(place(other, "y", "a.aud"), "p")]
    sources = SourceMap.of([Source("audsql.toml", TEXT), Source("a.aud", other)])
    shown = human(to_document([unknown(labels=labels)], sources, "en"), Style())
    assert (
        " --> audsql.toml:4:1\n"
        "  |\n"
        '2 | name = "店"\n'
        "  | ---- not a setting\n"
        "...\n"
        '4 | timezoen = "x"\n'
        "  | ^^^^^^^^ not a setting\n"
        "  |\n"
        " ::: a.aud:1:14\n"
        "  |\n"
        "1 | audience x = y\n"
        "  |              - not a setting\n"
        "  |\n"
    ) in shown


def test_no_place_and_a_data_file_place() -> None:
    assert human(document(error("AUD0041", None, wanted="AUD7", near=None)), Style()).startswith(
        "error[AUD0041]: there is no code `AUD7`\n  = help:"
    )
    found = document(Diagnostic("AUD0005", "error", None, (("line", 3), ("path", "data/x.csv"), ("reason", None))))
    assert found["diagnostics"][0]["path"] == "data/x.csv"
    assert " --> data/x.csv:3:1\n" in human(found, Style())
    assert concise(found, Style()).startswith("data/x.csv:3:1: error[AUD0005]")


def test_a_place_over_lines_is_marked_to_the_end_of_its_first() -> None:
    span = Span("audsql.toml", TEXT.index("name"), len(TEXT))
    shown = human(document(error("AUD0010", span, problem="x")), Style())
    assert '2 | name = "店"\n  | ^^^^^^^^^^^ x\n' in shown


def test_a_very_long_line_is_cut_around_the_place() -> None:
    text = "a" * 3_000_000 + " timezoen " + "b" * 1_000_000
    shown = human(document(unknown(text), text=text), Style())
    assert max(map(len, shown.splitlines())) < 250
    source, marks = shown.splitlines()[3:5]
    assert source.index("timezoen") == marks.index("^")
    assert "..." in source


def test_shown_are_at_most_twenty() -> None:
    many = "".join(f"key{number:03d} = 1\n" for number in range(50))
    found = document(*[unknown(many, f"key{number:03d}") for number in range(50)], text=many)
    shown = human(found, Style())
    assert shown.count("error[AUD0011]") == SHOWN_MAX
    assert "30 more not shown" in shown
    assert shown.endswith("50 errors in 1 file\n")


@pytest.mark.threat("T58")
def test_user_text_cannot_act_on_a_terminal() -> None:
    evil = "k\x1b[31m\u202egnp\u2066\x07\x9b\u2028\u200b"
    text = f"{evil} = 1\n"
    found = document(unknown(text, evil), text=text)
    for shown in (human(found, Style()), concise(found, Style()), document_bytes(found)):
        assert not set(shown) & set("\x1b\u202e\u2066\x07\x9b\u2028\u200b")
    assert r"k\x1b[31m\u{202e}gnp" in human(found, Style())
    assert json.loads(document_bytes(found))["diagnostics"][0]["facts"]["key"] == evil


@pytest.mark.threat("T58")
def test_neutralise() -> None:
    assert neutralise("a\tb\nc\r") == r"a    b\nc\x0d"
    assert neutralise("購入者 が👩‍👩‍👧") == "購入者 が👩‍👩‍👧"
    assert neutralise("\ud800") == r"\u{d800}"
    assert quote_markdown("a|b`c`</details>@team") == "a\\|b\\`c\\`\\</details\\>@\u2060team"


def test_concise() -> None:
    expected = "audsql.toml:4:1: error[AUD0011]: unknown setting `timezoen` in `audsql.toml`\n"
    assert concise(document(unknown()), Style()) == expected


def test_github() -> None:
    line = machine.github(document(unknown()))
    assert line.startswith("::error file=audsql.toml,line=4,endLine=4,col=1,endColumn=9,title=AUD0011::unknown setting")
    assert line.count("\n") == 1
    assert "%0A" in line
    over_lines = machine.github(document(error("AUD0010", Span("audsql.toml", 0, 20), problem="50% : , x")))
    assert "col=" not in over_lines
    assert "50%25 : , x" in over_lines


@pytest.mark.threat("T58")
def test_github_properties_are_escaped() -> None:
    text = "key = 1\n"
    sources = SourceMap.of([Source("a,b:c.toml", text)])
    line = machine.github(to_document([unknown(text, "key", "a,b:c.toml")], sources, "en"))
    assert "file=a%2Cb%3Ac.toml," in line


def test_sarif() -> None:
    found = document(
        unknown(fixes=[fix(place(TEXT, "timezoen"), "timezone")], labels=[Label(place(TEXT, "name"), "p")])
    )
    log = machine.sarif(found, "0.1.0")
    run = log["runs"][0]
    assert log["version"] == "2.1.0"
    assert run["columnKind"] == "unicodeCodePoints"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["AUD0011"]
    result = run["results"][0]
    assert result["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 4,
        "startColumn": 1,
        "endLine": 4,
        "endColumn": 9,
    }
    assert result["relatedLocations"][0]["message"]["text"] == "not a setting"
    assert result["fixes"][0]["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"] == "timezone"


def test_sarif_fingerprints_stay_when_lines_move() -> None:
    moved = "\n\n" + TEXT
    first, second = (
        machine.sarif(document(unknown(text), text=text), "0")["runs"][0]["results"][0]["partialFingerprints"]
        for text in (TEXT, moved)
    )
    assert first == second


def test_order_is_total() -> None:
    diagnostics = [unknown(), unknown(part="name"), error("AUD0041", None, wanted="x", near=None)]
    assert document(*diagnostics) == document(*reversed(diagnostics))


@pytest.mark.parametrize(
    ("environment", "is_terminal", "colour"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"CI": "true"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour(environment: dict[str, str], is_terminal: bool, colour: bool) -> None:
    style = style_for(environment, is_terminal=is_terminal, encoding="utf-8", language="en")
    assert style.colour is colour


def test_colour_changes_no_text() -> None:
    import re

    plain = human(document(unknown()), Style())
    coloured = human(document(unknown()), Style(colour=True))
    assert plain != coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


# --- prose in lines -----------------------------------------------------------------------------------


def test_prose_is_wrapped_by_cells_and_what_is_pasted_is_not() -> None:
    text = "write `(purchased(A) OR purchased(B)) AND uploaded(buyers)` here, or something else altogether, in words"
    lines = list(wrapped(text, 40))
    assert " ".join(lines) == text
    assert lines[1] == "`(purchased(A) OR purchased(B)) AND uploaded(buyers)`"
    assert max(cell_width(line) for line in lines if "`" not in line) <= 40


def test_japanese_prose_is_wrapped_between_characters() -> None:
    text = "両方を除外するなら `always except a OR b` と書いてください。一方だけを除外するなら、括弧を付けてください。"
    lines = list(wrapped(text, 30))
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert max(map(cell_width, lines)) <= 32
    assert not any(line.startswith(("、", "。")) for line in lines)
    assert any("`always except a OR b`" in line for line in lines)


# --- places -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["\t", "か\u3099", "👩‍👩‍👧 ", "e\u0301", "ｶﾞ", "全角　", "a\u200b"])
def test_marks_stand_under_their_place_behind_any_text(before: str) -> None:
    text = f"{before}here = 1\n"
    lines = human(document(unknown(text, "here"), text=text), Style()).splitlines()
    source = next(line for line in lines if "here" in line and line.startswith("1 |"))
    marks = lines[lines.index(source) + 1]
    assert cell_width(source[: source.index("here")]) == marks.index("^")
    assert marks.count("^") == 4


@pytest.mark.parametrize("text", ["", "x", "x\n", "\n\n", "x\r\n", "あ"])
def test_a_place_at_the_end_of_the_text(text: str) -> None:
    span = Span("audsql.toml", len(text), len(text))
    found = document(error("AUD0010", span, problem="ends here"), text=text)
    assert "^ ends here" in human(found, Style())
    assert machine.github(found).startswith("::error file=audsql.toml,line=")
    region = machine.sarif(found, "0")["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region["startLine"] >= 1
    assert region["endColumn"] >= region["startColumn"] >= 1


def test_a_file_outside_the_project() -> None:
    text = "timezoen = 1\n"
    sources = SourceMap.of([Source("../common/店.aud", text)])
    found = to_document([unknown(text, path="../common/店.aud")], sources, "ja")
    assert " --> ../common/店.aud:1:1\n" in human(found, Style(language="ja"))
    log = machine.sarif(found, "0")
    artifact = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact["uri"] == "../common/%E5%BA%97.aud"


# --- SARIF 2.1.0 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ja"])
def test_sarif_rules_say_their_help_in_the_language(language: str) -> None:
    driver = machine.sarif(document(unknown(), language=language), "0.1.0")["runs"][0]["tool"]["driver"]
    assert driver["language"] == language
    (rule,) = driver["rules"]
    assert rule["id"] == "AUD0011"
    assert "{" not in rule["shortDescription"]["text"]
    assert rule["help"]["text"].startswith(rule["fullDescription"]["text"])
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert any("ぁ" <= character <= "ん" for character in rule["help"]["text"]) == (language == "ja")


def test_sarif_results_have_what_the_standard_asks() -> None:
    half = Fix((Edit(place(TEXT, "name"), "x"), Edit(Span("gone.aud", 0, 1), "")))
    found = document(unknown(fixes=[half]), unknown(part="name"), error("AUD0041", None, wanted="x", near=None))
    run = machine.sarif(found, "0")["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        # Both must hold something where they are given (§3.27.22, §3.55.3).
        assert result.get("relatedLocations", [0]) and "fixes" not in result


def test_sarif_fingerprints_of_equal_findings_differ() -> None:
    text = "key = 1\nkey = 1\n"
    known = ("language", "name", "timezone")
    second = error("AUD0011", Span("audsql.toml", 8, 11), key="key", near="timezone", known=known)
    found = document(unknown(text, "key"), second, text=text)
    prints = [one["partialFingerprints"]["audsql/v1"] for one in machine.sarif(found, "0")["runs"][0]["results"]]
    assert len(set(prints)) == 2
