"""Expansion: what parameters, loops, calls and used files become, and what is told of them."""

from __future__ import annotations

import itertools

import pytest
from meaning_project import SHOP, sound

from audsql.diag import Diagnostic
from audsql.meaning import ir
from audsql.meaning.expand import Given, Inputs, expand, values_given
from audsql.meaning.expand_tree import rebuilt
from audsql.meaning.expand_values import argument_text, indexed, read_value
from audsql.meaning.lower import Analysis, analyse, lower_expression
from audsql.source import CopySpan, Source, Span
from audsql.syntax import ast
from audsql.syntax.parse import parse_expression, parse_file

COMMON = """
table orders { file: "orders.csv"  id: user_id  time: at  verb bought by product }
upload buyers { file: "buyers.txt"  id: user_id }
message hello { file: "hello.json" }
param product: string = "A"
audience regulars = bought(product, at least 3 times) AND uploaded(buyers)
audience lapsed(p, d) = bought(p) EXCEPT bought(p, last d)
split half of regulars { a 50%, b 50% } salt "x"
for p in [A, B] { audience recent[p] = lapsed(p, 9 days) }
"""


def parsed(text: str, path: str = "spec.aud") -> ast.File:
    file, problems = parse_file(Source(path, text))
    assert not problems, problems
    return file


def read_with(text: str, *given: Given, used: dict[str, str] | None = None) -> tuple[Analysis, tuple[Diagnostic, ...]]:
    """The meaning of a text; `used`: files by path, each used by the path as it stands."""
    files = {path: parsed(content, path) for path, content in (used or {}).items()}
    file = parsed(text)
    by = {(one.path, path): path for one in (file, *files.values()) for path in files}
    return analyse((file,), name="test", timezone="Asia/Tokyo", inputs=Inputs(given, by, files))


def codes_with(text: str, *given: Given, used: dict[str, str] | None = None) -> list[str]:
    return [one.code for one in read_with(text, *given, used=used)[1]]


def meaning(analysis: Analysis, text: str) -> ir.Expression:
    tree, problems = parse_expression(text)
    assert tree is not None
    assert not problems
    expression, told = lower_expression(tree, analysis)
    assert not told, told
    return expression


# --- nothing to do ----------------------------------------------------------------------------------


def test_a_project_without_anything_to_expand_stays_the_same_objects() -> None:
    file = parsed(SHOP + "audience a = purchased(A)\n")
    assert expand((file,)).files[0] is file


def test_what_does_not_change_stays_the_same_object() -> None:
    file = parsed(SHOP + 'param product: string = "A"\naudience a = purchased(B)\naudience b = purchased(product)\n')
    done = expand((file,)).files[0].statements
    same = [new is old for new, old in zip(done, file.statements, strict=True)]
    assert same == [True] * (len(same) - 1) + [False]


def test_no_statement_and_no_index_is_left_to_expand() -> None:
    file = parsed(SHOP + "audience x(p) = purchased(p)\nfor p in [A, B] { audience y[p] = x(p) }\naudience z = y[A]\n")

    def left(node: object) -> object:
        assert not isinstance(node, ast.For)
        assert not (isinstance(node, ast.Call) and node.name.text == "x")
        return node

    for one in expand((file,)).files:
        for statement in one.statements:
            if not (isinstance(statement, ast.Audience) and statement.parameters):
                rebuilt(statement, left)


# --- values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("string", 'say "hi"', '"say \\"hi\\""'),
        ("number", "1_000", "1000"),
        ("number", "-1.50", "-1.5"),
        ("percent", "20%", "20%"),
        ("date", "2026-12-01 10:00 +09:00", "2026-12-01 10:00 +09:00"),
        ("duration", "2 weeks", "2 weeks"),
        ("list", 'A, "B-1", 3', '[A, "B-1", 3]'),
        ("list", "[A]", "[A]"),
        ("list", "", "[]"),
    ],
)
def test_values_from_outside_are_read_by_type(kind: ast.ParameterType, text: str, shown: str) -> None:
    value = read_value(text, kind)
    assert value is not None
    assert argument_text(value) == shown


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("number", "12A"),
        ("number", "1 2"),
        ("number", "20%"),
        ("number", ""),
        ("percent", "20"),
        ("date", "2026-02-30"),
        ("date", "tomorrow"),
        ("duration", "90"),
        ("duration", "90 months"),
        ("duration", "0 days"),
        ("list", "A B"),
        ("list", "[A"),
        ("list", "A-12"),
        ("list", "[A]]"),
        ("list", "A # B"),
    ],
)
def test_values_of_another_type_are_refused(kind: ast.ParameterType, text: str) -> None:
    assert read_value(text, kind) is None


