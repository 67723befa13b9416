"""Templates filled in: against tables of what Jinja2 says (its documentation and its source, release 3.1), a naive
reading of conditions that shares no code, and attacks."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from audsql.meaning.ir import TemplateField
from audsql.meaning.rendering import RENDERED_CHARACTERS_MAX, Missing, TooLong, compile_template, is_template, shown

TOKYO = ZoneInfo("Asia/Tokyo")
FIELDS = (
    TemplateField("name", "string"),
    TemplateField("points", "number"),
    TemplateField("joined", "date"),
    TemplateField("rank", "string", "guest"),
    TemplateField("left", "number", Decimal(0)),
    TemplateField("名前", "string"),
)
NAMES = tuple(one.name for one in FIELDS)


def _render(template: str, **values: Any) -> str:
    given = tuple(Decimal(one) if isinstance(one := values.get(name), int) else one for name in NAMES)
    return compile_template(template, FIELDS, TOKYO).render(given)


@pytest.mark.parametrize(
    ("template", "value", "text"),
    [
        ("{{ name | lower }}", "ÀB İ", "àb i\u0307"),
        ("{{ name | upper }}", "straße", "STRASSE"),
        ("{{ name | title }}", "foo-bar (baz) [qux] {x} <y> it's ÄRGER", "Foo-Bar (Baz) [Qux] {X} <Y> It's Ärger"),
        ("{{ name | title }}", "HELLO  wORLD", "Hello  World"),
        ("{{ name | trim }}", " \t\u3000a b \n", "a b"),
        ("{{ name | replace('a', 'b') }}", "banana", "bbnbnb"),
        ("{{ name | replace('', '-') }}", "ab", "-a-b-"),
        ("{{ name | replace('x', 'y') }}", "", ""),
        ("{{ name | replace('\\n', \"'\") }}", "a\nb", "a'b"),
        ("{{ name | replace('\\u3042', '\\x41') }}", "あい", "Aい"),
        # truncate(length): not cut where it is at most 5 longer; else at the last blank before length - 3, and `...`.
        ("{{ name | truncate(9) }}", "foo bar baz qux", "foo..."),
        ("{{ name | truncate(11) }}", "foo bar baz qux", "foo bar baz qux"),
        ("{{ name | truncate(5) }}", "あいうえおかきくけこ", "あいうえおかきくけこ"),
        ("{{ name | truncate(5) }}", "あいうえおかきくけこさ", "あい..."),
        ("{{ name | truncate(3) }}", "a b c d e", "..."),
        ("{{ name | default('you') }}", None, "you"),
        ("{{ name | default('you') }}", "", ""),
        ("{{ name | trim | default('you') }}", "  ", ""),
        ("{{ name | upper | default('you') | lower }}", None, "you"),
        ("{{ name }}", "<b>&amp;</b> {{ points }}", "<b>&amp;</b> {{ points }}"),
    ],
)  # fmt: skip
def test_filters_of_texts(template: str, value: str | None, text: str) -> None:
    assert _render(template, name=value) == text


@pytest.mark.parametrize(
    ("template", "value", "text"),
    [
        ("{{ points }}", "12.500000000", "12.5"),
        ("{{ points }}", "1000", "1000"),
        ("{{ points }}", "1E+3", "1000"),
        ("{{ points }}", "-0.00", "0"),
        ("{{ points }}", "0.000000001", "0.000000001"),
        ("{{ points }}", "999999999999999999.999999999", "999999999999999999.999999999"),
        ("{{ points | round }}", "42.55", "43"),
        ("{{ points | round(1) }}", "42.55", "42.6"),
        ("{{ points | round(1) }}", "42.45", "42.4"),
        ("{{ points | round }}", "2.5", "2"),
        ("{{ points | round }}", "3.5", "4"),
        ("{{ points | round }}", "-2.5", "-2"),
        ("{{ points | round(-2) }}", "1250", "1200"),
        ("{{ points | round(100000000) }}", "1.5", "1.5"),
        ("{{ points | round(-100000000) }}", "999", "0"),
        ("{{ points | default(7) | round(1) }}", None, "7"),
    ],
)
def test_numbers_are_exact_and_plain(template: str, value: str | None, text: str) -> None:
    assert _render(template, points=None if value is None else Decimal(value)) == text


def test_dates_are_days_in_the_zone_of_the_project() -> None:
    late = datetime(2026, 12, 31, 15, 0, tzinfo=UTC)
    assert _render("{{ joined }}", joined=late) == "2027-01-01"
    assert _render("{{ joined }}", joined=date(2026, 12, 1)) == "2026-12-01"
    same = "{% if joined == joined %}x{% endif %}"
    assert _render(same, joined=late) == "x"
    fields = (TemplateField("a", "date"), TemplateField("b", "date", datetime(2027, 1, 1)))
    template = compile_template("{% if a == b %}{{ b }}{% else %}other{% endif %}", fields, TOKYO)
    assert template.render((late, None)) == "2027-01-01", "two times of one day"


def test_what_is_missing_is_no_empty_text() -> None:
    assert _render("{{ rank }} {{ left }}") == "guest 0"
    for template in ("{{ name }}", "{{ name | upper }}", "{{ points | round }}", "{{ joined }}"):
        with pytest.raises(Missing) as caught:
            _render(template)
        assert caught.value.column in template
    assert _render("{{ name }}", name="") == ""
    assert _render("{% if name %}{{ name }}{% else %}you{% endif %}") == "you", "shown only where it is given"
    assert _render("{% if points and points >= 100 %}gold{% else %}-{% endif %}") == "-"
    with pytest.raises(Missing):
        _render("{% if points >= 100 %}gold{% endif %}")
    assert _render("{% if name == 'a' %}a{% elif name != 'a' %}other{% endif %}") == "other"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a {{- name }} b", "aX b"),
        ("a {{ name -}} b", "a Xb"),
        ("a {#- c -#} b", "ab"),
        ("a {# c -#} b", "a b"),
        ("a {#-#} b", "a b"),
        ("a\n {%- if name -%}\n {{ name }} \n{%- endif %} b", "aX b"),
        ("{# {{ points }} #}{{ name }}", "X"),
        ("{{ name }}\n", "X\n"),
        ("{{\n name\n |\n lower }}", "x"),
        ("{ { name } }%}", "{ { name } }%}"),
    ],
)
def test_blanks_and_comments(template: str, text: str) -> None:
    assert _render(template, name="X") == text


def test_columns_in_other_letters() -> None:
    assert _render("{{ 名前 }}様", 名前="花子") == "花子様"


def test_branches_nest_and_the_first_that_holds_is_taken() -> None:
    template = (
        "{% if points >= 100 %}gold{% if name == 'a' %}+{% else %}-{% endif %}"
        "{% elif points >= 10 %}silver{% else %}none{% endif %}."
    )
    found = [
        _render(template, points=points, name=name) for points, name in ((100, "a"), (100, "b"), (99, ""), (1, ""))
    ]
    assert found == ["gold+.", "gold-.", "silver.", "none."]


def test_conditions_agree_with_a_naive_reading() -> None:
    chosen = random.Random(7)

    def grown(depth: int) -> tuple[str, Any]:
        kind = chosen.choice(
            ("name", "points", "compare", "not", "and", "or", "group") if depth else ("name", "compare")
        )
        if kind in ("name", "points"):
            return kind, lambda values: bool(values[kind])
        if kind == "compare":
            sign, number = chosen.choice(("==", "!=", "<", "<=", ">", ">=")), chosen.randrange(3)
            text, reverse = f"left {sign} {number}", f"{number} {sign} left"
            flip = chosen.random() < 0.5
            one = lambda values: (values["left"], Decimal(number))  # noqa: E731
            judged = {"==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
                      "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}[sign]  # fmt: skip
            return (reverse, lambda values: judged(*one(values)[::-1])) if flip else (
                text, lambda values: judged(*one(values)))  # fmt: skip
        text, inner = grown(depth - 1)
        if kind == "group":
            return f"({text})", inner
        if kind == "not":
            return f"not ({text})", lambda values: not inner(values)
        other, second = grown(depth - 1)
        if kind == "and":
            return f"({text}) and ({other})", lambda values: inner(values) and second(values)
        return f"({text}) or ({other})", lambda values: inner(values) or second(values)

    for _ in range(300):
        text, holds = grown(4)
        template = f"{{% if {text} %}}yes{{% else %}}no{{% endif %}}"
        for name, points, left in itertools.product(("", "x"), (0, 2), (0, 1, 2)):
            values = {"name": name, "points": Decimal(points), "left": Decimal(left)}
            assert _render(template, **values) == ("yes" if holds(values) else "no"), (text, values)


def test_without_parentheses_not_binds_before_and_before_or() -> None:
    holds = "{% if not name and points or left %}yes{% else %}no{% endif %}"
    for name, points, left in itertools.product(("", "x"), (0, 1), (0, 1)):
        expected = "yes" if (not name and points) or left else "no"
        assert _render(holds, name=name, points=points, left=left) == expected
    twice = "{% if not not name or name == 'a' and not (left or points) %}yes{% else %}no{% endif %}"
    assert _render(twice, name="a", points=0, left=0) == "yes"


# --- attacks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        "{{ name.__class__ }}", "{{ name['x'] }}", "{{ name() }}", "{{ ''.join(name) }}", "{{ self }}", "{{ cycler }}",
        "{{ name ~ name }}", "{{ name * 9 }}", "{{ name + name }}", "{{ name % 3 }}", "{{ [name] }}",
        "{{ name|attr('x') }}",
        "{{ name | join }}", "{{ name | format('%s') }}", "{{ name | map }}", "{{ name | replace(name, 'x') }}",
        "{{ name | truncate(points) }}", "{{ name | replace('a') }}", "{{ 'text' }}", "{{ 5 }}", "{{}}", "{{ name ",
        "{% for x in name %}{% endfor %}", "{% while 1 %}{% endwhile %}", "{% set x = 1 %}", "{% include 'x' %}",
        "{% import 'os' %}", "{% macro x() %}{% endmacro %}", "{% raw %}{{ name }}{% endraw %}", "{% if name %}",
        "{% if name %}{% else %}{% else %}{% endif %}", "{% endif %}", "{% if (name %}{% endif %}",
        "{% if name) %}{% endif %}", "{% if name == %}{% endif %}", "{% if name is defined %}{% endif %}",
        "{% if name in 'abc' %}{% endif %}", "{% if 'a' == 'a'.x %}{% endif %}", "{{ name | replace('\\ud800', '') }}",
        "{{ name | replace('\\x', '') }}", "{{ name | replace('\\N{BULLET}', '\\N{NO SUCH}') }}",
    ],
)  # fmt: skip
def test_there_is_no_way_out(template: str) -> None:
    with pytest.raises(ValueError):
        compile_template(template, FIELDS, TOKYO)


def test_a_value_is_never_read_as_a_template() -> None:
    hostile = "{% for x in y %}{{ points }}{# {0.__class__} %s %(name)s $name"
    assert _render("{{ name }} {{ name | upper | lower }}", name=hostile) == f"{hostile} {hostile.lower()}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ name | replace('', 'xxxxxxxxxx') | replace('x', 'xxxxxxxxxx') | replace('x', 'xxxxxxxxxx') }}",
        "{{ name" + " | replace('a', 'aa')" * 64 + " }}",
        "{{ name }}" * 30_000,
        "{% if name %}" + "{{ name }}" * 30_000 + "{% endif %}",
    ],
)
def test_a_giant_is_refused_before_it_is_built(template: str) -> None:
    import tracemalloc

    compiled = compile_template(template, FIELDS, TOKYO)
    values = ("a" * 1_000, *[None] * 5)
    tracemalloc.start()
    with pytest.raises(TooLong):
        compiled.render(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * RENDERED_CHARACTERS_MAX


def test_a_giant_value_is_refused() -> None:
    for template in ("{{ name }}", "{{ name | upper }}", "x{{ name | truncate(10) }}"):
        with pytest.raises(TooLong):
            _render(template, name="a" * (RENDERED_CHARACTERS_MAX + 1))


def test_depth_costs_no_stack_and_length_no_square() -> None:
    deep = "(" * 20_000 + "name" + ")" * 20_000
    many = " and ".join(["not name"] * 20_000)
    right = "name or (" * 5_000 + "name" + ")" * 5_000
    for condition, text in ((deep, "yes"), (many, "no"), ("not " * 20_001 + "name", "no"), (right, "yes")):
        assert _render(f"{{% if {condition} %}}yes{{% else %}}no{{% endif %}}", name="x") == text
    nested = "{% if name %}" * 50 + "x" + "{% endif %}" * 50
    assert _render(nested, name="x") == "x"


def test_what_a_template_names() -> None:
    found = compile_template("{% if points >= 100 or name == 'a' %}{{ rank }}{% endif %}", FIELDS, TOKYO)
    assert found.columns == {"points", "name", "rank"}
    assert found.literals == (("points", Decimal(100)), ("name", "a"))
    assert is_template("{# #}")
    assert not is_template("{ {name} }")
    assert shown(Decimal("1.10")) == "1.1"


def test_what_the_reader_takes_is_compiled_and_nothing_else() -> None:
    from audsql.diag import Bag
    from audsql.meaning.templates import check_texts
    from audsql.source import Source, Span

    chosen = random.Random(11)
    words = (
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "if", "elif", "else", "endif", "for", "name", "points", "joined",
        "rank", "名前", "nobody", "__x__", "(", ")", "|", ",", "==", "!=", "<", ">=", "and", "or", "not", "5", "-2",
        "1.5", "'a'", '"b"', "'\\x'", "'\\n'", "upper", "round", "truncate", "default", "replace", "text", ".", "+",
        " ", "\n",
    )  # fmt: skip
    shapes = (
        "{{ %s }}", "{%% if %s %%}%s{%% endif %%}", "{%% if %s %%}a{%% else %%}{{ %s }}{%% endif %%}", "{{ %s | %s }}",
        "{{ name | %s(%s) }}", "%s", "{{- %s -}}", "{{ points | round(%s) | %s }}",
        "{%% if %s and not (%s) %%}{%% endif %%}",
    )  # fmt: skip
    span, taken = Span(Source("a.aud", "x"), 0, 1), 0
    for _ in range(4_000):
        text = chosen.choice(shapes)
        while "%s" in text:
            text = text.replace("%s", " ".join(chosen.choices(words, k=chosen.choice((1, 1, 1, 2, 3)))), 1)
        text = text.replace("%%", "%")
        bag = Bag()
        sound = check_texts("m", [("", text)], span, FIELDS, bag)
        try:
            compiled = compile_template(text, FIELDS, TOKYO)
        except ValueError:
            compiled = None
        assert compiled is not None or not sound, text
        if sound and compiled is not None:
            taken += 1
            compiled.render(("a", Decimal(3), date(2026, 1, 1), None, None, "b"))
    assert taken > 400
