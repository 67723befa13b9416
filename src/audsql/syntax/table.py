"""The grammar as a parse table: `grammar/audsql.lark`, compiled by lark, driven by `parse`.

The table is kept ready made, since lark needs longer for it than a small project's check does. Grammar
and table lie inside the package in a wheel, and in the checkout's `grammar/` folder otherwise.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from audsql.records import dataclass

__all__ = ["CALL_WORDS", "END", "Rule", "Table", "parse_table", "table_text"]

END = "$END"
# Goes up when the table is made in another way from the same grammar.
_FORMAT = 2
# Words of the language only where `(` follows directly; elsewhere they are values and names.
CALL_WORDS = frozenset({"env", "sum", "avg", "min", "max", "count", "sample", "lookalike"})


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
    """The table of the one grammar.

    `audsql.table.json` beside the grammar holds it ready made (`make grammar`); where that is of another
    grammar, as while the grammar is being edited, lark makes it anew.
    """
    text = _beside("audsql.lark")
    try:
        kept = json.loads(_beside("audsql.table.json"))
    except (OSError, ValueError):
        kept = {}
    return _read(kept) if kept.get("key") == _key(text) else _made(text)


def table_text() -> str:
    """What `audsql.table.json` should hold."""
    text = _beside("audsql.lark")
    table = _made(text)
    rules = [[rule.origin, rule.size, rule.action] for rule in table.rules]
    fields = {name: getattr(table, name) for name in _FIELDS}
    document = {"key": _key(text), "rows": list(table.rows), "rules": rules, **fields}
    return json.dumps(document, ensure_ascii=False, sort_keys=True, indent="", separators=(",", ":")) + "\n"


_FIELDS = ("start", "final", "words", "folded_words", "marks", "spelled")


def _read(kept: dict[str, Any]) -> Table:
    rules = tuple(Rule(*rule) for rule in kept["rules"])
    return Table(rows=tuple(kept["rows"]), rules=rules, **{name: kept[name] for name in _FIELDS})


def _key(text: str) -> str:
    return f"{_FORMAT} {hashlib.sha256(text.encode()).hexdigest()}"


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

    made = lark.Lark(text, parser="lalr", lexer=NoLexer, start=["statement", "expression", "loop"])
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
    start, final = dict(table.start_states), dict(table.end_states)
    return _numbered(Table(tuple(rows), tuple(rules), start, final, words, folded, marks, spelled))


def _numbered(table: Table) -> Table:
    """States and rules numbered in the order in which a walk over sorted symbols meets them.

    lark numbers them as sets happen to be ordered; the kept table has to come out the same each time.
    """
    states: dict[int, int] = {}
    rules: dict[int, int] = {}
    waiting = [table.start[name] for name in sorted(table.start)]
    while waiting:
        state = waiting.pop(0)
        if state in states:
            continue
        states[state] = len(states)
        for symbol in sorted(table.rows[state]):
            target = table.rows[state][symbol]
            if target < 0:
                rules.setdefault(-1 - target, len(rules))
            else:
                waiting.append(target)

    def moved(target: int) -> int:
        return states[target] if target >= 0 else -1 - rules[-1 - target]

    return Table(
        rows=tuple(
            {symbol: moved(table.rows[state][symbol]) for symbol in sorted(table.rows[state])} for state in states
        ),
        rules=tuple(table.rules[rule] for rule in rules),
        start={name: states[table.start[name]] for name in sorted(table.start)},
        final={name: states[table.final[name]] for name in sorted(table.final) if table.final[name] in states},
        words=table.words,
        folded_words=table.folded_words,
        marks=table.marks,
        spelled=table.spelled,
    )


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
        text = terminal.pattern.value
        if not text.isidentifier():
            marks[text] = terminal.name
        elif "i" in terminal.pattern.flags:
            folded[text.upper()] = terminal.name
        else:
            words[text] = terminal.name
    return words, folded, marks


def _beside(name: str) -> str:
    """A file of the grammar folder: inside the package in a wheel, else in the checkout."""
    packed = Path(__file__).parents[1] / "_grammar" / name
    return (packed if packed.is_file() else Path(__file__).parents[3] / "grammar" / name).read_text(encoding="utf-8")
