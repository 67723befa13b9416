"""The grammar as a parse table: `grammar/audsql.lark`, compiled by lark, driven by `parse`.

The table is made once a process. The grammar lies beside the package in a wheel and in the checkout's
`grammar/` folder otherwise.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audsql import user_cache

__all__ = ["CALL_WORDS", "END", "Rule", "Table", "parse_table"]

END = "$END"
# Goes up when the table is made in another way from the same grammar.
_FORMAT = 2
# Words of the language only where `(` follows directly; elsewhere they are values and names.
CALL_WORDS = frozenset({"env", "sum", "avg", "min", "max", "count"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One production: what it makes, from how many parts, and which builder makes it."""

    origin: str
    size: int
    action: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows by state: a terminal or rule name to the next state, or to -1 - n to reduce by rule n."""

    rows: tuple[dict[str, int], ...]
    rules: tuple[Rule, ...]
    start: dict[str, int]
    final: dict[str, int]
    words: dict[str, str]
    folded_words: dict[str, str]
    marks: dict[str, str]
    spelled: dict[str, str]


@cache
def parse_table() -> Table:
    """The table of the one grammar, kept between runs: making it costs more than a small project's check."""
    text = _grammar_text()
    key = f"{_lark()} {hashlib.sha256(text.encode()).hexdigest()} {_FORMAT}"
    kept = user_cache.read("grammar", key)
    if kept is not None:
        rules = tuple(Rule(*rule) for rule in kept["rules"])
        return Table(**{**kept, "rows": tuple(kept["rows"]), "rules": rules})
    table = _made(text)
    rules_out = [[rule.origin, rule.size, rule.action] for rule in table.rules]
    fields = {name: getattr(table, name) for name in ("start", "final", "words", "folded_words", "marks", "spelled")}
    user_cache.write("grammar", key, {**fields, "rows": list(table.rows), "rules": rules_out})
    return table


def _lark() -> str:
    """Which lark is installed, without importing it or anything else that is large."""
    found = find_spec("lark")
    if found is None or found.origin is None:
        return ""
    status = os.stat(found.origin)
    return f"{found.origin} {status.st_mtime_ns} {status.st_size}"


def _made(text: str) -> Table:
    """The table as lark makes it (some 100 ms)."""
    import lark
    from lark.lexer import Lexer
    from lark.parsers.lalr_analysis import Shift

    class NoLexer(Lexer):
        """Pieces come from `audsql.syntax.lex`."""

        def __init__(self, _conf: object) -> None:
            pass

        def lex(self, _state: Any, _parser_state: Any) -> Any:  # pragma: no cover
            return iter(())

    made = lark.Lark(text, parser="lalr", lexer=NoLexer, start=["statement", "expression"])
    table = made.parser.parser._parse_table
    numbers: dict[Any, int] = {}
    rules: list[Rule] = []
    rows: list[dict[str, int]] = [{} for _ in table.states]
    for state, actions in table.states.items():
        for symbol, (action, argument) in actions.items():
            if action is Shift:
                rows[state][symbol] = argument
                continue
            if argument not in numbers:
                numbers[argument] = len(rules)
                origin = str(argument.origin.name)
                rules.append(Rule(origin, len(argument.expansion), str(argument.alias or origin)))
            rows[state][symbol] = -1 - numbers[argument]
    _shorten(rows, rules, {number for rule, number in numbers.items() if rule.options.expand1 and not rule.alias})
    words, folded, marks = _spellings(list(made.terminals))
    spelled = {terminal: text for text, terminal in (*words.items(), *folded.items(), *marks.items())}
    return Table(tuple(rows), tuple(rules), dict(table.start_states), dict(table.end_states), words, folded, marks,
                 spelled)  # fmt: skip


def _shorten(rows: list[dict[str, int]], rules: list[Rule], standing: set[int]) -> None:
    """Goes straight to where a part stands for a whole: `operand` is `primary` is `reference`.

    A state whose one action, whatever comes next, is to put a whole in place of its one part is left out.
    """
    skipped: dict[int, str] = {}
    for state, row in enumerate(rows):
        actions = set(row.values())
        number = -1 - min(actions, default=0)
        if len(actions) == 1 and number in standing and rules[number].size == 1:
            skipped[state] = rules[number].origin
    for row in rows:
        for symbol, target in row.items():
            while target in skipped and not symbol.isupper():
                target = row[skipped[target]]
            row[symbol] = target


def _spellings(terminals: list[Any]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Words, words in any case, and marks, each to its terminal."""
    words: dict[str, str] = {}
    folded: dict[str, str] = {}
    marks: dict[str, str] = {}
    for terminal in terminals:
        text = getattr(terminal.pattern, "value", None)
        if not text:
            continue
        if not text[0].isalpha():
            marks[text] = terminal.name
        elif "i" in terminal.pattern.flags:
            folded[text.upper()] = terminal.name
        else:
            words[text] = terminal.name
    return words, folded, marks


def _grammar_text() -> str:
    packed = Path(__file__).parents[1] / "_grammar" / "audsql.lark"
    if packed.is_file():
        return packed.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "grammar" / "audsql.lark").read_text(encoding="utf-8")
