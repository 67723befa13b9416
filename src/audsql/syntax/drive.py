"""One run of the parse table over the pieces of one statement.

Which of its meanings a word has is decided here, by what may stand next: a word of the language where
one is expected, else a name. The run ends where the statement is complete, or where it cannot go on.
Rules: lexical.words, syntax.calls, syntax.limits.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from audsql.diag import error, fix
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax.build import ACTIONS, PLACELESS
from audsql.syntax.lex import Tokens, escaped
from audsql.syntax.making import Action, Making
from audsql.syntax.table import CALL_WORDS, END, Table, parse_table

__all__ = ["DEPTH_MAX", "Failure", "accepted", "drive"]

NOWHERE = Span("", 0, 0)
# Brackets within brackets.
DEPTH_MAX = 200
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_CLOSES = {")": "(", "]": "[", "}": "{"}
_KEYS = {
    "to": "KEY_TO", "id": "KEY_ID", "expect": "KEY_EXPECT", "at": "KEY_AT", "every": "KEY_EVERY",
    "fresh": "KEY_FRESH", "send": "KEY_SEND", "reentry": "KEY_REENTRY",
}  # fmt: skip
# These are keys wherever a KEY is, in every kind of block.
_BLOCK_KEYS = frozenset({"KEY", "KEY_TO", "KEY_ID", "KEY_EXPECT"})
_ITEM_WORDS = {"verb": None, "column": None, "allow": ("empty", "shortfall")}
_PIECES = frozenset({"STRING", "QUOTED", "NUMBER", "PERCENT", "DATETIME", "CLOCK"})


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a run could not go on: the piece, the states before it, the brackets that are open there,
    and the piece before that was taken for a word of the language although a name could stand there."""

    index: int
    states: tuple[int, ...]
    brackets: tuple[int, ...]
    shadow: int | None = None
    too_deep: bool = False


def drive(
    table: Table, making: Making, start: str, first: int, stop: int, *, whole: bool = False
) -> tuple[Any, int] | Failure:
    """What pieces `first` to `stop` make, and the piece after its end; or where that fails.

    It may end before `stop`; with `whole`, something behind the end is a failure.
    """
    tokens, rows, final = making.tokens, table.rows, table.final[start]
    kinds, starts, ends, path = tokens.kinds, tokens.starts, tokens.ends, tokens.path
    steps, depth_max = _steps(), DEPTH_MAX - making.depth
    states = [table.start[start]]
    values: list[Any] = []
    firsts: list[int] = []
    brackets: list[int] = []
    shadow: int | None = None
    index = first
    while True:
        row = rows[states[-1]]
        if index >= stop:
            terminal = END
        elif kinds[index] == "NAME":
            terminal = _word(table, tokens, states, row, index, stop)
        else:
            terminal = _pick(making, table, states, brackets, index, stop)
        if terminal not in row:
            if whole or terminal is END or not _viable(table, states, END, final):
                return Failure(index, tuple(states), tuple(brackets), shadow)
            terminal = END
        action: int | None = row[terminal]
        before = states if row[terminal] >= 0 else states[:]
        while True:
            while action is not None and action < 0:
                size, origin, make, wants_span = steps[-1 - action]
                if make is not None:
                    span = Span(path, starts[firsts[-size]], ends[index - 1]) if wants_span else NOWHERE
                    values[-size:] = [make(making, values[-size:], span)]
                if size > 1:
                    del states[1 - size :], firsts[1 - size :]
                states[-1] = state = rows[states[-2]][origin]
                if terminal is END and state == final:
                    return values[-1], index
                action = rows[state].get(terminal)
            if action is not None:
                break
            # The table may make wholes of parts before it shows that a piece cannot follow them.
            if whole or terminal is END or not _viable(table, states, END, final):
                return Failure(index, tuple(before), tuple(brackets), shadow)
            terminal, action = END, rows[states[-1]][END]
        states.append(action)
        values.append(index)
        firsts.append(index)
        kind = kinds[index]
        if kind == "NAME":
            if terminal != "NAME" and "NAME" in row:
                shadow = index
        elif kind in "([{":
            brackets.append(index)
            if len(brackets) > depth_max:
                return Failure(index, tuple(states), tuple(brackets), shadow, too_deep=True)
        elif kind in _CLOSES:
            brackets.pop()
        index += 1


@cache
def _steps() -> tuple[tuple[int, str, Action | None, bool], ...]:
    """By number of a rule: its size, what it makes, its builder (None where its one part stands for it),
    and whether the builder asks for the place."""
    return tuple(
        (
            rule.size,
            rule.origin,
            None if rule.size == 1 and ACTIONS[rule.action] is ACTIONS["first"] else ACTIONS[rule.action],
            rule.action not in PLACELESS,
        )
        for rule in parse_table().rules
    )


def _viable(table: Table, states: list[int] | tuple[int, ...], terminal: str, final: int = -1) -> bool:
    """Whether a terminal can really come next; the table alone may promise too much."""
    stack = list(states)
    while True:
        action = table.rows[stack[-1]].get(terminal)
        if action is None:
            return False
        if action >= 0:
            return True
        rule = table.rules[-1 - action]
        del stack[-rule.size :]
        stack.append(table.rows[stack[-1]][rule.origin])
        if stack[-1] == final and terminal == END:
            return True


@lru_cache(maxsize=1024)
def accepted(states: tuple[int, ...]) -> frozenset[str]:
    """Every terminal that could come next; `END` is not among them."""
    table = parse_table()
    return frozenset(name for name in table.rows[states[-1]] if name.isupper() and _viable(table, states, name))


