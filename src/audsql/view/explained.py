"""`explain`: what a name of the project is, what a code means, what holds of one person (specs/explain.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audsql.catalog import LANGUAGES, word
from audsql.diag import Fact
from audsql.view.sentences import OPERATORS, sentence
from audsql.view.terminal import Colour, Style, neutralise

__all__ = ["explanation", "listing", "person", "with_words"]

Document = dict[str, Any]

_NAMES_MAX = 30
_VALUES: Mapping[bool | None, tuple[str, Colour]] = {
    True: ("yes", "green"),
    False: ("no", "red"),
    None: ("unknown", "yellow"),
}


def explanation(document: Document, style: Style) -> str:
    """A code's long text with its samples, or what a name of the project is, how it is built and used."""
    lines = _code(document, style) if "code" in document else _name(document, style)
    return "\n".join(lines) + "\n"


def with_words(document: Document) -> Document:
    """The document with each of its sets in words, a list of lines by language."""
    if "sets" not in document:
        return document
    return {**document, "sets": [{**one, "words": _words(one["formula"])} for one in document["sets"]]}


def _words(formula: Document) -> dict[str, list[str]]:
    return {language: list(sentence(formula, language)) for language in LANGUAGES}


def listing(document: Document, style: Style) -> str:
    """The names that can be explained, a line a kind."""
    names = document["names"]
    if not names:
        return word("explain.nothing", style.language) + "\n"
    lines = [word("explain.listing", style.language), ""]
    for kind in names:
        label = style.paint("bold", word(f"kind.{kind}", style.language))
        lines.append(f"  {label}: {word('list_separator', style.language).join(map(neutralise, names[kind]))}")
    return "\n".join(lines) + "\n"


# --- codes ------------------------------------------------------------------------------------------


def _code(document: Document, style: Style) -> Iterator[str]:
    yield style.paint("bold", f"{document['code']}: {document['title']}")
    yield ""
    yield document["explain"]
    for key in ("bad", "good"):
        if document["sample"]:
            yield ""
            yield word(f"explain.{key}", style.language)
            yield ""
            yield from (f"    {neutralise(line)}".rstrip() for line in document["sample"][key].strip().splitlines())
        if document["sample"] and key == "bad":
            severity = word(f"severity.{document['kind']}", style.language)
            yield ""
            yield f"{word('explain.gives', style.language)} {severity}[{document['code']}]: {document['title']}"
    yield ""
    yield word("explain.rule", style.language, rule=document["rule"], since=document["since"])


# --- names ------------------------------------------------------------------------------------------


def _name(document: Document, style: Style) -> Iterator[str]:
    yield style.paint("bold", f"{word('kind.' + document['kind'], style.language)} {neutralise(document['name'])}")
    if document["description"]:
        yield from (f"  {neutralise(line)}" for line in document["description"].splitlines())
    for one in document["sets"]:
        yield ""
        yield from _set(one, style)
    if document["points"]:
        yield ""
        yield from (_point(point, style.language) for point in document["points"])
    yield from _links(document, style)


def _set(one: Document, style: Style) -> Iterator[str]:
    yield style.paint("bold", word(f"explain.heading.{one['role']}", style.language))
    yield from (f"  {line}" for line in sentence(one["formula"], style.language))
    yield style.paint("dim", f"  {word('explain.formula', style.language, text=neutralise(one['text']))}")


def _point(point: Document, language: str) -> str:
    indent = "  " * (point.get("depth", 0) + 1)
    if point["say"] == "branch_arm" and len(lines := sentence(point["formula"], language)) == 1:
        return f"{indent}- {lines[0]}"
    facts = {name: _fact(name, fact, language) for name, fact in point["facts"].items()}
    unit = point["facts"].get("unit")
    if unit in ("minute", "hour", "day"):
        count = point["facts"]["count"]
        facts["length"] = word(f"length.{unit}{'_one' if count == 1 else ''}", language, count=count)
    if operator := point["facts"].get("operator"):
        facts["bound"] = word(f"say.op.{OPERATORS[operator]}", language, value=facts["value"])
    return f"{indent}- {word('about.' + point['say'], language, **facts)}"


def _fact(name: str, fact: Fact | list[str], language: str) -> Fact:
    """A fact as it is read: kinds of ids and days of the week have words, lists are joined."""
    if isinstance(fact, list | tuple):
        return _names(fact, language)
    if name == "id_kind":
        return word(f"say.id_kind.{fact}", language)
    if name == "weekday" and fact is not None:
        return word(f"weekday.{fact}", language)
    return neutralise(fact) if isinstance(fact, str) else fact


def _names(names: Sequence[str], language: str) -> str:
    shown = [neutralise(name) for name in names[:_NAMES_MAX]]
    if len(names) > _NAMES_MAX:
        shown.append(word("say.more_values", language, count=len(names) - _NAMES_MAX))
    return word("list_separator", language).join(shown)


def _links(document: Document, style: Style) -> Iterator[str]:
    for key in ("uses", "used_by"):
        if document[key]:
            yield ""
            yield f"{word(f'explain.{key}', style.language)} {_names(document[key], style.language)}"
            if document[f"{key}_through"]:
                through = _names(document[f"{key}_through"], style.language)
                yield f"{word(f'explain.{key}_through', style.language)} {through}"
    if not document["used_by"] and document["kind"] not in ("account", "delivery", "policy", "flow"):
        yield ""
        yield word("explain.nobody_uses", style.language)


# --- one person -------------------------------------------------------------------------------------


def person(document: Document, style: Style) -> str:
    """What holds of one person, part by part; the id itself is nowhere in the document."""
    answers = {
        value: style.paint(colour, word(f"person.{key}", style.language)) for value, (key, colour) in _VALUES.items()
    }
    title = f"{word('kind.' + document['kind'], style.language)} {neutralise(document['name'])}"
    lines = [style.paint("bold", title), "", word("person.header", style.language)]
    for row in document["parts"]:
        lines.append(f"{'  ' * (row['depth'] + 1)}{_label(row, style.language)}: {answers[row['value']]}")
    if document["more"]:
        lines.append(f"  {word('person.more', style.language, count=document['more'])}")
    if any(row["value"] is None for row in document["parts"]):
        lines += ["", word("person.unknown_note", style.language)]
    return "\n".join(lines) + "\n"


def _label(row: Document, language: str) -> str:
    if row["is"] in ("to", "less", "behind"):
        return word(f"person.{row['is']}", language, name=neutralise(row["name"]))
    if row["is"] in ("all", "any", "not"):
        return word(f"person.{row['is']}", language)
    if row["is"] != "atom":
        return f"{word('kind.' + row['is'], language)} {neutralise(row['name'])}"
    return neutralise(row["text"])
