"""Diagnostics as values: a code, a place and typed facts, never prose.

The words stand in `catalog/AUDnnnn.toml`, one file a code, English and Japanese side by side; they
meet the facts only when a view renders them. A raising site names the code and the facts:

    error("AUD0201", span, name="buyer", near="buyers")

`tests/test_catalog.py` checks each such call against the facts that the code's file declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Literal

from audsql.records import dataclass
from audsql.source import Span

__all__ = ["Bag", "Diagnostic", "Edit", "Fact", "Fix", "Label", "Severity", "error", "fix", "has_errors", "warning"]

Severity = Literal["error", "warning", "info"]
Fact = str | int | float | bool | None | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that helps to understand the first; `key` names its text in the catalogue."""

    span: Span
    key: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the text at `span` with `text`."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that repair the problem. `safe` ones may be applied without a look (`fmt --fix`)."""

    edits: tuple[Edit, ...]
    safe: bool = True
    key: str = ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem. `span` is None where no text is to blame (a data file, the state, LINE)."""

    code: str
    severity: Severity
    span: Span | None
    facts: tuple[tuple[str, Fact], ...] = ()
    labels: tuple[Label, ...] = ()
    fixes: tuple[Fix, ...] = ()

    def fact(self, name: str) -> Fact:
        """The fact of that name, or None."""
        return dict(self.facts).get(name)

    @property
    def sort_key(self) -> tuple[object, ...]:
        place = (self.span.path, self.span.start, self.span.end) if self.span else ("", -1, -1)
        return (*place, self.code, repr(self.facts))


def error(
    code: str, span: Span | None, *, labels: Iterable[Label] = (), fixes: Iterable[Fix] = (), **facts: Fact
) -> Diagnostic:
    """An error with this code at this place; `facts` are those that the code's catalogue file names."""
    return Diagnostic(code, "error", span, tuple(sorted(facts.items())), tuple(labels), tuple(fixes))


def warning(
    code: str, span: Span | None, *, labels: Iterable[Label] = (), fixes: Iterable[Fix] = (), **facts: Fact
) -> Diagnostic:
    """The same as `error`, for what does not stop a plan."""
    return Diagnostic(code, "warning", span, tuple(sorted(facts.items())), tuple(labels), tuple(fixes))


def fix(span: Span, text: str, *, safe: bool = True, key: str = "") -> Fix:
    """A fix of one edit."""
    return Fix((Edit(span, text),), safe, key)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(diagnostic.severity == "error" for diagnostic in diagnostics)


@dataclass(slots=True)
class Bag:
    """Collects diagnostics of a stage; equal code and place count once."""

    items: list[Diagnostic] = field(default_factory=list)
    _seen: set[tuple[str, Span | None, tuple[tuple[str, Fact], ...]]] = field(default_factory=set)

    def add(self, diagnostic: Diagnostic) -> None:
        facts = () if diagnostic.span else diagnostic.facts
        key = (diagnostic.code, diagnostic.span, facts)
        if key not in self._seen:
            self._seen.add(key)
            self.items.append(diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self.add(diagnostic)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.sorted())

    def sorted(self) -> tuple[Diagnostic, ...]:
        return tuple(sorted(self.items, key=lambda diagnostic: diagnostic.sort_key))
