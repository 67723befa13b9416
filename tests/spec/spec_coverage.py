"""What the cases cover: rules, productions of the grammar, codes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from spec_cases import ROOT, all_cases, questions, rules, rules_of

from audsql import catalog
from audsql.source import Source
from audsql.syntax import drive
from audsql.syntax.parse import parse_expression, parse_file
from audsql.syntax.table import parse_table

LANGUAGE_RANGES = ("AUD01", "AUD02", "AUD03", "AUD04", "AUD05", "AUD09")

_ELSEWHERE = re.compile(r"(?:\*\*|r\[)([a-z_]+(?:\.[a-z_]+)+)(?:\*\*|\])")


@cache
def rules_everywhere() -> frozenset[str]:
    """The rules of every page under specs/; beside specs/language they look like **a.b** or r[a.b]."""
    found = set(rules())
    for page in sorted((ROOT / "specs").rglob("*.md")):
        found.update(rules_of(page))
        found.update(_ELSEWHERE.findall(page.read_text(encoding="utf-8")))
    return frozenset(found)


# --- productions ------------------------------------------------------------------------------------


@contextmanager
def reductions() -> Iterator[set[int]]:
    """The numbers of the grammar's productions that the parser reduces by, while this is open."""
    used: set[int] = set()
    real = drive._steps

    @cache
    def steps() -> tuple[Any, ...]:
        return tuple(
            (size, origin, _recording(used, number, make), wants_span)
            for number, (size, origin, make, wants_span) in enumerate(real())
        )

    drive._steps = steps  # type: ignore[assignment]
    try:
        yield used
    finally:
        drive._steps = real


def _recording(used: set[int], number: int, make: Any) -> Any:
    """The builder of a production that notes its use; a part that stands for the whole stays what it is."""

    def made(making: Any, parts: list[Any], span: Any) -> Any:
        used.add(number)
        return parts[0] if make is None else make(making, parts, span)

    return made


@cache
def productions_used() -> frozenset[int]:
    """The productions that the texts of the cases are reduced by, where they have no problem of syntax. What they
    mean is another matter: an empty block can be read, and is an error all the same."""
    found: set[int] = set()
    with reductions() as used:
        for case in all_cases():
            for question in questions(case):
                for path, text in (*question.request["files"].items(), *question.expect.get("files", {}).items()):
                    used.clear()
                    if path.endswith(".aud") and not parse_file(Source(path, text))[1]:
                        found |= used
        for text in expressions():
            used.clear()
            if not parse_expression(text)[1]:
                found |= used
    return frozenset(found)


def expressions() -> Iterator[str]:
    for case in all_cases():
        for question in questions(case):
            yield from (question.request[name] for name in ("left", "right", "expression") if name in question.request)


@cache
def spelled(number: int) -> str:
    """A production as the grammar writes it, read off the parse table: `verb: "verb" name "by" name`."""
    table = parse_table()
    rule = table.rules[number]
    reached: dict[int, list[tuple[int, str]]] = {}
    for state, row in enumerate(table.rows):
        for symbol, target in row.items():
            if target >= 0:
                reached.setdefault(target, []).append((state, symbol))
    states = [state for state, row in enumerate(table.rows) if -1 - number in row.values()]
    state, parts = states[0], []
    for _ in range(rule.size):
        state, symbol = reached[state][0]
        shown = table.spelled.get(symbol)
        parts.append(f'"{shown}"' if shown else symbol)
    action = "" if rule.action == rule.origin else f"  -> {rule.action}"
    return f"{rule.origin}: {' '.join(reversed(parts))}{action}"


def productions_missing() -> list[str]:
    return sorted(spelled(number) for number in range(len(parse_table().rules)) if number not in productions_used())


# --- codes ------------------------------------------------------------------------------------------


@cache
def codes_of_the_language() -> tuple[str, ...]:
    return tuple(code for code in catalog.codes() if code.startswith(LANGUAGE_RANGES))


@cache
def codes_shown() -> frozenset[str]:
    """The codes that an `invalid` or a `lint` case names."""
    return frozenset(
        question.expect["includes"]["code"]
        for case in all_cases()
        if case.kind in ("invalid", "lint")
        for question in questions(case)
    )


def codes_sampled() -> frozenset[str]:
    return frozenset(code for code in codes_of_the_language() if catalog.entry(code).sample is not None)


@cache
def codes_of_rules() -> dict[str, tuple[str, ...]]:
    """By rule the codes whose catalogue files name it."""
    found: dict[str, list[str]] = {}
    for code in catalog.codes():
        found.setdefault(catalog.entry(code).rule, []).append(code)
    return {rule: tuple(codes) for rule, codes in found.items()}


# --- the counts -------------------------------------------------------------------------------------


def counts() -> str:
    """What `make spec` prints of the cases."""
    kinds = Counter(case.kind for case in all_cases())
    asked = sum(len(questions(case)) for case in all_cases())
    total = len(parse_table().rules)
    codes = codes_of_the_language()
    shown = codes_shown() & set(codes)
    lines = [
        f"rules        {len(rules())}, {sum(bool(cases) for cases in rules().values())} of them with cases",
        f"cases        {len(all_cases())}: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}",
        f"questions    {asked}",
        f"productions  {total - len(productions_missing())} of {total} used by a case that can be read",
        f"codes        {len(shown)} of {len(codes)} shown by an invalid case, "
        f"{len(shown | codes_sampled())} by a case or a sample",
    ]
    return "\n".join(lines) + "\n"


def words_of_rules(pages: Iterable[Path]) -> dict[str, str]:
    """The text of each rule without its cases."""
    found: dict[str, str] = {}
    for page in pages:
        text = re.sub(r"^(```+).*?^\1[ \t]*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
            rule, _, words = part.partition("\n")
            found[rule.strip()] = words
    return found
