"""The fenced cases of specs/language/*.md, and the requests that they become.

Each page holds rules (`### area.name`), each rule cases. The first line of a case says what holds:

    ```aud valid                      no errors
    ```aud invalid AUD0201            the code is among the errors and warnings
    ```aud invalid AUD0201 3:14       … and begins at line 3, column 14
    ```aud invalid AUD0201 3:14-3:20  … and ends before column 20
    ```aud invalid AUD0501 warning    … with this severity (the place may follow)
    ```aud format                     what stands above `-- output --` is laid out as what stands below
    ```aud fix                        the same, with safe repairs made
    ```aud lint AUD0511 2:14-2:20     the code is among the lints (place and severity may follow)
    ```aud clean AUD0511              no errors, and the code is not among the lints
    ```aud repair                     what stands above `-- output --` becomes what stands below by `lint --fix`
    ```aud equal                      below `-- expressions --`: each line is the same set as the next
    ```aud within                     each line is a smaller set than the next, in some world at least
    ```aud disjoint                   no two of the lines have anybody in common
    ```aud overlapping                each line has people in common with the next, and each has others
    ```aud members                    below `-- FILE --` the data, below `-- members: EXPRESSION --` its people

Below a line `-- FILE --` of a valid, invalid, lint or clean case stands another file of the project, or one beside it
(`../FILE`); `vars.toml` holds values of parameters.

In data and members `u1`, `u2`, … stand for user IDs of the full length. Members are computed as of 10:00
on 1 December 2026 in Tokyo; `members 2026-11-21T00:00+09:00` says another time.

A case becomes requests of the protocol in specs/conformance/README.md. Ids are `rule#n`, with the n-th case of
the rule, and stay when lines move.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "specs" / "language").glob("*.md"))
KINDS = (
    "valid",
    "invalid",
    "format",
    "fix",
    "lint",
    "clean",
    "repair",
    "equal",
    "within",
    "disjoint",
    "overlapping",
    "members",
)
RELATIONS = {"equal": "equal", "within": "narrower", "disjoint": "disjoint", "overlapping": "overlapping"}
AS_OF = "2026-12-01T10:00:00+09:00"

_FENCE = re.compile(r"(```+)(.*)")
_DIVIDER = re.compile(r"^-- (.+) --\n", re.MULTILINE)
_PLACE = re.compile(r"(\d+):(\d+)(?:-(\d+):(\d+))?")


class BadCase(Exception):
    """A case that is not written as the pages' cases are; the message says where and what."""


@dataclass(frozen=True)
class Case:
    """One fenced block: the rule by the heading above it, the words of its first line, its text."""

    page: str
    line: int
    rule: str
    number: int
    words: tuple[str, ...]
    text: str

    @property
    def id(self) -> str:
        return f"{self.rule}#{self.number}"

    @property
    def kind(self) -> str:
        return self.words[0] if self.words else ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.id} {' '.join(self.words)}"


@dataclass(frozen=True)
class Question:
    """One request of a case, and what its answer must hold (`expect` of the protocol)."""

    case: Case
    id: str
    request: Mapping[str, Any]
    expect: Mapping[str, Any]


def cases_of(page: Path) -> Iterator[Case]:
    """The cases of a page, in order; blocks of other languages are left out."""
    rule, number, start = "", 0, 0
    fence: tuple[str, ...] | None = None
    marks = ""
    lines: list[str] = []
    for at, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if fence is not None:
            if line.strip() == marks:
                if fence[:1] == ("aud",):
                    number += 1
                    text = "".join(f"{one}\n" for one in lines)
                    yield Case(page.name, start, rule, number, fence[1:], text)
                fence = None
            else:
                lines.append(line)
        elif found := _FENCE.match(line):
            marks, fence, start, lines = found.group(1), tuple(found.group(2).split()), at, []
        elif line.startswith("### "):
            rule, number = line.removeprefix("### ").strip(), 0
    if fence is not None:
        raise BadCase(f"{page.name}:{start}: the block has no end")


@cache
def all_cases() -> tuple[Case, ...]:
    return tuple(case for page in PAGES for case in cases_of(page))


@cache
def rules() -> Mapping[str, tuple[Case, ...]]:
    """Every rule of the pages, in order, with its cases."""
    found: dict[str, list[Case]] = {}
    for page in PAGES:
        for rule in rules_of(page):
            if rule in found:
                raise BadCase(f"{page.name}: {rule} stands twice")
            found[rule] = []
    for case in all_cases():
        if case.rule not in found:
            raise BadCase(f"{case}: a case stands below the rule that it shows")
        found[case.rule].append(case)
    return {rule: tuple(shown) for rule, shown in found.items()}


def rules_of(page: Path) -> list[str]:
    """The rules of a page; a heading inside a block is none."""
    inside, found = "", []
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.match(line)
        if inside:
            inside = "" if line.strip() == inside else inside
        elif fence:
            inside = fence.group(1)
        elif line.startswith("### "):
            found.append(line.removeprefix("### ").strip())
    return found


# --- requests ---------------------------------------------------------------------------------------


