"""Statements read alone and among others: sound ones make their tree, broken ones one diagnostic each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from corpus import BROKEN, SOUND

from audsql import catalog
from audsql.source import Source, Span
from audsql.syntax import ast
from audsql.syntax.parse import parse_expression, parse_file
from audsql.syntax.text import expression_text
from audsql.syntax.tree import flatten


def read(text: str) -> tuple[ast.File, list[str]]:
    file, problems = parse_file(Source("a.aud", text))
    for problem in problems:
        assert set(dict(problem.facts)) == set(catalog.entry(problem.code).args)
    return file, [problem.code for problem in problems]


@pytest.mark.parametrize("text", SOUND)
def test_sound(text: str) -> None:
    file, codes = read(text)
    assert codes == []
    assert len(file.statements) == 1
    assert not isinstance(file.statements[0], ast.Bad)
    assert file.statements[0].span == Span("a.aud", 0, len(text))


@pytest.mark.parametrize(("text", "code"), BROKEN)
def test_broken(text: str, code: str) -> None:
    file, codes = read(text)
    assert codes == [code]
    assert len(file.statements) == 1


@pytest.mark.parametrize("seed", range(40))
def test_each_broken_statement_is_reported_once(seed: int) -> None:
    """However they are mixed: sound statements are read as if alone, broken ones give their one code."""
    random = Random(seed)
    chosen = [random.choice((*BROKEN, *((text, "") for text in SOUND))) for _ in range(30)]
    text = "".join(f"{part}\n{random.choice(('', chr(10), '# note' + chr(10)))}" for part, _ in chosen)
    file, codes = read(text)
    assert codes == [code for _, code in chosen if code]
    assert len(file.statements) == len(chosen)
    for statement, (part, code) in zip(file.statements, chosen, strict=True):
        if not code:
            alone = parse_file(Source("a.aud", part))[0].statements[0]
            assert flatten(replace(statement, description="")) == flatten(alone)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("audience x = a b", "audience", "x"),
        ("adience x = a", "audience", "x"),
        ("flow `f g` { }", "flow", "f g"),
        ('use "a.aud" as common', "use", "common"),
        ("audience lapsed(p) = q", "audience", "lapsed"),
        ("audience = q", "audience", None),
        ('test "x" { given }', "test", None),
        ("moved a -> b", "moved", None),
        ("??? what", "", None),
    ],
)
def test_broken_statements_still_declare(text: str, kind: str, name: str | None) -> None:
    (bad,) = read(text)[0].statements
    assert isinstance(bad, ast.Bad)
    assert (bad.kind, bad.name.text if bad.name else None) == (kind, name)


def test_descriptions() -> None:
    text = "# not this\n\n# one\n#two\naudience a = x # no\naudience b = x\n\n# far\n\naudience c = x\n  # in\n"
    text += "audience d = x"
    statements = read(text)[0].statements
    assert [one.description for one in statements] == ["one\ntwo", "", "", "in"]  # type: ignore[union-attr]


def test_names_are_composed() -> None:
    (statement,) = read("audience か\u3099 = `か\u3099`")[0].statements
    assert isinstance(statement, ast.Audience)
    assert statement.name.text == "が"
    assert statement.expression == ast.Reference(ast.Name("が"))


def test_allow_empty_belongs_to_the_expression_before_it() -> None:
    text = "delivery d { to: a allow empty  allow shortfall  send: m }"
    (statement,) = read(text)[0].statements
    assert isinstance(statement, ast.Block)
    assert statement.entries[0].allow_empty
    assert [flag.text for flag in statement.flags] == ["allow shortfall"]


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("a OR b AND c", "(a OR b) AND c", "a OR (b AND c)"),
        ("a OR b EXCEPT c", "(a OR b) EXCEPT c", "a OR (b EXCEPT c)"),
        ("a EXCEPT b OR c", "(a EXCEPT b) OR c", "a EXCEPT (b OR c)"),
        ("a EXCEPT b AND c", "(a EXCEPT b) AND c", "a EXCEPT (b AND c)"),
        ("a AND b AND c OR d", "(a AND b AND c) OR d", "a AND b AND (c OR d)"),
        ("a OR b AND c EXCEPT d", "(a OR b) AND c EXCEPT d", "a OR (b AND c EXCEPT d)"),
    ],
)
def test_both_readings_are_offered(text: str, first: str, second: str) -> None:
    _, (problem,) = parse_expression(text)
    assert (problem.fact("first"), problem.fact("second")) == (first, second)
    for repair, wanted in zip(problem.fixes, (first, second), strict=True):
        assert not repair.safe
        fixed = text
        for edit in sorted(repair.edits, key=lambda edit: edit.span, reverse=True):
            fixed = fixed[: edit.span.start] + edit.text + fixed[edit.span.end :]
        assert fixed == wanted
        expression, problems = parse_expression(fixed)
        assert problems == ()
        assert expression is not None
        assert expression_text(expression) == wanted


@pytest.mark.parametrize(
    "text", ["", " ", "# only a comment", "a b", "a allow empty", ")", "audience", "a AND", "p(", '"x"']
)
def test_expressions_that_are_none(text: str) -> None:
    expression, problems = parse_expression(text)
    assert len(problems) == (0 if text == "audience" else 1)
    assert (expression is None) == bool(problems)


@pytest.mark.parametrize("code", [code for code in catalog.codes() if code.startswith("AUD01")])
def test_samples(code: str) -> None:
    sample = catalog.entry(code).sample
    if sample is None:
        assert code in ("AUD0119", "AUD0120", "AUD0121")  # too large for a sample; made in test_limits.py
        return
    assert set(read(sample.bad)[1]) == {code}
    assert read(sample.good)[1] == []


def test_the_contract_example() -> None:
    example = (Path(__file__).parent / "example.aud").read_text(encoding="utf-8")
    file, codes = read(example)
    assert codes == []
    assert len(file.statements) == 13
