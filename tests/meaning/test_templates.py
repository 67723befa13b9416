"""Templates of messages: what is legal in them, where what is not stands, and how long they get."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meaning_project import SHOP, codes, read, sound

from audsql.diag import Diagnostic
from audsql.line.limits import TEXT_CHARACTERS_MAX
from audsql.meaning import ir
from audsql.meaning.templates import FILTERS, TEMPLATE_DEPTH_MAX
from audsql.syntax.ast import Text
from audsql.syntax.text import value_text

MEMBERS = 'table members { file: "members.csv"  id: user_id }\n'
COLUMNS = """column name: string = "you"  column points: number = 0  column joined: date  column gone: date"""
USED = "{{ name }}{{ points }}{{ joined }}{{ gone }}"


def message(template: str, columns: str = COLUMNS) -> str:
    return MEMBERS + f"message hi {{ template: {value_text(Text(template))}  table: members  {columns} }}\n"


def problems(template: str) -> list[Diagnostic]:
    """What is wrong with a template of four columns, all of which are used."""
    return list(read(message(USED + template))[1])


def test_values() -> None:
    text = 'message hi { template: "{{ a }}{{ b }}"  table: orders  column a: number = 0  column b: date }\n'
    (found,) = [one for one in sound(SHOP + text).project.messages if one.name == "hi"]
    assert (found.template, found.table) == ("{{ a }}{{ b }}", "orders")
    assert found.fields == (ir.TemplateField("a", "number", Decimal(0)), ir.TemplateField("b", "date"))
    dated = text.replace("date }", "date = 2026-12-01 }")
    (found,) = [one for one in sound(SHOP + dated).project.messages if one.name == "hi"]
    assert found.fields[1].fallback == datetime.fromisoformat("2026-12-01T00:00+09:00")


LEGAL = [
    "", "{# a comment {{ with.anything() }} #}", "{ not a tag } %}", "{{name}}", "{{- name -}}",
    "{{ name | upper | trim }}", "{{ name | replace('a', \"b\") }}", "{{ points|round }}",
    "{{ points | default(-1.5) }}",
    "{% if points %}a{% endif %}", "{%- if not points -%}a{%- else -%}b{%- endif -%}",
    "{% if points > 3 and (name == 'a' or not (joined < gone)) %}a{% elif 3 <= points %}b{% else %}c{% endif %}",
    "{% if points %}{% if name %}a{% endif %}{% endif %}", "{{ name | default('}}') }}",
]  # fmt: skip


@pytest.mark.parametrize("template", LEGAL)
def test_legal(template: str) -> None:
    assert problems(template) == []


REFUSED = [
    ("{{", "AUD1121", "{{"), ("{{ name", "AUD1121", "{{"), ("{{ name %}", "AUD1121", "{{"), ("{# a", "AUD1121", "{#"),
    ("{{ }}", "AUD1121", ""), ("{{ 'a' }}", "AUD1121", "'a'"), ("{{ name name }}", "AUD1121", "name"),
    ("{{ name | }}", "AUD1121", ""), ("{% %}", "AUD1121", ""), ("{% if %}a{% endif %}", "AUD1121", ""),
    ("{% if points %}", "AUD1121", "if"), ("{% endif %}", "AUD1121", "endif"), ("{% else %}", "AUD1121", "else"),
    ("{% if (points %}a{% endif %}", "AUD1121", ""), ("{% if points) %}a{% endif %}", "AUD1121", ")"),
    ("{% if 3 %}a{% endif %}", "AUD1121", "3"), ("{% if 3 == 3 %}a{% endif %}", "AUD1121", "3"),
    ("{% if points < 3 < 4 %}a{% endif %}", "AUD1121", "<"), ("{% else points %}", "AUD1121", "else"),
    ("{% for a in name %}a{% endfor %}", "AUD1122", "for"), ("{% macro m() %}", "AUD1122", "macro"),
    ("{% include 'a' %}", "AUD1122", "include"), ("{% set a = 1 %}", "AUD1122", "set"), ("{% raw %}", "AUD1122", "raw"),
    ("{{ name.first }}", "AUD1122", "."), ("{{ name['a'] }}", "AUD1122", "["), ("{{ name() }}", "AUD1122", "("),
    ("{{ points + 1 }}", "AUD1122", "+"), ("{{ points ~ 1 }}", "AUD1122", "~"), ("{{ __class__ }}", "AUD1122",
     "__class__"), ("{{ not name }}", "AUD1122", "not"), ("{{ name if points }}", "AUD1122", "if"),
    ("{% if name is defined %}a{% endif %}", "AUD1122", "is"), ("{% if points in name %}a{% endif %}", "AUD1122", "in"),
    ("{{ true }}", "AUD1122", "true"), ("{{ name | replace(a, 'b') }}", "AUD1121", "a"),
    ("{{ name | truncate(20, end='a') }}", "AUD1121", "end"), ("{{ (name) }}", "AUD1122", "("),
]  # fmt: skip


@pytest.mark.parametrize(("template", "code", "found"), REFUSED)
@pytest.mark.threat("T57")
def test_refused(template: str, code: str, found: str) -> None:
    (problem,) = problems(template)
    assert (problem.code, problem.fact("found")) == (code, found or problem.fact("found"))


WRONG = [
    ("{{ name | uper }}", "AUD1123"), ("{{ name | attr('a') }}", "AUD1123"), ("{{ name | safe }}", "AUD1123"),
    ("{{ points | upper }}", "AUD1124"), ("{{ joined | default('a') }}", "AUD1124"),
    ("{{ name | upper('a') }}", "AUD1124"),
    ("{{ name | replace('a') }}", "AUD1124"), ("{{ name | truncate(1.5) }}", "AUD1124"),
    ("{{ points | default('a') }}", "AUD1124"), ("{{ points | round('a') }}", "AUD1124"),
    ("{% if name == 3 %}a{% endif %}", "AUD1127"), ("{% if name > 'a' %}a{% endif %}", "AUD1127"),
    ("{% if joined == '2026-01-01' %}a{% endif %}", "AUD1127"), ("{% if name != points %}a{% endif %}", "AUD1127"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "code"), WRONG)
def test_wrong(template: str, code: str) -> None:
    assert [problem.code for problem in problems(template)] == [code]


@pytest.mark.parametrize("one", FILTERS, ids=lambda one: one.name)
def test_the_example_of_a_filter_is_legal(one: object) -> None:
    assert problems(one.example) == []


def test_a_problem_says_where_it_stands() -> None:
    text = message("hello\n  {{ naem }} and {{ other }}", 'column name: string = "you"')
    found = [problem for problem in read(text)[1] if problem.code == "AUD1125"]
    # A text with an escape has no exact place: one problem of a kind is told, with line and column.
    assert [(one.fact("line"), one.fact("column"), one.fact("near")) for one in found] == [(2, 6, "name")]
    plain = message("hello {{ naem }}", 'column name: string = "you"')
    (problem,) = [problem for problem in read(plain)[1] if problem.code == "AUD1125"]
    assert problem.span is not None
    assert plain[problem.span.start : problem.span.end] == "naem"


def test_a_misspelt_column_is_told_once() -> None:
    assert codes(message("{{ naem }}", "column name: string")) == ["AUD1125"]
    assert codes(message("hello", "column name: string")) == ["AUD1126"]


def test_the_fix_declares_the_column() -> None:
    text = message("{{ name }}", "")
    (problem,) = read(text)[1]
    (edit,) = problem.fixes[0].edits
    assert problem.code == "AUD1125"
    assert codes(text[: edit.span.start] + edit.text + text[edit.span.end :]) == []


def test_a_broken_column_is_declared() -> None:
    assert codes(message("{{ name }}{{ name | upper }}", "column name: list")) == ["AUD0307"]


@pytest.mark.parametrize(("kind", "wanted"), [("user_id", []), ("phone", ["AUD1128"])])
def test_the_table_holds_user_ids(kind: str, wanted: list[str]) -> None:
    text = message("{{ name }}", "column name: string").replace("id: user_id", f"id: {kind}")
    assert codes(text) == wanted


LONG = "a" * TEXT_CHARACTERS_MAX
SIZES = [
    (LONG, []),
    (LONG + "a", ["AUD1105"]),
    ("\U0001f600" * (TEXT_CHARACTERS_MAX // 2), []),
    ("\U0001f600" * (TEXT_CHARACTERS_MAX // 2) + "a", ["AUD1105"]),
    (LONG + "{{ name }}", ["AUD1129"]),
    (LONG[5:] + "{{ name }}", []),
    (LONG[:-3] + "{{ name | default('12345') }}", ["AUD1129"]),
    ("{% if name %}" + LONG + "{% elif name == 'a' %}" + LONG + "{% else %}" + LONG + "{% endif %}", []),
    ("{% if name %}" + LONG + "{% else %}b{% endif %}c", ["AUD1105"]),
    (" \n ", ["AUD1113"]),
    ("{# only a comment #}", ["AUD1113"]),
]


@pytest.mark.parametrize(("template", "wanted"), SIZES, ids=range(len(SIZES)))
def test_size(template: str, wanted: list[str]) -> None:
    found = codes(message(template, 'column name: string = "you"'))
    assert [code for code in found if code != "AUD1126"] == wanted


@pytest.mark.threat("T53", "T57")
def test_depth() -> None:
    for depth, wanted in ((TEMPLATE_DEPTH_MAX, []), (TEMPLATE_DEPTH_MAX + 1, ["AUD1122"])):
        template = "{% if name %}" * depth + "a" + "{% endif %}" * depth
        assert [problem.code for problem in problems(template)] == wanted


PIECES = [
    "{{", "}}", "{%", "%}", "if ", "else", "endif", "name", "|", "upper", "(", ")", "'", "==", " ", "a", "{#", "#}",
    "-", "not ", "and ",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_told(template: str) -> None:
    for problem in read(message(template))[1]:
        assert problem.code.startswith("AUD11"), problem


def test_deliveries() -> None:
    text = SHOP + message("{{ name }}", "column name: string")
    assert codes(text + "delivery d { to: uploaded(buyers)  send: hi }\n") == []
    assert codes(text + "delivery d { to: uploaded(buyers)  send: hi  by: push }\n") == []
    assert codes(text + "delivery d { to: uploaded(buyers) AND gender(female)  send: card, hi }\n") == ["AUD1130"]
    assert codes(text + "delivery d { to: friends  send: hi }\n") == ["AUD1130"]
    assert codes(text + "delivery d { to: friends  send: hi  by: broadcast }\n") == ["AUD1131"]
    assert codes(text + "flow f { start when gender(female)  send hi }\n") == []
