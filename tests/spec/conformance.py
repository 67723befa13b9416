"""Asks an implementation every question of specs/language/ and compares its answers.

python tests/spec/conformance.py                          audsql, in this process
python tests/spec/conformance.py -- audsql conformance    a program (specs/conformance/README.md)
python tests/spec/conformance.py --extract                the questions, one JSON a line
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from spec_cases import Question, all_cases, extracted, questions, wrong


def all_questions() -> tuple[Question, ...]:
    return tuple(question for case in all_cases() for question in questions(case))


def asked(question: Question) -> dict[str, Any]:
    return {"id": question.id, **question.request}


def answers_of(command: list[str], wanted: Iterable[Question]) -> Iterator[Mapping[str, Any]]:
    """The answers of a program, in order. One that ends early leaves the rest unanswered."""
    lines = [json.dumps(asked(question), ensure_ascii=False) + "\n" for question in wanted]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", bufsize=1
    ) as program:
        assert program.stdin is not None and program.stdout is not None
        writer = threading.Thread(target=_write, args=(program.stdin, lines), daemon=True)
        writer.start()
        for line in program.stdout:
            yield json.loads(line)
        writer.join()


def _write(stream: Any, lines: list[str]) -> None:
    try:
        stream.writelines(lines)
        stream.close()
    except BrokenPipeError:
        # The program has ended: what it has not answered is told as unanswered.
        return


def problems_of(command: list[str], wanted: tuple[Question, ...]) -> list[str]:
    """What a program answers wrong, or not at all."""
    found: list[str] = []
    answers = list(answers_of(command, wanted))
    for question, answer in zip(wanted, answers, strict=False):
        if answer.get("id") != question.id:
            found.append(f"{question.id}: answered as {answer.get('id')}")
        elif problem := wrong(question.expect, answer):
            found.append(f"{question.id} ({question.case.page}:{question.case.line}): {problem}")
    found += [f"{question.id}: no answer" for question in wanted[len(answers) :]]
    return found


def own_problems(wanted: tuple[Question, ...]) -> list[str]:
    from audsql.cli.conformance import answer

    told = [(question, wrong(question.expect, answer(asked(question)))) for question in wanted]
    return [f"{one.id} ({one.case.page}:{one.case.line}): {problem}" for one, problem in told if problem]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extract", action="store_true", help="print the questions and ask nothing")
    parser.add_argument("--counts", action="store_true", help="print what the cases cover and ask nothing")
    parser.add_argument("command", nargs="*", help="the program to ask (default: audsql in this process)")
    given = parser.parse_args(arguments)
    if given.extract:
        for question in extracted():
            print(json.dumps(question, ensure_ascii=False, sort_keys=True))
        return 0
    if given.counts:
        from spec_coverage import counts

        print(counts(), end="")
        return 0
    wanted = all_questions()
    problems = problems_of(given.command, wanted) if given.command else own_problems(wanted)
    print("".join(f"{problem}\n" for problem in problems), end="")
    print(f"{len(wanted) - len(problems)} of {len(wanted)} questions answered as expected")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