def test_the_last_value_of_a_name_counts() -> None:
    text = SHOP + 'param product: string = "A"\naudience a = purchased(product)\n'
    analysis, problems = read_with(text, Given("product", "B", "env", strict=False), Given("product", "C", "--var"))
    assert not problems
    assert meaning(analysis, "a") == meaning(analysis, "purchased(C)")


def test_a_wrong_text_is_not_repeated() -> None:
    text = SHOP + "param product: list = [A]\naudience a = purchased(product)\n"
    (problem,) = read_with(text, Given("product", "se-cret", "--var"))[1]
    assert problem.code == "AUD0221"
    assert "se-cret" not in repr(problem)


def test_a_wrong_number_is_shown() -> None:
    text = SHOP + "param times: number = 1\naudience a = purchased(*, at least times times)\n"
    (problem,) = read_with(text, Given("times", "12x", "--var"))[1]
    assert problem.fact("value") == "12x"


def test_a_variable_of_the_environment_may_belong_to_another_project() -> None:
    assert codes_with(SHOP, Given("other", "x", "AUDSQL_VAR_other", strict=False)) == []
    assert codes_with(SHOP, Given("other", "x", "--var")) == ["AUD0223"]


def test_a_parameter_without_a_value_is_told_once() -> None:
    text = SHOP + "param w: duration\naudience a = purchased(*, last w)\naudience b = a AND purchased(A, last w)\n"
    assert codes_with(text) == ["AUD0220"]


def test_values_given_are_those_that_the_project_reads() -> None:
    file = parsed(SHOP + 'param product: string = "A"\naudience a = purchased(product)\n')
    inputs = Inputs((Given("product", "B", "env"), Given("other", "C", "env", strict=False)))
    assert values_given((file,), inputs) == (("product", "B"),)
    assert values_given((file,), Inputs()) == ()


# --- audiences with parameters ----------------------------------------------------------------------

LAPSED = "audience lapsed(p, d) = purchased(p) EXCEPT purchased(p, last d)\n"


def test_the_same_arguments_are_expanded_once() -> None:
    calls = "".join(f"audience a{index} = lapsed(A, 90 days) AND purchased(P{index})\n" for index in range(20))
    files = expand((parsed(SHOP + LAPSED + calls),)).files
    made = [one for file in files for one in file.statements if isinstance(one, ast.Audience) and one.name.index]
    assert [one.name.text for one in made] == ["lapsed(A, 90 days)"]


def test_a_chain_of_calls_does_not_multiply() -> None:
    chain = ["audience a0(p) = purchased(p)\n"]
    chain += [f"audience a{level}(p) = a{level - 1}(p) OR a{level - 1}(p)\n" for level in range(1, 60)]
    analysis = sound(SHOP + "".join(chain) + "audience it = a59(A)\n")
    assert meaning(analysis, "it") == meaning(analysis, "purchased(A)")


def test_calls_are_no_audiences_of_the_project() -> None:
    analysis = sound(SHOP + LAPSED + "audience it = lapsed(A, 90 days)\n")
    assert [one.name for one in analysis.project.audiences] == ["it"]
    assert analysis.project.audiences[0].text == "lapsed(A, 90 days)"


