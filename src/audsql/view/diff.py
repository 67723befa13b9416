"""The diff document as terminal text and as one pull request comment.

`No changes.` and `Diff: …` at the start of a line are fixed in every language: scripts look for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.plan.masking import FLOOR
from audsql.view.numbers import size
from audsql.view.sentences import sentence
from audsql.view.shared import masked_size
from audsql.view.terminal import Colour, Style, neutralise, quote_markdown

__all__ = ["COMMENT_BYTES_MAX", "change_lines", "human", "markdown", "summary_text"]

COMMENT_BYTES_MAX = 60_000
_SIGNS = {"added": "+", "removed": "-", "renamed": ">"}
_COLOURS: dict[str, Colour] = {"+": "green", "~": "yellow", "-": "red", ">": "cyan"}
_PERSON_ATOMS_MAX = 6


def human(document: dict[str, Any], style: Style) -> str:
    """One block a change, the names that moved, what only reads differently, and the fixed line last."""
    language = style.language
    head = word("diff.header", language, project=neutralise(document["project"]), base=_base(document))
    sections = [[style.paint("bold", head)]]
    sections += [list(_block(change, style)) for change in document["changes"]]
    sections.append([f"  {word('diff.moved', language)}"] if document["moved"] else [])
    sections[-1] += [f"    moved {neutralise(one['old'])} -> {neutralise(one['new'])}" for one in document["moved"]]
    names = word("list_separator", language).join(neutralise(_shown(one, language)) for one in document["rewritten"])
    sections.append([style.paint("dim", f"  {word('diff.rewritten', language, names=names)}")] if names else [])
    sections.append([style.paint("bold", summary_text(document))])
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def summary_text(document: dict[str, Any]) -> str:
    """The fixed line: what other tools look for."""
    if not document["changes"]:
        return "No changes."
    counts = document["summary"]
    return (
        f"Diff: {counts['added']:,} added, {counts['changed']:,} changed, {counts['removed']:,} removed, "
        f"{counts['renamed']:,} renamed."
    )


def _base(document: dict[str, Any]) -> str:
    base = document["base"]
    name: str = neutralise(base["name"])
    return f"{name} ({base['commit'][:10]})" if base["commit"] else name


def _shown(address: str, language: str) -> str:
    kind, _, name = address.partition(".")
    return f"{word('kind.' + kind, language)} {name}"


def _title(change: dict[str, Any], language: str) -> str:
    classification = word(f"diff.class.{change['classification'].replace('-', '_')}", language)
    name = change["name"] if change["old_name"] is None else f"{change['old_name']} -> {change['name']}"
    return f"{word('kind.' + change['kind'], language)} {neutralise(name)}: {classification}"


def change_lines(document: dict[str, Any], language: str) -> Iterator[tuple[str, list[str]]]:
    """Each change as a title and its details, neutralised and not yet escaped for any format."""
    for change in document["changes"]:
        yield _title(change, language), [line.strip() for line in _details(change, language)]


def _block(change: dict[str, Any], style: Style) -> Iterator[str]:
    sign = _SIGNS.get(change["classification"], "~")
    yield style.paint(_COLOURS[sign], f"  {sign} {_title(change, style.language)}")
    yield from (f"      {line}" for line in _details(change, style.language))


def _details(change: dict[str, Any], language: str) -> Iterator[str]:
    for key in ("added", "removed"):
        region = change[key]
        if region is not None:
            people = word("diff.people", language, size=size(region["people"])) if region["people"] else ""
            yield word(f"diff.{key}", language, formula=neutralise(region["formula"])) + people
            if region["person"] is not None:
                yield "  " + word("diff.person", language, person=_person(region["person"], language))
    if change["fields"]:
        names = word("list_separator", language).join(change["fields"])
        yield word("diff.fields", language, names=names)
    if change["because"]:
        names = word("list_separator", language).join(neutralise(_shown(one, language)) for one in change["because"])
        yield word("diff.because", language, names=names)


def _person(person: dict[str, Any], language: str) -> str:
    """One sentence, or where that gets long a few atoms: they say enough of an example."""
    said = sentence(person["formula"], language)
    if len(said) == 1:
        return said[0]
    parts = [word("diff.in", language, atom=neutralise(atom)) for atom in person["in"]]
    parts += [word("diff.not_in", language, atom=neutralise(atom)) for atom in person["not_in"]]
    more = [word("diff.more", language, count=len(parts) - _PERSON_ATOMS_MAX)] if len(parts) > _PERSON_ATOMS_MAX else []
    return word("list_separator", language).join([*parts[:_PERSON_ATOMS_MAX], *more])


# --- Markdown -----------------------------------------------------------------------------------------


def markdown(document: dict[str, Any], language: str, floor: int = FLOOR) -> str:
    """A comment within GitHub's limit: whole changes only, and how many are left out. Fewer people than `floor` are
    no number there."""
    head = word("diff.header", language, project=document["project"], base=_base(document))
    lines = ["<!-- audsql:diff -->", f"### {quote_markdown(head)}", "", f"**{summary_text(document)}**", ""]
    used = 0
    for position, change in enumerate(document["changes"]):
        block = [f"- **{quote_markdown(_title(change, language))}**"]
        block += [f"  - {quote_markdown(line.strip())}" for line in _details(_masked(change, floor), language)]
        used += sum(len(line.encode()) + 1 for line in block)
        if used > COMMENT_BYTES_MAX:
            lines.append(word("markdown.more", language, count=len(document["changes"]) - position))
            break
        lines += block
    lines += [*_moved(document, language), *_rewritten(document, language)]
    return "\n".join(lines) + "\n"


def _masked(change: dict[str, Any], floor: int) -> dict[str, Any]:
    regions = {name: change[name] for name in ("added", "removed") if change[name] is not None}
    masked = {name: {**one, "people": masked_size(one["people"], floor)} for name, one in regions.items()}
    return {**change, **masked}


def _moved(document: dict[str, Any], language: str) -> Iterator[str]:
    if document["moved"]:
        yield ""
        yield word("diff.moved", language)
        yield ""
        for one in document["moved"][:100]:
            yield f"- moved {quote_markdown(one['old'])} -\\> {quote_markdown(one['new'])}"


def _rewritten(document: dict[str, Any], language: str) -> Iterator[str]:
    names = [quote_markdown(_shown(one, language)) for one in document["rewritten"][:100]]
    if names:
        yield ""
        yield word("diff.rewritten", language, names=word("list_separator", language).join(names))
