"""Statements read alone and among others: sound ones make their tree, broken ones one diagnostic each."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
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
        ("flow `f g` { wait }", "flow", "f g"),
        ('use "a.aud" as common {', "use", "common"),
        ("audience lapsed(p) = q r", "audience", "lapsed"),
        ("audience = q", "audience", None),
        ('test "x" { given }', "test", None),
        ("moved a b", "moved", None),
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


def test_statements_of_a_loop_are_described() -> None:
    text = "# all\nfor p in [A] {\n  # one\n  audience x[p] = a\n  audience y[p] = a  # not\n}\naudience z = a\n"
    (loop, after), codes = read(text)[0].statements, read(text)[1]
    assert codes == []
    assert isinstance(loop, ast.For)
    assert loop.description == "all"
    assert [one.description for one in loop.statements] == ["one", ""]  # type: ignore[union-attr]
    assert isinstance(after, ast.Audience)
    assert after.description == ""


def test_a_broken_statement_of_a_loop_is_bad_inside_it() -> None:
    text = "for p in [A] {\n  audience x[p] = a b\n  upload u { file: }\n  audience y[p] = (a\n}\naudience z = a\n"
    file, codes = read(text)
    assert codes == ["AUD0110", "AUD0131", "AUD0106"]
    loop, after = file.statements
    assert isinstance(loop, ast.For)
    assert [type(one) for one in loop.statements] == [ast.Bad] * 3
    assert [one.name.text for one in loop.statements if isinstance(one, ast.Bad) and one.name] == ["x", "u", "y"]
    first = loop.statements[0]
    assert isinstance(first, ast.Bad)
    assert first.name == ast.Name("x", index=(ast.Word("p"),))
    assert isinstance(after, ast.Audience)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("for p of [A] {\n  audience x = a\n  for q in b { upload u { file: x } }\n}\naudience z = a", "AUD0147"),
        ("for p in [A] {\n  audience x = a\n  for q in b { upload u { file: x } }\naudience z = a", "AUD0107"),
    ],
)
def test_a_broken_loop_declares_what_stands_in_it(text: str, code: str) -> None:
    file, codes = read(text)
    assert codes == [code]
    bad, after = file.statements
    assert isinstance(bad, ast.Bad)
    assert sorted(name.text for name in bad.declares) == ["u", "x"]
    assert isinstance(after, ast.Audience)


A, B, P = ast.Word("A"), ast.Word("B"), ast.Word("p")
REFERENCE = ast.Reference(ast.Name("a"))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("param d: duration = 90 days", ast.Parameter(ast.Name("d"), "duration", ast.Duration(90, "day"))),
        ('use "c.aud" as c', ast.Use(ast.Text("c.aud"), ast.Name("c"))),
        ("for p in ps {}", ast.For(ast.Name("p"), ast.Word("ps"), ())),
        (
            "split s of a { b 50%, c w } salt t",
            ast.Split(
                ast.Name("s"),
                REFERENCE,
                (ast.Arm(ast.Name("b"), ast.Percent(Decimal(50))), ast.Arm(ast.Name("c"), ast.Word("w"))),
                ast.Word("t"),
            ),
        ),
        ("priority [s[A], c.b]", ast.Priority((ast.Name("s", index=(A,)), ast.Name("c.b")))),
        ("moved a -> b[A]", ast.Moved(ast.Name("a"), ast.Name("b", index=(A,)))),
        ("removed c.a { delete }", ast.Removed(ast.Name("c.a"), "delete")),
        ("audience x(p) = a", ast.Audience(ast.Name("x"), REFERENCE, parameters=(ast.Name("p"),))),
        (
            "audience x = c.s.b",
            ast.Audience(ast.Name("x"), ast.Reference(ast.Name("c.s"), ast.Name("b"))),
        ),
        (
            "audience x = c.b(c.A, d[p, B])",
            ast.Audience(
                ast.Name("x"),
                ast.Call(ast.Name("c.b"), ast.Arguments((ast.Word("c.A"), ast.Word("d", index=(P, B))), ())),
            ),
        ),
        (
            'audience x = sample(a, 1%, seed: "s")',
            ast.Audience(
                ast.Name("x"),
                ast.Call(
                    ast.Name("sample"),
                    ast.Arguments((ast.Percent(Decimal(1)),), (), REFERENCE, ((ast.Name("seed"), ast.Text("s")),)),
                ),
            ),
        ),
        (
            "policy q { require reach >= 50  quiet 21:00..9:00 except for [x]  cap n per person per 7 days }",
            ast.Policy(
                ast.Name("q"),
                (
                    ast.MeasureRule("reach", ">=", ast.Number(Decimal(50))),
                    ast.QuietRule(ast.Range(ast.TimeOfDay(21, 0), ast.TimeOfDay(9, 0)), (ast.Name("x"),)),
                    ast.CapRule(ast.Word("n"), ast.Duration(7, "day")),
                ),
            ),
        ),
        (
            "flow f { start when a wait 1 day branch { a -> send A otherwise -> {} } reentry: after d }",
            ast.Flow(
                ast.Name("f"),
                (
                    ast.StartWhen(REFERENCE),
                    ast.WaitFor(ast.Duration(1, "day")),
                    ast.Branch((ast.BranchArm(REFERENCE, (ast.SendStep((A,)),)), ast.BranchArm(None, ()))),
                    ast.Reentry(ast.Word("d")),
                ),
            ),
        ),
    ],
)
def test_trees(text: str, tree: ast.Statement) -> None:
    (statement,), codes = read(text)[0].statements, read(text)[1]
    assert codes == []
    assert statement == tree


def test_entries_of_parts() -> None:
    text = "table t { every: month 1 9:00  fresh: within 24 hours }"
    (statement,) = read(text)[0].statements
    assert isinstance(statement, ast.Block)
    every, fresh = statement.entries
    assert every.value == (ast.Word("month"), ast.Number(Decimal(1)), ast.TimeOfDay(9, 0))
    assert fresh.value == ast.Duration(24, "hour")


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
    assert len(file.statements) == 18