def test_a_mistake_in_the_body_is_told_once_with_the_first_call() -> None:
    calls = "audience b = lapsed(A, 9 days)\naudience c = lapsed(B, 9 days)\n"
    text = SHOP + "audience lapsed(p, d) = purchased(p, last d) AND age(32..39)\n" + calls
    (problem,) = read_with(text)[1]
    assert problem.code == "AUD0322"
    assert isinstance(problem.span, CopySpan)
    assert problem.span.origin is not None
    assert problem.span.origin.text in ("lapsed(A, 9 days)", "lapsed(B, 9 days)")
    assert text[problem.span.start : problem.span.end] == "32..39"


def test_further_expressions_may_call_with_new_arguments() -> None:
    analysis = sound(SHOP + LAPSED + "audience twice(p) = lapsed(p, 9 days) AND lapsed(p, 8 days)\n")
    parts = [f"(purchased(Z) EXCEPT purchased(Z, last {days} days))" for days in (9, 8)]
    wanted = meaning(analysis, " AND ".join(parts))
    assert meaning(analysis, "twice(Z)") == wanted


@pytest.mark.scenario(39)
def test_a_circle_through_arguments_is_told_with_its_path() -> None:
    text = SHOP + "audience a(p) = b(p)\naudience b(p) = c(p)\naudience c(p) = a(p)\naudience it = a(A)\n"
    (problem,) = read_with(text)[1]
    assert problem.code == "AUD0210"
    assert problem.fact("path") == "a -> b -> c -> a"


def test_very_many_different_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audsql.meaning.expand.STATEMENTS_MAX", 300)
    names = [f"p{index}" for index in range(8)]
    swaps = [names[:], names[1:] + names[:1], names[1::-1] + names[2:]]
    bodies = [f"audience a0({', '.join(names)}) = purchased({', '.join(names)})\n"]
    for level in range(1, 30):
        calls = " OR ".join(f"a{level - 1}({', '.join(swap)})" for swap in swaps)
        bodies.append(f"audience a{level}({', '.join(names)}) = {calls}\n")
    values = ", ".join(f"v{index}" for index in range(8))
    found = expand((parsed(SHOP + "".join(bodies) + f"audience it = a29({values})\n"),))
    assert [one.code for one in found.diagnostics] == ["AUD0240"]


# --- loops ------------------------------------------------------------------------------------------


def test_a_loop_means_what_was_written_out_by_hand() -> None:
    loop = sound(SHOP + 'for p in [A, "B-1"] { audience x[p] = purchased(p)\n audience y[p] = x[p] AND visited() }\n')
    hand = sound(
        SHOP
        + 'audience `x[A]` = purchased(A)\naudience `x["B-1"]` = purchased("B-1")\n'
        + 'audience `y[A]` = `x[A]` AND visited()\naudience `y["B-1"]` = `x["B-1"]` AND visited()\n'
    )
    by_hand = {one.name: one.expression for one in hand.project.audiences}
    assert {one.name: one.expression for one in loop.project.audiences} == by_hand


def test_nested_loops_multiply_in_order() -> None:
    text = "for p in [A, B] { for q in [1, 2] { audience x[p, q] = purchased(p, q) } }\n"
    analysis = sound(SHOP + text)
    wanted = [indexed("x", (ast.Text(p), ast.Text(q))) for p, q in itertools.product("AB", "12")]
    assert [one.name.replace('"', "") for one in analysis.project.audiences] == [one.replace('"', "") for one in wanted]


def test_titles_of_tests_get_the_values() -> None:
    text = 'for p in [A, B] { test "bought" { given purchased(p) = [u1]  expect purchased(p) = [u1] } }\n'
    assert [test.title for test in sound(SHOP + text).tests] == ["bought [A]", "bought [B]"]


def test_a_name_without_the_variable_is_one_problem() -> None:
    assert codes_with(SHOP + "for p in [A, B, C] { audience x = purchased(p) }\naudience y = x\n") == ["AUD0234"]


def test_a_mistake_in_a_loop_is_told_once_with_its_first_value() -> None:
    (problem,) = read_with(SHOP + "for p in [A, B] { audience x[p] = purchsed(p) }\n")[1]
    assert problem.code == "AUD0205"
    assert isinstance(problem.span, CopySpan)
    assert problem.span.origin is not None
    assert problem.span.origin.text == "p = A"