# --- what a piece is, here ----------------------------------------------------------------------


def _pick(making: Making, table: Table, states: list[int], brackets: list[int], index: int, stop: int) -> str:
    """The terminal of a piece that is no word, in the present state; one that cannot stand here where none can."""
    tokens = making.tokens
    kind, row = tokens.kinds[index], table.rows[states[-1]]
    if kind == "(":
        return _opening(making, row, index)
    if kind == "," and "END_COMMA" in row and brackets and tokens.kinds[brackets[-1]] == "{":
        ends = _entry_follows(tokens, index + 1, stop) or not _viable(table, states, "COMMA")
        return "END_COMMA" if ends and _viable(table, states, "END_COMMA") else "COMMA"
    if kind == "[":
        return "INDEX_OPEN" if "INDEX_OPEN" in row and _glued(tokens, index) else "LSQB"
    if kind in _PIECES:
        return kind
    if kind == "CODE":
        return _code(making, row, index)
    return table.marks.get(kind, kind)


def _word(table: Table, tokens: Tokens, states: list[int], row: dict[str, int], index: int, stop: int) -> str:
    text = tokens.flat[tokens.starts[index] : tokens.ends[index]]
    if index + 1 < stop and tokens.kinds[index + 1] == ":":
        own = _KEYS.get(text, "KEY")
        if own in row and ("KEY" not in row or own in _BLOCK_KEYS or _viable(table, states, own)):
            return own
        if "KEY" in row:
            return "KEY"
    terminal = table.words.get(text) or (table.folded_words.get(text.upper()) if len(text) < 7 else None)
    if terminal is None or terminal not in row:
        # An operator word is never the name of a set: `a AND AND b` stops at the second AND.
        return terminal if terminal and "LPAR" in row and text.upper() in table.folded_words else "NAME"
    if text in CALL_WORDS and not _calls(tokens, index + 1):
        return "NAME"
    if text == "tested" and _begins_set(tokens, index + 1, stop):
        return "NAME"
    if row[terminal] < 0 and "NAME" in row and not _viable(table, states, terminal):
        return "NAME"
    return terminal


def _begins_set(tokens: Tokens, index: int, stop: int) -> bool:
    """Whether the word before this piece goes on as a set: `require tested AND friends` is about an audience."""
    if index >= stop:
        return False
    word = tokens.word(index).upper()
    if word == "EXCEPT":
        return index + 1 < stop and tokens.word(index + 1) != "for"
    return word in ("AND", "OR", ".") or _glued(tokens, index)


def _glued(tokens: Tokens, index: int) -> bool:
    """Whether this piece is a bracket that follows the piece before it directly."""
    return index < len(tokens.kinds) and tokens.kinds[index] in "([" and tokens.starts[index] == tokens.ends[index - 1]


def _calls(tokens: Tokens, index: int) -> bool:
    """Whether this piece is a `(` that follows the piece before it directly."""
    return _glued(tokens, index) and tokens.kinds[index] == "("


def _opening(making: Making, row: dict[str, int], index: int) -> str:
    tokens = making.tokens
    if _glued(tokens, index) or "LPAR" in row:
        return "CALL_OPEN" if "CALL_OPEN" in row else "LPAR"
    if "CALL_OPEN" in row and tokens.kinds[index - 1] in ("NAME", "QUOTED"):
        blank = Span(tokens.path, tokens.ends[index - 1], tokens.starts[index])
        if not tokens.flat[blank.start : blank.end].isspace():
            return "LPAR"
        call = tokens.word(index - 1)
        making.problems.append(error("AUD0122", blank, fixes=(fix(blank, ""),), call=call))
        return "CALL_OPEN"
    return "LPAR"


def _code(making: Making, row: dict[str, int], index: int) -> str:
    """A value that needs quotes, or a name that needs backquotes, taken as if it had them."""
    tokens = making.tokens
    written, span = tokens.word(index), tokens.span(index, index)
    short = written if len(written) <= 40 else f"{written[:39]}…"
    if "STRING" in row:
        ends = _RANGE.fullmatch(written)
        meant = f"{ends[1]}..{ends[2]}" if ends else None
        fixes = () if meant else (fix(span, escaped(written)),)
        making.problems.append(error("AUD0116", span, fixes=fixes, found=short, range=meant, text=meant is None))
        return "STRING"
    if "NAME" in row:
        making.problems.append(
            error("AUD0124", span, fixes=(fix(span, f"`{written}`", safe=False),), found=short, dash="-" in written)
        )
        return "QUOTED"
    return "CODE"


def _entry_follows(tokens: Tokens, index: int, stop: int) -> bool:
    """Whether the next entry, verb or flag of a block begins here, or the block ends."""
    kinds = tokens.kinds
    if index >= stop or kinds[index] == "}":
        return True
    if kinds[index] != "NAME" or index + 1 >= stop:
        return False
    if kinds[index + 1] == ":":
        return True
    word = tokens.word(index)
    if word not in _ITEM_WORDS or kinds[index + 1] not in ("NAME", "QUOTED"):
        return False
    wanted = _ITEM_WORDS[word]
    if word == "column":
        return index + 2 < stop and kinds[index + 2] == ":"
    is_key = index + 2 < stop and kinds[index + 2] == ":"
    return not is_key and (wanted is None or tokens.word(index + 1) in wanted)
