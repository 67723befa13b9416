"""Limits have codes, and no text takes long or much: each ends in an error, never in a crash."""

from __future__ import annotations

import sys

import pytest

from audsql.source import Source
from audsql.syntax.lex import REPORTED_MAX
from audsql.syntax.parse import FILE_BYTES_MAX, STATEMENTS_MAX, parse_expression, parse_file
from audsql.syntax.print import format_source
from audsql.syntax.text import expression_text


def codes(text: str) -> list[str]:
    return [problem.code for problem in parse_file(Source("a.aud", text))[1]]


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


def test_file_size() -> None:
    assert codes("#" * FILE_BYTES_MAX) == []
    assert codes("#" * (FILE_BYTES_MAX + 1)) == ["AUD0119"]
    assert codes("#" + "あ" * (FILE_BYTES_MAX // 3)) == []
    assert codes("##" + "あ" * (FILE_BYTES_MAX // 3)) == ["AUD0119"]
    assert [one.code for one in parse_expression("a" * (FILE_BYTES_MAX + 1))[1]] == ["AUD0119"]


def test_number_of_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    assert STATEMENTS_MAX == 100_000
    monkeypatch.setattr("audsql.syntax.parse.STATEMENTS_MAX", 3)
    assert codes("audience x = a\n" * 3) == []
    assert codes("audience x = a\n" * 4) == ["AUD0120"]


def test_character_problems_are_counted() -> None:
    file_problems = parse_file(Source("a.aud", "; a " * (REPORTED_MAX + 7)))[1]
    assert [one.code for one in file_problems] == ["AUD0102"] * REPORTED_MAX + ["AUD0121"]
    assert file_problems[-1].fact("count") == 7


NOISE = [
    "(", "{", "}", '"', "`", "\\\"\n", "ａ b", "é①", "\x00\x01;;a", "1-", "2026-02-30 ", "audience ", "audience\n",
    "audience x = ", "upload a {\n", "flow a {\n", "a AND b\n", "NOT ", "audience a = (\n", '"\\', "\r", "“", "-", "a-",
    "a.", "audience x = p(A, B-1,\n", "# x\n", "“x\n", "a`", "policy p { always except a except b }\n",
]  # fmt: skip


@pytest.mark.parametrize("piece", NOISE)
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