@cache
def questions(case: Case) -> tuple[Question, ...]:
    """What a case asks, and what must be answered.

    Raises BadCase where its first line or its parts are not as the module says.
    """
    text, parts = _parts(case)
    if case.kind == "valid":
        return (_one(case, {"kind": "check", "files": {"spec.aud": text, **parts}}, {"errors": []}),)
    if case.kind == "invalid":
        return (_one(case, {"kind": "check", "files": {"spec.aud": text, **parts}}, {"includes": _finding(case)}),)
    if case.kind == "lint":
        return (_one(case, {"kind": "lint", "files": {"spec.aud": text, **parts}}, {"includes": _finding(case)}),)
    if case.kind == "clean":
        return (_one(case, {"kind": "lint", "files": {"spec.aud": text, **parts}}, {"excludes": _finding(case)}),)
    if case.kind in ("format", "fix", "repair"):
        wanted = {"spec.aud": _part(case, parts, "output")}
        asked = [("", text), (".again", wanted["spec.aud"])]
        return tuple(
            Question(case, case.id + end, {"kind": case.kind, "files": {"spec.aud": given}}, {"files": wanted})
            for end, given in asked
        )
    if case.kind in RELATIONS:
        return tuple(_relations(case, text, _part(case, parts, "expressions")))
    if case.kind == "members":
        return tuple(_members(case, text, parts))
    raise BadCase(f"{case}: not a kind of case; there are {', '.join(KINDS)}")


def _one(case: Case, request: Mapping[str, Any], expect: Mapping[str, Any]) -> Question:
    return Question(case, case.id, request, expect)


def _finding(case: Case) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for word in case.words[1:]:
        place = _PLACE.fullmatch(word)
        if re.fullmatch(r"AUD\d{4}", word):
            found["code"] = word
        elif word in ("error", "warning"):
            found["severity"] = word
        elif place:
            names = ("line", "column", "endLine", "endColumn")
            found |= {name: int(one) for name, one in zip(names, place.groups(), strict=True) if one}
        else:
            raise BadCase(f"{case}: `{word}` is no code, no severity and no place like 3:14 or 3:14-3:20")
    if "code" not in found:
        raise BadCase(f"{case}: `{case.kind}` needs a code")
    return found


def _parts(case: Case) -> tuple[str, Mapping[str, str]]:
    """The text above the first `-- name --` line, and the text below each."""
    pieces = _DIVIDER.split(case.text)
    return pieces[0], dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _part(case: Case, parts: Mapping[str, str], name: str) -> str:
    if name not in parts:
        raise BadCase(f"{case}: the line `-- {name} --` is missing")
    return parts[name]


def _relations(case: Case, text: str, listed: str) -> Iterator[Question]:
    lines = [line.strip() for line in listed.splitlines() if line.strip()]
    if len(lines) < 2:
        raise BadCase(f"{case}: below `-- expressions --` stand two lines or more")
    pairs = list(pairwise(lines))
    if case.kind == "disjoint":
        pairs = [(left, right) for at, left in enumerate(lines) for right in lines[at + 1 :]]
    for number, (left, right) in enumerate(pairs, 1):
        request = {"kind": "relation", "files": {"spec.aud": text}, "left": left, "right": right}
        yield Question(case, f"{case.id}.{number}", request, {"relation": RELATIONS[case.kind]})


def _members(case: Case, text: str, parts: Mapping[str, str]) -> Iterator[Question]:
    as_of = case.words[1] if len(case.words) > 1 else AS_OF
    data = {name: _people(part) for name, part in parts.items() if not name.startswith("members:")}
    wanted = {name.removeprefix("members:").strip(): part for name, part in parts.items() if name not in data}
    if not wanted:
        raise BadCase(f"{case}: a line `-- members: EXPRESSION --` is missing")
    for number, (expression, people) in enumerate(wanted.items(), 1):
        request = {"kind": "members", "files": {"spec.aud": text}, "data": data, "as_of": as_of}
        expect = {"members": sorted(_people(people).split())}
        yield Question(case, f"{case.id}.{number}", {**request, "expression": expression}, expect)


def _people(text: str) -> str:
    return re.sub(r"\bu(\d+)\b", lambda found: f"U{int(found.group(1)):032x}", text)


# --- answers ----------------------------------------------------------------------------------------


def wrong(expect: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """What is wrong with an answer; '' where it is as expected."""
    if "error" in answer:
        return f"cannot be answered: {answer['error']}"
    if "errors" in expect:
        told = [_shown(one) for one in answer["diagnostics"] if one["severity"] == "error"]
        return "" if told == expect["errors"] else f"no errors expected, found: {'; '.join(told)}"
    if "excludes" in expect:
        unwanted = ("error", expect["excludes"]["code"])
        told = [_shown(one) for one in answer["diagnostics"] if {one["severity"], one["code"]} & {*unwanted}]
        return f"none of these expected: {'; '.join(told)}" if told else ""
    if "includes" in expect:
        wanted = expect["includes"]
        if any(all(one.get(name) == value for name, value in wanted.items()) for one in answer["diagnostics"]):
            return ""
        told = [_shown(one) for one in answer["diagnostics"]]
        return f"{_shown(wanted)} expected, found: {'; '.join(told) or 'nothing'}"
    return "".join(
        f"{name} is not as expected\nwanted: {value}\nfound:  {answer.get(name)}"
        for name, value in expect.items()
        if answer.get(name) != value
    )


def _shown(found: Mapping[str, Any]) -> str:
    place = f" {found['line']}:{found['column']}" if "line" in found else ""
    end = f"-{found['endLine']}:{found['endColumn']}" if "endLine" in found else ""
    return f"{found['code']}{place}{end} {found.get('severity', '')}".rstrip()


def extracted() -> Iterator[dict[str, Any]]:
    """Every question in its JSON form: id, rule, page, line, kind of the case, request, expect."""
    for case in all_cases():
        for one in questions(case):
            about = {"id": one.id, "rule": case.rule, "page": case.page, "line": case.line, "case": case.kind}
            yield {**about, "request": {"id": one.id, **one.request}, "expect": dict(one.expect)}
