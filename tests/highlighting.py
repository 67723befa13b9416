"""Two readers of colours, and what the parser takes for words of the language.

`textmate` reads `grammar/audsql.tmLanguage.json` as an editor does: line by line, at each place the pattern
that matches first, of several the one that is listed first; `begin` and `end` hold a state over lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from audsql.source import Source
from audsql.syntax import drive, parse
from audsql.syntax.lex import lex

ROOT = Path(__file__).resolve().parents[1]
GRAMMAR = ROOT / "grammar" / "audsql.tmLanguage.json"


@dataclass(frozen=True)
class Piece:
    start: int
    end: int
    scope: str


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def grammar() -> dict[str, Any]:
    return json.loads(GRAMMAR.read_text(encoding="utf-8"))


@cache
def textmate(text: str) -> list[Piece]:
    """The coloured pieces of a text; blanks have none."""
    pieces: list[Piece] = []
    inside: dict[str, Any] | None = None
    line_start = 0
    for line in text.split("\n"):
        at = 0
        while True:
            rules = grammar()["patterns"] if inside is None else inside["patterns"]
            found = _first(rules, line, at)
            end = _compiled(inside["end"]).search(line, at) if inside is not None else None
            if inside is not None and end is not None and (found is None or end.start() <= found[1].start()):
                pieces.append(Piece(line_start + at, line_start + end.end(), inside["name"]))
                at, inside = end.end(), None
                continue
            if found is None:
                if inside is not None and at < len(line):
                    pieces.append(Piece(line_start + at, line_start + len(line), inside["name"]))
                break
            rule, match = found
            if inside is not None and match.start() > at:
                pieces.append(Piece(line_start + at, line_start + match.start(), inside["name"]))
            pieces.append(Piece(line_start + match.start(), line_start + match.end(), rule["name"]))
            at = match.end()
            if "begin" in rule:
                inside = rule
        line_start += len(line) + 1
    return pieces


def _first(rules: list[dict[str, Any]], line: str, at: int) -> tuple[dict[str, Any], re.Match[str]] | None:
    best: tuple[dict[str, Any], re.Match[str]] | None = None
    for rule in rules:
        match = _compiled(rule.get("match") or rule["begin"]).search(line, at)
        if match and match.end() > match.start() and (best is None or match.start() < best[1].start()):
            best = (rule, match)
    return best


def scopes(text: str) -> list[str]:
    """The scope of each character, '' where it has none."""
    found = [""] * len(text)
    for piece in textmate(text):
        found[piece.start : piece.end] = [piece.scope] * (piece.end - piece.start)
    return found


@dataclass(frozen=True)
class Word:
    """A word of a text, and whether the parser took it for one of the language."""

    start: int
    end: int
    text: str
    keyword: bool


def words(text: str, monkeypatch: pytest.MonkeyPatch) -> list[Word]:
    """Every word outside strings, as the parser decided; keys of entries are left out."""
    taken: dict[int, str] = {}
    decide = drive._word

    def noted(table: Any, tokens: Any, states: Any, row: Any, index: int, stop: int) -> str:
        terminal = decide(table, tokens, states, row, index, stop)
        taken[tokens.starts[index]] = terminal
        return terminal

    with monkeypatch.context() as patch:
        patch.setattr(drive, "_word", noted)
        parse.parse_file(Source("spec.aud", text))
    return list(_decided(text, taken))


def _decided(text: str, taken: dict[int, str]) -> Iterator[Word]:
    tokens = lex("spec.aud", text)
    for kind, start, end in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True):
        if kind == "NAME" and start in taken and not taken[start].startswith("KEY"):
            yield Word(start, end, text[start:end], taken[start] != "NAME")
