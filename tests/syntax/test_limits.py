"""Limits have codes, and no text takes long or much: each ends in an error, never in a crash."""

from __future__ import annotations

import sys

import pytest

from audsql.source import Source, Span
from audsql.syntax.lex import REPORTED_MAX
from audsql.syntax.parse import FILE_BYTES_MAX, STATEMENTS_MAX, parse_expression, parse_file
from audsql.syntax.print import format_source
from audsql.syntax.text import expression_text


def codes(text: str) -> list[str]:
    return [problem.code for problem in parse_file(Source("a.aud", text))[1]]


@pytest.mark.threat("T53")
def test_depth() -> None:
    for depth, expected in ((200, []), (201, ["AUD0118"]), (100_000, ["AUD0118"])):
        assert codes(f"audience x = {'(' * depth}a{')' * depth}\naudience y = z") == expected
    text = "(NOT (" * 100 + "a" + "))" * 100
    expression, problems = parse_expression(text)
    assert problems == ()
    assert expression is not None
    assert expression_text(expression) == text
    deep = f"audience   x = {text}\n"
    assert format_source(Source("a.aud", deep))[0] == deep.replace("   ", " ")


NESTED = {
    "for": ("for p in [A] {\n", "audience x = a", "}"),
    "branches": ("branch { a -> {\n", "send b", "} }"),
    "lists": ("[", "a", "]"),
    "calls": ("sample(", "a", ")"),
}


AROUND = {"branches": "flow f {{\n{}\n}}", "lists": "param p: list = {}", "calls": "audience x = {}"}


@pytest.mark.parametrize("kind", NESTED)
def test_depth_of_every_kind_of_bracket(kind: str) -> None:
    """The limit is of all brackets together, and the layout takes what the parser takes."""
    opened, inner, closed = NESTED[kind]
    around = {"branches": "flow f {{\n{}\n}}", "lists": "param p: list = {}", "calls": "audience x = {}"}.get(
        kind, "{}"
    )
    most = 99 if kind == "branches" else 200
    for depth, expected in ((most, []), (most + 1, ["AUD0118"]), (5_000, ["AUD0118"])):
        assert codes(f"{around.format(opened * depth + inner + closed * depth)}\naudience y = z") == expected
    text = around.format(opened * most + inner + closed * most)
    formatted, problems = format_source(Source("a.aud", text))
    assert problems == ()
    assert format_source(Source("a.aud", formatted)) == (formatted, ())


def test_brackets_inside_a_loop_count_with_it() -> None:
    def text(loops: int, parentheses: int) -> str:
        inner = f"audience x = {'(' * parentheses}a{')' * parentheses}"
        return "for p in [A] {\n" * loops + inner + "}" * loops

    assert codes(text(100, 100)) == []
    assert codes(text(100, 101)) == ["AUD0118"]


@pytest.mark.threat("T53")
def test_file_size() -> None:
    assert codes("#" * FILE_BYTES_MAX) == []
    (problem,) = parse_file(Source("a.aud", "#" * (FILE_BYTES_MAX + 1)))[1]
    assert (problem.code, problem.span) == ("AUD0119", Span("a.aud", 0, 0))
    assert (problem.fact("size"), problem.fact("limit")) == (FILE_BYTES_MAX + 1, FILE_BYTES_MAX)
    assert codes("#" + "あ" * (FILE_BYTES_MAX // 3)) == []
    assert codes("##" + "あ" * (FILE_BYTES_MAX // 3)) == ["AUD0119"]
    assert [one.code for one in parse_expression("a" * (FILE_BYTES_MAX + 1))[1]] == ["AUD0119"]


@pytest.mark.threat("T53")
def test_number_of_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    assert STATEMENTS_MAX == 100_000
    monkeypatch.setattr("audsql.syntax.parse.STATEMENTS_MAX", 3)
    assert codes("audience x = a\n" * 3) == []
    assert codes("audience x = a\n" * 4) == ["AUD0120"]
    assert codes("for p in [A] {\naudience x = a\naudience y = a\n}\n") == []
    assert codes("for p in [A] {\naudience x = a\n}\naudience y = a\naudience z = a\n") == ["AUD0120"]
    assert codes("for p in [A] {\n" + "audience x = a\n" * 3 + "}") == ["AUD0120"]


@pytest.mark.parametrize(
    ("piece", "code"),
    [("; a ", "AUD0102"), ('"\\x" ', "AUD0104"), ("（ a ", "AUD0101"), ("# \u200e\n", "AUD0125"), ("` \n", "AUD0105")],
)
def test_character_problems_are_counted(piece: str, code: str) -> None:
    exactly = [one.code for one in parse_file(Source("a.aud", piece * REPORTED_MAX))[1] if one.code == code]
    assert len(exactly) == REPORTED_MAX
    problems = parse_file(Source("a.aud", piece * (REPORTED_MAX + 7)))[1]
    assert [one.code for one in problems if one.code in (code, "AUD0121")] == [code] * REPORTED_MAX + ["AUD0121"]
    assert problems[-1].fact("count") == 7
    assert problems[-1].span == Span("a.aud", *[max(one.span.end for one in problems if one.span)] * 2)


def test_quotation_marks_are_given_up() -> None:
    """Each is looked for up to the end of its line; after twenty the rest of the text is not read."""
    text = "".join(f"audience x{number} = “a\n" for number in range(30))
    problems = parse_file(Source("a.aud", text))[1]
    marks = [at for at, character in enumerate(text) if character == "“"]
    assert [one.span for one in problems if one.code == "AUD0103"] == [Span("a.aud", at, at + 2) for at in marks[:20]]


NOISE = [
    "(", "{", "}", '"', "`", "\\\"\n", "ａ b", "é①", "\x00\x01;;a", "1-", "2026-02-30 ", "audience ", "audience\n",
    "audience x = ", "upload a {\n", "flow a {\n", "a AND b\n", "NOT ", "audience a = (\n", '"\\', "\r", "“", "-", "a-",
    "a.", "audience x = p(A, B-1,\n", "# x\n", "“x\n", "a`", "policy p { always except a except b }\n",
    "for p in [A] {\n", "for p of [A] {\n", "for p in", "flow f { branch {", "a -> send b wait ", "moved a\n", "x[",
    "split s of a {",
]  # fmt: skip


@pytest.mark.parametrize("piece", NOISE)
@pytest.mark.threat("T53", "T56")
def test_noise_takes_steps_in_proportion(piece: str) -> None:
    """Four times the text takes nothing like sixteen times as many calls."""

    def steps(size: int) -> int:
        source = Source("a.aud", (piece * (size // len(piece) + 1))[:size])
        count = 0

        def on_call(_frame: object, _event: str, _argument: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(on_call)
        try:
            parse_file(source)
        finally:
            sys.setprofile(None)
        return count

    steps(1000)
    assert steps(20_000) < 8 * steps(5_000) + 2_000
