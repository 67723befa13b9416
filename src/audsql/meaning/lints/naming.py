"""Names that are easily mistaken for others, or for words of the language.

Rules: lints.names, lints.words, lints.quoting of specs/language/11-lints.md.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from audsql.diag import Diagnostic, Label, fix, warning
from audsql.meaning.lints.subject import Subject
from audsql.meaning.names import Symbol
from audsql.source import CopySpan, Span
from audsql.syntax import ast
from audsql.syntax.lex import is_plain_name
from audsql.syntax.table import parse_table

__all__ = ["confusable", "language_words", "quoting"]


def _table() -> dict[int, str]:
    """What characters look like in common typefaces: digits, long vowels, kanji and kana, other alphabets."""
    pairs = {
        **dict.fromkeys("I|1", "l"),
        **dict.fromkeys("O0", "o"),
        **dict.fromkeys("一－—–‐-", "ー"),
        **dict(zip("口力二工夕卜八へ", "ロカニエタトハヘ", strict=True)),
        **dict(zip("аеорсхуі", "aeopcxyi", strict=True)),
        **dict(zip("АВЕКМНОРСТХ", "abekmhopctx", strict=True)),
        **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "abezhlkmnoptyxo", strict=True)),
    }
    return {ord(character): like for character, like in pairs.items()}


_LOOK_ALIKES = _table()


def confusable(subject: Subject) -> Iterator[Diagnostic]:
    """A name that differs from an earlier one by case, width, or characters that look alike."""
    symbols = subject.analysis.scope.symbols
    for space in (symbols.names, symbols.accounts, symbols.policies):
        first: dict[tuple[str, str], Symbol] = {}
        for symbol in _by_place(space.values()):
            keys = (("case", _plain(symbol.name)), ("looks", _plain(symbol.name.translate(_LOOK_ALIKES))))
            earlier = next((first[key] for key in keys if key in first), None)
            for key in keys:
                first.setdefault(key, symbol)
            if earlier is not None:
                labels = [Label(earlier.span, "other")]
                yield warning("AUD0522", symbol.span, labels=labels, name=symbol.name, other=earlier.name)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _by_place(symbols: Iterable[Symbol]) -> list[Symbol]:
    """Those that were written once, in the order of the text."""
    once = [symbol for symbol in symbols if not isinstance(symbol.span, CopySpan) and "[" not in symbol.name]
    return sorted(once, key=lambda symbol: symbol.span)


def language_words(subject: Subject) -> Iterator[Diagnostic]:
    """A declared name that is a word of the language somewhere."""
    words = parse_table().words
    symbols = subject.analysis.scope.symbols
    for space in (symbols.names, symbols.accounts, symbols.policies):
        for symbol in _by_place(space.values()):
            if symbol.name in words:
                yield warning("AUD0523", symbol.span, name=symbol.name)


def quoting(subject: Subject) -> Iterator[Diagnostic]:
    """A name in backquotes that stands without them elsewhere; the fix takes them away."""
    names, words = subject.analysis.scope.symbols.names, parse_table().words
    quoted: list[tuple[str, Span]] = []
    plain: dict[str, Span] = {}
    for node in subject.nodes:
        if isinstance(node, (ast.Name, ast.Word)) and not node.index and node.text in names:
            if node.quoted:
                quoted.append((node.text, node.span))
            else:
                plain.setdefault(node.text, node.span)
    for name, place in quoted:
        if name in plain and is_plain_name(name) and name not in words and name not in subject.parameters:
            labels = [Label(plain[name], "other")]
            yield warning("AUD0524", place, labels=labels, fixes=[fix(place, name, key="bare")], name=name)
