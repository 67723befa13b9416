"""The overlap document as terminal text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audsql.catalog import word
from audsql.source import cell_width
from audsql.view.numbers import size
from audsql.view.terminal import Style, left, neutralise, quote_markdown, right

__all__ = ["human", "markdown"]

_NAME_CELLS_MAX = 60


def human(document: Mapping[str, Any], style: Style) -> str:
    """The sets, then each pair with both shares, then the regions, the largest first."""
    language = style.language
    sections = [_block(title, _aligned(rows), style) for title, rows in _tables(document, language)]
    notes = list(_notes(document, language))
    return "\n\n".join([*sections, *(["\n".join(notes)] if notes else [])]) + "\n"


def markdown(document: Mapping[str, Any], language: str) -> str:
    """Three tables; what a user wrote cannot leave its cell."""
    lines = ["<!-- audsql:overlap -->"]
    for title, rows in _tables(document, language):
        head, *body = rows
        lines += [f"### {quote_markdown(title)}", "", _row(head), f"|--|{'--:|' * (len(head) - 1)}"]
        lines += [*(_row(row) for row in body), ""]
    notes = [quote_markdown(note) for note in _notes(document, language)]
    return "\n".join([*lines, *(line for note in notes for line in (note, ""))]).rstrip("\n") + "\n"


def _block(title: str, lines: Sequence[str], style: Style) -> str:
    head, *body = lines
    return "\n".join([style.paint("bold", title), style.paint("dim", f"  {head}"), *(f"  {line}" for line in body)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(quote_markdown(cell) for cell in cells)} |"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(cell_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [left(row[0], widths[0]), *(right(cell, width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def _tables(document: Mapping[str, Any], language: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Each table with its title, the row of heads first."""
    people = word("overlap.people", language)
    rows = [[_name(one["name"]), _size(one["people"], language)] for one in document["sets"]]
    yield word("overlap.sets", language), [[word("overlap.set", language), people], *rows]
    shares = [word(f"overlap.{name}", language) for name in ("of_first", "of_second", "jaccard")]
    pairs = sorted(document["pairs"], key=lambda pair: -pair["people"]["low"])[: document["top"]]
    heads = [word("overlap.pair", language), people, *shares]
    yield word("overlap.pairs", language), [heads, *(_pair(one, language) for one in pairs)]
    if document["regions"] is not None:
        heads = [word("overlap.region", language), people]
        yield word("overlap.regions", language), [heads, *_regions(document, language)]


def _pair(pair: Mapping[str, Any], language: str) -> list[str]:
    names = word("overlap.and", language, first=_name(pair["sets"][0]), second=_name(pair["sets"][1]))
    if pair["relation"] == "disjoint":
        return [names, word("overlap.never", language), "", "", ""]
    shares = (pair[name] for name in ("share_of_first", "share_of_second", "jaccard"))
    return [names, _size(pair["people"], language), *map(_share, shares)]


def _regions(document: Mapping[str, Any], language: str) -> Iterator[list[str]]:
    for one in document["regions"]["listed"]:
        names = word("list_separator", language).join(map(_name, one["sets"]))
        only = word("overlap.only", language, name=names) if one["degree"] == 1 else names
        yield [only, _size(one["people"], language)]
    more = document["regions"]["more"]
    if more is not None:
        yield [word("overlap.more", language, count=more["regions"]), _size(more["people"], language)]


def _notes(document: Mapping[str, Any], language: str) -> Iterator[str]:
    if len(document["pairs"]) > document["top"]:
        yield word("overlap.more_pairs", language, count=len(document["pairs"]) - document["top"])
    if document["regions"] is None:
        yield word("overlap.no_regions", language, sets=len(document["sets"]), most=document["regions_most_sets"])
    sizes = [*document["sets"], *document["pairs"], *(document["regions"] or {"listed": ()})["listed"]]
    if any(one["people"].get("hidden") for one in sizes):
        yield word("overlap.hidden", language, floor=document["floor"])
    if any(not one["people"]["exact"] and not one["people"].get("hidden") for one in sizes):
        yield word("overlap.held", language)


def _size(people: Mapping[str, Any], language: str) -> str:
    if people["low"] == 0 and people["high"] is None:
        return word("overlap.unknown", language)
    return size(people)


def _share(share: Mapping[str, Any] | None) -> str:
    """`40.0 %`, or from where to where; nothing where there is nobody to have a share of, or nothing is known."""
    if share is None or (share["low"], share["high"]) == (0.0, 1.0):
        return ""
    if share["value"] is not None:
        return f"{100 * share['value']:.1f}%"
    return f"{100 * share['low']:.1f}..{100 * share['high']:.1f}%"


def _name(name: str) -> str:
    """What was written, on one line and not too long."""
    text: str = neutralise(name)
    return text if len(text) <= _NAME_CELLS_MAX else f"{text[: _NAME_CELLS_MAX - 1]}…"
