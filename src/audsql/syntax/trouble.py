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
_LATER_RULES = frozenset({"require", "quiet", "cap"})
_LATER_ENTRIES = frozenset({"every", "fresh"})
_LATER_CALLS = frozenset({"sample"})
# Words that begin a line of a block; within other brackets they show that one was not closed.
_ITEM_WORDS = frozenset({"given", "expect", "prove", "always", "verb"})
_KEY_TERMINALS = frozenset({"KEY", "KEY_TO", "KEY_ID", "KEY_EXPECT", "KEY_AT"})


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
        if index > self.first or (index > 0 and self.first < len(tokens.kinds)):
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
    return error("AUD0111", span, fixes=fixes, found=_shown(tokens, at), near=near), near or ""


def _shown(tokens: Tokens, index: int) -> str:
    """A piece for a message, never at length."""
    if tokens.kinds[index] == "STRING":
        return '"…"'
    text = tokens.word(index)
    return text if len(text) <= _FOUND_MAX else f"{text[: _FOUND_MAX - 1]}…"


# --- the cases ----------------------------------------------------------------------------------


def _too_deep(case: _Case) -> Diagnostic | None:
    return error("AUD0118", case.span, limit=DEPTH_MAX) if case.failure.too_deep else None


def _later(case: _Case) -> Diagnostic | None:
    """Parts of statements that the language has and this version does not."""
    tokens, index = case.tokens, case.failure.index
    if case.first >= len(tokens.kinds):
        return None
    statement = tokens.word(case.first)
    if statement == "audience" and index == case.first + 2 and case.kind == "(":
        return error("AUD0112", case.span, feature="audience(…)")
    if statement == "policy" and case.found in _LATER_RULES and len(case.failure.brackets) == 1:
        return error("AUD0112", case.span, feature=f"{case.found}")
    opened = case.open_bracket
    if opened and tokens.kinds[opened] == "(" and tokens.word(opened - 1) in _LATER_CALLS:
        return error("AUD0112", tokens.span(opened - 1, opened - 1), feature=tokens.word(opened - 1))
    for at in range(min(index, len(tokens.kinds) - 1), max(case.first, index - 8), -1):
        if tokens.kinds[at] == ":" and tokens.kinds[at - 1] == "NAME":
            key = tokens.word(at - 1)
            later = key in _LATER_ENTRIES and at < index
            if at < index:
                return error("AUD0112", tokens.span(at - 1, at - 1), feature=key) if later else None
    return None


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


def _missing(case: _Case) -> Diagnostic | None:
    """Something of a kind that has a word of its own is missing."""
    tokens, index = case.tokens, case.failure.index
    if case.kind == ":" and index > 1 and tokens.kinds[index - 2] == ":":
        # `file:  id: user_id`: the next key was taken for the value that is not there.
        return error("AUD0131", tokens.span(index - 1, index - 1), found=_shown(tokens, index - 1), word=None)
    expected = case.expected
    code = None
    if {"NAME", "LPAR"} <= expected:
        code = "AUD0130"
    elif {"NAME", "STRING"} <= expected:
        code = "AUD0131"
    elif "NAME" in expected:
        code = "AUD0132"
    elif "STRING" in expected:
        code = "AUD0133"
    elif "NUMBER" in expected:
        code = "AUD0134"
    elif "DATETIME" in expected:
        code = "AUD0135"
    return error(code, case.span, found=case.found, word=case.word) if code else None


def _cannot_stand(case: _Case) -> Diagnostic:
    """The general case: what was found, and the words and marks that could have stood there."""
    spelled = case.table.spelled
    words = sorted(spelled[name] for name in case.expected - {"DOT"} if name in spelled)
    key = bool(case.expected & _KEY_TERMINALS)
    near = None
    if case.kind == "NAME":
        near = nearest(case.tokens.word(case.failure.index), [word for word in words if word[0].isalpha()])
    fixes = (fix(case.span, near, safe=False),) if near else ()
    expected = tuple(f"`{word}`" for word in words[:_EXPECTED_MAX])
    if case.at_end:
        return error("AUD0136", case.span, expected=expected, key=key, word=case.word)
    return error(
        "AUD0110", case.span, fixes=fixes, found=case.found, expected=expected, key=key, near=near, word=case.word
    )


_CASES: tuple[Callable[[_Case], Diagnostic | None], ...] = (_too_deep, _later, _double_not, _brackets, _missing)
