"""The protocol of specs/conformance: its schema fits what is asked and answered, and a program can be driven by it."""

from __future__ import annotations

import json
import sys

import jsonschema
import pytest
from conformance import all_questions, asked, main, problems_of
from spec_cases import ROOT, BadCase, Case, Question, extracted, questions, wrong

from audsql.cli.conformance import answer

SCHEMA = json.loads((ROOT / "specs" / "conformance" / "protocol.schema.json").read_text(encoding="utf-8"))
AUDSQL = [sys.executable, "-m", "audsql", "conformance"]
# One question in so many goes through a program of its own; `test_spec` asks all of them in this process.
SHARE = 4


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{name}"}]})


def share() -> tuple[Question, ...]:
    """Every kind of request in its proportion."""
    kinds: dict[str, list[Question]] = {}
    for question in all_questions():
        kinds.setdefault(question.request["kind"], []).append(question)
    return tuple(question for kind in sorted(kinds) for question in kinds[kind][::SHARE])


def test_a_program_answers_as_expected() -> None:
    assert problems_of(AUDSQL, share()) == []


def test_questions_fit_the_schema() -> None:
    schema = validator("question")
    for question in extracted():
        schema.validate(question)


def test_answers_fit_the_schema() -> None:
    schema = validator("answer")
    for question in share():
        schema.validate(answer(asked(question)))
    schema.validate(answer({"id": "x", "kind": "dance"}))
    with pytest.raises(jsonschema.ValidationError):
        schema.validate({"id": "x"})


def test_ids_are_unique() -> None:
    ids = [question.id for question in all_questions()]
    assert len(ids) == len(set(ids))


def test_a_program_that_answers_wrong_is_told() -> None:
    silent = 'import sys; [print(\'{"id": "x", "diagnostics": []}\') for line in list(sys.stdin)[1:]]'
    told = problems_of([sys.executable, "-c", silent], all_questions()[:3])
    assert [one.split(": ")[1] for one in told] == ["answered as x", "answered as x", "no answer"]


def test_the_driver_extracts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--extract"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [question.id for question in all_questions()]


FOUND = {"code": "AUD0201", "severity": "error", "line": 1, "column": 14, "endLine": 1, "endColumn": 20}


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (("AUD0201",), True),
        (("AUD0201", "1:14"), True),
        (("AUD0201", "1:14-1:20", "error"), True),
        (("AUD0207",), False),
        (("AUD0201", "1:13"), False),
        (("AUD0201", "2:14"), False),
        (("AUD0201", "1:14-1:21"), False),
        (("AUD0201", "warning"), False),
    ],
)
def test_what_an_invalid_case_asks_for(words: tuple[str, ...], right: bool) -> None:
    case = Case("x.md", 1, "names.unknown", 1, ("invalid", *words), "audience a = frends\n")
    (question,) = questions(case)
    assert (wrong(question.expect, {"diagnostics": [FOUND]}) == "") is right
    assert (wrong(question.expect, answer(asked(question))) == "") is right


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), ""),
        (("dance",), ""),
        (("invalid",), ""),
        (("invalid", "AUD0201", "3;14"), ""),
        (("format",), "audience a = b\n"),
        (("equal",), "-- expressions --\nfriends\n"),
        (("members",), "-- a.txt --\nu1\n"),
    ],
)
def test_cases_that_are_not_cases(words: tuple[str, ...], text: str) -> None:
    with pytest.raises(BadCase, match=r"x\.md:1"):
        questions(Case("x.md", 1, "a.b", 1, words, text))


BUYERS = 'upload a { file: "a.txt"  id: user_id }\nupload b { file: "b.txt"  id: user_id }\n'


@pytest.mark.parametrize(
    ("kind", "lines", "right"),
    [
        ("equal", ["uploaded(a) AND uploaded(b)", "uploaded(b) AND uploaded(a)"], True),
        ("equal", ["uploaded(a)", "uploaded(b)"], False),
        ("within", ["uploaded(a) AND uploaded(b)", "uploaded(a)"], True),
        ("within", ["uploaded(a)", "uploaded(a)"], False),
        ("disjoint", ["uploaded(a)", "uploaded(b) EXCEPT uploaded(a)"], True),
        ("disjoint", ["uploaded(a)", "uploaded(b)"], False),
        ("overlapping", ["uploaded(a)", "uploaded(b)"], True),
        ("overlapping", ["uploaded(a)", "uploaded(a) OR uploaded(b)"], False),
    ],
)
def test_relations(kind: str, lines: list[str], right: bool) -> None:
    text = BUYERS + "-- expressions --\n" + "\n".join(lines) + "\n"
    found = [wrong(one.expect, answer(asked(one))) for one in questions(Case("x.md", 1, "a.b", 1, (kind,), text))]
    assert (found == [""]) is right


def test_members_are_those_of_the_data() -> None:
    text = BUYERS + "-- a.txt --\nu1\nu2\n-- b.txt --\nu2\n-- members: uploaded(a) EXCEPT uploaded(b) --\n"
    right, other = (Case("x.md", 1, "a.b", 1, ("members",), text + people) for people in ("u1\n", "u1 u2\n"))
    assert [wrong(one.expect, answer(asked(one))) for one in questions(right)] == [""]
    assert [bool(wrong(one.expect, answer(asked(one)))) for one in questions(other)] == [True]


def test_files_stay_inside_the_project() -> None:
    request = {"id": "x", "kind": "members", "files": {"../x.aud": ""}, "data": {}, "expression": "friends"}
    assert answer({**request, "as_of": "2026-12-01T00:00:00+09:00"})["error"] == "../x.aud is not inside the project"