def test_a_broken_statement_of_a_loop_silences_what_refers_to_it() -> None:
    text = "for p in [A, B] { audience x[p] = purchased(p, last w) }\naudience y = x[A] AND x[B]\n"
    assert codes_with(SHOP + text) == ["AUD0225"]


def test_a_loop_over_an_unknown_list_is_one_problem() -> None:
    text = "for p in products { audience x[p] = purchased(p) }\naudience y = x[A]\n"
    assert codes_with(SHOP + text) == ["AUD0225"]


def test_an_unknown_index_names_those_that_there_are() -> None:
    (problem,) = read_with(SHOP + "for p in [gold, silver] { audience x[p] = purchased(p) }\naudience y = x[golf]\n")[1]
    assert problem.code == "AUD0239"
    assert problem.fact("near") == "gold"
    assert problem.fact("known") == ("gold", "silver")


def test_what_was_moved_may_have_an_index_that_is_gone() -> None:
    loop = "for p in [B] { delivery sale[p] { to: friends AND purchased(p)  send: card } }\nmoved sale[A] -> sale[B]\n"
    assert codes_with(SHOP + loop) == []


def test_size_is_found_before_anything_is_made() -> None:
    names = [f"v{index}" for index in range(40)]
    values = ", ".join(str(index) for index in range(100))
    opened = "".join(f"for {name} in [{values}] {{ " for name in names)
    text = f"{opened}audience x[{', '.join(names)}] = friends{' }' * len(names)}\n"
    assert [one.code for one in expand((parsed(SHOP + text),)).diagnostics] == ["AUD0240"]


@pytest.mark.threat("T53")
def test_loops_around_nothing_are_counted_too() -> None:
    values = ", ".join(str(index) for index in range(100))
    text = "".join(f"for v{index} in [{values}] {{ " for index in range(40)) + " }" * 40 + "\n"
    assert [one.code for one in expand((parsed(text),)).diagnostics] == ["AUD0240"]


def test_deep_trees_are_expanded_without_recursion() -> None:
    expression: ast.Expression = ast.Call(ast.Name("purchased"), ast.Arguments((ast.Word("product"),), ()))
    for _ in range(5_000):
        expression = ast.Paren(ast.Not(expression))
    parameter = ast.Parameter(ast.Name("product"), "string", ast.Text("A"))
    file = ast.File("deep.aud", (parameter, ast.Audience(ast.Name("a"), expression)))
    (done,) = [one for one in expand((file,)).files if one.path]
    audience = done.statements[1]
    assert isinstance(audience, ast.Audience)
    node = audience.expression
    while isinstance(node, (ast.Paren, ast.Not)):
        node = node.inner if isinstance(node, ast.Paren) else node.operand
    assert isinstance(node, ast.Call)
    assert node.arguments.values == (ast.Text("A"),)


def test_places_of_copies_are_equal_and_keep_their_text() -> None:
    file = parsed(SHOP + "for p in [A, B] { audience x[p] = purchased(p) }\n")
    audiences = [one for one in expand((file,)).files[0].statements if isinstance(one, ast.Audience)]
    first, second = audiences[0].expression.span, audiences[1].expression.span
    assert first == second
    assert isinstance(first, Span)
    assert first.path == "spec.aud"


# --- used files -------------------------------------------------------------------------------------


def test_names_of_a_used_file_have_its_alias() -> None:
    analysis, problems = read_with(
        'use "c.aud" as common\naudience a = common.regulars AND common.half.a AND common.recent[B]\n',
        used={"c.aud": COMMON},
    )
    assert not problems
    project = analysis.project
    assert [one.name for one in project.uploads] == ["common.buyers"]
    assert [one.name for one in project.tables] == ["common.orders"]
    assert [one.name for one in project.messages] == ["common.hello"]
    assert {"common.regulars", "common.recent[A]", "common.recent[B]", "a"} == {one.name for one in project.audiences}
    wanted = "common.bought(Z) EXCEPT common.bought(Z, last 3 days)"
    assert meaning(analysis, "common.lapsed(Z, 3 days)") == meaning(analysis, wanted)


