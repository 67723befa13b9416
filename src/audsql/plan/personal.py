"""Personal messages in a plan: what stands against them, and how they look for people who do not exist. Pure.

Rules: specs/operations.md, `personal.*`, `codes.*`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import date
from decimal import Decimal
from itertools import islice, product
from typing import Any
from zoneinfo import ZoneInfo

from audsql.diag import Diagnostic, error
from audsql.line.filling import Filling, Illegal, compile_filling
from audsql.line.messages import outline
from audsql.meaning.ir import Message, Project, TemplateField
from audsql.meaning.rendering import Missing, Value
from audsql.records import dataclass

__all__ = ["PersonalFacts", "PersonalInputs", "personal_problems", "previews_document", "said_to_somebody"]

_LONG_TEXT_CHARACTERS = 40
_LONG_NUMBER = Decimal(9_999_999)
_DAY, _LONG_DAY = date(2026, 4, 1), date(2026, 12, 31)
# Ways through a template that are tried for the longest one.
_WAYS_MAX = 512


@dataclass(frozen=True, slots=True)
class PersonalFacts:
    """What rendering everybody of one delivery found, as counts. `missing`: message, column, table and people;
    `several`: table, people, and whether it has times; `illegal`: message, path, columns, code and people. `distinct`:
    how many different wordings there are. `codes`: how many people need a new code, by pool."""

    distinct: int = 0
    missing: tuple[tuple[str, str, str | None, int], ...] = ()
    several: tuple[tuple[str, int, bool], ...] = ()
    illegal: tuple[tuple[str, str, tuple[str, ...], str, int], ...] = ()
    codes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PersonalInputs:
    """By delivery with personal messages what is known of it; by pool how many codes nobody has."""

    deliveries: Mapping[str, PersonalFacts] = field(default_factory=dict)
    free: Mapping[str, int] = field(default_factory=dict)


# --- what stands against a plan ---------------------------------------------------------------------


def personal_problems(project: Project, found: PersonalInputs) -> Iterator[Diagnostic]:
    """AUD1134 to AUD1137, in the order of the deliveries, each table, message and pool once."""
    spans = {one.name: one.span for one in project.messages}
    tables = {one.name: one.span for one in project.tables}
    told: set[tuple[object, ...]] = set()
    for name in sorted(found.deliveries):
        facts = found.deliveries[name]
        for message, column, table, count in facts.missing:
            yield error("AUD1134", spans.get(message), message=message, column=column, table=table, count=count)
        for table, count, timed in facts.several:
            if (table, count) not in told:
                told.add((table, count))
                yield error("AUD1135", tables.get(table), table=table, count=count, timed=timed)
        for message, path, columns, code, count in facts.illegal:
            yield error(
                "AUD1136", spans.get(message), message=message, path=path, columns=columns, problem=code, count=count
            )
    pools = {one.name: one.span for one in project.code_pools}
    for pool in sorted(found.free):
        needed = sum(count for facts in found.deliveries.values() for name, count in facts.codes if name == pool)
        free = found.free[pool]
        if needed > free:
            yield error("AUD1137", pools.get(pool), pool=pool, needed=needed, free=free, missing=needed - free)


def said_to_somebody(document: Mapping[str, Any], entry: Mapping[str, Any]) -> list[Any]:
    """The message objects of a delivery of a plan, personal ones as somebody who does not exist would get them: what
    LINE can be asked about. Those that nobody without values would get are left out."""
    known = {one["name"]: one for one in document.get("messages", ())}
    found: list[Any] = []
    start = 0
    for name in entry["messages"]:
        end = start + len(known[name]["kinds"]) if name in known else start
        if name in known and "personal" in known[name]:
            usual = known[name]["personal"]["previews"][0]["messages"]
            found += usual or ()
        else:
            found += entry["content"][start:end]
        start = end
    return found


# --- invented people --------------------------------------------------------------------------------


def previews_document(message: Message, objects: Sequence[Mapping[str, Any]], timezone: str) -> list[dict[str, Any]]:
    """A personal message for three people who do not exist: `usual`, `longest`, and `without` any value of their own.
    `text` is what is seen of it in short, `messages` LINE's objects; both None where somebody like that gets nothing,
    with what is `missing`, or the rule that is broken (`problem`)."""
    filling = compile_filling(message, objects, ZoneInfo(timezone))
    usual = [_usual(one) for one in filling.fields]
    without: list[Value] = [_code(one) if one.pool else None for one in filling.fields]
    people = (("usual", usual), ("longest", _longest(filling)), ("without", without))
    return [{"person": person, **_rendered(filling, values)} for person, values in people]


def _rendered(filling: Filling, values: Sequence[Value]) -> dict[str, Any]:
    nothing: dict[str, Any] = {"text": None, "messages": None}
    try:
        found = json.loads(f"[{filling.render(values)}]")
    except Missing as missing:
        return {**nothing, "missing": missing.column}
    except Illegal as illegal:
        return {**nothing, "problem": illegal.code}
    return {"text": " / ".join(outline(one) for one in found), "messages": found}


def _usual(one: TemplateField) -> Value:
    if one.pool:
        return _code(one)
    if one.type == "number":
        return Decimal(120)
    if one.type == "date":
        return _DAY
    lowered = one.name.lower()
    if any(word in lowered for word in ("url", "link", "uri", "image", "photo", "picture")):
        return "https://example.com/a"
    return "example" if lowered.isascii() else "例"


def _code(one: TemplateField) -> str:
    return f"{one.pool.upper()}-0000"


def _longest(filling: Filling) -> list[Value]:
    """Long values, with those that conditions ask for tried in their places; what gives the longest message."""
    choices: list[list[Value]] = []
    for one in filling.fields:
        compared = [value for name, value in filling.compared if name == one.name]
        beside = [value + change for value in compared if isinstance(value, Decimal) for change in (1, -1)]
        choices.append(list(dict.fromkeys([_long(one), *compared, *beside, *([] if one.fallback is None else [None])])))
    best: list[Value] = [_long(one) for one in filling.fields]
    longest = -1
    for values in islice(product(*choices), _WAYS_MAX):
        try:
            length = len(filling.render(values))
        except (Missing, Illegal):
            continue
        if length > longest:
            best, longest = [*values], length
    return best


def _long(one: TemplateField) -> Value:
    usual = _usual(one)
    if one.type == "number":
        return _LONG_NUMBER
    if one.type == "date":
        return _LONG_DAY
    text = str(usual)
    if one.pool or text.startswith("https"):
        return text
    return (text * _LONG_TEXT_CHARACTERS)[:_LONG_TEXT_CHARACTERS]
