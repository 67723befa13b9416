"""How a rule is switched off, so that a test can see that one of its cases notices.

Where a rule refuses something, its diagnostics are held back: every code whose catalogue file names the rule.
A rule that is no diagnostic, or whose code is shared, has its switches here. Each is a context in which audsql
breaks the rule and no other, as far as that can be done: a production that the parser no longer has, a fact
that is no longer known, a layout that stays as it was.

Where the codes of a rule belong to another, those that its cases show are held back; and a rule that stands above
productions in grammar/audsql.lark is switched off by leaving them out. A new rule needs a line here only where none
of this says anything; the test tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from spec_cases import ROOT

from audsql.cli import fmt
from audsql.diag import Bag, Diagnostic
from audsql.meaning import algebra, facts, lower, relation, statements
from audsql.syntax import drive, lex, parse
from audsql.syntax import print as layout
from audsql.syntax.table import parse_table

Switch = Callable[[], AbstractContextManager[None]]


class SwitchedOff(Exception):
    """The parser met a production that it is to do without."""


# --- kinds of switches ------------------------------------------------------------------------------


def codes(*wanted: str) -> Switch:
    """Nothing is told under these codes."""

    @contextmanager
    def switch() -> Iterator[None]:
        real = Bag.add

        def add(self: Bag, diagnostic: Diagnostic) -> None:
            if diagnostic.code not in wanted:
                real(self, diagnostic)

        with replaced(Bag, "add", add):
            yield

    return switch


def production(*origins: str, action: str = "") -> Switch:
    """The grammar without the productions of these origins (with this action)."""

    @contextmanager
    def switch() -> Iterator[None]:
        off = {
            number
            for number, rule in enumerate(parse_table().rules)
            if rule.origin in origins and action in ("", rule.action)
        }
        assert off, f"no production of {origins} {action}"

        def refuse(_making: Any, _parts: list[Any], _span: Any) -> Any:
            raise SwitchedOff(origins)

        steps = tuple(
            (size, origin, refuse if number in off else make, span)
            for number, (size, origin, make, span) in enumerate(drive._steps())
        )
        with replaced(drive, "_steps", lambda: steps):
            yield

    return switch


def patch(owner: Any, name: str, value: Any) -> Switch:
    """`owner.name` is `value`."""
    return lambda: replaced(owner, name, value)


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    real = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, real)


def of_grammar(rule: str) -> tuple[Switch, ...]:
    """The grammar without the productions that stand below this rule's name, where there are some."""
    text = (ROOT / "grammar" / "audsql.lark").read_text(encoding="utf-8")
    known = {one.origin for one in parse_table().rules}
    origins: list[str] = []
    for part in re.split(r"^// ", text, flags=re.MULTILINE)[1:]:
        names = re.split(r"[:\n]", part, maxsplit=1)[0]
        if rule in re.split(r"[,\s]+", names):
            origins += re.findall(r"^\??([a-z_]+):", part, flags=re.MULTILINE)
    there = [origin for origin in dict.fromkeys(origins) if origin in known]
    return (production(*there),) if there else ()


# --- the switches -----------------------------------------------------------------------------------

_real_lex = lex.lex


def _lex_one_line(path: str, text: str) -> Any:
    """Only a blank separates."""
    return _real_lex(path, text.replace("\t", "§").replace("\n", "§"))


def _lex_without_comments(path: str, text: str) -> Any:
    return _real_lex(path, text.replace("#", "§"))


def _everywhere(sets: Sequence[Any]) -> tuple[frozenset[str], ...]:
    """There are people in every region: what is the same set is told apart."""
    return (frozenset(),) * len(sets)


def _word_always(table: Any, _tokens: Any, _states: Any, _row: Any, index: int, _stop: int) -> str:
    """A word of the language is one everywhere."""
    text = _tokens.flat[_tokens.starts[index] : _tokens.ends[index]]
    return str(table.words.get(text) or table.folded_words.get(text.upper()) or "NAME")


SWITCHES: dict[str, tuple[Switch, ...]] = {
    "lexical.comments": (patch(parse, "lex", _lex_without_comments),),
    "lexical.blanks": (patch(parse, "lex", _lex_one_line),),
    "lexical.words": (patch(drive, "_word", _word_always), codes("AUD0130", "AUD0134")),
    "lexical.durations": (production("duration"), codes("AUD0127")),
    "lexical.times": (codes("AUD0117"),),
    "syntax.recovery": (patch(parse, "next_statement", lambda tokens, *_, **__: len(tokens.kinds)),),
    "syntax.entries": (production("entry", action="entry"), codes("AUD0110", "AUD0131")),
    "syntax.tests": (production("statement", action="test"), codes("AUD0132")),
    "syntax.canonical": (patch(layout, "_laid_out", lambda text, *_: text),),
    "syntax.fixes": (patch(fmt, "_fixed", lambda source: source),),
    "sets.meaning": (
        patch(algebra, "witness", lambda _expression: frozenset()),
        patch(relation, "witnesses", lambda sets: (None,) * len(sets)),
    ),
    "sets.facts": (patch(algebra, "certain_facts", lambda _atoms: facts.Facts((), ())), codes("AUD0903")),
    "syntax.values": (production("value", "word", "text", "percent", "number", "datetime", "time", "list"),),
    "statements.template": (patch(statements, "_fields", lambda _entries, _symbols: ()),),
    **{
        rule: (patch(relation, "witnesses", _everywhere),)
        for rule in (
            *("algebra.relation", "algebra.values", "algebra.arms", "algebra.limits", "algebra.minimal"),
            "algebra.compare",
        )
    },
    "time.zone": (patch(lower, "zone_of", lambda _name: __import__("datetime").UTC),),
    "time.windows": (patch(facts, "_last_within", lambda *_: False),),
}

# Rules without a switch, with the reason. There should be few.
WITHOUT_SWITCH: dict[str, str] = {
    "lexical.size": "a case would be a text of 4 MiB: tests/syntax/test_limits.py",
    "sets.undecided": "the smallest text beyond the limit is the sample of AUD0505: tests/test_catalog.py",
    "tests.undecided": "the smallest text beyond the limit is the sample of AUD0910: tests/test_catalog.py",
}

# Rules without a case, with the reason. There should be fewer.
WITHOUT_CASES: dict[str, str] = {rule: WITHOUT_SWITCH[rule] for rule in ("sets.undecided", "tests.undecided")}

__all__ = ["SWITCHES", "WITHOUT_CASES", "WITHOUT_SWITCH", "Switch", "SwitchedOff", "codes", "of_grammar"]
