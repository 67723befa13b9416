"""What is said of a statement that cannot be read: from the place where its reading stopped, and from
everything that could have stood there, to one diagnostic with typed facts.

The cases stand in order; the first that fits speaks.
"""

from __future__ import annotations

from collections.abc import Callable

from audsql.diag import Diagnostic, Edit, Fix, Label, error, fix
from audsql.near import nearest
from audsql.source import Span
from audsql.syntax.drive import DEPTH_MAX, Failure, accepted
from audsql.syntax.lex import STATEMENT_WORDS, Tokens
from audsql.syntax.table import Table

__all__ = ["explain", "explain_start"]

_FOUND_MAX = 24
_EXPECTED_MAX = 10
_UNCLOSED = {"(": "AUD0106", "{": "AUD0107", "[": "AUD0108"}
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_OPENING = {closing: opening for opening, closing in _CLOSING.items()}
# Words that begin a line of a block; within other brackets they show that one was not closed.
_ITEM_WORDS = frozenset({"given", "expect", "prove", "always", "verb"})
# What may follow a name directly: it says nothing of what is missing.
_SILENT = frozenset({"CALL_OPEN", "INDEX_OPEN", "DOT"})
_VALUES = frozenset({"NAME", "QUOTED", "STRING", "NUMBER"})
# Words that begin a step of a flow.
_STEP_WORDS = frozenset({"branch", "exit", "send", "start", "trigger", "wait"})
_UNITS = frozenset({"MINUTE", "MINUTES", "HOUR", "HOURS", "DAY", "DAYS", "WEEK", "WEEKS"})
# Words of SQL, each with what an expression has in its place ('' where that is no single word).
_SQL = {
    "SELECT": "", "FROM": "", "WHERE": "", "JOIN": "AND", "GROUP": "", "HAVING": "", "ORDER": "",
    "UNION": "OR", "INTERSECT": "AND", "MINUS": "EXCEPT", "BETWEEN": "", "LIKE": "",
}  # fmt: skip
_PERCENT_WORDS = frozenset({"percent", "pct", "per", "パーセント", "％"})
_MISSING = (
    ("NUMBER", "AUD0134"),
    ("DATETIME", "AUD0135"),
    ("PERCENT", "AUD0137"),
    ("NAME", "AUD0132"),
    ("STRING", "AUD0133"),
)


class _Case:
    """A failure with what the cases ask about it."""

    __slots__ = ("expected", "failure", "first", "stop", "table", "tokens")

    def __init__(self, table: Table, tokens: Tokens, failure: Failure, first: int, stop: int) -> None:
        self.table = table
        self.tokens = tokens
        self.failure = failure
        self.first = first
        self.stop = stop
        self.expected = accepted(failure.states)

    @property
    def at_end(self) -> bool:
        return self.failure.index >= self.stop

    @property
    def kind(self) -> str:
        return "" if self.at_end else self.tokens.kinds[self.failure.index]

    @property
    def found(self) -> str | None:
        """The text that cannot stand here; None at the end of the statement."""
        return None if self.at_end else _shown(self.tokens, self.failure.index)

    @property
    def span(self) -> Span:
        """The text that cannot stand here, or the last piece of a statement that ends too early."""
        tokens = self.tokens
        index = self.failure.index
        if not self.at_end:
            return tokens.span(index, index)
        if index > self.first:
            return tokens.span(index - 1, index - 1)
        return Span(tokens.path, len(tokens.text), len(tokens.text))

    @property
    def open_bracket(self) -> int | None:
        return self.failure.brackets[-1] if self.failure.brackets else None

    @property
    def word(self) -> str | None:
        """The word before that was read as a word of the language and could have been a name."""
        shadow = self.failure.shadow
        near = shadow is not None and self.failure.index - shadow <= 2
        return self.tokens.word(shadow) if shadow is not None and near else None


def explain(table: Table, tokens: Tokens, failure: Failure, first: int, stop: int) -> Diagnostic:
    """The one diagnostic of a statement that begins at piece `first`; `stop` is where the next begins."""
    case = _Case(table, tokens, failure, first, stop)
    for look in _CASES:
        said = look(case)
        if said:
            return said
    return _cannot_stand(case)


