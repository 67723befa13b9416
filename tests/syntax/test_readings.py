"""What is made of each text: every problem with its place, facts, labels and repairs, the tree, the layout.

readings.txt has a line for each text, the texts of the corpus and of the pages among them:

    TEXT <tab> problems <tab> digest of the tree with its places <tab> the layout

The layout is `=` where it is the text itself, `+` where it is the text and a new line.

A line that ends in `without` says what becomes of the text without its first piece, without its second, and so on:
the code and the place of the first problem, and a digest of everything. `AUDSQL_REWRITE=1` writes the file anew:
read every difference.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from corpus import BROKEN, SOUND
from tricky import EXPRESSIONS, STATEMENTS

from audsql.diag import Diagnostic, Fix
from audsql.source import Source, Span
from audsql.syntax.lex import lex
from audsql.syntax.parse import parse_expression, parse_file
from audsql.syntax.print import format_source
from audsql.syntax.text import expression_text

HERE = Path(__file__).parent
STORED = HERE / "readings.txt"
PAGES = ("01-lexical.md", "02-syntax.md")
_FENCE = re.compile(r"^```aud (\w+).*\n((?:(?!```).*\n)*)```$", re.MULTILINE)
# One line of the file holds a text of several.
_UNSEEN = re.compile(r"[\x7f-\xa0\u2000-\u206f\ufeff\ud800-\udfff]")


def tree(node: object) -> Iterator[str]:
    """Everything that a tree holds, places included, in order."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Span):
            yield f"{one.start}-{one.end}"
        elif isinstance(one, tuple):
            yield str(len(one))
            waiting += reversed(one)
        elif is_dataclass(one):
            yield type(one).__name__
            waiting += [getattr(one, part.name) for part in reversed(fields(one))]
        else:
            yield repr(one)


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def quoted(text: str) -> str:
    return _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(text, ensure_ascii=False))


def place(span: Span | None) -> str:
    return f"{span.start}-{span.end}" if span else "-"


def repair(one: Fix) -> str:
    edits = ",".join(f"{place(edit.span)}:{quoted(edit.text)}" for edit in one.edits)
    return f"{'fix' if one.safe else 'perhaps'}{one.key and '.'}{one.key}({edits})"


def problem(one: Diagnostic) -> str:
    facts = " ".join(f"{name}={quoted(fact) if isinstance(fact, str) else fact}" for name, fact in one.facts)
    labels = " ".join(f"{label.key}@{place(label.span)}" for label in one.labels)
    parts = [f"{one.code}@{place(one.span)}", facts, labels, *map(repair, one.fixes)]
    return " ".join(part for part in parts if part)


def reading(text: str) -> str:
    """What `parse_file` and `format_source` make of a text."""
    source = Source("a.aud", text)
    file, problems = parse_file(source)
    formatted, told = format_source(source)
    assert told == problems
    shown = {text: "=", f"{text}\n": "+"}.get(formatted) or quoted(formatted)
    return f"{'; '.join(map(problem, problems)) or 'sound'}\t{digest(*tree(file))}\t{shown}"


def expression(text: str) -> str:
    found, problems = parse_expression(text)
    formatted = expression_text(found) if found else ""
    shown = "=" if formatted == text else quoted(formatted)
    return f"{'; '.join(map(problem, problems)) or 'sound'}\t{digest(*tree(found))}\t{shown}"


def without(text: str) -> str:
    """What becomes of a text when one of its pieces is left out, for each piece."""
    tokens = lex("a.aud", text)
    done = []
    for start, end in list(zip(tokens.starts, tokens.ends, strict=True))[:60]:
        file, problems = parse_file(Source("a.aud", text[:start] + text[end:]))
        first = f"{problems[0].code[3:]}@{place(problems[0].span)}." if problems else ""
        done.append(first + digest(*map(problem, problems), *tree(file))[:3])
    return " ".join(done)


def pages() -> Iterator[tuple[str, str]]:
    """The cases of the pages on characters and syntax, by what they are."""
    for page in PAGES:
        text = (HERE.parents[1] / "specs" / "language" / page).read_text(encoding="utf-8")
        for kind, case in _FENCE.findall(text):
            if kind in ("valid", "invalid", "format", "fix"):
                yield kind, re.split(r"^-- .* --\n", case, maxsplit=1, flags=re.MULTILINE)[0]


def texts() -> tuple[tuple[str, str], ...]:
    """Kind of reading and text of every line, each once, in order."""
    corpus = [*SOUND, *(text for text, _ in BROKEN)]
    shown = [*corpus, *STATEMENTS, *(case for _, case in pages())]
    lines = [("file", text) for text in shown] + [("expression", text) for text in EXPRESSIONS]
    lines += [("without", text) for text in corpus]
    return tuple(dict.fromkeys((kind, text) for kind, text in lines if len(text) < 2_000))


READERS = {"file": reading, "expression": expression, "without": without}


def line(kind: str, text: str) -> str:
    return f"{kind} {quoted(text)}\t{READERS[kind](text)}"


def stored() -> dict[str, str]:
    """The lines of the file by kind and text."""
    if os.environ.get("AUDSQL_REWRITE"):
        STORED.write_text("".join(f"{line(*one)}\n" for one in TEXTS), encoding="utf-8")
    lines = STORED.read_text(encoding="utf-8").split("\n")[:-1]
    return {one.split("\t")[0]: one for one in lines}


TEXTS = texts()
LINES = stored()
# Few tests of many lines would hide what else differs, thousands would cost more than what they do.
PARTS = 60


@pytest.mark.parametrize("part", range(PARTS))
def test_readings(part: int) -> None:
    for kind, text in TEXTS[part::PARTS]:
        assert line(kind, text) == LINES.get(f"{kind} {quoted(text)}"), "AUDSQL_REWRITE=1 where it is meant"


def test_no_line_is_left_over() -> None:
    assert list(LINES) == [f"{kind} {quoted(text)}" for kind, text in TEXTS]
