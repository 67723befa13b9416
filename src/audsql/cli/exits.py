"""Exit codes, as specs/operations.md lists them, and how problems lead to them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audsql.diag import Diagnostic

__all__ = ["Code", "code_of", "code_of_document"]


class Code(IntEnum):
    """What a command leaves with (specs/operations.md, cli.exit)."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    FINDINGS = 3
    PARTIAL = 4
    REFUSED = 5
    LOCKED = 6
    NEEDS_PERSON = 7
    USAGE = 64
    BUG = 70
    INTERRUPTED = 130


_USAGE = frozenset(
    {
        "AUD0082",
        "AUD0083",
        "AUD0085",
        "AUD0015",
        "AUD0020",
        "AUD0021",
        "AUD0040",
        "AUD0041",
        "AUD0050",
        "AUD0051",
        "AUD0052",
        "AUD0652",
        "AUD0690",
        "AUD0092",
        "AUD0885",
        "AUD0811",
        "AUD0813",
        "AUD0814",
        "AUD0815",
        "AUD0864",
        "AUD1087",
        "AUD1089",
    }
)
_REFUSED_PREFIX = "AUD07"
# A plan that was altered, is spent or stale, or is not the expected one.
_REFUSED = frozenset(
    {"AUD0622", "AUD0623", "AUD0624", "AUD0625", "AUD0626", "AUD0651", "AUD0830", "AUD0835", "AUD1088"}
)


def code_of(diagnostics: Iterable[Diagnostic]) -> Code:
    """The exit code that errors lead to; warnings lead to none.

    A wrong spec outweighs a refusal: a guard's verdict on a wrong spec says nothing.
    """
    return _code_of([diagnostic.code for diagnostic in diagnostics if diagnostic.severity == "error"])


def code_of_document(document: dict[str, Any]) -> Code:
    """The same for a diagnostics document."""
    return _code_of([one["code"] for one in document["diagnostics"] if one["severity"] == "error"])


def _code_of(codes: list[str]) -> Code:
    if not codes:
        return Code.DONE
    if all(code in _USAGE or code.startswith("AUD006") for code in codes):
        return Code.USAGE
    if all(code.startswith(_REFUSED_PREFIX) or code in _REFUSED for code in codes):
        return Code.REFUSED
    return Code.ERROR