def explain_start(tokens: Tokens, at: int) -> tuple[Diagnostic, str]:
    """What is said of text that begins no statement, and the statement that is probably meant."""
    span = tokens.span(at, at)
    if tokens.kinds[at] in _OPENING:
        return _stray(tokens, at), ""
    near = nearest(tokens.word(at), sorted(STATEMENT_WORDS - {"for", "use"})) if tokens.kinds[at] == "NAME" else None
    fixes = (fix(span, near, safe=False),) if near else ()
    return error("AUD0111", span, fixes=fixes, found=_shown(tokens, at), near=near, all=near is None), near or ""


def _shown(tokens: Tokens, index: int) -> str:
    """A piece for a message, never at length."""
    if tokens.kinds[index] == "STRING":
        return '"…"'
    text = tokens.word(index)
    return text if len(text) <= _FOUND_MAX else f"{text[: _FOUND_MAX - 1]}…"


# --- the cases ----------------------------------------------------------------------------------


def _too_deep(case: _Case) -> Diagnostic | None:
    return error("AUD0118", case.span, limit=DEPTH_MAX) if case.failure.too_deep else None


def _double_not(case: _Case) -> Diagnostic | None:
    tokens, index = case.tokens, case.failure.index
    if case.at_end or index == 0 or case.kind != "NAME" or tokens.kinds[index - 1] != "NAME":
        return None
    if tokens.word(index).upper() != "NOT" or tokens.word(index - 1).upper() != "NOT":
        return None
    both = Span(tokens.path, tokens.starts[index - 1], tokens.ends[index])
    rest = tokens.starts[index + 1] if index + 1 < len(tokens.kinds) else tokens.ends[index]
    away = Fix((Edit(Span(tokens.path, both.start, rest), ""),), safe=False)
    return error("AUD0114", both, fixes=(away,))


def _step_comma(case: _Case) -> Diagnostic | None:
    """A comma behind a step of a flow, also one that made the word of the next step a message."""
    tokens, index = case.tokens, case.failure.index
    opened = case.open_bracket
    if case.at_end or opened is None or tokens.kinds[opened] != "{" or tokens.word(case.first) != "flow":
        return None
    comma = index if case.kind == "," else index - 2
    if tokens.kinds[comma] != "," or (comma != index and tokens.word(index - 1) not in _STEP_WORDS):
        return None
    return error("AUD0139", tokens.span(comma, comma), fixes=(fix(tokens.span(comma, comma), "", safe=False),))


def _arm_without_braces(case: _Case) -> Diagnostic | None:
    """A second step behind the `send` of an arm: its word was read as the set of the next arm."""
    tokens, index = case.tokens, case.failure.index
    if case.at_end or tokens.word(case.first) != "flow" or not {case.table.marks["->"], "AND"} <= case.expected:
        return None
    before = tokens.word(index - 1)
    if before not in _STEP_WORDS or tokens.kinds[index - 2] in ("{", "("):
        return None
    return error("AUD0144", tokens.span(index - 1, index - 1), word=before)


def _blank_before_index(case: _Case) -> Diagnostic | None:
    """`card [p]`; in a test `given friends [u1]` is a missing `=` instead."""
    tokens, index = case.tokens, case.failure.index
    if case.kind != "[" or "INDEX_OPEN" not in case.expected or tokens.word(case.first) == "test":
        return None
    blank = Span(tokens.path, tokens.ends[index - 1], tokens.starts[index])
    return error("AUD0141", blank, fixes=(fix(blank, "", safe=False),), name=_shown(tokens, index - 1))


def _brackets(case: _Case) -> Diagnostic | None:
    """An opening bracket with no closing one, or the other way round."""
    opened = case.open_bracket
    if case.kind in _OPENING:
        if opened is None:
            return _stray(case.tokens, case.failure.index)
        if case.tokens.kinds[opened] == _OPENING[case.kind]:
            return None
        outer = any(case.tokens.kinds[at] == _OPENING[case.kind] for at in case.failure.brackets)
        return _unclosed(case, opened) if outer else _stray(case.tokens, case.failure.index, opened)
    if opened is None:
        return None
    if case.at_end or (case.tokens.kinds[opened] != "{" and (_is_key(case) or case.found in _ITEM_WORDS)):
        return _unclosed(case, opened)
    return None


