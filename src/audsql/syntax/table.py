"""The grammar as a parse table: `grammar/audsql.lark`, compiled by lark, driven by `parse`.

The table is made once a process. The grammar lies beside the package in a wheel and in the checkout's
`grammar/` folder otherwise.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from audsql import user_cache

__all__ = ["CALL_WORDS", "END", "Rule", "Table", "parse_table"]

END = "$END"
_FORMAT = 1
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

    def word(self, text: str) -> str | None:
        """The terminal of a word of the language, if the text is one."""
        return self.words.get(text) or self.folded_words.get(text.upper())


@cache
def parse_table() -> Table:
    """The table of the one grammar, kept between runs: making it costs more than a small project's check."""
    from importlib.metadata import version

    text = _grammar_text()
    key = f"{version('lark')} {hashlib.sha256(text.encode()).hexdigest()} {_FORMAT}"
    kept = user_cache.read("grammar", key)
    if kept is not None:
        rules = tuple(Rule(*rule) for rule in kept["rules"])
        return Table(**{**kept, "rows": tuple(kept["rows"]), "rules": rules})
    table = _made(text)
    rules_out = [[rule.origin, rule.size, rule.action] for rule in table.rules]
    fields = {name: getattr(table, name) for name in ("start", "final", "words", "folded_words", "marks", "spelled")}
    user_cache.write("grammar", key, {**fields, "rows": list(table.rows), "rules": rules_out})
    return table


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
    words, folded, marks = _spellings(list(made.terminals))
    spelled = {terminal: text for text, terminal in (*words.items(), *folded.items(), *marks.items())}
    return Table(tuple(rows), tuple(rules), dict(table.start_states), dict(table.end_states), words, folded, marks,
                 spelled)  # fmt: skip


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
    from importlib.resources import files

    packed = files("audsql") / "_grammar" / "audsql.lark"
    if packed.is_file():
        return packed.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "grammar" / "audsql.lark").read_text(encoding="utf-8")
