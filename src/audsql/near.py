"""The word that was probably meant: spelling distance between what was written and what exists."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

__all__ = ["nearest", "nearest_name"]

_LENGTH_MAX = 80


def nearest(written: str, candidates: Iterable[str]) -> str | None:
    """The nearest candidate within a third of the length (at least one change), or None.

    Width, case and composition are folded first. Ties go to the first in the order of code points.
    """
    if not written or len(written) > _LENGTH_MAX:
        return None
    folded = _fold(written)
    best: tuple[int, str] | None = None
    for candidate in candidates:
        limit = max(1, max(len(written), len(candidate)) // 3)
        if candidate == written or abs(len(candidate) - len(written)) > limit or len(candidate) > _LENGTH_MAX:
            continue
        distance = _distance(folded, _fold(candidate))
        if distance <= limit and (best is None or (distance, candidate) < best):
            best = (distance, candidate)
    return best[1] if best else None


def nearest_name(written: str, names: Iterable[str]) -> str | None:
    """A declared name for one that is unknown: the same name with an index (`sale[A]`) or under the name of a `use`
    (`common.sale`), first of all; else the nearest."""
    known = sorted(names)
    same = [one for one in known if one.startswith(f"{written}[") or one.endswith(f".{written}")]
    return same[0] if written and same else nearest(written, known)


def _fold(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _distance(left: str, right: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours (restricted Damerau-Levenshtein)."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for at, character in enumerate(left):
        new = [at + 1]
        for number, other in enumerate(right):
            cost = min(new[number] + 1, row[number + 1] + 1, row[number] + (character != other))
            if at and number and character == right[number - 1] and left[at - 1] == other:
                cost = min(cost, before[number - 1] + 1)
            new.append(cost)
        before, row = row, new
    return row[-1]