def test_a_used_file_resolves_in_itself_first() -> None:
    text = SHOP + 'use "c.aud" as common\naudience regulars = purchased(A)\naudience a = common.both\n'
    used = {"c.aud": COMMON + "audience both = regulars AND visited()\n"}
    analysis, problems = read_with(text, used=used)
    assert not problems
    assert meaning(analysis, "a") == meaning(analysis, "common.regulars AND visited()")


def test_parameters_of_a_used_file_are_given_by_its_alias() -> None:
    text = 'use "c.aud" as common\naudience a = common.bought(common.product)\n'
    analysis, problems = read_with(text, Given("common.product", "Z", "--var"), used={"c.aud": COMMON})
    assert not problems
    assert meaning(analysis, "a") == meaning(analysis, "common.bought(Z)")


def test_a_parameter_of_the_project_does_not_reach_into_a_used_file() -> None:
    text = 'param A: string = "Z"\nuse "c.aud" as common\naudience a = common.plain\n'
    analysis, problems = read_with(text, used={"c.aud": COMMON + "audience plain = bought(A)\n"})
    assert not problems
    assert meaning(analysis, "a") == meaning(analysis, 'common.bought("A")')


def test_used_files_use_others_and_may_be_used_twice() -> None:
    text = 'use "a.aud" as a\nuse "a.aud" as b\naudience x = a.c.regulars\naudience y = b.c.recent[A]\n'
    analysis, problems = read_with(text, used={"a.aud": 'use "c.aud" as c\n', "c.aud": COMMON})
    assert not problems
    assert {"a.c.regulars", "b.c.regulars"} <= {one.name for one in analysis.project.audiences}


def test_very_many_uses_are_refused() -> None:
    used = {f"{level}.aud": f'use "{level + 1}.aud" as a\nuse "{level + 1}.aud" as b\n' for level in range(40)}
    assert codes_with('use "0.aud" as top\n', used={**used, "40.aud": COMMON}) == ["AUD0240"]


def test_a_circle_of_files_is_told_with_its_path() -> None:
    used = {"a.aud": 'use "b.aud" as b\n', "b.aud": 'use "a.aud" as a\n'}
    (problem,) = read_with('use "a.aud" as a\n', used=used)[1]
    assert problem.code == "AUD0244"
    assert problem.fact("circle") == "a.aud -> b.aud -> a.aud"


@pytest.mark.parametrize(
    "statement",
    [
        'account shop { token: env("T") }',
        'delivery d { sent: "x"  at: 2026-01-01 10:00 }',
        "priority [a, b]",
        "moved a -> b",
        "removed a { keep }",
        'for p in [A] { delivery d[p] { sent: "x"  at: 2026-01-01 10:00 } }',
    ],
)
def test_used_files_say_nothing_of_deliveries(statement: str) -> None:
    assert codes_with('use "c.aud" as common\n', used={"c.aud": statement + "\n"}) == ["AUD0241"]


def test_a_file_that_could_not_be_read_silences_its_names() -> None:
    assert codes_with(SHOP + 'use "gone.aud" as gone\naudience a = gone.x AND gone.bought(A)\n') == []


def test_the_folder_of_a_data_file_is_that_of_the_text_that_names_it() -> None:
    used = {"../common/c.aud": COMMON}
    analysis, problems = read_with(SHOP + 'use "../common/c.aud" as common\n', used=used)
    assert not problems
    folders = {one.name: one.folder for one in analysis.project.uploads}
    folders |= {one.name: one.folder for one in analysis.project.messages}
    assert folders == {
        "buyers": "", "optout": "", "card": "", "common.buyers": "../common", "common.hello": "../common",
    }  # fmt: skip


def test_an_unknown_index_of_a_used_file_is_told() -> None:
    text = (
        SHOP
        + 'use "c.aud" as common\naudience recent = purchased(A)\naudience a = common.recent[A] OR common.recent[C]\n'
    )
    (problem,) = read_with(text, used={"c.aud": COMMON})[1]
    assert (problem.code, problem.fact("name"), problem.fact("known")) == ("AUD0239", "common.recent", ("A", "B"))
