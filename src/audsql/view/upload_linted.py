"""What `lint-upload` found and repaired, for a person to read. Lines are told by number, never by content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from audsql.catalog import word
from audsql.view.terminal import Style, neutralise

__all__ = ["human"]

_RANGES_MAX = 20


def human(document: dict[str, Any], style: Style) -> str:
    """The document of `session.upload_linting.lint_upload`; the diagnostics stand elsewhere."""
    return "".join(f"{line}\n" for line in _lines(document, style.language))


def _lines(document: dict[str, Any], language: str) -> Iterator[str]:
    kind = word(f"id_kind.{document['id_kind']}", language)
    key = "lint_upload.guessed" if document["guessed"] else "lint_upload.read"
    file, lines = neutralise(document["file"]), document["lines"]
    yield word(key, language, file=file, lines=lines, kind=kind, encoding=document["encoding"])
    if document["phones"] and document["lines"]:
        yield word("lint_upload.phones", language, region=document["region"], **document["phones"])
    for one in document["repairs"]:
        yield f"  {word('lint_upload.repair.' + one['name'], language)}: {one['count']:,}"
    if document["dropped"]:
        yield word("lint_upload.dropped", language, lines=_ranges(document["dropped"], language))
    written = document["written"]
    if written:
        yield word("lint_upload.written", language, **{**written, "file": neutralise(written["file"])})
    elif document["asked"]:
        yield word("lint_upload.not_written", language)


def _ranges(lines: Sequence[int], language: str) -> str:
    """`3, 7-9`; the first ones of many."""
    ranges: list[tuple[int, int]] = []
    for line in lines:
        if ranges and ranges[-1][1] == line - 1:
            ranges[-1] = (ranges[-1][0], line)
        else:
            ranges.append((line, line))
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:_RANGES_MAX]]
    more = ["…"] if len(ranges) > _RANGES_MAX else []
    return word("list_separator", language).join([*texts, *more])