def _is_key(case: _Case) -> bool:
    """Whether an entry of a block begins at the failing piece."""
    index = case.failure.index
    return case.kind == "NAME" and index + 1 < len(case.tokens.kinds) and case.tokens.kinds[index + 1] == ":"


def _unclosed(case: _Case, opened: int) -> Diagnostic:
    tokens = case.tokens
    bracket = tokens.kinds[opened]
    index = min(case.failure.index, len(tokens.kinds) - 1)
    labels = (Label(tokens.span(index, index), "end"),) if index != opened else ()
    before = tokens.ends[case.failure.index - 1]
    close = fix(Span(tokens.path, before, before), _CLOSING[bracket], safe=False)
    return error(_UNCLOSED[bracket], tokens.span(opened, opened), labels=labels, fixes=(close,))


def _stray(tokens: Tokens, index: int, opened: int | None = None) -> Diagnostic:
    labels = (Label(tokens.span(opened, opened), "open"),) if opened is not None else ()
    expected = _CLOSING[tokens.kinds[opened]] if opened is not None else None
    return error("AUD0109", tokens.span(index, index), labels=labels, found=tokens.kinds[index], expected=expected)


def _sql(case: _Case) -> Diagnostic | None:
    """A word of SQL where an expression goes on, or one that was read as the name of an audience."""
    tokens, index = case.tokens, case.failure.index
    if "AND" not in case.expected and not _compares(case):
        return None
    for at in (index, index - 1):
        word = tokens.word(at).upper() if case.first < at < case.stop and tokens.kinds[at] == "NAME" else ""
        if word in _SQL:
            span, instead = tokens.span(at, at), _SQL[word] or None
            fixes = (fix(span, instead, safe=False),) if instead else ()
            where, between = word in ("WHERE", "HAVING", "LIKE"), word == "BETWEEN"
            call = instead is None and not where and not between
            return error(
                "AUD0145", span, fixes=fixes, word=word, instead=instead, where=where, between=between, call=call
            )
    return None


def _compares(case: _Case) -> bool:
    """Whether a comparison could go on here."""
    return case.table.marks[">="] in case.expected


def _equals_for_colon(case: _Case) -> Diagnostic | None:
    """`to = buyers` for `to: buyers`."""
    tokens, index = case.tokens, case.failure.index
    if case.kind != "NAME" or index + 1 >= case.stop or tokens.kinds[index + 1] != "=":
        return None
    if not any(name.startswith("KEY") for name in case.expected):
        return None
    mark = tokens.span(index + 1, index + 1)
    repair = fix(Span(tokens.path, tokens.ends[index], mark.end), ":", safe=False)
    return error("AUD0146", mark, fixes=(repair,), entry=_shown(tokens, index))


def _percent_in_words(case: _Case) -> Diagnostic | None:
    """`20 percent` for `20%`."""
    tokens, index = case.tokens, case.failure.index
    if case.at_end or tokens.kinds[index - 1] != "NUMBER" or case.found not in _PERCENT_WORDS:
        return None
    both = Span(tokens.path, tokens.starts[index - 1], tokens.ends[index])
    repair = fix(both, f"{tokens.word(index - 1)}%", safe=False)
    return error("AUD0137", both, fixes=(repair,), found=tokens.text[both.start : both.end], word=None)


