"""Specs with one edit each, as a slip of the hand makes them: a piece deleted, doubled, swapped or misspelt."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from audsql.syntax.lex import lex

__all__ = ["Edited", "edited"]

EDITS = ("delete", "double", "swap", "misspell")


@dataclass(frozen=True)
class Edited:
    """The text with its edit, and where that is (code points): [start, end) of the new text."""

    name: str
    text: str
    start: int
    end: int
    edit: str


def edited(texts: dict[str, str], count: int, seed: int) -> Iterator[Edited]:
    """That many edits of texts by name, the same for the same seed."""
    chance = random.Random(seed)
    names = sorted(texts)
    for number in range(count):
        name = names[number % len(names)]
        made = _edit(texts[name], chance)
        if made is not None:
            text, start, end, edit = made
            yield Edited(f"{name} {edit} {start}", text, start, end, edit)


def _edit(text: str, chance: random.Random) -> tuple[str, int, int, str] | None:
    tokens = lex("spec.aud", text)
    pieces = list(zip(tokens.starts, tokens.ends, strict=True))
    edit = chance.choice(EDITS)
    words = [at for at, (start, end) in enumerate(pieces) if text[start:end].isidentifier() and end - start > 3]
    at = chance.choice(words) if edit == "misspell" and words else chance.randrange(len(pieces) - 1)
    start, end = pieces[at]
    if edit == "delete":
        return text[:start] + text[end:], start, start, edit
    if edit == "double":
        return f"{text[:end]} {text[start:end]}{text[end:]}", start, end + 1 + end - start, edit
    if edit == "swap":
        after, last = pieces[at + 1]
        new = f"{text[after:last]}{text[end:after]}{text[start:end]}"
        return f"{text[:start]}{new}{text[last:]}", start, last, edit
    if not words:
        return None
    cut = chance.randrange(start + 1, end - 1)
    return text[:cut] + text[cut + 1] + text[cut] + text[cut + 2 :], start, end, edit
