"""The catalogue: every word that a person reads, one TOML a diagnostic code, English and Japanese side by side.

`entry("AUD0201")` reads that one file and nothing else; `word("summary.errors", "ja")` reads the short
words of the views (`words.toml`). Texts hold `{fact}` places, which `render_text` fills; braces around
anything else stand as written, so that texts can quote specs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal

from audsql.diag import Fact
from audsql.records import dataclass

__all__ = [
    "LANGUAGES",
    "Entry",
    "Language",
    "Sample",
    "Texts",
    "codes",
    "entry",
    "kind_word",
    "placeholders",
    "render_text",
    "shown_lines",
    "without_facts",
    "word",
]

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = ("en", "ja")

_CODE = re.compile(r"AUD\d{4}")
_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Texts:
    """One code's words in one language. `labels`, `notes`, `helps` and `fixes` are by key, in file order."""

    title: str
    explain: str
    labels: Mapping[str, str]
    notes: Mapping[str, str]
    helps: Mapping[str, str]
    fixes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """The smallest project text that gives exactly this code, and the same text corrected."""

    bad: str
    good: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of one code. `args` are the facts that every raising site gives."""

    code: str
    since: str
    kind: str
    args: tuple[str, ...]
    rule: str
    texts: Mapping[str, Texts]
    sample: Sample | None

    def text(self, language: str) -> Texts:
        """The words in that language; English where it is missing."""
        return self.texts.get(language) or self.texts["en"]


def codes() -> tuple[str, ...]:
    """Every code of the catalogue, in order."""
    names = (item.name for item in resources.files(__name__).iterdir())
    return tuple(sorted(name[:-5] for name in names if name.endswith(".toml") and _CODE.fullmatch(name[:-5])))


@cache
def entry(code: str) -> Entry:
    """The entry of a code.

    Raises KeyError where the catalogue has no such code.
    """
    if not _CODE.fullmatch(code):
        raise KeyError(code)
    try:
        document = _document(f"{code}.toml")
    except FileNotFoundError:
        raise KeyError(code) from None
    return Entry(
        code=code,
        since=document["since"],
        kind=document["kind"],
        args=tuple(document["args"]),
        rule=document["rule"],
        texts={language: _texts(document[language]) for language in LANGUAGES if language in document},
        sample=_sample(document.get("sample")),
    )


def _document(name: str) -> dict[str, Any]:
    return tomllib.loads(_text(name))


def _text(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _texts(table: Mapping[str, Any]) -> Texts:
    return Texts(
        title=table["title"],
        explain=table["explain"],
        labels=table.get("label", {}),
        notes=table.get("note", {}),
        helps=table.get("help", {}),
        fixes=table.get("fix", {}),
    )


def _sample(table: Mapping[str, Any] | None) -> Sample | None:
    return Sample(table["bad"], table["good"], table.get("files", {})) if table else None


@cache
def _words() -> dict[str, Any]:
    return _document("words.toml")


@cache
def _words_of(language: str) -> dict[str, Any]:
    """The short words of one language: a half of the file that reads by itself, at half the cost."""
    text = _text("words.toml")
    _, _, rest = f"\n{text}".partition(f"\n[{language}]\n")
    found: dict[str, Any] = tomllib.loads(re.split(r"^\[\w+\]$", rest, maxsplit=1, flags=re.MULTILINE)[0])
    return found


def word(key: str, language: str, **facts: Fact) -> str:
    """A short text of the views, by its dotted key; English where the language lacks it."""
    for one in (language, "en"):
        found: Any = _words_of(one)
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, str):
            return render_text(found, facts)
    raise KeyError(key)


def kind_word(kind: str, language: str) -> str | None:
    """What a kind of statement is called (`split`, `delivery`); None for another word."""
    table = (_words_of(language) or _words_of("en"))["kind"]
    found = table.get(kind)
    return found if isinstance(found, str) and kind.islower() else None


def render_text(text: str, facts: Mapping[str, Fact]) -> str:
    """`text` with each `{fact}` that `facts` names filled in."""
    return _PLACE.sub(lambda match: _fact_text(facts[match[1]]) if match[1] in facts else match[0], text)


def without_facts(text: str) -> str:
    """`text` for any facts: each place of one is left open."""
    return _PLACE.sub("…", text)


def _fact_text(fact: Fact) -> str:
    match fact:
        case None:
            return ""
        case bool():
            return str(fact).lower()
        case int():
            return f"{fact:,}"
        case float():
            return f"{fact:,.1f}"
        case tuple():
            return ", ".join(fact)
        case _:
            return fact


def placeholders(text: str) -> frozenset[str]:
    """The names of the `{fact}` places in a text."""
    return frozenset(_PLACE.findall(text))


def shown_lines(lines: Mapping[str, str], facts: Mapping[str, Fact]) -> Iterator[str]:
    """Notes or helps to show: `p` always, another only if the fact of its name is given, `else` if no other is.

    A fact is given unless it is None, False, an empty text or an empty tuple; the number 0 is given.
    """
    alone = True
    for key, text in lines.items():
        if key == "else" and alone:
            yield render_text(text, facts)
        fact = facts.get(key)
        if key == "p" or not (fact is None or fact is False or fact == "" or fact == ()):
            alone = False
            yield render_text(text, facts)