def _only_mark(case: _Case) -> Diagnostic | None:
    """One word or mark of the language could stand here, and it is what is missing."""
    tokens, index = case.tokens, case.failure.index
    words = sorted({case.table.spelled[name] for name in case.expected - {"DOT"} if name in case.table.spelled})
    others = [name for name in case.expected if name not in case.table.spelled and name not in _SILENT]
    if "by" in words and tokens.word(index - 2) == "verb":
        words, others = ["by"], []
    if _comma_is_missing(case, words):
        words, others = [","], []
    if len(words) != 1 or others or index <= case.first:
        return None
    expected = words[0]
    if case.kind == "NAME" and nearest(tokens.word(index), words):
        return None
    twice = case.kind == "NAME" and index + 1 < case.stop and tokens.word(index + 1) == expected
    if twice and tokens.kinds[index - 1] == "NAME" and expected == "=":
        both = Span(tokens.path, tokens.starts[index - 1], tokens.ends[index])
        written = tokens.text[both.start : both.end]
        return error("AUD0124", both, fixes=(fix(both, f"`{written}`", safe=False),), found=written, dash=False)
    before = Span(tokens.path, tokens.ends[index - 1], tokens.ends[index - 1])
    brace = case.kind == "{" and expected == "="
    fixes = () if brace else (fix(before, f" {expected}", safe=False),)
    last = tokens.span(index - 1, index - 1)
    return error("AUD0147", last, fixes=fixes, expected=expected, found=case.found, brace=brace)


def _comma_is_missing(case: _Case, words: list[str]) -> bool:
    """Whether two values of a list stand side by side: `[u1 u2]`, `send: a b`."""
    tokens, index = case.tokens, case.failure.index
    if (
        case.kind not in _VALUES
        or tokens.kinds[index - 1] not in _VALUES
        or not {*words} <= {",", "]", ")", "}", "allow"}
    ):
        return False
    return "," in words and (index + 1 >= case.stop or tokens.kinds[index + 1] not in (":", "="))


def _missing(case: _Case) -> Diagnostic | None:
    """Something of a kind that has a word of its own is missing."""
    tokens, index = case.tokens, case.failure.index
    if case.kind == ":" and index > 1 and tokens.kinds[index - 2] == ":":
        # `file:  id: user_id`: the next key was taken for the value that is not there.
        return error("AUD0131", tokens.span(index - 1, index - 1), found=_shown(tokens, index - 1), word=None)
    code = _missing_code(case.expected)
    if code == "AUD0143":
        return error(code, tokens.span(index - 1, index - 1), found=case.found)
    fixes: tuple[Fix, ...] = ()
    if code == "AUD0137" and case.kind == "NUMBER":
        fixes = (fix(Span(tokens.path, case.span.end, case.span.end), "%", safe=False),)
    return error(code, case.span, fixes=fixes, found=case.found, word=case.word) if code else None


def _missing_code(expected: frozenset[str]) -> str | None:
    """The diagnostic of what alone could stand in a place, or of what most of it is."""
    if expected and expected <= _UNITS:
        return "AUD0143"
    if {"NAME", "LPAR"} <= expected:
        return "AUD0130"
    if {"NAME", "STRING"} <= expected:
        return "AUD0131"
    if "CLOCK" in expected and "DATETIME" not in expected:
        return "AUD0138"
    for terminal, code in _MISSING:
        if terminal in expected and "LSQB" not in expected:
            return code
    return None


def _cannot_stand(case: _Case) -> Diagnostic:
    """The general case: what was found, and the words and marks that could have stood there."""
    spelled = case.table.spelled
    words = sorted(spelled[name] for name in case.expected - {"DOT"} if name in spelled)
    key = any(name.startswith("KEY") for name in case.expected)
    near = None
    if case.kind == "NAME":
        near = nearest(case.tokens.word(case.failure.index), [word for word in words if word[0].isalpha()])
    fixes = (fix(case.span, near, safe=False),) if near else ()
    expected = () if near else tuple(f"`{word}`" for word in words[:_EXPECTED_MAX])
    key = key and near is None
    if case.at_end:
        return error("AUD0136", case.span, expected=expected, key=key, word=case.word)
    return error(
        "AUD0110", case.span, fixes=fixes, found=case.found, expected=expected, key=key, near=near, word=case.word
    )


_CASES: tuple[Callable[[_Case], Diagnostic | None], ...] = (
    _too_deep,
    _double_not,
    _step_comma,
    _arm_without_braces,
    _brackets,
    _blank_before_index,
    _percent_in_words,
    _sql,
    _equals_for_colon,
    _missing,
    _only_mark,
)
